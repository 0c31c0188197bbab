//! The newest samples of series that the target has no more: one that comes back with an older timestamp would be out of order.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};

use crate::model::{Labels, SampleKind};

/// A TSDB's head knows a series for one to three hours after its last sample, and refuses what is older; then it refuses for its age.
const HORIZON_MS: i64 = 3 * 60 * 60 * 1_000;
/// About 5 MiB. Beyond it the older half is forgotten.
const MAX: usize = 100_000;

/// The newest sample of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Newest {
    /// Ms since the epoch.
    pub(super) timestamp: i64,
    /// The value's bits.
    pub(super) value: u64,
    /// What it is.
    pub(super) kind: SampleKind,
}

/// By the hash of the label set: 64 bits keyed at random, so that two of 100,000 series share one in 1 of 4 thousand million cases.
#[derive(Debug, Default)]
pub(super) struct Departed {
    hasher: RandomState,
    newest: HashMap<u64, Newest>,
    /// Entries after the last look at their age.
    kept: usize,
}

impl Departed {
    /// The series has left; `now` is the newest timestamp of all.
    pub(super) fn remember(&mut self, labels: &Labels, newest: Newest, now: i64) {
        const SLACK: usize = 1_000;
        if self.newest.len() >= MAX.min(2 * self.kept + SLACK) {
            self.forget(now);
        }
        self.newest.insert(self.hasher.hash_one(labels), newest);
    }

    /// The series is back.
    pub(super) fn recall(&mut self, labels: &Labels) -> Option<Newest> {
        if self.newest.is_empty() {
            return None;
        }
        self.newest.remove(&self.hasher.hash_one(labels))
    }

    fn forget(&mut self, now: i64) {
        let horizon = now.saturating_sub(HORIZON_MS);
        self.newest.retain(|_, newest| newest.timestamp >= horizon);
        if self.newest.len() >= MAX {
            let mut times: Vec<i64> = self.newest.values().map(|newest| newest.timestamp).collect();
            let (_, median, _) = times.select_nth_unstable(MAX / 2);
            let median = *median;
            // All of one age are as good as none.
            self.newest.retain(|_, newest| newest.timestamp > median);
        }
        self.kept = self.newest.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(n: usize) -> Labels {
        Labels::from_iter([("__name__", "m".to_owned()), ("n", n.to_string())])
    }

    fn at(timestamp: i64) -> Newest {
        Newest { timestamp, value: 1, kind: SampleKind::Float }
    }

    #[test]
    fn a_series_is_recalled_once() {
        let mut departed = Departed::default();
        departed.remember(&series(1), at(5), 10);
        assert_eq!(departed.recall(&series(2)), None);
        assert_eq!(departed.recall(&series(1)), Some(at(5)));
        assert_eq!(departed.recall(&series(1)), None);
    }

    #[test]
    fn what_is_older_than_a_head_remembers_goes_and_memory_is_bounded() {
        let mut departed = Departed::default();
        departed.remember(&series(0), at(0), 0);
        for n in 1..=3_000 {
            departed.remember(&series(n), at(HORIZON_MS + 1), HORIZON_MS + 1);
        }
        assert_eq!(departed.recall(&series(0)), None);
        assert!(departed.recall(&series(1)).is_some());
        for n in 0..3 * MAX {
            let now = i64::try_from(n).unwrap();
            departed.remember(&series(n), at(now), now);
        }
        assert!(departed.newest.len() <= MAX, "{} entries", departed.newest.len());
        assert!(departed.recall(&series(3 * MAX - 1)).is_some());
        assert_eq!(departed.recall(&series(0)), None);
    }
}
