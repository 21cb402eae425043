//! The documented patterns: that they are the ones in force, and what each of them lets pass and what not
//! (`allowlist_cases.json`).

use std::{fs, path::Path};

use pcs_api::guardrails::allowlist::{Allowlist, documented, is_policy_arn};
use proptest::prelude::*;
use serde_json::Value;

const ACCOUNT: &str = "123456789012";
/// Matches whatever has six components, so that only the shape of the value can stand against it.
const ANYTHING: &str = "*:*:*:*:*:*";

fn read(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    fs::read_to_string(folder.join(name)).unwrap()
}

fn cases() -> Value {
    serde_json::from_str(&read("allowlist_cases.json")).unwrap()
}

fn texts(list: &Value) -> Vec<&str> {
    let list = list.as_array().unwrap();
    list.iter().map(|text| text.as_str().unwrap()).collect()
}

/// Pairs of what is wrong with an ARN, and the ARN.
fn pairs(list: &Value) -> Vec<(&str, &str)> {
    let list = list.as_array().map_or(&[][..], Vec::as_slice);
    list.iter()
        .map(|pair| (pair[0].as_str().unwrap(), pair[1].as_str().unwrap()))
        .collect()
}

/// The statement in "AWS ParallelCluster API" (AWS ParallelCluster User Guide), and in the policies template that it
/// documents, as they stand there.
fn documented_elsewhere(partition: &str) -> Vec<String> {
    read("fixtures/additional-iam-policies.txt")
        .lines()
        .map(|line| {
            line.strip_prefix("- !Sub ")
                .unwrap()
                .replace("${AWS::Partition}", partition)
                .replace("${AWS::AccountId}", ACCOUNT)
        })
        .collect()
}

#[test]
fn the_default_list_is_the_documented_one_and_the_policy_of_pcs() {
    for partition in ["aws", "aws-cn", "aws-us-gov"] {
        let mut expected = documented_elsewhere(partition);
        assert_eq!(expected.len(), 12);
        expected.push(format!("arn:{partition}:iam::aws:policy/AWSPCSComputeNodePolicy"));
        assert_eq!(documented(partition, ACCOUNT), expected);
    }
}

#[test]
fn every_pattern_has_its_cases() {
    let cases = cases();
    let patterns: Vec<&str> = cases["patterns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|case| case["pattern"].as_str().unwrap())
        .collect();
    assert_eq!(patterns, documented("aws", ACCOUNT));
}

#[test]
fn each_pattern_lets_pass_what_it_says_and_nothing_else() {
    let cases = cases();
    for case in cases["patterns"].as_array().unwrap() {
        let pattern = case["pattern"].as_str().unwrap();
        let alone = Allowlist::parse(pattern).unwrap();
        for arn in texts(&case["passes"]) {
            assert!(alone.allows(arn), "{pattern} passes {arn}");
        }
        let refused = [pairs(&case["refused"]), pairs(&case["passesAnotherPattern"])].concat();
        for (why, arn) in refused {
            assert!(!alone.allows(arn), "{pattern} refuses {why}: {arn:?}");
        }
    }
}

#[test]
fn the_whole_list_lets_pass_no_more_than_its_patterns() {
    let cases = cases();
    let all = Allowlist::parse(&documented("aws", ACCOUNT).join(",")).unwrap();
    for case in cases["patterns"].as_array().unwrap() {
        let others = pairs(&case["passesAnotherPattern"]);
        let others = others.into_iter().map(|(_, arn)| arn);
        for arn in texts(&case["passes"]).into_iter().chain(others) {
            assert!(all.allows(arn), "{arn}");
        }
        for (why, arn) in pairs(&case["refused"]) {
            assert!(!all.allows(arn), "{why}: {arn:?}");
        }
    }
    for arn in texts(&cases["never"]) {
        assert!(!all.allows(arn), "{arn}");
    }
}

/// Another account's deployment lets this account's policies pass as little as the other way round.
#[test]
fn the_list_of_another_account_or_partition_is_another_list() {
    let cases = cases();
    let elsewhere = [documented("aws", "999999999999"), documented("aws-cn", ACCOUNT)];
    let [other_account, other_partition] = elsewhere.map(|list| Allowlist::parse(&list.join(",")).unwrap());
    for case in cases["patterns"].as_array().unwrap() {
        for arn in texts(&case["passes"]) {
            let of_aws = arn.contains(":aws:policy/");
            assert_eq!(other_account.allows(arn), of_aws, "{arn}");
            assert!(!other_partition.allows(arn), "{arn}");
        }
    }
}

/// Whatever an administrator writes as a pattern: what is not plainly a policy's ARN does not pass.
#[test]
fn no_pattern_lets_pass_what_is_not_a_policy_arn() {
    let cases = cases();
    let anything = Allowlist::parse(ANYTHING).unwrap();
    for arn in texts(&cases["shape"]["good"]) {
        assert!(is_policy_arn(arn) && anything.allows(arn), "{arn}");
    }
    for (why, arn) in pairs(&cases["shape"]["bad"]) {
        assert!(!is_policy_arn(arn) && !anything.allows(arn), "{why}: {arn}");
    }
    let path = |bytes: usize| format!("arn:aws:iam::aws:policy/{}name", "a/".repeat((bytes - 28) / 2));
    assert_eq!(path(2048).len(), 2048, "the longest ARN that IAM's API takes");
    assert!(anything.allows(&path(2048)));
    assert!(!anything.allows(&path(2050)));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// IAM's own pattern for names, written as what it does not contain.
    #[test]
    fn a_value_with_a_foreign_character_passes_no_pattern(
        before in "[a-z/]{0,6}", foreign in "[^A-Za-z0-9_+=,.@/-]", after in "[a-z]{0,6}",
    ) {
        let arn = format!("arn:aws:iam::{ACCOUNT}:policy/{before}{foreign}{after}");
        prop_assert!(!Allowlist::parse(ANYTHING).unwrap().allows(&arn));
    }
}
