//! One `Metric` message, read into buffers that are kept from metric to metric.

use std::ops::Range;

use super::super::LONGEST;
use super::error::{MessageFault, MessageReason};
use super::native::Native;
use super::wire::{Field, Fields};
use crate::model::MetricType;

/// What a metric says, whichever of its parts the family's type asks for. Strings are where they lie in the body; they are UTF-8.
#[derive(Debug, Default)]
pub(super) struct Metric {
    /// Names and values.
    pub(super) labels: Vec<(Range<usize>, Range<usize>)>,
    pub(super) gauge: f64,
    pub(super) untyped: f64,
    pub(super) counter: Counter,
    pub(super) summary: Distribution,
    pub(super) histogram: Distribution,
    pub(super) native: Native,
    /// Milliseconds since the epoch; 0 is none, as Prometheus has it.
    pub(super) timestamp: i64,
}

#[derive(Debug, Default)]
pub(super) struct Counter {
    pub(super) value: f64,
    pub(super) exemplar: Option<FoundExemplar>,
    pub(super) created: Option<i64>,
}

/// A summary or a classic histogram.
#[derive(Debug, Default)]
pub(super) struct Distribution {
    pub(super) count: u64,
    pub(super) count_float: f64,
    pub(super) sum: f64,
    /// Quantiles or buckets.
    pub(super) parts: Vec<Part>,
    /// Milliseconds since the epoch.
    pub(super) created: Option<i64>,
}

/// A quantile or a bucket.
#[derive(Clone, Debug, Default)]
pub(super) struct Part {
    /// The quantile, or the upper bound.
    pub(super) bound: f64,
    count: u64,
    count_float: f64,
    /// Of a quantile.
    pub(super) value: f64,
    pub(super) exemplar: Option<FoundExemplar>,
}

/// An exemplar that has been checked, and where its message lies.
#[derive(Clone, Debug)]
pub(super) struct FoundExemplar {
    pub(super) message: Range<usize>,
    pub(super) value: f64,
    pub(super) timestamp: Option<i64>,
}

impl Distribution {
    /// The number of observations; the float one counts where there is one.
    pub(super) fn count(&self) -> f64 {
        either(self.count_float, self.count)
    }

    fn clear(&mut self) {
        let parts = std::mem::take(&mut self.parts);
        *self = Self { parts, ..Self::default() };
        self.parts.clear();
    }
}

impl Part {
    /// Of a bucket: all observations up to the bound.
    pub(super) fn cumulative(&self) -> f64 {
        either(self.count_float, self.count)
    }
}

fn either(float: f64, integer: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a sample's value is a float, in the text format too")]
    if float == 0.0 { integer as f64 } else { float }
}

impl Metric {
    /// The value of a metric that has one only.
    pub(super) fn single(&self, metric_type: MetricType) -> f64 {
        match metric_type {
            MetricType::Counter => self.counter.value,
            MetricType::Gauge => self.gauge,
            MetricType::Unknown
            | MetricType::Histogram
            | MetricType::GaugeHistogram
            | MetricType::Summary
            | MetricType::Info
            | MetricType::StateSet => self.untyped,
        }
    }

    /// Reads the message at `within`.
    pub(super) fn read(&mut self, body: &[u8], within: Range<usize>) -> Result<(), MessageFault> {
        // Two bytes make a bucket or a label, which takes dozens here.
        short(&within)?;
        self.labels.clear();
        (self.gauge, self.untyped, self.timestamp) = (0.0, 0.0, 0);
        self.counter = Counter::default();
        self.summary.clear();
        self.histogram.clear();
        self.native.clear();
        let mut fields = Fields::new(body, within);
        while let Some(field) = fields.next()? {
            match field.number {
                1 => self.labels.push(label(body, field.bytes()?)?),
                2 => single_value(body, field.bytes()?, &mut self.gauge)?,
                3 => counter(body, field.bytes()?, &mut self.counter)?,
                4 => summary(body, field.bytes()?, &mut self.summary)?,
                5 => single_value(body, field.bytes()?, &mut self.untyped)?,
                6 => self.timestamp = signed(field.varint()?),
                7 => histogram(body, field.bytes()?, &mut self.histogram, &mut self.native)?,
                _ => {}
            }
        }
        Ok(())
    }
}

/// Refuses what is longer than [`LONGEST`].
pub(super) fn short(within: &Range<usize>) -> Result<(), MessageFault> {
    match within.len() {
        0..=LONGEST => Ok(()),
        bytes => {
            Err(MessageFault { at: within.start, reason: MessageReason::TooLong { bytes, limit: LONGEST } })
        }
    }
}

/// `LabelPair`.
pub(super) fn label(body: &[u8], within: Range<usize>) -> Result<(Range<usize>, Range<usize>), MessageFault> {
    let (mut name, mut value) = (within.start..within.start, within.start..within.start);
    let mut fields = Fields::new(body, within);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => name = field.text(body)?,
            2 => value = field.text(body)?,
            _ => {}
        }
    }
    Ok((name, value))
}

/// `Gauge` or `Untyped`.
fn single_value(body: &[u8], within: Range<usize>, value: &mut f64) -> Result<(), MessageFault> {
    let mut fields = Fields::new(body, within);
    while let Some(field) = fields.next()? {
        if field.number == 1 {
            *value = field.double()?;
        }
    }
    Ok(())
}

fn counter(body: &[u8], within: Range<usize>, counter: &mut Counter) -> Result<(), MessageFault> {
    let mut fields = Fields::new(body, within);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => counter.value = field.double()?,
            2 => counter.exemplar = Some(exemplar(body, field.bytes()?)?),
            3 => counter.created = Some(timestamp(body, field.bytes()?)?),
            _ => {}
        }
    }
    Ok(())
}

fn summary(body: &[u8], within: Range<usize>, summary: &mut Distribution) -> Result<(), MessageFault> {
    let mut fields = Fields::new(body, within);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => summary.count = field.varint()?,
            2 => summary.sum = field.double()?,
            3 => summary.parts.push(quantile(body, field.bytes()?)?),
            4 => summary.created = Some(timestamp(body, field.bytes()?)?),
            _ => {}
        }
    }
    Ok(())
}

fn quantile(body: &[u8], within: Range<usize>) -> Result<Part, MessageFault> {
    let mut part = Part::default();
    let mut fields = Fields::new(body, within);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => part.bound = field.double()?,
            2 => part.value = field.double()?,
            _ => {}
        }
    }
    Ok(part)
}

fn histogram(
    body: &[u8],
    within: Range<usize>,
    histogram: &mut Distribution,
    native: &mut Native,
) -> Result<(), MessageFault> {
    let mut fields = Fields::new(body, within);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => histogram.count = field.varint()?,
            2 => histogram.sum = field.double()?,
            3 => histogram.parts.push(bucket(body, field.bytes()?)?),
            4 => histogram.count_float = field.double()?,
            15 => histogram.created = Some(timestamp(body, field.bytes()?)?),
            _ => native.read(body, &field)?,
        }
    }
    Ok(())
}

fn bucket(body: &[u8], within: Range<usize>) -> Result<Part, MessageFault> {
    let mut part = Part::default();
    let mut fields = Fields::new(body, within);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => part.count = field.varint()?,
            2 => part.bound = field.double()?,
            3 => part.exemplar = Some(exemplar(body, field.bytes()?)?),
            4 => part.count_float = field.double()?,
            _ => {}
        }
    }
    Ok(part)
}

pub(super) fn exemplar(body: &[u8], within: Range<usize>) -> Result<FoundExemplar, MessageFault> {
    let mut found = FoundExemplar { message: within.clone(), value: 0.0, timestamp: None };
    let mut fields = Fields::new(body, within);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => {
                label(body, field.bytes()?)?;
            }
            2 => found.value = field.double()?,
            3 => found.timestamp = Some(timestamp(body, field.bytes()?)?),
            _ => {}
        }
    }
    Ok(found)
}

/// `google.protobuf.Timestamp` in milliseconds since the epoch; what does not fit into 64 bits is the nearest that does.
fn timestamp(body: &[u8], within: Range<usize>) -> Result<i64, MessageFault> {
    let (mut seconds, mut nanos) = (0_i64, 0_i64);
    let mut fields = Fields::new(body, within);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => seconds = signed(field.varint()?),
            2 => nanos = i64::from(narrow(&field)?),
            _ => {}
        }
    }
    Ok(seconds.saturating_mul(1000).saturating_add(nanos / 1_000_000))
}

/// An int32 is written as the 64 bits of its value; what is above is cut off, as protobuf has it.
pub(super) fn narrow(field: &Field) -> Result<i32, MessageFault> {
    #[expect(clippy::cast_possible_truncation, reason = "the rule of protobuf")]
    field.varint().map(|value| value as i32)
}

fn signed(value: u64) -> i64 {
    value.cast_signed()
}
