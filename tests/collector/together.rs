//! A scrape and what it says of itself, from the target to the requests of an endpoint.

use std::sync::{Arc, Mutex};

use docker_remote_write::receiver::{Options, Receiver};
use docker_remote_write::remote;
use tokio::net::TcpListener;

use super::*;
use crate::support::endpoint;

/// For each request the names of its series, in their order.
type Requests = Arc<Mutex<Vec<Vec<String>>>>;

/// The requests of the first good scrape of so many series, as an endpoint gets them that takes so many samples at once.
async fn requests(series: usize, max_samples_per_send: u32) -> Vec<Vec<String>> {
    let requests = Requests::default();
    let seen = Arc::clone(&requests);
    let receiver = Receiver::new(Options {
        observer: Some(Arc::new(move |_, series| {
            let name = |labels: &[(String, String)]| {
                labels.iter().find(|(name, _)| name == METRIC_NAME).map(|(_, value)| value.clone()).unwrap()
            };
            seen.lock().unwrap().push(series.iter().map(|one| name(&one.labels)).collect());
        })),
        ..Options::default()
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/api/v1/write", listener.local_addr().unwrap());
    let mut bench = Bench::new();
    let serving = tokio::spawn({
        let (receiver, cancel) = (receiver.clone(), bench.cancel.clone());
        async move { receiver.serve(listener, cancel).await }
    });
    let body: String = (0..series).map(|number| format!("m{{n=\"{number}\"}} 1\n")).collect();
    let target = serve(&bench.socket(), ok(&body), Then::Close);
    let mut config = bench.config();
    config.scrape.interval = Duration::from_secs(1);
    config.scrape.body_size_limit = None;
    bench.collect(&config);
    let to = remote::Config { max_samples_per_send, ..endpoint::config(&url) };
    let sender = remote::spawn(to, 0, bench.queue.clone(), bench.cancel.clone());
    bench.control.start();
    receiver
        .wait_until(|state| state.count(&[(METRIC_NAME, "scrape_series_added")]) > 0, DEADLINE)
        .await
        .unwrap();
    target.abort();
    bench.end().await;
    serving.await.unwrap();
    drop(sender);
    let mut requests = requests.lock().unwrap().clone();
    assert!(requests.iter().all(|names| names.len() <= max_samples_per_send as usize));
    // Of one scrape: the next one begins behind its last series, in the same request if the first one was long under way.
    let last = |names: &Vec<String>| names.iter().position(|name| name == "scrape_series_added");
    let (request, series) =
        requests.iter().map(last).enumerate().find_map(|(at, last)| Some((at, last?))).unwrap();
    requests.truncate(request + 1);
    requests[request].truncate(series + 1);
    requests
}

const OWN: [&str; 5] = [
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
];

#[tokio::test]
async fn a_scrape_and_its_up_share_a_request_where_they_fit() {
    // A record holds 2,000 samples: in the second case the scrape's own series are a record of their own, or parted by its end.
    for (series, max_samples) in [(10, 15), (2_000, 2_005), (1_998, 5_000)] {
        let requests = requests(series, max_samples).await;
        assert_eq!(requests.len(), 1, "{series} series");
        assert_eq!(requests[0].len(), series + OWN.len());
        assert_eq!(requests[0][series..], OWN);
    }
}

#[tokio::test]
async fn up_is_never_alone_in_a_request_and_comes_last() {
    for (series, max_samples) in [(10, 10), (9, 10), (8, 4), (6, 10), (1_999, 2_000)] {
        let requests = requests(series, max_samples).await;
        let together = requests.concat();
        assert_eq!(together[series..], OWN);
        let with_up = requests.iter().find(|names| names.iter().any(|name| name == "up")).unwrap();
        assert!(with_up.len() > 1, "{series} series by {max_samples}: {with_up:?}");
    }
}
