//! Builds the rooms in order, runs them, and ends them: signals, drain with a deadline.
//!
//! Everything that runs belongs to one [`App`]; nothing here knows an API of dockerd or a line of an exposition.

mod confine;
mod crash;
mod exit_note;
mod identity_note;
mod last_words;
mod note;
pub mod plugin;
mod process;
mod protocol_note;
mod rules_file;
pub mod run;
mod self_heal;
mod self_metrics;
mod signals;
mod status;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::collector::{Collector, CollectorMetrics, Commands, Links, SelfExposition, SocketWatch};
use crate::config::{Config, Mode};
use crate::model::now_ms;
use crate::plugin::{Fault, Pages};
use crate::queue::{self, Ledger, OpenError, Queue, Storage};
use crate::remote::{self, Learned, Sender, SetupError, Tuning};
use crate::sandbox::{Report, Wanted, why_refused};
use crate::scrape::{Address, Identity, ScrapeError};
use crate::telemetry::log::LogWriter;
use crash::{Guard, Panicked, Parts, caught};
use exit_note::ExitNote;
pub use rules_file::RulesFileError;
use rules_file::{Reloads, RulesFile};
use self_metrics::SelfMetrics;
use status::Status;

/// The `job` of our own series.
const SELF_JOB: &str = "docker-remote-write";
/// A sender gives up its request at once when it is told to; more than this is a bug that must not hold up the exit.
const SENDERS_END_LIMIT: Duration = Duration::from_secs(1);
/// Writing what the ring still holds, and syncing. A frozen disk must not hold up the exit: dockerd kills after 10 s.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// Of `SHUTDOWN_DRAIN_TIMEOUT`, where a new process follows: enough for a request that is under way to an endpoint that answers.
const HURRIED_DRAIN: Duration = Duration::from_secs(1);

/// Why the rooms could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The queue's directory.
    #[error("{source}{why}")]
    Queue {
        /// What failed.
        source: OpenError,
        /// What owner, mode or the sandbox have to do with it; may be empty.
        why: String,
    },
    /// The target's client.
    #[error(transparent)]
    Target(#[from] ScrapeError),
    /// The file of `METRIC_RELABEL_CONFIGS`.
    #[error(transparent)]
    Rules(#[from] RulesFileError),
    /// An endpoint's client.
    #[error("endpoint {endpoint}: {source}")]
    Endpoint {
        /// Its name.
        endpoint: String,
        /// What is wrong.
        source: SetupError,
    },
}

/// The forwarder, built but not running.
#[derive(Debug)]
pub struct App {
    config: Config,
    queue: Queue,
    log: Option<LogWriter>,
    own_ends: Option<OwnEnds>,
    rules_file: Option<RulesFile>,
    /// What an earlier process has learned of the engine.
    identity: Identity,
    /// What an earlier process has learned of each endpoint.
    learned: Vec<Learned>,
    /// What is in force here of the sandbox, if that is asked for.
    sandbox: Option<String>,
    /// Opened when there is something to show.
    pages: Pages,
}

/// When a process that is started anew at once may end by itself.
#[derive(Debug)]
struct OwnEnds {
    stale_socket: ExitNote,
    crash: Guard,
}

/// How it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Of each endpoint.
    pub ledgers: Vec<(String, Ledger)>,
    /// The part that has panicked, where that is why it ended.
    pub crashed: Option<String>,
}

/// Why the rooms are closed.
#[derive(Debug)]
enum End {
    Told,
    /// Only a new process can scrape again.
    StaleSocket,
    /// This part has panicked.
    Crash(String),
}

impl App {
    /// Checks the endpoints and the rules, and opens the queue; blocks while the disk does. In the plugin a queue directory that cannot be used is no
    /// reason to end (dockerd would start us again at once, for ever): the queue is then in memory, and the log says so.
    ///
    /// # Errors
    /// What is wrong with an endpoint; with the queue's directory or the file of the rules, outside the plugin.
    pub fn build(mut config: Config, log: Option<LogWriter>) -> Result<Self, BuildError> {
        remote::install_crypto_provider();
        for endpoint in &config.endpoints {
            check_endpoint(endpoint, config.mode)?;
        }
        let rules_file = open_rules(&config)?;
        let names: Vec<String> = config.endpoints.iter().map(|endpoint| endpoint.name.clone()).collect();
        let open = |config: &Config| {
            open_queue(&config.queue, &names)
                .map_err(|source| BuildError::Queue { why: why_the_queue(&source), source })
        };
        let queue = match (open(&config), config.mode) {
            (Ok(queue), _) => queue,
            (Err(error), Mode::Run) => return Err(error),
            (Err(error), Mode::Plugin) => {
                error!(
                    %error,
                    "the queue is in memory until the plugin is started again: what is not delivered by then will be lost, and counted"
                );
                // Kept in the settings too: the drain waits longer for what nothing else keeps.
                config.queue.storage = Storage::Memory;
                open(&config)?
            }
        };
        let identity = match config.scrape.labels.placeholders().is_empty() {
            true => Identity::default(),
            false => identity_note::read(&config.queue.storage),
        };
        let learned = protocol_note::read(&config.queue.storage, &config.endpoints);
        Ok(Self {
            config,
            queue,
            log,
            own_ends: None,
            rules_file,
            identity,
            learned,
            sandbox: None,
            pages: Pages::default(),
        })
    }

    /// For a process that dockerd starts anew at once when it ends: [`App::run`] then ends by itself where only a new process can scrape again (a
    /// metrics socket that live-restore has left dead), and takes its time with the end that a panic demands. `born`: when the process was; `fault` is
    /// told of a panic. Blocks while the disk does.
    #[must_use]
    pub fn self_healing(mut self, born: Instant, fault: Fault) -> Self {
        let storage = &self.config.queue.storage;
        let stale_socket = ExitNote::read(storage, self_heal::NOTE);
        self.own_ends = Some(OwnEnds { stale_socket, crash: Guard::read(storage, born, fault) });
        self
    }

    /// Tells that this thread is in the sandbox that `report` describes.
    #[must_use]
    pub fn sandboxed(mut self, report: &Report) -> Self {
        self.sandbox = report.is_on().then(|| report.summary());
        self
    }

    /// Shows on `pages` what happens here, as long as it runs.
    #[must_use]
    pub fn shown_on(mut self, pages: Pages) -> Self {
        self.pages = pages;
        self
    }

    /// The queue, for whoever wants to compare ledgers.
    #[must_use]
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// Runs until `shutdown` (which it cancels itself where [`App::self_healing`] applies, or a part has panicked), then drains. Must be called inside a
    /// runtime with I/O and time.
    ///
    /// # Errors
    /// When the target's HTTP client cannot be set up.
    pub async fn run(self, commands: Commands, shutdown: CancellationToken) -> Result<Ended, BuildError> {
        let Self { config, queue, log, own_ends, rules_file, identity, learned: known, sandbox, pages } =
            self;
        let storage = &config.queue.storage;
        let sending = CancellationToken::new();
        let _ends_with_this = sending.clone().drop_guard();
        let senders: Vec<(String, Sender)> = config
            .endpoints
            .iter()
            .zip(known)
            .enumerate()
            .map(|(number, (endpoint, learned))| {
                let tuning = Tuning { learned, ..Tuning::default() };
                let sender =
                    remote::spawn_with(endpoint.clone(), number, queue.clone(), sending.clone(), tuning);
                (endpoint.name.clone(), sender)
            })
            .collect();
        let metrics = CollectorMetrics::default();
        let reloads = rules_file.as_ref().map(RulesFile::reloads);
        let shown = Arc::new(self_metrics(&config, &queue, &senders, &metrics, reloads, log));
        let own = config.self_metrics.then(|| self_exposition(Arc::clone(&shown)));
        let (confined, sandbox) = (sandbox.is_some(), sandbox.unwrap_or_else(|| "off".to_owned()));
        pages.open(Box::new(Status::new(&config, Arc::clone(&shown), sandbox)));
        let (learn, learned) = watch::channel(identity.clone());
        let links =
            Links { saved: identity, learned: Some(learn), rules: rules_file.as_ref().map(RulesFile::rules) };
        let collector = Collector::new(&config.collector(), own, links, &queue, metrics.clone())?;
        say_where_the_queue_is(storage);

        // Polled here, not spawned: all of them end with `shutdown`, and nothing outlives this function.
        let parts = Parts::new(shutdown.clone());
        let (stale_socket, guard) = own_ends.map(|ends| (ends.stale_socket, ends.crash)).unzip();
        let watch = match (stale_socket, &config.scrape.address) {
            (Some(note), Address::Unix { socket, .. }) => {
                Some((SocketWatch::new(socket.clone(), &commands, metrics, note.last()), note))
            }
            (Some(_) | None, Address::Unix { .. } | Address::Http(_)) => None,
        };
        let mut collecting = pin!(parts.run("the collector", collector.run(commands, shutdown.clone())));
        let end = tokio::select! {
            biased;
            _ = &mut collecting => End::Told,
            Some(()) = parts.run("the watch over the metrics socket", until_hopeless(watch)) => End::StaleSocket,
            part = crash::until_crash(parts.first_dead(&senders, &queue), guard) => End::Crash(part),
            Some(never) = parts.run("the note of the engine", identity_note::keep(storage, learned)) => match never {},
            Some(never) = parts.run("the note of the endpoints", protocol_note::keep(storage, &config.endpoints, senders.iter().map(|(_, sender)| sender.learned.clone()).collect())) => match never {},
            Some(never) = parts.run("the watch over the file of the rules", watch_rules(rules_file)) => match never {},
            Some(never) = parts.run("the watch over the resolver's files", confine::watch_resolver(confined)) => match never {},
        };
        // The next process is there in 0.1 s and sends what is on disk: waiting longer would only cost scrapes.
        let (crashed, in_a_hurry) = match end {
            End::Told => (None, false),
            End::StaleSocket => (None, is_safe_on_disk(&queue)),
            End::Crash(part) => (Some(part), true),
        };
        if !shutdown.is_cancelled() {
            shutdown.cancel();
            collecting.await;
        }
        let drain_limit = config.shutdown_drain_timeout;
        let drain_limit = if in_a_hurry { drain_limit.min(HURRIED_DRAIN) } else { drain_limit };
        if let Err(Panicked) = caught(drain(&senders, &queue, storage, drain_limit)).await {
            warn!("delivering at the end has panicked; what is undelivered stays in the queue");
        }
        close(&queue, senders, &sending).await;
        let names = config.endpoints.iter().map(|endpoint| endpoint.name.clone());
        let ledgers: Vec<_> = names.enumerate().map(|(number, name)| (name, queue.ledger(number))).collect();
        let unconfirmed = shown.endpoints.iter().map(|(_, metrics)| metrics.snapshot().samples_unconfirmed);
        last_words::say(&ledgers, unconfirmed, config.mode, storage);
        Ok(Ended { ledgers, crashed })
    }
}

/// Ends the senders, then writes what is in memory only: in bounded time, whatever hangs.
async fn close(queue: &Queue, senders: Vec<(String, Sender)>, sending: &CancellationToken) {
    sending.cancel();
    for (endpoint, sender) in senders {
        if tokio::time::timeout(SENDERS_END_LIMIT, sender.task).await.is_err() {
            warn!(%endpoint, "the sender did not end in time; what it had in flight stays in the queue");
        }
    }
    if tokio::time::timeout(CLOSE_LIMIT, queue.close()).await.is_err() {
        warn!(limit = ?CLOSE_LIMIT, "the disk did not take the rest of the queue in time");
    }
}

/// A directory that makes recovery panic is one that cannot be used: the next process would find the same.
fn open_queue(config: &queue::Config, names: &[String]) -> Result<Queue, OpenError> {
    catch_unwind(AssertUnwindSafe(|| Queue::open(config, names))).unwrap_or_else(|_| {
        let path = match &config.storage {
            Storage::Disk(path) => path.clone(),
            Storage::Memory => PathBuf::new(),
        };
        Err(OpenError::Panicked { path })
    })
}

async fn until_hopeless(watch: Option<(SocketWatch, ExitNote)>) {
    match watch {
        Some((watch, note)) => self_heal::until_hopeless(watch, note).await,
        None => std::future::pending().await,
    }
}

async fn watch_rules(file: Option<RulesFile>) -> std::convert::Infallible {
    match file {
        Some(file) => file.watch().await,
        None => std::future::pending().await,
    }
}

/// As with secrets: a file may appear after us when a host boots. The plugin then sends what is queued, and takes nothing in until there are
/// rules: what they were to drop must not be sent meanwhile.
fn open_rules(config: &Config) -> Result<Option<RulesFile>, RulesFileError> {
    let Some(path) = &config.scrape.rules_file else { return Ok(None) };
    let names = config.scrape.relabelling.names.clone();
    let mut file = RulesFile::new(path.clone(), names, config.reload_interval);
    match (file.load(), config.mode) {
        (Ok(()), Mode::Plugin | Mode::Run) => {}
        (Err(error), Mode::Plugin) => error!(%error, "nothing is taken in until there are rules"),
        (Err(error), Mode::Run) => return Err(error),
    }
    Ok(Some(file))
}

fn why_the_queue(error: &OpenError) -> String {
    match error {
        OpenError::LockFile { path, source } if path.exists() => why_refused(path, Wanted::Write, source),
        OpenError::LockFile { path, source } => {
            why_refused(path.parent().unwrap_or(path), Wanted::MakeFiles, source)
        }
        OpenError::Create { path, source } => why_refused(path, Wanted::MakeFiles, source),
        OpenError::List { path, source } => why_refused(path, Wanted::Read, source),
        OpenError::Locked { .. } | OpenError::Thread { .. } | OpenError::Panicked { .. } => String::new(),
    }
}

fn is_safe_on_disk(queue: &Queue) -> bool {
    let stats = queue.stats();
    stats.disk_capacity_bytes > 0 && stats.disk_ok
}

/// A file may appear after us when a host boots; `run` is started again by whoever started it, a plugin would stay dead. So the plugin
/// scrapes and queues, and the sender looks for the file before each attempt.
fn check_endpoint(endpoint: &remote::Config, mode: Mode) -> Result<(), BuildError> {
    match (remote::check(endpoint), mode) {
        (Ok(()), Mode::Plugin | Mode::Run) => Ok(()),
        (Err(SetupError::File(error)), Mode::Plugin) => {
            warn!(endpoint = %endpoint.name, %error, "samples are queued until the file can be used");
            Ok(())
        }
        (Err(source), Mode::Plugin | Mode::Run) => {
            Err(BuildError::Endpoint { endpoint: endpoint.name.clone(), source })
        }
    }
}

fn self_metrics(
    config: &Config,
    queue: &Queue,
    senders: &[(String, Sender)],
    collector: &CollectorMetrics,
    rules: Option<Arc<Reloads>>,
    log: Option<LogWriter>,
) -> SelfMetrics {
    SelfMetrics {
        endpoints: senders.iter().map(|(name, sender)| (name.clone(), sender.metrics.clone())).collect(),
        collector: collector.clone(),
        queue: queue.clone(),
        rules,
        log,
        sample_limit: config.scrape.sample_limit.unwrap_or(0),
        start_ms: now_ms(),
    }
}

fn self_exposition(shown: Arc<SelfMetrics>) -> SelfExposition {
    SelfExposition { job: SELF_JOB.to_owned(), write: Box::new(move |text| shown.write(text)) }
}

/// Waits until every endpoint that answers has everything, at most `limit`. What is on disk outlives us, so an endpoint
/// that has not answered yet is waited for only if the queue is in memory.
async fn drain(senders: &[(String, Sender)], queue: &Queue, storage: &Storage, limit: Duration) {
    let pending: u64 = (0..senders.len()).map(|number| queue.ledger(number).pending).sum();
    if pending > 0 {
        info!(samples = pending, ?limit, "delivering what is queued to the endpoints that answer");
    }
    senders.iter().for_each(|(_, sender)| sender.hurry());
    let all = async {
        for (_, sender) in senders {
            if *storage == Storage::Memory || sender.has_finished_a_request() {
                sender.drained().await;
            }
        }
    };
    if tokio::time::timeout(limit, all).await.is_err() {
        info!(?limit, "the time for delivering is over");
    }
}

fn say_where_the_queue_is(storage: &Storage) {
    match storage {
        Storage::Memory => info!("queue in memory: undelivered samples are lost at exit"),
        Storage::Disk(dir) if is_mount_point(dir) => {
            info!(dir = %dir.display(), "queue on disk, on a mount of its own: it outlives plugin upgrades");
        }
        Storage::Disk(dir) => {
            info!(dir = %dir.display(), "queue on disk, in a plain directory: restarts keep it, in a plugin an upgrade wipes it");
        }
    }
}

/// Whether something is mounted exactly there, by the kernel's own table (the fifth field is the mount point).
fn is_mount_point(dir: &Path) -> bool {
    let Some(dir) = dir.to_str() else { return false };
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    mounts.lines().any(|line| line.split(' ').nth(4) == Some(dir))
}
