//! Protobuf's wire format over borrowed bytes, with the offset of whatever is wrong.

use std::ops::Range;

use super::error::{MessageFault, MessageReason};

/// The fields of one message that lies at `at..end` of a body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a> {
    body: &'a [u8],
    at: usize,
    end: usize,
}

/// One field.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) number: u32,
    /// Offset of its key.
    pub(super) at: usize,
    pub(super) value: Value,
}

/// What a field holds.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Varint(u64),
    Fixed64(u64),
    /// Where its bytes lie in the body.
    Bytes(Range<usize>),
    Fixed32,
}

impl<'a> Fields<'a> {
    /// `within` has to lie in `body`.
    pub(super) fn new(body: &'a [u8], within: Range<usize>) -> Self {
        Self { body, at: within.start, end: within.end }
    }

    /// The offset of what comes next.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn is_empty(&self) -> bool {
        self.at >= self.end
    }

    /// The next field.
    pub(super) fn next(&mut self) -> Result<Option<Field>, MessageFault> {
        if self.is_empty() {
            return Ok(None);
        }
        let at = self.at;
        let key = self.varint()?;
        let number = u32::try_from(key >> 3).ok().filter(|number| (1..1 << 29).contains(number));
        let number = number.ok_or(MessageFault { at, reason: MessageReason::FieldNumber })?;
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(self.fixed64()?),
            2 => Value::Bytes(self.delimited()?),
            5 => {
                self.take(4, at)?;
                Value::Fixed32
            }
            wire_type => {
                #[expect(clippy::cast_possible_truncation, reason = "three bits")]
                let reason = MessageReason::WireType { field: number, wire_type: wire_type as u8 };
                return Err(MessageFault { at, reason });
            }
        };
        Ok(Some(Field { number, at, value }))
    }

    /// A length and the bytes behind it.
    pub(super) fn delimited(&mut self) -> Result<Range<usize>, MessageFault> {
        let at = self.at;
        let length = self.varint()?;
        self.take(usize::try_from(length).unwrap_or(usize::MAX), at)
    }

    pub(super) fn fixed64(&mut self) -> Result<u64, MessageFault> {
        let bytes = self.take(8, self.at)?;
        let mut bits = [0; 8];
        bits.copy_from_slice(&self.body[bytes]);
        Ok(u64::from_le_bytes(bits))
    }

    fn take(&mut self, length: usize, at: usize) -> Result<Range<usize>, MessageFault> {
        if length > self.end - self.at {
            return Err(MessageFault { at, reason: MessageReason::Truncated });
        }
        let start = self.at;
        self.at += length;
        Ok(start..self.at)
    }

    #[inline]
    pub(super) fn varint(&mut self) -> Result<u64, MessageFault> {
        const LONGEST: usize = 10;
        let at = self.at;
        let mut value = 0_u64;
        for (index, byte) in self.body[at..self.end].iter().take(LONGEST).enumerate() {
            // The tenth byte has room for one bit.
            if index == LONGEST - 1 && *byte > 1 {
                return Err(MessageFault { at, reason: MessageReason::LongVarint });
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if *byte < 0x80 {
                self.at = at + index + 1;
                return Ok(value);
            }
        }
        let reason =
            if self.end - at < LONGEST { MessageReason::Truncated } else { MessageReason::LongVarint };
        Err(MessageFault { at, reason })
    }
}

impl Field {
    pub(super) fn varint(&self) -> Result<u64, MessageFault> {
        match self.value {
            Value::Varint(value) => Ok(value),
            Value::Fixed64(_) | Value::Bytes(_) | Value::Fixed32 => Err(self.mistyped()),
        }
    }

    pub(super) fn double(&self) -> Result<f64, MessageFault> {
        match self.value {
            Value::Fixed64(bits) => Ok(f64::from_bits(bits)),
            Value::Varint(_) | Value::Bytes(_) | Value::Fixed32 => Err(self.mistyped()),
        }
    }

    pub(super) fn bytes(&self) -> Result<Range<usize>, MessageFault> {
        match &self.value {
            Value::Bytes(range) => Ok(range.clone()),
            Value::Varint(_) | Value::Fixed64(_) | Value::Fixed32 => Err(self.mistyped()),
        }
    }

    /// A string; where it lies, checked.
    pub(super) fn text(&self, body: &[u8]) -> Result<Range<usize>, MessageFault> {
        let range = self.bytes()?;
        match std::str::from_utf8(&body[range.clone()]) {
            Ok(_) => Ok(range),
            Err(error) => Err(MessageFault {
                at: range.start + error.valid_up_to(),
                reason: MessageReason::NotUtf8 { field: self.number },
            }),
        }
    }

    fn mistyped(&self) -> MessageFault {
        let wire_type = match self.value {
            Value::Varint(_) => 0,
            Value::Fixed64(_) => 1,
            Value::Bytes(_) => 2,
            Value::Fixed32 => 5,
        };
        MessageFault { at: self.at, reason: MessageReason::WireType { field: self.number, wire_type } }
    }
}
