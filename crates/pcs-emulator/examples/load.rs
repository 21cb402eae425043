//! How fast the emulator starts and answers, and whether its memory stays flat. Numbers for people: nothing
//! here is asserted, because a busy machine is not a broken emulator.
//!
//! ```sh
//! cargo build --release -p pcs-emulator && cargo run --release -p pcs-emulator --example load
//! ```
//!
//! The emulator is the program beside this one's folder, or the one given as argument.

use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use pcs_emulator::{Emulator, Options, Reply};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const STARTS: usize = 40;
const MEASURED: Duration = Duration::from_secs(5);
const MEMORY_CALLS: u32 = 1_000_000;
const MEMORY_CONNECTIONS: u32 = 4;
const QUEUES: u32 = 100_000;
const HEADERS: &str = "Content-Type: application/x-amz-json-1.0\r\nAuthorization: AWS4-HMAC-SHA256 \
    Credential=AKIAIOSFODNN7EXAMPLE/20261120/us-east-1/pcs/aws4_request, \
    SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature=0000\r\nX-Amz-Date: 20261120T090000Z\r\n";
const CREATE: &str = r#"{"clusterName":"demo","scheduler":{"type":"SLURM","version":"25.11"},"size":"SMALL",
    "networking":{"subnetIds":["subnet-0123456789abcdef0"]},"tags":{"team":"hpc"}}"#;
const GET: &str = r#"{"clusterIdentifier":"demo"}"#;

fn main() -> Outcome<()> {
    let program = match std::env::args_os().nth(1) {
        Some(path) => PathBuf::from(path),
        None => std::env::current_exe()?.with_file_name("../pcs-emulator"),
    };
    let mut out = std::io::stdout();
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        starts.push(Server::start(&program)?.started_in);
    }
    starts.sort();
    let median = starts.get(STARTS / 2).copied().unwrap_or_default();
    let slowest = starts.last().copied().unwrap_or_default();
    writeln!(
        out,
        "start to READY, {STARTS} starts: median {median:.1?}, slowest {slowest:.1?}"
    )?;
    writeln!(out, "GetCluster in process, 1 thread: {:.0}/s", in_process()?)?;
    let server = Server::start(&program)?;
    server.call("CreateCluster", CREATE)?;
    for connections in [1, 2, 4, 8, 16] {
        let rate = server.rate(connections)?;
        writeln!(
            out,
            "GetCluster over loopback, {connections} keep-alive connections: {rate:.0}/s"
        )?;
    }
    drop(server);
    let server = Server::start(&program)?;
    server.call("CreateCluster", CREATE)?;
    writeln!(
        out,
        "resident memory at the start: {} KiB",
        server.resident_kib()?
    )?;
    let tenth = MEMORY_CALLS / 10;
    for done in 1..=10_u32 {
        server.calls(MEMORY_CONNECTIONS, tenth / MEMORY_CONNECTIONS)?;
        writeln!(
            out,
            "after {:>7} GetCluster: {} KiB",
            done * tenth,
            server.resident_kib()?
        )?;
    }
    let (begun, changes) = (Instant::now(), 2 * QUEUES);
    server.queues_come_and_go()?;
    let rate = f64::from(changes) / begun.elapsed().as_secs_f64();
    let resident = server.resident_kib()?;
    writeln!(
        out,
        "after {changes:>7} CreateQueue and DeleteQueue more, {rate:.0}/s: {resident} KiB"
    )?;
    Ok(())
}

/// `GetCluster` per second through `Emulator::handle`.
fn in_process() -> Outcome<f64> {
    let emulator = Emulator::new(Options::default())?;
    let call = |action: &str, body: &'static str| -> Outcome<Reply> {
        let request = Request::post("/")
            .header("x-amz-target", format!("AWSParallelComputingService.{action}"))
            .header(
                "authorization",
                "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261120/us-east-1/pcs/aws4_request, \
                 SignedHeaders=host, Signature=00",
            )
            .body(Bytes::from_static(body.as_bytes()))?;
        Ok(emulator.handle(request))
    };
    call("CreateCluster", CREATE)?;
    let (begun, mut count) = (Instant::now(), 0_u32);
    while begun.elapsed() < MEASURED {
        call("GetCluster", GET)?;
        count += 1;
    }
    Ok(f64::from(count) / begun.elapsed().as_secs_f64())
}

/// A running emulator, ended when it goes out of scope.
struct Server {
    process: Child,
    address: String,
    started_in: Duration,
}

impl Drop for Server {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}

impl Server {
    fn start(program: &PathBuf) -> Outcome<Server> {
        let begun = Instant::now();
        let mut process = Command::new(program)
            .args(["--port", "0", "--transition-seconds", "0"])
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("{}: {e}", program.display()))?;
        let mut line = String::new();
        let stdout = process.stdout.take().ok_or("no stdout")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let started_in = begun.elapsed();
        let address = line
            .split("http://")
            .nth(1)
            .and_then(|rest| rest.split('"').next());
        let address = address.ok_or_else(|| format!("not ready: {line}"))?.to_owned();
        Ok(Server {
            process,
            address,
            started_in,
        })
    }

    fn request(&self, action: &str, body: &str) -> Vec<u8> {
        let target = format!("X-Amz-Target: AWSParallelComputingService.{action}\r\n");
        let length = body.len();
        format!(
            "POST / HTTP/1.1\r\nHost: {}\r\n{target}{HEADERS}Content-Length: {length}\r\n\r\n{body}",
            self.address
        )
        .into_bytes()
    }

    fn call(&self, action: &str, body: &str) -> Outcome<()> {
        Connection::open(&self.address)?.exchange(&self.request(action, body))
    }

    /// `GetCluster` per second over so many connections, each waiting for an answer before it asks again.
    fn rate(&self, connections: u32) -> Outcome<f64> {
        let request = self.request("GetCluster", GET);
        let begun = Instant::now();
        let total: u32 = self.on_each(connections, |connection| {
            let mut count = 0;
            while begun.elapsed() < MEASURED {
                connection.exchange(&request)?;
                count += 1;
            }
            Ok(count)
        })?;
        Ok(f64::from(total) / begun.elapsed().as_secs_f64())
    }

    fn calls(&self, connections: u32, each: u32) -> Outcome<u32> {
        let request = self.request("GetCluster", GET);
        self.on_each(connections, |connection| {
            (0..each).try_for_each(|_| connection.exchange(&request))?;
            Ok(each)
        })
    }

    /// A queue is created, with a token of its own, and deleted, over and over.
    fn queues_come_and_go(&self) -> Outcome<()> {
        let mut connection = Connection::open(&self.address)?;
        for number in 0..QUEUES {
            let token = format!("token-{number:08}");
            let create =
                format!(r#"{{"clusterIdentifier":"demo","queueName":"work","clientToken":"{token}"}}"#);
            let delete =
                format!(r#"{{"clusterIdentifier":"demo","queueIdentifier":"work","clientToken":"{token}"}}"#);
            connection.exchange(&self.request("CreateQueue", &create))?;
            connection.exchange(&self.request("DeleteQueue", &delete))?;
        }
        Ok(())
    }

    fn on_each(
        &self,
        connections: u32,
        act: impl Fn(&mut Connection) -> Outcome<u32> + Sync,
    ) -> Outcome<u32> {
        thread::scope(|scope| {
            let run = || act(&mut Connection::open(&self.address)?);
            let threads: Vec<_> = (0..connections).map(|_| scope.spawn(run)).collect();
            let mut total = 0;
            for thread in threads {
                total += thread.join().map_err(|_| "a connection's thread panicked")??;
            }
            Ok(total)
        })
    }

    /// Linux only, like the machines that run this.
    fn resident_kib(&self) -> Outcome<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next());
        Ok(number.ok_or("no VmRSS")?.parse()?)
    }
}

/// One keep-alive connection.
struct Connection {
    stream: BufReader<TcpStream>,
    line: String,
    body: Vec<u8>,
}

impl Connection {
    fn open(address: &str) -> Outcome<Connection> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Connection {
            stream: BufReader::new(stream),
            line: String::new(),
            body: Vec::new(),
        })
    }

    /// One request and its whole answer, which must be a success.
    fn exchange(&mut self, request: &[u8]) -> Outcome<()> {
        self.stream.get_mut().write_all(request)?;
        let mut length = 0;
        let mut first = true;
        loop {
            self.line.clear();
            self.stream.read_line(&mut self.line)?;
            let line = self.line.trim_end();
            if first && line != "HTTP/1.1 200 OK" {
                return Err(format!("answered {line}").into());
            }
            first = false;
            if line.is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse()?;
            }
        }
        self.body.resize(length, 0);
        self.stream.read_exact(&mut self.body)?;
        Ok(())
    }
}
