//! What can be wrong with a native histogram by itself; pure. The rules are those of Prometheus's `Histogram.Validate` and
//! `FloatHistogram.Validate`, and of the comments in the messages of remote-write.

use super::histogram::{Amount, CUSTOM_BOUNDS, Histogram, Number, cumulated};
use crate::proto::v2;
use crate::proto::v2::histogram::{Count, ResetHint, ZeroCount};

/// What is wrong with a native histogram: see [`Violation::Histogram`](super::Violation::Histogram).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HistogramFault {
    /// Neither an exponential schema nor that of custom bounds.
    #[error("the schema {0}, which is neither one of -4 to 8 nor -53")]
    Schema(i32),
    /// A reset hint that is none of the four.
    #[error("the unknown reset hint {0}")]
    ResetHint(i32),
    /// Neither an integer count nor one of floats.
    #[error("no count")]
    NoCount,
    /// A zero count of floats beside an integer count, or the other way round.
    #[error("an integer and a float as count and zero count")]
    ZeroCountKind,
    /// Counts of floats in the buckets of an integer histogram, or deltas in those of one of floats.
    #[error("{side} buckets of another kind than its count")]
    BucketKind {
        /// `positive` or `negative`.
        side: &'static str,
    },
    /// Spans for another number of buckets than there are.
    #[error("{side} spans for {spans} buckets, and {buckets} buckets")]
    Spans {
        /// `positive` or `negative`.
        side: &'static str,
        /// Their lengths together.
        spans: u64,
        /// Deltas or counts.
        buckets: usize,
    },
    /// A span that begins before the end of the one in front of it; with custom bounds also a first one before the first bound.
    #[error("{side} span {span} with the offset {offset}")]
    Offset {
        /// `positive` or `negative`.
        side: &'static str,
        /// From 1.
        span: usize,
        /// As it came.
        offset: i32,
    },
    /// Fewer than no observations in a bucket.
    #[error("{count} observations in {side} bucket {bucket}")]
    NegativeBucket {
        /// `positive` or `negative`.
        side: &'static str,
        /// From 1.
        bucket: usize,
        /// The first such count.
        count: String,
    },
    /// Buckets of an integer histogram that do not add up to its count; with a NaN for a sum they may have less.
    #[error("{buckets} observations in its buckets and {count} as its count")]
    Total {
        /// All buckets, the zero bucket included.
        buckets: i128,
        /// As it came.
        count: u64,
    },
    /// Custom bounds that do not ascend.
    #[error("the custom bound {later} behind {earlier}")]
    BoundOrder {
        /// The bound before.
        earlier: String,
        /// The one that should be larger.
        later: String,
    },
    /// A custom bound that is infinite or NaN. The last bucket's, +Inf, is not listed.
    #[error("the custom bound {0}")]
    Bound(String),
    /// Spans that reach behind the last bucket that custom bounds have.
    #[error("spans over {reach} buckets, where {bounds} custom bounds make one more than that many")]
    Reach {
        /// Offsets and lengths together.
        reach: u64,
        /// Custom bounds.
        bounds: usize,
    },
    /// Custom bounds know no zero bucket.
    #[error("a zero bucket beside custom bounds")]
    CustomZero,
    /// With custom bounds everything is on the positive side.
    #[error("negative buckets beside custom bounds")]
    CustomNegative,
    /// Custom bounds with an exponential schema.
    #[error("custom bounds with the schema {0}")]
    StrayBounds(i32),
}

/// Everything that is wrong with it, but its timestamp and its NaNs.
pub(super) fn faults(histogram: &Histogram) -> Vec<HistogramFault> {
    let message = &histogram.message;
    let mut faults = Vec::new();
    match message.schema {
        CUSTOM_BOUNDS => custom(message, &mut faults),
        -4..=8 if !message.custom_values.is_empty() => {
            faults.push(HistogramFault::StrayBounds(message.schema));
        }
        -4..=8 => {}
        _ => faults.push(HistogramFault::Schema(message.schema)),
    }
    if ResetHint::try_from(message.reset_hint).is_err() {
        faults.push(HistogramFault::ResetHint(message.reset_hint));
    }
    match (message.count, message.zero_count) {
        (None, _) => faults.push(HistogramFault::NoCount),
        (Some(Count::CountInt(_)), Some(ZeroCount::ZeroCountFloat(_)))
        | (Some(Count::CountFloat(_)), Some(ZeroCount::ZeroCountInt(_))) => {
            faults.push(HistogramFault::ZeroCountKind);
        }
        (Some(Count::CountInt(count)), None) => integer(message, count, 0, &mut faults),
        (Some(Count::CountInt(count)), Some(ZeroCount::ZeroCountInt(zero))) => {
            integer(message, count, zero, &mut faults);
        }
        (Some(Count::CountFloat(_)), None | Some(ZeroCount::ZeroCountFloat(_))) => {
            float(message, &mut faults);
        }
    }
    faults
}

/// Whether it counts anything, which a staleness marker does not.
pub(super) fn has_observations(histogram: &Histogram) -> bool {
    let message = &histogram.message;
    let counted = |amount: Option<Amount>| amount.is_some_and(|amount| !amount.is_zero());
    counted(message.count.map(Amount::from))
        || counted(message.zero_count.map(Amount::from))
        || sides(message)
            .iter()
            .any(|side| !side.spans.is_empty() || !side.deltas.is_empty() || !side.counts.is_empty())
}

struct Side<'a> {
    name: &'static str,
    spans: &'a [v2::BucketSpan],
    deltas: &'a [i64],
    counts: &'a [f64],
}

fn sides(message: &v2::Histogram) -> [Side<'_>; 2] {
    let negative = Side {
        name: "negative",
        spans: &message.negative_spans,
        deltas: &message.negative_deltas,
        counts: &message.negative_counts,
    };
    let positive = Side {
        name: "positive",
        spans: &message.positive_spans,
        deltas: &message.positive_deltas,
        counts: &message.positive_counts,
    };
    [negative, positive]
}

fn integer(message: &v2::Histogram, count: u64, zero_count: u64, faults: &mut Vec<HistogramFault>) {
    let before = faults.len();
    let mut total = i128::from(zero_count);
    for side in sides(message) {
        if !side.counts.is_empty() {
            faults.push(HistogramFault::BucketKind { side: side.name });
            continue;
        }
        spans(&side, side.deltas.len(), message.schema, faults);
        let negative = cumulated(side.deltas).enumerate().find(|(_, count)| *count < 0);
        if let Some((at, count)) = negative {
            let (bucket, count) = (at + 1, count.to_string());
            faults.push(HistogramFault::NegativeBucket { side: side.name, bucket, count });
        }
        total += cumulated(side.deltas).sum::<i128>();
    }
    let fits = match message.sum.is_nan() {
        true => total <= i128::from(count),
        false => total == i128::from(count),
    };
    // Of buckets that are wrong by themselves the sum says nothing.
    if !fits && faults.len() == before {
        faults.push(HistogramFault::Total { buckets: total, count });
    }
}

/// Floats need not add up: they are rounded.
fn float(message: &v2::Histogram, faults: &mut Vec<HistogramFault>) {
    for side in sides(message) {
        if !side.deltas.is_empty() {
            faults.push(HistogramFault::BucketKind { side: side.name });
            continue;
        }
        spans(&side, side.counts.len(), message.schema, faults);
        if let Some(at) = side.counts.iter().position(|count| *count < 0.0) {
            let (bucket, count) = (at + 1, Number(side.counts[at]).to_string());
            faults.push(HistogramFault::NegativeBucket { side: side.name, bucket, count });
        }
    }
}

fn spans(side: &Side<'_>, buckets: usize, schema: i32, faults: &mut Vec<HistogramFault>) {
    // Where an exponential side begins may lie below its first bound, which is 1.
    let free = usize::from(schema != CUSTOM_BOUNDS);
    if let Some((at, span)) = side.spans.iter().enumerate().skip(free).find(|(_, span)| span.offset < 0) {
        faults.push(HistogramFault::Offset { side: side.name, span: at + 1, offset: span.offset });
    }
    let spans = side.spans.iter().map(|span| u64::from(span.length)).sum();
    if spans != buckets as u64 {
        faults.push(HistogramFault::Spans { side: side.name, spans, buckets });
    }
}

fn custom(message: &v2::Histogram, faults: &mut Vec<HistogramFault>) {
    let bounds = &message.custom_values;
    if let Some(bound) = bounds.iter().find(|bound| !bound.is_finite()) {
        faults.push(HistogramFault::Bound(Number(*bound).to_string()));
    }
    if let Some(pair) = bounds.windows(2).find(|pair| pair[0] >= pair[1]) {
        let [earlier, later] = [pair[0], pair[1]].map(|bound| Number(bound).to_string());
        faults.push(HistogramFault::BoundOrder { earlier, later });
    }
    let forward = |span: &v2::BucketSpan| u64::from(span.offset.max(0).unsigned_abs());
    let reach = message.positive_spans.iter().map(|span| forward(span) + u64::from(span.length)).sum();
    if reach > bounds.len() as u64 + 1 {
        faults.push(HistogramFault::Reach { reach, bounds: bounds.len() });
    }
    let zero_count = message.zero_count.map(Amount::from).is_some_and(|count| !count.is_zero());
    if zero_count || message.zero_threshold != 0.0 {
        faults.push(HistogramFault::CustomZero);
    }
    let [negative, _] = sides(message);
    if !negative.spans.is_empty() || !negative.deltas.is_empty() || !negative.counts.is_empty() {
        faults.push(HistogramFault::CustomNegative);
    }
}
