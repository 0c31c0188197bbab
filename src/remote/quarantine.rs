use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::refusal::Blame;
use super::sieve::SeriesId;

/// The first quarantine of a series; each further one is twice as long, up to [`LONGEST`].
const SHORTEST: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(30 * 60);

/// A series of which nothing was refused for so long after its quarantine starts anew. Longer than any scrape interval.
const FORGOTTEN: Duration = Duration::from_secs(2 * 60 * 60);

/// So many series are remembered; more than that are an endpoint's trouble, not a series'.
const MAX_SERIES: usize = 10_000;

/// Series that are not sent for a while because they were refused.
#[derive(Debug, Default)]
pub(super) struct Quarantine {
    wards: HashMap<SeriesId, Ward>,
}

#[derive(Clone, Copy, Debug)]
struct Ward {
    until: Instant,
    /// The length of the next quarantine.
    next: Duration,
}

/// What a refusal means for the series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sentence {
    /// Not sent for so long; `None`: the sample alone was at fault.
    pub(super) lasts: Option<Duration>,
    /// Nothing of it was refused lately: worth a line.
    pub(super) is_new: bool,
}

impl Sentence {
    /// Nothing is held against the series.
    pub(super) const FREE: Self = Self { lasts: None, is_new: true };
}

impl Quarantine {
    /// A sample of this series was refused alone. The first time, a sample with a bad time is no fault of its series.
    pub(super) fn convict(&mut self, series: SeriesId, blame: Blame) -> Sentence {
        let now = Instant::now();
        self.wards.retain(|_, ward| now < ward.until + FORGOTTEN);
        let known = self.wards.get(&series).copied();
        let is_new = known.is_none();
        if is_new && self.wards.len() >= MAX_SERIES {
            return Sentence { lasts: None, is_new };
        }
        let length = known.map_or(SHORTEST, |ward| ward.next);
        let (until, next, lasts) = match (blame, is_new) {
            (Blame::Sample, true) => (now, SHORTEST, None),
            (Blame::Sample, false) | (Blame::Series, _) => {
                (now + length, (2 * length).min(LONGEST), Some(length))
            }
        };
        self.wards.insert(series, Ward { until, next });
        Sentence { lasts, is_new }
    }

    /// Whether this series is not to be sent now.
    pub(super) fn holds(&self, series: SeriesId) -> bool {
        self.wards.get(&series).is_some_and(|ward| Instant::now() < ward.until)
    }

    /// Whether this series was refused lately.
    pub(super) fn knows(&self, series: SeriesId) -> bool {
        self.wards.contains_key(&series)
    }

    /// Whether there is a series that is not to be sent now.
    pub(super) fn is_active(&self) -> bool {
        let now = Instant::now();
        self.wards.values().any(|ward| now < ward.until)
    }

    /// How many series are not to be sent now.
    pub(super) fn len(&self) -> usize {
        let now = Instant::now();
        let held = |(series, ward): &(&SeriesId, &Ward)| now < ward.until && **series != SeriesId::HISTOGRAMS;
        self.wards.iter().filter(held).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const X: SeriesId = SeriesId(7);

    async fn minutes(minutes: u64) {
        tokio::time::advance(Duration::from_secs(60 * minutes)).await;
    }

    fn lasts(quarantine: &mut Quarantine, blame: Blame) -> Option<u64> {
        quarantine.convict(X, blame).lasts.map(|lasts| lasts.as_secs() / 60)
    }

    #[tokio::test(start_paused = true)]
    async fn a_series_is_quarantined_for_1_2_4_up_to_30_minutes() {
        let mut quarantine = Quarantine::default();
        for expected in [1, 2, 4, 8, 16, 30, 30] {
            assert_eq!(lasts(&mut quarantine, Blame::Series), Some(expected));
            assert!(quarantine.holds(X) && !quarantine.holds(SeriesId(8)));
            assert_eq!(quarantine.len(), 1);
            minutes(expected).await;
            assert!(!quarantine.holds(X));
            assert_eq!(quarantine.len(), 0);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_bad_time_is_the_series_fault_from_the_second_one_on() {
        let mut quarantine = Quarantine::default();
        assert_eq!(quarantine.convict(X, Blame::Sample), Sentence { lasts: None, is_new: true });
        assert!(!quarantine.holds(X));
        minutes(1).await;
        let second = quarantine.convict(X, Blame::Sample);
        assert_eq!(second, Sentence { lasts: Some(SHORTEST), is_new: false });
        assert!(quarantine.holds(X));
    }

    #[tokio::test(start_paused = true)]
    async fn a_series_that_was_good_for_two_hours_is_new_again() {
        let mut quarantine = Quarantine::default();
        assert_eq!(lasts(&mut quarantine, Blame::Series), Some(1));
        minutes(1 + 120).await;
        assert_eq!(quarantine.convict(X, Blame::Series), Sentence { lasts: Some(SHORTEST), is_new: true });
    }
}
