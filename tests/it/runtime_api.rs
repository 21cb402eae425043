//! A Lambda Runtime API on loopback, as the AWS documentation describes it ("Using the Lambda runtime API"), and a
//! function process that polls it.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    path::PathBuf,
    process::Stdio,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpListener,
    process::{Child, ChildStdout, Command},
    sync::{Mutex as AsyncMutex, mpsc, oneshot},
};

type Invocation = (Bytes, oneshot::Sender<Result<Value, String>>);

/// A running function.
pub struct Function {
    invocations: mpsc::UnboundedSender<Invocation>,
    /// What the function has written to standard output so far.
    log: Arc<Mutex<String>>,
    _process: Child,
}

struct RuntimeApi {
    next: AsyncMutex<mpsc::UnboundedReceiver<Invocation>>,
    waiting: Mutex<BTreeMap<String, oneshot::Sender<Result<Value, String>>>>,
}

impl Function {
    /// Starts the binary with the environment that Lambda gives it.
    pub async fn start(binary: &PathBuf, variables: &BTreeMap<String, String>) -> Function {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (invocations, next) = mpsc::unbounded_channel();
        let api = Arc::new(RuntimeApi {
            next: AsyncMutex::new(next),
            waiting: Mutex::default(),
        });
        tokio::spawn(serve(listener, api));
        let mut process = Command::new(binary)
            .env_clear()
            .envs(variables)
            .env("AWS_LAMBDA_RUNTIME_API", address)
            .env("AWS_LAMBDA_FUNCTION_NAME", "pcs-api")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        tokio::spawn(collect(process.stdout.take().unwrap(), Arc::clone(&log)));
        Function {
            invocations,
            log,
            _process: process,
        }
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// The function's answer to an event; `Err` when it reported an error to the runtime instead.
    pub async fn invoke(&self, event: &Value) -> Result<Value, String> {
        let (answer, answered) = oneshot::channel();
        self.invocations
            .send((Bytes::from(event.to_string()), answer))
            .unwrap();
        tokio::time::timeout(Duration::from_secs(30), answered)
            .await
            .expect("the function answers")
            .unwrap()
    }
}

async fn collect(stdout: ChildStdout, log: Arc<Mutex<String>>) {
    let mut lines = BufReader::new(stdout).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let mut log = log.lock().unwrap();
        log.push_str(&line);
        log.push('\n');
    }
}

async fn serve(listener: TcpListener, api: Arc<RuntimeApi>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let api = Arc::clone(&api);
        let service = service_fn(move |request| {
            let api = Arc::clone(&api);
            async move { Ok::<_, Infallible>(api.handle(request).await) }
        });
        tokio::spawn(
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
        );
    }
}

impl RuntimeApi {
    async fn handle(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path().to_owned();
        let segments: Vec<&str> = path
            .trim_start_matches("/2018-06-01/runtime/")
            .split('/')
            .collect();
        match segments.as_slice() {
            ["invocation", "next"] => self.next().await,
            ["invocation", id, outcome] => {
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let waiting = self
                    .waiting
                    .lock()
                    .unwrap()
                    .remove(*id)
                    .expect("an invocation under way");
                let answer = match *outcome {
                    "response" => Ok(serde_json::from_slice(&body).unwrap()),
                    _ => Err(String::from_utf8_lossy(&body).into_owned()),
                };
                waiting.send(answer).unwrap();
                accepted()
            }
            other => panic!("not a runtime API path: {other:?}"),
        }
    }

    async fn next(&self) -> Response<Full<Bytes>> {
        let Some((event, answer)) = self.next.lock().await.recv().await else {
            // The test is over; the process is killed while it waits.
            return std::future::pending().await;
        };
        let id = format!("8476a536-e9f4-11e8-9739-{:012}", rand_id());
        self.waiting.lock().unwrap().insert(id.clone(), answer);
        let deadline = SystemTime::now() + Duration::from_secs(28);
        let deadline = deadline.duration_since(UNIX_EPOCH).unwrap().as_millis();
        Response::builder()
            .header("Lambda-Runtime-Aws-Request-Id", id)
            .header("Lambda-Runtime-Deadline-Ms", deadline.to_string())
            .header(
                "Lambda-Runtime-Invoked-Function-Arn",
                "arn:aws:lambda:us-east-1:123456789012:function:pcs-api",
            )
            .header(
                "Lambda-Runtime-Trace-Id",
                "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700",
            )
            .body(Full::new(event))
            .unwrap()
    }
}

fn accepted() -> Response<Full<Bytes>> {
    Response::builder()
        .status(202)
        .body(Full::new(Bytes::new()))
        .unwrap()
}

fn rand_id() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() % 1_000_000_000_000
}
