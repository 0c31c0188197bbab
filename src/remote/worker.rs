use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::answered::History;
use super::backoff::Backoff;
use super::batch::{Assembler, Batch, Room, Undecodable, behind};
use super::client::Client;
use super::decision::Policy;
use super::filling::Filling;
use super::metadata::Metadata;
use super::metrics::EndpointMetrics;
use super::outcome::Cause;
use super::pace::Pace;
use super::protocol::{Learned, Negotiation, Version};
use super::report::Report;
use super::search::Search;
use super::sieve::{SeriesId, Sieve};
use super::size::SizeLimit;
use super::{Config, Tuning};
use crate::model::now_ms;
use crate::queue::{Fate, Position, Queue, ReadError, Record, RecordMeta};
use crate::wire::Limits;

/// The loop: oldest samples into a request, the request to the endpoint until it is answered for, and again. One request in
/// flight, so the samples of a series arrive in their order (remote-write 1.13).
pub(super) struct Worker {
    pub(super) config: Arc<Config>,
    endpoint: usize,
    pub(super) queue: Queue,
    pub(super) client: Client,
    pub(super) pace: Pace,
    pub(super) policy: Policy,
    pub(super) assembler: Assembler,
    /// What a request may hold by the settings.
    pub(super) limits: Limits,
    pub(super) filling: Filling,
    pub(super) metadata: Metadata,
    /// The largest message that the endpoint takes, as far as it has said.
    pub(super) size: SizeLimit,
    /// For samples that the endpoint refuses.
    pub(super) search: Search,
    /// How many 500 in a row a request gets before others are asked; grows while that leads nowhere.
    pub(super) patience: u32,
    /// Samples that are set aside, not booked yet.
    pub(super) suspects: Vec<Suspect>,
    /// The positions behind samples that were set aside and have been taken after all.
    pub(super) cleared: BTreeSet<Position>,
    /// A request of which nothing was left to send has been passed over, although there is more behind it.
    passed_over: bool,
    /// Before this, requests may have been stored although no answer came.
    pub(super) unsure: Position,
    /// Between attempts; starts again with each request that is answered for.
    pub(super) backoff: Backoff,
    /// Between probes of a held endpoint.
    pub(super) hold: Backoff,
    read_backoff: Backoff,
    pub(super) report: Report,
    pub(super) metrics: Arc<EndpointMetrics>,
    pub(super) negotiation: Negotiation,
    /// Of the last request that was built.
    version: Version,
    pub(super) told: Told,
}

/// What the sender tells outside.
pub(super) struct Told {
    pub(super) answers: watch::Sender<Answers>,
    pub(super) learn: watch::Sender<Learned>,
    /// Cancelled when nothing is to be held back any more.
    pub(super) draining: CancellationToken,
}

/// What to do after an attempt.
pub(super) enum Next {
    /// The request is answered for, or the next one begins with the same sample and is smaller.
    Done,
    /// The endpoint has taken the request.
    Delivered,
    /// As [`Next::Done`], after this time.
    Anew(Duration),
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
        told: Told,
        tuning: Tuning,
    ) -> Self {
        let client = Client::new(Arc::clone(&config), Arc::clone(&metrics), tuning.resolver);
        let limits = Limits {
            max_samples: config.max_samples_per_send,
            max_bytes: usize::try_from(config.max_bytes_per_send).unwrap_or(usize::MAX),
        };
        metrics.limits(limits.max_bytes, 0);
        let mut negotiation = Negotiation::new(config.message, tuning.learned);
        let version = negotiation.version(now_ms());
        metrics.speaks(version);
        Self {
            pace: Pace::new(config.rate_limit),
            policy: Policy::of(&config),
            // Samples of an earlier process: maybe of an older version.
            assembler: Assembler::new(Sieve::new(*queue.end().borrow()), config.selection()),
            filling: Filling::new(config.batch_send_deadline, queue.ledger(endpoint).pending),
            metadata: Metadata::new(&config),
            size: SizeLimit::new(limits.max_bytes),
            limits,
            search: Search::default(),
            patience: MIN_PATIENCE,
            suspects: Vec::new(),
            cleared: BTreeSet::new(),
            passed_over: false,
            // What another process has left may have been sent by it.
            unsure: Position { sequence: *queue.end().borrow(), entry: 0 },
            backoff: Backoff::new(config.min_backoff, config.max_backoff),
            hold: Backoff::new(tuning.min_hold, tuning.max_hold),
            read_backoff: Backoff::new(Duration::from_millis(100), Duration::from_secs(5)),
            report: Report::new(config.name.clone(), client.url.clone()),
            config,
            endpoint,
            queue,
            client,
            metrics,
            negotiation,
            version,
            told,
        }
    }

    pub(super) async fn run(mut self, cancel: CancellationToken) {
        self.report.started(self.pending());
        // Whatever is awaited may be given up at any moment: samples leave the queue through `settle` alone, and nothing is
        // awaited between the head of a 2xx and its `settle`, but for the last chance of samples set aside. The text of a refusal
        // is awaited: it may steer what is settled.
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
            self.fill(end.clone()).await;
            match self.next_batch().await {
                Some(batch) => {
                    self.begin_waiting(&batch);
                    self.deliver(batch).await;
                }
                None => {
                    self.filling.empty();
                    self.send_metadata(&end).await;
                    if end.changed().await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// The oldest samples that are worth sending, as one request; `None` when everything is done.
    async fn next_batch(&mut self) -> Option<Batch> {
        loop {
            let cursor = self.queue.cursor(self.endpoint);
            self.search.look(cursor);
            self.forget_suspects(cursor);
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
        let window = self.search.window();
        let max_samples = window.map_or(u32::MAX, |window| window.samples).min(self.limits.max_samples);
        let version = self.next_version();
        self.assembler.begin(Limits { max_samples, max_bytes: self.size.bytes() }, version);
        self.assembler.sieve.suspicious = window.is_some();
        let mut room = match self.assembler.add(first, from, now_ms()) {
            Ok(room) => room,
            Err(error) => {
                self.give_up(sequence, end, &error);
                return None;
            }
        };
        // A record of which everything is set aside is no request yet: the next one goes along.
        let alone = window.is_some_and(|window| window.one_record);
        while room == Room::Left && !self.assembler.is_full() && !(alone && self.assembler.has_samples()) {
            // A record that cannot be read or decoded now is met again as the first of a request, and dealt with there.
            let Ok(Some(record)) = self.queue.read(sequence + 1).await else { break };
            if self.is_expired(&record.meta) || record.meta.samples == 0 {
                break;
            }
            sequence = record.sequence;
            room = self.assembler.add(record, 0, now_ms()).unwrap_or(Room::Full);
        }
        self.assembler.finish()
    }

    /// The version of the next request. What was found out about requests of another one means nothing for it.
    fn next_version(&mut self) -> Version {
        let version = self.negotiation.version(now_ms());
        if std::mem::replace(&mut self.version, version) != version {
            self.free_suspects();
            self.search = Search::default();
            self.metrics.speaks(version);
        }
        version
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

    /// Sends a request until it is answered for, or nothing of it is left to send, or smaller ones are to be tried.
    async fn deliver(&mut self, mut batch: Batch) {
        let mut history = History::default();
        loop {
            if batch.samples == 0 {
                return self.pass_over(&batch).await;
            }
            self.passed_over = false;
            match self.attempt(&batch, &mut history).await {
                Next::Done => return,
                Next::Delivered => return self.gather_metadata(&batch).await,
                Next::Anew(delay) => return sleep(delay).await,
                Next::Wait(delay) => sleep(delay).await,
                Next::Probe(delay) => self.wait_for_probe(delay).await,
            }
            history.resend += 1;
            // The same samples in the other message.
            if self.negotiation.version(now_ms()) != batch.version {
                return;
            }
            match self.still_wanted(batch) {
                Some(rest) => batch = rest,
                None => return,
            }
        }
    }

    /// Nothing of this is to be sent. What was set aside waits for samples behind it: unless something else gets through, it
    /// may be the server.
    async fn pass_over(&mut self, batch: &Batch) {
        if self.has_suspects(batch.end()) {
            let mut end = self.queue.end();
            let more = *end.borrow() > batch.end().sequence;
            if more && std::mem::replace(&mut self.passed_over, true) {
                // What is behind cannot be read or sent for now: without the suspects everything begins anew.
                self.free_suspects();
                return sleep(self.backoff.next()).await;
            }
            self.passed_over = more;
            // An error means that the queue is gone, and this task with it.
            let _ = end.wait_for(|end| *end > batch.end().sequence).await;
        } else {
            self.book(batch, Fate::Delivered, None);
        }
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
        self.forget_suspects(cursor);
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
        self.metrics.rejected(Cause::Undecodable, samples);
        self.report.undecodable(sequence, samples, problem);
    }

    pub(super) fn pending(&self) -> u64 {
        self.queue.ledger(self.endpoint).pending
    }

    /// Books a request: its samples under `fate`, those that were left out of it as rejected, all in their order. Returns
    /// how many were booked under `fate`; `cause` is why, if that is rejection.
    pub(super) fn book(&mut self, batch: &Batch, fate: Fate, cause: Option<Cause>) -> u64 {
        let mut booked = 0;
        for (to, left_out) in batch.steps() {
            match left_out {
                Some(Cause::Poison) if self.cleared.contains(&to) => {
                    self.settle(to, Fate::Delivered);
                }
                Some(cause) => {
                    let samples = self.settle(to, Fate::Rejected);
                    self.metrics.rejected(cause, samples);
                }
                None => booked += self.settle(to, fate),
            }
        }
        if let Some(cause) = cause {
            self.metrics.rejected(cause, booked);
        }
        for (cause, series) in self.assembler.sieve.take_examples() {
            self.report.left_out(cause, &series);
        }
        self.convict_suspects(batch.end());
        booked
    }

    fn settle(&self, to: Position, fate: Fate) -> u64 {
        let settled = self.queue.settle(self.endpoint, to, fate);
        // Whoever waits for the queue to drain looks again.
        self.told.answers.send_modify(|_| {});
        settled
    }
}

/// A sample (or a group of them) that got 500 again and again. It is booked with the next request that is answered for, which
/// proves that the server takes others.
#[derive(Debug)]
pub(super) struct Suspect {
    pub(super) samples: Vec<Position>,
    /// The series of a sample alone, and how to name it.
    pub(super) series: Option<(SeriesId, String)>,
    /// It is a native histogram, and alone.
    pub(super) is_histogram: bool,
    /// The request that was refused.
    pub(super) body: Bytes,
    pub(super) version: Version,
    pub(super) status: u16,
    pub(super) said: String,
}

/// The first value of [`Worker::patience`].
pub(super) const MIN_PATIENCE: u32 = 5;

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
