//! Classic histograms as native ones with custom bounds.

use std::collections::BTreeMap;
use std::path::Path;

use super::*;
use crate::exposition::Format;
use crate::model::{Histogram, HistogramKind, SampleKind};
use crate::wire::decode::{decode_v1, decode_v2};
use crate::wire::{Limits, RecordEncoder, Scrape, Unsent, v1, v2};

fn converted() -> Rules {
    Rules { histograms: HistogramForms::CONVERTED, ..rules() }
}

fn both() -> Rules {
    Rules { histograms: HistogramForms { classic_too: true, ..HistogramForms::CONVERTED }, ..rules() }
}

impl Target {
    fn read(&mut self, format: Format, timestamp: i64, body: &[u8]) -> Report {
        self.ingest.scrape_as(Ok((format, body)), timestamp, Instant::now())
    }

    /// Histograms as `series {bound:count ...} of count, sum`, other samples as in [`Target::scrape`].
    fn shown(&self) -> Vec<String> {
        let mut samples = self.samples();
        for histogram in self.ingest.histograms() {
            let sample = &mut samples[histogram.sample];
            let (series, at) = (sample.split(' ').next().unwrap(), sample.rsplit('@').next().unwrap());
            let Histogram::Integer(read) = &histogram.histogram else { panic!("{histogram:?}") };
            assert_eq!(read.schema, -53);
            if histogram.histogram.is_stale() {
                *sample = format!("{series} {{}} stale@{at}");
                continue;
            }
            let mut buckets = Vec::new();
            let mut index = 0;
            let mut counts = read.positive.counts.iter();
            for span in &read.positive.spans {
                index += usize::try_from(span.offset).unwrap();
                for _ in 0..span.length {
                    let bound = read.custom_bounds.get(index).copied().unwrap_or(f64::INFINITY);
                    buckets.push(format!("{bound}:{}", counts.next().unwrap()));
                    index += 1;
                }
            }
            *sample = format!("{series} {{{}}} of {}, {}@{at}", buckets.join(" "), read.count, read.sum);
        }
        samples
    }
}

const TEXT: &str = concat!(
    "# HELP h help\n# TYPE h histogram\n",
    "h_bucket{a=\"x\",le=\"1\"} 2\nh_bucket{a=\"x\",le=\"2.5\"} 2\nh_bucket{a=\"x\",le=\"+Inf\"} 5\n",
    "h_sum{a=\"x\"} 7.5\nh_count{a=\"x\"} 5\n",
    "h_bucket{le=\"1\",a=\"y\"} 1\nh_bucket{a=\"y\",le=\"+Inf\"} 1\nh_sum{a=\"y\"} 0.5\nh_count{a=\"y\"} 1\n",
    "# TYPE g gauge\ng_bucket{le=\"1\"} 3\n",
);

#[test]
fn the_series_of_a_classic_histogram_become_one_with_custom_bounds() {
    let mut target = Target::new(converted());
    let report = target.read(Format::Text, 1, TEXT.as_bytes());
    let x = "h{a=\"x\"} {1:2 inf:3} of 5, 7.5@1";
    let y = "h{a=\"y\"} {1:1} of 1, 0.5@1";
    assert_eq!(target.shown(), [x, y, "g_bucket{le=\"1\"} 3@1"]);
    assert_eq!((report.scraped, report.post_relabel, report.added), (3, 3, 3));
    let described = target.ingest.describe(target.ingest.samples()[0].slot);
    assert_eq!((described.metric_type, described.help), (MetricType::Histogram, "help"));
    assert_eq!(target.read(Format::Text, 2, TEXT.as_bytes()).added, 0);
    target.read(Format::Text, 3, b"");
    let gone = ["h{a=\"x\"} {} stale@3", "h{a=\"y\"} {} stale@3", "g_bucket{le=\"1\"} stale@3"];
    assert_eq!(target.shown(), gone);

    let mut target = Target::new(both());
    target.read(Format::Text, 1, TEXT.as_bytes());
    let shown = target.shown();
    assert_eq!((shown.len(), shown[0].as_str()), (12, x));
    assert_eq!(shown[1], "h_bucket{a=\"x\",le=\"1.0\"} 2@1", "and classic bounds are spelled as ever");
}

#[test]
fn an_engine_has_the_same_histograms_in_text_and_protobuf() {
    let fixture = |name: &str| {
        std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)).unwrap()
    };
    let text = fixture("captures/03-containers-running-paused-stopped.prom");
    let mut classic = Target::new(rules());
    classic.read(Format::Text, 1, &text);
    let mut target = Target::new(converted());
    let report = target.read(Format::Text, 1, &text);
    assert!(report.failure.is_none());
    // The plain way: what the classic series say, by histogram.
    let mut counts: BTreeMap<String, f64> = BTreeMap::new();
    let mut others = 0;
    for sample in classic.ingest.samples() {
        let described = classic.ingest.describe(sample.slot);
        let name = described.labels.get("__name__").unwrap();
        if described.metric_type != MetricType::Histogram {
            others += 1;
        } else if let Some(family) = name.strip_suffix("_count") {
            let mut labels = described.labels.clone();
            labels.set("__name__", family);
            counts.insert(labels.to_string(), sample.value);
        }
    }
    assert_eq!(target.ingest.histograms().len(), counts.len());
    assert_eq!(target.ingest.samples().len(), counts.len() + others);
    assert!(counts.len() > 20, "{counts:?}");
    for histogram in target.ingest.histograms() {
        let slot = target.ingest.samples()[histogram.sample].slot;
        let Histogram::Integer(read) = &histogram.histogram else { panic!("{histogram:?}") };
        #[expect(clippy::cast_precision_loss, reason = "small")]
        let count = read.count as f64;
        assert_eq!(counts.get(&target.ingest.describe(slot).labels.to_string()), Some(&count));
        assert_eq!(read.positive.counts.iter().sum::<u64>(), read.count);
    }
    // Another scrape, so not the same counts, but the same histograms with the same bounds.
    let mut protobuf = Target::new(converted());
    protobuf.read(Format::Protobuf, 1, &fixture("protobuf/03-containers-running-paused-stopped.pb"));
    let bounds = |target: &Target| -> BTreeMap<String, Vec<u64>> {
        let of = |histogram: &crate::model::HistogramSample| {
            let slot = target.ingest.samples()[histogram.sample].slot;
            let Histogram::Integer(read) = &histogram.histogram else { panic!("{histogram:?}") };
            let bounds = read.custom_bounds.iter().map(|bound| bound.to_bits()).collect();
            (target.ingest.describe(slot).labels.to_string(), bounds)
        };
        target.ingest.histograms().iter().map(of).collect()
    };
    assert_eq!(bounds(&protobuf), bounds(&target));
    // The same series in the same slots: another format is no other series.
    let before = target.ingest.samples().len();
    let report =
        target.read(Format::Protobuf, 2, &fixture("protobuf/03-containers-running-paused-stopped.pb"));
    assert_eq!((report.markers, target.ingest.samples().len()), (0, before));
}

#[test]
fn openmetrics_brings_start_timestamps_and_timed_exemplars() {
    let body = concat!(
        "# TYPE h histogram\n",
        "h_bucket{le=\"1.0\"} 2 # {t=\"old\"} 0.5 3\n",
        "h_bucket{le=\"+Inf\"} 3 # {t=\"untimed\"} 7\n",
        "h_count 3\nh_sum 9.5\nh_created 1.5\n# EOF\n",
    );
    let mut target = Target::new(Rules { created_timestamps: true, ..converted() });
    let report = target.read(Format::OpenMetrics, 10_000, body.as_bytes());
    assert!(report.failure.is_none());
    assert_eq!(target.shown(), ["h {1:2 inf:1} of 3, 9.5@10000"]);
    assert_eq!(target.ingest.samples()[0].start, 1_500);
    let told: Vec<_> =
        target.ingest.exemplars().iter().map(|e| (e.labels.to_string(), e.timestamp)).collect();
    assert_eq!(told, [("{t=\"old\"}".to_owned(), 3_000)]);
    assert_eq!(report.exemplars_discarded.no_timestamp, 1);
}

#[test]
fn what_makes_no_histogram_stays_classic() {
    for (body, expected) in [
        ("h_bucket{le=\"1\"} 5\nh_bucket{le=\"2\"} 4\nh_count 5\n", 3),
        ("h_bucket{le=\"1\"} 5\nh_count 4\n", 2),
        ("h_bucket{le=\"NaN\"} 5\nh_bucket{x=\"1\"} 4\nh 3\nother_bucket{le=\"1\"} 1\n", 4),
    ] {
        let mut target = Target::new(converted());
        let (samples, report) = target.scrape(1, &format!("# TYPE h histogram\n{body}"));
        assert!(report.failure.is_none() && target.ingest.histograms().is_empty());
        assert_eq!(samples.len(), expected, "{samples:?}");
    }
}

#[test]
fn what_stands_among_the_series_of_a_histogram_and_is_none_of_them_does_not_part_it() {
    let parts = ["h_bucket{le=\"1\"} 1\n", "h_bucket{le=\"+Inf\"} 2\n", "h_sum 3\n", "h_count 2\n"];
    for odd in ["h_bucket{le=\"x\"}", "h_bucket", "h_bucket{le=\"NaN\"}", "h_bucket{le=\"\"}", "h"] {
        for at in 0..=parts.len() {
            let (before, behind) = parts.split_at(at);
            let body = format!("# TYPE h histogram\n{}{odd} 9\n{}", before.concat(), behind.concat());
            let mut target = Target::new(converted());
            let report = target.read(Format::Text, 1, body.as_bytes());
            assert!(report.failure.is_none());
            // The line is taken in where it stands, the histogram where it ends.
            let own = format!("{} 9@1", odd.replace("{le=\"\"}", ""));
            let mut expected = vec![own.as_str(), "h {1:1 inf:1} of 2, 3@1"];
            // One series with the histogram: the first is sent, the second is counted.
            expected.truncate(if odd == "h" { 1 } else { 2 });
            assert_eq!(target.shown(), expected, "{body}");
            assert_eq!(report.discarded.total(), u64::from(odd == "h"));
        }
    }
}

#[test]
fn a_series_with_other_labels_or_another_name_ends_the_histogram_before_it() {
    let read = |family: &str, other: &str| {
        let bucket = |bound: u32| format!("{family}_bucket{{le=\"{bound}\"}} {bound}\n");
        let body = format!("# TYPE {family} histogram\n{}{other} 9\n{}", bucket(1), bucket(2));
        let mut target = Target::new(converted());
        assert_eq!(target.read(Format::Text, 1, body.as_bytes()).scraped, 3);
        target.shown()
    };
    for other in ["h{a=\"b\"}", "h_other", "hh", "h_bucket{a=\"b\",le=\"x\"}"] {
        assert_eq!(read("h", other), ["h {1:1} of 1, 0@1".to_owned(), format!("{other} 9@1")]);
    }
    // Prometheus takes a suffix off to see which histogram a series is of: the bare name is not one of its own.
    assert_eq!(read("x_sum", "x_sum"), ["x_sum {1:1} of 1, 0@1"]);
}

#[test]
fn one_that_is_too_long_stays_classic_to_its_end() {
    let mut body = "# TYPE h histogram\n".to_owned();
    for n in 0..10_100 {
        body.push_str(&format!("h_bucket{{le=\"{n}\"}} {n}\n"));
    }
    body.push_str("h_bucket{a=\"b\",le=\"1\"} 1\n");
    let mut target = Target::new(converted());
    let report = target.read(Format::Text, 1, body.as_bytes());
    assert_eq!((report.scraped, target.ingest.histograms().len()), (10_101, 1));
    assert_eq!(target.shown().pop().unwrap(), "h{a=\"b\"} {1:1} of 1, 0@1");
}

#[test]
fn rules_see_the_histograms_own_name_and_what_they_make_of_it_is_told_with_a_line() {
    let ruled = |yaml: &str| {
        let rules = crate::relabel::Rules::compile(yaml).unwrap().into();
        Target::new(Rules { relabelling: Relabelling { rules, ..Relabelling::default() }, ..converted() })
    };
    let mut target = ruled("- {source_labels: [__name__], regex: 'h_.*', action: drop}");
    assert_eq!(target.read(Format::Text, 1, TEXT.as_bytes()).filtered, 0);
    let mut target = ruled("- {source_labels: [__name__, a], regex: 'h;x', action: drop}");
    assert_eq!(target.read(Format::Text, 1, TEXT.as_bytes()).filtered, 1);
    let mut target = ruled("- {source_labels: [a], regex: 'y', target_label: __name__, replacement: ''}");
    let failure = target.read(Format::Text, 1, TEXT.as_bytes()).failure.unwrap().to_string();
    assert!(failure.starts_with("exposition line 8, column 1: "), "{failure}");
    assert!(target.ingest.samples().is_empty());
}

#[test]
fn series_that_are_converted_from_now_on_end_as_classic_ones() {
    let mut classic = Target::new(rules());
    classic.scrape(1, TEXT);
    let open: Vec<_> = classic.ingest.open_series().map(|(labels, kind)| (labels.clone(), kind)).collect();
    let mut target = Target::new(converted());
    target.ingest.restore(open);
    target.read(Format::Text, 2, TEXT.as_bytes());
    let markers = target.samples().iter().filter(|sample| sample.contains(" stale@2")).count();
    assert_eq!(markers, 9);
    let kinds: Vec<_> = target.ingest.open_series().map(|(_, kind)| kind).collect();
    let histogram = SampleKind::Histogram(HistogramKind::CustomInteger);
    assert_eq!(kinds.iter().filter(|kind| **kind == histogram).count(), 2);
    assert_eq!(kinds.len(), 3);
}

/// What 1.0 leaves out of this scrape and how many histograms it has in it, and the schemas of the histograms of 2.0.
fn sent(target: &Target) -> (Vec<(u32, Unsent)>, usize, Vec<i32>) {
    const WIDE: Limits = Limits { max_samples: 2_000, max_bytes: 1 << 20 };
    let ingest = &target.ingest;
    let (samples, exemplars, histograms) = (ingest.samples(), ingest.exemplars(), ingest.histograms());
    let mut record = Vec::new();
    RecordEncoder::new(WIDE).encode_packed(
        &Scrape { samples, exemplars, histograms },
        |slot| ingest.describe(slot),
        |_, payload| record = payload.to_vec(),
    );
    let (mut first, mut second) = (v1::RequestBuilder::new(), v2::RequestBuilder::new());
    first.push(&record, 0, &WIDE).unwrap();
    second.push(&record, 0, &WIDE).unwrap();
    let left_out = first.left_out().to_vec();
    let of_1 = decode_v1(first.finish(), 1 << 20).unwrap().timeseries;
    let of_2 = decode_v2(second.finish(), 1 << 20).unwrap().timeseries;
    let of_1 = of_1.iter().map(|series| series.histograms.len()).sum();
    (left_out, of_1, of_2.iter().flat_map(|series| &series.histograms).map(|it| it.schema).collect())
}

/// The second one counts in floats.
const TWO: &str = concat!(
    "# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 5\nh_sum 7.5\nh_count 5\n",
    "# TYPE f histogram\nf_bucket{le=\"1\"} 0.5\nf_bucket{le=\"+Inf\"} 1.5\nf_sum 7.5\nf_count 1.5\n",
    "# TYPE g gauge\ng 1\n",
);

#[test]
fn rw_2_16_and_2_24_the_marker_of_a_converted_series_has_custom_buckets_too() {
    let left_out = |entries: [u32; 2]| entries.map(|entry| (entry, Unsent::CustomBuckets)).to_vec();
    let mut target = Target::new(converted());
    target.read(Format::Text, 1, TWO.as_bytes());
    assert_eq!(sent(&target), (left_out([0, 1]), 0, vec![-53, -53]));
    let open: Vec<_> = target.ingest.open_series().map(|(labels, kind)| (labels.clone(), kind)).collect();
    target.read(Format::Text, 2, b"g 1\n");
    assert_eq!(sent(&target), (left_out([1, 2]), 0, vec![-53, -53]));
    assert!(target.ingest.histograms().iter().all(|it| it.histogram.is_stale()));

    // What another process has left open.
    let mut target = Target::new(converted());
    target.ingest.restore(open);
    target.read(Format::Text, 3, b"g 1\n");
    assert_eq!(sent(&target), (left_out([1, 2]), 0, vec![-53, -53]));
}
