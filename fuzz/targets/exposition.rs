//! A scraped body: the parser, and scrape after scrape through the cache.

use std::time::Instant;

use docker_remote_write::exposition::{Entry, Exposed, ParseError, Parser};
use docker_remote_write::model::{Labels, MetricType, NORMAL_NAN_BITS, is_stale_marker};
use docker_remote_write::scrape::{HistogramForms, Ingest, Rules};

use super::{Outcome, Target};

pub(crate) const TARGET: Target = Target {
    name: "exposition",
    run,
    words: &[
        b"# TYPE ",
        b"# HELP ",
        b"# UNIT ",
        b"# EOF\n",
        b" counter\n",
        b" gauge\n",
        b" histogram\n",
        b" summary\n",
        b" untyped\n",
        b"{le=\"",
        b"{quantile=\"",
        b"_bucket",
        b"_total",
        b"\"} ",
        b"\",",
        b"=\"",
        b"{\"",
        b"NaN",
        b"+Inf",
        b"-Inf",
        b"0x1p-2",
        b"1_000",
        b"1e309",
        b"4.9e-324",
        b"9223372036854775807",
        b"-9223372036854775808",
        b"1700000000000",
        b"\\n",
        b"\\\\",
        b"\\\"",
        b"\n",
        b"\r\n",
        b"\t",
        b"\0",
        b"\xff",
        b"\xc3\xa9",
        b"__name__",
        b"job",
        b"exported_job",
        b"engine_daemon_engine_info{version=\"",
    ],
    fixtures: &[
        "tests/fixtures/captures/00-daemon-idle.prom",
        "tests/fixtures/captures/05-swarm-init-immediately.prom",
    ],
    longest: 4 << 10,
    memory: (8 << 20, 4096),
};

/// When the scrapes begin, ms since the epoch.
const START: i64 = 1_700_000_000_000;

/// Its series share no family with anything in the corpus.
const GOOD: &[u8] = b"# HELP drw_sound_bytes Of sound.\n# TYPE drw_sound_bytes histogram\n\
    drw_sound_bytes_bucket{le=\"1\"} 1\ndrw_sound_bytes_bucket{le=\"+Inf\"} 2\n\
    drw_sound_bytes_sum 2.5\ndrw_sound_bytes_count 2\n# TYPE drw_sound_level gauge\ndrw_sound_level{a=\"\\\"\"} -0\n";

/// # Panics
/// If the parser gives two answers to one body, points outside of it, or a scrape depends on those before it.
pub(crate) fn run(body: &[u8]) -> Outcome {
    let plain = read(body, |_| &[]);
    let raws: Vec<&[u8]> = plain.0.iter().map(|seen| seen.raw).collect();
    let right = read(body, |at| raws.get(at).copied().unwrap_or_default());
    assert_eq!(plain, right, "right guesses change nothing");
    let wrong = read(body, |at| at.checked_sub(1).and_then(|at| raws.get(at).copied()).unwrap_or_default());
    assert_eq!(plain, wrong, "wrong guesses change nothing");
    if let Some(error) = &plain.1 {
        assert_within(error, body);
    }
    let scraped = scrapes(body);
    let converted = converts(body);
    let kinds = plain.0.iter().fold(Outcome::default(), |outcome, seen| outcome.with(seen.kind()));
    let kinds = if plain.0.len() > 6 { Outcome::default().with_count(plain.0.len() as u64) } else { kinds };
    kinds.with(plain.1.map(|error| std::mem::discriminant(&error.reason))).with_count(scraped).with(converted)
}

/// One entry, with all that can be asked of it.
#[derive(Debug, PartialEq)]
struct Seen<'a> {
    /// Empty for what is no series.
    raw: &'a [u8],
    line: u32,
    bits: u64,
    timestamp: Option<i64>,
    metric_type: Option<MetricType>,
    texts: Vec<String>,
    exposed: Option<Result<Exposed<'a>, ParseError>>,
}

impl Seen<'_> {
    fn kind(&self) -> (bool, bool, Option<MetricType>, usize, Option<bool>) {
        let labels = match &self.exposed {
            Some(Ok(exposed)) => exposed.iter().len().min(4),
            Some(Err(_)) | None => 0,
        };
        let sound = self.exposed.as_ref().map(Result::is_ok);
        (self.raw.is_empty(), self.timestamp.is_some(), self.metric_type, labels, sound)
    }
}

fn read<'a>(body: &'a [u8], guess: impl Fn(usize) -> &'a [u8]) -> (Vec<Seen<'a>>, Option<ParseError>) {
    let mut seen: Vec<Seen<'a>> = Vec::new();
    let mut parser = Parser::new(body);
    loop {
        let entry = match parser.next_like(guess(seen.len())) {
            None => return (seen, None),
            Some(Err(error)) => {
                assert!(parser.next().is_none(), "nothing is read behind an error");
                return (seen, Some(error));
            }
            Some(Ok(entry)) => entry,
        };
        let line = parser.line();
        let other = |metric_type, texts: &[&str]| Seen {
            raw: &[],
            line,
            bits: 0,
            timestamp: None,
            metric_type,
            texts: texts.iter().map(|text| (*text).to_owned()).collect(),
            exposed: None,
        };
        seen.push(match entry {
            Entry::Comment => other(None, &[]),
            Entry::Unit { .. } | Entry::Histogram(_) => {
                unreachable!("the text format has neither units nor native histograms")
            }
            Entry::Help { family, help } => other(None, &[&family, &help]),
            Entry::Type { family, metric_type } => other(Some(metric_type), &[&family]),
            Entry::Series(series) => {
                assert_borrowed(series.raw, body);
                assert!(!series.value.is_nan() || series.value.to_bits() == NORMAL_NAN_BITS);
                let exposed = series.exposed();
                match &exposed {
                    Ok(exposed) => {
                        assert_eq!(series.as_written().as_ref(), Ok(exposed));
                        assert_eq!(
                            Ok(series.name().unwrap_or_default().as_ref()),
                            exposed.get("__name__").ok_or(())
                        );
                        assert_eq!(series.labels(), Ok(exposed.to_labels()));
                        let mut spelled = exposed.clone();
                        spelled.normalize(series.in_force);
                        let once = spelled.clone();
                        spelled.normalize(series.in_force);
                        assert_eq!(spelled, once, "spelling is done once");
                    }
                    Err(error) => assert_within(error, body),
                }
                Seen {
                    raw: series.raw,
                    line,
                    bits: series.value.to_bits(),
                    timestamp: series.timestamp,
                    metric_type: Some(series.in_force),
                    texts: Vec::new(),
                    exposed: Some(exposed),
                }
            }
        });
    }
}

fn assert_borrowed(raw: &[u8], body: &[u8]) {
    let (inner, outer) = (raw.as_ptr_range(), body.as_ptr_range());
    assert!(!raw.is_empty() && outer.start <= inner.start && inner.end <= outer.end);
    assert!(std::str::from_utf8(raw).is_ok());
}

fn assert_within(error: &ParseError, body: &[u8]) {
    let line = body.split(|byte| *byte == b'\n').nth(error.line as usize - 1);
    let columns = line.expect("the line is one of the body's").len() + 1;
    assert!((1..=columns).contains(&(error.column as usize)), "{error}");
    let text = error.to_string();
    assert!(error.excerpt.len() <= 80 && text.len() < 400 && !text.contains(char::is_control), "{text:?}");
}

/// A sample with everything that is said of its series; no markers, which tell of the scrape before.
type Told = (Labels, MetricType, String, u64, i64);

fn scrape(ingest: &mut Ingest, body: &[u8], timestamp: i64) -> (Vec<Told>, Option<String>) {
    let report = ingest.scrape(Ok(body), timestamp, Instant::now());
    let told = ingest.samples().iter().filter(|sample| !is_stale_marker(sample.value)).map(|sample| {
        let what = ingest.describe(sample.slot);
        let labels = what.labels.clone();
        (labels, what.metric_type, what.help.to_owned(), sample.value.to_bits(), sample.timestamp)
    });
    (told.collect(), report.failure.map(|failure| failure.to_string()))
}

fn ingest(honor_timestamps: bool) -> Ingest {
    Ingest::new(Rules {
        target_labels: Labels::from_iter([("instance", "h"), ("job", "docker")]),
        external_labels: Labels::from_iter([("site", "x")]),
        honor_timestamps,
        sample_limit: Some(1_000),
        memory_limit: Some(1 << 20),
        ..Rules::default()
    })
}

/// Tells how many samples the body came to.
fn scrapes(body: &[u8]) -> u64 {
    let mut fresh = ingest(false);
    let expected = scrape(&mut fresh, body, START + 3_000);
    let sound = scrape(&mut ingest(false), GOOD, START + 4_000);
    assert_eq!((sound.0.len(), &sound.1), (5, &None));

    let mut used = ingest(false);
    scrape(&mut used, GOOD, START + 1_000);
    scrape(&mut used, body, START + 2_000);
    let cached = scrape(&mut used, body, START + 3_000);
    assert_eq!(cached, expected, "what is remembered of a body changes nothing");
    assert_eq!(scrape(&mut used, GOOD, START + 4_000), sound, "a sound scrape after it");
    assert_eq!(used.end_all(START + 5_000), 5, "only the last scrape's series are open");

    let mut own = ingest(true);
    scrape(&mut own, GOOD, START + 1_000);
    scrape(&mut own, body, START + 2_000);
    scrape(&mut own, body, START + 3_000);
    assert_eq!(scrape(&mut own, GOOD, START + 4_000), sound, "a sound scrape after timestamps of its own");
    expected.0.len() as u64
}

/// Classic histograms as native ones beside their series change nothing about the series. Tells how many there were, up to four.
fn converts(body: &[u8]) -> usize {
    let of = |histograms| {
        let rules = Rules { histograms, honor_timestamps: false, normalize_le: true, ..Rules::default() };
        let mut ingest = Ingest::new(rules);
        let told = scrape(&mut ingest, body, START);
        (ingest, told)
    };
    let (_, classic) = of(HistogramForms::CLASSIC);
    let (ingest, mut both) = of(HistogramForms { classic_too: true, ..HistogramForms::CONVERTED });
    assert_eq!(classic.1.is_some(), both.1.is_some(), "{:?} {:?}", classic.1, both.1);
    let histograms: Vec<usize> = ingest.histograms().iter().map(|histogram| histogram.sample).collect();
    let own: Vec<Labels> = histograms.iter().rev().map(|at| both.0.remove(*at).0).collect();
    // The first sample of a series stands, whatever it is.
    if !classic.0.iter().any(|told| own.contains(&told.0)) {
        assert_eq!(both.0, classic.0);
    }
    own.len().min(4)
}
