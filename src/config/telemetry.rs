//! `TELEMETRY_ADDRESS`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::Mode;
use super::reader::{Parsed, Reader};
use crate::telemetry::{Address, Serving};

/// `None` only beside a problem.
pub(super) fn read(reader: &mut Reader<'_>) -> Option<Serving> {
    const NAME: &str = "TELEMETRY_ADDRESS";
    let given = reader.parse(NAME, |_, text| parse(text.trim()));
    match (given, reader.mode) {
        (Some(given), _) => Some(given),
        (None, _) if reader.is_set(NAME) => None,
        (None, Mode::Plugin) => Some(Serving::BesideTheApi),
        (None, Mode::Run) => Some(Serving::Off),
    }
}

fn parse(text: &str) -> Parsed<Serving> {
    if text == "off" {
        return Ok(Serving::Off);
    }
    if let Some(path) = text.strip_prefix("unix:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        if !path.starts_with('/') || path.chars().any(char::is_control) {
            return Err("names no absolute path".to_owned());
        }
        return Ok(Serving::At(Address::Unix(PathBuf::from(path))));
    }
    let local = text.strip_prefix("localhost:").map(|port| format!("{}:{port}", Ipv4Addr::LOCALHOST));
    let address: SocketAddr =
        local.as_deref().unwrap_or(text).parse().map_err(|_| "is no address and port")?;
    if !address.ip().is_loopback() {
        return Err("is reachable from other hosts, and the pages have no password".to_owned());
    }
    if address.port() == 0 {
        return Err("has no port".to_owned());
    }
    Ok(Serving::At(Address::Tcp(address)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_wider_than_this_host_is_taken() {
        let unix = |path: &str| Ok(Serving::At(Address::Unix(PathBuf::from(path))));
        assert_eq!(parse("off"), Ok(Serving::Off));
        assert_eq!(
            (parse("unix:/run/t.sock"), parse("unix:///run/t.sock")),
            (unix("/run/t.sock"), unix("/run/t.sock"))
        );
        for (text, address) in [
            ("127.0.0.1:9", "127.0.0.1:9"),
            ("127.9.9.9:1", "127.9.9.9:1"),
            ("[::1]:9", "[::1]:9"),
            ("localhost:9", "127.0.0.1:9"),
        ] {
            assert_eq!(parse(text), Ok(Serving::At(Address::Tcp(address.parse().unwrap()))), "{text}");
        }
        for wide in [
            "0.0.0.0:9",
            "[::]:9",
            ":9",
            "9",
            "192.168.0.1:9",
            "example.com:9",
            "127.0.0.1:0",
            "127.0.0.1",
            "unix:t.sock",
            "on",
            "[::ffff:127.0.0.1]:9",
        ] {
            assert!(parse(wide).is_err(), "{wide}");
        }
    }
}
