//! A 2.0 message read in place: symbols as slices, series one by one.

use std::ops::Range;

use super::DecodeError;
use super::field::{self, Value};
use crate::model::{STALE_MARKER_BITS, is_stale_marker};

/// The symbol table of the message being read; keeps its memory from message to message.
#[derive(Debug, Default)]
pub struct Symbols {
    ranges: Vec<Range<usize>>,
    /// Bytes and symbols before the first field that is none; all of them, in our messages.
    front: (usize, u32),
}

impl Symbols {
    /// Finds all symbols of `message` and checks that they are UTF-8.
    ///
    /// # Errors
    /// When the message is damaged.
    pub fn read(&mut self, message: &[u8]) -> Result<(), DecodeError> {
        self.ranges.clear();
        self.front = (0, 0);
        let mut in_front = true;
        let mut rest = message;
        while let Some((number, value)) = field::next(&mut rest)? {
            if let (4, Value::Bytes(symbol)) = (number, value) {
                std::str::from_utf8(symbol).map_err(|_| DecodeError::Utf8)?;
                let end = message.len() - rest.len();
                self.ranges.push(end - symbol.len()..end);
                if in_front {
                    self.front = (end, self.front.1.saturating_add(1));
                }
            } else {
                in_front = false;
            }
        }
        Ok(())
    }

    /// How many symbols there are.
    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.ranges.len()).unwrap_or(u32::MAX)
    }

    /// How many bytes at the front of the message are nothing but symbols, and how many symbols.
    pub(super) fn front(&self) -> (usize, u32) {
        self.front
    }

    /// The bytes of one symbol of the `message` that was read.
    ///
    /// # Errors
    /// When the reference is outside the table.
    pub fn get<'a>(&self, message: &'a [u8], reference: u32) -> Result<&'a [u8], DecodeError> {
        self.ranges
            .get(reference as usize)
            .and_then(|range| message.get(range.clone()))
            .ok_or(DecodeError::Reference { reference, symbols: self.ranges.len() })
    }

    /// As [`Symbols::get`], as text.
    ///
    /// # Errors
    /// When the reference is outside the table, or the symbol is not UTF-8.
    pub fn text<'a>(&self, message: &'a [u8], reference: u32) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.get(message, reference)?).map_err(|_| DecodeError::Utf8)
    }
}

/// One sample of a series.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// The value.
    pub value: f64,
    /// ms since the epoch.
    pub timestamp: i64,
}

/// One `TimeSeries` with the first of its samples (records hold one sample in each).
#[derive(Clone, Copy, Debug)]
pub struct Series<'a> {
    pub(super) refs: &'a [u8],
    /// The sample.
    pub sample: Sample,
    /// Whether there is one; a native histogram has none beside it (remote-write 2.09).
    pub(super) has_sample: bool,
    /// Its native histogram, if it has one.
    pub(super) histogram: Option<Histogram>,
    /// Whether the sample is all there is: no native histogram, no exemplar.
    pub(super) is_plain: bool,
}

/// What has to be known of a native histogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Histogram {
    /// Schema -53: its bounds are its own (remote-write 2.23).
    pub(super) has_custom_bounds: bool,
    /// Its sum is the staleness marker: it ends its series (remote-write 2.16).
    pub(super) is_stale: bool,
    /// ms since the epoch.
    pub(super) timestamp: i64,
}

impl<'a> Series<'a> {
    /// Pairs of references: name and value of each label, in order.
    pub fn labels(&self) -> impl Iterator<Item = Result<(u32, u32), DecodeError>> + use<'a> {
        pairs(self.refs)
    }

    /// Of its sample or native histogram, ms since the epoch.
    pub(super) fn timestamp(&self) -> i64 {
        self.histogram.map_or(self.sample.timestamp, |histogram| histogram.timestamp)
    }

    /// Whether its sample or native histogram ends it.
    pub(super) fn is_stale(&self) -> bool {
        self.histogram
            .map_or(self.has_sample && is_stale_marker(self.sample.value), |histogram| histogram.is_stale)
    }
}

pub(super) fn pairs(refs: &[u8]) -> impl Iterator<Item = Result<(u32, u32), DecodeError>> + use<'_> {
    let mut rest = refs;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut pair = || {
            let name = reference(&mut rest)?;
            if rest.is_empty() {
                return Err(DecodeError::OddReferences);
            }
            Ok((name, reference(&mut rest)?))
        };
        let pair = pair();
        if pair.is_err() {
            rest = &[];
        }
        Some(pair)
    })
}

/// Spells labels out as 1.0 has them, as field 1 of a `TimeSeries` or an `Exemplar`, into `out`, which is emptied first; tells the highest
/// of the references.
///
/// # Errors
/// When a reference is outside the table, or one has no other beside it.
pub(super) fn spell_labels(
    record: &[u8],
    symbols: &Symbols,
    refs: &[u8],
    out: &mut Vec<u8>,
) -> Result<u32, DecodeError> {
    out.clear();
    let mut highest = 0;
    for pair in pairs(refs) {
        let references = pair?;
        highest = highest.max(references.0).max(references.1);
        put_label(symbols.get(record, references.0)?, symbols.get(record, references.1)?, out);
    }
    Ok(highest)
}

/// Appends a label as 1.0 has it: field 1 of a `TimeSeries` or an `Exemplar`.
pub(super) fn put_label(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    const LABELS: u32 = 1;
    field::put_len(LABELS, field::bytes_len(name) + field::bytes_len(value), out);
    field::put_bytes(1, name, out);
    field::put_bytes(2, value, out);
}

fn reference(refs: &mut &[u8]) -> Result<u32, DecodeError> {
    u32::try_from(field::varint(refs)?)
        .map_err(|_| DecodeError::Reference { reference: u32::MAX, symbols: 0 })
}

/// The series of a message, in order.
#[derive(Debug)]
pub struct SeriesIter<'a> {
    rest: &'a [u8],
}

impl<'a> SeriesIter<'a> {
    /// Begins at the front of `message`.
    #[must_use]
    pub fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    fn advance(&mut self) -> Result<Option<Series<'a>>, DecodeError> {
        while let Some((number, value)) = field::next(&mut self.rest)? {
            if let (5, Value::Bytes(series)) = (number, value) {
                return read_series(series).map(Some);
            }
        }
        Ok(None)
    }
}

impl<'a> Iterator for SeriesIter<'a> {
    type Item = Result<Series<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.advance();
        if next.is_err() {
            self.rest = &[];
        }
        next.transpose()
    }
}

pub(super) fn read_series(mut message: &[u8]) -> Result<Series<'_>, DecodeError> {
    let sample = Sample { value: 0.0, timestamp: 0 };
    let mut series = Series { refs: &[], sample, has_sample: false, histogram: None, is_plain: true };
    while let Some((number, value)) = field::next(&mut message)? {
        match (number, value) {
            (1, Value::Bytes(refs)) => series.refs = refs,
            (2, Value::Bytes(sample)) => (series.sample, series.has_sample) = (read_sample(sample)?, true),
            (3, Value::Bytes(histogram)) => {
                (series.histogram, series.is_plain) = (Some(read_histogram(histogram)?), false);
            }
            (4, Value::Bytes(_)) => series.is_plain = false,
            (_, Value::Bytes(_) | Value::Varint(_) | Value::Fixed64(_) | Value::Fixed32) => {}
        }
    }
    Ok(series)
}

pub(super) fn read_histogram(mut message: &[u8]) -> Result<Histogram, DecodeError> {
    /// -53, as protobuf writes a signed varint.
    const CUSTOM_BOUNDS: u64 = 2 * 53 - 1;
    let mut histogram = Histogram { has_custom_bounds: false, is_stale: false, timestamp: 0 };
    while let Some((number, value)) = field::next(&mut message)? {
        match (number, value) {
            (3, Value::Fixed64(sum)) => histogram.is_stale = sum == STALE_MARKER_BITS,
            (4, Value::Varint(schema)) => histogram.has_custom_bounds = schema == CUSTOM_BOUNDS,
            #[expect(clippy::cast_possible_wrap, reason = "an int64 travels as its two's complement")]
            (15, Value::Varint(timestamp)) => histogram.timestamp = timestamp as i64,
            (_, Value::Bytes(_) | Value::Varint(_) | Value::Fixed64(_) | Value::Fixed32) => {}
        }
    }
    Ok(histogram)
}

pub(super) fn read_sample(mut message: &[u8]) -> Result<Sample, DecodeError> {
    let mut sample = Sample { value: 0.0, timestamp: 0 };
    while let Some((number, value)) = field::next(&mut message)? {
        match (number, value) {
            (1, Value::Fixed64(bits)) => sample.value = f64::from_bits(bits),
            #[expect(clippy::cast_possible_wrap, reason = "an int64 travels as its two's complement")]
            (2, Value::Varint(timestamp)) => sample.timestamp = timestamp as i64,
            (_, Value::Bytes(_) | Value::Varint(_) | Value::Fixed64(_) | Value::Fixed32) => {}
        }
    }
    Ok(sample)
}
