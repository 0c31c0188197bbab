//! Recurring records: the n-th record of a scrape has nearly the symbols and the series of the one before, so what was written for a series
//! once is copied the next time.
//!
//! A record is recognised by the bytes of its symbol table, a series by its own bytes before and behind the sample. Equal bytes under an
//! equal table are equal labels, so nothing is decoded or checked again, and a hit gives what decoding would give. Series that come as they
//! did, with samples of as many bytes, are compared and copied in one loop (a third of the instructions of one by one).

use super::field::{self, Short, Value};
use super::v1::{self, names::Spelling};
use super::view::Symbols;

/// Of a record.
const TIMESERIES: u32 = 5;

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
    /// The series one after the other as they stand in a record, without their samples: so behind one sample comes what is before the next.
    record: Vec<u8>,
    /// What becomes of them, without samples too: key and length of a 1.0 `TimeSeries`, and its labels.
    message: Vec<u8>,
    /// The last record that had this table.
    seen: u64,
}

/// A series: where it ends in [`Shape::record`] and [`Shape::message`], and where its parts are before that.
#[derive(Clone, Copy, Debug)]
struct Series {
    /// Behind key and length: the label references.
    head: u32,
    /// Where the sample goes; behind it is the metadata.
    cut: u32,
    end: u32,
    /// Behind key and length.
    labels: u32,
    labels_end: u32,
    sizes: Sizes,
    spelling: Spelling,
}

/// Bytes of a sample's field that the lengths before it count: as it stands in the record, and as 1.0 has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sizes {
    stored: u8,
    sent: u8,
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
    /// A series was taken for the expected one that is another: none but single ones are compared from then on.
    mistaken: bool,
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
#[inline(always)]
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

    /// Takes series off the front of `rest` and appends what becomes of them, as long as they are those that are expected, with samples of as
    /// many bytes; at most so many, and so long as the message has this `room`. Tells how many.
    pub(super) fn copy(
        &self,
        known: &mut Known,
        rest: &mut &[u8],
        most: u32,
        room: usize,
        message: &mut Vec<u8>,
    ) -> u32 {
        let Some(shape) = known.shape.map(|at| &self.shapes[at]).filter(|_| !known.mistaken) else {
            return 0;
        };
        let before = message.len();
        let Some(copied) = shape.copy(known.at, rest, most, room, message) else {
            message.truncate(before);
            known.mistaken = true;
            return 0;
        };
        known.at += copied as usize;
        known.hits += copied as usize;
        copied
    }

    /// The series, if it is one of the next that are expected, with whatever sample.
    pub(super) fn recall<'s, 'm>(&'s mut self, known: &mut Known, series: &'m [u8]) -> Option<Hit<'s, 'm>> {
        let shape = &mut self.shapes[known.shape?];
        let sample = shape.series_at(known.at, series).or_else(|| shape.search(known, series))?;
        let at = known.at;
        known.at += 1;
        known.hits += 1;
        let sizes = Sizes::of(series.len() - shape.without_sample(at), &sample);
        if sizes != shape.series[at].sizes {
            shape.resize(at, sizes);
        }
        let Series { labels, labels_end, spelling, .. } = shape.series[at];
        Some(Hit { labels: &shape.message[labels as usize..labels_end as usize], spelling, sample })
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
        let Some((head, sample, tail)) = around_sample(series).filter(|_| highest < shape.symbols) else {
            return;
        };
        let sizes = Sizes::of(series.len() - head.len() - tail.len(), &sample);
        let stored = field::len_field(TIMESERIES, series.len());
        let sent = field::len_field(v1::TIMESERIES, labels.len() + usize::from(sizes.sent));
        let parts = [stored.as_slice(), head, tail, sent.as_slice(), labels];
        let cost = parts.map(<[u8]>::len).iter().sum::<usize>() + size_of::<Series>();
        if self.bytes + cost > MAX_BYTES {
            return;
        }
        // Below the limit of all.
        let put = |part: &[u8], to: &mut Vec<u8>| {
            to.extend_from_slice(part);
            to.len() as u32
        };
        let [head, cut, end] = [parts[0], parts[1], parts[2]].map(|part| put(part, &mut shape.record));
        let [labels, labels_end] = [parts[3], parts[4]].map(|part| put(part, &mut shape.message));
        let learned = Series { head, cut, end, labels, labels_end, sizes, spelling };
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
            shape.record = Vec::new();
            shape.message = Vec::new();
        } else if known.learned {
            shape.series.shrink_to_fit();
            shape.record.shrink_to_fit();
            shape.message.shrink_to_fit();
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
            let bytes = shape.table.capacity() + shape.record.capacity() + shape.message.capacity();
            bytes + shape.series.capacity() * size_of::<Series>()
        };
        self.shapes.iter().map(capacity).sum()
    }
}

impl Shape {
    /// As [`Shapes::copy`], from the series with this number on; `None` where the last one turns out to be another.
    #[inline]
    fn copy(
        &self,
        at: usize,
        record: &mut &[u8],
        most: u32,
        room: usize,
        message: &mut Vec<u8>,
    ) -> Option<u32> {
        let (mut from, mut sent_from) = self.start_of(at);
        let (mut rest, mut copied, mut end) = (*record, 0, from);
        for expected in self.series.get(at..)?.iter().take(most as usize) {
            // What is behind the sample before, and what is before this one.
            let behind = rest.strip_prefix(&self.record[from..expected.cut as usize]);
            let Some((field, behind)) =
                behind.and_then(|behind| behind.split_at_checked(expected.sizes.stored.into()))
            else {
                break;
            };
            let Some(sample) = sample_of_1_0(field) else { break };
            let sample = sample.as_slice();
            let labels = &self.message[sent_from..expected.labels_end as usize];
            if sample.len() != usize::from(expected.sizes.sent)
                || message.len() + labels.len() + sample.len() > room
                || expected.spelling != Spelling::Classic
            {
                break;
            }
            message.extend_from_slice(labels);
            message.extend_from_slice(sample);
            (from, sent_from) = (expected.cut as usize, expected.labels_end as usize);
            (rest, end) = (behind, expected.end as usize);
            copied += 1;
        }
        *record = rest.strip_prefix(&self.record[from..end])?;
        Some(copied)
    }

    /// Where the series with this number starts in the record and in the message.
    fn start_of(&self, at: usize) -> (usize, usize) {
        let before = at.checked_sub(1).and_then(|before| self.series.get(before));
        before.map_or((0, 0), |before| (before.end as usize, before.labels_end as usize))
    }

    fn series_at<'m>(&self, at: usize, series: &'m [u8]) -> Option<SampleBytes<'m>> {
        let expected = self.series.get(at)?;
        let part = |from: u32, to: u32| &self.record[from as usize..to as usize];
        let behind_head = series.strip_prefix(part(expected.head, expected.cut))?;
        sample_of_1_0(behind_head.strip_suffix(part(expected.cut, expected.end))?)
    }

    /// Looks behind the expected series, which may have gone.
    #[cold]
    fn search<'m>(&self, known: &mut Known, series: &'m [u8]) -> Option<SampleBytes<'m>> {
        let behind = known.at + 1..known.at + WINDOW;
        let (at, sample) = behind.into_iter().find_map(|at| Some((at, self.series_at(at, series)?)))?;
        known.at = at;
        Some(sample)
    }

    /// Bytes of a series without its sample's field.
    fn without_sample(&self, at: usize) -> usize {
        (self.series[at].end - self.series[at].head) as usize
    }

    /// From now on samples of these sizes are expected, unless the lengths that count them take another number of bytes.
    fn resize(&mut self, at: usize, sizes: Sizes) {
        let (start, sent_start) = self.start_of(at);
        let stored = field::len_field(TIMESERIES, self.without_sample(at) + usize::from(sizes.stored));
        let series = &mut self.series[at];
        let labels = (series.labels_end - series.labels) as usize;
        let sent = field::len_field(v1::TIMESERIES, labels + usize::from(sizes.sent));
        let places = (
            &mut self.record[start..series.head as usize],
            &mut self.message[sent_start..series.labels as usize],
        );
        if (places.0.len(), places.1.len()) == (stored.as_slice().len(), sent.as_slice().len()) {
            places.0.copy_from_slice(stored.as_slice());
            places.1.copy_from_slice(sent.as_slice());
            series.sizes = sizes;
        }
    }

    fn held(&self) -> usize {
        self.table.len() + self.record.len() + self.message.len() + self.series.len() * size_of::<Series>()
    }
}

impl Known {
    fn begin(shape: Option<usize>, at: usize) -> Self {
        Self { shape, at, hits: 0, misses: 0, learned: false, mistaken: false }
    }
}

impl Sizes {
    /// Both are at most 31 bytes.
    fn of(stored: usize, sample: &SampleBytes<'_>) -> Self {
        Self { stored: stored as u8, sent: sample.as_slice().len() as u8 }
    }
}

/// The sample of a series that is built as ours are, and what stands before and behind it.
fn around_sample(series: &[u8]) -> Option<(&[u8], SampleBytes<'_>, &[u8])> {
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
    sample_of_1_0(sample).map(|sample| (head, sample, tail))
}
