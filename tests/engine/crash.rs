//! `kill -9` twice during an outage of the receiver: restarted by dockerd each time, and what was queued arrives.

use crate::support::{
    Engine, Kind, Manifest, PATIENCE, Plugin, Receiver, assert_no_gaps, eventually, figure, now_ms,
};

crate::for_each_manifest_and_receiver!(killed_twice_during_an_outage_queued_samples_arrive);

fn killed_twice_during_an_outage_queued_samples_arrive(manifest: Manifest, kind: Kind) {
    let mut receiver = Receiver::start(kind);
    let engine = Engine::start();
    let plugin = Plugin::create(&engine, manifest);
    plugin.set(
        &engine,
        &[
            ("REMOTE_WRITE_URL", &receiver.push_url()),
            ("SCRAPE_INTERVAL", "1s"),
            ("REMOTE_WRITE_MAX_BACKOFF", "1s"),
        ],
    );
    plugin.enable(&engine);
    eventually("three scrapes", PATIENCE, || (scrapes(&receiver).len() >= 3).then_some(()));
    receiver.stop();

    let mut kills = Vec::new();
    for round in ["first", "second"] {
        plugin.await_queue_growth(&engine, 4);
        kills.push(now_ms());
        let restart = plugin.kill_and_await_restart(&engine);
        figure(&format!(
            "{round} kill -9 ({}): a new process after {} ms",
            manifest.path(),
            restart.as_millis()
        ));
        assert!(plugin.is_enabled(&engine));
    }
    plugin.await_queue_growth(&engine, 4);
    let back_at = now_ms();
    receiver.resume();

    let arrived =
        eventually("everything queued, and a scrape after the receiver came back", PATIENCE, || {
            let arrived = distinct(scrapes(&receiver));
            (arrived.last()?.0 > back_at).then_some(arrived)
        });
    // The process's lives, cut at the kills: inside each of them every interval has its sample, and each ends at most one scrape before its kill.
    let mut rest = arrived.as_slice();
    for kill in kills {
        let (life, later) = rest.split_at(rest.partition_point(|(at, _)| *at < kill));
        assert_no_gaps("up before a kill", life);
        assert!(life.len() >= 3, "each life had three scrapes on disk, {life:?} arrived; all: {arrived:?}");
        assert!(
            kill - life[life.len() - 1].0 < 2000,
            "the queue's newest samples are missing: {life:?}, kill at {kill}"
        );
        rest = later;
    }
    assert_no_gaps("up after the last restart", rest);
    assert!(rest.len() >= 3);
    assert!(arrived.iter().all(|(_, up)| (up - 1.0).abs() < f64::EPSILON), "{arrived:?}");
}

fn scrapes(receiver: &Receiver) -> Vec<(i64, f64)> {
    receiver.stored_one("up{job=\"docker\"}")
}

/// `kill -9` may repeat one request (design section 2), which VictoriaMetrics shows as equal rows.
fn distinct(mut points: Vec<(i64, f64)>) -> Vec<(i64, f64)> {
    points.dedup_by(|a, b| a.0 == b.0 && a.1.to_bits() == b.1.to_bits());
    points
}
