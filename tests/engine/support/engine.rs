//! A Docker engine of the test's own: containerd and dockerd with all state in one temporary directory, no bridge, no iptables, no system service.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;

use super::process::{Process, signal};
use super::{PATIENCE, eventually, http, say};

/// dockerd gives its plugins 15 s to end (`--shutdown-timeout`); more than 20 means that something hangs.
const SHUTDOWN: Duration = Duration::from_secs(20);

/// containerd 1.6's own state; without `opt` it would make /opt/containerd, without `cri` it would look for a network.
const CONTAINERD: &str = r#"
version = 2
root = "{dir}/containerd/root"
state = "{dir}/containerd/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "{dir}/containerd/c.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "{dir}/containerd/opt"
"#;

/// A private engine. Dropping it ends dockerd, then containerd, then whatever a crash left behind.
pub(crate) struct Engine {
    dockerd: Option<Process>,
    containerd: Option<Process>,
    /// Whether plugins outlive dockerd.
    live_restore: bool,
    /// Requests to this dockerd's metrics socket that were ours.
    asked: AtomicUsize,
    dir: TempDir,
}

impl Engine {
    /// Starts containerd and dockerd and waits until the API answers.
    pub(crate) fn start() -> Engine {
        Engine::start_with(false)
    }

    /// The same, with a dockerd whose containers and plugins outlive it.
    pub(crate) fn start_with_live_restore() -> Engine {
        Engine::start_with(true)
    }

    fn start_with(live_restore: bool) -> Engine {
        // Short: a unix socket's path ends at 107 bytes.
        let dir = tempfile::Builder::new().prefix("drw-").tempdir_in("/tmp").expect("/tmp is writable");
        let at = |name: &str| dir.path().join(name);
        for made in ["containerd", "cli", "exec", "data"] {
            fs::create_dir(at(made)).expect("the scratch directory is writable");
        }
        let config = CONTAINERD.replace("{dir}", &dir.path().display().to_string());
        fs::write(at("containerd.toml"), config).expect("the scratch directory is writable");
        // dockerd would read /etc/docker/daemon.json, which belongs to somebody else.
        fs::write(at("daemon.json"), format!("{{\"live-restore\": {live_restore}}}"))
            .expect("the scratch directory is writable");

        let mut command = Command::new("containerd");
        command.arg("--config").arg(at("containerd.toml"));
        let containerd = Process::start("containerd", command, &at("containerd.log"));
        eventually("containerd's socket", PATIENCE, || at("containerd/c.sock").exists().then_some(()));

        let mut engine = Engine {
            dockerd: None,
            containerd: Some(containerd),
            live_restore,
            asked: AtomicUsize::new(0),
            dir,
        };
        engine.start_dockerd();
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            say(&format!("the private engine's `docker version`:\n{}", engine.docker(&["version"])))
        });
        engine
    }

    /// Starts dockerd again after [`Engine::stop_dockerd`]. Returns how long its API took to answer.
    pub(crate) fn start_dockerd(&mut self) -> Duration {
        let start = Instant::now();
        let mut command = Command::new("dockerd");
        command
            .arg("--config-file")
            .arg(self.at("daemon.json"))
            .arg("--data-root")
            .arg(self.at("data"))
            .arg("--exec-root")
            .arg(self.at("exec"))
            .arg("--pidfile")
            .arg(self.at("docker.pid"))
            .arg("--containerd")
            .arg(self.at("containerd/c.sock"))
            .arg("--host")
            .arg(format!("unix://{}", self.at("docker.sock").display()))
            .args(["--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-masq=false"]);
        let mut dockerd = Process::start("dockerd", command, &self.log_path());
        let socket = self.at("docker.sock");
        while !matches!(http::get_unix(&socket, "/_ping"), Ok((200, _))) {
            assert!(!dockerd.ended(), "dockerd ended by itself: {}", self.log());
            assert!(start.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain for dockerd's API");
            // Its start is a figure: asked more often than elsewhere.
            std::thread::sleep(Duration::from_millis(5));
        }
        let took = start.elapsed();
        self.dockerd = Some(dockerd);
        self.asked.store(0, Ordering::Relaxed);
        took
    }

    /// SIGTERM to dockerd alone, as a package's upgrade does. Returns how long it took.
    pub(crate) fn stop_dockerd(&mut self) -> Duration {
        let mut dockerd = self.dockerd.take().expect("dockerd runs");
        dockerd.terminate(SHUTDOWN)
    }

    /// `kill -9` of dockerd: nobody is told.
    pub(crate) fn kill_dockerd(&mut self) {
        let dockerd = self.dockerd.take().expect("dockerd runs");
        signal(dockerd.pid(), Signal::KILL);
        drop(dockerd);
    }

    /// Runs `docker ARGS` against this engine and returns its standard output.
    ///
    /// # Panics
    /// If docker says no.
    pub(crate) fn docker(&self, args: &[&str]) -> String {
        let output = self.try_docker(args);
        assert!(
            output.status.success(),
            "docker {args:?}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    pub(crate) fn try_docker(&self, args: &[&str]) -> Output {
        let mut command = Command::new("docker");
        self.address(&mut command);
        command.args(args).output().expect("the docker client is installed")
    }

    /// Points a command at this engine through the environment, as a user's shell would.
    pub(crate) fn address(&self, command: &mut Command) {
        command
            .env("DOCKER_HOST", format!("unix://{}", self.at("docker.sock").display()))
            .env("DOCKER_CONFIG", self.at("cli"))
            .env_remove("DOCKER_CONTEXT");
    }

    /// What the engine's own metrics socket serves right now: the truth that the plugin forwards.
    pub(crate) fn exposition(&self) -> String {
        let (status, body) =
            http::get_unix(&self.at("exec/metrics.sock"), "/metrics").expect("the metrics socket answers");
        assert_eq!(status, 200);
        self.asked.fetch_add(1, Ordering::Relaxed);
        body
    }

    /// How many scrapes of the plugin this dockerd has answered, by its own count, without the requests made here.
    pub(crate) fn scrapes_answered(&self) -> usize {
        let asked_before = self.asked.load(Ordering::Relaxed);
        let exposition = self.exposition();
        let counted: Option<usize> = exposition
            .lines()
            .find_map(|line| line.strip_prefix("promhttp_metric_handler_requests_total{code=\"200\"} "))
            .and_then(|count| count.parse().ok());
        counted.expect("the engine counts what it has answered") - asked_before
    }

    /// Everything dockerd has logged, plugins' lines included.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// A path inside the engine's directory.
    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn log_path(&self) -> PathBuf {
        self.at("dockerd.log")
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Order matters: dockerd ends its plugins through containerd, with live-restore only when it is told to.
        if self.live_restore && self.dockerd.is_some() {
            let _ = self.try_docker(&["plugin", "disable", "--force", super::plugin::NAME]);
        }
        drop(self.dockerd.take());
        for pid in plugin_pids(&self.at("containerd/state/io.containerd.runtime.v2.task/plugins.moby")) {
            signal(pid, Signal::KILL);
        }
        drop(self.containerd.take());
        // containerd lets its shims live, so that it can be upgraded under running containers.
        for pid in shims_of(&self.at("containerd/c.sock")) {
            signal(pid, Signal::KILL);
        }
        // Where a plugin never came up, its API directory stays behind, outside of ours. Beside the plugins' ids lie dockerd's own directories.
        for plugin in fs::read_dir(self.at("data/plugins")).into_iter().flatten().flatten() {
            if plugin.file_name().len() == 64 {
                let _ = fs::remove_dir_all(Path::new("/run/docker/plugins").join(plugin.file_name()));
            }
        }
        for mount in mounts_under(self.dir.path()) {
            let _ = Command::new("umount").arg("--lazy").arg(&mount).output();
        }
    }
}

/// The processes of plugins that a killed dockerd did not end.
fn plugin_pids(tasks: &Path) -> Vec<u32> {
    let entries = fs::read_dir(tasks).into_iter().flatten().flatten();
    entries
        .filter_map(|task| fs::read_to_string(task.path().join("init.pid")).ok()?.trim().parse().ok())
        .collect()
}

/// The shims that talk to this containerd and to no other.
fn shims_of(containerd: &Path) -> Vec<u32> {
    let address = containerd.display().to_string();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|process| {
            let pid = process.file_name().to_str()?.parse().ok()?;
            let line = fs::read(process.path().join("cmdline")).ok()?;
            let mut arguments = line.split(|byte| *byte == 0);
            let is_shim = arguments.next()?.windows(15).any(|part| part == b"containerd-shim");
            (is_shim && arguments.any(|argument| argument == address.as_bytes())).then_some(pid)
        })
        .collect()
}

/// Mount points below `dir`, innermost first.
fn mounts_under(dir: &Path) -> Vec<String> {
    let table = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let prefix = format!("{}/", dir.display());
    let mut mounts: Vec<String> = table
        .lines()
        .filter_map(|line| line.split(' ').nth(1))
        .filter(|mount| mount.starts_with(&prefix))
        .map(str::to_owned)
        .collect();
    mounts.reverse();
    mounts
}
