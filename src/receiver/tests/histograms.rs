//! The receiver against native histograms, in both versions: what arrives of them, and their place among the samples.

use prost::Message;

use super::*;
use crate::model::{Labels, NORMAL_NAN_BITS};
use crate::proto::v2::histogram::{Count::CountFloat, Count::CountInt};
use crate::proto::v2::histogram::{ZeroCount::ZeroCountFloat, ZeroCount::ZeroCountInt};
use crate::proto::v2::{BucketSpan, Histogram as Message2};
use crate::receiver::hand::{body_v2, nested, sample_v2, series_v2, varint};
use crate::receiver::tests_v2::{SYMBOLS, UP, head_v2, written};

pub(super) const BOTH: [Protocol; 2] = [Protocol::V1, Protocol::V2];

/// What a series has at one time.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    Float(i64, f64),
    /// Boxed for its size.
    Native(Box<Message2>),
}

pub(super) fn native(message: &Message2) -> Entry {
    Entry::Native(Box::new(message.clone()))
}

pub(super) fn labels() -> Labels {
    [(METRIC_NAME, "up"), ("job", "docker")].into_iter().collect()
}

/// Head and body of a request in which each of these is a `TimeSeries` of `up`. The fields 1 to 16 of both versions are the same.
fn request(protocol: Protocol, entries: &[Entry]) -> (String, Vec<u8>) {
    let labels = [(METRIC_NAME, "up"), ("job", "docker")];
    match protocol {
        Protocol::V1 => {
            let entries = entries.iter().map(|entry| match entry {
                Entry::Float(at, value) => series(&labels, &[(*at, *value)]),
                Entry::Native(native) => [series(&labels, &[]), nested(4, &native.encode_to_vec())].concat(),
            });
            (good_head(), body(&entries.collect::<Vec<_>>()))
        }
        Protocol::V2 => {
            let entries = entries.iter().map(|entry| match entry {
                Entry::Float(at, value) => series_v2(&UP, &sample_v2(*at, *value)),
                Entry::Native(native) => series_v2(&UP, &nested(3, &native.encode_to_vec())),
            });
            (head_v2(), body_v2(&SYMBOLS, &entries.collect::<Vec<_>>()))
        }
    }
}

pub(super) async fn post(rig: &Rig, protocol: Protocol, entries: &[Entry]) -> u16 {
    let (head, body) = request(protocol, entries);
    status(&rig.send(&head, &body).await)
}

pub(super) fn span(offset: i32, length: u32) -> BucketSpan {
    BucketSpan { offset, length }
}

/// 2 observations below zero, 1 about it, 3 and 1 above.
pub(super) fn integer() -> Message2 {
    Message2 {
        count: Some(CountInt(7)),
        sum: 18.4,
        schema: 1,
        zero_threshold: 0.001,
        zero_count: Some(ZeroCountInt(1)),
        negative_spans: vec![span(-2, 1)],
        negative_deltas: vec![2],
        positive_spans: vec![span(-3, 1), span(2, 1)],
        positive_deltas: vec![3, -2],
        timestamp: NOW,
        ..Message2::default()
    }
}

pub(super) fn float() -> Message2 {
    Message2 {
        count: Some(CountFloat(7.5)),
        zero_count: Some(ZeroCountFloat(1.5)),
        negative_deltas: vec![],
        negative_counts: vec![2.0],
        positive_deltas: vec![],
        positive_counts: vec![3.0, 1.0],
        ..integer()
    }
}

/// 2 up to 1, none up to 2.5, 3 behind the last bound.
pub(super) fn custom() -> Message2 {
    Message2 {
        count: Some(CountInt(5)),
        sum: 18.4,
        schema: -53,
        zero_count: Some(ZeroCountInt(0)),
        positive_spans: vec![span(0, 1), span(1, 1)],
        positive_deltas: vec![2, 1],
        custom_values: vec![1.0, 2.5],
        timestamp: NOW,
        ..Message2::default()
    }
}

pub(super) fn stale() -> Message2 {
    let sum = f64::from_bits(STALE_MARKER_BITS);
    Message2 { sum, count: Some(CountInt(0)), timestamp: NOW, ..Message2::default() }
}

#[tokio::test]
async fn rw_2_23_every_field_of_a_native_histogram_arrives_in_both_versions() {
    let [timestamp, start] = [NOW, NOW - 5000].map(|at| varint(at.cast_unsigned()));
    let double = |value: f64| value.to_bits().to_le_bytes();
    // Zigzag: -2 is 3, 3 is 6; -0 is no default.
    let common = [
        b"\x08\x07\x19",
        &double(-0.0)[..],
        b"\x20\x02\x29",
        &double(0.001),
        b"\x30\x01",
        &nested(8, b"\x08\x03\x10\x01"),
        &nested(9, b"\x04"),
        &nested(11, b"\x08\x05\x10\x01"),
        &nested(11, b"\x08\x04\x10\x01"),
        &nested(12, b"\x06\x03"),
        b"\x70\x02\x78",
        &timestamp,
    ]
    .concat();
    let wanted = Message2 { sum: -0.0, reset_hint: 2, ..integer() };
    let of_floats = [b"\x11", &double(7.5)[..], b"\x39", &double(1.5), b"\x78", &timestamp].concat();
    let wanted_floats = Message2 {
        count: Some(CountFloat(7.5)),
        zero_count: Some(ZeroCountFloat(1.5)),
        timestamp: NOW,
        ..Message2::default()
    };
    let (counts, one) = ([double(2.0), double(0.5)].concat(), double(1.0));
    let of_floats = [&of_floats[..], &nested(8, b"\x10\x01"), &nested(10, &one)].concat();
    let of_floats = [&of_floats[..], &nested(11, b"\x10\x02"), &nested(13, &counts)].concat();
    let wanted_floats = Message2 {
        negative_spans: vec![span(0, 1)],
        negative_counts: vec![1.0],
        positive_spans: vec![span(0, 2)],
        positive_counts: vec![2.0, 0.5],
        ..wanted_floats
    };
    let started = [&common[..], b"\x88\x01", &start].concat();
    let bounds = [b"\x08\0\x20\x69\x78", &timestamp[..], b"\x82\x01\x08", &double(2.5)].concat();
    let wanted_bounds = Message2 {
        count: Some(CountInt(0)),
        schema: -53,
        custom_values: vec![2.5],
        timestamp: NOW,
        ..Message2::default()
    };
    for (protocol, bytes, wanted) in [
        (Protocol::V1, &common, &wanted),
        (Protocol::V2, &common, &wanted),
        (Protocol::V2, &started, &Message2 { start_timestamp: NOW - 5000, ..wanted.clone() }),
        (Protocol::V1, &of_floats, &wanted_floats),
        (Protocol::V2, &of_floats, &wanted_floats),
        (Protocol::V2, &bounds, &wanted_bounds),
    ] {
        let rig = Rig::new().await;
        let (head, body) = match protocol {
            Protocol::V1 => {
                let series = [series(&[(METRIC_NAME, "up"), ("job", "docker")], &[]), nested(4, bytes)];
                (good_head(), body(&[series.concat()]))
            }
            Protocol::V2 => (head_v2(), body_v2(&SYMBOLS, &[series_v2(&UP, &nested(3, bytes))])),
        };
        assert_eq!(status(&rig.send(&head, &body).await), 204, "{:?}", rig.violations());
        let state = rig.end().await.snapshot();
        assert_eq!(state.store.histograms(&labels()), [Histogram::from(wanted.clone())]);
        let all: Vec<_> = state.store.all_histograms().map(|(labels, all)| (labels, all.len())).collect();
        assert_eq!(all, [(&labels(), 1)]);
        assert_eq!((state.store.samples(), state.store.histogram_count(), state.store.series()), (1, 1, 1));
        assert_eq!((state.store.get(&labels()), state.count(&[("job", "docker")])), (&[][..], 1));
        let request = state.last_request().unwrap();
        assert_eq!((request.samples, request.histograms, request.markers, request.stored), (1, 1, 0, 1));
        assert_eq!(request.times, Some((NOW, NOW)));
    }
}

#[tokio::test]
async fn rw_1_13_samples_and_native_histograms_of_a_series_have_one_order() {
    let at = |timestamp| native(&Message2 { timestamp, ..integer() });
    let float_at = |timestamp| Entry::Float(timestamp, 1.0);
    let other = native(&Message2 { sum: 5.0, ..integer() });
    for (entries, wanted) in [
        (vec![at(NOW), float_at(NOW + 1), at(NOW + 2)], None),
        (vec![at(NOW + 1), at(NOW)], Some("out of order")),
        (vec![at(NOW + 1), float_at(NOW)], Some("out of order")),
        (vec![float_at(NOW + 1), at(NOW)], Some("out of order")),
        (vec![float_at(NOW), at(NOW + 2), float_at(NOW + 1)], Some("out of order")),
        (
            vec![at(NOW), other],
            Some("has two values: the native histogram {count:7, sum:18.4} came first, then"),
        ),
        (vec![at(NOW), float_at(NOW)], Some(", then bits 0x3ff0000000000000")),
        (vec![float_at(NOW), at(NOW)], Some("has two values")),
    ] {
        for protocol in BOTH {
            // In one request, then in one for each.
            let rig = Rig::new().await;
            let answered = post(&rig, protocol, &entries).await;
            let violations = rig.violations();
            match wanted {
                None => assert_eq!((answered, violations.len()), (204, 0), "{violations:?}"),
                Some(text) => assert!(
                    answered == 400
                        && violations.len() == 1
                        && violations[0].starts_with("1.13: ")
                        && violations[0].contains(text),
                    "wanted {text}: {violations:?}"
                ),
            }
            assert_eq!(rig.end().await.read(|state| state.store.samples()), wanted.map_or(3, |_| 0));
            let rig = Rig::new().await;
            for entry in &entries {
                post(&rig, protocol, std::slice::from_ref(entry)).await;
            }
            let one_by_one = rig.violations();
            assert_eq!(one_by_one, violations);
            rig.end().await;
        }
    }
}

#[tokio::test]
async fn rw_1_13_one_native_histogram_twice_in_one_request_is_no_resend() {
    for protocol in BOTH {
        let rig = Rig::new().await;
        assert_eq!(post(&rig, protocol, &[native(&float()), native(&float())]).await, 400);
        let violations = rig.violations();
        assert!(violations[0].starts_with("1.13: ") && violations[0].contains(" comes twice in one request"));
        rig.end().await;
    }
}

#[tokio::test]
async fn rw_1_13_a_resent_native_histogram_is_a_duplicate_bit_for_bit() {
    let nan = f64::from_bits(NORMAL_NAN_BITS);
    let nans = Message2 { sum: nan, positive_counts: vec![nan, 1.0], ..float() };
    for message in [integer(), float(), nans, stale()] {
        for protocol in BOTH {
            let rig = Rig::new().await;
            let (first, then) = (native(&message), Entry::Float(NOW + 1, 1.0));
            assert_eq!(post(&rig, protocol, std::slice::from_ref(&first)).await, 204);
            assert_eq!(post(&rig, protocol, &[first.clone(), then]).await, 204);
            assert_eq!(post(&rig, protocol, &[first]).await, 204);
            let state = rig.end().await.snapshot();
            assert_eq!(state.violations, []);
            assert_eq!((state.duplicates, state.store.samples(), state.store.histogram_count()), (2, 2, 1));
        }
    }
    for (one, other) in [
        (Message2 { sum: 0.0, ..integer() }, Message2 { sum: -0.0, ..integer() }),
        (Message2 { start_timestamp: NOW - 9, ..integer() }, integer()),
        (Message2 { reset_hint: 1, ..integer() }, integer()),
        (Message2 { zero_threshold: 0.002, ..integer() }, integer()),
        (
            Message2 { zero_count: Some(ZeroCountFloat(0.0)), ..float() },
            Message2 { zero_count: Some(ZeroCountFloat(-0.0)), ..float() },
        ),
        (Message2 { positive_spans: vec![span(-3, 1), span(1, 1)], ..integer() }, integer()),
    ] {
        assert_ne!(Histogram::from(one.clone()), Histogram::from(other.clone()), "{one:?}");
        assert_eq!(Histogram::from(one.clone()), Histogram::from(one));
    }
}

#[tokio::test]
async fn rw_2_19_samples_and_native_histograms_are_written_separately_resent_ones_too() {
    let rig = Rig::new().await;
    let entries = [native(&integer()), Entry::Float(NOW + 1, 1.0), Entry::Float(NOW + 2, 1.0)];
    let (head, body) = request(Protocol::V2, &entries);
    let answer = rig.send(&head, &body).await;
    assert_eq!(written(&answer), ["samples-written: 2", "histograms-written: 1", "exemplars-written: 0"]);
    let (head, resent) = request(Protocol::V2, &[native(&integer())]);
    let answer = rig.send(&head, &resent).await;
    assert_eq!(written(&answer), ["samples-written: 0", "histograms-written: 1", "exemplars-written: 0"]);
    let (head, bad) = request(Protocol::V2, &[native(&Message2 { schema: 9, ..integer() })]);
    let answer = rig.send(&head, &bad).await;
    assert_eq!(written(&answer), ["samples-written: 0", "histograms-written: 0", "exemplars-written: 0"]);
    let state = rig.end().await.snapshot();
    assert_eq!((state.duplicates, state.store.samples(), state.count(&[])), (1, 3, 3));
}

#[tokio::test]
async fn rw_1_07_and_2_09_samples_beside_native_histograms_in_one_series_are_named() {
    let bytes = integer().encode_to_vec();
    let of_1_0 = [series(&[(METRIC_NAME, "up")], &[(NOW - 1, 1.0)]), nested(4, &bytes)].concat();
    let of_2_0 = series_v2(&UP, &[sample_v2(NOW - 1, 1.0), nested(3, &bytes)].concat());
    for (id, head, body) in
        [("1.07", good_head(), body(&[of_1_0])), ("2.09", head_v2(), body_v2(&SYMBOLS, &[of_2_0]))]
    {
        let rig = Rig::new().await;
        assert_eq!(status(&rig.send(&head, &body).await), 400);
        let violations = rig.violations();
        assert!(violations.len() == 1 && violations[0].starts_with(id), "{violations:?}");
        rig.end().await;
        // Whoever is lenient keeps both.
        let rig = Rig::with(Options { refuse: false, ..Options::default() }).await;
        assert_eq!(status(&rig.send(&head, &body).await), 204);
        let state = rig.end().await.snapshot();
        assert_eq!((state.store.samples(), state.store.histogram_count(), state.violation_count), (2, 1, 1));
    }
}

#[tokio::test]
async fn a_bounded_receiver_forgets_the_oldest_native_histograms() {
    let rig = Rig::with(Options { keep_samples: 2, ..Options::default() }).await;
    for n in 0..6 {
        let next = native(&Message2 { timestamp: NOW + n, ..integer() });
        assert_eq!(post(&rig, Protocol::V2, &[next]).await, 204);
    }
    let state = rig.end().await.snapshot();
    assert_eq!((state.store.samples(), state.store.histogram_count()), (6, 6));
    let kept = state.store.histograms(&labels());
    assert!((2..=4).contains(&kept.len()), "{kept:?}");
    assert_eq!(kept.last().unwrap().timestamp(), NOW + 5);
}

#[test]
fn native_histograms_print_in_one_line_with_their_bounds() {
    let nan = f64::from_bits(NORMAL_NAN_BITS);
    for (message, text) in [
        (
            integer(),
            "{count:7, sum:18.4, schema:1, [-0.5,-0.3535533905932738):2, [-0.001,0.001]:1, \
             (0.25,0.3535533905932738]:3, (0.7071067811865476,1]:1}",
        ),
        (
            Message2 { schema: 0, sum: nan, zero_threshold: 2.0_f64.powi(-128), reset_hint: 3, ..float() },
            "{count:7.5, sum:NaN, schema:0, reset:gauge, [-0.25,-0.125):2, \
             [-2.938735877055719e-39,2.938735877055719e-39]:1.5, (0.0625,0.125]:3, (0.5,1]:1}",
        ),
        (
            Message2 { start_timestamp: NOW, ..custom() },
            "{count:5, sum:18.4, schema:-53, start:1790000000000, [-Inf,1]:2, (2.5,+Inf]:3}",
        ),
        (
            Message2 { positive_spans: vec![span(1, 3)], positive_deltas: vec![2, -2, 3], ..custom() },
            "{count:5, sum:18.4, schema:-53, (1,2.5]:2, (+Inf,+Inf]:3}",
        ),
        (Message2 { reset_hint: 7, ..Message2::default() }, "{count:none, sum:0, schema:0, reset:7}"),
        (Message2 { timestamp: NOW, ..stale() }, "stale histogram"),
    ] {
        assert_eq!(Histogram::from(message).to_string(), text);
    }
}
