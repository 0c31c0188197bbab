//! What the collector counts, for our own series.

use std::sync::{Arc, Mutex, PoisonError};

use crate::scrape::Report;

/// All counters of one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// StartMetrics calls.
    pub engine_starts: u64,
    /// Whether the target is being scraped.
    pub running: bool,
    /// Scrapes that succeeded.
    pub scrapes_succeeded: u64,
    /// Scrapes that failed (`up` 0).
    pub scrapes_failed: u64,
    /// Scrapes of which nothing was taken in, because it is not known yet what the series are called.
    pub scrapes_held: u64,
    /// Ticks that passed without a scrape.
    pub ticks_missed: u64,
    /// Samples that were exposed but not queued, because their series stood twice in the scrape.
    pub discarded_duplicate: u64,
    /// ... because they were not newer than the last sample of their series.
    pub discarded_out_of_order: u64,
    /// ... because their timestamp was more than ten minutes ahead.
    pub discarded_too_far_ahead: u64,
    /// ... because their timestamp was more than an hour behind.
    pub discarded_too_old: u64,
    /// Samples that filters or rules left out.
    pub filtered: u64,
    /// Exemplars of native histograms that were not queued, because they had no timestamp.
    pub exemplars_no_timestamp: u64,
    /// Exemplars that were not queued, because they were older than the last of their series.
    pub exemplars_out_of_order: u64,
    /// Exemplars that were not queued, because their labels were too long.
    pub exemplars_labels_too_long: u64,
    /// HELP texts that were cut.
    pub help_truncated: u64,
    /// Staleness markers queued.
    pub markers: u64,
    /// Bytes of the last exposition.
    pub body_bytes: u64,
    /// Whether the metrics socket is dead for ever, as far as its probes tell.
    pub socket_stale: bool,
    /// Why the last scrape failed; `None` after a good one.
    pub last_failure: Option<String>,
}

impl Snapshot {
    /// Counts the samples of one scrape.
    pub(super) fn count(&mut self, report: &Report) {
        let Report { discarded, markers, filtered, truncated, exemplars_discarded, .. } = report;
        self.exemplars_no_timestamp += exemplars_discarded.no_timestamp;
        self.exemplars_out_of_order += exemplars_discarded.out_of_order;
        self.exemplars_labels_too_long += exemplars_discarded.labels_too_long;
        self.help_truncated += truncated.texts;
        self.discarded_duplicate += discarded.duplicate;
        self.discarded_out_of_order += discarded.out_of_order;
        self.discarded_too_far_ahead += discarded.too_far_ahead;
        self.filtered += filtered;
        self.discarded_too_old += discarded.too_old;
        self.markers += markers;
    }

    /// `discarded` in the ledger.
    #[must_use]
    pub fn discarded(&self) -> u64 {
        self.discarded_duplicate
            + self.discarded_out_of_order
            + self.discarded_too_far_ahead
            + self.discarded_too_old
    }
}

/// The counters, shared with whoever shows them.
#[derive(Clone, Debug, Default)]
pub struct CollectorMetrics(Arc<Mutex<Snapshot>>);

impl CollectorMetrics {
    /// All counters of this moment.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut Snapshot)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
