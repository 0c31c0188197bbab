//! Hours without a receiver, on a paused clock.

use std::time::Duration;

use docker_remote_write::receiver::{Options, Receiver};
use docker_remote_write::remote::{Config, Tuning};
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{append, config, queue, start_with, young};
use crate::support::names::NameServer;
use crate::support::scripted::DEADLINE;

const HOURS: Duration = Duration::from_secs(6 * 3600);
const INTERVAL: Duration = Duration::from_secs(15);

/// `REMOTE_WRITE_MAX_BACKOFF` and its jitter, which are the defaults; an attempt without a name takes no time.
const LONGEST_WAIT: Duration = Duration::from_millis(5500);

#[tokio::test(start_paused = true)]
async fn rw_1_13_hours_of_an_outage_arrive_in_order_and_once_and_the_next_attempt_was_never_far() {
    let names = NameServer::with(&[]);
    let (min_backoff, max_backoff) = (Duration::from_millis(500), Duration::from_secs(5));
    let config = Config { min_backoff, max_backoff, ..config("http://receiver.test/api/v1/write") };
    let queue = queue();
    let tuning = Tuning { resolver: Some(names.resolver()), ..Tuning::default() };
    let running = start_with(config, &queue, tuning);

    let began = Instant::now();
    let mut timestamp = young() - i64::try_from(HOURS.as_millis()).unwrap();
    let mut scrapes = 0;
    while began.elapsed() < HOURS {
        append(&queue, &[timestamp]);
        scrapes += 1;
        timestamp += 15_000;
        tokio::time::sleep(INTERVAL).await;
    }
    let ledger = queue.ledger(0);
    assert_eq!((ledger.appended, ledger.pending), (scrapes, scrapes));
    let asked = names.asked();
    assert!(asked.len() > 3_800, "{} attempts in six hours", asked.len());
    let longest = asked.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    // The timer counts whole milliseconds.
    assert!(longest <= LONGEST_WAIT + Duration::from_millis(2), "{longest:?}");

    // From here on there is a network, which a paused clock does not wait for.
    tokio::time::resume();
    let receiver = Receiver::new(Options::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    names.moved_to(listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    let _ended = stop.clone().drop_guard();
    let serving = receiver.clone();
    tokio::spawn(async move { serving.serve(listener, stop).await });
    receiver.wait_until(|state| state.accepted_count > 0, DEADLINE).await.unwrap();
    running.until_done().await;
    receiver.read(|state| {
        assert_eq!(state.violation_count, 0, "{:?}", state.violations);
        assert_eq!((state.count(&[]) as u64, state.duplicates), (scrapes, 0));
    });
    let ledger = queue.ledger(0);
    assert_eq!((ledger.delivered, ledger.pending), (scrapes, 0));
}
