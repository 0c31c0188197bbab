//! The real receivers, and PromQL asked of them.

use std::fs;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::process::{Process, free_port};
use super::series::Points;
use super::{PATIENCE, eventually, http};

/// The receivers that Debian packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Prometheus,
    VictoriaMetrics,
}

/// A receiver on loopback with storage of its own.
pub(crate) struct Receiver {
    kind: Kind,
    port: u16,
    process: Option<Process>,
    dir: TempDir,
    /// `prometheus.yml`; VictoriaMetrics needs none.
    config: String,
    /// Further arguments.
    arguments: &'static [&'static str],
}

impl Receiver {
    /// Starts it and waits until it says that it is ready.
    pub(crate) fn start(kind: Kind) -> Receiver {
        Receiver::start_with(kind, String::new(), &[])
    }

    /// A Prometheus that takes native histograms, and scrapes what `config` says: its prometheus.yml.
    pub(crate) fn with_native_histograms(config: String) -> Receiver {
        Receiver::start_with(Kind::Prometheus, config, &["--enable-feature=native-histograms"])
    }

    fn start_with(kind: Kind, config: String, arguments: &'static [&'static str]) -> Receiver {
        let dir = tempfile::Builder::new()
            .prefix("drw-receiver-")
            .tempdir()
            .expect("the temporary directory is writable");
        let mut receiver = Receiver { kind, port: free_port(), process: None, dir, config, arguments };
        receiver.resume();
        receiver
    }

    /// Ends it; its storage and its port stay.
    pub(crate) fn stop(&mut self) {
        self.process.take().expect("the receiver runs").terminate(Duration::from_secs(30));
    }

    /// Starts it again, on the same storage and port.
    pub(crate) fn resume(&mut self) {
        let address = format!("127.0.0.1:{}", self.port);
        let data = self.dir.path().join("data");
        let (name, ready, mut command) = match self.kind {
            Kind::Prometheus => {
                let config = self.dir.path().join("prometheus.yml");
                fs::write(&config, &self.config).expect("the scratch directory is writable");
                let mut command = Command::new("prometheus");
                command
                    .arg(format!("--config.file={}", config.display()))
                    .arg(format!("--storage.tsdb.path={}", data.display()))
                    .arg(format!("--web.listen-address={address}"))
                    .arg("--web.enable-remote-write-receiver");
                ("prometheus", "/-/ready", command)
            }
            Kind::VictoriaMetrics => {
                let mut command = Command::new("victoria-metrics");
                command
                    .arg(format!("-storageDataPath={}", data.display()))
                    .arg(format!("-httpListenAddr={address}"))
                    // By default it hides the newest 30 s from queries.
                    .arg("-search.latencyOffset=0s")
                    .arg("-search.disableCache")
                    .arg("-memory.allowedBytes=256MB");
                ("victoria-metrics", "/health", command)
            }
        };
        command.args(self.arguments);
        let mut process = Process::start(name, command, &self.dir.path().join("log"));
        eventually(&format!("{name} to be ready"), PATIENCE, || {
            assert!(!process.ended(), "{name} ended by itself");
            matches!(http::get(self.port, ready), Ok((200, _))).then_some(())
        });
        self.process = Some(process);
    }

    /// Where its API listens on loopback.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The body that it answers with.
    pub(crate) fn get(&self, path: &str) -> String {
        let (status, body) = http::get(self.port, path).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// What `REMOTE_WRITE_URL` is set to.
    pub(crate) fn push_url(&self) -> String {
        format!("http://127.0.0.1:{}/api/v1/write", self.port)
    }

    /// An instant query now: series that have not ended within the last 5 minutes, each with one point.
    pub(crate) fn instant(&self, promql: &str) -> Vec<Points> {
        self.query(promql, "value")
    }

    /// Every stored sample of the last hour, oldest first, without staleness markers: Prometheus leaves them out itself, VictoriaMetrics shows
    /// them as NaN (and an engine serves no other NaN; facts: docker-plugin 12).
    pub(crate) fn stored(&self, selector: &str) -> Vec<Points> {
        let mut found = self.query(&format!("{selector}[1h]"), "values");
        for series in &mut found {
            series.points.retain(|(_, value)| !value.is_nan());
        }
        found
    }

    /// The samples of a selector that names exactly one series; empty if there is none.
    pub(crate) fn stored_one(&self, selector: &str) -> Vec<(i64, f64)> {
        let mut series = self.stored(selector);
        assert!(series.len() <= 1, "{selector} is not one series: {series:?}");
        series.pop().map(|one| one.points).unwrap_or_default()
    }

    /// The value of an instant query that has one answer.
    pub(crate) fn one(&self, promql: &str) -> Option<f64> {
        let answer = self.instant(promql);
        assert!(answer.len() <= 1, "{promql} has more than one answer: {answer:?}");
        answer.first().map(|series| series.points[0].1)
    }

    fn query(&self, promql: &str, key: &str) -> Vec<Points> {
        let (status, body) = http::get(self.port, &format!("/api/v1/query?query={}", http::encode(promql)))
            .unwrap_or_else(|error| panic!("{promql}: {error}"));
        assert_eq!(status, 200, "{promql}: {body}");
        let answer: Value =
            serde_json::from_str(&body).unwrap_or_else(|error| panic!("{promql}: {error}: {body}"));
        let result = answer["data"]["result"].as_array().unwrap_or_else(|| panic!("{promql}: {body}"));
        result.iter().map(|series| Points::from_json(series, key)).collect()
    }
}
