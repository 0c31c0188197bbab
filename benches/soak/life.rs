//! The forwarder from outside: what the kernel says of it, and its end.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::forwarder;
use super::process::Process;

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
pub(crate) struct Forwarder(Process);

impl Forwarder {
    pub(crate) fn start(queue: &Path, target: SocketAddr, sink: SocketAddr) -> io::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg(forwarder::ARGUMENT)
            .env_clear()
            .env("SCRAPE_URL", format!("http://{target}/metrics"))
            .env("REMOTE_WRITE_URL", format!("http://{sink}/api/v1/write"))
            .env("REMOTE_WRITE_PROTOBUF_MESSAGE", "1.0")
            .env("REMOTE_WRITE_TIMEOUT", "2s")
            .env("QUEUE_DIR", queue)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        Process::start(&mut command).map(Self)
    }

    pub(crate) fn holding(&self, queue: &Path) -> io::Result<Holding> {
        let [rss_kib, threads] = self.0.status(["VmRSS", "Threads"])?;
        let descriptors = fs::read_dir(format!("/proc/{}/fd", self.0.id()))?.count() as u64;
        Ok(Holding { rss_kib, threads, descriptors, disk: size_of(queue)? })
    }

    pub(crate) fn kill(self) -> io::Result<()> {
        self.0.kill()
    }

    /// SIGTERM, and waits for the end, which has to be a good one.
    pub(crate) fn terminate(self) -> io::Result<()> {
        match self.0.terminate(DEADLINE)? {
            status if status.success() => Ok(()),
            status => Err(io::Error::other(format!("SIGTERM: {status}"))),
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
