//! Requests that are refused for the sake of one sample: it is found, the others are delivered, each once and in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use docker_remote_write::remote::{Cause, Config};

use super::{append_scrape, config, pass, queue, start, timestamps, young};
use crate::support::logs;
use crate::support::scripted::{NOTHING, Step, serve, status};
use crate::support::tsdb::{Manner, Tsdb};

fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("m{n:04}")).collect()
}

fn scrape(names: &[String], timestamp: i64) -> Vec<(&str, i64)> {
    names.iter().map(|name| (name.as_str(), timestamp)).collect()
}

#[tokio::test]
async fn one_late_sample_among_1000_costs_itself_and_at_most_22_requests() {
    let logs = logs::collect();
    let now = young();
    let tsdb = Tsdb::new(Manner::RollsBack).with("m0500", (now + 1, 0));
    let server = serve(NOTHING).await;
    server.otherwise(tsdb.step());
    let queue = queue();
    let names = names(1000);
    append_scrape(&queue, &scrape(&names, now));
    let running = start(config(&server.url("/")), &queue);
    running.until_done().await;
    let ledger = queue.ledger(0);
    assert_eq!((ledger.delivered, ledger.rejected), (999, 1));
    assert_eq!(running.rejected(Cause::Poison), 1);
    assert_eq!(tsdb.samples(), 1000);
    assert!(server.seen().len() <= 22, "{} requests", server.seen().len());

    // The sample was at fault, not its series: the next one is welcome, in one request with all others.
    let before = server.seen().len();
    append_scrape(&queue, &scrape(&names, now + 1000));
    running.until_done().await;
    assert_eq!(server.seen().len(), before + 1);
    assert_eq!(tsdb.timestamps("m0500"), [now + 1, now + 1000]);
    assert_eq!(tsdb.timestamps("m0499"), [now, now + 1000]);

    let said = logs.with("for the sake of this series");
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].contains("series=m0500 status=400 said=out of order sample quarantine=None"),
        "{}",
        said[0]
    );
}

#[tokio::test]
async fn a_refused_series_is_quarantined_costs_no_requests_and_is_tried_again() {
    let logs = logs::collect();
    let now = young();
    let refuse = |series: &str, _| (series == "m0002").then_some((400, "this name is not welcome"));
    let tsdb = Tsdb::new(Manner::RollsBack).refusing(refuse);
    let server = serve(NOTHING).await;
    server.otherwise(tsdb.step());
    let queue = queue();
    let names = names(5);
    append_scrape(&queue, &scrape(&names, now));
    let running = start(config(&server.url("/")), &queue);
    running.until_done().await;
    let found = server.seen().len();
    for n in 1..=10 {
        append_scrape(&queue, &scrape(&names, now + n));
        running.until_done().await;
    }
    assert_eq!(server.seen().len(), found + 10);
    assert_eq!((running.rejected(Cause::Poison), running.rejected(Cause::Quarantined)), (1, 10));
    assert_eq!(running.sender.metrics.snapshot().quarantined_series, 1);

    // A minute later it is tried again, and again refused: that is not said a second time.
    pass(Duration::from_secs(61)).await;
    append_scrape(&queue, &scrape(&names, now + 11));
    running.until_done().await;
    assert_eq!((running.rejected(Cause::Poison), running.rejected(Cause::Quarantined)), (2, 10));
    let ledger = queue.ledger(0);
    assert_eq!((ledger.delivered, ledger.rejected), (4 * 12, 12));
    assert_eq!(tsdb.samples(), 4 * 12);
    let said = logs.with("for the sake of this series");
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("said=this name is not welcome quarantine=Some(60s)"), "{}", said[0]);
}

#[tokio::test]
async fn nothing_newer_of_a_series_overtakes_a_search() {
    let now = young();
    let refuse = |series: &str, timestamp: i64| {
        (series == "m0003" && timestamp % 10 == 1).then_some((400, "out of order sample"))
    };
    let tsdb = Tsdb::new(Manner::RollsBack).refusing(refuse);
    let server = serve(NOTHING).await;
    server.otherwise(tsdb.step());
    let queue = queue();
    let names = names(9);
    let base = now - now % 10;
    for n in 0..4 {
        append_scrape(&queue, &scrape(&names, base + n));
    }
    let running = start(config(&server.url("/")), &queue);
    running.until_done().await;
    assert_eq!(queue.ledger(0).rejected, 1);
    assert_eq!(tsdb.timestamps("m0003"), [base, base + 2, base + 3]);
    for name in names.iter().filter(|name| *name != "m0003") {
        assert_eq!(tsdb.timestamps(name), [base, base + 1, base + 2, base + 3]);
    }
}

#[tokio::test]
async fn an_answer_that_kept_the_good_part_is_final_booked_once_and_said_once() {
    for (code, text) in [
        (409, "add 1 samples: out of order sample"),
        (400, "err-mimir-sample-out-of-order"),
        (400, "user=a: err: out of order sample. timestamp=x, series={}"),
        (400, "sample invalid label: \"m0002\""),
        (400, "per-user series limit of 5 exceeded"),
    ] {
        let logs = logs::collect();
        let refuse = move |series: &str, _| (series == "m0002").then_some((code, text));
        let tsdb = Tsdb::new(Manner::KeepsTheGood).refusing(refuse);
        let server = serve(NOTHING).await;
        server.otherwise(tsdb.step());
        let queue = queue();
        append_scrape(&queue, &scrape(&names(5), young()));
        let running = start(config(&server.url("/")), &queue);
        running.until_done().await;
        assert_eq!(server.seen().len(), 1, "{text}");
        assert_eq!((queue.ledger(0).rejected, running.rejected(Cause::PartlyStored)), (5, 5), "{text}");
        assert_eq!(tsdb.samples(), 4);
        running.until("said", |_| !logs.with("refuses these samples for good").is_empty()).await;
        assert_eq!(logs.with("refuses these samples for good").len(), 1);
    }
}

#[tokio::test]
async fn what_every_half_would_share_is_not_searched() {
    for (code, text) in
        [(400, "snappy: corrupt input"), (400, "unexpected EOF"), (415, ""), (422, ""), (409, "")]
    {
        let server = serve([status(code).text(text)]).await;
        let queue = queue();
        append_scrape(&queue, &scrape(&names(5), young()));
        let running = start(config(&server.url("/")), &queue);
        running.until_done().await;
        assert_eq!((server.seen().len(), queue.ledger(0).rejected), (1, 5), "{code} {text}");
    }
}

#[tokio::test]
async fn a_receiver_that_refuses_everything_costs_few_requests() {
    let server = serve(NOTHING).await;
    server.otherwise(status(400).text("no"));
    let queue = queue();
    let names = names(1000);
    let now = young();
    append_scrape(&queue, &scrape(&names, now));
    let running = start(config(&server.url("/")), &queue);
    running.until_done().await;
    let first = server.seen().len();
    assert!(first <= 30, "{first} requests");
    append_scrape(&queue, &scrape(&names, now + 1));
    running.until_done().await;
    assert!(server.seen().len() <= first + 2, "{} requests", server.seen().len());
    assert_eq!(queue.ledger(0).rejected, 2000);
    // When it has changed its mind, all but what is in quarantine arrives.
    server.otherwise(status(204));
    append_scrape(&queue, &scrape(&names, now + 2));
    running.until_done().await;
    assert_eq!(queue.ledger(0).delivered, 1000 - running.sender.metrics.snapshot().quarantined_series);
    assert!(running.sender.metrics.snapshot().quarantined_series <= 8);
}

#[tokio::test]
async fn a_series_that_gets_500_for_ever_is_set_aside_when_others_get_through() {
    let logs = logs::collect();
    let refuse = |series: &str, _| (series == "m0041").then_some((500, "label name is not unique"));
    let tsdb = Tsdb::new(Manner::RollsBack).refusing(refuse);
    let server = serve(NOTHING).await;
    server.otherwise(tsdb.step());
    let queue = queue();
    let (names, now) = (names(100), young());
    append_scrape(&queue, &scrape(&names, now));
    append_scrape(&queue, &scrape(&names, now + 1));
    let running = start(config(&server.url("/")), &queue);
    running.until_done().await;
    let ledger = queue.ledger(0);
    assert_eq!((ledger.delivered, ledger.rejected), (198, 2));
    assert_eq!(running.rejected(Cause::Poison) + running.rejected(Cause::Quarantined), 2);
    assert_eq!(tsdb.samples(), 198);
    assert_eq!(tsdb.timestamps("m0099"), [now, now + 1]);
    let seen = server.seen();
    // Five times the same, the empty one, then smaller and smaller ones.
    assert!(seen[..5].iter().all(|request| request.body == seen[0].body));
    assert_eq!(&seen[5].body[..], [0]);
    assert!(timestamps(&seen[6]).len() < timestamps(&seen[0]).len());
    let said = logs.with("for the sake of this series");
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("series=m0041 status=500 said=label name is not unique"), "{}", said[0]);
}

#[tokio::test]
async fn many_series_that_get_500_for_ever_stop_neither_the_rest_nor_what_comes_after() {
    let refuse = |series: &str, _| (series.ends_with('0')).then_some((500, "label name is not unique"));
    let tsdb = Tsdb::new(Manner::RollsBack).refusing(refuse);
    let server = serve(NOTHING).await;
    server.otherwise(tsdb.step());
    let queue = queue();
    let (names, now) = (names(250), young());
    for scrape_number in 0..4 {
        append_scrape(&queue, &scrape(&names, now + scrape_number));
    }
    let quick = Config {
        min_backoff: Duration::from_millis(1),
        max_backoff: Duration::from_millis(2),
        ..config(&server.url("/"))
    };
    let running = start(quick, &queue);
    running.until_done().await;
    let ledger = queue.ledger(0);
    assert_eq!(ledger.delivered + ledger.rejected, 1_000);
    assert_eq!(tsdb.timestamps("m0249").last(), Some(&(now + 3)));
}

#[tokio::test]
async fn a_server_that_takes_nothing_but_empty_messages_loses_nothing() {
    let server = serve(NOTHING).await;
    let broken: crate::support::scripted::Judge =
        std::sync::Arc::new(|body| status(if body.len() == 1 { 204 } else { 500 }).into());
    server.otherwise(Step::Judge(broken));
    let queue = queue();
    let (names, now) = (names(20), young());
    append_scrape(&queue, &scrape(&names, now));
    let quick = Config { max_backoff: Duration::from_millis(5), ..config(&server.url("/")) };
    let running = start(quick, &queue);
    server.saw(80).await;
    let ledger = queue.ledger(0);
    assert_eq!((ledger.pending, ledger.rejected), (20, 0));
    let tsdb = Tsdb::new(Manner::RollsBack);
    server.otherwise(tsdb.step());
    append_scrape(&queue, &scrape(&names, now + 1));
    running.until_done().await;
    // Samples that were just being set aside at that moment may count as poison; no other is lost.
    let ledger = queue.ledger(0);
    assert_eq!(usize::try_from(ledger.delivered).unwrap(), tsdb.samples());
    assert!(ledger.rejected <= 7 + 7, "{ledger:?}");
}

#[tokio::test]
async fn a_lone_sample_with_500_waits_for_another_one_to_prove_that_the_server_is_well() {
    let refuse = |series: &str, _| (series == "m0000").then_some((500, "no"));
    let tsdb = Tsdb::new(Manner::RollsBack).refusing(refuse);
    let server = serve(NOTHING).await;
    server.otherwise(tsdb.step());
    let queue = queue();
    let now = young();
    append_scrape(&queue, &[("m0000", now)]);
    let running = start(config(&server.url("/")), &queue);
    // Five times, and an empty message.
    server.saw(6).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(queue.ledger(0).pending, 1);
    append_scrape(&queue, &[("m0001", now)]);
    running.until_done().await;
    assert_eq!((queue.ledger(0).delivered, running.rejected(Cause::Poison)), (1, 1));
}

#[tokio::test]
async fn samples_set_aside_have_a_last_chance_when_the_server_is_well_again() {
    // If what got through first is newer and of the same series, the chance is gone, and the series is not to blame.
    for (behind, rejected) in [([("m0001", 0), ("m0000", 1)], 0), ([("m0000", 1), ("m0001", 0)], 1)] {
        let well = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&well);
        let tsdb = Tsdb::new(Manner::RollsBack)
            .refusing(move |_, _| (!seen.load(Ordering::Relaxed)).then_some((500, "compacting")));
        let server = serve(NOTHING).await;
        server.otherwise(tsdb.step());
        let queue = queue();
        let now = young();
        append_scrape(&queue, &[("m0000", now)]);
        let running = start(config(&server.url("/")), &queue);
        server.saw(6).await;
        // Should it not be set aside yet, it is delivered as usual.
        tokio::time::sleep(Duration::from_millis(100)).await;
        well.store(true, Ordering::Relaxed);
        append_scrape(&queue, &behind.map(|(name, later)| (name, now + later)));
        running.until_done().await;
        append_scrape(&queue, &[("m0000", now + 2)]);
        running.until_done().await;
        let ledger = queue.ledger(0);
        assert_eq!((ledger.delivered, ledger.rejected), (4 - rejected, rejected));
        assert_eq!(tsdb.samples() as u64, ledger.delivered);
    }
}

#[tokio::test]
async fn a_server_down_for_all_is_never_searched() {
    for code in [502, 503, 504, 500] {
        let server = serve(NOTHING).await;
        server.otherwise(status(code));
        let queue = queue();
        append_scrape(&queue, &scrape(&names(20), young()));
        let running = start(config(&server.url("/")), &queue);
        let seen = server.saw(30).await;
        assert!(seen.iter().all(|request| request.body == seen[0].body || request.body[..] == [0]), "{code}");
        assert_eq!(queue.ledger(0).pending, 20);
        server.otherwise(status(204));
        running.until_done().await;
        assert_eq!(queue.ledger(0).delivered, 20);
    }
}

#[tokio::test]
async fn a_resend_after_a_lost_answer_is_the_same_and_goes_before_anything_newer_rw_1_13() {
    let tsdb = Tsdb::new(Manner::RollsBack);
    tsdb.lose(3);
    let server = serve(NOTHING).await;
    server.otherwise(tsdb.step());
    let queue = queue();
    let (names, now) = (names(10), young());
    append_scrape(&queue, &scrape(&names, now));
    let running = start(config(&server.url("/")), &queue);
    server.saw(1).await;
    append_scrape(&queue, &scrape(&names, now + 1));
    running.until_done().await;
    let seen = server.seen();
    assert_eq!(seen.len(), 5);
    assert!(seen[..4].iter().all(|request| request.body == seen[0].body));
    assert_eq!((queue.ledger(0).delivered, queue.ledger(0).rejected), (20, 0));
    assert!(names.iter().all(|name| tsdb.timestamps(name) == [now, now + 1]));
}

#[tokio::test]
async fn after_a_restart_with_a_lost_answer_what_was_stored_is_counted_and_stops_nothing_rw_1_13() {
    let tsdb = Tsdb::new(Manner::RollsBack);
    let server = serve(NOTHING).await;
    server.otherwise(tsdb.step());
    // What another process has sent without noting it down: two scrapes of each series.
    let (names, now) = (names(100), young());
    for sender in 0..2 {
        let queue = queue();
        for n in 0..2 {
            append_scrape(&queue, &scrape(&names, now + n));
        }
        if sender == 1 {
            append_scrape(&queue, &scrape(&names, now + 2));
        }
        let running = start(config(&server.url("/")), &queue);
        running.until_done().await;
        if sender == 1 {
            // The first scrape is out of order now, the second one a repetition, the third one new.
            let ledger = queue.ledger(0);
            assert_eq!((ledger.rejected, ledger.delivered), (100, 200));
        }
    }
    assert!(names.iter().all(|name| tsdb.timestamps(name) == [now, now + 1, now + 2]));
}
