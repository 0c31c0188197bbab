//! What a scrape has beside plain samples: exemplars and native histograms, found by the number of their sample.

use super::field;
use super::symbols::SymbolTable;
use crate::model::{Exemplar, Histogram, HistogramSample, SampleRef};

const LABELS_REFS: u32 = 1;
const EXEMPLARS: u32 = 4;

/// One scrape.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scrape<'a> {
    /// In the order in which they are to be sent.
    pub samples: &'a [SampleRef],
    /// In the order of their samples.
    pub exemplars: &'a [Exemplar],
    /// The samples that are native histograms, in their order.
    pub histograms: &'a [HistogramSample],
}

/// What comes beside the samples of a record.
#[derive(Debug)]
pub(super) struct Beside<'a> {
    /// The number of the record's first sample.
    pub(super) first: usize,
    pub(super) scrape: &'a Scrape<'a>,
}

/// What a series has beside or instead of a plain sample.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extras<'a> {
    pub(super) histogram: Option<&'a Histogram>,
    pub(super) exemplars: &'a [Exemplar],
}

impl<'a> Beside<'a> {
    /// How many samples from this number on are plain values.
    pub(super) fn plain_from(&self, number: usize) -> usize {
        let Scrape { samples: _, exemplars, histograms } = *self.scrape;
        let from = self.first + number;
        let exemplar = exemplars.partition_point(|exemplar| exemplar.sample < from);
        let histogram = histograms.partition_point(|histogram| histogram.sample < from);
        let until = |next: Option<usize>| next.map_or(usize::MAX, |sample| sample - from);
        let exemplar = until(exemplars.get(exemplar).map(|exemplar| exemplar.sample));
        exemplar.min(until(histograms.get(histogram).map(|histogram| histogram.sample)))
    }

    /// What a sample, by its number in the record, is or has beside a plain value.
    pub(super) fn of(&self, number: usize) -> Extras<'a> {
        let Scrape { samples: _, exemplars, histograms } = *self.scrape;
        let sample = self.first + number;
        let from = exemplars.partition_point(|exemplar| exemplar.sample < sample);
        let to = exemplars.partition_point(|exemplar| exemplar.sample <= sample);
        let at = histograms.binary_search_by_key(&sample, |histogram| histogram.sample);
        let histogram = at.ok().map(|at| &histograms[at].histogram);
        Extras { histogram, exemplars: &exemplars[from..to] }
    }
}

/// Appends an `Exemplar` as a field of its `TimeSeries`.
pub(super) fn put_exemplar(
    exemplar: &Exemplar,
    symbols: &mut SymbolTable,
    refs: &mut Vec<u8>,
    out: &mut Vec<u8>,
) {
    refs.clear();
    for (name, value) in exemplar.labels.iter() {
        field::put_varint(symbols.intern(name), refs);
        field::put_varint(symbols.intern(value), refs);
    }
    let numbers = field::exemplar_fields(exemplar.value, exemplar.timestamp);
    let labels = if refs.is_empty() { 0 } else { field::bytes_len(refs) };
    field::put_len(EXEMPLARS, labels + numbers.as_slice().len(), out);
    if !refs.is_empty() {
        field::put_bytes(LABELS_REFS, refs, out);
    }
    out.extend_from_slice(numbers.as_slice());
}
