//! Answers that mean wrong settings: nothing is dropped, and the data flows as soon as they are mended.

use std::time::Duration;

use docker_remote_write::remote::{Config, Tuning};

use super::{append, config, queue, start, start_with, timestamps};
use crate::support::logs;
use crate::support::scripted::{NOTHING, serve, status};

#[tokio::test]
async fn wrong_settings_hold_the_endpoint_until_the_answer_changes() {
    // VictoriaMetrics says with a 400 that the path is wrong.
    let wrong_path = "unsupported path requested: \"/write\"";
    for (code, text) in
        [(401, "no org id"), (403, "no org id"), (404, "no org id"), (405, "no org id"), (400, wrong_path)]
    {
        let logs = logs::collect();
        let server = serve(NOTHING).await;
        server.otherwise(status(code).text(text));
        let queue = queue();
        append(&queue, &[1000]);
        let running = start(config(&server.url("/write?key=hunter2")), &queue);
        server.saw(1).await;
        append(&queue, &[2000]);
        let probes = server.saw(4).await;
        // Always the oldest batch, byte for byte.
        for probe in &probes {
            assert_eq!(probe.body, probes[0].body);
        }
        running.until("held", |running| running.sender.metrics.snapshot().held).await;
        assert_eq!(running.queue.ledger(0).pending, 2);
        server.otherwise(status(204));
        running.until_done().await;
        running.until("no longer held", |running| !running.sender.metrics.snapshot().held).await;
        assert_eq!(running.queue.ledger(0).delivered, 2);
        assert_eq!(timestamps(server.seen().last().unwrap()), [2000]);

        let said = logs.with("endpoint held");
        assert_eq!(said.len(), 1, "{said:?}");
        let expected = format!(
            "ERROR message=endpoint held: its settings look wrong; nothing is dropped, the oldest request is tried again from time to time endpoint=test url=http://{}/write status={code} said={text} check=",
            server.address
        );
        assert!(said[0].starts_with(&expected), "{}", said[0]);
        assert!(said[0].contains(" pending=") && said[0].contains(" probe_in="), "{}", said[0]);
        assert_eq!(logs.with("answers again").len(), 1);
    }
}

#[tokio::test]
async fn a_held_endpoint_is_probed_after_a_minute_doubling_to_ten() {
    let logs = logs::collect();
    let server = serve([status(401)]).await;
    let queue = queue();
    append(&queue, &[1000]);
    let running = start_with(config(&server.url("/")), &queue, Tuning::default());
    running.until("held", |_| !logs.with("endpoint held").is_empty()).await;
    let said = logs.with("endpoint held").remove(0);
    let probe_in: f64 = said.split_once("probe_in=").unwrap().1.trim_end_matches('s').parse().unwrap();
    assert!((60.0..=66.1).contains(&probe_in), "{said}");
    assert_eq!(Tuning::default().max_hold, Duration::from_secs(600));
}

#[tokio::test]
async fn without_holding_wrong_settings_are_final_rw_1_14() {
    for code in [401, 403, 404, 405, 400] {
        let server = serve([status(code).text("unsupported path requested")]).await;
        let queue = queue();
        append(&queue, &[1000]);
        let running = start(Config { hold_on_auth_error: false, ..config(&server.url("/")) }, &queue);
        running.until_done().await;
        assert_eq!(running.queue.ledger(0).rejected, 1);
    }
}

#[tokio::test]
async fn rw_1_15_a_redirect_is_not_followed_and_loses_nothing() {
    for code in [301, 302, 303, 307, 308] {
        let logs = logs::collect();
        let elsewhere = serve(NOTHING).await;
        let server = serve(NOTHING).await;
        let to = elsewhere.url("/login?token=hunter2");
        server.otherwise(status(code).header("location", to));
        let queue = queue();
        append(&queue, &[1000]);
        let running = start(Config { hold_on_auth_error: false, ..config(&server.url("/")) }, &queue);
        let probes = server.saw(3).await;
        assert!(probes.iter().all(|probe| probe.line == "POST / HTTP/1.1"), "{probes:#?}");
        assert_eq!(running.queue.ledger(0).pending, 1);
        assert!(elsewhere.seen().is_empty());
        let said = logs.with("endpoint held").remove(0);
        let shown = format!("status={code} location={} said=", elsewhere.url("/login"));
        assert!(said.contains(&shown), "{said}");
        assert!(said.contains("redirects are never followed"), "{said}");
        server.otherwise(status(204));
        running.until_done().await;
        assert_eq!(running.queue.ledger(0).delivered, 1);
    }
}
