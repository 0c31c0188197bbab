//! The programs that are compared, each with its defaults but for addresses and the interval.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Longer than the minute that prometheus takes to flush to a receiver that does not answer.
const DEADLINE: Duration = Duration::from_secs(120);

#[derive(Clone, Copy)]
pub(crate) enum Contender {
    Ours,
    PrometheusAgent,
    Vmagent,
}

impl Contender {
    pub(crate) const ALL: [Self; 3] = [Self::Ours, Self::PrometheusAgent, Self::Vmagent];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ours => "docker-remote-write",
            Self::PrometheusAgent => "prometheus agent",
            Self::Vmagent => "vmagent",
        }
    }

    const fn program(self) -> &'static str {
        match self {
            Self::Ours => env!("CARGO_BIN_EXE_docker-remote-write"),
            Self::PrometheusAgent => "prometheus",
            Self::Vmagent => "vmagent",
        }
    }

    pub(crate) fn is_installed(&self) -> bool {
        let version = match self {
            Self::Ours | Self::PrometheusAgent => "--version",
            Self::Vmagent => "-version",
        };
        let found = Command::new(self.program())
            .arg(version)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok();
        if !found {
            println!("{} is not installed: left out", self.name());
        }
        found
    }

    /// Starts it in `dir`, which holds what it has left there before.
    pub(crate) fn start(self, dir: &Path, target: SocketAddr, sink: SocketAddr) -> io::Result<Running> {
        let mut command = Command::new(self.program());
        command.current_dir(dir).stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(fs::OpenOptions::new().create(true).append(true).open(dir.join("stderr"))?);
        let write = format!("http://{sink}/api/v1/write");
        match self {
            Self::Ours => {
                command
                    .arg("run")
                    .env_clear()
                    .env("SCRAPE_URL", format!("http://{target}/metrics"))
                    .env("REMOTE_WRITE_URL", write)
                    .env("SCRAPE_INTERVAL", "1s")
                    .env("QUEUE_DIR", dir.join("queue"));
            }
            Self::PrometheusAgent => {
                let remote = format!("remote_write:\n- url: {write}\n");
                fs::write(dir.join("config.yml"), scrape_config(target) + &remote)?;
                command.args([
                    "--enable-feature=agent",
                    "--config.file=config.yml",
                    "--storage.agent.path=data",
                    &format!("--web.listen-address={}", free_address()?),
                ]);
            }
            Self::Vmagent => {
                fs::write(dir.join("config.yml"), scrape_config(target))?;
                command.args([
                    "-promscrape.config=config.yml",
                    "-remoteWrite.tmpDataPath=data",
                    &format!("-remoteWrite.url={write}"),
                    &format!("-httpListenAddr={}", free_address()?),
                ]);
            }
        }
        Ok(Running { child: command.spawn()? })
    }
}

fn scrape_config(target: SocketAddr) -> String {
    format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n- job_name: docker\n  static_configs: [{{targets: ['{target}']}}]\n"
    )
}

fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

/// A process of a contender; it ends with this value.
pub(crate) struct Running {
    child: Child,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    /// The most memory that it has had, KiB.
    pub(crate) fn peak_rss(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or_default()
    }

    pub(crate) fn kill(mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    /// SIGTERM, and waits for the end.
    pub(crate) fn terminate(mut self) -> io::Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let start = Instant::now();
        while self.child.try_wait()?.is_none() {
            if start.elapsed() > DEADLINE {
                return Err(io::Error::other("SIGTERM does not end it"));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}
