use super::*;
use crate::model::{METRIC_NAME, NORMAL_NAN_BITS};

/// The rows of crates.md section 1 that Prometheus keeps, with the labels that it stores. prometheus-parse drops or bends each.
#[test]
fn what_prometheus_keeps_is_kept() {
    let cases: [(&str, &[(&str, &str)]); 11] = [
        (r#"m{a="x,y",b="z"} 1"#, &[("m", ""), ("a", "x,y"), ("b", "z")]),
        (r#"m{a="k=v",b="z"} 1"#, &[("m", ""), ("a", "k=v"), ("b", "z")]),
        (r#"m{a="{x}"} 1"#, &[("m", ""), ("a", "{x}")]),
        ("m{} 1", &[("m", "")]),
        (r#"m { a = "1" } 1"#, &[("m", ""), ("a", "1")]),
        (r#"m{a="1", b="2"} 1"#, &[("m", ""), ("a", "1"), ("b", "2")]),
        (r#"m{path="C:\\DIR",e="a\n\"b\""} 1"#, &[("m", ""), ("path", r"C:\DIR"), ("e", "a\n\"b\"")]),
        ("job:rate5m 1", &[("job:rate5m", "")]),
        (r#"{"go.gc",quantile="0"} 1"#, &[("go.gc", ""), ("quantile", "0")]),
        (r#"m{"a.b"="c"} 1"#, &[("m", ""), ("a.b", "c")]),
        (r#"m{e="x\""} 1"#, &[("m", ""), ("e", "x\"")]),
    ];
    for (body, expected) in cases {
        let [Seen::Sample { labels, .. }] = &accept(body)[..] else { panic!("{body}") };
        let mut wanted = vec![(METRIC_NAME, expected[0].0)];
        wanted.extend(&expected[1..]);
        let labels: Vec<_> = labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(labels, wanted, "{body}");
    }
}

/// The rows that fail the whole scrape; prometheus-parse accepts them or drops the line.
#[test]
fn what_prometheus_refuses_is_refused() {
    for body in [
        "métrique 1",
        "1abc 2",
        "m true",
        "m",
        "m{a=\"b",
        "m{a='b'} 1",
        "m{a=b} 1",
        "m 1 12x",
        "m 1 2 junk",
        "m +Inf -3982045",
        "m 1e999",
        "m -nan",
        "# TYPE m foo",
        "m 1\r\n",
        "m 1 # {trace_id=\"x\"} 0.5 1.5",
    ] {
        let error = refuse(format!("before 1\n{body}\nafter 1\n"));
        // The unclosed quote runs into the next line before it meets something impossible.
        assert!((2..=3).contains(&error.line), "{body}: {error}");
        assert_eq!(
            read(format!("before 1\n{body}\nafter 1\n").as_bytes()).0.len(),
            1,
            "{body}: the lines before it were read"
        );
    }
}

/// Rows on histograms: a series for each line, in order, each with its own timestamp and type; a bad `le` stays.
#[test]
fn a_histogram_is_one_series_for_each_line_in_order() {
    let body = concat!(
        "# TYPE h histogram\n",
        "h_bucket{le=\"1\"} 1 10\n",
        "h_bucket{le=\"x\"} 2 20\n",
        "h_bucket{le=\"+Inf\"} 3\n",
        "h_sum 4 40\n",
        "h_count 3\n",
    );
    let bucket = |le: &str, value, timestamp, stored: &str| {
        sample(
            &format!("h_bucket{{le=\"{le}\"}}"),
            value,
            timestamp,
            &[(METRIC_NAME, "h_bucket"), ("le", stored)],
        )
    };
    let expected = [
        Seen::Type("h".to_owned(), MetricType::Histogram),
        bucket("1", 1.0, Some(10), "1.0"),
        bucket("x", 2.0, Some(20), "x"),
        bucket("+Inf", 3.0, None, "+Inf"),
        sample("h_sum", 4.0, Some(40), &[(METRIC_NAME, "h_sum")]),
        sample("h_count", 3.0, None, &[(METRIC_NAME, "h_count")]),
    ];
    assert_eq!(accept(body), expected);
}

/// "`_sum`/`_count` of a typed family": they carry the family's type.
#[test]
fn sum_and_count_carry_the_type_of_their_family() {
    let mut parser = Parser::new(b"# TYPE h histogram\nh_sum 4\nh_count 3\n");
    let mut seen = 0;
    while let Some(entry) = parser.next() {
        match entry.unwrap() {
            Entry::Series(series) => {
                assert_eq!(series.in_force, MetricType::Histogram);
                assert!(crate::exposition::belongs_to_family(&series.name().unwrap(), "h", series.in_force));
                seen += 1;
            }
            Entry::Histogram(_)
            | Entry::Type { .. }
            | Entry::Help { .. }
            | Entry::Unit { .. }
            | Entry::Comment => {}
        }
    }
    assert_eq!(seen, 2);
}

/// "text never yields a stale NaN".
#[test]
fn no_text_gives_the_staleness_marker() {
    for word in ["NaN", "nan", "NAN"] {
        let [Seen::Sample { value, .. }] = accept(format!("m {word}"))[..] else { panic!("{word}") };
        assert_eq!(value, NORMAL_NAN_BITS);
    }
}
