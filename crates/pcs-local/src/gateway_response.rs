//! The answers API Gateway gives itself, with the bodies that the contract's gateway responses prescribe.

use std::collections::BTreeMap;

use serde_json::Value;

/// The gateway response types that can occur here, by API Gateway's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ResponseType {
    AccessDenied,
    InvalidSignature,
    MissingAuthenticationToken,
    RequestTooLarge,
    /// The function gave no answer that API Gateway could use.
    IntegrationFailure,
    /// Everything that has no type of its own.
    Default4xx,
}

impl ResponseType {
    pub const ALL: [Self; 6] = [
        Self::AccessDenied,
        Self::InvalidSignature,
        Self::MissingAuthenticationToken,
        Self::RequestTooLarge,
        Self::IntegrationFailure,
        Self::Default4xx,
    ];

    /// Its key under `x-amazon-apigateway-gateway-responses`.
    pub fn name(self) -> &'static str {
        match self {
            Self::AccessDenied => "ACCESS_DENIED",
            Self::InvalidSignature => "INVALID_SIGNATURE",
            Self::MissingAuthenticationToken => "MISSING_AUTHENTICATION_TOKEN",
            Self::RequestTooLarge => "REQUEST_TOO_LARGE",
            Self::IntegrationFailure => "INTEGRATION_FAILURE",
            Self::Default4xx => "DEFAULT_4XX",
        }
    }

    /// The status unless the contract sets another.
    fn status(self) -> u16 {
        match self {
            Self::AccessDenied | Self::InvalidSignature | Self::MissingAuthenticationToken => 403,
            Self::RequestTooLarge => 413,
            Self::IntegrationFailure => 502,
            Self::Default4xx => 400,
        }
    }
}

/// Why API Gateway answers itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    response_type: ResponseType,
    status: u16,
    error_type: &'static str,
    message: String,
}

impl Rejection {
    /// `error_type` goes into the header `x-amzn-ErrorType`, `message` is `$context.error.message`.
    pub fn new(response_type: ResponseType, error_type: &'static str, message: impl Into<String>) -> Self {
        Self {
            response_type,
            status: response_type.status(),
            error_type,
            message: message.into(),
        }
    }

    pub(crate) fn default_4xx(status: u16, error_type: &'static str, message: &str) -> Self {
        Self {
            response_type: ResponseType::Default4xx,
            status,
            error_type,
            message: message.to_owned(),
        }
    }

    /// No such method and path, or no signature: API Gateway says the same to both.
    pub(crate) fn missing_authentication_token() -> Self {
        Self::new(
            ResponseType::MissingAuthenticationToken,
            "MissingAuthenticationTokenException",
            "Missing Authentication Token",
        )
    }

    pub fn response_type(&self) -> ResponseType {
        self.response_type
    }

    pub fn status(&self) -> u16 {
        self.status
    }

    pub fn error_type(&self) -> &'static str {
        self.error_type
    }

    /// API Gateway's own text.
    pub fn message(&self) -> &str {
        &self.message
    }
}

/// An answer ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayAnswer {
    pub status: u16,
    /// `content-type`, `x-amzn-RequestId` and `x-amzn-ErrorType`.
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

/// The body templates of the contract, and the status codes that it sets.
#[derive(Clone, Debug)]
pub struct GatewayResponses(BTreeMap<ResponseType, Template>);

#[derive(Clone, Debug)]
struct Template {
    status: Option<u16>,
    body: String,
}

impl GatewayResponses {
    /// Reads `x-amazon-apigateway-gateway-responses`. A type without a JSON template of its own is an error: its
    /// answer would not have the contract's shape.
    pub(crate) fn from_contract(responses: &Value) -> Result<Self, String> {
        let read = |response_type: ResponseType| {
            let name = response_type.name();
            let response = responses
                .get(name)
                .ok_or_else(|| format!("no gateway response {name}"))?;
            let body = response
                .pointer("/responseTemplates/application~1json")
                .and_then(Value::as_str)
                .ok_or_else(|| format!("gateway response {name} has no JSON template"))?
                .to_owned();
            let status = match response.get("statusCode") {
                None => None,
                Some(status) => {
                    let text = status.as_str().map_or_else(|| status.to_string(), str::to_owned);
                    Some(
                        text.parse()
                            .map_err(|_| format!("status code of gateway response {name}"))?,
                    )
                }
            };
            Ok((response_type, Template { status, body }))
        };
        ResponseType::ALL
            .into_iter()
            .map(read)
            .collect::<Result<_, String>>()
            .map(Self)
    }

    /// What the client gets. `request_id` is the id that the access log would show.
    pub fn render(&self, rejection: &Rejection, request_id: &str) -> GatewayAnswer {
        let template = self.0.get(&rejection.response_type);
        let quoted = Value::from(rejection.message.as_str()).to_string();
        let body = template.map_or_else(String::new, |template| {
            // The message last: it holds text of the client's, which must not be taken for a variable.
            let body = template.body.replace("$context.requestId", request_id);
            body.replace("$context.error.messageString", &quoted)
        });
        GatewayAnswer {
            status: template
                .and_then(|template| template.status)
                .unwrap_or(rejection.status),
            headers: vec![
                ("content-type", "application/json".to_owned()),
                ("x-amzn-RequestId", request_id.to_owned()),
                ("x-amzn-ErrorType", rejection.error_type.to_owned()),
            ],
            body,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Contract;

    #[test]
    fn every_type_answers_in_the_contract_s_shape() {
        let contract = Contract::parse(include_str!("../../../openapi/pcs-api.yaml")).unwrap();
        for response_type in ResponseType::ALL {
            let rejection = Rejection::new(response_type, "SomeException", "a \"quoted\" $context.requestId");
            let answer = contract.responses.render(&rejection, "the-id");
            assert_eq!(answer.status, response_type.status(), "{response_type:?}");
            let body: Value = serde_json::from_str(&answer.body).unwrap();
            let names: Vec<_> = body.as_object().unwrap().keys().cloned().collect();
            assert_eq!(names, ["code", "message", "requestId"], "{response_type:?}");
            assert_eq!(body["requestId"], "the-id");
            assert!(!answer.body.contains("$context.error"), "{}", answer.body);
        }
        let denied = Rejection::new(ResponseType::AccessDenied, "AccessDeniedException", "a \"b\"");
        let answer = contract.responses.render(&denied, "the-id");
        let expected = r#"{"message":"a \"b\"","code":"AccessDeniedException","requestId":"the-id"}"#;
        assert_eq!(answer.body, expected);
        let missing = contract
            .responses
            .render(&Rejection::missing_authentication_token(), "the-id");
        assert!(
            missing.body.contains("\"code\":\"AccessDeniedException\""),
            "{}",
            missing.body
        );
    }
}
