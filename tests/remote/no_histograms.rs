//! A receiver that refuses every request with a native histogram in it, with 500 (a Prometheus for which they are switched off): all other
//! samples arrive, whatever the order and number of these.

use std::time::Duration;

use docker_remote_write::remote::{Cause, Config};

use super::*;
use crate::support::scripted::{NOTHING, serve};
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
