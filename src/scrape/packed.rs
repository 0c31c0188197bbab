//! A gzip body, unpacked as it comes (remote-write 4.12): never further than the limit, whatever it would become.

use std::io::{self, Write};

use flate2::write::MultiGzDecoder;

use super::error::ScrapeError;

/// Takes packed bytes and gives unpacked ones.
#[derive(Debug)]
pub(super) struct Packed {
    decoder: MultiGzDecoder<Bounded>,
    limit: Option<u64>,
}

/// What has been unpacked and not fetched yet; refuses what would reach the limit.
#[derive(Debug)]
struct Bounded {
    bytes: Vec<u8>,
    /// Bytes that may still come before the limit is reached; `None` is no limit.
    left: Option<u64>,
    reached: bool,
}

impl Write for Bounded {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if let Some(left) = &mut self.left {
            // Reaching the limit is one byte too many.
            match left.checked_sub(data.len() as u64).filter(|left| *left > 0) {
                Some(rest) => *left = rest,
                None => {
                    self.reached = true;
                    return Err(io::Error::other("the limit is reached"));
                }
            }
        }
        self.bytes.extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Packed {
    /// `limit`: `SCRAPE_BODY_SIZE_LIMIT`, of unpacked bytes.
    pub(super) fn new(limit: Option<u64>) -> Self {
        let sink = Bounded { bytes: Vec::new(), left: limit, reached: false };
        Self { decoder: MultiGzDecoder::new(sink), limit }
    }

    /// Appends to `body` what `data` unpacks to.
    pub(super) fn unpack(
        &mut self,
        target: &str,
        data: &[u8],
        body: &mut Vec<u8>,
    ) -> Result<(), ScrapeError> {
        let written = self.decoder.write_all(data);
        self.fetch(target, written, body)
    }

    /// Appends the rest; a body that is cut off is an error.
    pub(super) fn finish(mut self, target: &str, body: &mut Vec<u8>) -> Result<(), ScrapeError> {
        let finished = self.decoder.try_finish();
        self.fetch(target, finished, body)
    }

    fn fetch(&mut self, target: &str, result: io::Result<()>, body: &mut Vec<u8>) -> Result<(), ScrapeError> {
        let target = target.to_owned();
        let sink = self.decoder.get_mut();
        match (result, self.limit) {
            (Ok(()), _) => {
                body.append(&mut sink.bytes);
                Ok(())
            }
            (Err(_), Some(limit)) if sink.reached => Err(ScrapeError::BodySize { target, limit }),
            (Err(error), _) => Err(ScrapeError::Exchange { target, reason: format!("unpack gzip: {error}") }),
        }
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn packed(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn unpack(bytes: &[u8], limit: Option<u64>, chunk: usize) -> Result<Vec<u8>, ScrapeError> {
        let mut body = Vec::new();
        let mut unpacking = Packed::new(limit);
        for data in bytes.chunks(chunk) {
            unpacking.unpack("t", data, &mut body)?;
        }
        unpacking.finish("t", &mut body)?;
        Ok(body)
    }

    #[test]
    fn a_body_in_any_pieces_and_of_several_members_is_unpacked() {
        let text: Vec<u8> = (0..40_000_u32).flat_map(|n| format!("m {n}\n").into_bytes()).collect();
        let (front, back) = text.split_at(1_000);
        let members = [packed(front), packed(back)].concat();
        for bytes in [packed(&text), members] {
            for chunk in [1, 7, 4_096, 1 << 20] {
                assert_eq!(unpack(&bytes, None, chunk).unwrap(), text);
            }
        }
        assert_eq!(unpack(&packed(b""), Some(1), 5).unwrap(), b"");
    }

    #[test]
    fn rw_4_12_unpacked_bytes_count_against_the_limit() {
        let text = vec![b'#'; 100_000];
        assert_eq!(unpack(&packed(&text), Some(100_001), 64).unwrap(), text);
        for limit in [1, 99_999, 100_000] {
            let error = unpack(&packed(&text), Some(limit), 64).unwrap_err();
            assert!(matches!(error, ScrapeError::BodySize { limit: told, .. } if told == limit), "{error}");
        }
    }

    #[test]
    fn rw_4_12_a_bomb_is_unpacked_no_further_than_the_limit() {
        let bomb = packed(&vec![0; 64 << 20]);
        assert!(bomb.len() < 100_000);
        let mut unpacking = Packed::new(Some(1 << 20));
        let mut body = Vec::new();
        let error = unpacking.unpack("t", &bomb, &mut body).unwrap_err();
        assert!(matches!(error, ScrapeError::BodySize { .. }), "{error}");
        assert!(unpacking.decoder.get_ref().bytes.capacity() < 4 << 20);
    }

    #[test]
    fn what_is_cut_off_or_damaged_is_an_error() {
        let whole = packed(b"m 1\n");
        for bytes in [&whole[..whole.len() - 1], &whole[..5], b"m 1\n", b"\x1f\x8b\x08\0\0\0\0\0\0\0\xff\xff"]
        {
            let error = unpack(bytes, None, 3).unwrap_err();
            assert!(error.to_string().starts_with("scrape t: unpack gzip: "), "{error}");
        }
        let mut damaged = whole.clone();
        let sum = damaged.len() - 8;
        damaged[sum] ^= 1;
        assert!(unpack(&damaged, None, 100).is_err());
    }
}
