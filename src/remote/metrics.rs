use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::connection::Redial;
use super::metadata::MetadataOutcome;
use super::outcome::{Cause, Failure};
use super::protocol::Version;

/// Upper bounds of the request duration histogram, in seconds; `+Inf` follows them.
pub const DURATION_BUCKETS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// The counters of one endpoint. Written by its sender, read by whoever shows them.
#[derive(Debug, Default)]
pub struct EndpointMetrics {
    // A std mutex: one writer, a reader every few seconds, and no await inside.
    inner: Mutex<Snapshot>,
}

/// All counters of one moment. Those of samples that left the queue are the queue's own (its ledger), not here.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// Attempts by how they ended (`_requests_total{code}`); their sum is the number of attempts.
    pub requests: BTreeMap<Code, u64>,
    /// Connections given up for new ones (`_redials_total{reason}`). Of an attempt that met a stale one only its repetition is in
    /// `requests`.
    pub redials: BTreeMap<Redial, u64>,
    /// Samples in requests that had to go again, once for each time (`_samples_retried_total`).
    pub samples_retried: u64,
    /// Bytes of answered requests' bodies, compressed, whatever the answer (`_sent_bytes_total`).
    pub sent_bytes: u64,
    /// Time of one attempt, until the answer's head or the failure (`_request_duration_seconds`).
    pub duration: Histogram,
    /// The newest timestamp in a delivered record, ms since the epoch (`_highest_sent_timestamp_seconds`).
    pub highest_sent_timestamp: Option<i64>,
    /// The last finished attempt was answered with 2xx (`_endpoint_up`).
    pub up: bool,
    /// The version of the last request (`_protocol_info`); none before the first.
    pub version: Option<Version>,
    /// Samples of delivered 2.0 requests beyond those that the endpoint says it has written (`_samples_unconfirmed_total`); a part of the
    /// ledger's `delivered`, and counted after it: whoever reads this first and the ledger then never sees more of them.
    pub samples_unconfirmed: u64,
    /// The endpoint is held: wrong settings, nothing is dropped.
    pub held: bool,
    /// What the last failure, refusal or rejection said; empties at the next 2xx. One line, without credentials.
    pub last_error: Option<String>,
    /// Rejected samples by cause (`_samples_rejected_total{reason}`); their sum is the ledger's `rejected`.
    pub rejected: BTreeMap<Cause, u64>,
    /// Series that are not sent for a while (`_quarantined_series`).
    pub quarantined_series: u64,
    /// The largest message that is sent, bytes before compression (`_request_max_bytes`).
    pub request_max_bytes: u64,
    /// Requests that were refused for their size and sent in pieces (`_requests_split_total`).
    pub requests_split: u64,
    /// Requests of metadata by how they ended (`_metadata_requests_total{outcome}`); they are not in `requests`.
    pub metadata: BTreeMap<MetadataOutcome, u64>,
    /// Entries of families beyond 10,000, whose metadata was not sent (`_metadata_left_out_total`).
    pub metadata_left_out: u64,
    /// Records that could not be decoded; their samples are `rejected` in the ledger.
    pub undecodable_records: u64,
    /// Reads of the queue that failed; they are repeated.
    pub read_errors: u64,
    /// Looks at the settings' files that failed; the last good content stays in use.
    pub reload_errors: u64,
    /// Whether the last look at them succeeded.
    pub reload_ok: bool,
    /// When they were last taken over, ms since the epoch.
    pub reloaded_at: Option<i64>,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// With an answer.
    Status(u16),
    /// Without one.
    Failure(Failure),
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "{status}"),
            Self::Failure(failure) => f.write_str(failure.word()),
        }
    }
}

/// A classic histogram of [`DURATION_BUCKETS`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Histogram {
    /// Observations up to each bound, those of smaller bounds included.
    pub buckets: [u64; DURATION_BUCKETS.len()],
    /// All observations: the bucket `+Inf`.
    pub count: u64,
    /// Seconds.
    pub sum: f64,
}

impl Histogram {
    fn observe(&mut self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        for (bucket, bound) in self.buckets.iter_mut().zip(DURATION_BUCKETS) {
            *bucket += u64::from(seconds <= bound);
        }
        self.count += 1;
        self.sum += seconds;
    }
}

impl EndpointMetrics {
    /// All counters of this moment.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.write().clone()
    }

    /// One attempt ended. `answered` holds the bytes that were sent, if there was an answer.
    pub(super) fn attempted(&self, code: Code, took: Duration, answered: Option<usize>) {
        let mut inner = self.write();
        *inner.requests.entry(code).or_default() += 1;
        inner.sent_bytes += answered.unwrap_or_default() as u64;
        inner.duration.observe(took);
    }

    pub(super) fn delivered(&self, max_timestamp: i64) {
        let mut inner = self.write();
        inner.highest_sent_timestamp = inner.highest_sent_timestamp.max(Some(max_timestamp));
        inner.up = true;
        inner.held = false;
        inner.last_error = None;
    }

    pub(super) fn failed(&self, held: bool, error: String) {
        let mut inner = self.write();
        inner.up = false;
        inner.held = held;
        inner.last_error = Some(error);
    }

    pub(super) fn speaks(&self, version: Version) {
        self.write().version = Some(version);
    }

    pub(super) fn unconfirmed(&self, samples: u64) {
        self.write().samples_unconfirmed += samples;
    }

    pub(super) fn retried(&self, samples: u32) {
        self.write().samples_retried += u64::from(samples);
    }

    pub(super) fn rejected(&self, cause: Cause, samples: u64) {
        if samples > 0 {
            *self.write().rejected.entry(cause).or_default() += samples;
        }
    }

    /// A request was too large; no larger messages than this from now on.
    pub(super) fn split(&self, max_bytes: usize) {
        let mut inner = self.write();
        inner.requests_split += 1;
        inner.request_max_bytes = max_bytes as u64;
    }

    pub(super) fn limits(&self, max_bytes: usize, quarantined_series: usize) {
        let mut inner = self.write();
        inner.request_max_bytes = max_bytes as u64;
        inner.quarantined_series = quarantined_series as u64;
    }

    pub(super) fn redialled(&self, reason: Redial) {
        *self.write().redials.entry(reason).or_default() += 1;
    }

    pub(super) fn metadata(&self, outcome: MetadataOutcome) {
        *self.write().metadata.entry(outcome).or_default() += 1;
    }

    pub(super) fn metadata_left_out(&self, entries: u64) {
        self.write().metadata_left_out += entries;
    }

    pub(super) fn undecodable(&self) {
        self.write().undecodable_records += 1;
    }

    pub(super) fn unreadable(&self) {
        self.write().read_errors += 1;
    }

    pub(super) fn reload_failed(&self) {
        let mut inner = self.write();
        inner.reload_errors += 1;
        inner.reload_ok = false;
    }

    pub(super) fn reload_unchanged(&self) {
        self.write().reload_ok = true;
    }

    pub(super) fn reloaded(&self, now_ms: i64) {
        let mut inner = self.write();
        inner.reload_ok = true;
        inner.reloaded_at = Some(now_ms);
    }

    fn write(&self) -> MutexGuard<'_, Snapshot> {
        // Counters have no state that a panic elsewhere could leave half done.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_its_bound_and_all_below() {
        let mut histogram = Histogram::default();
        for millis in [1, 5, 6, 2500, 60_000] {
            histogram.observe(Duration::from_millis(millis));
        }
        assert_eq!(histogram.buckets, [2, 3, 3, 3, 3, 3, 3, 3, 4, 4, 4, 4]);
        assert_eq!(histogram.count, 5);
        assert!((histogram.sum - 62.512).abs() < 1e-9);
    }

    #[test]
    fn attempts_are_counted_by_how_they_ended() {
        let metrics = EndpointMetrics::default();
        metrics.attempted(Code::Status(204), Duration::ZERO, Some(100));
        metrics.attempted(Code::Status(503), Duration::ZERO, Some(10));
        metrics.attempted(Code::Failure(Failure::Refused), Duration::ZERO, None);
        metrics.attempted(Code::Status(204), Duration::ZERO, Some(1));
        let snapshot = metrics.snapshot();
        let shown: Vec<_> = snapshot.requests.iter().map(|(code, count)| format!("{code} {count}")).collect();
        assert_eq!(shown, ["204 2", "503 1", "refused 1"]);
        assert_eq!(snapshot.sent_bytes, 111);
    }

    #[test]
    fn the_highest_timestamp_never_goes_back() {
        let metrics = EndpointMetrics::default();
        metrics.delivered(2000);
        metrics.delivered(1000);
        assert_eq!(metrics.snapshot().highest_sent_timestamp, Some(2000));
    }
}
