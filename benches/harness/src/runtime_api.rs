//! Lambda's Runtime API on loopback ("Using the Lambda runtime API"), and a function process that polls it. One
//! event at a time, as Lambda does it. Each function has an API of its own, so that several can be measured in turn.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    fs,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Mutex as AsyncMutex, mpsc},
    task::JoinHandle,
    time::timeout,
};

use crate::{Outcome, cores, programs::Program};

/// A program under Valgrind takes a hundred times as long.
const PATIENCE: Duration = Duration::from_mins(2);

/// A running function; killed when it goes out of scope.
pub struct Function {
    name: String,
    process: Child,
    spawned: Instant,
    events: mpsc::UnboundedSender<Bytes>,
    answers: mpsc::UnboundedReceiver<Reported>,
    polled: mpsc::UnboundedReceiver<Instant>,
    server: JoinHandle<()>,
}

/// An answer and how long it took from the moment the event was handed out.
#[derive(Debug)]
pub struct Answer {
    pub took: Duration,
    /// Since the process was started.
    pub since_spawn: Duration,
    pub status: i64,
    pub body: Value,
}

/// What the operating system says of a process.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    pub cpu: Duration,
    /// Most physical memory it ever had, in KiB.
    pub peak_kib: u64,
}

struct Reported {
    at: Instant,
    took: Duration,
    is_error: bool,
    body: Bytes,
}

struct RuntimeApi {
    events: AsyncMutex<mpsc::UnboundedReceiver<Bytes>>,
    answers: mpsc::UnboundedSender<Reported>,
    polled: mpsc::UnboundedSender<Instant>,
    handed_out: Mutex<Instant>,
}

impl Function {
    /// Starts the program; `first` is ready when it polls.
    pub async fn start(program: &Program, first: Option<&Bytes>) -> Outcome<Function> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let (events, receive_events) = mpsc::unbounded_channel();
        let (send_answer, answers) = mpsc::unbounded_channel();
        let (send_poll, polled) = mpsc::unbounded_channel();
        let api = Arc::new(RuntimeApi {
            events: AsyncMutex::new(receive_events),
            answers: send_answer,
            polled: send_poll,
            handed_out: Mutex::new(Instant::now()),
        });
        if let Some(first) = first {
            events.send(first.clone())?;
        }
        let server = tokio::spawn(serve(listener, api));
        let (name, arguments) = program.command.split_first().ok_or("no program")?;
        let mut command = Command::new(name);
        command
            .args(arguments)
            .env_clear()
            .envs(lambda_variables(address))
            .envs(&program.variables)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let (spawned, process) = cores::spawn(&mut command).map_err(|error| format!("{name}: {error}"))?;
        Ok(Function {
            name: program.name.clone(),
            process,
            spawned,
            events,
            answers,
            polled,
            server,
        })
    }

    /// From the start of the process to its first poll.
    pub async fn first_poll(&mut self) -> Outcome<Duration> {
        let polled = timeout(PATIENCE, self.polled.recv()).await;
        let at = polled
            .ok()
            .flatten()
            .ok_or_else(|| format!("{} does not poll", self.name))?;
        Ok(at.duration_since(self.spawned))
    }

    pub async fn invoke(&mut self, event: &Bytes) -> Outcome<Answer> {
        self.events.send(event.clone())?;
        self.answer().await
    }

    /// The answer to the event that is under way.
    pub async fn answer(&mut self) -> Outcome<Answer> {
        let reported = timeout(PATIENCE, self.answers.recv()).await;
        let reported = reported
            .ok()
            .flatten()
            .ok_or_else(|| format!("{} does not answer", self.name))?;
        let body = String::from_utf8_lossy(&reported.body).into_owned();
        if reported.is_error {
            return Err(format!("{} reported an error: {body}", self.name).into());
        }
        let answer: Value = serde_json::from_str(&body)?;
        let status = answer.get("statusCode").and_then(Value::as_i64);
        Ok(Answer {
            took: reported.took,
            since_spawn: reported.at.duration_since(self.spawned),
            status: status.ok_or_else(|| format!("{} answered {body}", self.name))?,
            body: answer,
        })
    }

    /// An answer of this status and no other: what fails is often fast.
    pub async fn invoke_for(&mut self, event: &Bytes, status: i64) -> Outcome<Answer> {
        let answer = self.invoke(event).await?;
        answer.expect(status, &self.name)
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Waits for the process to end by itself or by a signal that somebody sent.
    pub fn wait(&mut self) -> Outcome<()> {
        self.process.wait()?;
        Ok(())
    }

    /// Linux only, like Lambda.
    pub fn usage(&self) -> Outcome<Usage> {
        let process = format!("/proc/{}", self.process.id());
        let mut nanoseconds = 0;
        for task in fs::read_dir(format!("{process}/task"))? {
            let text = fs::read_to_string(task?.path().join("schedstat"))?;
            let running = text.split_whitespace().next().ok_or("no schedstat")?;
            nanoseconds += running.parse::<u64>()?;
        }
        let status = fs::read_to_string(format!("{process}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = line.and_then(|line| line.split_whitespace().next());
        Ok(Usage {
            cpu: Duration::from_nanos(nanoseconds),
            peak_kib: peak.ok_or("no VmHWM")?.parse()?,
        })
    }
}

impl Answer {
    pub fn expect(self, status: i64, name: &str) -> Outcome<Answer> {
        if self.status == status {
            Ok(self)
        } else {
            Err(format!("{name} answered {}, not {status}: {}", self.status, self.body).into())
        }
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.process.kill();
        let _ = self.process.wait();
        self.server.abort();
    }
}

fn lambda_variables(address: String) -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        ("AWS_LAMBDA_RUNTIME_API", address),
        ("AWS_LAMBDA_FUNCTION_NAME", "bench".to_owned()),
        ("AWS_LAMBDA_FUNCTION_VERSION", "1".to_owned()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256".to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_DEFAULT_REGION", "us-east-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", "ASIAIOSFODNN7EXAMPLE".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "bench".to_owned()),
        ("AWS_SESSION_TOKEN", "bench".to_owned()),
        // As on Lambda.
        ("PATH", "/usr/local/bin:/usr/bin:/bin".to_owned()),
        ("LANG", "en_US.UTF-8".to_owned()),
        ("TZ", ":UTC".to_owned()),
    ])
}

async fn serve(listener: TcpListener, api: Arc<RuntimeApi>) {
    while let Ok((stream, _)) = listener.accept().await {
        // Only speed is lost where it cannot be set.
        let _ = stream.set_nodelay(true);
        tokio::spawn(talk(stream, Arc::clone(&api)));
    }
}

async fn talk(stream: TcpStream, api: Arc<RuntimeApi>) {
    let service = service_fn(|request| {
        let api = Arc::clone(&api);
        async move { Ok::<_, Infallible>(api.handle(request).await) }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    let connection = http
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(stream), service);
    // A function that was killed leaves a broken connection.
    let _ = connection.await;
}

impl RuntimeApi {
    async fn handle(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        if path.ends_with("/invocation/next") {
            return self.next().await;
        }
        let is_error = path.ends_with("/error");
        let Ok(body) = request.into_body().collect().await else {
            return respond(StatusCode::BAD_REQUEST, Bytes::new());
        };
        let at = Instant::now();
        let handed_out = *self.handed_out.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody listens when the measurement is over.
        let _ = self.answers.send(Reported {
            at,
            took: at.duration_since(handed_out),
            is_error,
            body: body.to_bytes(),
        });
        respond(StatusCode::ACCEPTED, Bytes::new())
    }

    async fn next(&self) -> Response<Full<Bytes>> {
        // Only the first is ever looked at.
        let _ = self.polled.send(Instant::now());
        let Some(event) = self.events.lock().await.recv().await else {
            return std::future::pending().await;
        };
        let mut response = respond(StatusCode::OK, event);
        let deadline = (SystemTime::now() + Duration::from_secs(28)).duration_since(UNIX_EPOCH);
        let deadline = deadline.unwrap_or_default().as_millis().to_string();
        for (name, value) in [
            (
                "lambda-runtime-aws-request-id",
                "8476a536-e9f4-11e8-9739-2dfe598c3fcd",
            ),
            (
                "lambda-runtime-invoked-function-arn",
                "arn:aws:lambda:us-east-1:123456789012:function:bench",
            ),
            (
                "lambda-runtime-trace-id",
                "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700",
            ),
            ("lambda-runtime-deadline-ms", deadline.as_str()),
        ] {
            if let Ok(value) = value.parse() {
                response.headers_mut().insert(name, value);
            }
        }
        *self.handed_out.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        response
    }
}

fn respond(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response
}
