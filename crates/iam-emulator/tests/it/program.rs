//! The program as a person starts it: what is wrong is one sentence and status 2, and a kill loses nothing.

use std::{
    ffi::OsStr,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
};

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_iam-emulator"))
}

fn place(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("iam-emulator-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&path);
    path
}

fn refused(arguments: &[&OsStr]) -> String {
    let output: Output = program().args(arguments).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {told}");
    assert_eq!(told.lines().count(), 1, "{arguments:?}: {told}");
    assert!(told.starts_with("iam-emulator: "), "{told}");
    assert!(output.stdout.is_empty());
    told
}

#[test]
fn garbage_in_any_flag_is_one_sentence_that_names_it() {
    let file = place("garbage");
    fs::write(&file, "{").unwrap();
    let file = file.to_str().unwrap();
    for (flag, values) in [
        (
            "--host",
            &["", "localhost", "no.such.host.invalid", "a b", "203.0.113.1"][..],
        ),
        ("--allow-host", &["", "http://x", "a b", "x:1", "x/y"]),
        ("--port", &["", "x", "-1", "65536", "1e3", "3 0"]),
        ("--seed", &["", "/dev/null/seed.json", "/dev/zero", file, "/"]),
        ("--data-dir", &["", file, "/proc/none"]),
        ("--account-id", &["", "1234", "12345678901x", "1234567890123"]),
        (
            "--partition",
            &[
                "", "gcp", "aws-", "aws-!!", "aws-cn-", "aws--cn", "AWS", "awsx", "aws-CN", "aws cn",
            ],
        ),
        ("--page-size", &["", "0", "-1", "x", "99999999999999999999999"]),
        (
            "--propagation-seconds",
            &["", "x", "-1", "NaN", "inf", "1e300", "18446744073709551615"],
        ),
        (
            "--managed-policies-per-role",
            &["", "x", "-1", "99999999999999999999999"],
        ),
        ("--no-such-flag", &["1"]),
    ] {
        for value in values {
            let told = refused(&[flag.as_ref(), value.as_ref()]);
            let names_path = ["--seed", "--data-dir"].contains(&flag) && told.contains(&format!("`{value}`"));
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
    fs::remove_file(file).unwrap();
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
    let output = program()
        .stdout(closed)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
        .wait_with_output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(
        told.contains("standard output") && told.lines().count() == 1,
        "{told}"
    );
}

/// A running program, ended by kill -9 when dropped.
struct Running {
    child: Child,
    address: String,
}

impl Running {
    fn start(arguments: &[&str]) -> Running {
        let mut child = program()
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let address = line
            .split("http://")
            .nth(1)
            .unwrap()
            .trim_end_matches(['"', '}', '\n'])
            .to_owned();
        Running { child, address }
    }

    /// The status of a call's answer; `None` when there was none.
    fn call(&self, form: &str) -> Option<u16> {
        call(&self.address, form)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn call(address: &str, form: &str) -> Option<u16> {
    let mut stream = TcpStream::connect(address).ok()?;
    let form = format!("Version=2010-05-08&{form}");
    let length = form.len();
    write!(
        stream,
        "POST / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nAuthorization: AWS4-HMAC-SHA256 x\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n{form}"
    )
    .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let complete = answer.trim_end().ends_with("Response>");
    complete.then(|| answer.split(' ').nth(1).unwrap().parse().unwrap())
}

/// Killed while four callers write, again and again: every role that was answered is there.
#[test]
fn a_kill_anywhere_loses_no_answered_write() {
    let folder = place("kill");
    let folder_text = folder.to_str().unwrap();
    let trust = "%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%7B%22Effect%22%3A%22Allow%22%2C%22Principal\
                 %22%3A%7B%22Service%22%3A%22ec2.amazonaws.com%22%7D%2C%22Action%22%3A%22sts%3AAssumeRole%22%7D%7D";
    let mut answered: Vec<String> = Vec::new();
    for round in 0..6_usize {
        let running = Running::start(&["--data-dir", folder_text]);
        for role in &answered {
            assert_eq!(
                running.call(&format!("Action=GetRole&RoleName={role}")),
                Some(200),
                "{role}"
            );
        }
        let (done, all) = std::sync::mpsc::channel();
        let callers: Vec<_> = (0..4)
            .map(|caller| {
                let (address, done) = (running.address.clone(), done.clone());
                std::thread::spawn(move || {
                    for count in 0.. {
                        let role = format!("role-{round}-{caller}-{count}");
                        let form =
                            format!("Action=CreateRole&RoleName={role}&AssumeRolePolicyDocument={trust}");
                        if call(&address, &form) != Some(200) || done.send(role).is_err() {
                            return;
                        }
                    }
                })
            })
            .collect();
        drop(done);
        // Another number of answers each round, so that the kill falls anywhere in a write.
        answered.extend(all.iter().take(7 + 3 * round));
        assert!(answered.len() > round * 7, "the callers were answered");
        drop(running);
        for caller in callers {
            caller.join().unwrap();
        }
        answered.extend(all.try_iter());
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_seed_is_an_object() {
    let folder = place("seed-array");
    fs::create_dir_all(&folder).unwrap();
    let seed = folder.join("seed.json");
    for array in ["[]", r#"[[{"name": "AWSPCS-a"}]]"#] {
        fs::write(&seed, array).unwrap();
        let told = refused(&["--seed".as_ref(), seed.as_os_str()]);
        assert!(
            told.contains("--seed `") && told.contains("expected a map"),
            "{told}"
        );
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_seed_file_is_planted_once() {
    let folder = place("seed");
    fs::create_dir_all(&folder).unwrap();
    let seed = folder.join("seed.json");
    fs::write(&seed, r#"{"roles": [{"name": "AWSPCS-a"}]}"#).unwrap();
    let state = folder.join("state");
    let arguments = [
        "--seed",
        seed.to_str().unwrap(),
        "--data-dir",
        state.to_str().unwrap(),
    ];
    let running = Running::start(&arguments);
    assert_eq!(running.call("Action=DeleteRole&RoleName=AWSPCS-a"), Some(200));
    drop(running);
    assert_eq!(
        Running::start(&arguments).call("Action=GetRole&RoleName=AWSPCS-a"),
        Some(404)
    );
    fs::remove_dir_all(folder).unwrap();
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
        told.starts_with("iam-emulator: standard output cannot be written to"),
        "{told}"
    );
}
