//! The formats beside text 0.0.4: each reader's entries to samples.

use std::time::Instant;

use super::converted::Reading;
use super::discard::Discard;
use super::{Found, Ingest, Line, Report, ScrapeError};
use crate::exposition::{
    self, Entry, Format, Gathered, LONGEST, MessageError, OpenMetricsParser, Parser, ProtobufParser,
    is_created,
};
use crate::model::Histogram;
use crate::scrape::error::Site;

impl Ingest {
    /// As [`Ingest::scrape_as`], in text format 0.0.4.
    pub fn scrape(&mut self, body: Result<&[u8], ScrapeError>, timestamp: i64, started: Instant) -> Report {
        self.scrape_as(body.map(|body| (Format::Text, body)), timestamp, started)
    }

    /// As [`Ingest::last_scrape_as`], in text format 0.0.4.
    ///
    /// # Errors
    /// When the body is no good; there are no samples then.
    pub fn last_scrape(
        &mut self,
        body: &[u8],
        timestamp: i64,
        started: Instant,
    ) -> Result<Report, ScrapeError> {
        self.last_scrape_as(Format::Text, body, timestamp, started)
    }

    /// A body in the text format.
    pub(super) fn append_text(
        &mut self,
        body: &[u8],
        timestamp: i64,
        report: &mut Report,
    ) -> Result<(), ScrapeError> {
        if self.rules.histograms.converted {
            return self.append_text_converted(body, timestamp, report);
        }
        let mut parser = Parser::new(body);
        let limit = self.rules.sample_limit.unwrap_or(u64::MAX);
        loop {
            // As long as all lines are known, no memory is taken.
            let expected = self.lines.expected_as(self.spelling(parser.in_force()));
            if report.offered < limit
                && let Some(value) = parser.next_integer_of(expected)
            {
                report.scraped += 1;
                let found = self.lines.take_expected();
                self.append_sample(found, value, None, timestamp, report);
                continue;
            }
            let (header, in_force) = self.families.expected();
            if parser.passes(header, in_force) {
                self.families.take_expected();
                continue;
            }
            let Some(entry) = parser.next_like(expected) else { break };
            match entry? {
                long if is_too_long(&long) => return Err(too_long(parser.line())),
                Entry::Series(exposed) => self.append_series(&exposed, timestamp, report)?,
                Entry::Type { family, metric_type } => {
                    self.families.set_type(&family, metric_type);
                    self.families.said_by(parser.entry_bytes(), Some(metric_type));
                }
                Entry::Help { family, help } => {
                    self.families.set_help(&family, &help);
                    self.families.said_by(parser.entry_bytes(), None);
                }
                Entry::Unit { .. } | Entry::Comment | Entry::Histogram(_) => {}
            }
            self.check_memory(body, report)?;
        }
        self.check_memory(body, report)
    }

    /// A body in OpenMetrics.
    pub(super) fn append_openmetrics(
        &mut self,
        body: &[u8],
        timestamp: i64,
        report: &mut Report,
    ) -> Result<(), ScrapeError> {
        if self.rules.created_timestamps {
            self.created.collect(body);
        }
        let starts = self.rules.created_timestamps;
        let mut parser = OpenMetricsParser::new(body);
        let mut reading = Reading::default();
        while let Some(entry) = parser.next_like(self.lines.expected()) {
            match entry? {
                long if is_too_long(&long) => return Err(too_long(parser.line())),
                Entry::Series(series) if starts && is_created(&series, &reading.family) => {}
                Entry::Series(series) => {
                    let start = self.created.of(&series, &reading.family).filter(|_| starts);
                    let one = Gathered { series, exemplar: parser.exemplar(), start };
                    self.gather(one, &mut reading, timestamp, report)?;
                }
                other => self.end_family(&other, &mut reading, timestamp, report)?,
            }
            self.check_memory(body, report)?;
        }
        self.append_gathered(&mut reading, timestamp, report)
    }

    /// A body in delimited protobuf.
    pub(super) fn append_protobuf(
        &mut self,
        body: &[u8],
        timestamp: i64,
        report: &mut Report,
    ) -> Result<(), ScrapeError> {
        // The parser lends out of it what is taken in here.
        let mut scratch = std::mem::take(&mut self.scratch);
        let read = {
            let mut parser = ProtobufParser::new(body, &mut scratch, self.rules.normalize_le)
                .with_histograms(self.rules.histograms);
            loop {
                match parser.next() {
                    None => break Ok(()),
                    Some(Err(error)) => break Err(error.into()),
                    Some(Ok(())) => {}
                }
                let taken = match parser.entry() {
                    Some(Entry::Series(exposed)) => {
                        let before = self.samples.len();
                        self.append_beside(&exposed, timestamp, report).map(|()| {
                            let (start, exemplar) = (parser.start_timestamp(), parser.exemplar());
                            self.attach(before, start, exemplar.as_ref(), timestamp);
                        })
                    }
                    Some(Entry::Histogram(exposed)) => {
                        let write = |histogram: &mut Histogram| parser.histogram(histogram);
                        let beside = (parser.start_timestamp(), parser.histogram_exemplars());
                        self.append_histogram(&exposed, write, beside, timestamp, report)
                    }
                    Some(other) => {
                        self.describe_family(&other);
                        Ok(())
                    }
                    None => Ok(()),
                };
                let (message, offset) = parser.place();
                let taken = taken.map_err(|error| error.told_of(Site::Message(message, offset)));
                if let Err(error) = taken.and_then(|()| self.check_memory(body, report)) {
                    break Err(error);
                }
            }
        };
        self.scratch = scratch;
        read
    }

    /// A sample that is a native histogram. One that Prometheus would refuse fails the scrape, unless its series is dropped anyway.
    pub(super) fn append_histogram<'e>(
        &mut self,
        exposed: &exposition::Series<'_>,
        write: impl FnOnce(&mut Histogram) -> Result<(), MessageError>,
        (start, exemplars): (Option<i64>, impl Iterator<Item = exposition::Exemplar<'e>>),
        timestamp: i64,
        report: &mut Report,
    ) -> Result<(), ScrapeError> {
        let (before, taken, added) = (self.samples.len(), report.post_relabel, report.added);
        let offered = report.offered;
        self.append_beside(exposed, timestamp, report)?;
        // Prometheus's storage sees neither what stands twice nor what is beyond the limit.
        if report.offered == offered || self.rules.sample_limit.is_some_and(|limit| offered >= limit) {
            return Ok(());
        }
        let is_handed_on = self.samples.len() > before;
        let written =
            if is_handed_on { self.histograms.take(before, write) } else { self.histograms.check(write) };
        if let Err(error) = written {
            if report.added > added {
                self.lines.not_cached();
            }
            (report.post_relabel, report.added) = (taken, added);
            return Err(error.into());
        }
        if !is_handed_on {
            return Ok(());
        }
        self.attach(before, start, None, timestamp);
        if self.rules.exemplars {
            self.exemplars.take_of_histogram(before, self.samples[before].slot, exemplars);
        }
        Ok(())
    }

    /// A sample of a line that was found; `own`: the timestamp that it has by itself.
    #[inline(always)]
    pub(super) fn append_sample(
        &mut self,
        found: Found,
        value: f64,
        own: Option<i64>,
        timestamp: i64,
        report: &mut Report,
    ) {
        let Line::Series(slot) = found.line else {
            report.filtered += 1;
            return;
        };
        report.post_relabel += 1;
        let admitted = if found.repeated && own.is_none() {
            Err(Discard::Duplicate)
        } else {
            report.offered += 1;
            self.admit(slot, value, own, timestamp)
        };
        if !found.cached && self.is_cacheable(slot, value, own.unwrap_or(timestamp), timestamp) {
            self.lines.cached();
            report.added += 1;
        }
        if let Err(cause) = admitted {
            self.exemplars.keep(slot);
            self.count_discarded(slot, cause, report);
        }
    }

    /// Of the body, and of what is remembered of it so far.
    pub(super) fn check_memory(&self, body: &[u8], report: &Report) -> Result<(), ScrapeError> {
        let beside = self.histograms.weight() + self.exemplars.weight();
        let remembered = self.lines.weight() + self.families.weight() + beside;
        let taken = (body.len() + remembered) as u64;
        match self.rules.memory_limit {
            Some(limit) if taken > limit => Err(ScrapeError::Memory { samples: report.scraped, limit }),
            Some(_) | None => Ok(()),
        }
    }

    /// What the target has is counted to the end, in every format (remote-write 4.13).
    pub(super) fn check_sample_limit(&self, report: &Report) -> Result<(), ScrapeError> {
        match self.rules.sample_limit {
            Some(limit) if report.offered > limit => {
                Err(ScrapeError::SampleLimit { samples: report.offered, limit })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// One copy of it for both formats.
    #[inline(never)]
    pub(super) fn append_beside(
        &mut self,
        exposed: &exposition::Series<'_>,
        timestamp: i64,
        report: &mut Report,
    ) -> Result<(), ScrapeError> {
        self.append_series(exposed, timestamp, report)
    }

    /// Gives a sample that was handed on what comes beside it; `before`: how many there were without it.
    pub(super) fn attach(
        &mut self,
        before: usize,
        start: Option<i64>,
        exemplar: Option<&exposition::Exemplar<'_>>,
        timestamp: i64,
    ) {
        let Some(sample) = self.samples.get_mut(before) else { return };
        // A start behind its sample says nothing (remote-write 2.13).
        sample.start = start.filter(|start| *start <= sample.timestamp).unwrap_or_default();
        if let Some(exemplar) = exemplar.filter(|_| self.rules.exemplars) {
            self.exemplars.take(before, sample.slot, exemplar, timestamp);
        }
    }

    /// What is no sample.
    pub(super) fn describe_family(&mut self, entry: &Entry<'_>) {
        match entry {
            Entry::Type { family, metric_type } => self.families.set_type(family, *metric_type),
            Entry::Help { family, help } => self.families.set_help(family, help),
            Entry::Unit { family, unit } => self.families.set_unit(family, unit),
            Entry::Series(_) | Entry::Histogram(_) | Entry::Comment => {}
        }
    }
}

/// Whether no receiver takes it.
pub(super) fn is_too_long(entry: &Entry<'_>) -> bool {
    match entry {
        Entry::Series(exposed) | Entry::Histogram(exposed) => exposed.raw.len() > LONGEST,
        Entry::Type { family, .. } => family.len() > LONGEST,
        Entry::Help { family, help } => family.len().max(help.len()) > LONGEST,
        Entry::Unit { family, unit } => family.len().max(unit.len()) > LONGEST,
        Entry::Comment => false,
    }
}

pub(super) fn too_long(line: u32) -> ScrapeError {
    ScrapeError::TooLong { line, limit: LONGEST }
}
