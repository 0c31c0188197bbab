//! Metadata as requests of 1.0.

use super::super::Names;
use super::super::metadata::Families;
use super::*;
use crate::model::Escaping;

const NAMES: Names = Names::Escaped(Escaping::Underscores);

fn of(name: &str, label: Option<&str>, metric_type: MetricType, help: &str) -> TestSeries {
    let labels = [(METRIC_NAME, name)].into_iter().chain(label.map(|label| (label, "1"))).collect();
    TestSeries { labels, metric_type, help: help.into(), unit: String::new() }
}

fn gathered(all: &[TestSeries], values: &[f64]) -> Families {
    let mut samples = samples(u32::try_from(all.len()).unwrap(), 1_700_000_000_000);
    samples.iter_mut().zip(values).for_each(|(sample, value)| sample.value = *value);
    let mut families = Families::default();
    for (_, payload) in encode(&mut RecordEncoder::new(WIDE), &samples, all) {
        families.read(&payload, NAMES).unwrap();
    }
    families
}

/// Type, family, help and unit of each entry of all bodies.
fn entries(bodies: &[Vec<u8>]) -> Vec<Vec<(i32, String, String, String)>> {
    let read = bodies.iter().map(|body| {
        let request = decode_v1(body, MAX).unwrap();
        assert!(request.timeseries.is_empty());
        // prost's own bytes.
        assert_eq!(snap::raw::Decoder::new().decompress_vec(body).unwrap(), request.encode_to_vec());
        let entries = request.metadata.into_iter();
        entries.map(|entry| (entry.r#type, entry.metric_family_name, entry.help, entry.unit)).collect()
    });
    read.collect()
}

#[test]
fn rw_1_07_each_family_has_one_entry_with_its_type_help_and_unit() {
    use MetricType::{Counter, Gauge, Histogram, Summary, Unknown};
    let all = [
        of("h_bucket", Some("le"), Histogram, "a histogram"),
        of("h_sum", None, Histogram, "a histogram"),
        of("h_count", None, Histogram, "a histogram"),
        of("s_sum", Some("quantile"), Summary, "a summary called s_sum"),
        of("s_sum_count", None, Summary, "a summary called s_sum"),
        of("c_total", None, Counter, "a counter"),
        of("g_count", None, Gauge, ""),
        of("nothing_known", None, Unknown, ""),
        of("helped", None, Unknown, "no type"),
        TestSeries { unit: "bytes".into(), ..of("x.y_bytes", None, Gauge, "escaped") },
    ];
    let families = gathered(&all, &[1.0; 10]);
    let entry = |metric_type: MetricType, name: &str, help: &str, unit: &str| {
        (metric_type as i32, name.to_owned(), help.to_owned(), unit.to_owned())
    };
    let expected = vec![
        entry(Counter, "c_total", "a counter", ""),
        entry(Gauge, "g_count", "", ""),
        entry(Histogram, "h", "a histogram", ""),
        entry(Unknown, "helped", "no type", ""),
        entry(Summary, "s_sum", "a summary called s_sum", ""),
        entry(Gauge, "x_y_bytes", "escaped", "bytes"),
    ];
    assert_eq!(entries(&families.bodies(2_000, 1 << 20)), [expected]);
}

#[test]
fn rw_1_07_types_have_the_same_numbers_in_both_versions() {
    use crate::proto::{v1::metric_metadata::MetricType as V1, v2::metadata::MetricType as V2};
    for number in 0..8 {
        let (one, two) = (V1::try_from(number).unwrap(), V2::try_from(number).unwrap());
        let known = two.as_str_name().replace("METRIC_TYPE_", "").replace("UNSPECIFIED", "UNKNOWN");
        assert_eq!(one.as_str_name(), known);
    }
    assert!(V1::try_from(8).is_err() && V2::try_from(8).is_err());
}

#[test]
fn a_series_that_ends_brings_no_metadata() {
    let all = [of("gone", None, MetricType::Gauge, "x"), of("here", None, MetricType::Gauge, "y")];
    let families = gathered(&all, &[stale_marker(), 1.0]);
    let all = entries(&families.bodies(2_000, 1 << 20));
    assert_eq!(all.concat().iter().map(|(_, name, _, _)| name.as_str()).collect::<Vec<_>>(), ["here"]);
}

#[test]
fn a_native_histogram_that_ends_brings_no_metadata_either() {
    use crate::model::{Histogram, HistogramKind, HistogramSample};
    let names = ["integer", "float", "custom", "here"];
    let all = names.map(|name| of(name, None, MetricType::Histogram, "x"));
    let ends = [HistogramKind::Integer, HistogramKind::Float, HistogramKind::CustomInteger];
    let histograms = ends.map(Histogram::stale).into_iter().chain([Histogram::default()]);
    let histograms: Vec<_> =
        histograms.enumerate().map(|(sample, histogram)| HistogramSample { sample, histogram }).collect();
    let mut samples = samples(4, 1_700_000_000_000);
    samples.iter_mut().zip(&histograms).for_each(|(sample, it)| sample.value = it.histogram.sum());
    let scrape = Scrape { samples: &samples, exemplars: &[], histograms: &histograms };
    let mut families = Families::default();
    RecordEncoder::new(WIDE).encode_packed(&scrape, describe(&all), |_, payload| {
        families.read(payload, NAMES).unwrap();
    });
    let all = entries(&families.bodies(2_000, 1 << 20));
    assert_eq!(all.concat().iter().map(|(_, name, _, _)| name.as_str()).collect::<Vec<_>>(), ["here"]);
}

#[test]
fn a_request_has_so_many_entries_and_bytes_and_is_never_empty() {
    assert!(Families::default().bodies(2_000, 1 << 20).is_empty());
    let all: Vec<_> =
        (0..25).map(|n| of(&format!("m{n}"), None, MetricType::Gauge, &"h".repeat(50))).collect();
    let families = gathered(&all, &[1.0; 25]);
    let sizes = |max_entries, max_bytes| {
        let all = entries(&families.bodies(max_entries, max_bytes));
        assert_eq!(all.iter().map(Vec::len).sum::<usize>(), 25);
        all.iter().map(Vec::len).collect::<Vec<_>>()
    };
    assert_eq!(sizes(10, 1 << 20), [10, 10, 5]);
    assert_eq!(sizes(25, 1 << 20), [25]);
    assert_eq!(sizes(1_000, 1), [1; 25]);
    for body in families.bodies(1_000, 200) {
        assert!(snap::raw::decompress_len(&body).unwrap() <= 200);
    }
}

#[test]
fn what_is_kept_is_bounded_and_what_has_no_room_is_counted() {
    let long = "h".repeat(100 << 10);
    let all: Vec<_> =
        (0..30).map(|n| of(&format!("m{n}"), None, MetricType::Gauge, &format!("{n}{long}"))).collect();
    let families = gathered(&all, &[1.0; 30]);
    assert!(families.len() >= 19 && families.left_out() > 0, "{} {}", families.len(), families.left_out());
    assert_eq!(families.len() as u64 + families.left_out(), 30);
}

#[test]
fn damage_is_an_error() {
    let mut families = Families::default();
    assert!(families.read(b"no snappy", NAMES).is_err());
    let payload = encode(&mut RecordEncoder::new(WIDE), &samples(1, 1), &[series(0)]).remove(0).1;
    let mut message = snap::raw::Decoder::new().decompress_vec(&payload).unwrap();
    message.pop();
    assert!(families.read_raw(&message, NAMES).is_err());
    assert!(families.is_empty());
}
