//! The last gate: what an older version has left on disk and receivers swallow or choke on is never sent.

use docker_remote_write::remote::Cause;

use super::{append_labelled, append_scrape, config, queue, start, timestamps, young};
use crate::support::logs;
use crate::support::scripted::{NOTHING, serve};

#[tokio::test]
async fn unfit_samples_are_left_out_counted_by_reason_and_said_once() {
    let logs = logs::collect();
    let server = serve(NOTHING).await;
    let queue = queue();
    let now = young();
    let unfit = [
        (vec![("__name__", "good")], now),
        (vec![("__name__", "a"), ("x", "1"), ("x", "2")], now),
        (vec![("__name__", "a"), ("", "1")], now),
        (vec![("x", "1")], now),
        (vec![("__name__", "ahead")], now + 3_600_000),
        (vec![("__name__", "good")], now),
        (vec![("__name__", "good")], now - 1),
        (vec![("__name__", "good")], now + 1),
    ];
    append_labelled(&queue, &unfit);
    append_labelled(&queue, &unfit[1..6]);
    let running = start(config(&server.url("/")), &queue);
    running.until_done().await;
    let seen = server.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(timestamps(&seen[0]), [now, now + 1]);
    for (cause, count) in [
        (Cause::DuplicateLabel, 2),
        (Cause::EmptyLabelName, 2),
        (Cause::NoMetricName, 2),
        (Cause::TooFarAhead, 2),
        (Cause::OutOfOrder, 3),
    ] {
        assert_eq!(running.rejected(cause), count, "{cause:?}");
        let said = logs.with(&format!("reason={} ", cause.word()));
        assert_eq!(said.len(), 1, "{said:?}");
    }
    let ledger = queue.ledger(0);
    assert_eq!((ledger.delivered, ledger.rejected), (2, 11));
}

#[tokio::test]
async fn a_record_of_unfit_samples_only_costs_no_request() {
    let server = serve(NOTHING).await;
    let queue = queue();
    let now = young();
    append_labelled(&queue, &[(vec![("x", "1")], now), (vec![("y", "1")], now)]);
    append_scrape(&queue, &[("good", now)]);
    let running = start(config(&server.url("/")), &queue);
    running.until_done().await;
    assert_eq!((server.seen().len(), running.rejected(Cause::NoMetricName)), (1, 2));
    assert_eq!(timestamps(&server.seen()[0]), [now]);
}

#[tokio::test]
async fn samples_of_this_process_that_are_too_far_ahead_are_left_out_too() {
    let server = serve(NOTHING).await;
    let queue = queue();
    let now = young();
    let running = start(config(&server.url("/")), &queue);
    append_scrape(&queue, &[("good", now), ("ahead", now + 3_600_000)]);
    running.until_done().await;
    assert_eq!(timestamps(&server.seen()[0]), [now]);
    assert_eq!(running.rejected(Cause::TooFarAhead), 1);
}
