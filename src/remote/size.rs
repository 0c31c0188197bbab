use std::time::Duration;

use tokio::time::Instant;

/// A limit that was found is tried out at twice its size after this time; each further refusal doubles the time, up to
/// [`LONGEST`].
const SHORTEST: Duration = Duration::from_secs(10 * 60);
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// How large a request of this endpoint may be, in bytes of the message before compression: as the settings say until the
/// endpoint refuses one for its size, then half of that. In memory only: a restart asks anew.
#[derive(Debug)]
pub(super) struct SizeLimit {
    configured: usize,
    found: Option<usize>,
    grow_at: Instant,
    wait: Duration,
}

impl SizeLimit {
    pub(super) fn new(configured: usize) -> Self {
        Self { configured, found: None, grow_at: Instant::now(), wait: SHORTEST }
    }

    /// A request with a message of `bytes` was too large. Returns the new limit.
    pub(super) fn refused(&mut self, bytes: usize) -> usize {
        self.grow_at = Instant::now() + self.wait;
        let limit = (bytes / 2).max(1);
        self.found = Some(limit);
        limit
    }

    /// The limit of the next request.
    pub(super) fn bytes(&mut self) -> usize {
        let now = Instant::now();
        if let Some(found) = self.found
            && now >= self.grow_at
        {
            let doubled = found.saturating_mul(2);
            self.found = (doubled < self.configured).then_some(doubled);
            self.wait = (2 * self.wait).min(LONGEST);
            self.grow_at = now + self.wait;
        }
        self.found.map_or(self.configured, |found| found.min(self.configured))
    }

    /// What [`SizeLimit::bytes`] said last.
    pub(super) fn current(&self) -> usize {
        self.found.map_or(self.configured, |found| found.min(self.configured))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_refusal_halves_and_ten_minutes_double_each_try_waiting_longer() {
        let mut limit = SizeLimit::new(1000);
        assert_eq!(limit.bytes(), 1000);
        assert_eq!(limit.refused(800), 400);
        assert_eq!(limit.refused(400), 200);
        assert_eq!(limit.bytes(), 200);
        tokio::time::advance(SHORTEST).await;
        assert_eq!(limit.bytes(), 400);
        assert_eq!(limit.refused(400), 200);
        tokio::time::advance(SHORTEST).await;
        assert_eq!(limit.bytes(), 200);
        tokio::time::advance(SHORTEST).await;
        assert_eq!(limit.bytes(), 400);
        tokio::time::advance(4 * SHORTEST).await;
        assert_eq!(limit.bytes(), 800);
        tokio::time::advance(8 * SHORTEST).await;
        assert_eq!((limit.bytes(), limit.current()), (1000, 1000));
    }

    #[tokio::test(start_paused = true)]
    async fn it_never_gets_to_nothing_nor_beyond_the_setting() {
        let mut limit = SizeLimit::new(100);
        assert_eq!(limit.refused(1), 1);
        assert_eq!(limit.refused(5000), 2500);
        assert_eq!(limit.bytes(), 100);
    }
}
