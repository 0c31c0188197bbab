//! What a target tells beside its samples, from its socket to the record.

use docker_remote_write::proto::{client, v2};
use prost::Message;

use super::*;

fn at(seconds: i64) -> Option<client::Timestamp> {
    Some(client::Timestamp { seconds: Some(seconds), nanos: None })
}

/// A counter with all that protobuf has for one.
fn protobuf() -> Vec<u8> {
    let exemplar = client::Exemplar {
        label: vec![client::LabelPair { name: Some("trace_id".into()), value: Some("x".into()) }],
        value: Some(0.5),
        timestamp: None,
    };
    let counter =
        client::Counter { value: Some(3.0), exemplar: Some(exemplar), created_timestamp: at(1_000) };
    client::MetricFamily {
        name: Some("c_seconds_total".into()),
        help: Some("counts".into()),
        r#type: Some(client::MetricType::Counter.into()),
        metric: vec![client::Metric { counter: Some(counter), ..Default::default() }],
        unit: Some("seconds".into()),
    }
    .encode_length_delimited_to_vec()
}

const OPENMETRICS: &str = "# TYPE c_seconds counter\n# HELP c_seconds counts\n# UNIT c_seconds seconds\n\
                           c_seconds_total 3 # {trace_id=\"x\"} 0.5\nc_seconds_created 1000\n# EOF\n";

/// The first record of the target.
async fn first_record(content_type: &str, body: &[u8], created_timestamps: bool) -> v2::Request {
    let mut bench = Bench::new();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nConnection: close\r\n\r\n");
    let target = serve(&bench.socket(), [head.as_bytes(), body].concat(), Then::Close);
    let mut config = bench.config();
    config.scrape.created_timestamps = created_timestamps;
    bench.collect(&config);
    bench.control.start();
    let first = bench.next;
    bench.until("a good scrape", |seen| ups(seen, 1.0) > 0).await;
    let record = bench.queue.read(first).await.unwrap().unwrap();
    target.abort();
    bench.end().await;
    decode_v2(&record.payload, 1 << 20).unwrap()
}

#[tokio::test]
async fn rw_2_13_start_exemplar_and_unit_reach_the_record_from_both_formats() {
    let bodies = [
        ("application/vnd.google.protobuf", protobuf(), false),
        ("application/openmetrics-text; version=1.0.0", OPENMETRICS.into(), true),
    ];
    for (content_type, body, created_timestamps) in bodies {
        let record = first_record(content_type, &body, created_timestamps).await;
        assert_eq!(record.timeseries.len(), 6, "the counter and the five of the scrape");
        let series = &record.timeseries[0];
        let symbol = |reference: u32| record.symbols[reference as usize].as_str();
        let labels: Labels =
            series.labels_refs.chunks(2).map(|pair| (symbol(pair[0]), symbol(pair[1]))).collect();
        assert_eq!(labels.to_string(), "c_seconds_total{instance=\"host\",job=\"docker\"}");
        let sample = &series.samples[0];
        assert_eq!((sample.value.to_bits(), sample.start_timestamp), (3_f64.to_bits(), 1_000_000));
        let [exemplar] = &series.exemplars[..] else { panic!("{:?}", series.exemplars) };
        assert_eq!((exemplar.value.to_bits(), exemplar.timestamp), (0.5_f64.to_bits(), sample.timestamp));
        assert_eq!(exemplar.labels_refs.iter().map(|at| symbol(*at)).collect::<Vec<_>>(), ["trace_id", "x"]);
        let metadata = series.metadata.unwrap();
        assert_eq!(metadata.r#type(), v2::metadata::MetricType::Counter);
        assert_eq!((symbol(metadata.help_ref), symbol(metadata.unit_ref)), ("counts", "seconds"));
    }
}
