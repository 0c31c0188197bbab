use std::ops::RangeInclusive;

use super::{STALE_MARKER_BITS, stale_marker};

/// Schemas whose bounds are powers of `2^(2^-schema)`.
pub const EXPONENTIAL_SCHEMAS: RangeInclusive<i32> = -4..=8;

/// The schema whose bounds are [`Buckets::custom_bounds`].
pub const CUSTOM_BOUNDS_SCHEMA: i32 = -53;

/// A native histogram (remote-write 2.23): one sample with buckets of its own.
#[derive(Clone, Debug, PartialEq)]
pub enum Histogram {
    /// Observations are counted.
    Integer(Buckets<u64>),
    /// Counts may be any number, as after an aggregation.
    Float(Buckets<f64>),
}

/// What a native histogram has counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Buckets<N> {
    /// One of [`EXPONENTIAL_SCHEMAS`], or [`CUSTOM_BOUNDS_SCHEMA`].
    pub schema: i32,
    /// Of all observations, those that are not a number included.
    pub count: N,
    /// Of all observed values; the staleness marker's bits end the series (remote-write 2.16).
    pub sum: f64,
    /// Observations up to this far from zero are in the zero bucket.
    pub zero_threshold: f64,
    /// The zero bucket.
    pub zero_count: N,
    /// Buckets below zero, from the one next to it downwards.
    pub negative: Side<N>,
    /// Buckets above zero, from the one next to it upwards.
    pub positive: Side<N>,
    /// Upper bounds of the positive buckets, ascending, without infinity; empty with any other schema.
    pub custom_bounds: Vec<f64>,
    /// Whether it may go down: a gauge histogram.
    pub is_gauge: bool,
}

/// Buckets on one side of zero. None of them is empty, as Prometheus stores them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Side<N> {
    /// Runs of buckets: as many as there are counts.
    pub spans: Vec<Span>,
    /// Observations in each bucket, not cumulated.
    pub counts: Vec<N>,
    /// The index behind the last bucket.
    next: i64,
}

/// A run of buckets with successive indices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// How far it begins behind the end of the span before; the index of its bucket if it is the first.
    pub offset: i32,
    /// Buckets in it.
    pub length: u32,
}

/// Why a bucket cannot stand where it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexFault {
    /// Its index, or the gap before it, is none of 32 bits.
    Overflow,
    /// It is so many buckets before the end of those before.
    Behind(i64),
}

impl<N> Side<N> {
    /// Makes it empty, and keeps its memory.
    pub fn clear(&mut self) {
        self.spans.clear();
        self.counts.clear();
        self.next = 0;
    }

    /// Adds a bucket behind those before.
    ///
    /// # Errors
    /// When it is not behind them, or a span cannot tell where it is.
    pub fn push(&mut self, index: i64, count: N) -> Result<(), IndexFault> {
        i32::try_from(index).map_err(|_| IndexFault::Overflow)?;
        match self.spans.last_mut() {
            Some(_) if index < self.next => return Err(IndexFault::Behind(self.next - index)),
            Some(span) if index == self.next => span.length += 1,
            Some(_) | None => {
                let offset = i32::try_from(index - self.next).map_err(|_| IndexFault::Overflow)?;
                self.spans.push(Span { offset, length: 1 });
            }
        }
        self.next = index + 1;
        self.counts.push(count);
        Ok(())
    }
}

#[cfg(test)]
impl<N: Default> Side<N> {
    /// Buckets by their indices, which ascend.
    pub(crate) fn of(buckets: impl IntoIterator<Item = (i64, N)>) -> Self {
        let mut side = Self::default();
        for (index, count) in buckets {
            side.push(index, count).unwrap();
        }
        side
    }
}

impl<N: Default> Buckets<N> {
    /// Makes it one without observations, and keeps its memory.
    pub fn clear(&mut self) {
        let Self { negative, positive, custom_bounds, .. } = std::mem::take(self);
        *self = Self { negative, positive, custom_bounds, ..Self::default() };
        self.negative.clear();
        self.positive.clear();
        self.custom_bounds.clear();
    }
}

impl<N> Buckets<N> {
    fn size(&self, bytes: impl Fn(&[N]) -> usize) -> HistogramSize {
        let Self { negative, positive, custom_bounds, .. } = self;
        HistogramSize {
            spans: negative.spans.len() + positive.spans.len(),
            counts: negative.counts.len() + positive.counts.len() + custom_bounds.len(),
            bytes: bytes(&negative.counts) + bytes(&positive.counts) + size_of_val(custom_bounds.as_slice()),
        }
    }

    fn room(&self) -> usize {
        let side = |side: &Side<N>| side.spans.capacity() + side.counts.capacity();
        side(&self.negative) + side(&self.positive) + self.custom_bounds.capacity()
    }
}

/// Bytes of the differences between counts, as varints.
fn deltas_len(counts: &[u64]) -> usize {
    let before = [0].iter().chain(counts);
    let delta = |(count, before): (&u64, &u64)| {
        // With a bit for the sign.
        let bits = u64::BITS + 1 - count.abs_diff(*before).leading_zeros();
        bits.div_ceil(7) as usize
    };
    counts.iter().zip(before).map(delta).sum()
}

impl Default for Histogram {
    /// One without observations.
    fn default() -> Self {
        Self::Integer(Buckets::default())
    }
}

impl Histogram {
    /// What ends a series of histograms of this kind (remote-write 2.16). That of custom buckets has their schema, without bounds: a
    /// message of 1.0, which has no place for the series, leaves its end out too (2.24).
    #[must_use]
    pub fn stale(kind: HistogramKind) -> Self {
        fn of<N: Default>(schema: i32) -> Buckets<N> {
            Buckets { schema, sum: stale_marker(), ..Buckets::default() }
        }
        match kind {
            HistogramKind::Integer => Self::Integer(of(0)),
            HistogramKind::Float => Self::Float(of(0)),
            HistogramKind::CustomInteger => Self::Integer(of(CUSTOM_BOUNDS_SCHEMA)),
            HistogramKind::CustomFloat => Self::Float(of(CUSTOM_BOUNDS_SCHEMA)),
        }
    }

    /// Whether it ends its series.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.sum().to_bits() == STALE_MARKER_BITS
    }

    /// Of all observed values.
    #[must_use]
    pub const fn sum(&self) -> f64 {
        match self {
            Self::Integer(buckets) => buckets.sum,
            Self::Float(buckets) => buckets.sum,
        }
    }

    /// Which kind it is.
    #[must_use]
    pub const fn kind(&self) -> HistogramKind {
        match self {
            Self::Integer(Buckets { schema: CUSTOM_BOUNDS_SCHEMA, .. }) => HistogramKind::CustomInteger,
            Self::Float(Buckets { schema: CUSTOM_BOUNDS_SCHEMA, .. }) => HistogramKind::CustomFloat,
            Self::Integer(_) => HistogramKind::Integer,
            Self::Float(_) => HistogramKind::Float,
        }
    }

    /// Makes it one of integers without observations; memory of such a one is kept.
    pub fn as_integer(&mut self) -> &mut Buckets<u64> {
        if let Self::Float(_) = self {
            *self = Self::Integer(Buckets::default());
        }
        match self {
            Self::Integer(buckets) => {
                buckets.clear();
                buckets
            }
            Self::Float(_) => unreachable!("it has just become one of integers"),
        }
    }

    /// Makes it one of floats without observations; memory of such a one is kept.
    pub fn as_float(&mut self) -> &mut Buckets<f64> {
        if let Self::Integer(_) = self {
            *self = Self::Float(Buckets::default());
        }
        match self {
            Self::Float(buckets) => {
                buckets.clear();
                buckets
            }
            Self::Integer(_) => unreachable!("it has just become one of floats"),
        }
    }

    /// How large it is.
    #[must_use]
    pub fn size(&self) -> HistogramSize {
        match self {
            Self::Integer(buckets) => buckets.size(deltas_len),
            Self::Float(buckets) => buckets.size(size_of_val),
        }
    }

    /// How many spans, buckets and custom bounds there is memory for; each takes 8 bytes.
    #[must_use]
    pub fn room(&self) -> usize {
        match self {
            Self::Integer(buckets) => buckets.room(),
            Self::Float(buckets) => buckets.room(),
        }
    }
}

/// How large a native histogram is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HistogramSize {
    /// On both sides.
    pub spans: usize,
    /// Buckets and custom bounds.
    pub counts: usize,
    /// What these take in a message: floats as they are, integers as the differences between them.
    pub bytes: usize,
}

/// How a native histogram counts, and whether its buckets are of an exponential schema or its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HistogramKind {
    /// In integers.
    Integer,
    /// In floats.
    Float,
    /// In integers, with custom bounds.
    CustomInteger,
    /// In floats, with custom bounds.
    CustomFloat,
}

/// What the samples of a series are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SampleKind {
    /// Floats.
    #[default]
    Float,
    /// Native histograms.
    Histogram(HistogramKind),
}

/// A native histogram that is a sample.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HistogramSample {
    /// Its place among the samples of its scrape; that sample's value is its sum.
    pub sample: usize,
    /// It.
    pub histogram: Histogram,
}
