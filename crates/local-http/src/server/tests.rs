use std::{
    future::pending,
    sync::atomic::{AtomicUsize, Ordering},
};

use http::request::Parts;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::oneshot,
};

use super::*;

const BODY_BYTES_MAX: usize = 1000;
const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
/// Only as a guard: nothing here waits for it in a run that passes.
const HANGS: Duration = Duration::from_mins(3);

/// Says what it was asked; `/slow` takes for ever, `/large` gives more than a socket's buffers hold.
#[derive(Clone, Default)]
struct Echo {
    answered: Arc<AtomicUsize>,
    /// One clone is with each connection.
    alive: Arc<()>,
}

impl Service for Echo {
    fn body_bytes_max(&self, _: &Parts) -> usize {
        BODY_BYTES_MAX
    }

    async fn answer(&self, request: Request<Bytes>, _: SocketAddr) -> Option<Response<Bytes>> {
        self.answered.fetch_add(1, Ordering::SeqCst);
        match request.uri().path() {
            "/slow" => pending().await,
            "/large" => Some(Response::new(Bytes::from(vec![b'x'; 64 << 20]))),
            "/drop" => None,
            _ => Some(Response::new(request.into_body())),
        }
    }

    fn refuse(&self, refusal: &Refusal, head: Option<Parts>) -> Response<Bytes> {
        let mut response = Response::new(Bytes::from(format!("refused, {}: {refusal}", head.is_some())));
        *response.status_mut() = refusal.status();
        response
    }
}

struct Running {
    echo: Echo,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: tokio::task::JoinHandle<io::Result<()>>,
}

impl Running {
    async fn start(server: Server) -> Running {
        let echo = Echo::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let serving = server.serve(echo.clone(), listener, async move {
            let _ = stopped.await;
        });
        Running {
            ended: tokio::spawn(serving),
            echo,
            address,
            stop,
        }
    }

    async fn send(&self, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }

    async fn answer_to(&self, text: &str) -> String {
        rest(
            &mut self
                .send(&text.replacen("\r\n", "\r\nConnection: close\r\n", 1))
                .await,
        )
        .await
    }

    fn answered(&self) -> usize {
        self.echo.answered.load(Ordering::SeqCst)
    }

    async fn until_answered(&self, requests: usize) {
        let answered = async {
            while self.answered() < requests {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(HANGS, answered).await.unwrap();
    }

    /// Waits until no connection is left but `kept`.
    async fn until_left(&self, kept: usize) {
        // Its own clone and the server's.
        let clones = || Arc::strong_count(&self.echo.alive);
        let all_left = async {
            // Each has two: one for what cannot be read.
            while clones() > 2 + 2 * kept {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(HANGS, all_left).await.unwrap();
    }
}

/// Everything until the connection ends, however it ends.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = tokio::time::timeout(HANGS, stream.read_to_end(&mut bytes))
        .await
        .unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// One answer on a connection that is kept.
async fn one_answer(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    let mut byte = [0];
    while !text.ends_with("\r\n\r\n") {
        assert_eq!(stream.read(&mut byte).await.unwrap(), 1, "{text}");
        text.push(char::from(byte[0]));
    }
    text
}

fn impatient() -> Server {
    let soon = Duration::from_millis(40);
    Server::default().limits(Limits {
        idle: soon,
        head: soon,
        body: soon,
        answer: soon,
        drain: soon,
    })
}

#[tokio::test]
async fn clients_that_stall_anywhere_are_cut_off() {
    let running = Running::start(impatient()).await;
    let post = "POST / HTTP/1.1\r\nHost: localhost\r\n";
    for sent in [
        String::new(),
        "G".to_owned(),
        "GET / HTTP/1.1\r\nHost: local".to_owned(),
        format!("{post}Content-Length: 2\r\n\r\nx"),
        format!("{post}Content-Length: 99999999\r\n\r\nx"),
        format!("{post}Transfer-Encoding: chunked\r\n\r\n5\r\nab"),
        format!("{post}Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n"),
        format!("{post}Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"),
        "POST / HTTP/1.1\r\nHost: attacker.example\r\nContent-Length: 2\r\n\r\nx".to_owned(),
    ] {
        let mut stream = running.send(&sent).await;
        let told = rest(&mut stream).await;
        assert!(
            ["", "HTTP/1.1 100 Continue\r\n\r\n"].contains(&told.as_str()),
            "{sent}: {told}"
        );
    }
    assert_eq!(running.answered(), 0);
    let mut idle = running.send(GET).await;
    assert!(
        rest(&mut idle).await.starts_with("HTTP/1.1 200 OK"),
        "idle after an answer"
    );
    running.until_left(0).await;
}

#[tokio::test]
async fn clients_that_drip_are_cut_off() {
    let running = Running::start(impatient()).await;
    for head in [
        "GET / HTTP/1.1\r\nHost: localhost\r\nX-Much: ",
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900\r\n\r\n",
    ] {
        let mut stream = running.send(head).await;
        let drip = async {
            while stream.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(HANGS, drip).await.unwrap();
    }
    assert_eq!(running.answered(), 0);
}

#[tokio::test]
async fn clients_that_close_their_half_are_not_kept() {
    let running = Running::start(Server::default()).await;
    for sent in [
        "",
        "GET / HT",
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nx",
    ] {
        let mut stream = running.send(sent).await;
        stream.shutdown().await.unwrap();
        rest(&mut stream).await;
    }
    running.until_left(0).await;
    assert_eq!(running.answered(), 0);
}

#[tokio::test]
async fn clients_that_never_read_their_answer_are_cut_off() {
    let running = Running::start(impatient()).await;
    let unread = running
        .send("GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    running.until_answered(1).await;
    running.until_left(0).await;
    drop(unread);
}

#[tokio::test]
async fn a_crowd_of_idle_connections_makes_room_and_what_works_stays() {
    let running = Running::start(Server::default().connections(8)).await;
    let mut working = running
        .send("GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    running.until_answered(1).await;
    let mut crowd = Vec::new();
    for number in 0..100 {
        let start = [
            "",
            "GET / HT",
            "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nx",
        ];
        crowd.push(running.send(start[number % 3]).await);
    }
    for _ in 0..3 {
        assert!(running.answer_to(GET).await.starts_with("HTTP/1.1 200 OK"));
    }
    running.until_left(8).await;
    let mut byte = [0];
    let quiet = tokio::time::timeout(Duration::from_millis(1), working.read(&mut byte)).await;
    assert!(quiet.is_err(), "the one that works is still there");
}

#[tokio::test]
async fn the_stop_waits_for_nobody_who_waits_for_nothing() {
    let never = Duration::from_hours(9);
    let patient = Limits {
        idle: never,
        head: never,
        body: never,
        answer: never,
        drain: Duration::from_millis(50),
    };
    let running = Running::start(Server::default().limits(patient)).await;
    let mut bad = Vec::new();
    for sent in [
        "",
        "GET / HT",
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nx",
        "GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ] {
        bad.push(running.send(sent).await);
    }
    running.until_answered(2).await;
    running.stop.send(()).unwrap();
    tokio::time::timeout(HANGS, running.ended)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(Arc::strong_count(&running.echo.alive), 1, "all of it is gone");
    assert!(TcpStream::connect(running.address).await.is_err());
}

#[tokio::test]
async fn what_cannot_be_read_is_answered_in_the_manner_of_the_port() {
    let running = Running::start(Server::default()).await;
    let headers = "X: x\r\n".repeat(200);
    for (request, status, words) in [
        (
            format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "x".repeat(70_000)),
            414,
            "target",
        ),
        (
            format!("GET / HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n"),
            431,
            "headers",
        ),
        (
            format!(
                "GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n",
                "x".repeat(600_000)
            ),
            431,
            "headers",
        ),
        ("what is this\r\n\r\n".to_owned(), 400, "HTTP"),
        (
            "GET / HTTP/1.1\r\nHost: localhost\r\nX Y: z\r\n\r\n".to_owned(),
            400,
            "HTTP",
        ),
    ] {
        for kept in [false, true] {
            let mut stream = TcpStream::connect(running.address).await.unwrap();
            if kept {
                stream.write_all(GET.as_bytes()).await.unwrap();
                one_answer(&mut stream).await;
            }
            // The end of a request that is too long is not always taken.
            let _ = stream.write_all(request.as_bytes()).await;
            let told = rest(&mut stream).await;
            let (head, body) = told.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
            assert!(
                head.contains(&format!("content-length: {}", body.len())),
                "{head}"
            );
            assert!(
                body.starts_with("refused, false: ") && body.contains(words),
                "{body}"
            );
        }
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_is_answered_though_it_is_all_sent() {
    let running = Running::start(Server::default()).await;
    let long = "x".repeat(2_000_000);
    let chunk = "x".repeat(0xFFF);
    for request in [
        format!("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2000000\r\n\r\n{long}"),
        format!(
            "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n{chunk}\r\n0\r\n\r\n"
        ),
        "POST / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 2000000\r\n\r\n"
            .to_owned(),
    ] {
        let told = running.answer_to(&request).await;
        assert!(
            told.starts_with("HTTP/1.1 413 ") && told.contains("1000 bytes"),
            "{told}"
        );
    }
    let most = "x".repeat(BODY_BYTES_MAX);
    let told = running
        .answer_to(&format!(
            "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{most}"
        ))
        .await;
    assert!(told.starts_with("HTTP/1.1 200 ") && told.ends_with(&most));
}

#[tokio::test]
async fn what_is_foreign_does_not_reach_the_service() {
    let running = Running::start(Server::default()).await;
    for head in [
        "GET / HTTP/1.1\r\nHost: attacker.example",
        "GET / HTTP/1.1",
        "GET / HTTP/1.0",
        "POST / HTTP/1.1\r\nHost: localhost\r\nOrigin: http://attacker.example\r\nContent-Length: 2",
        "OPTIONS / HTTP/1.1\r\nHost: localhost\r\nOrigin: null\r\nAccess-Control-Request-Method: PUT",
        "GET / HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: cross-site",
    ] {
        let told = running.answer_to(&format!("{head}\r\n\r\n{{}}")).await;
        assert!(
            told.starts_with("HTTP/1.1 403 ") || told.starts_with("HTTP/1.0 403 "),
            "{told}"
        );
        assert!(!told.to_ascii_lowercase().contains("access-control"), "{told}");
    }
    assert_eq!(running.answered(), 0);
}

#[tokio::test]
async fn a_connection_without_an_answer_just_ends() {
    let running = Running::start(Server::default()).await;
    let mut stream = running
        .send("GET /drop HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    assert_eq!(rest(&mut stream).await, "");
    assert_eq!(running.answered(), 1);
}
