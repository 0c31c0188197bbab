//! Targets with native histograms, in protobuf: every shape, whole lives, classic buckets beside them, and what no scrape survives.

use std::fs;
use std::path::Path;

use docker_remote_write::model::NORMAL_NAN_BITS;
use docker_remote_write::proto::client::{Bucket, Histogram, MetricFamily, MetricType};

use super::messages::{Buckets, NONE, family, float, gauge, integer, spans};
use super::target::{PROTOBUF, Step};
use super::{Job, SCRAPES, native_generated};

/// Generated sequences, each a target of its own.
pub(super) const SEQUENCES: usize = 6;

const TAKEN: (&str, &str) = ("SCRAPE_NATIVE_HISTOGRAMS", "true");

/// The instances of all jobs here, as a regex.
pub(super) const INSTANCES: &str = "host-native.*";

pub(super) fn is_job(name: &str) -> bool {
    name.starts_with("native")
}

pub(super) fn is_instance(instance: &str) -> bool {
    instance.starts_with("host-native")
}

/// All jobs of this theme. 2.42 has no choice but to take native histograms from protobuf, and to leave their classic buckets.
pub(super) fn jobs(start: i64) -> Vec<Job> {
    let job = |name: &str, steps, more: &[(&'static str, &'static str)], config| Job {
        name: format!("native{name}"),
        steps,
        settings: [&[TAKEN], more].concat(),
        config,
    };
    let mut jobs = vec![
        job("captures", captures(), &[], ""),
        job("shapes", shapes(), &[], ""),
        job("lives", lives(), &[], ""),
        job("bad", bad(), &[], ""),
        job("timestamps", timestamps(start), &[], ""),
        job("beside", beside(beside_classic), &[], ""),
        job("both", beside(with_classic), &[("ALWAYS_SCRAPE_CLASSIC_HISTOGRAMS", "true")], ""),
        job("relabelled", lives(), &[("METRIC_RELABEL_CONFIGS", RULES)], RULES),
    ];
    let generated = native_generated::targets(SEQUENCES, SCRAPES);
    jobs.extend(
        generated.into_iter().enumerate().map(|(n, steps)| job(&format!("generated{n}"), steps, &[], "")),
    );
    jobs
}

/// The histogram `h`.
fn h(histogram: Histogram) -> MetricFamily {
    family("h", MetricType::Histogram, [("h", histogram)])
}

/// The gauge histogram `h`.
fn gauge_h(histogram: Histogram) -> MetricFamily {
    family("h", MetricType::GaugeHistogram, [("h", histogram)])
}

/// The series of floats with the same labels as the histogram `h`.
fn no_histogram(value: f64) -> MetricFamily {
    gauge("h", &[("case", "h")], value)
}

fn steady(value: f64) -> MetricFamily {
    gauge("steady", &[], value)
}

/// What the engine serves in protobuf, with failures between.
fn captures() -> Vec<Step> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/protobuf");
    let entries = fs::read_dir(&dir).expect("the captures are there");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("the captures are readable").path()).collect();
    paths.sort();
    assert!(paths.len() >= 7, "{paths:?}");
    let bodies: Vec<Vec<u8>> =
        paths.iter().map(|path| fs::read(path).expect("the captures are readable")).collect();
    let typed = |body: &Vec<u8>| Step::Typed(PROTOBUF, body.clone());
    let mut steps: Vec<Step> = bodies.iter().map(typed).collect();
    steps.extend([Step::Status(503), typed(&bodies[1])]);
    // Cut in the middle of a message, and a length that nothing follows.
    steps.extend([Step::Typed(PROTOBUF, bodies[2][..5_000].to_vec()), typed(&bodies[2])]);
    steps.extend([Step::Typed(PROTOBUF, [&bodies[3][..], b"\x7f"].concat()), typed(&bodies[3])]);
    steps
}

/// Each shape as a series of its own: that of the buckets is what is stored, for no chunk holds another one.
fn shapes() -> Vec<Step> {
    let names: Vec<String> = (-4..=8).map(|schema| format!("schema {schema}")).collect();
    let mut integers = vec![
        ("plain", integer(3, (0.001, 1), (&[(-2, 2)], &[1, 2]), (&[(0, 2), (3, 1)], &[1, 1, 1]))),
        ("empty", integer(0, (1e-128, 0), NONE, NONE)),
        ("zero bucket", integer(0, (0.5, 7), NONE, NONE)),
        ("zero bucket without width", integer(0, (0.0, 7), NONE, NONE)),
        ("positive", integer(1, (0.0, 0), NONE, (&[(-7, 3)], &[3, 1, 2]))),
        ("negative", integer(2, (0.0, 0), (&[(7, 3)], &[3, 1, 2]), NONE)),
        ("empty bucket in the middle", integer(0, (0.1, 1), NONE, (&[(0, 3)], &[1, 0, 2]))),
        ("empty buckets in the middle", integer(0, (0.1, 1), NONE, (&[(2, 8)], &[1, 0, 0, 2, 0, 0, 0, 5]))),
        ("empty buckets before", integer(0, (0.1, 1), (&[(-3, 4)], &[0, 0, 0, 2]), NONE)),
        ("empty buckets behind", integer(0, (0.1, 1), (&[(-3, 4)], &[2, 0, 0, 0]), NONE)),
        ("empty buckets all over", integer(0, (0.1, 1), (&[(1, 3)], &[0; 3]), (&[(1, 1), (2, 1)], &[0; 2]))),
        ("empty span of buckets", integer(0, (0.1, 1), NONE, (&[(1, 2), (3, 2), (1, 1)], &[1, 2, 0, 0, 3]))),
        ("no-op span", integer(0, (2.9e-39, 0), NONE, (&[(0, 0)], &[]))),
        ("no-op spans between", integer(0, (0.1, 0), NONE, (&[(0, 1), (2, 0), (3, 1)], &[1, 2]))),
        ("no-op spans before", integer(0, (0.1, 0), (&[(-3, 0), (1, 0), (4, 2)], &[1, 2]), NONE)),
        ("no-op spans behind", integer(0, (0.1, 0), (&[(3, 2), (4, 0), (1, 0)], &[1, 2]), NONE)),
        ("spans that touch", integer(0, (0.1, 0), NONE, (&[(1, 1), (0, 2), (0, 1)], &[1, 2, 3, 4]))),
        ("a wide gap", integer(8, (0.1, 0), NONE, (&[(-5_000, 1), (9_000, 1)], &[1, 2]))),
        ("many", integer(0, (0.1, 1 << 60), (&[(0, 2)], &[1 << 40, 1]), (&[(0, 2)], &[1 << 61, 1]))),
    ];
    for (name, schema) in names.iter().zip(-4..) {
        integers.push((name, integer(schema, (1e-9, 1), (&[(-1, 2)], &[1, 2]), (&[(1, 2)], &[2, 1]))));
    }
    for (name, sum) in [
        ("sum -0", -0.0),
        ("sum 0", 0.0),
        ("sum denormal", 5e-324),
        ("sum +Inf", f64::INFINITY),
        ("sum -Inf", f64::NEG_INFINITY),
        ("sum NaN", f64::from_bits(NORMAL_NAN_BITS)),
    ] {
        let histogram = integer(0, (0.1, 1), NONE, (&[(0, 1)], &[1]));
        integers.push((name, Histogram { sample_sum: Some(sum), ..histogram }));
    }
    let no_number = integer(0, (0.1, 1), NONE, (&[(0, 1)], &[1]));
    let sample_sum = Some(f64::from_bits(NORMAL_NAN_BITS));
    integers.push(("observed NaN", Histogram { sample_sum, sample_count: Some(5), ..no_number }));
    let none: Buckets<'_, f64> = (&[], &[]);
    let mut floats = vec![
        ("plain", float(3, (0.001, 0.5), (&[(-2, 2)], &[0.25, 2.0]), (&[(0, 2), (3, 1)], &[1.5, 1e-9, 1.0]))),
        ("zero bucket", float(0, (0.5, 7.5), none, none)),
        ("positive", float(1, (0.1, 0.0), none, (&[(-7, 3)], &[3.0, 1.0, 2.0]))),
        ("negative", float(2, (0.1, 0.0), (&[(7, 3)], &[3.0, 1.0, 2.0]), none)),
        (
            "empty buckets",
            float(0, (0.1, 1.0), (&[(2, 4)], &[0.0, 1.0, 0.0, 0.5]), (&[(1, 2)], &[0.0, -0.0])),
        ),
        (
            "empty span of buckets",
            float(0, (0.1, 1.0), none, (&[(1, 1), (3, 2), (1, 1)], &[1.0, 0.0, 0.0, 3.5])),
        ),
        ("no-op spans", float(0, (0.1, 0.5), (&[(0, 0)], &[]), (&[(0, 1), (2, 0), (3, 1)], &[1.0, 2.0]))),
        ("spans that touch", float(0, (0.1, 0.0), none, (&[(1, 1), (0, 2)], &[1.5, 2.5, 3.5]))),
        ("many", float(0, (0.1, 1e300), none, (&[(0, 2)], &[1e-300, 1e300]))),
        ("infinitely many", float(0, (0.1, 1.0), none, (&[(0, 2)], &[f64::INFINITY, 1.0]))),
    ];
    for (name, schema) in names.iter().zip(-4..) {
        floats.push((name, float(schema, (1e-9, 1.0), (&[(-1, 2)], &[1.0, 2.5]), (&[(1, 1)], &[0.1]))));
    }
    let all = || {
        vec![
            family("integer", MetricType::Histogram, integers.clone()),
            family("gauge_integer", MetricType::GaugeHistogram, integers.clone()),
            family("float", MetricType::Histogram, floats.clone()),
            family("gauge_float", MetricType::GaugeHistogram, floats.clone()),
        ]
    };
    vec![
        Step::Protobuf(all()),
        Step::Protobuf(vec![steady(1.0)]),
        Step::Protobuf(all()),
        Step::Protobuf(all()),
        Step::Status(500),
        Step::Protobuf(all()),
    ]
}

/// Series of histograms that grow, reset, end, come back and become another kind.
fn lives() -> Vec<Step> {
    let one = |count| integer(0, (0.1, 1), NONE, (&[(2, 1)], &[count]));
    let wide = |count| integer(0, (0.1, 1), (&[(0, 1)], &[1]), (&[(0, 5)], &[1, 0, count, 0, 2]));
    let parts = |count| float(0, (0.1, 0.5), (&[], &[]), (&[(2, 1)], &[count]));
    let wide_parts = |count| float(0, (0.1, 0.5), (&[(1, 1)], &[0.5]), (&[(1, 2)], &[0.25, count]));
    let step = |family: MetricFamily| Step::Protobuf(vec![family, steady(1.0)]);
    let gone = || Step::Protobuf(vec![steady(2.0)]);
    vec![
        step(h(one(1))),
        step(h(one(2))),
        step(h(wide(3))),
        step(h(wide(4))),
        // A bucket is gone: a reset.
        step(h(one(5))),
        step(h(one(2))),
        step(h(integer(1, (0.1, 1), NONE, (&[(2, 1)], &[5])))),
        step(h(integer(1, (0.2, 1), NONE, (&[(2, 1)], &[5])))),
        gone(),
        step(h(one(6))),
        // From here on floats.
        step(h(parts(1.5))),
        step(h(wide_parts(2.5))),
        step(h(parts(0.5))),
        gone(),
        gone(),
        step(h(parts(1.0))),
        Step::Status(500),
        step(h(one(1))),
        Step::HangUp,
        // Histograms and samples in turns.
        step(no_histogram(1.0)),
        step(h(one(2))),
        step(no_histogram(2.0)),
        step(no_histogram(3.0)),
        gone(),
        step(h(one(3))),
        gone(),
        step(no_histogram(4.0)),
        step(h(parts(3.0))),
        Step::Status(503),
        // Gauges may go down, and lose buckets.
        step(gauge_h(wide(3))),
        step(gauge_h(one(1))),
        step(gauge_h(wide_parts(1.5))),
        step(gauge_h(parts(0.5))),
        step(h(parts(0.5))),
        Step::Protobuf(vec![]),
        step(h(one(2))),
        // A body of text ends them as any other.
        Step::text("steady{a=\"b\"} 3\n"),
        step(h(one(2))),
        Step::CutShort(b"steady 4\n".to_vec()),
    ]
}

/// Histograms that fail the scrape: nothing of it is stored, and everything ends.
fn bad() -> Vec<Step> {
    let good = || integer(0, (0.1, 1), (&[(0, 1)], &[2]), (&[(2, 2)], &[1, 3]));
    let good_float = || float(0, (0.1, 1.0), (&[(0, 1)], &[2.0]), (&[(2, 2)], &[1.0, 3.0]));
    let bad = [
        // 2.42 forgets the zero bucket where it adds up.
        Histogram { sample_count: Some(5), ..good() },
        Histogram { sample_count: Some(0), ..good() },
        Histogram { sample_count: Some(5), sample_sum: Some(f64::from_bits(NORMAL_NAN_BITS)), ..good() },
        Histogram { positive_delta: vec![1], sample_count: Some(4), ..good() },
        Histogram { positive_delta: vec![1, 2, 3], ..good() },
        Histogram { positive_span: vec![], ..good() },
        Histogram { negative_span: spans(&[(0, 2)]), ..good() },
        Histogram { negative_delta: vec![-1], ..good() },
        Histogram { positive_delta: vec![1, -2], ..good() },
        Histogram { positive_span: spans(&[(2, 1), (-1, 1)]), ..good() },
        Histogram { positive_count: vec![1.0], ..good_float() },
        Histogram { negative_span: spans(&[(0, 2)]), ..good_float() },
        Histogram { positive_count: vec![-0.5, 1.0], ..good_float() },
        Histogram { positive_span: spans(&[(2, 1), (-1, 1)]), ..good_float() },
    ];
    let around = |bad: Histogram| {
        let first = family("first", MetricType::Histogram, [("", good())]);
        let last = family("last", MetricType::Histogram, [("", good_float())]);
        vec![
            Step::Protobuf(vec![
                h(good()),
                family("parts", MetricType::Histogram, [("", good_float())]),
                steady(1.0),
            ]),
            Step::Protobuf(vec![first, h(bad), last, steady(2.0)]),
        ]
    };
    bad.into_iter().flat_map(around).collect()
}

/// Histograms with timestamps of their own, and two in one scrape.
fn timestamps(start: i64) -> Vec<Step> {
    let one = |count| integer(0, (0.1, 1), NONE, (&[(2, 1)], &[count]));
    let parts = |count| float(0, (0.1, 0.5), (&[], &[]), (&[(2, 1)], &[count]));
    // Ahead of the clock: remote-write sends nothing on that is older than its start.
    let own = |histogram: Histogram, seconds: i64| {
        let mut family = family("own", MetricType::Histogram, [("own", histogram)]);
        family.metric[0].timestamp_ms = Some(start + 100_000 + seconds * 1_000);
        family
    };
    let steps = [
        vec![own(one(1), 1)],
        vec![own(one(2), 2)],
        vec![own(one(2), 2)],
        vec![own(one(3), 3), own(one(4), 4)],
        vec![],
        vec![own(parts(5.0), 5)],
        // Behind the newest one.
        vec![own(one(6), 4)],
        vec![own(one(6), 6), own(one(7), 7), own(one(8), 6)],
        vec![h(one(5)), h(one(6))],
        vec![h(one(7)), h(one(7)), h(parts(7.0))],
        vec![no_histogram(1.0), h(one(8))],
        vec![],
    ];
    steps.map(|families| Step::Protobuf([families, vec![steady(1.0)]].concat())).into()
}

/// A family's name, and its histogram.
type Named = (&'static str, Histogram);

/// A histogram of both forms.
fn both(count: u64) -> Histogram {
    let bucket = |upper_bound, cumulative_count| Bucket {
        cumulative_count: Some(cumulative_count),
        upper_bound: Some(upper_bound),
        ..Default::default()
    };
    let bucket =
        vec![bucket(0.1, 1), bucket(1.0, 1), bucket(16.0, 1 + count), bucket(f64::INFINITY, 1 + count)];
    Histogram { bucket, ..integer(0, (0.1, 1), NONE, (&[(2, 1)], &[count])) }
}

fn only_classic(both: &Histogram) -> Histogram {
    Histogram {
        sample_count: both.sample_count,
        sample_sum: both.sample_sum,
        bucket: both.bucket.clone(),
        ..Default::default()
    }
}

/// The native form alone is taken. A family each: 2.42 goes by the first metric of a family.
fn beside_classic(histograms: &[Named]) -> Step {
    Step::Protobuf(families(histograms.iter().cloned()))
}

fn families<'a>(histograms: impl Iterator<Item = (&'a str, Histogram)>) -> Vec<MetricFamily> {
    histograms.map(|(name, histogram)| family(name, MetricType::Histogram, [("", histogram)])).collect()
}

/// 2.42 cannot be told to take both forms, so it is served what 3.x makes of them: two families of one name.
fn with_classic(histograms: &[Named]) -> Step {
    let apart = histograms.iter().flat_map(|(name, both)| {
        let native = Histogram { bucket: vec![], ..both.clone() };
        let has_native = both.zero_threshold.is_some();
        let has_classic = !both.bucket.is_empty();
        [(*name, native, has_native), (*name, only_classic(both), has_classic)]
    });
    let apart = apart.filter(|(.., is_there)| *is_there).map(|(name, histogram, _)| (name, histogram));
    Step::Apart { prometheus: families(apart), ours: families(histograms.iter().cloned()) }
}

/// Histograms with classic buckets, native ones, and both, that change from one to the other.
fn beside(step: fn(&[Named]) -> Step) -> Vec<Step> {
    let native = |count| Histogram { bucket: vec![], ..both(count) };
    vec![
        step(&[("both", both(1)), ("classic", only_classic(&both(1))), ("native", native(1))]),
        step(&[("both", both(2)), ("classic", only_classic(&both(3))), ("native", native(4))]),
        step(&[("both", only_classic(&both(3))), ("classic", both(4)), ("native", both(5))]),
        step(&[("both", native(3)), ("classic", native(4)), ("native", native(5))]),
        step(&[("both", both(1)), ("classic", only_classic(&both(1))), ("native", native(1))]),
        Step::Status(500),
        step(&[("both", both(2)), ("native", native(1))]),
        step(&[("classic", only_classic(&both(1)))]),
        step(&[("both", both(2))]),
        Step::Protobuf(vec![]),
        step(&[("both", both(2))]),
    ]
}

/// A name that changes, and a series that is dropped whenever it is a histogram or not.
const RULES: &str = r#"[
    {source_labels: [__name__], regex: 'h', target_label: __name__, replacement: 'renamed'},
    {source_labels: [__name__], regex: 'steady', action: drop},
    {source_labels: [case], regex: '(.)', target_label: copied}
  ]"#;
