//! Starts the program, on free ports and with nothing of the environment but what a test says.

use std::{
    ffi::OsStr,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::Value;

const PORTS: [&str; 10] = [
    "--port",
    "0",
    "--pcs-port",
    "0",
    "--iam-port",
    "0",
    "--dynamodb-port",
    "0",
    "--page-port",
    "0",
];

/// The program with every port free; a test's own flags replace these.
pub fn program(flags: &[&OsStr]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pcs-local"));
    command.env_clear();
    for pair in PORTS.chunks(2) {
        if !flags.contains(&OsStr::new(pair[0])) {
            command.args(pair);
        }
    }
    command.args(flags);
    command
}

/// The one sentence with which the program refuses to start.
pub fn refused(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{command:?}: {told}");
    assert_eq!(told.lines().count(), 1, "{command:?}: {told}");
    assert!(told.starts_with("pcs-local: "), "{told}");
    assert!(output.stdout.is_empty());
    told
}

/// A folder of one test, which it removes if it ends well.
pub fn place(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("pcs-local-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&path);
    path
}

/// A running program; ends by kill -9.
pub struct Running {
    child: Child,
    pub ready: Value,
}

impl Running {
    pub fn start(command: &mut Command) -> Running {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let Some(ready) = line.strip_prefix("READY ") else {
            let output = child.wait_with_output().unwrap();
            panic!("{line}{}", String::from_utf8_lossy(&output.stderr));
        };
        let ready = serde_json::from_str(ready).unwrap();
        Running { child, ready }
    }

    pub fn with_data(folder: &Path) -> Running {
        Running::start(&mut program(&["--data-dir".as_ref(), folder.as_os_str()]))
    }

    pub fn url(&self, part: &str) -> &str {
        self.ready[part].as_str().unwrap()
    }

    /// Kills it and says what it wrote to standard error.
    pub fn kill(mut self) -> String {
        self.child.kill().unwrap();
        let mut told = String::new();
        self.child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut told)
            .unwrap();
        told
    }

    /// Status and body of an IAM call.
    pub fn iam(&self, form: &str) -> (u16, String) {
        let address = self.url("iam").trim_start_matches("http://").to_owned();
        let form = format!("Version=2010-05-08&{form}");
        let mut stream = TcpStream::connect(&address).unwrap();
        write!(
            stream,
            "POST / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nAuthorization: AWS4-HMAC-SHA256 x\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
            form.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        (answer.split(' ').nth(1).unwrap().parse().unwrap(), answer)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
