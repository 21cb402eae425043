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
    /// Of the root user the account id; of a federated user `ACCOUNT:NAME`, as CloudTrail has it.
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
        from_identity(&request.identity)
    }
}

/// Whether account, ARN and `caller` (the unique id, with the session's name where there is one) are those of one principal
/// of this kind: whether a call in its name can be established.
pub fn can_call(kind: PrincipalKind, account_id: &str, arn: &str, caller: &str) -> bool {
    is_one(account_id, arn, caller).is_some_and(|(found, _, _)| found == kind)
}

fn from_identity(identity: &Identity) -> Result<Principal, Error> {
    let (Some(account_id), Some(arn), Some(caller)) = (
        identity.account_id.as_deref(),
        identity.user_arn.as_deref(),
        identity.caller.as_deref(),
    ) else {
        return Err(Error::Caller(
            "the call carries no IAM identity; sign it with Signature Version 4",
        ));
    };
    let (id, authentication) = (
        &identity.cognito_identity_id,
        &identity.cognito_authentication_type,
    );
    if differs(authentication.as_deref(), "authenticated") || (id.is_some() && authentication.is_none()) {
        return Err(Error::Caller(
            "the call is signed for a guest of a Cognito identity pool, who can be anybody; sign in first",
        ));
    }
    if differs(identity.user.as_deref(), caller) {
        return Err(CONTRADICTION);
    }
    let (kind, principal_id, session_name) = is_one(account_id, arn, caller).ok_or(CONTRADICTION)?;
    Ok(Principal {
        kind,
        account_id: account_id.to_owned(),
        principal_id: principal_id.to_owned(),
        session_name: session_name.map(str::to_owned),
        arn: arn.to_owned(),
        access_key_id: identity.access_key.clone(),
        organization_id: identity.organization_id.clone(),
    })
}

const CONTRADICTION: Error = Error::Caller(
    "its id and ARN are not those of one root user, IAM user, role session or federated user; sign with the \
     credentials of one",
);

/// Kind, id and session of the one principal that account, ARN and id name together; `None` where they are of no form
/// that IAM gives ("IAM identifiers" and "aws:userid" in its guide), or of two.
///
/// No id can be read as another's: only those of roles begin with `AROA`, those of users with `AIDA`, the others with
/// twelve digits.
fn is_one<'a>(
    account_id: &str,
    arn: &'a str,
    caller: &'a str,
) -> Option<(PrincipalKind, &'a str, Option<&'a str>)> {
    let mut parts = arn.splitn(6, ':');
    let (prefix, partition) = (parts.next()?, parts.next()?);
    let (service, region, account, resource) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_of_account = prefix == "arn" && partition.starts_with("aws") && region.is_empty();
    if !is_of_account || account != account_id || !is_account_id(account_id) {
        return None;
    }
    let mut path = resource.split('/');
    let (first, rest) = (path.next()?, path.collect::<Vec<_>>());
    match (service, first, rest.as_slice()) {
        ("iam", "root", []) => (caller == account_id).then_some((PrincipalKind::Root, caller, None)),
        ("iam", "user", [.., name]) => {
            (is_name(name) && is_unique_id(caller, "AIDA")).then_some((PrincipalKind::IamUser, caller, None))
        }
        ("sts", "assumed-role", [role, session]) => {
            let (id, of_id) = caller.split_once(':')?;
            let is_it = is_unique_id(id, "AROA") && is_name(role) && !session.is_empty() && of_id == *session;
            is_it.then_some((PrincipalKind::AssumedRole, id, Some(of_id)))
        }
        ("sts", "federated-user", [name]) => {
            let (of, of_id) = caller.split_once(':')?;
            let is_it = of == account_id && of_id == *name && is_name(name);
            is_it.then_some((PrincipalKind::FederatedUser, caller, None))
        }
        _ => None,
    }
}

/// The characters that IAM and STS take in names of users, roles and federated users; at most as many as any of them
/// has. Names of sessions are shown only, so it is enough that they are one.
fn is_name(text: &str) -> bool {
    let is_taken = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte);
    !text.is_empty() && text.len() <= 64 && text.bytes().all(is_taken)
}

fn is_unique_id(text: &str, prefix: &str) -> bool {
    let is_taken = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
    text.len() <= 128
        && text
            .strip_prefix(prefix)
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(is_taken))
}

fn differs(text: Option<&str>, from: &str) -> bool {
    text.is_some_and(|text| text != from)
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
            })
            .unwrap();
            assert_eq!(principal.kind, kind, "{arn}");
            assert_eq!(
                (principal.principal_id.as_str(), principal.session_name),
                (caller, None)
            );
        }
    }

    /// Every part of an identity with every part of every other: only what belongs together is somebody.
    #[test]
    fn an_identity_whose_parts_are_of_two_is_nobody() {
        let whole = [
            ("arn:aws:iam::123456789012:root", "123456789012"),
            ("arn:aws:iam::123456789012:user/ann", "AIDACKCEVSQ6C2EXAMPLE"),
            (
                "arn:aws:sts::123456789012:assumed-role/R/ann",
                "AROADBQP57FF2AEXAMPLE:ann",
            ),
            (
                "arn:aws:sts::123456789012:assumed-role/R/bo",
                "AROADBQP57FF2AEXAMPLE:bo",
            ),
            ("arn:aws:sts::123456789012:federated-user/ann", "123456789012:ann"),
            ("arn:aws:sts::123456789012:federated-user/bo", "123456789012:bo"),
            ("arn:aws:iam::999999999999:root", "999999999999"),
            ("arn:aws:sts::999999999999:federated-user/ann", "999999999999:ann"),
        ];
        for (arn, of_arn) in whole {
            for (_, caller) in whole {
                for user in whole.map(|(_, user)| user) {
                    for account in ["123456789012", "999999999999"] {
                        let established = establish(|r| {
                            r.identity.account_id = Some(account.into());
                            r.identity.user_arn = Some(arn.into());
                            r.identity.caller = Some(caller.into());
                            r.identity.user = Some(user.into());
                        });
                        let is_one = of_arn == caller && caller == user && arn.contains(account);
                        assert_eq!(established.is_ok(), is_one, "{arn} {caller} {user} {account}");
                    }
                }
            }
        }
    }

    #[test]
    fn forms_that_iam_does_not_give_are_nobody() {
        for (arn, caller) in [
            ("arn:aws:iam::123456789012:root", "123456789012:"),
            ("arn:aws:iam::123456789012:root/x", "123456789012"),
            ("arn:aws:sts::123456789012:root", "123456789012"),
            ("arn:aws:iam::123456789012:user/", "AIDACKCEVSQ6C2EXAMPLE"),
            ("arn:aws:iam::123456789012:user/ann", "AIDACKCEVSQ6C2EXAMPLE:ann"),
            ("arn:aws:iam::123456789012:user/ann", "AROADBQP57FF2AEXAMPLE"),
            ("arn:aws:iam::123456789012:user/ann", "AIDA"),
            ("arn:aws:iam::123456789012:user/ann", "aidackcevsq6c2example"),
            ("arn:aws:iam::123456789012:user/ann", "123456789012"),
            ("arn:aws:iam::123456789012:role/R", "AROADBQP57FF2AEXAMPLE"),
            (
                "arn:aws:sts::123456789012:assumed-role/R",
                "AROADBQP57FF2AEXAMPLE",
            ),
            (
                "arn:aws:sts::123456789012:assumed-role/R/",
                "AROADBQP57FF2AEXAMPLE:",
            ),
            (
                "arn:aws:sts::123456789012:assumed-role/R/s",
                "AROADBQP57FF2AEXAMPLE",
            ),
            (
                "arn:aws:sts::123456789012:assumed-role/R/s/t",
                "AROADBQP57FF2AEXAMPLE:s/t",
            ),
            (
                "arn:aws:sts::123456789012:assumed-role/R/s",
                "AIDACKCEVSQ6C2EXAMPLE:s",
            ),
            ("arn:aws:sts::123456789012:assumed-role/R/s", "123456789012:s"),
            ("arn:aws:sts::123456789012:federated-user/", "123456789012:"),
            ("arn:aws:sts::123456789012:federated-user/a/b", "123456789012:a/b"),
            ("arn:aws:sts::123456789012:federated-user/a:b", "123456789012:a:b"),
            (
                "arn:aws:sts::123456789012:federated-user/a#2026-11",
                "123456789012:a#2026-11",
            ),
            (
                "arn:aws:sts::123456789012:federated-user/ann",
                "AROADBQP57FF2AEXAMPLE:ann",
            ),
            ("arn:aws:sts::123456789012:federated-user/ann", "123456789012"),
            (
                "arn:aws:sts:us-east-1:123456789012:federated-user/ann",
                "123456789012:ann",
            ),
            (
                "arn:evil:sts::123456789012:federated-user/ann",
                "123456789012:ann",
            ),
            ("", ""),
        ] {
            let established = establish(|r| {
                r.identity.user_arn = Some(arn.into());
                r.identity.caller = Some(caller.into());
            });
            assert!(matches!(established, Err(Error::Caller(_))), "{arn} {caller}");
        }
    }

    #[test]
    fn a_guest_of_an_identity_pool_is_nobody_and_its_user_somebody() {
        let id = Some("us-east-1:0b3d5d4f-6d3a-4c5e-9f6e-2a1b3c4d5e6f");
        for (id, cognito, is_somebody) in [
            (None, None, true),
            (None, Some("authenticated"), true),
            (id, Some("authenticated"), true),
            (id, Some("unauthenticated"), false),
            (None, Some("unauthenticated"), false),
            (None, Some("perhaps"), false),
            (None, Some(""), false),
            (id, None, false),
        ] {
            let established = establish(|r| {
                r.identity.cognito_authentication_type = cognito.map(str::to_owned);
                r.identity.cognito_identity_id = id.map(str::to_owned);
            });
            assert_eq!(established.is_ok(), is_somebody, "{id:?} {cognito:?}");
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
