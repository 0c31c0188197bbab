use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::batch::Batch;
use super::worker::Worker;

/// `REMOTE_WRITE_BATCH_SEND_DEADLINE`: how long samples wait for others to fill their request.
#[derive(Debug)]
pub(super) struct Filling {
    deadline: Duration,
    /// What waits has waited since then, or less.
    since: Option<Instant>,
    /// What waits is not of now: it was there before us, or a request has failed since nothing was pending. It is not held back.
    backlog: bool,
}

impl Filling {
    pub(super) fn new(deadline: Duration, pending: u64) -> Self {
        Self { deadline, since: None, backlog: pending > 0 }
    }

    /// A request has failed.
    pub(super) fn failed(&mut self) {
        self.backlog = true;
    }

    /// Nothing is pending.
    pub(super) fn empty(&mut self) {
        (self.since, self.backlog) = (None, false);
    }

    /// A request goes out, with all that is queued or with a part of it.
    fn sent(&mut self, all: bool) {
        if all {
            self.since = Some(Instant::now());
        }
    }
}

impl Worker {
    /// Waits until there is enough for a whole request, or what there is has waited long enough. An outage's backlog, a search for refused
    /// samples and the end of the process are not kept waiting.
    pub(super) async fn fill(&mut self, mut end: watch::Receiver<u64>) {
        if self.filling.deadline.is_zero() {
            return;
        }
        loop {
            let pending = self.pending();
            let is_free = self.filling.backlog
                || self.told.draining.is_cancelled()
                || self.search.window().is_some()
                || self.assembler.sieve.has_aside();
            if is_free || pending == 0 || pending >= u64::from(self.limits.max_samples) {
                return;
            }
            let since = *self.filling.since.get_or_insert_with(Instant::now);
            tokio::select! {
                () = sleep_until(since + self.filling.deadline) => return,
                () = self.told.draining.cancelled() => return,
                changed = end.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Says when what follows a request began to wait at the earliest.
    pub(super) fn begin_waiting(&mut self, batch: &Batch) {
        self.filling.sent(batch.end().sequence >= *self.queue.end().borrow());
    }
}
