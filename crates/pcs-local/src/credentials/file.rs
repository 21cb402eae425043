//! The file of `--credentials`: a key that could never sign, or whose owner the function could not know, is told at the
//! start. Later it would be a 403 that speaks of the signature or of the caller.

use std::collections::BTreeSet;

use pcs_api::principal;
use serde_json::value::RawValue;

use super::{Credential, Credentials, Identity, PrincipalKind};

/// All entries, or a sentence about each fault of each.
pub(super) fn read(json: &[u8], known: &Credentials) -> Result<Vec<Credential>, String> {
    let entries: Vec<&RawValue> = serde_json::from_slice(json)
        .map_err(|error| format!("it is no JSON array of access keys: {error}"))?;
    let mut credentials: Vec<Credential> = Vec::new();
    let mut faults = Vec::new();
    let mut ids = BTreeSet::new();
    for (index, entry) in entries.into_iter().enumerate() {
        let number = index + 1;
        let credential: Credential = match serde_json::from_str(entry.get()) {
            Ok(credential) => credential,
            Err(error) => {
                faults.push(format!("entry {number}: {}", without_place(&error)));
                continue;
            }
        };
        let id = &credential.access_key_id;
        let mut found = of_one(&credential);
        if known.get(id).is_some() {
            found.push("accessKeyId is that of a built-in key; choose another".to_owned());
        } else if !id.is_empty() && !ids.insert(id.clone()) {
            found.push("accessKeyId stands in an entry before; keep one".to_owned());
        }
        faults.extend(
            found
                .into_iter()
                .map(|fault| format!("entry {number} (`{id}`): {fault}")),
        );
        credentials.push(credential);
    }
    if faults.is_empty() {
        Ok(credentials)
    } else {
        Err(faults.join("; "))
    }
}

/// The place is one within the entry and would be looked for in the file.
fn without_place(error: &serde_json::Error) -> String {
    let said = error.to_string();
    match said.rsplit_once(" at line ") {
        Some((what, _)) => what.to_owned(),
        None => said,
    }
}

fn of_one(credential: &Credential) -> Vec<String> {
    let is_text = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    let id = &credential.access_key_id;
    let token = credential.session_token.as_ref();
    let identity = &credential.identity;
    let organization = identity.principal_org_id.as_deref();
    let checks = [
        (
            // As IAM has it; a slash or a comma would end it in the header of a request.
            (1..=128).contains(&id.len())
                && id
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'),
            "accessKeyId must be 1 to 128 letters, digits and `_`",
        ),
        (
            is_text(credential.secret_access_key.reveal()),
            "secretAccessKey must be printable characters without blanks",
        ),
        (
            token.is_none_or(|token| is_text(token.reveal())),
            "sessionToken must be printable characters without blanks; leave it out for a key without one",
        ),
        (
            organization.is_none_or(is_organization),
            "identity.principalOrgId must be the id of an organization, such as o-exampleorgid; leave it out for none",
        ),
    ];
    let faults = checks.into_iter().filter(|(is_good, _)| !is_good);
    let mut faults: Vec<String> = faults.map(|(_, fault)| fault.to_owned()).collect();
    faults.extend(of_identity(identity));
    faults
}

fn is_organization(id: &str) -> bool {
    let is_taken = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let rest = id.strip_prefix("o-");
    rest.is_some_and(|rest| (10..=32).contains(&rest.len()) && rest.bytes().all(is_taken))
}

/// Whether the function knows the caller is for the function to say.
fn of_identity(identity: &Identity) -> Option<String> {
    let account = &identity.account_id;
    if account.len() != 12 || !account.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(format!("identity.accountId must be 12 digits and is `{account}`"));
    }
    let (kind, name, form) = match identity.kind {
        PrincipalKind::AssumedRole => (
            principal::PrincipalKind::AssumedRole,
            "assumedRole",
            format!(
                "arn `arn:aws:sts::{account}:assumed-role/ROLE/SESSION`, principalId `AROA...` and sessionName `SESSION`"
            ),
        ),
        PrincipalKind::User => (
            principal::PrincipalKind::IamUser,
            "user",
            format!("arn `arn:aws:iam::{account}:user/NAME`, principalId `AIDA...` and no sessionName"),
        ),
        PrincipalKind::Root => (
            principal::PrincipalKind::Root,
            "root",
            format!("arn `arn:aws:iam::{account}:root`, principalId `{account}` and no sessionName"),
        ),
        PrincipalKind::FederatedUser => (
            principal::PrincipalKind::FederatedUser,
            "federatedUser",
            format!(
                "arn `arn:aws:sts::{account}:federated-user/NAME`, principalId `{account}:NAME` and no sessionName"
            ),
        ),
    };
    let may_have_session = identity.kind == PrincipalKind::AssumedRole;
    let is_one = principal::can_call(kind, account, &identity.arn, &identity.caller())
        && may_have_session == identity.session_name.is_some();
    (!is_one).then(|| format!("identity of kind {name} must have {form}, which belong together"))
}

#[cfg(test)]
mod tests;
