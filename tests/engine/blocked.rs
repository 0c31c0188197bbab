//! dockerd never waits: StartMetrics is answered while the endpoint is a black hole and the queue's disk is frozen (design section 5).
//!
//! dockerd 20.10 calls StartMetrics at boot without a time-out; an answer that waits froze a whole engine for 9.5 minutes
//! (facts: docker-plugin 4).

use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::support::{
    Engine, FreezableDisk, Kind, Manifest, PATIENCE, Plugin, Receiver, eventually, figure, now_ms,
    post_like_dockerd,
};

#[test]
fn docker_page_manifest() {
    start_metrics_is_answered_with_a_black_hole_and_a_frozen_disk(Manifest::DockerPage);
}

#[test]
fn data_manifest() {
    start_metrics_is_answered_with_a_black_hole_and_a_frozen_disk(Manifest::Data);
}

/// How often the API is asked; the slowest answer is the figure.
const CALLS: u32 = 50;

fn start_metrics_is_answered_with_a_black_hole_and_a_frozen_disk(manifest: Manifest) {
    let receiver = Receiver::start(Kind::Prometheus);
    // The kernel accepts for it; nobody ever reads or answers.
    let black_hole = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
    let black_hole_url = format!("http://{}/api/v1/write", black_hole.local_addr().expect("it is bound"));

    let engine = Engine::start();
    let plugin = Plugin::create(&engine, manifest);
    plugin.set(&engine, &[("REMOTE_WRITE_URL", &black_hole_url), ("SCRAPE_INTERVAL", "1s")]);
    let disk = FreezableDisk::mount(&engine.at("queue.img"), &plugin.queue_dir(&engine));

    // Frozen before the process starts: not even the queue's directory can be locked.
    disk.freeze();
    let enable = plugin.enable(&engine);
    assert!(plugin.is_enabled(&engine));
    let slowest = slowest_call(&plugin, "StartMetrics");
    disk.thaw();
    figure(&format!(
        "frozen disk from the start, black-hole endpoint ({}): enable {} ms, StartMetrics at most {:.2} ms of {CALLS} calls",
        manifest.path(),
        enable.as_millis(),
        millis(slowest)
    ));

    // Frozen in full flight.
    plugin.await_queue_growth(&engine, 3);
    disk.freeze();
    let frozen_at = now_ms();
    let before = engine.scrapes_answered();
    eventually("two scrapes whose records meet the frozen disk", PATIENCE, || {
        (engine.scrapes_answered() >= before + 2).then_some(())
    });
    let start = slowest_call(&plugin, "StartMetrics");
    let stop = slowest_call(&plugin, "StopMetrics");
    slowest_call(&plugin, "StartMetrics");
    let thawed_at = now_ms();
    disk.thaw();
    figure(&format!(
        "frozen disk in flight, black-hole endpoint ({}): StartMetrics at most {:.2} ms, StopMetrics at most {:.2} ms of {CALLS} calls each",
        manifest.path(),
        millis(start),
        millis(stop)
    ));

    // Nothing is lost by it: the scrapes from before and under the frost reach a receiver that answers.
    plugin.await_queue_growth(&engine, 2);
    let disable = plugin.disable(&engine);
    figure(&format!(
        "`docker plugin disable` with a black-hole endpoint ({}): {} ms",
        manifest.path(),
        disable.as_millis()
    ));
    assert!(disable < Duration::from_secs(1), "`docker plugin disable` took {disable:?}");
    disk.mount_again();
    plugin.set(&engine, &[("REMOTE_WRITE_URL", &receiver.push_url())]);
    plugin.enable(&engine);
    eventually("the samples that were queued under the frost", PATIENCE, || {
        let up = receiver.stored_one("up{job=\"docker\"}");
        let under_frost = up.iter().any(|(at, _)| (frozen_at..thawed_at).contains(at));
        (up.first()?.0 < frozen_at && under_frost && up.last()?.0 > thawed_at).then_some(())
    });
    plugin.disable(&engine);
    drop(disk);
}

fn slowest_call(plugin: &Plugin, method: &str) -> Duration {
    let mut slowest = Duration::ZERO;
    for _ in 0..CALLS {
        let start = Instant::now();
        let (status, body) = post_like_dockerd(&plugin.api_socket(), &format!("MetricsCollector.{method}"))
            .unwrap_or_else(|error| panic!("{method} on {}: {error}", plugin.api_socket().display()));
        slowest = slowest.max(start.elapsed());
        assert_eq!((status, body.as_str()), (200, "{\"Err\":\"\"}"));
    }
    slowest
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
