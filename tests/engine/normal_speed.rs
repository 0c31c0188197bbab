//! dockerd starts, restarts and stops at its normal speed while every endpoint is a black hole: measured in one run beside an engine without
//! plugins, and beside one whose metrics plugin does nothing.

use std::time::{Duration, Instant};

use crate::support::{BlackHoles, Engine, Manifest, Plugin, enable_trivial_plugin, figure};

/// Each engine goes through all of it so often; they take turns, so that a busy minute of the machine is everybody's.
const ROUNDS: usize = 3;

/// What a planned stop may cost (the bound that is promised), and what a start may cost beside a plugin that does nothing. A start that waited for
/// the network would cost REMOTE_WRITE_TIMEOUT (30 s) or go on for ever (at boot dockerd calls StartMetrics without a time-out),
/// so a second tells the two apart, and leaves room for two busy cores.
const AT_MOST: Duration = Duration::from_secs(1);

/// The three engines, in the order of the table's columns.
const ENGINES: [&str; 3] = ["without plugins", "a plugin that does nothing", "ours, endpoints black holes"];
const NONE: usize = 0;
const TRIVIAL: usize = 1;
const OURS: usize = 2;

/// What is measured, in the order of the table's rows.
#[derive(Clone, Copy)]
enum Event {
    /// SIGTERM to dockerd's end.
    Stop,
    /// exec to the first answer of the API, after a planned stop: the boot of a host.
    Boot,
    /// Both in one: SIGTERM to the first answer of the next dockerd.
    Restart,
    /// exec to the first answer after `kill -9`: the plugin's old process has to be ended first.
    AfterKill,
}

const EVENTS: [(Event, &str); 4] = [
    (Event::Stop, "stop"),
    (Event::Boot, "boot"),
    (Event::Restart, "restart"),
    (Event::AfterKill, "boot after kill -9"),
];

#[test]
fn boot_restart_and_stop_are_those_of_an_engine_without_the_plugin() {
    let black_holes = BlackHoles::open();
    let mut engines = [Engine::start(), Engine::start(), Engine::start()];
    enable_trivial_plugin(&engines[TRIVIAL]);
    let plugin = Plugin::create(&engines[OURS], Manifest::DockerPage);
    plugin.set(&engines[OURS], &[("REMOTE_WRITE_CONFIG", &black_holes.blocks()), ("SCRAPE_INTERVAL", "1s")]);
    plugin.enable(&engines[OURS]);

    let mut times: [[Vec<Duration>; 3]; 4] = Default::default();
    for _ in 0..ROUNDS {
        for (at, engine) in engines.iter_mut().enumerate() {
            if at == OURS {
                await_requests_in_flight(engine, &plugin);
            }
            let start = Instant::now();
            let stop = engine.stop_dockerd();
            let boot = engine.start_dockerd();
            times[Event::Restart as usize][at].push(start.elapsed());
            times[Event::Stop as usize][at].push(stop);
            times[Event::Boot as usize][at].push(boot);
            if at == OURS {
                await_requests_in_flight(engine, &plugin);
            }
            engine.kill_dockerd();
            times[Event::AfterKill as usize][at].push(engine.start_dockerd());
        }
    }
    assert!(plugin.is_enabled(&engines[OURS]));
    assert!(plugin.log(&engines[OURS]).contains("dockerd called StartMetrics: scraping"));

    for (event, name) in EVENTS {
        for (engine, what) in ENGINES.iter().enumerate() {
            let measured = &times[event as usize][engine];
            figure(&format!(
                "dockerd, {name}, {what}: median {} ms, slowest {} ms of {ROUNDS}",
                median(measured).as_millis(),
                slowest(measured).as_millis()
            ));
        }
    }
    // The engines take turns: what slows one round of ours down for the machine's sake slows one of theirs down too.
    for (event, name) in EVENTS {
        let beside = match event {
            Event::Stop => NONE,
            // dockerd itself waits 0.5 s before it dials any plugin.
            Event::Boot | Event::Restart | Event::AfterKill => TRIVIAL,
        };
        for (which, of) in [("median", median as fn(&[Duration]) -> Duration), ("slowest", slowest)] {
            let [ours, theirs] = [OURS, beside].map(|engine| of(&times[event as usize][engine]));
            let added = ours.saturating_sub(theirs);
            figure(&format!(
                "dockerd, {name}, {which}: {} ms more than {}",
                added.as_millis(),
                ENGINES[beside]
            ));
            assert!(added < AT_MOST, "{name}, {which}: {ours:?}, and {theirs:?} {}", ENGINES[beside]);
        }
    }
}

/// A scrape has been queued, so each sender has a request under way that nobody will answer.
fn await_requests_in_flight(engine: &Engine, plugin: &Plugin) {
    plugin.await_queue_growth(engine, 1);
}

fn median(times: &[Duration]) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort();
    sorted[sorted.len() / 2]
}

fn slowest(times: &[Duration]) -> Duration {
    times.iter().copied().max().unwrap_or_default()
}
