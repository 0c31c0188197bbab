//! Generated targets: a small universe of awkward series that come, go, move, stand twice and break. One seed, so a failure comes again.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::target::Step;

/// One line of a series: which of the universe, its value, the ms in its timestamp if it has one, its layout.
type Line = (usize, String, i64, usize);

/// The series of this name have timestamps, which never go back from one scrape to the next: what then happens is for the scripts by hand.
const TIMESTAMPED: &str = "own";

/// `targets` scripts of `steps` scrapes. Timestamps lie before `start`, ms since the epoch.
pub(super) fn targets(targets: usize, steps: usize, start: i64) -> Vec<Vec<Step>> {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, b"a differential seed, 32 bytes...");
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let strategy = (universe(), vec(step(), steps));
    (0..targets)
        .map(|_| {
            let tree = strategy.new_tree(&mut runner).expect("nothing is filtered out");
            let (universe, steps) = tree.current();
            let times = (start - 1_000_000..).step_by(10_000);
            steps
                .into_iter()
                .zip(times)
                .map(|((lines, fault), at)| render(&universe, &lines, &fault, at))
                .collect()
        })
        .collect()
}

/// 12 ways to name series; some name the same one.
fn universe() -> impl Strategy<Value = Vec<String>> {
    let name = select(vec![
        "m",
        "n",
        "job:rate",
        "h_bucket",
        "s",
        "up",
        "scrape_samples_scraped",
        "_x",
        TIMESTAMPED,
    ]);
    let label = select(vec![
        "a",
        "b",
        "job",
        "instance",
        "exported_job",
        "exported_instance",
        "exported_exported_job",
        "le",
        "quantile",
        "Z",
    ]);
    let value = prop_oneof![
        4 => select(vec!["", "1", "x", "host", "1.0", "0.50", "\\\\", "\\n", "\\\"", "a,b", "}", "\\d", " "]).prop_map(str::to_owned),
        1 => "[^\"\\\\\\n\\x00]{0,8}",
    ];
    let labels = proptest::collection::btree_map(label, value, 0..4);
    let series = (name, labels, any::<bool>()).prop_map(|(name, labels, comma)| {
        if labels.is_empty() {
            return name.to_owned();
        }
        // What an empty `exported_` label means is among the differences of 2.42 (`known`).
        let served =
            labels.into_iter().filter(|(name, value)| !(name.starts_with("exported_") && value.is_empty()));
        let labels: Vec<String> = served.map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        format!("{name}{{{}{}}}", labels.join(","), if comma { "," } else { "" })
    });
    vec(series, 12)
}

#[derive(Clone, Debug)]
enum Fault {
    None,
    /// Bytes behind the n-th line.
    Bytes(usize, Vec<u8>),
    Step(Step),
}

fn step() -> impl Strategy<Value = (Vec<Line>, Fault)> {
    let special = select(vec!["NaN", "+Inf", "-inf", "-0", "1e-400", "5e-324", "0.1", "1E5", "00"])
        .prop_map(str::to_owned);
    let value = prop_oneof![
        3 => (0..1_000_u32).prop_map(|value| value.to_string()),
        3 => any::<f64>().prop_filter("text has one NaN", |value| value.is_finite()).prop_map(|value| format!("{value:e}")),
        1 => special,
    ];
    let lines = vec((0..12_usize, value, 0..10_i64, 0..4_usize), 0..16);
    let soup = select(vec![
        &b"\r"[..],
        b"\r\n",
        b"m",
        b"{",
        b"}",
        b"\"",
        b"\\",
        b"=",
        b",",
        b" ",
        b"\t",
        b"\n",
        b"# TYPE m gauge\n",
        b"# TYPE h histogram\n",
        b"# TYPE s summary\n",
        b"# HELP m a \\n b\n",
        b"# TYPE m what\n",
        b"1",
        b"e",
        b"_",
        b"m 1\n",
        b"m{a=\"1\"} 2\n",
        b"\xff",
        b"#",
        b"\n\n",
        b"NaN",
    ]);
    let soup = vec(soup, 1..5).prop_map(|parts| parts.concat());
    let fault = prop_oneof![
        14 => Just(Fault::None),
        5 => (0..16_usize, soup).prop_map(|(at, bytes)| Fault::Bytes(at, bytes)),
        1 => select(vec![Step::Status(500), Step::HangUp, Step::Body(Vec::new())]).prop_map(Fault::Step),
    ];
    (lines, fault)
}

fn render(universe: &[String], lines: &[Line], fault: &Fault, at_ms: i64) -> Step {
    let mut body = Vec::new();
    for (number, (series, value, jitter, layout)) in lines.iter().enumerate() {
        if let Fault::Bytes(at, bytes) = fault
            && *at == number
        {
            body.extend_from_slice(bytes);
        }
        let blank = ["", " ", "\t", "  "][*layout];
        let series = &universe[*series];
        let own =
            if series.starts_with(TIMESTAMPED) { format!(" {}", at_ms + jitter) } else { String::new() };
        body.extend_from_slice(format!("{series}{blank} {value}{own}{blank}\n").as_bytes());
    }
    match fault {
        Fault::None => Step::Body(body),
        Fault::Bytes(at, bytes) if *at >= lines.len() => {
            Step::Body(unindented(&[body, bytes.clone()].concat()))
        }
        Fault::Bytes(..) => Step::Body(unindented(&body)),
        Fault::Step(step) => step.clone(),
    }
}

/// Blanks before a name are among what 2.42 cannot read (`known`).
fn unindented(body: &[u8]) -> Vec<u8> {
    let lines = body.split(|byte| *byte == b'\n');
    let start =
        |line: &[u8]| line.iter().position(|byte| !matches!(byte, b' ' | b'\t')).unwrap_or(line.len());
    let lines: Vec<&[u8]> = lines.map(|line| &line[start(line)..]).collect();
    lines.join(&b'\n')
}
