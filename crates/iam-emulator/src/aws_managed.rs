//! Which policies AWS manages: their names, not what is in them.
//!
//! A misspelt name must fail here as it does in an account, and a right one must be found. A policy newer than the list, or
//! one whose text is asked for, can be seeded.

use crate::validate;

/// Path and name of every policy, one a line, sorted (see model/update.py).
const NAMES: &str = include_str!("../model/aws-managed-policies.txt");

/// Whether AWS has a managed policy of this ARN, in the partition `partition`.
pub(crate) fn is_known(arn: &str, partition: &str) -> bool {
    let name = arn
        .strip_prefix("arn:")
        .and_then(|rest| rest.strip_prefix(partition)?.strip_prefix(":iam::aws:policy/"));
    name.is_some_and(|name| NAMES.lines().any(|line| line == name))
}

/// Whether `arn` is a policy of a service-linked role, which only that role may have.
pub(crate) fn is_for_service_linked_roles(arn: &str) -> bool {
    validate::policy_arn_parts(arn)
        .is_some_and(|parts| parts.account == "aws" && parts.path.starts_with("/aws-service-role/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_whole_and_exact() {
        for known in [
            "arn:aws:iam::aws:policy/AWSPCSComputeNodePolicy",
            "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore",
            "arn:aws:iam::aws:policy/service-role/AmazonEC2RoleforSSM",
        ] {
            assert!(is_known(known, "aws"), "{known}");
        }
        assert!(is_known(
            "arn:aws-cn:iam::aws:policy/AdministratorAccess",
            "aws-cn"
        ));
        for unknown in [
            "arn:aws-cn:iam::aws:policy/AdministratorAccess",
            "arn:aws:iam::aws:policy/administratoraccess",
            "arn:aws:iam::aws:policy/AmazonEC2RoleforSSM",
            "arn:aws:iam::aws:policy/AdministratorAcces",
            "arn:aws:iam::123456789012:policy/AdministratorAccess",
        ] {
            assert!(!is_known(unknown, "aws"), "{unknown}");
        }
    }
}
