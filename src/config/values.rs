//! Text to durations, sizes, numbers and booleans, and back for messages. Pure.

use std::time::Duration;

/// Units of a duration, largest first: the order in which they must be written, each at most once. A day is 24 h, a week
/// 7 days, a year 365 days, as in Prometheus.
const DURATION_UNITS: [(&str, u64); 7] = [
    ("y", 365 * 24 * 3_600_000),
    ("w", 7 * 24 * 3_600_000),
    ("d", 24 * 3_600_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

const SIZE_UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("KB", 1_000),
    ("B", 1),
];

/// A duration as Prometheus writes it: `1h30m`, `15s`, `500ms`; `0` is the only number without a unit.
///
/// # Errors
/// What is wrong, as the end of a sentence that begins with the value.
pub(super) fn parse_duration(text: &str) -> Result<Duration, &'static str> {
    const SYNTAX: &str = "is not a duration: write numbers with units, largest first (y w d h m s ms)";
    const TOO_LONG: &str = "is too long a duration";
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text;
    let mut units = DURATION_UNITS.iter();
    let mut total: u64 = 0;
    while !rest.is_empty() || text.is_empty() {
        let (number, after) = split_digits(rest);
        let letters = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        if number.is_empty() {
            return Err(SYNTAX);
        }
        let (_, factor) = units.find(|(name, _)| *name == unit).ok_or(SYNTAX)?;
        let number: u64 = number.parse().map_err(|_| TOO_LONG)?;
        total = number.checked_mul(*factor).and_then(|ms| total.checked_add(ms)).ok_or(TOO_LONG)?;
        rest = after;
    }
    Ok(Duration::from_millis(total))
}

/// The shortest text that [`parse_duration`] reads as the same whole milliseconds.
pub(super) fn show_duration(duration: Duration) -> String {
    let mut ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut out = String::new();
    for (name, factor) in DURATION_UNITS {
        if ms / factor > 0 {
            out.push_str(&format!("{}{name}", ms / factor));
            ms %= factor;
        }
    }
    if out.is_empty() { "0s".to_owned() } else { out }
}

/// Bytes: a whole number, with `KB MB GB TB` (powers of 1000), `KiB MiB GiB TiB` (powers of 1024), `B` or nothing.
///
/// # Errors
/// As [`parse_duration`].
pub(super) fn parse_size(text: &str) -> Result<u64, &'static str> {
    const SYNTAX: &str =
        "is not a size: write a whole number, then KiB MiB GiB TiB, KB MB GB TB, or nothing for bytes";
    let (number, unit) = split_digits(text);
    if number.is_empty() {
        return Err(SYNTAX);
    }
    let factor = if unit.is_empty() {
        1
    } else {
        SIZE_UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).ok_or(SYNTAX)?.1
    };
    number.parse::<u64>().ok().and_then(|n| n.checked_mul(factor)).ok_or("is too large a size")
}

/// The size in the largest binary unit that divides it.
pub(super) fn show_size(bytes: u64) -> String {
    let binary = SIZE_UNITS.iter().filter(|(name, _)| name.ends_with("iB"));
    match binary.into_iter().find(|(_, factor)| bytes > 0 && bytes.is_multiple_of(*factor)) {
        Some((name, factor)) => format!("{}{name}", bytes / factor),
        None => format!("{bytes}B"),
    }
}

/// Decimal digits only.
///
/// # Errors
/// As [`parse_duration`].
pub(super) fn parse_count(text: &str) -> Result<u64, &'static str> {
    let (number, rest) = split_digits(text);
    if number.is_empty() || !rest.is_empty() {
        return Err("is not a whole number");
    }
    number.parse().map_err(|_| "is too large a number")
}

/// Either word of four pairs, in either case of letters.
///
/// # Errors
/// As [`parse_duration`].
pub(super) fn parse_boolean(text: &str) -> Result<bool, &'static str> {
    let is_one_of = |words: [&str; 4]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is_one_of(["true", "1", "yes", "on"]) {
        Ok(true)
    } else if is_one_of(["false", "0", "no", "off"]) {
        Ok(false)
    } else {
        Err("is neither true nor false")
    }
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_prometheus_durations() {
        let cases: [(&str, u64); 14] = [
            ("0", 0),
            ("0s", 0),
            ("0ms", 0),
            ("500ms", 500),
            ("15s", 15_000),
            ("015s", 15_000),
            ("1m", 60_000),
            ("1h30m", 5_400_000),
            ("90m", 5_400_000),
            ("1d", 86_400_000),
            ("1w", 604_800_000),
            ("1y", 31_536_000_000),
            ("1y2w3d4h5m6s7ms", 33_019_506_007),
            ("1s1ms", 1_001),
        ];
        for (text, ms) in cases {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "",
            " ",
            "1",
            "00",
            "15",
            "s",
            "1.5s",
            "-1s",
            "+1s",
            "1 s",
            "1s ",
            "30m1h",
            "1s1s",
            "1m1m",
            "1S",
            "1us",
            "1hs",
            "h1",
            "1h1",
            "١s",
            "18446744073709551616ms",
            "999999999999y",
        ] {
            assert!(parse_duration(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn sizes_are_bytes_or_have_a_unit_of_either_kind() {
        let cases: [(&str, u64); 9] = [
            ("0", 0),
            ("123", 123),
            ("123B", 123),
            ("1KB", 1_000),
            ("1KiB", 1_024),
            ("64MB", 64_000_000),
            ("64MiB", 67_108_864),
            ("64mib", 67_108_864),
            ("1TiB", 1 << 40),
        ];
        for (text, bytes) in cases {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in [
            "",
            "MiB",
            "64M",
            "64 MiB",
            "1.5GiB",
            "-1",
            "1e3",
            "64MiBs",
            "18446744073709551616",
            "99999999TiB",
        ] {
            assert!(parse_size(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn booleans_are_four_pairs_of_words() {
        for (yes, no) in [("true", "false"), ("1", "0"), ("yes", "no"), ("on", "off"), ("TRUE", "No")] {
            assert_eq!((parse_boolean(yes), parse_boolean(no)), (Ok(true), Ok(false)));
        }
        for text in ["", "2", "y", "n", "enabled", "truee", " true"] {
            assert!(parse_boolean(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn counts_are_digits() {
        assert_eq!(parse_count("200000"), Ok(200_000));
        for text in ["", "-1", "+1", "1.0", "1k", "1_000", " 1", "18446744073709551616"] {
            assert!(parse_count(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_shown_duration_reads_as_itself(ms in 0..=u64::MAX) {
            let duration = Duration::from_millis(ms);
            prop_assert_eq!(parse_duration(&show_duration(duration)), Ok(duration));
        }

        #[test]
        fn a_shown_size_reads_as_itself(bytes in prop_oneof![0..=u64::MAX, (0u64..1 << 24).prop_map(|n| n << 40)]) {
            prop_assert_eq!(parse_size(&show_size(bytes)), Ok(bytes));
        }

        #[test]
        fn no_text_makes_a_parser_panic(text in "\\PC{0,24}") {
            let _ = (parse_duration(&text), parse_size(&text), parse_count(&text), parse_boolean(&text));
        }
    }
}
