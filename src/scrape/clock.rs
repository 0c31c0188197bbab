//! When to scrape: a grid for each target, shifted by a hash so that a fleet does not scrape and push in the same millisecond.

use std::time::Duration;

use crate::model::Labels;

/// A scrape within this many ms behind its tick carries the tick's timestamp (remote-write 4.14): equal distances compress better.
const TOLERANCE_MS: i64 = 2;

/// The ticks of one target, in ms since the epoch.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    interval: i64,
    offset: i64,
}

impl Schedule {
    /// Ticks every `interval`, at a phase that only the target's labels decide.
    #[must_use]
    pub fn new(interval: Duration, target: &Labels) -> Self {
        let interval = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX).max(1);
        #[expect(clippy::cast_possible_wrap, reason = "shifted to 63 bits")]
        let hash = (fnv1a(&target.to_string()) >> 1) as i64;
        Self { interval, offset: hash % interval }
    }

    /// The first tick after `now`.
    #[must_use]
    pub fn next_after(&self, now: i64) -> i64 {
        let since = (now - self.offset).rem_euclid(self.interval);
        now + self.interval - since
    }

    /// The timestamp of a scrape that was planned for `tick` and starts at `now`.
    #[must_use]
    pub fn snap(&self, tick: i64, now: i64) -> i64 {
        let late = now - tick;
        if (0..=TOLERANCE_MS.min(self.interval / 100)).contains(&late) { tick } else { now }
    }

    /// Ticks that passed between the one planned and the next one after `now`.
    #[must_use]
    pub fn missed(&self, tick: i64, now: i64) -> u64 {
        u64::try_from((now - tick) / self.interval).unwrap_or(0)
    }
}

/// FNV-1a: the same on every machine and in every release, unlike std's hashers.
fn fnv1a(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(instance: &str) -> Schedule {
        Schedule::new(
            Duration::from_secs(15),
            &Labels::from_iter([("instance", instance), ("job", "docker")]),
        )
    }

    #[test]
    fn rw_4_14_ticks_stand_on_a_grid_whose_phase_depends_on_the_target_alone() {
        let ours = schedule("a");
        let first = ours.next_after(1_700_000_000_123);
        assert_eq!(ours.next_after(first), first + 15_000);
        assert_eq!(ours.next_after(first - 1), first);
        assert_eq!(schedule("a").next_after(1_700_000_000_123), first);
        let phases: std::collections::BTreeSet<_> =
            (0..50).map(|host| schedule(&host.to_string()).next_after(0)).collect();
        assert!(phases.len() > 40, "{} phases for 50 hosts", phases.len());
    }

    #[test]
    fn rw_4_14_a_scrape_up_to_two_ms_late_carries_the_ticks_timestamp() {
        let ours = schedule("a");
        assert_eq!(ours.snap(1_000, 1_002), 1_000);
        assert_eq!(ours.snap(1_000, 1_003), 1_003);
        assert_eq!(ours.snap(1_000, 999), 999);
        let fast = Schedule::new(Duration::from_millis(100), &Labels::default());
        assert_eq!(fast.snap(1_000, 1_002), 1_002, "the tolerance is at most 1 % of the interval");
    }

    #[test]
    fn missed_ticks_are_counted_and_a_clock_set_back_misses_none() {
        let ours = schedule("a");
        assert_eq!(ours.missed(15_000, 15_500), 0);
        assert_eq!(ours.missed(15_000, 46_000), 2);
        assert_eq!(ours.missed(15_000, 1_000), 0);
    }
}
