//! The last gate before a request: what a receiver swallows in silence, chokes on, or has refused before, stays out of it.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, Hasher as _, RandomState};

use bytes::Bytes;

use super::outcome::Cause;
use super::quarantine::Quarantine;
use super::text::one_line;
use crate::model::{Labels, METRIC_NAME};
use crate::queue::{Form, Position, Record};
use crate::wire::DecodeError;
use crate::wire::excerpt::{Entry, Excerpt};

/// Further ahead than Prometheus takes a sample. A Prometheus before 3 does take it, and then refuses every sample of today
/// (receivers section 3).
const MAX_AHEAD_MS: i64 = 10 * 60 * 1000;

/// A label set, hashed with keys of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct SeriesId(pub(super) u64);

impl SeriesId {
    /// All series of native histograms. A label set with this hash is as unlikely as two that share one.
    pub(super) const HISTOGRAMS: Self = Self(0);
}

/// A record without what must not be sent.
#[derive(Clone, Debug)]
pub(super) struct Sifted {
    /// The rest of the record.
    pub(super) payload: Bytes,
    /// Numbers of the entries that are not in it, ascending.
    pub(super) left_out: Vec<(u32, Cause)>,
}

/// Looks at records entry by entry where there is a reason to. There is none while everything works: what this process has
/// queued comes from its own encoder, whose label sets are sorted, without doubles and empty names, and checked when a series
/// appears (`scrape`, `model::Labels`); one record holds a series once. So only headers are compared, and a record is read
///
/// - if another process has queued it, maybe an older version,
/// - while a search for refused samples is on, or a series is quarantined,
/// - if its newest sample is too far ahead of the clock,
/// - if it begins before the end of the record before it in the request.
#[derive(Debug)]
pub(super) struct Sieve {
    excerpt: Excerpt,
    hasher: RandomState,
    /// The first sequence of this process.
    own_from: u64,
    /// Read every record.
    pub(super) suspicious: bool,
    pub(super) quarantine: Quarantine,
    /// Samples that got 500 again and again while others may get through: left out, not booked yet.
    pub(super) aside: BTreeSet<Position>,
    /// So are all native histograms.
    pub(super) without_histograms: bool,
    /// The newest sample of each series in the request, of the records that were read.
    newest: HashMap<SeriesId, i64>,
    /// Records of the request were not read.
    unread: bool,
    /// The largest timestamp of the request's records.
    end: i64,
    /// A series for each cause, for the log.
    examples: Vec<(Cause, String)>,
    /// Causes of the endpoint's settings for which there was one.
    shown: BTreeSet<Cause>,
}

impl Sieve {
    /// `own_from` is the queue's end when this process began to fill it.
    pub(super) fn new(own_from: u64) -> Self {
        Self {
            excerpt: Excerpt::default(),
            hasher: RandomState::new(),
            own_from,
            suspicious: false,
            quarantine: Quarantine::default(),
            aside: BTreeSet::new(),
            without_histograms: false,
            newest: HashMap::new(),
            unread: false,
            end: i64::MIN,
            examples: Vec::new(),
            shown: BTreeSet::new(),
        }
    }

    /// The next request begins.
    pub(super) fn begin(&mut self) {
        self.newest.clear();
        self.unread = false;
        self.end = i64::MIN;
    }

    /// What of the record from entry `from` on must not be sent; `None` if everything may. `earlier` are the records that
    /// are in the request already.
    ///
    /// # Errors
    /// When the record had to be read and is damaged.
    pub(super) fn sift<'r>(
        &mut self,
        record: &Record,
        from: u32,
        earlier: impl Iterator<Item = (&'r Record, u32)>,
        now: i64,
    ) -> Result<Option<Sifted>, DecodeError> {
        let meta = record.meta;
        let goes_back = meta.min_timestamp < self.end;
        self.end = self.end.max(meta.max_timestamp);
        let needed = record.sequence < self.own_from
            || self.suspicious
            || self.has_aside()
            || self.quarantine.is_active()
            || meta.max_timestamp > now.saturating_add(MAX_AHEAD_MS)
            || goes_back;
        if !needed {
            self.unread = true;
            return Ok(None);
        }
        if goes_back && std::mem::take(&mut self.unread) {
            self.newest.clear();
            for (record, from) in earlier {
                self.read(record, from, now)?;
            }
        }
        let left_out = self.read(record, from, now)?;
        if left_out.is_empty() {
            return Ok(None);
        }
        let numbers: Vec<u32> = left_out.iter().map(|(number, _)| *number).collect();
        let payload = Bytes::copy_from_slice(self.excerpt.without(&numbers));
        Ok(Some(Sifted { payload, left_out }))
    }

    /// Whether samples are set aside.
    pub(super) fn has_aside(&self) -> bool {
        !self.aside.is_empty()
    }

    /// The series of one entry, and how to name it.
    ///
    /// # Errors
    /// When the record is damaged.
    pub(super) fn series(&mut self, record: &Record, entry: u32) -> Result<(SeriesId, String), DecodeError> {
        self.open(record)?;
        match self.excerpt.entries(entry).next() {
            Some(found) => {
                let (_, found) = found?;
                Ok((id(&self.hasher, &found)?, name(&found)?))
            }
            None => Err(DecodeError::Truncated),
        }
    }

    /// Whether an entry is one of a native histogram.
    pub(super) fn is_histogram(&mut self, record: &Record, entry: u32) -> bool {
        let opened = self.open(record).is_ok();
        let found = self.excerpt.entries(entry).next();
        opened && matches!(found, Some(Ok((_, entry))) if entry.is_histogram)
    }

    /// Remembers the series of an entry that is left out by its endpoint's settings, if it is the first for this cause ever.
    pub(super) fn example(&mut self, cause: Cause, record: &Record, entry: u32) {
        if self.shown.insert(cause)
            && let Ok((_, name)) = self.series(record, entry)
        {
            self.examples.push((cause, name));
        }
    }

    /// The first series that was left out for each cause since the last call.
    pub(super) fn take_examples(&mut self) -> Vec<(Cause, String)> {
        std::mem::take(&mut self.examples)
    }

    fn open(&mut self, record: &Record) -> Result<(), DecodeError> {
        match record.form {
            Form::Packed => self.excerpt.read(&record.payload),
            Form::Raw(_) => self.excerpt.read_raw(&record.payload),
        }
    }

    fn read(&mut self, record: &Record, from: u32, now: i64) -> Result<Vec<(u32, Cause)>, DecodeError> {
        self.open(record)?;
        let mut left_out = Vec::new();
        for entry in self
            .excerpt
            .entries(from)
            .take_while(|entry| !matches!(entry, Ok((number, _)) if *number >= record.meta.samples))
        {
            let (number, entry) = entry?;
            let series = id(&self.hasher, &entry)?;
            let position = Position { sequence: record.sequence, entry: number };
            let newest = self.newest.get(&series).copied();
            let aside = self.aside.contains(&position) || self.without_histograms && entry.is_histogram;
            let is_held = |series| self.quarantine.holds(series);
            let cause = if aside {
                Some(Cause::Poison)
            } else if let Some(fault) = fault(&entry)? {
                Some(fault)
            } else if entry.timestamp > now.saturating_add(MAX_AHEAD_MS) {
                Some(Cause::TooFarAhead)
            } else if is_held(series) || entry.is_histogram && is_held(SeriesId::HISTOGRAMS) {
                Some(Cause::Quarantined)
            } else if newest.is_some_and(|newest| entry.timestamp <= newest) {
                Some(Cause::OutOfOrder)
            } else {
                None
            };
            match cause {
                Some(cause) => {
                    left_out.push((number, cause));
                    if !self.examples.iter().any(|(known, _)| *known == cause) {
                        self.examples.push((cause, name(&entry)?));
                    }
                }
                None => {
                    self.newest.insert(series, entry.timestamp);
                }
            }
        }
        Ok(left_out)
    }
}

/// What is wrong with a label set, if anything.
fn fault(entry: &Entry<'_>) -> Result<Option<Cause>, DecodeError> {
    let mut names: Vec<&[u8]> = Vec::new();
    let (mut utf8, mut named, mut double, mut nameless) = (true, false, false, false);
    for label in entry.labels() {
        let (name, value) = label?;
        utf8 &= std::str::from_utf8(name).is_ok() && std::str::from_utf8(value).is_ok();
        nameless |= name.is_empty();
        named |= name == METRIC_NAME.as_bytes() && !value.is_empty();
        double |= names.contains(&name);
        names.push(name);
    }
    Ok(if !utf8 {
        Some(Cause::InvalidUtf8)
    } else if double {
        Some(Cause::DuplicateLabel)
    } else if nameless {
        Some(Cause::EmptyLabelName)
    } else if !named {
        Some(Cause::NoMetricName)
    } else {
        None
    })
}

fn id(hasher: &RandomState, entry: &Entry<'_>) -> Result<SeriesId, DecodeError> {
    let mut hash = hasher.build_hasher();
    for label in entry.labels() {
        for part in <[&[u8]; 2]>::from(label?) {
            hash.write_usize(part.len());
            hash.write(part);
        }
    }
    Ok(SeriesId(hash.finish()))
}

/// As PromQL writes it, in one line.
fn name(entry: &Entry<'_>) -> Result<String, DecodeError> {
    let mut pairs = Vec::new();
    for label in entry.labels() {
        let (name, value) = label?;
        pairs.push((String::from_utf8_lossy(name), String::from_utf8_lossy(value)));
    }
    Ok(one_line(&Labels::from_iter(pairs).to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::v2::{Request, Sample, TimeSeries};
    use crate::queue::RecordMeta;
    use crate::remote::refusal::Blame;
    use crate::wire::decode::decode_v2;
    use prost::Message as _;

    const NOW: i64 = 1_000_000_000;

    type Labelled<'a> = (&'a [(&'a str, &'a str)], i64);

    fn record(sequence: u64, entries: &[Labelled<'_>]) -> Record {
        let mut symbols = vec![String::new()];
        let mut timeseries = Vec::new();
        for (labels, timestamp) in entries {
            let mut labels_refs = Vec::new();
            for (name, value) in *labels {
                for symbol in [name, value] {
                    labels_refs.push(u32::try_from(symbols.len()).unwrap());
                    symbols.push((*symbol).to_owned());
                }
            }
            let samples = vec![Sample { value: 1.0, timestamp: *timestamp, start_timestamp: 0 }];
            timeseries.push(TimeSeries { labels_refs, samples, ..TimeSeries::default() });
        }
        let payload = Request { symbols, timeseries }.encode_to_vec();
        let timestamps = || entries.iter().map(|(_, timestamp)| *timestamp);
        let meta = RecordMeta {
            samples: u32::try_from(entries.len()).unwrap(),
            markers: 0,
            min_timestamp: timestamps().min().unwrap(),
            max_timestamp: timestamps().max().unwrap(),
        };
        let payload = snap::raw::Encoder::new().compress_vec(&payload).unwrap().into();
        Record { sequence, meta, payload, form: Form::Packed }
    }

    fn up(timestamp: i64) -> Labelled<'static> {
        (&[("__name__", "up")], timestamp)
    }

    fn left_out(sieve: &mut Sieve, record: &Record) -> Vec<(u32, Cause)> {
        let sifted = sieve.sift(record, 0, std::iter::empty(), NOW).unwrap();
        sifted.map(|sifted| sifted.left_out).unwrap_or_default()
    }

    #[test]
    fn what_receivers_swallow_or_choke_on_stays_out() {
        let record = record(
            1,
            &[
                up(NOW),
                (&[("__name__", "a"), ("x", "1"), ("x", "2")], NOW),
                (&[("__name__", "a"), ("", "1")], NOW),
                (&[("x", "1")], NOW),
                (&[("__name__", ""), ("x", "1")], NOW),
                (&[("__name__", "a")], NOW + 600_001),
                (&[("__name__", "b")], NOW + 600_000),
                up(NOW),
                up(NOW - 1),
                up(NOW + 1),
            ],
        );
        let mut sieve = Sieve::new(2);
        let sifted = sieve.sift(&record, 0, std::iter::empty(), NOW).unwrap().unwrap();
        let expected = [
            (1, Cause::DuplicateLabel),
            (2, Cause::EmptyLabelName),
            (3, Cause::NoMetricName),
            (4, Cause::NoMetricName),
            (5, Cause::TooFarAhead),
            (7, Cause::OutOfOrder),
            (8, Cause::OutOfOrder),
        ];
        assert_eq!(sifted.left_out, expected);
        let rest = decode_v2(&sifted.payload, 1 << 20).unwrap();
        let kept: Vec<_> = rest.timeseries.iter().map(|series| series.samples[0].timestamp).collect();
        assert_eq!(kept, [NOW, NOW + 600_000, NOW + 1]);
        let examples = sieve.take_examples();
        assert_eq!(examples.len(), 5);
        assert_eq!(examples[0], (Cause::DuplicateLabel, r#"a{x="2"}"#.to_owned()));
    }

    #[test]
    fn a_string_that_is_no_utf8_costs_its_entry_only() {
        let mut record = record(1, &[up(NOW), (&[("__name__", "a"), ("x", "\u{7f}y")], NOW)]);
        let mut message = snap::raw::Decoder::new().decompress_vec(&record.payload).unwrap();
        let at = message.iter().position(|byte| *byte == 0x7f).unwrap();
        message[at] = 0xff;
        record.payload = snap::raw::Encoder::new().compress_vec(&message).unwrap().into();
        assert_eq!(left_out(&mut Sieve::new(2), &record), [(1, Cause::InvalidUtf8)]);
    }

    #[test]
    fn records_of_this_process_are_not_read_without_reason() {
        let mut unreadable = record(5, &[up(NOW)]);
        unreadable.payload = Bytes::from_static(b"never read");
        let mut sieve = Sieve::new(5);
        assert_eq!(left_out(&mut sieve, &unreadable), []);
        sieve.suspicious = true;
        assert!(sieve.sift(&unreadable, 0, std::iter::empty(), NOW).is_err());
    }

    #[test]
    fn a_clock_that_goes_back_is_seen_in_the_headers() {
        let (first, second) = (record(5, &[up(NOW)]), record(6, &[up(NOW - 1), (&[("__name__", "b")], NOW)]));
        let mut sieve = Sieve::new(5);
        sieve.begin();
        assert_eq!(left_out(&mut sieve, &first), []);
        let sifted = sieve.sift(&second, 0, [(&first, 0)].into_iter(), NOW).unwrap();
        assert_eq!(sifted.unwrap().left_out, [(0, Cause::OutOfOrder)]);
        // Another request: nothing is known of the one before.
        sieve.begin();
        assert_eq!(left_out(&mut sieve, &second), []);
    }

    #[tokio::test]
    async fn a_quarantined_series_and_samples_set_aside_stay_out() {
        let record = record(5, &[up(NOW), (&[("__name__", "b")], NOW), (&[("__name__", "c")], NOW)]);
        let mut sieve = Sieve::new(5);
        let (id, name) = sieve.series(&record, 1).unwrap();
        assert_eq!(name, "b");
        sieve.quarantine.convict(id, Blame::Series);
        assert_eq!(left_out(&mut sieve, &record), [(1, Cause::Quarantined)]);
        sieve.aside.insert(Position { sequence: 5, entry: 2 });
        sieve.begin();
        assert_eq!(left_out(&mut sieve, &record), [(1, Cause::Quarantined), (2, Cause::Poison)]);
    }
}
