//! The two URLs. Pure. No error shows a part of the text: it may hold a password or a token.

use std::path::PathBuf;

use reqwest::Url;

use super::reader::Parsed;
use crate::scrape::Address;

/// dockerd and every other server of engine metrics answer there (docker-plugin 5).
const METRICS_PATH: &str = "/metrics";

/// `sun_path` of Linux holds 108 bytes, the closing zero included.
const LONGEST_SOCKET: usize = 107;

/// User info of a URL, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UserInfo {
    pub(super) username: String,
    pub(super) password: Option<String>,
}

/// A push URL without its user info, and the user info.
pub(super) fn parse_push_url(text: &str) -> Parsed<(Url, Option<UserInfo>)> {
    let mut url = parse_http(text)?;
    if url.fragment().is_some() {
        return Err("has a fragment (#...), which is never sent".to_owned());
    }
    let user_info = take_user_info(&mut url)?;
    Ok((url, user_info))
}

/// `unix:///path/of.sock?path=/metrics`, or an http or https URL.
pub(super) fn parse_scrape_url(text: &str) -> Parsed<Address> {
    if let Some(rest) = text.strip_prefix("unix:") {
        return parse_unix(rest);
    }
    let mut url = parse_http(text)?;
    if url.fragment().is_some() {
        return Err("has a fragment (#...), which is never sent".to_owned());
    }
    if take_user_info(&mut url)?.is_some() {
        return Err("has user info, but a scrape does not authenticate".to_owned());
    }
    if after_authority(text).is_empty() {
        url.set_path(METRICS_PATH);
    }
    Ok(Address::Http(url))
}

fn parse_unix(rest: &str) -> Parsed<Address> {
    let path = rest.strip_prefix("//").ok_or("must begin with unix:///")?;
    let (socket, query) = match path.split_once('?') {
        Some((socket, query)) => (socket, Some(query)),
        None => (path, None),
    };
    if !socket.starts_with('/') || socket.ends_with('/') {
        return Err("needs the absolute path of a socket after unix://".to_owned());
    }
    if socket.len() > LONGEST_SOCKET {
        return Err(format!(
            "has a socket path of more than {LONGEST_SOCKET} bytes, which no system call takes"
        ));
    }
    if path.chars().any(|c| c.is_control()) {
        return Err("contains a control character (a line end?)".to_owned());
    }
    let path = match query {
        None => METRICS_PATH,
        Some(query) => query.strip_prefix("path=").ok_or("may have no other query than ?path=/metrics")?,
    };
    let graphic = path.starts_with('/') && path.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
    // The client that will ask for it judges too: its constructor panics on what it does not take.
    if !graphic || path.parse::<hyper::http::uri::PathAndQuery>().is_err() {
        return Err("needs a path that begins with / after ?path=, as a URL spells it".to_owned());
    }
    Ok(Address::Unix { socket: PathBuf::from(socket), path: path.to_owned() })
}

/// An http or https URL that the parser leaves as it was written: it would mend back slashes, white space, missing slashes
/// and `..` in silence, and something else than what was given would be asked for (remote-write 1.01).
fn parse_http(text: &str) -> Parsed<Url> {
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("contains white space or a line end".to_owned());
    }
    if text.contains('\\') {
        return Err("contains a back slash".to_owned());
    }
    let after_scheme = match text.split_once("://") {
        Some((scheme, rest)) if ["http", "https"].iter().any(|http| scheme.eq_ignore_ascii_case(http)) => {
            rest
        }
        Some(_) | None => return Err("begins with neither http:// nor https://".to_owned()),
    };
    if after_scheme.is_empty() || after_scheme.starts_with(['/', '?', '#']) {
        return Err("has no host".to_owned());
    }
    let path = after_authority(text);
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let is_dots =
        |segment: &str| matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..");
    if path.split('/').any(is_dots) {
        return Err("has a segment . or .. in its path".to_owned());
    }
    // The parser's reasons are fixed sentences such as "invalid port number".
    Url::parse(text).map_err(|reason| format!("is no URL: {reason}"))
}

/// Path, query and fragment, as written.
fn after_authority(text: &str) -> &str {
    let rest = text.split_once("://").map_or("", |(_, rest)| rest);
    rest.find(['/', '?', '#']).map_or("", |at| &rest[at..])
}

fn take_user_info(url: &mut Url) -> Parsed<Option<UserInfo>> {
    if url.username().is_empty() && url.password().is_none() {
        return Ok(None);
    }
    let undecodable = || "has user info that is not UTF-8 after percent-decoding".to_owned();
    let username = percent_decode(url.username()).ok_or_else(undecodable)?;
    let password = url.password().map(|text| percent_decode(text).ok_or_else(undecodable)).transpose()?;
    let cleared = url.set_username("").and_then(|()| url.set_password(None));
    cleared.map_err(|()| "has user info that cannot be taken out".to_owned())?;
    Ok(Some(UserInfo { username, password }))
}

/// `%41` to `A`; a `%` that two hexadecimal digits do not follow stands for itself. `None` where no UTF-8 comes out.
fn percent_decode(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        let escaped = escaped.filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        match escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_url_is_used_exactly_as_given() {
        for text in [
            "http://localhost:9090/api/v1/write",
            "https://mimir.example/api/v1/push?tenant=a%2Fb&x=",
            "http://[::1]:8428/api/v1/write/",
            "https://h.example//double//slash",
            "http://h/a.b/..c/%41",
        ] {
            assert_eq!(parse_push_url(text).unwrap().0.as_str(), text);
        }
    }

    #[test]
    fn user_info_moves_out_of_the_url_and_is_decoded() {
        let cases = [
            ("https://u:p@h/x", "u", Some("p")),
            ("https://u@h/x", "u", None),
            ("https://:p@h/x", "", Some("p")),
            ("https://a%40b:p%3Aw%25@h/x", "a@b", Some("p:w%")),
            ("https://u:100%@h/x", "u", Some("100%")),
        ];
        for (text, username, password) in cases {
            let (url, user_info) = parse_push_url(text).unwrap();
            assert_eq!(url.as_str(), "https://h/x");
            let expected = UserInfo { username: username.to_owned(), password: password.map(str::to_owned) };
            assert_eq!(user_info, Some(expected), "{text}");
        }
        assert_eq!(parse_push_url("https://h/x").unwrap().1, None);
    }

    #[test]
    fn a_push_url_that_would_be_changed_or_cannot_be_used_is_refused() {
        for (text, what) in [
            ("ftp://h/x", "neither http"),
            ("mimir.example/push", "neither http"),
            ("http:/h/x", "neither http"),
            ("http:h", "neither http"),
            ("http://", "no host"),
            ("http:///x", "no host"),
            ("http://:80/x", "empty host"),
            ("http://h/x#f", "fragment"),
            ("http://h/x#", "fragment"),
            ("http://h/a b", "white space"),
            (" http://h/", "white space"),
            ("http://h/x\n", "white space"),
            ("http://h\\x", "back slash"),
            ("http://h/a/../b", "segment"),
            ("http://h/a/%2E./b", "segment"),
            ("http://h:99999/", "no URL"),
            ("http://[::1/", "no URL"),
            ("http://%ff:x@h/", "not UTF-8"),
        ] {
            let error = parse_push_url(text).expect_err(text);
            assert!(error.contains(what), "{text}: {error}");
        }
    }

    #[test]
    fn a_scrape_url_is_a_socket_or_http() {
        let unix = |socket: &str, path: &str| Address::Unix { socket: socket.into(), path: path.to_owned() };
        let http = |text: &str| Address::Http(text.parse().unwrap());
        for (text, expected) in [
            ("unix:///run/docker/metrics.sock", unix("/run/docker/metrics.sock", "/metrics")),
            ("unix:///m.sock?path=/other?x=1", unix("/m.sock", "/other?x=1")),
            ("http://127.0.0.1:9323/metrics", http("http://127.0.0.1:9323/metrics")),
            ("http://127.0.0.1:9323", http("http://127.0.0.1:9323/metrics")),
            ("http://127.0.0.1:9323/", http("http://127.0.0.1:9323/")),
            ("https://h/x?y=z", http("https://h/x?y=z")),
        ] {
            assert_eq!(parse_scrape_url(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_scrape_url_that_is_neither_is_refused() {
        let long = format!("unix:///{}", "x".repeat(LONGEST_SOCKET));
        for text in [
            "unix:/run/x.sock",
            "unix://run/x.sock",
            "unix:///",
            "unix:///dir/",
            "unix:///x.sock?metrics",
            "unix:///x.sock?path=metrics",
            "unix:///x.sock?path=/a b",
            "unix:///x.sock?path=/a\"<>",
            "unix:///x.sock?path=",
            "/run/x.sock",
            "http://u:p@h/",
            "http://h/#x",
            "ftp://h/",
            &long,
            "unix:///x\n.sock",
        ] {
            assert!(parse_scrape_url(text).is_err(), "{text}");
        }
        assert!(parse_scrape_url(&long[..long.len() - 1]).is_ok());
    }

    #[test]
    fn no_error_shows_a_part_of_the_url() {
        for text in [
            "MARK://h/",
            "http://MARK:MARK@h:MARK/",
            "http://MARK@[/",
            "http://u:MARK@/x",
            "http://MARK\\",
            "http://h/MARK#MARK",
            "MARK",
            "unix://MARK",
            "unix:///MARK?MARK",
            "unix:///MARK?path=MARK",
            "http://h:MARK/",
            "http://MARK%/",
        ] {
            for error in [parse_push_url(text).err(), parse_scrape_url(text).err()].into_iter().flatten() {
                assert!(!error.to_ascii_uppercase().contains("MARK"), "{text}: {error}");
            }
        }
    }
}
