//! Ten minutes without a receiver, in real time: the real binary at one scrape a second.
//!
//! A test target of its own, which `tests/run.sh` starts before all others and collects after them: it sleeps nearly all the time. So is what it
//! scrapes small, and what it does at the end soon over.
#![allow(
    clippy::unwrap_used,
    reason = "clippy.toml allows it in test functions; their helpers are no less tests"
)]

/// The real binary and its surroundings.
#[path = "support/program.rs"]
#[allow(dead_code, reason = "each target uses its part of it")]
mod program;
/// An address that refuses connections.
#[path = "support/refused.rs"]
mod refused;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use docker_remote_write::demo::engine::Source;
use docker_remote_write::receiver::DEFAULT_PATH;
use tokio_util::sync::CancellationToken;

use program::{Books, DEADLINE, World};
use refused::Refused;

const OUTAGE: Duration = Duration::from_secs(600);

/// The issue's: the longest backoff, its jitter, and half a second.
const FIRST_DELIVERY: Duration = Duration::from_secs(6);

fn forty_series() -> Source {
    let mut text = "# TYPE engine_daemon_test gauge\n".to_owned();
    for number in 0..40 {
        writeln!(text, "engine_daemon_test{{number=\"{number}\"}} {number}").unwrap();
    }
    Source::Texts([text.into()].into())
}

#[tokio::test]
async fn ten_minutes_of_scrapes_arrive_in_order_and_once_and_the_first_within_6_s_of_the_recovery() {
    let world = World::of(forty_series()).await;
    let refused = Refused::new();
    let url = format!("http://{}{DEFAULT_PATH}", refused.address);
    let began = Instant::now();
    let program = world.run(&[("REMOTE_WRITE_URL", &url), ("SELF_METRICS", "false")]);
    tokio::time::sleep(OUTAGE).await;
    assert_eq!(world.ups(), 0);

    let recovered = Instant::now();
    let stop = CancellationToken::new();
    let _ended = stop.clone().drop_guard();
    let (receiver, listener) = (world.receiver.clone(), refused.listen());
    tokio::spawn(async move { receiver.serve(listener, stop).await });
    world.receiver.wait_until(|state| state.accepted_count > 0, DEADLINE).await.unwrap();
    let first = recovered.elapsed();
    world.until_ups(world.engine.scrapes()).await;
    let drained = recovered.elapsed();
    assert!(first <= FIRST_DELIVERY, "{first:?} from the recovery to the first delivery");

    let (status, said, _) = program.terminated().await;
    assert!(status.success(), "{said}");
    let lived = began.elapsed();
    let books = Books::of("default", &said);
    books.assert_closed();
    world.assert_strict();
    world.receiver.read(|state| {
        let stored = state.store.samples();
        assert_eq!((books.appended, books.delivered, state.duplicates), (stored, stored, 0), "{books:?}");
    });
    // A scrape that SIGTERM cuts short leaves no trace, although the engine served it.
    let (ups, scrapes) = (world.ups(), world.engine.scrapes());
    assert!(ups <= scrapes && ups + 1 >= scrapes, "{ups} of {scrapes} scrapes arrived");
    // One each second; a machine that is busy with other tests may miss a tick, and the program says so.
    let seconds = usize::try_from(lived.as_secs()).unwrap();
    let missed = said.contains("ticks passed without a scrape");
    assert!(missed || scrapes + 2 >= seconds, "{scrapes} scrapes in {seconds} s: {said}");
    println!("{scrapes} scrapes in {lived:?}; first delivery after {first:?}, all after {drained:?}");
}
