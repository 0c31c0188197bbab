//! One scrape's body to samples: rollback, staleness, synthetic series. Pure; the timer and the socket are elsewhere.

use std::time::Instant;

use super::cache::{LineCache, Spelling};
use super::error::ScrapeError;
use super::families::Families;
use super::series::SeriesTable;
use super::synthetic::{self, Synthetic};
use super::target_labels::TargetLabels;
use crate::exposition::{Entry, Parser, Series as ExposedSeries};
use crate::model::{Description, Labels, MetricType, STALE_MARKER_BITS, SampleRef, stale_marker};

/// Samples further ahead of the scrape than this are dropped (remote-write 4.15), ms: a Prometheus 2.42 head that took one would refuse
/// everything after it.
const MAX_AHEAD_MS: i64 = 10 * 60 * 1_000;

/// The rules by which a body is read.
#[derive(Clone, Debug)]
pub struct Rules {
    /// `job`, `instance`.
    pub target_labels: Labels,
    /// `EXTERNAL_LABELS`.
    pub external_labels: Labels,
    /// `HONOR_LABELS`.
    pub honor_labels: bool,
    /// `HONOR_TIMESTAMPS`.
    pub honor_timestamps: bool,
    /// `SCRAPE_NORMALIZE_LE`.
    pub normalize_le: bool,
    /// `SCRAPE_SAMPLE_LIMIT`.
    pub sample_limit: Option<u64>,
    /// Whether `up` and its companions are added.
    pub synthetic_series: bool,
}

/// Samples that were exposed but not handed on, by cause: `discarded` in the ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Discarded {
    /// A series twice in one scrape: the first sample stands.
    pub duplicate: u64,
    /// Not newer than the last sample of its series.
    pub out_of_order: u64,
    /// More than ten minutes ahead.
    pub too_far_ahead: u64,
}

impl Discarded {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.duplicate + self.out_of_order + self.too_far_ahead
    }
}

/// What one scrape came to.
#[derive(Debug, Default)]
pub struct Report {
    /// Why `up` is 0.
    pub failure: Option<ScrapeError>,
    /// `scrape_samples_scraped`.
    pub scraped: u64,
    /// `scrape_samples_post_metric_relabeling`.
    pub post_relabel: u64,
    /// `scrape_series_added`.
    pub added: u64,
    /// Samples that were exposed but not handed on; 0 when the scrape failed.
    pub discarded: Discarded,
    /// Staleness markers.
    pub markers: u64,
    /// The first series whose sample was discarded, and why, for the log.
    pub first_discarded: Option<(String, &'static str)>,
}

/// All that is remembered of one target from scrape to scrape.
#[derive(Debug)]
pub struct Ingest {
    rules: Rules,
    labels: TargetLabels,
    lines: LineCache,
    series: SeriesTable,
    families: Families,
    synthetic: Vec<Synthetic>,
    scrape: u64,
    /// Series without timestamps of their own in the last good scrape, held: what vanishes from here gets a marker.
    tracked: Vec<u32>,
    tracked_now: Vec<u32>,
    samples: Vec<SampleRef>,
    last_timestamp: i64,
}

impl Ingest {
    /// Nothing is remembered yet.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        let labels = TargetLabels::new(&rules.target_labels, &rules.external_labels, rules.honor_labels);
        let mut series = SeriesTable::default();
        let synthetic =
            if rules.synthetic_series { synthetic::all(&labels, &mut series) } else { Vec::new() };
        Self {
            rules,
            labels,
            lines: LineCache::default(),
            series,
            families: Families::default(),
            synthetic,
            scrape: 0,
            tracked: Vec::new(),
            tracked_now: Vec::new(),
            samples: Vec::new(),
            last_timestamp: i64::MIN,
        }
    }

    /// Takes in one scrape that began at `timestamp` (ms since the epoch), measured from `started`: its body, or why there is none.
    /// The samples are then in [`Ingest::samples`].
    pub fn scrape(&mut self, body: Result<&[u8], ScrapeError>, timestamp: i64, started: Instant) -> Report {
        let mut report = Report::default();
        let read = body.and_then(|body| self.read(body, timestamp, &mut report));
        let vanished = match read {
            Ok(()) => Vanished::Missing,
            Err(error) => {
                self.roll_back(&mut report);
                report.failure = Some(error);
                Vanished::All
            }
        };
        self.conclude(vanished, timestamp, started, report)
    }

    /// The last scrape before the target goes away: as [`Ingest::scrape`], but a failure leaves no trace.
    ///
    /// # Errors
    /// When the body is no good; there are no samples then.
    pub fn last_scrape(
        &mut self,
        body: &[u8],
        timestamp: i64,
        started: Instant,
    ) -> Result<Report, ScrapeError> {
        let timestamp = timestamp.max(self.last_timestamp.saturating_add(1));
        let mut report = Report::default();
        if let Err(error) = self.read(body, timestamp, &mut report) {
            self.roll_back(&mut report);
            return Err(error);
        }
        Ok(self.conclude(Vanished::Missing, timestamp, started, report))
    }

    /// Ends every series of the target, the synthetic ones included (remote-write 3.05), later than any sample before.
    /// The markers are then in [`Ingest::samples`]; returns how many.
    pub fn end_all(&mut self, timestamp: i64) -> u64 {
        self.begin();
        let timestamp = timestamp.max(self.last_timestamp.saturating_add(1));
        let mut markers = self.mark_vanished(timestamp, Vanished::All);
        for at in 0..self.synthetic.len() {
            markers += u64::from(self.mark(self.synthetic[at].slot, timestamp));
        }
        self.commit(timestamp);
        markers
    }

    /// The samples of the last scrape, markers and synthetic series included, in the order in which they are to be sent.
    #[must_use]
    pub fn samples(&self) -> &[SampleRef] {
        &self.samples
    }

    /// What the series of a sample is; valid until the next scrape.
    #[must_use]
    pub fn describe(&self, slot: u32) -> Description<'_> {
        self.series.describe(slot, &self.families)
    }

    fn begin(&mut self) {
        self.scrape += 1;
        self.samples.clear();
        self.tracked_now.clear();
        self.series.begin();
        self.lines.begin();
    }

    /// Reads a whole body, or fails; what it read until then is still to be rolled back.
    fn read(&mut self, body: &[u8], timestamp: i64, report: &mut Report) -> Result<(), ScrapeError> {
        self.begin();
        self.families.begin();
        self.append(body, timestamp, report)?;
        let series = &mut self.series;
        self.lines.end(true, |slot| series.release(slot));
        Ok(())
    }

    /// What follows the target's own samples, whatever became of them: markers, synthetic series, the new state.
    fn conclude(
        &mut self,
        vanished: Vanished,
        timestamp: i64,
        started: Instant,
        mut report: Report,
    ) -> Report {
        report.markers = self.mark_vanished(timestamp, vanished);
        self.append_synthetic(timestamp, started, &mut report);
        self.commit(timestamp);
        report
    }

    fn roll_back(&mut self, report: &mut Report) {
        let series = &mut self.series;
        self.lines.end(false, |slot| series.release(slot));
        // What the failed scrape touched counts as untouched.
        self.scrape += 1;
        self.samples.clear();
        self.tracked_now.clear();
        report.discarded = Discarded::default();
        report.first_discarded = None;
    }

    fn append(&mut self, body: &[u8], timestamp: i64, report: &mut Report) -> Result<(), ScrapeError> {
        let mut parser = Parser::new(body);
        while let Some(entry) = parser.next_like(self.lines.expected()) {
            match entry? {
                Entry::Series(exposed) => self.append_series(&exposed, timestamp, report)?,
                Entry::Type { family, metric_type } => self.families.set_type(&family, metric_type),
                Entry::Help { family, help } => self.families.set_help(&family, &help),
                Entry::Comment => {}
            }
        }
        match self.rules.sample_limit {
            Some(limit) if report.post_relabel > limit => {
                Err(ScrapeError::SampleLimit { samples: report.post_relabel, limit })
            }
            Some(_) | None => Ok(()),
        }
    }

    fn append_series(
        &mut self,
        exposed: &ExposedSeries<'_>,
        timestamp: i64,
        report: &mut Report,
    ) -> Result<(), ScrapeError> {
        report.scraped += 1;
        // Beyond the limit lines are only counted: the scrape fails, and five million series must not be remembered.
        if self.rules.sample_limit.is_some_and(|limit| report.post_relabel >= limit) {
            report.post_relabel += 1;
            return Ok(());
        }
        let spelling = self.spelling(exposed.in_force);
        let (slot, known) = match self.lines.find(exposed.raw, spelling) {
            Some(slot) => (slot, true),
            None => (self.introduce(exposed, spelling)?, false),
        };
        report.post_relabel += 1;
        let own = exposed.timestamp.filter(|_| self.rules.honor_timestamps);
        let admitted = self.admit(slot, exposed.value, own, timestamp);
        // Of two spellings of one series Prometheus counts both: that they are one shows only when the scrape is stored (remote-write 4.03).
        if !known && matches!(admitted, Ok(()) | Err(Discard::Duplicate)) {
            report.added += 1;
        }
        if let Err(cause) = admitted {
            self.count_discarded(slot, cause, report);
        }
        Ok(())
    }

    /// Hands a sample on, unless it would break the order of its series.
    fn admit(&mut self, slot: u32, value: f64, own: Option<i64>, timestamp: i64) -> Result<(), Discard> {
        let scrape = self.scrape;
        let at = own.unwrap_or(timestamp);
        // Synthetic series hold the first slots; they come with every scrape and end only with the target.
        let trackable = own.is_none() && slot as usize >= self.synthetic.len();
        let series = self.series.get_mut(slot);
        if trackable && series.tracked != scrape {
            series.tracked = scrape;
            self.tracked_now.push(slot);
        }
        if at > timestamp.saturating_add(MAX_AHEAD_MS) {
            return Err(Discard::TooFarAhead);
        }
        if series.touched == scrape && at <= series.touched_timestamp {
            return Err(Discard::Duplicate);
        }
        if at <= series.last_timestamp {
            let repeated = at == series.last_timestamp && value.to_bits() == series.last_value;
            return Err(if repeated { Discard::Repeated } else { Discard::OutOfOrder });
        }
        (series.touched, series.touched_timestamp) = (scrape, at);
        self.samples.push(SampleRef { slot, generation: series.generation, value, timestamp: at });
        Ok(())
    }

    fn count_discarded(&self, slot: u32, cause: Discard, report: &mut Report) {
        let (counter, reason) = match cause {
            Discard::Duplicate => (&mut report.discarded.duplicate, "the series stands twice in the scrape"),
            // The target repeats its newest timestamped sample: nothing is lost, so nothing is said.
            Discard::Repeated => {
                report.discarded.duplicate += 1;
                return;
            }
            Discard::OutOfOrder => {
                (&mut report.discarded.out_of_order, "the sample is not newer than the series' last")
            }
            Discard::TooFarAhead => {
                (&mut report.discarded.too_far_ahead, "the timestamp is more than ten minutes ahead")
            }
        };
        *counter += 1;
        if report.first_discarded.is_none() {
            report.first_discarded = Some((self.series.labels(slot).to_string(), reason));
        }
    }

    fn introduce(&mut self, exposed: &ExposedSeries<'_>, spelling: Spelling) -> Result<u32, ScrapeError> {
        let mut labels = exposed.exposed()?;
        match spelling {
            Spelling::AsExposed => {}
            Spelling::Le | Spelling::Quantile => labels.normalize(exposed.in_force),
        }
        let slot = self.series.acquire(self.labels.apply(labels.iter()));
        self.lines.insert(exposed.raw, spelling, slot);
        Ok(slot)
    }

    fn spelling(&self, in_force: MetricType) -> Spelling {
        match in_force {
            MetricType::Histogram if self.rules.normalize_le => Spelling::Le,
            MetricType::Summary if self.rules.normalize_le => Spelling::Quantile,
            MetricType::Unknown
            | MetricType::Counter
            | MetricType::Gauge
            | MetricType::Histogram
            | MetricType::GaugeHistogram
            | MetricType::Summary
            | MetricType::Info
            | MetricType::StateSet => Spelling::AsExposed,
        }
    }

    /// Markers for what the last good scrape had and this one has not; a failed scrape has nothing (remote-write 3.01 to 3.03).
    fn mark_vanished(&mut self, timestamp: i64, vanished: Vanished) -> u64 {
        // The same series in the same order, as nearly always: none is gone, and all stay held.
        if matches!(vanished, Vanished::Missing) && self.tracked == self.tracked_now {
            self.tracked_now.clear();
            return 0;
        }
        let before = std::mem::take(&mut self.tracked);
        let mut markers = 0;
        for slot in &before {
            let gone = match vanished {
                Vanished::All => true,
                Vanished::Missing => self.series.get_mut(*slot).tracked != self.scrape,
            };
            if gone {
                markers += u64::from(self.mark(*slot, timestamp));
            }
        }
        // A line may name another series the next time it comes; what it named until now is still to be ended.
        self.tracked_now.iter().for_each(|slot| self.series.hold(*slot));
        before.iter().for_each(|slot| self.series.release(*slot));
        self.tracked = std::mem::replace(&mut self.tracked_now, before);
        self.tracked_now.clear();
        markers
    }

    /// A marker that would not be the newest sample of its series is dropped in silence (remote-write 3.09), and so is one for a series
    /// that has ended or never began.
    fn mark(&mut self, slot: u32, timestamp: i64) -> bool {
        let scrape = self.scrape;
        let series = self.series.get_mut(slot);
        let touched = series.touched == scrape;
        let newest = if touched { series.touched_timestamp } else { series.last_timestamp };
        let ended = !touched && series.last_value == STALE_MARKER_BITS;
        if newest == i64::MIN || ended || timestamp <= newest {
            return false;
        }
        (series.touched, series.touched_timestamp) = (scrape, timestamp);
        let generation = series.generation;
        self.samples.push(SampleRef { slot, generation, value: stale_marker(), timestamp });
        true
    }

    fn append_synthetic(&mut self, timestamp: i64, started: Instant, report: &mut Report) {
        for at in 0..self.synthetic.len() {
            let Synthetic { kind, slot } = self.synthetic[at];
            let value = kind.value(report, started.elapsed());
            // A target that exposes the same series was there first (remote-write 4.05); the clock may have been set back.
            if let Err(cause) = self.admit(slot, value, None, timestamp) {
                self.count_discarded(slot, cause, report);
            }
        }
    }

    fn commit(&mut self, timestamp: i64) {
        for sample in &mut self.samples {
            // Only now: a HELP or TYPE may stand behind its samples, or come as a series ends.
            sample.generation = self.series.refresh_metadata(sample.slot, &self.families);
            let series = self.series.get_mut(sample.slot);
            (series.last_timestamp, series.last_value) = (sample.timestamp, sample.value.to_bits());
        }
        self.last_timestamp = self.last_timestamp.max(timestamp);
    }
}

/// Which series of the last good scrape are gone.
#[derive(Clone, Copy, Debug)]
enum Vanished {
    /// Those that this scrape has not.
    Missing,
    All,
}

/// Why a sample is not handed on.
#[derive(Clone, Copy, Debug)]
enum Discard {
    Duplicate,
    Repeated,
    OutOfOrder,
    TooFarAhead,
}

#[cfg(test)]
mod tests;
