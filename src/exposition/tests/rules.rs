//! One test for each line of the rules that the text format touches, clause by clause; more cases of each are in `vectors`.

use super::*;
use crate::exposition::Reason;
use crate::model::METRIC_NAME;

const M: &[(&str, &str)] = &[(METRIC_NAME, "m")];

#[test]
fn rw_4_16_one_bad_line_anywhere_refuses_the_exposition_behind_the_lines_before_it() {
    for bad in ["{a=\"1\"} 1", "{} 1", "9m 1", "m{a=\"1\",a=\"2\"} 1", "m{a=1} 1", "m", "m 1 2 3", "m{", "}"]
    {
        for (at, lines) in
            [["??", "a 1", "b 1"], ["a 1", "??", "b 1"], ["a 1", "b 1", "??"]].iter().enumerate()
        {
            let body = lines.join("\n").replace("??", bad) + "\n";
            let (seen, error) = read(body.as_bytes());
            assert_eq!(seen.len(), at, "{body:?}");
            assert_eq!(error.map(|error| error.line as usize), Some(at + 1), "{body:?}");
        }
    }
}

#[test]
fn rw_4_18_timestamps_are_milliseconds_in_digits_only() {
    let cases = [
        ("m 1 0", 0),
        ("m 1 1700000000123", 1_700_000_000_123),
        ("m 1 007", 7),
        ("m 1\t5 ", 5),
        ("m 1 9223372036854775807", i64::MAX),
    ];
    for (line, timestamp) in cases {
        assert_eq!(accept(line), [sample("m", 1.0, Some(timestamp), M)], "{line}");
    }
    for line in [
        "m 1 -1",
        "m 1 +1",
        "m 1 1.0",
        "m 1 1e3",
        "m 1 1_0",
        "m 1 0x1",
        "m 1 NaN",
        "m 1 9223372036854775808",
        "m 1 1s",
    ] {
        let reason = refuse(line).reason;
        let of_timestamps = [Reason::ExpectedTimestamp, Reason::ExpectedLineEnd, Reason::TimestampRange];
        assert!(of_timestamps.contains(&reason), "{line}: {reason:?}");
    }
}

#[test]
fn rw_4_20_other_pairs_with_a_backslash_stay_in_values_and_in_help() {
    let seen = accept("m{a=\"\\\\ \\\" \\n \\t \\r \\x41 \\/ \\'\"} 1\n# HELP m \\\\ \\n \\\" \\t\n");
    let labels: &[(&str, &str)] = &[(METRIC_NAME, "m"), ("a", "\\ \" \n \\t \\r \\x41 \\/ \\'")];
    assert_eq!(
        seen,
        [
            sample("m{a=\"\\\\ \\\" \\n \\t \\r \\x41 \\/ \\'\"}", 1.0, None, labels),
            Seen::Help("m".to_owned(), "\\ \n \\\" \\t".to_owned())
        ]
    );
}

#[test]
fn rw_4_21_blanks_a_trailing_comma_empty_lines_and_a_missing_last_line_end_are_fine() {
    let labels: &[(&str, &str)] = &[(METRIC_NAME, "m"), ("a", "1")];
    for (line, raw) in [
        ("m{a=\"1\"} 1", "m{a=\"1\"}"),
        ("m{a=\"1\",} 1\n", "m{a=\"1\",}"),
        ("m\t { \ta\t= \"1\" , }\t 1 \t", "m\t { \ta\t= \"1\" , }"),
        ("\n\n \t\nm{a=\"1\"} 1\n\n", "m{a=\"1\"}"),
    ] {
        assert_eq!(accept(line), [sample(raw, 1.0, None, labels)], "{line:?}");
    }
    assert_eq!(accept("# HELP m x"), [Seen::Help("m".to_owned(), "x".to_owned())]);
    assert_eq!(accept("# TYPE m gauge"), [Seen::Type("m".to_owned(), MetricType::Gauge)]);
}

#[test]
fn rw_4_21_a_carriage_return_is_no_blank_and_no_line_end() {
    for body in [
        "m 1\r\n",
        "m 1 5\r\n",
        "m\r 1\n",
        "m{a=\"1\"\r} 1\n",
        "\r\n",
        "# TYPE m gauge\r\n",
        "m 1\rn 2\n",
        "m 1\n\rn 2\n",
    ] {
        refuse(body);
    }
    // Where any text may stand it is text.
    assert_eq!(accept("# HELP m x\r\n"), [Seen::Help("m".to_owned(), "x\r".to_owned())]);
    assert_eq!(accept("# a comment\r\n"), [Seen::Comment]);
    assert_eq!(
        accept("m{a=\"\r\n\"} 1\n"),
        [sample("m{a=\"\r\n\"}", 1.0, None, &[(METRIC_NAME, "m"), ("a", "\r\n")])]
    );
}

#[test]
fn rw_4_22_five_words_are_types_and_any_other_refuses_the_exposition() {
    let words = [
        ("counter", MetricType::Counter),
        ("gauge", MetricType::Gauge),
        ("histogram", MetricType::Histogram),
        ("summary", MetricType::Summary),
        ("untyped", MetricType::Unknown),
    ];
    for (word, metric_type) in words {
        assert_eq!(accept(format!("# TYPE m {word}\n")), [Seen::Type("m".to_owned(), metric_type)]);
    }
    for word in ["unknown", "info", "stateset", "gaugehistogram", "Counter", "counters", "counter ", "", "1"]
    {
        let reason = refuse(format!("# TYPE m {word}\n")).reason;
        assert_eq!(reason, Reason::UnknownType(word.to_owned()), "{word:?}");
    }
}

#[test]
fn rw_4_22_comments_that_are_neither_help_nor_type_mean_nothing() {
    for line in [
        "#",
        "# ",
        "#HELP m x",
        "#TYPE m what",
        "# help m x",
        "# Type m what",
        "# TYPEm what",
        "# HELP",
        "# TYPE",
        "# UNIT m seconds",
        "# EOF",
        "# m 1",
        "## TYPE m what",
        "#\t",
    ] {
        let seen = accept(format!("m 1\n{line}\nm 1\n"));
        assert_eq!(seen, [sample("m", 1.0, None, M), Seen::Comment, sample("m", 1.0, None, M)], "{line:?}");
    }
}

#[test]
fn rw_4_23_a_quoted_metric_name_stands_at_any_place_in_the_braces_but_once() {
    for line in
        ["{\"m\"} 1", "{\"m\",} 1", "{\"m\",a=\"1\"} 1", "{a=\"1\",\"m\"} 1", "{a=\"1\",\"m\",b=\"2\"} 1"]
    {
        let [Seen::Sample { labels, .. }] = &accept(line)[..] else { panic!("{line}") };
        assert_eq!(labels[0], (METRIC_NAME.to_owned(), "m".to_owned()), "{line}");
    }
    for line in ["m{\"m\"} 1", "{\"m\",\"m\"} 1", "{\"m\",a=\"1\",\"n\"} 1", "m{a=\"1\",\"n\"} 1"] {
        assert_eq!(refuse(line).reason, Reason::SecondName, "{line}");
    }
    let escaped: &[(&str, &str)] = &[(METRIC_NAME, "a\\b\"c\nd\\t")];
    assert_eq!(
        accept("{\"a\\\\b\\\"c\\nd\\t\"} 1"),
        [sample("{\"a\\\\b\\\"c\\nd\\t\"}", 1.0, None, escaped)]
    );
}
