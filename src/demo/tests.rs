//! The comparison against every way in which a pipe can break.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::engine::Served;
use super::oracle::{SYNTHETIC, Target, Value, read};
use super::recording::Recording;
use super::report::{OWN_JOB, Report};
use super::tamper::{Break, tamper};
use crate::model::{Labels, METRIC_NAME, stale_marker};
use crate::receiver::hand;
use crate::receiver::{Answer, Answered, Options, Receiver};

const NOW: i64 = 1_790_000_000_000;
const SCRAPES: usize = 8;

fn target() -> Target {
    Target {
        labels: Labels::from_iter([("job", "docker"), ("instance", "here")]),
        external: Labels::default(),
    }
}

fn served() -> Vec<Served> {
    let mut recording = Recording::default();
    (0..SCRAPES)
        .map(|n| Served { at: NOW + 1000 * n as i64 + 7, text: Some(recording.next_text().into()) })
        .collect()
}

fn series(labels: &Labels, at: i64, value: f64) -> Vec<u8> {
    hand::series(&labels.iter().collect::<Vec<_>>(), &[(at, value)])
}

/// What a right pipe would send: one request for each scrape, and one for the end.
fn requests(served: &[Served]) -> Vec<Bytes> {
    let times: Vec<i64> = (0..served.len() as i64).map(|n| NOW + 1000 * n).collect();
    requests_at(served, &times)
}

/// The same for scrapes that started at these times.
fn requests_at(served: &[Served], times: &[i64]) -> Vec<Bytes> {
    let mut requests = Vec::new();
    let mut last = BTreeSet::new();
    for (n, (served, &at)) in served.iter().zip(times).enumerate() {
        let samples = served.text.as_deref().map_or_else(Vec::new, |text| read(text, &target()).unwrap());
        let now: BTreeSet<Labels> = samples.iter().map(|(labels, _)| labels.clone()).collect();
        let mut body = Vec::new();
        for (labels, value) in &samples {
            let Value::Bits(bits) = value else { panic!("{labels}") };
            body.push(series(labels, at, f64::from_bits(*bits)));
        }
        body.extend(last.difference(&now).map(|labels| series(labels, at, stale_marker())));
        let (up, count) = (f64::from(u8::from(served.text.is_some())), samples.len() as f64);
        let values = [up, 0.004, count, count, now.difference(&last).count() as f64];
        for (name, value) in SYNTHETIC.into_iter().zip(values) {
            body.push(series(&target().synthetic(name), at, value));
        }
        let own = Labels::from_iter([(METRIC_NAME, "docker_remote_write_x"), ("job", OWN_JOB)]);
        body.push(series(&own, at, n as f64));
        requests.push(hand::body(&body).into());
        last = now;
    }
    let end = times[times.len() - 1] + 1000;
    let synthetic = SYNTHETIC.map(|name| target().synthetic(name));
    let body: Vec<_> =
        last.iter().chain(&synthetic).map(|labels| series(labels, end, stale_marker())).collect();
    requests.push(hand::body(&body).into());
    requests
}

fn report(served: &[Served], receiver: &Receiver) -> Report {
    receiver.read(|state| Report::new(served, &target(), state, None))
}

fn deliver(receiver: &Receiver, requests: &[Bytes]) {
    for request in requests {
        receiver.accept(request.clone());
    }
}

#[test]
fn a_whole_pipe_is_clean_and_every_sample_is_counted() {
    let served = served();
    let receiver = Receiver::new(Options::default());
    deliver(&receiver, &requests(&served));
    let report = report(&served, &receiver);
    assert!(report.is_clean(), "{:?}", report.differences);
    let lines: usize = served
        .iter()
        .flat_map(|served| served.text.as_deref())
        .map(|text| text.lines().filter(|line| !line.starts_with('#')).count())
        .sum();
    assert_eq!(report.served, lines as u64);
    assert_eq!(report.expected, report.served + 5 * report.scrapes + report.markers);
    assert_eq!(
        (report.arrived, report.scrapes, report.own),
        (report.expected, SCRAPES as u64, SCRAPES as u64)
    );
    // The series of the swarm that was left, and at the end everything and the five of the scraper.
    let last = read(served[SCRAPES - 1].text.as_deref().unwrap(), &target()).unwrap().len() as u64;
    assert_eq!(report.markers, 1 + last + 5);
    assert_eq!(report.requests, SCRAPES as u64 + 1);
}

#[test]
fn a_native_histogram_was_served_by_nobody() {
    let served = served();
    let receiver = Receiver::new(Options::default());
    deliver(&receiver, &requests(&served));
    // An integer count of 0.
    let native = [b"\x08\0\x78", &hand::varint(NOW.cast_unsigned())[..]].concat();
    let native = [hand::series(&[(METRIC_NAME, "a")], &[]), hand::nested(4, &native)].concat();
    assert_eq!(receiver.accept(hand::body(&[native]).into()), Answered::Status(204));
    let report = report(&served, &receiver);
    let told = "nobody served: a at 1790000000000 is {count:0, sum:0, schema:0}";
    assert_eq!((report.unexpected, report.differences), (1, vec![told.to_owned()]));
}

#[test]
fn a_scrape_that_starts_2_ms_after_another_was_served_is_told_apart() {
    let mut served = served();
    let receiver = Receiver::new(Options::default());
    // The last regular scrape and the one of StopMetrics: 1 ms to reach the engine each.
    served.truncate(2);
    served[0].at = NOW + 999;
    served[1].at = NOW + 1002;
    deliver(&receiver, &requests_at(&served, &[NOW + 998, NOW + 1001]));
    let report = report(&served, &receiver);
    assert!(report.is_clean(), "{:?}", report.differences);
}

#[test]
fn a_failed_scrape_that_ends_all_series_is_clean() {
    let mut served = served();
    served[4].text = None;
    let receiver = Receiver::new(Options::default());
    deliver(&receiver, &requests(&served));
    let report = report(&served, &receiver);
    assert!(report.is_clean(), "{:?}", report.differences);
    assert_eq!((report.scrapes, report.failed_scrapes), (SCRAPES as u64 - 1, 1));
}

#[test]
fn refused_requests_that_come_again_are_clean() {
    let served = served();
    let receiver = Receiver::new(Options::default());
    let requests = requests(&served);
    deliver(&receiver, &requests[..3]);
    receiver.answer_next(4, Answer::status(503));
    for _ in 0..4 {
        assert_eq!(receiver.accept(requests[3].clone()), Answered::Status(503));
    }
    deliver(&receiver, &requests[3..]);
    let report = report(&served, &receiver);
    assert!(report.is_clean(), "{:?}", report.differences);
    assert_eq!((report.requests, report.refused), (SCRAPES as u64 + 1, 4));
}

#[test]
fn every_break_is_noticed_and_counted_as_what_it_is() {
    for how in [Break::DropRecord, Break::FlipValue, Break::Double, Break::Reorder] {
        let served = served();
        let receiver = Receiver::new(Options { tamper: Some(tamper(how)), ..Options::default() });
        deliver(&receiver, &requests(&served));
        let report = report(&served, &receiver);
        assert!(!report.is_clean() && !report.differences.is_empty(), "{how:?}");
        let counted = match how {
            Break::DropRecord => report.lost,
            Break::FlipValue => report.wrong,
            Break::Double => report.doubled,
            Break::Reorder => report.out_of_order,
        };
        assert!(counted > 0, "{how:?} {report:?}");
        assert!(report.arrived < report.expected || how == Break::Double, "{how:?} {report:?}");
    }
}

#[test]
fn a_break_holds_when_the_victim_is_sent_again() {
    for how in [Break::DropRecord, Break::FlipValue, Break::Double, Break::Reorder] {
        let served = served();
        let receiver = Receiver::new(Options { tamper: Some(tamper(how)), ..Options::default() });
        for request in requests(&served) {
            receiver.answer_next(1, Answer::status(503));
            receiver.accept(request.clone());
            receiver.accept(request);
        }
        assert!(!report(&served, &receiver).is_clean(), "{how:?}");
    }
}

#[test]
fn one_lost_sample_is_named() {
    let served = served();
    let receiver = Receiver::new(Options::default());
    let mut requests = requests(&served);
    let up = target().synthetic("up");
    let only_up = hand::body(&[series(&up, NOW + 2000, 1.0)]);
    requests[2] = only_up.into();
    deliver(&receiver, &requests);
    let report = report(&served, &receiver);
    assert!(report.lost > 400, "{report:?}");
    assert!(
        report
            .differences
            .iter()
            .any(|line| line.starts_with("lost: ") && line.ends_with(" at 1790000002000"))
    );
}

#[test]
fn missing_markers_of_the_end_are_noticed() {
    let served = served();
    let receiver = Receiver::new(Options::default());
    deliver(&receiver, &requests(&served)[..SCRAPES]);
    let report = report(&served, &receiver);
    assert_eq!(report.differences, ["lost: the staleness markers of StopMetrics"]);
}

#[test]
fn a_series_that_nobody_served_is_noticed() {
    let served = served();
    let receiver = Receiver::new(Options::default());
    deliver(&receiver, &requests(&served));
    let ghost = Labels::from_iter([(METRIC_NAME, "ghost"), ("job", "docker")]);
    receiver.accept(hand::body(&[series(&ghost, NOW, 1.0)]).into());
    let report = report(&served, &receiver);
    assert_eq!((report.unexpected, report.difference_count), (1, 1));
}

#[test]
fn a_ledger_that_disagrees_is_noticed() {
    let served = served();
    let receiver = Receiver::new(Options::default());
    deliver(&receiver, &requests(&served));
    let stored = receiver.read(|state| state.store.samples());
    let report = |delivered| receiver.read(|state| Report::new(&served, &target(), state, Some(delivered)));
    assert!(report(stored).is_clean());
    assert!(!report(stored + 1).is_clean());
}

#[test]
fn nothing_at_all_is_not_clean() {
    let receiver = Receiver::new(Options::default());
    assert!(!report(&served(), &receiver).is_clean());
}
