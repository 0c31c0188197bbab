//! Just enough HTTP/1.1 for the other ends of a bench.

use std::io::{self, BufRead};

/// Reads a request's or an answer's head; the length of its body.
pub(crate) fn head(reader: &mut impl BufRead) -> io::Result<u64> {
    let (mut line, mut length) = (String::new(), 0);
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if line == "\r\n" {
            return Ok(length);
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or_default();
        }
    }
}
