//! The metrics socket of a stand-in engine. Every text that it serves is kept: what was served is what must arrive.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::{Frame, Incoming};
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::recording::Recording;
use crate::model::now_ms;

/// As promhttp in dockerd writes it.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
/// promhttp answers longer than a few KiB in chunks, without Content-Length.
const CHUNK: usize = 4096;
/// A real engine's text: 35 KiB alone, 205 KiB as a swarm manager.
const MAX_TEXT_BYTES: usize = 16 << 20;

/// One answer to a scrape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// When the request arrived, ms since the epoch.
    pub at: i64,
    /// The whole text; `None` where the scrape had to fail.
    pub text: Option<Arc<str>>,
}

/// Where texts come from.
#[derive(Debug)]
pub enum Source {
    /// Recorded metrics that move.
    Recording(Box<Recording>),
    /// These texts, one for each scrape; the last one again and again.
    Texts(VecDeque<Arc<str>>),
    /// A real engine's metrics socket, whose answers are passed on.
    Engine(PathBuf),
}

/// The engine. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Engine {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// A std mutex: nothing waits while holding it.
    source: Mutex<Source>,
    /// Scrapes still to be answered with 500.
    failures: Mutex<u32>,
    /// Appended to by the connection that served; [`Engine::wait_for`] sleeps on it.
    served: watch::Sender<Vec<Served>>,
}

impl Engine {
    /// Nothing listens yet: see [`Engine::serve`].
    #[must_use]
    pub fn new(source: Source) -> Self {
        let shared = Shared {
            source: Mutex::new(source),
            failures: Mutex::new(0),
            served: watch::Sender::new(Vec::new()),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Everything served so far, oldest first. A text counts when its last byte was handed over.
    #[must_use]
    pub fn served(&self) -> Vec<Served> {
        self.shared.served.borrow().clone()
    }

    /// How many scrapes were answered.
    #[must_use]
    pub fn scrapes(&self) -> usize {
        self.shared.served.borrow().len()
    }

    /// Waits for the scrape number `count` (the first is 1), at most `limit`; whether it came.
    pub async fn wait_for(&self, count: usize, limit: Duration) -> bool {
        let mut served = self.shared.served.subscribe();
        let reached = async { served.wait_for(|served| served.len() >= count).await.is_ok() };
        tokio::time::timeout(limit, reached).await.unwrap_or(false)
    }

    /// Answers the next `count` scrapes with 500, as an engine whose collectors fail does.
    pub fn fail_next(&self, count: u32) {
        *lock(&self.shared.failures) += count;
    }

    /// Serves until `stop` is cancelled: the listener and all connections are closed then.
    pub async fn serve(&self, listener: UnixListener, stop: CancellationToken) {
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                Some(_) = connections.join_next() => continue,
                accepted = listener.accept() => accepted,
            };
            if let Ok((stream, _)) = accepted {
                connections.spawn(connection(self.clone(), stream));
            } else {
                // Too many open files: some may be closed soon.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Answer> {
        let at = now_ms();
        if request.uri().path() != "/metrics" {
            return plain(StatusCode::NOT_FOUND, "404 page not found\n");
        }
        if self.take_failure() {
            self.keep(Served { at, text: None });
            let text = "An error has occurred while serving metrics:\n\nthis scrape fails on purpose\n";
            return plain(StatusCode::INTERNAL_SERVER_ERROR, text);
        }
        let text = match self.next() {
            Ok(text) => Ok((text, HeaderValue::from_static(TEXT))),
            Err(socket) => fetch(&socket).await,
        };
        match text {
            Ok((text, content_type)) => {
                let served = Served { at, text: Some(text.clone()) };
                let mut response = Response::new(Answer::new(&text, Some((self.clone(), served))));
                response.headers_mut().insert(CONTENT_TYPE, content_type);
                response
            }
            Err(error) => {
                self.keep(Served { at, text: None });
                plain(StatusCode::BAD_GATEWAY, &format!("cannot read the engine's metrics: {error}\n"))
            }
        }
    }

    /// The next text, or the socket of the engine that has it.
    fn next(&self) -> Result<Arc<str>, PathBuf> {
        match &mut *lock(&self.shared.source) {
            Source::Recording(recording) => Ok(recording.next_text().into()),
            Source::Texts(texts) => {
                let next = if texts.len() > 1 { texts.pop_front() } else { texts.front().cloned() };
                Ok(next.unwrap_or_default())
            }
            Source::Engine(socket) => Err(socket.clone()),
        }
    }

    fn take_failure(&self) -> bool {
        let mut failures = lock(&self.shared.failures);
        let fails = *failures > 0;
        *failures = failures.saturating_sub(1);
        fails
    }

    fn keep(&self, served: Served) {
        self.shared.served.send_modify(|all| all.push(served));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing can panic while holding these; a poisoned one would still be right.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn connection(engine: Engine, stream: UnixStream) {
    let service = service_fn(|request| {
        let engine = engine.clone();
        async move { Ok::<_, Infallible>(engine.answer(request).await) }
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.header_read_timeout(None);
    // The peer's faults end its connection and nothing else.
    let _ = pin!(builder.serve_connection(TokioIo::new(stream), service)).await;
}

/// Why a real engine's text cannot be had.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("{0}")]
    Connect(#[from] std::io::Error),
    #[error("{0}")]
    Http(#[from] hyper::Error),
    #[error("it answered {0}")]
    Status(StatusCode),
    #[error("{0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
    #[error("it is not UTF-8: {0}")]
    Utf8(#[from] std::str::Utf8Error),
}

/// One scrape of a real engine, as text whatever the caller asks for: the comparison reads nothing else.
async fn fetch(socket: &std::path::Path) -> Result<(Arc<str>, HeaderValue), FetchError> {
    let stream = UnixStream::connect(socket).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.uri_mut() = hyper::Uri::from_static("/metrics");
    request.headers_mut().insert(HOST, HeaderValue::from_static("docker"));
    request.headers_mut().insert(ACCEPT, HeaderValue::from_static(TEXT));
    let exchange = async {
        let response = sender.send_request(request).await?;
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status(response.status()));
        }
        let plain = HeaderValue::from_static(TEXT);
        let content_type = response.headers().get(CONTENT_TYPE).cloned().unwrap_or(plain);
        let body = Limited::new(response.into_body(), MAX_TEXT_BYTES).collect().await;
        let body = body.map_err(FetchError::Body)?.to_bytes();
        Ok((std::str::from_utf8(&body)?.into(), content_type))
    };
    tokio::select! {
        biased;
        result = exchange => result,
        // Polled for the exchange's sake; where it ends first, the exchange says why.
        ended = connection => Err(ended.err().map_or_else(
            || FetchError::Connect(std::io::ErrorKind::UnexpectedEof.into()),
            FetchError::Http,
        )),
    }
}

fn plain(status: StatusCode, text: &str) -> Response<Answer> {
    let mut response = Response::new(Answer::new(text, None));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// A body in chunks of unknown number, that tells when its last byte was handed over.
struct Answer {
    left: Bytes,
    done: Option<(Engine, Served)>,
}

impl Answer {
    fn new(text: &str, done: Option<(Engine, Served)>) -> Self {
        Self { left: Bytes::copy_from_slice(text.as_bytes()), done }
    }
}

impl hyper::body::Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let answer = self.get_mut();
        if answer.left.is_empty() {
            if let Some((engine, served)) = answer.done.take() {
                engine.keep(served);
            }
            return Poll::Ready(None);
        }
        let chunk = answer.left.split_to(answer.left.len().min(CHUNK));
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    struct Rig {
        engine: Engine,
        directory: tempfile::TempDir,
        stop: CancellationToken,
    }

    impl Rig {
        fn new(source: Source) -> Self {
            let directory = tempfile::tempdir().unwrap();
            let listener = UnixListener::bind(directory.path().join("metrics.sock")).unwrap();
            let (engine, stop) = (Engine::new(source), CancellationToken::new());
            let (serving, stopped) = (engine.clone(), stop.clone());
            tokio::spawn(async move { serving.serve(listener, stopped).await });
            Self { engine, directory, stop }
        }

        fn socket(&self) -> PathBuf {
            self.directory.path().join("metrics.sock")
        }

        /// The whole answer to a GET, as bytes on the wire.
        async fn get(&self, path: &str) -> String {
            let exchange = async {
                let mut stream = UnixStream::connect(self.socket()).await.unwrap();
                let request = format!("GET {path} HTTP/1.1\r\nHost: \r\nConnection: close\r\n\r\n");
                stream.write_all(request.as_bytes()).await.unwrap();
                let mut answer = String::new();
                stream.read_to_string(&mut answer).await.unwrap();
                answer
            };
            tokio::time::timeout(LIMIT, exchange).await.unwrap()
        }
    }

    #[tokio::test]
    async fn a_real_engine_is_asked_for_text_whatever_the_caller_asks_for() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("real.sock");
        let real = UnixListener::bind(&socket).unwrap();
        let asked = tokio::spawn(async move {
            let mut stream = real.accept().await.unwrap().0;
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\na 1\n").await.unwrap();
            (String::from_utf8(head).unwrap().to_ascii_lowercase(), stream)
        });
        let rig = Rig::new(Source::Engine(socket));
        assert!(rig.get("/metrics").await.starts_with("HTTP/1.1 200 OK\r\n"));
        assert!(asked.await.unwrap().0.contains("\r\naccept: text/plain;"));
    }

    #[tokio::test]
    async fn serves_as_dockerd_does_and_keeps_what_it_served() {
        let rig = Rig::new(Source::Recording(Box::default()));
        let answer = rig.get("/metrics").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{}", &answer[..200]);
        assert!(answer.contains("\r\ncontent-type: text/plain; version=0.0.4; charset=utf-8\r\n"));
        assert!(answer.contains("\r\ntransfer-encoding: chunked\r\n"));
        assert!(rig.engine.wait_for(1, LIMIT).await);
        let served = rig.engine.served();
        let text = served[0].text.as_deref().unwrap();
        assert!(answer.contains(text.lines().nth(1).unwrap()));
        assert!((now_ms() - served[0].at).abs() < 60_000);
        let again = rig.get("/metrics").await;
        assert_ne!(again, answer);
        assert_eq!(rig.engine.scrapes(), 2);
    }

    #[tokio::test]
    async fn other_paths_are_not_found_and_not_counted() {
        let rig = Rig::new(Source::Recording(Box::default()));
        assert!(rig.get("/").await.starts_with("HTTP/1.1 404 "));
        assert_eq!(rig.engine.scrapes(), 0);
    }

    #[tokio::test]
    async fn a_failing_scrape_is_kept_as_such() {
        let rig = Rig::new(Source::Texts(["a 1\n".into(), "a 2\n".into()].into()));
        rig.engine.fail_next(1);
        assert!(rig.get("/metrics").await.starts_with("HTTP/1.1 500 "));
        assert!(rig.get("/metrics").await.starts_with("HTTP/1.1 200 OK\r\n"));
        assert!(rig.get("/metrics").await.contains("a 2\n"));
        assert!(rig.get("/metrics").await.contains("a 2\n"));
        let texts: Vec<_> = rig.engine.served().into_iter().map(|served| served.text).collect();
        assert_eq!(texts[0], None);
        assert_eq!(texts[1].as_deref(), Some("a 1\n"));
        assert_eq!(texts[3].as_deref(), Some("a 2\n"));
    }

    #[tokio::test]
    async fn a_real_engine_is_passed_on_and_kept() {
        let real = Rig::new(Source::Texts(["a 1\n".into()].into()));
        let tee = Rig::new(Source::Engine(real.socket()));
        assert!(tee.get("/metrics").await.contains("a 1\n"));
        assert_eq!(tee.engine.served()[0].text.as_deref(), Some("a 1\n"));
        let failing = Rig::new(Source::Engine(tee.directory.path().join("nothing.sock")));
        assert!(failing.get("/metrics").await.starts_with("HTTP/1.1 502 "));
        assert_eq!(failing.engine.served()[0].text, None);
        for rig in [real, tee, failing] {
            rig.stop.cancel();
        }
    }
}
