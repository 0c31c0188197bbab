//! What dockerd wants, handed from the API thread to the collector through memory alone.

use std::time::Duration;

use tokio::sync::watch;

/// Whether the target shall be scraped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// After StopMetrics, and before the first StartMetrics.
    Stopped,
    /// After StartMetrics.
    Running,
}

/// The newest wish; a later one overtakes an earlier one that was not seen yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command {
    /// Counts the calls of dockerd, repeats included.
    pub generation: u64,
    /// What the newest call asks for.
    pub wanted: Wanted,
    /// StartMetrics calls so far (`docker_remote_write_engine_starts_total`).
    pub starts: u64,
}

/// The side that asks. Never waits for anything but memory, but for [`Control::stopped`].
#[derive(Clone, Debug)]
pub struct Control {
    wanted: watch::Sender<Command>,
    done: watch::Receiver<u64>,
}

/// The side that obeys.
#[derive(Debug)]
pub struct Commands {
    /// Changes with each call.
    pub wanted: watch::Receiver<Command>,
    /// The generation whose wish has been carried out.
    pub done: watch::Sender<u64>,
}

/// Makes both sides; nothing runs yet.
#[must_use]
pub fn control() -> (Control, Commands) {
    let (wanted, wanted_seen) = watch::channel(Command { generation: 0, wanted: Wanted::Stopped, starts: 0 });
    let (done, done_seen) = watch::channel(0);
    (Control { wanted, done: done_seen }, Commands { wanted: wanted_seen, done })
}

impl Control {
    /// Asks for scraping. Asking again changes nothing but the count.
    pub fn start(&self) {
        self.wanted.send_modify(|command| {
            command.generation += 1;
            command.starts += 1;
            command.wanted = Wanted::Running;
        });
    }

    /// Asks for the end of scraping; the returned generation is for [`Control::stopped`].
    pub fn stop(&self) -> u64 {
        self.wanted.send_modify(|command| {
            command.generation += 1;
            command.wanted = Wanted::Stopped;
        });
        self.wanted.borrow().generation
    }

    /// Waits until the collector has carried out `generation` or a later one, at most `limit`.
    /// Returns whether it has.
    pub async fn stopped(&self, generation: u64, limit: Duration) -> bool {
        let mut done = self.done.clone();
        let reached = async { done.wait_for(|done| *done >= generation).await.is_ok() };
        tokio::time::timeout(limit, reached).await.unwrap_or(false)
    }
}
