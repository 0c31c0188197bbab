use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, SystemTime};

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff as _;

/// A server's `Retry-After` is obeyed up to this long (setting `REMOTE_WRITE_MAX_BACKOFF`).
pub(super) const MAX_RETRY_AFTER: Duration = Duration::from_secs(600);

/// At most this share of a delay is added to it.
const MAX_JITTER: f64 = 0.1;

/// Delays between attempts: doubling, never shrinking until [`Backoff::reset`].
///
/// The crate `backoff` is the calculator of the doubling and nothing else. Its own randomization is off: it goes below the
/// delay as often as above. Ours is drawn once for each run of failures, so that hosts which lost the same receiver at the
/// same moment come back apart, and yet no delay is ever shorter than the one before.
#[derive(Debug)]
pub(super) struct Backoff {
    doubling: ExponentialBackoff,
    stretch: f64,
}

impl Backoff {
    /// Delays from `min` to `max`, plus up to 10 % each.
    pub(super) fn new(min: Duration, max: Duration) -> Self {
        let doubling = ExponentialBackoff {
            current_interval: min,
            initial_interval: min,
            randomization_factor: 0.0,
            multiplier: 2.0,
            max_interval: max,
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        };
        Self { doubling, stretch: draw_stretch() }
    }

    /// The next delay.
    pub(super) fn next(&mut self) -> Duration {
        // `None` would mean that the time for retrying is over; there is no such time (`max_elapsed_time`).
        let max = self.doubling.max_interval;
        let delay = self.doubling.next_backoff().map_or(max, |delay| delay.min(max));
        delay.mul_f64(self.stretch)
    }

    /// The run of failures is over: the next delay is the shortest one again.
    pub(super) fn reset(&mut self) {
        self.doubling.reset();
        self.stretch = draw_stretch();
    }
}

/// A factor from 1.0 up to 1.1. The hasher's random keys are randomness enough to keep hosts apart.
fn draw_stretch() -> f64 {
    let drawn = u32::try_from(RandomState::new().hash_one(0_u8) >> 32).unwrap_or(u32::MAX);
    1.0 + MAX_JITTER * f64::from(drawn) / f64::from(u32::MAX)
}

/// Reads a `Retry-After` header: whole seconds or an HTTP date (RFC 9110, section 10.2.3), at most [`MAX_RETRY_AFTER`].
///
/// `None` where it says nothing useful: not readable, zero, or a date that has passed; the own delay decides then, so that
/// a server's wrong clock cannot turn us into a flood.
pub(super) fn retry_after(header: &str, now: SystemTime) -> Option<Duration> {
    let header = header.trim();
    let asked = if !header.is_empty() && header.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit mean "very long".
        Duration::from_secs(header.parse().unwrap_or(u64::MAX))
    } else {
        httpdate::parse_http_date(header).ok()?.duration_since(now).ok()?
    };
    (!asked.is_zero()).then_some(asked.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIN: Duration = Duration::from_millis(500);
    const MAX: Duration = Duration::from_secs(5);

    #[test]
    fn delays_double_up_to_the_maximum_with_at_most_a_tenth_on_top() {
        for _ in 0..100 {
            let mut backoff = Backoff::new(MIN, MAX);
            for plain in [500, 1000, 2000, 4000, 5000, 5000, 5000] {
                let delay = backoff.next();
                let plain = Duration::from_millis(plain);
                assert!(delay >= plain, "{delay:?} < {plain:?}");
                assert!(delay <= plain.mul_f64(1.1) + Duration::from_micros(1), "{delay:?} for {plain:?}");
            }
        }
    }

    #[test]
    fn delays_never_shrink_while_failing() {
        for _ in 0..100 {
            let mut backoff = Backoff::new(Duration::from_millis(30), MAX);
            let delays: Vec<_> = (0..40).map(|_| backoff.next()).collect();
            // The crate adds up to a nanosecond at random even without randomization.
            let shrunk = delays.windows(2).find(|pair| pair[1] + Duration::from_nanos(3) < pair[0]);
            assert_eq!(shrunk, None);
        }
    }

    #[test]
    fn a_reset_starts_again_at_the_minimum() {
        let mut backoff = Backoff::new(MIN, MAX);
        for _ in 0..5 {
            backoff.next();
        }
        backoff.reset();
        assert!(backoff.next() < Duration::from_millis(600));
    }

    #[test]
    fn hosts_do_not_come_back_in_step() {
        let firsts: std::collections::HashSet<_> = (0..50).map(|_| Backoff::new(MIN, MAX).next()).collect();
        assert!(firsts.len() > 25, "{} of 50 delays differ", firsts.len());
    }

    #[test]
    fn retry_after_takes_seconds_and_dates_up_to_ten_minutes() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        let seconds = |header| retry_after(header, now).map(|delay| delay.as_secs());
        assert_eq!(seconds("7"), Some(7));
        assert_eq!(seconds(" 7 "), Some(7));
        assert_eq!(seconds("86400"), Some(600));
        assert_eq!(seconds("99999999999999999999999999"), Some(600));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:57 GMT"), Some(20));
        assert_eq!(seconds("Sunday, 06-Nov-94 08:49:57 GMT"), Some(20));
        assert_eq!(seconds("Mon, 07 Nov 1994 08:49:37 GMT"), Some(600));
    }

    #[test]
    fn a_retry_after_that_says_nothing_useful_leaves_the_delay_to_us() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        for header in
            ["0", "", "-3", "1.5", "soon", "Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:00:00 GMT"]
        {
            assert_eq!(retry_after(header, now), None, "{header:?}");
        }
    }
}
