//! Text whose classic histograms may be taken as native ones (`CONVERT_CLASSIC_HISTOGRAMS_TO_NHCB`).

use super::formats::{is_too_long, too_long};
use super::{Ingest, Report, ScrapeError};
use crate::exposition::{Collation, Entry, Gathered, Parser, Taken};
use crate::model::Histogram;
use crate::scrape::error::Site;

/// What is known behind the last line.
#[derive(Debug, Default)]
pub(super) struct Reading<'a> {
    /// Of the last `# TYPE`.
    pub(super) family: String,
    waiting: Collation<'a>,
    histogram: Histogram,
}

impl Ingest {
    pub(super) fn append_text_converted(
        &mut self,
        body: &[u8],
        timestamp: i64,
        report: &mut Report,
    ) -> Result<(), ScrapeError> {
        let mut parser = Parser::new(body);
        let mut reading = Reading::default();
        while let Some(entry) = parser.next() {
            match entry? {
                long if is_too_long(&long) => return Err(too_long(parser.line())),
                Entry::Series(series) => {
                    let one = Gathered { series, exemplar: None, start: None };
                    self.gather(one, &mut reading, timestamp, report)?;
                }
                other => self.end_family(&other, &mut reading, timestamp, report)?,
            }
            self.check_memory(body, report)?;
        }
        self.append_gathered(&mut reading, timestamp, report)
    }

    /// A series joins the histogram that is being gathered, stands beside it, or ends it; without conversion none is.
    pub(super) fn gather<'a>(
        &mut self,
        one: Gathered<'a>,
        reading: &mut Reading<'a>,
        timestamp: i64,
        report: &mut Report,
    ) -> Result<(), ScrapeError> {
        if !self.rules.histograms.converted {
            return self.append_classic(&one, timestamp, report);
        }
        let mut taken = reading.waiting.take(one, &reading.family);
        if taken == Taken::Not {
            self.append_gathered(reading, timestamp, report)?;
            taken = reading.waiting.take(one, &reading.family);
        }
        match taken {
            Taken::Gathered => Ok(()),
            Taken::Beside | Taken::Not => self.append_classic(&one, timestamp, report),
        }
    }

    /// What is no series ends the histogram that is being gathered.
    pub(super) fn end_family(
        &mut self,
        entry: &Entry<'_>,
        reading: &mut Reading<'_>,
        timestamp: i64,
        report: &mut Report,
    ) -> Result<(), ScrapeError> {
        self.append_gathered(reading, timestamp, report)?;
        if let Entry::Type { family, .. } = entry {
            (**family).clone_into(&mut reading.family);
        }
        self.describe_family(entry);
        Ok(())
    }

    /// Takes in what was gathered: as a histogram, and as series where it makes none, or where both are wanted.
    pub(super) fn append_gathered(
        &mut self,
        reading: &mut Reading<'_>,
        timestamp: i64,
        report: &mut Report,
    ) -> Result<(), ScrapeError> {
        let Reading { waiting, histogram, .. } = reading;
        let Some(first) = waiting.gathered().first().copied() else { return Ok(()) };
        let exemplars: Vec<_> = waiting.gathered().iter().filter_map(|one| one.exemplar).collect();
        let is_converted = match waiting.convert(histogram) {
            Some(series) => {
                let write = |into: &mut Histogram| {
                    histogram.clone_into(into);
                    Ok(())
                };
                let beside = (first.start, exemplars.into_iter());
                let taken = self.append_histogram(&series, write, beside, timestamp, report);
                // Of a series that nobody has written the first of its lines is told.
                taken.map_err(|error| error.told_of(Site::Line(first.series.place())))?;
                true
            }
            None => false,
        };
        if !is_converted || self.rules.histograms.classic_too {
            for one in waiting.gathered() {
                self.append_classic(one, timestamp, report)?;
            }
        }
        waiting.clear();
        Ok(())
    }

    fn append_classic(
        &mut self,
        one: &Gathered<'_>,
        timestamp: i64,
        report: &mut Report,
    ) -> Result<(), ScrapeError> {
        let before = self.samples.len();
        self.append_beside(&one.series, timestamp, report)?;
        self.attach(before, one.start, one.exemplar.as_ref(), timestamp);
        Ok(())
    }
}
