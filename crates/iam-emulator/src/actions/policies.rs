//! Managed policies: the account's own, and of AWS's those that are known or seeded.

use super::{Call, elements, find_policy};
use crate::aws_managed;
use crate::document::Document;
use crate::error::IamError;
use crate::grammar::{self, Use};
use crate::seed::Policy;
use crate::state::{self, Account};
use crate::tags::{self, Keys};
use crate::validate;
use crate::xml::Xml;

/// Whether there is a managed policy `arn`. Nobody but AWS knows the policies of another account.
pub(super) fn exists(account: &Account, arn: &str) -> bool {
    account.policy(arn).is_some() || aws_managed::is_known(arn, &account.partition)
}

pub(super) fn create(account: &mut Account, call: &Call<'_>) -> Result<Xml, IamError> {
    let name = validate::policy_name(call.query)?;
    let path = validate::path(call.query)?;
    let text = validate::document(call.query, "PolicyDocument")?;
    let description = validate::description(call.query)?;
    let tags = tags::requested(call.query, Keys::Exact)?;
    grammar::check(text, Use::Identity)?;
    let own = || {
        account
            .policies
            .iter()
            .filter(|policy| account.owns(&policy.entity.arn))
    };
    let taken = own().any(|policy| {
        validate::policy_arn_parts(&policy.entity.arn)
            .is_some_and(|parts| parts.name.eq_ignore_ascii_case(name))
    });
    if taken {
        return Err(IamError::entity_already_exists(format!(
            "A policy called {name} already exists. Duplicate names are not allowed."
        )));
    }
    let quotas = &call.options.quotas;
    if own().count() >= quotas.policies {
        return Err(IamError::limit_exceeded("PoliciesPerAccount", quotas.policies));
    }
    let document = Document::from(text);
    if document.size() > quotas.managed_policy_characters {
        return Err(IamError::limit_exceeded(
            "PolicySize",
            quotas.managed_policy_characters,
        ));
    }
    let arn = format!("arn:{}:iam::{}:policy{path}{name}", account.partition, account.id);
    let mut policy = Policy::new(&arn, document);
    policy.description = description.map(str::to_owned);
    policy.tags = tags;
    account.add_policy(policy, call.now);
    let mut xml = Xml::default();
    if let Some(policy) = account.policy(&arn) {
        xml.element("Policy", |xml| {
            elements::policy(xml, account, policy);
            if !policy.entity.tags.is_empty() {
                elements::tags(xml, &policy.entity.tags);
            }
        });
    }
    Ok(xml)
}

/// Of a policy of AWS's that was not seeded there is no text, and nothing of it is in this answer.
pub(super) fn get(account: &Account, call: &Call<'_>) -> Result<Xml, IamError> {
    let arn = validate::policy_arn(call.query, "PolicyArn", &account.partition)?;
    let is_by_name = account.policy(arn).is_none() && exists(account, arn);
    let by_name = is_by_name.then(|| state::policy_of_aws(arn));
    let policy = match &by_name {
        Some(policy) => policy,
        None => find_policy(account, call.query)?,
    };
    let mut xml = Xml::default();
    xml.element("Policy", |xml| {
        elements::policy(xml, account, policy);
        elements::tags(xml, &policy.entity.tags);
    });
    Ok(xml)
}

pub(super) fn get_version(account: &Account, call: &Call<'_>) -> Result<Xml, IamError> {
    let policy = find_policy(account, call.query)?;
    let id = validate::required(call.query, "VersionId")?;
    let version = policy
        .entity
        .versions
        .iter()
        .find(|version| version.id == id)
        .ok_or_else(|| {
            let arn = &policy.entity.arn;
            IamError::no_such_entity(format!(
                "Policy {arn} version {id} does not exist or is not attachable."
            ))
        })?;
    let mut xml = Xml::default();
    xml.element("PolicyVersion", |xml| {
        elements::policy_version(xml, policy, version);
    });
    Ok(xml)
}

pub(super) fn delete(account: &mut Account, call: &Call<'_>) -> Result<(), IamError> {
    let arn = validate::policy_arn(call.query, "PolicyArn", &account.partition)?;
    if !account.owns(arn) {
        return Err(IamError::access_denied("Policy is outside your own account."));
    }
    let policy = &find_policy(account, call.query)?.entity;
    let used = account.roles.iter().any(|role| {
        let role = &role.entity;
        role.attached_policies.contains(&policy.arn)
            || role.permissions_boundary.as_ref() == Some(&policy.arn)
    });
    if used {
        return Err(IamError::delete_conflict(
            "Cannot delete a policy attached to entities.",
        ));
    }
    if policy.versions.len() > 1 {
        return Err(IamError::delete_conflict(
            "This policy has more than one version. Before you delete a policy, you must delete the policy's \
             versions. The default version is deleted with the policy.",
        ));
    }
    account.policies.retain(|policy| policy.entity.arn != arn);
    Ok(())
}
