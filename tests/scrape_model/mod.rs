//! Scrapes compared with a model of Prometheus that shares no code with the program, all the way into the records of the queue and the
//! requests that are made from them.

mod body;
mod model;

use std::time::{Duration, Instant};

use docker_remote_write::model::{Escaping, Labels, MetricType};
use docker_remote_write::scrape::{Ingest, Report, Rules, ScrapeError};
use docker_remote_write::wire::decode::{decode_v1, decode_v2};
use docker_remote_write::wire::v1::RequestBuilder;
use docker_remote_write::wire::{Limits, Names, RecordEncoder, Selection};
use proptest::prelude::*;

use body::{EPOCH, Step};
use model::{Model, Outcome, Setup, Stored};

/// Sequences of up to 24 steps.
const CASES: u32 = 600;

const MAX: usize = 1 << 26;
const WIDE: Limits = Limits { max_samples: 10_000, max_bytes: MAX };
/// The model knows nothing of names that are escaped for a receiver.
const AS_IT_IS: Selection =
    Selection { exemplars: true, native_histograms: true, names: Names::Escaped(Escaping::AllowUtf8) };

fn setup() -> impl Strategy<Value = Setup> {
    let limit = prop_oneof![4 => Just(None), 1 => (0..8_u64).prop_map(Some)];
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    (limit, flags).prop_map(|(sample_limit, (honor_labels, ignore_timestamps, as_exposed, bare, alone))| {
        let labels = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
        };
        Setup {
            target: labels(&[("instance", "host"), ("job", "docker")]),
            external: if bare { labels(&[]) } else { labels(&[("cluster", "prod"), ("job", "never")]) },
            honor_labels,
            honor_timestamps: !ignore_timestamps,
            normalize_le: !as_exposed,
            sample_limit,
            synthetic: !alone,
        }
    })
}

fn rules(setup: &Setup) -> Rules {
    Rules {
        target_labels: setup.target.iter().collect(),
        external_labels: setup.external.iter().collect(),
        honor_labels: setup.honor_labels,
        honor_timestamps: setup.honor_timestamps,
        normalize_le: setup.normalize_le,
        sample_limit: setup.sample_limit,
        synthetic_series: setup.synthetic,
        ..Rules::default()
    }
}

/// The program's side of a comparison.
struct Program {
    ingest: Ingest,
    encoder: RecordEncoder,
    limits: Limits,
}

impl Program {
    fn new(setup: &Setup, limits: Limits) -> Self {
        Self { ingest: Ingest::new(rules(setup)), encoder: RecordEncoder::new(limits), limits }
    }

    /// All that the program says of a scrape, in the model's words.
    fn outcome(&self, report: &Report, of: &Outcome) -> Outcome {
        let read = |sample: &docker_remote_write::model::SampleRef, of: Option<&Stored>| {
            let what = self.ingest.describe(sample.slot);
            let labels = what.labels.iter().map(|(name, value)| (name.into(), value.into())).collect();
            stored(labels, sample.value, sample.timestamp, (word(what.metric_type), what.help), of)
        };
        let ours = self.ingest.samples().iter().enumerate();
        Outcome {
            samples: ours.map(|(at, sample)| read(sample, of.samples.get(at))).collect(),
            failed: report.failure.is_some(),
            scraped: report.scraped,
            post_relabel: report.post_relabel,
            added: report.added,
            markers: report.markers,
            duplicate: report.discarded.duplicate,
            out_of_order: report.discarded.out_of_order,
            too_far_ahead: report.discarded.too_far_ahead,
            too_old: report.discarded.too_old,
        }
    }

    /// The same samples, as a receiver gets them.
    fn arrived(&mut self, of: &Outcome) -> Vec<Stored> {
        let mut arrived = Vec::new();
        let mut request = RequestBuilder::of(AS_IT_IS);
        let (ingest, limits) = (&self.ingest, &self.limits);
        self.encoder.encode(
            ingest.samples(),
            |slot| ingest.describe(slot),
            |counts, payload| {
                assert!(counts.samples <= limits.max_samples);
                let len = snap::raw::decompress_len(payload).unwrap();
                assert!(counts.samples == 1 || len <= limits.max_bytes, "{len} bytes in {counts:?}");
                assert_eq!(request.push(payload, 0, &WIDE).unwrap(), counts.samples);
                let record = decode_v2(payload, MAX).unwrap();
                assert_eq!(counts.samples as usize, record.timeseries.len());
                let symbol = |at: u32| record.symbols[at as usize].clone();
                for series in &record.timeseries {
                    let pairs = series.labels_refs.chunks_exact(2);
                    let labels: Vec<_> = pairs.map(|pair| (symbol(pair[0]), symbol(pair[1]))).collect();
                    assert!(labels.is_sorted_by(|a, b| a.0 < b.0), "{labels:?}");
                    let metadata = series.metadata.unwrap_or_default();
                    let help = symbol(metadata.help_ref);
                    let [sample] = series.samples.as_slice() else { panic!("{series:?}") };
                    let of = of.samples.get(arrived.len());
                    let metadata = (TYPES[usize::try_from(metadata.r#type).unwrap()], help.as_str());
                    arrived.push(stored(
                        labels.into_iter().collect(),
                        sample.value,
                        sample.timestamp,
                        metadata,
                        of,
                    ));
                }
            },
        );
        let request = decode_v1(request.finish(), MAX).unwrap();
        let transcoded: Vec<_> = request
            .timeseries
            .iter()
            .map(|series| {
                let labels =
                    series.labels.iter().map(|label| (label.name.clone(), label.value.clone())).collect();
                (labels, series.samples[0].value.to_bits(), series.samples[0].timestamp)
            })
            .collect();
        let ours: Vec<(model::Labels, _, _)> = ingest
            .samples()
            .iter()
            .map(|sample| {
                let labels: &Labels = ingest.describe(sample.slot).labels;
                let labels = labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
                (labels, sample.value.to_bits(), sample.timestamp)
            })
            .collect();
        assert_eq!(transcoded, ours);
        arrived
    }
}

const TYPES: [&str; 6] = ["untyped", "counter", "gauge", "histogram", "gaugehistogram", "summary"];

fn word(metric_type: MetricType) -> &'static str {
    TYPES[metric_type as usize]
}

/// A sample in the model's words; what the model leaves open is taken from `of`.
fn stored(
    labels: model::Labels,
    value: f64,
    timestamp: i64,
    (word, help): (&'static str, &str),
    of: Option<&Stored>,
) -> Stored {
    let help = ["", "one", "two", "é {}"].into_iter().find(|known| *known == help);
    let metadata = match of {
        Some(Stored { metadata: None, .. }) if word == "gauge" && help.is_none() => None,
        Some(_) | None => Some((word, help.unwrap_or("another help"))),
    };
    let bits = match of {
        Some(Stored { bits: None, .. }) if value >= 0.0 => None,
        Some(_) | None => Some(value.to_bits()),
    };
    Stored { labels, bits, timestamp, metadata }
}

/// A scrape of this round takes as many seconds: two that took equally long would be a sample that is repeated.
fn began(round: u8) -> Instant {
    Instant::now() - Duration::from_secs(round.into())
}

fn tell(setup: &Setup, limits: Limits, mut lines: Vec<body::Line>, steps: &[Step]) {
    let mut program = Program::new(setup, limits);
    let mut model = Model::new(setup);
    let mut clock = EPOCH;
    for (round, step) in (0_u8..).zip(steps) {
        let place = |flaw: &Option<(prop::sample::Index, body::Flaw)>, lines: &[body::Line]| {
            flaw.map(|(at, flaw)| (at.index(lines.len() + 1), flaw))
        };
        let (expected, report) = match step {
            Step::Edit(edit) => {
                edit.apply(&mut lines);
                continue;
            }
            Step::Scrape { clock: passed, flaw } => {
                clock += i64::from(*passed);
                let flaw = place(flaw, &lines);
                let text = body::text(&lines, flaw, round);
                let report = program.ingest.scrape(Ok(text.as_bytes()), clock, began(round));
                (model.scrape(&lines, flaw, round, clock), report)
            }
            Step::Unreachable { clock: passed } => {
                clock += i64::from(*passed);
                let error = ScrapeError::Status { target: "t".into(), status: 500 };
                (model.unreachable(clock), program.ingest.scrape(Err(error), clock, began(round)))
            }
            Step::LastScrape { clock: passed, flaw } => {
                clock += i64::from(*passed);
                let flaw = place(flaw, &lines);
                let text = body::text(&lines, flaw, round);
                let report = program.ingest.last_scrape(text.as_bytes(), clock, began(round));
                let expected = model.last_scrape(&lines, flaw, round, clock);
                assert_eq!(expected.is_some(), report.is_ok(), "step {round}");
                let (Some(expected), Ok(report)) = (expected, report) else {
                    assert!(program.ingest.samples().is_empty());
                    continue;
                };
                (expected, report)
            }
            Step::EndAll { clock: passed } => {
                clock += i64::from(*passed);
                let markers = program.ingest.end_all(clock);
                (model.end_all(clock), Report { markers, ..Report::default() })
            }
        };
        assert_eq!(program.outcome(&report, &expected), expected, "step {round}: {step:?} of {lines:#?}");
        assert_eq!(program.arrived(&expected), expected.samples, "step {round}, as it arrives");
        let lost = expected.out_of_order + expected.too_far_ahead + expected.too_old;
        assert!(lost == 0 || report.first_discarded.is_some(), "step {round}: discarded without a word");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(CASES) })]

    #[test]
    fn scrapes_come_to_what_the_model_says_and_arrive_like_that(
        setup in setup(),
        (lines, steps) in body::story(),
        max_samples in 1..20_u32,
        max_bytes in prop_oneof![Just(1_usize << 20), 100..600_usize],
    ) {
        tell(&setup, Limits { max_samples, max_bytes }, lines, &steps);
    }
}
