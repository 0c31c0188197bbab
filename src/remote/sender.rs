use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Config;
use super::client::warn_about;
use super::connection::Resolver;
use super::metrics::EndpointMetrics;
use super::protocol::Learned;
use super::worker::{Answers, Told, Worker};
use crate::queue::Queue;

/// What is no setting; tests change it.
#[derive(Clone, Debug)]
pub struct Tuning {
    /// How long a held endpoint waits for its first probe.
    pub min_hold: Duration,
    /// How long it waits at most; the waits in between double.
    pub max_hold: Duration,
    /// What an earlier process has learned of the endpoint.
    pub learned: Learned,
    /// Instead of the system's name resolution.
    pub resolver: Option<Resolver>,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            min_hold: Duration::from_secs(60),
            max_hold: Duration::from_secs(600),
            learned: Learned::Nothing,
            resolver: None,
        }
    }
}

/// The sender of one endpoint, from outside. Dropping it does not stop the task; its cancellation token does.
pub struct Sender {
    /// Ends soon after the cancellation; a request in flight is given up, its samples stay in the queue.
    pub task: JoinHandle<()>,
    /// The endpoint's counters.
    pub metrics: Arc<EndpointMetrics>,
    /// Which message the endpoint takes, whenever that is learned.
    pub learned: watch::Receiver<Learned>,
    answers: watch::Receiver<Answers>,
    draining: CancellationToken,
    queue: Queue,
    endpoint: usize,
}

impl Sender {
    /// Whether a request has finished at all since the start: until then nobody knows whether the endpoint answers.
    #[must_use]
    pub fn has_finished_a_request(&self) -> bool {
        *self.answers.borrow() != Answers::Unknown
    }

    /// Waits for the end of the task: without a word to it that is a panic.
    pub async fn ended(&self) {
        let mut answers = self.answers.clone();
        while answers.changed().await.is_ok() {}
    }

    /// From now on nothing is held back to fill a request (`REMOTE_WRITE_BATCH_SEND_DEADLINE`).
    pub fn hurry(&self) {
        self.draining.cancel();
    }

    /// Hurries, and waits until everything queued has been answered for, or waiting makes no sense: the last finished request failed, or
    /// the endpoint is held, or the task has ended. The caller sets the deadline.
    pub async fn drained(&self) {
        self.hurry();
        let mut answers = self.answers.clone();
        loop {
            let now = *answers.borrow_and_update();
            if now == Answers::No || self.queue.ledger(self.endpoint).pending == 0 {
                return;
            }
            if answers.changed().await.is_err() {
                return;
            }
        }
    }
}

/// Starts the sender of one endpoint on the current runtime. `endpoint` is its index in the queue; `cancel` ends it.
#[must_use]
pub fn spawn(config: Config, endpoint: usize, queue: Queue, cancel: CancellationToken) -> Sender {
    spawn_with(config, endpoint, queue, cancel, Tuning::default())
}

/// [`spawn`] with another tuning.
#[must_use]
pub fn spawn_with(
    config: Config,
    endpoint: usize,
    queue: Queue,
    cancel: CancellationToken,
    tuning: Tuning,
) -> Sender {
    warn_about(&config);
    let metrics = Arc::new(EndpointMetrics::default());
    let (answers_seen, answers) = watch::channel(Answers::Unknown);
    let (learn, learned) = watch::channel(tuning.learned);
    let draining = CancellationToken::new();
    let told = Told { answers: answers_seen, learn, draining: draining.clone() };
    let worker = Worker::new(Arc::new(config), endpoint, queue.clone(), Arc::clone(&metrics), told, tuning);
    let task = tokio::spawn(worker.run(cancel));
    Sender { task, metrics, learned, answers, draining, queue, endpoint }
}
