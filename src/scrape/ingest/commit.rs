//! What a scrape leaves behind, once it is known what becomes of it.

use super::Ingest;
use crate::model::{STALE_MARKER_BITS, SampleKind};

impl Ingest {
    pub(super) fn commit(&mut self, timestamp: i64) {
        let mut histograms = self.histograms.taken().iter().peekable();
        for (at, sample) in self.samples.iter_mut().enumerate() {
            // Only now: a HELP or TYPE may stand behind its samples, or come as a series ends.
            sample.generation = self.series.refresh_metadata(sample.slot, &self.families);
            let slot = sample.slot;
            let series = self.series.get_mut(slot);
            (series.last_timestamp, series.last_value) = (sample.timestamp, sample.value.to_bits());
            let histogram = histograms.next_if(|histogram| histogram.sample == at);
            let kind = histogram
                .map_or(SampleKind::Float, |histogram| SampleKind::Histogram(histogram.histogram.kind()));
            match (series.open, series.last_value == STALE_MARKER_BITS) {
                // The kind that it was known by until now is the one that has ended.
                (true, true) => self.open.ends(slot, at, series),
                (true, false) if series.kind != kind => {
                    self.open.ends(slot, at, series);
                    series.kind = kind;
                    self.open.goes_on(slot, at, series);
                }
                (true, false) | (false, true) => {}
                (false, false) => {
                    series.kind = kind;
                    if series.tracked == self.scrape || series.is_synthetic() {
                        self.open.goes_on(slot, at, series);
                    }
                }
            }
            series.kind = kind;
        }
        self.open.conclude(self.samples.len(), &mut self.series);
        self.last_timestamp = self.last_timestamp.max(timestamp);
    }
}
