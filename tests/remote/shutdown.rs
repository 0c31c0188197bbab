//! Draining, and the end of the task.

use std::time::Duration;

use docker_remote_write::queue::{Config as QueueConfig, Queue, Storage};

use super::{append, config, queue, start, timestamps};
use crate::support::scripted::{DEADLINE, NOTHING, Step, serve, status};

async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, what).await.unwrap()
}

#[tokio::test]
async fn draining_waits_until_everything_is_delivered() {
    let server = serve(NOTHING).await;
    let queue = queue();
    let running = start(config(&server.url("/")), &queue);
    in_time(running.sender.drained()).await;
    for n in 1..=20 {
        append(&queue, &[n * 1000]);
    }
    in_time(running.sender.drained()).await;
    assert_eq!(queue.ledger(0).pending, 0);
    assert_eq!(queue.ledger(0).delivered, 20);
}

#[tokio::test]
async fn draining_does_not_wait_for_an_endpoint_that_fails_or_is_held() {
    for code in [503, 401] {
        let server = serve(NOTHING).await;
        server.otherwise(status(code));
        let queue = queue();
        append(&queue, &[1000]);
        let running = start(config(&server.url("/")), &queue);
        in_time(running.sender.drained()).await;
        assert_eq!(queue.ledger(0).pending, 1);
    }
}

#[tokio::test]
async fn draining_waits_for_the_answer_of_a_server_that_was_answering() {
    let server = serve([Step::from(status(204)), Step::Hang]).await;
    let queue = queue();
    append(&queue, &[1000]);
    let running = start(config(&server.url("/")), &queue);
    running.until_done().await;
    append(&queue, &[2000]);
    server.saw(2).await;
    let drained = tokio::time::timeout(Duration::from_millis(50), running.sender.drained());
    assert!(drained.await.is_err());
}

#[tokio::test]
async fn a_cancelled_sender_ends_at_once_and_its_samples_stay_queued() {
    let hang = || serve([Step::Hang]);
    let wait = || serve([status(503).header("retry-after", "600")]);
    for server in [hang().await, wait().await] {
        let queue = queue();
        append(&queue, &[1000]);
        let mut running = start(config(&server.url("/")), &queue);
        server.saw(1).await;
        running.cancel.cancel();
        in_time(&mut running.sender.task).await.unwrap();
        in_time(running.sender.drained()).await;
        assert_eq!(queue.ledger(0).pending, 1);
    }
}

#[tokio::test]
async fn a_cancelled_idle_sender_ends_at_once() {
    let server = serve(NOTHING).await;
    let mut running = start(config(&server.url("/")), &queue());
    running.cancel.cancel();
    in_time(&mut running.sender.task).await.unwrap();
}

#[tokio::test]
async fn what_an_outage_left_on_disk_is_delivered_after_a_restart_in_order_and_once() {
    let dir = tempfile::tempdir().unwrap();
    let storage = Storage::Disk(dir.path().join("queue"));
    let on_disk =
        QueueConfig { storage, max_disk_bytes: 64 << 20, min_free_disk: None, max_memory_bytes: 1 << 20 };
    let open = || Queue::open(&on_disk, &["test".to_owned()]).unwrap();
    let server = serve(NOTHING).await;

    let queue = open();
    append(&queue, &[1000]);
    let mut running = start(config(&server.url("/")), &queue);
    running.until_done().await;
    server.otherwise(status(503));
    append(&queue, &[2000, 3000]);
    append(&queue, &[4000]);
    in_time(running.sender.drained()).await;
    running.cancel.cancel();
    in_time(&mut running.sender.task).await.unwrap();
    in_time(queue.close()).await;
    drop((running, queue));

    let during_the_outage = server.seen().len();
    server.otherwise(status(204));
    let queue = open();
    append(&queue, &[5000]);
    let running = start(config(&server.url("/")), &queue);
    running.until_done().await;
    assert_eq!(
        server.seen()[during_the_outage..].iter().flat_map(timestamps).collect::<Vec<_>>(),
        [2000, 3000, 4000, 5000]
    );
    assert_eq!((queue.ledger(0).recovered, queue.ledger(0).delivered), (3, 4));
}
