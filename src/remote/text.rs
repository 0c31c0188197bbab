use std::fmt::Write as _;
use std::time::Duration;

use reqwest::Url;

/// How much of a server's text goes into a log line, in bytes.
pub(super) const SHOWN: usize = 512;

/// Foreign bytes as one line of at most [`SHOWN`] bytes: control characters escaped, a cut marked with `...`.
pub(super) fn one_line(foreign: &str) -> String {
    let mut line = String::new();
    for character in foreign.trim().chars() {
        let before = line.len();
        if breaks_lines(character) {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
        if line.len() > SHOWN {
            line.truncate(before);
            line.push_str("...");
            break;
        }
    }
    line
}

/// Control characters, and the two separators that some terminals and log viewers take for line ends.
fn breaks_lines(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}' | '\u{2029}')
}

/// An address as it may be shown: scheme, host, port and path; no user info, no query, no fragment.
pub(super) fn shown_url(url: &Url) -> String {
    let mut shown = format!("{}://{}", url.scheme(), url.host_str().unwrap_or_default());
    if let Some(port) = url.port() {
        // Writing to a string cannot fail.
        let _ = write!(shown, ":{port}");
    }
    shown.push_str(url.path());
    shown
}

/// Where a redirect points, as it may be shown; `base` is what it may be relative to.
pub(super) fn shown_location(location: &str, base: &Url) -> String {
    match base.join(location) {
        Ok(url) => one_line(&shown_url(&url)),
        Err(_) => "an address that cannot be read".to_owned(),
    }
}

/// Takes every one of `secrets` out of a text, also where a server repeats it percent-encoded, in whole or in part, or as a form.
pub(super) fn redacted<S: AsRef<str>>(text: &str, secrets: impl IntoIterator<Item = S>) -> String {
    let mut clean = text.to_owned();
    for secret in secrets.into_iter().filter(|secret| !secret.as_ref().is_empty()) {
        clean = without(&clean, secret.as_ref());
    }
    clean
}

fn without(text: &str, secret: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let spelled = spelled(rest.as_bytes(), secret.as_bytes());
        match spelled.and_then(|length| rest.get(length..)) {
            Some(behind) => {
                clean.push_str("[redacted]");
                rest = behind;
            }
            None => {
                clean.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    clean
}

/// How many bytes of `text` spell `secret` from their beginning on, each byte as itself, as `%XX`, or a space as `+`.
fn spelled(text: &[u8], secret: &[u8]) -> Option<usize> {
    let hex = |digit: u8| char::from(digit).to_digit(16);
    let code = |high, low| Some(hex(high)? * 16 + hex(low)?);
    secret.iter().try_fold(0, |at, byte| match text.get(at..)? {
        [b'%', high, low, ..] if code(*high, *low) == Some(u32::from(*byte)) => Some(at + 3),
        [b'+', ..] if *byte == b' ' => Some(at + 1),
        [same, ..] if same == byte => Some(at + 1),
        _ => None,
    })
}

/// A time for people: whole milliseconds, whole seconds from ten seconds on.
pub(super) fn rounded(time: Duration) -> Duration {
    if time < Duration::from_secs(10) {
        Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
    } else {
        Duration::from_secs(time.as_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_text_becomes_one_line() {
        assert_eq!(
            one_line("bad\r\nsample\t\u{1b}[31m\u{2028}x\0\n"),
            r"bad\r\nsample\t\u{1b}[31m\u{2028}x\u{0}"
        );
    }

    #[test]
    fn a_long_text_is_cut_at_a_character_and_says_so() {
        let line = one_line(&"é".repeat(400));
        assert_eq!(line, format!("{}...", "é".repeat(256)));
        assert_eq!(one_line(&"x".repeat(512)), "x".repeat(512));
    }

    #[test]
    fn an_address_is_shown_without_credentials_and_query() {
        let url =
            Url::parse("https://bob:hunter2@mimir.example:8443/api/v1/push?token=hunter2#hunter2").unwrap();
        assert_eq!(shown_url(&url), "https://mimir.example:8443/api/v1/push");
        assert_eq!(shown_location("/login?next=hunter2", &url), "https://mimir.example:8443/login");
        assert_eq!(shown_location("http://bob:hunter2@other/", &url), "http://other/");
        assert_eq!(shown_location("http://[", &url), "an address that cannot be read");
    }

    #[test]
    fn secrets_leave_a_text() {
        assert_eq!(
            redacted("user bob, password hunter2!", ["hunter2", ""]),
            "user bob, password [redacted]!"
        );
        let secret = ["p&ss wörd"];
        for spelling in
            ["p&ss wörd", "p%26ss%20w%C3%B6rd", "p%26ss+w%c3%b6rd", "%70%26%73%73%20%77%C3%B6%72%64"]
        {
            assert_eq!(redacted(&format!("ü{spelling}=p&ss%"), secret), "ü[redacted]=p&ss%", "{spelling}");
        }
        assert_eq!(redacted("100%", ["100%"]), "[redacted]");
        assert_eq!(redacted("100%zz%", ["100%zz%"]), "[redacted]");
    }

    #[test]
    fn times_are_rounded_for_people() {
        let shown = |nanos| format!("{:?}", rounded(Duration::from_nanos(nanos)));
        assert_eq!([shown(5_293_729), shown(1_234_567_890), shown(61_999_999_999)], ["5ms", "1.234s", "61s"]);
    }
}
