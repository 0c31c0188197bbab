//! The connections: reads requests to their end, has them judged, answers as told.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Frame, Incoming};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::answer::{self, Answer, Reply};
use super::check;
use super::decode::{self, Decoded};
use super::protocol::Protocol;
use super::state::{Answered, Arrived, Request, Written};
use super::store::Points;
use super::violation::Violation;
use super::{Receiver, Shared};
use crate::model::{Labels, now_ms};

/// Bytes of a compressed body that are read at most.
const MAX_BODY_BYTES: usize = 64 << 20;
/// How long requests that are being answered may take after the stop.
const GRACE: Duration = Duration::from_secs(2);
/// After a failed accept (too many open files): long enough to let some close.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Ends a connection without (the rest of) an answer.
#[derive(Debug, thiserror::Error)]
#[error("the script closes this connection")]
struct HungUp;

type Body = BoxBody<Bytes, HungUp>;

impl Receiver {
    /// Serves until `stop` is cancelled: then no connection is accepted any more, requests that are here are still answered
    /// (2 s at most), idle connections are closed. Returns when all of that has happened; the listener is dropped.
    pub async fn serve(&self, listener: TcpListener, stop: CancellationToken) {
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                // Keeps the set small; a connection's end is otherwise of no interest.
                Some(_) = connections.join_next() => continue,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(Arc::clone(&self.shared), stream, stop.clone()));
                }
                Err(error) => {
                    warn!(%error, "receiver could not accept a connection, goes on in 50 ms");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        while connections.join_next().await.is_some() {}
    }
}

async fn connection(shared: Arc<Shared>, stream: TcpStream, stop: CancellationToken) {
    let service = service_fn(|request| respond(&shared, request, &stop));
    let mut builder = hyper::server::conn::http1::Builder::new();
    // A sender's idle connection lives for as long as it likes.
    builder.timer(TokioTimer::new()).header_read_timeout(None);
    let mut served = pin!(builder.serve_connection(TokioIo::new(stream), service));
    // The peer's faults end its connection and nothing else.
    tokio::select! {
        _ = served.as_mut() => {}
        () = stop.cancelled() => {
            served.as_mut().graceful_shutdown();
            let _ = tokio::time::timeout(GRACE, served).await;
        }
    }
}

async fn respond(
    shared: &Shared,
    request: hyper::Request<Incoming>,
    stop: &CancellationToken,
) -> Result<Response<Body>, HungUp> {
    let (parts, body) = request.into_parts();
    let violations = check::head(&parts.method, &parts.uri, &parts.headers, &shared.options.path);
    let (body, violations) = read(body, violations).await;
    let (answer, request) = shared.take(parts.headers, body, violations);
    match answer {
        Answer::Normal => Ok(judgement(&request)),
        Answer::Status(reply) | Answer::StorePart { reply, .. } => Ok(scripted(reply)),
        Answer::Hang => {
            stop.cancelled().await;
            Err(HungUp)
        }
        Answer::Close | Answer::StoreThenClose => Err(HungUp),
        Answer::CloseMidAnswer => Ok(half()),
    }
}

/// Reads a body to its end, whatever the answer will be; what did not arrive completely is empty.
async fn read(body: Incoming, mut violations: Vec<Violation>) -> (Bytes, Vec<Violation>) {
    match Limited::new(body, MAX_BODY_BYTES).collect().await {
        Ok(body) => (body.to_bytes(), violations),
        Err(error) => {
            violations.push(check::body_error(error.as_ref(), MAX_BODY_BYTES));
            (Bytes::new(), violations)
        }
    }
}

impl Receiver {
    /// Takes a body of 1.0 as if it had come with a right head, and says how it was answered.
    pub fn accept(&self, body: Bytes) -> Answered {
        self.accept_as(Protocol::V1, body)
    }

    /// The same with a body of this message.
    pub fn accept_as(&self, protocol: Protocol, body: Bytes) -> Answered {
        let content_type = HeaderValue::from_static(match protocol {
            Protocol::V1 => "application/x-protobuf",
            Protocol::V2 => "application/x-protobuf;proto=io.prometheus.write.v2.Request",
        });
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, content_type)]);
        self.shared.take(headers, body, Vec::new()).1.answered
    }
}

impl Shared {
    /// Decodes, checks, stores, logs and shows one request.
    fn take(&self, headers: HeaderMap, body: Bytes, mut violations: Vec<Violation>) -> (Answer, Request) {
        let options = &self.options;
        let body = match &options.tamper {
            Some(tamper) => tamper(body),
            None => body,
        };
        let whole = !violations.iter().any(|violation| matches!(violation, Violation::Body(_)));
        let protocol = Protocol::of(&headers);
        let decoded = match whole {
            true => decode::decode(&body, protocol, options.max_message_bytes),
            false => Ok(Decoded::default()),
        };
        let mut decoded = decoded.unwrap_or_else(|violation| {
            violations.push(violation);
            Decoded::default()
        });
        violations.append(&mut decoded.violations);
        let mut series = Vec::with_capacity(decoded.series.len());
        for one in &decoded.series {
            let labels: Labels = one.labels.iter().map(|(name, value)| (name, value)).collect();
            check::series(one, &labels, &mut violations);
            series.push((labels, Points::new(one.samples.clone(), one.histograms.clone())));
        }
        check::metadata(&decoded.metadata, &mut violations);
        let arrived = Arrived {
            headers,
            body_bytes: body.len(),
            body_crc: crc32fast::hash(&body),
            message_bytes: decoded.message_bytes,
            protocol,
            exemplars: decoded.series.iter().map(|series| series.exemplars as u64).sum(),
            series,
            metadata: decoded.metadata,
            violations,
        };
        let (answer, request) = {
            let mut state = self.lock();
            let (answer, request) = state.judge(arrived, options.refuse, now_ms());
            (answer, request.clone())
        };
        if let Some(observer) = &options.observer {
            observer(&request, &decoded.series);
        }
        self.version.send_modify(|version| *version += 1);
        (answer, request)
    }
}

/// 204 as Prometheus answers, or the violations as text; to 2.0 with the headers that say what was written, unless nobody looked at it.
fn judgement(request: &Request) -> Response<Body> {
    let status = match request.answered {
        Answered::Status(status) => status,
        Answered::Hang | Answered::Closed | Answered::Half => 204,
    };
    let mut text = String::new();
    if status >= 400 {
        for violation in request.violations.iter().take(10) {
            text.push_str(&violation.to_string());
            text.push('\n');
        }
    }
    let headers = match request.written {
        Some(Written { samples, histograms }) => {
            answer::written(samples, histograms, if status < 300 { request.exemplars } else { 0 })
        }
        None => Vec::new(),
    };
    scripted(Reply { status, headers, body: Bytes::from(text) })
}

fn scripted(reply: Reply) -> Response<Body> {
    let mut response = Response::new(full(reply.body));
    // A status or header that a test's script misspells shows as 500.
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if reply.status != 204 {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    }
    for (name, value) in reply.headers {
        match (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            (Ok(name), Ok(value)) => {
                response.headers_mut().append(name, value);
            }
            (Err(_), _) | (_, Err(_)) => *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
    response
}

/// Promises 64 bytes, gives 32, hangs up.
fn half() -> Response<Body> {
    let mut response = Response::new(HalfBody::Head.boxed());
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("64"));
    response
}

/// What the body of [`half`] does next.
enum HalfBody {
    Head,
    /// Lets hyper write what it has before the connection ends.
    Flush,
    HangUp,
}

impl hyper::body::Body for HalfBody {
    type Data = Bytes;
    type Error = HungUp;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HungUp>>> {
        let body = self.get_mut();
        match body {
            Self::Head => {
                *body = Self::Flush;
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b'.'; 32])))))
            }
            Self::Flush => {
                *body = Self::HangUp;
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Self::HangUp => Poll::Ready(Some(Err(HungUp))),
        }
    }
}

fn full(body: Bytes) -> Body {
    Full::new(body).map_err(|never: Infallible| match never {}).boxed()
}
