use std::collections::BTreeMap;

use super::*;

fn variables() -> BTreeMap<&'static str, &'static str> {
    BTreeMap::from([
        ("PCS_API_REGION_SCOPE", "*"),
        ("PCS_API_ACCOUNT_ID", "123456789012"),
        ("PCS_API_PARTITION", "aws"),
        ("PCS_API_REST_API_ID", "a1b2c3d4e5"),
        ("PCS_API_STAGE", "prod"),
        ("PCS_API_AUDIT_TABLE", "pcs-api-audit"),
        ("PCS_API_AUDIT_RETENTION_DAYS", "365"),
        ("PCS_API_AUDIT_SIGNING_KEY", ""),
        ("PCS_API_ADDITIONAL_IAM_POLICIES", ""),
        ("PCS_API_PERMISSIONS_BOUNDARY", ""),
        ("PCS_API_ENABLE_IAM_ADMIN_ACCESS", "false"),
        ("PCS_API_ENABLE_INSTANCE_REGISTRATION", "false"),
        ("PCS_API_LIFECYCLE_SCRIPTS", "CHECKSUM_OUTSIDE_S3"),
        ("PCS_API_LOG_LEVEL", "INFO"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "ASIAIOSFODNN7EXAMPLE"),
        (
            "AWS_SECRET_ACCESS_KEY",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        ),
    ])
}

fn read(variables: &BTreeMap<&str, &str>) -> Result<Config, ConfigError> {
    Config::read(|name| variables.get(name).map(|value| (*value).to_owned()))
}

#[test]
fn every_missing_variable_is_named_at_once() {
    let ConfigError(errors) = read(&BTreeMap::new()).unwrap_err();
    for name in variables().keys() {
        assert!(errors.iter().any(|error| error.starts_with(name)), "{name}");
    }
}

#[test]
fn each_wrong_value_is_refused_and_named() {
    assert!(read(&variables()).is_ok());
    for (name, value) in [
        ("PCS_API_REGION_SCOPE", "mars-1"),
        ("PCS_API_REGION_SCOPE", "us-gov-west-1"),
        ("PCS_API_ACCOUNT_ID", "12345678901"),
        ("PCS_API_PARTITION", "gcp"),
        ("PCS_API_REST_API_ID", "a/b"),
        ("PCS_API_STAGE", "test-invoke-stage"),
        ("PCS_API_AUDIT_TABLE", "ab"),
        ("PCS_API_AUDIT_RETENTION_DAYS", "0"),
        ("PCS_API_AUDIT_RETENTION_DAYS", "4000"),
        ("PCS_API_AUDIT_SIGNING_KEY", "alias/audit"),
        ("PCS_API_ADDITIONAL_IAM_POLICIES", "*"),
        ("PCS_API_ADDITIONAL_IAM_POLICIES", "*:*:*:*:*:*"),
        ("PCS_API_ADDITIONAL_IAM_POLICIES", "arn:aws:iam::*:policy/*"),
        ("PCS_API_ADDITIONAL_IAM_POLICIES", "arn:aws:iam::aws:policy/*"),
        ("PCS_API_ADDITIONAL_IAM_POLICIES", " , ,,"),
        ("PCS_API_ALLOWED_INLINE_ACTIONS", "*"),
        ("PCS_API_ALLOWED_INLINE_ACTIONS", "s3:Get*,s3*:Put"),
        ("PCS_API_PERMISSIONS_BOUNDARY", "Guard"),
        ("PCS_API_ENABLE_IAM_ADMIN_ACCESS", "yes"),
        ("PCS_API_ENABLE_INSTANCE_REGISTRATION", ""),
        ("PCS_API_LIFECYCLE_SCRIPTS", "none"),
        ("PCS_API_LOG_LEVEL", "info"),
        ("AWS_REGION", "mars-1"),
        ("AWS_REGION", "us-gov-west-1"),
        ("AWS_ENDPOINT_URL_PCS", "127.0.0.1:3001"),
        ("AWS_USE_FIPS_ENDPOINT", "1"),
    ] {
        let mut variables = variables();
        variables.insert(name, value);
        let ConfigError(errors) = read(&variables).unwrap_err();
        assert!(
            matches!(errors.as_slice(), [error] if error.starts_with(name)),
            "{name}={value}: {errors:?}"
        );
    }
}

/// Of every variable that the function reads: what nobody means, and whether a value that is not set, or empty, will do.
#[test]
fn garbage_in_any_variable_is_one_sentence_that_names_it() {
    let long = "a".repeat(5_000);
    // Not UTF-8 comes as U+FFFD.
    let never = [
        " ",
        "!!garbage!!",
        "a\u{1}b",
        "a\u{7f}b",
        "a\nb",
        "pr\u{fffd}d",
        "ä",
        "[]",
        "null",
        &long,
    ];
    let optional = [
        "PCS_API_AUDIT_SIGNING_KEY",
        "PCS_API_ADDITIONAL_IAM_POLICIES",
        "PCS_API_PERMISSIONS_BOUNDARY",
        "PCS_API_ALLOWED_INLINE_ACTIONS",
        "AWS_USE_FIPS_ENDPOINT",
        "AWS_SESSION_TOKEN",
    ];
    let opaque = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];
    let names = variables::OWN
        .iter()
        .chain(&variables::LAMBDA)
        .chain(&variables::ENDPOINTS);
    for name in names {
        for value in never {
            let printable = value.len() > 1 && value.bytes().all(|byte| byte.is_ascii_graphic());
            let api_id = *name == "PCS_API_REST_API_ID" && value == "null";
            let stage = *name == "PCS_API_STAGE" && value == "null";
            let table = *name == "PCS_API_AUDIT_TABLE" && value == "null";
            if (opaque.contains(name) && printable) || api_id || stage || table {
                continue;
            }
            let ConfigError(errors) = changed(name, value).expect_err(&format!("{name}={value:.40}"));
            assert!(
                matches!(errors.as_slice(), [error] if error.starts_with(name)),
                "{name}={value:.40}: {errors:?}"
            );
            assert!(
                !errors[0].contains(char::is_control),
                "{name}={value:.40}: {errors:?}"
            );
        }
        let may_be_empty = optional.contains(name) || variables::ENDPOINTS.contains(name);
        assert_eq!(changed(name, "").is_ok(), may_be_empty, "{name}=");
    }
}

fn changed(name: &'static str, value: &str) -> Result<Config, ConfigError> {
    let mut variables = variables();
    variables.insert(name, value);
    read(&variables)
}

/// One list of the names, so that what `cargo local` lets through is what the function reads.
#[test]
fn every_variable_that_is_read_is_in_the_list_and_in_the_template() {
    let asked = std::cell::RefCell::new(std::collections::BTreeSet::new());
    let _ = Config::read(|name| {
        asked.borrow_mut().insert(name.to_owned());
        variables().get(name).map(|value| (*value).to_owned())
    });
    let groups = [
        &variables::OWN[..],
        &variables::ENDPOINTS,
        &variables::CERTIFICATES,
        &variables::LAMBDA,
    ];
    let listed = groups.concat().into_iter().map(str::to_owned).collect();
    assert_eq!(*asked.borrow(), listed);
    let template = include_str!("../../template.yaml");
    let readme = include_str!("../../README.md");
    for name in variables::OWN {
        assert!(template.contains(&format!("          {name}: ")), "{name}");
        assert!(readme.contains(&format!("`{name}`")), "{name}");
    }
}

/// What is no endpoint is known before the first call, which would fail with the words of whoever tried to call it.
#[test]
fn an_endpoint_is_scheme_host_and_port() {
    let good = [
        "http://127.0.0.1:3001",
        "http://localhost:1/",
        "https://vpce-1.kms.us-east-1.vpce.amazonaws.com",
        "https://dynamodb.us-east-1.amazonaws.com:443",
        "http://[::1]:8000",
        "http://[::1]",
        "http://dynamodb_local:8000",
    ];
    for name in variables::ENDPOINTS {
        for value in good {
            assert!(changed(name, value).is_ok(), "{name}={value}");
        }
        for value in [
            "http://",
            "https://",
            "http:///",
            "http://a b",
            "ftp://x",
            "localhost:3001",
            "//x",
            "http:/x",
            "http:x",
            "HTTP//x",
            "http://x/path",
            "http://x//",
            "http://x?a=b",
            "http://x#a",
            "http://user@x",
            "http://user:pass@x:1",
            "http://x:",
            "http://x:0",
            "http://x:65536",
            "http://x:+1",
            "http://x:1:2",
            "http://:1",
            "http://.",
            "http://a..b",
            "http://-a",
            "http://a-",
            "http://1.2.3",
            "http://999.1.1.1",
            "http://[::1",
            "http://[x]",
            "http://[::1]x",
            "http://[::1]:",
            "http://x ",
            " http://x",
            "http://x\n",
            "http://x\\y",
            "http://%41",
            "http://ä",
        ] {
            let ConfigError(errors) = changed(name, value).expect_err(value);
            assert!(
                matches!(errors.as_slice(), [error] if error.starts_with(name)),
                "{name}={value}: {errors:?}"
            );
        }
    }
}

#[test]
fn what_aws_would_not_take_is_refused() {
    let stage = "a".repeat(129);
    let table = "a".repeat(256);
    for (name, value) in [
        ("PCS_API_STAGE", "$default"),
        ("PCS_API_STAGE", "prod/v1"),
        ("PCS_API_STAGE", &stage),
        ("PCS_API_PARTITION", "aws-"),
        ("PCS_API_PARTITION", "aws-CN"),
        ("PCS_API_AUDIT_TABLE", "my table"),
        (
            "PCS_API_AUDIT_TABLE",
            "arn:aws:dynamodb:us-east-1:123456789012:table/t",
        ),
        ("PCS_API_AUDIT_TABLE", &table),
        ("PCS_API_AUDIT_RETENTION_DAYS", "+365"),
        ("PCS_API_AUDIT_RETENTION_DAYS", "-1"),
        ("PCS_API_AUDIT_RETENTION_DAYS", "1e3"),
        ("PCS_API_AUDIT_RETENTION_DAYS", "99999999999999999999"),
        (
            "PCS_API_AUDIT_SIGNING_KEY",
            "arn:aws:kms:us-east-1:123456789012:alias/audit",
        ),
        (
            "PCS_API_AUDIT_SIGNING_KEY",
            "arn:aws:kms:us-east-1:123456789012:key/",
        ),
        ("PCS_API_AUDIT_SIGNING_KEY", "arn:aws:kms:us-east-1:1:key/a"),
        ("PCS_API_AUDIT_SIGNING_KEY", "arn:aws evil:kms:x:key/"),
        (
            "PCS_API_ADDITIONAL_IAM_POLICIES",
            "arn:aws:iam::aws:policy/A,\u{1}*:aws:iam::aws:policy/A",
        ),
    ] {
        let ConfigError(errors) = changed(name, value).expect_err(&format!("{name}={value}"));
        assert!(
            matches!(errors.as_slice(), [error] if error.starts_with(name)),
            "{name}={value}: {errors:?}"
        );
    }
    let mrk = "arn:aws:kms:us-east-1:123456789012:key/mrk-1234abcd12ab34cd56ef1234567890ab";
    assert!(changed("PCS_API_AUDIT_SIGNING_KEY", mrk).is_ok());
    let lines = "arn:aws:iam::aws:policy/A,\n  arn:aws:iam::aws:policy/B";
    assert!(
        changed("PCS_API_ADDITIONAL_IAM_POLICIES", lines).is_ok(),
        "lists may be broken into lines"
    );
}

#[test]
fn amazons_roots_are_trusted_where_they_sign_and_nothing_else_is_asked_for() {
    let trust = |changes: &[(&'static str, &'static str)]| {
        let mut variables = variables();
        variables.extend(changes.iter().copied());
        read(&variables).unwrap().aws.trust
    };
    assert_eq!(trust(&[("SSL_CERT_FILE", "")]), Trust::Amazon);
    assert_eq!(trust(&[("SSL_CERT_FILE", "/etc/ca.pem")]), Trust::System);
    assert_eq!(trust(&[("SSL_CERT_DIR", "/etc/certs")]), Trust::System);
    for (partition, region, expected) in [
        ("aws-us-gov", "us-gov-west-1", Trust::Amazon),
        ("aws-eusc", "eusc-de-east-1", Trust::System),
        ("aws-iso", "us-iso-east-1", Trust::System),
    ] {
        let found = trust(&[("PCS_API_PARTITION", partition), ("AWS_REGION", region)]);
        assert_eq!(found, expected, "{partition}");
    }
}

/// An update can bring the code before the variables. What is not there yet allows nothing.
#[test]
fn without_the_variables_of_this_version_the_function_starts_and_is_closed() {
    let config = read(&variables()).unwrap();
    let allowed: Vec<&str> = config.policy.inline_actions.patterns().collect();
    assert_eq!(allowed, ["pcs:RegisterComputeNodeGroupInstance"]);
    assert!(!config.aws.fips);
    let mut variables = variables();
    variables.insert("PCS_API_ALLOWED_INLINE_ACTIONS", "s3:Get*");
    let policy = read(&variables).unwrap().policy;
    let allowed: Vec<&str> = policy.inline_actions.patterns().collect();
    assert_eq!(allowed, ["pcs:RegisterComputeNodeGroupInstance", "s3:Get*"]);
}

/// Every Region of the contract is reached from one partition, and from no other.
#[test]
fn callers_reach_the_regions_of_the_partition() {
    let reached = |partition, region| {
        let mut variables = variables();
        variables.insert("PCS_API_PARTITION", partition);
        variables.insert("AWS_REGION", region);
        let regions = read(&variables).unwrap().regions;
        regions.names().into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    for (partition, regions) in [
        ("aws-us-gov", &["us-gov-east-1", "us-gov-west-1"][..]),
        ("aws-eusc", &["eusc-de-east-1"]),
        ("aws-iso", &["us-iso-east-1", "us-iso-west-1"]),
        ("aws-iso-b", &["us-isob-east-1", "us-isob-west-1"]),
        ("aws-iso-e", &["eu-isoe-west-1"]),
        ("aws-iso-f", &["us-isof-east-1", "us-isof-south-1"]),
    ] {
        assert_eq!(reached(partition, regions[0]), regions);
    }
    let commercial = reached("aws", "us-east-1");
    assert_eq!(commercial.len(), contract::REGIONS.len() - 10);
    assert!(commercial.contains(&"us-east-1".to_owned()) && commercial.contains(&"eu-west-1".to_owned()));
    let refusal = read(&variables()).unwrap().regions.refusal("mars-1");
    assert!(
        refusal.contains("us-east-1") && !refusal.contains("us-gov"),
        "{refusal}"
    );
}

/// The SDK would refuse each call with both (rule set of its endpoints: "FIPS and custom endpoint are not
/// supported").
#[test]
fn fips_endpoints_are_asked_for_by_awss_variable_and_stand_alone() {
    let mut variables = variables();
    for (value, expected) in [("", false), ("false", false), ("true", true)] {
        variables.insert("AWS_USE_FIPS_ENDPOINT", value);
        assert_eq!(read(&variables).unwrap().aws.fips, expected, "{value}");
    }
    variables.insert(
        "AWS_ENDPOINT_URL_KMS",
        "https://vpce-1.kms.us-east-1.vpce.amazonaws.com",
    );
    let ConfigError(errors) = read(&variables).unwrap_err();
    assert!(
        matches!(errors.as_slice(), [error] if error.starts_with("AWS_ENDPOINT_URL_KMS must be empty")),
        "{errors:?}"
    );
}

/// `serde_json` keeps the members of a `Value` sorted.
#[test]
fn the_hash_is_that_of_sorted_json() {
    let config = read(&variables()).unwrap();
    let sorted = serde_json::json!({
        "stage": "prod",
        "signingKey": null,
        "retentionDays": 365,
        "guardrails": config.policy.describe(&config.regions),
        "apiId": "a1b2c3d4e5",
    });
    assert_eq!(config.hash(), crate::hex(&Sha256::digest(sorted.to_string())));
}

#[test]
fn secrets_are_not_printed() {
    let config = read(&variables()).unwrap();
    assert!(!format!("{config:?}").contains("EXAMPLEKEY"));
}

/// A function that is deployed and that does not start answers nobody. tests/deploy holds the template
/// against the same values; `n128` stands for a name of 128 characters.
#[test]
fn what_the_template_takes_is_a_configuration() {
    let values = include_str!("../../tests/deploy/data/parameter-values.json");
    let values: serde_json::Value = serde_json::from_str(values).unwrap();
    let fill = |text: &str| {
        [128, 129, 200].iter().fold(text.to_owned(), |text, length| {
            text.replace(&format!("n{length}"), &"n".repeat(*length))
        })
    };
    for (parameter, told) in values.as_object().unwrap() {
        let name = told["variable"].as_str().unwrap();
        for (verdict, is_taken) in [("accepted", true), ("refused", false)] {
            for value in told[verdict].as_array().unwrap() {
                let value = fill(value.as_str().unwrap());
                let mut variables = variables();
                variables.insert(name, &value);
                let read = read(&variables);
                assert_eq!(read.is_ok(), is_taken, "{parameter}={value}: {:?}", read.err());
            }
        }
    }
}

#[test]
fn a_boundary_of_elsewhere_and_wide_actions_are_told_at_start() {
    let mut variables = variables();
    variables.insert(
        "PCS_API_PERMISSIONS_BOUNDARY",
        "arn:aws:iam::999999999999:policy/Guard",
    );
    variables.insert("PCS_API_ALLOWED_INLINE_ACTIONS", "iam:*");
    let warnings = read(&variables).unwrap().warnings();
    assert!(
        matches!(warnings.as_slice(), [actions, boundary]
            if actions.contains("`iam:*`") && boundary.contains("the account 999999999999")),
        "{warnings:?}"
    );
}
