//! The series that have begun and not ended, kept beside the queue for the next process (remote-write 3.07).

use bytes::Bytes;
use tracing::warn;

use crate::model::{HistogramKind, Labels, SampleKind};
use crate::queue::{Changes, Form, Journal, Pack, RecordMeta};
use crate::scrape::{ChangeKind, Ingest, SeriesChange};
use crate::wire::snappy;

/// One source's journal.
#[derive(Debug)]
pub(super) struct OpenSeries {
    journal: Journal,
    /// Used again and again.
    changes: Changes,
    entry: Vec<u8>,
}

impl OpenSeries {
    pub(super) fn new(journal: Journal) -> Self {
        Self { journal, changes: Changes::default(), entry: Vec::new() }
    }

    /// What the process before has left open. Given once.
    pub(super) fn take_restored(&self) -> Vec<(Labels, SampleKind)> {
        let entries = self.journal.take_recovered();
        let restored: Vec<_> = entries.iter().filter_map(|entry| read(entry)).collect();
        let unreadable = entries.len() - restored.len();
        if unreadable > 0 {
            warn!(
                unreadable,
                "label sets in the journal of open series make no sense; these series fade instead of ending"
            );
        }
        restored
    }

    /// Queues a record, and what it changes.
    pub(super) fn append(&mut self, meta: RecordMeta, record: Bytes, brings: &[SeriesChange], of: &Ingest) {
        self.collect(brings, of);
        self.journal.append_as(Form::Raw(Pack(snappy::pack)), meta, record, &self.changes);
    }

    /// Notes what no record brings, and the whole set if the journal wants it.
    pub(super) fn conclude(&mut self, rest: &[SeriesChange], of: &Ingest) {
        if !rest.is_empty() {
            self.collect(rest, of);
            self.journal.note(&self.changes);
        }
        if self.journal.wants_whole() {
            let mut whole = Changes::whole();
            for (labels, kind) in of.open_series() {
                write(labels, kind, &mut self.entry);
                whole.add(&self.entry);
            }
            self.journal.note(&whole);
        }
    }

    fn collect(&mut self, changes: &[SeriesChange], of: &Ingest) {
        self.changes.clear();
        for change in changes {
            write(of.describe(change.slot).labels, change.samples, &mut self.entry);
            match change.kind {
                ChangeKind::Opened => self.changes.add(&self.entry),
                ChangeKind::Ended => self.changes.remove(&self.entry),
            }
        }
    }
}

/// Each text with its length in four bytes before it: name, value, name, value. Native histograms are told by one more pair behind them, with
/// an empty name, which no label has; a version that does not know it lets such a series fade.
fn write(labels: &Labels, kind: SampleKind, entry: &mut Vec<u8>) {
    entry.clear();
    let told = match kind {
        SampleKind::Float => None,
        SampleKind::Histogram(HistogramKind::Integer) => Some(["", INTEGER]),
        SampleKind::Histogram(HistogramKind::Float) => Some(["", FLOAT]),
        SampleKind::Histogram(HistogramKind::CustomInteger) => Some(["", CUSTOM_INTEGER]),
        SampleKind::Histogram(HistogramKind::CustomFloat) => Some(["", CUSTOM_FLOAT]),
    };
    let labels = labels.iter().flat_map(|(name, value)| [name, value]);
    for text in labels.chain(told.into_iter().flatten()) {
        // A text of 4 GiB is not read back, and its series fades.
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        entry.extend_from_slice(&length.to_le_bytes());
        entry.extend_from_slice(text.as_bytes());
    }
}

const INTEGER: &str = "histogram";
const FLOAT: &str = "float histogram";
// Versions before wrote the words above for these, too: a series that goes on is known as what it is from its first sample on.
const CUSTOM_INTEGER: &str = "histogram with custom buckets";
const CUSTOM_FLOAT: &str = "float histogram with custom buckets";

/// `None` for anything but what [`write`] makes of a series.
fn read(mut entry: &[u8]) -> Option<(Labels, SampleKind)> {
    let mut labels = Labels::new();
    let mut kind = SampleKind::Float;
    while !entry.is_empty() {
        let name = text(&mut entry)?;
        let value = text(&mut entry)?;
        match (name, value, entry.is_empty()) {
            ("", INTEGER, true) => kind = SampleKind::Histogram(HistogramKind::Integer),
            ("", FLOAT, true) => kind = SampleKind::Histogram(HistogramKind::Float),
            ("", CUSTOM_INTEGER, true) => kind = SampleKind::Histogram(HistogramKind::CustomInteger),
            ("", CUSTOM_FLOAT, true) => kind = SampleKind::Histogram(HistogramKind::CustomFloat),
            ("", ..) | (_, "", _) => return None,
            (name, value, _) if labels.get(name).is_none() => labels.set(name, value),
            (..) => return None,
        }
    }
    (!labels.is_empty()).then_some((labels, kind))
}

fn text<'a>(entry: &mut &'a [u8]) -> Option<&'a str> {
    let (length, rest) = entry.split_first_chunk::<4>()?;
    let (text, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    *entry = rest;
    std::str::from_utf8(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_set_comes_back_as_it_went_and_nothing_else_is_one() {
        let labels = Labels::from_iter([("__name__", "m"), ("a", "x\"\n\u{e9}"), ("b", "2")]);
        let mut entry = vec![1, 2, 3];
        let kinds = [
            SampleKind::Float,
            SampleKind::Histogram(HistogramKind::Integer),
            SampleKind::Histogram(HistogramKind::Float),
            SampleKind::Histogram(HistogramKind::CustomInteger),
            SampleKind::Histogram(HistogramKind::CustomFloat),
        ];
        for kind in kinds {
            write(&labels, kind, &mut entry);
            assert_eq!(read(&entry), Some((labels.clone(), kind)));
            for cut in 1..entry.len() {
                if let Some((shorter, read)) = read(&entry[..cut]) {
                    assert!(shorter.len() < 3 || kind != SampleKind::Float, "{cut}");
                    assert_eq!(read, SampleKind::Float, "{cut}");
                }
            }
        }
        // What versions before wrote.
        write(&Labels::from_iter([("__name__", "m")]), SampleKind::Float, &mut entry);
        assert_eq!(entry, b"\x08\0\0\0__name__\x01\0\0\0m");
        let old = [&entry[..], b"\0\0\0\0\x09\0\0\0histogram"].concat();
        let integer = SampleKind::Histogram(HistogramKind::Integer);
        assert_eq!(read(&old), Some((Labels::from_iter([("__name__", "m")]), integer)));
        assert_eq!(read(&[&entry[..], b"\0\0\0\0\x01\0\0\0x"].concat()), None, "no kind of histogram");
        assert_eq!(read(b"\0\0\0\0\x09\0\0\0histogram"), None);
        assert_eq!(read(&[]), None);
        assert_eq!(read(&[1, 0, 0, 0, 0xff, 1, 0, 0, 0, b'a']), None);
        assert_eq!(read(&[0; 8]), None);
    }
}
