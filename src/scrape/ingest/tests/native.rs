//! Native histograms of a target (remote-write 2.16, 2.23, 4.27 to 4.29).

use prost::Message;

use super::super::super::open_series::{ChangeKind, SeriesChange};
use super::*;
use crate::exposition::Format;
use crate::model::{Histogram, HistogramKind, SampleKind};
use crate::proto::client;

const INTEGER: SampleKind = SampleKind::Histogram(HistogramKind::Integer);
const FLOAT: SampleKind = SampleKind::Histogram(HistogramKind::Float);

pub(super) fn native() -> Rules {
    Rules { histograms: HistogramForms::NATIVE, ..rules() }
}

pub(super) fn family(name: &str, metric: client::Metric) -> Vec<u8> {
    let is_gauge = metric.gauge.is_some();
    let metric_type = if is_gauge { client::MetricType::Gauge } else { client::MetricType::Histogram };
    let family = client::MetricFamily {
        name: Some(name.to_owned()),
        help: Some("help".to_owned()),
        r#type: Some(metric_type.into()),
        metric: vec![metric],
        unit: None,
    };
    family.encode_length_delimited_to_vec()
}

pub(super) fn gauge(name: &str, value: f64) -> Vec<u8> {
    let gauge = Some(client::Gauge { value: Some(value) });
    family(name, client::Metric { gauge, ..Default::default() })
}

/// One observation in one bucket.
pub(super) fn one(sum: f64) -> client::Histogram {
    client::Histogram {
        sample_count: Some(1),
        sample_sum: Some(sum),
        positive_span: vec![client::BucketSpan { offset: Some(2), length: Some(1) }],
        positive_delta: vec![1],
        ..Default::default()
    }
}

pub(super) fn floats(sum: f64) -> client::Histogram {
    client::Histogram {
        sample_count: None,
        sample_count_float: Some(0.5),
        positive_delta: vec![],
        positive_count: vec![0.5],
        ..one(sum)
    }
}

pub(super) fn histogram(name: &str, histogram: client::Histogram) -> Vec<u8> {
    family(name, client::Metric { histogram: Some(histogram), ..Default::default() })
}

pub(super) fn timed(name: &str, histogram: client::Histogram, timestamp_ms: i64) -> Vec<u8> {
    let timestamp_ms = Some(timestamp_ms);
    family(name, client::Metric { histogram: Some(histogram), timestamp_ms, ..Default::default() })
}

impl Target {
    /// One scrape of these families; samples as in [`Target::scrape`], with `H` or `F` before a histogram's sum.
    fn families(&mut self, timestamp: i64, families: &[Vec<u8>]) -> (Vec<String>, Report) {
        let body = families.concat();
        let report = self.ingest.scrape_as(Ok((Format::Protobuf, &body)), timestamp, Instant::now());
        (self.told(), report)
    }

    fn told(&self) -> Vec<String> {
        let mut samples = self.samples();
        for histogram in self.ingest.histograms() {
            let kind = match histogram.histogram.kind() {
                HistogramKind::Integer => "H",
                HistogramKind::Float => "F",
                HistogramKind::CustomInteger | HistogramKind::CustomFloat => "custom",
            };
            let sample = &mut samples[histogram.sample];
            *sample = sample.replacen(' ', &format!(" {kind}"), 1);
            let value = self.ingest.samples()[histogram.sample].value;
            assert_eq!(histogram.histogram.sum().to_bits(), value.to_bits());
        }
        samples
    }
}

fn changes(target: &Target) -> Vec<(ChangeKind, SampleKind, usize)> {
    let told = |change: &SeriesChange| (change.kind, change.samples, change.sample);
    target.ingest.changes().iter().map(told).collect()
}

#[test]
fn rw_4_27_a_native_histogram_is_one_sample_and_counts_as_one() {
    let mut target = Target::new(Rules { synthetic_series: true, ..native() });
    let (samples, report) =
        target.families(1, &[histogram("h", one(2.5)), histogram("f", floats(0.5)), gauge("g", 1.0)]);
    assert_eq!(samples[..3], ["h H2.5@1", "f F0.5@1", "g 1@1"]);
    assert_eq!((report.scraped, report.post_relabel, report.added), (3, 3, 3));
    let Histogram::Integer(read) = &target.ingest.histograms()[0].histogram else { panic!("floats") };
    assert_eq!((read.count, &read.positive.counts[..]), (1, &[1][..]));
    let described = target.ingest.describe(target.ingest.samples()[0].slot);
    assert_eq!((described.metric_type, described.help), (MetricType::Histogram, "help"));
    let again = target.families(2, &[histogram("h", one(3.0)), histogram("f", floats(0.5)), gauge("g", 1.0)]);
    assert_eq!((&again.0[..3], again.1.added), (&["h H3@2", "f F0.5@2", "g 1@2"].map(String::from)[..], 0));
    assert_eq!(target.ingest.histograms().len(), 2);
}

#[test]
fn rw_4_28_nothing_native_is_read_unless_it_is_wanted() {
    let mut target = Target::new(rules());
    let (samples, _) = target.families(1, &[histogram("h", one(2.5))]);
    assert_eq!(samples, ["h_bucket{le=\"+Inf\"} 1@1", "h_sum 2.5@1", "h_count 1@1"]);
    assert!(target.ingest.histograms().is_empty());
}

#[test]
fn rw_2_16_a_series_of_histograms_ends_with_a_histogram_of_its_kind() {
    let mut target = Target::new(native());
    target.families(1, &[histogram("h", one(1.0)), histogram("f", floats(1.0)), gauge("g", 1.0)]);
    assert_eq!(
        changes(&target),
        [(0, INTEGER), (1, FLOAT), (2, SampleKind::Float)].map(|(at, kind)| (ChangeKind::Opened, kind, at))
    );
    assert_eq!(target.families(2, &[]).0, ["h Hstale@2", "f Fstale@2", "g stale@2"]);
    assert_eq!(
        changes(&target),
        [(0, INTEGER), (1, FLOAT), (2, SampleKind::Float)].map(|(at, kind)| (ChangeKind::Ended, kind, at))
    );
    target.families(3, &[histogram("h", one(1.0)), gauge("g", 1.0)]);
    let bad = histogram("h", client::Histogram { schema: Some(99), ..one(1.0) });
    assert_eq!(target.families(4, &[gauge("g", 1.0), bad]).0, ["h Hstale@4", "g stale@4"], "a failed scrape");
    target.families(5, &[histogram("f", floats(1.0))]);
    target.ingest.end_all(6);
    assert_eq!(target.told(), ["f Fstale@6"]);
}

#[test]
fn rw_3_07_what_another_process_has_left_open_ends_as_it_began() {
    let mut target = Target::new(native());
    let labels = |name: &str| Labels::from_iter([("__name__", name), ("job", "docker")]);
    target.ingest.restore([
        (labels("h"), INTEGER),
        (labels("f"), FLOAT),
        (labels("g"), SampleKind::Float),
        (labels("k"), INTEGER),
    ]);
    let (samples, _) = target.families(7, &[histogram("k", one(1.0))]);
    assert_eq!(samples, ["k H1@7", "h Hstale@7", "f Fstale@7", "g stale@7"]);
    let mut open = target.ingest.open_series();
    assert_eq!(open.next(), Some((&labels("k"), INTEGER)));
    assert_eq!(open.next(), None);
}

#[test]
fn a_series_that_becomes_another_kind_goes_on_and_is_remembered_as_that() {
    let mut target = Target::new(native());
    target.families(1, &[gauge("x", 1.0)]);
    assert_eq!(target.families(2, &[histogram("x", one(2.0))]).0, ["x H2@2"]);
    let from_to = |from, to| [(ChangeKind::Ended, from, 0), (ChangeKind::Opened, to, 0)];
    assert_eq!(changes(&target), from_to(SampleKind::Float, INTEGER));
    target.families(3, &[histogram("x", floats(2.0))]);
    assert_eq!(changes(&target), from_to(INTEGER, FLOAT));
    target.families(4, &[histogram("x", floats(2.0))]);
    assert_eq!(changes(&target), []);
    let failed = target.ingest.scrape(Err(ScrapeError::Panicked), 5, Instant::now());
    assert_eq!((target.told(), failed.markers), (vec!["x Fstale@5".to_owned()], 1));
    assert_eq!(changes(&target), [(ChangeKind::Ended, FLOAT, 0)]);
    // A scrape that fails has changed nothing.
    let mut target = Target::new(native());
    target.families(1, &[gauge("x", 1.0)]);
    let bad = histogram("y", client::Histogram { schema: Some(99), ..one(1.0) });
    assert_eq!(target.families(2, &[histogram("x", one(2.0)), bad]).0, ["x stale@2"]);
}

#[test]
fn a_series_that_goes_on_with_timestamps_of_its_own_ends_as_what_it_is_by_then() {
    let mut target = Target::new(native());
    target.families(1_000, &[gauge("x", 1.0)]);
    let (samples, _) = target.families(2_000, &[timed("x", one(2.0), 1_500)]);
    assert_eq!(samples, ["x H2@1500", "x Hstale@2000"]);
}

#[test]
fn the_first_of_two_samples_stands_whatever_they_are() {
    let mut target = Target::new(native());
    let (samples, report) =
        target.families(1, &[gauge("x", 1.0), histogram("x", one(2.0)), histogram("y", one(3.0))]);
    assert_eq!((samples, report.discarded.duplicate), (vec!["x 1@1".to_owned(), "y H3@1".to_owned()], 1));
    let (samples, report) =
        target.families(2, &[histogram("x", one(2.0)), histogram("x", one(4.0)), gauge("x", 1.0)]);
    assert_eq!(samples, ["x H2@2", "y Hstale@2"]);
    assert_eq!(report.discarded.duplicate, 2);
}

#[test]
fn what_prometheus_refuses_fails_the_scrape_unless_its_series_is_dropped() {
    let bad = || histogram("h", client::Histogram { sample_count: Some(9), ..one(1.0) });
    let mut target = Target::new(native());
    let (samples, report) = target.families(1, &[gauge("g", 1.0), bad()]);
    assert!(samples.is_empty());
    let expected =
        "exposition message 2, byte 37: native histogram h: 1 observations are in buckets, and 9 in all";
    assert_eq!(report.failure.unwrap().to_string(), expected);
    // Even where the sample itself would not be handed on, but for a line that came in this scrape: nobody looks at that one.
    let (samples, report) = target.families(2, &[histogram("h", one(1.0)), bad()]);
    assert_eq!((samples, report.discarded.duplicate), (vec!["h H1@2".to_owned()], 1));
    let (_, report) = target.families(1, &[bad()]);
    assert!(report.failure.is_some());
    let yaml = "- {source_labels: [__name__], regex: h, action: drop}";
    let relabelling =
        Relabelling { rules: crate::relabel::Rules::compile(yaml).unwrap().into(), ..Relabelling::default() };
    let mut target = Target::new(Rules { relabelling, ..native() });
    let (samples, report) = target.families(1, &[gauge("g", 1.0), bad()]);
    assert_eq!((samples, report.filtered), (vec!["g 1@1".to_owned()], 1));
}

/// As Prometheus, whose storage refuses it before it is counted behind the rules.
#[test]
fn what_fails_the_scrape_was_scraped_but_is_no_series_yet() {
    let bad = || histogram("h", client::Histogram { sample_count: Some(9), ..one(1.0) });
    let mut target = Target::new(native());
    let (_, report) = target.families(1, &[gauge("g", 1.0), bad(), gauge("k", 1.0)]);
    assert_eq!((report.scraped, report.post_relabel, report.added), (2, 1, 1));
    // It is new when it is good, and `k` was never seen.
    let (_, report) = target.families(2, &[gauge("g", 1.0), histogram("h", one(1.0)), gauge("k", 1.0)]);
    assert_eq!((report.scraped, report.post_relabel, report.added), (3, 3, 2));
    // What is known stays known.
    let (_, report) = target.families(3, &[gauge("g", 1.0), bad()]);
    assert_eq!((report.scraped, report.post_relabel, report.added), (2, 1, 0));
    let (_, report) = target.families(4, &[gauge("g", 1.0), histogram("h", one(1.0)), gauge("k", 1.0)]);
    assert_eq!((report.scraped, report.post_relabel, report.added), (3, 3, 0));
}

/// As Prometheus, which gives its storage nothing beyond the limit.
#[test]
fn rw_4_13_beyond_the_sample_limit_a_histogram_is_only_counted() {
    let bad = || histogram("h", client::Histogram { sample_count: Some(9), ..one(1.0) });
    let mut target = Target::new(Rules { sample_limit: Some(1), ..native() });
    let (_, report) = target.families(1, &[gauge("g", 1.0), bad(), gauge("k", 1.0)]);
    assert_eq!((report.scraped, report.post_relabel, report.added), (3, 3, 1));
    let error = report.failure.unwrap();
    assert!(matches!(error, ScrapeError::SampleLimit { samples: 3, limit: 1 }), "{error}");
}

#[test]
fn rw_4_13_a_native_histogram_counts_once_against_the_sample_limit() {
    let mut target = Target::new(Rules { sample_limit: Some(2), ..native() });
    let two = [histogram("a", one(1.0)), histogram("b", one(1.0))];
    assert!(target.families(1, &two).1.failure.is_none());
    let three = [two.concat(), histogram("c", one(1.0))];
    let error = target.families(2, &three).1.failure.unwrap();
    assert!(matches!(error, ScrapeError::SampleLimit { samples: 3, limit: 2 }), "{error}");
}

#[test]
fn buckets_count_against_the_memory_that_a_scrape_may_take() {
    let many = client::Histogram {
        sample_count: Some(50_000),
        positive_span: vec![client::BucketSpan { offset: None, length: Some(50_000) }],
        positive_delta: std::iter::once(1).chain(std::iter::repeat_n(0, 49_999)).collect(),
        ..one(1.0)
    };
    let mut target = Target::new(Rules { memory_limit: Some(4 << 20), ..native() });
    let scrape = |count: usize| -> Vec<Vec<u8>> {
        (0..count).map(|n| histogram(&format!("h{n}"), many.clone())).collect()
    };
    assert!(target.families(1, &scrape(2)).1.failure.is_none());
    let error = target.families(2, &scrape(3)).1.failure.unwrap();
    assert!(matches!(error, ScrapeError::Memory { .. }), "{error}");
    assert!(target.families(3, &scrape(2)).1.failure.is_none(), "and no longer than that scrape");
}

fn exemplar(value: f64, seconds: Option<i64>) -> client::Exemplar {
    client::Exemplar {
        label: vec![client::LabelPair { name: Some("t".into()), value: Some(value.to_string()) }],
        value: Some(value),
        timestamp: seconds.map(|seconds| client::Timestamp { seconds: Some(seconds), nanos: None }),
    }
}

/// One with an exemplar of this second.
fn exemplified(seconds: i64) -> client::Histogram {
    client::Histogram { exemplars: vec![exemplar(1.0, Some(seconds))], ..one(1.0) }
}

#[test]
fn rw_4_29_exemplars_of_a_native_histogram_go_once_in_order_and_only_with_timestamps() {
    let mut target = Target::new(native());
    let mut taken = |timestamp, exemplars: &[(f64, Option<i64>)]| {
        let exemplars = exemplars.iter().map(|(value, at)| exemplar(*value, *at)).collect();
        let with = histogram("h", client::Histogram { exemplars, ..one(1.0) });
        let (_, report) = target.families(timestamp, &[gauge("g", 1.0), with]);
        let told = |e: &crate::model::Exemplar| {
            assert_eq!(e.labels.to_string(), format!("{{t=\"{}\"}}", e.value));
            (e.sample, e.value, e.timestamp)
        };
        (
            target.ingest.exemplars().iter().map(told).collect::<Vec<_>>(),
            report.exemplars_discarded.no_timestamp,
        )
    };
    let first = [(3.0, Some(9)), (1.0, None), (2.0, Some(7)), (5.0, Some(9))];
    let in_order = vec![(1, 2.0, 7_000), (1, 3.0, 9_000), (1, 5.0, 9_000)];
    assert_eq!(taken(10_000, &first), (in_order, 1));
    assert_eq!(taken(11_000, &first), (vec![], 1), "the same ones again");
    let newer = [(4.0, Some(9)), (6.0, Some(9)), (1.0, Some(10))];
    assert_eq!(taken(12_000, &newer), (vec![(1, 6.0, 9_000), (1, 1.0, 10_000)], 0));
    assert_eq!(taken(13_000, &[]), (vec![], 0));
}

#[test]
fn exemplars_of_another_series_that_had_the_slot_are_nothing_to_go_by() {
    let taken = |target: &Target| target.ingest.exemplars().iter().map(|e| e.timestamp).collect::<Vec<_>>();
    let mut target = Target::new(native());
    target.families(10_000, &[histogram("a", exemplified(9))]);
    assert_eq!(taken(&target), [9_000]);
    target.ingest.end_all(11_000);
    target.families(12_000, &[histogram("b", exemplified(5))]);
    assert_eq!(taken(&target), [5_000]);
    // The slots are given back by a scrape that fails, too.
    let mut target = Target::new(Rules { memory_limit: Some(300_000), ..native() });
    target.families(10_000, &[histogram("a", exemplified(9))]);
    let many: Vec<_> = (0..1_000).map(|n| histogram(&format!("c{n}"), one(1.0))).collect();
    assert!(matches!(target.families(11_000, &many).1.failure, Some(ScrapeError::Memory { .. })));
    let all: Vec<_> = (0..100).map(|n| histogram(&format!("b{n}"), exemplified(5))).collect();
    target.families(12_000, &all);
    assert_eq!(taken(&target), [5_000; 100]);
}

#[test]
fn exemplars_beside_a_sample_that_is_repeated_are_remembered() {
    let mut target = Target::new(native());
    let mut scrape = |timestamp, own| {
        target.families(timestamp, &[timed("h", exemplified(1), own), gauge("g", 1.0)]);
        target.ingest.exemplars().len()
    };
    assert_eq!(scrape(10_000, 9_000), 1);
    assert_eq!(scrape(11_000, 9_000), 0);
    assert_eq!(scrape(12_000, 11_500), 0, "it went with the first one");
}

#[test]
fn exemplars_count_against_the_memory_that_a_scrape_may_take() {
    let exemplars = (0..4_500).map(|second| exemplar(0.5, Some(second))).collect();
    let many = client::Histogram { exemplars, ..one(1.0) };
    let mut target = Target::new(Rules { memory_limit: Some(512 << 10), ..native() });
    let error = target.families(1, &[histogram("h", many)]).1.failure.unwrap();
    assert!(matches!(error, ScrapeError::Memory { .. }), "{error}");
}

#[test]
fn exemplars_of_two_samples_of_one_series_go_once() {
    let mut target = Target::new(native());
    let mut scrape = |timestamp: i64, first: &[i64], second: &[i64]| {
        let with = |seconds: &[i64]| {
            let exemplars = seconds.iter().map(|second| exemplar(1.0, Some(*second))).collect();
            client::Histogram { exemplars, ..one(1.0) }
        };
        let families = [timed("h", with(first), timestamp - 200), timed("h", with(second), timestamp - 100)];
        assert_eq!(target.families(timestamp, &families).0.len(), 2);
        target.ingest.exemplars().iter().map(|e| (e.sample, e.timestamp)).collect::<Vec<_>>()
    };
    assert_eq!(scrape(10_000, &[1], &[1, 2]), [(0, 1_000), (1, 2_000)]);
    assert_eq!(scrape(11_000, &[3], &[]), [(0, 3_000)]);
    assert_eq!(scrape(12_000, &[3], &[2]), []);
}
