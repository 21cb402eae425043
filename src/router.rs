//! From a request to a `Call`: which operation it is, and its input, validated. Everything is read from the
//! contract, and what its schemas cannot say about `iam` from `node_iam`; there is no other code per operation.
//!
//! Routes are found by API Gateway's `resource` and `httpMethod`, never by the path: API Gateway authorized the
//! resource, and a path could be normalized differently here than there.

use jiff::Timestamp;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::{
    audit::question,
    body,
    config::Config,
    contract,
    error::{Error, FieldError},
    json, node_iam,
    operations::{Action, Operation},
    parameters,
    principal::Principal,
    request::{ApiRequest, Body},
    tagged, validate,
};

/// Larger bodies are refused before they are parsed. The largest request that PCS's limits allow (two stages of 20
/// lifecycle scripts with all arguments, 200 tags) stays below.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;

const REGION: &str = "region";

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
pub fn read(
    operation: Operation,
    request: &ApiRequest,
    config: &Config,
    now: Timestamp,
) -> Result<Call, Error> {
    let mut errors = Vec::new();
    let mut input = read_body(operation, request, &mut errors)?;
    let mut faults = Vec::new();
    parameters::read(contract::route(operation), request, &mut input, &mut faults);
    let region = take_text(&mut input, REGION).unwrap_or_else(|| config.regions.default.clone());
    if config.regions.allows(&region) {
        tagged::check(&input, Some(&region), config, &mut faults);
    } else {
        tagged::check(&input, None, config, &mut faults);
        // The contract has the Regions of every partition; those of this deployment are fewer.
        faults.retain(|fault| fault.path != REGION);
        faults.push(FieldError::new(REGION, config.regions.refusal(&region)));
    }
    errors.append(&mut faults);
    if operation == Operation::ListAuditEvents {
        question::check(&input, now, &mut errors);
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
    // JSON's blanks; a body of nothing else is none.
    let is_missing = bytes.iter().all(|byte| b" \t\r\n".contains(byte));
    let Some(contracted) = contract::route(operation).body else {
        if !is_missing {
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
        Body::Bytes(_) if is_missing => Ok((Map::new(), Vec::new())),
        Body::Bytes(bytes) => json::read(bytes),
        Body::NotBase64(_) => Err(vec![FieldError::new("", "the body is not valid base64")]),
    };
    let mut object = match object {
        Ok((object, mut duplicates)) => {
            errors.append(&mut duplicates);
            object
        }
        Err(mut faults) => {
            errors.append(&mut faults);
            return Ok(Map::new());
        }
    };
    body::drop_empty(&mut object, contracted);
    node_iam::check(operation, &object, errors);
    validate::check_object(&object, contracted.schema, errors);
    body::check(&object, contracted, errors);
    if errors.is_empty() {
        body::check_changes(&object, contracted, is_missing, errors);
    }
    Ok(object)
}

/// Whether the media type is JSON; parameters such as `charset` do not matter.
fn is_json(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default();
    media_type.trim().eq_ignore_ascii_case("application/json")
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
