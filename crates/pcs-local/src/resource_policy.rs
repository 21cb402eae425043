//! The API's resource policy as the template deploys it: an explicit Deny for every principal but the API user
//! role. In one account an identity policy alone would let a caller in, so only a Deny keeps others out.

use crate::credentials::{API_USER_ROLE, Identity};
use crate::gateway_response::{Rejection, ResponseType};
use crate::proxy_event::Api;

/// "Amazon API Gateway quotas": where calls are authorized, the ARN of method and path may not be longer.
const METHOD_ARN_BYTES_MAX: usize = 1600;

/// Who may pass.
#[derive(Clone, Debug)]
pub struct ResourcePolicy {
    allowed_principal_arn: String,
}

impl ResourcePolicy {
    /// Only sessions of `arn:aws:iam::ACCOUNT:role/PcsApiUserRole` pass.
    pub fn api_user_role(account_id: &str) -> Self {
        Self {
            allowed_principal_arn: format!("arn:aws:iam::{account_id}:role/{API_USER_ROLE}"),
        }
    }

    /// Whether `identity` may invoke `method` on `path` (raw, with its leading slash) of `api`.
    pub fn check(&self, identity: &Identity, api: &Api, method: &str, path: &str) -> Result<(), Rejection> {
        let method_arn = masked_method_arn(api, method, path);
        if method_arn.len() > METHOD_ARN_BYTES_MAX {
            return Err(Rejection::uri_too_long());
        }
        if identity.principal_arn() == self.allowed_principal_arn {
            return Ok(());
        }
        let message = format!(
            "User: {} is not authorized to perform: execute-api:Invoke on resource: {method_arn} with an explicit deny",
            identity.arn,
        );
        Err(Rejection::new(
            ResponseType::AccessDenied,
            "AccessDeniedException",
            message,
        ))
    }
}

/// The ARN as API Gateway shows it to strangers: of the account, the last four digits.
fn masked_method_arn(api: &Api, method: &str, path: &str) -> String {
    let hidden = api.account_id.chars().count().saturating_sub(4);
    let last: String = api.account_id.chars().skip(hidden).collect();
    format!(
        "arn:aws:execute-api:{}:{}{last}:{}/{}/{method}{path}",
        api.region,
        "*".repeat(hidden),
        api.api_id,
        api.stage
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credentials::Credentials;

    fn check(access_key_id: &str) -> Result<(), Rejection> {
        let credentials = Credentials::built_in("123456789012");
        let identity = &credentials.get(access_key_id).unwrap().identity;
        let api = Api::local("us-east-1");
        ResourcePolicy::api_user_role(&api.account_id).check(identity, &api, "GET", "/v1/clusters")
    }

    #[test]
    fn only_the_user_role_passes() {
        assert_eq!(check("AKIAIOSFODNN7EXAMPLE"), Ok(()));
        let rejection = check("AKIAI44QH8DHBEXAMPLE").unwrap_err();
        assert_eq!(
            (rejection.status(), rejection.error_type()),
            (403, "AccessDeniedException")
        );
        // Worded as API Gateway words it.
        assert_eq!(
            rejection.message(),
            "User: arn:aws:sts::123456789012:assumed-role/OutsiderRole/visitor is not authorized to perform: \
             execute-api:Invoke on resource: \
             arn:aws:execute-api:us-east-1:********9012:a1b2c3d4e5/prod/GET/v1/clusters with an explicit deny"
        );
    }

    #[test]
    fn a_path_that_makes_too_long_an_arn_is_answered_as_too_long_a_url() {
        let credentials = Credentials::built_in("123456789012");
        let identity = &credentials.get("AKIAIOSFODNN7EXAMPLE").unwrap().identity;
        let api = Api::local("us-east-1");
        let policy = ResourcePolicy::api_user_role(&api.account_id);
        let before = masked_method_arn(&api, "GET", "").len();
        let path = format!("/{}", "x".repeat(METHOD_ARN_BYTES_MAX - before - 1));
        assert_eq!(policy.check(identity, &api, "GET", &path), Ok(()));
        let rejection = policy
            .check(identity, &api, "GET", &format!("{path}x"))
            .unwrap_err();
        assert_eq!(rejection.status(), 414);
    }

    #[test]
    fn a_role_of_that_name_in_another_account_does_not_pass() {
        let api = Api::local("us-east-1");
        let foreign = Credentials::built_in("999999999999");
        let identity = &foreign.get("AKIAIOSFODNN7EXAMPLE").unwrap().identity;
        let policy = ResourcePolicy::api_user_role(&api.account_id);
        assert!(policy.check(identity, &api, "GET", "/v1/clusters").is_err());
        let mut user = identity.clone();
        user.kind = crate::credentials::PrincipalKind::User;
        user.arn = "arn:aws:iam::123456789012:user/PcsApiUserRole".to_owned();
        assert!(policy.check(&user, &api, "GET", "/v1/clusters").is_err());
    }
}
