//! The bytes of a request: compression, encoding, symbols, and what only one of the messages has.

use std::collections::HashSet;

use docker_remote_write::model::Labels;
use docker_remote_write::proto::v2::metadata::MetricType;
use docker_remote_write::wire::decode::{decode_v1, decode_v2};
use prost::Message as _;

use super::{MAX, MESSAGES, OPENMETRICS, Sent, Stage};

const PLAIN: &str = "# TYPE m gauge\nm{a=\"1\"} 1\nm{a=\"2\"} 2\n";

const TYPES: &str = "# TYPE c_seconds counter\n# HELP c_seconds Counted.\n# UNIT c_seconds seconds\nc_seconds_total 1\n\
                     # TYPE g gauge\n# HELP g Measured.\ng 1\n\
                     # TYPE h histogram\n# HELP h Observed.\nh_bucket{le=\"1.0\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_count 2\nh_sum 3\n\
                     # TYPE s summary\n# HELP s Summed.\ns_count 2\ns_sum 3\n\
                     # TYPE i info\n# HELP i Told.\ni_info{v=\"1\"} 1\n\
                     # TYPE e stateset\ne{e=\"on\"} 1\n\
                     # TYPE x unknown\nx 1\n# EOF\n";

/// A counter and a histogram with everything that OpenMetrics has for them.
const RICH: &str = "# TYPE c counter\n# HELP c Counted.\nc_total 3 # {trace_id=\"t1\",span_id=\"s1\"} 0.5\nc_created 1000.5\n\
                    # TYPE h histogram\n# HELP h Observed.\nh_bucket{le=\"1.0\"} 1 # {trace_id=\"t2\"} 0.25 1790000000.123\n\
                    h_bucket{le=\"+Inf\"} 2\nh_count 2\nh_sum 3\nh_created 2000\n# EOF\n";

async fn bodies_of(message: &str) -> Vec<bytes::Bytes> {
    let stage = Stage::text(PLAIN).await;
    let _program = stage.run(message, &[]);
    stage.arrived(2).await;
    stage.assert_strict();
    stage.bodies()
}

fn unpacked(body: &[u8]) -> Vec<u8> {
    assert!(!body.starts_with(b"\xff\x06\x00\x00sNaPpY"), "the framed format");
    snap::raw::Decoder::new().decompress_vec(body).unwrap()
}

#[tokio::test]
async fn rw_1_05_and_1_06_a_body_is_one_snappy_block_of_one_write_request() {
    for body in bodies_of("1.0").await {
        let message = unpacked(&body);
        let request = decode_v1(&body, MAX).unwrap();
        assert!(!request.timeseries.is_empty() || !request.metadata.is_empty());
        assert_eq!(request.encode_to_vec(), message, "nothing but what the message has");
    }
}

#[tokio::test]
async fn rw_2_02_and_2_06_to_2_09_a_body_is_one_snappy_block_of_one_2_0_request() {
    for body in bodies_of("2.0").await {
        let message = unpacked(&body);
        let request = decode_v2(&body, MAX).unwrap();
        assert_eq!(request.encode_to_vec(), message, "nothing but what the message has");
        assert_eq!(request.symbols[0], "");
        let distinct: HashSet<_> = request.symbols.iter().collect();
        assert_eq!(distinct.len(), request.symbols.len(), "{:?}", request.symbols);
        let mut used: HashSet<u32> = HashSet::from([0]);
        for series in &request.timeseries {
            assert!(!series.labels_refs.is_empty() && series.labels_refs.len().is_multiple_of(2));
            assert!(!series.samples.is_empty() && series.histograms.is_empty());
            used.extend(&series.labels_refs);
            let about = series.metadata.unwrap_or_default();
            used.extend([about.help_ref, about.unit_ref]);
        }
        assert!(used.iter().all(|reference| (*reference as usize) < request.symbols.len()));
        assert_eq!(used.len(), request.symbols.len(), "a symbol that nobody needs: {:?}", request.symbols);
    }
}

/// So a receiver that does not know 2.0 stores nothing by mistake.
#[tokio::test]
async fn rw_2_06_a_receiver_of_1_0_sees_an_empty_message_in_2_0() {
    for body in bodies_of("2.0").await {
        let seen = decode_v1(&body, MAX).unwrap();
        assert!(seen.timeseries.is_empty() && seen.metadata.is_empty(), "{seen:?}");
    }
}

fn of<'a>(sent: &'a [Sent], name: &str) -> &'a Sent {
    sent.iter().find(|one| one.name() == name).unwrap_or_else(|| panic!("no {name} in {sent:?}"))
}

#[tokio::test]
async fn rw_2_14_type_help_and_unit_come_with_each_series_of_2_0() {
    let stage = Stage::of(OPENMETRICS, &[TYPES]).await;
    let _program = stage.run("2.0", &[]);
    let sent = stage.arrived(1).await;
    stage.assert_strict();
    for (name, metric_type, help, unit) in [
        ("c_seconds_total", MetricType::Counter, "Counted.", "seconds"),
        ("g", MetricType::Gauge, "Measured.", ""),
        ("h_bucket", MetricType::Histogram, "Observed.", ""),
        ("h_count", MetricType::Histogram, "Observed.", ""),
        ("h_sum", MetricType::Histogram, "Observed.", ""),
        ("s_count", MetricType::Summary, "Summed.", ""),
        ("s_sum", MetricType::Summary, "Summed.", ""),
        ("i_info", MetricType::Info, "Told.", ""),
        ("e", MetricType::Stateset, "", ""),
        ("x", MetricType::Unspecified, "", ""),
        ("up", MetricType::Gauge, &of(&sent, "up").metadata.as_ref().unwrap().1, ""),
    ] {
        let wanted = (metric_type as i32, help.to_owned(), unit.to_owned());
        let found = of(&sent, name).metadata.clone();
        assert_eq!(found.unwrap_or_default(), wanted, "{name}");
    }
    assert!(!of(&sent, "up").metadata.as_ref().unwrap().1.is_empty(), "up has a HELP of its own");
}

#[tokio::test]
async fn rw_2_15_exemplars_come_with_labels_value_and_time() {
    let stage = Stage::of(OPENMETRICS, &[RICH]).await;
    let _program = stage.run("2.0", &[]);
    let sent = stage.arrived(1).await;
    stage.assert_strict();
    let counter = of(&sent, "c_total");
    let wanted = (Labels::from_iter([("trace_id", "t1"), ("span_id", "s1")]), 0.5, counter.timestamp);
    assert_eq!(counter.exemplars, [wanted], "without a time of its own it has that of the scrape");
    let bucket = sent.iter().find(|one| one.label("le") == Some("1.0")).unwrap();
    assert_eq!(bucket.exemplars, [(Labels::from_iter([("trace_id", "t2")]), 0.25, 1_790_000_000_123)]);
    assert!(of(&sent, "h_sum").exemplars.is_empty());
}

#[tokio::test]
async fn rw_2_12_and_2_13_start_timestamps_come_with_counters_and_histograms_of_2_0_and_never_with_1_0() {
    for message in MESSAGES {
        let stage = Stage::of(OPENMETRICS, &[RICH]).await;
        let _program = stage.run(message, &[("SCRAPE_CREATED_TIMESTAMPS", "true")]);
        let sent = stage.arrived(1).await;
        stage.assert_strict();
        let is_v2 = message == "2.0";
        for (name, start) in
            [("c_total", 1_000_500), ("h_count", 2_000_000), ("h_sum", 2_000_000), ("h_bucket", 2_000_000)]
        {
            let found = of(&sent, name);
            assert_eq!(found.start, if is_v2 { start } else { 0 }, "{name} in {message}");
            assert!(found.start <= found.timestamp);
        }
        assert_eq!(of(&sent, "up").start, 0, "a gauge has none");
        assert!(!sent.iter().any(|one| one.name().ends_with("_created")), "they are no series then");
    }
}

#[tokio::test]
async fn samples_metadata_exemplars_and_start_timestamps_come_together() {
    let stage = Stage::of(OPENMETRICS, &[RICH]).await;
    let _program = stage.run("2.0", &[("SCRAPE_CREATED_TIMESTAMPS", "true")]);
    let sent = stage.arrived(1).await;
    stage.assert_strict();
    let counter = of(&sent, "c_total");
    assert_eq!((counter.value(), counter.start, counter.exemplars.len()), (3.0, 1_000_500, 1));
    assert_eq!(counter.metadata, Some((MetricType::Counter as i32, "Counted.".to_owned(), String::new())));
    let bucket = sent.iter().find(|one| one.label("le") == Some("1.0")).unwrap();
    assert_eq!((bucket.value(), bucket.start, bucket.exemplars.len()), (1.0, 2_000_000, 1));
    assert_eq!(bucket.metadata, Some((MetricType::Histogram as i32, "Observed.".to_owned(), String::new())));
}
