//! A stored record looked at entry by entry, and copied without some of them.
//!
//! The slow way, for records that are not trusted: it finds label sets that [`super::v1`] would refuse or pass on as they are.

use std::ops::Range;

use super::DecodeError;
use super::field::{self, Value};
use super::snappy::{self, Compressor};

const SYMBOLS: u32 = 4;
const TIMESERIES: u32 = 5;

/// As for a request: far beyond what a record holds.
const MAX_RECORD_BYTES: usize = 64 << 20;

/// One record after the other in the same buffers.
#[derive(Debug, Default)]
pub struct Excerpt {
    record: Vec<u8>,
    symbols: Vec<Range<usize>>,
    entries: Vec<Range<usize>>,
    copy: Vec<u8>,
    compressor: Compressor,
}

/// One `TimeSeries` of the record.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    excerpt: &'a Excerpt,
    refs: &'a [u8],
    /// Of its sample or native histogram, ms since the epoch.
    pub timestamp: i64,
    /// Whether it is one of a native histogram.
    pub is_histogram: bool,
}

/// A label's name and value, as they are stored: not necessarily UTF-8.
pub type RawLabel<'a> = (&'a [u8], &'a [u8]);

impl Excerpt {
    /// Reads a record's payload; whether its strings are UTF-8 is not looked at.
    ///
    /// # Errors
    /// When the payload is damaged.
    pub fn read(&mut self, payload: &[u8]) -> Result<(), DecodeError> {
        snappy::decompress_into(payload, MAX_RECORD_BYTES, &mut self.record)?;
        self.index()
    }

    /// As [`Excerpt::read`], of a record that is no snappy block yet.
    ///
    /// # Errors
    /// When the message is damaged.
    pub fn read_raw(&mut self, record: &[u8]) -> Result<(), DecodeError> {
        self.record.clear();
        self.record.extend_from_slice(record);
        self.index()
    }

    fn index(&mut self) -> Result<(), DecodeError> {
        self.symbols.clear();
        self.entries.clear();
        let mut rest = self.record.as_slice();
        while let Some((number, value)) = field::next(&mut rest)? {
            let end = self.record.len() - rest.len();
            match (number, value) {
                (SYMBOLS, Value::Bytes(symbol)) => self.symbols.push(end - symbol.len()..end),
                (TIMESERIES, Value::Bytes(series)) => self.entries.push(end - series.len()..end),
                (_, Value::Bytes(_) | Value::Varint(_) | Value::Fixed64(_) | Value::Fixed32) => {}
            }
        }
        Ok(())
    }

    /// The entries from `from` on, with their numbers.
    pub fn entries(&self, from: u32) -> impl Iterator<Item = Result<(u32, Entry<'_>), DecodeError>> {
        (from..).zip(self.entries.iter().skip(from as usize)).map(|(number, range)| {
            let entry = self.entry(&self.record[range.clone()])?;
            Ok((number, entry))
        })
    }

    /// The payload of the same record without the entries of these numbers, which ascend. Symbols keep their places; one
    /// that is not UTF-8 becomes empty, so whoever uses it should be among the entries left out.
    pub fn without(&mut self, left_out: &[u32]) -> &[u8] {
        let mut left_out = left_out.iter().peekable();
        self.copy.clear();
        for range in &self.symbols {
            let symbol = &self.record[range.clone()];
            let usable = if std::str::from_utf8(symbol).is_ok() { symbol } else { b"" };
            field::put_bytes(SYMBOLS, usable, &mut self.copy);
        }
        for (number, range) in (0_u32..).zip(&self.entries) {
            if left_out.next_if_eq(&&number).is_none() {
                field::put_bytes(TIMESERIES, &self.record[range.clone()], &mut self.copy);
            }
        }
        self.compressor.compress(&self.copy)
    }

    fn entry<'a>(&'a self, mut series: &'a [u8]) -> Result<Entry<'a>, DecodeError> {
        let mut entry = Entry { excerpt: self, refs: &[], timestamp: 0, is_histogram: false };
        while let Some((number, value)) = field::next(&mut series)? {
            match (number, value) {
                (1, Value::Bytes(refs)) => entry.refs = refs,
                (2, Value::Bytes(sample)) => entry.timestamp = read_timestamp(sample, 2)?,
                (3, Value::Bytes(histogram)) => {
                    (entry.timestamp, entry.is_histogram) = (read_timestamp(histogram, 15)?, true);
                }
                (_, Value::Bytes(_) | Value::Varint(_) | Value::Fixed64(_) | Value::Fixed32) => {}
            }
        }
        Ok(entry)
    }

    fn symbol(&self, refs: &mut &[u8]) -> Result<&[u8], DecodeError> {
        if refs.is_empty() {
            return Err(DecodeError::OddReferences);
        }
        let reference = prost::encoding::decode_varint(refs)?;
        let symbols = self.symbols.len();
        let range = usize::try_from(reference).ok().and_then(|reference| self.symbols.get(reference));
        let range = range.ok_or(DecodeError::Reference {
            reference: u32::try_from(reference).unwrap_or(u32::MAX),
            symbols,
        })?;
        Ok(&self.record[range.clone()])
    }
}

impl<'a> Entry<'a> {
    /// Its labels, in their order. Ends after the first error.
    pub fn labels(&self) -> impl Iterator<Item = Result<RawLabel<'a>, DecodeError>> + use<'a> {
        let (excerpt, mut refs) = (self.excerpt, self.refs);
        std::iter::from_fn(move || {
            if refs.is_empty() {
                return None;
            }
            let mut label = || Ok((excerpt.symbol(&mut refs)?, excerpt.symbol(&mut refs)?));
            let label = label();
            if label.is_err() {
                refs = &[];
            }
            Some(label)
        })
    }
}

/// Field number `at` of a message.
fn read_timestamp(mut message: &[u8], at: u32) -> Result<i64, DecodeError> {
    let mut found = 0;
    while let Some((number, value)) = field::next(&mut message)? {
        if let Value::Varint(timestamp) = value
            && number == at
        {
            #[expect(clippy::cast_possible_wrap, reason = "an int64 travels as its two's complement")]
            let timestamp = timestamp as i64;
            found = timestamp;
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::decode::decode_v2;

    fn payload(message: &[u8]) -> Vec<u8> {
        snap::raw::Encoder::new().compress_vec(message).unwrap()
    }

    /// Symbols "", __name__, up, a byte that is no UTF-8; three entries: up, one with the bad symbol, one with no label.
    fn message() -> Vec<u8> {
        let mut message = Vec::new();
        for symbol in [&b""[..], b"__name__", b"up", b"\xff"] {
            field::put_bytes(SYMBOLS, symbol, &mut message);
        }
        for (refs, timestamp) in [(&[1, 2][..], 10_u8), (&[1, 3], 11), (&[], 12)] {
            let mut series = Vec::new();
            field::put_bytes(1, refs, &mut series);
            field::put_bytes(2, &[0x10, timestamp], &mut series);
            field::put_bytes(TIMESERIES, &series, &mut message);
        }
        message
    }

    #[test]
    fn entries_are_read_whatever_their_strings_hold() {
        let mut excerpt = Excerpt::default();
        excerpt.read(&payload(&message())).unwrap();
        let read: Vec<_> = excerpt
            .entries(1)
            .map(|entry| {
                let (number, entry) = entry.unwrap();
                (number, entry.timestamp, entry.labels().map(Result::unwrap).collect::<Vec<_>>())
            })
            .collect();
        assert_eq!(read, [(1, 11, vec![(&b"__name__"[..], &b"\xff"[..])]), (2, 12, vec![])]);
    }

    #[test]
    fn a_copy_lacks_the_entries_left_out_and_no_others() {
        let mut excerpt = Excerpt::default();
        excerpt.read(&payload(&message())).unwrap();
        let copy = decode_v2(excerpt.without(&[1]), 1 << 20).unwrap();
        assert_eq!(copy.symbols, ["", "__name__", "up", ""]);
        let timestamps: Vec<_> = copy.timeseries.iter().map(|series| series.samples[0].timestamp).collect();
        assert_eq!(timestamps, [10, 12]);
        assert_eq!(copy.timeseries[0].labels_refs, [1, 2]);
    }

    #[test]
    fn damage_is_an_error() {
        let mut excerpt = Excerpt::default();
        assert!(excerpt.read(b"no snappy").is_err());
        let mut torn = message();
        torn.truncate(torn.len() - 1);
        assert!(excerpt.read(&payload(&torn)).is_err());
        for refs in [&[1][..], &[1, 9]] {
            let mut broken = message();
            let mut series = Vec::new();
            field::put_bytes(1, refs, &mut series);
            field::put_bytes(TIMESERIES, &series, &mut broken);
            excerpt.read(&payload(&broken)).unwrap();
            let (_, last) = excerpt.entries(3).next().unwrap().unwrap();
            assert!(last.labels().any(|label| label.is_err()));
        }
    }
}
