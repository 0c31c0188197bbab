//! Native histograms of protobuf (remote-write 2.23, 4.27 to 4.29).

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::protobuf::{at, body, bucket, family, histogram, pair};
use crate::exposition::{
    Entry, HistogramForms, HistogramReason, MessageReason, ProtobufParser, ProtobufScratch, Sign,
};
use crate::model::{Buckets, Histogram, HistogramKind, NORMAL_NAN_BITS, STALE_MARKER_BITS, Side, Span};
use crate::proto::client::{self, BucketSpan, MetricFamily};

/// What is read of a body: the samples' series as text, with the histogram where it is one.
fn read(
    families: &[MetricFamily],
    forms: HistogramForms,
) -> Result<Vec<(String, Option<Histogram>)>, MessageReason> {
    let body = body(families);
    let mut scratch = ProtobufScratch::default();
    let mut parser = ProtobufParser::new(&body, &mut scratch, true).with_histograms(forms);
    let mut seen = Vec::new();
    while let Some(next) = parser.next() {
        next.map_err(|error| error.reason)?;
        let text = |raw: &[u8]| String::from_utf8(raw.to_vec()).unwrap();
        match parser.entry().unwrap() {
            Entry::Series(series) => seen.push((text(series.raw), None)),
            Entry::Histogram(series) => {
                let mut histogram = Histogram::stale(HistogramKind::Float);
                parser.histogram(&mut histogram).map_err(|error| error.reason)?;
                assert_eq!(series.value.to_bits(), histogram.sum().to_bits());
                seen.push((text(series.raw), Some(histogram)));
            }
            Entry::Type { .. } | Entry::Help { .. } | Entry::Unit { .. } | Entry::Comment => {}
        }
    }
    Ok(seen)
}

fn of(native: client::Histogram) -> MetricFamily {
    family("h", client::MetricType::Histogram, vec![histogram(native)])
}

fn only(native: client::Histogram) -> Histogram {
    let seen = read(&[of(native)], HistogramForms::NATIVE).unwrap();
    let [(series, Some(histogram))] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!(series, "h");
    histogram.clone()
}

fn refused(native: client::Histogram) -> HistogramReason {
    match read(&[of(native.clone())], HistogramForms::NATIVE) {
        Err(MessageReason::Histogram(series, reason)) => {
            assert_eq!(series, "h");
            reason
        }
        other => panic!("{native:?}: {other:?}"),
    }
}

fn spans(spans: &[(i32, u32)]) -> Vec<BucketSpan> {
    let span = |&(offset, length)| BucketSpan { offset: Some(offset), length: Some(length) };
    spans.iter().map(span).collect()
}

/// 7 observations: 1 around zero, 3 below, 3 above.
fn integer() -> client::Histogram {
    client::Histogram {
        sample_count: Some(7),
        sample_sum: Some(1.5),
        schema: Some(3),
        zero_threshold: Some(0.001),
        zero_count: Some(1),
        negative_span: spans(&[(-2, 2)]),
        negative_delta: vec![1, 1],
        positive_span: spans(&[(0, 2), (3, 1)]),
        positive_delta: vec![1, 0, 0],
        ..Default::default()
    }
}

fn float() -> client::Histogram {
    client::Histogram {
        sample_count_float: Some(3.5),
        sample_sum: Some(-1.5),
        schema: Some(-4),
        zero_threshold: Some(0.5),
        zero_count_float: Some(0.5),
        positive_span: spans(&[(7, 3)]),
        positive_count: vec![1.5, 0.0, 1.5],
        ..Default::default()
    }
}

#[test]
fn rw_2_23_integer_and_float_histograms_are_read_with_all_their_fields() {
    let expected = Buckets {
        schema: 3,
        count: 7,
        sum: 1.5,
        zero_threshold: 0.001,
        zero_count: 1,
        negative: Side::of([(-2, 1), (-1, 2)]),
        positive: Side::of([(0, 1), (1, 1), (5, 1)]),
        custom_bounds: vec![],
        is_gauge: false,
    };
    assert_eq!(only(integer()), Histogram::Integer(expected.clone()));
    let spans = [Span { offset: 0, length: 2 }, Span { offset: 3, length: 1 }];
    assert_eq!(expected.positive.spans, spans);
    let expected = Buckets {
        schema: -4,
        count: 3.5,
        sum: -1.5,
        zero_threshold: 0.5,
        zero_count: 0.5,
        negative: Side::default(),
        positive: Side::of([(7, 1.5), (9, 1.5)]),
        custom_bounds: vec![],
        is_gauge: false,
    };
    assert_eq!(only(float()), Histogram::Float(expected));
}

#[test]
fn rw_2_23_a_gauge_histogram_may_go_down() {
    let family = family("h", client::MetricType::GaugeHistogram, vec![histogram(integer())]);
    let seen = read(&[family], HistogramForms::NATIVE).unwrap();
    let Some(Histogram::Integer(read)) = &seen[0].1 else { panic!("{seen:?}") };
    assert!(read.is_gauge);
}

#[test]
fn rw_4_27_classic_buckets_are_left_out_beside_native_ones_unless_both_are_wanted() {
    let both = || client::Histogram { bucket: vec![bucket(1.0, 5)], ..integer() };
    let classic = ["h_bucket{le=\"1\"}", "h_bucket{le=\"+Inf\"}", "h_sum", "h_count"];
    let native_then_classic: Vec<&str> = ["h"].into_iter().chain(classic).collect();
    for (forms, native, expected) in [
        (HistogramForms::CLASSIC, both(), &classic[..]),
        (HistogramForms::NATIVE, both(), &["h"]),
        (HistogramForms::BOTH, both(), &native_then_classic),
        // Without classic buckets there are no series of theirs, sum and count included.
        (HistogramForms::BOTH, integer(), &["h"]),
    ] {
        let family =
            family("h", client::MetricType::Histogram, vec![histogram(native.clone()), histogram(native)]);
        let seen = read(&[family, of(client::Histogram::default())], forms).unwrap();
        let series: Vec<&str> = seen.iter().map(|(series, _)| series.as_str()).collect();
        let last = ["h_bucket{le=\"+Inf\"}", "h_sum", "h_count"];
        assert_eq!(series, [expected, expected, &last].concat(), "{forms:?}");
    }
}

#[test]
fn rw_4_28_a_histogram_without_observations_is_native_by_a_span_or_a_threshold() {
    let default = client::Histogram::default;
    let no_op = client::Histogram { positive_span: spans(&[(0, 0)]), ..default() };
    assert_eq!(only(no_op), Histogram::Integer(Buckets::default()));
    let below = client::Histogram { negative_span: spans(&[(0, 0)]), ..default() };
    assert_eq!(only(below), Histogram::Integer(Buckets::default()));
    let wide = client::Histogram { zero_threshold: Some(1e-9), ..default() };
    assert_eq!(only(wide), Histogram::Integer(Buckets { zero_threshold: 1e-9, ..Buckets::default() }));
    let seen = read(&[of(default())], HistogramForms::NATIVE).unwrap();
    assert_eq!(seen.len(), 3, "a classic one: {seen:?}");
}

#[test]
fn empty_buckets_and_spans_are_left_out_as_prometheus_leaves_them_out() {
    let sparse = client::Histogram {
        sample_count: Some(4),
        positive_span: spans(&[(2, 0), (1, 4), (0, 0), (0, 1), (2, 0), (-1, 3), (-9, 0)]),
        // 0 1 0 0 1 0 2 0
        positive_delta: vec![0, 1, -1, 0, 1, -1, 2, -2],
        ..Default::default()
    };
    let expected = Buckets { count: 4, positive: Side::of([(4, 1), (7, 1), (10, 2)]), ..Buckets::default() };
    assert_eq!(only(sparse), Histogram::Integer(expected));
}

#[test]
fn an_offset_below_zero_is_taken_where_prometheus_has_left_out_what_is_before_it() {
    let behind = client::Histogram {
        sample_count: Some(2),
        positive_span: spans(&[(3, 2), (-4, 1), (5, 1), (-3, 1)]),
        // Empty at 3 and 4, one at 1, empty at 7, one at 5.
        positive_delta: vec![0, 0, 1, -1, 1],
        ..Default::default()
    };
    let expected = Buckets { count: 2, positive: Side::of([(1, 1), (5, 1)]), ..Buckets::default() };
    assert_eq!(only(behind), Histogram::Integer(expected));
}

#[test]
fn a_sum_that_is_no_number_is_the_normal_nan_and_leaves_observations_outside_of_buckets() {
    for bits in [STALE_MARKER_BITS, f64::NAN.to_bits(), NORMAL_NAN_BITS] {
        let sample_sum = Some(f64::from_bits(bits));
        let read = only(client::Histogram { sample_sum, sample_count: Some(9), ..integer() });
        assert_eq!(read.sum().to_bits(), NORMAL_NAN_BITS);
        assert!(!read.is_stale());
        let float = only(client::Histogram { sample_sum, ..float() });
        assert_eq!(float.sum().to_bits(), NORMAL_NAN_BITS);
    }
}

#[test]
fn what_prometheus_refuses_fails_the_exposition_with_its_reason() {
    let nan = Some(f64::NAN);
    for (native, expected) in [
        (client::Histogram { schema: Some(9), ..integer() }, HistogramReason::Schema(9)),
        (client::Histogram { schema: Some(-5), ..float() }, HistogramReason::Schema(-5)),
        (client::Histogram { schema: Some(-53), ..integer() }, HistogramReason::Schema(-53)),
        (
            client::Histogram { positive_span: spans(&[(0, 2), (-1, 1)]), ..integer() },
            HistogramReason::Descends { side: Sign::Positive, bucket: 3, buckets: 1 },
        ),
        (
            client::Histogram { negative_span: spans(&[(-2, 3)]), ..integer() },
            HistogramReason::SpanLengths { side: Sign::Negative, spans: 3, buckets: 2 },
        ),
        (
            client::Histogram { positive_span: vec![], ..integer() },
            HistogramReason::SpanLengths { side: Sign::Positive, spans: 0, buckets: 3 },
        ),
        (
            client::Histogram { positive_span: spans(&[(0, u32::MAX), (0, u32::MAX)]), ..float() },
            HistogramReason::SpanLengths { side: Sign::Positive, spans: 2 * u64::from(u32::MAX), buckets: 3 },
        ),
        (
            client::Histogram { positive_delta: vec![1, -2, 1], ..integer() },
            HistogramReason::NegativeCount { side: Sign::Positive, bucket: 2, count: -1.0 },
        ),
        (
            client::Histogram { positive_delta: vec![i64::MAX, 1, 0], ..integer() },
            HistogramReason::NegativeCount {
                side: Sign::Positive,
                bucket: 2,
                count: -9.223_372_036_854_776e18,
            },
        ),
        (
            client::Histogram { positive_count: vec![1.0, -0.5, 1.0], ..float() },
            HistogramReason::NegativeCount { side: Sign::Positive, bucket: 2, count: -0.5 },
        ),
        (
            client::Histogram { positive_span: spans(&[(i32::MAX, 2), (1, 1)]), ..integer() },
            HistogramReason::Index { side: Sign::Positive },
        ),
        (
            client::Histogram { sample_count: Some(8), ..integer() },
            HistogramReason::Count { buckets: 7, count: 8 },
        ),
        (
            client::Histogram { sample_count: Some(6), sample_sum: nan, ..integer() },
            HistogramReason::Count { buckets: 7, count: 6 },
        ),
    ] {
        assert_eq!(refused(native), expected);
    }
    let message = MessageReason::Histogram("h{a=\"b\"}".to_owned(), HistogramReason::Schema(9));
    assert_eq!(message.to_string(), "native histogram h{a=\"b\"}: schema 9 is none of -4 to 8");
}

#[test]
fn rw_4_29_a_native_histogram_has_its_own_exemplars_or_those_of_its_classic_buckets() {
    let exemplar = |trace: &str, timestamp| client::Exemplar {
        label: vec![pair("trace_id", trace)],
        value: Some(1.0),
        timestamp,
    };
    let in_bucket =
        |trace: &str| client::Bucket { exemplar: Some(exemplar(trace, at(5, 0))), ..bucket(1.0, 1) };
    let classic = vec![in_bucket("b"), bucket(2.0, 2), in_bucket("c")];
    let own = vec![exemplar("x", at(7, 5_000_000)), exemplar("y", None)];
    let of_buckets = || vec![("b", Some(5_000)), ("c", Some(5_000))];
    for (forms, exemplars, expected) in [
        (HistogramForms::NATIVE, own.clone(), vec![("x", Some(7_005)), ("y", None)]),
        (HistogramForms::NATIVE, vec![], of_buckets()),
        // What is made of the classic part has nothing of the native one.
        (HistogramForms::CONVERTED, own, of_buckets()),
    ] {
        let native = client::Histogram { bucket: classic.clone(), exemplars, ..integer() };
        let body = body(&[of(native)]);
        let mut scratch = ProtobufScratch::default();
        let mut parser = ProtobufParser::new(&body, &mut scratch, true).with_histograms(forms);
        while !matches!(parser.entry(), Some(Entry::Histogram(_))) {
            parser.next().unwrap().unwrap();
        }
        let seen: Vec<_> = parser
            .histogram_exemplars()
            .map(|exemplar| (exemplar.labels()[0].1.to_string(), exemplar.timestamp))
            .collect();
        let expected: Vec<_> = expected.into_iter().map(|(trace, at)| (trace.to_owned(), at)).collect();
        assert_eq!(seen, expected, "{forms:?}");
    }
}

#[test]
fn rw_2_12_a_native_histogram_has_the_start_timestamp_of_its_message() {
    let body = body(&[of(client::Histogram { created_timestamp: at(3, 1_000_000), ..integer() })]);
    let mut scratch = ProtobufScratch::default();
    let mut parser = ProtobufParser::new(&body, &mut scratch, true).with_histograms(HistogramForms::NATIVE);
    while !matches!(parser.entry(), Some(Entry::Histogram(_))) {
        parser.next().unwrap().unwrap();
    }
    assert_eq!(parser.start_timestamp(), Some(3_001));
}

/// Gaps, lengths and counts, spelled as spans with deltas; some spans and buckets empty.
fn generated_side() -> impl Strategy<Value = Vec<(i32, Vec<u64>)>> {
    let count = prop_oneof![3 => 0..3_u64, 1 => 0..1_u64 << 40];
    vec((0..5_i32, vec(count, 0..5)), 0..6)
}

fn deltas(counts: &[u64]) -> Vec<i64> {
    let before = [0].into_iter().chain(counts.iter().copied());
    before.zip(counts).map(|(before, count)| count.wrapping_sub(before).cast_signed()).collect()
}

/// Buckets by their index, the plain way.
fn model(spans: &[(i32, Vec<u64>)]) -> BTreeMap<i64, u64> {
    let mut buckets = BTreeMap::new();
    let mut index = 0;
    for (offset, counts) in spans {
        index += i64::from(*offset);
        for count in counts {
            if *count > 0 {
                buckets.insert(index, *count);
            }
            index += 1;
        }
    }
    buckets
}

fn by_index<N: Copy>(side: &Side<N>) -> BTreeMap<i64, N> {
    let mut counts = side.counts.iter();
    let mut buckets = BTreeMap::new();
    let mut index = 0;
    for span in &side.spans {
        index += i64::from(span.offset);
        for _ in 0..span.length {
            buckets.insert(index, *counts.next().unwrap());
            index += 1;
        }
    }
    assert!(counts.next().is_none());
    buckets
}

proptest! {
    #[test]
    fn rw_2_23_any_histogram_is_read_as_its_buckets_are(
        negative in generated_side(),
        positive in generated_side(),
        zero_count in 0..9_u64,
        schema in -4..=8_i32,
        first in -50..50_i32,
    ) {
        let mut positive = positive;
        positive.insert(0, (first, vec![1]));
        let flat = |side: &[(i32, Vec<u64>)]| side.iter().flat_map(|(_, counts)| counts.clone()).collect::<Vec<u64>>();
        let lengths = |side: &[(i32, Vec<u64>)]| -> Vec<(i32, u32)> {
            side.iter().map(|(offset, counts)| (*offset, u32::try_from(counts.len()).unwrap())).collect()
        };
        let (below, above) = (flat(&negative), flat(&positive));
        let sample_count = Some(below.iter().chain(&above).sum::<u64>() + zero_count);
        let written = client::Histogram {
            sample_count,
            sample_sum: Some(2.5),
            schema: Some(schema),
            zero_count: Some(zero_count),
            negative_span: spans(&lengths(&negative)),
            negative_delta: deltas(&below),
            positive_span: spans(&lengths(&positive)),
            positive_delta: deltas(&above),
            ..Default::default()
        };
        let Histogram::Integer(read) = only(written.clone()) else { panic!("floats") };
        prop_assert_eq!(by_index(&read.negative), model(&negative));
        prop_assert_eq!(by_index(&read.positive), model(&positive));
        prop_assert_eq!((Some(read.count), read.zero_count, read.schema), (sample_count, zero_count, schema));
        #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
        let as_floats = |counts: Vec<u64>| counts.into_iter().map(|count| count as f64).collect::<Vec<f64>>();
        let floats = client::Histogram {
            sample_count_float: Some(0.5),
            negative_count: as_floats(below),
            positive_count: as_floats(above),
            negative_delta: vec![],
            positive_delta: vec![],
            ..written
        };
        let Histogram::Float(read_floats) = only(floats) else { panic!("integers") };
        prop_assert_eq!(read_floats.positive.spans, read.positive.spans);
        prop_assert_eq!(read_floats.negative.counts, as_floats(read.negative.counts));
        // As few spans as can be, none of them empty.
        for side in [&read.negative.spans, &read_floats.negative.spans] {
            prop_assert!(side.iter().all(|span| span.length > 0));
            prop_assert!(side.iter().skip(1).all(|span| span.offset > 0));
        }
    }
}
