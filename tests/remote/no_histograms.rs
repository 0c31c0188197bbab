//! A receiver that refuses every request with a native histogram in it, with 500 (a Prometheus for which they are switched off): all other
//! samples arrive, whatever the order and number of these.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use docker_remote_write::remote::{Cause, Config};

use super::*;
use crate::support::logs;
use crate::support::scripted::{Judge, NOTHING, Step, serve, status};
use crate::support::tsdb::{Manner, Tsdb};

/// One record: so many samples, native histograms, and samples again.
fn append_mixed(queue: &Queue, timestamp: i64, (front, histograms, back): (u32, u32, u32)) {
    let mut symbols = vec![String::new(), "__name__".to_owned()];
    let mut timeseries = Vec::new();
    for number in 0..front + histograms + back {
        symbols.push(format!("m{number:03}"));
        let mut series = v2::TimeSeries { labels_refs: vec![1, 2 + number], ..v2::TimeSeries::default() };
        if (front..front + histograms).contains(&number) {
            series.histograms = vec![v2::Histogram { timestamp, sum: 1.5, ..v2::Histogram::default() }];
        } else {
            series.samples = vec![v2::Sample { value: 1.0, timestamp, start_timestamp: 0 }];
        }
        timeseries.push(series);
    }
    let count = timeseries.len();
    let record = v2::Request { symbols, timeseries };
    let payload = snap::raw::Encoder::new().compress_vec(&record.encode_to_vec()).unwrap();
    append_raw(queue, &vec![timestamp; count], payload);
}

fn fast(url: &str) -> Config {
    Config { min_backoff: Duration::from_millis(1), max_backoff: Duration::from_millis(2), ..config(url) }
}

#[tokio::test]
async fn histograms_that_get_500_for_ever_stop_no_other_sample() {
    for shape in [(20, 20, 20), (0, 20, 1), (1, 7, 1)] {
        let tsdb = Tsdb::new(Manner::RollsBack).without_native_histograms();
        let server = serve(NOTHING).await;
        server.otherwise(tsdb.step());
        let queue = queue();
        let now = young();
        append_mixed(&queue, now, shape);
        append_mixed(&queue, now + 1, shape);
        let running = start(fast(&server.url("/")), &queue);
        running.until_done().await;
        append_mixed(&queue, now + 2, shape);
        running.until_done().await;
        let (front, histograms, back) = shape;
        let ledger = queue.ledger(0);
        let expected = (u64::from(3 * (front + back)), u64::from(3 * histograms));
        assert_eq!((ledger.delivered, ledger.rejected), expected, "{shape:?}");
        assert_eq!(running.rejected(Cause::Poison) + running.rejected(Cause::Quarantined), expected.1);
        assert_eq!(tsdb.samples() as u64, ledger.delivered);
    }
}

#[tokio::test]
async fn they_are_quarantined_together_and_a_try_after_that_costs_little() {
    const SHAPE: (u32, u32, u32) = (2, 30, 3);
    let logs = logs::collect();
    let tsdb = Tsdb::new(Manner::RollsBack).without_native_histograms();
    let server = serve(NOTHING).await;
    server.otherwise(tsdb.step());
    let queue = queue();
    let now = young();
    let running = start(fast(&server.url("/")), &queue);
    append_mixed(&queue, now, SHAPE);
    running.until_done().await;
    let found = server.seen().len();
    append_mixed(&queue, now + 1, SHAPE);
    running.until_done().await;
    assert_eq!(server.seen().len(), found + 1);
    assert_eq!(running.rejected(Cause::Quarantined), 30);

    for (minutes, is_well) in [(1, false), (2, true)] {
        if is_well {
            server.otherwise(status(204));
        }
        pass(Duration::from_secs(60 * minutes + 1)).await;
        let (requests, before) = (server.seen().len(), queue.ledger(0));
        append_mixed(&queue, now + 1 + i64::try_from(minutes).unwrap(), SHAPE);
        running.until_done().await;
        let ledger = queue.ledger(0);
        let went = (ledger.delivered - before.delivered, ledger.rejected - before.rejected);
        assert_eq!(went, if is_well { (35, 0) } else { (5, 30) });
        assert!(server.seen().len() - requests < found - 7, "{found} at first");
    }
    let said = logs.with("for the sake of native histograms");
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("said=native histograms are disabled quarantine=Some(60s)"), "{}", said[0]);
}

/// The server is well again just when others are to tell whether it is.
#[tokio::test]
async fn a_server_that_was_ill_for_everything_gets_the_histograms_after_all() {
    let well = Arc::new(AtomicBool::new(false));
    let heals: Judge = Arc::new(move |body| {
        let request = decode_v1(body, 1 << 20).unwrap();
        let holds_one = request.timeseries.iter().any(|series| !series.histograms.is_empty());
        if !holds_one && !request.timeseries.is_empty() {
            well.store(true, Ordering::Relaxed);
        }
        let is_well = well.load(Ordering::Relaxed) || request.timeseries.is_empty();
        status(if is_well { 204 } else { 500 }).into()
    });
    let server = serve(NOTHING).await;
    server.otherwise(Step::Judge(heals));
    let queue = queue();
    append_mixed(&queue, young(), (0, 20, 5));
    let running = start(fast(&server.url("/")), &queue);
    running.until_done().await;
    let ledger = queue.ledger(0);
    assert_eq!((ledger.delivered, ledger.rejected), (25, 0));
    assert_eq!(running.sender.metrics.snapshot().quarantined_series, 0);
}

#[tokio::test]
async fn a_server_that_is_ill_for_everything_loses_no_histogram() {
    let server = serve(NOTHING).await;
    let broken: Judge = Arc::new(|body| status(if body.len() == 1 { 204 } else { 500 }).into());
    server.otherwise(Step::Judge(broken));
    let queue = queue();
    append_mixed(&queue, young(), (0, 20, 20));
    let running = start(fast(&server.url("/")), &queue);
    // Twice through both searches.
    server.saw(200).await;
    assert_eq!((queue.ledger(0).pending, queue.ledger(0).rejected), (40, 0));
    server.otherwise(status(204));
    running.until_done().await;
    assert_eq!((queue.ledger(0).delivered, queue.ledger(0).rejected), (40, 0));
}
