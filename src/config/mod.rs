//! The one settings table; environment to typed configuration, all problems at once, no secret printed.
//!
//! Hands each room its own `Config`. Knows neither sockets nor tasks, and reads no file that a setting names.

mod blocks;
mod endpoint;
mod filters;
mod log;
mod map;
mod problem;
mod reader;
mod strings;
pub mod table;
mod target;
mod telemetry;
#[cfg(test)]
mod tests;
mod unknown;
mod url;
mod values;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

pub use log::{log_from_env, sandbox_from_env};
pub use problem::{Problem, Problems, Warning};
pub use strings::{Environment, NotUtf8, Strings};

use crate::telemetry::Serving;
use crate::telemetry::log::LogConfig;
use crate::{collector, queue, remote, scrape};
use reader::Reader;

/// Where the plugin keeps its queue: a directory of the rootfs, or the propagated mount of `deploy/config.data.json`.
pub const PLUGIN_QUEUE_DIR: &str = "/data";

/// SIGKILL follows SIGTERM after 10 s (docker-plugin 6); the queue is closed in what remains.
const LONGEST_PLUGIN_DRAIN: Duration = Duration::from_secs(8);

/// Which face of the program reads the settings; a few defaults differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// dockerd starts us.
    Plugin,
    /// Somebody else does.
    Run,
}

/// Everything that the settings say. Its `Debug` form is fit for a log: no user's name, no query of a URL, no secret.
#[derive(Clone)]
pub struct Config {
    /// The face.
    pub mode: Mode,
    /// `SCRAPE_*`, `HONOR_*`, `JOB`, `INSTANCE`, `EXTERNAL_LABELS`, `METRICS_*`, `METRIC_RELABEL_CONFIGS`.
    pub scrape: scrape::Config,
    /// `QUEUE_*`.
    pub queue: queue::Config,
    /// `REMOTE_WRITE_*`; at least one, names are unique.
    pub endpoints: Vec<remote::Config>,
    /// `LOG_*`.
    pub log: LogConfig,
    /// `SHUTDOWN_DRAIN_TIMEOUT`; zero does not wait.
    pub shutdown_drain_timeout: Duration,
    /// `STALE_MARKERS_ON_STOP`.
    pub stale_markers_on_stop: bool,
    /// `SELF_METRICS`.
    pub self_metrics: bool,
    /// `CONFIG_RELOAD_INTERVAL`; `None` never looks at a file again.
    pub reload_interval: Option<Duration>,
    /// `SANDBOX`.
    pub sandbox: bool,
    /// `TELEMETRY_ADDRESS`.
    pub telemetry: Serving,
}

/// Settings without a problem.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What they say.
    pub config: Config,
    /// What is worth a line in the log.
    pub warnings: Vec<Warning>,
}

impl Config {
    /// Reads all settings. Looks at nothing but `env` and the host's name.
    ///
    /// # Errors
    /// All problems at once; none of them shows a secret.
    pub fn from_env(mode: Mode, env: &impl Strings) -> Result<Loaded, Problems> {
        let hostname = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Self::load(mode, env, &hostname)
    }

    /// The collector's part.
    #[must_use]
    pub fn collector(&self) -> collector::Config {
        collector::Config { scrape: self.scrape.clone(), stale_markers_on_stop: self.stale_markers_on_stop }
    }

    fn load(mode: Mode, env: &dyn Strings, hostname: &str) -> Result<Loaded, Problems> {
        let mut reader = Reader::new(env, mode);
        let config = read(&mut reader, hostname);
        let (problems, mut warnings) = reader.finish();
        match config {
            Some(config) if problems.is_empty() => {
                warnings.extend(unknown::unknown_names(&env.names()));
                Ok(Loaded { config, warnings })
            }
            Some(_) | None => Err(Problems(problems)),
        }
    }
}

/// `None` only beside a problem.
fn read(reader: &mut Reader<'_>, hostname: &str) -> Option<Config> {
    let reload_interval = reader.duration_or_off("CONFIG_RELOAD_INTERVAL");
    let endpoints = read_endpoints(reader, reload_interval);
    let queue = read_queue(reader);
    let scrape = target::read(reader, hostname);
    if scrape.as_ref().is_some_and(|scrape| scrape.histograms.converted) {
        warn_of_custom_buckets(reader, endpoints.as_deref().unwrap_or_default());
    }
    let shutdown_drain_timeout = read_drain_timeout(reader);
    let stale_markers_on_stop = reader.boolean("STALE_MARKERS_ON_STOP");
    let self_metrics = reader.boolean("SELF_METRICS");
    let telemetry = telemetry::read(reader);
    let sandbox = reader.boolean("SANDBOX");
    let log = log::read(reader);
    Some(Config {
        mode: reader.mode,
        scrape: scrape?,
        queue: queue?,
        endpoints: endpoints?,
        log: log?,
        shutdown_drain_timeout: shutdown_drain_timeout?,
        stale_markers_on_stop: stale_markers_on_stop?,
        self_metrics: self_metrics?,
        reload_interval: reload_interval?,
        sandbox: sandbox?,
        telemetry: telemetry?,
    })
}

/// An endpoint whose settings say 1.0 gets none of them.
fn warn_of_custom_buckets(reader: &mut Reader<'_>, endpoints: &[remote::Config]) {
    for endpoint in endpoints.iter().filter(|endpoint| endpoint.message == remote::ProtobufMessage::V1) {
        let name = &endpoint.name;
        let text = format!(
            "the endpoint {name} is sent 1.0, which has no custom buckets: these histograms are dropped there"
        );
        reader.warn(target::CONVERTED, text);
    }
}

/// The endpoint of the flat settings, then those of the list. `None` only beside a problem.
fn read_endpoints(
    reader: &mut Reader<'_>,
    reload_interval: Option<Option<Duration>>,
) -> Option<Vec<remote::Config>> {
    const NAME: &str = "REMOTE_WRITE_NAME";
    let flat = match (reader.is_set(endpoint::URL), reader.is_set(blocks::CONFIG)) {
        (true, _) | (false, false) => endpoint::read(reader, reload_interval).map(|endpoint| vec![endpoint]),
        (false, true) => {
            let idle: Vec<_> = endpoint::flat_names().filter(|name| reader.is_set(name)).collect();
            if !idle.is_empty() {
                let what = format!("is not set, so these have no effect: {}", idle.join(", "));
                reader.warn(endpoint::URL, what);
            }
            Some(Vec::new())
        }
    };
    let listed = blocks::read(reader, reload_interval);
    let mut endpoints = flat?;
    for endpoint in listed {
        if endpoints.iter().any(|earlier| earlier.name == endpoint.name) {
            let what = format!("two endpoints are called {}: give each a name of its own", endpoint.name);
            let setting = if reader.is_set(NAME) { NAME } else { blocks::CONFIG };
            reader.problem(setting, what);
        }
        endpoints.push(endpoint);
    }
    Some(endpoints)
}

fn read_queue(reader: &mut Reader<'_>) -> Option<queue::Config> {
    /// The two words of `QUEUE_STORAGE`.
    #[derive(Clone, Copy)]
    enum Word {
        Disk,
        Memory,
    }
    const DIR: &str = "QUEUE_DIR";

    let storage = reader.choice("QUEUE_STORAGE", &[("disk", Word::Disk), ("memory", Word::Memory)], &[]);
    let given = reader.path(DIR);
    let storage = match (storage, given, reader.mode) {
        (Some(Word::Memory), _, _) => Some(queue::Storage::Memory),
        (Some(Word::Disk), Some(dir), _) => Some(queue::Storage::Disk(dir)),
        (Some(Word::Disk), None, Mode::Plugin) => Some(queue::Storage::Disk(PathBuf::from(PLUGIN_QUEUE_DIR))),
        (Some(Word::Disk), None, Mode::Run) if !reader.is_set(DIR) => {
            reader.problem(DIR, "is not set: `run` needs a directory for the queue, or QUEUE_STORAGE=memory");
            None
        }
        (Some(Word::Disk) | None, _, _) => None,
    };
    let max_disk_bytes = reader.size("QUEUE_MAX_DISK_BYTES");
    let min_free_disk = reader.size("QUEUE_MIN_FREE_DISK");
    let max_memory_bytes = reader.size("QUEUE_MAX_MEMORY_BYTES");
    Some(queue::Config {
        storage: storage?,
        max_disk_bytes: max_disk_bytes?,
        min_free_disk,
        max_memory_bytes: max_memory_bytes?,
    })
}

fn read_drain_timeout(reader: &mut Reader<'_>) -> Option<Duration> {
    const NAME: &str = "SHUTDOWN_DRAIN_TIMEOUT";
    let timeout = reader.duration(NAME)?;
    match reader.mode {
        Mode::Plugin if timeout > LONGEST_PLUGIN_DRAIN => {
            let text = "dockerd kills a plugin 10s after it was told to stop; more than 8s here risks that the last \
                        confirmations are not written, and those samples are sent again";
            reader.warn(NAME, text);
        }
        Mode::Plugin | Mode::Run => {}
    }
    Some(timeout)
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown =
            |endpoint: &remote::Config| (endpoint.name.clone(), without_query(&endpoint.url).to_string());
        let endpoints: Vec<_> = self.endpoints.iter().map(shown).collect();
        let mut scrape = self.scrape.clone();
        if let scrape::Address::Http(url) = &mut scrape.address {
            *url = without_query(url);
        }
        f.debug_struct("Config")
            .field("mode", &self.mode)
            .field("scrape", &scrape)
            .field("queue", &self.queue)
            .field("endpoints", &endpoints)
            .field("log", &self.log)
            .field("shutdown_drain_timeout", &self.shutdown_drain_timeout)
            .field("stale_markers_on_stop", &self.stale_markers_on_stop)
            .field("self_metrics", &self.self_metrics)
            .field("reload_interval", &self.reload_interval)
            .field("sandbox", &self.sandbox)
            .field("telemetry", &self.telemetry)
            .finish()
    }
}

/// Tokens travel in queries, too; user info was taken out when the URL was read.
fn without_query(url: &reqwest::Url) -> reqwest::Url {
    let mut url = url.clone();
    url.set_query(None);
    url
}
