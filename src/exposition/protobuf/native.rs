//! The fields of a `Histogram` message that make it a native one.

use std::ops::Range;

use super::error::MessageFault;
use super::metric::{FoundExemplar, exemplar, narrow};
use super::wire::{Field, Fields, Value};

/// Buckets on one side of zero.
#[derive(Debug, Default)]
pub(super) struct Side {
    /// Empty buckets before, and buckets of each span.
    pub(super) spans: Vec<(i32, u32)>,
    /// Integer counts, each as its difference from the one before.
    pub(super) deltas: Vec<i64>,
    /// Float counts.
    pub(super) counts: Vec<f64>,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Native {
    pub(super) schema: i32,
    pub(super) zero_threshold: f64,
    pub(super) zero_count: u64,
    pub(super) zero_count_float: f64,
    pub(super) negative: Side,
    pub(super) positive: Side,
    pub(super) exemplars: Vec<FoundExemplar>,
}

impl Native {
    pub(super) fn clear(&mut self) {
        (self.schema, self.zero_threshold) = (0, 0.0);
        (self.zero_count, self.zero_count_float) = (0, 0.0);
        for side in [&mut self.negative, &mut self.positive] {
            side.spans.clear();
            side.deltas.clear();
            side.counts.clear();
        }
        self.exemplars.clear();
    }

    /// Reads one field of the histogram; those that do not belong here are nobody's.
    pub(super) fn read(&mut self, body: &[u8], field: &Field) -> Result<(), MessageFault> {
        match field.number {
            5 => self.schema = zigzag32(field.varint()?),
            6 => self.zero_threshold = field.double()?,
            7 => self.zero_count = field.varint()?,
            8 => self.zero_count_float = field.double()?,
            9 => self.negative.spans.push(span(body, field.bytes()?)?),
            10 => deltas(body, field, &mut self.negative.deltas)?,
            11 => counts(body, field, &mut self.negative.counts)?,
            12 => self.positive.spans.push(span(body, field.bytes()?)?),
            13 => deltas(body, field, &mut self.positive.deltas)?,
            14 => counts(body, field, &mut self.positive.counts)?,
            16 => self.exemplars.push(exemplar(body, field.bytes()?)?),
            _ => {}
        }
        Ok(())
    }
}

/// `BucketSpan`.
fn span(body: &[u8], within: Range<usize>) -> Result<(i32, u32), MessageFault> {
    let (mut offset, mut length) = (0, 0);
    let mut fields = Fields::new(body, within);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => offset = zigzag32(field.varint()?),
            2 => length = narrow(&field)?.cast_unsigned(),
            _ => {}
        }
    }
    Ok((offset, length))
}

/// One, or many in one field.
fn deltas(body: &[u8], field: &Field, deltas: &mut Vec<i64>) -> Result<(), MessageFault> {
    let Value::Bytes(range) = &field.value else {
        deltas.push(zigzag(field.varint()?));
        return Ok(());
    };
    let mut packed = Fields::new(body, range.clone());
    while !packed.is_empty() {
        deltas.push(zigzag(packed.varint()?));
    }
    Ok(())
}

/// One, or many in one field.
fn counts(body: &[u8], field: &Field, counts: &mut Vec<f64>) -> Result<(), MessageFault> {
    let Value::Bytes(range) = &field.value else {
        counts.push(field.double()?);
        return Ok(());
    };
    let mut packed = Fields::new(body, range.clone());
    while !packed.is_empty() {
        counts.push(f64::from_bits(packed.fixed64()?));
    }
    Ok(())
}

fn zigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

fn zigzag32(value: u64) -> i32 {
    #[expect(clippy::cast_possible_truncation, reason = "the rule of protobuf")]
    let value = value as u32;
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}
