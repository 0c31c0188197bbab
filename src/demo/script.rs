//! What happens in the demo, in order; each step waits for a fact, never for a time alone.

use std::future::Future;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

use super::dockerd::{Dockerd, Reply};
use super::engine::Engine;
use super::oracle::Target;
use super::pipe::{Pipe, PipeError};
use super::report::Report;
use super::stage::{Directory, Inlet};
use super::summary::Outage;
use super::view::{Progress, View};
use crate::model::{Labels, now_ms};
use crate::receiver::{Answer, Receiver, State};

/// Everything together ends within 30 s; what is left then is for the summary.
const WHOLE: Duration = Duration::from_secs(27);
/// A scrape comes each second.
const A_SCRAPE: Duration = Duration::from_secs(3);
const REDRAW: Duration = Duration::from_millis(200);
/// Scrapes before the outage, with answers 503, with connections refused, and after it.
const CALM: usize = 4;
const SENT_AWAY: usize = 3;
const REFUSED: usize = 3;
const AFTERWARDS: usize = 2;

pub(super) const JOB: &str = "docker";
pub(super) const INSTANCE: &str = "demo";
pub(super) const CLUSTER: &str = "demo";

/// Why the demo could not be played to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum DemoError {
    /// The stage.
    #[error("{0}")]
    Stage(#[from] io::Error),
    /// The program itself.
    #[error("{0}")]
    Pipe(#[from] PipeError),
    /// The plugin's answer.
    #[error("{method} was answered {status} with {body:?}")]
    Answer {
        /// What was called.
        method: &'static str,
        /// The status code.
        status: u16,
        /// As it came.
        body: String,
    },
    /// A step that did not come in time.
    #[error("{0} did not happen in time")]
    Late(&'static str),
}

/// The actors, once the stage stands.
pub(super) struct Play<'a, W> {
    pub(super) view: &'a mut View<W>,
    pub(super) engine: Engine,
    pub(super) receiver: Receiver,
    inlet: Inlet,
    pipe: Pipe,
    start: Instant,
    mood: &'static str,
}

/// Plays the demo in `directory`, and compares.
pub(super) async fn play<W: Write>(
    view: &mut View<W>,
    directory: &Directory,
    engine: Engine,
    receiver: Receiver,
    log: bool,
) -> Result<(Report, Outage), DemoError> {
    let start = Instant::now();
    let stop_engine = CancellationToken::new();
    let _stop = stop_engine.clone().drop_guard();
    let listener = UnixListener::bind(directory.join("metrics.sock"))?;
    let serving = engine.clone();
    tokio::spawn(async move { serving.serve(listener, stop_engine).await });
    let inlet = Inlet::new(receiver.clone()).await?;
    let url = format!("http://{}{}", inlet.address(), crate::receiver::DEFAULT_PATH);
    let api = directory.join("api.sock");
    let pipe = Pipe::start(&settings(&url, directory.path()), &api, log)?;
    view.phase(&format!("the plugin answers on {}, a strict receiver on {url}", api.display()));
    let mut play = Play { view, engine, receiver, inlet, pipe, start, mood: "takes everything" };
    let outage = play.acts(&api).await?;
    let Play { pipe, engine, receiver, view, .. } = play;
    view.phase("the plugin is told to end (SIGTERM): it drains, and keeps what it could not send");
    let delivered = pipe.stop().await?;
    let target = target();
    let report = receiver.read(|state| Report::new(&engine.served(), &target, state, Some(delivered)));
    Ok((report, outage))
}

/// The settings, as somebody would give them with `docker plugin set`.
fn settings(url: &str, directory: &Path) -> Vec<(&'static str, String)> {
    vec![
        ("REMOTE_WRITE_URL", url.to_owned()),
        ("REMOTE_WRITE_MIN_BACKOFF", "200ms".to_owned()),
        ("REMOTE_WRITE_MAX_BACKOFF", "1s".to_owned()),
        ("SCRAPE_URL", format!("unix://{}", directory.join("metrics.sock").display())),
        ("SCRAPE_INTERVAL", "1s".to_owned()),
        ("QUEUE_DIR", directory.join("queue").display().to_string()),
        ("JOB", JOB.to_owned()),
        ("INSTANCE", INSTANCE.to_owned()),
        ("EXTERNAL_LABELS", format!("cluster={CLUSTER}")),
    ]
}

/// What these settings make of the target's labels.
fn target() -> Target {
    Target {
        labels: Labels::from_iter([("job", JOB), ("instance", INSTANCE)]),
        external: Labels::from_iter([("cluster", CLUSTER)]),
    }
}

impl<W: Write> Play<'_, W> {
    async fn acts(&mut self, api: &Path) -> Result<Outage, DemoError> {
        let mut dockerd = Dockerd::connect(api).await?;
        let asked = Instant::now();
        let reply = dockerd.start_metrics().await?;
        let took = asked.elapsed().as_secs_f64() * 1e3;
        self.view
            .phase(&format!("dockerd calls StartMetrics: {} {} in {took:.1} ms", reply.status, reply.body));
        granted("StartMetrics", &reply)?;
        self.scrapes(CALM).await?;

        let began = now_ms();
        self.receiver.answer(Answer::status(503));
        self.mood = "answers 503";
        self.view.phase("outage: the receiver answers 503 to everything");
        self.scrapes(SENT_AWAY).await?;
        self.inlet.close().await;
        self.mood = "refuses connections";
        self.view.phase("outage: the receiver refuses connections; the engine is scraped all the same");
        self.scrapes(REFUSED).await?;

        self.receiver.answer(Answer::Normal);
        self.inlet.open().await?;
        let ended = now_ms();
        self.mood = "takes everything";
        self.view.phase(&format!(
            "the receiver is back; {} samples wait in the queue on disk",
            self.pipe.waiting()
        ));
        self.drained().await?;
        self.view.phase("the queue is empty again");
        self.scrapes(AFTERWARDS).await?;
        self.caught_up().await;

        let reply = dockerd.stop_metrics().await?;
        self.view.phase(&format!(
            "dockerd calls StopMetrics: {} {}; one last scrape, then every series ends",
            reply.status, reply.body
        ));
        granted("StopMetrics", &reply)?;
        // Where they stay away the comparison will say so.
        let receiver = self.receiver.clone();
        let markers = async move { receiver.wait_until(has_ended, A_SCRAPE).await };
        let _ = self.show(markers).await;
        self.drained().await?;
        Ok(Outage { began, ended })
    }

    /// Waits for `more` scrapes.
    async fn scrapes(&mut self, more: usize) -> Result<(), DemoError> {
        let wanted = self.engine.scrapes() + more;
        let limit = A_SCRAPE * u32::try_from(more).unwrap_or(u32::MAX);
        let engine = self.engine.clone();
        let came = self.show(async move { engine.wait_for(wanted, limit).await }).await;
        if came { Ok(()) } else { Err(DemoError::Late("the next scrape")) }
    }

    /// Waits until the queue holds nothing, by the program's own count. Where that stays away the comparison will say what lacks.
    async fn drained(&mut self) -> Result<(), DemoError> {
        let empty = self.pipe.empty();
        let limit = WHOLE.saturating_sub(self.start.elapsed());
        let done = self.show(async move { tokio::time::timeout(limit, empty).await.is_ok() }).await;
        if done { Ok(()) } else { Err(DemoError::Late("the emptying of the queue")) }
    }

    /// Waits until the newest scrape is with the receiver. A scrape in flight when StopMetrics comes leaves no trace (the last scrape takes
    /// its place), and nobody could tell it from a lost one.
    async fn caught_up(&mut self) {
        let (engine, receiver) = (self.engine.clone(), self.receiver.clone());
        let up = target().synthetic("up");
        let all = async move {
            receiver.wait_until(|state| state.store.get(&up).len() >= engine.scrapes(), A_SCRAPE).await
        };
        // Where it stays away the comparison will say so.
        let _ = self.show(all).await;
    }

    /// Redraws while something is waited for.
    async fn show<T>(&mut self, waited: impl Future<Output = T>) -> T {
        let mut waited = std::pin::pin!(waited);
        let mut redraw = tokio::time::interval(REDRAW);
        loop {
            tokio::select! {
                biased;
                result = waited.as_mut() => return result,
                _ = redraw.tick() => self.view.progress(&self.progress()),
            }
        }
    }

    fn progress(&self) -> Progress {
        let (arrived, stored, refused) = self.receiver.read(|state| {
            (state.store.samples(), state.accepted_count, state.request_count - state.accepted_count)
        });
        Progress {
            scrapes: self.engine.scrapes(),
            arrived,
            stored,
            refused,
            waiting: self.pipe.waiting(),
            receiver: self.mood,
        }
    }
}

/// Whether the receiver has the staleness markers of StopMetrics.
fn has_ended(state: &State) -> bool {
    let up = state.store.get(&target().synthetic("up"));
    up.last().is_some_and(|sample| sample.is_stale_marker())
}

/// Docker's page: 200 and `{"Err":""}`.
fn granted(method: &'static str, reply: &Reply) -> Result<(), DemoError> {
    if reply.status == 200 && reply.body == r#"{"Err":""}"# {
        return Ok(());
    }
    Err(DemoError::Answer { method, status: reply.status, body: reply.body.clone() })
}
