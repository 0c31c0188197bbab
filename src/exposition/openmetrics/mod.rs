//! OpenMetrics text as Prometheus 3 reads it (remote-write 4.25): single blanks only, no empty lines, no other comments, `# EOF` at the end.

mod created;
mod scan;

use std::borrow::Cow;

pub use created::{CreatedTimes, is_created};

use super::error::{Fault, ParseError, Reason, line_of, printable};
use super::escape::unescape_quoted;
use super::exemplar::{Exemplar, ExemplarLabels};
use super::float::parse_value;
use super::parser::Entry;
use super::scan::{Cursor, NAME, NAME_START, is};
use super::series::Series;
use crate::model::MetricType;
use scan::Braces;

/// Reads one exposition in OpenMetrics text, entry by entry, borrowing from its bytes. Nothing is allocated for a sample.
///
/// Series are those of the text format: their `raw` is a cache key in the same way, but a guess is sound only if it came from this parser.
#[derive(Clone, Debug)]
pub struct OpenMetricsParser<'a> {
    cursor: Cursor<'a>,
    in_force: MetricType,
    exemplar: Option<Exemplar<'a>>,
    ended: bool,
}

impl<'a> OpenMetricsParser<'a> {
    /// Starts at the first byte.
    #[must_use]
    pub fn new(body: &'a [u8]) -> Self {
        Self { cursor: Cursor { body, at: 0 }, in_force: MetricType::Unknown, exemplar: None, ended: false }
    }

    /// The next entry; `None` behind `# EOF`, and always after an error.
    ///
    /// # Errors
    /// The first thing that Prometheus would refuse (remote-write 4.16, 4.20, 4.25): the exposition as a whole is no good.
    #[allow(clippy::should_implement_trait, reason = "as the text format's parser, of which this is a twin")]
    pub fn next(&mut self) -> Option<Result<Entry<'a>, ParseError>> {
        self.next_like(&[])
    }

    /// As [`next`](Self::next), and faster where the next series is spelled exactly like `guess`, the `raw` of a series that a parser of
    /// OpenMetrics gave out.
    ///
    /// # Errors
    /// As `next`.
    pub fn next_like(&mut self, guess: &[u8]) -> Option<Result<Entry<'a>, ParseError>> {
        if self.ended {
            return None;
        }
        self.exemplar = None;
        match self.entry(guess) {
            Ok(Some(entry)) => Some(Ok(entry)),
            Ok(None) => {
                self.ended = true;
                None
            }
            Err(fault) => {
                self.ended = true;
                Some(Err(fault.locate(self.cursor.body)))
            }
        }
    }

    /// The line of the entry that was given last, from 1.
    #[must_use]
    pub fn line(&self) -> u32 {
        line_of(self.cursor.body, self.cursor.at.saturating_sub(1))
    }

    /// The exemplar of the series that was given last, if its line has one.
    #[must_use]
    pub fn exemplar(&self) -> Option<Exemplar<'a>> {
        self.exemplar
    }

    fn entry(&mut self, guess: &[u8]) -> Result<Option<Entry<'a>>, Fault> {
        let start = self.cursor.at;
        if let Some(end) = self.guessed(guess) {
            self.cursor.at = end;
            return self.sample(start, end).map(Some);
        }
        match self.cursor.peek() {
            None => Err(Fault::new(start, Reason::MissingEof)),
            Some(b'#') => self.meta(),
            Some(byte) if byte == b'{' || is(byte, NAME_START) => self.series().map(Some),
            Some(_) => Err(Fault::new(start, Reason::ExpectedEntry)),
        }
    }

    /// The end of the series that starts here, if it is the guessed one to its last byte.
    fn guessed(&self, guess: &[u8]) -> Option<usize> {
        let last = *guess.last()?;
        let rest = self.cursor.body[self.cursor.at..].strip_prefix(guess)?;
        (last == b'}' || rest.first() == Some(&b' ')).then(|| self.cursor.at + guess.len())
    }

    fn series(&mut self) -> Result<Entry<'a>, Fault> {
        let cursor = &mut self.cursor;
        let start = cursor.at;
        let bare = !cursor.take(NAME).is_empty();
        if cursor.peek() == Some(b'{') {
            cursor.at += 1;
            let named =
                scan::braces(cursor, if bare { Braces::NamedSeries } else { Braces::NamelessSeries })?;
            if !named {
                return Err(Fault::new(start, Reason::MissingName));
            }
            let raw = &cursor.body[start..cursor.at];
            if !raw.is_ascii()
                && let Err(error) = std::str::from_utf8(raw)
            {
                return Err(Fault::new(start + error.valid_up_to(), Reason::NotUtf8));
            }
        }
        let end = self.cursor.at;
        self.sample(start, end)
    }

    /// Value, timestamp, exemplar and the end of the line, for the series in `start..end`.
    fn sample(&mut self, start: usize, end: usize) -> Result<Entry<'a>, Fault> {
        let cursor = &mut self.cursor;
        let value = scan::value(cursor)?;
        let timestamp = match cursor.peek() {
            Some(b' ') if !scan::at_exemplar(cursor) => Some(scan::timestamp(cursor)?),
            Some(_) | None => None,
        };
        if scan::at_exemplar(cursor) {
            cursor.at += scan::EXEMPLAR.len();
            let labels = cursor.at;
            scan::braces(cursor, Braces::Exemplar)?;
            let labels = &cursor.body[labels..cursor.at];
            let value = scan::value(cursor)?;
            let timestamp = match cursor.peek() {
                Some(b' ') => Some(scan::timestamp(cursor)?),
                Some(_) | None => None,
            };
            self.exemplar = Some(Exemplar { labels: ExemplarLabels::Text(labels), value, timestamp });
        }
        match cursor.peek() {
            Some(b'\n') => cursor.at += 1,
            None => return Err(Fault::new(cursor.at, Reason::MissingEof)),
            Some(_) => return Err(Fault::new(cursor.at, Reason::ExpectedSampleEnd)),
        }
        Ok(Entry::Series(Series {
            raw: &cursor.body[start..end],
            value,
            timestamp,
            in_force: self.in_force,
            body: cursor.body,
            at: start,
        }))
    }

    /// A line that starts with `#`.
    fn meta(&mut self) -> Result<Option<Entry<'a>>, Fault> {
        let cursor = &mut self.cursor;
        let keyword_at = cursor.at + 2;
        let rest = cursor.body[cursor.at..].strip_prefix(b"# ");
        let keyword = rest.and_then(|rest| rest.get(..5).or_else(|| rest.get(..3)));
        match keyword {
            Some(b"HELP ") => self.help().map(Some),
            Some(b"TYPE ") => self.metric_type().map(Some),
            Some(b"UNIT ") => self.unit().map(Some),
            Some([b'E', b'O', b'F', ..]) => {
                let after = keyword_at + 3;
                let end = after + usize::from(cursor.body.get(after) == Some(&b'\n'));
                if end < cursor.body.len() {
                    return Err(Fault::new(end, Reason::AfterEof));
                }
                Ok(None)
            }
            Some(_) | None => Err(Fault::new(cursor.at, Reason::ExpectedKeyword)),
        }
    }

    fn help(&mut self) -> Result<Entry<'a>, Fault> {
        let (family, at, text) = self.described()?;
        let help = std::str::from_utf8(text)
            .map_err(|error| Fault::new(at + error.valid_up_to(), Reason::NotUtf8))
            .map(unescape_quoted)?;
        Ok(Entry::Help { family: unescaped(family), help })
    }

    fn metric_type(&mut self) -> Result<Entry<'a>, Fault> {
        let (family, at, word) = self.described()?;
        let metric_type = match word {
            b"counter" => MetricType::Counter,
            b"gauge" => MetricType::Gauge,
            b"histogram" => MetricType::Histogram,
            b"gaugehistogram" => MetricType::GaugeHistogram,
            b"summary" => MetricType::Summary,
            b"info" => MetricType::Info,
            b"stateset" => MetricType::StateSet,
            b"unknown" => MetricType::Unknown,
            other => return Err(Fault::new(at, Reason::UnknownOpenMetricsType(printable(other)))),
        };
        self.in_force = metric_type;
        Ok(Entry::Type { family: unescaped(family), metric_type })
    }

    fn unit(&mut self) -> Result<Entry<'a>, Fault> {
        let (family, at, unit) = self.described()?;
        if !is_unit_of(family, unit) {
            return Err(Fault::new(at, Reason::UnitIsNoSuffix(printable(unit))));
        }
        Ok(Entry::Unit { family: unescaped(family), unit: String::from_utf8_lossy(unit) })
    }

    /// What follows `# HELP`, `# TYPE` and `# UNIT`: the family's name as written, without quotes, and the rest of the line behind one blank,
    /// with its offset.
    fn described(&mut self) -> Result<(&'a [u8], usize, &'a [u8]), Fault> {
        let cursor = &mut self.cursor;
        cursor.at += "# HELP ".len();
        let at = cursor.at;
        let family = match cursor.peek() {
            Some(b'"') => cursor.quoted_name()?,
            Some(byte) if is(byte, NAME_START) => cursor.take(NAME),
            Some(_) | None => return Err(Fault::new(at, Reason::ExpectedFamily)),
        };
        let at = cursor.at;
        let line = cursor.take_line();
        // The line break belongs to the text: without one the exposition is cut off here.
        if line.first() != Some(&b' ') || cursor.body[cursor.at - 1] != b'\n' {
            return Err(Fault::new(at, Reason::ExpectedText));
        }
        Ok((family, at + 1, &line[1..]))
    }
}

/// Whether a family's name ends with `_` and its unit; no unit is always right.
pub(super) fn is_unit_of(family: &[u8], unit: &[u8]) -> bool {
    unit.is_empty() || family.strip_suffix(unit).is_some_and(|before| before.ends_with(b"_"))
}

fn unescaped(name: &[u8]) -> Cow<'_, str> {
    // Not an error in Prometheus: a name that is not UTF-8 belongs to no series.
    match String::from_utf8_lossy(name) {
        Cow::Borrowed(name) => unescape_quoted(name),
        Cow::Owned(name) => Cow::Owned(unescape_quoted(&name).into_owned()),
    }
}

/// Seconds since the epoch in milliseconds, as Prometheus cuts them (remote-write 4.18); `None` where it is no number of seconds.
fn milliseconds(text: &[u8]) -> Option<i64> {
    let seconds = parse_value(text).filter(|seconds| seconds.is_finite())?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "cut on purpose; what is beyond i64 is beyond any clock"
    )]
    Some((seconds * 1000.0) as i64)
}
