//! What is right and what is wrong with a native histogram by itself, in both versions.

use super::histograms::{BOTH, custom, float, integer, labels, native, post, span, stale};
use super::*;
use crate::model::NORMAL_NAN_BITS;
use crate::proto::v2::Histogram as Message2;
use crate::proto::v2::histogram::{Count::CountFloat, Count::CountInt};
use crate::proto::v2::histogram::{ZeroCount::ZeroCountFloat, ZeroCount::ZeroCountInt};

#[tokio::test]
async fn rw_2_23_what_prometheus_takes_is_right_in_both_versions() {
    let nan = f64::from_bits(NORMAL_NAN_BITS);
    let empty = Message2 { count: Some(CountInt(0)), timestamp: NOW, ..Message2::default() };
    for good in [
        integer(),
        float(),
        Message2 { reset_hint: 3, ..float() },
        Message2 { schema: -4, ..integer() },
        Message2 { schema: 8, ..integer() },
        // Observations of NaN are in no bucket.
        Message2 { sum: nan, count: Some(CountInt(9)), ..integer() },
        // Rounded.
        Message2 { count: Some(CountFloat(7.0)), ..float() },
        Message2 { positive_spans: vec![span(0, 1), span(0, 0), span(9, 1)], ..integer() },
        Message2 { zero_count: None, ..empty.clone() },
        Message2 { zero_count: None, count: Some(CountInt(6)), ..integer() },
        empty,
    ] {
        for protocol in BOTH {
            let rig = Rig::new().await;
            assert_eq!(post(&rig, protocol, &[native(&good)]).await, 204, "{:?} {good:?}", rig.violations());
            assert_eq!(rig.end().await.read(|state| state.store.histogram_count()), 1);
        }
    }
    for good in [
        custom(),
        Message2 { zero_count: None, ..custom() },
        Message2 { custom_values: vec![-1.0, 0.0, 1.0], ..custom() },
        Message2 {
            custom_values: vec![],
            positive_spans: vec![span(0, 1)],
            positive_deltas: vec![5],
            ..custom()
        },
        // No bounds are no fault, nor is the end of a series that had some.
        Message2 { schema: -53, ..stale() },
    ] {
        let rig = Rig::new().await;
        let answered = post(&rig, Protocol::V2, &[native(&good)]).await;
        assert_eq!(answered, 204, "{:?} {good:?}", rig.violations());
        rig.end().await;
    }
}

#[tokio::test]
async fn rw_2_23_what_prometheus_refuses_is_named_and_nothing_is_stored() {
    use HistogramFault as Fault;
    let (positive, negative) = ("positive", "negative");
    let text = |value: &str| value.to_owned();
    for (wanted, bad) in [
        (Fault::Schema(9), Message2 { schema: 9, ..integer() }),
        (Fault::Schema(-5), Message2 { schema: -5, ..float() }),
        (Fault::Schema(-54), Message2 { schema: -54, ..integer() }),
        (Fault::ResetHint(4), Message2 { reset_hint: 4, ..integer() }),
        (Fault::ResetHint(-1), Message2 { reset_hint: -1, ..integer() }),
        (Fault::NoCount, Message2 { count: None, ..integer() }),
        (Fault::ZeroCountKind, Message2 { zero_count: Some(ZeroCountFloat(1.0)), ..integer() }),
        (Fault::ZeroCountKind, Message2 { zero_count: Some(ZeroCountInt(1)), ..float() }),
        (Fault::BucketKind { side: positive }, Message2 { positive_counts: vec![3.0, 1.0], ..integer() }),
        (Fault::BucketKind { side: negative }, Message2 { negative_deltas: vec![2], ..float() }),
        (
            Fault::BucketKind { side: positive },
            Message2 { positive_deltas: vec![], positive_counts: vec![3.0, 1.0], ..integer() },
        ),
        (
            Fault::Spans { side: positive, spans: 3, buckets: 2 },
            Message2 { positive_spans: vec![span(0, 3)], ..integer() },
        ),
        (
            Fault::Spans { side: negative, spans: 0, buckets: 1 },
            Message2 { negative_spans: vec![], ..integer() },
        ),
        (
            Fault::Spans { side: positive, spans: 1 << 32, buckets: 2 },
            Message2 { positive_spans: vec![span(0, 1), span(0, u32::MAX)], ..float() },
        ),
        (
            Fault::Offset { side: positive, span: 2, offset: -1 },
            Message2 { positive_spans: vec![span(0, 1), span(-1, 1)], ..integer() },
        ),
        (
            Fault::NegativeBucket { side: positive, bucket: 2, count: text("-1") },
            Message2 { positive_deltas: vec![3, -4], ..integer() },
        ),
        (
            Fault::NegativeBucket { side: negative, bucket: 1, count: text("-9223372036854775808") },
            Message2 { negative_deltas: vec![i64::MIN], ..integer() },
        ),
        (
            Fault::NegativeBucket { side: negative, bucket: 1, count: text("-0.5") },
            Message2 { negative_counts: vec![-0.5], ..float() },
        ),
        (Fault::Total { buckets: 7, count: 8 }, Message2 { count: Some(CountInt(8)), ..integer() }),
        (Fault::Total { buckets: 7, count: 6 }, Message2 { count: Some(CountInt(6)), ..integer() }),
        (
            Fault::Total { buckets: 7, count: 6 },
            Message2 { count: Some(CountInt(6)), sum: f64::from_bits(NORMAL_NAN_BITS), ..integer() },
        ),
        (
            Fault::Total { buckets: (1 << 63) * 2 + 1, count: 7 },
            Message2 { positive_deltas: vec![i64::MAX, 0], ..integer() },
        ),
        (Fault::StrayBounds(1), Message2 { custom_values: vec![1.0], ..integer() }),
    ] {
        for protocol in BOTH {
            refused(protocol, &bad, &wanted).await;
        }
    }
}

#[tokio::test]
async fn rw_2_23_custom_bounds_that_prometheus_refuses_are_named() {
    use HistogramFault as Fault;
    let order =
        |earlier: &str, later: &str| Fault::BoundOrder { earlier: earlier.into(), later: later.into() };
    for (wanted, bad) in [
        (order("2.5", "1"), Message2 { custom_values: vec![2.5, 1.0], ..custom() }),
        (order("1", "1"), Message2 { custom_values: vec![1.0, 1.0], ..custom() }),
        (Fault::Bound("+Inf".into()), Message2 { custom_values: vec![1.0, f64::INFINITY], ..custom() }),
        (Fault::Bound("-Inf".into()), Message2 { custom_values: vec![f64::NEG_INFINITY, 1.0], ..custom() }),
        (Fault::Bound("NaN".into()), Message2 { custom_values: vec![1.0, f64::NAN], ..custom() }),
        (Fault::Reach { reach: 3, bounds: 1 }, Message2 { custom_values: vec![1.0], ..custom() }),
        (
            Fault::Reach { reach: 4, bounds: 2 },
            Message2 { positive_spans: vec![span(1, 1), span(1, 1)], ..custom() },
        ),
        (
            Fault::Offset { side: "positive", span: 1, offset: -1 },
            Message2 { positive_spans: vec![span(-1, 1), span(1, 1)], ..custom() },
        ),
        (
            Fault::CustomZero,
            Message2 { zero_count: Some(ZeroCountInt(1)), count: Some(CountInt(6)), ..custom() },
        ),
        (Fault::CustomZero, Message2 { zero_threshold: 0.1, ..custom() }),
        (Fault::CustomNegative, Message2 { negative_spans: vec![span(0, 0)], ..custom() }),
        (Fault::Total { buckets: 5, count: 6 }, Message2 { count: Some(CountInt(6)), ..custom() }),
    ] {
        refused(Protocol::V2, &bad, &wanted).await;
    }
}

/// Posts it, and finds this fault and no other.
async fn refused(protocol: Protocol, bad: &Message2, wanted: &HistogramFault) {
    let rig = Rig::new().await;
    assert_eq!(post(&rig, protocol, &[native(bad)]).await, 400, "{bad:?}");
    let state = rig.end().await.snapshot();
    let (series, fault) = (labels(), wanted.clone());
    assert_eq!(state.violations, [Violation::Histogram { series, timestamp: NOW, fault }], "{bad:?}");
    let text = state.violations[0].to_string();
    let begin = "2.23: the native histogram up{job=\"docker\"} at 1790000000000 has ";
    assert!(text.starts_with(begin), "{text}");
    assert_eq!((state.store.samples(), state.store.series()), (0, 0));
}

#[tokio::test]
async fn rw_1_08_1_17_and_2_16_time_sum_and_marker_of_a_native_histogram_are_checked() {
    let marker = f64::from_bits(STALE_MARKER_BITS);
    let with_sum = |bits| Message2 { sum: f64::from_bits(bits), ..integer() };
    for (id, bad) in [
        ("1.08", Message2 { timestamp: NOW / 1000, ..integer() }),
        ("1.08", Message2 { timestamp: 0, ..integer() }),
        ("1.17", with_sum(0x7ff8_0000_0000_0000)),
        ("1.17", with_sum(0x7ff0_0000_0000_0001)),
        ("2.16", Message2 { sum: marker, ..integer() }),
        ("2.16", Message2 { sum: marker, ..float() }),
        ("2.16", Message2 { count: Some(CountInt(1)), ..stale() }),
        ("2.16", Message2 { positive_spans: vec![span(0, 0)], ..stale() }),
    ] {
        for protocol in BOTH {
            let rig = Rig::new().await;
            assert_eq!(post(&rig, protocol, &[native(&bad)]).await, 400, "{bad:?}");
            let violations = rig.violations();
            assert!(violations.len() == 1 && violations[0].starts_with(id), "wanted {id}: {violations:?}");
            rig.end().await;
        }
    }
}

#[tokio::test]
async fn rw_2_16_a_marker_ends_a_series_of_native_histograms_and_is_counted() {
    for protocol in BOTH {
        let rig = Rig::new().await;
        let end = Message2 { timestamp: NOW + 1, ..stale() };
        let end_of_floats = Message2 { timestamp: NOW + 2, count: Some(CountFloat(0.0)), ..stale() };
        let entries = [native(&integer()), native(&end), native(&end_of_floats)];
        assert_eq!(post(&rig, protocol, &entries).await, 204, "{:?}", rig.violations());
        let state = rig.end().await.snapshot();
        let markers: Vec<_> =
            state.store.histograms(&labels()).iter().map(Histogram::is_stale_marker).collect();
        assert_eq!(markers, [false, true, true]);
        let request = state.last_request().unwrap();
        assert_eq!((request.samples, request.histograms, request.markers), (3, 3, 2));
    }
}
