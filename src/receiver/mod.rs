//! An embedded strict remote-write receiver, for `receive`, `demo` and the tests.
//!
//! Owns the server loop, the check of every MUST of both specifications (IDs 1.01 to 1.17, 2.01 to 2.16, 2.23, 2.24) on every
//! request, and what was stored. Hands on what arrived, decoded. Never knows who sent it, nor how the sender works.
//!
//! The caller owns the listener and the stop token, so an outage that refuses connections is: cancel the token, wait for
//! [`Receiver::serve`], drop the listener; binding the same port again and serving with the same [`Receiver`] ends it.

mod answer;
mod check;
pub mod command;
mod decode;
mod fault;
mod fields;
mod histogram;
mod protocol;
mod server;
mod state;
mod store;
mod violation;

#[cfg(test)]
pub(crate) mod hand;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_v2;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;

pub use answer::{Answer, Reply};
pub use decode::{Metadata, Series};
pub use fault::HistogramFault;
pub use histogram::Histogram;
pub use protocol::{Protocol, Speaks};
pub use state::{Answered, Request, State, Written};
pub use store::{Sample, Store};
pub use violation::Violation;

/// The path that Prometheus listens on.
pub const DEFAULT_PATH: &str = "/api/v1/write";

/// Sees every request after it was judged, and the series that were decoded from it (none where that failed).
pub type Observer = Arc<dyn Fn(&Request, &[Series]) + Send + Sync>;

/// Changes a request's body before the receiver looks at it: how the demo breaks its own pipe.
pub type Tamper = Arc<dyn Fn(Bytes) -> Bytes + Send + Sync>;

/// What a receiver takes, and how much it remembers.
#[derive(Clone)]
pub struct Options {
    /// The only path that is right, query included.
    pub path: String,
    /// Whether a request with any violation is answered 4xx and not stored. Otherwise what can be decoded is stored.
    pub refuse: bool,
    /// Largest message after decompression, bytes.
    pub max_message_bytes: usize,
    /// Samples kept of each series, and as many native histograms, newest last.
    pub keep_samples: usize,
    /// Requests kept in the log.
    pub keep_requests: usize,
    /// See [`Observer`].
    pub observer: Option<Observer>,
    /// See [`Tamper`].
    pub tamper: Option<Tamper>,
}

impl Default for Options {
    /// Strict, and remembers everything: for tests and the demo.
    fn default() -> Self {
        Self {
            path: DEFAULT_PATH.to_owned(),
            refuse: true,
            max_message_bytes: 64 << 20,
            keep_samples: usize::MAX,
            keep_requests: usize::MAX,
            observer: None,
            tamper: None,
        }
    }
}

/// The handle: cheap to clone, shared between the server and whoever asks what arrived.
#[derive(Clone)]
pub struct Receiver {
    shared: Arc<Shared>,
}

struct Shared {
    options: Options,
    /// A std mutex: nothing waits while holding it.
    state: Mutex<State>,
    /// Grows with each judged request and each change of the answer; [`Receiver::wait_until`] sleeps on it.
    version: watch::Sender<u64>,
}

/// The state that was waited for did not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the receiver did not reach the awaited state within {0:?}")]
pub struct TimedOut(Duration);

impl Receiver {
    /// Nothing listens yet: see [`Receiver::serve`].
    #[must_use]
    pub fn new(options: Options) -> Self {
        let state = State::new(options.keep_samples, options.keep_requests);
        let shared = Shared { options, state: Mutex::new(state), version: watch::Sender::new(0) };
        Self { shared: Arc::new(shared) }
    }

    /// Looks at everything that arrived, without copying it. `look` must not call back into the receiver.
    pub fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.shared.lock())
    }

    /// A copy of everything that arrived.
    #[must_use]
    pub fn snapshot(&self) -> State {
        self.shared.lock().clone()
    }

    /// Answers every request like this from now on; ends what [`Receiver::answer_next`] began.
    pub fn answer(&self, answer: Answer) {
        self.change(|state| state.script.set(answer));
    }

    /// Answers the next `count` requests like this, then as before.
    pub fn answer_next(&self, count: u32, answer: Answer) {
        self.change(|state| state.script.push(count, answer));
    }

    /// Takes these messages from now on; [`Answer::Normal`] says so.
    pub fn speak(&self, speaks: Speaks) {
        self.change(|state| state.speaks = speaks);
    }

    /// Waits until `reached` says yes, looking again after each request.
    ///
    /// # Errors
    /// `limit` passed first.
    pub async fn wait_until(
        &self,
        mut reached: impl FnMut(&State) -> bool,
        limit: Duration,
    ) -> Result<(), TimedOut> {
        let mut version = self.shared.version.subscribe();
        let wait = async {
            loop {
                version.mark_unchanged();
                if self.read(&mut reached) {
                    return;
                }
                if version.changed().await.is_err() {
                    // Cannot be: the sender lives in `self`.
                    return;
                }
            }
        };
        tokio::time::timeout(limit, wait).await.map_err(|_| TimedOut(limit))
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.shared.lock());
        self.shared.version.send_modify(|version| *version += 1);
        result
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic in a test's closure poisons the lock; what arrived is still true.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("path", &self.shared.options.path).finish_non_exhaustive()
    }
}
