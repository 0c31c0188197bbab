//! Tokens of the text format: a cursor over the body, and the terms between braces.

use super::error::{Fault, Reason};

/// Starts a metric name: `[a-zA-Z_:]`.
pub(super) const NAME_START: u8 = 1;
/// Goes on in a metric name: `[a-zA-Z0-9_:]`.
pub(super) const NAME: u8 = 2;
/// Starts a label name: `[a-zA-Z_]`.
pub(super) const LABEL_START: u8 = 4;
/// Goes on in a label name: `[a-zA-Z0-9_]`.
pub(super) const LABEL: u8 = 8;
/// A blank or a tab.
const BLANK: u8 = 16;
/// Goes on in a value: anything but blanks, a line break, `{`, and a zero byte.
pub(super) const VALUE: u8 = 32;
/// A digit.
pub(super) const DIGIT: u8 = 64;

const CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut at = 0;
    while at < 256 {
        #[allow(clippy::cast_possible_truncation, reason = "below 256")]
        let byte = at as u8;
        classes[at] = match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => NAME_START | NAME | LABEL_START | LABEL | VALUE,
            b'0'..=b'9' => NAME | LABEL | VALUE | DIGIT,
            b':' => NAME_START | NAME | VALUE,
            b' ' | b'\t' => BLANK,
            b'\n' | b'{' | 0 => 0,
            _ => VALUE,
        };
        at += 1;
    }
    classes
}

/// Whether a byte belongs to a class.
#[inline]
pub(super) const fn is(byte: u8, class: u8) -> bool {
    CLASSES[byte as usize] & class != 0
}

/// Where in the body the reader stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    pub(super) body: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Cursor<'a> {
    #[inline]
    pub(super) fn peek(&self) -> Option<u8> {
        self.body.get(self.at).copied()
    }

    #[inline]
    pub(super) fn skip_blanks(&mut self) {
        self.take(BLANK);
    }

    /// The bytes from here on that belong to a class.
    #[inline]
    pub(super) fn take(&mut self, class: u8) -> &'a [u8] {
        let rest = &self.body[self.at..];
        let length = rest.iter().position(|byte| !is(*byte, class)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    /// The rest of the line, without its line break; goes behind the line break.
    pub(super) fn take_line(&mut self) -> &'a [u8] {
        let rest = &self.body[self.at..];
        let length = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        self.at = (self.at + length + 1).min(self.body.len());
        &rest[..length]
    }

    /// The bytes between double quotes, escapes left in, from the opening quote on. They may hold line breaks, but not a
    /// backslash before one; zero bytes only in a label value.
    #[inline]
    fn quoted(&mut self, zero_bytes: bool) -> Result<&'a [u8], Fault> {
        let open = self.at;
        let unclosed = || Fault::new(open, Reason::Unclosed);
        let start = open + 1;
        let mut at = start;
        loop {
            at += memchr::memchr2(b'"', b'\\', &self.body[at..]).ok_or_else(unclosed)?;
            if self.body[at] == b'"' {
                break;
            }
            at += 1;
            // Prometheus' lexer does not see zero bytes inside a value: the backslash pairs with what follows them.
            while zero_bytes && self.body.get(at) == Some(&0) {
                at += 1;
            }
            match self.body.get(at) {
                None | Some(b'\n') => return Err(unclosed()),
                Some(_) => at += 1,
            }
        }
        let text = &self.body[start..at];
        if !zero_bytes && memchr::memchr(0, text).is_some() {
            return Err(unclosed());
        }
        self.at = at + 1;
        Ok(text)
    }

    /// A name in double quotes, escapes left in.
    pub(super) fn quoted_name(&mut self) -> Result<&'a [u8], Fault> {
        self.quoted(false)
    }

    /// A label value in double quotes, escapes left in.
    pub(super) fn quoted_value(&mut self) -> Result<&'a [u8], Fault> {
        self.quoted(true)
    }

    /// One term between braces; `None` behind the closing one. The separating comma is taken with the term before it, and need
    /// not be there.
    #[inline]
    pub(super) fn term(&mut self) -> Result<Option<Term<'a>>, Fault> {
        self.skip_blanks();
        let at = self.at;
        let name = match self.peek() {
            Some(b'}') => {
                self.at += 1;
                return Ok(None);
            }
            Some(b'"') => {
                let name = self.quoted_name()?;
                self.skip_blanks();
                match self.peek() {
                    Some(b',') => {
                        self.at += 1;
                        return Ok(Some(Term::MetricName { at, name }));
                    }
                    Some(b'}') => return Ok(Some(Term::MetricName { at, name })),
                    Some(_) | None => name,
                }
            }
            Some(byte) if is(byte, LABEL_START) => {
                let name = self.take(LABEL);
                self.skip_blanks();
                name
            }
            Some(_) | None => return Err(Fault::new(at, Reason::ExpectedLabelName)),
        };
        if self.peek() != Some(b'=') {
            return Err(Fault::new(self.at, Reason::ExpectedEqual));
        }
        self.at += 1;
        self.skip_blanks();
        if self.peek() != Some(b'"') {
            return Err(Fault::new(self.at, Reason::ExpectedLabelValue));
        }
        let value = self.quoted(true)?;
        self.skip_blanks();
        if self.peek() == Some(b',') {
            self.at += 1;
        }
        Ok(Some(Term::Label { at, name, value }))
    }
}

/// What stands between braces; escapes left in.
#[derive(Clone, Copy, Debug)]
pub(super) enum Term<'a> {
    /// A quoted string alone is the metric's name (remote-write 4.23).
    MetricName {
        /// Offset into the body.
        at: usize,
        /// Between the quotes.
        name: &'a [u8],
    },
    /// `name="value"`, the name quoted or not.
    Label {
        /// Offset of the name into the body.
        at: usize,
        /// Without quotes.
        name: &'a [u8],
        /// Between the quotes.
        value: &'a [u8],
    },
}
