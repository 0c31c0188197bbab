//! The fields of a `Histogram` message that make it a native one, and the histogram that they are.

use std::ops::Range;

use super::error::{HistogramReason, MessageFault, Sign};
use super::metric::{Distribution, FoundExemplar, exemplar, narrow};
use super::normal;
use super::wire::{Field, Fields, Value};
use crate::model::{self, Buckets, EXPONENTIAL_SCHEMAS, Histogram, IndexFault};

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

/// What Prometheus makes of them: what it refuses is refused, and empty buckets are left out, as it leaves them out.
impl Native {
    /// Whether the histogram has a native part. One without observations has to have a span, if only an empty one, or it is taken for a
    /// classic one.
    pub(super) fn is_there(&self) -> bool {
        let is_above_zero = self.zero_threshold > 0.0 || self.zero_count > 0;
        is_above_zero || !self.negative.spans.is_empty() || !self.positive.spans.is_empty()
    }

    /// The histogram that this is with `count` and `sum` of the same message. A count of floats says that all are floats.
    pub(super) fn write(
        &self,
        whole: &Distribution,
        is_gauge: bool,
        histogram: &mut Histogram,
    ) -> Result<(), HistogramReason> {
        if !EXPONENTIAL_SCHEMAS.contains(&self.schema) {
            return Err(HistogramReason::Schema(self.schema));
        }
        // The marker is ours to send: a target that exposes its bits does not end the series (remote-write 4.17).
        let sum = normal(whole.sum);
        if whole.count_float > 0.0 || self.zero_count_float > 0.0 {
            let buckets = histogram.as_float();
            (buckets.count, buckets.zero_count) = (whole.count_float, self.zero_count_float);
            self.write_head(sum, is_gauge, buckets);
            self.negative.write_floats(Sign::Negative, &mut buckets.negative)?;
            return self.positive.write_floats(Sign::Positive, &mut buckets.positive);
        }
        let buckets = histogram.as_integer();
        (buckets.count, buckets.zero_count) = (whole.count, self.zero_count);
        self.write_head(sum, is_gauge, buckets);
        let negative = self.negative.write_integers(Sign::Negative, &mut buckets.negative)?;
        let positive = self.positive.write_integers(Sign::Positive, &mut buckets.positive)?;
        let found = negative + positive + u128::from(self.zero_count);
        // What is not a number is in no bucket.
        let is_off = if sum.is_nan() { found > whole.count.into() } else { found != whole.count.into() };
        if is_off { Err(HistogramReason::Count { buckets: found, count: whole.count }) } else { Ok(()) }
    }

    /// What both kinds have.
    fn write_head<N>(&self, sum: f64, is_gauge: bool, buckets: &mut Buckets<N>) {
        (buckets.schema, buckets.zero_threshold) = (self.schema, self.zero_threshold);
        (buckets.sum, buckets.is_gauge) = (sum, is_gauge);
    }
}

impl Side {
    /// Returns how many observations there are.
    fn write_integers(&self, sign: Sign, side: &mut model::Side<u64>) -> Result<u128, HistogramReason> {
        let mut indices = self.indices(sign, self.deltas.len())?;
        let (mut last, mut sum) = (0_i64, 0_u128);
        for (bucket, delta) in self.deltas.iter().enumerate() {
            let index = indices.next();
            last = last.wrapping_add(*delta);
            let Ok(count) = u64::try_from(last) else {
                #[expect(clippy::cast_precision_loss, reason = "for the message")]
                let count = last as f64;
                return Err(HistogramReason::NegativeCount { side: sign, bucket: bucket + 1, count });
            };
            sum += u128::from(count);
            if count > 0 {
                side.push(index, count).map_err(|fault| misplaced(sign, bucket, fault))?;
            }
        }
        Ok(sum)
    }

    fn write_floats(&self, sign: Sign, side: &mut model::Side<f64>) -> Result<(), HistogramReason> {
        let mut indices = self.indices(sign, self.counts.len())?;
        for (bucket, count) in self.counts.iter().copied().enumerate() {
            let index = indices.next();
            if count < 0.0 {
                return Err(HistogramReason::NegativeCount { side: sign, bucket: bucket + 1, count });
            }
            if count != 0.0 {
                side.push(index, count).map_err(|fault| misplaced(sign, bucket, fault))?;
            }
        }
        Ok(())
    }

    fn indices(&self, side: Sign, buckets: usize) -> Result<Indices<'_>, HistogramReason> {
        let (spans, buckets) = (self.spans.iter().map(|span| u64::from(span.1)).sum(), buckets as u64);
        if spans != buckets {
            return Err(HistogramReason::SpanLengths { side, spans, buckets });
        }
        Ok(Indices { spans: &self.spans, at: 0, left: 0, end: 0 })
    }
}

/// Where the buckets are that spans speak of.
struct Indices<'a> {
    spans: &'a [(i32, u32)],
    /// The next span.
    at: usize,
    /// Buckets left of the one before.
    left: u32,
    /// The index behind the last bucket.
    end: i64,
}

impl Indices<'_> {
    /// The index of the next bucket; there are as many as the lengths of the spans say.
    fn next(&mut self) -> i64 {
        while self.left == 0
            && let Some((gap, length)) = self.spans.get(self.at)
        {
            self.end += i64::from(*gap);
            self.left = *length;
            self.at += 1;
        }
        self.left = self.left.saturating_sub(1);
        self.end += 1;
        self.end - 1
    }
}

/// An offset below zero matters where there is a bucket on both sides of it: Prometheus leaves empty spans and buckets out before it looks.
fn misplaced(side: Sign, bucket: usize, fault: IndexFault) -> HistogramReason {
    match fault {
        IndexFault::Overflow => HistogramReason::Index { side },
        IndexFault::Behind(buckets) => HistogramReason::Descends { side, bucket: bucket + 1, buckets },
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
