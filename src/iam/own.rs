//! Finds the roles and instance profiles that a deployment of this API made, for the sweep.
//!
//! IAM is one per account, so there may be those of other deployments; whose they are is told by a tag, and decided
//! elsewhere. Lists leave tags out, so each is read, but only once its name is known to be used by no group.

use std::collections::BTreeSet;

use aws_sdk_iam::{
    Client,
    operation::{get_instance_profile::GetInstanceProfileError, get_role::GetRoleError},
    types::Tag,
};
use futures_util::future::try_join;

use super::facts::Unavailable;
use crate::guardrails::node_role::{Candidate, DEPLOYMENT_TAG, PATH, REGION_TAG};

/// Names of the roles below [`PATH`], and of the profiles without a role, that were created before `before` (seconds
/// since the epoch). A profile that a role did not get into yet goes together with the role of its name.
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
    let mut found = BTreeSet::new();
    while let Some(role) = pages.next().await {
        let role = role.map_err(|_| Unavailable)?;
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
    let mut found = BTreeSet::new();
    while let Some(profile) = pages.next().await {
        let profile = profile.map_err(|_| Unavailable)?;
        if profile.path == PATH && profile.roles.is_empty() && profile.create_date.secs() < before {
            found.insert(profile.instance_profile_name);
        }
    }
    Ok(found)
}

/// The role of this name, or else the profile; `None` when there is neither.
pub async fn candidate(client: &Client, name: String) -> Result<Option<Candidate>, Unavailable> {
    let role = client.get_role().role_name(&name).send().await;
    match role.map_err(aws_sdk_iam::error::SdkError::into_service_error) {
        Ok(output) => {
            let role = output.role.ok_or(Unavailable)?;
            Ok(Some(Candidate {
                deployment: tag(role.tags.as_deref(), DEPLOYMENT_TAG),
                region: tag(role.tags.as_deref(), REGION_TAG),
                name: role.role_name,
                path: role.path,
                created: role.create_date.secs(),
            }))
        }
        Err(GetRoleError::NoSuchEntityException(_)) => empty_profile(client, &name).await,
        Err(_) => Err(Unavailable),
    }
}

async fn empty_profile(client: &Client, name: &str) -> Result<Option<Candidate>, Unavailable> {
    let profile = client
        .get_instance_profile()
        .instance_profile_name(name)
        .send()
        .await;
    match profile.map_err(aws_sdk_iam::error::SdkError::into_service_error) {
        Ok(output) => {
            let profile = output.instance_profile.ok_or(Unavailable)?;
            // One that has got a role meanwhile belongs to a call under way.
            Ok(profile.roles.is_empty().then(|| Candidate {
                deployment: tag(profile.tags.as_deref(), DEPLOYMENT_TAG),
                region: tag(profile.tags.as_deref(), REGION_TAG),
                name: profile.instance_profile_name,
                path: profile.path,
                created: profile.create_date.secs(),
            }))
        }
        Err(GetInstanceProfileError::NoSuchEntityException(_)) => Ok(None),
        Err(_) => Err(Unavailable),
    }
}

fn tag(tags: Option<&[Tag]>, key: &str) -> Option<String> {
    let tag = tags.unwrap_or_default().iter().find(|tag| tag.key == key);
    tag.map(|tag| tag.value.clone())
}
