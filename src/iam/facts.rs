//! Reads an instance profile and its role, completely: every page of every list, the role through `GetRole` because
//! only that shows the permissions boundary, policy documents URL-decoded.
//!
//! Nothing is cached between requests, and any failure refuses the call: an answer that is not there must never
//! read as "no objection".

use aws_sdk_iam::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    operation::{RequestId, get_instance_profile::GetInstanceProfileError, get_policy::GetPolicyError},
};
use futures_util::{
    future::join_all,
    stream::{self, StreamExt},
};
use percent_encoding::percent_decode_str;
use serde_json::Value;

use crate::{
    audit::record::Downstream,
    denied::{Lack, is_of_credentials},
    guardrails::{
        Facts,
        instance_role::{ProfileFacts, RoleFacts},
        node_role::DEPLOYMENT_TAG,
        policy_document,
    },
    upstream::{plain_code, plain_request_id},
};

/// A list longer than this is not one that IAM's quotas allow.
const PAGES_MAX: usize = 50;
const INLINE_READS_AT_A_TIME: usize = 8;

/// IAM could not be read; what was asked so far is in the log of calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unavailable {
    /// IAM denies these permissions to the function's role, and will again.
    Denied(Vec<Lack>),
    /// IAM does not accept the function's own credentials.
    Credentials,
    /// No answer, or one that says "later".
    Later,
}

impl Unavailable {
    /// Of several reads that failed: what stays as it is counts more than what passes.
    fn and(self, other: Unavailable) -> Unavailable {
        match (self, other) {
            (Unavailable::Denied(mut all), Unavailable::Denied(more)) => {
                for lack in more {
                    if !all.contains(&lack) {
                        all.push(lack);
                    }
                }
                Unavailable::Denied(all)
            }
            (Unavailable::Credentials, _) | (_, Unavailable::Credentials) => Unavailable::Credentials,
            (denied @ Unavailable::Denied(_), Unavailable::Later)
            | (Unavailable::Later, denied @ Unavailable::Denied(_)) => denied,
            (Unavailable::Later, Unavailable::Later) => Unavailable::Later,
        }
    }
}

/// Whether IAM's error code says that the function's role may not.
pub(super) fn is_denial(code: &str) -> bool {
    matches!(
        code,
        "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation" | "NotAuthorized"
    )
}

/// Reads everything that `decide` wants to know about the profile with this ARN.
pub async fn profile(client: &Client, arn: &str, log: &mut Vec<Downstream>) -> Result<Facts, Unavailable> {
    // IAM takes a name. That the answer's ARN is the one asked for is a rule, checked with the others.
    let name = arn.rsplit('/').next().unwrap_or(arn);
    let answer = client
        .get_instance_profile()
        .instance_profile_name(name)
        .send()
        .await;
    let found = match answer {
        Ok(output) => {
            log.push(entry("GetInstanceProfile", output.request_id(), None));
            output.instance_profile
        }
        Err(error)
            if error
                .as_service_error()
                .is_some_and(GetInstanceProfileError::is_no_such_entity_exception) =>
        {
            log.push(entry("GetInstanceProfile", error.request_id(), error.code()));
            return Ok(Facts::Profile {
                requested: arn.to_owned(),
                found: None,
            });
        }
        Err(error) => return Err(unavailable("GetInstanceProfile", &error, log)),
    };
    let profile = found.ok_or(Unavailable::Later)?;
    let mut roles = Vec::new();
    for role in &profile.roles {
        roles.push(role_facts(client, &role.role_name, log).await?);
    }
    let found = ProfileFacts {
        arn: profile.arn,
        profile_id: profile.instance_profile_id,
        roles,
    };
    Ok(Facts::Profile {
        requested: arn.to_owned(),
        found: Some(found),
    })
}

async fn role_facts(
    client: &Client,
    name: &str,
    log: &mut Vec<Downstream>,
) -> Result<RoleFacts, Unavailable> {
    let (mut role_log, mut attached_log, mut inline_log) = (Vec::new(), Vec::new(), Vec::new());
    let (role, attached, inline) = tokio::join!(
        role(client, name, &mut role_log),
        attached(client, name, &mut attached_log),
        inline(client, name, &mut inline_log),
    );
    log.append(&mut role_log);
    log.append(&mut attached_log);
    log.append(&mut inline_log);
    match (role, attached, inline) {
        (Ok(role), Ok(attached), Ok(inline)) => Ok(RoleFacts {
            attached,
            inline,
            ..role
        }),
        (role, attached, inline) => {
            let failed = [role.err(), attached.err(), inline.err()];
            let failed = failed.into_iter().flatten().reduce(Unavailable::and);
            Err(failed.unwrap_or(Unavailable::Later))
        }
    }
}

async fn role(client: &Client, name: &str, log: &mut Vec<Downstream>) -> Result<RoleFacts, Unavailable> {
    let output = client.get_role().role_name(name).send().await;
    let output = output.map_err(|error| unavailable("GetRole", &error, log))?;
    log.push(entry("GetRole", output.request_id(), None));
    let role = output.role.ok_or(Unavailable::Later)?;
    let deployment = role.tags.unwrap_or_default().into_iter();
    let deployment = deployment
        .filter(|tag| tag.key == DEPLOYMENT_TAG)
        .map(|tag| tag.value)
        .next();
    let boundary = role
        .permissions_boundary
        .and_then(|boundary| boundary.permissions_boundary_arn);
    let boundary_version = match &boundary {
        Some(arn) => default_version(client, arn, log).await?,
        None => None,
    };
    Ok(RoleFacts {
        arn: role.arn,
        role_id: role.role_id,
        name: role.role_name,
        path: role.path,
        deployment,
        boundary,
        boundary_version,
        trust: document(role.assume_role_policy_document.as_deref().unwrap_or_default()),
        attached: Vec::new(),
        inline: Vec::new(),
    })
}

/// The version of a policy that is in force; `None` when the policy does not exist.
async fn default_version(
    client: &Client,
    policy_arn: &str,
    log: &mut Vec<Downstream>,
) -> Result<Option<String>, Unavailable> {
    match client.get_policy().policy_arn(policy_arn).send().await {
        Ok(output) => {
            log.push(entry("GetPolicy", output.request_id(), None));
            Ok(output.policy.and_then(|policy| policy.default_version_id))
        }
        Err(error)
            if error
                .as_service_error()
                .is_some_and(GetPolicyError::is_no_such_entity_exception) =>
        {
            log.push(entry("GetPolicy", error.request_id(), error.code()));
            Ok(None)
        }
        Err(error) => Err(unavailable("GetPolicy", &error, log)),
    }
}

/// Positions of the policies that cannot be attached to a role: they do not exist, or are AWS's for service-linked
/// roles. This spares a caller a role that cannot be finished. A policy that could not be looked at counts as neither:
/// unless another one is known to be wrong, the call is refused for that.
pub async fn unattachable(
    client: &Client,
    arns: &[String],
    log: &mut Vec<Downstream>,
) -> Result<Vec<usize>, Unavailable> {
    let reads = arns.iter().map(|arn| client.get_policy().policy_arn(arn).send());
    let mut found = Vec::new();
    let mut unread = None;
    for (index, answer) in join_all(reads).await.into_iter().enumerate() {
        match answer {
            Ok(output) => {
                log.push(entry("GetPolicy", output.request_id(), None));
                match output.policy {
                    Some(policy) if policy.is_attachable => {}
                    Some(_) => found.push(index),
                    None => unread = Some(Unavailable::Later),
                }
            }
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(GetPolicyError::is_no_such_entity_exception) =>
            {
                log.push(entry("GetPolicy", error.request_id(), error.code()));
                found.push(index);
            }
            Err(error) => {
                let failed = unavailable("GetPolicy", &error, log);
                unread = Some(unread.map_or(failed.clone(), |other| failed.and(other)));
            }
        }
    }
    match unread {
        Some(unread) if found.is_empty() => Err(unread),
        Some(_) | None => Ok(found),
    }
}

/// ARNs of the role's managed policies, sorted.
pub async fn attached(
    client: &Client,
    name: &str,
    log: &mut Vec<Downstream>,
) -> Result<Vec<String>, Unavailable> {
    let mut arns = Vec::new();
    let mut marker = None;
    for _ in 0..PAGES_MAX {
        let page = client
            .list_attached_role_policies()
            .role_name(name)
            .set_marker(marker)
            .send()
            .await;
        let page = page.map_err(|error| unavailable("ListAttachedRolePolicies", &error, log))?;
        log.push(entry("ListAttachedRolePolicies", page.request_id(), None));
        for policy in page.attached_policies.unwrap_or_default() {
            arns.push(policy.policy_arn.ok_or(Unavailable::Later)?);
        }
        if !page.is_truncated {
            arns.sort_unstable();
            return Ok(arns);
        }
        marker = Some(page.marker.ok_or(Unavailable::Later)?);
    }
    Err(Unavailable::Later)
}

async fn inline(
    client: &Client,
    name: &str,
    log: &mut Vec<Downstream>,
) -> Result<Vec<(String, Value)>, Unavailable> {
    let names = inline_names(client, name, log).await?;
    let read = names
        .into_iter()
        .map(|policy| inline_document(client, name, policy));
    let mut documents = Vec::new();
    // A role may have a hundred of them; IAM throttles whoever asks for all at once.
    let mut read = stream::iter(read).buffered(INLINE_READS_AT_A_TIME);
    while let Some((document, call)) = read.next().await {
        log.push(call);
        documents.push(document?);
    }
    Ok(documents)
}

/// Names of the role's inline policies, sorted.
pub async fn inline_names(
    client: &Client,
    name: &str,
    log: &mut Vec<Downstream>,
) -> Result<Vec<String>, Unavailable> {
    let mut names = Vec::new();
    let mut marker = None;
    for _ in 0..PAGES_MAX {
        let page = client
            .list_role_policies()
            .role_name(name)
            .set_marker(marker)
            .send()
            .await;
        let page = page.map_err(|error| unavailable("ListRolePolicies", &error, log))?;
        log.push(entry("ListRolePolicies", page.request_id(), None));
        names.extend(page.policy_names);
        if !page.is_truncated {
            names.sort_unstable();
            return Ok(names);
        }
        marker = Some(page.marker.ok_or(Unavailable::Later)?);
    }
    Err(Unavailable::Later)
}

/// The call is on record whatever came of it.
async fn inline_document(
    client: &Client,
    role: &str,
    policy: String,
) -> (Result<(String, Value), Unavailable>, Downstream) {
    let output = client
        .get_role_policy()
        .role_name(role)
        .policy_name(&policy)
        .send()
        .await;
    match output {
        Ok(output) => {
            let call = entry("GetRolePolicy", output.request_id(), None);
            (Ok((policy, document(&output.policy_document))), call)
        }
        Err(error) => {
            let (unavailable, call) = failed("GetRolePolicy", &error);
            (Err(unavailable), call)
        }
    }
}

/// IAM returns documents URL-encoded (RFC 3986).
pub(super) fn document(encoded: &str) -> Value {
    policy_document::read(&percent_decode_str(encoded).decode_utf8_lossy())
}

pub(super) fn entry(action: &'static str, request_id: Option<&str>, error_code: Option<&str>) -> Downstream {
    Downstream {
        service: "iam",
        action,
        request_id: request_id.map(|id| plain_request_id(id).to_owned()),
        error_code: error_code.map(str::to_owned),
    }
}

pub(super) fn unavailable<E, R>(
    action: &'static str,
    error: &SdkError<E, R>,
    log: &mut Vec<Downstream>,
) -> Unavailable
where
    SdkError<E, R>: ProvideErrorMetadata + RequestId,
{
    let (unavailable, call) = failed(action, error);
    log.push(call);
    unavailable
}

fn failed<E, R>(action: &'static str, error: &SdkError<E, R>) -> (Unavailable, Downstream)
where
    SdkError<E, R>: ProvideErrorMetadata + RequestId,
{
    let code = plain_code(error.code().unwrap_or("Unreachable"));
    let lack = is_denial(code).then(|| Lack::of_iam(action, error.message().unwrap_or_default()));
    let permission = lack.as_ref().map(Lack::permission);
    tracing::warn!(action, code, permission, "IAM_UNAVAILABLE");
    let unavailable = if let Some(lack) = lack {
        Unavailable::Denied(vec![lack])
    } else if is_of_credentials(code) {
        Unavailable::Credentials
    } else {
        Unavailable::Later
    };
    (unavailable, entry(action, error.request_id(), Some(code)))
}
