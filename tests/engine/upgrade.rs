//! `docker plugin upgrade` through a real registry, in an outage: release N is installed, N+1 has another binary and a setting more. Settings stay, the
//! new one has its default, and the backlog survives where the manifest keeps it. Where it does not, the log has said how much is at stake
//! before `docker plugin disable` returned, and a drain in time leaves nothing behind.

use std::fs;
use std::path::{Path, PathBuf};

use docker_remote_write::receiver::Answer;
use serde_json::Value;
use tempfile::TempDir;

use crate::program::Books;
use crate::support::{Engine, Manifest, PATIENCE, Plugin, Registry, StrictReceiver, eventually};

/// Release N does not have it yet; its value is shown by a series of ours.
const NEW_SETTING: &str = "SCRAPE_SAMPLE_LIMIT";
const ITS_DEFAULT: f64 = 200_000.0;

/// What `docker plugin create` makes a release of.
struct Release {
    dir: PathBuf,
    reference: String,
}

impl Release {
    /// Of the built plugin: `knows` decides which settings its manifest declares, and the tag makes its binary another one (bytes
    /// behind an ELF file's end are nobody's).
    fn make(built: &Path, home: &Path, reference: &str, tag: &str, knows: impl Fn(&str) -> bool) -> Release {
        let dir = home.join(tag);
        fs::create_dir_all(dir.join("rootfs")).expect("the scratch directory is writable");
        let text = fs::read_to_string(built.join("config.json")).expect("make has written it");
        let mut manifest: Value = serde_json::from_str(&text).expect("the manifest is JSON");
        let settings = manifest["env"].as_array_mut().expect("it declares settings");
        settings.retain(|setting| knows(setting["name"].as_str().unwrap_or_default()));
        fs::write(dir.join("config.json"), manifest.to_string()).expect("the scratch directory is writable");
        let binary = dir.join("rootfs/docker-remote-write");
        fs::copy(built.join("rootfs/docker-remote-write"), &binary).expect("make has built it");
        let file = fs::OpenOptions::new().append(true).open(&binary).expect("it was copied");
        std::io::Write::write_all(&mut &file, tag.as_bytes()).expect("the scratch directory is writable");
        Release { dir, reference: reference.to_owned() }
    }

    /// Creates it, pushes it, and leaves it to the registry alone.
    fn publish(&self, engine: &Engine) {
        engine.docker(&["plugin", "create", &self.reference, &self.dir.display().to_string()]);
        engine.docker(&["plugin", "push", &self.reference]);
        engine.docker(&["plugin", "rm", &self.reference]);
    }

    fn assert_runs(&self, plugin: &Plugin, engine: &Engine) {
        let pid = eventually("the plugin's process", PATIENCE, || plugin.pid(engine));
        let running = fs::read(format!("/proc/{pid}/exe")).expect("root reads any process");
        let ours = fs::read(self.dir.join("rootfs/docker-remote-write")).expect("it was made");
        assert!(running == ours, "the process runs another binary than {}", self.reference);
    }
}

/// An engine with release N installed from the registry and pushing, and N+1 in the registry.
struct World {
    _dir: TempDir,
    _registry: Registry,
    receiver: StrictReceiver,
    engine: Engine,
    plugin: Plugin,
    next: Release,
}

impl World {
    fn begin(manifest: Manifest) -> World {
        let dir = tempfile::tempdir().expect("the temporary directory is writable");
        let built = dir.path().join("built");
        Plugin::make_rootfs(manifest, &built);
        let (registry, receiver, engine) = (Registry::start(), StrictReceiver::start(), Engine::start());
        let release = |tag: &str, knows: fn(&str) -> bool| {
            let release = Release::make(&built, dir.path(), &registry.reference(tag), tag, knows);
            release.publish(&engine);
            release
        };
        let next = release("n-plus-1", |_| true);
        let first = release("n", |name| name != NEW_SETTING);
        let plugin = Plugin::install(
            &engine,
            manifest,
            &first.reference,
            &[
                ("REMOTE_WRITE_URL", &receiver.push_url()),
                ("SCRAPE_INTERVAL", "1s"),
                ("INSTANCE", "kept"),
                ("EXTERNAL_LABELS", "cluster=a=b,rack=r 1"),
                ("REMOTE_WRITE_MAX_BACKOFF", "1s"),
            ],
        );
        let unknown = engine.try_docker(&["plugin", "set", "remote-write", &format!("{NEW_SETTING}=5")]);
        assert!(!unknown.status.success(), "release N does not know {NEW_SETTING}");
        plugin.enable(&engine);
        first.assert_runs(&plugin, &engine);
        eventually("two scrapes", PATIENCE, || (receiver.ups() >= 2).then_some(()));
        World { _dir: dir, _registry: registry, receiver, engine, plugin, next }
    }

    /// `docker plugin disable`; what the daemon's log held when it returned.
    fn disabled(&self) -> String {
        let before = self.plugin.log(&self.engine).len();
        self.plugin.disable(&self.engine);
        self.plugin.log(&self.engine).split_off(before)
    }

    fn upgraded(&self) {
        let refused = self.engine.try_docker(&["plugin", "set", "remote-write", "NO_SUCH_SETTING=1"]);
        assert!(!refused.status.success());
        self.plugin.upgrade(&self.engine, &self.next.reference);
        assert!(!self.plugin.is_enabled(&self.engine), "an upgrade leaves the plugin disabled");
        self.plugin.enable(&self.engine);
        self.next.assert_runs(&self.plugin, &self.engine);
    }

    /// The process of N+1 has the settings of N, and the default of what N did not know.
    fn assert_settings_kept(&self) {
        let pid = eventually("the plugin's process", PATIENCE, || self.plugin.pid(&self.engine));
        let environment = fs::read(format!("/proc/{pid}/environ")).expect("root reads any process");
        let given = String::from_utf8_lossy(&environment);
        assert!(!given.contains(NEW_SETTING), "dockerd merges no new setting: {given:?}");
        let labels = [("instance", "kept"), ("cluster", "a=b"), ("rack", "r 1")];
        let limit = [("__name__", "docker_remote_write_sample_limit"), labels[0], labels[1], labels[2]];
        self.receiver.receiver.read(|state| {
            let limits = state.store.select(&limit).flat_map(|(_, samples)| samples);
            let newest = limits.filter(|sample| !sample.is_stale_marker()).last().expect("it was pushed");
            assert!((newest.value() - ITS_DEFAULT).abs() < f64::EPSILON, "{}", newest.value());
            let all = state.store.iter();
            let others =
                all.filter(|(series, _)| labels.iter().any(|(name, value)| series.get(name) != Some(value)));
            assert_eq!(others.count(), 0, "each series has the labels that were set for N");
        });
    }

    /// The receiver has each sample that a process says it has delivered, in order and once.
    fn assert_delivered(&self, delivered: u64) {
        self.receiver.receiver.read(|state| {
            assert_eq!(state.violation_count, 0, "{:?}", state.violations);
            assert_eq!((state.store.samples(), state.duplicates), (delivered, 0));
        });
    }
}

/// The last process's ledger, closed.
fn books(log: &str) -> Books {
    // dockerd's log quotes each line.
    let books = Books::of("default", &log.replace("\\\"", "\"").replace("\" plugin=", " plugin="));
    books.assert_closed();
    assert_eq!(books.dropped, 0, "{books:?}");
    books
}

#[test]
fn with_the_data_manifest_settings_and_the_backlog_of_an_outage_survive_an_upgrade() {
    let world = World::begin(Manifest::Data);
    world.receiver.receiver.answer(Answer::status(503));
    world.plugin.await_queue_growth(&world.engine, 2);
    let said = world.disabled();
    let before = books(&said);
    assert!(before.pending > 0, "{said}");
    assert!(!said.contains("upgrade"), "nothing is at stake: {said}");
    world.upgraded();
    let ups = world.receiver.ups();
    world.receiver.receiver.answer(Answer::Normal);
    eventually("the backlog, and a scrape of N+1", PATIENCE, || {
        (world.receiver.ups() > ups + 3).then_some(())
    });
    world.assert_settings_kept();
    let after = books(&world.disabled());
    assert_eq!((after.recovered, after.pending), (before.pending, 0), "{before:?} {after:?}");
    world.assert_delivered(before.delivered + after.delivered);
}

#[test]
fn with_the_docker_page_manifest_the_drain_runs_first_and_what_an_upgrade_would_wipe_is_logged_before_disable_returns()
 {
    let world = World::begin(Manifest::DockerPage);
    world.receiver.receiver.answer(Answer::status(503));
    world.plugin.await_queue_growth(&world.engine, 2);
    let said = world.disabled();
    let before = books(&said);
    let warned = said.lines().find(|line| line.contains("a plugin upgrade before that wipes them"));
    let warned = warned.unwrap_or_else(|| panic!("nothing is said of what is at stake: {said}"));
    let expected = format!("samples={}", before.pending);
    assert!(warned.contains("endpoint=default") && warned.contains(&expected), "{before:?}: {warned}");
    let at = |words: &str| said.find(words).unwrap_or_else(|| panic!("{words:?} is not in: {said}"));
    assert!(at("delivering what is queued") < at("a plugin upgrade before that wipes them"), "{said}");

    // Not upgraded but enabled again: what is left behind goes out, at the latest in the drain of the next end.
    world.plugin.enable(&world.engine);
    world.receiver.receiver.answer(Answer::Normal);
    let ups = world.receiver.ups();
    eventually("the backlog to arrive", PATIENCE, || (world.receiver.ups() > ups + 2).then_some(()));
    let said = world.disabled();
    let drained = books(&said);
    assert_eq!((drained.recovered, drained.pending), (before.pending, 0), "{said}");
    assert!(!said.contains("upgrade"), "nothing is at stake: {said}");

    // So the upgrade costs nothing.
    world.upgraded();
    let ups = world.receiver.ups();
    eventually("two scrapes of N+1", PATIENCE, || (world.receiver.ups() >= ups + 2).then_some(()));
    world.assert_settings_kept();

    // And in an outage it costs what the log says, no more.
    world.receiver.receiver.answer(Answer::status(503));
    world.plugin.await_queue_growth(&world.engine, 2);
    let upgraded = books(&world.disabled());
    assert_eq!(upgraded.recovered, 0, "the queue was wiped");
    assert!(upgraded.pending > 0);
    world.plugin.upgrade(&world.engine, &world.next.reference);
    world.receiver.receiver.answer(Answer::Normal);
    world.plugin.enable(&world.engine);
    let ups = world.receiver.ups();
    eventually("two scrapes", PATIENCE, || (world.receiver.ups() >= ups + 2).then_some(()));
    let last = books(&world.disabled());
    assert_eq!((last.recovered, last.pending), (0, 0), "{last:?}");
    world.assert_delivered(before.delivered + drained.delivered + upgraded.delivered + last.delivered);
}
