//! The program as a person starts it: what is wrong is one sentence and status 2.

use std::ffi::OsStr;
use std::fs;
use std::process::{Command, Stdio};

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pcs-emulator"));
    command.env_remove("PCS_EMULATOR_RECORD");
    command
}

fn refused(arguments: &[&OsStr]) -> String {
    let output = program().args(arguments).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {told}");
    assert_eq!(told.lines().count(), 1, "{arguments:?}: {told}");
    assert!(told.starts_with("pcs-emulator: "), "{told}");
    assert!(output.stdout.is_empty());
    told
}

#[test]
fn garbage_in_any_flag_is_one_sentence_that_names_it() {
    let file = std::env::temp_dir().join(format!("pcs-emulator-garbage-{}", std::process::id()));
    fs::write(&file, "{").unwrap();
    let file = file.to_str().unwrap();
    let seconds = &["", "x", "-1", "NaN", "inf", "1e300", "18446744073709551615"][..];
    let count = &["", "x", "-1", "99999999999999999999999"][..];
    let (folders, keys) = (
        ["", file, "/proc/none"],
        ["", "/dev/null/keys.json", "/dev/zero", file, "/"],
    );
    let mut cases = vec![
        (
            "--host",
            &["", "x", "localhost", "127.0.0.1:1", "203.0.113.1"][..],
        ),
        ("--allow-host", &["", "http://x", "a b", "x:1", "x/y"]),
        ("--port", &["", "x", "-1", "65536"]),
        ("--data-dir", &folders),
        ("--transition-seconds", seconds),
        ("--token-life-seconds", seconds),
        ("--account-id", &["", "1234", "12345678901x"]),
        ("--account", &["", "KEY", "KEY=", "KEY=1234", "=123456789012"]),
        ("--verify-signatures", &keys),
        (
            "--default-region",
            &[
                "",
                "mars",
                "US-EAST-1",
                "us east-1",
                "a\nb-1",
                "-",
                "us-east",
                "us--1",
                "us-east-",
                "us-1",
            ],
        ),
        (
            "--instance-profile",
            &[
                "",
                "x",
                "arn:aws:iam::123456789012:role/x",
                "arn::instance-profile/",
                "arn:aws:iam::123456789012:instance-profile/",
                "arn:aws:iam::1234:instance-profile/x",
                "arn:gcp:iam::123456789012:instance-profile/x",
                "arn:aws:iam:us-east-1:123456789012:instance-profile/x",
            ],
        ),
        ("--creatable-versions", &["", "x", "25.05,", "25"]),
        ("--regions-not-enabled", &["", "x", "us-east-1,"]),
        ("--clusters-per-region", count),
        ("--node-groups-per-cluster", count),
        ("--queues-per-cluster", count),
        ("--record", &["", "/dev/null/record", "/"]),
        ("--no-such-flag", &["x"]),
    ];
    let switches = [
        "--http-statuses",
        "--unseen-profiles",
        "--unknown-ids",
        "--deleted-ids",
        "--unknown-names",
        "--token-reuse",
        "--resource-types",
        "--queue-update",
        "--plugin-update",
        "--plugin-names",
        "--empty-settings",
        "--group-names",
        "--unset-defaults",
        "--list-order",
    ];
    cases.extend(switches.map(|flag| (flag, &["", "x", "a\nb"][..])));
    for (flag, values) in cases {
        for value in values {
            let told = refused(&[flag.as_ref(), value.as_ref()]);
            let names_path = flag == "--data-dir" && told.contains(&format!("`{value}`"));
            assert!(told.contains(flag) || names_path, "{flag} {value}: {told}");
        }
        #[cfg(unix)]
        {
            use std::os::unix::ffi::OsStrExt;
            refused(&[flag.as_ref(), OsStr::from_bytes(b"/dev/null/\xff\n/")]);
        }
        assert!(refused(&[flag.as_ref()]).contains(flag));
    }
    assert!(refused(&["argument".as_ref()]).contains("argument"));
    let told = refused(&["--account", "K=123456789012", "--account", "K=210987654321"].map(OsStr::new));
    assert!(told.contains("--account: `K` has two accounts"), "{told}");
    fs::remove_file(file).unwrap();
}

#[test]
fn every_flag_of_the_help_is_one_that_is_taken() {
    let help = program().arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let flags = help
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("--")?.split(' ').next());
    let flags: Vec<&str> = flags.filter(|flag| *flag != "no-require-signature").collect();
    assert!(flags.len() > 28, "{flags:?}");
    for flag in flags {
        let told = refused(&[format!("--{flag}").as_ref()]);
        assert!(told.contains("a value is missing"), "{told}");
    }
}

#[test]
fn a_port_that_is_taken_and_a_closed_output_are_told() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let told = refused(&["--port".as_ref(), port.as_ref()]);
    assert!(
        told.contains(&format!("--port {port}: another program uses this port")),
        "{told}"
    );

    let (reader, closed) = std::io::pipe().unwrap();
    drop(reader);
    let started = program()
        .args(["--port", "0"])
        .stdout(closed)
        .stderr(Stdio::piped())
        .spawn();
    let output = started.unwrap().wait_with_output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(
        told.contains("standard output") && told.lines().count() == 1,
        "{told}"
    );
}

/// A disk without room: what was not shown was not told.
#[cfg(target_os = "linux")]
#[test]
fn help_that_cannot_be_written_is_a_failure() {
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let output = program().arg("--help").stdout(full).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        (output.status.code(), told.lines().count()),
        (Some(2), 1),
        "{told}"
    );
    assert!(
        told.starts_with("pcs-emulator: standard output cannot be written to"),
        "{told}"
    );
}
