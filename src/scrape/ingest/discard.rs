//! Which samples are exposed but not handed on, and how they are counted.

use super::{Found, Ingest, Line, Report, ScrapeError};
use crate::exposition::Series as ExposedSeries;

/// Samples further ahead of the scrape than this are dropped (remote-write 4.15), ms: a Prometheus 2.42 head that took one would refuse
/// everything after it.
pub(super) const MAX_AHEAD_MS: i64 = 10 * 60 * 1_000;

/// Samples further behind the scrape than this are dropped (remote-write 4.15), ms. It is how far behind its newest sample a Prometheus takes any:
/// one that scrapes drops the sample alone, one that is sent it refuses the whole request.
pub(super) const MAX_BEHIND_MS: i64 = 60 * 60 * 1_000;

/// Samples that were exposed but not handed on, by cause: `discarded` in the ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Discarded {
    /// A series twice in one scrape: the first sample stands.
    pub duplicate: u64,
    /// Not newer than the last sample of its series.
    pub out_of_order: u64,
    /// More than ten minutes ahead.
    pub too_far_ahead: u64,
    /// More than an hour behind.
    pub too_old: u64,
}

impl Discarded {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.duplicate + self.out_of_order + self.too_far_ahead + self.too_old
    }

    /// Counts one; what to say of it, if anything.
    pub(super) fn count(&mut self, cause: Discard) -> Option<&'static str> {
        let (counter, reason) = match cause {
            Discard::Duplicate => (&mut self.duplicate, Some("the series stands twice in the scrape")),
            // The target repeats its newest timestamped sample: nothing is lost, so nothing is said.
            Discard::Repeated => (&mut self.duplicate, None),
            Discard::OutOfOrder => {
                (&mut self.out_of_order, Some("the sample is not newer than the series' last"))
            }
            Discard::TooFarAhead => {
                (&mut self.too_far_ahead, Some("the timestamp is more than ten minutes ahead"))
            }
            Discard::TooOld => (&mut self.too_old, Some("the timestamp is more than an hour behind")),
        };
        *counter += 1;
        reason
    }
}

/// Why a sample is not handed on.
#[derive(Clone, Copy, Debug)]
pub(super) enum Discard {
    Duplicate,
    Repeated,
    OutOfOrder,
    TooFarAhead,
    TooOld,
}

impl Ingest {
    pub(super) fn count_discarded(&self, slot: u32, cause: Discard, report: &mut Report) {
        let reason = report.discarded.count(cause);
        if report.first_discarded.is_none() {
            report.first_discarded = reason.map(|reason| (self.series.labels(slot).to_string(), reason));
        }
    }

    /// A line when the sample limit is reached: the next one that counts against it fails the scrape, and from there on lines are only counted
    /// (remote-write 4.13), since five million series must not be remembered.
    pub(super) fn count_beyond(
        &mut self,
        exposed: &ExposedSeries<'_>,
        timestamp: i64,
        report: &mut Report,
    ) -> Result<(), ScrapeError> {
        let is_full = self.rules.sample_limit == Some(report.offered);
        let takes_all = self.naming.takes_all();
        let spelling = self.spelling(exposed.in_force);
        let found = if is_full || !takes_all { self.lines.find(exposed.raw, spelling) } else { None };
        let has_own = self.rules.honor_timestamps && exposed.timestamp.is_some();
        let taken = match found {
            Some(twice @ Found { line: Line::Series(_), repeated: true, .. }) if is_full && !has_own => {
                self.append_sample(twice, exposed.value, None, timestamp, report);
                return Ok(());
            }
            Some(Found { line: Line::Series(_), .. }) => true,
            Some(Found { line: Line::Filtered, .. }) => false,
            None => takes_all || self.naming.series(exposed, spelling)?.is_some(),
        };
        let (counter, offered) = match taken {
            true => (&mut report.post_relabel, 1),
            false => (&mut report.filtered, 0),
        };
        *counter += 1;
        report.offered += offered;
        Ok(())
    }
}
