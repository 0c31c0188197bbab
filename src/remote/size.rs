use std::time::Duration;

use tokio::time::Instant;

/// A limit that was found is tried out at twice its size after this time; each such try that is refused doubles the time, up to
/// [`LONGEST`].
const SHORTEST: Duration = Duration::from_secs(10 * 60);
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// So many samples in a row may be too large alone; then it is not their size.
const MAX_ALONE: u32 = 8;

/// How a request was told to be too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// In so many words.
    Plainly,
    /// It was refused again and again: maybe for its size, maybe because the endpoint takes nothing for a while.
    Perhaps,
}

/// How large a request of this endpoint may be, in bytes of the message before compression: as the settings say until the
/// endpoint refuses one for its size, then half of that. In memory only: a restart asks anew.
#[derive(Debug)]
pub(super) struct SizeLimit {
    configured: usize,
    found: Option<usize>,
    /// Nobody has said that it is about size: with each delivery twice as much is tried at once.
    guessed: bool,
    /// The limit is twice what was known to be taken.
    trial: bool,
    grow_at: Instant,
    wait: Duration,
    /// The largest message that was taken.
    taken: usize,
    /// Samples that were too large alone, since the last delivery.
    alone: u32,
}

impl SizeLimit {
    pub(super) fn new(configured: usize) -> Self {
        Self {
            configured,
            found: None,
            guessed: false,
            trial: false,
            grow_at: Instant::now(),
            wait: SHORTEST,
            taken: 0,
            alone: 0,
        }
    }

    /// A request with a message of `bytes` was too large. Returns the new limit.
    pub(super) fn refused(&mut self, bytes: usize, told: Told) -> usize {
        // A smaller one was taken before: then it is the size, whatever was said.
        self.guessed = told == Told::Perhaps && !self.trial;
        if std::mem::take(&mut self.trial) {
            self.wait = (2 * self.wait).min(LONGEST);
        }
        self.grow_at = Instant::now() + self.wait;
        let limit = (bytes / 2).max(1);
        self.found = Some(limit);
        limit
    }

    /// A request with a message of `bytes` was taken.
    pub(super) fn delivered(&mut self, bytes: usize) {
        self.taken = self.taken.max(bytes);
        self.alone = 0;
        if self.guessed {
            self.grow();
            self.guessed = self.found.is_some();
        } else if bytes > self.current() / 2 {
            self.trial = false;
        }
    }

    /// A single sample in a message of `bytes` was said to be too large. Returns what to believe: not that it is, where larger messages
    /// are taken, or where one sample after the other is said to be.
    pub(super) fn refused_alone(&mut self, bytes: usize) -> Alone {
        self.alone = self.alone.saturating_add(1);
        if self.alone > MAX_ALONE {
            Alone::All
        } else if bytes < self.taken {
            // Something else is wrong with it: the limits that were found on the way to it are none.
            (self.found, self.guessed, self.trial) = (None, false, false);
            Alone::Poison
        } else {
            Alone::TooLarge
        }
    }

    /// The limit of the next request.
    pub(super) fn bytes(&mut self) -> usize {
        let now = Instant::now();
        if self.found.is_some() && now >= self.grow_at {
            self.grow();
            self.grow_at = now + self.wait;
        }
        self.current()
    }

    /// What [`SizeLimit::bytes`] said last.
    pub(super) fn current(&self) -> usize {
        self.found.map_or(self.configured, |found| found.min(self.configured))
    }

    fn grow(&mut self) {
        let doubled = self.found.map(|found| found.saturating_mul(2));
        self.found = doubled.filter(|doubled| *doubled < self.configured);
        self.trial = true;
    }
}

/// What a single sample that is said to be too large is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alone {
    TooLarge,
    /// Refused for another reason.
    Poison,
    /// One of too many: the endpoint takes nothing at all.
    All,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_refusal_halves_and_ten_minutes_double_each_try_waiting_longer() {
        let mut limit = SizeLimit::new(1000);
        assert_eq!(limit.bytes(), 1000);
        assert_eq!(limit.refused(800, Told::Plainly), 400);
        assert_eq!(limit.refused(400, Told::Plainly), 200);
        assert_eq!(limit.bytes(), 200);
        tokio::time::advance(SHORTEST).await;
        assert_eq!(limit.bytes(), 400);
        assert_eq!(limit.refused(400, Told::Plainly), 200);
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
        assert_eq!(limit.refused(1, Told::Plainly), 1);
        assert_eq!(limit.refused(5000, Told::Plainly), 2500);
        assert_eq!(limit.bytes(), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_that_nobody_spoke_of_is_gone_with_a_few_deliveries_unless_it_proves_true() {
        let mut limit = SizeLimit::new(1000);
        for bytes in [1000, 500, 250, 125] {
            limit.refused(bytes, Told::Perhaps);
        }
        assert_eq!(limit.bytes(), 62);
        for expected in [124, 248, 496, 992, 1000, 1000] {
            limit.delivered(limit.current());
            assert_eq!(limit.bytes(), expected);
        }
        limit.refused(1000, Told::Perhaps);
        limit.delivered(500);
        assert_eq!(limit.bytes(), 1000);
        // What is twice as large as what was just taken is refused again: it is the size.
        assert_eq!(limit.refused(1000, Told::Perhaps), 500);
        limit.delivered(500);
        assert_eq!(limit.bytes(), 500);
    }

    #[tokio::test(start_paused = true)]
    async fn tries_that_are_taken_do_not_make_the_next_one_later() {
        let mut limit = SizeLimit::new(1000);
        limit.refused(100, Told::Plainly);
        for expected in [100, 200, 400, 800, 1000] {
            tokio::time::advance(SHORTEST).await;
            assert_eq!(limit.bytes(), expected);
            limit.delivered(expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_sample_smaller_than_what_is_taken_is_not_too_large_and_nine_in_a_row_are_the_endpoints_fault()
    {
        let mut limit = SizeLimit::new(1000);
        limit.delivered(900);
        limit.refused(400, Told::Plainly);
        assert_eq!(limit.refused_alone(100), Alone::Poison);
        assert_eq!(limit.bytes(), 1000, "what was found on the way is no limit");
        assert_eq!(limit.refused_alone(950), Alone::TooLarge);
        for _ in 0..6 {
            limit.refused_alone(950);
        }
        assert_eq!(limit.refused_alone(950), Alone::All);
        limit.delivered(10);
        assert_eq!(limit.refused_alone(950), Alone::TooLarge);
    }
}
