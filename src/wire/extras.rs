//! What a 2.0 series holds beside one plain sample, as 1.0 has it: exemplars with their labels spelled out, native histograms without
//! their start timestamp (remote-write 1.07, 2.23). The start timestamp of a sample has no place in 1.0.

use super::DecodeError;
use super::field::{self, Value};
use super::view::{self, Series, Symbols};

// Of a 2.0 series.
const HISTOGRAMS: u32 = 3;
const EXEMPLARS: u32 = 4;
// Of a 1.0 series.
const V1_EXEMPLARS: u32 = 3;
const V1_HISTOGRAMS: u32 = 4;
/// Of a 2.0 histogram; 1 to 16 are the same in both.
const LAST_COMMON_FIELD: u32 = 16;

/// Buffers for one part at a time.
#[derive(Debug, Default)]
pub(super) struct Extras {
    out: Vec<u8>,
    part: Vec<u8>,
    labels: Vec<u8>,
}

impl Extras {
    /// Everything of a series but its labels, as fields of a 1.0 `TimeSeries`, with its exemplars or without. `parsed` is `series`, read.
    /// The labels of exemplars stay as they are: they are outside of 1.0's rules for names (remote-write 1.07).
    ///
    /// # Errors
    /// When the series is damaged.
    pub(super) fn write(
        &mut self,
        record: &[u8],
        symbols: &Symbols,
        series: &[u8],
        parsed: &Series<'_>,
        with_exemplars: bool,
    ) -> Result<&[u8], DecodeError> {
        self.out.clear();
        if parsed.has_sample {
            let sample = field::sample_field(parsed.sample.value, parsed.sample.timestamp);
            self.out.extend_from_slice(sample.as_slice());
        }
        let mut rest = series;
        while let Some((number, value)) = field::next(&mut rest)? {
            if let (EXEMPLARS, Value::Bytes(exemplar)) = (number, value)
                && with_exemplars
            {
                self.exemplar(record, symbols, exemplar)?;
                field::put_bytes(V1_EXEMPLARS, &self.part, &mut self.out);
            }
        }
        let mut rest = series;
        while let Some((number, value)) = field::next(&mut rest)? {
            if let (HISTOGRAMS, Value::Bytes(histogram)) = (number, value) {
                self.histogram(histogram)?;
                field::put_bytes(V1_HISTOGRAMS, &self.part, &mut self.out);
            }
        }
        Ok(&self.out)
    }

    fn exemplar(&mut self, record: &[u8], symbols: &Symbols, mut exemplar: &[u8]) -> Result<(), DecodeError> {
        self.part.clear();
        let mut before = exemplar;
        while let Some((number, value)) = field::next(&mut exemplar)? {
            let raw = &before[..before.len() - exemplar.len()];
            before = exemplar;
            match (number, value) {
                (1, Value::Bytes(refs)) => {
                    view::spell_labels(record, symbols, refs, &mut self.labels)?;
                    self.part.extend_from_slice(&self.labels);
                }
                (_, Value::Bytes(_) | Value::Varint(_) | Value::Fixed64(_) | Value::Fixed32) => {
                    self.part.extend_from_slice(raw);
                }
            }
        }
        Ok(())
    }

    fn histogram(&mut self, mut histogram: &[u8]) -> Result<(), DecodeError> {
        self.part.clear();
        let mut before = histogram;
        while let Some((number, _)) = field::next(&mut histogram)? {
            let raw = &before[..before.len() - histogram.len()];
            before = histogram;
            if number <= LAST_COMMON_FIELD {
                self.part.extend_from_slice(raw);
            }
        }
        Ok(())
    }
}
