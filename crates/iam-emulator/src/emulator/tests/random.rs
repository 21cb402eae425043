//! Random calls: whatever their order, nothing is left that points to what is not there, and every answer is
//! one that IAM's model has for the action.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// Errors that the IAM service model (2010-05-08) lists for each write, and `ValidationError`, which all have.
/// `CreateRole`'s `NoSuchEntity`, of the boundary, is AWS's behaviour though not in the model.
const ERRORS: [(&str, &[&str]); 12] = [
    (
        "CreateRole",
        &["LimitExceeded", "EntityAlreadyExists", "NoSuchEntity"],
    ),
    ("DeleteRole", &["NoSuchEntity", "DeleteConflict"]),
    ("AttachRolePolicy", &["NoSuchEntity", "LimitExceeded"]),
    ("DetachRolePolicy", &["NoSuchEntity"]),
    ("PutRolePolicy", &["NoSuchEntity", "LimitExceeded"]),
    ("DeleteRolePolicy", &["NoSuchEntity"]),
    ("CreateInstanceProfile", &["EntityAlreadyExists", "LimitExceeded"]),
    ("DeleteInstanceProfile", &["NoSuchEntity", "DeleteConflict"]),
    ("AddRoleToInstanceProfile", &["NoSuchEntity", "LimitExceeded"]),
    ("RemoveRoleFromInstanceProfile", &["NoSuchEntity"]),
    ("CreatePolicy", &["EntityAlreadyExists"]),
    ("DeletePolicy", &["NoSuchEntity", "DeleteConflict"]),
];
const TRUST: &str =
    r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}}"#;

/// Numbers that look random and are the same in every run (Numerical Recipes' generator).
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % n
    }

    fn pick<'a>(&mut self, items: &[&'a str]) -> &'a str {
        items[self.below(items.len())]
    }
}

fn random_call(dice: &mut Dice) -> (&'static str, String) {
    let action = ERRORS[dice.below(ERRORS.len())].0;
    let role = format!("&RoleName={}", dice.pick(&["a", "A", "b", "c"]));
    let profile = format!("&InstanceProfileName={}", dice.pick(&["p", "P", "q"]));
    let name = dice.pick(&["x", "X", "y", "z", "w"]);
    let arn = format!("arn:aws:iam::123456789012:policy/{}", name.to_lowercase());
    let resource = "arn:aws:s3:::".to_owned() + &"b".repeat(dice.below(200));
    let document = serde_json::json!({"Version": "2012-10-17",
        "Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": resource}});
    let document = escaped(&document.to_string());
    let boundary = dice.pick(&["", "&PermissionsBoundary="]);
    let parameters = match action {
        "CreateRole" => {
            let boundary = if boundary.is_empty() {
                String::new()
            } else {
                format!("{boundary}{arn}")
            };
            format!("{role}&AssumeRolePolicyDocument={}{boundary}", escaped(TRUST))
        }
        "DeleteRole" => role,
        "AttachRolePolicy" | "DetachRolePolicy" => format!("{role}&PolicyArn={arn}"),
        "PutRolePolicy" => format!("{role}&PolicyName={name}&PolicyDocument={document}"),
        "DeleteRolePolicy" => format!("{role}&PolicyName={name}"),
        "CreateInstanceProfile" | "DeleteInstanceProfile" => profile,
        "AddRoleToInstanceProfile" | "RemoveRoleFromInstanceProfile" => format!("{profile}{role}"),
        "CreatePolicy" => format!("&PolicyName={}&PolicyDocument={document}", name.to_lowercase()),
        "DeletePolicy" => format!("&PolicyArn={arn}"),
        other => panic!("{other}"),
    };
    (action, format!("Action={action}{parameters}"))
}

fn check_state(emulator: &Emulator) {
    let shared = emulator.lock();
    let (account, quotas) = (&shared.account, &shared.options.quotas);
    let lower = |name: &str| name.to_lowercase();
    let roles: BTreeSet<_> = account
        .roles
        .iter()
        .map(|role| lower(&role.entity.name))
        .collect();
    let profiles: BTreeSet<_> = account.profiles.iter().map(|p| lower(&p.entity.name)).collect();
    let policies: BTreeSet<_> = account.policies.iter().map(|p| p.entity.arn.clone()).collect();
    assert_eq!(roles.len(), account.roles.len(), "one role of a name");
    assert_eq!(profiles.len(), account.profiles.len(), "one profile of a name");
    assert_eq!(policies.len(), account.policies.len(), "one policy of an ARN");
    for role in account.roles.iter().map(|role| &role.entity) {
        let named = role.attached_policies.iter().chain(&role.permissions_boundary);
        for arn in named {
            assert!(policies.contains(arn), "{} names {arn}", role.name);
        }
        assert!(role.attached_policies.len() <= quotas.managed_policies_per_role);
        let size: usize = role
            .inline_policies
            .iter()
            .map(|policy| policy.document.size())
            .sum();
        assert!(size <= quotas.inline_policy_characters_per_role);
        let inline: BTreeSet<_> = role.inline_policies.iter().map(|p| lower(&p.name)).collect();
        assert_eq!(inline.len(), role.inline_policies.len());
    }
    for profile in account.profiles.iter().map(|profile| &profile.entity) {
        assert!(profile.roles.len() <= 1, "{}", profile.name);
        for role in &profile.roles {
            assert!(roles.contains(&lower(role)), "{} holds {role}", profile.name);
        }
    }
}

/// Every id in the account; one that was seen on another entity before is a bug.
fn note_ids(emulator: &Emulator, owners: &mut BTreeMap<String, Timestamp>) {
    let shared = emulator.lock();
    let account = &shared.account;
    let roles = account.roles.iter().map(|role| (&role.id, role.created));
    let profiles = account
        .profiles
        .iter()
        .map(|profile| (&profile.id, profile.created));
    let policies = account.policies.iter().map(|policy| (&policy.id, policy.created));
    for (id, created) in roles.chain(profiles).chain(policies) {
        let first = owners.entry(id.clone()).or_insert(created);
        assert_eq!(*first, created, "{id} was used again");
    }
}

#[test]
fn no_sequence_of_calls_leaves_anything_dangling() {
    let mut outcomes: BTreeSet<(&str, String)> = BTreeSet::new();
    for seed in 1..=8 {
        let emulator = fresh(Options {
            quotas: Quotas {
                roles: 2,
                instance_profiles: 1,
                managed_policies_per_role: 2,
                inline_policy_characters_per_role: 400,
                ..Quotas::default()
            },
            ..Options::default()
        });
        let (mut dice, mut owners) = (Dice(seed), BTreeMap::new());
        for _ in 0..1500 {
            let (action, form) = random_call(&mut dice);
            let (status, xml) = call(&emulator, &form);
            let outcome = if status == 200 { "done" } else { text(&xml, "Code") };
            let known = ERRORS.iter().find(|(name, _)| *name == action).unwrap().1;
            assert!(outcome == "done" || known.contains(&outcome), "{form}: {xml}");
            outcomes.insert((action, outcome.to_owned()));
            check_state(&emulator);
            note_ids(&emulator, &mut owners);
        }
    }
    // The calls were random enough to see every action succeed and fail in each of its ways.
    for (action, errors) in ERRORS {
        for outcome in errors.iter().chain(&["done"]) {
            assert!(
                outcomes.contains(&(action, (*outcome).to_owned())),
                "{action} was never {outcome}"
            );
        }
    }
}
