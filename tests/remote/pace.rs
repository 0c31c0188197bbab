//! `REMOTE_WRITE_RATE_LIMIT` between a queue and a server.

use std::time::{Duration, Instant};

use docker_remote_write::remote::Config;

use super::{append, config, queue, start, timestamps};
use crate::support::scripted::{NOTHING, serve};

#[tokio::test]
async fn the_rate_limit_holds_while_a_backlog_drains() {
    let server = serve(NOTHING).await;
    let queue = queue();
    for timestamp in 1..=16 {
        append(&queue, &[timestamp]);
    }
    let limit = 200;
    let one_by_one = Config { max_samples_per_send: 1, ..config(&server.url("/")) };
    let began = Instant::now();
    let running = start(Config { rate_limit: Some(limit), ..one_by_one }, &queue);
    running.until_done().await;
    let took = began.elapsed();
    let seen = server.seen();
    assert_eq!(seen.iter().flat_map(timestamps).collect::<Vec<_>>(), (1..=16).collect::<Vec<_>>());
    // The newest is not limited; the bucket held a second's worth at the beginning.
    let limited: usize = seen[..15].iter().map(|seen| seen.body.len()).sum();
    let paid = Duration::from_millis((limited as u64 - limit) * 1000 / limit);
    assert!(paid > Duration::from_secs(1), "{limited} bytes are too few to see anything");
    assert!(took >= paid, "{limited} bytes in {took:?}, which is less than {paid:?}");
}

#[tokio::test]
async fn what_is_in_time_is_not_limited() {
    let server = serve(NOTHING).await;
    // At a byte a second each of these would take most of a minute.
    let running = start(Config { rate_limit: Some(1), ..config(&server.url("/")) }, &queue());
    for timestamp in 1..=20 {
        append(&running.queue, &[timestamp]);
        running.until_done().await;
    }
    assert_eq!(running.queue.ledger(0).delivered, 20);
}
