//! Requests that are refused for their size: sent in pieces, and none so large again.

use docker_remote_write::remote::{Cause, Config};

use super::{append_labelled, append_scrape, config, queue, start, timestamps, young};
use crate::support::logs;
use crate::support::scripted::{NOTHING, Step, serve, status};
use crate::support::tsdb::{Manner, Tsdb};

fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("m{n:04}")).collect()
}

#[tokio::test]
async fn a_refusal_for_the_size_halves_the_request_and_the_limit_is_remembered() {
    for (code, text) in [
        (413, "write request too large"),
        (400, "received message larger than max (9 vs 8)"),
        (400, "decoded size exceeds the 2000 bytes limit"),
        (400, "too big unpacked request"),
        (400, "err-mimir-distributor-max-write-message-size"),
    ] {
        let logs = logs::collect();
        let tsdb = Tsdb::new(Manner::RollsBack).up_to(2000, code, text);
        let server = serve(NOTHING).await;
        server.otherwise(tsdb.step());
        let queue = queue();
        let (names, now) = (names(500), young());
        let scrape = |at| names.iter().map(|name| (name.as_str(), at)).collect::<Vec<_>>();
        append_scrape(&queue, &scrape(now));
        let running = start(config(&server.url("/")), &queue);
        running.until_done().await;
        let refused = running.requests(&code.to_string());
        assert!((1..=5).contains(&refused), "{refused}");
        append_scrape(&queue, &scrape(now + 1));
        running.until_done().await;
        // No second look for the limit.
        assert_eq!(running.requests(&code.to_string()), refused);
        assert_eq!((queue.ledger(0).delivered, tsdb.samples()), (1000, 1000));
        let metrics = running.sender.metrics.snapshot();
        assert_eq!(metrics.requests_split, refused);
        assert!((1000..=2000).contains(&metrics.request_max_bytes), "{}", metrics.request_max_bytes);
        assert_eq!(logs.with("for its size").len() as u64, refused);
    }
}

#[tokio::test]
async fn a_single_sample_that_is_too_large_is_rejected_and_the_limit_stays() {
    let tsdb = Tsdb::new(Manner::RollsBack).up_to(2000, 413, "too large");
    let server = serve(NOTHING).await;
    server.otherwise(tsdb.step());
    let queue = queue();
    let now = young();
    let long = "x".repeat(5000);
    let mut samples = vec![(vec![("__name__", "a")], now), (vec![("__name__", "b"), ("l", &long)], now)];
    samples.push((vec![("__name__", "c")], now));
    append_labelled(&queue, &samples);
    let running = start(config(&server.url("/")), &queue);
    running.until_done().await;
    assert_eq!((queue.ledger(0).delivered, running.rejected(Cause::TooLarge)), (2, 1));
    assert_eq!((tsdb.timestamps("a"), tsdb.timestamps("c")), (vec![now], vec![now]));
    assert!(running.sender.metrics.snapshot().request_max_bytes > 2000);
}

#[tokio::test]
async fn a_429_that_repeats_for_one_request_halves_it_and_a_retry_after_does_not() {
    // A bucket that never holds more than ten samples.
    let burst: crate::support::scripted::Judge = std::sync::Arc::new(|body| {
        let request = docker_remote_write::wire::decode::decode_v1(body, 1 << 20).unwrap();
        status(if request.timeseries.len() > 10 { 429 } else { 204 }).into()
    });
    let server = serve(NOTHING).await;
    server.otherwise(Step::Judge(burst));
    let queue = queue();
    let (names, now) = (names(40), young());
    append_scrape(&queue, &names.iter().map(|name| (name.as_str(), now)).collect::<Vec<_>>());
    let running = start(config(&server.url("/")), &queue);
    running.until_done().await;
    assert_eq!((queue.ledger(0).delivered, queue.ledger(0).rejected), (40, 0));
    let seen = server.seen();
    assert!(seen[..3].iter().all(|request| request.body == seen[0].body));
    assert!(timestamps(&seen[3]).len() < 40);

    let server = serve([status(429).header("retry-after", "1"), status(204)]).await;
    let queue = super::queue();
    append_scrape(&queue, &names.iter().map(|name| (name.as_str(), now)).collect::<Vec<_>>());
    let running = start(Config { ..config(&server.url("/")) }, &queue);
    running.until_done().await;
    let seen = server.seen();
    assert_eq!((seen.len(), &seen[0].body), (2, &seen[1].body));
}
