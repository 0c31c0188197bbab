use std::cell::Cell;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// What a connection is doing, seen by the three who need it: its reader, its requests, and the server that looks for one to close.
#[derive(Debug)]
pub(super) struct Activity {
    /// Requests whose head has come, whole.
    heads: Cell<u64>,
    serving: Cell<bool>,
    /// The beginning of the connection, or the end of its last request.
    idle_since: Cell<Instant>,
}

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct Serving<'a>(&'a Activity);

impl Activity {
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Self {
            heads: Cell::new(0),
            serving: Cell::new(false),
            idle_since: Cell::new(Instant::now()),
        })
    }

    /// A head has come, and its request is answered as long as the result lives.
    pub(super) fn serve(&self) -> Serving<'_> {
        self.heads.set(self.heads.get() + 1);
        self.serving.set(true);
        Serving(self)
    }

    /// Since when nobody waits for an answer here, `None` while somebody does.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        (!self.serving.get()).then(|| self.idle_since.get())
    }
}

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        self.0.serving.set(false);
        self.0.idle_since.set(Instant::now());
    }
}

/// A stream that gives a request's head some time from its first byte on, and an idle connection all the time in the world: dockerd keeps the
/// connection of StartMetrics open for weeks and uses it again for StopMetrics. (hyper's own `header_read_timeout`, 1.12, also ends idle ones.)
#[derive(Debug)]
pub(super) struct Patient<S> {
    stream: S,
    activity: Rc<Activity>,
    limit: Duration,
    head: Option<Head>,
}

/// A head whose first byte has come.
#[derive(Debug)]
struct Head {
    /// [`Activity::heads`] at that time: when it has grown, the head is complete.
    heads_before: u64,
    deadline: Pin<Box<Sleep>>,
}

impl<S> Patient<S> {
    pub(super) fn new(stream: S, activity: Rc<Activity>, limit: Duration) -> Self {
        Self { stream, activity, limit, head: None }
    }

    /// Bytes came. Outside of a request they begin a head, or belong to one that has begun.
    fn bytes_came(&mut self) {
        let heads_before = self.activity.heads.get();
        let known = self.head.as_ref().is_some_and(|head| head.heads_before == heads_before);
        if !known && !self.activity.serving.get() {
            self.head = Some(Head { heads_before, deadline: Box::pin(sleep(self.limit)) });
        }
    }

    /// Nothing comes. `Ready` when a head has taken too long.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.head {
            Some(head) if head.heads_before == self.activity.heads.get() => head.deadline.as_mut().poll(cx),
            Some(_) | None => {
                self.head = None;
                Poll::Pending
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        match Pin::new(&mut self.stream).poll_read(cx, buffer) {
            Poll::Ready(result) => {
                if buffer.filled().len() > before {
                    self.bytes_came();
                }
                Poll::Ready(result)
            }
            Poll::Pending => {
                ready!(self.poll_deadline(cx));
                let words =
                    format!("a request's head was not complete {:?} after its first byte", self.limit);
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, words)))
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
