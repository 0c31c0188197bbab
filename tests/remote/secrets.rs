//! Secrets: read from files, read again when they change, and never shown.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use docker_remote_write::model::{Secret, SecretSource};
use docker_remote_write::remote::{Auth, Config, Tuning};

use super::{append, config, pass, queue, start, start_with};
use crate::support::logs;
use crate::support::scripted::{NOTHING, Step, serve, status};

fn bearer(url: &str, path: &std::path::Path) -> Config {
    Config {
        auth: Auth::Bearer(SecretSource::File(path.to_owned())),
        reload_interval: Some(Duration::from_millis(10)),
        ..config(url)
    }
}

#[tokio::test]
async fn a_rotated_secret_is_used_without_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    fs::write(&path, "first\n").unwrap();
    let server = serve(NOTHING).await;
    let queue = queue();
    append(&queue, &[1000]);
    let running = start(bearer(&server.url("/"), &path), &queue);
    assert_eq!(server.saw(1).await[0].header("authorization").as_deref(), Some("Bearer first"));
    running.until_done().await;
    fs::write(dir.path().join("next"), "second\n").unwrap();
    fs::rename(dir.path().join("next"), &path).unwrap();
    server.otherwise(status(503));
    append(&queue, &[2000]);
    running
        .until("sent with the new one", |_| {
            server.seen().last().unwrap().header("authorization").as_deref() == Some("Bearer second")
        })
        .await;
    assert!(running.sender.metrics.snapshot().reload_ok);
}

#[tokio::test]
async fn a_rotated_secret_ends_the_wait_of_a_held_endpoint() {
    let dir = tempfile::tempdir().unwrap();
    for version in ["1", "2"] {
        fs::create_dir(dir.path().join(version)).unwrap();
        fs::write(dir.path().join(version).join("token"), version).unwrap();
    }
    symlink("1", dir.path().join("data")).unwrap();
    let server = serve([status(401)]).await;
    let queue = queue();
    append(&queue, &[1000]);
    let hour = Duration::from_secs(3600);
    let slow = Tuning { min_hold: hour, max_hold: hour, ..Tuning::default() };
    let running = start_with(bearer(&server.url("/"), &dir.path().join("data/token")), &queue, slow);
    running.until("held", |running| running.sender.metrics.snapshot().held).await;
    symlink("2", dir.path().join("new")).unwrap();
    fs::rename(dir.path().join("new"), dir.path().join("data")).unwrap();
    assert_eq!(server.saw(2).await[1].header("authorization").as_deref(), Some("Bearer 2"));
    running.until_done().await;
    assert_eq!(running.queue.ledger(0).delivered, 1);
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_again_stays_in_use() {
    let logs = logs::collect();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    fs::write(&path, "first").unwrap();
    let server = serve(NOTHING).await;
    let queue = queue();
    append(&queue, &[1000]);
    let running = start(bearer(&server.url("/"), &path), &queue);
    running.until_done().await;
    fs::remove_file(&path).unwrap();
    server.otherwise(status(503));
    append(&queue, &[2000]);
    running.until("seen", |running| running.sender.metrics.snapshot().reload_errors >= 2).await;
    assert!(!running.sender.metrics.snapshot().reload_ok);
    server.otherwise(status(204));
    running.until_done().await;
    assert_eq!(server.seen().last().unwrap().header("authorization").as_deref(), Some("Bearer first"));
    let said = logs.with("the old content stays in use");
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains(&path.display().to_string()), "{}", said[0]);
}

#[tokio::test]
async fn a_secret_missing_at_start_is_waited_for_and_nothing_is_sent_without_it() {
    let logs = logs::collect();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    let server = serve(NOTHING).await;
    let queue = queue();
    append(&queue, &[1000]);
    let running = start(bearer(&server.url("/"), &path), &queue);
    running.until("tried twice", |running| running.requests("setup") >= 2).await;
    assert!(server.seen().is_empty());
    let said = logs.with("cannot deliver").remove(0);
    assert!(
        said.contains(&format!("cannot read the bearer token from {}: No such file", path.display())),
        "{said}"
    );
    fs::write(&path, "late").unwrap();
    running.until_done().await;
    assert_eq!(server.seen()[0].header("authorization").as_deref(), Some("Bearer late"));
}

/// Every kind of trouble, with a server that repeats whatever secret it knows.
#[tokio::test]
async fn secrets_are_never_in_logs_metrics_or_debug() {
    let logs = logs::collect();
    let echo = "password hunter2, key hunter3, Basic Ym9iOmh1bnRlcjI=";
    let script: Vec<Step> = vec![
        status(500).text(echo).into(),
        status(401).text(echo).into(),
        status(307).header("location", "http://bob:hunter2@elsewhere/?key=hunter3").text(echo).into(),
        Step::Close,
        Step::Reset,
        Step::Hang,
        status(400).text(echo).into(),
    ];
    let count = script.len();
    let server = serve(script).await;
    let queue = queue();
    append(&queue, &[1000]);
    let auth = Auth::Basic {
        username: "bob".to_owned(),
        password: Some(SecretSource::Inline(Secret::new("hunter2"))),
    };
    let headers = vec![("X-Key".to_owned(), Secret::new("hunter3"))];
    let url = server.url("/write?key=hunter3");
    let config = Config { auth, headers, ..config(&url) };
    assert!(!format!("{:?}", config.auth).contains("hunter"), "{config:?}");
    let timeout = config.timeout;
    let running = start(config, &queue);
    // The last but one hangs until it is given up.
    server.saw(count - 1).await;
    pass(timeout).await;
    server.saw(count).await;
    running.until("rejected", |running| running.queue.ledger(0).rejected == 1).await;
    running.until("said", |_| !logs.with("for the sake of this series").is_empty()).await;
    let shown = format!("{:#?} {:?}", logs.lines(), running.sender.metrics);
    for secret in ["hunter", "Ym9iOmh1bnRlcjI"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(shown.contains("[redacted]"), "{shown}");
}
