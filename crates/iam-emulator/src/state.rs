//! The account: roles, instance profiles and managed policies, looked up as IAM does. No wire.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::document::Document;
use crate::seed::{InstanceProfile, Policy, PolicyVersion, Role, Seed, SeedError};
use crate::validate;

/// An entity with what IAM adds to it when it is created.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Stored<T> {
    /// `AROA`, `AIPA` or `ANPA` and 17 characters; never used again for another entity.
    pub(crate) id: String,
    pub(crate) created: Timestamp,
    /// When a call last made it or put something into it; `None` when it was seeded.
    #[serde(default)]
    pub(crate) written: Option<Timestamp>,
    pub(crate) entity: T,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Account {
    /// Twelve digits.
    pub(crate) id: String,
    pub(crate) partition: String,
    /// Counts the ids handed out, so that no two are alike.
    serial: u64,
    /// Whether it was given what it begins with, which is done once: what was changed or deleted since stays so. Files
    /// from before this was written down were seeded at every start.
    #[serde(default = "yes")]
    pub(crate) seeded: bool,
    /// How far tests have moved the clock ahead of the system's.
    #[serde(default)]
    advanced: Duration,
    pub(crate) roles: Vec<Stored<Role>>,
    pub(crate) profiles: Vec<Stored<InstanceProfile>>,
    pub(crate) policies: Vec<Stored<Policy>>,
}

impl Account {
    /// An account with nothing in it but AWS's own policy for PCS compute nodes.
    pub(crate) fn new(id: &str, partition: &str, now: Timestamp) -> Self {
        let mut account = Self {
            id: id.to_owned(),
            partition: partition.to_owned(),
            serial: 0,
            seeded: false,
            advanced: Duration::ZERO,
            roles: Vec::new(),
            profiles: Vec::new(),
            policies: Vec::new(),
        };
        account.put_policy(aws_pcs_compute_node_policy(partition), now);
        account
    }

    /// The account's time: the system's plus what tests have added.
    pub(crate) fn now(&self) -> Timestamp {
        later(Timestamp::now(), self.advanced)
    }

    pub(crate) fn advance(&mut self, by: Duration) {
        self.advanced = self.advanced.saturating_add(by);
    }

    /// Roles, profiles and inline policies are found whatever the case of their name, as in IAM.
    pub(crate) fn role(&self, name: &str) -> Option<&Stored<Role>> {
        self.roles
            .iter()
            .find(|role| role.entity.name.eq_ignore_ascii_case(name))
    }

    pub(crate) fn role_mut(&mut self, name: &str) -> Option<&mut Stored<Role>> {
        self.roles
            .iter_mut()
            .find(|role| role.entity.name.eq_ignore_ascii_case(name))
    }

    pub(crate) fn profile(&self, name: &str) -> Option<&Stored<InstanceProfile>> {
        self.profiles
            .iter()
            .find(|profile| profile.entity.name.eq_ignore_ascii_case(name))
    }

    pub(crate) fn profile_mut(&mut self, name: &str) -> Option<&mut Stored<InstanceProfile>> {
        self.profiles
            .iter_mut()
            .find(|profile| profile.entity.name.eq_ignore_ascii_case(name))
    }

    /// The instance profiles that hold the role `name`.
    pub(crate) fn profiles_with<'a>(
        &'a self,
        name: &'a str,
    ) -> impl Iterator<Item = &'a Stored<InstanceProfile>> {
        self.profiles.iter().filter(|profile| profile.entity.holds(name))
    }

    /// Whether PCS sees an instance profile of exactly this ARN at `now`: what a call has made, or put a role
    /// into, takes `propagation` to get there.
    pub(crate) fn passes(&self, profile_arn: &str, now: Timestamp, propagation: Duration) -> bool {
        self.profiles.iter().any(|profile| {
            let arrived = profile
                .written
                .is_none_or(|written| later(written, propagation) <= now);
            arrived && self.profile_arn(&profile.entity) == profile_arn
        })
    }

    /// ARNs, unlike names, are compared by case.
    pub(crate) fn policy(&self, arn: &str) -> Option<&Stored<Policy>> {
        self.policies.iter().find(|policy| policy.entity.arn == arn)
    }

    /// Whether the policy `arn` is the account's own, neither AWS's nor another account's.
    pub(crate) fn owns(&self, arn: &str) -> bool {
        validate::policy_arn_parts(arn)
            .is_some_and(|parts| parts.account == self.id && parts.partition == self.partition)
    }

    pub(crate) fn role_arn(&self, role: &Role) -> String {
        self.arn("role", &role.path, &role.name)
    }

    pub(crate) fn profile_arn(&self, profile: &InstanceProfile) -> String {
        self.arn("instance-profile", &profile.path, &profile.name)
    }

    fn arn(&self, kind: &str, path: &str, name: &str) -> String {
        format!("arn:{}:iam::{}:{kind}{path}{name}", self.partition, self.id)
    }

    /// Puts everything in `seed` into the account, or says what is wrong with it and may leave a part done:
    /// callers work on a copy.
    pub(crate) fn plant(&mut self, seed: Seed, now: Timestamp) -> Result<(), SeedError> {
        for policy in seed.policies {
            check_policy(&policy)?;
            self.put_policy(policy, now);
        }
        for role in seed.roles {
            check_role(&role)?;
            self.put_role(role, now);
        }
        for profile in seed.instance_profiles {
            self.check_profile(&profile)?;
            self.put_profile(profile, now);
        }
        Ok(())
    }

    fn put_policy(&mut self, policy: Policy, now: Timestamp) {
        if self
            .policy(&policy.arn)
            .is_some_and(|stored| stored.entity == policy)
        {
            return;
        }
        self.policies.retain(|stored| stored.entity.arn != policy.arn);
        self.add_policy(policy, now);
    }

    fn put_role(&mut self, role: Role, now: Timestamp) {
        if self.role(&role.name).is_some_and(|stored| stored.entity == role) {
            return;
        }
        self.roles
            .retain(|stored| !stored.entity.name.eq_ignore_ascii_case(&role.name));
        self.add_role(role, now);
    }

    fn put_profile(&mut self, profile: InstanceProfile, now: Timestamp) {
        if self
            .profile(&profile.name)
            .is_some_and(|stored| stored.entity == profile)
        {
            return;
        }
        self.profiles
            .retain(|stored| !stored.entity.name.eq_ignore_ascii_case(&profile.name));
        self.add_profile(profile, now);
    }

    // INVARIANT: the caller has seen to it that no entity of this name or ARN is there.

    pub(crate) fn add_policy(&mut self, policy: Policy, now: Timestamp) {
        let id = self.new_id("ANPA", &policy.arn);
        self.policies.push(stored(id, policy, now));
    }

    pub(crate) fn add_role(&mut self, role: Role, now: Timestamp) {
        let id = role.id.clone().unwrap_or_else(|| self.new_id("AROA", &role.name));
        self.roles.push(stored(id, role, now));
    }

    pub(crate) fn add_profile(&mut self, profile: InstanceProfile, now: Timestamp) {
        let id = profile
            .id
            .clone()
            .unwrap_or_else(|| self.new_id("AIPA", &profile.name));
        self.profiles.push(stored(id, profile, now));
    }

    fn check_profile(&self, profile: &InstanceProfile) -> Result<(), SeedError> {
        check(
            "instance profile name",
            &profile.name,
            validate::is_name(&profile.name, 128),
        )?;
        check("path", &profile.path, validate::is_path(&profile.path))?;
        check_id(profile.id.as_deref(), "AIPA")?;
        match profile.roles.iter().find(|role| self.role(role).is_none()) {
            Some(role) => Err(SeedError::UnknownRole {
                profile: profile.name.clone(),
                role: role.clone(),
            }),
            None => Ok(()),
        }
    }

    fn new_id(&mut self, prefix: &str, name: &str) -> String {
        self.serial += 1;
        id(prefix, &format!("{}/{}/{prefix}/{name}", self.id, self.serial))
    }
}

fn yes() -> bool {
    true
}

/// A policy of AWS's of which the name is known and nothing else: its version is called v1, as a policy's first is.
pub(crate) fn policy_of_aws(arn: &str) -> Stored<Policy> {
    stored(
        id("ANPA", arn),
        Policy::new(arn, Document::from("")),
        Timestamp::UNIX_EPOCH,
    )
}

/// An id such as IAM's, always the same for the same text.
fn id(prefix: &str, text: &str) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let digest = Sha256::digest(text);
    let characters = digest
        .iter()
        .take(17)
        .filter_map(|byte| ALPHABET.get(usize::from(byte % 32)));
    prefix
        .chars()
        .chain(characters.map(|byte| char::from(*byte)))
        .collect()
}

fn stored<T>(id: String, entity: T, now: Timestamp) -> Stored<T> {
    Stored {
        id,
        created: now,
        written: None,
        entity,
    }
}

/// The end of time when there is no such time.
fn later(timestamp: Timestamp, by: Duration) -> Timestamp {
    timestamp.checked_add(by).unwrap_or(Timestamp::MAX)
}

fn check(entity: &'static str, name: &str, valid: bool) -> Result<(), SeedError> {
    if valid {
        Ok(())
    } else {
        Err(SeedError::Invalid {
            entity,
            name: name.to_owned(),
        })
    }
}

fn check_id(id: Option<&str>, prefix: &'static str) -> Result<(), SeedError> {
    id.map_or(Ok(()), |id| {
        check("unique id", id, validate::is_unique_id(id, prefix))
    })
}

fn check_role(role: &Role) -> Result<(), SeedError> {
    check("role name", &role.name, validate::is_name(&role.name, 64))?;
    check("path", &role.path, validate::is_path(&role.path))?;
    check_id(role.id.as_deref(), "AROA")?;
    for arn in role.attached_policies.iter().chain(&role.permissions_boundary) {
        check("policy ARN", arn, validate::policy_arn_parts(arn).is_some())?;
    }
    for policy in &role.inline_policies {
        check("policy name", &policy.name, validate::is_name(&policy.name, 128))?;
    }
    Ok(())
}

fn check_policy(policy: &Policy) -> Result<(), SeedError> {
    check(
        "policy ARN",
        &policy.arn,
        validate::policy_arn_parts(&policy.arn).is_some(),
    )?;
    if policy
        .versions
        .iter()
        .any(|version| version.id == policy.default_version_id)
    {
        return Ok(());
    }
    Err(SeedError::UnknownDefaultVersion {
        arn: policy.arn.clone(),
    })
}

/// `AWSPCSComputeNodePolicy` as AWS publishes it (managed policy reference, version 3 of February 2026).
fn aws_pcs_compute_node_policy(partition: &str) -> Policy {
    Policy {
        arn: format!("arn:{partition}:iam::aws:policy/AWSPCSComputeNodePolicy"),
        description: None,
        versions: vec![PolicyVersion {
            id: "v3".to_owned(),
            document: Document::from(serde_json::json!({
                "Version": "2012-10-17",
                "Statement": [{
                    "Effect": "Allow",
                    "Action": ["pcs:RegisterComputeNodeGroupInstance"],
                    "Resource": "*"
                }]
            })),
        }],
        default_version_id: "v3".to_owned(),
        tags: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account() -> Account {
        Account::new("123456789012", "aws", Timestamp::UNIX_EPOCH)
    }

    fn planted(seed: Seed) -> Account {
        let mut account = account();
        account.plant(seed, Timestamp::UNIX_EPOCH).unwrap();
        account
    }

    #[test]
    fn ids_have_iam_s_shape_and_are_never_reused() {
        let mut account = planted(Seed::new().role(Role::new("AWSPCS-a")));
        let before = account.role("AWSPCS-a").unwrap().id.clone();
        assert!(validate::is_unique_id(&before, "AROA"), "{before}");
        let changed = Role::new("AWSPCS-a").attach("arn:aws:iam::aws:policy/ReadOnlyAccess");
        account
            .plant(Seed::new().role(changed.clone()), Timestamp::UNIX_EPOCH)
            .unwrap();
        let after = account.role("AWSPCS-a").unwrap().id.clone();
        assert_ne!(before, after);
        account
            .plant(Seed::new().role(changed), Timestamp::UNIX_EPOCH)
            .unwrap();
        assert_eq!(
            account.role("AWSPCS-a").unwrap().id,
            after,
            "an unchanged role stays the same role"
        );
        assert_eq!(account.roles.len(), 1);
    }

    #[test]
    fn names_ignore_case_and_arns_do_not() {
        let arn = "arn:aws:iam::123456789012:policy/team/Boundary";
        let account = planted(
            Seed::new()
                .policy(Policy::new(arn, "{}"))
                .role(Role::new("AWSPCS-a").path("/aws-pcs/"))
                .instance_profile(InstanceProfile::new("AWSPCS-p").role("AWSPCS-A")),
        );
        let role = account.role("awspcs-A").unwrap();
        assert_eq!(
            account.role_arn(&role.entity),
            "arn:aws:iam::123456789012:role/aws-pcs/AWSPCS-a"
        );
        assert!(account.profile("AWSPCS-P").is_some());
        assert!(account.policy(arn).is_some());
        assert!(account.policy(&arn.to_lowercase()).is_none());
    }

    #[test]
    fn refuses_what_iam_could_not_hold() {
        let mut account = account();
        let mut plant = |seed| account.plant(seed, Timestamp::UNIX_EPOCH).unwrap_err();
        let orphan = Seed::new().instance_profile(InstanceProfile::new("AWSPCS-p").role("AWSPCS-a"));
        assert!(matches!(plant(orphan), SeedError::UnknownRole { .. }));
        let long = Seed::new().role(Role::new("a".repeat(65)));
        assert!(matches!(
            plant(long),
            SeedError::Invalid {
                entity: "role name",
                ..
            }
        ));
        let short_id = Seed::new().role(Role::new("a").id("AROA"));
        assert!(matches!(
            plant(short_id),
            SeedError::Invalid {
                entity: "unique id",
                ..
            }
        ));
    }

    #[test]
    fn pcs_sees_what_was_written_only_after_a_while() {
        let mut account = planted(Seed::new().instance_profile(InstanceProfile::new("AWSPCS-p")));
        let arn = "arn:aws:iam::123456789012:instance-profile/AWSPCS-p";
        let minute = Duration::from_mins(1);
        let now = Timestamp::UNIX_EPOCH;
        assert!(account.passes(arn, now, minute), "seeded long ago");
        account.profile_mut("AWSPCS-p").unwrap().written = Some(now);
        assert!(!account.passes(arn, now, minute));
        assert!(!account.passes(arn, later(now, Duration::from_secs(59)), minute));
        assert!(account.passes(arn, later(now, minute), minute));
        assert!(account.passes(arn, now, Duration::ZERO));
        assert!(!account.passes(arn, now, Duration::MAX));
        let before = account.now();
        account.advance(minute);
        assert!(account.now().duration_since(before) >= jiff::SignedDuration::from_secs(60));
    }
}
