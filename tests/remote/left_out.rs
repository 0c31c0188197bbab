//! What an endpoint is not sent: by its settings, or because 1.0 has no place for it. Counted in the ledger, said once.

use std::time::Instant;

use docker_remote_write::remote::{Cause, Names, ProtobufMessage};
use docker_remote_write::scrape::{HistogramForms, Ingest, Rules};
use docker_remote_write::wire::decode::decode_v2;
use docker_remote_write::wire::{Limits, RecordEncoder, Scrape};

use super::*;
use crate::support::logs;
use crate::support::scripted::{NOTHING, Step, serve, status};
use crate::support::tsdb::{Manner, Tsdb};

/// One record: a sample with an exemplar, and a native histogram of each of these schemas.
fn append_mixed(queue: &Queue, timestamp: i64, schemas: &[i32]) {
    let symbols = ["", "__name__", "plain", "native", "trace_id", "x"].map(str::to_owned).to_vec();
    let exemplar = v2::Exemplar { labels_refs: vec![4, 5], value: 1.0, timestamp };
    let mut timeseries = vec![v2::TimeSeries {
        labels_refs: vec![1, 2],
        samples: vec![v2::Sample { value: 1.0, timestamp, start_timestamp: 0 }],
        exemplars: vec![exemplar],
        ..v2::TimeSeries::default()
    }];
    for (at, schema) in (0_u32..).zip(schemas) {
        let histogram = v2::Histogram { schema: *schema, timestamp, sum: 1.5, ..v2::Histogram::default() };
        timeseries.push(v2::TimeSeries {
            // Distinct by the value of a label.
            labels_refs: vec![1, 3, 4, if at == 0 { 2 } else { 5 }],
            histograms: vec![histogram],
            ..v2::TimeSeries::default()
        });
    }
    let count = timeseries.len();
    let record = v2::Request { symbols, timeseries };
    let payload = snap::raw::Encoder::new().compress_vec(&record.encode_to_vec()).unwrap();
    append_raw(queue, &vec![timestamp; count], payload);
}

/// Series, histograms and exemplars of a request.
fn held(seen: &Seen, message: ProtobufMessage) -> (usize, usize, usize) {
    let sum = |counts: Vec<(usize, usize)>| {
        counts.iter().fold((counts.len(), 0, 0), |sum, (h, e)| (sum.0, sum.1 + h, sum.2 + e))
    };
    if message == ProtobufMessage::V1 {
        let request = decode_v1(&seen.body, 1 << 20).unwrap();
        return sum(request.timeseries.iter().map(|s| (s.histograms.len(), s.exemplars.len())).collect());
    }
    let request = decode_v2(&seen.body, 1 << 20).unwrap();
    sum(request.timeseries.iter().map(|s| (s.histograms.len(), s.exemplars.len())).collect())
}

fn written() -> Step {
    status(204).header("X-Prometheus-Remote-Write-Samples-Written", "1").into()
}

#[tokio::test]
async fn native_histograms_that_are_switched_off_are_counted_and_said_once_in_both_versions() {
    for message in [ProtobufMessage::V1, ProtobufMessage::V2] {
        let logs = logs::collect();
        let server = serve(NOTHING).await;
        server.otherwise(written());
        let queue = queue();
        let off = Config { message, send_native_histograms: false, ..config(&server.url("/")) };
        let running = start(off, &queue);
        for timestamp in [1000, 2000] {
            append_mixed(&queue, timestamp, &[3, -53]);
            running.until_done().await;
        }
        for seen in server.seen() {
            assert_eq!(held(&seen, message), (1, 0, 1));
        }
        assert_eq!(running.rejected(Cause::NativeHistogram), 4);
        let ledger = queue.ledger(0);
        assert_eq!((ledger.appended, ledger.delivered, ledger.rejected), (6, 2, 4));
        let said = logs.with("reason=native_histograms_off");
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(
            said[0].contains("native{trace_id=\\\"plain\\\"}") || said[0].contains("native{"),
            "{}",
            said[0]
        );
    }
}

#[tokio::test]
async fn rw_2_15_exemplars_that_are_switched_off_stay_away_and_their_samples_arrive() {
    for message in [ProtobufMessage::V1, ProtobufMessage::V2] {
        for (send_exemplars, exemplars) in [(true, 1), (false, 0)] {
            let server = serve(NOTHING).await;
            server.otherwise(written());
            let queue = queue();
            append_mixed(&queue, 1000, &[3]);
            let running = start(Config { message, send_exemplars, ..config(&server.url("/")) }, &queue);
            running.until_done().await;
            assert_eq!(held(&server.seen()[0], message), (2, 1, exemplars));
            assert_eq!(queue.ledger(0).delivered, 2);
        }
    }
}

#[tokio::test]
async fn rw_2_24_custom_buckets_are_dropped_from_1_0_counted_and_said_once() {
    let logs = logs::collect();
    let server = serve(NOTHING).await;
    let queue = queue();
    let running = start(config(&server.url("/")), &queue);
    for timestamp in [1000, 2000] {
        append_mixed(&queue, timestamp, &[-53, 3]);
        running.until_done().await;
    }
    for seen in server.seen() {
        assert_eq!(held(&seen, ProtobufMessage::V1), (2, 1, 1));
    }
    assert_eq!(running.rejected(Cause::CustomBuckets), 2);
    let ledger = queue.ledger(0);
    assert_eq!((ledger.delivered, ledger.rejected), (4, 2));
    assert_eq!(logs.with("reason=nhcb_in_1_0").len(), 1);
    // In the middle of a larger request, and as its end: 2.0 has all of them.
    let server = serve(NOTHING).await;
    server.otherwise(written());
    let queue = queue_with(&[(1000, &[-53, 3]), (2000, &[3, -53])]);
    let running = start(Config { message: ProtobufMessage::V2, ..config(&server.url("/")) }, &queue);
    running.until_done().await;
    assert_eq!(held(&server.seen()[0], ProtobufMessage::V2), (6, 4, 2));
}

#[tokio::test]
async fn rw_2_16_and_2_24_the_ends_of_series_with_custom_buckets_stop_no_receiver_of_1_0() {
    const WIDE: Limits = Limits { max_samples: 2_000, max_bytes: 1 << 20 };
    let tsdb = Tsdb::new(Manner::RollsBack).without_native_histograms();
    let server = serve(NOTHING).await;
    server.otherwise(tsdb.step());
    let queue = queue();
    let running = start(config(&server.url("/")), &queue);
    let mut ingest = Ingest::new(Rules { histograms: HistogramForms::CONVERTED, ..Rules::default() });
    let mut encoder = RecordEncoder::new(WIDE);
    let mut classic = "# TYPE h histogram\n".to_owned();
    for n in 0..12 {
        classic.push_str(&format!("h_bucket{{n=\"{n}\",le=\"1\"}} 1\nh_count{{n=\"{n}\"}} 1\n"));
    }
    for (number, more) in [classic.as_str(), "", ""].into_iter().enumerate() {
        let at = young() + i64::try_from(number).unwrap();
        ingest.scrape(Ok(format!("a 1\n{more}b 1\n").as_bytes()), at, Instant::now());
        let (samples, exemplars, histograms) = (ingest.samples(), ingest.exemplars(), ingest.histograms());
        let scrape = Scrape { samples, exemplars, histograms };
        let timestamps: Vec<_> = samples.iter().map(|sample| sample.timestamp).collect();
        let keep = |_, payload: &[u8]| {
            append_raw(&queue, &timestamps, payload.to_vec());
        };
        encoder.encode_packed(&scrape, |slot| ingest.describe(slot), keep);
        running.until_done().await;
    }
    let ledger = queue.ledger(0);
    assert_eq!((ledger.delivered, ledger.rejected), (6, 24));
    assert_eq!(running.rejected(Cause::CustomBuckets), 24);
    assert_eq!(server.seen().len(), 3, "none was refused");
}

fn queue_with(records: &[(i64, &[i32])]) -> Queue {
    let queue = queue();
    records.iter().for_each(|(timestamp, schemas)| append_mixed(&queue, *timestamp, schemas));
    queue
}

#[tokio::test]
async fn what_is_left_out_is_booked_in_its_place_whatever_the_size_of_requests_and_however_often_they_go() {
    for max_samples_per_send in 1..5 {
        let server = serve([status(503), status(204), status(500), status(503)]).await;
        let queue = queue_with(&[(1000, &[-53, 3]), (2000, &[-53]), (3000, &[3, -53])]);
        let small = Config { max_samples_per_send, ..config(&server.url("/")) };
        let running = start(small, &queue);
        running.until_done().await;
        let ledger = queue.ledger(0);
        assert_eq!((ledger.delivered, ledger.rejected, ledger.pending), (5, 3, 0));
        assert_eq!(running.rejected(Cause::CustomBuckets), 3);
    }
}

#[tokio::test]
async fn a_record_of_nothing_that_may_be_sent_costs_no_request() {
    let server = serve(NOTHING).await;
    let queue = queue();
    let off = Config { names: Names::Dropped, ..config(&server.url("/")) };
    append_scrape(&queue, &[("a.b", 1000), ("b.c", 1000)]);
    let running = start(off, &queue);
    running.until_done().await;
    assert_eq!((server.seen().len(), running.rejected(Cause::Utf8Name)), (0, 2));
    append_scrape(&queue, &[("a", 2000), ("b.c", 2000)]);
    running.until_done().await;
    assert_eq!(timestamps(&server.seen()[0]), [2000]);
    assert_eq!((queue.ledger(0).delivered, queue.ledger(0).rejected), (1, 3));
}

#[tokio::test]
async fn rw_4_24_names_are_escaped_for_1_0_and_stay_for_2_0() {
    let labels = [(vec![("__name__", "engine.pulls"), ("http.status", "2")], 1000)];
    let server = serve(NOTHING).await;
    let queue = queue();
    append_labelled(&queue, &labels);
    let running = start(config(&server.url("/")), &queue);
    running.until_done().await;
    let request = decode_v1(&server.seen()[0].body, 1 << 20).unwrap();
    let sent: Vec<_> = request.timeseries[0]
        .labels
        .iter()
        .map(|label| (label.name.as_str(), label.value.as_str()))
        .collect();
    assert_eq!(sent, [("__name__", "engine_pulls"), ("http_status", "2")]);

    let server = serve(NOTHING).await;
    server.otherwise(written());
    let queue = super::queue();
    append_labelled(&queue, &labels);
    let running = start(Config { message: ProtobufMessage::V2, ..config(&server.url("/")) }, &queue);
    running.until_done().await;
    let symbols = decode_v2(&server.seen()[0].body, 1 << 20).unwrap().symbols;
    assert!(symbols.iter().any(|symbol| symbol == "engine.pulls"), "{symbols:?}");
}

#[tokio::test]
async fn rw_1_12_series_that_cannot_be_escaped_are_dropped_counted_by_reason_and_said_once() {
    let logs = logs::collect();
    let server = serve(NOTHING).await;
    let queue = queue();
    let running = start(config(&server.url("/")), &queue);
    for timestamp in [1000, 2000, 3000] {
        let scrape = [
            (vec![("__name__", "good")], timestamp),
            (vec![("__name__", "m"), ("a.b", "1"), ("a_b", "2")], timestamp),
            (vec![("__name__", "x_y")], timestamp),
            (vec![("__name__", "x.y")], timestamp),
        ];
        append_labelled(&queue, &scrape);
        running.until_done().await;
    }
    for seen in server.seen() {
        assert_eq!(timestamps(&seen).len(), 2);
    }
    let ledger = queue.ledger(0);
    assert_eq!((ledger.delivered, ledger.rejected), (6, 6));
    for (cause, series) in [(Cause::LabelClash, "m{"), (Cause::SeriesClash, "x.y")] {
        assert_eq!(running.rejected(cause), 3);
        let said = logs.with(&format!("reason={} ", cause.word()));
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].contains(series), "{}", said[0]);
    }
}
