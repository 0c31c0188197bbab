//! `Stopped <-> Running`: the scrape loop between StartMetrics and StopMetrics, and what a scrape becomes in the queue.
//!
//! Owns the timer and the last scrape; hands records to the queue, which never makes it wait. Knows nothing of endpoints.

mod control;
mod counters;
mod naming;
mod notice;
mod open_series;
mod socket_watch;
mod source;
mod stale_socket;

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

pub use control::{Command, Commands, Control, Wanted, control};
pub use counters::{CollectorMetrics, Snapshot};
pub use naming::Links;
pub use socket_watch::SocketWatch;
pub use stale_socket::{FIRST_PAUSE, LONGEST_PAUSE, LastExit};

use crate::model::{Clock, Labels};
use crate::queue::Queue;
use crate::scrape::{
    self, DiscardedExemplars, Format, HistogramForms, LabelLimits, Relabelling, Report, Rules, Schedule,
    ScrapeError, TargetClient, TargetNames,
};
use naming::{Changes, Held, Naming};
use notice::{Notice, Say};
use source::Source;

/// StopMetrics answers after 500 ms at the latest; the last scrape leaves time for its samples to be queued.
const LAST_SCRAPE_LIMIT: Duration = Duration::from_millis(400);

/// What is kept of open series over a restart: the target's, and our own.
const SERIES: &str = "series";
const OWN_SERIES: &str = "own-series";

/// The collector's settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// The target and how to scrape it.
    pub scrape: scrape::Config,
    /// `STALE_MARKERS_ON_STOP`.
    pub stale_markers_on_stop: bool,
}

/// Our own exposition, written anew after each scrape (`SELF_METRICS`).
pub struct SelfExposition {
    /// The label `job` of these series; the others are the target's.
    pub job: String,
    /// Appends the exposition in text format 0.0.4.
    pub write: Box<dyn FnMut(&mut String) + Send>,
}

impl std::fmt::Debug for SelfExposition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SelfExposition").field("job", &self.job).finish_non_exhaustive()
    }
}

/// Scrapes one target while it is wanted.
#[derive(Debug)]
pub struct Collector {
    client: TargetClient,
    schedule: Schedule,
    naming: Naming,
    target: Source,
    own: Option<OwnSeries>,
    stale_markers_on_stop: bool,
    body: Vec<u8>,
    /// The tick of the last scrape, ms since the epoch.
    last_tick: Option<i64>,
    notice: Notice,
    /// What is said of scrapes that are held.
    held: Notice,
    /// What is said of exemplars that are dropped.
    exemplars: Notice,
    metrics: CollectorMetrics,
    clock: Clock,
}

#[derive(Debug)]
struct OwnSeries {
    source: Source,
    exposition: SelfExposition,
    text: String,
}

impl SelfExposition {
    fn labels(&self, target: &Labels) -> Labels {
        let mut labels = target.clone();
        labels.set("job", &self.job);
        labels
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Stopped,
    Running,
}

impl Collector {
    /// A collector that has not begun. Without the rules of a file that `config` names, nothing is taken in.
    ///
    /// # Errors
    /// When the HTTP client cannot be set up.
    pub fn new(
        config: &Config,
        own: Option<SelfExposition>,
        links: Links,
        queue: &Queue,
        metrics: CollectorMetrics,
    ) -> Result<Self, ScrapeError> {
        let scrape = &config.scrape;
        let (naming, TargetNames { target, external }) = Naming::new(scrape, links);
        let rules = |target_labels: Labels| Rules {
            target_labels,
            external_labels: external.clone(),
            honor_labels: scrape.honor_labels,
            honor_timestamps: scrape.honor_timestamps,
            normalize_le: scrape.normalize_le,
            created_timestamps: scrape.created_timestamps,
            exemplars: scrape.exemplars,
            histograms: scrape.histograms,
            sample_limit: scrape.sample_limit,
            memory_limit: scrape.memory_limit(),
            label_limits: scrape.label_limits,
            synthetic_series: true,
            extra_metrics: scrape.extra_metrics.then_some(scrape.timeout),
            track_timestamps_staleness: scrape.track_timestamps_staleness,
            relabelling: scrape.relabelling.clone(),
        };
        let silent = || SelfExposition { job: String::new(), write: Box::new(|_| ()) };
        let wanted = own.is_some();
        let exposition = own.unwrap_or_else(silent);
        // Without the target's limit and rules: what they refuse is told by these. Classic, as endpoints of 1.0 take no converted histograms.
        let own_rules = Rules {
            histograms: HistogramForms::CLASSIC,
            sample_limit: None,
            memory_limit: None,
            label_limits: LabelLimits::default(),
            synthetic_series: false,
            relabelling: Relabelling::default(),
            ..rules(exposition.labels(&target))
        };
        let source = Source::new(own_rules, queue, OWN_SERIES);
        let target = Source::new(rules(target), queue, SERIES);
        let restored = target.restored() + source.restored();
        if restored > 0 {
            info!(
                series = restored,
                "series of the process before us go on, or end with the first good scrape that lacks them"
            );
        }
        // Switched off, they are scraped as nothing: what the process before has left open of them ends.
        let own =
            (wanted || source.restored() > 0).then(|| OwnSeries { source, exposition, text: String::new() });
        Ok(Self {
            client: TargetClient::new(scrape)?,
            schedule: Schedule::new(scrape.interval, &scrape.phase),
            target,
            own,
            naming,
            stale_markers_on_stop: config.stale_markers_on_stop,
            body: Vec::new(),
            last_tick: None,
            notice: Notice::default(),
            held: Notice::default(),
            exemplars: Notice::default(),
            metrics,
            clock: Clock::default(),
        })
    }

    /// Takes timestamps and ticks from this clock. The timer between two ticks is tokio's.
    #[must_use]
    pub fn with_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// Obeys `commands` until `cancel`; a scrape in flight then leaves no trace, and no series ends (remote-write 3.06).
    pub async fn run(mut self, mut commands: Commands, cancel: CancellationToken) {
        let mut state = State::Stopped;
        loop {
            let command = *commands.wanted.borrow_and_update();
            state = match (state, command.wanted) {
                (State::Stopped, Wanted::Running) => self.start(command),
                (State::Running, Wanted::Stopped) => self.stop(&commands).await,
                (State::Stopped, Wanted::Stopped) => State::Stopped,
                (State::Running, Wanted::Running) => State::Running,
            };
            self.metrics.update(|counters| {
                counters.engine_starts = command.starts;
                counters.running = state == State::Running;
            });
            commands.done.send_replace(command.generation);
            let alive = match state {
                State::Stopped => tokio::select! {
                    biased;
                    () = cancel.cancelled() => false,
                    changed = commands.wanted.changed() => changed.is_ok(),
                },
                State::Running => tokio::select! {
                    // A stop that is due comes before a tick that is due.
                    biased;
                    () = cancel.cancelled() => false,
                    stopped = commands.wanted.wait_for(|command| command.wanted == Wanted::Stopped) => stopped.is_ok(),
                    () = self.tick() => true,
                },
            };
            if !alive {
                return;
            }
        }
    }

    fn start(&mut self, command: Command) -> State {
        let now = self.clock.now_ms();
        let first = self.schedule.next_after(now);
        let wait = Duration::from_millis(u64::try_from(first - now).unwrap_or_default());
        info!(target = %self.client.target(), starts = command.starts, first_scrape_in = ?wait, "scraping starts");
        State::Running
    }

    /// Waits for the next tick and scrapes. Dropped on the way, it leaves no trace.
    async fn tick(&mut self) {
        let now = self.clock.now_ms();
        let tick = self.schedule.next(self.last_tick, now);
        // One that is due is not kept waiting for the timer's next millisecond.
        if let Ok(wait @ 1..) = u64::try_from(tick - now) {
            tokio::time::sleep(Duration::from_millis(wait)).await;
        }
        let started = Instant::now();
        let timestamp = self.schedule.snap(tick, self.clock.now_ms());
        let fetched = self.client.fetch(&mut self.body).await;
        self.count_missed(tick);
        let body_bytes = self.body.len() as u64;
        if !self.is_named(fetched.as_ref().map(|format| *format).map_err(ToString::to_string), timestamp) {
            return;
        }
        let body = fetched.map(|format| (format, self.body.as_slice()));
        let report = self.target.scrape(body, timestamp, started);
        self.note(&report, body_bytes);
        self.scrape_own(timestamp, started);
        self.shrink();
    }

    /// Sees to it that the series of the scrape to come are called what they should be; `false` where that is not known, and the scrape is
    /// not taken in. `fetched`: the body's format, or why there is none.
    fn is_named(&mut self, fetched: Result<Format, String>, timestamp: i64) -> bool {
        let body = fetched.as_ref().ok().map(|format| (*format, self.body.as_slice()));
        match self.naming.look(body, timestamp) {
            Ok(changes) => {
                self.adopt(changes);
                match self.held.succeeded(Instant::now()) {
                    Say::Nothing | Say::Failing(_) => {}
                    Say::Recovered(held, after) => info!(held, ?after, "scrapes are taken in from now on"),
                }
                true
            }
            Err(held) => {
                self.hold(&held, fetched.err().unwrap_or_default());
                false
            }
        }
    }

    fn adopt(&mut self, changes: Changes) {
        let Changes { names, relabelling } = changes;
        if let Some(relabelling) = relabelling {
            self.target.relabel(relabelling);
        }
        if let Some(TargetNames { target, external }) = names {
            info!(%target, external_labels = %external, "the labels of all series are these from now on");
            self.target.rename(&target, &external);
            if let Some(own) = &mut self.own {
                own.source.rename(&own.exposition.labels(&target), &external);
            }
        }
    }

    fn hold(&mut self, held: &Held, failure: String) {
        self.metrics.update(|counters| {
            counters.scrapes_held += 1;
            counters.last_failure = Some(held.to_string());
        });
        match self.held.failed(&held.to_string(), Instant::now()) {
            Say::Nothing | Say::Recovered(..) => {}
            Say::Failing(scrapes) => {
                let reason = held.to_string();
                warn!(
                    reason,
                    failure,
                    held = scrapes,
                    "scrapes are not taken in, up is not sent; the next tick looks again"
                );
            }
        }
    }

    fn count_missed(&mut self, tick: i64) {
        if let Some(last) = self.last_tick.replace(tick) {
            let missed = self.schedule.missed(last, tick);
            if missed > 0 {
                warn!(
                    missed,
                    "ticks passed without a scrape: a slow target, a busy host, or a clock that was set"
                );
                self.metrics.update(|counters| counters.ticks_missed += missed);
            }
        }
    }

    /// The last scrape, then the end of every series. A start that comes meanwhile wins.
    async fn stop(&mut self, commands: &Commands) -> State {
        self.last_tick = None;
        let started = Instant::now();
        let timestamp = self.clock.now_ms();
        // Looks on its own: a repeated stop that is seen here is still to be answered.
        let mut wanted = commands.wanted.clone();
        let fetched = tokio::select! {
            biased;
            _ = wanted.wait_for(|command| command.wanted == Wanted::Running) => {
                info!("scraping goes on: a start came before the stop was carried out");
                return State::Running;
            }
            fetched = tokio::time::timeout(LAST_SCRAPE_LIMIT, self.client.fetch(&mut self.body)) => fetched,
        };
        let format = match &fetched {
            Ok(fetched) => fetched.as_ref().map(|format| *format).map_err(ToString::to_string),
            Err(_) => Err(format!("no complete answer within {LAST_SCRAPE_LIMIT:?}")),
        };
        let named = self.is_named(format, timestamp);
        match fetched {
            // Nothing has been taken in, so only what the process before has left open is to be ended below.
            Ok(_) | Err(_) if !named => info!("the last scrape is not taken in, like those before"),
            Ok(Ok(format)) => {
                let bytes = self.body.len() as u64;
                match self.target.last_scrape(format, &self.body, timestamp, started) {
                    Ok(report) => self.note(&report, bytes),
                    Err(error) => info!(%error, "the last scrape is discarded"),
                }
            }
            Ok(Err(error)) => info!(%error, "the last scrape is discarded"),
            Err(_) => {
                info!(limit = ?LAST_SCRAPE_LIMIT, "the last scrape is discarded: no complete answer in time")
            }
        }
        if named {
            self.scrape_own(timestamp, started);
        }
        let markers = if self.stale_markers_on_stop { self.end_all() } else { 0 };
        info!(
            staleness_markers = markers,
            "scraping stops: the engine has said that its metrics end; delivery goes on"
        );
        State::Stopped
    }

    fn end_all(&mut self) -> u64 {
        let timestamp = self.clock.now_ms();
        let mut markers = self.target.end_all(timestamp);
        if let Some(own) = &mut self.own {
            markers += own.source.end_all(timestamp);
        }
        self.metrics.update(|counters| counters.markers += markers);
        markers
    }

    fn scrape_own(&mut self, timestamp: i64, started: Instant) {
        let Some(own) = &mut self.own else { return };
        own.text.clear();
        (own.exposition.write)(&mut own.text);
        let report = own.source.scrape(Ok((Format::Text, own.text.as_bytes())), timestamp, started);
        if let Some(error) = &report.failure {
            warn!(%error, "our own exposition is refused: this is a bug of docker-remote-write");
        }
        self.metrics.update(|counters| counters.count(&report));
    }

    /// Counts a scrape of the target and says what is worth saying.
    fn note(&mut self, report: &Report, body_bytes: u64) {
        self.metrics.update(|counters| {
            let count = if report.failure.is_none() {
                &mut counters.scrapes_succeeded
            } else {
                &mut counters.scrapes_failed
            };
            *count += 1;
            counters.body_bytes = body_bytes;
            counters.last_failure = report.failure.as_ref().map(ToString::to_string);
            counters.count(report);
        });
        let say = match &report.failure {
            Some(error) => self.notice.failed(&error.to_string(), Instant::now()),
            None => self.notice.succeeded(Instant::now()),
        };
        match say {
            Say::Nothing => {}
            Say::Failing(scrapes) => {
                let error = report.failure.as_ref().map(ToString::to_string).unwrap_or_default();
                warn!(%error, failed_in_a_row = scrapes, "scrape failed: up is 0, its samples are dropped; the next tick tries again");
            }
            Say::Recovered(failures, after) => info!(failures, ?after, "scrapes succeed again"),
        }
        if let Some((series, reason)) = &report.first_discarded {
            warn!(%series, reason, discarded = report.discarded.total(), "samples discarded");
        }
        if report.exemplars_discarded.total() > 0 {
            match self.exemplars.failed("", Instant::now()) {
                Say::Nothing | Say::Recovered(..) => {}
                Say::Failing(_) => {
                    let DiscardedExemplars { no_timestamp, out_of_order, labels_too_long } =
                        report.exemplars_discarded;
                    warn!(
                        no_timestamp,
                        out_of_order,
                        labels_too_long,
                        "exemplars are not sent; docker_remote_write_exemplars_discarded_total goes on to count them"
                    );
                }
            }
        }
        if let Some(family) = &report.truncated.first {
            warn!(%family, texts = report.truncated.texts, "HELP texts over 1,024 bytes are cut: receivers refuse longer ones");
        }
        debug!(scraped = report.scraped, added = report.added, markers = report.markers, "scraped");
    }

    /// One huge exposition must not hold its memory for ever.
    fn shrink(&mut self) {
        const KEEP: usize = 1 << 20;
        let needed = self.body.len().max(KEEP);
        if self.body.capacity() > 2 * needed {
            self.body.shrink_to(needed);
        }
    }
}
