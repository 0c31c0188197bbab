//! A process that is measured from outside.

use std::fs;
use std::io;
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// It ends with this value.
pub(crate) struct Process {
    child: Child,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> io::Result<Self> {
        Ok(Self { child: command.spawn()? })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Fields of `/proc/PID/status` by their names, of which the numbers are returned; 0 where there is none.
    ///
    /// # Errors
    /// When the process has ended.
    pub(crate) fn status<const N: usize>(&self, names: [&str; N]) -> io::Result<[u64; N]> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id()))?;
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.and_then(|line| line.split_ascii_whitespace().next()?.parse().ok()).unwrap_or_default()
        };
        Ok(names.map(number))
    }

    pub(crate) fn kill(mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    /// SIGTERM, and waits for the end.
    ///
    /// # Errors
    /// When it has not ended by the deadline; it is killed then.
    pub(crate) fn terminate(mut self, deadline: Duration) -> io::Result<ExitStatus> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let start = Instant::now();
        loop {
            match self.child.try_wait()? {
                Some(status) => return Ok(status),
                None if start.elapsed() > deadline => {
                    return Err(io::Error::other("SIGTERM does not end it"));
                }
                None => thread::sleep(Duration::from_millis(20)),
            }
        }
    }
}
