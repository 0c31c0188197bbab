//! Outages, kills, black holes: what was scraped arrives, in order, and nobody waits.

use std::time::{Duration, Instant};

use docker_remote_write::receiver::Answer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{DEADLINE, World};

#[tokio::test]
async fn rw_1_16_a_plugin_pushes_from_start_to_stop_and_ends_every_series() {
    let world = World::new().await;
    let (program, mut dockerd) = world.plugin(&[]).await;
    assert_eq!(
        dockerd.call("Plugin.Activate").await.unwrap().body,
        "{\"Implements\":[\"MetricsCollector\"]}"
    );
    let reply = dockerd.start_metrics().await.unwrap();
    assert_eq!((reply.status, reply.body.as_str()), (200, "{\"Err\":\"\"}"));
    world.until_ups(2).await;
    let reply = dockerd.stop_metrics().await.unwrap();
    assert_eq!((reply.status, reply.body.as_str()), (200, "{\"Err\":\"\"}"));
    let (status, said, _) = program.terminated().await;
    assert!(status.success(), "{said}");
    assert_eq!(said.matches("the endpoint takes our samples").count(), 1, "{said}");
    world.assert_strict();
    world.receiver.read(|state| {
        for (labels, samples) in state.store.iter() {
            assert!(samples.last().unwrap().is_stale_marker(), "{labels} has not ended");
        }
        let own =
            [("job", "docker-remote-write"), ("__name__", "docker_remote_write_samples_delivered_total")];
        assert!(state.count(&own) > 0, "our own series are missing");
    });
}

#[tokio::test]
async fn rw_1_19_what_an_outage_and_two_kills_left_behind_arrives_in_order_and_once() {
    let world = World::new().await;
    world.receiver.answer(Answer::status(503));
    let mut served = 0;
    for _ in 0..2 {
        let program = world.run(&[]);
        assert!(world.engine.wait_for(served + 3, DEADLINE).await);
        program.killed();
        served = world.engine.scrapes();
    }
    world.receiver.answer(Answer::Normal);
    let program = world.run(&[]);
    // Each kill may have caught one scrape between the socket and the queue.
    world.until_ups(served - 2 + 1).await;
    let (status, _, _) = program.terminated().await;
    assert!(status.success());
    world.assert_strict();
    world.receiver.read(|state| assert_eq!(state.duplicates, 0));
}

#[tokio::test]
async fn sigterm_delivers_what_is_queued_to_an_endpoint_that_answers() {
    let world = World::new().await;
    let program = world.run(&[("QUEUE_STORAGE", "memory")]);
    world.until_ups(1).await;
    let (status, said, _) = program.terminated().await;
    assert!(status.success());
    assert!(!said.contains("lost: the queue was in memory"), "{said}");
    assert!(world.ups() >= world.engine.scrapes() - 1, "only a scrape that SIGTERM cut short may be missing");
}

#[tokio::test]
async fn with_a_black_hole_start_stop_and_sigterm_are_answered_and_the_end_comes_within_a_second() {
    let world = World::new().await;
    // Connections are taken by the kernel, and never answered.
    let black_hole = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/api/v1/write", black_hole.local_addr().unwrap());
    let (program, mut dockerd) = world.plugin(&[("REMOTE_WRITE_URL", &url)]).await;
    assert_eq!(dockerd.start_metrics().await.unwrap().status, 200);
    assert!(world.engine.wait_for(2, DEADLINE).await);
    assert_eq!(dockerd.stop_metrics().await.unwrap().status, 200);
    let (status, said, took) = program.terminated().await;
    assert!(status.success());
    assert!(took < Duration::from_secs(1), "SIGTERM took {took:?}");
    assert!(said.contains("undelivered samples stay in the queue"), "{said}");
}

#[tokio::test]
async fn a_target_over_http_needs_no_certificates_of_the_system() {
    let world = World::new().await;
    let target = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/metrics", target.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = target.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let answer = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 4\r\nConnection: close\r\n\r\na 1\n";
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    // As in a plugin's root file system, which is empty but for the binary.
    let nowhere = [("SSL_CERT_FILE", "/nonexistent"), ("SSL_CERT_DIR", "/nonexistent")];
    let program = world.run(&[("SCRAPE_URL", url.as_str()), nowhere[0], nowhere[1]]);
    world.until_ups(2).await;
    let (status, said, _) = program.terminated().await;
    assert!(status.success(), "{said}");
    world.assert_strict();
}

#[tokio::test]
async fn dockerd_disk_log_and_everything_else_have_a_thread_each() {
    let world = World::new().await;
    let (program, mut dockerd) = world.plugin(&[]).await;
    assert_eq!(dockerd.start_metrics().await.unwrap().status, 200);
    world.until_ups(1).await;
    let start = Instant::now();
    loop {
        let mut threads = program.threads();
        threads.sort_unstable();
        // Beside these only tokio's blocking pool, for getaddrinfo and the files of settings.
        threads.retain(|name| name != "tokio-rt-worker");
        if threads == ["docker-remote-w", "log-writer", "plugin-api", "queue", "telemetry"] {
            break;
        }
        // Until it first runs, a thread has the name of the one that made it.
        assert!(start.elapsed() < DEADLINE, "{threads:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
