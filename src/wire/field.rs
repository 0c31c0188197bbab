//! Protobuf fields by hand, on top of `prost::encoding`: what the hot path writes and reads without building messages.

use std::ops::Range;

use prost::bytes::Buf;
use prost::encoding::{self, WireType};

use super::DecodeError;

/// Bytes of a varint.
pub(super) fn varint_len(value: u64) -> usize {
    encoding::encoded_len_varint(value)
}

/// Appends a bare varint.
pub(super) fn put_varint(value: u32, out: &mut Vec<u8>) {
    let mut short = Short::new();
    short.varint(u64::from(value));
    short.append_to(out);
}

/// Appends a varint field.
pub(super) fn put_u32(field: u32, value: u32, out: &mut Vec<u8>) {
    encoding::encode_key(field, WireType::Varint, out);
    put_varint(value, out);
}

/// Appends a length-delimited field's key and length.
#[inline]
pub(super) fn put_len(field: u32, len: usize, out: &mut Vec<u8>) {
    len_field(field, len).append_to(out);
}

/// A length-delimited field's key and length.
#[inline]
pub(super) fn len_field(field: u32, len: usize) -> Short {
    let mut short = Short::new();
    short.key(field, WireType::LengthDelimited);
    short.varint(len as u64);
    short
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

/// The bytes of a `Sample` message as a field of its series: 1 (value) and 2 (timestamp, ms since the epoch), the same numbers in 1.0 and
/// 2.0, and so is its own, 2. A value goes as bits, so the staleness marker and -0.0 survive (prost omits -0.0).
pub(super) fn sample_field(value: f64, timestamp: i64) -> Short {
    started_sample_field(value, timestamp, 0)
}

/// The same with 3, the start timestamp (ms since the epoch) of 2.0; 0 is none.
pub(super) fn started_sample_field(value: f64, timestamp: i64, start: i64) -> Short {
    const SAMPLES: u32 = 2;
    let mut field = Short::new();
    field.key(SAMPLES, WireType::LengthDelimited);
    let length_at = field.len;
    field.varint(0);
    if value.to_bits() != 0 {
        field.key(1, WireType::SixtyFourBit);
        field.fixed64(value.to_bits());
    }
    if timestamp != 0 {
        field.key(2, WireType::Varint);
        #[expect(
            clippy::cast_sign_loss,
            reason = "protobuf writes a negative int64 as its two's complement"
        )]
        field.varint(timestamp as u64);
    }
    if start != 0 {
        field.key(3, WireType::Varint);
        #[expect(clippy::cast_sign_loss, reason = "as above")]
        field.varint(start as u64);
    }
    // At most 31 bytes.
    field.bytes[length_at] = (field.len - length_at - 1) as u8;
    field
}

/// [`started_sample_field`] of one sample after the other. Those of a scrape share their time, so all but the value is written once.
#[derive(Debug)]
pub(super) struct SampleFields {
    timestamp: i64,
    start: i64,
    valued: Short,
    zero: Short,
}

impl SampleFields {
    /// Where a value's bits are in a field that has one.
    const BITS: Range<usize> = 3..11;

    pub(super) fn new() -> Self {
        Self::at(0, 0)
    }

    fn at(timestamp: i64, start: i64) -> Self {
        let field = |value| started_sample_field(value, timestamp, start);
        Self { timestamp, start, valued: field(1.0), zero: field(0.0) }
    }

    /// Bytes of a sample's field; timestamps in ms since the epoch.
    #[inline]
    pub(super) fn of(&mut self, value: f64, timestamp: i64, start: i64) -> &[u8] {
        if (self.timestamp, self.start) != (timestamp, start) {
            *self = Self::at(timestamp, start);
        }
        if value.to_bits() == 0 {
            return self.zero.as_slice();
        }
        self.valued.bytes[Self::BITS].copy_from_slice(&value.to_le_bytes());
        self.valued.as_slice()
    }
}

/// Value and timestamp of an `Exemplar` of 2.0.
pub(super) fn exemplar_fields(value: f64, timestamp: i64) -> Short {
    let mut fields = Short::new();
    fields.key(2, WireType::SixtyFourBit);
    fields.fixed64(value.to_bits());
    fields.key(3, WireType::Varint);
    #[expect(clippy::cast_sign_loss, reason = "as that of a sample")]
    fields.varint(timestamp as u64);
    fields
}

/// Whether these are the bytes that [`sample_field`] writes, for whichever sample.
#[inline]
pub(super) fn is_sample_field(field: &[u8]) -> bool {
    is_usual(field) || is_any_sample_field(field)
}

/// What nearly all samples are: a value that is not 0, and a time between 1971 and 2109, whose varint takes six bytes.
#[inline]
fn is_usual(field: &[u8]) -> bool {
    let Some(([18, 16, 9], rest)) = field.split_first_chunk() else { return false };
    let Some((bits, [16, varint @ .., last])) = rest.split_first_chunk::<8>() else { return false };
    let Ok(varint) = <[u8; 5]>::try_from(varint) else { return false };
    *bits != [0; 8] && (1..0x80).contains(last) && varint.iter().all(|byte| *byte >= 0x80)
}

fn is_any_sample_field(field: &[u8]) -> bool {
    let [18, len, sample @ ..] = field else { return false };
    if usize::from(*len) != sample.len() {
        return false;
    }
    let timestamp = match sample.split_first_chunk::<9>() {
        Some(([9, bits @ ..], rest)) if *bits != [0_u8; 8] => rest,
        Some(_) | None => sample,
    };
    match timestamp {
        [] => true,
        [16, varint @ ..] => is_canonical(varint),
        [..] => false,
    }
}

/// The field without its start timestamp, if these are the bytes that [`started_sample_field`] writes with one.
pub(super) fn without_start(field: &[u8]) -> Option<Short> {
    const START: u8 = 3 << 3;
    let [key @ 18, len, sample @ ..] = field else { return None };
    if usize::from(*len) != sample.len() {
        return None;
    }
    // The start is the last field, and only the last byte of its varint is below 0x80: so is the key before it.
    let (_, front) = sample.split_last()?;
    let key_at = front.iter().rposition(|byte| *byte < 0x80)?;
    let (rest, start) = sample.split_at(key_at);
    let [START, start @ ..] = start else { return None };
    let mut short = Short::new();
    short.byte(*key);
    short.byte(rest.len() as u8);
    short.bytes.get_mut(2..2 + rest.len())?.copy_from_slice(rest);
    short.len += rest.len();
    (is_canonical(start) && is_sample_field(short.as_slice())).then_some(short)
}

/// A varint that ends with the slice, is not 0, and has no byte too many.
#[inline]
fn is_canonical(varint: &[u8]) -> bool {
    let Some((last, others)) = varint.split_last() else { return false };
    let fits = others.len() < MAX_VARINT - 1 || (others.len() == MAX_VARINT - 1 && *last == 1);
    fits && (1..0x80).contains(last) && others.iter().all(|byte| *byte >= 0x80)
}

const MAX_VARINT: usize = 10;

/// Key and length, a double, two varints.
const LONGEST: usize = 2 + 9 + 2 * (1 + MAX_VARINT);

/// The key of a 2.0 message's symbols, as every encoder writes it.
pub(super) const SYMBOL_KEY: u8 = 4 << 3 | WireType::LengthDelimited as u8;

/// A few bytes on the stack, appended in one go: prost writes into a `Vec` byte by byte, with a look at its capacity for each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Short {
    /// Room for the longest of them, a sample's field.
    bytes: [u8; LONGEST],
    len: usize,
}

impl Short {
    #[inline]
    fn new() -> Self {
        Self { bytes: [0; LONGEST], len: 0 }
    }

    #[inline]
    fn byte(&mut self, byte: u8) {
        self.bytes[self.len] = byte;
        self.len += 1;
    }

    #[inline]
    fn key(&mut self, field: u32, wire_type: WireType) {
        self.varint(u64::from(field << 3 | wire_type as u32));
    }

    #[inline]
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.byte(value as u8 | 0x80);
            value >>= 7;
        }
        self.byte(value as u8);
    }

    #[inline]
    fn fixed64(&mut self, value: u64) {
        self.bytes[self.len..self.len + 8].copy_from_slice(&value.to_le_bytes());
        self.len += 8;
    }

    #[inline]
    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    #[inline]
    fn append_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_slice());
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
#[inline(always)]
pub(super) fn next<'a>(message: &mut &'a [u8]) -> Result<Option<(u32, Value<'a>)>, DecodeError> {
    let (field, wire_type) = match message.split_first() {
        None => return Ok(None),
        Some((key @ ..0x80, rest)) if *key >= 8 => {
            *message = rest;
            (u32::from(*key >> 3), WireType::try_from(u64::from(*key & 7))?)
        }
        Some(_) => encoding::decode_key(message)?,
    };
    let value = match wire_type {
        WireType::Varint => Value::Varint(varint(message)?),
        WireType::SixtyFourBit => {
            let (bits, rest) = message.split_first_chunk().ok_or(DecodeError::Truncated)?;
            *message = rest;
            Value::Fixed64(u64::from_le_bytes(*bits))
        }
        WireType::LengthDelimited => {
            let len = usize::try_from(varint(message)?).map_err(|_| DecodeError::Truncated)?;
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

/// Most are one byte long.
#[inline]
pub(super) fn varint(message: &mut &[u8]) -> Result<u64, DecodeError> {
    match message.split_first() {
        Some((byte @ ..0x80, rest)) => {
            *message = rest;
            Ok(u64::from(*byte))
        }
        Some(_) | None => Ok(encoding::decode_varint(message)?),
    }
}
