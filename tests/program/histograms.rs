//! Native histograms from a target to the receiver, over outages, kills and restarts, in both messages.

use docker_remote_write::model::Labels;
use docker_remote_write::proto::client;
use docker_remote_write::proto::v2::histogram::{Count, ZeroCount};
use docker_remote_write::proto::v2::{self, BucketSpan};
use docker_remote_write::receiver::{Answer, State};
use prost::Message;

use super::{DEADLINE, Program, World};
use crate::support::program::Books;
use crate::support::scripted::{Answer as Reply, NOTHING, Scripted, serve, status};

const PROTOBUF: &str =
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";

/// Both messages: what `REMOTE_WRITE_PROTOBUF_MESSAGE` may say.
const MESSAGES: [&str; 2] = ["1.0", "2.0"];

fn spans(spans: &[(i32, u32)]) -> Vec<client::BucketSpan> {
    let span = |&(offset, length)| client::BucketSpan { offset: Some(offset), length: Some(length) };
    spans.iter().map(span).collect()
}

/// `n` observations near one, one below and one at zero.
fn integer(n: u64) -> client::Histogram {
    client::Histogram {
        sample_count: Some(n + 2),
        sample_sum: Some(1.5),
        schema: Some(3),
        zero_threshold: Some(0.5),
        zero_count: Some(1),
        negative_span: spans(&[(2, 1)]),
        negative_delta: vec![1],
        positive_span: spans(&[(0, 1), (1, 2)]),
        positive_delta: vec![n.cast_signed(), -n.cast_signed(), 0],
        ..Default::default()
    }
}

fn float() -> client::Histogram {
    client::Histogram {
        sample_count_float: Some(0.75),
        sample_sum: Some(-2.0),
        schema: Some(-1),
        zero_count_float: Some(0.25),
        positive_span: spans(&[(7, 2)]),
        positive_count: vec![0.25, 0.25],
        ..Default::default()
    }
}

/// 2 up to 1, 5 in all.
fn classic() -> client::Histogram {
    let bucket = |bound, count| client::Bucket {
        upper_bound: Some(bound),
        cumulative_count: Some(count),
        ..Default::default()
    };
    client::Histogram {
        sample_count: Some(5),
        sample_sum: Some(9.0),
        bucket: vec![bucket(1.0, 2), bucket(10.0, 2)],
        ..Default::default()
    }
}

/// An exposition of these histograms and a gauge.
fn exposition(histograms: &[(&str, client::Histogram)]) -> Reply {
    let family = |name: &str, metric_type: client::MetricType, metric| client::MetricFamily {
        name: Some(name.to_owned()),
        help: Some("help".to_owned()),
        r#type: Some(metric_type.into()),
        metric: vec![metric],
        unit: None,
    };
    let gauge = Some(client::Gauge { value: Some(1.0) });
    let gauge = client::Metric { gauge, ..Default::default() };
    let mut body = family("g", client::MetricType::Gauge, gauge).encode_length_delimited_to_vec();
    for (name, histogram) in histograms {
        let metric = client::Metric { histogram: Some(histogram.clone()), ..Default::default() };
        let family = family(name, client::MetricType::Histogram, metric);
        body.extend(family.encode_length_delimited_to_vec());
    }
    status(200).header("content-type", PROTOBUF).text(body)
}

struct Story {
    world: World,
    target: Scripted,
    message: &'static str,
}

impl Story {
    async fn new(message: &'static str, histograms: &[(&str, client::Histogram)]) -> Self {
        let target = serve(NOTHING).await;
        target.otherwise(exposition(histograms));
        Self { world: World::new().await, target, message }
    }

    fn exposes(&self, histograms: &[(&str, client::Histogram)]) {
        self.target.otherwise(exposition(histograms));
    }

    fn run(&self, more: &[(&'static str, &str)]) -> Program {
        let url = self.target.url("/metrics");
        let own = [
            ("SCRAPE_URL", url.as_str()),
            ("SCRAPE_NATIVE_HISTOGRAMS", "true"),
            ("REMOTE_WRITE_PROTOBUF_MESSAGE", self.message),
            ("SELF_METRICS", "false"),
        ];
        self.world.run(&[&own, more].concat())
    }

    /// The target's histograms of this name that have arrived.
    fn histograms(&self, name: &str) -> Vec<v2::Histogram> {
        let labels = Labels::from_iter([("__name__", name), ("instance", "host"), ("job", "docker")]);
        self.world.receiver.read(|state| {
            state.store.histograms(&labels).iter().map(|histogram| histogram.message.clone()).collect()
        })
    }

    async fn until(&self, there: impl Fn(&State) -> bool) {
        self.world.receiver.wait_until(there, DEADLINE).await.unwrap();
    }

    /// Waits until the newest sample of this histogram is a stale one, and nothing is behind that.
    async fn until_ended(&self, name: &str) {
        let ended = |state: &State| {
            let mut all = state.store.all_histograms();
            all.any(|(labels, histograms)| {
                labels.get("__name__") == Some(name)
                    && histograms.last().is_some_and(|it| it.is_stale_marker())
            })
        };
        self.until(ended).await;
    }
}

/// What [`integer`] comes to, but for its time: without empty buckets.
fn expected_integer(n: u64, timestamp: i64) -> v2::Histogram {
    v2::Histogram {
        count: Some(Count::CountInt(n + 2)),
        sum: 1.5,
        schema: 3,
        zero_threshold: 0.5,
        zero_count: Some(ZeroCount::ZeroCountInt(1)),
        negative_spans: vec![BucketSpan { offset: 2, length: 1 }],
        negative_deltas: vec![1],
        positive_spans: vec![BucketSpan { offset: 0, length: 1 }],
        positive_deltas: vec![n.cast_signed()],
        timestamp,
        ..Default::default()
    }
}

fn expected_float(timestamp: i64) -> v2::Histogram {
    v2::Histogram {
        count: Some(Count::CountFloat(0.75)),
        sum: -2.0,
        schema: -1,
        zero_count: Some(ZeroCount::ZeroCountFloat(0.25)),
        positive_spans: vec![BucketSpan { offset: 7, length: 2 }],
        positive_counts: vec![0.25, 0.25],
        timestamp,
        ..Default::default()
    }
}

#[tokio::test]
async fn rw_1_07_and_2_23_native_histograms_arrive_bit_for_bit_and_each_once_over_an_outage_and_a_kill() {
    for message in MESSAGES {
        let story = Story::new(message, &[("h", integer(3)), ("f", float())]).await;
        let program = story.run(&[]);
        story.until(|state| state.store.histogram_count() >= 2).await;
        story.world.receiver.answer(Answer::status(503));
        story.exposes(&[("h", integer(9)), ("f", float())]);
        let seen = story.target.seen().len();
        // The kill may take the last two: one that has just been asked for, and one that has just been answered.
        story.target.saw(seen + 4).await;
        program.killed();
        let program = story.run(&[]);
        story.world.receiver.answer(Answer::Normal);
        let seen = story.target.seen().len();
        story.target.saw(seen + 2).await;
        let (status, said, _) = program.terminated().await;
        assert!(status.success(), "{said}");
        Books::of("default", &said).assert_closed();

        let (integers, floats) = (story.histograms("h"), story.histograms("f"));
        // The scrape of the moment is lost with a kill, and leaves no trace with SIGTERM.
        assert!(integers.len() >= 4, "{message}: {integers:?}");
        assert_eq!(integers.len(), floats.len());
        for (integer, float) in integers.iter().zip(&floats) {
            let is_of_before = integer.count == Some(Count::CountInt(5));
            assert_eq!(*integer, expected_integer(if is_of_before { 3 } else { 9 }, integer.timestamp));
            assert_eq!(*float, expected_float(integer.timestamp));
        }
        // Each scrape brings one of each: none is lost, none came twice as another.
        let ups: Vec<i64> = story.world.receiver.read(|state| {
            let ups = state.store.select(&[("__name__", "up")]);
            ups.flat_map(|(_, samples)| samples.iter().map(|sample| sample.timestamp)).collect()
        });
        let times: Vec<i64> = integers.iter().map(|integer| integer.timestamp).collect();
        assert_eq!(times, ups, "{message}");
        story.world.assert_strict();
    }
}

#[tokio::test]
async fn rw_2_16_and_3_07_a_histogram_that_vanished_while_nobody_looked_ends_as_a_histogram() {
    for message in MESSAGES {
        let story = Story::new(message, &[("h", integer(3)), ("f", float()), ("k", integer(1))]).await;
        let program = story.run(&[]);
        // What is open is on disk by the second scrape at the latest.
        story.until(|state| state.store.histogram_count() >= 6).await;
        program.killed();
        story.exposes(&[("k", integer(1))]);
        let program = story.run(&[]);
        story.until_ended("h").await;
        story.until_ended("f").await;
        story.exposes(&[]);
        story.until_ended("k").await;
        let ends = |name: &str| story.histograms(name).iter().filter(|it| it.sum.is_nan()).count();
        assert_eq!(["h", "f", "k"].map(ends), [1, 1, 1], "{message}");
        let last = |name: &str| story.histograms(name).pop().unwrap();
        assert_eq!(last("h").count, Some(Count::CountInt(0)));
        assert_eq!(last("f").count, Some(Count::CountFloat(0.0)), "as what it was");
        drop(program);
        story.world.assert_strict();
    }
}

#[tokio::test]
async fn a_histogram_that_prometheus_refuses_fails_its_scrape_and_the_next_one_is_good() {
    let story = Story::new("2.0", &[("h", integer(3))]).await;
    let mut program = story.run(&[]);
    story.until(|state| state.store.histogram_count() >= 1).await;
    story.exposes(&[("h", client::Histogram { sample_count: Some(99), ..integer(3) })]);
    program.says("native histogram h: 5 observations are in buckets, and 99 in all").await;
    story.until_ended("h").await;
    story.exposes(&[("h", integer(4))]);
    program.says("scrapes succeed again").await;
    let newest = expected_integer(4, 0);
    story
        .until(|state| {
            let mut all = state.store.all_histograms();
            all.any(|(_, all)| all.last().is_some_and(|it| it.message.count == newest.count))
        })
        .await;
    story.world.assert_strict();
}

#[tokio::test]
async fn rw_2_24_classic_histograms_go_with_custom_buckets_as_2_0_and_are_counted_as_left_out_of_1_0() {
    const CONVERT: (&str, &str) = ("CONVERT_CLASSIC_HISTOGRAMS_TO_NHCB", "true");
    let story = Story::new("auto", &[("c", classic()), ("h", integer(1))]).await;
    let program = story.run(&[CONVERT]);
    story.until(|state| state.store.histogram_count() >= 4).await;
    drop(program);
    let arrived = story.histograms("c").remove(0);
    let expected = v2::Histogram {
        count: Some(Count::CountInt(5)),
        sum: 9.0,
        schema: -53,
        zero_count: Some(ZeroCount::ZeroCountInt(0)),
        positive_spans: vec![BucketSpan { offset: 0, length: 1 }, BucketSpan { offset: 1, length: 1 }],
        positive_deltas: vec![2, 1],
        custom_values: vec![1.0, 10.0],
        timestamp: arrived.timestamp,
        ..Default::default()
    };
    assert_eq!(arrived, expected);
    story.world.receiver.read(|state| assert_eq!(state.count(&[("__name__", "c_count")]), 0));
    story.world.assert_strict();

    let story = Story::new("1.0", &[("c", classic()), ("h", integer(1))]).await;
    let mut program = story.run(&[CONVERT, ("SELF_METRICS", "true")]);
    program.says("the endpoint default is sent 1.0, which has no custom buckets").await;
    let told = |state: &State| {
        let rejected =
            [("__name__", "docker_remote_write_samples_rejected_total"), ("reason", "nhcb_in_1_0")];
        let mut rejected = state.store.select(&rejected);
        rejected.any(|(_, samples)| samples.last().is_some_and(|sample| sample.value() >= 1.0))
    };
    story.until(told).await;
    assert!(!story.histograms("h").is_empty() && story.histograms("c").is_empty());
    let (status, said, _) = program.terminated().await;
    assert!(status.success(), "{said}");
    Books::of("default", &said).assert_closed();
    story.world.assert_strict();
}

#[tokio::test]
async fn rw_2_16_and_2_24_one_with_custom_buckets_that_vanished_while_nobody_looked_ends_as_such() {
    for message in MESSAGES {
        let convert = [("CONVERT_CLASSIC_HISTOGRAMS_TO_NHCB", "true")];
        let story = Story::new(message, &[("c", classic()), ("h", integer(1))]).await;
        let program = story.run(&convert);
        // What is open is on disk by the second scrape at the latest.
        let ups = |state: &State| state.count(&[("__name__", "up")]);
        story.until(|state| ups(state) >= 2).await;
        program.killed();
        story.exposes(&[]);
        let program = story.run(&convert);
        story.until_ended("h").await;
        let (status, said, _) = program.terminated().await;
        assert!(status.success(), "{said}");
        Books::of("default", &said).assert_closed();
        let custom = story.histograms("c");
        let ends: Vec<_> = custom.iter().filter(|it| it.sum.is_nan()).collect();
        match message {
            "1.0" => assert!(custom.is_empty(), "{custom:?}"),
            _ => assert!(matches!(ends[..], [end] if end.schema == -53), "{custom:?}"),
        }
        story.world.assert_strict();
    }
}

#[tokio::test]
async fn rw_4_27_both_forms_of_a_histogram_arrive_where_both_are_wanted() {
    let both = client::Histogram { bucket: classic().bucket, ..integer(3) };
    let story = Story::new("2.0", &[("h", both)]).await;
    let program = story.run(&[("ALWAYS_SCRAPE_CLASSIC_HISTOGRAMS", "true")]);
    story.until(|state| state.count(&[("__name__", "up")]) >= 2).await;
    drop(program);
    let count = |name: &str| story.world.receiver.read(|state| state.count(&[("__name__", name)]));
    let native = story.histograms("h").len();
    assert!(native > 0);
    assert_eq!([count("h_bucket"), count("h_sum"), count("h_count")], [3 * native, native, native]);
    story.world.assert_strict();
}
