//! Generated families, prost as the oracle.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::Index;
use prost::Message;

use super::*;

/// What the text format would show of a family, by prost's types.
pub(super) fn told(family: &MetricFamily) -> Vec<String> {
    let name = family.name();
    let mut lines = Vec::new();
    for metric in &family.metric {
        let labels: Vec<_> =
            metric.label.iter().map(|pair| format!("{}={:?}", pair.name(), pair.value())).collect();
        let at = match metric.timestamp_ms() {
            0 => String::new(),
            at => format!(" {at}"),
        };
        let mut line = |suffix: &str, bound: Option<(&str, f64)>, value: f64| {
            let spelled = bound.map(|(label, bound)| {
                let mut text = String::new();
                crate::exposition::float::push_go_float(bound, &mut text);
                if family.r#type() == client::MetricType::GaugeHistogram
                    && bound.is_finite()
                    && !text.contains(['.', 'e'])
                {
                    text += ".0";
                }
                format!("{label}=\"{text}\"")
            });
            let all: Vec<_> = labels.iter().cloned().chain(spelled).collect();
            let braces = if all.is_empty() { String::new() } else { format!("{{{}}}", all.join(",")) };
            lines.push(format!("{name}{suffix}{braces} {value}{at}"));
        };
        #[allow(clippy::cast_precision_loss, reason = "as a sample's value is")]
        let count = |float: f64, integer: u64| if float == 0.0 { integer as f64 } else { float };
        match family.r#type() {
            client::MetricType::Counter => line("", None, metric.counter.clone().unwrap_or_default().value()),
            client::MetricType::Gauge => line("", None, metric.gauge.unwrap_or_default().value()),
            client::MetricType::Untyped => line("", None, metric.untyped.unwrap_or_default().value()),
            client::MetricType::Summary => {
                let summary = metric.summary.clone().unwrap_or_default();
                for quantile in &summary.quantile {
                    line("", Some(("quantile", quantile.quantile())), quantile.value());
                }
                line("_sum", None, summary.sample_sum());
                line("_count", None, count(0.0, summary.sample_count()));
            }
            client::MetricType::Histogram | client::MetricType::GaugeHistogram => {
                let histogram = metric.histogram.clone().unwrap_or_default();
                let total = count(histogram.sample_count_float(), histogram.sample_count());
                let mut infinite = false;
                for bucket in &histogram.bucket {
                    infinite = bucket.upper_bound() == f64::INFINITY;
                    let cumulative = count(bucket.cumulative_count_float(), bucket.cumulative_count());
                    line("_bucket", Some(("le", bucket.upper_bound())), cumulative);
                    if infinite {
                        break;
                    }
                }
                if !infinite {
                    line("_bucket", Some(("le", f64::INFINITY)), total);
                }
                line("_sum", None, histogram.sample_sum());
                line("_count", None, total);
            }
        }
    }
    lines
}

fn number() -> impl Strategy<Value = Option<f64>> {
    option::of(prop_oneof![
        Just(f64::INFINITY),
        Just(0.0),
        (0..1_000_u32).prop_map(f64::from),
        any::<f64>().prop_filter("shown as one NaN", |value| !value.is_nan()),
    ])
}

fn timestamp() -> impl Strategy<Value = Option<client::Timestamp>> {
    option::of(
        (option::of(any::<i64>()), option::of(any::<i32>()))
            .prop_map(|(seconds, nanos)| client::Timestamp { seconds, nanos }),
    )
}

fn pairs() -> impl Strategy<Value = Vec<client::LabelPair>> {
    vec(("[a-z_][a-z0-9_]{0,4}", option::of("[a-zé ]{0,6}")), 0..3).prop_map(|pairs| {
        let pair = |(at, (name, value)): (usize, (String, Option<String>))| client::LabelPair {
            name: Some(format!("{name}{at}")),
            value,
        };
        pairs.into_iter().enumerate().map(pair).collect()
    })
}

fn exemplar() -> impl Strategy<Value = Option<client::Exemplar>> {
    option::of((pairs(), number(), timestamp()).prop_map(|(label, value, timestamp)| client::Exemplar {
        label,
        value,
        timestamp,
    }))
}

fn metric() -> impl Strategy<Value = client::Metric> {
    let buckets = vec((option::of(any::<u64>()), number(), exemplar(), number()), 0..5).prop_map(|buckets| {
        let bucket = |(cumulative_count, upper_bound, exemplar, cumulative_count_float)| client::Bucket {
            cumulative_count,
            upper_bound,
            exemplar,
            cumulative_count_float,
        };
        buckets.into_iter().map(bucket).collect::<Vec<_>>()
    });
    let histogram =
        (option::of(any::<u64>()), number(), buckets, number(), timestamp(), option::of(any::<i32>()));
    let quantiles = vec((number(), number()), 0..4);
    let summary = (option::of(any::<u64>()), number(), quantiles, timestamp());
    let counter = (number(), exemplar(), timestamp());
    (
        pairs(),
        option::of(histogram),
        option::of(summary),
        option::of(counter),
        number(),
        option::of(any::<i64>()),
    )
        .prop_map(|(label, histogram, summary, counter, value, timestamp_ms)| client::Metric {
            label,
            gauge: value.map(|value| client::Gauge { value: Some(value) }),
            counter: counter.map(|(value, exemplar, created_timestamp)| client::Counter {
                value,
                exemplar,
                created_timestamp,
            }),
            summary: summary.map(|(sample_count, sample_sum, quantiles, created_timestamp)| {
                client::Summary {
                    sample_count,
                    sample_sum,
                    quantile: quantiles
                        .into_iter()
                        .map(|(quantile, value)| client::Quantile { quantile, value })
                        .collect(),
                    created_timestamp,
                }
            }),
            untyped: value.map(|value| client::Untyped { value: Some(value) }),
            timestamp_ms,
            histogram: histogram.map(
                |(sample_count, sample_sum, bucket, sample_count_float, created_timestamp, schema)| {
                    client::Histogram {
                        sample_count,
                        sample_sum,
                        bucket,
                        sample_count_float,
                        created_timestamp,
                        schema,
                        positive_span: vec![client::BucketSpan { offset: schema, length: Some(1) }],
                        positive_delta: vec![-3],
                        positive_count: vec![0.5],
                        ..Default::default()
                    }
                },
            ),
        })
}

fn families() -> impl Strategy<Value = Vec<MetricFamily>> {
    let family =
        ("[a-z_:][a-z0-9_:]{0,6}", option::of("[a-zé\n]{0,6}"), option::of(0..6_i32), vec(metric(), 0..4));
    vec(
        family.prop_map(|(name, help, metric_type, metric)| MetricFamily {
            name: Some(name),
            help,
            r#type: metric_type,
            metric,
            unit: None,
        }),
        0..4,
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn what_prost_writes_is_read_as_prost_reads_it(first in families(), second in families()) {
        // The same room twice, as from scrape to scrape.
        let mut scratch = ProtobufScratch::default();
        for families in [first, second] {
            let (seen, _, error) = read_with(&body(&families), &mut scratch);
            prop_assert_eq!(error, None);
            let expected: Vec<_> = families.iter().flat_map(told).collect();
            prop_assert_eq!(lines(&seen), expected);
        }
    }

    #[test]
    fn damaged_bytes_are_refused_or_read_and_what_prost_refuses_is_refused(
        families in families(), at in any::<Index>(), byte in any::<u8>(), cut in any::<bool>()
    ) {
        let mut bytes = body(&families);
        prop_assume!(!bytes.is_empty());
        let at = at.index(bytes.len());
        if cut {
            bytes.truncate(at);
        } else {
            bytes[at] = byte;
        }
        let (_, _, error) = read(&bytes);
        let mut rest = bytes.as_slice();
        let mut refused = false;
        // A family without metrics is not looked at by Prometheus beyond its fields.
        while !rest.is_empty() && !refused {
            refused = MetricFamily::decode_length_delimited(&mut rest).is_err();
        }
        prop_assert!(!refused || error.is_some(), "prost refuses what was read");
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(bytes in vec(any::<u8>(), 0..200)) {
        read(&bytes);
    }
}
