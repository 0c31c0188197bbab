use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::Listening;
use super::door::Door;
use super::patience::{Activity, Patient};

/// After a failed `accept` (no file descriptors left, mostly) a moment passes, so that the thread does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Open connections at once. dockerd needs one; when there are more, the one that has been idle longest goes.
const MAX_CONNECTIONS: usize = 64;

/// From the first byte of a request to the end of its head.
const HEAD_LIMIT: Duration = Duration::from_secs(10);

/// The most of a head that is kept; dockerd's has 150 bytes.
const HEAD_BYTES: usize = 16 * 1024;

/// For answers that are on their way when the end comes. StopMetrics takes half a second at most.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// What answers requests. Clones share what they answer from.
pub(super) trait Answer: Clone + 'static {
    fn answer(
        &self,
        request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<Full<Bytes>>, Infallible>>;
}

/// A listening socket.
#[derive(Debug)]
pub(super) enum Listener {
    /// Whoever connects is asked for its uid.
    Unix(UnixListener),
    Tcp(TcpListener),
}

/// A connection, whatever it came through.
trait Connection: AsyncRead + AsyncWrite {}
impl<S: AsyncRead + AsyncWrite> Connection for S {}

impl Listener {
    /// `None` for a peer that is not let in.
    async fn accept(&self, door: &mut Door) -> io::Result<Option<Pin<Box<dyn Connection>>>> {
        match self {
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok(if door.lets_in(stream.peer_cred()) { Some(Box::pin(stream)) } else { None })
            }
            Self::Tcp(listener) => Ok(Some(Box::pin(listener.accept().await?.0))),
        }
    }
}

/// Accepts and answers until `cancel`; then takes what is bound and closes it, lets answers that are on their way finish, and ends.
pub(super) async fn run(
    listener: Listener,
    bound: &mut Option<Listening>,
    name: &'static str,
    api: impl Answer,
    cancel: CancellationToken,
) {
    let mut guests = Guests { name, tasks: JoinSet::new(), activities: HashMap::new() };
    let mut door = Door::new(name);
    loop {
        tokio::select! {
            // Ends are reaped before newcomers are counted.
            biased;
            () = cancel.cancelled() => break,
            Some(ended) = guests.tasks.join_next_with_id() => guests.forget(ended),
            accepted = listener.accept(&mut door) => match accepted {
                Ok(None) => {}
                Ok(Some(stream)) => {
                    guests.make_room().await;
                    let activity = Activity::new();
                    let stream = Patient::new(stream, Rc::clone(&activity), HEAD_LIMIT);
                    let guest = entertain(stream, name, api.clone(), Rc::clone(&activity), cancel.clone());
                    let task = guests.tasks.spawn_local(guest);
                    guests.activities.insert(task.id(), (activity, task));
                }
                Err(error) => {
                    warn!(%error, socket = name, "cannot accept a connection; trying again in 50 ms");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    drop(bound.take());
    while let Some(ended) = guests.tasks.join_next_with_id().await {
        guests.forget(ended);
    }
}

/// The open connections.
#[derive(Debug)]
struct Guests {
    /// Of the socket, for messages.
    name: &'static str,
    tasks: JoinSet<()>,
    activities: HashMap<Id, (Rc<Activity>, AbortHandle)>,
}

impl Guests {
    fn forget(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = match ended {
            Ok((id, ())) => id,
            Err(error) => {
                if error.is_panic() {
                    error!(
                        "answering a call has panicked: its connection is closed, and dockerd calls again"
                    );
                }
                error.id()
            }
        };
        self.activities.remove(&id);
    }

    /// Makes room for one more. Where everybody is being answered, the first answer is waited for: 1.5 s at most.
    async fn make_room(&mut self) {
        while self.activities.len() >= MAX_CONNECTIONS {
            let idle =
                self.activities.values().filter_map(|(activity, task)| Some((activity.idle_since()?, task)));
            if let Some((_, task)) = idle.min_by_key(|(since, _)| *since) {
                warn!(
                    socket = self.name,
                    limit = MAX_CONNECTIONS,
                    "too many connections; closing the one idle longest"
                );
                task.abort();
            }
            match self.tasks.join_next_with_id().await {
                Some(ended) => self.forget(ended),
                None => return,
            }
        }
    }
}

/// Answers one connection until its peer leaves, does something that is not HTTP, or `cancel`.
async fn entertain<S>(
    stream: S,
    name: &'static str,
    api: impl Answer,
    activity: Rc<Activity>,
    cancel: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let service = service_fn(|request| {
        let serving = activity.serve();
        let answer = api.answer(request);
        async move {
            let answer = answer.await;
            drop(serving);
            answer
        }
    });
    let mut connection = pin!(
        http1::Builder::new()
            // `Patient` does that, with mercy for the idle.
            .header_read_timeout(None)
            .max_buf_size(HEAD_BYTES)
            // A peer may close its sending side behind the request, as `nc -N` does, and still gets its answer.
            .half_close(true)
            .title_case_headers(true)
            .serve_connection(TokioIo::new(stream), service)
    );
    let ended = tokio::select! {
        // An answer that is ready leaves before the end is looked at.
        biased;
        ended = connection.as_mut() => ended,
        () = cancel.cancelled() => {
            connection.as_mut().graceful_shutdown();
            match timeout(LAST_ANSWERS, connection).await {
                Ok(ended) => ended,
                Err(_) => return warn!(socket = name, "a connection was cut at the end: its peer did not finish"),
            }
        }
    };
    if let Err(error) = ended {
        warn!(%error, cause = error_cause(&error), socket = name, "a connection ended badly");
    }
}

/// hyper's own words are short ("connection error"); the reason is one below.
fn error_cause(error: &hyper::Error) -> Option<String> {
    std::error::Error::source(error).map(ToString::to_string)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::task::{JoinHandle, LocalSet, spawn_local};
    use tokio::time::Instant;

    use super::*;
    use crate::collector::{Commands, Control, Wanted, control};
    use crate::plugin::Fault;
    use crate::plugin::api::Api;

    const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);

    /// A connection as the server makes it. Time is paused: it jumps when everybody waits.
    fn connect(control: Control) -> (DuplexStream, JoinHandle<()>) {
        let (near, far) = duplex(64 * 1024);
        let activity = Activity::new();
        let stream = Patient::new(far, Rc::clone(&activity), HEAD_LIMIT);
        let api = Api::new(control, Fault::default());
        (near, spawn_local(entertain(stream, "api", api, activity, CancellationToken::new())))
    }

    async fn ask(stream: &mut DuplexStream, call: &str) {
        let request =
            format!("POST /MetricsCollector.{call} HTTP/1.1\r\nHost: \r\nContent-Length: 0\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        read_answer(stream).await;
    }

    async fn read_answer(stream: &mut DuplexStream) {
        let mut answer = Vec::new();
        while !answer.ends_with(br#"{"Err":""}"#) {
            assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0, "closed before the answer");
        }
        assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
    }

    async fn collect(mut commands: Commands) {
        while commands.wanted.changed().await.is_ok() {
            commands.done.send_replace(commands.wanted.borrow().generation);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_connection_of_start_metrics_serves_stop_metrics_a_month_later() {
        let test = async {
            let (control, commands) = control();
            let wanted = commands.wanted.clone();
            spawn_local(collect(commands));
            let (mut stream, _task) = connect(control);
            tokio::time::sleep(MONTH).await;
            ask(&mut stream, "StartMetrics").await;
            assert_eq!(wanted.borrow().wanted, Wanted::Running);
            tokio::time::sleep(MONTH).await;
            ask(&mut stream, "StopMetrics").await;
            assert_eq!(wanted.borrow().wanted, Wanted::Stopped);
        };
        LocalSet::new().run_until(test).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_is_not_complete_after_ten_seconds_ends_its_connection() {
        let test = async {
            let (control, _commands) = control();
            let (mut stream, task) = connect(control.clone());
            ask(&mut stream, "StartMetrics").await;
            tokio::time::sleep(MONTH).await;
            let before = Instant::now();
            // One byte a second does not buy more time.
            for byte in b"POST /Metr" {
                stream.write_all(&[*byte]).await.unwrap();
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            task.await.unwrap();
            assert_eq!(before.elapsed(), HEAD_LIMIT);

            let (mut stream, _task) = connect(control);
            stream.write_all(b"POST /MetricsCollector.Start").await.unwrap();
            tokio::time::sleep(HEAD_LIMIT - Duration::from_millis(1)).await;
            stream.write_all(b"Metrics HTTP/1.1\r\nContent-Length: 2\r\n\r\n").await.unwrap();
            // The body comes on its own, and begins no head.
            tokio::time::sleep(Duration::from_millis(10)).await;
            stream.write_all(b"{}").await.unwrap();
            read_answer(&mut stream).await;
            tokio::time::sleep(MONTH).await;
            ask(&mut stream, "StartMetrics").await;
        };
        LocalSet::new().run_until(test).await;
    }
}
