//! Instance profiles, the role in them and their tags.

use super::page::Page;
use super::roles::{is_service_linked, tags_page};
use super::{Call, elements, find_profile, find_profile_to_change, find_role};
use crate::error::IamError;
use crate::seed::InstanceProfile;
use crate::state::{Account, Stored};
use crate::tags::{self, Keys};
use crate::validate;
use crate::xml::Xml;

pub(super) fn create(account: &mut Account, call: &Call<'_>) -> Result<Xml, IamError> {
    let name = validate::instance_profile_name(call.query)?;
    let path = validate::path(call.query)?;
    let tags = tags::requested(call.query, Keys::Exact)?;
    if account.profile(name).is_some() {
        return Err(IamError::entity_already_exists(format!(
            "Instance Profile {name} already exists."
        )));
    }
    let most = call.options.quotas.instance_profiles;
    if account.profiles.len() >= most {
        return Err(IamError::limit_exceeded("InstanceProfilesPerAccount", most));
    }
    let mut profile = InstanceProfile::new(name).path(path);
    profile.tags = tags;
    account.add_profile(profile, call.now);
    find_profile_to_change(account, call.query)?.written = Some(call.now);
    get(account, call)
}

pub(super) fn get(account: &Account, call: &Call<'_>) -> Result<Xml, IamError> {
    let profile = find_profile(account, call.query)?;
    let mut xml = Xml::default();
    xml.element("InstanceProfile", |xml| {
        elements::instance_profile(xml, account, profile);
    });
    Ok(xml)
}

pub(super) fn list(account: &Account, call: &Call<'_>) -> Result<Xml, IamError> {
    let prefix = validate::path_prefix(call.query)?;
    let profiles: Vec<_> = account
        .profiles
        .iter()
        .filter(|profile| profile.entity.path.starts_with(prefix))
        .collect();
    profiles_page(account, call, prefix, &profiles)
}

pub(super) fn list_for_role(account: &Account, call: &Call<'_>) -> Result<Xml, IamError> {
    let role = find_role(account, call.query)?;
    let profiles: Vec<_> = account.profiles_with(&role.entity.name).collect();
    profiles_page(account, call, &role.id, &profiles)
}

fn profiles_page(
    account: &Account,
    call: &Call<'_>,
    listed: &str,
    profiles: &[&Stored<InstanceProfile>],
) -> Result<Xml, IamError> {
    let page = Page::of(call, listed, profiles, |profile| &profile.id)?;
    let mut xml = Xml::default();
    xml.list("InstanceProfiles", page.cut(profiles), |xml, profile| {
        elements::listed_instance_profile(xml, account, profile);
    });
    page.write(&mut xml);
    Ok(xml)
}

pub(super) fn delete(account: &mut Account, call: &Call<'_>) -> Result<(), IamError> {
    let profile = find_profile(account, call.query)?;
    if !profile.entity.roles.is_empty() {
        return Err(IamError::delete_conflict(
            "Cannot delete entity, must remove roles from instance profile first.",
        ));
    }
    let id = profile.id.clone();
    account.profiles.retain(|profile| profile.id != id);
    Ok(())
}

/// "An instance profile can contain only one role, and this quota cannot be increased."
pub(super) fn add_role(account: &mut Account, call: &Call<'_>) -> Result<(), IamError> {
    find_profile(account, call.query)?;
    let role = &find_role(account, call.query)?.entity;
    if is_service_linked(role) {
        return Err(IamError::unmodifiable_entity(&role.name));
    }
    let name = role.name.clone();
    let profile = find_profile_to_change(account, call.query)?;
    if !profile.entity.roles.is_empty() {
        return Err(IamError::limit_exceeded("InstanceSessionsPerInstanceProfile", 1));
    }
    profile.entity.roles.push(name);
    profile.written = Some(call.now);
    Ok(())
}

pub(super) fn remove_role(account: &mut Account, call: &Call<'_>) -> Result<(), IamError> {
    find_profile(account, call.query)?;
    let name = find_role(account, call.query)?.entity.name.clone();
    let profile = &mut find_profile_to_change(account, call.query)?.entity;
    if !profile.holds(&name) {
        return Err(IamError::no_such_entity(format!(
            "The role {name} is not in the instance profile {}.",
            profile.name
        )));
    }
    profile.roles.retain(|role| !role.eq_ignore_ascii_case(&name));
    Ok(())
}

pub(super) fn tag(account: &mut Account, call: &Call<'_>) -> Result<(), IamError> {
    let profile = find_profile_to_change(account, call.query)?;
    let new = tags::requested(call.query, Keys::Exact)?;
    tags::merge(
        &mut profile.entity.tags,
        new,
        Keys::Exact,
        call.options.quotas.tags,
    )
}

pub(super) fn list_tags(account: &Account, call: &Call<'_>) -> Result<Xml, IamError> {
    let profile = find_profile(account, call.query)?;
    tags_page(call, &profile.id, &profile.entity.tags)
}
