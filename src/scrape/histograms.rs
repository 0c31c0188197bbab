//! The native histograms of one scrape, in room that is kept from scrape to scrape.

use super::footprint;
use crate::model::{Histogram, HistogramKind, HistogramSample, HistogramSize, SampleKind};

/// Those of one target.
#[derive(Debug, Default)]
pub(super) struct Histograms {
    /// The first `taken` are those of this scrape; behind them is room for more.
    all: Vec<HistogramSample>,
    taken: usize,
    /// See [`footprint`].
    weight: usize,
}

impl Histograms {
    /// Begins a scrape. One huge scrape must not hold its memory for ever; what the last one needed is kept, and twice as much may come of
    /// growing.
    pub(super) fn begin(&mut self) {
        const KEPT: usize = 1 << 20;
        const SLACK: usize = 4;
        let room = |held: &HistogramSample| {
            footprint::of_histogram(HistogramSize {
                counts: held.histogram.room(),
                ..HistogramSize::default()
            })
        };
        let held: usize = self.all.iter().map(room).sum();
        if held > KEPT.max(SLACK * self.weight) {
            self.all = Vec::new();
        }
        self.roll_back();
    }

    /// Nothing of this scrape was taken.
    pub(super) fn roll_back(&mut self) {
        (self.taken, self.weight) = (0, 0);
    }

    /// Takes the histogram that `write` writes; it is the sample of this number.
    ///
    /// # Errors
    /// Those of `write`; nothing is taken then.
    pub(super) fn take<E>(
        &mut self,
        sample: usize,
        write: impl FnOnce(&mut Histogram) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.all.len() == self.taken {
            self.all.push(HistogramSample::default());
        }
        let taken = &mut self.all[self.taken];
        taken.sample = sample;
        write(&mut taken.histogram)?;
        self.taken += 1;
        self.weight += footprint::of_histogram(taken.histogram.size());
        Ok(())
    }

    /// As [`Histograms::take`], but only looks whether it could be written.
    ///
    /// # Errors
    /// Those of `write`.
    pub(super) fn check<E>(&mut self, write: impl FnOnce(&mut Histogram) -> Result<(), E>) -> Result<(), E> {
        let (taken, weight) = (self.taken, self.weight);
        let written = self.take(0, write);
        (self.taken, self.weight) = (taken, weight);
        written
    }

    /// Takes the marker that ends a series of this kind; it is the sample of this number.
    pub(super) fn end(&mut self, sample: usize, kind: HistogramKind) {
        let stale = Histogram::stale(kind);
        let Ok(()) = self.take(sample, |histogram| {
            *histogram = stale;
            Ok::<(), std::convert::Infallible>(())
        });
    }

    /// In the order of their samples.
    pub(super) fn taken(&self) -> &[HistogramSample] {
        &self.all[..self.taken]
    }

    /// What the sample of this number is.
    pub(super) fn kind_of(&self, sample: usize) -> SampleKind {
        let taken = self.taken();
        let at = taken.binary_search_by_key(&sample, |histogram| histogram.sample);
        at.map_or(SampleKind::Float, |at| SampleKind::Histogram(taken[at].histogram.kind()))
    }

    /// How many bytes all this takes, as an estimate (see [`footprint`]).
    pub(super) fn weight(&self) -> usize {
        self.weight
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes so many histograms of so many buckets each.
    fn take(histograms: &mut Histograms, count: usize, buckets: i64) {
        for sample in 0..count {
            let Ok(()) = histograms.take(sample, |histogram| {
                let written = histogram.as_integer();
                (0..buckets).for_each(|index| written.positive.push(index, 1).unwrap());
                Ok::<(), std::convert::Infallible>(())
            });
        }
    }

    /// Buckets that there is room for.
    fn room(histograms: &Histograms) -> usize {
        let room = |sample: &HistogramSample| match &sample.histogram {
            Histogram::Integer(buckets) => buckets.positive.counts.capacity(),
            Histogram::Float(buckets) => buckets.positive.counts.capacity(),
        };
        histograms.all.iter().map(room).sum()
    }

    #[test]
    fn a_target_that_stays_large_keeps_its_room() {
        let mut histograms = Histograms::default();
        for _ in 0..3 {
            histograms.begin();
            take(&mut histograms, 1_000, 160);
        }
        histograms.begin();
        assert!(room(&histograms) >= 160_000, "{}", room(&histograms));
    }

    #[test]
    fn one_huge_scrape_does_not_hold_its_memory_for_ever() {
        for is_good in [true, false] {
            let mut histograms = Histograms::default();
            histograms.begin();
            take(&mut histograms, 2, 500_000);
            if !is_good {
                histograms.roll_back();
            }
            for _ in 0..2 {
                histograms.begin();
                take(&mut histograms, 2, 10);
            }
            assert!(room(&histograms) < 100, "{is_good}: {}", room(&histograms));
        }
    }
}
