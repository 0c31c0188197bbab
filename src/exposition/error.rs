use thiserror::Error;

/// The longest excerpt, in bytes.
const EXCERPT: usize = 80;

/// How much of a long line an excerpt shows before the column of the error, in bytes.
const BEFORE: usize = 40;

/// Why an exposition is refused, and where. Nothing after it is read: the whole scrape fails (remote-write 4.16).
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}, column {column}: {reason}: {excerpt}")]
pub struct ParseError {
    /// The line, from 1.
    pub line: u32,
    /// The byte within the line, from 1.
    pub column: u32,
    /// What is wrong there.
    pub reason: Reason,
    /// The line around the column: printable, at most 80 bytes, `…` where it was cut.
    pub excerpt: String,
}

/// Where something stands in an exposition, for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The line, from 1.
    pub line: u32,
    /// The byte within the line, from 1.
    pub column: u32,
    /// The line around the column: printable, at most 80 bytes, `…` where it was cut.
    pub excerpt: String,
}

impl Place {
    /// Counts lines from the start of the body.
    pub(super) fn of(body: &[u8], at: usize) -> Self {
        let at = at.min(body.len());
        let start = memchr::memrchr(b'\n', &body[..at]).map_or(0, |newline| newline + 1);
        Self {
            line: line_of(body, at),
            column: u32::try_from(at - start + 1).unwrap_or(u32::MAX),
            excerpt: excerpt(body, start, at),
        }
    }
}

/// What is wrong with an exposition.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Reason {
    /// A line starts with something that starts no entry.
    #[error("expected a metric name, `{{`, or `#` at the start of a line")]
    ExpectedEntry,
    /// `# HELP ` or `# TYPE ` and then no metric name.
    #[error("expected a metric name after HELP or TYPE")]
    ExpectedFamily,
    /// A zero byte right after the metric name of a `# HELP` or `# TYPE`.
    #[error("expected a blank after the metric name of HELP or TYPE")]
    ExpectedText,
    /// A word after `# TYPE name` that is none of the five.
    #[error("metric type \"{0}\" is none of counter, gauge, histogram, summary, untyped")]
    UnknownType(String),
    /// Between braces: neither a label name, nor a quoted name, nor `}`.
    #[error("expected a label name or `}}`")]
    ExpectedLabelName,
    /// A label name without `=`.
    #[error("expected `=` after the label name")]
    ExpectedEqual,
    /// A `=` without a double quote after it.
    #[error("expected a label value in double quotes")]
    ExpectedLabelValue,
    /// The quote that starts here has no end.
    #[error("the double quote is not closed")]
    Unclosed,
    /// A name or a value between braces, or a help text, is not UTF-8.
    #[error("not valid UTF-8")]
    NotUtf8,
    /// `{"a","b"}` or `a{"b"}`.
    #[error("a second metric name in one series")]
    SecondName,
    /// `{a="b"}`, or a quoted name that is empty.
    #[error("the metric name is missing")]
    MissingName,
    /// `{""="b"}`
    #[error("the label name is empty")]
    EmptyLabelName,
    /// A label that comes twice in one series, `__name__` beside the metric name included.
    #[error("label \"{0}\" comes twice in one series")]
    DuplicateLabel(String),
    /// A series without a value.
    #[error("expected a value after the series")]
    ExpectedValue,
    /// A value that Go's `ParseFloat` refuses, or out of range, or with `_`, `p`, `P` in it (remote-write 4.17).
    #[error("the value is not a number")]
    BadValue,
    /// Something else than digits or the end of the line after the value (remote-write 4.18).
    #[error("expected a timestamp in digits, or the end of the line, after the value")]
    ExpectedTimestamp,
    /// More than 63 bits of milliseconds.
    #[error("the timestamp is out of range")]
    TimestampRange,
    /// Something after the timestamp.
    #[error("expected the end of the line after the timestamp")]
    ExpectedLineEnd,
    /// OpenMetrics: the body ends without its last line, or within one.
    #[error("the exposition does not end with # EOF")]
    MissingEof,
    /// OpenMetrics: something after the last line.
    #[error("unexpected data after # EOF")]
    AfterEof,
    /// OpenMetrics: `#` and something else.
    #[error("expected HELP, TYPE, UNIT or EOF after `# `")]
    ExpectedKeyword,
    /// A word after `# TYPE name` that is none of OpenMetrics's eight.
    #[error(
        "metric type \"{0}\" is none of counter, gauge, histogram, gaugehistogram, summary, info, stateset, unknown"
    )]
    UnknownOpenMetricsType(String),
    /// OpenMetrics: `# UNIT m_bytes seconds`.
    #[error("the unit \"{0}\" is no suffix of the metric's name")]
    UnitIsNoSuffix(String),
    /// OpenMetrics: neither `,` nor `}` after a label value.
    #[error("expected `,` or `}}` after the label value")]
    ExpectedComma,
    /// OpenMetrics: seconds that are no finite number.
    #[error("the timestamp is no number of seconds")]
    BadTimestamp,
    /// OpenMetrics: more than a value, a timestamp and an exemplar, or two blanks between them.
    #[error("expected one blank and a timestamp, an exemplar, or the end of the line")]
    ExpectedSampleEnd,
}

/// A reason and its offset into the body: becomes a [`ParseError`] where the body is known.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) at: usize,
    pub(super) reason: Reason,
}

impl Fault {
    pub(super) fn new(at: usize, reason: Reason) -> Self {
        Self { at, reason }
    }

    /// Counts lines only now: on the way of a good exposition no byte is looked at for the sake of an error.
    pub(super) fn locate(self, body: &[u8]) -> ParseError {
        let Place { line, column, excerpt } = Place::of(body, self.at);
        ParseError { line, column, reason: self.reason, excerpt }
    }
}

/// The line of an offset, from 1.
pub(super) fn line_of(body: &[u8], at: usize) -> u32 {
    let before = memchr::memchr_iter(b'\n', &body[..at.min(body.len())]).count();
    u32::try_from(before).unwrap_or(u32::MAX).saturating_add(1)
}

fn excerpt(body: &[u8], start: usize, at: usize) -> String {
    let from = if at - start > EXCERPT - BEFORE { at - BEFORE } else { start };
    let end = memchr::memchr(b'\n', &body[at..]).map_or(body.len(), |newline| at + newline);
    let mut text = String::from(if from > start { "…" } else { "" });
    push_printable(&mut text, &body[from..end], EXCERPT);
    text
}

/// A word of the exposition for a message: printable, at most 40 bytes.
pub(super) fn printable(bytes: &[u8]) -> String {
    let mut text = String::new();
    push_printable(&mut text, bytes, BEFORE);
    text
}

/// Appends until `text` has `limit` bytes, `…` included where something is left out.
fn push_printable(text: &mut String, bytes: &[u8], limit: usize) {
    // No more than `limit` bytes can be shown, so no more are looked at: a line may be as long as the body.
    let seen = &bytes[..bytes.len().min(limit + 1)];
    let mut pieces = Vec::new();
    for chunk in seen.utf8_chunks() {
        for character in chunk.valid().chars() {
            pieces.push(match character {
                '"' | '\'' | '\\' => character.to_string(),
                other => other.escape_debug().to_string(),
            });
        }
        pieces.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    let whole: usize = pieces.iter().map(String::len).sum();
    if seen.len() == bytes.len() && text.len() + whole <= limit {
        text.extend(pieces);
        return;
    }
    for piece in pieces {
        if text.len() + piece.len() + '…'.len_utf8() > limit {
            break;
        }
        text.push_str(&piece);
    }
    text.push('…');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(body: &str, at: usize) -> ParseError {
        Fault::new(at, Reason::BadValue).locate(body.as_bytes())
    }

    #[test]
    fn line_and_column_count_from_one_in_bytes() {
        let error = at("é 1\né x\n", 8);
        assert_eq!((error.line, error.column), (2, 4));
        assert_eq!(error.to_string(), "line 2, column 4: the value is not a number: é x");
    }

    #[test]
    fn an_error_at_the_end_of_the_body_is_on_its_last_line() {
        let error = at("a 1\nb", 5);
        assert_eq!((error.line, error.column), (2, 2));
        assert_eq!(error.excerpt, "b");
    }

    #[test]
    fn the_excerpt_is_printable() {
        let error = Fault::new(0, Reason::BadValue).locate(b"m\t\xff\r\0\x1b[31m\"");
        assert_eq!(error.excerpt, "m\\t\\xff\\r\\0\\u{1b}[31m\"");
    }

    #[test]
    fn a_long_line_is_cut_around_the_column() {
        for (column, body) in [(5, "x".repeat(500)), (300, "é".repeat(500)), (499, "\u{1}".repeat(500))] {
            let excerpt = at(&body, column).excerpt;
            assert!(excerpt.len() <= EXCERPT, "{} bytes: {excerpt}", excerpt.len());
            assert!(excerpt.contains('…'), "{excerpt}");
        }
        let exact = "x".repeat(EXCERPT);
        assert_eq!(at(&exact, 0).excerpt, exact);
    }
}
