use std::fmt;

use crate::model::STALE_MARKER_BITS;
use crate::proto::{v1, v2};

/// The schema of native histograms whose bounds are their own.
pub(super) const CUSTOM_BOUNDS: i32 = -53;

/// A native histogram exactly as it came, unchecked, in the form of 2.0 (1.0 has no start timestamp: 0). Equal means bit for bit,
/// so a NaN equals itself and 0 differs from -0. Prints in one line, with bounds instead of spans; buckets that are 0 are left out.
#[derive(Clone, Debug)]
pub struct Histogram {
    /// Everything it said. The derived comparison of the message is that of floats: compare the [`Histogram`] instead.
    pub message: v2::Histogram,
}

impl Histogram {
    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn timestamp(&self) -> i64 {
        self.message.timestamp
    }

    /// Whether it ends its series: its sum is the marker.
    #[must_use]
    pub const fn is_stale_marker(&self) -> bool {
        self.message.sum.to_bits() == STALE_MARKER_BITS
    }
}

impl From<v2::Histogram> for Histogram {
    fn from(message: v2::Histogram) -> Self {
        Self { message }
    }
}

impl From<v1::Histogram> for Histogram {
    fn from(message: v1::Histogram) -> Self {
        // Named one by one, so that a field that is added cannot be forgotten.
        let v1::Histogram {
            sum,
            schema,
            zero_threshold,
            negative_spans,
            negative_deltas,
            negative_counts,
            positive_spans,
            positive_deltas,
            positive_counts,
            reset_hint,
            timestamp,
            custom_values,
            count,
            zero_count,
        } = message;
        let spans = |spans: Vec<v1::BucketSpan>| {
            let span = |v1::BucketSpan { offset, length }| v2::BucketSpan { offset, length };
            spans.into_iter().map(span).collect()
        };
        Self::from(v2::Histogram {
            sum,
            schema,
            zero_threshold,
            negative_spans: spans(negative_spans),
            negative_deltas,
            negative_counts,
            positive_spans: spans(positive_spans),
            positive_deltas,
            positive_counts,
            reset_hint,
            timestamp,
            custom_values,
            start_timestamp: 0,
            count: count.map(|count| match count {
                v1::histogram::Count::CountInt(count) => v2::histogram::Count::CountInt(count),
                v1::histogram::Count::CountFloat(count) => v2::histogram::Count::CountFloat(count),
            }),
            zero_count: zero_count.map(|count| match count {
                v1::histogram::ZeroCount::ZeroCountInt(count) => {
                    v2::histogram::ZeroCount::ZeroCountInt(count)
                }
                v1::histogram::ZeroCount::ZeroCountFloat(count) => {
                    v2::histogram::ZeroCount::ZeroCountFloat(count)
                }
            }),
        })
    }
}

impl PartialEq for Histogram {
    fn eq(&self, other: &Self) -> bool {
        // Not the encoded bytes: prost leaves a -0 out as it does a 0.
        let v2::Histogram {
            sum,
            schema,
            zero_threshold,
            negative_spans,
            negative_deltas,
            negative_counts,
            positive_spans,
            positive_deltas,
            positive_counts,
            reset_hint,
            timestamp,
            custom_values,
            start_timestamp,
            count,
            zero_count,
        } = &self.message;
        let other = &other.message;
        sum.to_bits() == other.sum.to_bits()
            && *schema == other.schema
            && zero_threshold.to_bits() == other.zero_threshold.to_bits()
            && *negative_spans == other.negative_spans
            && *negative_deltas == other.negative_deltas
            && same_bits(negative_counts, &other.negative_counts)
            && *positive_spans == other.positive_spans
            && *positive_deltas == other.positive_deltas
            && same_bits(positive_counts, &other.positive_counts)
            && *reset_hint == other.reset_hint
            && *timestamp == other.timestamp
            && same_bits(custom_values, &other.custom_values)
            && *start_timestamp == other.start_timestamp
            && count.map(Amount::from) == other.count.map(Amount::from)
            && zero_count.map(Amount::from) == other.zero_count.map(Amount::from)
    }
}

impl Eq for Histogram {}

fn same_bits(one: &[f64], other: &[f64]) -> bool {
    one.iter().map(|value| value.to_bits()).eq(other.iter().map(|value| value.to_bits()))
}

/// How many observations, of the one kind or the other. Equal means bit for bit.
#[derive(Clone, Copy)]
pub(super) enum Amount {
    /// Deltas of hostile senders may add up to more than 64 bits, but not to more than 128 within one message.
    Int(i128),
    Float(f64),
}

impl Amount {
    pub(super) const fn is_zero(self) -> bool {
        match self {
            Self::Int(count) => count == 0,
            Self::Float(count) => count == 0.0,
        }
    }
}

impl PartialEq for Amount {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Int(one), Self::Int(other)) => one == other,
            (Self::Float(one), Self::Float(other)) => one.to_bits() == other.to_bits(),
            (Self::Int(_), Self::Float(_)) | (Self::Float(_), Self::Int(_)) => false,
        }
    }
}

impl From<v2::histogram::Count> for Amount {
    fn from(count: v2::histogram::Count) -> Self {
        match count {
            v2::histogram::Count::CountInt(count) => Self::Int(count.into()),
            v2::histogram::Count::CountFloat(count) => Self::Float(count),
        }
    }
}

impl From<v2::histogram::ZeroCount> for Amount {
    fn from(count: v2::histogram::ZeroCount) -> Self {
        match count {
            v2::histogram::ZeroCount::ZeroCountInt(count) => Self::Int(count.into()),
            v2::histogram::ZeroCount::ZeroCountFloat(count) => Self::Float(count),
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(count) => write!(f, "{count}"),
            Self::Float(count) => write!(f, "{}", Number(*count)),
        }
    }
}

/// The counts of a side's buckets from its deltas.
pub(super) fn cumulated(deltas: &[i64]) -> impl Iterator<Item = i128> {
    deltas.iter().scan(0, |count, delta| {
        *count += i128::from(*delta);
        Some(*count)
    })
}

/// A side's buckets with their indices; as many as there are both places in spans and counts.
fn buckets<'a>(
    spans: &'a [v2::BucketSpan],
    deltas: &'a [i64],
    counts: &'a [f64],
) -> impl Iterator<Item = (i64, Amount)> {
    let mut next = 0_i64;
    let indices = spans.iter().flat_map(move |span| {
        // 64 MiB of spans of 32 bits: no sum leaves 64 bits.
        let first = next + i64::from(span.offset);
        next = first + i64::from(span.length);
        first..next
    });
    let floats = counts.iter().map(|count| Amount::Float(*count));
    indices.zip(cumulated(deltas).map(Amount::Int).chain(floats)).filter(|(_, amount)| !amount.is_zero())
}

/// The upper bound of a bucket on the positive side; the lower one is that of the bucket before.
fn bound(index: i64, schema: i32, custom_values: &[f64]) -> f64 {
    if schema != CUSTOM_BOUNDS {
        return (index as f64 * (-f64::from(schema)).exp2()).exp2();
    }
    match usize::try_from(index) {
        Ok(index) => custom_values.get(index).copied().unwrap_or(f64::INFINITY),
        Err(_) => f64::NEG_INFINITY,
    }
}

impl fmt::Display for Histogram {
    /// As Prometheus does, with the schema, and with hint and start timestamp (ms) where there are any.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_stale_marker() {
            return f.write_str("stale histogram");
        }
        let v2::Histogram { schema, zero_threshold, custom_values, .. } = &self.message;
        write!(f, "{{{}, schema:{schema}", Totals(self))?;
        match v2::histogram::ResetHint::try_from(self.message.reset_hint) {
            Ok(v2::histogram::ResetHint::Unspecified) => {}
            Ok(v2::histogram::ResetHint::Yes) => f.write_str(", reset:yes")?,
            Ok(v2::histogram::ResetHint::No) => f.write_str(", reset:no")?,
            Ok(v2::histogram::ResetHint::Gauge) => f.write_str(", reset:gauge")?,
            Err(_) => write!(f, ", reset:{}", self.message.reset_hint)?,
        }
        if self.message.start_timestamp != 0 {
            write!(f, ", start:{}", self.message.start_timestamp)?;
        }
        let message = &self.message;
        let negative: Vec<_> =
            buckets(&message.negative_spans, &message.negative_deltas, &message.negative_counts).collect();
        for (index, count) in negative.into_iter().rev() {
            let [far, near] = [index, index - 1].map(|at| Number(-bound(at, *schema, custom_values)));
            write!(f, ", [{far},{near}):{count}")?;
        }
        if let Some(count) = message.zero_count.map(Amount::from).filter(|count| !count.is_zero()) {
            write!(f, ", [{},{}]:{count}", Number(-zero_threshold), Number(*zero_threshold))?;
        }
        for (index, count) in
            buckets(&message.positive_spans, &message.positive_deltas, &message.positive_counts)
        {
            let [near, far] = [index - 1, index].map(|at| Number(bound(at, *schema, custom_values)));
            let open = if *schema == CUSTOM_BOUNDS && index == 0 { '[' } else { '(' };
            write!(f, ", {open}{near},{far}]:{count}")?;
        }
        f.write_str("}")
    }
}

/// What all buckets together have.
pub(super) struct Totals<'a>(pub(super) &'a Histogram);

impl fmt::Display for Totals<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = &self.0.message;
        match message.count {
            Some(count) => write!(f, "count:{}, sum:{}", Amount::from(count), Number(message.sum)),
            None => write!(f, "count:none, sum:{}", Number(message.sum)),
        }
    }
}

/// A float as an exposition spells it, short where it is very small or large.
pub(super) struct Number(pub(super) f64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.0;
        if value.is_infinite() {
            f.write_str(if value > 0.0 { "+Inf" } else { "-Inf" })
        } else if value != 0.0 && !(1e-5..1e16).contains(&value.abs()) && !value.is_nan() {
            write!(f, "{value:e}")
        } else {
            write!(f, "{value}")
        }
    }
}
