//! What a person at the terminal gets wrong, and is told: which thing, and what to change.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt, process::Stdio};

use pcs_local::stack::{Options, Stack};

use crate::{
    commands::{ended, program, run, used},
    table::{TABLE, dynamodb},
};

#[tokio::test(flavor = "multi_thread")]
async fn the_table_is_named_once_by_a_variable() {
    let stack = used().await;
    let of_variable = |arguments: &[&str], table: &str| {
        let mut command = program(None, arguments);
        command
            .env("AWS_ENDPOINT_URL_DYNAMODB", &stack.dynamodb)
            .env("PCS_API_AUDIT_TABLE", table);
        command
    };
    let (status, told) = ended(of_variable(&["query"], TABLE)).await;
    assert_eq!((status, told.lines().count()), (Some(0), 4), "{told}");
    let (status, told) = ended(of_variable(&["query", "--table", TABLE], "another")).await;
    assert_eq!(
        (status, told.lines().count()),
        (Some(0), 4),
        "the argument counts: {told}"
    );
    let (status, told) = ended(of_variable(&["query"], "")).await;
    assert_eq!(status, Some(2));
    assert!(
        told.contains("--table") && told.contains("PCS_API_AUDIT_TABLE"),
        "{told}"
    );
    // A file is no table, whatever the variable says.
    let (status, told) = ended(of_variable(&["verify", "--file", "/does/not/exist"], TABLE)).await;
    assert_eq!(status, Some(2));
    assert!(told.contains("`/does/not/exist` could not be read"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_finds_nothing_by_mistake_is_refused_with_what_was_meant() {
    for (arguments, expected) in [
        (
            &["query", "--operation", "CreateClusters"][..],
            "did you mean CreateCluster?",
        ),
        (&["query", "--operation", "nonsense"], "must be one of "),
        (&["query", "--principal", "portal"], "ACCOUNT:NAME"),
        (
            &["query", "--principal", "arn:aws:iam::123456789012:role/Portal"],
            "get-role",
        ),
        (
            &["query", "--principal", "AROADBQP57FF2AEXAMPLE:portal"],
            "without a session name",
        ),
        (&["query", "--cluster", "demo cluster"], "the id of a cluster"),
        (&["query", "--request-id", "a b"], "a request id"),
        (&["query", "--of-region", "us-east-9"], "must be one of "),
        (&["query", "--decision", "PERHAPS"], "ALLOW"),
        (&["query", "--limit", "0"], "0 is not in 1.."),
        (
            &[
                "query",
                "--cluster",
                "abc",
                "--cluster",
                "abd",
                "--cluster",
                "abe",
                "--cluster",
                "abf",
                "--cluster",
                "abg",
            ],
            "give at most 4",
        ),
        (
            &["query", "--stack", "arn:aws:s3:::x"],
            "must be the name of a stack",
        ),
        (&["query", "--stack=-x"], "must be the name of a stack"),
        (&["query", "--stack", "a/b"], "must be the name of a stack"),
        (&["show", "demo-cluster"], "a ULID"),
        (&["tail", "--endpoint-url", "http://"], "must be a URL"),
        (&["tail", "--endpoint-url", "localhost:3003"], "must be a URL"),
        (&["tail", "--endpoint-url", "http://a b"], "must be a URL"),
        (&["verify", "--signed-from", "9999-01-01T00"], "in the future"),
    ] {
        let mut command = program(None, arguments);
        command.env("PCS_API_AUDIT_TABLE", TABLE);
        let (status, told) = ended(command).await;
        assert_eq!(
            (status, told.lines().count()),
            (Some(2), 1),
            "{arguments:?}: {told}"
        );
        assert!(told.contains(expected), "{arguments:?}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_word_is_told_in_one_sentence() {
    for (arguments, expected) in [
        (
            &[][..],
            "pcs-api-audit: 'pcs-api-audit' requires a subcommand but one was not provided; [subcommands: verify,",
        ),
        (&["qury"], "similar subcommand exists: 'query'; see --help"),
        (
            &["query", "--tabel", TABLE],
            "unexpected argument '--tabel' found; tip: ",
        ),
        (&["query", "--table"], "a value is required for '--table <NAME>'"),
        (
            &["query", "--limit", "-1"],
            "invalid value '-1' for '--limit <LIMIT>'",
        ),
        (
            &["tail", "--since", "-1h"],
            "must be a duration like 90s, 10m or 36h; see --help",
        ),
        (
            &["query", "--from", "-1h"],
            "invalid value '-1h' for '--from <TIME>'",
        ),
        (
            &["query", "--limit", "1", "--limit", "2"],
            "cannot be used multiple times",
        ),
        (
            &["export", "--to", "1h"],
            "were not provided: --from <TIME>; see --help",
        ),
        (&["show"], "were not provided: <EVENT_ID>; see --help"),
        (&["show", "a", "b"], "unexpected argument 'b' found; see --help"),
        (&["query", "--decision", "a\nb"], "see --help"),
    ] {
        let (status, told) = ended(program(None, arguments)).await;
        assert_eq!(
            (status, told.lines().count()),
            (Some(2), 1),
            "{arguments:?}: {told}"
        );
        assert!(told.contains(expected), "{arguments:?}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_that_cannot_be_made_is_named() {
    let stack = used().await;
    let folder = tempfile::tempdir().unwrap();
    for file in [folder.path().join("none/rows.jsonl"), folder.path().to_owned()] {
        let file = file.to_str().unwrap();
        let (status, told) = run(&stack, &["export", "--output", file]).await;
        assert_eq!((status, told.lines().count()), (Some(2), 1), "{told}");
        let expected = format!("--output `{file}` could not be written: ");
        assert!(told.contains(&expected) && !told.contains("at path"), "{told}");
    }
}

/// A disk without room, or any other output that takes nothing: what was not written was not done.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn an_output_that_takes_nothing_is_a_failure() {
    let stack = used().await;
    let id = run(&stack, &["query", "--limit", "1"]).await.1;
    let id = id.split_whitespace().last().unwrap().to_owned();
    for arguments in [
        &["verify"][..],
        &["verify", "--json"],
        &["query"],
        &["query", "--json"],
        &["tail"],
        &["tail", "--follow"],
        &["show", &id],
        &["show", &id, "--json"],
        &["export"],
        &["export", "--raw"],
        &["export", "--output", "/dev/full"],
        &["--help"],
        &["--version"],
        &["verify", "--help"],
    ] {
        let is_help = arguments
            .iter()
            .any(|word| ["--help", "--version"].contains(word));
        let mut command = program((!is_help).then_some(&stack), arguments);
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        command.stdout(full);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            (output.status.code(), told.lines().count()),
            (Some(2), 1),
            "{arguments:?}: {told}"
        );
        assert!(told.contains("be written"), "{arguments:?}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_are_found_in_any_case_and_events_too() {
    let stack = used().await;
    let (status, told) = run(&stack, &["query", "--operation", "createcluster"]).await;
    assert_eq!((status, told.lines().count()), (Some(0), 1), "{told}");
    let id = told.split_whitespace().last().unwrap().to_ascii_lowercase();
    assert_eq!(run(&stack, &["show", &id]).await.0, Some(0));
}

/// Nothing is read before the range is known to have an end that somebody would wait for.
#[tokio::test(flavor = "multi_thread")]
async fn a_range_that_costs_too_much_is_refused() {
    let old = "0001-01-01T00:00:00Z";
    for arguments in [
        &["query", "--from", old][..],
        &["query", "--from", old, "--principal", "AROADBQP57FF2AEXAMPLE"],
        &["query", "--from", old, "--cluster", "demo-cluster"],
        &["query", "--to", "9999-12-30T22:00:00Z"],
        &["export", "--from", old],
        &["export", "--raw", "--from", old, "--to", "9999-12-30T22:00:00Z"],
        &["tail", "--since", "100000h"],
        &["tail", "--follow", "--since", "100000h"],
    ] {
        let mut command = program(None, arguments);
        // Nothing listens there, and nobody asks.
        command
            .env("PCS_API_AUDIT_TABLE", TABLE)
            .env("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:9");
        let (status, told) = ended(command).await;
        assert_eq!(status, Some(2), "{arguments:?}: {told}");
        assert!(told.contains("days"), "{arguments:?}: {told}");
    }
    for arguments in [
        &["query", "--from", "9999-01-01"][..],
        &["query", "--from", "1h", "--to", "2h"],
        &["export", "--from", "9999-01-01"],
        &["export", "--from", "1h", "--to", "2h"],
    ] {
        let mut command = program(None, arguments);
        command.env("PCS_API_AUDIT_TABLE", TABLE);
        let (status, told) = ended(command).await;
        assert_eq!(status, Some(2), "{arguments:?}: {told}");
        assert!(
            told.contains("must begin before it ends"),
            "{arguments:?}: {told}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_cannot_be_read_is_told_apart_by_what_to_change() {
    let stack = Stack::start(Options::default()).await.unwrap();
    other_table(&stack).await;
    let closed = "http://127.0.0.1:9";
    // The page is HTTP, and no DynamoDB.
    let page = stack.page.clone();
    let event_id = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
    for command in [
        &["query"][..],
        &["tail"],
        &["verify"],
        &["export"],
        &["export", "--from", "1h"],
        &["show", event_id],
    ] {
        let told = |table: &str, endpoint: &str, has_keys: bool| {
            let mut command = program(None, command);
            command
                .env("PCS_API_AUDIT_TABLE", table)
                .env("AWS_ENDPOINT_URL_DYNAMODB", endpoint);
            command.env("AWS_MAX_ATTEMPTS", "1");
            if !has_keys {
                command
                    .env_remove("AWS_ACCESS_KEY_ID")
                    .env_remove("AWS_SECRET_ACCESS_KEY");
            }
            ended(command)
        };
        for ((status, told), expected) in [
            (
                told("nope", &stack.dynamodb, true).await,
                "there is no table `nope` in Region us-east-1",
            ),
            (
                told(TABLE, closed, true).await,
                "no DynamoDB answers at http://127.0.0.1:9; change --endpoint-url",
            ),
            (
                told(TABLE, &page, true).await,
                "is no DynamoDB; change --endpoint-url",
            ),
            (
                told(TABLE, &stack.dynamodb, false).await,
                "there are no credentials; give --profile",
            ),
        ] {
            assert_eq!(status, Some(2), "{command:?}: {told}");
            assert!(told.contains(expected), "{command:?}: {expected}: {told}");
            assert_eq!(told.lines().count(), 1, "{command:?}: {told}");
        }
    }
    for command in [&["query"][..], &["tail"], &["export", "--from", "1h"]] {
        let mut command = program(None, command);
        command
            .env("PCS_API_AUDIT_TABLE", "another")
            .env("AWS_ENDPOINT_URL_DYNAMODB", &stack.dynamodb);
        let (status, told) = ended(command).await;
        assert_eq!(status, Some(2), "{told}");
        assert!(told.contains("`another` lacks an index of the audit's"), "{told}");
    }
}

/// A table as others have it: a key and no index.
async fn other_table(stack: &Stack) {
    use aws_sdk_dynamodb::types::{
        AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
    };
    let client = dynamodb(&stack.dynamodb);
    let mut create = client
        .create_table()
        .table_name("another")
        .billing_mode(BillingMode::PayPerRequest);
    for (name, kind) in [("pk", KeyType::Hash), ("sk", KeyType::Range)] {
        let attribute = AttributeDefinition::builder()
            .attribute_name(name)
            .attribute_type(ScalarAttributeType::S);
        let key = KeySchemaElement::builder().attribute_name(name).key_type(kind);
        create = create
            .attribute_definitions(attribute.build().unwrap())
            .key_schema(key.build().unwrap());
    }
    create.send().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_utf8_is_named() {
    let odd = OsStr::from_bytes(b"caf\xe9");
    for variable in ["PCS_API_AUDIT_TABLE", "AWS_REGION", "AWS_PROFILE"] {
        let mut command = program(None, &["query", "--table", TABLE]);
        command.env(variable, odd);
        let (status, told) = ended(command).await;
        assert_eq!(status, Some(2), "{told}");
        assert!(told.contains(&format!("{variable} is not UTF-8")), "{told}");
    }
    let mut command = program(None, &["query", "--table"]);
    command.arg(odd);
    let (status, told) = ended(command).await;
    assert_eq!(status, Some(2), "{told}");
    assert!(told.contains("--table: the value is not UTF-8"), "{told}");
}

/// What the SDK's loader would panic at, and what its client would say in words of its own.
#[tokio::test(flavor = "multi_thread")]
async fn garbage_in_a_variable_is_one_sentence_that_names_it() {
    for (variable, value) in [
        ("AWS_MAX_ATTEMPTS", "x"),
        ("AWS_MAX_ATTEMPTS", "0"),
        ("AWS_ENDPOINT_URL_DYNAMODB", "!!"),
        ("AWS_ENDPOINT_URL", "http://"),
        ("AWS_REGION", "!!"),
        ("AWS_USE_FIPS_ENDPOINT", "yes"),
        ("AWS_USE_DUALSTACK_ENDPOINT", "1"),
        ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "x"),
        ("AWS_RETRY_MODE", "x"),
    ] {
        let mut command = program(None, &["query", "--table", TABLE]);
        command.env("AWS_REGION", "us-east-1").env(variable, value);
        let (status, told) = ended(command).await;
        assert_eq!(
            (status, told.trim_end().lines().count()),
            (Some(2), 1),
            "{variable}={value}: {told}"
        );
        assert!(told.contains(variable), "{variable}={value}: {told}");
    }
}

/// The SDK would take the keys of the environment, and ask another account.
#[tokio::test(flavor = "multi_thread")]
async fn a_profile_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config");
    let run = async |text: &str, arguments: &[&str], profile: &str| {
        std::fs::write(&config, text).unwrap();
        let place = ["tail", "--table", TABLE, "--region", "us-east-1"];
        let mut command = program(
            None,
            &[&place[..], &["--endpoint-url", "http://127.0.0.1:9"], arguments].concat(),
        );
        command
            .env("AWS_CONFIG_FILE", &config)
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .env("AWS_PROFILE", profile)
            .env("AWS_MAX_ATTEMPTS", "1");
        let (status, told) = ended(command).await;
        assert_eq!((status, told.trim_end().lines().count()), (Some(2), 1), "{told}");
        told
    };
    let two = "[profile one]\nregion = us-east-1\n[profile two]\nregion = us-east-1\n";
    let told = run(two, &["--profile", "nope"], "one").await;
    assert!(told.contains("--profile: there is no profile `nope`"), "{told}");
    assert!(told.contains("there are one, two"), "{told}");
    let told = run(two, &[], "nope").await;
    assert!(told.contains("AWS_PROFILE: there is no profile `nope`"), "{told}");
    let told = run("", &[], "nope").await;
    assert!(told.contains("there are none"), "{told}");
    for fit in ["one", "default", ""] {
        let told = run(two, &[], fit).await;
        assert!(told.contains("no DynamoDB answers"), "{fit}: {told}");
    }
    let told = run("[profile one\n", &[], "one").await;
    assert!(
        told.contains("configuration could not be read") && told.contains("line 1"),
        "{told}"
    );
}

/// The exit status is in every help.
#[tokio::test(flavor = "multi_thread")]
async fn help_says_what_the_status_means() {
    for arguments in [
        &["--help"][..],
        &["verify", "--help"],
        &["query", "-h"],
        &["tail", "--help"],
        &["show", "-h"],
        &["export", "-h"],
    ] {
        let (status, told) = ended(program(None, arguments)).await;
        assert_eq!(status, Some(0));
        assert!(told.contains("Exit status: 0: done"), "{told}");
    }
}

/// `| head -1`, and a reader of both who is gone before the first line.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_who_is_gone_is_no_panic() {
    let stack = used().await;
    let id = run(&stack, &["query", "--limit", "1"]).await.1;
    let id = id.split_whitespace().last().unwrap().to_owned();
    for (arguments, expected) in [
        (&["query"][..], Some(0)),
        (&["query", "--json"], Some(0)),
        (&["tail"], Some(0)),
        (&["show", &id], Some(0)),
        (&["show", &id, "--json"], Some(0)),
        (&["export"], Some(0)),
        (&["export", "--raw"], Some(0)),
        (&["verify"], Some(0)),
        (&["--help"], Some(2)),
        (&["query", "--from", "9999-01-01"], Some(2)),
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = program(Some(&stack), arguments);
        command
            .stdout(Stdio::from(writer.try_clone().unwrap()))
            .stderr(Stdio::from(writer));
        let status = tokio::task::spawn_blocking(move || command.status().unwrap())
            .await
            .unwrap();
        assert_ne!(status.code(), Some(101), "{arguments:?}");
        if arguments != ["--help"] {
            assert_eq!(status.code(), expected, "{arguments:?}");
        }
    }
}

/// The connector panics where no certificate is left to trust, whatever the endpoint.
#[tokio::test(flavor = "multi_thread")]
async fn certificates_that_cannot_be_trusted_are_one_sentence() {
    for (variable, value) in [
        ("SSL_CERT_FILE", "/dev/null/none"),
        ("SSL_CERT_FILE", "/dev/zero"),
        ("SSL_CERT_DIR", "/dev/null"),
    ] {
        for arguments in [
            &["query", "--table", TABLE][..],
            &["verify", "--table", TABLE],
            &["tail", "--stack", "pcs-api"],
        ] {
            let mut command = program(None, arguments);
            command.env(variable, value);
            let (status, told) = ended(command).await;
            assert_eq!(
                (status, told.trim_end().lines().count()),
                (Some(2), 1),
                "{arguments:?}: {told}"
            );
            assert!(
                told.contains(variable) && told.contains(value),
                "{arguments:?}: {told}"
            );
        }
    }
}
