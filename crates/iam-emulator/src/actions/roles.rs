//! Roles and their tags.

use super::page::Page;
use super::{Call, elements, find_role, find_role_to_change, policies};
use crate::document::Document;
use crate::error::IamError;
use crate::grammar::{self, Use};
use crate::query::Query;
use crate::seed::{Role, Tag};
use crate::state::{Account, Stored};
use crate::tags::{self, Keys};
use crate::validate;
use crate::xml::Xml;

/// The roles that services make for themselves live under this path.
const SERVICE_LINKED: &str = "/aws-service-role/";

pub(super) fn is_service_linked(role: &Role) -> bool {
    role.path.starts_with(SERVICE_LINKED)
}

pub(super) fn create(account: &mut Account, call: &Call<'_>) -> Result<Xml, IamError> {
    let name = validate::role_name(call.query)?;
    let path = validate::path(call.query)?;
    let trust = validate::document(call.query, "AssumeRolePolicyDocument")?;
    let description = validate::description(call.query)?;
    let max_session_duration = validate::max_session_duration(call.query)?;
    let tags = tags::requested(call.query, Keys::IgnoreCase)?;
    let boundary = boundary(account, call.query)?;
    if path.starts_with(SERVICE_LINKED) {
        return Err(IamError::invalid_input(format!(
            "Path {SERVICE_LINKED} is reserved for AWS."
        )));
    }
    if account.role(name).is_some() {
        return Err(IamError::entity_already_exists(format!(
            "Role with name {name} already exists."
        )));
    }
    let trust = trust_policy(trust, call.options.quotas.trust_policy_characters)?;
    let most = call.options.quotas.roles;
    if account.roles.len() >= most {
        return Err(IamError::limit_exceeded("RolesPerAccount", most));
    }
    let mut role = Role::new(name).path(path).trust(trust).boundary(boundary);
    role.description = description.map(str::to_owned);
    role.max_session_duration = max_session_duration;
    role.tags = tags;
    account.add_role(role, call.now);
    let role = find_role(account, call.query)?;
    let mut xml = Xml::default();
    xml.element("Role", |xml| elements::whole_role(xml, account, role));
    Ok(xml)
}

/// The boundary asked for. Unlike other policies it must be there when the role is made.
fn boundary<'q>(account: &Account, query: &'q Query) -> Result<Option<&'q str>, IamError> {
    if query.get("PermissionsBoundary").is_none() {
        return Ok(None);
    }
    let arn = validate::policy_arn(query, "PermissionsBoundary", &account.partition)?;
    if policies::exists(account, arn) {
        return Ok(Some(arn));
    }
    Err(IamError::no_such_entity(format!(
        "Scope ARN: {arn} does not exist or is not attachable."
    )))
}

fn trust_policy(text: &str, most: usize) -> Result<Document, IamError> {
    grammar::check(text, Use::Trust)?;
    let document = Document::from(text);
    if document.size() > most {
        return Err(IamError::limit_exceeded("ACLSizePerRole", most));
    }
    Ok(document)
}

pub(super) fn get(account: &Account, call: &Call<'_>) -> Result<Xml, IamError> {
    let role = find_role(account, call.query)?;
    let mut xml = Xml::default();
    xml.element("Role", |xml| {
        elements::whole_role(xml, account, role);
        xml.element("RoleLastUsed", |_| ());
    });
    Ok(xml)
}

pub(super) fn list(account: &Account, call: &Call<'_>) -> Result<Xml, IamError> {
    let prefix = validate::path_prefix(call.query)?;
    let roles: Vec<&Stored<Role>> = account
        .roles
        .iter()
        .filter(|role| role.entity.path.starts_with(prefix))
        .collect();
    let page = Page::of(call, prefix, &roles, |role| &role.id)?;
    let mut xml = Xml::default();
    xml.list("Roles", page.cut(&roles), |xml, role| {
        elements::listed_role(xml, account, role);
    });
    page.write(&mut xml);
    Ok(xml)
}

pub(super) fn delete(account: &mut Account, call: &Call<'_>) -> Result<(), IamError> {
    let role = find_role_to_change(account, call.query)?;
    let id = role.id.clone();
    if !role.entity.attached_policies.is_empty() {
        return Err(IamError::delete_conflict(
            "Cannot delete entity, must detach all policies first.",
        ));
    }
    if !role.entity.inline_policies.is_empty() {
        return Err(IamError::delete_conflict(
            "Cannot delete entity, must delete policies first.",
        ));
    }
    let name = role.entity.name.clone();
    if account.profiles_with(&name).next().is_some() {
        return Err(IamError::delete_conflict(
            "Cannot delete entity, must remove roles from instance profile first.",
        ));
    }
    account.roles.retain(|role| role.id != id);
    Ok(())
}

/// Service-linked roles may be tagged too.
pub(super) fn tag(account: &mut Account, call: &Call<'_>) -> Result<(), IamError> {
    let id = find_role(account, call.query)?.id.clone();
    let new = tags::requested(call.query, Keys::IgnoreCase)?;
    let most = call.options.quotas.tags;
    match account.roles.iter_mut().find(|role| role.id == id) {
        Some(role) => tags::merge(&mut role.entity.tags, new, Keys::IgnoreCase, most),
        None => Ok(()),
    }
}

pub(super) fn list_tags(account: &Account, call: &Call<'_>) -> Result<Xml, IamError> {
    let role = find_role(account, call.query)?;
    tags_page(call, &role.id, &role.entity.tags)
}

/// "The returned list of tags is sorted by tag key" (`ListRoleTags`, `ListInstanceProfileTags`).
pub(super) fn tags_page(call: &Call<'_>, id: &str, tags: &[Tag]) -> Result<Xml, IamError> {
    let mut sorted = tags.to_vec();
    sorted.sort_by(|left, right| left.key.cmp(&right.key));
    let page = Page::of(call, id, &sorted, |tag| &tag.key)?;
    let mut xml = Xml::default();
    elements::tags(&mut xml, page.cut(&sorted));
    page.write(&mut xml);
    Ok(xml)
}
