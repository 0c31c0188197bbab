//! Bad input: `up` is 0, the reason is clear, nothing of the scrape is kept, and the next good scrape works.

use docker_remote_write::scrape::Config;

use super::{Bench, Then, ok, serve, ups};

/// Scrapes a good target, then one that answers `bad`; returns what the collector says is wrong.
async fn failure_of(bad: Vec<u8>, then: Then) -> String {
    failure_with(|_| (), Some((bad, then))).await
}

/// The same with other settings; without an answer nobody listens.
async fn failure_with(settings: impl FnOnce(&mut Config), bad: Option<(Vec<u8>, Then)>) -> String {
    let mut bench = Bench::new();
    let good = serve(&bench.socket(), ok("a 1\nb 2\n"), Then::Close);
    let mut config = bench.config();
    settings(&mut config.scrape);
    bench.collect(&config);
    bench.control.start();
    bench.until("a good scrape", |seen| ups(seen, 1.0) > 0).await;

    good.abort();
    std::fs::remove_file(bench.socket()).unwrap();
    let bad = bad.map(|(answer, then)| serve(&bench.socket(), answer, then));
    let failed = bench.until("two failed scrapes", |seen| ups(seen, 0.0) > 1).await;
    let markers = failed.iter().filter(|sample| sample.is_marker());
    let marked: Vec<_> = markers.map(|sample| sample.name().to_owned()).collect();
    assert_eq!(marked, ["a", "b"], "each series of the last good scrape is marked once, and nothing else");
    let after_up_0 = failed.iter().skip_while(|sample| !(sample.name() == "up" && sample.value == 0.0));
    assert!(
        after_up_0.clone().all(|sample| sample.name() == "up" || sample.name().starts_with("scrape_")),
        "nothing of a failed scrape is kept"
    );
    let reason = bench.metrics.snapshot().last_failure.unwrap();

    if let Some(bad) = bad {
        bad.abort();
        std::fs::remove_file(bench.socket()).unwrap();
    }
    let good_again = serve(&bench.socket(), ok("a 1\nb 2\n"), Then::Close);
    let goods = ups(&failed, 1.0);
    bench.until("the next good scrape", |seen| ups(seen, 1.0) > goods).await;
    assert_eq!(bench.metrics.snapshot().last_failure, None);
    good_again.abort();
    bench.end().await;
    reason
}

#[tokio::test]
async fn rw_3_02_one_bad_line_names_its_place() {
    let reason = failure_of(ok("a 1\nb 2\nc d\n"), Then::Close).await;
    assert!(reason.starts_with("exposition line 3, column 3: "), "{reason}");
}

#[tokio::test]
async fn a_body_that_is_not_utf_8_names_its_place() {
    let mut answer = ok("a{x=\"??\"} 1\n");
    let at = answer.len() - 6;
    answer[at] = 0xff;
    let reason = failure_of(answer, Then::Close).await;
    assert!(reason.starts_with("exposition line 1, column ") && reason.contains("UTF-8"), "{reason}");
}

#[tokio::test]
async fn rw_4_12_a_body_over_the_limit_names_the_setting() {
    let line = "a_metric_with_a_long_name_to_fill_the_body 1\n";
    let reason = failure_of(ok(&line.repeat(2_000)), Then::Close).await;
    assert!(reason.contains("65536 bytes, the limit of SCRAPE_BODY_SIZE_LIMIT"), "{reason}");
}

#[tokio::test]
async fn an_endless_body_ends_at_the_limit() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n".to_vec();
    let reason = failure_of(head, Then::Endless(b"# endless\n")).await;
    assert!(reason.contains("SCRAPE_BODY_SIZE_LIMIT"), "{reason}");
}

#[tokio::test]
async fn rw_3_02_a_truncated_body_is_no_body() {
    let mut answer = ok("a 1\nb 2\n");
    answer.truncate(answer.len() - 4);
    let reason = failure_of(answer, Then::Close).await;
    assert!(reason.starts_with("scrape /") && reason.contains("metrics.sock: "), "{reason}");
}

#[tokio::test]
async fn rw_3_02_a_target_that_hangs_names_the_timeout() {
    let reason = failure_of(b"HTTP/1.1 200 OK\r\n".to_vec(), Then::Silence).await;
    assert!(reason.ends_with("no complete answer within 500ms"), "{reason}");
}

#[tokio::test]
async fn rw_4_09_only_status_200_is_a_success() {
    let answer =
        b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\nConnection: close\r\n\r\na 1\n".to_vec();
    let reason = failure_of(answer, Then::Close).await;
    assert!(reason.ends_with("status 500"), "{reason}");
}

#[tokio::test]
async fn rw_4_10_a_body_is_read_as_its_content_type_says_and_what_is_wrong_is_told_with_its_place() {
    let answer = String::from_utf8(ok("a 1\n\n")).unwrap();
    for (content_type, what) in [
        (
            "application/openmetrics-text; version=1.0.0",
            "exposition line 2, column 1: expected a metric name",
        ),
        ("application/vnd.google.protobuf", "exposition message 1, byte 0: the message is cut off"),
    ] {
        let answer = answer.replace("text/plain; version=0.0.4", content_type);
        let reason = failure_of(answer.into_bytes(), Then::Close).await;
        assert!(reason.starts_with(what), "{reason}");
    }
}

#[tokio::test]
async fn rw_3_02_a_target_that_is_gone_names_path_and_errno() {
    let reason = failure_with(|_| (), None).await;
    assert!(reason.ends_with("metrics.sock: No such file or directory (os error 2)"), "{reason}");
}

#[tokio::test]
async fn rw_3_02_without_the_fallback_a_missing_content_type_names_the_setting() {
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\na 1\n".to_vec();
    let reason = failure_with(|config| config.fallback_protocol = None, Some((answer, Then::Close))).await;
    assert!(reason.contains("SCRAPE_FALLBACK_PROTOCOL"), "{reason}");
}

#[tokio::test]
async fn rw_3_02_more_samples_than_the_limit_name_the_setting() {
    let answer = Some((ok("a 1\nb 2\nc 3\n"), Then::Close));
    let reason = failure_with(|config| config.sample_limit = Some(2), answer).await;
    assert_eq!(reason, "3 samples, more than the 2 of SCRAPE_SAMPLE_LIMIT");
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_an_error() {
    let reason = failure_of(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(), Then::Close).await;
    assert!(reason.starts_with("scrape /"), "{reason}");
}

#[tokio::test]
async fn a_missing_socket_is_up_0_with_path_and_errno() {
    let mut bench = Bench::new();
    let config = bench.config();
    bench.collect(&config);
    bench.control.start();
    bench.until("a failed scrape", |seen| ups(seen, 0.0) > 0).await;
    let reason = bench.metrics.snapshot().last_failure.unwrap();
    let path = bench.socket();
    assert_eq!(reason, format!("connect to {}: No such file or directory (os error 2)", path.display()));
    bench.end().await;
}

#[tokio::test]
async fn a_socket_that_nobody_listens_on_is_up_0_with_path_and_errno() {
    let mut bench = Bench::new();
    drop(std::os::unix::net::UnixListener::bind(bench.socket()).unwrap());
    let config = bench.config();
    bench.collect(&config);
    bench.control.start();
    bench.until("a failed scrape", |seen| ups(seen, 0.0) > 0).await;
    let reason = bench.metrics.snapshot().last_failure.unwrap();
    assert!(reason.ends_with("metrics.sock: Connection refused (os error 111)"), "{reason}");
    bench.end().await;
}
