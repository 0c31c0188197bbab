//! The receiver against hand-made requests of remote-write 2.0.

use prost::Message;

use super::hand::{body_v2, nested, pack, sample_v2, series_v2};
use super::tests::{NOW, Rig, good_head, head, status, up};
use super::*;
use crate::model::{METRIC_NAME, STALE_MARKER_BITS};
use crate::proto::v2::{self, histogram::Count::CountInt};

pub(super) const SYMBOLS: [&str; 5] = ["", METRIC_NAME, "up", "job", "docker"];
pub(super) const UP: [u8; 4] = [1, 2, 3, 4];

const TYPE: &str = "Content-Type: application/x-protobuf;proto=io.prometheus.write.v2.Request";
const VERSION: &str = "X-Prometheus-Remote-Write-Version: 2.0.0";

pub(super) fn head_v2() -> String {
    head(&["Content-Encoding: snappy", TYPE, VERSION, "User-Agent: a/1"])
}

fn up_v2(samples: &[(i64, f64)]) -> Vec<u8> {
    let samples: Vec<u8> =
        samples.iter().flat_map(|(timestamp, value)| sample_v2(*timestamp, *value)).collect();
    body_v2(&SYMBOLS, &[series_v2(&UP, &samples)])
}

pub(super) fn written(answer: &str) -> Vec<String> {
    let prefix = "x-prometheus-remote-write-";
    answer.lines().filter_map(|line| line.strip_prefix(prefix)).map(str::to_owned).collect()
}

#[tokio::test]
async fn rw_2_01_a_right_request_is_stored_and_the_answer_says_how_much_rw_2_19() {
    let rig = Rig::new().await;
    // Everything that 2.0 has: metadata, an exemplar, a start timestamp, a series that is a histogram.
    let exemplar = nested(4, &[nested(1, &[3, 4]), b"\x18\x05".to_vec()].concat());
    let rest = [sample_v2(NOW, 1.0), exemplar, nested(5, b"\x08\x01\x18\x02")].concat();
    let histogram = v2::Histogram { count: Some(CountInt(0)), timestamp: NOW, ..v2::Histogram::default() };
    let histogram = nested(3, &histogram.encode_to_vec());
    let marker = sample_v2(NOW + 1, f64::from_bits(STALE_MARKER_BITS));
    let series = [series_v2(&UP, &rest), series_v2(&[1, 4], &histogram), series_v2(&UP, &marker)];
    let answer = rig.send(&head_v2(), &body_v2(&SYMBOLS, &series)).await;
    assert!(answer.starts_with("HTTP/1.1 204 ") && answer.ends_with("\r\n\r\n"), "{answer}");
    assert_eq!(written(&answer), ["samples-written: 2", "histograms-written: 1", "exemplars-written: 1"]);
    assert_eq!(rig.violations(), Vec::<String>::new());
    let state = rig.end().await.snapshot();
    let request = state.last_request().unwrap();
    assert_eq!((request.protocol, request.samples, request.markers), (Protocol::V2, 3, 1));
    assert_eq!((request.histograms, request.exemplars, request.stored), (1, 1, 3));
    assert_eq!(request.written, Some(Written { samples: 2, histograms: 1 }));
    assert_eq!(state.count(&[(METRIC_NAME, "up"), ("job", "docker")]), 2);
}

#[tokio::test]
async fn rw_2_02_to_2_05_every_broken_rule_of_the_head_is_named_and_nothing_is_stored() {
    let good = head_v2();
    for (id, wanted, head) in [
        ("2.02", 415, good.replace("snappy", "gzip")),
        ("2.02", 415, head(&[TYPE, VERSION, "User-Agent: a/1"])),
        // Receivers read these as 1.0, or as nothing.
        ("2.03", 415, good.replace(";proto", "; proto")),
        ("2.03", 415, good.replace(".v2.Request", ".v2.Request;charset=utf-8")),
        ("2.03", 415, good.replace("v2.Request", "v2.request")),
        ("2.04", 415, good.replace("2.0.0", "0.1.0")),
        ("2.04", 415, good.replace("2.0.0", "2.0")),
        ("1.03", 400, good.replace("a/1", "a")),
        ("1.04", 400, format!("{good}{VERSION}\r\n")),
    ] {
        let rig = Rig::new().await;
        let answer = rig.send(&head, &up_v2(&[(NOW, 1.0)])).await;
        assert_eq!(status(&answer), wanted, "{head}");
        let violations = rig.violations();
        assert!(violations.len() == 1 && violations[0].starts_with(id), "{head} {violations:?}");
        assert_eq!(written(&answer)[0], "samples-written: 0");
        assert_eq!(rig.end().await.read(|state| state.store.samples()), 0);
    }
}

#[tokio::test]
async fn rw_2_06_to_2_11_2_15_and_2_16_every_broken_rule_of_the_body_is_named_and_nothing_is_stored() {
    let one = |refs: &[u8], rest: &[u8]| body_v2(&SYMBOLS, &[series_v2(refs, rest)]);
    let sample = sample_v2(NOW, 1.0);
    let with = |symbols: &[&str]| body_v2(symbols, &[series_v2(&UP, &sample)]);
    let histogram = nested(3, b"\x08\x01\x78\x05");
    let beside = |rest: Vec<u8>| [sample.clone(), rest].concat();
    for (id, body) in [
        ("1.05", b"no snappy".to_vec()),
        ("2.06", up(&[(NOW, 1.0)])),
        ("2.06", pack(b"\x2a\x7f")),
        ("2.06", one(&UP, &beside(nested(6, b"")))),
        ("2.06", body_v2(&[""], &[nested(1, b"\xff")])),
        ("2.07", one(&[1, 2, 3], &sample)),
        ("2.07", body_v2(&SYMBOLS, std::slice::from_ref(&sample))),
        ("2.08", body_v2(&[], &[])),
        ("2.08", with(&["x", METRIC_NAME, "up", "job", "docker"])),
        ("2.08", with(&["", METRIC_NAME, "up", "job", "docker", "up"])),
        ("2.08", one(&[1, 2, 3, 5], &sample)),
        ("2.08", one(&UP, &beside(nested(4, &[nested(1, &[3, 9]), b"\x18\x05".to_vec()].concat())))),
        ("2.08", one(&UP, &beside(nested(5, b"\x18\x09")))),
        ("2.08", one(&UP, &beside(nested(5, b"\x20\x09")))),
        ("2.09", one(&UP, b"")),
        ("2.09", one(&UP, &beside(histogram))),
        // 2.10 to 2.16 repeat rules of 1.0.
        ("1.08", up_v2(&[(NOW / 1000, 1.0)])),
        ("1.10", one(&[3, 4], &sample)),
        ("1.11", one(&[3, 4, 1, 2], &sample)),
        ("1.11", one(&[1, 2, 3, 0], &sample)),
        ("1.13", up_v2(&[(NOW + 1, 1.0), (NOW, 1.0)])),
        ("2.15", one(&UP, &beside(nested(4, &nested(1, &[3, 4]))))),
        ("1.17", up_v2(&[(NOW, f64::from_bits(0x7ff8_0000_0000_0000))])),
    ] {
        let rig = Rig::new().await;
        let answer = rig.send(&head_v2(), &body).await;
        let violations = rig.violations();
        assert_eq!(status(&answer), 400, "{id} {violations:?}");
        assert!(violations.iter().any(|text| text.starts_with(id)), "wanted {id}, found {violations:?}");
        assert_eq!(written(&answer)[0], "samples-written: 0");
        assert_eq!(rig.end().await.read(|state| state.store.samples()), 0);
    }
}

#[tokio::test]
async fn rw_2_18_receivers_say_in_their_ways_that_they_do_not_take_a_message() {
    for (speaks, v1, v2, stored) in [
        (Speaks::Both, 204, (204, 3), 2),
        (Speaks::V1, 204, (415, 0), 1),
        (Speaks::V1Unaware, 204, (204, 0), 1),
        (Speaks::V2, 415, (204, 3), 1),
    ] {
        let rig = Rig::new().await;
        rig.receiver.speak(speaks);
        let answer = rig.send(&head_v2(), &up_v2(&[(NOW, 1.0)])).await;
        assert_eq!((status(&answer), written(&answer).len()), v2, "{speaks:?}: {answer}");
        let answer = rig.send(&good_head(), &up(&[(NOW + 1, 1.0)])).await;
        assert_eq!((status(&answer), written(&answer).len()), (v1, 0), "{speaks:?}: {answer}");
        let state = rig.end().await.snapshot();
        assert_eq!((state.store.samples(), state.violation_count), (stored, 0), "{speaks:?}");
    }
}

#[tokio::test]
async fn rw_2_22_a_part_may_be_stored_whatever_is_answered() {
    let rig = Rig::new().await;
    let series: Vec<_> = (0..3).map(|n| series_v2(&UP, &sample_v2(NOW + n, 1.0))).collect();
    let body = body_v2(&SYMBOLS, &series);
    rig.receiver.answer_next(1, Answer::StorePart { series: 2, reply: Reply::written(400, 2) });
    rig.receiver.answer_next(1, Answer::written(202, 0));
    let answer = rig.send(&head_v2(), &body).await;
    assert_eq!((status(&answer), written(&answer)[0].as_str()), (400, "samples-written: 2"));
    assert_eq!(rig.receiver.read(|state| state.store.samples()), 2);
    let answer = rig.send(&head_v2(), &up_v2(&[(NOW + 9, 1.0)])).await;
    assert_eq!((status(&answer), written(&answer)[0].as_str()), (202, "samples-written: 0"));
    assert_eq!(rig.end().await.read(|state| state.store.samples()), 2);
}

#[tokio::test]
async fn rw_2_19_an_empty_message_and_a_resend_are_answered_with_the_headers_too() {
    let rig = Rig::new().await;
    let answer = rig.send(&head_v2(), &body_v2(&[""], &[])).await;
    assert_eq!((status(&answer), written(&answer)[0].as_str()), (204, "samples-written: 0"));
    for _ in 0..2 {
        let answer = rig.send(&head_v2(), &up_v2(&[(NOW, 1.0)])).await;
        assert_eq!(written(&answer)[0], "samples-written: 1");
    }
    let state = rig.end().await.snapshot();
    assert_eq!((state.duplicates, state.store.samples(), state.violation_count), (1, 1, 0));
}
