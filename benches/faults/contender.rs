//! The programs that are compared, each with its defaults but for addresses and the interval.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::cpu::Meter;
use super::process::Process;

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
        Process::start(&mut command).map(Running)
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
pub(crate) struct Running(Process);

impl Running {
    /// The most memory that it has had, KiB; 0 when it has ended.
    pub(crate) fn peak_rss(&self) -> u64 {
        self.0.status(["VmHWM"]).map_or(0, |[peak]| peak)
    }

    /// Counts the CPU time of all its threads.
    pub(crate) fn meter(&self) -> Meter {
        Meter::of_process(self.0.id())
    }

    pub(crate) fn kill(self) -> io::Result<()> {
        self.0.kill()
    }

    /// SIGTERM, and waits for the end, whatever it is.
    pub(crate) fn terminate(self) -> io::Result<()> {
        self.0.terminate(DEADLINE).map(drop)
    }
}
