//! What a role may do: managed policies attached to it and inline policies inside it.

use super::page::Page;
use super::{Call, find_role, find_role_to_change, policies};
use crate::aws_managed;
use crate::document::Document;
use crate::error::IamError;
use crate::grammar::{self, Use};
use crate::query::Query;
use crate::seed::{InlinePolicy, Role};
use crate::state::Account;
use crate::validate;
use crate::xml::Xml;

pub(super) fn attach(account: &mut Account, call: &Call<'_>) -> Result<(), IamError> {
    let arn = validate::policy_arn(call.query, "PolicyArn", &account.partition)?;
    let exists = policies::exists(account, arn);
    let most = call.options.quotas.managed_policies_per_role;
    let attached = &mut find_role_to_change(account, call.query)?.entity.attached_policies;
    if !exists {
        return Err(IamError::no_such_entity(format!(
            "Policy {arn} does not exist or is not attachable."
        )));
    }
    if aws_managed::is_for_service_linked_roles(arn) {
        return Err(IamError::policy_not_attachable(
            "Cannot attach a Service Role Policy to a Customer Role.",
        ));
    }
    if attached.iter().any(|other| other == arn) {
        return Ok(());
    }
    if attached.len() >= most {
        return Err(IamError::limit_exceeded("PoliciesPerRole", most));
    }
    attached.push(arn.to_owned());
    Ok(())
}

pub(super) fn detach(account: &mut Account, call: &Call<'_>) -> Result<(), IamError> {
    let arn = validate::policy_arn(call.query, "PolicyArn", &account.partition)?;
    let attached = &mut find_role_to_change(account, call.query)?.entity.attached_policies;
    let before = attached.len();
    attached.retain(|other| other != arn);
    if attached.len() == before {
        return Err(IamError::no_such_entity(format!("Policy {arn} was not found.")));
    }
    Ok(())
}

pub(super) fn list_attached(account: &Account, call: &Call<'_>) -> Result<Xml, IamError> {
    let role = find_role(account, call.query)?;
    let prefix = validate::path_prefix(call.query)?;
    let attached: Vec<(&str, &str)> = role
        .entity
        .attached_policies
        .iter()
        .filter_map(|arn| {
            let parts = validate::policy_arn_parts(arn)?;
            parts
                .path
                .starts_with(prefix)
                .then_some((parts.name, arn.as_str()))
        })
        .collect();
    let page = Page::of(call, &role.id, &attached, |(_, arn)| arn)?;
    let mut xml = Xml::default();
    xml.list("AttachedPolicies", page.cut(&attached), |xml, (name, arn)| {
        xml.text("PolicyName", name);
        xml.text("PolicyArn", arn);
    });
    page.write(&mut xml);
    Ok(xml)
}

/// Adds an inline policy, or replaces the one of that name.
pub(super) fn put(account: &mut Account, call: &Call<'_>) -> Result<(), IamError> {
    let name = validate::policy_name(call.query)?;
    let text = validate::document(call.query, "PolicyDocument")?;
    let role = &mut find_role_to_change(account, call.query)?.entity;
    grammar::check(text, Use::Identity)?;
    let new = InlinePolicy {
        name: name.to_owned(),
        document: Document::from(text),
    };
    let same_name = |policy: &InlinePolicy| policy.name.eq_ignore_ascii_case(name);
    let others = role.inline_policies.iter().filter(|policy| !same_name(policy));
    let size: usize = others.map(|policy| policy.document.size()).sum();
    let most = call.options.quotas.inline_policy_characters_per_role;
    if size.saturating_add(new.document.size()) > most {
        return Err(IamError::limit_exceeded_as(format!(
            "Maximum policy size of {most} bytes exceeded for role {}",
            role.name
        )));
    }
    match role.inline_policies.iter_mut().find(|policy| same_name(policy)) {
        Some(old) => *old = new,
        None => role.inline_policies.push(new),
    }
    Ok(())
}

pub(super) fn get(account: &Account, call: &Call<'_>) -> Result<Xml, IamError> {
    let role = find_role(account, call.query)?;
    let policy = find_inline(&role.entity, call.query)?;
    let mut xml = Xml::default();
    xml.text("RoleName", &role.entity.name);
    xml.text("PolicyName", &policy.name);
    xml.text("PolicyDocument", &policy.document.percent_encoded());
    Ok(xml)
}

pub(super) fn list(account: &Account, call: &Call<'_>) -> Result<Xml, IamError> {
    let role = find_role(account, call.query)?;
    let inline = &role.entity.inline_policies;
    let page = Page::of(call, &role.id, inline, |policy| &policy.name)?;
    let mut xml = Xml::default();
    xml.list("PolicyNames", page.cut(inline), |xml, policy| {
        xml.escaped(&policy.name);
    });
    page.write(&mut xml);
    Ok(xml)
}

pub(super) fn delete(account: &mut Account, call: &Call<'_>) -> Result<(), IamError> {
    let role = &mut find_role_to_change(account, call.query)?.entity;
    let name = find_inline(role, call.query)?.name.clone();
    role.inline_policies.retain(|policy| policy.name != name);
    Ok(())
}

fn find_inline<'a>(role: &'a Role, query: &Query) -> Result<&'a InlinePolicy, IamError> {
    let name = validate::policy_name(query)?;
    role.inline_policies
        .iter()
        .find(|policy| policy.name.eq_ignore_ascii_case(name))
        .ok_or_else(|| IamError::no_such_entity(format!("The role policy with name {name} cannot be found.")))
}
