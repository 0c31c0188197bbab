use std::collections::HashMap;
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;

use super::options::Level;

/// How long one count of a message lasts.
pub(super) const PERIOD: Duration = Duration::from_secs(10);
/// How often a message is written in one [`PERIOD`].
pub(super) const LIMIT: u64 = 10;
/// How many messages are counted at once; one more is written uncounted.
const MAX_WINDOWS: usize = 256;

/// What makes two events the same: where they come from and what they say, whatever their fields.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) callsite: Identifier,
    pub(super) message: String,
}

/// The counts of the last seconds' messages.
#[derive(Debug, Default)]
pub(super) struct Storms {
    windows: HashMap<Key, Window>,
}

#[derive(Debug)]
struct Window {
    began: Instant,
    seen: u64,
    level: Level,
    room: String,
}

/// Whether an event becomes a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Write,
    /// Suppressed; the first one of its period also says when the summary is due.
    Suppress {
        summary_due: Option<Instant>,
    },
}

/// What was suppressed in a period that is over.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) level: Level,
    pub(super) room: String,
    pub(super) message: String,
    pub(super) repeats: u64,
}

impl Storms {
    /// Counts an event. The caller has taken what [`Storms::ended`] gives for the same `now` before.
    pub(super) fn judge(&mut self, now: Instant, key: Key, level: Level, room: &str) -> Verdict {
        if let Some(window) = self.windows.get_mut(&key) {
            window.seen += 1;
            if window.seen <= LIMIT {
                return Verdict::Write;
            }
            let summary_due = (window.seen == LIMIT + 1).then_some(window.began + PERIOD);
            return Verdict::Suppress { summary_due };
        }
        if self.windows.len() < MAX_WINDOWS {
            self.windows.insert(key, Window { began: now, seen: 1, level, room: room.to_owned() });
        }
        Verdict::Write
    }

    /// Forgets the periods that are over at `now`, and says what was suppressed in them.
    pub(super) fn ended(&mut self, now: Instant) -> Vec<Summary> {
        self.take(|window| now.saturating_duration_since(window.began) >= PERIOD)
    }

    /// Forgets everything, and says what was suppressed.
    pub(super) fn all(&mut self) -> Vec<Summary> {
        self.take(|_| true)
    }

    fn take(&mut self, over: impl Fn(&Window) -> bool) -> Vec<Summary> {
        let mut summaries = Vec::new();
        for (Key { message, .. }, window) in self.windows.extract_if(|_, window| over(window)) {
            if window.seen > LIMIT {
                let Window { level, room, seen, .. } = window;
                summaries.push(Summary { level, room, message, repeats: seen - LIMIT });
            }
        }
        summaries
    }
}

#[cfg(test)]
mod tests {
    use tracing::Callsite;
    use tracing::callsite::DefaultCallsite;

    use super::*;

    fn key(message: &str) -> Key {
        // Any callsite will do: the tests differ by message.
        static __CALLSITE: DefaultCallsite = tracing::callsite2! {
            name: "storm",
            kind: tracing::metadata::Kind::EVENT,
            fields: message
        };
        Key { callsite: __CALLSITE.metadata().callsite(), message: message.to_owned() }
    }

    #[test]
    fn ten_lines_pass_and_the_rest_of_ten_seconds_is_one_summary() {
        let mut storms = Storms::default();
        let start = Instant::now();
        for n in 0..10 {
            let now = start + Duration::from_millis(n);
            assert_eq!(storms.judge(now, key("a"), Level::Warn, "remote"), Verdict::Write);
        }
        let due = Verdict::Suppress { summary_due: Some(start + PERIOD) };
        assert_eq!(storms.judge(start, key("a"), Level::Warn, "remote"), due);
        let quiet = Verdict::Suppress { summary_due: None };
        assert_eq!(storms.judge(start, key("a"), Level::Warn, "remote"), quiet);
        assert_eq!(storms.judge(start, key("b"), Level::Warn, "remote"), Verdict::Write);

        assert_eq!(storms.ended(start + PERIOD - Duration::from_millis(1)), []);
        let summary =
            Summary { level: Level::Warn, room: "remote".to_owned(), message: "a".to_owned(), repeats: 2 };
        assert_eq!(storms.ended(start + PERIOD), [summary]);
        assert_eq!(storms.judge(start + PERIOD, key("a"), Level::Warn, "remote"), Verdict::Write);
        assert_eq!(storms.all(), []);
    }

    #[test]
    fn a_flood_of_different_messages_takes_bounded_memory() {
        let mut storms = Storms::default();
        let now = Instant::now();
        for n in 0..10_000 {
            assert_eq!(storms.judge(now, key(&n.to_string()), Level::Info, "app"), Verdict::Write);
        }
        assert_eq!(storms.windows.len(), MAX_WINDOWS);
        storms.ended(now + PERIOD);
        assert!(storms.windows.is_empty());
    }
}
