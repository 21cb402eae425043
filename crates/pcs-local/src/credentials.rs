//! Who may sign on this machine: access keys, and the identity that API Gateway would find behind each.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::Deserialize;
use subtle::ConstantTimeEq;

mod file;

/// Name of the role that the deployment's resource policy lets in.
pub const API_USER_ROLE: &str = "PcsApiUserRole";

/// AWS's documentation pairs, which are always there: id, secret, and who it is.
pub const BUILT_IN: [(&str, &str, &str); 2] = [
    (
        "AKIAIOSFODNN7EXAMPLE",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "may call the API",
    ),
    (
        "AKIAI44QH8DHBEXAMPLE",
        "je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY",
        "is refused by the API's resource policy",
    ),
];

/// A secret access key or session token. It cannot be printed, and comparing takes the same time whatever
/// differs.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// For the one place that signs with it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    pub(crate) fn is(&self, other: &str) -> bool {
        self.0.as_bytes().ct_eq(other.as_bytes()).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// The kinds of principal an access key can belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PrincipalKind {
    AssumedRole,
    User,
    Root,
    FederatedUser,
}

/// What API Gateway knows of a caller; becomes `requestContext.identity`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Identity {
    pub kind: PrincipalKind,
    /// Twelve digits.
    pub account_id: String,
    /// `AROA...` of a role, `AIDA...` of a user, the account id of root, `ACCOUNT:NAME` of a federated user.
    pub principal_id: String,
    /// Chosen by whoever assumed the role; only there for one.
    #[serde(default)]
    pub session_name: Option<String>,
    /// `userArn`: `arn:aws:sts::A:assumed-role/Role/session`, `arn:aws:iam::A:user/name`, `arn:aws:iam::A:root`,
    /// `arn:aws:sts::A:federated-user/name`.
    pub arn: String,
    #[serde(default)]
    pub principal_org_id: Option<String>,
}

impl Identity {
    /// `identity.caller` and `identity.user`: the unique id, and the session after a colon.
    pub fn caller(&self) -> String {
        match &self.session_name {
            Some(session) => format!("{}:{session}", self.principal_id),
            None => self.principal_id.clone(),
        }
    }

    /// `aws:PrincipalArn`: of a session it is the role, which policies are written against. The path of a role
    /// does not survive into the session's ARN, so roles here have none.
    pub fn principal_arn(&self) -> String {
        match self.kind {
            PrincipalKind::User | PrincipalKind::Root | PrincipalKind::FederatedUser => self.arn.clone(),
            PrincipalKind::AssumedRole => {
                let mut parts = self.arn.splitn(6, ':');
                let partition = parts.nth(1).unwrap_or_default();
                let role = parts
                    .nth(3)
                    .and_then(|resource| resource.split('/').nth(1))
                    .unwrap_or_default();
                format!("arn:{partition}:iam::{}:role/{role}", self.account_id)
            }
        }
    }
}

/// An access key with its owner.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Credential {
    pub access_key_id: String,
    pub(crate) secret_access_key: Secret,
    /// With one, requests must carry it, as those of temporary keys must; without, they must carry none.
    #[serde(default)]
    pub(crate) session_token: Option<Secret>,
    pub identity: Identity,
}

/// Every key known here.
#[derive(Clone, Debug)]
pub struct Credentials(BTreeMap<String, Credential>);

impl Credentials {
    /// The two pairs that are always there: AWS's documentation pairs. The first is the API user role, the
    /// second a principal that the resource policy refuses.
    pub fn built_in(account_id: &str) -> Self {
        let session = |role: &str, principal_id: &str, session: &str| Identity {
            kind: PrincipalKind::AssumedRole,
            account_id: account_id.to_owned(),
            principal_id: principal_id.to_owned(),
            session_name: Some(session.to_owned()),
            arn: format!("arn:aws:sts::{account_id}:assumed-role/{role}/{session}"),
            principal_org_id: Some("o-exampleorgid".to_owned()),
        };
        let credential = |id: &str, secret: &str, identity| Credential {
            access_key_id: id.to_owned(),
            secret_access_key: Secret(secret.to_owned()),
            session_token: None,
            identity,
        };
        let mut credentials = Self(BTreeMap::new());
        let [(user, user_secret, _), (outsider, outsider_secret, _)] = BUILT_IN;
        credentials.insert(credential(
            user,
            user_secret,
            session(API_USER_ROLE, "AROADBQP57FF2AEXAMPLE", "portal"),
        ));
        credentials.insert(credential(
            outsider,
            outsider_secret,
            session("OutsiderRole", "AROAI3QHT5ZEXAMPLE000", "visitor"),
        ));
        credentials
    }

    /// Adds the keys in `path`, a JSON array of `{accessKeyId, secretAccessKey, sessionToken?, identity}`. The error says
    /// everything that is wrong with it.
    pub fn load(&mut self, path: &Path) -> Result<(), String> {
        let json = local_program::read(path).map_err(|error| error.to_string())?;
        self.extend_from_json(&json)
    }

    fn extend_from_json(&mut self, json: &[u8]) -> Result<(), String> {
        for credential in file::read(json, self)? {
            self.insert(credential);
        }
        Ok(())
    }

    pub(crate) fn insert(&mut self, credential: Credential) {
        self.0.insert(credential.access_key_id.clone(), credential);
    }

    pub fn get(&self, access_key_id: &str) -> Option<&Credential> {
        self.0.get(access_key_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"[
        {"accessKeyId": "ASIAEXAMPLEEXAMPLE00", "secretAccessKey": "hush", "sessionToken": "quiet",
         "identity": {"kind": "assumedRole", "accountId": "111122223333", "principalId": "AROAEXAMPLEEXAMPLE000",
                      "sessionName": "ci", "arn": "arn:aws-cn:sts::111122223333:assumed-role/Pipeline/ci"}},
        {"accessKeyId": "AKIAEXAMPLEEXAMPLE00", "secretAccessKey": "hush",
         "identity": {"kind": "user", "accountId": "111122223333", "principalId": "AIDAEXAMPLEEXAMPLE000",
                      "arn": "arn:aws:iam::111122223333:user/team/ada"}}
    ]"#;

    fn credentials() -> Credentials {
        let mut credentials = Credentials::built_in("123456789012");
        credentials.extend_from_json(FILE.as_bytes()).unwrap();
        credentials
    }

    #[test]
    fn built_in_pairs_are_the_user_role_and_an_outsider() {
        let credentials = credentials();
        let user = &credentials.get("AKIAIOSFODNN7EXAMPLE").unwrap().identity;
        assert_eq!(
            user.arn,
            "arn:aws:sts::123456789012:assumed-role/PcsApiUserRole/portal"
        );
        assert_eq!(user.caller(), "AROADBQP57FF2AEXAMPLE:portal");
        assert_eq!(
            user.principal_arn(),
            "arn:aws:iam::123456789012:role/PcsApiUserRole"
        );
        let outsider = &credentials.get("AKIAI44QH8DHBEXAMPLE").unwrap().identity;
        assert_eq!(
            outsider.arn,
            "arn:aws:sts::123456789012:assumed-role/OutsiderRole/visitor"
        );
        assert_eq!(outsider.caller(), "AROAI3QHT5ZEXAMPLE000:visitor");
        assert_eq!(outsider.principal_id.len(), 21);
        assert!(credentials.get("AKIAUNKNOWN").is_none());
    }

    #[test]
    fn more_come_from_a_file() {
        let credentials = credentials();
        let session = &credentials.get("ASIAEXAMPLEEXAMPLE00").unwrap().identity;
        assert_eq!(
            session.principal_arn(),
            "arn:aws-cn:iam::111122223333:role/Pipeline"
        );
        let user = &credentials.get("AKIAEXAMPLEEXAMPLE00").unwrap().identity;
        assert_eq!(
            (user.caller().as_str(), user.principal_arn()),
            ("AIDAEXAMPLEEXAMPLE000", user.arn.clone())
        );
        assert!(
            Credentials::built_in("123456789012")
                .load(Path::new("/nonexistent"))
                .is_err()
        );
        assert!(
            Credentials::built_in("123456789012")
                .extend_from_json(b"{}")
                .is_err()
        );
    }

    #[test]
    fn secrets_do_not_print() {
        let printed = format!("{:?}", credentials());
        assert!(printed.contains("AKIAIOSFODNN7EXAMPLE"));
        for secret in ["hush", "quiet", "wJalr", "je7Mt"] {
            assert!(!printed.contains(secret), "{printed}");
        }
    }
}
