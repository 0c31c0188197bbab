use std::borrow::Cow;

use super::error::{Fault, ParseError, Reason};
use super::escape::unescape_quoted;
use super::protobuf::label_pairs;
use super::scan::{Cursor, Term};

/// A label's name and value.
pub type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

/// An exemplar: a trace, say, that was counted into the sample beside it. Labels are read only when asked for.
#[derive(Clone, Copy, Debug)]
pub struct Exemplar<'a> {
    pub(super) labels: ExemplarLabels<'a>,
    /// Its value; every NaN has the bits of the normal NaN.
    pub value: f64,
    /// Milliseconds since the epoch, if the exposition says so.
    pub timestamp: Option<i64>,
}

/// Where the labels stand; they have been checked.
#[derive(Clone, Copy, Debug)]
pub(super) enum ExemplarLabels<'a> {
    /// From behind the opening brace to behind the closing one.
    Text(&'a [u8]),
    /// An `Exemplar` message.
    Message(&'a [u8]),
}

impl<'a> Exemplar<'a> {
    /// The labels as they are written: equal bytes are equal labels.
    #[must_use]
    pub fn spelled(&self) -> &'a [u8] {
        match self.labels {
            ExemplarLabels::Text(bytes) | ExemplarLabels::Message(bytes) => bytes,
        }
    }

    /// Names and values in the order of the exposition, unescaped. A name may be empty or come twice.
    pub fn labels(&self) -> Vec<Pair<'a>> {
        match self.labels {
            ExemplarLabels::Text(text) => text_labels(text).unwrap_or_default(),
            ExemplarLabels::Message(message) => label_pairs(message),
        }
    }
}

fn text_labels(text: &[u8]) -> Result<Vec<Pair<'_>>, ParseError> {
    let mut labels = Vec::new();
    let mut cursor = Cursor { body: text, at: 0 };
    let read = |at, bytes| {
        std::str::from_utf8(bytes).map(unescape_quoted).map_err(|_| Fault::new(at, Reason::NotUtf8))
    };
    while let Some(term) = cursor.term().map_err(|fault| fault.locate(text))? {
        match term {
            Term::Label { at, name, value } => {
                let pair = read(at, name).and_then(|name| Ok((name, read(at, value)?)));
                labels.push(pair.map_err(|fault| fault.locate(text))?);
            }
            Term::MetricName { .. } => {}
        }
    }
    Ok(labels)
}
