use super::*;

fn documented_list() -> Allowlist {
    Allowlist::parse(&documented("aws", "123456789012").join(", ")).unwrap()
}

#[test]
fn every_documented_policy_passes() {
    let allowlist = documented_list();
    for arn in [
        "arn:aws:iam::123456789012:policy/parallelcluster-x",
        "arn:aws:iam::123456789012:policy/parallelcluster/x",
        "arn:aws:iam::aws:policy/CloudWatchAgentServerPolicy",
        "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore",
        "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole",
        "arn:aws:iam::aws:policy/AWSPCSComputeNodePolicy",
    ] {
        assert!(allowlist.allows(arn), "{arn}");
    }
}

#[test]
fn nothing_else_passes() {
    let allowlist = documented_list();
    for arn in [
        "arn:aws:iam::aws:policy/AdministratorAccess",
        "arn:aws:iam::aws:policy/AmazonS3FullAccess",
        "arn:aws:iam::aws:policy/cloudwatchagentserverpolicy",
        "arn:aws-cn:iam::aws:policy/CloudWatchAgentServerPolicy",
        "arn:aws:iam::123456789012:policy/CloudWatchAgentServerPolicy",
        "arn:aws:iam::999999999999:policy/parallelcluster-x",
        "arn:aws:iam::123456789012:policy/parallelcluster//x",
        "arn:aws:iam::123456789012:policy/parallelcluster*",
        "arn:aws:iam::123456789012:policy/parallelcluster?",
        "arn:aws:iam::123456789012:policy/parallelcluster x",
        "arn:aws:iam::123456789012:policy/parallelcluster\u{e9}",
        "arn:aws:iam::123456789012:policy/parallelcluster%2f..",
        "arn:aws:iam::123456789012:role/parallelcluster-x",
        "arn:aws:iam:us-east-1:123456789012:policy/parallelcluster-x",
        "ARN:aws:iam::123456789012:policy/parallelcluster-x",
        "",
    ] {
        assert!(!allowlist.allows(arn), "{arn}");
    }
}

#[track_caller]
fn check(list: &str, is_bounded: bool) {
    for partition in ["aws", "aws-cn", "aws-us-gov"] {
        let list = list.replace("PARTITION", partition);
        let faults = Allowlist::parse(&list).unwrap().faults(partition);
        assert_eq!(faults.is_empty(), is_bounded, "{list}: {faults:?}");
    }
}

/// However it is written: what lets an administrator's policy pass is no list.
#[test]
fn a_pattern_that_bounds_nothing_is_refused() {
    for list in [
        "*:*:*:*:*:*",
        "*:*:*:*:*:**",
        "arn:*:iam::*:*",
        "arn:*:*:*:*:*",
        "arn:PARTITION:iam::*:policy/*",
        "arn:PARTITION:iam::*:*",
        "arn:PARTITION:iam::a*:policy/*",
        "arn:PARTITION:iam::?ws:policy/*",
        "arn:PARTITION:iam:*:aws:policy/*",
        "arn:PARTITION:iam::aws:*",
        "arn:PARTITION:iam::aws:p*",
        "arn:PARTITION:iam::aws:policy/*",
        "arn:PARTITION:iam::aws:policy/**",
        "arn:PARTITION:iam::aws:policy/?*",
        "arn:PARTITION:iam::aws:policy/*?",
        "arn:PARTITION:iam::aws:policy/A*",
        "arn:PARTITION:iam::aws:policy/*Access",
        "arn:PARTITION:iam::aws:policy/*FullAccess",
        "arn:PARTITION:iam::aws:policy/Adm?nistratorAccess",
        "arn:PARTITION:iam::aws:policy/???????????????????",
        "arn:PARTITION:iam::aws:policy/IAM*",
        "arn:PARTITION:iam::aws:policy/Power*",
        "arn:PARTITION:iam::aws:policy/AmazonS3*,arn:PARTITION:iam::*:policy/*User*",
        "arn:PARTITION:iam::aws:policy/service-role/*",
        "arn:PARTITION:iam::aws:policy/service-role/AWS*",
        "arn:PARTITION:iam::aws:policy/*/*",
        "arn:PARTITION:iam::aws:policy/Amazon*",
        "arn:PARTITION:iam::aws:policy/AWS*",
        "arn:PARTITION:iam::aws:policy/AmazonElasticMapReduce*",
        "arn:PARTITION:iam::aws:policy/AWSSSO*",
        "arn:PARTITION:iam::aws:policy/*SpotFleet*",
        "arn:PARTITION:iam::*:policy/service-role/*Role",
    ] {
        check(list, false);
    }
}

#[test]
fn lists_that_bound_are_taken() {
    for list in [
        "",
        "arn:PARTITION:iam::123456789012:policy/team/*",
        "arn:PARTITION:iam::123456789012:policy/*",
        "arn:PARTITION:iam::*:policy/parallelcluster*",
        "arn:PARTITION:iam::aws:policy/AmazonS3*",
        "arn:PARTITION:iam::aws:policy/Amazon*ReadOnlyAccess",
        "arn:PARTITION:iam::aws:policy/*ReadOnlyAccess",
        "arn:PARTITION:iam::aws:policy/service-role/AWSLambda*",
        "arn:PARTITION:iam::aws:policy/service-role/AmazonEC2SpotFleetTaggingRole",
        "arn:PARTITION:iam::123456789012:policy/*o*",
        "arn:PARTITION:iam::123456789012:policy/service-role/*",
        "arn:PARTITION:iam::aws:policy/CloudWatch*",
        "arn:PARTITION:iam::aws:policy/AdministratorAccess",
        "arn:PARTITION:iam::aws:policy/IAMReadOnlyAccess",
    ] {
        check(list, true);
    }
    check(&documented("PARTITION", "123456789012").join(","), true);
}

#[test]
fn what_is_wide_on_purpose_is_warned_of() {
    let warnings = |list: &str| {
        let list = Allowlist::parse(list).unwrap();
        list.warnings("aws", "123456789012")
    };
    for (list, words) in [
        (
            "arn:aws:iam::aws:policy/AdministratorAccess",
            "anything in the account",
        ),
        (
            "arn:aws:iam::aws:policy/PowerUserAccess",
            "anything in the account",
        ),
        (
            "arn:aws:iam::aws:policy/AmazonElasticMapReduceFullAccess",
            "take other roles of the account",
        ),
    ] {
        let warnings = warnings(list);
        assert!(
            matches!(warnings.as_slice(), [warning] if warning.contains(words) && warning.contains(list)),
            "{list}: {warnings:?}"
        );
    }
    assert!(warnings(&documented("aws", "123456789012").join(",")).is_empty());
    for own in [
        "team/*",
        "*",
        "**",
        "*o*",
        "*A*,arn:aws:iam::123456789012:policy/*z*",
    ] {
        let list = format!("arn:aws:iam::123456789012:policy/{own}");
        assert!(warnings(&list).is_empty(), "the account's own choice: {list}");
    }
}

/// It lets nothing pass, so the function starts and says so.
#[test]
fn what_is_of_another_partition_or_account_is_told() {
    let warnings = |list: &str| {
        let list = Allowlist::parse(list).unwrap();
        list.warnings("aws", "123456789012")
    };
    for (list, words) in [
        (
            "arn:aws-cn:iam::aws:policy/AmazonS3ReadOnlyAccess",
            "the partition aws-cn",
        ),
        ("arn:aws-cn:iam::123456789012:policy/*", "the partition aws-cn"),
        ("arn:aws:iam::999999999999:policy/x", "the account 999999999999"),
        ("arn:*:iam::999999999999:policy/x*", "the account 999999999999"),
    ] {
        let warnings = warnings(list);
        assert!(
            matches!(warnings.as_slice(), [warning] if warning.contains(words) && warning.contains(list)),
            "{list}: {warnings:?}"
        );
    }
    for list in ["arn:*:iam::*:policy/team*", "arn:aws:iam::12345678901?:policy/x"] {
        assert!(warnings(list).is_empty(), "{list}");
    }
}

#[test]
fn a_pattern_that_can_match_nothing_is_refused() {
    for pattern in [
        "arn:aws:iam::123456789012:role/x",
        "arn:aws:iam::123456789012:policy",
        "arn:aws:iam::123456789012:policy/",
        "arn:aws:iam::123456789012:p?x/*",
        "arn:aws:iam::123456789012:x*",
        "arn:aws:s3:::bucket/*",
        "arn:aws:s3:us-east-1:123456789012:policy/x",
        "ARN:aws:iam::123456789012:policy/x",
        "arn:AWS:iam::123456789012:policy/x",
        "arn:aws:iam:us-east-1:123456789012:policy/x",
        "arn:aws:iam::12345:policy/x",
        "arn:aws:iam:::policy/x",
        "arn:aws:iam::aws:policy/x arn:aws:iam::aws:policy/y",
        "arn:aws:iam::aws:policy/x;arn:aws:iam::aws:policy/y",
        "\"arn:aws:iam::aws:policy/x\"",
        "arn:aws:iam::aws:policy/x y",
        "arn:aws:iam::aws:policy//x",
        "arn:aws:iam::aws:policy/a//*",
        "arn:aws:iam::aws:policy/*/",
        "arn:aws-:iam::aws:policy/x",
        "arn:aws-cn-:iam::aws:policy/x",
        "arn:aws-1:iam::aws:policy/x",
        "arn:*:iam::*:policy//x*",
        &format!("arn:aws:iam::aws:policy/{}", "x".repeat(129)),
        &format!("arn:*:iam::aws:policy/*{}", "x".repeat(129)),
    ] {
        let faults = Allowlist::parse(pattern).unwrap_err();
        assert!(
            matches!(faults.as_slice(), [fault] if fault.contains("can match no policy")),
            "{pattern}: {faults:?}"
        );
    }
}

#[test]
fn an_empty_list_lets_nothing_pass_and_a_short_pattern_is_refused() {
    assert!(
        !Allowlist::parse("")
            .unwrap()
            .allows("arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")
    );
    assert_eq!(
        Allowlist::parse("arn:aws:iam::aws:policy/x, *, arn:aws:*")
            .unwrap_err()
            .len(),
        2
    );
}
