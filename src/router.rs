//! From a request to a `Call`: which operation it is, and its input, validated. Everything is read from the
//! contract, and what its schemas cannot say about `iam` from `node_iam`; there is no other code per operation.
//!
//! Routes are found by API Gateway's `resource` and `httpMethod`, never by the path: API Gateway authorized the
//! resource, and a path could be normalized differently here than there.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::{
    config::Regions,
    contract::{self, Location, Parameter, Route, Schema},
    error::{Error, FieldError},
    json, node_iam,
    operations::{Action, Operation},
    principal::Principal,
    request::{ApiRequest, Body},
    validate,
};

/// Larger bodies are refused before they are parsed. The largest request that PCS's limits allow (two stages of 20
/// lifecycle scripts with all arguments, 200 tags) stays below.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;

/// A valid request: what to do, where, with which input.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// One of `contract::REGIONS`.
    pub region: String,
    pub dryrun: bool,
    /// PCS's input members, without the client token.
    pub input: Map<String, Value>,
    /// The caller's own token. PCS is sent `scoped_client_token` instead.
    pub client_token: Option<String>,
    /// `iam.additionalIamPolicies`: the caller wants a role made, or the policies of one that was made changed. Not
    /// an input of PCS; `guardrails` lets no call pass that still has it.
    pub additional_iam_policies: Option<Vec<String>>,
}

/// Finds the operation; the rest of the request has not been looked at.
pub fn route(request: &ApiRequest) -> Result<Operation, Error> {
    let mut allow = Vec::new();
    for operation in Operation::all() {
        let route = contract::route(operation);
        if route.resource != request.resource {
            continue;
        }
        if route.method == request.method {
            return Ok(operation);
        }
        allow.push(route.method);
    }
    Err(if allow.is_empty() {
        Error::UnknownRoute
    } else {
        Error::MethodNotAllowed(allow)
    })
}

/// Reads and validates the whole request; all that is wrong with it is reported at once.
pub fn read(operation: Operation, request: &ApiRequest, regions: &Regions) -> Result<Call, Error> {
    let route = contract::route(operation);
    let mut errors = Vec::new();
    let mut input = read_body(operation, request, &mut errors)?;
    read_parameters(route, request, &mut input, &mut errors);
    let region = take_text(&mut input, "region").unwrap_or_else(|| regions.default.clone());
    if errors.iter().all(|error| error.path != "region") && !regions.allows(&region) {
        errors.push(FieldError::new("region", regions.refusal()));
    }
    let dryrun = input.remove("dryrun") == Some(Value::Bool(true));
    let client_token = take_text(&mut input, "clientToken");
    let additional_iam_policies = node_iam::take(&mut input);
    if errors.is_empty() {
        Ok(Call {
            region,
            dryrun,
            input,
            client_token,
            additional_iam_policies,
        })
    } else {
        errors.truncate(FieldError::MOST);
        Err(Error::Validation(errors))
    }
}

fn read_body(
    operation: Operation,
    request: &ApiRequest,
    errors: &mut Vec<FieldError>,
) -> Result<Map<String, Value>, Error> {
    let bytes = request.body.bytes();
    let Some(schema) = contract::route(operation).body else {
        if !bytes.is_empty() {
            errors.push(FieldError::new("", "this operation takes no body; leave it out"));
        }
        return Ok(Map::new());
    };
    if !request.content_type.as_deref().is_none_or(is_json) {
        return Err(Error::MediaType);
    }
    if bytes.len() > BODY_BYTES_MAX {
        return Err(Error::TooLarge {
            limit: BODY_BYTES_MAX,
        });
    }
    let object = match &request.body {
        Body::Bytes(bytes) => json::read_object(bytes),
        Body::NotBase64(_) => Err(vec![FieldError::new("", "the body is not valid base64")]),
    };
    let object = match object {
        Ok(object) => object,
        Err(mut faults) => {
            errors.append(&mut faults);
            return Ok(Map::new());
        }
    };
    node_iam::check(operation, &object, errors);
    let object = Value::Object(object);
    validate::check(&object, schema, "", errors);
    match object {
        Value::Object(object) => Ok(object),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Ok(Map::new())
        }
    }
}

/// Whether the media type is JSON; parameters such as `charset` do not matter.
fn is_json(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default();
    media_type.trim().eq_ignore_ascii_case("application/json")
}

fn read_parameters(
    route: &Route,
    request: &ApiRequest,
    input: &mut Map<String, Value>,
    errors: &mut Vec<FieldError>,
) {
    for parameter in route.parameters {
        let values = given(parameter, request);
        if values.is_empty() {
            if parameter.required {
                errors.push(FieldError::new(parameter.name, "is required"));
            }
            continue;
        }
        match parse(parameter, &values) {
            Err(message) => errors.push(FieldError::new(parameter.name, message)),
            Ok(value) => {
                validate::check(&value, parameter.schema, parameter.name, errors);
                input.insert(parameter.name.to_owned(), value);
            }
        }
    }
    for (name, _) in &request.query {
        // What a presigned URL carries is API Gateway's business, and already verified.
        let known = name.starts_with("X-Amz-")
            || route
                .parameters
                .iter()
                .any(|p| p.location == Location::Query && p.name == name);
        if !known {
            errors.push(FieldError::new(
                name,
                "is not a query parameter of this operation",
            ));
        }
    }
}

fn given<'a>(parameter: &Parameter, request: &'a ApiRequest) -> Vec<&'a str> {
    match parameter.location {
        Location::Path => request
            .path_parameters
            .iter()
            .filter(|(name, _)| name == parameter.name)
            .map(|(_, value)| value.as_str())
            .collect(),
        Location::Query => request
            .query
            .iter()
            .filter(|(name, _)| name == parameter.name)
            .flat_map(|(_, values)| values.iter().map(String::as_str))
            .collect(),
    }
}

fn parse(parameter: &Parameter, values: &[&str]) -> Result<Value, String> {
    if let Schema::Array { .. } = parameter.schema {
        return Ok(values.iter().map(|value| Value::from(*value)).collect());
    }
    let [value] = values else {
        return Err(format!("is given {} times; give it once", values.len()));
    };
    match parameter.schema {
        Schema::Integer { .. } => value
            .parse::<i64>()
            .map(Value::from)
            .map_err(|_| "must be an integer".to_owned()),
        Schema::Boolean => value
            .parse::<bool>()
            .map(Value::from)
            .map_err(|_| "must be true or false".to_owned()),
        Schema::String { .. } | Schema::Array { .. } | Schema::Map { .. } | Schema::Object { .. } => {
            Ok(Value::from(*value))
        }
    }
}

fn take_text(input: &mut Map<String, Value>, name: &str) -> Option<String> {
    match input.remove(name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

impl Call {
    /// What the caller sent, parameters and body in one object, for the record to redact.
    pub fn as_sent(&self) -> Value {
        let mut sent = self.input.clone();
        if let Some(token) = &self.client_token {
            sent.insert("clientToken".to_owned(), token.as_str().into());
        }
        if let Some(policies) = &self.additional_iam_policies {
            let policies = policies.iter().map(|policy| Value::from(policy.as_str()));
            let iam = Map::from_iter([("additionalIamPolicies".to_owned(), policies.collect())]);
            sent.insert("iam".to_owned(), Value::Object(iam));
        }
        Value::Object(sent)
    }

    /// The token that PCS is sent; `None` where the action takes none.
    ///
    /// PCS sees one principal, the function's role. The token is therefore bound to the caller, the operation and
    /// the Region, so that callers can neither collide with nor replay one another. Without a token of the caller
    /// the call's own id keeps our retries of one call from acting twice.
    pub fn scoped_client_token(
        &self,
        action: Action,
        principal: &Principal,
        event_id: &str,
    ) -> Option<String> {
        if !contract::route(Operation::Pcs(action)).takes_client_token() {
            return None;
        }
        let Some(token) = &self.client_token else {
            return Some(event_id.to_owned());
        };
        let mut hash = Sha256::new();
        for part in [
            principal.account_id.as_str(),
            &principal.principal_id,
            action.name(),
            &self.region,
            token,
        ] {
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        }
        Some(crate::hex(&hash.finalize()))
    }
}
