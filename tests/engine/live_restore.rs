//! live-restore: the plugin's process outlives the daemon, and the socket in its mount does not. It ends, and dockerd starts it with a new mount.

use std::fs;
use std::time::Duration;

use crate::support::{Engine, Kind, Manifest, PATIENCE, Plugin, Receiver, eventually, figure, now_ms};

/// Two scrape intervals and 2 s, from the moment when dockerd's API answers; StartMetrics comes shortly before.
const HEAL_LIMIT_MS: i64 = 2 * 1000 + 2000;

/// As long as the pause that the first exit demands, so that the second one may follow at once.
const DOWN: Duration = Duration::from_secs(62);

/// What a process says before it ends for a dead socket.
const ENDING: &str = "ending, so that dockerd starts a new process";

/// Where it notes that it does, in QUEUE_DIR.
const NOTE: &str = "state/stale-socket-exit";

/// USER_HZ of /proc.
const TICKS_PER_SECOND: u64 = 100;

#[test]
fn docker_page_manifest_to_prometheus() {
    a_restarted_daemon_is_scraped_again_by_a_new_process(Manifest::DockerPage, Kind::Prometheus);
}

#[test]
fn data_manifest_to_victoria_metrics() {
    a_restarted_daemon_is_scraped_again_by_a_new_process(Manifest::Data, Kind::VictoriaMetrics);
}

#[test]
fn a_socket_that_dies_within_a_minute_of_the_last_exit_is_waited_for() {
    let receiver = Receiver::start(Kind::Prometheus);
    let mut engine = Engine::start_with_live_restore();
    let plugin = Plugin::create(&engine, Manifest::DockerPage);
    plugin.set(&engine, &[("REMOTE_WRITE_URL", &receiver.push_url()), ("SCRAPE_INTERVAL", "1s")]);
    plugin.enable(&engine);
    let first = await_settled(&plugin, &engine, &receiver);
    engine.stop_dockerd();
    let manifest = Manifest::DockerPage;
    let second = await_new_process(&plugin, &mut engine, &receiver, first, "SIGTERM", manifest);
    let note = plugin.queue_dir(&engine).join(NOTE);
    let noted = fs::read_to_string(&note).expect("the exit is noted");
    let exited_at: i64 = noted.split(' ').next().and_then(|ms| ms.parse().ok()).expect("the note has a time");
    let exits = exits(&plugin, &engine);

    // The fresh process has scraped, is older than 5 s, is told to start, and its socket is as dead as that of the first one: all but the note is the same.
    engine.stop_dockerd();
    engine.start_dockerd();
    let back_at = now_ms();
    eventually("it to say why it stays", PATIENCE, || {
        plugin.log(&engine).contains("it is not long enough ago that it ended for this reason").then_some(())
    });
    let refused = "docker_remote_write_metrics_socket_stale";
    eventually("its own series to say so", PATIENCE, || {
        receiver.stored_one(refused).last().filter(|(at, stale)| *at > back_at && *stale > 0.5).map(|_| ())
    });
    // Past the next look at the socket, 10 s later.
    eventually("a dozen failed scrapes", PATIENCE, || {
        (scrapes(&receiver, back_at).iter().filter(|(_, up)| *up < 0.5).count() >= 12).then_some(())
    });
    let waited = now_ms() - exited_at;
    assert!(waited < 60_000, "the minute was over after {waited} ms: nothing was guarded");
    assert_eq!(plugin.pid(&engine), Some(second), "a second exit within a minute of the first");
    assert_eq!(self::exits(&plugin, &engine), exits);
    assert_eq!(fs::read_to_string(&note).expect("the note stays"), noted);
    assert!(plugin.is_enabled(&engine));
    figure(&format!(
        "a socket that died again {} ms after the last exit: no exit until {waited} ms",
        back_at - exited_at
    ));

    // What the log advises.
    plugin.disable(&engine);
    plugin.enable(&engine);
    let again_at = now_ms();
    eventually("a good scrape", PATIENCE, || (good_scrapes(&receiver, again_at) >= 1).then_some(()));
    plugin.disable(&engine);
}

/// How often the plugin has said that it ends.
fn exits(plugin: &Plugin, engine: &Engine) -> usize {
    plugin.log(engine).matches(ENDING).count()
}

fn a_restarted_daemon_is_scraped_again_by_a_new_process(manifest: Manifest, kind: Kind) {
    let receiver = Receiver::start(kind);
    let mut engine = Engine::start_with_live_restore();
    let plugin = Plugin::create(&engine, manifest);
    plugin.set(&engine, &[("REMOTE_WRITE_URL", &receiver.push_url()), ("SCRAPE_INTERVAL", "1s")]);
    plugin.enable(&engine);
    let first = await_settled(&plugin, &engine, &receiver);

    engine.stop_dockerd();
    assert_eq!(plugin.pid(&engine), Some(first), "with live-restore the process lives on");
    let second = await_new_process(&plugin, &mut engine, &receiver, first, "SIGTERM", manifest);

    // Nobody says StopMetrics this time: it goes on trying, without a word and without work.
    engine.kill_dockerd();
    let (killed_at, ticks, lines) = (now_ms(), cpu_ticks(second), plugin.log(&engine).lines().count());
    std::thread::sleep(DOWN);
    assert_eq!(plugin.pid(&engine), Some(second), "without a StartMetrics nothing is cured");
    let spent_ms = (cpu_ticks(second) - ticks) * 1000 / TICKS_PER_SECOND;
    figure(&format!(
        "processor time while dockerd is down for {DOWN:?} ({}): {spent_ms} ms",
        manifest.path()
    ));
    assert!(spent_ms < 1000, "{spent_ms} ms of processor time for failing scrapes");
    let ups = scrapes(&receiver, killed_at);
    assert!(ups.len() >= 50, "`up` 0 arrives at every interval, here {} times", ups.len());
    assert!(ups[2..].iter().all(|(_, up)| *up < 0.5), "{ups:?}");
    await_new_process(&plugin, &mut engine, &receiver, second, "SIGKILL", manifest);
    let said: Vec<String> = plugin.log(&engine).lines().skip(lines).map(str::to_owned).collect();
    let failures = said.iter().filter(|line| line.contains("scrape failed")).count();
    assert!((1..=3).contains(&failures), "one line for each kind of failure: {said:#?}");
    assert!(said.len() < 40, "{said:#?}");
    let note = plugin.queue_dir(&engine).join(NOTE);
    let note = fs::read_to_string(note).expect("the exit is noted");
    assert!(note.ends_with(" 120\n"), "the second exit demands twice the pause of the first: {note}");
    plugin.disable(&engine);
}

/// Waits until the first process scrapes and is so old that it ends for a dead socket.
fn await_settled(plugin: &Plugin, engine: &Engine, receiver: &Receiver) -> u32 {
    eventually("six scrapes", PATIENCE, || (good_scrapes(receiver, 0) >= 6).then_some(()));
    let first = plugin.pid(engine).expect("the plugin runs");
    eventually("a process of 5 s", PATIENCE, || (age_ticks(first) > 5 * TICKS_PER_SECOND).then_some(()));
    first
}

/// Starts dockerd again and waits until another process scrapes it, in time.
fn await_new_process(
    plugin: &Plugin,
    engine: &mut Engine,
    receiver: &Receiver,
    before: u32,
    ended_by: &str,
    manifest: Manifest,
) -> u32 {
    engine.start_dockerd();
    let back_at = now_ms();
    let (healed_at, _) = eventually("a good scrape of the new daemon", PATIENCE, || {
        scrapes(receiver, back_at).into_iter().find(|(_, up)| *up > 0.5)
    });
    let took = healed_at - back_at;
    figure(&format!(
        "first good scrape after dockerd's {ended_by} and return with live-restore ({}): {took} ms",
        manifest.path()
    ));
    assert!(took <= HEAL_LIMIT_MS, "{took} ms");
    assert!(plugin.is_enabled(engine));
    assert!(plugin.log(engine).contains(ENDING));
    let after = plugin.pid(engine).expect("the plugin runs");
    assert_ne!(after, before);
    let already = good_scrapes(receiver, back_at);
    eventually("it to go on", PATIENCE, || (good_scrapes(receiver, back_at) >= already + 6).then_some(()));
    after
}

/// `up` since a time, in ms.
fn scrapes(receiver: &Receiver, since: i64) -> Vec<(i64, f64)> {
    let mut scrapes = receiver.stored_one("up{job=\"docker\"}");
    scrapes.retain(|(at, _)| *at > since);
    scrapes
}

fn good_scrapes(receiver: &Receiver, since: i64) -> usize {
    scrapes(receiver, since).iter().filter(|(_, up)| *up > 0.5).count()
}

/// User and system time of a process (proc(5): fields 14 and 15).
fn cpu_ticks(pid: u32) -> u64 {
    let [user, system] = ticks(pid, [14, 15]);
    user + system
}

/// The time since the start of a process (proc(5): field 22, since the boot).
fn age_ticks(pid: u32) -> u64 {
    let uptime = fs::read_to_string("/proc/uptime").expect("proc is mounted");
    // Seconds with two decimals.
    let hundredths = uptime.split(' ').next().unwrap_or_default().replace('.', "");
    let now = hundredths.parse::<u64>().expect("a time") * TICKS_PER_SECOND / 100;
    let [start] = ticks(pid, [22]);
    now - start
}

/// Fields of /proc/PID/stat; the second one is a name in brackets, with whatever in it.
fn ticks<const N: usize>(pid: u32, fields: [usize; N]) -> [u64; N] {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the plugin runs");
    let from_third: Vec<&str> =
        stat.rsplit(')').next().unwrap_or_default().split_ascii_whitespace().collect();
    fields.map(|field| from_third[field - 3].parse().expect("a number of ticks"))
}
