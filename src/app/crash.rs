//! A part of the program has panicked: what is left goes on until the process may end, then it ends once, in order, and dockerd starts a fresh one.
//!
//! The note of the last such end is `state/crash-exit` in `QUEUE_DIR`: the first may come 5 s after the start, the next a minute after that, and so on,
//! doubling to an hour. Nothing here needs the part that has panicked, nor the disk.

use std::future::poll_fn;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::exit_note::ExitNote;
use crate::collector::FIRST_PAUSE;
use crate::model::now_ms;
use crate::plugin::Fault;
use crate::queue::{Queue, Storage};
use crate::remote::Sender;

const NOTE: &str = "crash-exit";
/// The pause is looked at again so often: the clock may be set meanwhile.
const RECHECK: Duration = Duration::from_secs(10);

/// A future has panicked; the log has its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Panicked;

/// Polls `future` to its end or its panic, and never again after that.
pub(super) async fn caught<F: Future>(future: F) -> Result<F::Output, Panicked> {
    let mut future = pin!(future);
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
        Ok(polled) => polled.map(Ok),
        Err(_) => Poll::Ready(Err(Panicked)),
    })
    .await
}

/// The parts that one thread polls side by side: one that panics leaves the others alone.
#[derive(Debug)]
pub(super) struct Parts {
    dead: watch::Sender<Option<String>>,
    shutdown: CancellationToken,
}

impl Parts {
    pub(super) fn new(shutdown: CancellationToken) -> Self {
        Self { dead: watch::Sender::new(None), shutdown }
    }

    /// Runs a part. After its panic there is nothing to come but the end of everything: `None`.
    pub(super) async fn run<F: Future>(&self, part: &str, future: F) -> Option<F::Output> {
        match caught(future).await {
            Ok(output) => Some(output),
            Err(Panicked) => {
                self.dead.send_if_modified(|dead| {
                    let first = dead.is_none();
                    dead.get_or_insert_with(|| part.to_owned());
                    first
                });
                self.shutdown.cancelled().await;
                None
            }
        }
    }

    /// The name of a part that has panicked: of those run here, of the senders, or the queue's thread.
    pub(super) async fn first_dead(&self, senders: &[(String, Sender)], queue: &Queue) -> String {
        let mut dead = self.dead.subscribe();
        tokio::select! {
            // The sender lives as long as `self`.
            Ok(dead) = dead.wait_for(Option::is_some) => dead.clone().unwrap_or_default(),
            endpoint = first_ended(senders) => format!("the sender of endpoint {endpoint}"),
            () = queue.panicked() => "the queue's thread".to_owned(),
        }
    }
}

/// The endpoint of a sender that has ended although nobody told it to.
async fn first_ended(senders: &[(String, Sender)]) -> String {
    let mut ends: Vec<(&str, Pin<Box<_>>)> =
        senders.iter().map(|(endpoint, sender)| (endpoint.as_str(), Box::pin(sender.ended()))).collect();
    poll_fn(|context| {
        let ended = ends.iter_mut().find_map(|(endpoint, end)| {
            end.as_mut().poll(context).is_ready().then(|| (*endpoint).to_owned())
        });
        ended.map_or(Poll::Pending, Poll::Ready)
    })
    .await
}

/// Says when a process that dockerd starts again at once may end.
#[derive(Debug)]
pub(super) struct Guard {
    note: ExitNote,
    born: Instant,
    fault: Fault,
}

impl Guard {
    /// Blocks while the disk does.
    pub(super) fn read(storage: &Storage, born: Instant, fault: Fault) -> Self {
        Self { note: ExitNote::read(storage, NOTE), born, fault }
    }

    /// StartMetrics is answered with the reason from now on. Returns when this process may end, and that it does is noted; where no note can be kept,
    /// that is when it is a minute old. May be dropped at any time.
    async fn until_allowed(&mut self, reason: &str) {
        self.fault.set(reason);
        loop {
            match self.note.last().wait(now_ms(), self.born.elapsed()) {
                Duration::ZERO => break,
                wait => tokio::time::sleep(wait.min(RECHECK)).await,
            }
        }
        let exit = self.note.last().then(now_ms(), self.born.elapsed());
        let noted = caught(self.note.write(exit)).await;
        if let Err(error) = noted.unwrap_or_else(|Panicked| Err(io::Error::other("writing it panicked"))) {
            warn!(%error, "no note of this end can be kept in QUEUE_DIR: it comes when this process is a minute old");
            tokio::time::sleep(FIRST_PAUSE.saturating_sub(self.born.elapsed())).await;
        }
    }
}

/// Returns when a part has panicked and the process should end for it: at once where nobody guards its starts. The name of the part.
pub(super) async fn until_crash(dead: impl Future<Output = String>, guard: Option<Guard>) -> String {
    let part = dead.await;
    error!(
        part,
        "a part of this program has panicked, see the line before: a bug; what is left goes on for a while, then this process ends and another one is started"
    );
    if let Some(mut guard) = guard {
        guard.until_allowed(&format!("{part} has panicked: a bug, whose place is in the plugin's log")).await;
    }
    error!(part, "ending for a panic, so that a new process is started; what is queued stays");
    part
}

#[cfg(test)]
mod tests;
