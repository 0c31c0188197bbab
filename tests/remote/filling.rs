//! `REMOTE_WRITE_BATCH_SEND_DEADLINE`: who waits for a full request, and who does not.

use std::time::Instant;

use super::*;
use crate::support::scripted::{DEADLINE, NOTHING, Scripted, serve, status};

/// Longer than any test may take.
const HOUR: Duration = Duration::from_secs(3600);

fn patient(server: &Scripted, batch_send_deadline: Duration, max_samples_per_send: u32) -> Config {
    Config { batch_send_deadline, max_samples_per_send, ..config(&server.url("/")) }
}

fn sent(server: &Scripted) -> Vec<Vec<i64>> {
    server.seen().iter().map(timestamps).collect()
}

#[tokio::test]
async fn samples_wait_until_they_fill_a_request() {
    let server = serve(NOTHING).await;
    let queue = queue();
    let running = start(patient(&server, HOUR, 3), &queue);
    for timestamp in [1000, 2000, 3000] {
        append(&queue, &[timestamp]);
        tokio::task::yield_now().await;
    }
    running.until_done().await;
    assert_eq!(sent(&server), [vec![1000, 2000, 3000]]);
    // More than a request: what is left over waits for more.
    append(&queue, &[4000, 5000, 6000, 7000]);
    server.saw(2).await;
    append(&queue, &[8000, 9000]);
    running.until_done().await;
    assert_eq!(sent(&server)[1..], [vec![4000, 5000, 6000], vec![7000, 8000, 9000]]);
}

#[tokio::test]
async fn nothing_waits_longer_than_the_deadline() {
    let server = serve(NOTHING).await;
    let queue = queue();
    let deadline = Duration::from_millis(200);
    let running = start(patient(&server, deadline, 1000), &queue);
    let mut all = 0;
    for timestamp in [1000, 2000] {
        let began = Instant::now();
        append(&queue, &[timestamp]);
        running.until_done().await;
        all += 1;
        assert!(began.elapsed() >= deadline, "sent {:?} after it was queued", began.elapsed());
        assert_eq!(server.seen().len(), all);
    }
}

#[tokio::test]
async fn without_a_deadline_each_scrape_goes_at_once() {
    let server = serve(NOTHING).await;
    let queue = queue();
    let running = start(patient(&server, Duration::ZERO, 1000), &queue);
    for timestamp in [1000, 2000, 3000] {
        append(&queue, &[timestamp]);
        running.until_done().await;
    }
    assert_eq!(sent(&server), [[1000], [2000], [3000]]);
}

#[tokio::test]
async fn what_was_queued_before_the_start_is_not_held_back() {
    let server = serve(NOTHING).await;
    let queue = queue();
    append(&queue, &[1000]);
    let running = start(patient(&server, HOUR, 1000), &queue);
    running.until_done().await;
    assert_eq!(sent(&server), [[1000]]);
}

#[tokio::test]
async fn an_outages_backlog_is_not_held_back_and_what_follows_it_is() {
    let server = serve([status(503), status(503), status(503)]).await;
    let queue = queue();
    let running = start(patient(&server, HOUR, 2), &queue);
    append(&queue, &[1000, 2000]);
    server.saw(1).await;
    append(&queue, &[3000]);
    running.until_done().await;
    // Though it fills no request.
    assert_eq!(sent(&server).last().unwrap(), &[3000]);
    let before = server.seen().len();
    append(&queue, &[4000]);
    tokio::task::yield_now().await;
    append(&queue, &[5000]);
    running.until_done().await;
    assert_eq!(sent(&server)[before..], [[4000, 5000]]);
}

#[tokio::test]
async fn draining_holds_nothing_back() {
    let server = serve(NOTHING).await;
    let queue = queue();
    let running = start(patient(&server, HOUR, 1000), &queue);
    append(&queue, &[1000]);
    tokio::task::yield_now().await;
    append(&queue, &[2000]);
    tokio::time::timeout(DEADLINE, running.sender.drained()).await.unwrap();
    running.until_done().await;
    assert_eq!(sent(&server), [[1000, 2000]]);
    append(&queue, &[3000]);
    running.until_done().await;
    assert_eq!(sent(&server).last().unwrap(), &[3000]);
}
