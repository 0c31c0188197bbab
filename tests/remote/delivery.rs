//! What goes over the wire, and that the cursor moves on 2xx and on final rejection only.

use docker_remote_write::model::{Secret, SecretSource};
use docker_remote_write::queue::Position;
use docker_remote_write::remote::{Auth, Config};

use super::{append, append_raw, config, queue, start, timestamps};
use crate::support::logs;
use crate::support::scripted::{NOTHING, Step, serve, status};

#[tokio::test]
async fn rw_1_01_to_1_03_a_request_is_one_post_with_exactly_these_headers() {
    let server = serve(NOTHING).await;
    let queue = queue();
    append(&queue, &[1000]);
    let running = start(config(&server.url("/api/v1/write?a=b")), &queue);
    let seen = server.saw(1).await.remove(0);
    assert_eq!(seen.line, "POST /api/v1/write?a=b HTTP/1.1");
    let headers = [
        ("accept", "*/*".to_owned()),
        ("content-encoding", "snappy".to_owned()),
        ("content-length", seen.body.len().to_string()),
        ("content-type", "application/x-protobuf".to_owned()),
        ("host", server.address.to_string()),
        ("user-agent", format!("docker-remote-write/{}", env!("CARGO_PKG_VERSION"))),
        ("x-prometheus-remote-write-version", "0.1.0".to_owned()),
    ];
    assert_eq!(seen.headers, headers.map(|(name, value)| (name.to_owned(), value)));
    assert_eq!(timestamps(&seen), [1000]);
    running.until_done().await;
    assert_eq!(running.queue.ledger(0).delivered, 1);
}

#[tokio::test]
async fn credentials_and_custom_headers_are_sent() {
    let bearer = Auth::Bearer(SecretSource::Inline(Secret::new("hunter2")));
    let basic = |password: Option<&str>| Auth::Basic {
        username: "bob".to_owned(),
        password: password.map(|password| SecretSource::Inline(Secret::new(password))),
    };
    let cases = [
        (Auth::None, None),
        (bearer, Some("Bearer hunter2")),
        (basic(Some("hunter2")), Some("Basic Ym9iOmh1bnRlcjI=")),
        (basic(None), Some("Basic Ym9iOg==")),
    ];
    for (auth, expected) in cases {
        let server = serve(NOTHING).await;
        let queue = queue();
        append(&queue, &[1000]);
        let headers = [("X-Scope-OrgID", "infra"), ("X-Key", "k")];
        let headers = headers.map(|(name, value)| (name.to_owned(), Secret::new(value))).to_vec();
        let _running = start(Config { auth, headers, ..config(&server.url("/")) }, &queue);
        let seen = server.saw(1).await.remove(0);
        assert_eq!(seen.header("authorization").as_deref(), expected);
        assert_eq!(seen.header("x-scope-orgid").as_deref(), Some("infra"));
        assert_eq!(seen.header("x-key").as_deref(), Some("k"));
    }
}

#[tokio::test]
async fn every_2xx_moves_the_cursor() {
    for code in [200, 202, 204, 299] {
        let server = serve([status(code).text("ignored, as rw 1.09 demands")]).await;
        let queue = queue();
        let sequence = append(&queue, &[1000, 2000]);
        let running = start(config(&server.url("/")), &queue);
        running.until_done().await;
        assert_eq!(running.queue.ledger(0).delivered, 2);
        assert_eq!(queue.cursor(0), Position { sequence: sequence + 1, entry: 0 });
        running.until("counted", |running| running.requests(&code.to_string()) == 1).await;
        running.until("up", |running| running.sender.metrics.snapshot().up).await;
        let metrics = running.sender.metrics.snapshot();
        assert_eq!(metrics.highest_sent_timestamp, Some(2000));
        assert_eq!(metrics.sent_bytes, server.seen()[0].body.len() as u64);
        assert_eq!(metrics.duration.count, 1);
    }
}

#[tokio::test]
async fn new_samples_are_sent_as_soon_as_they_are_queued() {
    let server = serve(NOTHING).await;
    let queue = queue();
    let _running = start(config(&server.url("/")), &queue);
    for count in 1..=3 {
        append(&queue, &[1000 * count as i64]);
        assert_eq!(timestamps(&server.saw(count).await[count - 1]), [1000 * count as i64]);
    }
}

#[tokio::test]
async fn a_resend_has_identical_bytes_and_counts_itself_while_newer_samples_wait_rw_1_13_5_02() {
    let server = serve([status(503), status(500), status(503)]).await;
    let queue = queue();
    append(&queue, &[1000, 2000]);
    let running = start(config(&server.url("/")), &queue);
    server.saw(1).await;
    append(&queue, &[3000]);
    append(&queue, &[4000]);
    let seen = server.saw(5).await;
    for resend in &seen[1..4] {
        assert_eq!(resend.body, seen[0].body);
    }
    let counts: Vec<_> = seen.iter().map(|request| request.header("retry-attempt")).collect();
    assert_eq!(counts, [None, Some("1"), Some("2"), Some("3"), None].map(|count| count.map(str::to_owned)));
    // The backlog follows in one request, in its order.
    assert_eq!(timestamps(&seen[4]), [3000, 4000]);
    running.until_done().await;
    assert_eq!(running.queue.ledger(0).delivered, 4);
    assert_eq!(running.sender.metrics.snapshot().samples_retried, 6);
    assert_eq!((running.requests("503"), running.requests("500")), (2, 1));
}

#[tokio::test]
async fn a_large_record_goes_in_pieces_and_the_cursor_stands_inside_it_in_between() {
    let server = serve([Step::from(status(204)), Step::Hang]).await;
    let queue = queue();
    let sequence = append(&queue, &[1000, 2000, 3000, 4000, 5000]);
    let small = Config { max_samples_per_send: 2, ..config(&server.url("/")) };
    let running = start(small.clone(), &queue);
    server.saw(2).await;
    assert_eq!(queue.cursor(0), Position { sequence, entry: 2 });
    assert_eq!(queue.ledger(0).delivered, 2);
    // Another process would go on in the middle of the record.
    drop(running);
    let running = start(small, &queue);
    let seen = server.saw(4).await;
    assert_eq!(timestamps(&seen[1]), [3000, 4000]);
    assert_eq!(timestamps(&seen[2]), [3000, 4000]);
    assert_eq!(timestamps(&seen[3]), [5000]);
    running.until_done().await;
    assert_eq!(running.queue.ledger(0).delivered, 5);
}

#[tokio::test]
async fn requests_stay_below_the_byte_limit() {
    let server = serve(NOTHING).await;
    let queue = queue();
    let all: Vec<i64> = (1..=50).map(|n| n * 1000).collect();
    append(&queue, &all);
    let small = Config { max_bytes_per_send: 200, ..config(&server.url("/")) };
    let running = start(small, &queue);
    running.until_done().await;
    let seen = server.seen();
    assert!(seen.len() > 1, "{} request", seen.len());
    for request in &seen {
        assert!(snap::raw::decompress_len(&request.body).unwrap() <= 200);
    }
    assert_eq!(seen.iter().flat_map(timestamps).collect::<Vec<_>>(), all);
}

#[tokio::test]
async fn a_final_rejection_moves_the_cursor_and_says_the_servers_text_rw_1_14() {
    let logs = logs::collect();
    let text = format!("out of order\r\nsample {}", "x".repeat(2000));
    let server = serve([status(422).text(text)]).await;
    let queue = queue();
    append(&queue, &[1000, 2000]);
    let running = start(config(&server.url("/")), &queue);
    running.until_done().await;
    append(&queue, &[3000]);
    assert_eq!(timestamps(&server.saw(2).await[1]), [3000]);
    running.until_done().await;
    let ledger = running.queue.ledger(0);
    assert_eq!((ledger.rejected, ledger.delivered), (2, 1));
    let said = logs.with("refuses these samples for good");
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains(r"status=422 reason=refused said=out of order\r\nsample xxx"), "{}", said[0]);
    assert!(said[0].contains("requests=1 samples=2"), "{}", said[0]);
    let shown = said[0].chars().filter(|character| *character == 'x').count();
    assert!((450..520).contains(&shown), "{shown} of the text's bytes are shown");
}

#[tokio::test]
async fn every_other_4xx_is_final_rw_1_14() {
    for code in [400, 402, 408, 409, 413, 415, 422, 499] {
        let server = serve([status(code)]).await;
        let queue = queue();
        append(&queue, &[1000]);
        let running = start(config(&server.url("/")), &queue);
        running.until_done().await;
        assert_eq!(running.queue.ledger(0).rejected, 1, "{code}");
        assert_eq!(server.seen().len(), 1, "{code}");
    }
}

#[tokio::test]
async fn a_429_is_retried_or_final_as_the_setting_says() {
    for retry_on_http_429 in [true, false] {
        let server = serve([status(429)]).await;
        let queue = queue();
        append(&queue, &[1000]);
        let running = start(Config { retry_on_http_429, ..config(&server.url("/")) }, &queue);
        running.until_done().await;
        let ledger = running.queue.ledger(0);
        assert_eq!((ledger.delivered, ledger.rejected), if retry_on_http_429 { (1, 0) } else { (0, 1) });
    }
}

#[tokio::test]
async fn a_record_that_cannot_be_decoded_is_rejected_and_stops_nobody() {
    let logs = logs::collect();
    let server = serve(NOTHING).await;
    let queue = queue();
    append(&queue, &[1000]);
    let sequence = append_raw(&queue, &[2000, 3000], b"this is no snappy".to_vec());
    append(&queue, &[4000]);
    let running = start(config(&server.url("/")), &queue);
    running.until_done().await;
    let seen = server.seen();
    assert_eq!(seen.iter().flat_map(timestamps).collect::<Vec<_>>(), [1000, 4000]);
    let ledger = running.queue.ledger(0);
    assert_eq!((ledger.delivered, ledger.rejected), (2, 2));
    assert_eq!(running.sender.metrics.snapshot().undecodable_records, 1);
    let said = logs.with("cannot be decoded");
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains(&format!("sequence={sequence} samples=2")), "{}", said[0]);
}
