//! Finds the roles and instance profiles that a deployment of this API made, for the sweep.
//!
//! IAM is one per account, so there may be those of other deployments; whose they are is told by a tag, and decided
//! elsewhere.

use aws_sdk_iam::{Client, types::Tag};
use futures_util::future::try_join;

use super::facts::{Unavailable, attached};
use crate::{
    audit::record::Downstream,
    guardrails::node_role::{Candidate, DEPLOYMENT_TAG, PATH, REGION_TAG},
};

/// Roles below [`PATH`] that were created before `before` (seconds since the epoch), and profiles without
/// a role; each name once.
pub async fn candidates(client: &Client, before: i64) -> Result<Vec<Candidate>, Unavailable> {
    let (mut found, profiles) = try_join(roles(client, before), empty_profiles(client, before)).await?;
    // A profile that a role did not get into yet goes together with the role of its name.
    for profile in profiles {
        if !found.iter().any(|role| role.name == profile.name) {
            found.push(profile);
        }
    }
    Ok(found)
}

async fn roles(client: &Client, before: i64) -> Result<Vec<Candidate>, Unavailable> {
    let mut pages = client
        .list_roles()
        .path_prefix(PATH)
        .into_paginator()
        .items()
        .send();
    let mut found = Vec::new();
    while let Some(role) = pages.next().await {
        let role = role.map_err(|_| Unavailable)?;
        if role.path != PATH || role.create_date.secs() >= before {
            continue;
        }
        // The list leaves the tags out.
        let whole = client
            .get_role()
            .role_name(&role.role_name)
            .send()
            .await
            .map_err(|_| Unavailable)?;
        let whole = whole.role.ok_or(Unavailable)?;
        let mut log: Vec<Downstream> = Vec::new();
        found.push(Candidate {
            attached: attached(client, &role.role_name, &mut log).await?,
            deployment: tag(whole.tags.as_deref(), DEPLOYMENT_TAG),
            region: tag(whole.tags.as_deref(), REGION_TAG),
            name: role.role_name,
            path: role.path,
            created: role.create_date.secs(),
        });
    }
    Ok(found)
}

async fn empty_profiles(client: &Client, before: i64) -> Result<Vec<Candidate>, Unavailable> {
    let mut pages = client
        .list_instance_profiles()
        .path_prefix(PATH)
        .into_paginator()
        .items()
        .send();
    let mut found = Vec::new();
    while let Some(profile) = pages.next().await {
        let profile = profile.map_err(|_| Unavailable)?;
        if profile.path != PATH || !profile.roles.is_empty() || profile.create_date.secs() >= before {
            continue;
        }
        let name = profile.instance_profile_name;
        let whole = client
            .get_instance_profile()
            .instance_profile_name(&name)
            .send()
            .await;
        let whole = whole
            .map_err(|_| Unavailable)?
            .instance_profile
            .ok_or(Unavailable)?;
        found.push(Candidate {
            deployment: tag(whole.tags.as_deref(), DEPLOYMENT_TAG),
            region: tag(whole.tags.as_deref(), REGION_TAG),
            name,
            path: profile.path,
            created: profile.create_date.secs(),
            attached: Vec::new(),
        });
    }
    Ok(found)
}

fn tag(tags: Option<&[Tag]>, key: &str) -> Option<String> {
    let tag = tags.unwrap_or_default().iter().find(|tag| tag.key == key);
    tag.map(|tag| tag.value.clone())
}
