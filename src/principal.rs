//! Who calls: taken from `requestContext.identity`, which API Gateway fills after it has verified the signature,
//! and from nothing else. No header, no query parameter and no body member can name a caller.
//!
//! The event as a whole can still be forged by whoever may invoke the function directly; a forged event must at
//! least carry this deployment's API id, stage and account, and the console's test call (stage
//! `test-invoke-stage`) carries another stage. What remains is stated in SECURITY.md.

use crate::{
    config::Deployment,
    error::Error,
    request::{ApiRequest, Identity},
};

/// An established caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    pub kind: PrincipalKind,
    /// Account of the caller; need not be the deployment's.
    pub account_id: String,
    /// Unique id of the user or role (`AIDA...`, `AROA...`), without the session name: names can be reused, ids not.
    pub principal_id: String,
    /// Chosen by the caller: shown, never trusted.
    pub session_name: Option<String>,
    pub arn: String,
    pub access_key_id: Option<String>,
    pub organization_id: Option<String>,
}

/// CloudTrail's `userIdentity.type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrincipalKind {
    Root,
    IamUser,
    AssumedRole,
    FederatedUser,
}

impl PrincipalKind {
    pub fn name(self) -> &'static str {
        match self {
            PrincipalKind::Root => "Root",
            PrincipalKind::IamUser => "IAMUser",
            PrincipalKind::AssumedRole => "AssumedRole",
            PrincipalKind::FederatedUser => "FederatedUser",
        }
    }
}

impl Principal {
    /// The caller of `request`, if it came through the deployed API and was signed.
    pub fn establish(request: &ApiRequest, deployment: &Deployment) -> Result<Principal, Error> {
        let context = &request.context;
        if context.api_id.as_deref() != Some(&deployment.rest_api_id) {
            return Err(Error::Caller("the call did not come through this API"));
        }
        if context.stage.as_deref() != Some(&deployment.stage) {
            return Err(Error::Caller(
                "the call did not come through this API's stage; sign a request to its URL",
            ));
        }
        if context.account_id.as_deref() != Some(&deployment.account_id) {
            return Err(Error::Caller("the call came through an API of another account"));
        }
        from_identity(&request.identity).ok_or(Error::Caller(
            "the call carries no IAM identity; sign it with Signature Version 4",
        ))
    }
}

fn from_identity(identity: &Identity) -> Option<Principal> {
    let account_id = identity.account_id.clone().filter(|id| is_account_id(id))?;
    let arn = identity.user_arn.clone()?;
    let caller = identity.caller.as_deref().filter(|caller| !caller.is_empty())?;
    let (principal_id, session_name) = match caller.split_once(':') {
        Some((id, session)) => (id, Some(session.to_owned())),
        None => (caller, None),
    };
    let kind = kind(&arn, &account_id)?;
    if principal_id.is_empty() {
        return None;
    }
    Some(Principal {
        kind,
        account_id,
        principal_id: principal_id.to_owned(),
        session_name,
        arn,
        access_key_id: identity.access_key.clone(),
        organization_id: identity.organization_id.clone(),
    })
}

/// The kind that the ARN's form shows; `None` when the ARN is not one of the account that signed.
fn kind(arn: &str, account_id: &str) -> Option<PrincipalKind> {
    let mut parts = arn.splitn(6, ':');
    let (prefix, partition) = (parts.next()?, parts.next()?);
    let (service, region, account, resource) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    if prefix != "arn" || !partition.starts_with("aws") || !region.is_empty() || account != account_id {
        return None;
    }
    match (service, resource.split_once('/')) {
        ("iam", None) if resource == "root" => Some(PrincipalKind::Root),
        ("iam", Some(("user", name))) if !name.is_empty() => Some(PrincipalKind::IamUser),
        ("sts", Some(("assumed-role", name))) if !name.is_empty() => Some(PrincipalKind::AssumedRole),
        ("sts", Some(("federated-user", name))) if !name.is_empty() => Some(PrincipalKind::FederatedUser),
        _ => None,
    }
}

fn is_account_id(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(change: impl FnOnce(&mut ApiRequest)) -> ApiRequest {
        let mut request = ApiRequest::default();
        request.context.account_id = Some("123456789012".into());
        request.context.api_id = Some("a1b2c3d4e5".into());
        request.context.stage = Some("prod".into());
        request.identity.account_id = Some("123456789012".into());
        request.identity.caller = Some("AROADBQP57FF2AEXAMPLE:portal".into());
        request.identity.user_arn =
            Some("arn:aws:sts::123456789012:assumed-role/PcsApiUserRole/portal".into());
        change(&mut request);
        request
    }

    fn establish(change: impl FnOnce(&mut ApiRequest)) -> Result<Principal, Error> {
        let deployment = Deployment {
            account_id: "123456789012".into(),
            partition: "aws".into(),
            rest_api_id: "a1b2c3d4e5".into(),
            stage: "prod".into(),
        };
        Principal::establish(&request(change), &deployment)
    }

    #[test]
    fn a_role_session_is_known_by_its_role_id() {
        let principal = establish(|_| {}).unwrap();
        assert_eq!(principal.kind, PrincipalKind::AssumedRole);
        assert_eq!(principal.principal_id, "AROADBQP57FF2AEXAMPLE");
        assert_eq!(principal.session_name.as_deref(), Some("portal"));
    }

    #[test]
    fn users_root_and_federated_users_are_callers_too() {
        for (arn, caller, kind) in [
            (
                "arn:aws:iam::123456789012:user/team/ann",
                "AIDACKCEVSQ6C2EXAMPLE",
                PrincipalKind::IamUser,
            ),
            (
                "arn:aws:iam::123456789012:root",
                "123456789012",
                PrincipalKind::Root,
            ),
            (
                "arn:aws:sts::123456789012:federated-user/bo",
                "123456789012:bo",
                PrincipalKind::FederatedUser,
            ),
        ] {
            let principal = establish(|r| {
                r.identity.user_arn = Some(arn.into());
                r.identity.caller = Some(caller.into());
            });
            assert_eq!(principal.unwrap().kind, kind, "{arn}");
        }
    }

    #[test]
    fn a_foreign_or_anonymous_event_has_no_caller() {
        type Change = fn(&mut ApiRequest);
        let changes: [(&str, Change); 10] = [
            ("other api", |r| r.context.api_id = Some("zzzzzzzzzz".into())),
            ("console test", |r| {
                r.context.stage = Some("test-invoke-stage".into());
            }),
            ("other account", |r| {
                r.context.account_id = Some("999999999999".into());
            }),
            ("no api", |r| r.context.api_id = None),
            ("no arn", |r| r.identity.user_arn = None),
            ("no caller", |r| r.identity.caller = None),
            ("no account", |r| r.identity.account_id = None),
            ("arn of another account", |r| {
                r.identity.account_id = Some("999999999999".into());
            }),
            ("only a session name", |r| {
                r.identity.caller = Some(":portal".into());
            }),
            ("not an identity", |r| {
                r.identity.user_arn = Some("arn:aws:iam::123456789012:group/ops".into());
            }),
        ];
        for (name, change) in changes {
            assert!(matches!(establish(change), Err(Error::Caller(_))), "{name}");
        }
    }
}
