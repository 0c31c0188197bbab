//! Snappy's block format (remote-write 1.05: never the framed one), with reused buffers.

use bytes::Bytes;

use super::DecodeError;

/// The most bytes that one byte of a block becomes: a copy of 64 bytes takes three, and no element does better.
const MOST_FROM_A_BYTE: usize = 22;

/// Compresses message after message into one buffer.
pub struct Compressor {
    encoder: snap::raw::Encoder,
    buffer: Vec<u8>,
}

impl Default for Compressor {
    fn default() -> Self {
        Self { encoder: snap::raw::Encoder::new(), buffer: Vec::new() }
    }
}

impl Compressor {
    /// The compressed form of `message`, valid until the next call.
    pub fn compress(&mut self, message: &[u8]) -> &[u8] {
        // Grown once to the largest message; zeroing it anew each time would cost as much as a memcpy.
        let room = snap::raw::max_compress_len(message.len());
        if self.buffer.len() < room {
            self.buffer.resize(room, 0);
        }
        match self.encoder.compress(message, &mut self.buffer) {
            Ok(len) => &self.buffer[..len],
            Err(error) => unreachable!("the buffer has room for {room} bytes: {error}"),
        }
    }
}

impl std::fmt::Debug for Compressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compressor").field("buffer", &self.buffer.len()).finish_non_exhaustive()
    }
}

/// One message as a block of its own memory.
#[must_use]
pub fn pack(message: &[u8]) -> Bytes {
    Bytes::copy_from_slice(Compressor::default().compress(message))
}

/// Decompresses `body` into `out`, replacing what is there.
///
/// # Errors
/// When the body is no snappy block, or says that it holds more than `max_uncompressed` bytes, or than its own bytes can become (nothing is
/// allocated then: a body of seven bytes would otherwise take as many as it likes to say).
pub fn decompress_into(body: &[u8], max_uncompressed: usize, out: &mut Vec<u8>) -> Result<(), DecodeError> {
    let len = snap::raw::decompress_len(body)?;
    if len > max_uncompressed {
        return Err(DecodeError::TooLarge { len, max: max_uncompressed });
    }
    if len > body.len().saturating_mul(MOST_FROM_A_BYTE) {
        return Err(DecodeError::Unfounded { len, compressed: body.len() });
    }
    if out.len() < len {
        out.resize(len, 0);
    }
    let written = snap::raw::Decoder::new().decompress(body, out)?;
    out.truncate(written);
    Ok(())
}
