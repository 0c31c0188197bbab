use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::exposition::{CreatedTimes, OpenMetricsParser, Reason};
use crate::model::METRIC_NAME;

/// Reads to the end or to the first error; exemplars as `labels value @timestamp` beside the index of their sample.
fn read(body: impl AsRef<[u8]>) -> (Vec<Seen>, Vec<String>, Option<ParseError>) {
    let mut parser = OpenMetricsParser::new(body.as_ref());
    let (mut seen, mut exemplars) = (Vec::new(), Vec::new());
    while let Some(entry) = parser.next() {
        match entry.and_then(see) {
            Ok(entry) => seen.push(entry),
            Err(error) => return (seen, exemplars, Some(error)),
        }
        if let Some(exemplar) = parser.exemplar() {
            let labels: Vec<_> =
                exemplar.labels().iter().map(|(name, value)| format!("{name}={value}")).collect();
            let (at, value, timestamp) = (seen.len() - 1, exemplar.value, exemplar.timestamp);
            exemplars.push(format!("{at}: {} {value} {timestamp:?}", labels.join(",")));
        }
    }
    assert!(parser.next().is_none(), "the end stays the end");
    (seen, exemplars, None)
}

fn accept(body: &str) -> Vec<Seen> {
    let (seen, _, error) = read(body);
    assert_eq!(error, None, "{body}");
    seen
}

fn unit(family: &str, unit: &str) -> Seen {
    Seen::Unit(family.to_owned(), unit.to_owned())
}

fn of_type(family: &str, metric_type: MetricType) -> Seen {
    Seen::Type(family.to_owned(), metric_type)
}

#[test]
fn rw_4_25_a_whole_exposition_gives_its_entries_in_order() {
    let body = concat!(
        "# HELP pull_seconds Time to \\\"pull\\\".\\nIt varies.\n",
        "# TYPE pull_seconds summary\n",
        "# UNIT pull_seconds seconds\n",
        "pull_seconds{quantile=\"0.90\",host=\"a\",} 3.5e-05\n",
        "pull_seconds_count 99 1520879607.789\n",
        "pull_seconds_created 1520872607.123\n",
        "# TYPE wait histogram\n",
        "wait_bucket{le=\"1\"} 8 # {} 4\n",
        "wait_bucket{le=\"+Inf\"} 17 1 # {trace_id=\"a\\\"b\",\"q.d\"=\"\"} 9.8 1520879607.7899\n",
        "# TYPE build info\n",
        "build_info{version=\"1\"} 1\n",
        "# TYPE g gaugehistogram\n",
        "g_bucket{le=\"1\"} 1\n",
        "# TYPE s stateset\n",
        "s{s=\"on\"} 1\n",
        "# TYPE u unknown\n",
        "# UNIT u \n",
        "# HELP u \n",
        "{\"u.x\",\"l.m\"=\"n\"} -0 -1.5\n",
        "u{a=\"x{y}\"} NaN\n",
        "# TYPE \"c.c\" counter\n",
        "{a=\"b\",\"c.c_total\"} 1 # {t=\"1\"} 1\n",
        "# EOF\n",
    );
    let expected = vec![
        Seen::Help("pull_seconds".into(), "Time to \"pull\".\nIt varies.".into()),
        of_type("pull_seconds", MetricType::Summary),
        unit("pull_seconds", "seconds"),
        sample(
            "pull_seconds{quantile=\"0.90\",host=\"a\",}",
            3.5e-5,
            None,
            &[(METRIC_NAME, "pull_seconds"), ("quantile", "0.9"), ("host", "a")],
        ),
        sample("pull_seconds_count", 99.0, Some(1_520_879_607_789), &[(METRIC_NAME, "pull_seconds_count")]),
        sample("pull_seconds_created", 1_520_872_607.123, None, &[(METRIC_NAME, "pull_seconds_created")]),
        of_type("wait", MetricType::Histogram),
        sample("wait_bucket{le=\"1\"}", 8.0, None, &[(METRIC_NAME, "wait_bucket"), ("le", "1.0")]),
        sample(
            "wait_bucket{le=\"+Inf\"}",
            17.0,
            Some(1_000),
            &[(METRIC_NAME, "wait_bucket"), ("le", "+Inf")],
        ),
        of_type("build", MetricType::Info),
        sample("build_info{version=\"1\"}", 1.0, None, &[(METRIC_NAME, "build_info"), ("version", "1")]),
        of_type("g", MetricType::GaugeHistogram),
        sample("g_bucket{le=\"1\"}", 1.0, None, &[(METRIC_NAME, "g_bucket"), ("le", "1")]),
        of_type("s", MetricType::StateSet),
        sample("s{s=\"on\"}", 1.0, None, &[(METRIC_NAME, "s"), ("s", "on")]),
        of_type("u", MetricType::Unknown),
        unit("u", ""),
        Seen::Help("u".into(), String::new()),
        sample("{\"u.x\",\"l.m\"=\"n\"}", -0.0, Some(-1_500), &[(METRIC_NAME, "u.x"), ("l.m", "n")]),
        sample(
            "u{a=\"x{y}\"}",
            f64::from_bits(crate::model::NORMAL_NAN_BITS),
            None,
            &[(METRIC_NAME, "u"), ("a", "x{y}")],
        ),
        of_type("c.c", MetricType::Counter),
        sample("{a=\"b\",\"c.c_total\"}", 1.0, None, &[(METRIC_NAME, "c.c_total"), ("a", "b")]),
    ];
    let (seen, exemplars, error) = read(body);
    assert_eq!(error, None);
    assert_eq!(seen, expected);
    assert_eq!(exemplars, ["7:  4 None", "8: trace_id=a\"b,q.d= 9.8 Some(1520879607789)", "21: t=1 1 None"]);
}

#[test]
fn rw_4_25_the_end_is_eof_with_a_line_break_or_without() {
    for body in ["# EOF", "# EOF\n", "a 1\n# EOF", "# HELP a \n# EOF\n"] {
        accept(body);
    }
}

/// What is refused, at which line and column, and why.
#[test]
fn rw_4_25_what_prometheus_refuses_is_refused() {
    use Reason as R;
    let cases = [
        ("", 1, 1, R::MissingEof),
        ("\n# EOF", 1, 1, R::ExpectedEntry),
        ("a 1\n", 2, 1, R::MissingEof),
        ("a 1", 1, 4, R::MissingEof),
        ("a 1 2", 1, 6, R::MissingEof),
        ("# EOF\n\n", 2, 1, R::AfterEof),
        ("# EOFx", 1, 6, R::AfterEof),
        ("# EOF\na 1\n", 2, 1, R::AfterEof),
        ("a 1\n\n# EOF\n", 2, 1, R::ExpectedEntry),
        ("a\t1\n# EOF\n", 1, 2, R::ExpectedValue),
        ("a  1\n# EOF\n", 1, 3, R::ExpectedValue),
        (" a 1\n# EOF\n", 1, 1, R::ExpectedEntry),
        ("a 1 \n# EOF\n", 1, 5, R::ExpectedSampleEnd),
        ("a 1  2\n# EOF\n", 1, 5, R::ExpectedSampleEnd),
        ("a 1\r\n# EOF\n", 1, 3, R::BadValue),
        ("a 1_0\n# EOF\n", 1, 3, R::BadValue),
        ("a 0x1p-3\n# EOF\n", 1, 3, R::BadValue),
        ("a {b=\"c\"} 1\n# EOF\n", 1, 3, R::BadValue),
        ("a{ b=\"c\"} 1\n# EOF\n", 1, 3, R::ExpectedLabelName),
        ("a{b =\"c\"} 1\n# EOF\n", 1, 4, R::ExpectedEqual),
        ("a{b= \"c\"} 1\n# EOF\n", 1, 5, R::ExpectedLabelValue),
        ("a{b='c'} 1\n# EOF\n", 1, 5, R::ExpectedLabelValue),
        ("a{b=\"c\" } 1\n# EOF\n", 1, 8, R::ExpectedComma),
        ("a{b=\"c\"d=\"e\"} 1\n# EOF\n", 1, 8, R::ExpectedComma),
        ("a{b=\"c\n\"} 1\n# EOF\n", 1, 5, R::Unclosed),
        ("a{,} 1\n# EOF\n", 1, 3, R::ExpectedLabelName),
        ("a{b=\"c\",,} 1\n# EOF\n", 1, 9, R::ExpectedLabelName),
        ("a{\"b\"} 1\n# EOF\n", 1, 3, R::SecondName),
        ("{\"a\",\"b\"} 1\n# EOF\n", 1, 6, R::SecondName),
        ("{a=\"b\"} 1\n# EOF\n", 1, 1, R::MissingName),
        ("{} 1\n# EOF\n", 1, 1, R::MissingName),
        ("{\"\"} 1\n# EOF\n", 1, 2, R::MissingName),
        ("a{b=\"c\",b=\"d\"} 1\n# EOF\n", 1, 9, R::DuplicateLabel("b".into())),
        ("a 1 x\n# EOF\n", 1, 5, R::BadTimestamp),
        ("a 1 NaN\n# EOF\n", 1, 5, R::BadTimestamp),
        ("a 1 +Inf\n# EOF\n", 1, 5, R::BadTimestamp),
        ("a 1 #\n# EOF\n", 1, 5, R::BadTimestamp),
        ("a 1 # {} 1 NaN\n# EOF\n", 1, 12, R::BadTimestamp),
        ("a 1 # {}\n# EOF\n", 1, 9, R::ExpectedValue),
        ("a 1 # {} x\n# EOF\n", 1, 10, R::BadValue),
        ("a 1 # {b} 1\n# EOF\n", 1, 9, R::ExpectedEqual),
        ("a 1 # {\"b\"} 1\n# EOF\n", 1, 8, R::ExpectedLabelName),
        ("a 1 # {b=\"c} 1\n# EOF\n", 1, 10, R::Unclosed),
        ("a 1 # {} 1 2 3\n# EOF\n", 1, 13, R::ExpectedSampleEnd),
        ("a 1 # {} 1", 1, 11, R::MissingEof),
        ("#\n# EOF\n", 1, 1, R::ExpectedKeyword),
        ("# a comment\n# EOF\n", 1, 1, R::ExpectedKeyword),
        ("#HELP a b\n# EOF\n", 1, 1, R::ExpectedKeyword),
        ("#  HELP a b\n# EOF\n", 1, 1, R::ExpectedKeyword),
        ("# HELP\n# EOF\n", 1, 1, R::ExpectedKeyword),
        ("# HELP \n# EOF\n", 1, 8, R::ExpectedFamily),
        ("# HELP a\n# EOF\n", 1, 9, R::ExpectedText),
        ("# TYPE a\n# EOF\n", 1, 9, R::ExpectedText),
        ("# TYPE a\tgauge\n# EOF\n", 1, 9, R::ExpectedText),
        ("# TYPE a untyped\n# EOF\n", 1, 10, R::UnknownOpenMetricsType("untyped".into())),
        ("# TYPE a  gauge\n# EOF\n", 1, 10, R::UnknownOpenMetricsType(" gauge".into())),
        ("# TYPE a gauge", 1, 9, R::ExpectedText),
        ("# UNIT a seconds\n# EOF\n", 1, 10, R::UnitIsNoSuffix("seconds".into())),
        ("# UNIT seconds seconds\n# EOF\n", 1, 16, R::UnitIsNoSuffix("seconds".into())),
        ("# UNIT aseconds seconds\n# EOF\n", 1, 17, R::UnitIsNoSuffix("seconds".into())),
    ];
    for (body, line, column, reason) in cases {
        let error = read(body).2.unwrap_or_else(|| panic!("accepted {body:?}"));
        assert_eq!((error.line, error.column, error.reason), (line, column, reason), "{body:?}");
    }
}

#[test]
fn rw_4_20_what_is_not_utf8_is_refused() {
    for body in [
        &b"a{b=\"\xff\"} 1\n# EOF\n"[..],
        b"{\"\xff\"} 1\n# EOF\n",
        b"# HELP a \xff\n# EOF\n",
        b"a 1 # {b=\"\xff\"} 1\n# EOF\n",
    ] {
        assert_eq!(read(body).2.unwrap().reason, Reason::NotUtf8, "{}", body.escape_ascii());
    }
}

#[test]
fn rw_4_18_timestamps_are_seconds_and_cut_to_milliseconds() {
    for (text, expected) in [
        ("1520879607.789", 1_520_879_607_789),
        ("1.9999", 1_999),
        ("-1.9999", -1_999),
        ("1e3", 1_000_000),
        ("0", 0),
        ("1e300", i64::MAX),
    ] {
        let seen = accept(&format!("a 1 {text}\n# EOF\n"));
        assert_eq!(seen, [sample("a", 1.0, Some(expected), &[(METRIC_NAME, "a")])], "{text}");
    }
}

#[test]
fn a_guess_gives_what_reading_gives_and_a_wrong_one_does_no_harm() {
    let body = "a{b=\"c\"} 1\nab 2 # {t=\"1\"} 1\na 3 4\na{b=\"cd\"} 5\n# EOF\n";
    let plain = accept(body);
    for guess in ["", "a", "a{b=\"c\"}", "ab", "a{b=\"cd\"}", "a 3", "# EOF"] {
        let mut parser = OpenMetricsParser::new(body.as_bytes());
        let mut seen = Vec::new();
        while let Some(entry) = parser.next_like(guess.as_bytes()) {
            seen.push(see(entry.unwrap()).unwrap());
        }
        if guess != "a 3" && guess != "# EOF" {
            assert_eq!(seen, plain, "{guess}");
        }
    }
}

#[test]
fn rw_4_26_created_lines_tell_when_the_series_beside_them_began() {
    let body = concat!(
        "# TYPE c counter\n",
        "c_total{x=\"1\",y=\"2\"} 1\n",
        "c_created{y=\"2\",x=\"1\"} 1520872607.1239\n",
        "c_total{x=\"2\",y=\"2\"} 1\n",
        "# TYPE h histogram\n",
        "h_bucket{a=\"b\",le=\"1\"} 1\n",
        "h_bucket{a=\"b\",le=\"+Inf\"} 1\n",
        "h_sum{a=\"b\"} 1\n",
        "h_created{a=\"b\"} 2\n",
        "# TYPE s summary\n",
        "s_created 3\n",
        "s{quantile=\"0.5\"} 1\n",
        "# TYPE g gauge\n",
        "g 1\n",
        "g_created 4\n",
        "# EOF\n",
    );
    let mut created = CreatedTimes::default();
    // What an earlier body has said counts no more.
    created.collect(b"# TYPE c counter\nc_created{x=\"2\",y=\"2\"} 9\n# EOF\n");
    created.collect(body.as_bytes());
    let mut parser = OpenMetricsParser::new(body.as_bytes());
    let (mut family, mut starts) = (String::new(), Vec::new());
    while let Some(Ok(entry)) = parser.next() {
        match entry {
            Entry::Type { family: name, .. } => family = name.into_owned(),
            Entry::Series(series) => {
                let skipped = crate::exposition::is_created(&series, &family);
                starts.push((skipped, created.of(&series, &family)));
            }
            Entry::Histogram(_) | Entry::Help { .. } | Entry::Unit { .. } | Entry::Comment => {}
        }
    }
    let (kept, skipped) = (|start| (false, start), (true, None));
    let c = Some(1_520_872_607_123);
    let h = Some(2_000);
    assert_eq!(
        starts,
        [
            kept(c),
            skipped,
            kept(None),
            kept(h),
            kept(h),
            kept(h),
            skipped,
            skipped,
            kept(Some(3_000)),
            kept(None),
            kept(None),
        ]
    );
}

// === generated ===

/// Labels, value bits, timestamp, exemplar.
type Told = (Vec<(String, String)>, u64, Option<i64>, Option<String>);

/// A line's series, value, seconds and exemplar.
#[derive(Clone, Debug)]
struct Line {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
    seconds: Option<u32>,
    exemplar: Option<(String, f64, Option<u32>)>,
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

impl Line {
    fn spelled(&self) -> String {
        let label = |(at, (name, value)): (usize, &(String, String))| {
            let name = format!("{name}{at}");
            let classic = !name.contains(['.', 'é', '"', '\\']);
            format!("{}={}", if classic { name } else { quoted(&name) }, quoted(value))
        };
        let labels: Vec<_> = self.labels.iter().enumerate().map(label).collect();
        let mut line = match (self.name.contains('.'), labels.is_empty()) {
            (true, true) => format!("{{{}}}", quoted(&self.name)),
            (true, false) => format!("{{{},{}}}", labels.join(","), quoted(&self.name)),
            (false, true) => self.name.clone(),
            (false, false) => format!("{}{{{}}}", self.name, labels.join(",")),
        };
        let seconds = |seconds: Option<u32>| seconds.map(|s| format!(" {s}.5")).unwrap_or_default();
        line += &format!(" {:?}{}", self.value, seconds(self.seconds));
        if let Some((trace, value, at)) = &self.exemplar {
            line += &format!(" # {{trace_id={}}} {value:?}{}", quoted(trace), seconds(*at));
        }
        line + "\n"
    }

    fn expected(&self) -> Told {
        let milliseconds = |seconds: u32| i64::from(seconds) * 1000 + 500;
        let mut labels = vec![(METRIC_NAME.to_owned(), self.name.clone())];
        let numbered = self.labels.iter().enumerate();
        labels.extend(numbered.map(|(at, (name, value))| (format!("{name}{at}"), value.clone())));
        let exemplar = self
            .exemplar
            .as_ref()
            .map(|(trace, value, at)| format!("trace_id={trace} {value} {:?}", at.map(milliseconds)));
        (labels, self.value.to_bits(), self.seconds.map(milliseconds), exemplar)
    }
}

fn line() -> impl Strategy<Value = Line> {
    let name = prop_oneof!["[a-z_:][a-z0-9_:]{0,6}", "[a-z]\\.[a-z]"];
    let labels = vec(("[a-z_]{1,3}|[a-z]\\.|é\"|\\\\", "[^\\x00]{0,6}"), 0..3);
    let value = any::<f64>().prop_filter("one NaN", |value| !value.is_nan());
    let exemplar = option::of(("[a-z\"\\\\ü]{0,4}", -9.0..9.0_f64, option::of(any::<u32>())));
    (name, labels, value, option::of(any::<u32>()), exemplar).prop_map(
        |(name, labels, value, seconds, exemplar)| {
            let value = if value.is_infinite() { 1e300 } else { value };
            Line { name, labels, value, seconds, exemplar }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn what_is_written_is_read_with_guesses_and_without(lines in vec(line(), 0..6)) {
        let body = lines.iter().map(Line::spelled).collect::<String>() + "# EOF\n";
        let mut guesses: Vec<Vec<u8>> = Vec::new();
        for _ in 0..2 {
            let mut parser = OpenMetricsParser::new(body.as_bytes());
            let mut read = Vec::new();
            while let Some(entry) = parser.next_like(guesses.get(read.len()).map_or(&[], Vec::as_slice)) {
                let Entry::Series(series) = entry.unwrap() else { panic!("samples only") };
                let labels = series.exposed().unwrap();
                let labels = labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
                let exemplar = parser.exemplar().map(|exemplar| {
                    let (name, value) = &exemplar.labels()[0];
                    format!("{name}={value} {} {:?}", exemplar.value, exemplar.timestamp)
                });
                read.push((labels, series.value.to_bits(), series.timestamp, exemplar));
                guesses.push(series.raw.to_vec());
            }
            prop_assert_eq!(read, lines.iter().map(Line::expected).collect::<Vec<_>>());
        }
    }

    #[test]
    fn arbitrary_and_cut_bodies_do_no_harm(
        lines in vec(line(), 0..4), at in any::<Index>(), noise in vec(any::<u8>(), 0..4), text in "[#{}\"\\\\=, \nea1.]{0,40}"
    ) {
        let mut body = lines.iter().map(Line::spelled).collect::<String>().into_bytes();
        body.extend_from_slice(text.as_bytes());
        body.splice(at.index(body.len() + 1).., noise);
        let mut created = CreatedTimes::default();
        created.collect(&body);
        // Whatever was cut off, the end is gone.
        prop_assert!(read(&body).2.is_some() || body.ends_with(b"# EOF") || body.ends_with(b"# EOF\n"));
    }
}
