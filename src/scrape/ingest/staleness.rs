//! When series end: what vanished, what the process before has left open, and what the next one has to know of that.

use super::super::open_series::SeriesChange;
use super::Ingest;
use crate::model::{Labels, STALE_MARKER_BITS, SampleKind, SampleRef, stale_marker};

/// Which series are gone.
#[derive(Clone, Copy, Debug)]
pub(super) enum Vanished {
    /// Those of the last good scrape, or left open by the process before, that this scrape has not.
    Missing,
    /// All of the last good scrape.
    Seen,
    /// The target, with all that it ever left open.
    Target,
}

impl Ingest {
    /// Takes over what the process before has left open: what the first good scrape lacks of it ends there, with these very labels; the
    /// rest simply goes on (remote-write 3.07). To be called before the first scrape.
    pub fn restore(&mut self, open: impl IntoIterator<Item = (Labels, SampleKind)>) {
        for (labels, kind) in open {
            self.open.restore(labels, kind, &mut self.series);
        }
    }

    /// What the last scrape has changed of the series that have begun and not ended, in the order of its samples. These are what
    /// [`Ingest::restore`] of the next process wants.
    #[must_use]
    pub fn changes(&self) -> &[SeriesChange] {
        self.open.changes()
    }

    /// All series that have begun and not ended, and what their samples are.
    pub fn open_series(&self) -> impl Iterator<Item = (&Labels, SampleKind)> {
        self.series.open()
    }

    /// Markers for what the last good scrape had and this one has not; a failed scrape has nothing (remote-write 3.01 to 3.03).
    pub(super) fn mark_vanished(&mut self, timestamp: i64, vanished: Vanished) -> u64 {
        match vanished {
            Vanished::Missing | Vanished::Target => self.tracked.append(&mut self.open.restored),
            // What was left open before us waits for a scrape that can tell.
            Vanished::Seen => {}
        }
        // The same series in the same order, as nearly always: none is gone, and all stay held.
        if matches!(vanished, Vanished::Missing) && self.tracked == self.tracked_now {
            self.tracked_now.clear();
            return 0;
        }
        let before = std::mem::take(&mut self.tracked);
        let mut markers = 0;
        for slot in &before {
            let series = self.series.get_mut(*slot);
            let gone = match vanished {
                Vanished::Seen | Vanished::Target => true,
                Vanished::Missing => series.tracked != self.scrape,
            };
            // New labels may have made it a synthetic series meanwhile: that one goes on.
            if gone && !series.is_synthetic() {
                let marked = self.mark(*slot, timestamp);
                markers += u64::from(marked);
                self.open.untracked(*slot, marked);
            }
        }
        // A line may name another series the next time it comes; what it named until now is still to be ended.
        self.tracked_now.iter().for_each(|slot| self.series.hold(*slot));
        before.iter().for_each(|slot| self.series.release(*slot));
        self.tracked = std::mem::replace(&mut self.tracked_now, before);
        self.tracked_now.clear();
        markers
    }

    /// A marker that would not be the newest sample of its series is dropped in silence (remote-write 3.09), and so is one for a series
    /// that has ended or never began.
    pub(super) fn mark(&mut self, slot: u32, timestamp: i64) -> bool {
        let scrape = self.scrape;
        let series = self.series.get_mut(slot);
        let touched = series.touched == scrape;
        let newest = if touched { series.touched_timestamp } else { series.last_timestamp };
        let ended = !touched && series.last_value == STALE_MARKER_BITS;
        if newest == i64::MIN || ended || timestamp <= newest {
            return false;
        }
        let kind = if touched { self.histograms.kind_of(series.touched_sample) } else { series.kind };
        (series.touched, series.touched_timestamp) = (scrape, timestamp);
        series.touched_sample = self.samples.len();
        let generation = series.generation;
        match kind {
            SampleKind::Float => {}
            SampleKind::Histogram(kind) => self.histograms.end(self.samples.len(), kind),
        }
        self.samples.push(SampleRef { slot, generation, value: stale_marker(), timestamp, start: 0 });
        true
    }
}
