//! Tokio's clock, stopped: it stands until the test advances it.

use super::DEADLINE;

/// Nothing moves the clock but the test: a runtime that is busy on its blocking pool does not.
pub(super) struct StoppedClock {
    _hold: std::sync::mpsc::Sender<()>,
}

impl StoppedClock {
    pub(super) fn new() -> Self {
        let (hold, held) = std::sync::mpsc::channel();
        tokio::task::spawn_blocking(move || held.recv());
        Self { _hold: hold }
    }
}

/// Spins, because the clock that a timer would need stands.
pub(super) async fn until(what: &str, reached: impl Fn() -> bool) {
    let begun = std::time::Instant::now();
    while !reached() {
        assert!(begun.elapsed() < DEADLINE, "never came: {what}");
        tokio::task::yield_now().await;
    }
}
