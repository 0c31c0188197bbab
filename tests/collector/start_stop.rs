//! StartMetrics and StopMetrics, in any order, any number of times.

use std::time::Duration;

use docker_remote_write::collector::{self, Collector, Links, SelfExposition};

use super::{Address, Bench, DEADLINE, HistogramForms, Stored, Then, assert_ordered, ok, serve, ups};
use crate::support::scripted::{self, Step, status};

async fn running(config: impl FnOnce(&mut collector::Config)) -> Bench {
    let mut bench = Bench::new();
    serve(&bench.socket(), ok("a 1\nb 2\n"), Then::Close);
    let mut settings = bench.config();
    config(&mut settings);
    bench.collect(&settings);
    bench.control.start();
    bench
}

fn markers(samples: &[Stored]) -> Vec<&str> {
    samples.iter().filter(|sample| sample.is_marker()).map(Stored::name).collect()
}

#[tokio::test]
async fn a_scrape_carries_the_targets_labels_and_what_it_says_of_itself() {
    let mut bench = running(|_| ()).await;
    let samples = bench.until("a scrape", |seen| ups(seen, 1.0) > 0).await;
    let shown: Vec<_> = samples.iter().map(|sample| sample.labels.to_string()).collect();
    let labels = "{instance=\"host\",job=\"docker\"}";
    let names = [
        "a",
        "b",
        "up",
        "scrape_duration_seconds",
        "scrape_samples_scraped",
        "scrape_samples_post_metric_relabeling",
        "scrape_series_added",
    ];
    assert_eq!(shown[..7], names.map(|name| format!("{name}{labels}")));
    assert!(samples[..7].iter().all(|sample| sample.timestamp == samples[0].timestamp));
    bench.end().await;
}

#[tokio::test]
async fn stop_scrapes_once_more_ends_every_series_and_then_keeps_silent() {
    let mut bench = running(|_| ()).await;
    bench.until("a scrape", |seen| ups(seen, 1.0) > 0).await;
    let stop = bench.control.stop();
    assert!(bench.control.stopped(stop, DEADLINE).await, "the stop was never carried out");
    let ended = bench.until("markers", |seen| markers(seen).len() == 7).await;
    assert_ordered(&ended);
    let last_sample = ended.iter().filter(|sample| !sample.is_marker()).map(|s| s.timestamp).max();
    assert!(
        ended.iter().filter(|sample| sample.is_marker()).all(|sample| Some(sample.timestamp) > last_sample)
    );

    let again = bench.control.stop();
    assert!(bench.control.stopped(again, DEADLINE).await, "a second stop is answered too");
    let end = *bench.queue.end().borrow();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(*bench.queue.end().borrow(), end, "nothing is scraped after the stop");

    bench.control.start();
    let resumed = bench.until("a scrape after the start", |seen| ups(seen, 1.0) > ups(&ended, 1.0)).await;
    assert_ordered(&resumed);
    bench.end().await;
}

#[tokio::test]
async fn without_stale_markers_on_stop_the_series_just_end() {
    let mut bench = running(|settings| settings.stale_markers_on_stop = false).await;
    bench.until("a scrape", |seen| ups(seen, 1.0) > 0).await;
    let stop = bench.control.stop();
    assert!(bench.control.stopped(stop, DEADLINE).await);
    let samples = bench.until("everything", |_| true).await;
    assert!(markers(&samples).is_empty());
    bench.end().await;
}

#[tokio::test]
async fn start_repeats_without_effect_but_the_count() {
    let mut bench = running(|_| ()).await;
    bench.control.start();
    bench.control.start();
    let samples = bench.until("three scrapes", |seen| ups(seen, 1.0) >= 3).await;
    assert_ordered(&samples);
    assert_eq!(bench.metrics.snapshot().engine_starts, 3);
    bench.end().await;
}

#[tokio::test]
async fn a_start_that_comes_during_the_stop_wins() {
    let mut bench = running(|_| ()).await;
    let before = bench.until("a scrape", |seen| ups(seen, 1.0) > 0).await;
    bench.control.stop();
    bench.control.start();
    let samples = bench.until("more scrapes", |seen| ups(seen, 1.0) > ups(&before, 1.0) + 1).await;
    assert!(markers(&samples).is_empty(), "no series has ended");
    assert_ordered(&samples);
    bench.end().await;
}

#[tokio::test]
async fn a_last_scrape_that_fails_is_discarded() {
    let mut bench = Bench::new();
    let target = serve(&bench.socket(), ok("a 1\n"), Then::Close);
    let config = bench.config();
    bench.collect(&config);
    bench.control.start();
    bench.until("a scrape", |seen| ups(seen, 1.0) > 0).await;
    target.abort();
    std::fs::remove_file(bench.socket()).unwrap();
    let stop = bench.control.stop();
    assert!(bench.control.stopped(stop, DEADLINE).await);
    let samples = bench.until("markers", |seen| markers(seen).contains(&"up")).await;
    assert_eq!(ups(&samples, 0.0), 0, "the engine said that it stops: that is no failure");
    bench.end().await;
}

#[tokio::test]
async fn rw_3_06_a_shutdown_in_the_middle_of_a_scrape_leaves_no_trace() {
    // As `App` does: the http client is built with TLS whatever the URL.
    docker_remote_write::remote::install_crypto_provider();
    let mut bench = Bench::new();
    let good = status(200).header("content-type", "text/plain; version=0.0.4").text("a 1\nb 2\n");
    let target = scripted::serve([good.into(), Step::Hang]).await;
    let mut config = bench.config();
    config.scrape.address = Address::Http(target.url("/metrics").parse().unwrap());
    // The target holds its second answer back for longer than the test lasts.
    config.scrape.timeout = Duration::from_secs(3600);
    bench.collect(&config);
    bench.control.start();
    bench.until("a scrape", |seen| ups(seen, 1.0) == 1).await;
    target.saw(2).await;
    let end = *bench.queue.end().borrow();
    bench.cancel.cancel();
    let collecting = bench.collecting.take().unwrap();
    tokio::time::timeout(DEADLINE, collecting).await.expect("the collector has not ended").unwrap();
    assert_eq!(*bench.queue.end().borrow(), end, "neither up nor markers");
    assert_eq!((target.seen().len(), bench.metrics.snapshot().scrapes_failed), (2, 0));
}

#[tokio::test]
async fn rw_3_06_a_shutdown_between_two_scrapes_ends_no_series() {
    let mut bench = running(|_| ()).await;
    bench.until("two scrapes", |seen| ups(seen, 1.0) > 1).await;
    bench.cancel.cancel();
    bench.collecting.take().unwrap().await.unwrap();
    let samples = bench.until("everything", |_| true).await;
    assert!(markers(&samples).is_empty(), "{samples:?}");
    assert_eq!(ups(&samples, 0.0), 0);
}

#[tokio::test]
async fn every_one_of_several_stops_is_answered() {
    let mut bench = Bench::new();
    // The last scrape takes its 400 ms, so the second stop comes while the first is being carried out.
    serve(&bench.socket(), b"HTTP/1.1 200 OK\r\n".to_vec(), Then::Silence);
    let config = bench.config();
    bench.collect(&config);
    bench.control.start();
    let mut metrics = tokio::time::interval(Duration::from_millis(5));
    while !bench.metrics.snapshot().running {
        metrics.tick().await;
    }
    bench.control.stop();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let second = bench.control.stop();
    assert!(bench.control.stopped(second, DEADLINE).await, "the second stop was never answered");
    bench.end().await;
}

#[tokio::test]
async fn the_targets_sample_limit_does_not_silence_our_own_series() {
    let mut bench = Bench::new();
    serve(&bench.socket(), ok("a 1\nb 2\n"), Then::Close);
    let mut config = bench.config();
    config.scrape.sample_limit = Some(1);
    let own =
        SelfExposition { job: "own".to_owned(), write: Box::new(|text| text.push_str("own_a 1\nown_b 2\n")) };
    let collector =
        Collector::new(&config, Some(own), Links::default(), &bench.queue, bench.metrics.clone()).unwrap();
    let commands = bench.commands.take().unwrap();
    bench.collecting = Some(tokio::spawn(collector.run(commands, bench.cancel.clone())));
    bench.control.start();
    bench.until("a refused scrape", |seen| ups(seen, 0.0) > 0).await;
    bench.until("what we say of it", |seen| seen.iter().any(|sample| sample.name() == "own_b")).await;
    bench.end().await;
}

/// Endpoints of 1.0 are sent no histogram with custom bounds: ours would be gone from there.
#[tokio::test]
async fn our_own_histograms_stay_classic_when_the_targets_are_converted() {
    const TEXT: &str =
        "# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 2\nh_sum 1\nh_count 2\n";
    let mut bench = Bench::new();
    serve(&bench.socket(), ok(TEXT), Then::Close);
    let mut config = bench.config();
    config.scrape.histograms = HistogramForms::CONVERTED;
    let own = SelfExposition { job: "own".to_owned(), write: Box::new(|text| text.push_str(TEXT)) };
    let collector =
        Collector::new(&config, Some(own), Links::default(), &bench.queue, bench.metrics.clone()).unwrap();
    let commands = bench.commands.take().unwrap();
    bench.collecting = Some(tokio::spawn(collector.run(commands, bench.cancel.clone())));
    bench.control.start();
    let is_own = |sample: &&Stored| sample.labels.get("job") == Some("own");
    let seen = bench.until("both", |seen| seen.iter().any(|sample| is_own(&sample))).await;
    let names: Vec<_> = seen.iter().filter(is_own).map(Stored::name).collect();
    assert_eq!(names, ["h_bucket", "h_bucket", "h_sum", "h_count"]);
    assert!(seen.iter().any(|sample| sample.labels.get("job") == Some("docker") && sample.name() == "h"));
    bench.end().await;
}
