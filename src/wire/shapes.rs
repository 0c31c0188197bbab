//! Recurring records: the n-th record of a scrape has nearly the symbols and the series of the one before, so what was written for a series
//! once is copied the next time.
//!
//! A record is recognised by the bytes of its symbol table, a series by its own bytes before and behind the sample. Equal bytes under an
//! equal table are equal labels, so nothing is decoded or checked again, and a hit gives what decoding would give.

use super::field::{self, Short, Value};
use super::v1::names::Spelling;
use super::view::Symbols;

/// All that is remembered takes at most this much, which is some 20,000 series; what is beyond is decoded each time.
const MAX_BYTES: usize = 4 << 20;

/// A table that so many records in a row did not have is forgotten. A scrape of 100,000 series has 51 records.
const FORGET_AFTER: u64 = 128;

/// How many series a record may lack in a row until those behind them are not found any more.
const WINDOW: usize = 16;

/// The records that were met lately.
#[derive(Debug, Default)]
pub(super) struct Shapes {
    shapes: Vec<Shape>,
    /// Where the next record is looked for first: they come in turns.
    expected: usize,
    records: u64,
    bytes: usize,
}

/// What the records with one symbol table have in common.
#[derive(Debug, Default)]
struct Shape {
    /// The table: the record's first bytes.
    table: Vec<u8>,
    symbols: u32,
    series: Vec<Series>,
    /// Head, tail and labels of each series, one after the other.
    bytes: Vec<u8>,
    /// The last record that had this table.
    seen: u64,
}

/// A series as it stands in a record, and what becomes of it: parts of [`Shape::bytes`], each from the end of the one before.
#[derive(Clone, Copy, Debug)]
struct Series {
    start: u32,
    /// Everything before the sample: the label references.
    head: u32,
    /// Everything behind the sample: the metadata.
    tail: u32,
    /// The labels, as fields of a 1.0 `TimeSeries`.
    labels: u32,
    spelling: Spelling,
}

/// What is known of the record that is being read; of most of them, all.
#[derive(Debug)]
pub(super) struct Known {
    shape: Option<usize>,
    /// The series that is expected next.
    at: usize,
    hits: usize,
    misses: usize,
    learned: bool,
}

/// A series that was met before.
pub(super) struct Hit<'s, 'm> {
    /// Fields of a 1.0 `TimeSeries`.
    pub(super) labels: &'s [u8],
    /// How they came about.
    pub(super) spelling: Spelling,
    /// The sample's field, as 1.0 has it.
    pub(super) sample: SampleBytes<'m>,
}

/// A sample's field of 1.0.
pub(super) enum SampleBytes<'m> {
    /// It is the same in both messages.
    Same(&'m [u8]),
    /// Without the start timestamp, which 1.0 does not have.
    Shortened(Short),
}

impl SampleBytes<'_> {
    #[inline]
    pub(super) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Same(field) => field,
            Self::Shortened(field) => field.as_slice(),
        }
    }
}

/// `None` where it is not built as ours are.
#[inline]
fn sample_of_1_0(field: &[u8]) -> Option<SampleBytes<'_>> {
    if field::is_sample_field(field) {
        return Some(SampleBytes::Same(field));
    }
    field::without_start(field).map(SampleBytes::Shortened)
}

impl Shapes {
    /// Whether the table of `message` is known, and where the series behind it begin. They will be asked for from `entry` on.
    pub(super) fn recognise(&mut self, message: &[u8], entry: u32) -> Option<(Known, usize)> {
        self.records += 1;
        self.forget_unseen();
        let at = self.find(|table| {
            message.strip_prefix(table).is_some_and(|rest| rest.first() != Some(&field::SYMBOL_KEY))
        })?;
        let start = self.shapes[at].table.len();
        Some((self.begin(at, entry), start))
    }

    /// A message whose table is not known, but was read and found good.
    pub(super) fn meet(&mut self, message: &[u8], symbols: &Symbols, entry: u32) -> Known {
        let (bytes, count) = symbols.front();
        let front = &message[..bytes];
        if count == 0 || bytes > MAX_BYTES.saturating_sub(self.bytes) {
            return Known::begin(None, 0);
        }
        // A table grows at its end: what it had before keeps its numbers.
        let at = self.find(|table| front.starts_with(table)).unwrap_or_else(|| {
            self.shapes.push(Shape::default());
            self.shapes.len() - 1
        });
        let shape = &mut self.shapes[at];
        self.bytes += bytes - shape.table.len();
        shape.table.extend_from_slice(&front[shape.table.len()..]);
        shape.table.shrink_to_fit();
        shape.symbols = count;
        self.begin(at, entry)
    }

    /// The series, if it is one of the next that are expected, with whatever sample.
    #[inline]
    pub(super) fn recall<'s, 'm>(&'s self, known: &mut Known, series: &'m [u8]) -> Option<Hit<'s, 'm>> {
        let shape = &self.shapes[known.shape?];
        let hit = shape.series_at(known.at, series).or_else(|| shape.search(known, series))?;
        known.at += 1;
        known.hits += 1;
        Some(hit)
    }

    /// A series that was not recalled, what became of its labels and how, and the highest of its references.
    pub(super) fn learn(
        &mut self,
        known: &mut Known,
        series: &[u8],
        (labels, spelling): (&[u8], Spelling),
        highest: u32,
    ) {
        let Some(shape) = known.shape.and_then(|at| self.shapes.get_mut(at)) else { return };
        if known.at < shape.series.len() {
            known.misses += 1;
            return;
        }
        let Some((head, tail)) = around_sample(series).filter(|_| highest < shape.symbols) else { return };
        let bytes = head.len() + tail.len() + labels.len();
        let cost = bytes + size_of::<Series>();
        if self.bytes + cost > MAX_BYTES {
            return;
        }
        let mut put = |part: &[u8]| {
            shape.bytes.extend_from_slice(part);
            // Below the limit of all.
            shape.bytes.len() as u32
        };
        let start = put(&[]);
        let learned = Series { start, head: put(head), tail: put(tail), labels: put(labels), spelling };
        shape.series.push(learned);
        self.bytes += cost;
        known.at += 1;
        known.learned = true;
    }

    /// Ends a record. One that has changed much is learned anew the next time.
    pub(super) fn finish(&mut self, known: &Known) {
        const SLACK: usize = 16;
        let Some(shape) = known.shape.and_then(|at| self.shapes.get_mut(at)) else { return };
        if known.misses > SLACK + known.hits / 16 {
            self.bytes -= shape.held() - shape.table.len();
            shape.series = Vec::new();
            shape.bytes = Vec::new();
        } else if known.learned {
            shape.series.shrink_to_fit();
            shape.bytes.shrink_to_fit();
        }
    }

    fn begin(&mut self, at: usize, entry: u32) -> Known {
        self.expected = at + 1;
        let shape = &mut self.shapes[at];
        shape.seen = self.records;
        Known::begin(Some(at), shape.series.len().min(entry as usize))
    }

    /// The shape whose table is the right one, looked for in the order in which they come.
    fn find(&self, right: impl Fn(&[u8]) -> bool) -> Option<usize> {
        let from = self.expected.min(self.shapes.len());
        (from..self.shapes.len()).chain(0..from).find(|at| right(&self.shapes[*at].table))
    }

    fn forget_unseen(&mut self) {
        let oldest = self.records.saturating_sub(FORGET_AFTER);
        self.shapes.retain(|shape| {
            let keep = shape.seen >= oldest;
            self.bytes -= if keep { 0 } else { shape.held() };
            keep
        });
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        let capacity = |shape: &Shape| {
            shape.table.capacity() + shape.bytes.capacity() + shape.series.capacity() * size_of::<Series>()
        };
        self.shapes.iter().map(capacity).sum()
    }
}

impl Shape {
    #[inline]
    fn series_at<'s, 'm>(&'s self, at: usize, series: &'m [u8]) -> Option<Hit<'s, 'm>> {
        let expected = self.series.get(at)?;
        let part = |from: u32, to: u32| &self.bytes[from as usize..to as usize];
        let behind_head = series.strip_prefix(part(expected.start, expected.head))?;
        let sample = behind_head.strip_suffix(part(expected.head, expected.tail))?;
        let labels = part(expected.tail, expected.labels);
        sample_of_1_0(sample).map(|sample| Hit { labels, spelling: expected.spelling, sample })
    }

    /// Looks behind the expected series, which may have gone.
    #[cold]
    fn search<'s, 'm>(&'s self, known: &mut Known, series: &'m [u8]) -> Option<Hit<'s, 'm>> {
        let behind = known.at + 1..known.at + WINDOW;
        let (at, hit) = behind.into_iter().find_map(|at| Some((at, self.series_at(at, series)?)))?;
        known.at = at;
        Some(hit)
    }

    fn held(&self) -> usize {
        self.table.len() + self.bytes.len() + self.series.len() * size_of::<Series>()
    }
}

impl Known {
    fn begin(shape: Option<usize>, at: usize) -> Self {
        Self { shape, at, hits: 0, misses: 0, learned: false }
    }
}

/// What stands before and behind the sample of a series that is built as ours are.
fn around_sample(series: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut rest = series;
    let (1, Value::Bytes(_)) = field::next(&mut rest).ok()?? else { return None };
    let head = &series[..series.len() - rest.len()];
    let before = rest;
    field::next(&mut rest).ok()??;
    let (sample, tail) = before.split_at(before.len() - rest.len());
    while let Some((number, _)) = field::next(&mut rest).ok()? {
        // Of a field that comes twice the last would count; native histograms and exemplars are samples' data, not the series'.
        if number <= 4 {
            return None;
        }
    }
    sample_of_1_0(sample).map(|_| (head, tail))
}
