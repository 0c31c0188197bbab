//! Everything that is tried again: no answer at all, a strange one, a server that asks for time.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use docker_remote_write::remote::Config;

use super::{append, config, pass, queue, start, timestamps};
use crate::support::logs;
use crate::support::refused::Refused;
use crate::support::scripted::{Judge, NOTHING, Step, serve, serve_on, status};

/// The first attempt fails in this way; the second one is answered.
async fn fails_then_arrives(step: Step, code: &str) {
    let hangs = matches!(step, Step::Hang);
    let server = serve([step]).await;
    let queue = queue();
    append(&queue, &[1000]);
    let config = config(&server.url("/"));
    let timeout = config.timeout;
    let running = start(config, &queue);
    if hangs {
        // A timeout short enough to wait for would be too short for the second attempt on a busy machine.
        server.saw(1).await;
        pass(timeout).await;
    }
    let seen = server.saw(2).await;
    assert_eq!(seen[1].body, seen[0].body);
    assert_eq!(seen[1].header("retry-attempt").as_deref(), Some("1"));
    running.until_done().await;
    assert_eq!(running.queue.ledger(0).delivered, 1);
    assert_eq!(running.requests(code), 1, "{:?}", running.sender.metrics.snapshot().requests);
}

#[tokio::test]
async fn a_5xx_is_retried_rw_1_14() {
    for code in [500, 502, 503, 504, 529, 599] {
        fails_then_arrives(status(code).into(), &code.to_string()).await;
    }
}

#[tokio::test]
async fn a_hanging_server_is_retried_after_the_timeout_rw_1_15() {
    fails_then_arrives(Step::Hang, "timeout").await;
}

#[tokio::test]
async fn a_connection_closed_without_an_answer_is_retried_rw_1_15() {
    fails_then_arrives(Step::Close, "closed").await;
}

#[tokio::test]
async fn a_reset_connection_is_retried_rw_1_15() {
    fails_then_arrives(Step::Reset, "closed").await;
}

#[tokio::test]
async fn a_5xx_whose_text_is_torn_off_is_retried() {
    fails_then_arrives(status(503).torn("over").into(), "503").await;
}

#[tokio::test]
async fn a_5xx_with_an_endless_text_is_retried() {
    fails_then_arrives(status(503).endless().into(), "503").await;
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
    // The date as of the answer, and a minute: cut to whole seconds it has not passed by the time when it is read.
    const MINUTE: Duration = Duration::from_secs(60);
    let seconds: fn() -> String = || "60".to_owned();
    let date: fn() -> String = || httpdate::fmt_http_date(SystemTime::now() + MINUTE);
    for header in [seconds, date] {
        let logs = logs::collect();
        let judge: Judge = Arc::new(move |_| status(503).header("retry-after", header()).into());
        let server = serve([Step::Judge(judge)]).await;
        let queue = queue();
        append(&queue, &[1000]);
        // By its own delays it would come back in an hour.
        let hour = Duration::from_secs(3600);
        let slow = Config { min_backoff: hour, max_backoff: hour, ..config(&server.url("/")) };
        let running = start(slow, &queue);
        running.until("retrying", |_| !logs.with("cannot deliver").is_empty()).await;
        assert_eq!(server.seen().len(), 1);
        pass(MINUTE).await;
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
