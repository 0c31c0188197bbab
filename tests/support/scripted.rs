//! A loopback HTTP server that answers by a script: statuses, silence, half answers, closed connections.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long tests wait for what must happen.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// A receiver: from a request's body to what happens.
pub(crate) type Judge = Arc<dyn Fn(&Bytes) -> Step + Send + Sync>;

/// What the server does with one request, after it has read all of it.
#[derive(Clone)]
pub(crate) enum Step {
    Answer(Answer),
    /// Looks at the body and decides.
    Judge(Judge),
    /// Never answers.
    Hang,
    /// Ends the connection without an answer.
    Close,
    /// The same with a RST.
    Reset,
}

#[derive(Clone, Debug)]
pub(crate) struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    text: Text,
    /// The connection takes no further request.
    is_last: bool,
}

#[derive(Clone, Debug)]
enum Text {
    Whole(Bytes),
    /// Promises more than it gives, then closes.
    Torn(Bytes),
    /// What it gave has been handed to hyper; the next call fails.
    TornOff,
    Endless,
}

/// An answer with this status.
pub(crate) fn status(status: u16) -> Answer {
    Answer { status, headers: Vec::new(), text: Text::Whole(Bytes::new()), is_last: false }
}

impl Answer {
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn text(self, text: impl Into<Bytes>) -> Self {
        Self { text: Text::Whole(text.into()), ..self }
    }

    /// Over HTTP/2 with GOAWAY.
    pub(crate) fn last_of_its_connection(self) -> Self {
        Self { is_last: true, ..self }
    }

    pub(crate) fn torn(self, text: &'static str) -> Self {
        Self { text: Text::Torn(text.into()), ..self }
    }

    pub(crate) fn endless(self) -> Self {
        Self { text: Text::Endless, ..self }
    }
}

impl From<Answer> for Step {
    fn from(answer: Answer) -> Self {
        Self::Answer(answer)
    }
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// Method, path with query, version.
    pub(crate) line: String,
    /// Names in lower case, sorted.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
}

impl Seen {
    /// A header's values, joined with `, `.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let values: Vec<_> =
            self.headers.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str()).collect();
        (!values.is_empty()).then(|| values.join(", "))
    }
}

struct Shared {
    script: VecDeque<Step>,
    /// When the script is over.
    otherwise: Step,
    seen: watch::Sender<Vec<Seen>>,
}

/// The server; it ends when this is dropped.
pub(crate) struct Scripted {
    pub(crate) address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    seen: watch::Receiver<Vec<Seen>>,
    accepting: JoinHandle<()>,
    tls: bool,
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// A server that plays the script and then answers 204.
pub(crate) async fn serve<S: Into<Step>>(script: impl IntoIterator<Item = S>) -> Scripted {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    serve_on(listener, None, script)
}

/// The same behind TLS, with HTTP/2 if both sides agree on it.
pub(crate) async fn serve_tls<S: Into<Step>>(
    tls: rustls::ServerConfig,
    script: impl IntoIterator<Item = S>,
) -> Scripted {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    serve_on(listener, Some(tls), script)
}

/// The same on a socket of the caller's.
pub(crate) fn serve_on<S: Into<Step>>(
    listener: TcpListener,
    tls: Option<rustls::ServerConfig>,
    script: impl IntoIterator<Item = S>,
) -> Scripted {
    let (seen_sender, seen) = watch::channel(Vec::new());
    let shared = Shared {
        script: script.into_iter().map(Into::into).collect(),
        otherwise: status(204).into(),
        seen: seen_sender,
    };
    let shared = Arc::new(Mutex::new(shared));
    let address = listener.local_addr().unwrap();
    let is_tls = tls.is_some();
    let acceptor = tls.map(|config| tokio_rustls::TlsAcceptor::from(Arc::new(config)));
    let accepting = tokio::spawn(accept(listener, acceptor, Arc::clone(&shared)));
    Scripted { address, shared, seen, accepting, tls: is_tls }
}

impl Scripted {
    pub(crate) fn url(&self, path: &str) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}{path}", self.address)
    }

    /// What to do with requests from now on, after the rest of the script.
    pub(crate) fn otherwise(&self, step: impl Into<Step>) {
        self.shared.lock().unwrap().otherwise = step.into();
    }

    /// All requests so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.borrow().clone()
    }

    /// Waits until `count` requests have come, and returns all.
    pub(crate) async fn saw(&self, count: usize) -> Vec<Seen> {
        let mut seen = self.seen.clone();
        let enough = seen.wait_for(|seen| seen.len() >= count);
        let waited = tokio::time::timeout(DEADLINE, enough).await;
        match waited {
            Ok(seen) => seen.unwrap().clone(),
            Err(_) => panic!("{} of {count} requests came: {:#?}", self.seen().len(), self.seen()),
        }
    }
}

async fn accept(listener: TcpListener, tls: Option<tokio_rustls::TlsAcceptor>, shared: Arc<Mutex<Shared>>) {
    // Dropped with this task, and all connections with it.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        let (tls, shared) = (tls.clone(), Arc::clone(&shared));
        connections.spawn(async move {
            let Some(tls) = tls else { return converse(stream, false, &shared).await };
            // A handshake that fails is the client's story to tell.
            let Ok(stream) = tls.accept(stream).await else { return };
            let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            converse(stream, is_h2, &shared).await;
        });
    }
}

/// A connection that can be ended the hard way.
trait Connection: AsyncRead + AsyncWrite + Send + Unpin + 'static {
    fn descriptor(&self) -> std::os::fd::OwnedFd;
}

impl Connection for TcpStream {
    fn descriptor(&self) -> std::os::fd::OwnedFd {
        std::os::fd::AsFd::as_fd(self).try_clone_to_owned().unwrap()
    }
}

impl Connection for tokio_rustls::server::TlsStream<TcpStream> {
    fn descriptor(&self) -> std::os::fd::OwnedFd {
        self.get_ref().0.descriptor()
    }
}

async fn converse(stream: impl Connection, is_h2: bool, shared: &Arc<Mutex<Shared>>) {
    let descriptor = Arc::new(Mutex::new(Some(stream.descriptor())));
    let last = Arc::new(tokio::sync::Notify::new());
    let service = service_fn(|request: Request<Incoming>| {
        let (shared, descriptor, last) = (Arc::clone(shared), Arc::clone(&descriptor), Arc::clone(&last));
        async move { answer(request, &shared, &descriptor, &last).await }
    });
    let io = TokioIo::new(stream);
    // A connection that a step ends is an error here, and meant to be.
    if is_h2 {
        let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        let mut served = pin!(builder.serve_connection(io, service));
        tokio::select! {
            _ = &mut served => return,
            () = last.notified() => served.as_mut().graceful_shutdown(),
        }
        let _ = served.await;
    } else {
        let builder = hyper::server::conn::http1::Builder::new();
        let mut served = pin!(builder.serve_connection(io, service));
        tokio::select! {
            _ = &mut served => return,
            () = last.notified() => served.as_mut().graceful_shutdown(),
        }
        let _ = served.await;
    }
}

async fn answer(
    request: Request<Incoming>,
    shared: &Mutex<Shared>,
    descriptor: &Mutex<Option<std::os::fd::OwnedFd>>,
    last: &tokio::sync::Notify,
) -> Result<Response<Script>, io::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let text = |value: &hyper::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let mut headers: Vec<_> =
        head.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
    headers.sort();
    let line = format!("{} {} {:?}", head.method, head.uri, head.version);
    let step = {
        let mut shared = shared.lock().unwrap();
        let mut step = shared.script.pop_front().unwrap_or_else(|| shared.otherwise.clone());
        if let Step::Judge(judge) = &step {
            step = judge(&body);
        }
        shared.seen.send_modify(|all| all.push(Seen { line, headers, body }));
        step
    };
    match step {
        Step::Answer(answer) => {
            if answer.is_last {
                last.notify_one();
            }
            let mut response = Response::builder().status(answer.status);
            for (name, value) in answer.headers {
                response = response.header(name, value);
            }
            Ok(response.body(Script(answer.text)).unwrap())
        }
        Step::Hang => std::future::pending().await,
        Step::Judge(_) => Err(io::Error::other("a judge names no judge")),
        Step::Close => Err(io::Error::other("the script says: close")),
        Step::Reset => {
            let descriptor = descriptor.lock().unwrap().take().unwrap();
            rustix::net::sockopt::set_socket_linger(&descriptor, Some(Duration::ZERO)).unwrap();
            Err(io::Error::other("the script says: reset"))
        }
    }
}

struct Script(Text);

impl Body for Script {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let frame = |bytes: Bytes| Poll::Ready(Some(Ok(Frame::data(bytes))));
        match &mut self.0 {
            Text::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Text::Torn(bytes) if bytes.is_empty() => {
                // While this waits, hyper sends the head and what there is of the text.
                self.0 = Text::TornOff;
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Text::TornOff => Poll::Ready(Some(Err(io::Error::other("the script says: tear")))),
            Text::Whole(bytes) | Text::Torn(bytes) => frame(std::mem::take(bytes)),
            Text::Endless => frame(Bytes::from_static(&[b'x'; 1024])),
        }
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        match &self.0 {
            Text::Whole(bytes) => hyper::body::SizeHint::with_exact(bytes.len() as u64),
            Text::Torn(bytes) => hyper::body::SizeHint::with_exact(bytes.len() as u64 + 1000),
            Text::TornOff | Text::Endless => hyper::body::SizeHint::new(),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.0, Text::Whole(bytes) if bytes.is_empty())
    }
}

/// A script without steps.
pub(crate) const NOTHING: [Infallible; 0] = [];

impl From<Infallible> for Step {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}
