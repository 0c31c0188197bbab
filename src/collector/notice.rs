//! Which scrapes are worth a line in the log: the first failure, another failure, every fifth minute of the same one, the recovery.

use std::time::{Duration, Instant};

const REMIND_AFTER: Duration = Duration::from_secs(300);

/// Remembers what was said last.
#[derive(Debug, Default)]
pub(super) struct Notice {
    failing: Option<Failing>,
}

#[derive(Debug)]
struct Failing {
    text: String,
    since: Instant,
    said: Instant,
    scrapes: u64,
}

/// What to say about a scrape.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Say {
    Nothing,
    /// A failure, and how many scrapes have failed in a row.
    Failing(u64),
    /// Scrapes work again, after so many failures in so long a time.
    Recovered(u64, Duration),
}

impl Notice {
    pub(super) fn failed(&mut self, text: &str, now: Instant) -> Say {
        match &mut self.failing {
            Some(failing) => {
                failing.scrapes += 1;
                if failing.text == text && now.duration_since(failing.said) < REMIND_AFTER {
                    return Say::Nothing;
                }
                text.clone_into(&mut failing.text);
                failing.said = now;
                Say::Failing(failing.scrapes)
            }
            None => {
                self.failing = Some(Failing { text: text.to_owned(), since: now, said: now, scrapes: 1 });
                Say::Failing(1)
            }
        }
    }

    pub(super) fn succeeded(&mut self, now: Instant) -> Say {
        self.failing.take().map_or(Say::Nothing, |failing| {
            Say::Recovered(failing.scrapes, now.duration_since(failing.since))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_failure_is_said_once_in_five_minutes_and_the_recovery_once() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut notice = Notice::default();
        assert_eq!(notice.succeeded(at(0)), Say::Nothing);
        assert_eq!(notice.failed("refused", at(0)), Say::Failing(1));
        assert_eq!(notice.failed("refused", at(15)), Say::Nothing);
        assert_eq!(notice.failed("missing", at(30)), Say::Failing(3));
        assert_eq!(notice.failed("missing", at(329)), Say::Nothing);
        assert_eq!(notice.failed("missing", at(330)), Say::Failing(5));
        assert_eq!(notice.succeeded(at(345)), Say::Recovered(5, Duration::from_secs(345)));
        assert_eq!(notice.succeeded(at(360)), Say::Nothing);
    }
}
