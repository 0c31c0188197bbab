use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::Config;
use super::batch::Batch;
use super::outcome::Reason;
use super::protocol::Version;
use super::worker::Worker;
use crate::model::now_ms;
use crate::queue::{Form, Record};
use crate::wire::metadata::Families;
use crate::wire::{DecodeError, Names};

/// `REMOTE_WRITE_METADATA_SEND` and its company.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetadataConfig {
    /// `REMOTE_WRITE_METADATA_SEND_INTERVAL`.
    pub interval: Duration,
    /// The most families in one request.
    pub max_entries_per_send: u32,
}

/// How a request of metadata ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MetadataOutcome {
    /// 2xx.
    Accepted,
    /// Any other answer.
    Refused,
    /// No answer.
    Failed,
    /// Samples came to be sent while it was under way.
    GivenUp,
}

impl MetadataOutcome {
    /// One word, for the label `outcome`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::GivenUp => "given_up",
        }
    }
}

/// Metadata for an endpoint that is sent 1.0, which has no place for it beside samples (remote-write 1.07).
///
/// Once in an interval the families of the newest scrape are read from its records, when these have been delivered: so there is nothing before
/// the first samples, and nothing to keep over a restart. They go out when no sample is pending. Best effort: what is not taken is not
/// repeated within the interval, and the next one brings all of it anyway.
#[derive(Debug)]
pub(super) struct Metadata {
    config: Option<MetadataConfig>,
    names: Names,
    families: Families,
    /// The timestamp of their scrape, ms since the epoch.
    scrape: Option<i64>,
    due: Instant,
    /// Whether the trouble that lasts has been said.
    in_trouble: bool,
    said_left_out: bool,
}

impl Metadata {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            config: config.metadata,
            names: config.names,
            families: Families::default(),
            scrape: None,
            due: Instant::now(),
            in_trouble: false,
            said_left_out: false,
        }
    }

    fn is_due(&self, version: Version) -> bool {
        self.config.is_some() && version == Version::V1 && Instant::now() >= self.due
    }

    fn add(&mut self, record: &Record) -> Result<(), DecodeError> {
        let scrape = Some(record.meta.max_timestamp);
        if self.scrape != scrape {
            self.families.clear();
            self.scrape = scrape;
        }
        match record.form {
            Form::Packed => self.families.read(&record.payload, self.names),
            Form::Raw(_) => self.families.read_raw(&record.payload, self.names),
        }
    }

    /// The bodies that are due; what they were made of is forgotten.
    fn take(&mut self, max_bytes: usize) -> Vec<Vec<u8>> {
        let Some(config) = self.config.filter(|_| !self.families.is_empty()) else { return Vec::new() };
        let max_entries = usize::try_from(config.max_entries_per_send).unwrap_or(usize::MAX);
        let bodies = self.families.bodies(max_entries, max_bytes);
        self.families.clear();
        self.scrape = None;
        self.due = Instant::now() + config.interval;
        bodies
    }
}

impl Worker {
    /// Reads the metadata of records that have been delivered, if it is time for it and nothing newer is queued.
    pub(super) async fn gather_metadata(&mut self, batch: &Batch) {
        if !self.metadata.is_due(batch.version) {
            return;
        }
        let newest = *self.queue.end().borrow();
        // The newest record is in memory, or gone because everything has been delivered.
        let newest = match self.queue.read(newest.saturating_sub(1)).await {
            Ok(Some(record)) => record.meta.max_timestamp,
            Ok(None) | Err(_) => batch.max_timestamp(),
        };
        for record in batch.records().filter(|record| record.meta.max_timestamp >= newest) {
            if let Err(error) = self.metadata.add(record) {
                // Its samples were read from the same bytes a moment ago.
                debug!(endpoint = %self.config.name, %error, "the metadata of a record cannot be read; it is not sent");
            }
        }
    }

    /// Sends what has been gathered, while no sample is pending; gives up when one is, or at the first answer that is no success.
    pub(super) async fn send_metadata(&mut self, end: &watch::Receiver<u64>) {
        if !self.metadata.is_due(self.negotiation.version(now_ms())) {
            return;
        }
        let left_out = self.metadata.families.left_out();
        self.metrics.metadata_left_out(left_out);
        if left_out > 0 && !std::mem::replace(&mut self.metadata.said_left_out, true) {
            warn!(endpoint = %self.config.name, families = self.metadata.families.len(), left_out, "too many families: the metadata of some is not sent; samples are");
        }
        for body in self.metadata.take(self.size.bytes()) {
            let mut end = end.clone();
            let outcome = tokio::select! {
                biased;
                // Samples do not wait for metadata; giving up a request costs its connection.
                _ = end.changed() => MetadataOutcome::GivenUp,
                outcome = self.post_metadata(Bytes::from(body)) => outcome,
            };
            self.metrics.metadata(outcome);
            if outcome != MetadataOutcome::Accepted {
                return;
            }
        }
    }

    async fn post_metadata(&mut self, body: Bytes) -> MetadataOutcome {
        let mut posted = self.client.post(&body, Version::V1, 0).await;
        if posted.is_err() && self.client.was_stale() {
            posted = self.client.post(&body, Version::V1, 1).await;
        }
        let (outcome, reason, said) = match posted {
            Ok(answer) => {
                let status = answer.reply.status;
                let said = self.client.text(answer).await;
                match status {
                    200..=299 => (MetadataOutcome::Accepted, Reason::Status(status), said),
                    _ => (MetadataOutcome::Refused, Reason::Status(status), said),
                }
            }
            Err(none) => (MetadataOutcome::Failed, Reason::Failure(none.failure), none.text),
        };
        let endpoint = &self.config.name;
        match (
            outcome,
            std::mem::replace(&mut self.metadata.in_trouble, outcome != MetadataOutcome::Accepted),
        ) {
            (MetadataOutcome::Accepted, true) => info!(%endpoint, "the endpoint takes metadata again"),
            (MetadataOutcome::Refused | MetadataOutcome::Failed, false) => {
                let again_in = self.config.metadata.map(|metadata| metadata.interval);
                warn!(%endpoint, %reason, said, ?again_in, "the endpoint does not take metadata (type, help and unit of metrics); samples are not affected, and it is tried again from time to time; REMOTE_WRITE_METADATA_SEND=false ends that");
            }
            (MetadataOutcome::Accepted, false)
            | (MetadataOutcome::Refused | MetadataOutcome::Failed, true)
            | (MetadataOutcome::GivenUp, _) => {}
        }
        outcome
    }
}
