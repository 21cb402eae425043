//! What is wrong with a start is one sentence that names the flag, the variable or the file.

use std::{
    ffi::OsStr,
    fs,
    io::{Read, Write},
    net::TcpListener,
    process::{Command, Stdio},
};

use crate::program::{Running, place, program, refused};

#[test]
fn garbage_in_any_flag_is_one_sentence_that_names_it() {
    let port = &["", "x", "-1", "65536", "1e3"][..];
    for (flag, values) in [
        (
            "--host",
            &["", "x", "localhost", "127.0.0.1:1", "203.0.113.1"][..],
        ),
        ("--allow-host", &["", "http://x", "a b"]),
        ("--port", port),
        ("--pcs-port", port),
        ("--iam-port", port),
        ("--dynamodb-port", port),
        ("--page-port", port),
        ("--data-dir", &["", "/dev/null", "/proc/none"]),
        (
            "--transition-seconds",
            &["", "x", "-1", "NaN", "inf", "-inf", "1e300"],
        ),
        (
            "--sweep-seconds",
            &[
                "",
                "x",
                "-1",
                "1.5",
                "18446744073709551615",
                "18446744073709551616",
                "31536001",
            ],
        ),
        (
            "--credentials",
            &["", "/dev/null/x", "/", "/dev/null", "/dev/zero"],
        ),
        ("--no-such-flag", &["x"]),
    ] {
        for value in values {
            let told = refused(&mut program(&[flag.as_ref(), value.as_ref()]));
            assert!(told.contains(flag), "{flag} {value}: {told}");
        }
        #[cfg(unix)]
        {
            use std::os::unix::ffi::OsStrExt;
            let value = OsStr::from_bytes(b"/dev/null/\xff\n/");
            let told = refused(&mut program(&[flag.as_ref(), value]));
            assert!(told.contains(flag), "{flag}: {told}");
        }
        let told = refused(&mut program(&[flag.as_ref()]));
        assert!(told.contains(flag), "{flag}: {told}");
    }
    assert!(refused(&mut program(&["argument".as_ref()])).contains("argument"));
    let told = refused(&mut program(&["--host".as_ref(), "localhost".as_ref()]));
    assert!(
        told.contains("not an IP address; give 127.0.0.1"),
        "what to give: {told}"
    );
    let told = refused(&mut program(&["--prot".as_ref(), "1".as_ref()]));
    assert!(told.contains("--port"), "what was meant: {told}");
}

#[test]
fn ports_that_cannot_be_had_are_told_with_their_flag() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for flag in [
        "--port",
        "--pcs-port",
        "--iam-port",
        "--dynamodb-port",
        "--page-port",
    ] {
        let told = refused(&mut program(&[flag.as_ref(), port.as_ref()]));
        assert!(
            told.contains(&format!("{flag} {port}: another program uses this port")),
            "{told}"
        );
        let other = if flag == "--port" { "--page-port" } else { "--port" };
        let same = [flag, "45678", other, "45678"].map(OsStr::new);
        let told = refused(&mut program(&same));
        assert!(
            told.contains(flag) && told.contains(other) && told.contains("45678"),
            "{told}"
        );
    }
}

#[test]
fn garbage_in_any_variable_is_refused_before_ready() {
    let variables = pcs_api::config::variables::OWN
        .iter()
        .chain(&pcs_api::config::variables::ENDPOINTS);
    let others = [
        "PCS_LOCAL_LOG",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "AWS_USE_FIPS_ENDPOINT",
    ];
    for name in variables.chain(&others) {
        let told = refused(program(&[]).env(name, "!!garbage!!="));
        assert!(told.contains(name), "{name}: {told}");
        #[cfg(unix)]
        {
            use std::os::unix::ffi::OsStrExt;
            let told = refused(program(&[]).env(name, OsStr::from_bytes(b"pr\xffd\n=")));
            assert!(told.contains(name), "{name}: {told}");
        }
    }
    let told = refused(program(&[]).env("PCS_EMULATOR_RECORD", "/dev/null/x"));
    assert!(told.contains("PCS_EMULATOR_RECORD"), "{told}");
}

#[cfg(unix)]
#[test]
fn variables_that_are_none_of_ours_stop_nothing_and_a_misspelt_one_is_told() {
    use std::os::unix::ffi::OsStrExt;

    let mut command = program(&[]);
    command
        .env(OsStr::from_bytes(b"OTHER\xff"), OsStr::from_bytes(b"\xff"))
        .env("AWS_REGION", "eu-west-1")
        .env("AWS_USE_FIPS_ENDPOINT", "true")
        .env("AWS_ENDPOINT_URL_KMS", "http://127.0.0.1:1")
        .env("PCS_EMULATOR_RECORD", "")
        .env("AWS_USE_DUALSTACK_ENDPOINT", "true")
        .env("PCS_API_STAGEE", "beta");
    let told = Running::start(&mut command).kill();
    for part in [
        "AWS_USE_FIPS_ENDPOINT has no effect here",
        "AWS_USE_DUALSTACK_ENDPOINT is no variable",
    ] {
        assert!(told.contains(part), "{told}");
    }
    assert!(
        told.contains("PCS_API_STAGEE is no variable") && told.contains("did you mean PCS_API_STAGE?"),
        "{told}"
    );
}

/// It says who may call, and gives a call that works when it is pasted.
#[test]
fn the_hello_has_keys_and_a_call_to_paste() {
    let running = Running::start(&mut program(&[]));
    let gateway = running.url("gateway").to_owned();
    let told = {
        // All of it is written before READY.
        let curl = format!(
            "  curl --aws-sigv4 aws:amz:us-east-1:execute-api --user \
                            AKIAIOSFODNN7EXAMPLE:wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY {gateway}/v1/clusters"
        );
        let has_curl = Command::new("curl").arg("--version").output().is_ok_and(|said| {
            let said = String::from_utf8_lossy(&said.stdout).into_owned();
            said.contains("curl 8.") || said.contains("curl 7.88")
        });
        if has_curl {
            let answer = Command::new("sh").args(["-c", &curl]).output().unwrap();
            assert_eq!(String::from_utf8(answer.stdout).unwrap(), r#"{"clusters":[]}"#);
        }
        let told = running.kill();
        assert!(told.contains(&curl), "{told}");
        told
    };
    for word in [
        "AKIAI44QH8DHBEXAMPLE",
        "je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY",
        "AWSPCS-compute-node",
    ] {
        assert!(told.contains(word), "{told}");
    }
}

#[test]
fn an_output_that_is_closed_is_no_panic() {
    let closed = || {
        let (reader, closed) = std::io::pipe().unwrap();
        drop(reader);
        closed
    };
    let output = program(&[])
        .stdout(closed())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
        .wait_with_output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{told}");
    let last = told.lines().last().unwrap();
    assert!(
        last.starts_with("pcs-local: standard output cannot be written to: "),
        "{told}"
    );
    assert!(!told.contains("panicked"), "{told}");
    assert_eq!(
        program(&["--help".as_ref()])
            .stdout(closed())
            .status()
            .unwrap()
            .code(),
        Some(0)
    );
    assert_eq!(
        program(&["--no".as_ref()])
            .stderr(closed())
            .status()
            .unwrap()
            .code(),
        Some(2)
    );
    let both = program(&[]).stdout(closed()).stderr(closed()).status().unwrap();
    assert_eq!(both.code(), Some(2));
}

#[test]
fn a_dynamodb_that_is_none_is_told_by_its_variable() {
    const NAME: &str = "AWS_ENDPOINT_URL_DYNAMODB";
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let told = refused(program(&[]).env(NAME, &nobody));
    assert!(
        told.contains(&format!(
            "{NAME}: nothing answers at {nobody} (Connection refused"
        )),
        "{told}"
    );

    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", other.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in other.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream
                .write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello");
        }
    });
    let told = refused(program(&[]).env(NAME, &url));
    assert!(
        told.contains(&format!(
            "{NAME}: what answers at {url} is not DynamoDB (status 404)"
        )),
        "{told}"
    );
}

/// A table of somebody else is not written into.
#[test]
fn a_table_with_other_keys_is_not_taken() {
    let one = Running::start(&mut program(&[]));
    let endpoint = one.url("dynamodb").to_owned();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        use aws_sdk_dynamodb::types::{
            AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
        };
        let key = KeySchemaElement::builder()
            .attribute_name("id")
            .key_type(KeyType::Hash)
            .build()
            .unwrap();
        let id = AttributeDefinition::builder()
            .attribute_name("id")
            .attribute_type(ScalarAttributeType::S);
        client(&endpoint)
            .create_table()
            .table_name("books")
            .billing_mode(BillingMode::PayPerRequest)
            .key_schema(key)
            .attribute_definitions(id.build().unwrap())
            .send()
            .await
            .unwrap();
    });
    let told = refused(
        program(&[])
            .env("AWS_ENDPOINT_URL_DYNAMODB", &endpoint)
            .env("PCS_API_AUDIT_TABLE", "books"),
    );
    assert!(told.contains("PCS_API_AUDIT_TABLE: the table `books`"), "{told}");
}

pub fn client(endpoint: &str) -> aws_sdk_dynamodb::Client {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(aws_sdk_dynamodb::config::BehaviorVersion::latest())
        .region(aws_sdk_dynamodb::config::Region::new("us-east-1"))
        .credentials_provider(aws_credential_types::Credentials::from_keys(
            "local", "local", None,
        ))
        .http_client(pcs_api::aws::http_client())
        .endpoint_url(endpoint);
    aws_sdk_dynamodb::Client::from_conf(config.build())
}

#[test]
fn a_folder_that_cannot_be_used_is_told_with_what_to_do() {
    let folder = place("folder");
    let at = |folder: &std::path::Path| program(&["--data-dir".as_ref(), folder.as_os_str()]);
    let running = Running::with_data(&folder);
    let told = refused(&mut at(&folder));
    assert!(told.contains("is in use by another program"), "{told}");
    drop(running);

    for (file, text, expected) in [
        ("iam/iam.json", "", "is cut off"),
        ("iam/iam.json", "{\"id\": \"1234", "is cut off"),
        ("iam/iam.json", "garbage", "is damaged"),
        ("pcs/pcs-state.json", "{", "is cut off"),
        ("pcs/pcs-state.json", "{}", "is not a state"),
        (
            "dynamodb/tables.sqlite",
            "this is no database, and long enough to be told from one that is empty",
            "as a database",
        ),
    ] {
        let path = folder.join(file);
        let good = fs::read(&path).unwrap_or_default();
        for log in ["-wal", "-shm"] {
            let _ = fs::remove_file(folder.join(format!("{file}{log}")));
        }
        fs::write(&path, text).unwrap();
        let told = refused(&mut at(&folder));
        assert!(told.contains(path.to_str().unwrap()), "{file}: {told}");
        let remedy = if file.ends_with("sqlite") {
            "name another --data-dir"
        } else {
            "move it away"
        };
        assert!(told.contains(expected) && told.contains(remedy), "{file}: {told}");
        if good.is_empty() {
            fs::remove_file(&path).unwrap();
        } else {
            fs::write(&path, good).unwrap();
        }
    }
    for part in ["iam", "pcs", "dynamodb"] {
        let path = folder.join(part);
        fs::remove_dir_all(&path).unwrap();
        fs::write(&path, "").unwrap();
        let told = refused(&mut at(&folder));
        assert!(told.contains(path.to_str().unwrap()), "{part}: {told}");
        fs::remove_file(&path).unwrap();
    }
    fs::remove_dir_all(&folder).unwrap();
}

/// A disk without room, as a limit on the size of files makes it: the system would end the process by a signal.
#[cfg(target_os = "linux")]
#[test]
fn a_disk_without_room_is_told_with_what_to_do() {
    let folder = place("full");
    for blocks in ["0", "1", "8", "40"] {
        let _ = fs::remove_dir_all(&folder);
        let script = format!("ulimit -f {blocks}; exec \"$0\" \"$@\"");
        let started = program(&["--data-dir".as_ref(), folder.as_os_str()]);
        let told = refused(
            Command::new("sh")
                .arg("-c")
                .arg(script)
                .arg(started.get_program())
                .args(started.get_args())
                .env_clear(),
        );
        assert!(
            told.contains(folder.to_str().unwrap()) && told.contains("make room"),
            "{blocks}: {told}"
        );
    }
    fs::remove_dir_all(&folder).unwrap();
}

/// A disk without room: what was not shown was not told.
#[cfg(target_os = "linux")]
#[test]
fn help_that_cannot_be_written_is_a_failure() {
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let told = refused(program(&["--help".as_ref()]).stdout(full));
    assert!(told.contains("standard output cannot be written to"), "{told}");
}
