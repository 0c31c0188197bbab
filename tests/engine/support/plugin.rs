//! The plugin as a user handles it: `make plugin`, `docker plugin set`, `enable`, `disable`.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::process::signal;
use super::{Engine, PATIENCE, eventually};

/// The name that the README's commands use.
pub(super) const NAME: &str = "remote-write";

/// `make plugin` writes target/plugin, so it is one test's at a time.
static BUILD: Mutex<()> = Mutex::new(());

/// The two manifests of the same plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manifest {
    /// config.json: Docker's page to the letter, queue in the rootfs.
    DockerPage,
    /// deploy/config.data.json: queue in the propagated mount.
    Data,
}

impl Manifest {
    /// Its path in the repository.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Manifest::DockerPage => "config.json",
            Manifest::Data => "deploy/config.data.json",
        }
    }
}

/// A created plugin.
pub(crate) struct Plugin {
    id: String,
    manifest: Manifest,
}

impl Plugin {
    /// `make plugin`, which must succeed.
    pub(crate) fn create(engine: &Engine, manifest: Manifest) -> Plugin {
        let output = Plugin::make(engine, manifest);
        assert!(output.status.success(), "make plugin: {output:?}");
        Plugin { id: engine.docker(&["plugin", "inspect", NAME, "--format", "{{.Id}}"]), manifest }
    }

    /// Runs `make plugin MANIFEST=...` against the engine.
    pub(crate) fn make(engine: &Engine, manifest: Manifest) -> Output {
        make(manifest, "plugin", |command| engine.address(command))
    }

    /// `make plugin-rootfs` into `dir`: what `docker plugin create` is given.
    pub(crate) fn make_rootfs(manifest: Manifest, dir: &Path) {
        let output = make(manifest, "plugin-rootfs", |command| {
            command.arg(format!("PLUGIN_DIR={}", dir.display()));
        });
        assert!(output.status.success(), "make plugin-rootfs: {output:?}");
    }

    /// `docker plugin install` from a registry, not enabled yet.
    pub(crate) fn install(
        engine: &Engine,
        manifest: Manifest,
        reference: &str,
        settings: &[(&str, &str)],
    ) -> Plugin {
        let pairs: Vec<String> = settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut args =
            vec!["plugin", "install", "--disable", "--grant-all-permissions", "--alias", NAME, reference];
        args.extend(pairs.iter().map(String::as_str));
        engine.docker(&args);
        Plugin { id: engine.docker(&["plugin", "inspect", NAME, "--format", "{{.Id}}"]), manifest }
    }

    /// `docker plugin upgrade` to another reference.
    pub(crate) fn upgrade(&self, engine: &Engine, reference: &str) {
        engine.docker(&[
            "plugin",
            "upgrade",
            "--skip-remote-check",
            "--grant-all-permissions",
            NAME,
            reference,
        ]);
    }

    /// `docker plugin set`, all settings in one call.
    pub(crate) fn set(&self, engine: &Engine, settings: &[(&str, &str)]) {
        let pairs: Vec<String> = settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut args = vec!["plugin", "set", NAME];
        args.extend(pairs.iter().map(String::as_str));
        engine.docker(&args);
    }

    /// `docker plugin enable`. Returns how long the command took.
    pub(crate) fn enable(&self, engine: &Engine) -> Duration {
        timed(|| engine.docker(&["plugin", "enable", NAME]))
    }

    /// `docker plugin disable`. Returns how long the command took.
    pub(crate) fn disable(&self, engine: &Engine) -> Duration {
        timed(|| engine.docker(&["plugin", "disable", NAME]))
    }

    /// Whether dockerd lists it as enabled.
    pub(crate) fn is_enabled(&self, engine: &Engine) -> bool {
        engine.docker(&["plugin", "inspect", NAME, "--format", "{{.Enabled}}"]) == "true"
    }

    /// The process as the host numbers it; none while dockerd starts it anew.
    pub(crate) fn pid(&self, engine: &Engine) -> Option<u32> {
        let file = engine.at("containerd/state/io.containerd.runtime.v2.task/plugins.moby").join(&self.id);
        let pid = fs::read_to_string(file.join("init.pid")).ok()?.trim().parse().ok()?;
        Path::new(&format!("/proc/{pid}")).exists().then_some(pid)
    }

    /// How often its process has been started, by containerd's log: each start has a shim of its own, which says so (and once more, quoted, when it is
    /// cleaned up). An end before the first line of the plugin's own log counts too.
    ///
    /// # Panics
    /// If the processes have said more often than that that they start: containerd's words are others then.
    pub(crate) fn starts(&self, engine: &Engine) -> usize {
        let said = self.log(engine).matches("docker-remote-write starts").count();
        let log = fs::read_to_string(engine.at("containerd.log")).unwrap_or_default();
        let shims = log
            .lines()
            .filter(|line| line.contains("msg=\"starting signal loop\"") && line.contains(&self.id))
            .count();
        assert!(shims >= said, "{said} processes have said that they start, and containerd knows of {shims}");
        shims
    }

    /// No thread has a capability in any set, or a way to new ones.
    pub(crate) fn assert_bare(&self, engine: &Engine) {
        let pid = eventually("the plugin's process", PATIENCE, || self.pid(engine));
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the plugin runs");
        let statuses = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("status")).ok());
        let statuses: Vec<String> = statuses.collect();
        assert!(statuses.len() >= 4, "main, plugin-api, queue, log-writer: {statuses:?}");
        for status in statuses {
            for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
                assert!(status.contains(&format!("{set}:\t0000000000000000\n")), "{set}: {status}");
            }
            assert!(status.contains("NoNewPrivs:\t1\n"), "{status}");
        }
    }

    /// `kill -9` of the process, then waits until dockerd has started another. Returns how long that took.
    pub(crate) fn kill_and_await_restart(&self, engine: &Engine) -> Duration {
        let before = eventually("the plugin's process", PATIENCE, || self.pid(engine));
        let start = Instant::now();
        signal(before, Signal::KILL);
        eventually("dockerd to start the killed plugin again", PATIENCE, || {
            self.pid(engine).filter(|pid| *pid != before)
        });
        start.elapsed()
    }

    /// The API socket as the host sees it. dockerd makes it below /run/docker/plugins whatever its exec-root (facts: docker-plugin 2).
    pub(crate) fn api_socket(&self) -> PathBuf {
        Path::new("/run/docker/plugins").join(&self.id).join(docker_remote_write::plugin::SOCKET_NAME)
    }

    /// `/status` of the plugin's own pages, as the host asks for it.
    pub(crate) fn status(&self) -> serde_json::Value {
        let socket = self.api_socket().with_file_name("telemetry.sock");
        let mut stream = UnixStream::connect(&socket).expect("the pages' socket appears on the host");
        stream.write_all(b"GET /status HTTP/1.0\r\n\r\n").expect("the plugin reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("the plugin answers");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a head");
        serde_json::from_str(body).expect("JSON")
    }

    /// Where the host sees the plugin's QUEUE_DIR.
    pub(crate) fn queue_dir(&self, engine: &Engine) -> PathBuf {
        let home = engine.at("data/plugins").join(&self.id);
        match self.manifest {
            Manifest::DockerPage => home.join("rootfs/data"),
            Manifest::Data => home.join("propagated-mount"),
        }
    }

    /// Bytes of all files of the queue.
    pub(crate) fn queue_bytes(&self, engine: &Engine) -> u64 {
        bytes_below(&self.queue_dir(engine))
    }

    /// Waits until the queue on disk has grown `times` times: that many scrapes are safe from `kill -9`. A scrape is several records (ours
    /// beside the target's), each synced on its own: what comes within 400 ms is one growth.
    pub(crate) fn await_queue_growth(&self, engine: &Engine, times: u32) {
        const QUIET: Duration = Duration::from_millis(400);
        let mut size = self.queue_bytes(engine);
        for _ in 0..times {
            eventually("the queue on disk to grow", PATIENCE, || {
                (self.queue_bytes(engine) > size).then_some(())
            });
            let mut last = (self.queue_bytes(engine), Instant::now());
            size = eventually("the queue on disk to rest between two scrapes", PATIENCE, || {
                let now = self.queue_bytes(engine);
                if now != last.0 {
                    last = (now, Instant::now());
                }
                (last.1.elapsed() >= QUIET).then_some(now)
            });
        }
    }

    /// This plugin's lines in the daemon's log.
    pub(crate) fn log(&self, engine: &Engine) -> String {
        let own = format!("plugin={}", self.id);
        engine
            .log()
            .lines()
            .filter(|line| line.contains(&own))
            .fold(String::new(), |all, line| all + line + "\n")
    }
}

/// Runs `make TARGET MANIFEST=...`, with what `prepare` adds.
fn make(manifest: Manifest, target: &str, prepare: impl FnOnce(&mut Command)) -> Output {
    let _one_at_a_time = BUILD.lock().unwrap_or_else(PoisonError::into_inner);
    let mut command = Command::new("make");
    prepare(&mut command);
    // What `cargo test` adds to our environment describes this test program: build scripts (ours, ring's) would take it for a change.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let ours = ["CARGO", "OUT_DIR", "REVISION"].contains(&&*text);
        if ours
            || ["CARGO_MANIFEST_", "CARGO_PKG_", "CARGO_BIN_"].iter().any(|prefix| text.starts_with(prefix))
        {
            command.env_remove(&name);
        }
    }
    command
        .arg("--no-print-directory")
        .arg("--directory")
        .arg(env!("CARGO_MANIFEST_DIR"))
        .arg(target)
        .arg(format!("MANIFEST={}", manifest.path()))
        .output()
        .expect("make is installed")
}

fn timed<T>(work: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn bytes_below(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => bytes_below(&entry.path()),
            Ok(meta) => meta.len(),
            Err(_) => 0,
        })
        .sum()
}
