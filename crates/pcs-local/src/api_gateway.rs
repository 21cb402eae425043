//! The path of a request through API Gateway, on one screen.

use jiff::Timestamp;
use serde_json::Value;

use crate::contract::Contract;
use crate::credentials::Credentials;
use crate::gateway_response::{GatewayAnswer, Rejection};
use crate::proxy_event::{Api, match_route, proxy_event};
use crate::request::ReceivedRequest;
use crate::resource_policy::ResourcePolicy;
use crate::sigv4::{self, Scope};

/// A REST API: its contract, who can sign for it, who is let in.
#[derive(Clone, Debug)]
pub struct ApiGateway {
    pub api: Api,
    pub contract: Contract,
    pub credentials: Credentials,
    pub policy: ResourcePolicy,
}

impl ApiGateway {
    /// The proxy event for the function, or the answer that the client gets without it.
    pub fn admit(
        &self,
        received: Result<ReceivedRequest, Rejection>,
        now: Timestamp,
    ) -> Result<Value, GatewayAnswer> {
        let request_id = uuid::Uuid::new_v4().to_string();
        let event = received.and_then(|request| self.event(&request, &request_id, now));
        event.map_err(|rejection| self.contract.responses.render(&rejection, &request_id))
    }

    fn event(&self, request: &ReceivedRequest, request_id: &str, now: Timestamp) -> Result<Value, Rejection> {
        let matched = match_route(&self.contract.routes, request.method(), request.path())?;
        let scope = Scope::execute_api(&self.api.region);
        let credential = sigv4::verify(request, &self.credentials, &scope, now).map_err(|refusal| {
            sigv4::rejection(&refusal, request, &self.credentials, &scope, self.api.port)
        })?;
        self.policy
            .check(&credential.identity, &self.api, request.method(), request.path())?;
        Ok(proxy_event(
            request, &matched, credential, &self.api, request_id, now,
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn gateway() -> ApiGateway {
        let api = Api::local("us-east-1");
        ApiGateway {
            contract: Contract::parse(include_str!("../../../openapi/pcs-api.yaml")).unwrap(),
            credentials: Credentials::built_in(&api.account_id),
            policy: ResourcePolicy::api_user_role(&api.account_id),
            api,
        }
    }

    /// The botocore vector of this name, as received.
    fn signed(name: &str) -> ReceivedRequest {
        let document: Value =
            serde_json::from_str(include_str!("../tests-data/botocore-sigv4.json")).unwrap();
        let vectors = document["vectors"].as_array().unwrap();
        let vector = vectors.iter().find(|vector| vector["name"] == name).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let headers = vector["headers"].as_array().unwrap().iter();
        let headers = headers.map(|pair| (text(&pair[0]), text(&pair[1]))).collect();
        let (method, target) = (text(&vector["method"]), text(&vector["target"]));
        ReceivedRequest::new(
            method,
            target,
            headers,
            text(&vector["body"]),
            Ipv4Addr::LOCALHOST.into(),
        )
        .unwrap()
    }

    fn admit(name: &str) -> Result<Value, GatewayAnswer> {
        gateway().admit(Ok(signed(name)), "2026-11-20T09:00:39Z".parse().unwrap())
    }

    /// Status, error type, code and message of an answer.
    fn told(answer: &GatewayAnswer) -> (u16, String, String, String) {
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        let header = |wanted: &str| {
            let header = answer.headers.iter().find(|(name, _)| *name == wanted);
            header.unwrap().1.clone()
        };
        assert_eq!(body["requestId"], header("x-amzn-RequestId"));
        assert_eq!(header("content-type"), "application/json");
        let text = |name: &str| body[name].as_str().unwrap().to_owned();
        (
            answer.status,
            header("x-amzn-ErrorType"),
            text("code"),
            text("message"),
        )
    }

    #[test]
    fn a_signed_request_becomes_an_event() {
        let event = admit("json body").unwrap();
        assert_eq!(event["requestContext"]["operationName"], "CreateCluster");
        assert_eq!(event["body"], "{\"clusterName\": \"dåta\", \"size\": \"SMALL\"}");
        let id = event["requestContext"]["requestId"].as_str().unwrap();
        assert_eq!(uuid::Uuid::parse_str(id).unwrap().get_version_num(), 4);
        assert!(event["headers"].get("Authorization").is_none());
    }

    #[test]
    fn an_unknown_route_is_not_told_from_a_missing_signature() {
        // Signed well, but two slashes are no route.
        let (status, error_type, code, _) = told(&admit("slashes in the path").unwrap_err());
        let missing = "MissingAuthenticationTokenException";
        assert_eq!(
            (status, error_type.as_str(), code.as_str()),
            (403, missing, "AccessDeniedException")
        );
        let unsigned =
            ReceivedRequest::new("GET", "/v1/clusters", Vec::new(), "", Ipv4Addr::LOCALHOST.into());
        let answer = gateway().admit(unsigned, Timestamp::now()).unwrap_err();
        assert_eq!(told(&answer).1, missing);
    }

    #[test]
    fn a_late_request_is_refused_in_the_contract_s_shape() {
        let answer = gateway().admit(Ok(signed("list")), Timestamp::now()).unwrap_err();
        let (status, error_type, code, message) = told(&answer);
        assert_eq!(
            (status, error_type.as_str(), code.as_str()),
            (403, "InvalidSignatureException", "AccessDeniedException")
        );
        assert!(
            message.starts_with("Signature expired: 20261120T090039Z"),
            "{message}"
        );
    }

    #[test]
    fn an_outsider_is_refused_though_the_signature_holds() {
        let mut gateway = gateway();
        // The key of the vectors, owned by nobody that the policy knows.
        gateway.policy = ResourcePolicy::api_user_role("210987654321");
        let answer = gateway
            .admit(Ok(signed("list")), "2026-11-20T09:00:39Z".parse().unwrap())
            .unwrap_err();
        let (status, error_type, code, message) = told(&answer);
        assert_eq!(
            (status, error_type.as_str(), code.as_str()),
            (403, "AccessDeniedException", "AccessDeniedException")
        );
        assert!(
            message.contains("execute-api:Invoke") && message.ends_with("with an explicit deny"),
            "{message}"
        );
    }

    #[test]
    fn what_could_not_be_received_is_answered_too() {
        let headers = vec![("a".to_owned(), "v".repeat(10_240))];
        let too_large = ReceivedRequest::new("GET", "/v1/clusters", headers, "", Ipv4Addr::LOCALHOST.into());
        let (status, _, code, _) = told(&gateway().admit(too_large, Timestamp::now()).unwrap_err());
        assert_eq!((status, code.as_str()), (431, "ValidationException"));
    }
}
