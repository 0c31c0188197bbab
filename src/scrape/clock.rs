//! When to scrape: a grid for each target, shifted by a hash so that a fleet does not scrape and push in the same millisecond.

use std::time::Duration;

use crate::model::Labels;

/// A scrape within this many ms behind its tick carries the tick's timestamp (remote-write 4.14): equal distances compress better.
const TOLERANCE_MS: i64 = 2;

/// A last tick up to this many ms ahead of the clock means a timer that fired early; further ahead, the clock was set back.
const EARLY_MS: i64 = 1_000;

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

    /// The tick to scrape at, `last` being that of the scrape before. As with Prometheus's ticker, a tick that passed while that scrape
    /// ran is not lost: it is due at once, and of several the newest. Without a scrape before, what has passed is no matter.
    #[must_use]
    pub fn next(&self, last: Option<i64>, now: i64) -> i64 {
        let after_now = self.next_after(now);
        let newest = after_now - self.interval;
        match last {
            // A timer that fired early must not scrape the same tick twice.
            Some(last) if (now + 1..now + EARLY_MS).contains(&last) => self.next_after(last),
            Some(last) if last < newest => newest,
            Some(_) | None => after_now,
        }
    }

    /// The timestamp of a scrape that was planned for `tick` and starts at `now`.
    #[must_use]
    pub fn snap(&self, tick: i64, now: i64) -> i64 {
        let late = now - tick;
        if (0..=TOLERANCE_MS.min(self.interval / 100)).contains(&late) { tick } else { now }
    }

    /// Ticks between those of two scrapes in a row: no scrape was made for them.
    #[must_use]
    pub fn missed(&self, last: i64, tick: i64) -> u64 {
        u64::try_from((tick - last) / self.interval - 1).unwrap_or(0)
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
    fn rw_4_14_a_tick_that_passed_during_a_scrape_is_due_at_once_and_of_several_the_newest() {
        let ours = schedule("a");
        let tick = ours.next_after(1_700_000_000_000);
        let next = |now| ours.next(Some(tick), now) - tick;
        assert_eq!(next(tick), 15_000);
        assert_eq!(next(tick + 14_999), 15_000);
        assert_eq!(next(tick + 15_000), 15_000, "due now");
        assert_eq!(next(tick + 15_002), 15_000, "a scrape that hung from tick to tick");
        assert_eq!(next(tick + 29_999), 15_000);
        assert_eq!(next(tick + 30_000), 30_000);
        assert_eq!(next(tick + 3_600_007), 3_600_000, "one scrape for all that a sleeping host has missed");
    }

    #[test]
    fn the_first_scrape_waits_for_a_tick() {
        let ours = schedule("a");
        let tick = ours.next_after(1_700_000_000_000);
        assert_eq!(ours.next(None, tick - 1), tick);
        assert_eq!(ours.next(None, tick), tick + 15_000);
        assert_eq!(ours.next(None, tick + 1), tick + 15_000);
    }

    #[test]
    fn a_timer_that_fired_early_does_not_bring_the_same_tick_twice() {
        let ours = schedule("a");
        let tick = ours.next_after(1_700_000_000_000);
        for early in [1, 2, 999] {
            assert_eq!(ours.next(Some(tick), tick - early), tick + 15_000, "{early} ms");
        }
    }

    #[test]
    fn a_clock_that_was_set_back_begins_anew() {
        let ours = schedule("a");
        let tick = ours.next_after(1_700_000_000_000);
        assert_eq!(ours.next(Some(tick), tick - 1_000), tick);
        assert_eq!(ours.next(Some(tick), tick - 3_600_001), tick - 3_600_000);
        assert_eq!(ours.next(Some(tick), tick + 100 - 15_000), tick);
    }

    #[test]
    fn only_ticks_without_any_scrape_are_missed_and_a_clock_set_back_misses_none() {
        let ours = schedule("a");
        assert_eq!(ours.missed(15_000, 30_000), 0);
        assert_eq!(ours.missed(15_000, 45_000), 1);
        assert_eq!(ours.missed(15_000, 3_615_000), 239);
        assert_eq!(ours.missed(15_000, 15_000), 0);
        assert_eq!(ours.missed(3_615_000, 15_000), 0);
    }
}
