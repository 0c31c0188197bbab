use super::*;
use crate::exposition::Reason;
use crate::model::{METRIC_NAME, NORMAL_NAN_BITS};

fn help(family: &str, text: &str) -> Seen {
    Seen::Help(family.to_owned(), text.to_owned())
}

fn of_type(family: &str, metric_type: MetricType) -> Seen {
    Seen::Type(family.to_owned(), metric_type)
}

#[test]
fn a_whole_exposition_gives_its_entries_in_order() {
    let body = concat!(
        "# HELP engine_pull_seconds Time to pull an image.\n",
        "#\t TYPE engine_pull_seconds summary\n",
        "engine_pull_seconds{quantile=\"0\"} 3.5e-05\n",
        "engine_pull_seconds{quantile=\"0.25\",} 7.25e-05\n",
        "engine_pull_seconds{ quantile=\"0.90\" , host=\"a\" } 1\n",
        "engine_pull_seconds\t{\tquantile\t=\t\"1\"\thost\t=\t\"a\"\t}\t2\t\n",
        "engine_pull_seconds_count 99\n",
        "# Hello, not help\n",
        "#\n",
        "# HELPX neither\n",
        "# TYPE\n",
        "# UNIT engine_pull_seconds seconds\n",
        "# EOF\n",
        "\n",
        " \t \n",
        "# HELP empty1\n",
        "# HELP empty2 \n",
        "rule:engine:rate5m{a_b=\"c\"}\t1\n",
        "# TYPE containers gauge\n",
        "containers 33  \t1234567890123\n",
        "_underscored{_label=\"x\"} 1\n",
        "quoted{label=\"\\\"bar\\\"\"} NaN",
    );
    let summary = |raw, value, labels: &[(&str, &str)]| sample(raw, value, None, labels);
    let expected = vec![
        help("engine_pull_seconds", "Time to pull an image."),
        of_type("engine_pull_seconds", MetricType::Summary),
        summary(
            "engine_pull_seconds{quantile=\"0\"}",
            3.5e-5,
            &[(METRIC_NAME, "engine_pull_seconds"), ("quantile", "0.0")],
        ),
        summary(
            "engine_pull_seconds{quantile=\"0.25\",}",
            7.25e-5,
            &[(METRIC_NAME, "engine_pull_seconds"), ("quantile", "0.25")],
        ),
        summary(
            "engine_pull_seconds{ quantile=\"0.90\" , host=\"a\" }",
            1.0,
            &[(METRIC_NAME, "engine_pull_seconds"), ("quantile", "0.9"), ("host", "a")],
        ),
        summary(
            "engine_pull_seconds\t{\tquantile\t=\t\"1\"\thost\t=\t\"a\"\t}",
            2.0,
            &[(METRIC_NAME, "engine_pull_seconds"), ("quantile", "1.0"), ("host", "a")],
        ),
        summary("engine_pull_seconds_count", 99.0, &[(METRIC_NAME, "engine_pull_seconds_count")]),
        Seen::Comment,
        Seen::Comment,
        Seen::Comment,
        Seen::Comment,
        Seen::Comment,
        Seen::Comment,
        help("empty1", ""),
        help("empty2", ""),
        sample(
            "rule:engine:rate5m{a_b=\"c\"}",
            1.0,
            None,
            &[(METRIC_NAME, "rule:engine:rate5m"), ("a_b", "c")],
        ),
        of_type("containers", MetricType::Gauge),
        sample("containers", 33.0, Some(1_234_567_890_123), &[(METRIC_NAME, "containers")]),
        sample("_underscored{_label=\"x\"}", 1.0, None, &[(METRIC_NAME, "_underscored"), ("_label", "x")]),
        sample(
            "quoted{label=\"\\\"bar\\\"\"}",
            f64::from_bits(NORMAL_NAN_BITS),
            None,
            &[(METRIC_NAME, "quoted"), ("label", "\"bar\"")],
        ),
    ];
    assert_eq!(accept(body), expected);
}

#[test]
fn rw_4_23_quoted_names_may_be_any_text() {
    let cases: [(&str, &[(&str, &str)]); 8] = [
        ("{\"a.b\"} 1", &[(METRIC_NAME, "a.b")]),
        ("{\"a.b\",} 1", &[(METRIC_NAME, "a.b")]),
        ("{\"a.b\",q=\"0\"} 1", &[(METRIC_NAME, "a.b"), ("q", "0")]),
        ("{ q = \"0\" , \"a.b\" } 1", &[(METRIC_NAME, "a.b"), ("q", "0")]),
        ("{q=\"0\" \"a.b\"} 1", &[(METRIC_NAME, "a.b"), ("q", "0")]),
        ("m{\"x.y\"=\"1\",z=\"2\"} 1", &[(METRIC_NAME, "m"), ("x.y", "1"), ("z", "2")]),
        (
            "{\"größe 10€ \\\"x\\\" {a\\nb}\",\"c\\\\d\"=\"6\"} 1",
            &[(METRIC_NAME, "größe 10€ \"x\" {a\nb}"), ("c\\d", "6")],
        ),
        ("{\"a\nb\"} 1", &[(METRIC_NAME, "a\nb")]),
    ];
    for (body, labels) in cases {
        let seen = accept(body);
        assert_eq!(seen, [sample(&body[..body.len() - 2], 1.0, None, labels)], "{body}");
    }
    let body = "# HELP \"a.\\\"b\\\"\" Text.\n# TYPE \"a.b\" counter\n";
    assert_eq!(accept(body), [help("a.\"b\"", "Text."), of_type("a.b", MetricType::Counter)]);
}

#[test]
fn rw_4_21_blanks_around_tokens_are_no_part_of_them() {
    let labels: &[(&str, &str)] = &[(METRIC_NAME, "m"), ("a", "1")];
    for body in ["m{a=\"1\"}1", " \tm{a=\"1\"} 1 \t", "m{a=\"1\"}\t1\t\n", "\n\nm{a=\"1\"} 1\n\n"] {
        assert_eq!(accept(body), [sample("m{a=\"1\"}", 1.0, None, labels)], "{body:?}");
    }
    assert_eq!(accept("m\t1\t5\t"), [sample("m", 1.0, Some(5), &[(METRIC_NAME, "m")])]);
}

#[test]
fn a_value_may_touch_the_name_as_in_prometheus() {
    let m: &[(&str, &str)] = &[(METRIC_NAME, "m")];
    assert_eq!(accept("m.5"), [sample("m", 0.5, None, m)]);
    assert_eq!(accept("m-1"), [sample("m", -1.0, None, m)]);
    assert_eq!(accept("m+Inf 7"), [sample("m", f64::INFINITY, Some(7), m)]);
}

#[test]
fn nothing_is_a_good_exposition() {
    for body in ["", "\n", " ", "\n\n", "# EOF", "#"] {
        assert!(accept(body).iter().all(|entry| *entry == Seen::Comment), "{body:?}");
    }
}

#[test]
fn label_values_may_hold_line_breaks_and_lines_still_count() {
    let seen = accept("a{b=\"x\ny\"} 1\n");
    assert_eq!(seen, [sample("a{b=\"x\ny\"}", 1.0, None, &[(METRIC_NAME, "a"), ("b", "x\ny")])]);
    let error = refuse("a{b=\"x\ny\"} 1\nc ?\n");
    assert_eq!((error.line, error.column), (3, 3));
}

#[test]
fn zero_bytes_as_in_prometheus() {
    let labels: &[(&str, &str)] = &[(METRIC_NAME, "m"), ("a", "x\0y\0")];
    assert_eq!(accept("m{a=\"x\0y\0\"} 1"), [sample("m{a=\"x\0y\0\"}", 1.0, None, labels)]);
    assert_eq!(accept("# HELP m a\0b\n# c\0d\n"), [help("m", "a\0b"), Seen::Comment]);
    // The lexer skips them between a backslash and what it escapes, and so the quote after them does not close.
    assert_eq!(refuse("m{a=\"x\\\0\"} 1").reason, Reason::Unclosed);
    for end in ["\0", " \0", "#x\0", "# \0"] {
        assert_eq!(accept(format!("m 1\n{end}m 2\n??")).len(), 1, "{end:?} ends the input");
    }
    let cases = [
        ("a\0{b=\"d\"} 1", Reason::ExpectedValue, 2),
        ("a{b\0=\"d\"} 1", Reason::ExpectedEqual, 4),
        ("a{b=\0\"d\"} 1", Reason::ExpectedLabelValue, 5),
        ("a{b=\"\0", Reason::Unclosed, 5),
        ("a{\"b\0\"=\"d\"} 1", Reason::Unclosed, 3),
        ("a 1\0", Reason::ExpectedTimestamp, 4),
        ("a 0 1\0", Reason::ExpectedLineEnd, 6),
        ("# HELP a\0 text", Reason::ExpectedText, 9),
    ];
    for (body, reason, column) in cases {
        let error = refuse(body);
        assert_eq!((error.reason, error.line, error.column), (reason, 1, column), "{body:?}");
    }
}

#[test]
fn rw_4_16_the_first_thing_wrong_is_named_with_its_place() {
    let cases = [
        ("a", Reason::ExpectedValue, 2),
        ("a\n", Reason::ExpectedValue, 2),
        ("a{b='c'} 1\n", Reason::ExpectedLabelValue, 5),
        ("a{b=\n", Reason::ExpectedLabelValue, 5),
        ("a{b=c} 1\n", Reason::ExpectedLabelValue, 5),
        ("a{b=\"c\n", Reason::Unclosed, 5),
        ("a{b=\"c\\\n\"} 1", Reason::Unclosed, 5),
        ("a{b=\"c\\", Reason::Unclosed, 5),
        ("a{b} 1", Reason::ExpectedEqual, 4),
        ("a{b:c=\"d\"} 1", Reason::ExpectedEqual, 4),
        ("a{1b=\"c\"} 1", Reason::ExpectedLabelName, 3),
        ("a{=\"\"} 0", Reason::ExpectedLabelName, 3),
        ("a{,} 0", Reason::ExpectedLabelName, 3),
        ("a{b=\"c\",,} 0", Reason::ExpectedLabelName, 9),
        ("a{\nb=\"c\"} 0", Reason::ExpectedLabelName, 3),
        ("a{b=\"c\" 0", Reason::ExpectedLabelName, 9),
        ("{\"a\", \"b = \"c\"}", Reason::ExpectedEqual, 13),
        ("{\"a\" b=\"c\"} 1", Reason::ExpectedEqual, 6),
        ("{\"a\",b\\nc=\"d\"} 1", Reason::ExpectedEqual, 7),
        ("{a=\"ok\"} 1", Reason::MissingName, 1),
        ("{} 1", Reason::MissingName, 1),
        ("{\"\"} 1", Reason::MissingName, 2),
        ("{\"a\",\"b\"} 1", Reason::SecondName, 6),
        ("a{\"b\"} 1", Reason::SecondName, 3),
        ("a{\"\"=\"b\"} 1", Reason::EmptyLabelName, 3),
        ("a true\n", Reason::BadValue, 3),
        ("a 1_2\n", Reason::BadValue, 3),
        ("a 0x1p-3\n", Reason::BadValue, 3),
        ("a{} {} 1\n", Reason::ExpectedValue, 5),
        ("a 1{b=\"c\"}\n", Reason::ExpectedTimestamp, 4),
        ("a 0 1_2\n", Reason::ExpectedLineEnd, 6),
        ("a 0 1 2\n", Reason::ExpectedLineEnd, 7),
        ("a 0 -1\n", Reason::ExpectedTimestamp, 5),
        ("a 0 1.5\n", Reason::ExpectedLineEnd, 6),
        ("a 0 9223372036854775808\n", Reason::TimestampRange, 5),
        ("a 1 # {id=\"x\"} 1\n", Reason::ExpectedTimestamp, 5),
        ("a 1\r\n", Reason::BadValue, 3),
        ("a 1 \r\n", Reason::ExpectedTimestamp, 5),
        ("\ra 1\n", Reason::ExpectedEntry, 1),
        ("1a 1\n", Reason::ExpectedEntry, 1),
        ("\u{feff}a 1\n", Reason::ExpectedEntry, 1),
        ("# TYPE #\n", Reason::ExpectedFamily, 8),
        ("# HELP \n", Reason::ExpectedFamily, 8),
        ("# HELP 1a x\n", Reason::ExpectedFamily, 8),
        ("# HELP \"a\n", Reason::Unclosed, 8),
        ("# TYPE a\n", Reason::UnknownType(String::new()), 9),
        ("# TYPE a  gauge\n", Reason::UnknownType(" gauge".to_owned()), 10),
        ("# TYPE a gauge \n", Reason::UnknownType("gauge ".to_owned()), 10),
        ("# TYPE a gauge\r\n", Reason::UnknownType("gauge\\r".to_owned()), 10),
        ("# TYPE a Gauge\n", Reason::UnknownType("Gauge".to_owned()), 10),
        ("# TYPE a gaugehistogram\n", Reason::UnknownType("gaugehistogram".to_owned()), 10),
    ];
    for (body, reason, column) in cases {
        let error = refuse(format!("ok 1\n{body}"));
        assert_eq!((error.reason, error.line, error.column), (reason, 2, column), "{body:?}");
    }
}

#[test]
fn rw_4_16_a_name_that_comes_twice_fails_the_scrape() {
    let cases = [
        ("a{b=\"1\",c=\"2\",b=\"3\"} 1", "b", 15),
        ("a{b=\"1\",\"b\"=\"1\"} 1", "b", 9),
        ("a{b=\"\",b=\"1\"} 1", "b", 8),
        // `__name__` is a label like any other, and the metric name is its first value: Prometheus' storage refuses the two.
        ("a{__name__=\"b\"} 1", METRIC_NAME, 3),
        ("{\"a\",__name__=\"a\"} 1", METRIC_NAME, 6),
    ];
    for (body, label, column) in cases {
        let error = refuse(body);
        assert_eq!(
            (error.reason, error.column),
            (Reason::DuplicateLabel(label.to_owned()), column),
            "{body}"
        );
    }
    assert_eq!(refuse("{__name__=\"a\"} 1").reason, Reason::MissingName);
}

#[test]
fn rw_4_20_bytes_that_are_not_utf8_fail_the_scrape() {
    let cases: [(&[u8], u32); 4] = [
        (b"a{b=\"x\xff\"} 1", 7),
        (b"{\"a\xff\"} 1", 4),
        (b"a{\"b\xff\"=\"c\"} 1", 5),
        (b"# HELP a x\xff", 11),
    ];
    for (body, column) in cases {
        let error = refuse(body);
        assert_eq!((error.reason, error.column), (Reason::NotUtf8, column), "{}", body.escape_ascii());
    }
    // Outside quotes they are no name at all.
    assert_eq!(refuse(b"a{\xff=\"foo\"} 1").reason, Reason::ExpectedLabelName);
}

#[test]
fn rw_4_19_the_type_in_force_decides_the_spelling_of_bounds() {
    let body = "m{le=\"1\",quantile=\"1\"} 1\n";
    let cases = [
        ("", "1", "1"),
        ("# TYPE h histogram\n", "1.0", "1"),
        ("# TYPE s summary\n", "1", "1.0"),
        ("# TYPE g gauge\n", "1", "1"),
        ("# TYPE h histogram\n# TYPE u untyped\n", "1", "1"),
        ("# TYPE h histogram\n# HELP other x\nother 1\n", "1.0", "1"),
    ];
    for (before, le, quantile) in cases {
        let seen = accept(format!("{before}{body}"));
        let labels: &[(&str, &str)] = &[(METRIC_NAME, "m"), ("le", le), ("quantile", quantile)];
        assert_eq!(seen.last(), Some(&sample(body[..22].trim_end(), 1.0, None, labels)), "{before}");
    }
    let seen = accept("# TYPE h histogram\nh_bucket{le=\"many\"} 1");
    let kept: &[(&str, &str)] = &[(METRIC_NAME, "h_bucket"), ("le", "many")];
    assert_eq!(seen.last(), Some(&sample("h_bucket{le=\"many\"}", 1.0, None, kept)));
}

#[test]
fn rw_4_06_an_empty_value_is_exposed_but_is_no_label() {
    let mut parser = Parser::new(b"m{job=\"\",a=\"1\"} 1");
    let Some(Ok(Entry::Series(series))) = parser.next() else { panic!("no series") };
    let exposed = series.exposed().unwrap();
    assert_eq!(exposed.get("job"), Some(""));
    assert_eq!(exposed.get("instance"), None);
    assert_eq!(series.labels().unwrap().to_string(), "m{a=\"1\"}");
    assert_eq!(series.name().unwrap(), "m");
}

#[test]
fn the_parser_knows_the_line_of_its_entry() {
    let mut parser = Parser::new(b"\na 1\n# HELP a x\n\n\n  b{c=\"d\ne\"} 2\nf ?");
    let mut lines = Vec::new();
    while let Some(entry) = parser.next() {
        lines.push((parser.line(), entry.is_ok()));
    }
    assert_eq!(lines, [(2, true), (3, true), (6, true), (8, false)]);
}

#[test]
fn a_guess_must_be_the_whole_series() {
    let cases = [
        ("m 1", "m", "m"),
        ("m\t1", "m", "m"),
        ("m {a=\"b\"} 1", "m", "m {a=\"b\"}"),
        ("m{a=\"b\"} 1", "m", "m{a=\"b\"}"),
        ("m_total 1", "m", "m_total"),
        ("m{a=\"b\"}1", "m{a=\"b\"}", "m{a=\"b\"}"),
        ("m{a=\"b\"} 1", "m{a=\"c\"}", "m{a=\"b\"}"),
        ("m{a=\"b\"} 1", "m{a=\"b\"} 1", "m{a=\"b\"}"),
        ("m 1", "", "m"),
    ];
    for (body, guess, raw) in cases {
        let entry = Parser::new(body.as_bytes()).next_like(guess.as_bytes());
        let Some(Ok(Entry::Series(series))) = entry else { panic!("{body} guessed {guess}: {entry:?}") };
        assert_eq!(series.raw, raw.as_bytes(), "{body} guessed {guess}");
        assert_eq!(series.value.to_bits(), 1.0_f64.to_bits(), "{body} guessed {guess}");
    }
}

#[test]
fn an_error_reads_well_at_night() {
    let error = refuse("# HELP a x\na{b=\"c\"} 1\nb{path=\"/x\" d='e'} 5\n");
    assert_eq!(
        error.to_string(),
        "line 3, column 15: expected a label value in double quotes: b{path=\"/x\" d='e'} 5"
    );
}
