//! What API Gateway takes from the OpenAPI document when it imports it: routes and gateway responses.

use std::fmt;

use serde_json::Value;

use crate::gateway_response::GatewayResponses;

const METHODS: [&str; 7] = ["get", "put", "post", "delete", "options", "head", "patch"];

/// The contract, as far as API Gateway cares.
#[derive(Clone, Debug)]
pub struct Contract {
    pub routes: Vec<Route>,
    pub responses: GatewayResponses,
}

/// One method of one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Upper case.
    pub method: String,
    /// The resource path: literal segments and whole-segment parameters such as `{clusterIdentifier}`.
    pub template: String,
    /// The contract's operationId; the event's `operationName`.
    pub operation: Option<String>,
}

/// Why a document is not a contract.
#[derive(Debug)]
pub struct ContractError(String);

impl fmt::Display for ContractError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the contract cannot be imported: {}", self.0)
    }
}

impl std::error::Error for ContractError {}

impl Contract {
    /// Reads an OpenAPI 3.0 document in YAML.
    pub fn parse(yaml: &str) -> Result<Self, ContractError> {
        let document: Value =
            serde_saphyr::from_str(yaml).map_err(|error| ContractError(error.to_string()))?;
        let missing = |name: &str| ContractError(format!("it has no {name}"));
        let paths = document
            .get("paths")
            .and_then(Value::as_object)
            .ok_or_else(|| missing("paths"))?;
        let routes = paths.iter().flat_map(|(template, item)| {
            let operations = METHODS
                .iter()
                .filter_map(|method| Some((method, item.get(method)?)));
            operations.map(|(method, operation)| Route {
                method: method.to_uppercase(),
                template: template.clone(),
                operation: operation
                    .get("operationId")
                    .and_then(Value::as_str)
                    .map(str::to_owned),
            })
        });
        let responses = document
            .get("x-amazon-apigateway-gateway-responses")
            .ok_or_else(|| missing("x-amazon-apigateway-gateway-responses"))?;
        let responses = GatewayResponses::from_contract(responses).map_err(ContractError)?;
        Ok(Self {
            routes: routes.collect(),
            responses,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_routes_of_the_contract() {
        let contract = Contract::parse(include_str!("../../../openapi/pcs-api.yaml")).unwrap();
        let route = |method: &str, template: &str, operation: &str| Route {
            method: method.to_owned(),
            template: template.to_owned(),
            operation: Some(operation.to_owned()),
        };
        for expected in [
            route("GET", "/v1/clusters", "ListClusters"),
            route("PATCH", "/v1/clusters/{clusterIdentifier}", "UpdateCluster"),
            route("DELETE", "/v1/tags", "UntagResource"),
        ] {
            assert!(contract.routes.contains(&expected), "{expected:?}");
        }
    }

    #[test]
    fn says_what_is_wrong_with_a_document() {
        for (yaml, reason) in [
            ("openapi: 3.0.3", "it has no paths"),
            ("paths: {}", "x-amazon-apigateway-gateway-responses"),
            (
                "paths: {}\nx-amazon-apigateway-gateway-responses: {}",
                "ACCESS_DENIED",
            ),
            ("paths: [", "cannot be imported"),
        ] {
            let error = Contract::parse(yaml).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
