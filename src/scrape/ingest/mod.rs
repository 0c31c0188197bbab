//! One scrape's body to samples: rollback, staleness, synthetic series. Pure; the timer and the socket are elsewhere.

mod commit;
mod converted;
mod discard;
mod formats;
mod rename;
mod rules;
mod staleness;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

pub use discard::Discarded;
pub use rules::Rules;

use super::cache::{Found, Line, LineCache, Spelling};
use super::error::ScrapeError;
use super::exemplars::{DiscardedExemplars, Exemplars};
use super::families::{Families, Truncated};
use super::footprint;
use super::histograms::Histograms;
use super::open_series::OpenSeries;
use super::relabelling::Naming;
use super::series::SeriesTable;
use super::synthetic::{self, Synthetic};
use super::target_labels::TargetLabels;
use crate::exposition::{CreatedTimes, Format, ProtobufScratch, Series as ExposedSeries};
use crate::model::{Description, Exemplar, HistogramSample, MetricType, SampleRef};
use discard::{Discard, MAX_AHEAD_MS, MAX_BEHIND_MS};
use staleness::Vanished;

/// What one scrape came to.
#[derive(Debug, Default)]
pub struct Report {
    /// Why `up` is 0.
    pub failure: Option<ScrapeError>,
    /// `scrape_samples_scraped`.
    pub scraped: u64,
    /// `scrape_samples_post_metric_relabeling`.
    pub post_relabel: u64,
    /// What of that counts against the limit of samples: not what stands twice (remote-write 4.13, 4.15).
    pub offered: u64,
    /// `scrape_series_added`.
    pub added: u64,
    /// Samples that were exposed but not handed on; 0 when the scrape failed.
    pub discarded: Discarded,
    /// Samples whose series a filter or a rule drops: `filtered` in the ledger; 0 when the scrape failed.
    pub filtered: u64,
    /// `scrape_body_size_bytes`.
    pub body_size: i64,
    /// Staleness markers.
    pub markers: u64,
    /// HELP texts that were too long.
    pub truncated: Truncated,
    /// Exemplars that were exposed but not handed on; none when the scrape failed.
    pub exemplars_discarded: DiscardedExemplars,
    /// The first series whose sample was discarded, and why, for the log.
    pub first_discarded: Option<(String, &'static str)>,
}

/// All that is remembered of one target from scrape to scrape.
#[derive(Debug)]
pub struct Ingest {
    rules: Rules,
    naming: Naming,
    /// The naming is another than at the last scrape.
    renamed: bool,
    lines: LineCache,
    series: SeriesTable,
    families: Families,
    synthetic: Vec<Synthetic>,
    /// Synthetic series under labels that the target has no more, held: to be ended.
    retired: Vec<u32>,
    scrape: u64,
    /// Series without timestamps of their own in the last good scrape, held: what vanishes from here gets a marker.
    tracked: Vec<u32>,
    tracked_now: Vec<u32>,
    open: OpenSeries,
    samples: Vec<SampleRef>,
    last_timestamp: i64,
    /// The format of the last body that was read.
    format: Format,
    scratch: ProtobufScratch,
    created: CreatedTimes,
    exemplars: Exemplars,
    histograms: Histograms,
    /// What a protobuf body says of the engine.
    engine_lines: Vec<u8>,
}

impl Ingest {
    /// Nothing is remembered yet.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        let labels = TargetLabels::new(&rules.target_labels, &rules.external_labels, rules.honor_labels);
        let mut series = SeriesTable::default();
        let synthetic = synthetic::all(&rules, &labels, &mut series);
        Self {
            naming: Naming::new(labels, rules.relabelling.clone(), rules.label_limits),
            renamed: false,
            rules,
            lines: LineCache::default(),
            series,
            families: Families::default(),
            synthetic,
            retired: Vec::new(),
            scrape: 0,
            tracked: Vec::new(),
            tracked_now: Vec::new(),
            open: OpenSeries::default(),
            samples: Vec::new(),
            last_timestamp: i64::MIN,
            format: Format::Text,
            scratch: ProtobufScratch::default(),
            created: CreatedTimes::default(),
            exemplars: Exemplars::default(),
            histograms: Histograms::default(),
            engine_lines: Vec::new(),
        }
    }

    /// Takes in one scrape that began at `timestamp` (ms since the epoch), measured from `started`: its body and the format of that, or why
    /// there is none. The samples are then in [`Ingest::samples`].
    pub fn scrape_as(
        &mut self,
        body: Result<(Format, &[u8]), ScrapeError>,
        timestamp: i64,
        started: Instant,
    ) -> Report {
        self.scrape_by(Self::read, body, timestamp, started)
    }

    /// [`Ingest::scrape_as`] with another reader.
    fn scrape_by(
        &mut self,
        read: impl FnOnce(&mut Self, (Format, &[u8]), i64, &mut Report) -> Result<(), ScrapeError>,
        body: Result<(Format, &[u8]), ScrapeError>,
        timestamp: i64,
        started: Instant,
    ) -> Report {
        let mut report = Report { body_size: body_size(&body), ..Report::default() };
        let read = body.and_then(|body| self.survive(|ingest| read(ingest, body, timestamp, &mut report)));
        let vanished = match read {
            Ok(()) => Vanished::Missing,
            Err(error) => {
                report.failure = Some(error);
                self.roll_back(&mut report);
                Vanished::Seen
            }
        };
        self.conclude(vanished, timestamp, started, report)
    }

    /// The last scrape before the target goes away: as [`Ingest::scrape_as`], but a failure leaves no trace.
    ///
    /// # Errors
    /// When the body is no good; there are no samples then.
    pub fn last_scrape_as(
        &mut self,
        format: Format,
        body: &[u8],
        timestamp: i64,
        started: Instant,
    ) -> Result<Report, ScrapeError> {
        let timestamp = timestamp.max(self.last_timestamp.saturating_add(1));
        let mut report = Report { body_size: body_size(&Ok((format, body))), ..Report::default() };
        if let Err(error) = self.survive(|ingest| ingest.read((format, body), timestamp, &mut report)) {
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
        let mut markers = self.mark_vanished(timestamp, Vanished::Target);
        for at in 0..self.synthetic.len() {
            markers += u64::from(self.mark(self.synthetic[at].slot, timestamp));
        }
        markers += self.end_retired(timestamp);
        self.commit(timestamp);
        // As with a target that Prometheus has removed: the next one begins with an empty cache.
        let series = &mut self.series;
        self.lines.forget_all(|slot| series.release(slot));
        markers
    }

    /// The samples of the last scrape, markers and synthetic series included, in the order in which they are to be sent.
    #[must_use]
    pub fn samples(&self) -> &[SampleRef] {
        &self.samples
    }

    /// The exemplars of these samples that were not handed on before, in their order.
    #[must_use]
    pub fn exemplars(&self) -> &[Exemplar] {
        self.exemplars.taken()
    }

    /// The native histograms among these samples, in their order.
    #[must_use]
    pub fn histograms(&self) -> &[HistogramSample] {
        self.histograms.taken()
    }

    /// What the series of a sample is; valid until the next scrape.
    #[must_use]
    pub fn describe(&self, slot: u32) -> Description<'_> {
        self.series.describe(slot, &self.families)
    }

    fn begin(&mut self) {
        self.scrape += 1;
        self.samples.clear();
        self.exemplars.begin();
        self.histograms.begin();
        self.tracked_now.clear();
        let exemplars = &mut self.exemplars;
        self.series.begin(self.last_timestamp, |slot| exemplars.forget(slot));
        self.open.begin();
        self.lines.begin();
    }

    /// Reads a whole body, or fails; what it read until then is still to be rolled back.
    fn read(
        &mut self,
        (format, body): (Format, &[u8]),
        timestamp: i64,
        report: &mut Report,
    ) -> Result<(), ScrapeError> {
        self.begin();
        self.families.begin();
        self.renew_names(format, body);
        match format {
            Format::Text => self.append_text(body, timestamp, report)?,
            Format::OpenMetrics => self.append_openmetrics(body, timestamp, report)?,
            Format::Protobuf => self.append_protobuf(body, timestamp, report)?,
        }
        self.check_sample_limit(report)?;
        let series = &mut self.series;
        // Prometheus takes an empty body for a failed scrape here, and keeps its cache (remote-write 4.03).
        self.lines.end(!body.is_empty(), |slot| series.release(slot));
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
        report.exemplars_discarded = self.exemplars.conclude(report.failure.is_none());
        report.truncated = self.families.take_truncated();
        report.markers = self.mark_vanished(timestamp, vanished);
        self.append_synthetic(timestamp, started, &mut report);
        report.markers += self.end_retired(timestamp);
        self.commit(timestamp);
        report
    }

    /// A body that makes its reader panic is a bad body: the next one may be good, while a new process would only meet the same one again. What was
    /// read until then is rolled back as after a bad line.
    fn survive(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<(), ScrapeError>,
    ) -> Result<(), ScrapeError> {
        catch_unwind(AssertUnwindSafe(|| read(self))).unwrap_or(Err(ScrapeError::Panicked))
    }

    fn roll_back(&mut self, report: &mut Report) {
        let series = &mut self.series;
        match report.failure {
            // As if the target were new: what it has shown so far is in the way of what it shows from now on.
            Some(ScrapeError::Memory { .. }) => {
                self.lines.drop_all(|slot| series.release(slot));
                self.families.drop_all();
            }
            Some(_) | None => self.lines.end(false, |slot| series.release(slot)),
        }
        // What the failed scrape touched counts as untouched.
        self.scrape += 1;
        self.open.begin();
        self.samples.clear();
        self.exemplars.roll_back();
        self.histograms.roll_back();
        self.tracked_now.clear();
        (report.discarded, report.filtered) = (Discarded::default(), 0);
        report.first_discarded = None;
    }

    /// Three callers would keep the compiler from inlining it where text is read; the other formats share a copy.
    #[inline(always)]
    fn append_series(
        &mut self,
        exposed: &ExposedSeries<'_>,
        timestamp: i64,
        report: &mut Report,
    ) -> Result<(), ScrapeError> {
        report.scraped += 1;
        if self.rules.sample_limit.is_some_and(|limit| report.offered >= limit) {
            return self.count_beyond(exposed, timestamp, report);
        }
        let spelling = self.spelling(exposed.in_force);
        let found = match self.lines.find(exposed.raw, spelling) {
            Some(found) => found,
            None => {
                let line = self.introduce(exposed, spelling)?;
                Found { line, cached: false, repeated: false }
            }
        };
        let own = exposed.timestamp.filter(|_| self.rules.honor_timestamps);
        self.append_sample(found, exposed.value, own, timestamp, report);
        Ok(())
    }

    /// Hands a sample on, unless it would break the order of its series. Only a series with a sample that Prometheus would store is waited for.
    #[inline(always)]
    fn admit(&mut self, slot: u32, value: f64, own: Option<i64>, timestamp: i64) -> Result<(), Discard> {
        let scrape = self.scrape;
        let at = own.unwrap_or(timestamp);
        let series = self.series.get_mut(slot);
        if at > timestamp.saturating_add(MAX_AHEAD_MS) {
            return Err(Discard::TooFarAhead);
        }
        if series.touched == scrape && at <= series.touched_timestamp {
            self.track_what_could_be_stored(slot, value, own, timestamp);
            return Err(Discard::Duplicate);
        }
        if at <= series.last_timestamp {
            if at < series.last_timestamp || value.to_bits() != series.last_value {
                return Err(Discard::OutOfOrder);
            }
            self.track_what_could_be_stored(slot, value, own, timestamp);
            return Err(Discard::Repeated);
        }
        // Last of all: what a target repeats for hours was handed on when it was new, and is not worth a word.
        if at < timestamp.saturating_sub(MAX_BEHIND_MS) {
            return Err(Discard::TooOld);
        }
        let may_vanish = own.is_none() || self.rules.track_timestamps_staleness;
        if may_vanish && series.track(scrape) {
            self.tracked_now.push(slot);
        }
        (series.touched, series.touched_timestamp, series.touched_sample) = (scrape, at, self.samples.len());
        self.samples.push(SampleRef { slot, generation: series.generation, value, timestamp: at, start: 0 });
        Ok(())
    }

    /// Of a sample that is not handed on, although Prometheus learns only when it stores the whole scrape that there is nothing to store.
    #[cold]
    fn track_what_could_be_stored(&mut self, slot: u32, value: f64, own: Option<i64>, timestamp: i64) {
        let may_vanish = own.is_none() || self.rules.track_timestamps_staleness;
        if may_vanish
            && self.is_cacheable(slot, value, own.unwrap_or(timestamp), timestamp)
            && self.series.get_mut(slot).track(self.scrape)
        {
            self.tracked_now.push(slot);
        }
    }

    /// Whether Prometheus would cache a line with this sample: if it could be stored behind what was stored before this scrape. That two
    /// spellings of one scrape are one series shows only later, so both count (remote-write 4.03).
    fn is_cacheable(&mut self, slot: u32, value: f64, at: i64, timestamp: i64) -> bool {
        let series = self.series.get_mut(slot);
        let repeated = at == series.last_timestamp && value.to_bits() == series.last_value;
        let in_bounds =
            at <= timestamp.saturating_add(MAX_AHEAD_MS) && at >= timestamp.saturating_sub(MAX_BEHIND_MS);
        in_bounds && (at > series.last_timestamp || repeated)
    }

    fn introduce(&mut self, exposed: &ExposedSeries<'_>, spelling: Spelling) -> Result<Line, ScrapeError> {
        let (line, weight) = match self.naming.series(exposed, spelling)? {
            Some(labels) => {
                let weight = footprint::of_series(&labels);
                (Line::Series(self.series.acquire(labels)), weight)
            }
            None => (Line::Filtered, 0),
        };
        self.lines.insert(exposed.raw, spelling, line, weight);
        Ok(line)
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

    fn append_synthetic(&mut self, timestamp: i64, started: Instant, report: &mut Report) {
        for at in 0..self.synthetic.len() {
            let Synthetic { kind, slot } = self.synthetic[at];
            let value = kind.value(&self.rules, report, started.elapsed());
            // A target that exposes the same series was there first (remote-write 4.05); the clock may have been set back.
            if let Err(cause) = self.admit(slot, value, None, timestamp) {
                self.count_discarded(slot, cause, report);
            }
        }
    }
}

/// What was read of the body; 0 where nothing was, -1 where it was too large.
fn body_size(body: &Result<(Format, &[u8]), ScrapeError>) -> i64 {
    match body {
        Ok((_, body)) => i64::try_from(body.len()).unwrap_or(i64::MAX),
        Err(ScrapeError::BodySize { .. }) => -1,
        Err(_) => 0,
    }
}

#[cfg(test)]
mod tests;
