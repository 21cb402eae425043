//! Which roles and instance profiles the sweep may remove: those that this deployment made and that no compute node group
//! uses, or may go back to.

use std::collections::BTreeSet;

use super::{PATH, RemovalPermit, profile_arn};
use crate::guardrails::Policy;

/// A request that makes a role is over by then, with every repetition that it could still have.
pub const ORPHANED_AFTER_SECONDS: i64 = 60 * 60;
/// How long instances may still run with what a group had before: PCS replaces them when their jobs are done.
const REPLACED_AFTER_SECONDS: i64 = 24 * 60 * 60;

/// A role or instance profile below [`PATH`], as the sweep found it.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    pub name: String,
    pub path: String,
    /// Seconds since the epoch.
    pub created: i64,
    /// Value of [`super::DEPLOYMENT_TAG`].
    pub deployment: Option<String>,
    /// Value of [`super::REGION_TAG`].
    pub region: Option<String>,
    /// Value of [`super::GROUP_TAG`].
    pub group: Option<String>,
}

/// What compute node groups use, read moments before.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Uses {
    /// The Regions of which every group was read.
    pub read: Vec<&'static str>,
    profiles: BTreeSet<String>,
    pub changed: Vec<Changed>,
}

/// A group that may still run with another profile than its answer names, or go back to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Changed {
    pub region: &'static str,
    pub name: String,
    /// Seconds since the epoch; `None` where PCS's answer does not tell.
    pub created: Option<i64>,
    /// The same of its last change.
    pub modified: Option<i64>,
    /// Whether the change is under way.
    pub is_updating: bool,
    /// Whether it failed.
    pub is_update_failed: bool,
}

impl Uses {
    /// Adds the ARN of a group's profile. IAM's names are one whatever their case.
    pub fn add_profile(&mut self, arn: &str) {
        self.profiles.insert(arn.to_ascii_lowercase());
    }

    /// Whether a group has the profile of this name.
    pub fn has(&self, policy: &Policy, name: &str) -> bool {
        let arn = profile_arn(policy, name).to_ascii_lowercase();
        self.profiles.contains(&arn)
    }

    pub fn append(&mut self, other: Uses) {
        self.read.extend(other.read);
        self.profiles.extend(other.profiles);
        self.changed.extend(other.changed);
    }
}

impl Changed {
    /// Whether the group may have had this role before its change. Which one it had nobody tells: while it changes, that
    /// can be any of its Region; afterwards its name in the role's tags is what there is to go by.
    fn may_have_had(&self, found: &Candidate, now: i64) -> bool {
        if found.region.as_deref() != Some(self.region) {
            return false;
        }
        let is_recent = self.modified.is_none_or(|at| now - at < REPLACED_AFTER_SECONDS);
        // A group that was made much later has its name from one that is gone.
        let is_its_group = self
            .created
            .is_none_or(|at| at <= found.created + ORPHANED_AFTER_SECONDS);
        let is_named = found.group.as_ref() == Some(&self.name) && is_its_group;
        self.is_updating || (is_named && (self.is_update_failed || is_recent))
    }
}

/// Permits removing what nobody uses: made by this deployment, older than an hour, for one of the Regions that were
/// read, the profile of none of their compute node groups, and of none that changes or just did. A deployment whose
/// Regions were narrowed no longer sees the groups of the others, so what was made there stays.
pub fn permit_removal(policy: &Policy, found: &Candidate, uses: &Uses, now: i64) -> Option<RemovalPermit> {
    let orphaned = policy.iam_admin_access
        && found.path == PATH
        && found.deployment.as_deref() == Some(&policy.deployment_id)
        && found
            .region
            .as_deref()
            .is_some_and(|region| uses.read.contains(&region))
        && now - found.created > ORPHANED_AFTER_SECONDS
        && !uses.has(policy, &found.name)
        && !uses.changed.iter().any(|group| group.may_have_had(found, now));
    orphaned.then(|| RemovalPermit {
        name: found.name.clone(),
        policies: Vec::new(),
        inline: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 60 * 60;

    fn role() -> Candidate {
        Candidate {
            name: "AWSPCS-x".to_owned(),
            path: PATH.to_owned(),
            created: 0,
            deployment: None,
            region: Some("us-east-1".to_owned()),
            group: Some("compute".to_owned()),
        }
    }

    fn changed(hours: i64) -> Changed {
        Changed {
            region: "us-east-1",
            name: "compute".to_owned(),
            created: Some(1),
            modified: Some(hours * HOUR),
            is_updating: false,
            is_update_failed: false,
        }
    }

    #[test]
    fn a_group_may_go_back_to_a_role_for_a_day() {
        let now = 100 * HOUR;
        assert!(changed(77).may_have_had(&role(), now));
        assert!(!changed(76).may_have_had(&role(), now));
        let unknown = Changed {
            created: None,
            modified: None,
            ..changed(1)
        };
        assert!(
            unknown.may_have_had(&role(), now),
            "what nobody tells counts as now"
        );
        let failed = Changed {
            is_update_failed: true,
            ..changed(1)
        };
        assert!(failed.may_have_had(&role(), now), "until somebody mends it");
    }

    #[test]
    fn only_its_own_group_keeps_a_role_afterwards() {
        let now = 100 * HOUR;
        let other = Changed {
            name: "other".to_owned(),
            ..changed(99)
        };
        assert!(!other.may_have_had(&role(), now));
        let of_the_same_name = Changed {
            created: Some(2 * HOUR),
            ..changed(99)
        };
        assert!(!of_the_same_name.may_have_had(&role(), now), "the role is older");
        let elsewhere = Changed {
            region: "eu-west-1",
            is_updating: true,
            ..changed(99)
        };
        assert!(!elsewhere.may_have_had(&role(), now));
        let updating = Changed {
            is_updating: true,
            ..other
        };
        assert!(updating.may_have_had(&role(), now), "it can have had any");
    }
}
