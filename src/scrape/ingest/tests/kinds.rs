//! remote-write 2.16, 3.07: whatever becomes of a series, its marker is of the kind of its last sample, and the journal knows which.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::super::open_series::ChangeKind;
use super::native::{family, floats, gauge, histogram, one, timed};
use super::*;
use crate::exposition::Format;
use crate::model::SampleKind;
use crate::proto::client;

/// One of them is also a synthetic series.
const NAMES: [&str; 3] = ["up", "a", "b"];

#[derive(Clone, Copy, Debug)]
enum Form {
    Gauge,
    Integer,
    Floats,
    /// A classic one that is converted.
    Custom,
}

/// A name by its number, what it is, and how long before the scrape its own timestamp is.
type Exposed = (usize, Form, Option<i64>);

#[derive(Clone, Debug)]
enum Step {
    Scrape(Vec<Exposed>),
    /// Its last histogram is refused.
    Refused(Vec<Exposed>),
    Failed,
    End,
    /// Another `job`, or the first one.
    Rename(bool),
    /// Series of this name are dropped, or none.
    Drop(Option<usize>),
    Restart,
    ClockSetBack,
}

fn exposed() -> impl Strategy<Value = Vec<Exposed>> {
    let form = prop_oneof![Just(Form::Gauge), Just(Form::Integer), Just(Form::Floats), Just(Form::Custom)];
    let own = prop_oneof![4 => Just(None), 1 => (0..12_i64).prop_map(Some)];
    vec((0..NAMES.len(), form, own), 0..5)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => exposed().prop_map(Step::Scrape),
        2 => exposed().prop_map(Step::Refused),
        1 => Just(Step::Failed),
        1 => Just(Step::End),
        1 => any::<bool>().prop_map(Step::Rename),
        1 => proptest::option::of(0..NAMES.len()).prop_map(Step::Drop),
        2 => Just(Step::Restart),
        1 => Just(Step::ClockSetBack),
    ]
}

fn classic(sum: f64) -> client::Histogram {
    let bucket =
        client::Bucket { cumulative_count: Some(1), upper_bound: Some(1.0), ..client::Bucket::default() };
    client::Histogram {
        sample_count: Some(1),
        sample_sum: Some(sum),
        bucket: vec![bucket],
        ..client::Histogram::default()
    }
}

fn body(exposed: &[Exposed], now: i64) -> Vec<Vec<u8>> {
    let exposed = exposed.iter().map(|(name, form, own)| {
        let name = NAMES[*name];
        match (form, own) {
            (Form::Gauge, None) => gauge(name, 1.0),
            (Form::Integer, None) => histogram(name, one(1.0)),
            (Form::Floats, None) => histogram(name, floats(1.0)),
            (Form::Custom, None) => histogram(name, classic(1.0)),
            (Form::Gauge, Some(before)) => {
                let gauge = Some(client::Gauge { value: Some(2.0) });
                let timestamp_ms = Some(now - before);
                family(name, client::Metric { gauge, timestamp_ms, ..Default::default() })
            }
            (Form::Integer, Some(before)) => timed(name, one(2.0), now - before),
            (Form::Floats, Some(before)) => timed(name, floats(2.0), now - before),
            (Form::Custom, Some(before)) => timed(name, classic(2.0), now - before),
        }
    });
    exposed.collect()
}

fn rules() -> Rules {
    Rules { synthetic_series: true, histograms: HistogramForms::CONVERTED, ..super::rules() }
}

/// A target, what a receiver has of it, and what the journal holds.
struct World {
    target: Target,
    now: i64,
    /// By labels: the newest sample's timestamp and kind; a marker's timestamp alone.
    received: BTreeMap<String, (i64, Option<SampleKind>)>,
    /// The labels, and the kind as text, as it has no order.
    journal: BTreeMap<String, (Labels, SampleKind)>,
}

impl World {
    fn new() -> Self {
        Self { target: Target::new(rules()), now: 1_000, received: BTreeMap::new(), journal: BTreeMap::new() }
    }

    fn take(&mut self, step: &Step) {
        self.now += 10;
        let (now, ingest) = (self.now, &mut self.target.ingest);
        let mut scrape = |families: Vec<Vec<u8>>| {
            ingest.scrape_as(Ok((Format::Protobuf, &families.concat())), now, Instant::now());
        };
        match step {
            Step::Scrape(exposed) => scrape(body(exposed, now)),
            Step::Refused(exposed) => {
                let bad = client::Histogram { schema: Some(99), ..one(1.0) };
                scrape([body(exposed, now), vec![histogram("c", bad)]].concat());
            }
            Step::Failed => {
                ingest.scrape(Err(ScrapeError::Panicked), now, Instant::now());
            }
            Step::End => {
                ingest.end_all(now);
            }
            Step::Rename(is_other) => {
                let job = if *is_other { "other" } else { "docker" };
                return ingest.rename(&Labels::from_iter([("job", job)]), &Labels::default());
            }
            Step::Drop(name) => {
                let regex = name.map_or("none", |name| NAMES[name]);
                let yaml = format!("- {{source_labels: [__name__], regex: {regex}, action: drop}}");
                let rules = crate::relabel::Rules::compile(&yaml).unwrap().into();
                return ingest.relabel(Relabelling { rules, ..Relabelling::default() });
            }
            Step::Restart => {
                self.target = Target::new(rules());
                self.target.ingest.restore(self.journal.values().cloned());
                // Of other samples the next process knows nothing.
                self.received.retain(|labels, newest| {
                    newest.0 = i64::MIN;
                    self.journal.contains_key(labels)
                });
                return;
            }
            Step::ClockSetBack => {
                self.now -= 25;
                return;
            }
        }
        self.receive();
        self.follow();
    }

    fn receive(&mut self) {
        let ingest = &self.target.ingest;
        let mut histograms = ingest.histograms().iter().peekable();
        for (at, sample) in ingest.samples().iter().enumerate() {
            let labels = ingest.describe(sample.slot).labels.to_string();
            let histogram = histograms.next_if(|histogram| histogram.sample == at);
            let kind = histogram.map_or(SampleKind::Float, |h| SampleKind::Histogram(h.histogram.kind()));
            let before = self.received.get(&labels).copied();
            assert!(before.is_none_or(|before| before.0 < sample.timestamp), "{labels} out of order");
            let is_marker = is_stale_marker(sample.value);
            if is_marker {
                assert_eq!(before.and_then(|before| before.1), Some(kind), "the marker of {labels}");
            }
            self.received.insert(labels, (sample.timestamp, (!is_marker).then_some(kind)));
        }
        assert!(histograms.next().is_none());
    }

    fn follow(&mut self) {
        let ingest = &self.target.ingest;
        for change in ingest.changes() {
            let labels = ingest.describe(change.slot).labels;
            let is_fit = match change.kind {
                ChangeKind::Opened => {
                    self.journal.insert(labels.to_string(), (labels.clone(), change.samples)).is_none()
                }
                ChangeKind::Ended => {
                    let ended = self.journal.remove(&labels.to_string());
                    ended.is_some_and(|(_, kind)| kind == change.samples)
                }
            };
            assert!(is_fit, "{change:?} of {labels}");
        }
        let told = |(labels, kind): (&Labels, SampleKind)| format!("{labels} {kind:?}");
        let open: BTreeSet<_> = ingest.open_series().map(told).collect();
        let kept: BTreeSet<_> = self.journal.values().map(|(labels, kind)| told((labels, *kind))).collect();
        assert_eq!(open, kept);
        for (labels, (_, kind)) in &self.journal {
            assert_eq!(self.received[labels].1, Some(*kind), "{labels}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn rw_2_16_and_3_07_a_marker_is_of_the_kind_of_the_last_sample_whatever_becomes_of_the_series(
        steps in vec(step(), 1..20)
    ) {
        let mut world = World::new();
        for step in &steps {
            world.take(step);
        }
    }
}

#[test]
fn rw_2_16_a_series_that_left_and_returned_only_to_be_dropped_ends_as_what_it_was() {
    let mut world = World::new();
    for step in [
        Step::Scrape(vec![(1, Form::Integer, Some(1))]),
        Step::Scrape(vec![(2, Form::Gauge, None)]),
        Step::ClockSetBack,
        Step::ClockSetBack,
        Step::Scrape(vec![(1, Form::Gauge, None)]),
        Step::Scrape(vec![]),
    ] {
        world.take(&step);
    }
}

#[test]
fn rw_2_16_and_2_24_custom_buckets_and_those_of_a_schema_are_two_kinds() {
    let mut world = World::new();
    for step in [
        Step::Scrape(vec![(1, Form::Integer, None), (2, Form::Custom, None)]),
        Step::Scrape(vec![(1, Form::Custom, None), (2, Form::Integer, None)]),
        Step::Restart,
        Step::Scrape(vec![(2, Form::Custom, None)]),
        Step::Failed,
    ] {
        world.take(&step);
    }
}
