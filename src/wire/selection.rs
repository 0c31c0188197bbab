//! What of a record an endpoint is sent: its settings switch parts off, and 1.0 has no place for some.

use super::DecodeError;
use super::field::{self, Value};
use super::view::{self, Histogram};
use crate::model::Escaping;

const TIMESERIES: u32 = 5;
// Of a 2.0 series.
const HISTOGRAMS: u32 = 3;
const EXEMPLARS: u32 = 4;

/// What of a record is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Exemplars, beside their samples.
    pub exemplars: bool,
    /// Native histograms; a series of them is left out otherwise.
    pub native_histograms: bool,
    /// Names that are no classic ones; asked for as 1.0 only, since 2.0 takes any name (remote-write 1.12, 2.10).
    pub names: Names,
}

/// What becomes of metric and label names that are no classic ones in a message of 1.0 (remote-write 4.24).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// They are spelled by this scheme; classic names stay as they are, as in Prometheus's exposition.
    Escaped(Escaping),
    /// The series is not sent.
    Dropped,
}

impl Default for Selection {
    /// Everything, with names that every receiver of 1.0 takes.
    fn default() -> Self {
        Self { exemplars: true, native_histograms: true, names: Names::Escaped(Escaping::Underscores) }
    }
}

/// Why an entry of a record is not in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unsent {
    /// Native histograms are switched off.
    NativeHistogram,
    /// A native histogram with custom bounds, for which 1.0 has no place (remote-write 2.24).
    CustomBuckets,
    /// A name that is no classic one, which are to be dropped.
    Utf8Name,
    /// Two of its label names became one (remote-write 1.11).
    LabelClash,
    /// It became another series that has a sample at the same time (remote-write 1.13).
    SeriesClash,
}

/// What of one series is sent.
pub(super) enum Part<'a> {
    Whole(&'a [u8]),
    /// Without its exemplars.
    Stripped(&'a [u8]),
    LeftOut(Unsent),
}

impl Selection {
    /// Whether records go as they are to an endpoint of 2.0.
    pub(super) const fn is_everything(&self) -> bool {
        self.exemplars && self.native_histograms
    }

    /// Whether a record holds anything that is not sent.
    ///
    /// # Errors
    /// When the message is damaged.
    pub(super) fn concerns(&self, message: &[u8]) -> Result<bool, DecodeError> {
        let mut rest = message;
        while let Some((number, value)) = field::next(&mut rest)? {
            let (TIMESERIES, Value::Bytes(mut series)) = (number, value) else { continue };
            while let Some((number, _)) = field::next(&mut series)? {
                if (number == HISTOGRAMS && !self.native_histograms)
                    || (number == EXEMPLARS && !self.exemplars)
                {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// What of a 2.0 series is sent as 2.0; `out` is where it is written if it is not all.
    ///
    /// # Errors
    /// When the series is damaged.
    pub(super) fn part<'a>(&self, series: &'a [u8], out: &'a mut Vec<u8>) -> Result<Part<'a>, DecodeError> {
        if self.is_everything() {
            return Ok(Part::Whole(series));
        }
        let parsed = view::read_series(series)?;
        if parsed.is_plain {
            return Ok(Part::Whole(series));
        }
        if !self.native_histograms && parsed.histogram.is_some() {
            return Ok(Part::LeftOut(Unsent::NativeHistogram));
        }
        if self.exemplars {
            return Ok(Part::Whole(series));
        }
        out.clear();
        let (mut rest, mut before) = (series, series);
        while let Some((number, _)) = field::next(&mut rest)? {
            let raw = &before[..before.len() - rest.len()];
            before = rest;
            if number != EXEMPLARS {
                out.extend_from_slice(raw);
            }
        }
        Ok(Part::Stripped(out))
    }

    /// Why a series cannot go as 1.0 for what its samples are, if it cannot.
    pub(super) const fn refuses(&self, histogram: Option<Histogram>) -> Option<Unsent> {
        match histogram {
            Some(_) if !self.native_histograms => Some(Unsent::NativeHistogram),
            Some(Histogram { has_custom_bounds: true, .. }) => Some(Unsent::CustomBuckets),
            Some(Histogram { has_custom_bounds: false, .. }) | None => None,
        }
    }
}
