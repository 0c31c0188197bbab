//! Which message an endpoint is sent (receivers section 5): 2.0 first, 1.0 where that is not taken, and nothing lost on the way.

use docker_remote_write::remote::{Learned, ProtobufMessage, Version};
use docker_remote_write::wire::decode::{decode_v1, decode_v2};

use super::*;
use crate::support::scripted::{Answer, NOTHING, Scripted, serve, status};

const MAX: usize = 64 << 20;

pub(super) fn auto(server: &Scripted) -> Config {
    Config { message: ProtobufMessage::Auto, ..config(&server.url("/w")) }
}

pub(super) fn written(code: u16, samples: u64) -> Answer {
    status(code).header("X-Prometheus-Remote-Write-Samples-Written", samples.to_string())
}

/// The version of a request by what is in it, and its timestamps.
pub(super) fn read(body: &[u8]) -> (Version, Vec<i64>) {
    let v1: Vec<i64> = decode_v1(body, MAX)
        .map(|request| {
            request.timeseries.iter().flat_map(|series| &series.samples).map(|s| s.timestamp).collect()
        })
        .unwrap_or_default();
    if !v1.is_empty() {
        return (Version::V1, v1);
    }
    let v2 = decode_v2(body, MAX).unwrap();
    assert_eq!(v2.symbols[0], "");
    (Version::V2, v2.timeseries.iter().flat_map(|series| &series.samples).map(|s| s.timestamp).collect())
}

fn versions(server: &Scripted) -> Vec<(Version, Vec<i64>)> {
    server.seen().iter().map(|seen| read(&seen.body)).collect()
}

pub(super) fn assert_headers(seen: &Seen) {
    let (content_type, version) = match read(&seen.body).0 {
        Version::V1 => ("application/x-protobuf", "0.1.0"),
        Version::V2 => ("application/x-protobuf;proto=io.prometheus.write.v2.Request", "2.0.0"),
    };
    assert_eq!(seen.header("content-type").as_deref(), Some(content_type));
    assert_eq!(seen.header("x-prometheus-remote-write-version").as_deref(), Some(version));
    assert_eq!(seen.header("content-encoding").as_deref(), Some("snappy"));
}

#[tokio::test]
async fn rw_2_01_and_2_03_and_2_04_a_receiver_of_2_0_gets_records_untouched() {
    let server = serve([written(204, 3)]).await;
    server.otherwise(written(204, 1));
    let queue = queue();
    let now = young();
    append(&queue, &[now, now + 1, now + 2]);
    let payload = queue.read(0).await.unwrap().unwrap().payload;
    let running = start(auto(&server), &queue);
    running.until_done().await;
    assert_eq!(server.seen()[0].body, payload, "byte for byte");
    append(&queue, &[now + 3]);
    running.until_done().await;
    assert_eq!(versions(&server), [(Version::V2, vec![now, now + 1, now + 2]), (Version::V2, vec![now + 3])]);
    server.seen().iter().for_each(assert_headers);
    assert_eq!(*running.sender.learned.borrow(), Learned::V2);
    let metrics = running.sender.metrics.snapshot();
    assert_eq!((metrics.version, metrics.samples_unconfirmed), (Some(Version::V2), 0));
}

#[tokio::test]
async fn rw_2_18_and_2_20_a_receiver_of_1_0_gets_the_same_samples_at_once_and_then_1_0_only() {
    for first in [
        status(415),
        status(204),
        status(200),
        status(400),
        status(404),
        status(405),
        status(406),
        status(501),
    ] {
        let said = format!("{first:?}");
        let server = serve([first]).await;
        let queue = queue();
        let now = young();
        append(&queue, &[now, now + 1]);
        // A wait would be seen as a deadline missed.
        let slow = Config { min_backoff: DEADLINE, max_backoff: DEADLINE, ..auto(&server) };
        let running = start(slow, &queue);
        running.until_done().await;
        append(&queue, &[now + 2]);
        running.until_done().await;
        let both = vec![now, now + 1];
        let expected = [(Version::V2, both.clone()), (Version::V1, both), (Version::V1, vec![now + 2])];
        assert_eq!(versions(&server), expected, "{said}");
        server.seen().iter().for_each(assert_headers);
        assert!(matches!(*running.sender.learned.borrow(), Learned::V1 { .. }));
        let ledger = queue.ledger(0);
        assert_eq!((ledger.delivered, ledger.rejected), (3, 0));
    }
}

#[tokio::test]
async fn what_is_remembered_is_not_asked_again_before_a_day_is_over() {
    for (age, first) in [(0, Version::V1), (23, Version::V1), (25, Version::V2)] {
        let server = serve(NOTHING).await;
        let queue = queue();
        append(&queue, &[young()]);
        let learned = Learned::V1 { since: young() - age * 3_600_000 };
        let running = start_with(auto(&server), &queue, Tuning { learned, ..quick() });
        running.until_done().await;
        assert_eq!(versions(&server)[0].0, first, "after {age} hours");
    }
}

#[tokio::test]
async fn rw_2_19_written_counts_are_compared_and_decide_nothing() {
    // Cortex: another replica is elected; Mimir: less is counted than was sent.
    let server = serve([written(202, 0), written(204, 1)]).await;
    let queue = queue();
    let now = young();
    let running = start(auto(&server), &queue);
    append(&queue, &[now, now + 1]);
    running.until_done().await;
    append(&queue, &[now + 2, now + 3]);
    running.until_done().await;
    assert_eq!(server.seen().len(), 2);
    assert_eq!(running.sender.metrics.snapshot().samples_unconfirmed, 3);
    assert_eq!(queue.ledger(0).delivered, 4);
}

#[tokio::test]
async fn a_pinned_2_0_is_held_and_loses_nothing_where_it_is_not_taken() {
    let server = serve([status(415), status(204)]).await;
    server.otherwise(written(204, 2));
    let queue = queue();
    let now = young();
    append(&queue, &[now, now + 1]);
    let pinned = Config { message: ProtobufMessage::V2, ..auto(&server) };
    let running = start(pinned, &queue);
    running.until_done().await;
    assert_eq!(versions(&server), vec![(Version::V2, vec![now, now + 1]); 3]);
    assert_eq!(queue.ledger(0).delivered, 2);
}
