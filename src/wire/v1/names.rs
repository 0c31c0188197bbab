//! Names that are no classic ones, for a receiver that takes no others (remote-write 1.12, 4.24), and what follows from two names that
//! became one.
//!
//! A label set is spelled once for each series ([`super::super::shapes`] remembers it). A series whose label names clash has no spelling. Two
//! series that clash have one sample for each time: that of the classic name, from the second time on at the latest, or of the one that
//! comes first in its record. So a receiver sees one series without doubles, and it goes on with the next when the first has gone.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};

use super::super::DecodeError;
use super::super::field::{self, Value};
use super::super::selection::{Names, Unsent};
use super::super::view::{self, Symbols};
use crate::model::{Escaping, METRIC_NAME, NameOf};

/// So many label sets are watched for clashes: 0.6 MB. Beyond it they are forgotten, and learned anew.
const MAX_WATCHED: usize = 10_000;

/// How the labels of a series came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Spelling {
    /// As they stand in the record.
    Classic,
    /// By the scheme; the number tells label sets apart that became one.
    Escaped(u32),
    /// Not at all.
    Unsent(Unsent),
}

/// A label set that came about by escaping.
#[derive(Debug)]
struct Watched {
    /// The last two times at which anything came under it by escaping.
    now: i64,
    before: i64,
    /// The last time at which a series has it by its own name.
    classic: i64,
    /// Whose sample went last, and of which time.
    sent: (Spelling, i64),
}

/// The names of one endpoint.
#[derive(Debug, Default)]
pub(super) struct Speller {
    watched: HashMap<u64, Watched>,
    hasher: RandomState,
}

impl Speller {
    /// Spells labels out as fields of a 1.0 `TimeSeries` into `out`, which is emptied first; tells the highest of the references, and how they
    /// came about.
    ///
    /// # Errors
    /// When a reference is outside the table, or one has no other beside it.
    pub(super) fn spell(
        &mut self,
        names: Names,
        record: &[u8],
        symbols: &Symbols,
        refs: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(u32, Spelling), DecodeError> {
        let highest = view::spell_labels(record, symbols, refs, out)?;
        if names == Names::Escaped(Escaping::AllowUtf8) || is_classic(record, symbols, refs)? {
            return Ok((highest, Spelling::Classic));
        }
        let Names::Escaped(scheme) = names else {
            out.clear();
            return Ok((highest, Spelling::Unsent(Unsent::Utf8Name)));
        };
        // By its bytes: the same in every record.
        let origin = self.hasher.hash_one(out.as_slice()) as u32;
        let mut labels: Vec<(Cow<'_, str>, Cow<'_, str>)> = Vec::new();
        for pair in view::pairs(refs) {
            let (name, value) = pair?;
            let (name, value) = (symbols.text(record, name)?, symbols.text(record, value)?);
            let value = match name {
                METRIC_NAME if !NameOf::Metric.is_classic(value) => scheme.escape(value, NameOf::Metric),
                _ => Cow::Borrowed(value),
            };
            let name = if NameOf::Label.is_classic(name) {
                Cow::Borrowed(name)
            } else {
                scheme.escape(name, NameOf::Label)
            };
            labels.push((name, value));
        }
        labels.sort_by(|(one, _), (other, _)| one.as_bytes().cmp(other.as_bytes()));
        out.clear();
        if labels.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Ok((highest, Spelling::Unsent(Unsent::LabelClash)));
        }
        for (name, value) in &labels {
            view::put_label(name.as_bytes(), value.as_bytes(), out);
        }
        Ok((highest, Spelling::Escaped(origin)))
    }

    /// Whether even a series that is spelled as it stands may be refused.
    pub(in super::super) fn is_watchful(&self) -> bool {
        !self.watched.is_empty()
    }

    /// Why a sample of these labels is not sent at this time, ms since the epoch, if it is not; `message` is the request so far. Asked again
    /// for the same sample it says the same.
    #[inline]
    pub(super) fn refuses(
        &mut self,
        labels: &[u8],
        spelling: Spelling,
        timestamp: impl FnOnce() -> i64,
        message: &[u8],
    ) -> Option<Unsent> {
        match spelling {
            Spelling::Unsent(unsent) => Some(unsent),
            Spelling::Classic if self.watched.is_empty() => None,
            Spelling::Classic | Spelling::Escaped(_) => self.clashes(labels, spelling, timestamp(), message),
        }
    }

    fn clashes(&mut self, labels: &[u8], spelling: Spelling, at: i64, message: &[u8]) -> Option<Unsent> {
        let key = self.hasher.hash_one(labels);
        let clash = Some(Unsent::SeriesClash);
        if !self.watched.contains_key(&key) {
            let Spelling::Escaped(_) = spelling else { return None };
            if self.watched.len() >= MAX_WATCHED {
                self.watched.clear();
            }
            let met = has_sample(message, labels, at);
            let classic = if met { at } else { i64::MIN };
            let sent = (if met { Spelling::Classic } else { spelling }, at);
            self.watched.insert(key, Watched { now: at, before: i64::MIN, classic, sent });
            return clash.filter(|_| met);
        }
        let watched = self.watched.get_mut(&key)?;
        if watched.sent == (spelling, at) {
            return None;
        }
        let taken = watched.sent.1 == at;
        match spelling {
            Spelling::Classic => watched.classic = at,
            Spelling::Escaped(_) | Spelling::Unsent(_) => {
                if watched.now != at {
                    (watched.before, watched.now) = (watched.now, at);
                }
                if watched.classic != i64::MIN && watched.classic >= watched.before {
                    return clash;
                }
            }
        }
        if taken {
            return clash;
        }
        watched.sent = (spelling, at);
        None
    }
}

/// The name as the scheme has it: `None` where it is to be dropped.
pub(in super::super) fn metric_name(names: Names, name: &str) -> Option<Cow<'_, str>> {
    match names {
        _ if NameOf::Metric.is_classic(name) => Some(Cow::Borrowed(name)),
        Names::Escaped(scheme) => Some(scheme.escape(name, NameOf::Metric)),
        Names::Dropped => None,
    }
}

fn is_classic(record: &[u8], symbols: &Symbols, refs: &[u8]) -> Result<bool, DecodeError> {
    for pair in view::pairs(refs) {
        let (name, value) = pair?;
        let name = symbols.text(record, name)?;
        let is_classic = match name {
            METRIC_NAME => NameOf::Metric.is_classic(symbols.text(record, value)?),
            _ => NameOf::Label.is_classic(name),
        };
        if !is_classic {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether the message has a sample, or a native histogram, of this time under these labels. Exemplars stand between the two.
fn has_sample(mut message: &[u8], labels: &[u8], at: i64) -> bool {
    const LABELS: u8 = 1 << 3 | 2;
    const SAMPLES: u32 = 2;
    const HISTOGRAMS: u32 = 4;
    while let Ok(Some((_, Value::Bytes(series)))) = field::next(&mut message) {
        let Some(mut data) = series.strip_prefix(labels).filter(|data| data.first() != Some(&LABELS)) else {
            continue;
        };
        while let Ok(Some((number, Value::Bytes(part)))) = field::next(&mut data) {
            let timestamp = match number {
                SAMPLES => view::read_sample(part).map(|sample| sample.timestamp),
                HISTOGRAMS => view::read_histogram(part).map(|histogram| histogram.timestamp),
                _ => continue,
            };
            if timestamp.is_ok_and(|timestamp| timestamp == at) {
                return true;
            }
        }
    }
    false
}
