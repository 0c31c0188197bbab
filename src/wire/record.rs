//! One scrape as `io.prometheus.write.v2.Request` messages: the payloads of queued records, once they are snappy-compressed.
//!
//! A scrape is cut into records of at most [`Limits`], each with symbols of its own. The n-th record of a scrape holds nearly the same
//! series as the n-th record of the scrape before, so each n keeps a symbol table and the series as they were written last, and each series
//! keeps its label references encoded for the table that it last went into. In steady state a sample costs one copy of its series and 20
//! bytes of value and timestamp over it; behind a series that has come, gone or moved, a record is put together from those references.

use std::mem;
use std::ops::Range;

use super::Limits;
use super::beside::{Beside, Extras, Scrape, put_exemplar};
use super::field::{self, SampleFields};
use super::histogram::HistogramWriter;
use super::snappy::Compressor;
use super::symbols::{Mark, SymbolTable};
use crate::model::{Description, MetricType, SampleRef, is_stale_marker};

const TIMESERIES: u32 = 5;
const LABELS_REFS: u32 = 1;
const METADATA: u32 = 5;

/// What is in a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Samples, native histograms and staleness markers included.
    pub samples: u32,
    /// Staleness markers.
    pub markers: u32,
    /// Smallest timestamp, ms since the epoch.
    pub min_timestamp: i64,
    /// Largest timestamp, ms since the epoch.
    pub max_timestamp: i64,
}

impl Counts {
    fn add(&mut self, sample: &SampleRef) {
        self.samples += 1;
        self.markers += u32::from(is_stale_marker(sample.value));
        self.min_timestamp = self.min_timestamp.min(sample.timestamp);
        self.max_timestamp = self.max_timestamp.max(sample.timestamp);
    }
}

/// Where a series' label references and metadata stand, as fields of `TimeSeries`: in [`Table::blocks`].
#[derive(Clone, Copy, Debug, Default)]
struct Block {
    generation: u32,
    table: u32,
    epoch: u32,
    start: usize,
    /// Where the sample goes: behind the label references, before the metadata, as prost orders them.
    split: usize,
    end: usize,
}

/// One series in [`Table::series`].
#[derive(Clone, Debug)]
struct Written {
    slot: u32,
    generation: u32,
    /// The sample's field, where there is nothing beside it.
    sample: Range<usize>,
    end: usize,
}

/// The symbols of the n-th record of each scrape.
#[derive(Debug)]
struct Table {
    symbols: SymbolTable,
    /// Every series' block, in the order in which they came: one allocation each would be a cache miss each.
    blocks: Vec<u8>,
    /// The series of the record that is being written, and where each is; and those of the record before.
    series: Vec<u8>,
    written: Vec<Written>,
    last_series: Vec<u8>,
    last_written: Vec<Written>,
    fields: SampleFields,
    epoch: u32,
    /// The symbols before the first exemplar's, and the blocks then.
    before_exemplars: Option<(Mark, usize)>,
    /// Bytes of symbols and of blocks at the end of the first record of this epoch; what comes on top may be garbage of vanished series.
    baseline: (usize, usize),
}

impl Table {
    fn new(epoch: u32) -> Self {
        Self {
            symbols: SymbolTable::new(),
            blocks: Vec::new(),
            series: Vec::new(),
            written: Vec::new(),
            last_series: Vec::new(),
            last_written: Vec::new(),
            fields: SampleFields::new(),
            epoch,
            before_exemplars: None,
            baseline: (0, 0),
        }
    }

    fn bytes(&self) -> usize {
        self.symbols.encoded().len()
    }

    /// A table that has doubled since its start is mostly garbage: begin anew.
    fn renew_if_bloated(&mut self) {
        const SLACK: usize = 4 << 10;
        let (symbols, blocks) = self.baseline;
        let bloated = self.bytes() > 2 * symbols + SLACK || self.blocks.len() > 2 * blocks + SLACK;
        if symbols > 0 && bloated {
            self.renew();
        }
    }

    /// Begins a record.
    fn begin(&mut self) {
        mem::swap(&mut self.series, &mut self.last_series);
        mem::swap(&mut self.written, &mut self.last_written);
        self.series.clear();
        self.written.clear();
        self.before_exemplars = None;
    }

    /// Appends series as they stood at this place of the last record, as long as they are those of `samples`, with samples of as many bytes,
    /// and the record fits `max_bytes`; how many.
    fn repeat(&mut self, samples: &[SampleRef], max_bytes: usize) -> usize {
        let at = self.written.len();
        let Some(last) = self.last_written.get(at..) else { return 0 };
        let start = at.checked_sub(1).map_or(0, |before| self.last_written[before].end);
        let moved = self.series.len();
        let room = max_bytes.saturating_sub(self.symbols.encoded().len() + moved);
        let Self { fields, series, written, .. } = self;
        let mut is_same = |(sample, last): &(&SampleRef, &Written)| {
            (last.slot, last.generation) == (sample.slot, sample.generation)
                && last.sample.len() == fields.of(sample.value, sample.timestamp, sample.start).len()
                && last.end - start <= room
        };
        let count = samples.iter().zip(last).take_while(&mut is_same).count();
        let last = &last[..count];
        let end = last.last().map_or(start, |last| last.end);
        series.extend_from_slice(&self.last_series[start..end]);
        for (sample, last) in samples.iter().zip(last) {
            let place = last.sample.start - start + moved..last.sample.end - start + moved;
            let field = fields.of(sample.value, sample.timestamp, sample.start);
            series[place].copy_from_slice(field);
        }
        written.extend(last.iter().map(|last| Written {
            sample: last.sample.start - start + moved..last.sample.end - start + moved,
            end: last.end - start + moved,
            ..*last
        }));
        count
    }

    /// Appends a series with these fields for its data; one that is not to be repeated with them has no slot.
    fn append(&mut self, block: &Block, data: &[u8], (slot, generation): (u32, u32)) {
        field::put_len(TIMESERIES, block.end - block.start + data.len(), &mut self.series);
        self.series.extend_from_slice(&self.blocks[block.start..block.split]);
        let start = self.series.len();
        self.series.extend_from_slice(data);
        let place = start..self.series.len();
        self.series.extend_from_slice(&self.blocks[block.split..block.end]);
        let end = self.series.len();
        self.written.push(Written { slot, generation, sample: place, end });
    }

    /// Exemplars come once, so their symbols are to go when the record is written.
    fn remember_symbols(&mut self) {
        if self.before_exemplars.is_none() {
            self.before_exemplars = Some((self.symbols.mark(), self.blocks.len()));
        }
    }

    /// Takes the symbols of the record's exemplars out, unless a series came behind them; then they stay until the table is bloated.
    fn forget_exemplars(&mut self) {
        if let Some((symbols, blocks)) = self.before_exemplars.take()
            && blocks == self.blocks.len()
        {
            self.symbols.roll_back(symbols);
        }
    }

    /// Takes the series back that was written last.
    fn take_back(&mut self) {
        self.written.pop();
        self.series.truncate(self.written.last().map_or(0, |last| last.end));
    }

    /// Begins anew: every series is encoded once more.
    fn renew(&mut self) {
        *self = Self::new(self.epoch.wrapping_add(1));
    }
}

/// Why a record has no more samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// There are no more, or it has [`Limits::max_samples`].
    Samples,
    /// The next one would bring it beyond [`Limits::max_bytes`].
    Bytes,
}

/// Turns scrapes into record payloads; one for each source of series, as it remembers them by slot.
#[derive(Debug)]
pub struct RecordEncoder {
    limits: Limits,
    tables: Vec<Table>,
    /// Of a table that is new.
    first_epoch: u32,
    blocks: Vec<Block>,
    refs: Vec<u8>,
    /// What a series has beside or instead of a plain sample.
    data: Vec<u8>,
    histograms: HistogramWriter,
    compressor: Compressor,
}

impl RecordEncoder {
    /// An encoder that cuts at `limits` (a single larger sample still gets a record of its own).
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            tables: Vec::new(),
            first_epoch: 0,
            blocks: Vec::new(),
            refs: Vec::new(),
            data: Vec::new(),
            histograms: HistogramWriter::default(),
            compressor: Compressor::default(),
        }
    }

    /// Encodes `samples` in their order and hands each finished record to `emit`, as a snappy block.
    pub fn encode<'d>(
        &mut self,
        samples: &[SampleRef],
        describe: impl Fn(u32) -> Description<'d>,
        emit: impl FnMut(Counts, &[u8]),
    ) {
        self.encode_packed(&Scrape { samples, ..Scrape::default() }, describe, emit);
    }

    /// The same with what comes beside samples.
    pub fn encode_packed<'d>(
        &mut self,
        scrape: &Scrape<'_>,
        describe: impl Fn(u32) -> Description<'d>,
        mut emit: impl FnMut(Counts, &[u8]),
    ) {
        let mut compressor = mem::take(&mut self.compressor);
        let packed = |counts, message: Vec<u8>| emit(counts, compressor.compress(&message));
        self.encode_raw(scrape, describe, packed);
        self.compressor = compressor;
    }

    /// As [`RecordEncoder::encode_packed`], without snappy.
    pub fn encode_raw<'d>(
        &mut self,
        scrape: &Scrape<'_>,
        describe: impl Fn(u32) -> Description<'d>,
        mut emit: impl FnMut(Counts, Vec<u8>),
    ) {
        let samples = scrape.samples;
        let mut rest = samples;
        let mut at = 0;
        while !rest.is_empty() {
            if self.tables.len() == at {
                self.tables.push(Table::new(self.first_epoch));
            }
            self.tables[at].renew_if_bloated();
            let baseline = self.tables[at].baseline.0;
            let first = samples.len() - rest.len();
            let beside = Beside { first, scrape };
            let (mut counts, cut) = self.fill(at, rest, &beside, &describe);
            if cut == Cut::Bytes && baseline > 0 && self.tables[at].bytes() > baseline {
                // Garbage must not take the room of samples.
                self.tables[at].renew();
                (counts, _) = self.fill(at, rest, &beside, &describe);
            }
            let table = &mut self.tables[at];
            if table.baseline.0 == 0 {
                table.baseline = (table.bytes(), table.blocks.len());
            }
            emit(counts, [table.symbols.encoded(), &table.series].concat());
            self.tables[at].forget_exemplars();
            rest = &rest[counts.samples as usize..];
            at += 1;
        }
        // A scrape with ten times the series was an accident: 0.7 MB for each of its records need not stay.
        for table in self.tables.drain(at..) {
            // Blocks remember these tables: another one in the place must not be taken for them.
            self.first_epoch = self.first_epoch.max(table.epoch.wrapping_add(1));
        }
    }

    #[cfg(test)]
    pub(super) fn tables(&self) -> usize {
        self.tables.len()
    }

    /// Writes as many of `samples` as fit into one record; at least one.
    fn fill<'d>(
        &mut self,
        at: usize,
        samples: &[SampleRef],
        beside: &Beside<'_>,
        describe: &impl Fn(u32) -> Description<'d>,
    ) -> (Counts, Cut) {
        let mut counts = Counts { samples: 0, markers: 0, min_timestamp: i64::MAX, max_timestamp: i64::MIN };
        self.tables[at].begin();
        let mut rest = &samples[..samples.len().min(self.limits.max_samples.max(1) as usize)];
        while !rest.is_empty() {
            let table = &mut self.tables[at];
            let plain = beside.plain_from(counts.samples as usize).min(rest.len());
            let repeated = table.repeat(&rest[..plain], self.limits.max_bytes);
            rest[..repeated].iter().for_each(|sample| counts.add(sample));
            rest = &rest[repeated..];
            let Some((sample, behind)) = rest.split_first() else { break };
            let before = (table.symbols.mark(), table.blocks.len());
            self.put_series(at, sample, beside.of(counts.samples as usize), describe);
            let table = &mut self.tables[at];
            let bytes = table.bytes() + table.series.len();
            if counts.samples > 0 && bytes > self.limits.max_bytes {
                // Its block may speak of symbols that are gone.
                if let Some(block) = self.blocks.get_mut(sample.slot as usize) {
                    *block = Block::default();
                }
                table.take_back();
                table.symbols.roll_back(before.0);
                table.blocks.truncate(before.1);
                return (counts, Cut::Bytes);
            }
            counts.add(sample);
            rest = behind;
        }
        (counts, Cut::Samples)
    }

    fn put_series<'d>(
        &mut self,
        at: usize,
        sample: &SampleRef,
        extras: Extras<'_>,
        describe: &impl Fn(u32) -> Description<'d>,
    ) {
        let slot = sample.slot as usize;
        if self.blocks.len() <= slot {
            self.blocks.resize(slot + 1, Block::default());
        }
        let table = &mut self.tables[at];
        let number = u32::try_from(at + 1).unwrap_or(u32::MAX);
        let block = &mut self.blocks[slot];
        if (block.generation, block.table, block.epoch) != (sample.generation, number, table.epoch) {
            encode_block(block, table, &mut self.refs, describe(sample.slot));
            (block.generation, block.table, block.epoch) = (sample.generation, number, table.epoch);
        }
        let Extras { histogram, exemplars } = extras;
        let SampleRef { slot, generation, value, timestamp, start } = *sample;
        self.data.clear();
        match histogram {
            Some(histogram) => self.histograms.put(histogram, timestamp, start, &mut self.data),
            None => {
                let field = field::started_sample_field(value, timestamp, start);
                self.data.extend_from_slice(field.as_slice());
            }
        }
        if !exemplars.is_empty() {
            table.remember_symbols();
            for exemplar in exemplars {
                put_exemplar(exemplar, &mut table.symbols, &mut self.refs, &mut self.data);
            }
        }
        let is_plain = histogram.is_none() && exemplars.is_empty();
        table.append(block, &self.data, if is_plain { (slot, generation) } else { NOT_REPEATED });
    }
}

/// No slot is this one.
const NOT_REPEATED: (u32, u32) = (u32::MAX, 0);

fn encode_block(block: &mut Block, table: &mut Table, refs: &mut Vec<u8>, what: Description<'_>) {
    let Table { symbols, blocks, .. } = table;
    refs.clear();
    for (name, value) in what.labels.iter() {
        field::put_varint(symbols.intern(name), refs);
        field::put_varint(symbols.intern(value), refs);
    }
    block.start = blocks.len();
    field::put_bytes(LABELS_REFS, refs, blocks);
    block.split = blocks.len();

    let mut metadata = mem::take(refs);
    metadata.clear();
    if what.metric_type != MetricType::Unknown {
        field::put_u32(1, what.metric_type as u32, &mut metadata);
    }
    if !what.help.is_empty() {
        field::put_u32(3, symbols.intern(what.help), &mut metadata);
    }
    if !what.unit.is_empty() {
        field::put_u32(4, symbols.intern(what.unit), &mut metadata);
    }
    if !metadata.is_empty() {
        field::put_bytes(METADATA, &metadata, blocks);
    }
    block.end = blocks.len();
    *refs = metadata;
}
