//! Whole messages through prost: for receivers, which meet anybody's bytes, and for tests, where they are the oracle.

use prost::Message;

use super::snappy;
use crate::proto;

/// Why bytes are not the message that they should be.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Not snappy's block format.
    #[error("not a snappy block: {0}")]
    Snappy(#[from] snap::Error),
    /// The header of the snappy block asks for more than is allowed.
    #[error("{len} bytes uncompressed, more than the {max} that are allowed")]
    TooLarge {
        /// What the block says.
        len: usize,
        /// What is allowed.
        max: usize,
    },
    /// The header of the snappy block asks for more than so few bytes can become.
    #[error("{len} bytes uncompressed, more than a snappy block of {compressed} bytes can hold")]
    Unfounded {
        /// What the block says.
        len: usize,
        /// The block's own bytes.
        compressed: usize,
    },
    /// Not protobuf, or a field of another type.
    #[error("not the protobuf message: {0}")]
    Protobuf(#[from] prost::DecodeError),
    /// The message ends inside a field.
    #[error("the message ends inside a field")]
    Truncated,
    /// A field that has no place in the message.
    #[error("unexpected field {0}")]
    UnexpectedField(u32),
    /// A label or metadata reference beyond the symbol table (remote-write 2.08).
    #[error("reference {reference} is outside the {symbols} symbols")]
    Reference {
        /// The reference.
        reference: u32,
        /// How many symbols there are.
        symbols: usize,
    },
    /// An odd number of label references (remote-write 2.07).
    #[error("an odd number of label references")]
    OddReferences,
    /// A symbol that is not UTF-8.
    #[error("a symbol is not UTF-8")]
    Utf8,
}

/// A remote-write 1.0 request body.
///
/// # Errors
/// When it is no snappy block, too large, or not the message.
pub fn decode_v1(body: &[u8], max_uncompressed: usize) -> Result<proto::v1::WriteRequest, DecodeError> {
    decode(body, max_uncompressed)
}

/// A remote-write 2.0 request body, or the payload of a queued record.
///
/// # Errors
/// When it is no snappy block, too large, or not the message.
pub fn decode_v2(body: &[u8], max_uncompressed: usize) -> Result<proto::v2::Request, DecodeError> {
    decode(body, max_uncompressed)
}

fn decode<M: Message + Default>(body: &[u8], max_uncompressed: usize) -> Result<M, DecodeError> {
    let mut message = Vec::new();
    snappy::decompress_into(body, max_uncompressed, &mut message)?;
    Ok(M::decode(message.as_slice())?)
}
