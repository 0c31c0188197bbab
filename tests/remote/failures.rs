//! Everything that is tried again: no answer at all, a strange one, a server that asks for time.

use std::time::{Duration, SystemTime};

use docker_remote_write::remote::Config;

use super::{append, config, queue, start, timestamps};
use crate::support::logs;
use crate::support::refused::Refused;
use crate::support::scripted::{NOTHING, Step, serve, serve_on, status};

/// The first attempt fails in this way; the second one is answered.
async fn fails_then_arrives(step: Step, timeout: Duration, code: &str) {
    let server = serve([step]).await;
    let queue = queue();
    append(&queue, &[1000]);
    let running = start(Config { timeout, ..config(&server.url("/")) }, &queue);
    let seen = server.saw(2).await;
    assert_eq!(seen[1].body, seen[0].body);
    assert_eq!(seen[1].header("retry-attempt").as_deref(), Some("1"));
    running.until_done().await;
    assert_eq!(running.queue.ledger(0).delivered, 1);
    assert_eq!(running.requests(code), 1, "{:?}", running.sender.metrics.snapshot().requests);
}

const LONG: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_5xx_is_retried_rw_1_14() {
    for code in [500, 502, 503, 504, 529, 599] {
        fails_then_arrives(status(code).into(), LONG, &code.to_string()).await;
    }
}

#[tokio::test]
async fn a_hanging_server_is_retried_after_the_timeout_rw_1_15() {
    fails_then_arrives(Step::Hang, Duration::from_millis(100), "timeout").await;
}

#[tokio::test]
async fn a_connection_closed_without_an_answer_is_retried_rw_1_15() {
    fails_then_arrives(Step::Close, LONG, "closed").await;
}

#[tokio::test]
async fn a_reset_connection_is_retried_rw_1_15() {
    fails_then_arrives(Step::Reset, LONG, "closed").await;
}

#[tokio::test]
async fn a_5xx_whose_text_is_torn_off_is_retried() {
    fails_then_arrives(status(503).torn("over").into(), LONG, "503").await;
}

#[tokio::test]
async fn a_5xx_with_an_endless_text_is_retried() {
    fails_then_arrives(status(503).endless().into(), LONG, "503").await;
}

#[tokio::test]
async fn a_2xx_whose_text_is_torn_off_or_endless_is_delivered_rw_1_09() {
    for answer in [status(200).torn("o"), status(200).endless(), status(200).text(vec![b'x'; 1 << 20])] {
        let server = serve([answer]).await;
        let queue = queue();
        append(&queue, &[1000]);
        let running = start(config(&server.url("/")), &queue);
        running.until_done().await;
        append(&queue, &[2000]);
        assert_eq!(timestamps(&server.saw(2).await[1]), [2000]);
        running.until_done().await;
        assert_eq!(running.queue.ledger(0).delivered, 2);
    }
}

#[tokio::test]
async fn a_refused_connection_is_retried_until_someone_listens_rw_1_15() {
    let logs = logs::collect();
    let refused = Refused::new();
    let queue = queue();
    append(&queue, &[1000]);
    let running = start(config(&format!("http://{}/", refused.address)), &queue);
    running.until("refused three times", |running| running.requests("refused") >= 3).await;
    assert_eq!(running.queue.ledger(0).pending, 1);
    assert!(!running.sender.metrics.snapshot().up);

    let server = serve_on(refused.listen(), None, NOTHING);
    assert_eq!(timestamps(&server.saw(1).await[0]), [1000]);
    running.until_done().await;
    assert_eq!(running.queue.ledger(0).delivered, 1);

    // One line when it began, none for the repeats, one when it was over.
    let began = logs.with("cannot deliver");
    assert_eq!(began.len(), 1, "{began:?}");
    assert!(began[0].contains("endpoint=test") && began[0].contains("reason=refused"), "{}", began[0]);
    assert!(began[0].contains("pending=1 retry_in="), "{}", began[0]);
    let ended = logs.with("answers again");
    assert_eq!(ended.len(), 1, "{ended:?}");
    assert!(ended[0].contains("lasted=") && ended[0].contains("pending=0"), "{}", ended[0]);
}

#[tokio::test]
async fn retry_after_wins_over_the_own_delay_rw_2_17() {
    let in_a_second = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(2));
    for header in ["1", &in_a_second] {
        let server = serve([status(503).header("retry-after", header)]).await;
        let queue = queue();
        append(&queue, &[1000]);
        // By its own delays it would come back in an hour.
        let hour = Duration::from_secs(3600);
        let slow = Config { min_backoff: hour, max_backoff: hour, ..config(&server.url("/")) };
        let running = start(slow, &queue);
        server.saw(2).await;
        running.until_done().await;
    }
}

#[tokio::test]
async fn retry_after_is_obeyed_up_to_ten_minutes() {
    for (header, said) in [("60", "retry_in=60s"), ("86400", "retry_in=600s")] {
        let logs = logs::collect();
        let server = serve([status(429).header("retry-after", header)]).await;
        let queue = queue();
        append(&queue, &[1000]);
        let running = start(config(&server.url("/")), &queue);
        running.until("retrying", |_| !logs.with("cannot deliver").is_empty()).await;
        assert!(logs.with("cannot deliver")[0].contains(said), "{:?}", logs.lines());
    }
}
