//! What leaves the queue by itself, by the age limit or the byte cap: before the first attempt, and while retrying.

use std::time::Duration;

use docker_remote_write::queue::{Config as QueueConfig, Queue, Storage};
use docker_remote_write::remote::Config;

use super::{append, config, queue, start, timestamps, young};
use crate::support::logs;
use crate::support::scripted::{NOTHING, serve, status};

#[tokio::test]
async fn records_older_than_the_limit_are_dropped_and_counted_without_a_request() {
    let logs = logs::collect();
    let server = serve(NOTHING).await;
    let queue = queue();
    let now = young();
    for _ in 0..10 {
        append(&queue, &[now - 7_200_000, now - 7_100_000]);
    }
    append(&queue, &[now - 7_200_000, now]);
    let limit = Some(Duration::from_secs(3600));
    let running = start(Config { sample_age_limit: limit, ..config(&server.url("/")) }, &queue);
    running.until_done().await;
    let ledger = running.queue.ledger(0);
    // A record goes when its newest sample is too old.
    assert_eq!((ledger.expired, ledger.delivered), (20, 2));
    assert_eq!(server.seen().iter().flat_map(timestamps).collect::<Vec<_>>(), [now - 7_200_000, now]);
    running.cancel.cancel();
    running.until("ended", |running| running.sender.task.is_finished()).await;
    // The first at once, the others in one line.
    let said = logs.with("dropped and counted as expired");
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].contains("records=1 samples=2") && said[1].contains("records=9 samples=18"), "{said:?}");
}

#[tokio::test]
async fn what_expires_while_it_is_retried_is_dropped_and_the_rest_delivered() {
    let server = serve(NOTHING).await;
    server.otherwise(status(503));
    let queue = queue();
    let now = young();
    append(&queue, &[now - 3_597_000]);
    append(&queue, &[now]);
    let limit = Some(Duration::from_secs(3600));
    let running = start(Config { sample_age_limit: limit, ..config(&server.url("/")) }, &queue);
    running.until("expired", |running| running.queue.ledger(0).expired == 1).await;
    server.otherwise(status(204));
    running.until_done().await;
    assert_eq!(running.queue.ledger(0).delivered, 1);
    assert_eq!(timestamps(&server.seen()[0]), [now - 3_597_000, now]);
    assert_eq!(timestamps(server.seen().last().unwrap()), [now]);
}

#[tokio::test]
async fn what_the_byte_cap_takes_while_it_is_retried_is_not_sent() {
    let server = serve(NOTHING).await;
    server.otherwise(status(503));
    let storage = Storage::Memory;
    let small =
        QueueConfig { storage, max_disk_bytes: 64 << 20, min_free_disk: None, max_memory_bytes: 8 << 10 };
    let queue = Queue::open(&small, &["test".to_owned()]).unwrap();
    append(&queue, &[1000]);
    let running = start(config(&server.url("/")), &queue);
    server.saw(1).await;
    for n in 2..=500 {
        append(&queue, &[n * 1000]);
    }
    let overflowed = queue.ledger(0).overflowed;
    assert!(overflowed > 0);
    // At most the resend that was on its way is one of the dropped sample.
    let before = server.seen().len();
    let resends = server.saw(before + 3).await;
    let resends: Vec<_> = resends[before + 1..].iter().flat_map(timestamps).collect();
    assert!(!resends.contains(&1000), "{resends:?}");
    server.otherwise(status(204));
    running.until_done().await;
    let ledger = running.queue.ledger(0);
    assert_eq!((ledger.overflowed, ledger.delivered), (overflowed, 500 - overflowed));
    let delivered =
        server.seen().iter().filter_map(|request| timestamps(request).last().copied()).next_back();
    assert_eq!(delivered, Some(500_000));
}
