//! Protobuf fields by hand, on top of `prost::encoding`: what the hot path writes and reads without building messages.

use prost::bytes::Buf;
use prost::encoding::{self, WireType};

use super::DecodeError;

/// Bytes of a varint.
pub(super) fn varint_len(value: u64) -> usize {
    encoding::encoded_len_varint(value)
}

/// Appends a bare varint.
pub(super) fn put_varint(value: u32, out: &mut Vec<u8>) {
    encoding::encode_varint(u64::from(value), out);
}

/// Appends a varint field.
pub(super) fn put_u32(field: u32, value: u32, out: &mut Vec<u8>) {
    encoding::encode_key(field, WireType::Varint, out);
    put_varint(value, out);
}

/// Appends a length-delimited field's key and length.
pub(super) fn put_len(field: u32, len: usize, out: &mut Vec<u8>) {
    encoding::encode_key(field, WireType::LengthDelimited, out);
    encoding::encode_varint(len as u64, out);
}

/// Appends a string or bytes field.
pub(super) fn put_bytes(field: u32, value: &[u8], out: &mut Vec<u8>) {
    put_len(field, value.len(), out);
    out.extend_from_slice(value);
}

/// Bytes of a string field whose number is below 16.
pub(super) fn bytes_len(value: &[u8]) -> usize {
    1 + varint_len(value.len() as u64) + value.len()
}

/// Bytes of a `Sample` message's fields 1 (value) and 2 (timestamp, ms since the epoch), the same numbers in 1.0 and 2.0.
pub(super) fn sample_len(value: f64, timestamp: i64) -> usize {
    let value_len = if value.to_bits() == 0 { 0 } else { 9 };
    #[expect(clippy::cast_sign_loss, reason = "protobuf writes a negative int64 as its two's complement")]
    let timestamp_len = if timestamp == 0 { 0 } else { 1 + varint_len(timestamp as u64) };
    value_len + timestamp_len
}

/// Appends the fields that [`sample_len`] counts. A value goes as bits, so the staleness marker and -0.0 survive (prost omits -0.0).
pub(super) fn put_sample(value: f64, timestamp: i64, out: &mut Vec<u8>) {
    if value.to_bits() != 0 {
        encoding::encode_key(1, WireType::SixtyFourBit, out);
        out.extend_from_slice(&value.to_bits().to_le_bytes());
    }
    if timestamp != 0 {
        encoding::encode_key(2, WireType::Varint, out);
        #[expect(
            clippy::cast_sign_loss,
            reason = "protobuf writes a negative int64 as its two's complement"
        )]
        encoding::encode_varint(timestamp as u64, out);
    }
}

/// One field of a message, as it stands in the buffer.
pub(super) enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32,
}

/// Takes the next field off the front of `message`; `None` at its end.
pub(super) fn next<'a>(message: &mut &'a [u8]) -> Result<Option<(u32, Value<'a>)>, DecodeError> {
    if message.is_empty() {
        return Ok(None);
    }
    let (field, wire_type) = encoding::decode_key(message)?;
    let value = match wire_type {
        WireType::Varint => Value::Varint(encoding::decode_varint(message)?),
        WireType::SixtyFourBit => {
            Value::Fixed64(message.try_get_u64_le().map_err(|_| DecodeError::Truncated)?)
        }
        WireType::LengthDelimited => {
            let len =
                usize::try_from(encoding::decode_varint(message)?).map_err(|_| DecodeError::Truncated)?;
            let (bytes, rest) = message.split_at_checked(len).ok_or(DecodeError::Truncated)?;
            *message = rest;
            Value::Bytes(bytes)
        }
        WireType::ThirtyTwoBit => {
            message.try_get_u32_le().map_err(|_| DecodeError::Truncated)?;
            Value::Fixed32
        }
        WireType::StartGroup | WireType::EndGroup => return Err(DecodeError::UnexpectedField(field)),
    };
    Ok(Some((field, value)))
}
