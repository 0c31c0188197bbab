mod generated;
mod refused;

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
        expected.extend(generated::told(&MetricFamily::decode_length_delimited(&mut rest).unwrap()));
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
