//! The same scrape as delimited protobuf.

use std::hint::black_box;
use std::time::Instant;

use docker_remote_write::proto::client::{
    Bucket, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};
use docker_remote_write::scrape::{Format, Ingest};
use prost::Message;

use crate::Run;
use crate::pipe::{rules, time_of};

const BOUNDS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, f64::INFINITY];

fn label(name: &str, value: impl Into<String>) -> LabelPair {
    LabelPair { name: Some(name.to_owned()), value: Some(value.into()) }
}

fn family(name: String, metric_type: MetricType, metric: Vec<Metric>) -> Vec<u8> {
    let help = Some("The number of seconds it takes".to_owned());
    MetricFamily { name: Some(name), help, r#type: Some(metric_type.into()), metric, unit: None }
        .encode_length_delimited_to_vec()
}

/// About `series` series in the shape of the text bodies: families of five histograms and of twenty gauges, whole ones.
fn exposition(series: usize, scrape: u64) -> Vec<u8> {
    let mut body = Vec::new();
    for number in 0..series.div_ceil(85) {
        let histogram = |action: &str| {
            let bucket = |(at, bound): (u64, f64)| {
                let count = 7 * at + u64::from(at > 3) * scrape;
                Bucket { cumulative_count: Some(count), upper_bound: Some(bound), ..Default::default() }
            };
            let bucket = (0..).zip(BOUNDS).map(bucket).collect();
            let histogram =
                Histogram { sample_count: Some(70), sample_sum: Some(0.5), bucket, ..Default::default() };
            Metric { label: vec![label("action", action)], histogram: Some(histogram), ..Default::default() }
        };
        let histograms = ["changes", "commit", "create", "delete", "start"].map(histogram).into();
        body.extend(family(
            format!("engine_part_{number}_actions_seconds"),
            MetricType::Histogram,
            histograms,
        ));
        let gauge = |state: u32| Metric {
            label: vec![label("node", format!("n{}", number % 13)), label("state", format!("s{state}"))],
            gauge: Some(Gauge { value: Some(f64::from(state)) }),
            ..Default::default()
        };
        body.extend(family(
            format!("engine_part_{number}_states"),
            MetricType::Gauge,
            (0..20).map(gauge).collect(),
        ));
    }
    body
}

pub(crate) fn ours(series: usize) -> Run {
    let bodies = [exposition(series, 0), exposition(series, 1)];
    let mut ingest = Ingest::new(rules());
    let mut scrape = 0;
    let mut run = move || {
        scrape += 1;
        let body = Ok((Format::Protobuf, bodies[scrape % 2].as_slice()));
        ingest.scrape_as(body, time_of(scrape as u64), Instant::now());
        black_box(ingest.samples());
        None
    };
    run();
    Box::new(run)
}

pub(crate) fn floor(series: usize) -> Run {
    let body = exposition(series, 1);
    Box::new(move || {
        let mut rest = body.as_slice();
        while let Ok(family) = MetricFamily::decode_length_delimited(&mut rest) {
            black_box(family);
        }
        None
    })
}
