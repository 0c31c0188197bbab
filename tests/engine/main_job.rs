//! create, set, enable; PromQL answers; disable under a second with nothing lost; enable again.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::support::{
    Engine, Kind, Manifest, PATIENCE, Plugin, Receiver, assert_ledger_closes, assert_no_gaps,
    between_scrapes, eventually, figure, now_ms, phase,
};

crate::for_each_manifest_and_receiver!(engine_metrics_arrive_and_disable_loses_nothing);

/// The histogram whose every bucket is compared; every engine has it from its start.
const HISTOGRAM: &str = "engine_daemon_container_actions_seconds";

/// Scrapes are late on a busy machine (12 ms were seen), and then carry their true time; a phase chosen anew lies anywhere in the second.
const LATE_MS: i64 = 100;

fn engine_metrics_arrive_and_disable_loses_nothing(manifest: Manifest, kind: Kind) {
    let receiver = Receiver::start(kind);
    let engine = Engine::start();
    let plugin = Plugin::create(&engine, manifest);
    let again = Plugin::make(&engine, manifest);
    assert!(!again.status.success(), "`make plugin` must not replace a plugin: its queue would go with it");
    assert!(String::from_utf8_lossy(&again.stderr).contains("docker plugin rm remote-write"), "{again:?}");
    plugin.set(
        &engine,
        &[
            ("REMOTE_WRITE_URL", &receiver.push_url()),
            ("SCRAPE_INTERVAL", "1s"),
            ("EXTERNAL_LABELS", "cluster=test"),
        ],
    );
    let enable = plugin.enable(&engine);
    figure(&format!("`docker plugin enable` ({}): {} ms", manifest.path(), enable.as_millis()));

    eventually("up{job=\"docker\"} == 1", PATIENCE, || receiver.one("up{job=\"docker\"} == 1"));
    plugin.assert_bare(&engine);
    assert_engine_info(&receiver);
    assert_all_buckets(&engine, &receiver);
    assert_own_counters(&receiver);

    eventually("the plugin's own word that it works, asked for from the host", PATIENCE, || {
        let status = plugin.status();
        (status["scrape"]["running"] == true && status["endpoints"][0]["state"] == "up").then_some(())
    });
    eventually("ten scrapes", PATIENCE, || (scrapes(&receiver).len() >= 10).then_some(()));
    between_scrapes(phase(&scrapes(&receiver)));
    let disabled_at = now_ms();
    let disable = plugin.disable(&engine);
    figure(&format!("`docker plugin disable` ({}): {} ms", manifest.path(), disable.as_millis()));
    assert!(disable < Duration::from_secs(1), "`docker plugin disable` took {disable:?}");
    assert!(!plugin.is_enabled(&engine));

    let arrived = assert_every_answered_scrape_arrived(&engine, &receiver);
    assert!(disabled_at - arrived[arrived.len() - 1].0 < 1000, "the last scrape before `disable` is missing");
    assert_every_series_has_every_scrape(&receiver, &arrived);
    assert!(assert_ledger_closes(&receiver) >= 9, "our own counters came with (nearly) every scrape");

    // disable is no end of the engine: no staleness markers (settings: STALE_MARKERS_ON_STOP), and it goes on where it stopped.
    assert_eq!(receiver.one("up{job=\"docker\"}"), Some(1.0), "disable must not end the series");
    plugin.enable(&engine);
    eventually("scrapes after the second enable", PATIENCE, || {
        (scrapes(&receiver).len() >= arrived.len() + 3).then_some(())
    });
    between_scrapes(phase(&arrived));
    plugin.disable(&engine);
    let all = assert_every_answered_scrape_arrived(&engine, &receiver);
    let (first_life, second_life) = all.split_at(arrived.len());
    let apart = (phase(second_life) - phase(first_life)).rem_euclid(1000);
    assert!(apart.min(1000 - apart) < LATE_MS, "one phase for each target, through restarts too: {all:?}");
    assert_ledger_closes(&receiver);
    assert_calm(&plugin.log(&engine));
}

fn scrapes(receiver: &Receiver) -> Vec<(i64, f64)> {
    receiver.stored_one("up{job=\"docker\"}")
}

fn assert_engine_info(receiver: &Receiver) {
    let info = receiver.instant("engine_daemon_engine_info{job=\"docker\"}");
    assert_eq!(info.len(), 1, "{info:?}");
    assert!((info[0].points[0].1 - 1.0).abs() < f64::EPSILON);
    for name in ["instance", "version", "kernel", "os"] {
        assert_ne!(info[0].label(name), "", "label {name} of {info:?}");
    }
    assert_eq!(info[0].label("cluster"), "test", "external labels");
}

/// Every bucket that the engine serves has arrived, `le` spelled as Prometheus 3 stores it (facts: remote-write 4), and +Inf equals `_count`.
fn assert_all_buckets(engine: &Engine, receiver: &Receiver) {
    let served: BTreeSet<(String, String)> = engine
        .exposition()
        .lines()
        .filter_map(|line| line.strip_prefix(&format!("{HISTOGRAM}_bucket{{action=\"")))
        .filter_map(|rest| {
            let (action, rest) = rest.split_once("\",le=\"")?;
            let le = rest.split('"').next()?;
            let normal = if le == "+Inf" || le.contains('.') { le.to_owned() } else { format!("{le}.0") };
            Some((action.to_owned(), normal))
        })
        .collect();
    assert!(served.len() >= 12, "{HISTOGRAM} as the engine serves it: {served:?}");
    let stored = receiver.instant(&format!("{HISTOGRAM}_bucket{{job=\"docker\"}}"));
    let stored: BTreeSet<(String, String)> = stored
        .iter()
        .map(|series| (series.label("action").to_owned(), series.label("le").to_owned()))
        .collect();
    assert_eq!(stored, served);
    let differing = receiver.instant(&format!(
        "{HISTOGRAM}_bucket{{le=\"+Inf\"}} != ignoring(le) {HISTOGRAM}_count{{job=\"docker\"}}"
    ));
    assert!(differing.is_empty(), "{differing:?}");
}

fn assert_own_counters(receiver: &Receiver) {
    eventually("our own counter of delivered samples", PATIENCE, || {
        receiver
            .one("docker_remote_write_samples_delivered_total{job=\"docker-remote-write\",endpoint=\"default\"} > 0")
    });
    for name in ["samples_scraped_total", "samples_pending"] {
        let series = receiver.instant(&format!("docker_remote_write_{name}{{job=\"docker-remote-write\"}}"));
        assert!(!series.is_empty(), "docker_remote_write_{name}");
    }
}

/// The engine itself counts the scrapes that it has answered: exactly so many rounds of samples must be there.
fn assert_every_answered_scrape_arrived(engine: &Engine, receiver: &Receiver) -> Vec<(i64, f64)> {
    let answered = engine.scrapes_answered();
    let arrived = eventually(&format!("all {answered} scrapes that the engine answered"), PATIENCE, || {
        let arrived = scrapes(receiver);
        assert!(
            arrived.len() <= answered,
            "{} rounds of samples, {answered} scrapes: {arrived:?}",
            arrived.len()
        );
        (arrived.len() == answered).then_some(arrived)
    });
    assert!(arrived.iter().all(|(_, up)| (up - 1.0).abs() < f64::EPSILON), "{arrived:?}");
    arrived
}

/// No hole and no double in any series of the engine: as many samples as scrapes since the series began.
fn assert_every_series_has_every_scrape(receiver: &Receiver, scrapes: &[(i64, f64)]) {
    assert_no_gaps("up", scrapes);
    let last = scrapes[scrapes.len() - 1].0;
    let all = receiver.stored("{job=\"docker\"}");
    assert!(all.len() > 300, "an idle engine has about 400 series, here are {}", all.len());
    for series in all {
        assert_no_gaps(&format!("{:?}", series.labels), &series.points);
        assert_eq!(series.points[series.points.len() - 1].0, last, "{:?} ends early", series.labels);
    }
}

/// Nothing of level error, no panic, in a run in which nothing went wrong.
fn assert_calm(log: &str) {
    for line in log.lines() {
        assert!(!line.contains("level=error") && !line.contains("panicked"), "in the daemon's log: {line}");
    }
}
