//! The answers API Gateway gives itself, with the bodies that the contract's gateway responses prescribe, where API
//! Gateway lets them.

use std::collections::BTreeMap;

use serde_json::Value;

/// The gateway response types that can occur here, by API Gateway's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ResponseType {
    AccessDenied,
    InvalidSignature,
    MissingAuthenticationToken,
    /// The event is larger than Lambda takes. "Amazon API Gateway important notes": it cannot be customized.
    RequestTooLarge,
    /// The function gave no answer that API Gateway could use.
    IntegrationFailure,
    /// Everything that has no type of its own.
    Default4xx,
}

impl ResponseType {
    /// Those whose answers the contract prescribes.
    pub const CUSTOMIZED: [Self; 5] = [
        Self::AccessDenied,
        Self::InvalidSignature,
        Self::MissingAuthenticationToken,
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

    /// In the words of who refuses it.
    pub(crate) fn access_denied(message: &str) -> Self {
        Self::new(ResponseType::AccessDenied, "AccessDeniedException", message)
    }

    pub(crate) fn bad_request() -> Self {
        Self::default_4xx(400, "BadRequestException", "Bad Request")
    }

    pub(crate) fn uri_too_long() -> Self {
        Self::default_4xx(414, "UriTooLongException", "URI Too Long")
    }

    pub(crate) fn headers_too_large() -> Self {
        let (error_type, message) = ("RequestHeaderFieldsTooLarge", "Request Header Fields Too Large");
        Self::default_4xx(431, error_type, message)
    }

    /// Lambda refused the event. Error type and message as API Gateway was seen to give them.
    pub(crate) fn request_too_large() -> Self {
        Self::new(
            ResponseType::RequestTooLarge,
            "BadRequestException",
            "Request Too Long",
        )
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

/// API Gateway's template of an answer that was not customized.
const DEFAULT_TEMPLATE: &str = "{\"message\": $context.error.messageString}";

/// An answer ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayAnswer {
    pub status: u16,
    /// `content-type`, and where an API answers, `x-amzn-RequestId` and `x-amzn-ErrorType`.
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

impl GatewayAnswer {
    /// To a body above `limit`, as API Gateway was seen to answer it: before it looks for an API, so with nothing of
    /// any API in it.
    pub(crate) fn content_length_exceeded(limit: usize) -> Self {
        Self {
            status: 413,
            headers: vec![("content-type", "text; charset=utf-8".to_owned())],
            body: format!("HTTP content length exceeded {limit} bytes."),
        }
    }
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
        ResponseType::CUSTOMIZED
            .into_iter()
            .map(read)
            .collect::<Result<_, String>>()
            .map(Self)
    }

    /// What the client gets. `request_id` is the id that the access log would show.
    pub fn render(&self, rejection: &Rejection, request_id: &str) -> GatewayAnswer {
        let template = self.0.get(&rejection.response_type);
        let quoted = Value::from(rejection.message.as_str()).to_string();
        let body = template.map_or(DEFAULT_TEMPLATE, |template| &template.body);
        // The message last: it holds text of the client's, which must not be taken for a variable.
        let body = body
            .replace("$context.requestId", request_id)
            .replace("$context.error.messageString", &quoted);
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
        for response_type in ResponseType::CUSTOMIZED {
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

    /// Status, headers and body of both as <https://github.com/koki-develop/lgtm-generator/issues/10> has them.
    #[test]
    fn what_is_too_large_is_answered_in_api_gateway_s_own_words() {
        let contract = Contract::parse(include_str!("../../../openapi/pcs-api.yaml")).unwrap();
        let answer = contract
            .responses
            .render(&Rejection::request_too_large(), "the-id");
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (413, r#"{"message": "Request Too Long"}"#)
        );
        let header = |name: &str| {
            answer
                .headers
                .iter()
                .find(|header| header.0 == name)
                .unwrap()
                .1
                .as_str()
        };
        assert_eq!(
            (header("content-type"), header("x-amzn-ErrorType")),
            ("application/json", "BadRequestException")
        );

        let answer = GatewayAnswer::content_length_exceeded(10_485_760);
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (413, "HTTP content length exceeded 10485760 bytes.")
        );
        assert_eq!(
            answer.headers,
            [("content-type", "text; charset=utf-8".to_owned())]
        );
    }
}
