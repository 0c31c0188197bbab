//! Messages of protobuf targets.

use docker_remote_write::proto::client::{
    self, BucketSpan, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};

/// Spans, and the count of each bucket.
pub(super) type Buckets<'a, N> = (&'a [(i32, u32)], &'a [N]);

/// No buckets on one side.
pub(super) const NONE: Buckets<'_, u64> = (&[], &[]);

/// An integer histogram that is right.
pub(super) fn integer(
    schema: i32,
    (zero_threshold, zero_count): (f64, u64),
    negative: Buckets<'_, u64>,
    positive: Buckets<'_, u64>,
) -> Histogram {
    Histogram {
        sample_count: Some(zero_count + negative.1.iter().chain(positive.1).sum::<u64>()),
        sample_sum: Some(1.5),
        schema: Some(schema),
        zero_threshold: Some(zero_threshold),
        zero_count: Some(zero_count),
        negative_span: spans(negative.0),
        negative_delta: deltas(negative.1),
        positive_span: spans(positive.0),
        positive_delta: deltas(positive.1),
        ..Default::default()
    }
}

/// A float histogram that is right.
pub(super) fn float(
    schema: i32,
    (zero_threshold, zero_count): (f64, f64),
    negative: Buckets<'_, f64>,
    positive: Buckets<'_, f64>,
) -> Histogram {
    Histogram {
        sample_count_float: Some(zero_count + negative.1.iter().chain(positive.1).sum::<f64>()),
        sample_sum: Some(-2.25),
        schema: Some(schema),
        zero_threshold: Some(zero_threshold),
        zero_count_float: Some(zero_count),
        negative_span: spans(negative.0),
        negative_count: negative.1.to_vec(),
        positive_span: spans(positive.0),
        positive_count: positive.1.to_vec(),
        ..Default::default()
    }
}

/// As they are served.
pub(super) fn spans(spans: &[(i32, u32)]) -> Vec<BucketSpan> {
    let span = |&(offset, length)| BucketSpan { offset: Some(offset), length: Some(length) };
    spans.iter().map(span).collect()
}

fn deltas(counts: &[u64]) -> Vec<i64> {
    let before = [0].into_iter().chain(counts.iter().copied());
    counts.iter().zip(before).map(|(count, before)| count.wrapping_sub(before).cast_signed()).collect()
}

/// A family with one metric for each value of the label `case`.
pub(super) fn family<'a>(
    name: &str,
    metric_type: MetricType,
    cases: impl IntoIterator<Item = (&'a str, Histogram)>,
) -> MetricFamily {
    let metric = |(case, histogram): (&str, Histogram)| Metric {
        label: vec![LabelPair { name: Some("case".to_owned()), value: Some(case.to_owned()) }],
        histogram: Some(histogram),
        ..Default::default()
    };
    MetricFamily {
        name: Some(name.to_owned()),
        help: Some("Native histograms.".to_owned()),
        r#type: Some(metric_type.into()),
        metric: cases.into_iter().map(metric).collect(),
        unit: None,
    }
}

/// A family of one gauge.
pub(super) fn gauge(name: &str, labels: &[(&str, &str)], value: f64) -> MetricFamily {
    let label = |&(name, value): &(&str, &str)| LabelPair {
        name: Some(name.to_owned()),
        value: Some(value.to_owned()),
    };
    MetricFamily {
        name: Some(name.to_owned()),
        r#type: Some(MetricType::Gauge.into()),
        metric: vec![Metric {
            label: labels.iter().map(label).collect(),
            gauge: Some(client::Gauge { value: Some(value) }),
            ..Default::default()
        }],
        ..Default::default()
    }
}
