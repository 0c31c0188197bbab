use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::time::Instant;
use tracing::debug;

use super::batch::Batch;
use super::client::{Answer, NoAnswer};
use super::decision::{Known, Others, Reply, decide, of_failure};
use super::metrics::Code;
use super::outcome::{Cause, Outcome, Reason};
use super::protocol::{Learned, Version};
use super::quarantine::Sentence;
use super::refusal::{Blame, Words};
use super::search::Step;
use super::size::{Alone, Told};
use super::worker::{Answers, MIN_PATIENCE, Next, Suspect, Worker};
use crate::model::now_ms;
use crate::queue::{Fate, Position};
use crate::wire::v2::EMPTY_REQUEST;

/// The most that [`Worker::patience`] grows to: an hour at the default backoff.
const MAX_PATIENCE: u32 = 640;

/// An empty message of this version. Receivers take it as a success (receivers section 1); that of 1.0 is one byte of snappy.
const fn empty_request(version: Version) -> Bytes {
    match version {
        Version::V1 => Bytes::from_static(&[0]),
        Version::V2 => Bytes::from_static(&EMPTY_REQUEST),
    }
}

/// The attempts at one request so far.
#[derive(Debug, Default)]
pub(super) struct History {
    /// 0 at the first attempt.
    pub(super) resend: u64,
    /// The last answer's status, and how many in a row had it.
    status: u16,
    repeats: u32,
}

impl History {
    fn answered(&mut self, status: u16) -> u32 {
        self.repeats = if self.status == status { self.repeats.saturating_add(1) } else { 1 };
        self.status = status;
        self.repeats
    }
}

/// What an answer or a failure said.
struct Said {
    text: String,
    /// Where a redirect points, as it may be shown.
    location: Option<String>,
}

/// What the worker does with an answer.
impl Worker {
    pub(super) async fn attempt(&mut self, batch: &Batch, history: &mut History) -> Next {
        self.pace.admit(&self.queue, batch).await;
        match self.post(&batch.body, batch.version, history.resend).await {
            Ok(answer) => {
                let known = self.known(batch, history.answered(answer.reply.status));
                let early = decide(&answer.reply, "", &known, SystemTime::now());
                if early == Outcome::Delivered {
                    self.negotiated(batch, Some(&answer.reply), &early, "");
                    let again = self.hear_suspects(batch.end()).await;
                    if !again {
                        let delivered = self.delivered(batch);
                        self.unconfirmed(batch, &answer.reply, delivered);
                    }
                    self.client.text(answer).await;
                    return if again { Next::Done } else { Next::Delivered };
                }
                let Answer { reply, location, .. } = &answer;
                let (reply, location) = (reply.clone(), location.clone());
                let text = self.client.text(answer).await;
                let mut outcome = decide(&reply, &text, &known, SystemTime::now());
                if let Outcome::Probe { status: _ } = outcome {
                    let others = self.probe(batch.version).await;
                    outcome = decide(&reply, &text, &Known { others, ..known }, SystemTime::now());
                }
                self.negotiated(batch, Some(&reply), &outcome, &text);
                if matches!(outcome, Outcome::Reject { .. }) && self.hear_suspects(batch.end()).await {
                    return Next::Done;
                }
                self.act(batch, outcome, Said { text, location })
            }
            // What has expired or overflowed meanwhile does not go along.
            Err(_) if self.client.was_stale() => {
                self.unsure = self.unsure.max(batch.end());
                Next::Wait(Duration::ZERO)
            }
            Err(none) => {
                self.unsure = self.unsure.max(batch.end());
                history.answered(0);
                let outcome = of_failure(none.failure);
                self.negotiated(batch, None, &outcome, &none.text);
                self.act(batch, outcome, Said { text: none.text, location: None })
            }
        }
    }

    /// What an answer says about the message that the endpoint takes.
    fn negotiated(&mut self, batch: &Batch, reply: Option<&Reply>, outcome: &Outcome, text: &str) {
        let Some(learned) = self.negotiation.answered(batch.version, reply, outcome, now_ms()) else {
            return;
        };
        let before = self.told.learn.send_replace(learned);
        let version = match learned {
            Learned::V1 { since: _ } => Version::V1,
            Learned::V2 => Version::V2,
            Learned::Nothing => return,
        };
        // The daily question, answered as before.
        if std::mem::discriminant(&before) != std::mem::discriminant(&learned) {
            self.report.speaks(version, reply.map_or(0, |reply| reply.status), text);
        }
    }

    /// Receivers count in their own ways (Cortex says 0 while it stores), so a difference decides nothing. What the queue had dropped
    /// meanwhile is in another place of the ledger.
    fn unconfirmed(&self, batch: &Batch, reply: &Reply, delivered: u64) {
        if let (Version::V2, Some(written)) = (batch.version, reply.written) {
            self.metrics.unconfirmed(u64::from(batch.samples).saturating_sub(written).min(delivered));
        }
    }

    async fn post(&mut self, body: &Bytes, version: Version, resend: u64) -> Result<Answer, NoAnswer> {
        let began = Instant::now();
        let posted = self.client.post(body, version, resend).await;
        match &posted {
            Ok(answer) => {
                let code = Code::Status(answer.reply.status);
                self.metrics.attempted(code, began.elapsed(), Some(body.len()));
            }
            Err(_) if self.client.was_stale() => {}
            Err(none) => self.metrics.attempted(Code::Failure(none.failure), began.elapsed(), None),
        }
        posted
    }

    /// A request of which nothing is booked.
    async fn post_aside(&mut self, body: &Bytes, version: Version) -> Result<Answer, NoAnswer> {
        let posted = self.post(body, version, 0).await;
        if posted.is_err() && self.client.was_stale() {
            return self.post(body, version, 1).await;
        }
        posted
    }

    fn known(&self, batch: &Batch, repeats: u32) -> Known {
        Known {
            policy: self.policy,
            message: self.negotiation.message(batch.version),
            switch: self.negotiation.switch(),
            samples: batch.samples,
            repeats,
            patience: self.patience,
            others: Others::Unknown,
            searching_500: self.search.is_500(),
        }
    }

    /// Whether the endpoint takes anything: an empty message tells, and stores nothing.
    async fn probe(&mut self, version: Version) -> Others {
        let Ok(answer) = self.post_aside(&empty_request(version), version).await else { return Others::Fail };
        let Reply { status, .. } = answer.reply;
        self.client.text(answer).await;
        if (200..300).contains(&status) { Others::Succeed } else { Others::Fail }
    }

    fn act(&mut self, batch: &Batch, outcome: Outcome, said: Said) -> Next {
        let Said { text, location } = said;
        match outcome {
            Outcome::Delivered => {
                self.delivered(batch);
                Next::Delivered
            }
            Outcome::Reject { status, cause: Cause::TooLarge } if batch.samples == 1 => {
                self.too_large_alone(batch, status, &text)
            }
            Outcome::Reject { status, cause } => {
                let samples = self.book(batch, Fate::Rejected, Some(cause));
                self.search.settled(batch.samples);
                self.answered();
                self.metrics.failed(false, format!("rejected with status {status}: {text}"));
                self.report.rejected(status, cause, &text, samples);
                Next::Done
            }
            Outcome::Retry { reason, after } => {
                let wait = after.unwrap_or_else(|| self.backoff.next());
                self.retry(batch, reason, &text, wait);
                Next::Wait(wait)
            }
            // The decision after a probe is another one; keeping is right.
            Outcome::Probe { status } => self.keep(batch, status, &text),
            // The next request begins with the same sample, in the other message.
            Outcome::FallBack => {
                self.metrics.retried(batch.samples);
                Next::Done
            }
            Outcome::Hold { status } => {
                self.failed(batch);
                let wait = self.hold.next();
                let shown = format!("held by status {status}: {}", location.as_deref().unwrap_or(&text));
                self.metrics.failed(true, shown);
                self.report.held(status, location.as_deref(), &text, self.pending(), wait);
                Next::Probe(wait)
            }
            Outcome::Split { status } => {
                let told = if status == 429 { Told::Perhaps } else { Told::Plainly };
                let limit = self.size.refused(batch.message_bytes, told);
                self.metrics.split(limit);
                self.report.split(status, &text, batch.message_bytes, limit);
                if status != 429 {
                    self.metrics.retried(batch.samples);
                    self.answered();
                    return Next::Done;
                }
                let wait = self.backoff.next();
                self.retry(batch, Reason::Status(status), &text, wait);
                Next::Anew(wait)
            }
            Outcome::Search { status, blame } => self.search(batch, status, blame, &text),
        }
    }

    fn too_large_alone(&mut self, batch: &Batch, status: u16, text: &str) -> Next {
        match self.size.refused_alone(batch.message_bytes) {
            Alone::TooLarge => {
                let samples = self.book(batch, Fate::Rejected, Some(Cause::TooLarge));
                self.search.settled(batch.samples);
                self.answered();
                self.report.rejected(status, Cause::TooLarge, text, samples);
            }
            Alone::Poison => {
                self.search.settled(batch.samples);
                self.answered();
                self.reject_alone(batch, status, Blame::Series, text);
            }
            // Whatever it is about, dropping one sample after the other does not help.
            Alone::All => return self.keep(batch, status, text),
        }
        self.metrics.failed(false, format!("rejected with status {status}: {text}"));
        Next::Done
    }

    fn keep(&mut self, batch: &Batch, status: u16, text: &str) -> Next {
        let wait = self.backoff.next();
        self.retry(batch, Reason::Status(status), text, wait);
        Next::Wait(wait)
    }

    fn retry(&mut self, batch: &Batch, reason: Reason, text: &str, wait: Duration) {
        self.failed(batch);
        self.metrics.failed(false, format!("{reason}: {text}"));
        self.report.retrying(reason, text, self.pending(), wait);
    }

    /// Returns how many samples were booked as delivered.
    fn delivered(&mut self, batch: &Batch) -> u64 {
        let delivered = self.book(batch, Fate::Delivered, None);
        if delivered < u64::from(batch.samples) {
            let missed = u64::from(batch.samples) - delivered;
            debug!(endpoint = %self.config.name, samples = missed, "delivered although the queue had dropped them meanwhile; they stay counted as overflowed");
        }
        self.search.delivered(batch.samples);
        self.size.delivered(batch.message_bytes);
        self.patience = MIN_PATIENCE;
        self.metrics.delivered(batch.max_timestamp());
        self.metrics.limits(self.size.current(), self.assembler.sieve.quarantine.len());
        self.answered();
        self.report.delivered(delivered);
        delivered
    }

    /// A whole request was refused, and none of it stored.
    fn search(&mut self, batch: &Batch, status: u16, blame: Blame, text: &str) -> Next {
        let is_500 = status >= 500;
        let step = self.search.refused(batch.samples, batch.end(), is_500);
        let samples = batch.samples;
        debug!(endpoint = %self.config.name, status, said = text, samples, ?step, "refused as a whole");
        self.metrics.failed(false, format!("refused with status {status}: {text}"));
        if is_500 {
            self.failed(batch);
        } else {
            self.answered();
        }
        match step {
            Step::Smaller => {
                if !is_500 {
                    self.metrics.retried(batch.samples);
                }
                Next::Done
            }
            Step::GiveUp if is_500 => {
                self.set_aside(batch, text);
                self.doubt_histograms();
                Next::Done
            }
            Step::GiveUp => {
                self.reject_alone(batch, status, blame, text);
                Next::Done
            }
            Step::Abort => {
                self.free_suspects();
                self.patience = (2 * self.patience).min(MAX_PATIENCE);
                Next::Anew(self.backoff.next())
            }
        }
    }

    /// Samples that were refused alone, or a group that is not worth more requests.
    fn reject_alone(&mut self, batch: &Batch, status: u16, blame: Blame, text: &str) {
        let mut sent = batch.sent();
        let alone = sent.next().filter(|_| batch.samples == 1);
        // Read a moment ago, so it can be read.
        let series = alone.and_then(|(record, entry)| self.assembler.sieve.series(record, entry).ok());
        drop(sent);
        match series {
            Some((id, name)) => {
                self.book(batch, Fate::Rejected, Some(Cause::Poison));
                // What may have been stored before its answer was lost comes late now, and no series is to blame for that.
                let free = blame == Blame::Sample && batch.end() <= self.unsure;
                let quarantine = &mut self.assembler.sieve.quarantine;
                let sentence = if free { Sentence::FREE } else { quarantine.convict(id, blame) };
                self.report.poison(&name, status, text, sentence);
            }
            None => {
                let samples = self.book(batch, Fate::Rejected, Some(Cause::Refused));
                self.report.rejected(status, Cause::Refused, text, samples);
            }
        }
        let held = self.assembler.sieve.quarantine.len();
        self.metrics.limits(self.size.current(), held);
    }

    /// Samples that get 500: left out of the next requests. The cursor stays in front of them.
    fn set_aside(&mut self, batch: &Batch, text: &str) {
        let sieve = &mut self.assembler.sieve;
        let alone = batch.sent().next().filter(|_| batch.samples == 1);
        let series = alone.and_then(|(record, entry)| sieve.series(record, entry).ok());
        let is_histogram = alone.is_some_and(|(record, entry)| sieve.is_histogram(record, entry));
        let samples = batch.sent().map(|(record, entry)| Position { sequence: record.sequence, entry });
        let samples: Vec<Position> = samples.collect();
        sieve.aside.extend(&samples);
        let (body, version, said) = (batch.body.clone(), batch.version, text.to_owned());
        self.suspects.push(Suspect { samples, series, is_histogram, body, version, status: 500, said });
    }

    /// Whether anything before `end` is set aside.
    pub(super) fn has_suspects(&self, end: Position) -> bool {
        self.assembler.sieve.aside.first().is_some_and(|at| *at < end)
    }

    /// Nothing is set aside any more; nothing of it was booked.
    pub(super) fn free_suspects(&mut self) {
        self.suspects.clear();
        self.assembler.sieve.aside.clear();
        self.assembler.sieve.without_histograms = false;
    }

    /// What was set aside and has left the queue otherwise is not looked at any more.
    pub(super) fn forget_suspects(&mut self, cursor: Position) {
        if self.assembler.sieve.has_aside() {
            self.assembler.sieve.aside.retain(|at| *at >= cursor);
            self.suspects.retain(|suspect| suspect.samples.iter().any(|at| *at >= cursor));
            self.assembler.sieve.without_histograms &= !self.suspects.is_empty();
        }
    }

    /// Something behind them got through, so the server is well: the samples set aside have one more try before they count as
    /// poison. What got through first is a single sample, so hardly a newer one of their series.
    pub(super) async fn last_chance(&mut self, end: Position) {
        let mut suspects = std::mem::take(&mut self.suspects);
        for suspect in suspects.iter_mut().filter(|suspect| suspect.samples.iter().any(|at| *at < end)) {
            // A server that is only just well may have no time for it yet.
            const TRIES: u32 = 3;
            for _ in 0..TRIES {
                if self.is_decided(suspect).await {
                    break;
                }
                tokio::time::sleep(self.backoff.next()).await;
            }
        }
        self.suspects = suspects;
    }

    /// Whether an answer says something about this suspect, and not about the server.
    async fn is_decided(&mut self, suspect: &mut Suspect) -> bool {
        let Ok(answer) = self.post_aside(&suspect.body, suspect.version).await else { return false };
        let Reply { status, has_written, .. } = answer.reply;
        let text = self.client.text(answer).await;
        match status {
            // Nobody has looked at it.
            200..=299 if suspect.version == Version::V2 && !has_written => false,
            200..=299 => {
                let behind = |at: &Position| Position { entry: at.entry + 1, ..*at };
                self.cleared.extend(suspect.samples.iter().map(behind));
                true
            }
            500 | 400..=428 | 430..=499 => {
                (suspect.status, suspect.said) = (status, text);
                true
            }
            _ => false,
        }
    }

    /// What was set aside before `end` has been booked: it is poison, but for what the last chance has cleared.
    pub(super) fn convict_suspects(&mut self, end: Position) {
        if self.suspects.is_empty() {
            return;
        }
        self.convict_histograms();
        let sieve = &mut self.assembler.sieve;
        sieve.aside.retain(|at| *at >= end);
        for Suspect { samples, series, status, said, .. } in &self.suspects {
            let booked = samples.iter().all(|at| *at < end);
            let cleared =
                samples.iter().any(|at| self.cleared.contains(&Position { entry: at.entry + 1, ..*at }));
            if let Some((id, name)) = series
                && booked
                && !cleared
            {
                let sentence = sieve.quarantine.convict(*id, Blame::of(Words::of(said)));
                self.report.poison(name, *status, said, sentence);
            }
        }
        self.suspects.retain(|suspect| suspect.samples.iter().any(|at| *at >= end));
        self.cleared.clear();
    }

    /// The request was answered for: whatever was wrong is over.
    fn answered(&mut self) {
        self.backoff.reset();
        self.hold.reset();
        self.told.answers.send_replace(Answers::Yes);
        self.report.answered(self.pending());
    }

    fn failed(&mut self, batch: &Batch) {
        self.filling.failed();
        self.metrics.retried(batch.samples);
        self.told.answers.send_replace(Answers::No);
    }
}
