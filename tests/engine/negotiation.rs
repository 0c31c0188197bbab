//! Debian's receivers know 1.0 only, and answer 204 to a 2.0 request of which they store nothing: the program sees that, and no sample is lost or
//! doubled. No engine needed.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use docker_remote_write::proto::client;
use prost::Message;
use serde_json::Value;

use crate::program::{Books, Program, World, with};
use crate::support::{Kind, PATIENCE, Receiver, encode};

/// What a target says in OpenMetrics, with everything that goes along with samples.
const EXPOSITION: &str = "# TYPE c counter\n# HELP c Counted.\nc_total 3 # {trace_id=\"t1\"} 0.5\n\
                          # TYPE g gauge\n# HELP g Measured.\ng 2.5\n# EOF\n";

const FELL_BACK: &str =
    "the endpoint does not take remote-write 2.0; nothing is lost, the same samples go as 1.0";

/// Runs the program with the default message until so many scrapes are stored, ends it, and returns all that it has said.
async fn run_until(receiver: &Receiver, settings: &BTreeMap<&'static str, String>, scrapes: usize) -> String {
    let binary = Path::new(env!("CARGO_BIN_EXE_docker-remote-write"));
    let program = Program::start_of(binary, &["run"], settings);
    let start = Instant::now();
    while receiver.stored_one("up{job=\"docker\"}").len() < scrapes {
        assert!(start.elapsed() < PATIENCE, "{scrapes} scrapes are not stored");
        // The target answers on this thread.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (status, said, _) = program.terminated().await;
    assert!(status.success(), "{said}");
    said
}

async fn falls_back_once(kind: Kind) {
    let receiver = Receiver::start(kind);
    let target = crate::scripted::serve(crate::scripted::NOTHING).await;
    let openmetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    target.otherwise(crate::scripted::status(200).header("content-type", openmetrics).text(EXPOSITION));
    let world = World::new().await;
    let (url, scraped) = (receiver.push_url(), target.url("/metrics"));
    let settings = with(world.settings(), &[("REMOTE_WRITE_URL", &url), ("SCRAPE_URL", &scraped)]);
    assert!(!settings.contains_key("REMOTE_WRITE_PROTOBUF_MESSAGE"), "the default is what is tried");

    let said = run_until(&receiver, &settings, 3).await;
    assert_eq!(said.matches(FELL_BACK).count(), 1, "{said}");
    let note =
        std::fs::read_to_string(world.path("queue").join("state/protocols")).expect("the note is kept");
    assert!(note.starts_with("default ") && note.contains(" 1.0 "), "{note}");
    // By that note the second process asks nothing.
    let before = receiver.stored_one("up{job=\"docker\"}").len();
    let said = run_until(&receiver, &settings, before + 2).await;
    assert!(!said.contains("remote-write 2.0"), "{said}");

    // Every scrape of the two processes, the first one too, once and with the samples of the target beside it.
    let (served, ups) = (target.seen().len(), rows(&receiver, kind, "up"));
    assert!(ups.len() <= served && ups.len() + 2 >= served, "{} of {served} scrapes: {ups:?}", ups.len());
    assert!(ups.windows(2).all(|pair| pair[0] < pair[1]), "doubled or out of order: {ups:?}");
    for name in ["c_total", "g", "scrape_samples_scraped"] {
        assert_eq!(rows(&receiver, kind, name), ups, "{name}");
    }
    assert_eq!(receiver.one("g{job=\"docker\"}"), Some(2.5));
}

/// When each row of a series was stamped. VictoriaMetrics keeps a row for each time that it was sent, and its export shows them all.
fn rows(receiver: &Receiver, kind: Kind, name: &str) -> Vec<i64> {
    let selector = format!("{name}{{job=\"docker\"}}");
    match kind {
        Kind::Prometheus => receiver.stored_one(&selector).into_iter().map(|(at, _)| at).collect(),
        Kind::VictoriaMetrics => {
            let export = receiver.get(&format!("/api/v1/export?match[]={}", encode(&selector)));
            let lines = export.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON lines"));
            let timestamps =
                lines.flat_map(|line| line["timestamps"].as_array().expect("timestamps").clone());
            timestamps.map(|at| at.as_i64().expect("ms")).collect()
        }
    }
}

/// A body of delimited protobuf: a gauge, a native histogram, and another gauge behind it.
fn with_a_native_histogram() -> Vec<u8> {
    let gauge = |name: &str, value| client::MetricFamily {
        name: Some(name.to_owned()),
        r#type: Some(client::MetricType::Gauge.into()),
        metric: vec![client::Metric {
            gauge: Some(client::Gauge { value: Some(value) }),
            ..Default::default()
        }],
        ..Default::default()
    };
    let histogram = client::Histogram {
        sample_count: Some(3),
        sample_sum: Some(4.5),
        zero_threshold: Some(0.1),
        positive_span: vec![client::BucketSpan { offset: Some(1), length: Some(2) }],
        positive_delta: vec![1, 1],
        ..Default::default()
    };
    let native = client::MetricFamily {
        name: Some("native".to_owned()),
        r#type: Some(client::MetricType::Histogram.into()),
        metric: vec![client::Metric { histogram: Some(histogram), ..Default::default() }],
        ..Default::default()
    };
    let families = [gauge("before", 1.0), native, gauge("g", 2.5)];
    families.iter().flat_map(Message::encode_length_delimited_to_vec).collect()
}

/// Runs the program with native histograms from such a target until so many scrapes are stored; returns what it has said. All samples beside the
/// histograms are stored then, and nothing of those, under no name.
async fn all_but_the_histogram(kind: Kind, scrapes: usize) -> String {
    let receiver = Receiver::start(kind);
    let target = crate::scripted::serve(crate::scripted::NOTHING).await;
    let protobuf =
        "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";
    target.otherwise(
        crate::scripted::status(200).header("content-type", protobuf).text(with_a_native_histogram()),
    );
    let world = World::new().await;
    let (url, scraped) = (receiver.push_url(), target.url("/metrics"));
    let native = ("SCRAPE_NATIVE_HISTOGRAMS", "true");
    let settings = with(world.settings(), &[("REMOTE_WRITE_URL", &url), ("SCRAPE_URL", &scraped), native]);

    let said = run_until(&receiver, &settings, scrapes).await;
    let ups = rows(&receiver, kind, "up");
    for name in ["before", "g", "scrape_samples_scraped"] {
        assert_eq!(rows(&receiver, kind, name), ups, "{name}: {said}");
    }
    let scraped = receiver.one("scrape_samples_scraped{job=\"docker\"}");
    assert_eq!(scraped, Some(3.0), "the histogram is one of them");
    let names = receiver.get("/api/v1/label/__name__/values");
    assert!(names.contains("\"g\"") && !names.contains("native"), "{names}");
    said
}

#[tokio::test]
async fn rw_2_23_victoria_metrics_drops_native_histograms_and_stores_all_samples_beside_them() {
    let said = all_but_the_histogram(Kind::VictoriaMetrics, 2).await;
    assert!(!said.contains("level=warn"), "nothing shows it: {said}");
}

/// 2.42 answers 500 to the whole request, for ever.
#[tokio::test]
async fn rw_2_23_prometheus_2_without_native_histograms_is_sent_all_samples_and_no_more_of_them() {
    let said = all_but_the_histogram(Kind::Prometheus, 4).await;
    assert!(said.contains("said=\"native histograms are disabled\""), "{said}");
    let books = Books::of("default", &said);
    books.assert_closed();
    assert!(books.dropped > 0, "the histograms are counted: {said}");
}

#[tokio::test]
async fn rw_2_18_and_2_20_prometheus_2_is_sent_1_0_from_the_second_request_on_and_after_a_restart() {
    falls_back_once(Kind::Prometheus).await;
}

#[tokio::test]
async fn rw_2_18_and_2_20_victoria_metrics_is_sent_1_0_from_the_second_request_on_and_after_a_restart() {
    falls_back_once(Kind::VictoriaMetrics).await;
}
