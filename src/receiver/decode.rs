use super::fields;
use super::store::Sample;
use super::violation::Violation;
use crate::wire::decode::{DecodeError, decode_v1};
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
}

/// A request's body, decoded.
#[derive(Debug, Default)]
pub(super) struct Decoded {
    pub(super) series: Vec<Series>,
    /// Length of the message before compression, bytes.
    pub(super) message_bytes: usize,
}

/// Decodes a body: snappy block, known fields only, `prometheus.WriteRequest`.
///
/// # Errors
/// The first rule of 1.05 and 1.06 that is broken.
pub(super) fn decode(body: &[u8], max_message_bytes: usize) -> Result<Decoded, Violation> {
    if body.starts_with(FRAMED_MAGIC) {
        return Err(Violation::FramedSnappy);
    }
    let mut message = Vec::new();
    snappy::decompress_into(body, max_message_bytes, &mut message).map_err(violation)?;
    fields::check(&message)?;
    let request = decode_v1(body, max_message_bytes).map_err(violation)?;
    let series = request.timeseries.into_iter().map(|series| Series {
        labels: series.labels.into_iter().map(|label| (label.name, label.value)).collect(),
        samples: series
            .samples
            .iter()
            .map(|sample| Sample { timestamp: sample.timestamp, bits: sample.value.to_bits() })
            .collect(),
    });
    Ok(Decoded { series: series.collect(), message_bytes: message.len() })
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
