//! One source of series on its way into the queue: remembered series, label references, records.

use std::time::Instant;

use bytes::Bytes;

use super::open_series::OpenSeries;
use crate::model::Labels;
use crate::queue::{Queue, RecordMeta};
use crate::scrape::{Format, Ingest, Relabelling, Report, Rules, ScrapeError};
use crate::wire::{Counts, Limits, RecordEncoder, Scrape};

/// A scrape is cut into records of at most this much; an engine's scrape (400 to 1,700 samples) is one record.
const RECORD_LIMITS: Limits = Limits { max_samples: 2_000, max_bytes: 1 << 20 };

/// The target, or our own counters.
#[derive(Debug)]
pub(super) struct Source {
    ingest: Ingest,
    encoder: RecordEncoder,
    open: OpenSeries,
    restored: usize,
}

impl Source {
    /// Goes on from what the journal of this name has kept of the process before.
    pub(super) fn new(rules: Rules, queue: &Queue, journal: &'static str) -> Self {
        let open = OpenSeries::new(queue.journal(journal));
        let restored = open.take_restored();
        let mut source = Self {
            ingest: Ingest::new(rules),
            encoder: RecordEncoder::new(RECORD_LIMITS),
            restored: restored.len(),
            open,
        };
        source.ingest.restore(restored);
        source
    }

    /// How many series the process before has left open.
    pub(super) fn restored(&self) -> usize {
        self.restored
    }

    /// From the next scrape on: see [`Ingest::rename`].
    pub(super) fn rename(&mut self, target: &Labels, external: &Labels) {
        self.ingest.rename(target, external);
    }

    /// From the next scrape on: see [`Ingest::relabel`].
    pub(super) fn relabel(&mut self, relabelling: Relabelling) {
        self.ingest.relabel(relabelling);
    }

    /// Queues one scrape.
    pub(super) fn scrape(
        &mut self,
        body: Result<(Format, &[u8]), ScrapeError>,
        timestamp: i64,
        started: Instant,
    ) -> Report {
        let report = self.ingest.scrape_as(body, timestamp, started);
        self.enqueue();
        report
    }

    /// Queues the last scrape before the target goes away; one that fails leaves no trace.
    pub(super) fn last_scrape(
        &mut self,
        format: Format,
        body: &[u8],
        timestamp: i64,
        started: Instant,
    ) -> Result<Report, ScrapeError> {
        let report = self.ingest.last_scrape_as(format, body, timestamp, started)?;
        self.enqueue();
        Ok(report)
    }

    /// Queues a staleness marker for every series that has not ended; returns how many.
    pub(super) fn end_all(&mut self, timestamp: i64) -> u64 {
        let markers = self.ingest.end_all(timestamp);
        self.enqueue();
        markers
    }

    fn enqueue(&mut self) {
        let Self { ingest, encoder, open, restored: _ } = self;
        let ingest = &*ingest;
        let mut changes = ingest.changes();
        let mut samples = 0;
        encoder.encode_raw(
            &Scrape {
                samples: ingest.samples(),
                exemplars: ingest.exemplars(),
                histograms: ingest.histograms(),
            },
            |slot| ingest.describe(slot),
            |counts, record| {
                samples += counts.samples as usize;
                let brought = changes.partition_point(|change| change.sample < samples);
                let (brought, later) = changes.split_at(brought);
                changes = later;
                open.append(meta(counts), Bytes::from(record), brought, ingest);
            },
        );
        open.conclude(changes, ingest);
    }
}

fn meta(counts: Counts) -> RecordMeta {
    RecordMeta {
        samples: counts.samples,
        markers: counts.markers,
        min_timestamp: counts.min_timestamp,
        max_timestamp: counts.max_timestamp,
    }
}

#[cfg(test)]
mod tests;
