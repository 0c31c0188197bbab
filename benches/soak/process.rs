//! The forwarder from outside: what the kernel says of it, and its end.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::forwarder;

const DEADLINE: Duration = Duration::from_secs(30);

/// What a process holds at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Holding {
    pub(crate) rss_kib: u64,
    pub(crate) descriptors: u64,
    pub(crate) threads: u64,
    /// Bytes of all files of the queue's directory.
    pub(crate) disk: u64,
}

/// A running forwarder; killed when dropped.
pub(crate) struct Forwarder {
    child: Child,
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Forwarder {
    pub(crate) fn start(queue: &Path, target: SocketAddr, sink: SocketAddr) -> io::Result<Self> {
        let child = Command::new(std::env::current_exe()?)
            .arg(forwarder::ARGUMENT)
            .env_clear()
            .env("SCRAPE_URL", format!("http://{target}/metrics"))
            .env("REMOTE_WRITE_URL", format!("http://{sink}/api/v1/write"))
            .env("REMOTE_WRITE_PROTOBUF_MESSAGE", "1.0")
            .env("REMOTE_WRITE_TIMEOUT", "2s")
            .env("QUEUE_DIR", queue)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        Ok(Self { child })
    }

    pub(crate) fn holding(&self, queue: &Path) -> io::Result<Holding> {
        let proc = format!("/proc/{}", self.child.id());
        let status = fs::read_to_string(format!("{proc}/status"))?;
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.split_ascii_whitespace().next()?.parse().ok()).unwrap_or_default()
        };
        Ok(Holding {
            rss_kib: number("VmRSS:"),
            threads: number("Threads:"),
            descriptors: fs::read_dir(format!("{proc}/fd"))?.count() as u64,
            disk: size_of(queue)?,
        })
    }

    pub(crate) fn kill(mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    /// SIGTERM, and waits for the end, which has to be a good one.
    pub(crate) fn terminate(mut self) -> io::Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let start = Instant::now();
        loop {
            match self.child.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(io::Error::other(format!("SIGTERM: {status}"))),
                None if start.elapsed() > DEADLINE => {
                    return Err(io::Error::other("SIGTERM does not end it"));
                }
                None => thread::sleep(Duration::from_millis(20)),
            }
        }
    }
}

/// Files come and go meanwhile.
fn size_of(dir: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => bytes += size_of(&entry.path())?,
            Ok(metadata) => bytes += metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(bytes)
}
