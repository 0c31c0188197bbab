//! The strict grammar within a line.

use super::milliseconds;
use crate::exposition::error::{Fault, Reason};
use crate::exposition::float::parse_value;
use crate::exposition::scan::{Cursor, LABEL, LABEL_START, is};

/// What begins an exemplar, the blank before it included.
pub(super) const EXEMPLAR: &[u8] = b" # {";

/// What braces belong to: whether a quoted string alone may be the metric's name, and label values may not be broken over lines anyway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Braces {
    /// A series whose name stands before the brace.
    NamedSeries,
    /// A series whose name stands inside.
    NamelessSeries,
    /// An exemplar.
    Exemplar,
}

/// From behind the opening brace to behind the closing one; whether the metric has a name.
pub(super) fn braces(cursor: &mut Cursor<'_>, of: Braces) -> Result<bool, Fault> {
    let mut named = match of {
        Braces::NamedSeries => true,
        Braces::NamelessSeries | Braces::Exemplar => false,
    };
    loop {
        let at = cursor.at;
        match cursor.peek() {
            Some(b'}') => {
                cursor.at += 1;
                return Ok(named);
            }
            Some(b'"') => {
                let name = cursor.quoted_name()?;
                if of == Braces::Exemplar && name.contains(&b'\n') {
                    return Err(Fault::new(at, Reason::Unclosed));
                }
                if matches!(cursor.peek(), Some(b',' | b'}')) {
                    match of {
                        Braces::Exemplar => return Err(Fault::new(at, Reason::ExpectedLabelName)),
                        Braces::NamedSeries | Braces::NamelessSeries if named => {
                            return Err(Fault::new(at, Reason::SecondName));
                        }
                        Braces::NamedSeries | Braces::NamelessSeries => named = true,
                    }
                    cursor.at += usize::from(cursor.peek() == Some(b','));
                    continue;
                }
            }
            Some(byte) if is(byte, LABEL_START) => {
                cursor.take(LABEL);
            }
            Some(_) | None => return Err(Fault::new(at, Reason::ExpectedLabelName)),
        }
        label_value(cursor)?;
        match cursor.peek() {
            Some(b',') => cursor.at += 1,
            Some(b'}') => {}
            Some(_) | None => return Err(Fault::new(cursor.at, Reason::ExpectedComma)),
        }
    }
}

/// `="value"`, without a line break.
fn label_value(cursor: &mut Cursor<'_>) -> Result<(), Fault> {
    if cursor.peek() != Some(b'=') {
        return Err(Fault::new(cursor.at, Reason::ExpectedEqual));
    }
    cursor.at += 1;
    let at = cursor.at;
    if cursor.peek() != Some(b'"') {
        return Err(Fault::new(at, Reason::ExpectedLabelValue));
    }
    let value = cursor.quoted_value()?;
    if value.contains(&b'\n') {
        return Err(Fault::new(at, Reason::Unclosed));
    }
    std::str::from_utf8(value)
        .map(|_| ())
        .map_err(|error| Fault::new(at + 1 + error.valid_up_to(), Reason::NotUtf8))
}

/// Whether an exemplar comes next.
pub(super) fn at_exemplar(cursor: &Cursor<'_>) -> bool {
    cursor.body[cursor.at..].starts_with(EXEMPLAR)
}

/// One blank and a number.
pub(super) fn value(cursor: &mut Cursor<'_>) -> Result<f64, Fault> {
    let (at, text) = word(cursor, Reason::ExpectedValue)?;
    parse_value(text).ok_or_else(|| Fault::new(at, Reason::BadValue))
}

/// One blank and seconds since the epoch; milliseconds come out.
pub(super) fn timestamp(cursor: &mut Cursor<'_>) -> Result<i64, Fault> {
    let (at, text) = word(cursor, Reason::ExpectedSampleEnd)?;
    milliseconds(text).ok_or_else(|| Fault::new(at, Reason::BadTimestamp))
}

/// One blank and what follows it up to the next blank or the end of the line.
fn word<'a>(cursor: &mut Cursor<'a>, missing: Reason) -> Result<(usize, &'a [u8]), Fault> {
    let at = cursor.at;
    let Some(rest) = cursor.body[at..].strip_prefix(b" ") else { return Err(Fault::new(at, missing)) };
    let length = memchr::memchr2(b' ', b'\n', rest).unwrap_or(rest.len());
    if length == 0 {
        return Err(Fault::new(at + 1, missing));
    }
    cursor.at = at + 1 + length;
    Ok((at + 1, &rest[..length]))
}
