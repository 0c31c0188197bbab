use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::Index;
use prost::Message;

use super::*;
use crate::exposition::{
    MessageError, MessageReason, ProtobufParser, ProtobufScratch, Reason, protobuf_as_text,
};
use crate::model::{METRIC_NAME, NORMAL_NAN_BITS};
use crate::proto::client::{self, MetricFamily};

/// What a sample comes with, beside what [`Seen`] says.
type Extras = (Option<i64>, Option<(Vec<(String, String)>, u64, Option<i64>)>);

/// Reads to the end or to the first error, with what comes with each sample.
fn read_with(body: &[u8], scratch: &mut ProtobufScratch) -> (Vec<Seen>, Vec<Extras>, Option<MessageError>) {
    let mut parser = ProtobufParser::new(body, scratch, true);
    let (mut seen, mut extras) = (Vec::new(), Vec::new());
    while let Some(next) = parser.next() {
        let (message, offset) = parser.place();
        let read = next.and_then(|()| {
            see(parser.entry().unwrap()).map_err(|ParseError { reason, excerpt, .. }| MessageError {
                message,
                offset,
                reason: MessageReason::Series { reason, excerpt },
            })
        });
        match read {
            Ok(entry) => {
                if let Seen::Sample { .. } = entry {
                    let exemplar = parser.exemplar().map(|exemplar| {
                        let own = |(name, value): (std::borrow::Cow<'_, str>, std::borrow::Cow<'_, str>)| {
                            (name.into_owned(), value.into_owned())
                        };
                        let labels = exemplar.labels().into_iter().map(own).collect();
                        (labels, exemplar.value.to_bits(), exemplar.timestamp)
                    });
                    extras.push((parser.start_timestamp(), exemplar));
                }
                seen.push(entry);
            }
            Err(error) => return (seen, extras, Some(error)),
        }
    }
    assert!(parser.next().is_none() && parser.entry().is_none(), "the end stays the end");
    (seen, extras, None)
}

fn read(body: &[u8]) -> (Vec<Seen>, Vec<Extras>, Option<MessageError>) {
    read_with(body, &mut ProtobufScratch::default())
}

pub(super) fn body(families: &[MetricFamily]) -> Vec<u8> {
    families.iter().flat_map(Message::encode_length_delimited_to_vec).collect()
}

fn accept(families: &[MetricFamily]) -> (Vec<Seen>, Vec<Extras>) {
    let (seen, extras, error) = read(&body(families));
    assert_eq!(error, None, "{families:?}");
    (seen, extras)
}

fn refuse(families: &[MetricFamily]) -> MessageError {
    read(&body(families)).2.unwrap_or_else(|| panic!("accepted {families:?}"))
}

pub(super) fn family(
    name: &str,
    metric_type: client::MetricType,
    metric: Vec<client::Metric>,
) -> MetricFamily {
    MetricFamily {
        name: Some(name.into()),
        help: Some("help".into()),
        r#type: Some(metric_type.into()),
        metric,
        unit: None,
    }
}

pub(super) fn pair(name: &str, value: &str) -> client::LabelPair {
    client::LabelPair { name: Some(name.into()), value: Some(value.into()) }
}

pub(super) fn at(seconds: i64, nanos: i32) -> Option<client::Timestamp> {
    Some(client::Timestamp { seconds: Some(seconds), nanos: Some(nanos) })
}

pub(super) fn bucket(bound: f64, count: u64) -> client::Bucket {
    client::Bucket { cumulative_count: Some(count), upper_bound: Some(bound), ..Default::default() }
}

pub(super) fn histogram(histogram: client::Histogram) -> client::Metric {
    client::Metric { histogram: Some(histogram), ..Default::default() }
}

fn counter(value: f64) -> client::Metric {
    client::Metric {
        counter: Some(client::Counter { value: Some(value), ..Default::default() }),
        ..Default::default()
    }
}

/// Raw bytes and values of the samples.
fn lines(seen: &[Seen]) -> Vec<String> {
    let line = |entry: &Seen| match entry {
        Seen::Sample { raw, value, timestamp: None, .. } => Some(format!("{raw} {}", f64::from_bits(*value))),
        Seen::Sample { raw, value, timestamp: Some(at), .. } => {
            Some(format!("{raw} {} {at}", f64::from_bits(*value)))
        }
        Seen::Type(..) | Seen::Help(..) | Seen::Unit(..) | Seen::Comment => None,
    };
    seen.iter().filter_map(line).collect()
}

#[test]
fn rw_4_27_captures_of_a_real_engine_are_the_same_series_in_both_formats() {
    // Separate scrapes: the same series of the same types, though not the same values.
    for name in [
        "00-daemon-idle",
        "02-fresh-restart",
        "03-containers-running-paused-stopped",
        "04-containers-removed",
        "05-swarm-init-immediately",
        "06-swarm-manager-after-3s",
        "07-after-swarm-leave",
    ] {
        let text = super::accept(captures::capture(&format!("{name}.prom")));
        let (protobuf, extras, error) = read(&captures::capture(&format!("{name}.pb")));
        assert_eq!(error, None, "{name}");
        let mut differences = 0;
        let without_value = |entry: &Seen| match entry {
            Seen::Sample { raw, labels, value: _, timestamp } => {
                Seen::Sample { raw: raw.clone(), labels: labels.clone(), value: 0, timestamp: *timestamp }
            }
            other => other.clone(),
        };
        assert_eq!(text.len(), protobuf.len(), "{name}");
        for (text, protobuf) in text.iter().zip(&protobuf) {
            assert_eq!(without_value(text), without_value(protobuf), "{name}");
            differences += usize::from(text != protobuf);
        }
        assert!(differences < 250, "{name}: {differences} values differ");
        assert!(
            extras.iter().all(|extras| *extras == (None, None)),
            "{name}: an engine of 20.10 has neither"
        );
    }
}

#[test]
fn rw_4_27_every_value_of_a_capture_is_the_one_that_prost_reads() {
    let capture = captures::capture("06-swarm-manager-after-3s.pb");
    let mut rest = capture.as_slice();
    let mut expected = Vec::new();
    while !rest.is_empty() {
        expected.extend(told(&MetricFamily::decode_length_delimited(&mut rest).unwrap()));
    }
    assert!(expected.len() > 1_600);
    assert_eq!(lines(&read(&capture).0), expected);
}

#[test]
fn rw_4_27_each_type_has_its_series() {
    let summary = client::Summary {
        sample_count: Some(7),
        sample_sum: Some(1.5),
        quantile: vec![
            client::Quantile { quantile: Some(0.5), value: Some(2.0) },
            client::Quantile { quantile: Some(1.0), value: Some(f64::NAN) },
        ],
        created_timestamp: at(3, 999_999_999),
    };
    let floats = client::Histogram {
        sample_count_float: Some(2.5),
        bucket: vec![client::Bucket {
            cumulative_count_float: Some(1.5),
            upper_bound: Some(1.0),
            ..Default::default()
        }],
        ..Default::default()
    };
    let families = [
        family("c", client::MetricType::Counter, vec![counter(1.0)]),
        family(
            "g",
            client::MetricType::Gauge,
            vec![client::Metric {
                label: vec![pair("a", "x\\y\"z\n")],
                gauge: Some(client::Gauge { value: Some(-0.0) }),
                timestamp_ms: Some(-5),
                ..Default::default()
            }],
        ),
        family(
            "u",
            client::MetricType::Untyped,
            vec![client::Metric {
                untyped: Some(client::Untyped { value: Some(3.0) }),
                ..Default::default()
            }],
        ),
        family(
            "s",
            client::MetricType::Summary,
            vec![client::Metric { summary: Some(summary), ..Default::default() }],
        ),
        family(
            "e",
            client::MetricType::Summary,
            vec![client::Metric { summary: Some(client::Summary::default()), ..Default::default() }],
        ),
        family(
            "h",
            client::MetricType::Histogram,
            vec![
                histogram(client::Histogram {
                    sample_count: Some(9),
                    bucket: vec![bucket(0.5, 1), bucket(1.0, 2)],
                    ..Default::default()
                }),
                histogram(client::Histogram {
                    sample_count: Some(9),
                    bucket: vec![bucket(f64::INFINITY, 8), bucket(7.0, 1)],
                    ..Default::default()
                }),
                histogram(client::Histogram::default()),
            ],
        ),
        family("gh", client::MetricType::GaugeHistogram, vec![histogram(floats)]),
        family("none", client::MetricType::Gauge, vec![]),
        family("bare", client::MetricType::Counter, vec![client::Metric::default()]),
    ];
    let (seen, extras) = accept(&families);
    let expected = [
        "c 1",
        "g{a=\"x\\\\y\\\"z\\n\"} -0 -5",
        "u 3",
        "s{quantile=\"0.5\"} 2",
        "s{quantile=\"1\"} NaN",
        "s_sum 1.5",
        "s_count 7",
        "e_sum 0",
        "e_count 0",
        "h_bucket{le=\"0.5\"} 1",
        "h_bucket{le=\"1\"} 2",
        "h_bucket{le=\"+Inf\"} 9",
        "h_sum 0",
        "h_count 9",
        "h_bucket{le=\"+Inf\"} 8",
        "h_sum 0",
        "h_count 9",
        "h_bucket{le=\"+Inf\"} 0",
        "h_sum 0",
        "h_count 0",
        "gh_bucket{le=\"1.0\"} 1.5",
        "gh_bucket{le=\"+Inf\"} 2.5",
        "gh_sum 0",
        "gh_count 2.5",
        "bare 0",
    ];
    assert_eq!(lines(&seen), expected);
    let of_type = |entry: &Seen| match entry {
        Seen::Type(family, metric_type) => Some((family.clone(), *metric_type)),
        Seen::Sample { .. } | Seen::Help(..) | Seen::Unit(..) | Seen::Comment => None,
    };
    let types: Vec<_> = seen.iter().filter_map(of_type).collect();
    assert_eq!(types[2], ("u".to_owned(), MetricType::Unknown));
    assert_eq!(types[6], ("gh".to_owned(), MetricType::GaugeHistogram));
    assert_eq!(types.len(), 8, "a family without metrics is none");
    let starts: Vec<_> = extras.iter().map(|(start, _)| *start).collect();
    assert_eq!(starts[3..8], [Some(3_999), Some(3_999), Some(3_999), Some(3_999), None]);
}

#[test]
fn rw_4_17_a_nan_cannot_be_a_staleness_marker() {
    let marker = f64::from_bits(crate::model::STALE_MARKER_BITS);
    let (seen, _) = accept(&[family("c", client::MetricType::Counter, vec![counter(marker)])]);
    assert!(matches!(seen[2], Seen::Sample { value: NORMAL_NAN_BITS, .. }), "{seen:?}");
}

#[test]
fn rw_4_19_le_is_spelled_as_in_text_and_normalized_alike() {
    let bounds = [0.005, 1.0, 2.5, 10.0, 100_000.0, 1e6, 1_234_567.0, f64::INFINITY];
    let bucketed =
        client::Histogram { bucket: bounds.map(|bound| bucket(bound, 0)).into(), ..Default::default() };
    let (seen, _) = accept(&[
        family("h", client::MetricType::Histogram, vec![histogram(bucketed.clone())]),
        family("g", client::MetricType::GaugeHistogram, vec![histogram(bucketed)]),
    ]);
    let of = |metric: &str| -> Vec<(String, String)> {
        let bound = |entry: &Seen| match entry {
            Seen::Sample { raw, labels, .. } if raw.starts_with(metric) => {
                let spelled = raw.split('"').nth(1)?.to_owned();
                Some((spelled, labels.iter().find(|(name, _)| name == "le")?.1.clone()))
            }
            Seen::Sample { .. } | Seen::Type(..) | Seen::Help(..) | Seen::Unit(..) | Seen::Comment => None,
        };
        seen.iter().filter_map(bound).collect()
    };
    let normal = ["0.005", "1.0", "2.5", "10.0", "100000.0", "1e+06", "1.234567e+06", "+Inf"];
    let text = ["0.005", "1", "2.5", "10", "100000", "1e+06", "1.234567e+06", "+Inf"];
    let own = |pairs: Vec<(&str, &str)>| -> Vec<(String, String)> {
        pairs.into_iter().map(|(a, b)| (a.to_owned(), b.to_owned())).collect()
    };
    assert_eq!(of("h_bucket"), own(text.into_iter().zip(normal).collect()));
    assert_eq!(of("g_bucket"), own(normal.into_iter().zip(normal).collect()));
}

#[test]
fn rw_4_23_names_that_are_not_classic_are_quoted() {
    let metric = client::Metric { label: vec![pair("b.c", "v"), pair("d", "")], ..counter(1.0) };
    let (seen, _) = accept(&[
        family("a.b", client::MetricType::Counter, vec![metric]),
        family("é\"\\", client::MetricType::Histogram, vec![histogram(client::Histogram::default())]),
    ]);
    assert_eq!(
        lines(&seen)[..2],
        ["{\"a.b\",\"b.c\"=\"v\",d=\"\"} 1", "{\"é\\\"\\\\_bucket\",le=\"+Inf\"} 0"]
    );
    let Seen::Sample { labels, .. } = &seen[5] else { panic!("{seen:?}") };
    assert_eq!(labels[0], (METRIC_NAME.to_owned(), "é\"\\_bucket".to_owned()));
}

#[test]
fn rw_4_28_a_histogram_with_native_parts_is_read_by_its_classic_buckets() {
    let classic = client::Histogram {
        sample_count: Some(3),
        sample_sum: Some(4.5),
        bucket: vec![bucket(1.0, 2), bucket(2.0, 3)],
        ..Default::default()
    };
    let both = client::Histogram {
        schema: Some(3),
        zero_threshold: Some(1e-128),
        zero_count: Some(1),
        positive_span: vec![client::BucketSpan { offset: Some(0), length: Some(2) }],
        positive_delta: vec![1, 0],
        ..classic.clone()
    };
    let read = |parts| {
        let (seen, _) = accept(&[family("h", client::MetricType::Histogram, vec![histogram(parts)])]);
        lines(&seen)
    };
    let lines = read(both);
    assert_eq!(lines, read(classic));
    assert_eq!(lines.len(), 5, "two buckets and that of infinity, sum, count: {lines:?}");
}

#[test]
fn rw_4_29_exemplars_come_with_counters_and_buckets() {
    let exemplar = client::Exemplar {
        label: vec![pair("trace_id", "ü")],
        value: Some(0.25),
        timestamp: at(1_700_000_000, 5_000_000),
    };
    let with = Some(exemplar.clone());
    let mut first = bucket(1.0, 1);
    first.exemplar = with.clone();
    let (_, extras) = accept(&[
        family(
            "c",
            client::MetricType::Counter,
            vec![client::Metric {
                counter: Some(client::Counter {
                    value: Some(1.0),
                    exemplar: with,
                    created_timestamp: at(5, 0),
                }),
                ..Default::default()
            }],
        ),
        family(
            "h",
            client::MetricType::Histogram,
            vec![histogram(client::Histogram { bucket: vec![first], ..Default::default() })],
        ),
    ]);
    let told = (vec![("trace_id".to_owned(), "ü".to_owned())], 0.25_f64.to_bits(), Some(1_700_000_000_005));
    assert_eq!(extras[0], (Some(5_000), Some(told.clone())));
    assert_eq!(extras[1], (None, Some(told)));
    assert_eq!(extras[2..], [(None, None), (None, None), (None, None)]);
}

#[test]
fn units_belong_to_the_family_and_have_to_end_its_name() {
    let with_unit = |name: &str, metric_type, unit: &str| MetricFamily {
        unit: Some(unit.into()),
        ..family(name, metric_type, vec![counter(1.0)])
    };
    use client::MetricType::{Counter, Gauge};
    for (name, metric_type) in [("a_seconds", Gauge), ("a_seconds", Counter), ("a_seconds_total", Counter)] {
        let (seen, _) = accept(&[with_unit(name, metric_type, "seconds")]);
        assert_eq!(seen[2], Seen::Unit(name.to_owned(), "seconds".to_owned()));
    }
    for (name, metric_type) in
        [("a_seconds_total", Gauge), ("seconds", Gauge), ("aseconds", Counter), ("a", Counter)]
    {
        let error = refuse(&[with_unit(name, metric_type, "seconds")]);
        assert_eq!(error.reason, MessageReason::UnitIsNoSuffix("seconds".into()));
    }
}

#[test]
fn rw_4_16_what_is_wrong_is_told_with_message_and_byte() {
    let good = family("a", client::MetricType::Counter, vec![counter(1.0)]);
    let first = good.encode_length_delimited_to_vec().len();
    let refused = |bad: MetricFamily| refuse(&[good.clone(), bad]);
    let error = refused(family("", client::MetricType::Counter, vec![counter(1.0)]));
    assert_eq!(error, MessageError { message: 2, offset: first + 1, reason: MessageReason::MissingName });
    let mut odd = good.clone();
    odd.r#type = Some(6);
    assert_eq!(refused(odd).reason, MessageReason::UnknownType(6));

    let twice = client::Metric { label: vec![pair("x", "1"), pair("x", "2")], ..counter(1.0) };
    let error = refused(family("b", client::MetricType::Counter, vec![twice]));
    assert_eq!((error.message, error.offset > first), (2, true));
    assert!(
        matches!(&error.reason, MessageReason::Series { reason: Reason::DuplicateLabel(name), .. } if name == "x")
    );
    assert_eq!(
        error.to_string(),
        format!(
            "message 2, byte {}: label \"x\" comes twice in one series: b{{x=\"1\",x=\"2\"}}",
            first + 12
        )
    );
    let nameless = client::Metric { label: vec![pair("", "1")], ..counter(1.0) };
    let error = refused(family("b", client::MetricType::Counter, vec![nameless]));
    assert!(matches!(error.reason, MessageReason::Series { reason: Reason::EmptyLabelName, .. }), "{error}");
}

#[test]
fn rw_4_16_what_is_no_protobuf_is_refused_where_it_breaks() {
    use MessageReason as R;
    let wire_type = |field, wire_type| R::WireType { field, wire_type };
    let cases: [(&[u8], usize, R); 11] = [
        (b"\x05\x0a\x01a", 0, R::Truncated),
        (b"\x03\x0a\x05a", 2, R::Truncated),
        (b"\x80", 0, R::Truncated),
        (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 0, R::LongVarint),
        (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 0, R::LongVarint),
        (b"\x02\x00\x01", 1, R::FieldNumber),
        (b"\x02\x08\x01", 1, wire_type(1, 0)),
        (b"\x01\x0b", 1, wire_type(1, 3)),
        (b"\x02\x0f\x01", 1, wire_type(1, 7)),
        (b"\x03\x0a\x01\xff", 3, R::NotUtf8 { field: 1 }),
        (b"\x09\x0a\x01a\x22\x04\x1a\x02\x08\x01", 8, wire_type(1, 0)),
    ];
    for (bytes, offset, reason) in cases {
        let (_, _, error) = read(bytes);
        let error = error.unwrap_or_else(|| panic!("accepted {}", bytes.escape_ascii()));
        assert_eq!((error.offset, error.reason), (offset, reason), "{}", bytes.escape_ascii());
    }
    assert_eq!(read(b"").2, None, "no message is no error");
    assert_eq!(read(b"\0\0").2, None, "nor are empty ones");
}

#[test]
fn fields_that_nobody_knows_and_fixed32_are_skipped() {
    let mut unknown = family("a", client::MetricType::Counter, vec![counter(1.0)]).encode_to_vec();
    unknown.extend_from_slice(b"\x3d\x01\x02\x03\x04\xc0\x3e\x01\xca\x3e\x02xy\xd1\x3e12345678");
    let mut body = vec![u8::try_from(unknown.len()).unwrap()];
    body.extend_from_slice(&unknown);
    let (seen, _, error) = read(&body);
    assert_eq!((lines(&seen), error), (vec!["a 1".to_owned()], None));
}

#[test]
fn some_families_can_be_had_as_text() {
    let capture = captures::capture("06-swarm-manager-after-3s.pb");
    let mut text = Vec::new();
    protobuf_as_text(&capture, &["swarm_node_manager", "swarm_node_info"], &mut text);
    let text = String::from_utf8(text).unwrap();
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(text.contains("swarm_node_manager 1\n"), "{text}");
    assert!(text.contains("swarm_node_info{node_id=\""), "{text}");
}

// === prost as the oracle ===

/// What the text format would show of a family, by prost's types.
fn told(family: &MetricFamily) -> Vec<String> {
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
