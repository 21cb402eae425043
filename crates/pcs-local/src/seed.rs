//! The instance profiles that the IAM of this machine begins with: one that every rule accepts, and one for each
//! rule that a profile can break, so that a refusal can be seen before anybody writes a bad policy.

use iam_emulator::{InstanceProfile, Role, Seed};
use serde_json::json;

const COMPUTE_NODE_POLICY: &str = "arn:aws:iam::aws:policy/AWSPCSComputeNodePolicy";

/// Name of a seeded profile and what there is to see about it.
pub const PROFILES: [(&str, &str); 6] = [
    ("AWSPCS-compute-node", "passes every rule"),
    (
        "AWSPCS-administrator",
        "its role has AdministratorAccess, which no allowed pattern matches",
    ),
    ("AWSPCS-inline", "its role has an inline policy that allows s3:*"),
    ("AWSPCS-shared", "its role trusts another account too"),
    ("AWSPCS-empty", "holds no role"),
    ("compute-node", "its role's name does not start with AWSPCS"),
];

pub fn profiles() -> Seed {
    let anyone = json!({
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"},
            {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::999999999999:root"}, "Action": "sts:AssumeRole"},
        ],
    });
    let all_of_s3 = json!({
        "Version": "2012-10-17",
        "Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"},
    });
    let roles = [
        Role::new("AWSPCS-compute-node").attach(COMPUTE_NODE_POLICY),
        Role::new("AWSPCS-administrator").attach("arn:aws:iam::aws:policy/AdministratorAccess"),
        Role::new("AWSPCS-inline")
            .attach(COMPUTE_NODE_POLICY)
            .inline("everything-in-s3", all_of_s3),
        Role::new("AWSPCS-shared")
            .attach(COMPUTE_NODE_POLICY)
            .trust(anyone),
        Role::new("compute-node").attach(COMPUTE_NODE_POLICY),
    ];
    let seed = roles.into_iter().fold(Seed::new(), |seed, role| {
        let profile = InstanceProfile::new(role.name.clone()).role(role.name.clone());
        seed.role(role).instance_profile(profile)
    });
    seed.instance_profile(InstanceProfile::new("AWSPCS-empty"))
}
