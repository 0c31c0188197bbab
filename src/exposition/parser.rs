use std::borrow::Cow;

use super::error::{Fault, ParseError, Reason, line_of, printable};
use super::escape::{unescape_help, unescape_quoted};
use super::float::{digits, parse_value};
use super::scan::{Cursor, DIGIT, NAME, NAME_START, Term, VALUE, is};
use super::series::Series;
use crate::model::MetricType;

/// What one line says.
#[derive(Clone, Debug)]
pub enum Entry<'a> {
    /// A sample.
    Series(Series<'a>),
    /// A sample that is a native histogram; its value is the sum. Only of protobuf, and only where it is asked for.
    Histogram(Series<'a>),
    /// `# TYPE family word`: in force for all series until the next one.
    Type {
        /// The metric family's name.
        family: Cow<'a, str>,
        /// Its type; `untyped` is [`MetricType::Unknown`].
        metric_type: MetricType,
    },
    /// `# HELP family text`; of several for one family the last holds (remote-write 4.22).
    Help {
        /// The metric family's name.
        family: Cow<'a, str>,
        /// The text, unescaped; blanks at its ends belong to it.
        help: Cow<'a, str>,
    },
    /// `# UNIT family unit` of OpenMetrics, or the unit of a protobuf family.
    Unit {
        /// The metric family's name.
        family: Cow<'a, str>,
        /// The last word of its name; may be empty.
        unit: Cow<'a, str>,
    },
    /// Text format: any other line that starts with `#`, `# UNIT` and `# EOF` included.
    Comment,
}

/// Reads one exposition in text format 0.0.4, entry by entry, borrowing from its bytes. Nothing is allocated for a sample.
#[derive(Clone, Debug)]
pub struct Parser<'a> {
    cursor: Cursor<'a>,
    /// Offset of the entry that [`next`](Self::next) gave last.
    entry: usize,
    in_force: MetricType,
    ended: bool,
}

impl<'a> Parser<'a> {
    /// Starts at the first byte; the line break after the last line may be missing.
    #[must_use]
    pub fn new(body: &'a [u8]) -> Self {
        Self { cursor: Cursor { body, at: 0 }, entry: 0, in_force: MetricType::Unknown, ended: false }
    }

    /// The line of the entry that was given last, from 1. Counts from the start of the body: for messages, not for each sample.
    #[must_use]
    pub fn line(&self) -> u32 {
        line_of(self.cursor.body, self.entry)
    }

    /// The next entry; `None` at the end, and always after an error. The end is the end of the bytes, a zero byte at the start of a
    /// line, or one in a comment whose `#` is not followed by a blank.
    ///
    /// # Errors
    /// The first thing that Prometheus would refuse (remote-write 4.16 to 4.23): the exposition as a whole is no good.
    // Not an `Iterator`, so that `next_like` can stand beside it under the same rules.
    #[allow(
        clippy::should_implement_trait,
        reason = "a pull parser; the name is what the rooms above agreed on"
    )]
    pub fn next(&mut self) -> Option<Result<Entry<'a>, ParseError>> {
        self.next_like(&[])
    }

    /// As [`next`](Self::next), and faster where the next series is spelled exactly like `guess`: one comparison instead of a scan
    /// of name and labels. A wrong guess costs that comparison and changes nothing.
    ///
    /// `guess` is the [`raw`](Series::raw) of a series that a parser gave out, of this exposition or an earlier one: its
    /// syntax is not looked at again. An empty guess is never right.
    ///
    /// # Errors
    /// As `next`.
    #[inline]
    pub fn next_like(&mut self, guess: &[u8]) -> Option<Result<Entry<'a>, ParseError>> {
        if self.ended {
            return None;
        }
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

    /// The type that the last `# TYPE` line says.
    #[must_use]
    pub fn in_force(&self) -> MetricType {
        self.in_force
    }

    /// The value of the next series, if it is spelled exactly like `guess`, as in [`next_like`](Self::next_like), and its line is as nearly all
    /// are: a blank, an integer of at most 15 digits, a line break. Otherwise `None`, and nothing has changed.
    #[inline]
    pub fn next_integer_of(&mut self, guess: &[u8]) -> Option<f64> {
        if self.ended || guess.is_empty() {
            return None;
        }
        // A blank and a digit end a bare name as well.
        let (value, length) = plain_integer(self.cursor.body[self.cursor.at..].strip_prefix(guess)?)?;
        self.entry = self.cursor.at;
        self.cursor.at += guess.len() + length;
        Some(value)
    }

    /// Whether the next line is this one, a `# HELP` or `# TYPE` line with its line break that was an entry of some exposition; it has been
    /// passed then. `in_force` is what a `# TYPE` line says.
    pub fn passes(&mut self, line: &[u8], in_force: Option<MetricType>) -> bool {
        let passes = !self.ended && !line.is_empty() && self.cursor.body[self.cursor.at..].starts_with(line);
        if passes {
            self.entry = self.cursor.at;
            self.cursor.at += line.len();
            self.in_force = in_force.unwrap_or(self.in_force);
        }
        passes
    }

    /// The bytes of the entry that was given last, to the end of its line.
    #[must_use]
    pub fn entry_bytes(&self) -> &'a [u8] {
        &self.cursor.body[self.entry..self.cursor.at]
    }

    #[inline]
    fn entry(&mut self, guess: &[u8]) -> Result<Option<Entry<'a>>, Fault> {
        loop {
            self.entry = self.cursor.at;
            if let Some(end) = self.guessed(guess) {
                self.cursor.at = end;
                return self.sample(self.entry, end).map(Some);
            }
            self.cursor.skip_blanks();
            self.entry = self.cursor.at;
            match self.cursor.peek() {
                None | Some(0) => return Ok(None),
                Some(b'\n') => self.cursor.at += 1,
                Some(b'#') => return self.comment(),
                Some(byte) if byte == b'{' || is(byte, NAME_START) => return self.series().map(Some),
                Some(_) => return Err(Fault::new(self.entry, Reason::ExpectedEntry)),
            }
        }
    }

    /// The end of the series that starts here, if it is the guessed one to its last byte: a bare name could go on, or be followed by
    /// braces; a closing brace is always the end.
    #[inline]
    fn guessed(&self, guess: &[u8]) -> Option<usize> {
        let last = *guess.last()?;
        let rest = self.cursor.body[self.cursor.at..].strip_prefix(guess)?;
        let whole = last == b'}' || {
            let mut after = Cursor { body: rest, at: 0 };
            after.skip_blanks();
            after.at > 0 && after.peek() != Some(b'{')
        };
        whole.then(|| self.cursor.at + guess.len())
    }

    fn series(&mut self) -> Result<Entry<'a>, Fault> {
        let start = self.cursor.at;
        let mut named = !self.cursor.take(NAME).is_empty();
        let mut end = self.cursor.at;
        self.cursor.skip_blanks();
        if self.cursor.peek() == Some(b'{') {
            self.cursor.at += 1;
            while let Some(term) = self.cursor.term()? {
                match term {
                    Term::MetricName { at, .. } if named => return Err(Fault::new(at, Reason::SecondName)),
                    Term::MetricName { .. } => named = true,
                    Term::Label { .. } => {}
                }
            }
            end = self.cursor.at;
            if !named {
                return Err(Fault::new(start, Reason::MissingName));
            }
            let raw = &self.cursor.body[start..end];
            // Nearly every series is ASCII, and that is the cheaper check.
            if !raw.is_ascii()
                && let Err(error) = std::str::from_utf8(raw)
            {
                return Err(Fault::new(start + error.valid_up_to(), Reason::NotUtf8));
            }
        }
        self.sample(start, end)
    }

    /// Value, timestamp and the end of the line, for the series in `start..end`.
    #[inline]
    fn sample(&mut self, start: usize, end: usize) -> Result<Entry<'a>, Fault> {
        let cursor = &mut self.cursor;
        if let Some((value, length)) = plain_integer(&cursor.body[end..]) {
            cursor.at = end + length;
            let (raw, body) = (&cursor.body[start..end], cursor.body);
            let in_force = self.in_force;
            return Ok(Entry::Series(Series { raw, value, timestamp: None, in_force, body, at: start }));
        }
        cursor.skip_blanks();
        let at = cursor.at;
        let text = cursor.take(VALUE);
        if text.is_empty() {
            return Err(Fault::new(at, Reason::ExpectedValue));
        }
        let value = parse_value(text).ok_or_else(|| Fault::new(at, Reason::BadValue))?;
        let timestamp = match cursor.peek() {
            // The usual end, before anything else is tried.
            Some(b'\n') => None,
            None => None,
            Some(_) => timestamp(cursor)?,
        };
        cursor.at = (cursor.at + 1).min(cursor.body.len());
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
    fn comment(&mut self) -> Result<Option<Entry<'a>>, Fault> {
        let cursor = &mut self.cursor;
        cursor.at += 1;
        let hash = cursor.at;
        cursor.skip_blanks();
        let blanks = cursor.at > hash;
        let rest = &cursor.body[cursor.at..];
        if !blanks || rest.first() == Some(&0) {
            // Prometheus' lexer takes a zero byte for the end of the input wherever it has no rule for one.
            let line = cursor.take_line();
            return Ok((!line.contains(&0)).then_some(Entry::Comment));
        }
        let keyword = rest.get(..4).filter(|_| matches!(rest.get(4), Some(b' ' | b'\t')));
        match keyword {
            Some(b"HELP") => self.help().map(Some),
            Some(b"TYPE") => self.metric_type().map(Some),
            Some(_) | None => {
                cursor.take_line();
                Ok(Some(Entry::Comment))
            }
        }
    }

    fn help(&mut self) -> Result<Entry<'a>, Fault> {
        let family = self.family()?;
        let (at, text) = self.text()?;
        let help = std::str::from_utf8(text)
            .map_err(|error| Fault::new(at + error.valid_up_to(), Reason::NotUtf8))
            .map(unescape_help)?;
        Ok(Entry::Help { family, help })
    }

    fn metric_type(&mut self) -> Result<Entry<'a>, Fault> {
        let family = self.family()?;
        let (at, word) = self.text()?;
        let metric_type = match word {
            b"counter" => MetricType::Counter,
            b"gauge" => MetricType::Gauge,
            b"histogram" => MetricType::Histogram,
            b"summary" => MetricType::Summary,
            b"untyped" => MetricType::Unknown,
            other => return Err(Fault::new(at, Reason::UnknownType(printable(other)))),
        };
        self.in_force = metric_type;
        Ok(Entry::Type { family, metric_type })
    }

    /// The keyword of four bytes, blanks, and the name of a metric family.
    fn family(&mut self) -> Result<Cow<'a, str>, Fault> {
        let cursor = &mut self.cursor;
        cursor.at += 4;
        cursor.skip_blanks();
        let at = cursor.at;
        let name = match cursor.peek() {
            Some(b'"') => cursor.quoted_name()?,
            Some(byte) if is(byte, NAME_START) => cursor.take(NAME),
            Some(_) | None => return Err(Fault::new(at, Reason::ExpectedFamily)),
        };
        // Not an error in Prometheus: a name that is not UTF-8 belongs to no series.
        Ok(match String::from_utf8_lossy(name) {
            Cow::Borrowed(name) => unescape_quoted(name),
            Cow::Owned(name) => Cow::Owned(unescape_quoted(&name).into_owned()),
        })
    }

    /// The rest of a `# HELP` or `# TYPE` line behind one byte of separation, and its offset. That one byte is all: of two blanks
    /// the second belongs to the text, so that `# TYPE m  gauge` is an unknown type, as in Prometheus.
    fn text(&mut self) -> Result<(usize, &'a [u8]), Fault> {
        let at = self.cursor.at;
        if self.cursor.peek() == Some(0) {
            return Err(Fault::new(at, Reason::ExpectedText));
        }
        let line = self.cursor.take_line();
        Ok(if line.is_empty() { (at, line) } else { (at + 1, &line[1..]) })
    }
}

/// What nearly every sample is: one blank, at most 15 digits (every such integer is exact in an f64) and a line break, behind which is the
/// length. Everything else goes the long way, which gives the same for these.
#[inline]
fn plain_integer(rest: &[u8]) -> Option<(f64, usize)> {
    let (b' ', digits) = rest.split_first()? else { return None };
    let mut integer = 0_i64;
    for (length, byte) in digits.iter().take(16).enumerate() {
        match byte {
            b'0'..=b'9' => integer = integer * 10 + i64::from(byte - b'0'),
            b'\n' if (1..=15).contains(&length) => {
                #[allow(clippy::cast_precision_loss, reason = "exact up to 15 digits")]
                return Some((integer as f64, length + 2));
            }
            _ => return None,
        }
    }
    None
}

/// What stands between the value and the end of the line: blanks, and perhaps milliseconds since the epoch in digits.
fn timestamp(cursor: &mut Cursor<'_>) -> Result<Option<i64>, Fault> {
    cursor.skip_blanks();
    let at = cursor.at;
    let text = cursor.take(DIGIT);
    let timestamp = match text {
        [] => None,
        _ => Some(digits(text).ok_or_else(|| Fault::new(at, Reason::TimestampRange))?),
    };
    cursor.skip_blanks();
    match cursor.peek() {
        None | Some(b'\n') => Ok(timestamp),
        Some(_) if timestamp.is_none() => Err(Fault::new(cursor.at, Reason::ExpectedTimestamp)),
        Some(_) => Err(Fault::new(cursor.at, Reason::ExpectedLineEnd)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn plain_integers_end_with_their_line() {
        assert_eq!(plain_integer(b" 0\n"), Some((0.0, 3)));
        assert_eq!(plain_integer(b" 999999999999999\nm 1"), Some((999_999_999_999_999.0, 17)));
        for other in [
            "",
            " ",
            " \n",
            "1\n",
            " 1",
            " 1 \n",
            "  1\n",
            " -1\n",
            " 1e3\n",
            " 1\r\n",
            " 9999999999999999\n",
        ] {
            assert_eq!(plain_integer(other.as_bytes()), None, "{other:?}");
        }
    }

    proptest! {
        #[test]
        fn an_integer_of_a_guessed_series_is_what_reading_its_line_gives(
            line in "[ ]?(m|m\\{a=\"1\"\\}|mm)[ {]{0,2}[0-9.]{0,17}[ ]?\n?[a-z]?", guess in "m|m\\{a=\"1\"\\}|",
        ) {
            let mut parser = Parser::new(line.as_bytes());
            let mut reader = parser.clone();
            match parser.next_integer_of(guess.as_bytes()) {
                Some(value) => {
                    let Some(Ok(Entry::Series(series))) = reader.next() else { panic!("no series") };
                    prop_assert_eq!((series.raw, series.value, series.timestamp), (guess.as_bytes(), value, None));
                    prop_assert_eq!((parser.cursor.at, parser.line()), (reader.cursor.at, reader.line()));
                }
                None => prop_assert_eq!(parser.cursor.at, 0),
            }
        }

        #[test]
        fn the_short_way_reads_what_the_long_way_reads(text in "[ ]{0,2}[0-9+.e-]{0,17}[ ]?", more in "[a-z]?") {
            // A tab in front is a blank too, and takes the long way.
            let short = format!("m{text}\n{more}");
            let long = format!("m\t{text}\n{more}");
            let read = |body: &str| {
                let mut parser = Parser::new(body.as_bytes());
                match parser.next() {
                    Some(Ok(Entry::Series(series))) => {
                        Some((series.raw.to_vec(), series.value.to_bits(), series.timestamp, body.len() - parser.cursor.at))
                    }
                    _ => None,
                }
            };
            prop_assume!(text.starts_with(' '));
            prop_assert_eq!(read(&short), read(&long));
        }
    }
}
