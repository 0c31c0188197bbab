use std::time::Duration;

use tokio::time::Instant;

/// How often a lasting trouble is said again.
pub(super) const SAY_AGAIN: Duration = Duration::from_secs(60);

/// A run of failures, and when to write a line about it: at the first one, then at most one in [`SAY_AGAIN`], one when it is over.
#[derive(Debug, Default)]
pub(super) struct Episode {
    current: Option<Current>,
}

#[derive(Debug)]
struct Current {
    began: Instant,
    said: Instant,
    failures: u64,
}

/// What there is to say about an episode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Failures so far.
    pub(super) failures: u64,
    /// Since the first one.
    pub(super) lasted: Duration,
}

impl Episode {
    /// One more failure. `Some`: write a line now. `worse` asks for one even if the last is young.
    pub(super) fn failed(&mut self, worse: bool) -> Option<Line> {
        let now = Instant::now();
        let Some(current) = &mut self.current else {
            self.current = Some(Current { began: now, said: now, failures: 1 });
            return Some(Line { failures: 1, lasted: Duration::ZERO });
        };
        current.failures += 1;
        if !worse && now - current.said < SAY_AGAIN {
            return None;
        }
        current.said = now;
        Some(Line { failures: current.failures, lasted: now - current.began })
    }

    /// No failure this time. `Some`: an episode ended just now.
    pub(super) fn over(&mut self) -> Option<Line> {
        let ended = self.current.take()?;
        Some(Line { failures: ended.failures, lasted: ended.began.elapsed() })
    }
}

/// Losses that may come in a flood: the first is said at once, those of the next [`SAY_AGAIN`] in one line with their sum,
/// so that the sums of all lines are all there was.
#[derive(Debug, Default)]
pub(super) struct Tally {
    said: Option<Instant>,
    unsaid: Sum,
}

/// What a line about losses covers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    /// Requests or records.
    pub(super) times: u64,
    /// Samples in them.
    pub(super) samples: u64,
}

impl Tally {
    /// One more loss. `Some`: write a line now, about all of this.
    pub(super) fn add(&mut self, samples: u64) -> Option<Sum> {
        self.unsaid.times += 1;
        self.unsaid.samples += samples;
        self.due()
    }

    /// What was not said yet, if it is time to.
    pub(super) fn due(&mut self) -> Option<Sum> {
        let quiet = self.said.is_some_and(|said| said.elapsed() < SAY_AGAIN);
        if quiet { None } else { self.rest() }
    }

    /// What was not said yet, whatever the time.
    pub(super) fn rest(&mut self) -> Option<Sum> {
        if self.unsaid == Sum::default() {
            return None;
        }
        self.said = Some(Instant::now());
        Some(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_episode_says_its_beginning_once_a_minute_and_its_end() {
        let mut episode = Episode::default();
        assert_eq!(episode.over(), None);
        let mut said = Vec::new();
        for second in 0..150 {
            if let Some(line) = episode.failed(false) {
                assert_eq!(line.lasted, Duration::from_secs(second));
                said.push(line.failures);
            }
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(said, [1, 61, 121]);
        assert_eq!(episode.over(), Some(Line { failures: 150, lasted: Duration::from_secs(150) }));
        assert_eq!(episode.over(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_gets_worse_is_said_at_once() {
        let mut episode = Episode::default();
        episode.failed(false);
        assert_eq!(episode.failed(false), None);
        assert_eq!(episode.failed(true).map(|line| line.failures), Some(3));
    }

    #[tokio::test(start_paused = true)]
    async fn the_lines_about_losses_sum_up_to_all_of_them() {
        let mut tally = Tally::default();
        let mut said = Vec::new();
        for _ in 0..90 {
            said.extend(tally.add(10));
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(said, [Sum { times: 1, samples: 10 }, Sum { times: 60, samples: 600 }]);
        assert_eq!(tally.due(), None);
        assert_eq!(tally.rest(), Some(Sum { times: 29, samples: 290 }));
        assert_eq!(tally.rest(), None);
    }
}
