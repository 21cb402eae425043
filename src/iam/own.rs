//! Finds the roles and instance profiles that a deployment of this API made, for the sweep.
//!
//! IAM is one per account, so there may be those of other deployments; whose they are is told by a tag, and decided
//! elsewhere. Lists leave tags out, so each is read, but only once its name is known to be used by no group.

use std::collections::BTreeSet;

use aws_sdk_iam::{
    Client,
    operation::{
        get_instance_profile::GetInstanceProfileError, get_role::GetRoleError,
        list_instance_profiles_for_role::ListInstanceProfilesForRoleError,
    },
    types::Tag,
};
use futures_util::future::try_join;

use super::facts::{Unavailable, attached, inline_names, unavailable};
use crate::{
    audit::record::Downstream,
    guardrails::node_role::{Candidate, DEPLOYMENT_TAG, GROUP_TAG, PATH, REGION_TAG},
};

/// Names of the roles below [`PATH`], and of the profiles without a role, that were created before `before` (seconds
/// since the epoch). A profile that a role did not get into yet goes together with the role of its name.
///
/// `Unavailable`: what is kept of a call that failed is its line in the log.
pub async fn names(client: &Client, before: i64) -> Result<BTreeSet<String>, Unavailable> {
    let (mut found, mut profiles) = try_join(roles(client, before), empty_profiles(client, before)).await?;
    found.append(&mut profiles);
    Ok(found)
}

async fn roles(client: &Client, before: i64) -> Result<BTreeSet<String>, Unavailable> {
    let mut pages = client
        .list_roles()
        .path_prefix(PATH)
        .into_paginator()
        .items()
        .send();
    let (mut found, mut log) = (BTreeSet::new(), Vec::<Downstream>::new());
    while let Some(role) = pages.next().await {
        let role = role.map_err(|error| unavailable("ListRoles", &error, &mut log))?;
        if role.path == PATH && role.create_date.secs() < before {
            found.insert(role.role_name);
        }
    }
    Ok(found)
}

async fn empty_profiles(client: &Client, before: i64) -> Result<BTreeSet<String>, Unavailable> {
    let mut pages = client
        .list_instance_profiles()
        .path_prefix(PATH)
        .into_paginator()
        .items()
        .send();
    let (mut found, mut log) = (BTreeSet::new(), Vec::<Downstream>::new());
    while let Some(profile) = pages.next().await {
        let profile = profile.map_err(|error| unavailable("ListInstanceProfiles", &error, &mut log))?;
        if profile.path == PATH && profile.roles.is_empty() && profile.create_date.secs() < before {
            found.insert(profile.instance_profile_name);
        }
    }
    Ok(found)
}

/// The role of this name, or else the profile; `None` when there is neither.
pub async fn candidate(client: &Client, name: String) -> Result<Option<Candidate>, Unavailable> {
    let role = client.get_role().role_name(&name).send().await;
    match role {
        Ok(output) => {
            let role = output.role.ok_or(Unavailable::Later)?;
            Ok(Some(Candidate {
                deployment: tag(role.tags.as_deref(), DEPLOYMENT_TAG),
                region: tag(role.tags.as_deref(), REGION_TAG),
                group: tag(role.tags.as_deref(), GROUP_TAG),
                name: role.role_name,
                path: role.path,
                created: role.create_date.secs(),
            }))
        }
        Err(error)
            if error
                .as_service_error()
                .is_some_and(GetRoleError::is_no_such_entity_exception) =>
        {
            empty_profile(client, &name).await
        }
        Err(error) => Err(unavailable("GetRole", &error, &mut Vec::new())),
    }
}

async fn empty_profile(client: &Client, name: &str) -> Result<Option<Candidate>, Unavailable> {
    let profile = client
        .get_instance_profile()
        .instance_profile_name(name)
        .send()
        .await;
    match profile {
        Ok(output) => {
            let profile = output.instance_profile.ok_or(Unavailable::Later)?;
            // One that has got a role meanwhile belongs to a call under way.
            Ok(profile.roles.is_empty().then(|| Candidate {
                deployment: tag(profile.tags.as_deref(), DEPLOYMENT_TAG),
                region: tag(profile.tags.as_deref(), REGION_TAG),
                group: tag(profile.tags.as_deref(), GROUP_TAG),
                name: profile.instance_profile_name,
                path: profile.path,
                created: profile.create_date.secs(),
            }))
        }
        Err(error)
            if error
                .as_service_error()
                .is_some_and(GetInstanceProfileError::is_no_such_entity_exception) =>
        {
            Ok(None)
        }
        Err(error) => Err(unavailable("GetInstanceProfile", &error, &mut Vec::new())),
    }
}

/// A role that may go, as it is right before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// ARNs of the managed policies.
    pub attached: Vec<String>,
    /// Names of the inline policies.
    pub inline: Vec<String>,
    /// Whether an instance profile of another name has the role too: somebody else may run with it.
    pub is_shared: bool,
}

/// Reads the role of this name; of a profile without one there is nothing to find.
pub async fn found(client: &Client, name: &str, log: &mut Vec<Downstream>) -> Result<Found, Unavailable> {
    let profiles = client
        .list_instance_profiles_for_role()
        .role_name(name)
        .send()
        .await;
    let profiles = match profiles {
        Ok(output) if output.is_truncated => return Err(Unavailable::Later),
        Ok(output) => output.instance_profiles,
        Err(error)
            if error
                .as_service_error()
                .is_some_and(ListInstanceProfilesForRoleError::is_no_such_entity_exception) =>
        {
            return Ok(Found {
                attached: Vec::new(),
                inline: Vec::new(),
                is_shared: false,
            });
        }
        Err(error) => return Err(unavailable("ListInstanceProfilesForRole", &error, log)),
    };
    Ok(Found {
        attached: attached(client, name, log).await?,
        inline: inline_names(client, name, log).await?,
        is_shared: profiles
            .iter()
            .any(|profile| profile.path != PATH || profile.instance_profile_name != name),
    })
}

fn tag(tags: Option<&[Tag]>, key: &str) -> Option<String> {
    let tag = tags.unwrap_or_default().iter().find(|tag| tag.key == key);
    tag.map(|tag| tag.value.clone())
}
