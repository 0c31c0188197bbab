//! `REMOTE_WRITE_METADATA_*`: type, help and unit for an endpoint of 1.0, between its samples.

use std::sync::Arc;

use docker_remote_write::receiver::{Options, Receiver, Speaks};
use docker_remote_write::remote::{MetadataConfig, MetadataOutcome, ProtobufMessage};
use tokio::net::TcpListener;

use super::*;
use crate::support::logs;
use crate::support::scripted::{Answer, NOTHING, Scripted, Step, serve, status};

const HOUR: Duration = Duration::from_secs(3600);

fn every(interval: Duration) -> Option<MetadataConfig> {
    Some(MetadataConfig { interval, max_entries_per_send: 2_000 })
}

/// One record of a gauge for each of these names, with its help.
fn append_described(queue: &Queue, families: &[(&str, &str)], timestamp: i64) {
    let mut symbols = vec![String::new(), "__name__".to_owned()];
    let mut timeseries = Vec::new();
    for (name, help) in families {
        let first = u32::try_from(symbols.len()).unwrap();
        symbols.extend([(*name).to_owned(), (*help).to_owned()]);
        timeseries.push(v2::TimeSeries {
            labels_refs: vec![1, first],
            samples: vec![v2::Sample { value: 1.0, timestamp, start_timestamp: 0 }],
            metadata: Some(v2::Metadata { r#type: 2, help_ref: first + 1, unit_ref: 0 }),
            ..v2::TimeSeries::default()
        });
    }
    let record = v2::Request { symbols, timeseries };
    let payload = snap::raw::Encoder::new().compress_vec(&record.encode_to_vec()).unwrap();
    append_raw(queue, &vec![timestamp; families.len()], payload);
}

/// The families of a request that is metadata; it holds nothing else.
fn families(seen: &Seen) -> Option<Vec<String>> {
    let request = decode_v1(&seen.body, 64 << 20).unwrap();
    if request.metadata.is_empty() {
        assert!(!request.timeseries.is_empty(), "an empty request");
        return None;
    }
    assert!(request.timeseries.is_empty(), "{request:?}");
    Some(request.metadata.into_iter().map(|entry| entry.metric_family_name).collect())
}

/// What came, in its order: families of metadata, or the timestamps of samples.
fn story(server: &Scripted) -> Vec<Result<Vec<String>, Vec<i64>>> {
    server.seen().iter().map(|seen| families(seen).ok_or_else(|| timestamps(seen))).collect()
}

/// Answers like this to metadata, and 204 to samples.
fn to_metadata(step: impl Into<Step>) -> Step {
    let step = step.into();
    Step::Judge(Arc::new(move |body| {
        let request = decode_v1(body, 64 << 20).unwrap();
        if request.metadata.is_empty() { status(204).into() } else { step.clone() }
    }))
}

impl Running {
    fn metadata(&self, outcome: MetadataOutcome) -> u64 {
        self.sender.metrics.snapshot().metadata.get(&outcome).copied().unwrap_or_default()
    }
}

#[tokio::test]
async fn rw_1_07_metadata_follows_the_first_samples_that_are_taken_and_no_others_within_the_interval() {
    let server = serve([status(503), status(503)]).await;
    let queue = queue();
    append_described(&queue, &[("a", "first"), ("b", "second")], 1000);
    let running = start(Config { metadata: every(HOUR), ..config(&server.url("/")) }, &queue);
    let seen = server.saw(4).await;
    assert_eq!(families(&seen[3]), Some(vec!["a".to_owned(), "b".to_owned()]));
    let metadata = decode_v1(&seen[3].body, 1 << 20).unwrap().metadata;
    assert_eq!((metadata[0].r#type, metadata[0].help.as_str()), (2, "first"));
    // The same headers as with samples; a resend is none.
    assert_eq!(seen[3].line, seen[0].line);
    let without_length = |seen: &Seen| {
        seen.headers.iter().filter(|(name, _)| name != "content-length").cloned().collect::<Vec<_>>()
    };
    assert_eq!(without_length(&seen[3]), without_length(&seen[0]));
    running.until("counted", |running| running.metadata(MetadataOutcome::Accepted) == 1).await;
    for timestamp in [2000, 3000] {
        append_described(&queue, &[("a", "first"), ("b", "second")], timestamp);
        running.until_done().await;
    }
    let metadata = Ok(vec!["a".to_owned(), "b".to_owned()]);
    let samples = |timestamp| Err(vec![timestamp; 2]);
    let expected = [samples(1000), samples(1000), samples(1000), metadata, samples(2000), samples(3000)];
    assert_eq!(story(&server), expected);
    assert_eq!(running.metadata(MetadataOutcome::Accepted), 1);
    // Attempts are those of samples.
    assert_eq!((running.requests("204"), running.requests("503")), (3, 2));
}

#[tokio::test]
async fn rw_1_07_metadata_comes_again_after_each_interval_with_what_the_last_scrape_has() {
    let server = serve(NOTHING).await;
    let queue = queue();
    let running =
        start(Config { metadata: every(Duration::from_millis(20)), ..config(&server.url("/")) }, &queue);
    append_described(&queue, &[("a", ""), ("gone", "")], 1000);
    server.saw(2).await;
    let mut timestamp = 1000;
    // The interval is over sooner or later.
    while running.metadata(MetadataOutcome::Accepted) < 2 {
        timestamp += 1000;
        append_described(&queue, &[("a", ""), ("come", "")], timestamp);
        running.until_done().await;
        tokio::time::sleep(Duration::from_millis(2)).await;
        assert!(timestamp < 1_000_000, "{:?}", story(&server));
    }
    let all: Vec<_> = story(&server).into_iter().flatten().collect();
    assert_eq!(all[..2], [["a", "gone"], ["a", "come"]]);
}

#[tokio::test]
async fn what_is_beyond_ten_thousand_families_is_left_out_counted_and_said() {
    let logs = logs::collect();
    let server = serve(NOTHING).await;
    let queue = queue();
    let names: Vec<String> = (0..10_007).map(|number| format!("family_{number}")).collect();
    for names in names.chunks(2_000) {
        let families: Vec<_> = names.iter().map(|name| (name.as_str(), "")).collect();
        append_described(&queue, &families, 1000);
    }
    let running = start(Config { metadata: every(HOUR), ..config(&server.url("/")) }, &queue);
    let all_sent = |running: &Running| running.metadata(MetadataOutcome::Accepted) == 5;
    running.until("metadata was sent", all_sent).await;
    assert_eq!(running.sender.metrics.snapshot().metadata_left_out, 7);
    assert_eq!(logs.with("too many families").len(), 1);
    assert_eq!(queue.ledger(0).delivered, 10_007);
}

#[tokio::test]
async fn an_endpoint_of_2_0_and_one_that_wants_none_get_none() {
    let written = || -> Answer { status(204).header("X-Prometheus-Remote-Write-Samples-Written", "1") };
    let wants =
        |message, metadata, server: &Scripted| Config { message, metadata, ..config(&server.url("/")) };
    for (message, metadata) in [(ProtobufMessage::V2, every(HOUR)), (ProtobufMessage::V1, None)] {
        let server = serve(NOTHING).await;
        server.otherwise(written());
        let queue = queue();
        let running = start(wants(message, metadata, &server), &queue);
        for timestamp in [1000, 2000, 3000] {
            append_described(&queue, &[("a", "help")], timestamp);
            running.until_done().await;
        }
        // One that had been under way would be in front of the last.
        assert_eq!(server.seen().len(), 3);
        assert!(running.sender.metrics.snapshot().metadata.is_empty());
    }
}

#[tokio::test]
async fn series_that_tell_nothing_make_no_request() {
    let server = serve(NOTHING).await;
    let queue = queue();
    let running = start(Config { metadata: every(HOUR), ..config(&server.url("/")) }, &queue);
    for timestamp in [1000, 2000] {
        append(&queue, &[timestamp]);
        running.until_done().await;
    }
    assert_eq!(server.seen().len(), 2);
    // What has something to tell is not a whole interval late for it.
    append_described(&queue, &[("a", "help")], 3000);
    assert_eq!(families(&server.saw(4).await[3]), Some(vec!["a".to_owned()]));
}

#[tokio::test]
async fn a_refusal_is_final_until_the_next_interval_counted_said_once_and_costs_no_sample() {
    for (step, outcome) in [
        (Step::from(status(400).text("no such field")), MetadataOutcome::Refused),
        (status(503).header("retry-after", "600").into(), MetadataOutcome::Refused),
        (Step::Reset, MetadataOutcome::Failed),
    ] {
        let logs = logs::collect();
        let server = serve(NOTHING).await;
        server.otherwise(to_metadata(step));
        let queue = queue();
        let millisecond = every(Duration::from_millis(1));
        let running = start(Config { metadata: millisecond, ..config(&server.url("/")) }, &queue);
        let mut timestamp = 0;
        while running.metadata(outcome) < 3 {
            timestamp += 1000;
            append_described(&queue, &[("a", "help")], timestamp);
            running.until_done().await;
            tokio::time::sleep(Duration::from_millis(2)).await;
            assert!(timestamp < 1_000_000);
        }
        let ledger = queue.ledger(0);
        assert_eq!((ledger.delivered, ledger.rejected), (timestamp as u64 / 1000, 0));
        assert_eq!(running.sender.metrics.snapshot().samples_retried, 0);
        assert!(running.sender.metrics.snapshot().up);
        assert_eq!(logs.with("does not take metadata").len(), 1);
        // Each sample once: there is no resend behind a refusal.
        let samples: Vec<_> = story(&server).into_iter().filter_map(Result::err).flatten().collect();
        assert_eq!(samples, (1..=timestamp / 1000).map(|n| n * 1000).collect::<Vec<_>>());
        server.otherwise(status(204));
        while running.metadata(MetadataOutcome::Accepted) < 1 {
            timestamp += 1000;
            append_described(&queue, &[("a", "help")], timestamp);
            running.until_done().await;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        assert_eq!(logs.with("takes metadata again").len(), 1);
    }
}

#[tokio::test]
async fn samples_do_not_wait_for_metadata_that_is_not_answered() {
    let server = serve(NOTHING).await;
    server.otherwise(to_metadata(Step::Hang));
    let queue = queue();
    let running = start(Config { metadata: every(HOUR), ..config(&server.url("/")) }, &queue);
    append_described(&queue, &[("a", "help")], 1000);
    let seen = server.saw(2).await;
    assert!(families(&seen[1]).is_some());
    // Its time-out would be 30 s.
    append_described(&queue, &[("a", "help")], 2000);
    running.until_done().await;
    assert_eq!(timestamps(&server.saw(3).await[2]), [2000]);
    assert_eq!(running.metadata(MetadataOutcome::GivenUp), 1);
    assert_eq!((queue.ledger(0).delivered, running.sender.metrics.snapshot().samples_retried), (2, 0));
}

#[tokio::test]
async fn metadata_waits_for_the_end_of_a_backlog_and_is_that_of_the_newest_scrape() {
    let server = serve(NOTHING).await;
    let queue = queue();
    for timestamp in [1000, 2000, 3000] {
        append_described(&queue, &[("old", "")], timestamp);
    }
    // Two records of one scrape.
    append_described(&queue, &[("a", ""), ("b", "")], 4000);
    append_described(&queue, &[("c", "")], 4000);
    let small = Config { max_samples_per_send: 1, metadata: every(HOUR), ..config(&server.url("/")) };
    let _running = start(small, &queue);
    server.saw(7).await;
    let families = Ok(["a", "b", "c"].map(str::to_owned).to_vec());
    let mut expected: Vec<_> = [1000, 2000, 3000, 4000, 4000, 4000].map(|at| Err(vec![at])).to_vec();
    expected.push(families);
    assert_eq!(story(&server), expected);
}

#[tokio::test]
async fn a_request_of_metadata_has_no_more_entries_than_the_block_says() {
    let server = serve(NOTHING).await;
    let queue = queue();
    let two = Some(MetadataConfig { interval: HOUR, max_entries_per_send: 2 });
    append_described(&queue, &[("a", ""), ("b", ""), ("c", "")], 1000);
    let running = start(Config { metadata: two, ..config(&server.url("/")) }, &queue);
    server.saw(3).await;
    let of = |names: &[&str]| Ok(names.iter().map(|name| (*name).to_owned()).collect());
    assert_eq!(story(&server), [Err(vec![1000; 3]), of(&["a", "b"]), of(&["c"])]);
    running.until("counted", |running| running.metadata(MetadataOutcome::Accepted) == 2).await;
}

#[tokio::test]
async fn rw_1_07_a_strict_receiver_of_1_0_alone_finds_no_fault() {
    let receiver = Receiver::new(Options::default());
    receiver.speak(Speaks::V1);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/api/v1/write", listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    let _ended = stop.clone().drop_guard();
    let serving = receiver.clone();
    tokio::spawn(async move { serving.serve(listener, stop).await });
    // Asked for 2.0, it says 415 first.
    for (message, families) in [
        (ProtobufMessage::Auto, [("engine_cpus", "cpus"), ("engine_uptime", "since its start")]),
        (ProtobufMessage::V1, [("engine.memory", "bytes"), ("engine_cpus", "all of them")]),
    ] {
        let queue = queue();
        append_described(&queue, &families, young());
        let running = start(Config { message, metadata: every(HOUR), ..config(&url) }, &queue);
        running.until("taken", |running| running.metadata(MetadataOutcome::Accepted) == 1).await;
    }
    receiver.read(|state| {
        assert_eq!(state.violation_count, 0, "{:?}", state.violations);
        assert_eq!(state.metadata["engine_memory"].help, "bytes");
        assert_eq!(state.metadata["engine_cpus"].help, "all of them");
        assert_eq!(state.metadata["engine_uptime"].metric_type, 2);
        assert_eq!(state.store.series(), 3);
    });
}
