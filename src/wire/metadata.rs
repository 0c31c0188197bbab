//! What records say of their families (type, help, unit), as 1.0 has it: entries of `WriteRequest.metadata`, in requests of their own
//! (remote-write 1.07).
//!
//! Read from the records themselves, which carry it with each series (remote-write 2.14): so it is known from the first record of a process
//! on, an older process's included, and names are those under which samples are sent. A record does not say what its families are called;
//! that is the series' name without what its type adds (remote-write 4.30). `_total` stays: it is part of the family's name in the text and
//! protobuf formats and not in OpenMetrics, and a family should not change its name with the format of a scrape.

use std::collections::BTreeMap;

use super::field::{self, Value};
use super::snappy::{self, Compressor};
use super::v1::names::metric_name;
use super::view::{self, Series, Symbols};
use super::{DecodeError, MAX_RECORD_BYTES, Names};
use crate::model::{METRIC_NAME, MetricType};

const TIMESERIES: u32 = 5;
/// Of a 2.0 series.
const METADATA: u32 = 5;
/// Of `WriteRequest`.
const ENTRIES: u32 = 3;

/// An engine has 80 families.
const MAX_FAMILIES: usize = 10_000;
/// Of names, helps and units.
const MAX_BYTES: usize = 2 << 20;

/// The families of a scrape's records; bounded.
#[derive(Debug, Default)]
pub struct Families {
    /// By name: each with its entry, encoded.
    entries: BTreeMap<String, Vec<u8>>,
    bytes: usize,
    left_out: u64,
    symbols: Symbols,
}

impl Families {
    /// Forgets all.
    pub fn clear(&mut self) {
        self.entries = BTreeMap::new();
        (self.bytes, self.left_out) = (0, 0);
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Families, or series of them, for which there was no room.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Adds the families of a stored record's series, but of those that end with it. The first that says something of a family counts.
    ///
    /// # Errors
    /// When the payload is damaged; what was read before the damage is in.
    pub fn read(&mut self, payload: &[u8], names: Names) -> Result<(), DecodeError> {
        // Not kept: a record has up to 1 MiB, and is looked at once a minute.
        let mut record = Vec::new();
        snappy::decompress_into(payload, MAX_RECORD_BYTES, &mut record)?;
        self.read_raw(&record, names)
    }

    /// As [`Families::read`], of a record that is no snappy block yet.
    ///
    /// # Errors
    /// When the message is damaged; what was read before the damage is in.
    pub fn read_raw(&mut self, record: &[u8], names: Names) -> Result<(), DecodeError> {
        self.symbols.read(record)?;
        let mut rest = record;
        while let Some((number, value)) = field::next(&mut rest)? {
            let (TIMESERIES, Value::Bytes(message)) = (number, value) else { continue };
            let series = view::read_series(message)?;
            if series.is_stale() {
                continue;
            }
            self.add(record, message, &series, names)?;
        }
        Ok(())
    }

    fn add(
        &mut self,
        record: &[u8],
        message: &[u8],
        series: &Series<'_>,
        names: Names,
    ) -> Result<(), DecodeError> {
        let Some(told) = self.told(record, message)? else { return Ok(()) };
        let (mut name, mut has_own_label) = ("", false);
        for pair in series.labels() {
            let (label, value) = pair?;
            match self.symbols.text(record, label)? {
                METRIC_NAME => name = self.symbols.text(record, value)?,
                "quantile" => has_own_label = true,
                _ => {}
            }
        }
        let is_whole = series.histogram.is_some() || has_own_label;
        let family = if is_whole { name } else { family_of(name, told.metric_type) };
        let Some(family) = metric_name(names, family).filter(|family| !family.is_empty()) else {
            return Ok(());
        };
        if self.entries.contains_key(family.as_ref()) {
            return Ok(());
        }
        let mut entry = Vec::new();
        if told.metric_type != MetricType::Unknown as u64 {
            field::put_u32(1, u32::try_from(told.metric_type).unwrap_or_default(), &mut entry);
        }
        for (number, text) in [(2, family.as_ref()), (4, told.help), (5, told.unit)] {
            if !text.is_empty() {
                field::put_bytes(number, text.as_bytes(), &mut entry);
            }
        }
        if self.entries.len() >= MAX_FAMILIES || self.bytes + entry.len() > MAX_BYTES {
            self.left_out += 1;
            return Ok(());
        }
        self.bytes += entry.len();
        entry.shrink_to_fit();
        self.entries.insert(family.into_owned(), entry);
        Ok(())
    }

    /// What a series says of its family; `None` if nothing.
    fn told<'r>(&self, record: &'r [u8], mut series: &[u8]) -> Result<Option<Told<'r>>, DecodeError> {
        let mut told = None;
        while let Some((number, value)) = field::next(&mut series)? {
            let (METADATA, Value::Bytes(mut metadata)) = (number, value) else { continue };
            let found = told.get_or_insert(Told { metric_type: 0, help: "", unit: "" });
            while let Some((number, value)) = field::next(&mut metadata)? {
                let Value::Varint(value) = value else { continue };
                let reference = u32::try_from(value).unwrap_or(u32::MAX);
                match number {
                    1 => found.metric_type = value,
                    3 => found.help = self.symbols.text(record, reference)?,
                    4 => found.unit = self.symbols.text(record, reference)?,
                    _ => {}
                }
            }
        }
        Ok(told.filter(|told| told.metric_type != 0 || !told.help.is_empty() || !told.unit.is_empty()))
    }

    /// All families in the order of their names, as bodies of requests with at most so many entries, and so many bytes before compression
    /// (but at least one entry). None without families.
    #[must_use]
    pub fn bodies(&self, max_entries: usize, max_bytes: usize) -> Vec<Vec<u8>> {
        let mut compressor = Compressor::default();
        let (mut bodies, mut message, mut entries) = (Vec::new(), Vec::new(), 0);
        for entry in self.entries.values() {
            let length = field::bytes_len(entry);
            if entries > 0 && (entries >= max_entries || message.len() + length > max_bytes) {
                bodies.push(compressor.compress(&message).to_vec());
                message.clear();
                entries = 0;
            }
            field::put_bytes(ENTRIES, entry, &mut message);
            entries += 1;
        }
        if entries > 0 {
            bodies.push(compressor.compress(&message).to_vec());
        }
        bodies
    }
}

/// What a series says of its family.
struct Told<'r> {
    /// The numbers are the same in both versions.
    metric_type: u64,
    help: &'r str,
    unit: &'r str,
}

/// The name of a series without what its type adds to that of its family (remote-write 4.30).
fn family_of(name: &str, metric_type: u64) -> &str {
    const HISTOGRAM: u64 = MetricType::Histogram as u64;
    const GAUGE_HISTOGRAM: u64 = MetricType::GaugeHistogram as u64;
    const SUMMARY: u64 = MetricType::Summary as u64;
    let parts: &[&str] = match metric_type {
        HISTOGRAM => &["_bucket", "_sum", "_count"],
        GAUGE_HISTOGRAM => &["_bucket", "_gsum", "_gcount"],
        SUMMARY => &["_sum", "_count"],
        _ => &[],
    };
    parts.iter().find_map(|part| name.strip_suffix(part)).unwrap_or(name)
}
