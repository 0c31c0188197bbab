//! SIGTERM to dockerd and a new start: StopMetrics came, the series end at once, then they go on.

use crate::support::{
    Engine, Kind, Manifest, PATIENCE, Plugin, Receiver, assert_no_gaps, eventually, figure, now_ms,
};

crate::for_each_manifest_and_receiver!(daemon_restart_ends_the_series_and_resumes_them);

fn daemon_restart_ends_the_series_and_resumes_them(manifest: Manifest, kind: Kind) {
    let receiver = Receiver::start(kind);
    let mut engine = Engine::start();
    let plugin = Plugin::create(&engine, manifest);
    plugin.set(&engine, &[("REMOTE_WRITE_URL", &receiver.push_url()), ("SCRAPE_INTERVAL", "1s")]);
    plugin.enable(&engine);
    eventually("three scrapes", PATIENCE, || (scrapes(&receiver).len() >= 3).then_some(()));

    let stop = engine.stop_dockerd();
    let stopped_at = now_ms();
    figure(&format!("dockerd's SIGTERM to its end ({}): {} ms", manifest.path(), stop.as_millis()));
    assert!(
        plugin.log(&engine).contains("StopMetrics"),
        "StopMetrics came and was logged:\n{}",
        plugin.log(&engine)
    );

    // Ended, not faded: both receivers would answer for five more minutes if no staleness marker had come.
    for series in
        ["up{job=\"docker\"}", "engine_daemon_engine_info{job=\"docker\"}", "count({job=\"docker\"})"]
    {
        eventually(&format!("{series} to end"), PATIENCE, || {
            receiver.instant(series).is_empty().then_some(())
        });
    }
    let before = scrapes(&receiver);
    assert_no_gaps("up before the restart", &regular(&before));
    assert!(now_ms() - stopped_at < 120_000, "five minutes of lookback are not over");

    let start = engine.start_dockerd();
    figure(&format!(
        "dockerd's start with the plugin enabled ({}): {} ms",
        manifest.path(),
        start.as_millis()
    ));
    eventually("three scrapes after the restart", PATIENCE, || {
        (scrapes(&receiver).iter().filter(|(at, _)| *at > stopped_at).count() >= 3).then_some(())
    });
    assert_eq!(receiver.one("up{job=\"docker\"}"), Some(1.0));
    assert_eq!(receiver.instant("engine_daemon_engine_info{job=\"docker\"}").len(), 1);
    let after: Vec<(i64, f64)> = scrapes(&receiver).into_iter().filter(|(at, _)| *at > stopped_at).collect();
    assert_no_gaps("up after the restart", &after);
    assert!(plugin.is_enabled(&engine));
}

fn scrapes(receiver: &Receiver) -> Vec<(i64, f64)> {
    receiver.stored_one("up{job=\"docker\"}")
}

/// All but the last sample: StopMetrics takes one more scrape, off the grid (design section 5).
fn regular(points: &[(i64, f64)]) -> Vec<(i64, f64)> {
    points[..points.len() - 1].to_vec()
}
