//! What comes beside the samples of a record.

use crate::model::Exemplar;

/// What comes beside samples.
#[derive(Debug)]
pub(super) struct Beside<'a> {
    /// The number of the record's first sample.
    pub(super) first: usize,
    /// Of the whole scrape, in the order of their samples.
    pub(super) exemplars: &'a [Exemplar],
}

impl<'a> Beside<'a> {
    /// How many samples from this number on have none.
    pub(super) fn none_for(&self, number: usize) -> usize {
        let from = self.first + number;
        let next = self.exemplars.partition_point(|exemplar| exemplar.sample < from);
        self.exemplars.get(next).map_or(usize::MAX, |exemplar| exemplar.sample - from)
    }

    /// The exemplars of a sample by its number in the record.
    pub(super) fn of(&self, number: usize) -> &'a [Exemplar] {
        if self.exemplars.is_empty() {
            return &[];
        }
        let sample = self.first + number;
        let from = self.exemplars.partition_point(|exemplar| exemplar.sample < sample);
        let to = self.exemplars.partition_point(|exemplar| exemplar.sample <= sample);
        &self.exemplars[from..to]
    }
}
