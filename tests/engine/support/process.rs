//! A child process with its output in a file: ended by its pid, shown when the test fails.

use std::fs::{self, OpenOptions};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How much of a log is shown when a test fails.
const TAIL_LINES: usize = 60;

/// A running program. Dropping it ends it: SIGTERM, then SIGKILL.
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with standard output and error appended to `log`.
    pub(crate) fn start(name: &str, mut command: Command, log: &Path) -> Process {
        let out = OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .expect("the scratch directory is writable");
        let err = out.try_clone().expect("a descriptor can be doubled");
        let child = command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        Process { name: name.to_owned(), child, log: log.to_owned() }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended by itself.
    pub(crate) fn ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)) | Err(_))
    }

    /// SIGTERM, then waits. Returns how long it took.
    ///
    /// # Panics
    /// If it is still there after `within`; it is killed then.
    pub(crate) fn terminate(&mut self, within: Duration) -> Duration {
        let start = Instant::now();
        if self.ended() {
            return Duration::ZERO;
        }
        signal(self.child.id(), Signal::TERM);
        while !self.ended() {
            if start.elapsed() > within {
                let _ = self.child.kill();
                let _ = self.child.wait();
                assert!(std::thread::panicking(), "{} did not end within {within:?} of SIGTERM", self.name);
                return start.elapsed();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        start.elapsed()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            super::say(&format!(
                "---- last lines of {} ({})\n{}",
                self.name,
                self.log.display(),
                tail(&self.log)
            ));
        }
        if !self.ended() {
            signal(self.child.id(), Signal::TERM);
            let start = Instant::now();
            while !self.ended() && start.elapsed() < Duration::from_secs(25) {
                std::thread::sleep(Duration::from_millis(10));
            }
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Sends `signal` to one process. A process that is gone already is no error.
pub(crate) fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// A port on loopback that nobody listens on. Below the range from which the kernel takes the ports of outgoing connections: while a receiver is
/// away, no client's own port (not even a retry's: TCP can connect to itself) may move into its place.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    for _ in 0..10_000 {
        let pid = u16::try_from(std::process::id() % 9_000).expect("below 9,000");
        let port = 20_000 + (pid + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port between 20,000 and 32,000");
}

/// The end of a log, without what containerd and gRPC say about themselves at every start.
fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let of_interest = |line: &&str| !line.contains("loading plugin") && !line.contains("module=grpc");
    let mut lines: Vec<&str> = text.lines().rev().filter(of_interest).take(TAIL_LINES).collect();
    lines.reverse();
    lines.join("\n")
}
