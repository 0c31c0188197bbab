use std::collections::HashSet;

use super::fields;
use super::histogram::{CUSTOM_BOUNDS, Histogram};
use super::protocol::Protocol;
use super::store::Sample;
use super::violation::Violation;
use crate::model::Labels;
use crate::wire::decode::{DecodeError, decode_v1, decode_v2};
use crate::wire::snappy;

/// The first ten bytes of the framed format (remote-write 1.05).
const FRAMED_MAGIC: &[u8] = b"\xff\x06\x00\x00sNaPpY";

/// One series of a request, exactly as it came: unchecked, unsorted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    /// Names and values in the order of the message.
    pub labels: Vec<(String, String)>,
    /// In the order of the message.
    pub samples: Vec<Sample>,
    /// Native histograms, in the order of the message.
    pub histograms: Vec<Histogram>,
    /// Exemplars, counted only.
    pub exemplars: usize,
}

/// What a 1.0 request says of a metric family, exactly as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// As remote-write numbers them.
    pub metric_type: i32,
    /// Its name.
    pub family: String,
    /// May be empty.
    pub help: String,
    /// May be empty.
    pub unit: String,
}

/// A request's body, decoded.
#[derive(Debug, Default)]
pub(super) struct Decoded {
    pub(super) series: Vec<Series>,
    /// Of 1.0; 2.0 has it beside the samples.
    pub(super) metadata: Vec<Metadata>,
    /// Length of the message before compression, bytes.
    pub(super) message_bytes: usize,
    /// Rules of 2.07 to 2.15 that are broken although everything could be decoded.
    pub(super) violations: Vec<Violation>,
}

/// Decodes a body: snappy block, known fields only, the message of this protocol.
///
/// # Errors
/// The first rule of 1.05, 1.06 and 2.06 to 2.08 that leaves nothing to decode.
pub(super) fn decode(
    body: &[u8],
    protocol: Protocol,
    max_message_bytes: usize,
) -> Result<Decoded, Violation> {
    if body.starts_with(FRAMED_MAGIC) {
        return Err(Violation::FramedSnappy);
    }
    let mut message = Vec::new();
    snappy::decompress_into(body, max_message_bytes, &mut message).map_err(violation)?;
    let mut decoded = match protocol {
        Protocol::V1 => {
            fields::check(&message)?;
            v1(body, max_message_bytes)?
        }
        Protocol::V2 => {
            fields::check_v2(&message)?;
            v2(body, max_message_bytes)?
        }
    };
    decoded.message_bytes = message.len();
    Ok(decoded)
}

fn v1(body: &[u8], max_message_bytes: usize) -> Result<Decoded, Violation> {
    let request = decode_v1(body, max_message_bytes).map_err(violation)?;
    let mut violations = Vec::new();
    for series in &request.timeseries {
        let shown = || -> Labels { series.labels.iter().map(|label| (&label.name, &label.value)).collect() };
        if series.histograms.iter().any(|histogram| histogram.schema == CUSTOM_BOUNDS) {
            violations.push(Violation::CustomBounds(shown()));
        }
        if !series.samples.is_empty() && !series.histograms.is_empty() {
            violations.push(Violation::MixedData { rule: "1.07", series: shown() });
        }
    }
    let metadata = request.metadata.into_iter().map(|entry| Metadata {
        metric_type: entry.r#type,
        family: entry.metric_family_name,
        help: entry.help,
        unit: entry.unit,
    });
    let metadata = metadata.collect();
    let series = request.timeseries.into_iter().map(|series| Series {
        labels: series.labels.into_iter().map(|label| (label.name, label.value)).collect(),
        samples: series
            .samples
            .iter()
            .map(|sample| Sample { timestamp: sample.timestamp, bits: sample.value.to_bits() })
            .collect(),
        histograms: series.histograms.into_iter().map(Histogram::from).collect(),
        exemplars: series.exemplars.len(),
    });
    Ok(Decoded { series: series.collect(), metadata, violations, ..Decoded::default() })
}

fn v2(body: &[u8], max_message_bytes: usize) -> Result<Decoded, Violation> {
    let request = decode_v2(body, max_message_bytes).map_err(|error| match violation(error) {
        Violation::Message(what) => Violation::MessageV2(what),
        other => other,
    })?;
    let mut decoded = Decoded { violations: symbols(&request.symbols), ..Decoded::default() };
    let symbol = |reference: u32| {
        let symbol = request.symbols.get(reference as usize);
        symbol.ok_or(Violation::Reference { reference, symbols: request.symbols.len() })
    };
    for (number, series) in request.timeseries.into_iter().enumerate() {
        let labels = |refs: &[u32]| {
            if !refs.len().is_multiple_of(2) {
                return Err(Violation::OddReferences(number));
            }
            refs.chunks(2).map(|pair| Ok((symbol(pair[0])?.clone(), symbol(pair[1])?.clone()))).collect()
        };
        if series.labels_refs.is_empty() {
            decoded.violations.push(Violation::NoReferences(number));
        }
        let named: Vec<(String, String)> = labels(&series.labels_refs)?;
        let shown = || -> Labels { named.iter().map(|(name, value)| (name, value)).collect() };
        match (series.samples.is_empty(), series.histograms.is_empty()) {
            (true, true) => decoded.violations.push(Violation::NoData(shown())),
            (false, false) => {
                decoded.violations.push(Violation::MixedData { rule: "2.09", series: shown() });
            }
            (true, false) | (false, true) => {}
        }
        for exemplar in &series.exemplars {
            labels(&exemplar.labels_refs)?;
            if exemplar.timestamp == 0 {
                decoded.violations.push(Violation::ExemplarTime(shown()));
            }
        }
        if let Some(metadata) = &series.metadata {
            symbol(metadata.help_ref)?;
            symbol(metadata.unit_ref)?;
        }
        let samples = series.samples.iter();
        let samples =
            samples.map(|sample| Sample { timestamp: sample.timestamp, bits: sample.value.to_bits() });
        decoded.series.push(Series {
            samples: samples.collect(),
            histograms: series.histograms.into_iter().map(Histogram::from).collect(),
            exemplars: series.exemplars.len(),
            labels: named,
        });
    }
    Ok(decoded)
}

/// What is wrong with a symbol table (2.08).
fn symbols(symbols: &[String]) -> Vec<Violation> {
    let mut violations = Vec::new();
    match symbols.first() {
        None => violations.push(Violation::NoSymbols),
        Some(first) if !first.is_empty() => violations.push(Violation::FirstSymbol(first.clone())),
        Some(_) => {}
    }
    let mut seen = HashSet::new();
    if let Some(double) = symbols.iter().find(|symbol| !seen.insert(symbol.as_str())) {
        violations.push(Violation::RepeatedSymbol(double.clone()));
    }
    violations
}

fn violation(error: DecodeError) -> Violation {
    match error {
        DecodeError::Snappy(_) | DecodeError::TooLarge { .. } | DecodeError::Unfounded { .. } => {
            Violation::Snappy(error.to_string())
        }
        DecodeError::Protobuf(_)
        | DecodeError::Truncated
        | DecodeError::UnexpectedField(_)
        | DecodeError::Reference { .. }
        | DecodeError::OddReferences
        | DecodeError::Utf8 => Violation::Message(error.to_string()),
    }
}
