use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::backoff::Backoff;
use super::batch::{Assembler, Batch, Room, Undecodable, behind};
use super::client::{Answer, Client};
use super::metrics::{Code, EndpointMetrics};
use super::outcome::{Outcome, Policy};
use super::pace::Pace;
use super::report::Report;
use super::{Config, Tuning};
use crate::model::now_ms;
use crate::queue::{Fate, Position, Queue, ReadError, Record, RecordMeta};
use crate::wire::Limits;

/// The loop: oldest samples into a request, the request to the endpoint until it is answered for, and again. One request in
/// flight, so the samples of a series arrive in their order (remote-write 1.13).
pub(super) struct Worker {
    config: Arc<Config>,
    endpoint: usize,
    queue: Queue,
    client: Client,
    pace: Pace,
    policy: Policy,
    assembler: Assembler,
    /// Between attempts; starts again with each request that is answered for.
    backoff: Backoff,
    /// Between probes of a held endpoint.
    hold: Backoff,
    read_backoff: Backoff,
    report: Report,
    metrics: Arc<EndpointMetrics>,
    answers: watch::Sender<Answers>,
}

/// What to do after an attempt.
enum Next {
    /// The request is answered for.
    Done,
    /// The same request after this time.
    Wait(Duration),
    /// The same after this time, or as soon as a file of the settings changes.
    Probe(Duration),
}

impl Worker {
    pub(super) fn new(
        config: Arc<Config>,
        endpoint: usize,
        queue: Queue,
        metrics: Arc<EndpointMetrics>,
        answers: watch::Sender<Answers>,
        tuning: Tuning,
    ) -> Self {
        let client = Client::new(Arc::clone(&config), Arc::clone(&metrics), tuning.resolver);
        let limits = Limits {
            max_samples: config.max_samples_per_send,
            max_bytes: usize::try_from(config.max_bytes_per_send).unwrap_or(usize::MAX),
        };
        Self {
            pace: Pace::new(config.rate_limit),
            policy: Policy::of(&config),
            assembler: Assembler::new(limits),
            backoff: Backoff::new(config.min_backoff, config.max_backoff),
            hold: Backoff::new(tuning.min_hold, tuning.max_hold),
            read_backoff: Backoff::new(Duration::from_millis(100), Duration::from_secs(5)),
            report: Report::new(config.name.clone(), client.url.clone()),
            config,
            endpoint,
            queue,
            client,
            metrics,
            answers,
        }
    }

    pub(super) async fn run(mut self, cancel: CancellationToken) {
        self.report.started(self.pending());
        // Whatever is awaited may be given up at any moment: samples leave the queue through `settle` alone, and nothing is
        // awaited between an answer's head and its `settle`.
        tokio::select! {
            () = cancel.cancelled() => {}
            () = self.work() => {}
        }
        self.report.finish();
    }

    async fn work(&mut self) {
        let mut end = self.queue.end();
        loop {
            // Before the look into the queue, so that an append during the look is not missed.
            end.borrow_and_update();
            match self.next_batch().await {
                Some(batch) => self.deliver(batch).await,
                None if end.changed().await.is_err() => return,
                None => {}
            }
        }
    }

    /// The oldest samples that are worth sending, as one request; `None` when everything is done.
    async fn next_batch(&mut self) -> Option<Batch> {
        loop {
            let cursor = self.queue.cursor(self.endpoint);
            let record = self.read(cursor.sequence).await?;
            let from = if record.sequence == cursor.sequence { cursor.entry } else { 0 };
            if self.is_expired(&record.meta) {
                self.expire(behind(&record));
            } else if from >= record.meta.samples {
                self.settle(behind(&record), Fate::Delivered);
            } else if let Some(batch) = self.assemble(record, from).await {
                return Some(batch);
            }
        }
    }

    /// A request that starts with this record; `None` if the record had to be given up.
    async fn assemble(&mut self, first: Record, from: u32) -> Option<Batch> {
        let mut sequence = first.sequence;
        let end = behind(&first);
        let mut room = match self.assembler.add(first, from) {
            Ok(room) => room,
            Err(error) => {
                self.give_up(sequence, end, &error);
                return None;
            }
        };
        while room == Room::Left {
            // A record that cannot be read or decoded now is met again as the first of a request, and dealt with there.
            let Ok(Some(record)) = self.queue.read(sequence + 1).await else { break };
            if self.is_expired(&record.meta) || record.meta.samples == 0 {
                break;
            }
            sequence = record.sequence;
            room = self.assembler.add(record, 0).unwrap_or(Room::Full);
        }
        self.assembler.finish()
    }

    /// The first record from `sequence` on, however often it takes to read it; `None` when there is none yet, or the queue has
    /// been closed and the next process goes on with it.
    async fn read(&mut self, sequence: u64) -> Option<Record> {
        loop {
            match self.queue.read(sequence).await {
                Ok(record) => {
                    if self.report.readable() {
                        self.read_backoff.reset();
                    }
                    return record;
                }
                Err(ReadError::Closed) => return None,
                Err(error @ ReadError::Io { .. }) => {
                    self.metrics.unreadable();
                    let wait = self.read_backoff.next();
                    self.report.unreadable(sequence, &error, wait);
                    sleep(wait).await;
                }
            }
        }
    }

    /// Sends a request until it is answered for, or nothing of it is left to send.
    async fn deliver(&mut self, mut batch: Batch) {
        let mut resend = 0;
        loop {
            match self.attempt(&batch, resend).await {
                Next::Done => return,
                Next::Wait(delay) => sleep(delay).await,
                Next::Probe(delay) => self.wait_for_probe(delay).await,
            }
            resend += 1;
            match self.still_wanted(batch) {
                Some(rest) => batch = rest,
                None => return,
            }
        }
    }

    async fn attempt(&mut self, batch: &Batch, resend: u64) -> Next {
        self.pace.admit(&self.queue, batch).await;
        let began = Instant::now();
        let posted = self.client.post(&batch.body, resend).await;
        match posted {
            Ok(answer) => {
                let (status, size) = (answer.status, batch.body.len());
                self.metrics.attempted(Code::Status(status), began.elapsed(), Some(size));
                let after = answer.retry_after.as_deref();
                let outcome = Outcome::of_status(status, after, self.policy, SystemTime::now());
                self.act(batch, outcome, Said::Answer(answer)).await
            }
            Err(none) => {
                self.metrics.attempted(Code::Failure(none.failure), began.elapsed(), None);
                self.act(batch, Outcome::of_failure(none.failure), Said::Failure(none.text)).await
            }
        }
    }

    async fn act(&mut self, batch: &Batch, outcome: Outcome, said: Said) -> Next {
        match outcome {
            Outcome::Delivered => {
                let delivered = self.settle(batch.end(), Fate::Delivered);
                if delivered < u64::from(batch.samples) {
                    let missed = u64::from(batch.samples) - delivered;
                    debug!(endpoint = %self.config.name, samples = missed, "delivered although the queue had dropped them meanwhile; they stay counted as overflowed");
                }
                self.metrics.delivered(batch.max_timestamp());
                self.answered();
                self.report.delivered(delivered);
                said.text(&self.client).await;
                Next::Done
            }
            Outcome::Reject { status } => {
                let samples = self.settle(batch.end(), Fate::Rejected);
                self.answered();
                let text = said.text(&self.client).await;
                self.metrics.failed(false, format!("rejected with status {status}: {text}"));
                self.report.rejected(status, &text, samples);
                Next::Done
            }
            Outcome::Retry { reason, after } => {
                self.failed(batch);
                let text = said.text(&self.client).await;
                let wait = after.unwrap_or_else(|| self.backoff.next());
                self.metrics.failed(false, format!("{reason}: {text}"));
                self.report.retrying(reason, &text, self.pending(), wait);
                Next::Wait(wait)
            }
            Outcome::Hold { status } => {
                self.failed(batch);
                let location = said.location();
                let text = said.text(&self.client).await;
                let wait = self.hold.next();
                let shown = format!("held by status {status}: {}", location.as_deref().unwrap_or(&text));
                self.metrics.failed(true, shown);
                self.report.held(status, location.as_deref(), &text, self.pending(), wait);
                Next::Probe(wait)
            }
        }
    }

    /// The request was answered for: whatever was wrong is over.
    fn answered(&mut self) {
        self.backoff.reset();
        self.hold.reset();
        self.answers.send_replace(Answers::Yes);
        self.report.answered(self.pending());
    }

    fn failed(&mut self, batch: &Batch) {
        self.metrics.retried(batch.samples);
        self.answers.send_replace(Answers::No);
    }

    /// Waits for the next probe of a held endpoint; a changed secret or certificate is reason to try at once.
    async fn wait_for_probe(&mut self, delay: Duration) {
        let probe_at = Instant::now() + delay;
        loop {
            let left = probe_at.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            sleep(self.config.reload_interval.map_or(left, |look| look.max(MIN_LOOK).min(left))).await;
            // An error here means that nothing has ever been read, and then nothing could have been held.
            if let Ok(true) = self.client.reload().await {
                return;
            }
        }
    }

    /// What of a failed request is sent again: all of it, unless the age limit or the byte cap took some meanwhile.
    fn still_wanted(&mut self, batch: Batch) -> Option<Batch> {
        let cursor = self.queue.cursor(self.endpoint);
        let limit = self.config.sample_age_limit;
        let remainder = self.assembler.remains(batch, cursor, |meta| is_expired(meta, limit, now_ms()));
        if let Some(to) = remainder.expired_to {
            self.expire(to);
        }
        remainder.batch
    }

    fn is_expired(&self, meta: &RecordMeta) -> bool {
        is_expired(meta, self.config.sample_age_limit, now_ms())
    }

    fn expire(&mut self, to: Position) {
        let samples = self.settle(to, Fate::Expired);
        self.report.expired(samples);
    }

    /// A record that is not what it should be must not stop those behind it.
    fn give_up(&mut self, sequence: u64, end: Position, problem: &Undecodable) {
        self.assembler.finish();
        let samples = self.settle(end, Fate::Rejected);
        self.metrics.undecodable();
        self.report.undecodable(sequence, samples, problem);
    }

    fn pending(&self) -> u64 {
        self.queue.ledger(self.endpoint).pending
    }

    fn settle(&self, to: Position, fate: Fate) -> u64 {
        let settled = self.queue.settle(self.endpoint, to, fate);
        // Whoever waits for the queue to drain looks again.
        self.answers.send_modify(|_| {});
        settled
    }
}

/// How the last finished request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answers {
    /// None has finished yet.
    Unknown,
    /// Delivered, or refused for good: the cursor moves on.
    Yes,
    /// Failed, or the endpoint is held: the cursor stays.
    No,
}

/// Between two looks at the files of a held endpoint, even if `CONFIG_RELOAD_INTERVAL` is shorter.
const MIN_LOOK: Duration = Duration::from_millis(10);

/// Whether a record as a whole is older than the limit. One clock and no decoding: its header holds the newest timestamp.
fn is_expired(meta: &RecordMeta, limit: Option<Duration>, now: i64) -> bool {
    let limit = limit.map(|limit| i64::try_from(limit.as_millis()).unwrap_or(i64::MAX));
    limit.is_some_and(|limit| meta.max_timestamp < now.saturating_sub(limit))
}

/// Where the words about an attempt come from.
enum Said {
    Answer(Answer),
    Failure(String),
}

impl Said {
    fn location(&self) -> Option<String> {
        match self {
            Self::Answer(answer) => answer.location.clone(),
            Self::Failure(_) => None,
        }
    }

    async fn text(self, client: &Client) -> String {
        match self {
            Self::Answer(answer) => client.text(answer).await,
            Self::Failure(text) => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_expires_when_its_newest_sample_does() {
        let meta = RecordMeta { samples: 2, markers: 0, min_timestamp: 0, max_timestamp: 10_000 };
        let limit = Some(Duration::from_secs(5));
        assert!(!is_expired(&meta, limit, 15_000));
        assert!(is_expired(&meta, limit, 15_001));
        assert!(!is_expired(&meta, None, i64::MAX));
        assert!(!is_expired(&meta, Some(Duration::MAX), i64::MAX));
    }
}
