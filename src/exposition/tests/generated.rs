use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;
use crate::model::METRIC_NAME;

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) }
}

// === prometheus-parse as an oracle ===

type Labels = BTreeMap<String, String>;

/// A sample as both parsers can be made to say it. Values as bits with one NaN; `le` and `quantile` as numbers.
type Flat = (String, Labels, Option<(&'static str, u64)>, u64, Option<i64>);

#[derive(Clone, Debug)]
struct Family {
    metric_type: &'static str,
    help: Option<String>,
    series: Vec<(Labels, f64, Option<i64>)>,
}

/// What prometheus-parse reads right: ASCII names without a colon; values without `, = } " \`. The names of the bounds are kept for
/// the bounds.
fn labels() -> impl Strategy<Value = Labels> {
    btree_map("[a-z_][a-zA-Z0-9_]{0,8}", "[^,=}\"\\\\\\n\\r\\x00]{0,12}", 0..4).prop_map(|mut labels| {
        labels.retain(|name, _| name != "le" && name != "quantile");
        labels
    })
}

fn value() -> impl Strategy<Value = f64> {
    let special =
        select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, f64::MAX, f64::MIN_POSITIVE]);
    prop_oneof![4 => (0..1_000_000_u32).prop_map(f64::from), 4 => any::<f64>(), 1 => special]
}

fn family() -> impl Strategy<Value = Family> {
    let metric_type = select(vec!["counter", "gauge", "untyped", "histogram", "summary", "none"]);
    // One timestamp for a whole family: prometheus-parse keeps only the first of a histogram's.
    let series = (vec((labels(), value()), 1..4), proptest::option::of(0..4_000_000_000_000_i64))
        .prop_map(|(series, at)| series.into_iter().map(|(labels, value)| (labels, value, at)).collect());
    (metric_type, proptest::option::of("[a-zA-Z0-9]([a-z {}=\",]{0,20}[a-z.])?"), series)
        .prop_map(|(metric_type, help, series)| Family { metric_type, help, series })
}

const BOUNDS: [(&str, &str, &str); 3] =
    [("0.5", "1", "+Inf"), ("0.005", "2.5", "1e+06"), ("0", "0.90", "0.999")];

fn write_labels(text: &mut String, labels: &Labels, bound: Option<(&str, &str)>) {
    let all: Vec<_> =
        labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).chain(bound).collect();
    let mut separator = '{';
    for (name, value) in &all {
        write!(text, "{separator}{name}=\"{value}\"").unwrap();
        separator = ',';
    }
    if !all.is_empty() {
        text.push('}');
    }
}

fn write_number(text: &mut String, value: f64) {
    if value.is_nan() {
        text.push_str("NaN");
    } else if value.is_infinite() {
        text.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
    } else {
        write!(text, "{value:?}").unwrap();
    }
}

fn exposition(families: &[Family]) -> String {
    let mut text = String::new();
    for (number, family) in families.iter().enumerate() {
        let name = format!("metric_{number}");
        if let Some(help) = &family.help {
            writeln!(text, "# HELP {name} {help}").unwrap();
        }
        if family.metric_type != "none" {
            writeln!(text, "# TYPE {name} {}", family.metric_type).unwrap();
        }
        let mut seen = BTreeSet::new();
        for (index, (labels, value, at)) in family.series.iter().enumerate() {
            if !seen.insert(labels) {
                continue;
            }
            let (first, second, third) = BOUNDS[index % BOUNDS.len()];
            let lines: Vec<(&str, Option<(&str, &str)>)> = match family.metric_type {
                "histogram" => vec![
                    ("_bucket", Some(("le", first))),
                    ("_bucket", Some(("le", second))),
                    ("_bucket", Some(("le", third))),
                    ("_sum", None),
                    ("_count", None),
                ],
                "summary" => vec![
                    ("", Some(("quantile", first))),
                    ("", Some(("quantile", third))),
                    ("_sum", None),
                    ("_count", None),
                ],
                _ => vec![("", None)],
            };
            for (suffix, bound) in lines {
                write!(text, "{name}{suffix}").unwrap();
                write_labels(&mut text, labels, bound);
                text.push(' ');
                write_number(&mut text, *value);
                if let Some(at) = at {
                    write!(text, " {at}").unwrap();
                }
                text.push('\n');
            }
        }
    }
    text
}

fn bits(value: f64) -> u64 {
    if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() }
}

/// The oracle's answer, its histograms and summaries taken apart again.
fn oracle(text: &str) -> (BTreeSet<Flat>, BTreeMap<String, String>) {
    use prometheus_parse::{Scrape, Value};

    // It fills in the time of the scrape where a line has none: a millisecond that no line has.
    let now = "1969-12-31T23:59:59.999Z".parse().unwrap();
    let lines = text.lines().map(|line| io::Result::Ok(line.to_owned()));
    let scrape = Scrape::parse_at(lines, now).unwrap();
    let mut flat = BTreeSet::new();
    for sample in scrape.samples {
        let labels: Labels =
            sample.labels.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        let millis = sample.timestamp.timestamp_millis();
        let at = (millis >= 0).then_some(millis);
        match sample.value {
            Value::Counter(value) | Value::Gauge(value) | Value::Untyped(value) => {
                flat.insert((sample.metric, labels, None, bits(value), at));
            }
            Value::Histogram(buckets) => {
                for bucket in buckets {
                    let name = format!("{}_bucket", sample.metric);
                    flat.insert((
                        name,
                        labels.clone(),
                        Some(("le", bits(bucket.less_than))),
                        bits(bucket.count),
                        at,
                    ));
                }
            }
            Value::Summary(quantiles) => {
                for quantile in quantiles {
                    let bound = Some(("quantile", bits(quantile.quantile)));
                    flat.insert((sample.metric.clone(), labels.clone(), bound, bits(quantile.count), at));
                }
            }
        }
    }
    (flat, scrape.docs.into_iter().collect())
}

fn ours(text: &str) -> (BTreeSet<Flat>, BTreeMap<String, String>) {
    let mut flat = BTreeSet::new();
    let mut docs = BTreeMap::new();
    for entry in accept(text) {
        match entry {
            Seen::Sample { labels, value, timestamp, .. } => {
                let mut labels: Labels = labels.into_iter().collect();
                let name = labels.remove(METRIC_NAME).unwrap();
                let bound = ["le", "quantile"]
                    .into_iter()
                    .find_map(|bound| Some((bound, bits(labels.remove(bound)?.parse().unwrap()))));
                flat.insert((name, labels, bound, bits(f64::from_bits(value)), timestamp));
            }
            Seen::Unit(..) => unreachable!("the text format has no units"),
            Seen::Help(family, help) => {
                docs.insert(family, help);
            }
            Seen::Type(..) | Seen::Comment => {}
        }
    }
    (flat, docs)
}

proptest! {
    #![proptest_config(cases(2_500))]

    /// 2,500 generated expositions, each read by prometheus-parse too, restricted to what it reads right (crates.md section 1) and
    /// compared as an unordered set of single samples.
    #[test]
    fn prometheus_parse_agrees_on_2500_generated_expositions(families in vec(family(), 1..5)) {
        let text = exposition(&families);
        prop_assert_eq!(ours(&text), oracle(&text), "{}", text);
    }
}

// === our own writer as an oracle: everything that can be escaped ===

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

proptest! {
    #![proptest_config(cases(1_000))]

    #[test]
    fn any_names_and_values_come_back_as_they_were_written(
        name in "\\PC{1,20}",
        // NUL is for label values alone.
        labels in btree_map("[^\\x00]{1,10}", any::<String>(), 0..5),
        blanks in select(vec!["", " ", "\t", " \t "]),
        value in value(),
    ) {
        prop_assume!(!labels.contains_key(METRIC_NAME));
        let mut text = format!("{{{blanks}\"{}\"", escaped(&name));
        for (label, value) in &labels {
            write!(text, "{blanks},{blanks}\"{}\"{blanks}={blanks}\"{}\"", escaped(label), escaped(value)).unwrap();
        }
        text.push_str(blanks);
        text.push('}');
        let raw = text.clone();
        text.push(' ');
        write_number(&mut text, value);
        let mut expected = vec![(METRIC_NAME, name.as_str())];
        expected.extend(labels.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let value = if value.is_nan() { f64::from_bits(crate::model::NORMAL_NAN_BITS) } else { value };
        prop_assert_eq!(accept(&text), [sample(&raw, value, None, &expected)]);
    }
}

// === no input makes it panic, loop or guess wrong ===

const FRAGMENTS: [&[u8]; 34] = [
    b"m",
    b"le",
    b"{",
    b"}",
    b"\"",
    b"\\",
    b"=",
    b",",
    b" ",
    b"\t",
    b"\n",
    b"\n",
    b"\r",
    b"\0",
    b"#",
    b"# ",
    b"# HELP m ",
    b"# TYPE m ",
    b"gauge\n",
    b"histogram\n",
    b"1",
    b"-",
    b".5",
    b"e",
    b"NaN",
    b"_",
    b"\xff",
    "é".as_bytes(),
    b"a=\"b\"",
    b"{\"n\",",
    b"m{a=\"b\"} 1\n",
    b"m{} 2 3\n",
    b"m 1\n",
    b"m{le=\"1\"} 4\n",
];

fn soup() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        1 => vec(any::<u8>(), 0..200),
        4 => vec(select(FRAGMENTS.to_vec()), 0..40).prop_map(|fragments| fragments.concat()),
    ]
}

proptest! {
    #![proptest_config(cases(4_000))]

    /// Every entry takes at least one byte and each byte is in at most one entry, so the parser ends.
    #[test]
    fn arbitrary_bytes_end_without_a_panic(body in soup()) {
        let (seen, error) = read(&body);
        prop_assert!(seen.len() <= body.len());
        if let Some(error) = error {
            let line = body.split(|byte| *byte == b'\n').nth(error.line as usize - 1);
            prop_assert!(line.is_some_and(|line| error.column as usize <= line.len() + 1), "{}", error);
            prop_assert!(error.excerpt.len() <= 80 && !error.excerpt.contains(char::is_control), "{}", error);
        }
    }

    /// Whatever series is guessed, right or wrong: the entries are the same.
    #[test]
    fn a_guess_changes_nothing(body in soup(), picks in vec(any::<Index>(), 1..40)) {
        let (plain, plain_error) = read(&body);
        let mut raws: Vec<&[u8]> = vec![b"m", b"m{a=\"b\"}", b"m{}", b"{\"n\",}", b"m{le=\"1\"}"];
        let mut parser = Parser::new(&body);
        while let Some(Ok(entry)) = parser.next() {
            if let Entry::Series(series) = entry {
                raws.push(series.raw);
            }
        }
        let mut parser = Parser::new(&body);
        let mut guessed = Vec::new();
        let mut error = None;
        for pick in picks.iter().cycle() {
            match parser.next_like(raws[pick.index(raws.len())]).map(|entry| entry.and_then(see)) {
                None => break,
                Some(Ok(entry)) => guessed.push(entry),
                Some(Err(wrong)) => {
                    error = Some(wrong);
                    break;
                }
            }
        }
        prop_assert_eq!((guessed, error), (plain, plain_error));
    }

    /// A guess that no parser gave out breaks a promise, but nothing else.
    #[test]
    fn a_senseless_guess_does_no_harm(body in soup(), cut in any::<Index>()) {
        let guess = &body[..if body.is_empty() { 0 } else { cut.index(body.len()) }];
        let mut parser = Parser::new(&body);
        let mut entries = 0;
        while let Some(Ok(entry)) = parser.next_like(guess) {
            if let Entry::Series(series) = entry {
                let _ = (series.name(), series.labels());
            }
            entries += 1;
        }
        prop_assert!(entries <= body.len());
    }
}

#[test]
fn a_cut_anywhere_gives_the_entries_before_it() {
    let body = concat!(
        "# HELP h Some \\\\ help.\n",
        "# TYPE h histogram\n",
        "h_bucket{a=\"x\\\"y\",le=\"1\"} 12 1700000000000\n",
        "h_bucket{a=\"lines\nand\0zero\", le=\"+Inf\"}\t13\n",
        "# comment\n",
        "{\"größe.b\",\"c d\"=\"e\"} -Inf\n",
        "\n",
        "h_sum 1.5e+03\n",
        "h_count 13",
    );
    let whole = accept(body);
    for cut in 0..body.len() {
        let (seen, error) = read(&body.as_bytes()[..cut]);
        // Only the entry that is cut can differ: a shorter number or text is a number or text.
        let untouched = seen.len().saturating_sub(1);
        assert_eq!(seen[..untouched], whole[..untouched], "cut at {cut}");
        assert!(seen.len() <= whole.len(), "cut at {cut}");
        if let Some(error) = error {
            assert!(seen.len() < whole.len(), "cut at {cut}: {error}");
        }
    }
}
