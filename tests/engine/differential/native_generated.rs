//! Generated lives of native histograms: every layout of spans, kinds that change, targets that fail. One seed, so a failure comes again.

use docker_remote_write::proto::client::{BucketSpan, Histogram, MetricFamily, MetricType};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::messages::{Buckets, family, float, gauge, integer};
use super::target::Step;

/// Series of each target.
const SERIES: usize = 6;

/// Gap and counts of each span, in quarters where they are floats.
type Side = Vec<(i32, Vec<u8>)>;

/// What a series is at one scrape.
#[derive(Clone, Debug)]
enum Content {
    Nothing,
    Sample(u8),
    Integer(MetricType, Shape),
    Float(MetricType, Shape),
}

#[derive(Clone, Debug)]
struct Shape {
    schema: i32,
    zero_threshold: f64,
    zero_count: u8,
    negative: Side,
    positive: Side,
    sum: f64,
}

/// What makes the first histogram of a scrape one that nobody takes.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Count,
    Length,
    Offset,
    Negative,
}

/// `targets` scripts of `steps` scrapes.
pub(super) fn targets(targets: usize, steps: usize) -> Vec<Vec<Step>> {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, b"native differential, 32 bytes...");
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let strategy = vec(step(), steps);
    (0..targets).map(|_| strategy.new_tree(&mut runner).expect("nothing is filtered out").current()).collect()
}

fn step() -> impl Strategy<Value = Step> {
    let fault = select(vec![Fault::Count, Fault::Length, Fault::Offset, Fault::Negative]);
    let exposed = |fault: Option<Fault>| {
        vec(content(), SERIES).prop_map(move |contents| Step::Protobuf(render(&contents, fault)))
    };
    prop_oneof![
        16 => exposed(None),
        2 => fault.prop_flat_map(move |fault| exposed(Some(fault))),
        1 => select(vec![Step::Status(500), Step::HangUp, Step::Protobuf(Vec::new())]),
    ]
}

fn content() -> impl Strategy<Value = Content> {
    let metric_type =
        || select(vec![MetricType::Histogram, MetricType::Histogram, MetricType::GaugeHistogram]);
    prop_oneof![
        2 => Just(Content::Nothing),
        1 => (0..100_u8).prop_map(Content::Sample),
        5 => (metric_type(), shape()).prop_map(|(metric_type, shape)| Content::Integer(metric_type, shape)),
        3 => (metric_type(), shape()).prop_map(|(metric_type, shape)| Content::Float(metric_type, shape)),
    ]
}

fn shape() -> impl Strategy<Value = Shape> {
    let counts = || vec(select(vec![0_u8, 0, 1, 2, 100]), 0..4);
    // Only the first span may begin below zero.
    let side = || {
        (-5..5_i32, vec((0..3_i32, counts()), 0..4)).prop_map(|(first, mut side)| {
            side.iter_mut().take(1).for_each(|(gap, _)| *gap = first);
            side
        })
    };
    let schema = select(vec![-4, 0, 0, 0, 3, 8]);
    let zero_threshold = select(vec![1e-128, 0.1, 0.1, 0.1, 0.5]);
    let sum = prop_oneof![4 => any::<f64>().prop_filter("NaNs are for the scripts", |sum| !sum.is_nan()), 1 => Just(0.0)];
    (schema, zero_threshold, 0..3_u8, side(), side(), sum).prop_map(
        |(schema, zero_threshold, zero_count, negative, positive, sum)| Shape {
            schema,
            zero_threshold,
            zero_count,
            negative,
            positive,
            sum,
        },
    )
}

fn render(contents: &[Content], fault: Option<Fault>) -> Vec<MetricFamily> {
    let mut fault = fault;
    let mut families = Vec::new();
    for (number, content) in contents.iter().enumerate() {
        let name = format!("h{number}");
        let (metric_type, mut histogram) = match content {
            Content::Nothing => continue,
            Content::Sample(value) => {
                families.push(gauge(&name, &[("case", "")], f64::from(*value)));
                continue;
            }
            Content::Integer(metric_type, shape) => (*metric_type, of_integers(shape)),
            Content::Float(metric_type, shape) => (*metric_type, of_floats(shape)),
        };
        if fault.is_some_and(|fault| spoil(&mut histogram, fault)) {
            fault = None;
        }
        families.push(family(&name, metric_type, [("", histogram)]));
    }
    families
}

fn spans(side: &Side) -> Vec<(i32, u32)> {
    side.iter().map(|(gap, counts)| (*gap, u32::try_from(counts.len()).expect("it is short"))).collect()
}

fn of_integers(shape: &Shape) -> Histogram {
    let counts =
        |side: &Side| side.iter().flat_map(|(_, counts)| counts).map(|count| u64::from(*count)).collect();
    let (negative, positive): (Vec<u64>, Vec<u64>) = (counts(&shape.negative), counts(&shape.positive));
    let (below, above) = (spans(&shape.negative), spans(&shape.positive));
    let (below, above): (Buckets<'_, u64>, Buckets<'_, u64>) = ((&below, &negative), (&above, &positive));
    let zero = (shape.zero_threshold, shape.zero_count.into());
    Histogram { sample_sum: Some(shape.sum), ..integer(shape.schema, zero, below, above) }
}

/// With at least one observation: otherwise nothing says that they are floats. Quarters have exact sums, which 2.42 insists on.
fn of_floats(shape: &Shape) -> Histogram {
    let counts = |side: &Side| {
        side.iter().flat_map(|(_, counts)| counts).map(|count| f64::from(*count) / 4.0).collect()
    };
    let (negative, positive): (Vec<f64>, Vec<f64>) = (counts(&shape.negative), counts(&shape.positive));
    let (below, above) = (spans(&shape.negative), spans(&shape.positive));
    let zero = (shape.zero_threshold, f64::from(shape.zero_count) + 0.25);
    let histogram = float(shape.schema, zero, (&below, &negative), (&above, &positive));
    Histogram { sample_sum: Some(shape.sum), ..histogram }
}

/// Returns whether the fault can be one of this histogram.
fn spoil(histogram: &mut Histogram, fault: Fault) -> bool {
    let is_integer = histogram.sample_count.is_some();
    match fault {
        Fault::Count => {
            let is_in_buckets = histogram.positive_delta.first().is_some_and(|first| *first > 0);
            if is_in_buckets {
                histogram.sample_count = Some(0);
            }
            is_in_buckets
        }
        // Too few: of too many 2.42 makes a panic.
        Fault::Length => {
            histogram.negative_span = vec![BucketSpan { offset: Some(0), length: Some(2) }];
            if is_integer {
                histogram.negative_delta = vec![1];
            } else {
                histogram.negative_count = vec![1.0];
            }
            true
        }
        // Between buckets that are not empty: others are gone before Prometheus looks.
        Fault::Offset => {
            let span = |offset| BucketSpan { offset: Some(offset), length: Some(1) };
            histogram.positive_span = vec![span(2), span(-1)];
            // Of so many that nothing else is wrong.
            if is_integer {
                histogram.positive_delta = vec![1, 0];
                histogram.sample_count = Some(1_000_000);
            } else {
                histogram.positive_count = vec![1.0, 1.0];
                histogram.sample_count_float = Some(1_000_000.0);
            }
            true
        }
        Fault::Negative => {
            let first = histogram.positive_delta.first_mut().map(|first| *first = -1);
            first.or(histogram.positive_count.first_mut().map(|first| *first = -0.25)).is_some()
        }
    }
}
