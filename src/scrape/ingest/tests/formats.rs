use std::path::Path;

use prost::Message;

use super::*;
use crate::exposition::Format;
use crate::proto::client;

const OPENMETRICS: &str = concat!(
    "# TYPE c counter\n",
    "# UNIT c_bytes bytes\n",
    "# HELP c counts\n",
    "c_total{a=\"b\"} 1 # {trace_id=\"x\"} 1\n",
    "c_created{a=\"b\"} 1.5\n",
    "# TYPE h histogram\n",
    "h_bucket{le=\"1\"} 2 7\n",
    "# EOF\n",
);

impl Target {
    fn take_as(&mut self, format: Format, body: &[u8], timestamp: i64) -> (Vec<String>, Report) {
        let report = self.ingest.scrape_as(Ok((format, body)), timestamp, Instant::now());
        (self.samples(), report)
    }
}

fn capture(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)).unwrap()
}

fn family(name: &str, labels: &[(&str, &str)], value: f64) -> Vec<u8> {
    let pair = |(name, value): &(&str, &str)| client::LabelPair {
        name: Some((*name).to_owned()),
        value: Some((*value).to_owned()),
    };
    let metric = client::Metric {
        label: labels.iter().map(pair).collect(),
        gauge: Some(client::Gauge { value: Some(value) }),
        ..Default::default()
    };
    client::MetricFamily {
        name: Some(name.to_owned()),
        help: Some("help".to_owned()),
        r#type: Some(client::MetricType::Gauge.into()),
        metric: vec![metric],
        unit: None,
    }
    .encode_length_delimited_to_vec()
}

#[test]
fn rw_4_27_a_real_engine_has_the_same_series_with_the_same_metadata_in_text_and_protobuf() {
    let described = |format, name: &str| {
        let mut target = Target::new(rules());
        let report = target.take_as(format, &capture(name), 1_000_000).1;
        assert!(report.failure.is_none());
        let ingest = &target.ingest;
        let series = |sample: &crate::model::SampleRef| {
            let told = ingest.describe(sample.slot);
            (told.labels.to_string(), told.metric_type, told.help.to_owned(), sample.timestamp)
        };
        ingest.samples().iter().map(series).collect::<Vec<_>>()
    };
    let text = described(Format::Text, "captures/06-swarm-manager-after-3s.prom");
    assert_eq!(text.len(), 1_644);
    assert_eq!(described(Format::Protobuf, "protobuf/06-swarm-manager-after-3s.pb"), text);
}

#[test]
fn a_target_that_changes_its_format_goes_on_with_its_series() {
    let mut target = Target::new(rules());
    target.take_as(Format::Text, b"# TYPE g gauge\ng{a=\"b\"} 1\nold 1\n", 1);
    let (samples, report) = target.take_as(Format::Protobuf, &family("g", &[("a", "b")], 2.0), 2);
    assert_eq!(samples, ["g{a=\"b\"} 2@2", "old stale@2"]);
    assert_eq!((report.added, report.markers), (1, 1), "another format is another cache, as in Prometheus");
    let (samples, report) = target.take_as(Format::OpenMetrics, b"# TYPE g gauge\ng{a=\"b\"} 3\n# EOF\n", 3);
    assert_eq!((samples, report.added), (vec!["g{a=\"b\"} 3@3".to_owned()], 1));
    let (samples, report) = target.take_as(Format::OpenMetrics, b"# TYPE g gauge\ng{a=\"b\"} 4\n# EOF\n", 4);
    assert_eq!((samples, report.added), (vec!["g{a=\"b\"} 4@4".to_owned()], 0));
}

#[test]
fn rw_4_25_openmetrics_gives_samples_units_and_types() {
    let mut target = Target::new(rules());
    let body =
        OPENMETRICS.replace("# TYPE c counter", "# TYPE c_bytes counter").replace("c_total", "c_bytes_total");
    let (samples, report) = target.take_as(Format::OpenMetrics, body.as_bytes(), 100_000);
    assert!(report.failure.is_none(), "{:?}", report.failure);
    assert_eq!(
        samples,
        ["c_bytes_total{a=\"b\"} 1@100000", "c_created{a=\"b\"} 1.5@100000", "h_bucket{le=\"1.0\"} 2@7000"]
    );
    let told = target.ingest.describe(target.ingest.samples()[0].slot);
    assert_eq!((told.metric_type, told.help, told.unit), (MetricType::Counter, "", "bytes"));
    assert_eq!(report.scraped, 3);
}

#[test]
fn rw_4_26_created_lines_are_series_unless_start_timestamps_are_wanted() {
    let mut target = Target::new(rules());
    assert_eq!(target.take_as(Format::OpenMetrics, OPENMETRICS.as_bytes(), 100_000).1.scraped, 3);
    let mut target = Target::new(Rules { created_timestamps: true, ..rules() });
    let (samples, report) = target.take_as(Format::OpenMetrics, OPENMETRICS.as_bytes(), 100_000);
    assert_eq!(samples, ["c_total{a=\"b\"} 1@100000", "h_bucket{le=\"1.0\"} 2@7000"]);
    assert_eq!(report.scraped, 2);
}

#[test]
fn rw_4_16_a_bad_series_of_a_protobuf_body_is_told_with_message_and_byte() {
    let good = family("a", &[], 1.0);
    let body = [good.clone(), family("b", &[("x", "1"), ("x", "2")], 1.0)].concat();
    let mut target = Target::new(rules());
    target.take_as(Format::Protobuf, &good, 1);
    let (samples, report) = target.take_as(Format::Protobuf, &body, 2);
    assert_eq!((samples, report.scraped), (vec!["a stale@2".to_owned()], 2));
    let expected = format!(
        "exposition message 2, byte {}: label \"x\" comes twice in one series: b{{x=\"1\",x=\"2\"}}",
        good.len() + 12
    );
    assert_eq!(report.failure.unwrap().to_string(), expected);

    let yaml = "- {source_labels: [__name__], regex: a, target_label: __name__, replacement: ''}\n";
    let relabelling =
        Relabelling { rules: crate::relabel::Rules::compile(yaml).unwrap().into(), ..Relabelling::default() };
    let mut target = Target::new(Rules { relabelling, ..rules() });
    let failure = target.take_as(Format::Protobuf, &good, 1).1.failure.unwrap().to_string();
    assert!(failure.starts_with("exposition message 1, byte 12: ") && failure.ends_with(": a"), "{failure}");
}

#[test]
fn rw_4_13_the_sample_limit_holds_in_every_format() {
    let mut target = Target::new(Rules { sample_limit: Some(1), ..rules() });
    let bodies = [
        (Format::OpenMetrics, b"a 1\nb 1\n# EOF\n".to_vec()),
        (Format::Protobuf, [family("a", &[], 1.0), family("b", &[], 1.0)].concat()),
    ];
    for (format, body) in bodies {
        let report = target.take_as(format, &body, 1).1;
        assert!(matches!(report.failure, Some(ScrapeError::SampleLimit { samples: 2, limit: 1 })));
    }
}

#[test]
fn the_role_of_a_node_is_seen_in_protobuf_too() {
    let mut rules = rules();
    rules.relabelling.names.preset = crate::relabel::Preset::Engine;
    let mut target = Target::new(rules);
    let manager = [family("swarm_node_manager", &[], 1.0), family("swarm_x", &[], 1.0)].concat();
    assert_eq!(target.take_as(Format::Protobuf, &manager, 1).0.len(), 2);
    let worker = [family("swarm_node_manager", &[], 0.0), family("swarm_x", &[], 1.0)].concat();
    assert_eq!(target.take_as(Format::Protobuf, &worker, 2).1.filtered, 2);
}

/// Start timestamps of the samples, and the exemplars.
fn beside(target: &Target) -> (Vec<i64>, Vec<String>) {
    let starts = target.ingest.samples().iter().map(|sample| sample.start).collect();
    let exemplar =
        |e: &crate::model::Exemplar| format!("{}: {} {}@{}", e.sample, e.labels, e.value, e.timestamp);
    (starts, target.ingest.exemplars().iter().map(exemplar).collect())
}

#[test]
fn rw_2_13_start_timestamps_and_exemplars_of_openmetrics_come_with_their_samples() {
    let mut target = Target::new(Rules { created_timestamps: true, ..rules() });
    target.take_as(Format::OpenMetrics, OPENMETRICS.as_bytes(), 100_000);
    let exemplar = "0: {trace_id=\"x\"} 1@100000".to_owned();
    assert_eq!(beside(&target), (vec![1_500, 0], vec![exemplar.clone()]));
    target.take_as(Format::OpenMetrics, OPENMETRICS.as_bytes(), 200_000);
    assert_eq!(beside(&target).1, Vec::<String>::new(), "it went before");
    target.take_as(Format::OpenMetrics, b"bad", 300_000);
    assert_eq!(beside(&target), (vec![0], vec![]), "a marker began at no time");

    let mut target = Target::new(rules());
    target.take_as(Format::OpenMetrics, OPENMETRICS.as_bytes(), 100_000);
    assert_eq!(beside(&target), (vec![0, 0, 0], vec![exemplar]));
    let mut target = Target::new(Rules { exemplars: false, ..rules() });
    target.take_as(Format::OpenMetrics, OPENMETRICS.as_bytes(), 100_000);
    assert!(beside(&target).1.is_empty());
    let twice = b"# TYPE c counter\nc_total 1 # {t=\"1\"} 1\nc_total 2 # {t=\"2\"} 1\n# EOF\n";
    let mut target = Target::new(rules());
    assert_eq!(target.take_as(Format::OpenMetrics, twice, 1).1.discarded.duplicate, 1);
    assert_eq!(
        beside(&target).1,
        ["0: {t=\"1\"} 1@1"],
        "that of a sample that is dropped is dropped with it"
    );
}

#[test]
fn rw_2_13_start_timestamps_and_exemplars_of_protobuf_come_with_their_samples() {
    let at = |seconds| Some(client::Timestamp { seconds: Some(seconds), nanos: None });
    let counter = |name: &str, seconds| {
        let exemplar = client::Exemplar {
            label: vec![client::LabelPair { name: Some("t".into()), value: Some(name.into()) }],
            value: Some(2.0),
            timestamp: at(3),
        };
        let counter =
            client::Counter { value: Some(1.0), exemplar: Some(exemplar), created_timestamp: at(seconds) };
        client::MetricFamily {
            name: Some(name.to_owned()),
            help: None,
            r#type: Some(client::MetricType::Counter.into()),
            metric: vec![client::Metric { counter: Some(counter), ..Default::default() }],
            unit: None,
        }
        .encode_length_delimited_to_vec()
    };
    let mut target = Target::new(rules());
    let body = [counter("a", 5), counter("b", 100), counter("c", 101), family("g", &[], 1.0)].concat();
    target.take_as(Format::Protobuf, &body, 100_000);
    let exemplars = ["0: {t=\"a\"} 2@3000", "1: {t=\"b\"} 2@3000", "2: {t=\"c\"} 2@3000"].map(str::to_owned);
    assert_eq!(
        beside(&target),
        (vec![5_000, 100_000, 0, 0], exemplars.into()),
        "none begins behind its sample"
    );
}

#[test]
fn every_format_has_the_limits_of_length_and_memory() {
    let failure = |limit: Option<u64>, format, body: &[u8]| {
        let mut target = Target::new(Rules { memory_limit: limit, ..rules() });
        target.take_as(format, body, 1).1.failure.map(|failure| failure.to_string())
    };
    let long = "x".repeat(crate::exposition::LONGEST);
    let text = format!("g{{a=\"{long}\"}} 1\n");
    let openmetrics = format!("{text}# EOF\n");
    let too_long = Some(
        "exposition line 1: a series, a HELP text or a family's name of more than 131072 bytes".to_owned(),
    );
    assert_eq!(failure(None, Format::Text, text.as_bytes()), too_long);
    assert_eq!(failure(None, Format::OpenMetrics, openmetrics.as_bytes()), too_long);
    let told = failure(None, Format::Protobuf, &family("g", &[("a", &long)], 1.0)).unwrap();
    assert!(told.contains("more than 131072, in one metric, name or help text"), "{told}");
    let told = failure(None, Format::Protobuf, &family(&format!("{long}x"), &[], 1.0)).unwrap();
    assert!(told.contains("more than 131072"), "{told}");

    let lines: String = (0..100).map(|id| format!("g{{id=\"{id}\"}} 1\n")).collect();
    let many = |format| match format {
        Format::Text => lines.clone().into_bytes(),
        Format::OpenMetrics => format!("{lines}# EOF\n").into_bytes(),
        Format::Protobuf => (0..100).flat_map(|id| family(&format!("g{id}"), &[], 1.0)).collect(),
    };
    for format in [Format::Text, Format::OpenMetrics, Format::Protobuf] {
        assert_eq!(failure(Some(1 << 20), format, &many(format)), None);
        let told = failure(Some(20_000), format, &many(format)).unwrap();
        assert!(told.contains("take more than 20000 bytes of memory"), "{told}");
    }
}
