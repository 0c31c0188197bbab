//! A backlog over a slow receiver. Here because the bound on its time is for the binary that is installed, and for a machine that does nothing else: the
//! unoptimised one needs 20 ms for a request instead of two.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use docker_remote_write::model::now_ms;
use docker_remote_write::proto::{v1, v2};
use docker_remote_write::queue::{Config, Queue, RecordMeta, Storage};
use docker_remote_write::receiver::DEFAULT_PATH;
use docker_remote_write::remote::install_crypto_provider;
use docker_remote_write::wire::decode::decode_v1;
use prost::Message as _;

use crate::program::{Program, World, with};
use crate::scripted::{NOTHING, Seen, serve};
use crate::wire::Wire;

/// An hour at 15 s.
const SCRAPES: u32 = 240;
const SERIES: u32 = 600;

/// What a process before this one would have left in the queue.
async fn leave_an_hour(dir: PathBuf) {
    let config = Config {
        storage: Storage::Disk(dir),
        max_disk_bytes: 256 << 20,
        min_free_disk: None,
        max_memory_bytes: 16 << 20,
    };
    let queue = Queue::open(&config, &["default".to_owned()]).expect("a fresh directory");
    let mut symbols = ["", "__name__", "drained", "series"].map(str::to_owned).to_vec();
    symbols.extend((0..SERIES).map(|series| format!("number-{series}")));
    let now = now_ms();
    for scrape in 0..SCRAPES {
        let timestamp = now - 3_600_000 + i64::from(scrape) * 15_000;
        let series = |series| v2::TimeSeries {
            labels_refs: vec![1, 2, 3, 4 + series],
            samples: vec![v2::Sample { value: f64::from(scrape * series), timestamp, start_timestamp: 0 }],
            ..v2::TimeSeries::default()
        };
        let record = v2::Request { symbols: symbols.clone(), timeseries: (0..SERIES).map(series).collect() };
        let payload =
            snap::raw::Encoder::new().compress_vec(&record.encode_to_vec()).expect("far below 4 GiB");
        let meta =
            RecordMeta { samples: SERIES, markers: 0, min_timestamp: timestamp, max_timestamp: timestamp };
        queue.append(meta, payload.into());
    }
    queue.close().await;
    assert_eq!(queue.ledger(0).pending, u64::from(SCRAPES * SERIES));
}

/// What a request brought of the backlog.
fn drained(seen: &Seen) -> u32 {
    let request = decode_v1(&seen.body, 64 << 20).expect("a request that we sent");
    let is_drained = |series: &&v1::TimeSeries| series.labels.iter().any(|label| label.value == "drained");
    request.timeseries.iter().filter(is_drained).map(|series| series.samples.len() as u32).sum()
}

/// The bound is the issue's: 72 requests of 2,000 samples, 0.1 s each, and what is ours. The receiver judges what it got
/// afterwards: its own work is not what is measured.
#[tokio::test]
async fn an_hours_backlog_over_a_receiver_that_takes_100_ms_is_delivered_in_under_10_s_while_scrapes_go_on() {
    let world = World::new().await;
    leave_an_hour(world.path("queue")).await;
    let server = serve(NOTHING).await;
    let wire = Wire::slow(server.address, Duration::from_millis(100)).await;
    let url = format!("http://{}{DEFAULT_PATH}", wire.address);
    let began = Instant::now();
    // `make plugin-rootfs` ran before these tests.
    let binary = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/plugin/rootfs/docker-remote-write");
    // The stand-in names no headers, so it would be asked in 2.0 once more than is counted here.
    let settings =
        with(world.settings(), &[("REMOTE_WRITE_URL", &url), ("REMOTE_WRITE_PROTOBUF_MESSAGE", "1.0")]);
    let program = Program::start_of(&binary, &["run"], &settings);
    server.saw(72).await;
    let took = began.elapsed();
    let scrapes = world.engine.scrapes();
    eprintln!("{took:?}; {scrapes} scrapes meanwhile");
    assert!(took < Duration::from_secs(10), "{took:?} for 72 requests");
    assert!(scrapes >= 5, "{scrapes} scrapes in {took:?}");
    // What was scraped meanwhile is in the queue, and goes before the end.
    let (status, said, _) = program.terminated().await;
    assert!(status.success(), "{said}");
    assert_eq!(server.seen()[..72].iter().map(drained).sum::<u32>(), SCRAPES * SERIES);
    install_crypto_provider();
    let judge = reqwest::Client::new();
    for seen in server.seen() {
        let mut request = judge.post(format!("http://{}{DEFAULT_PATH}", world.address));
        for (name, value) in seen.headers.iter().filter(|(name, _)| name != "host") {
            request = request.header(name, value);
        }
        assert_eq!(request.body(seen.body).send().await.unwrap().status(), 204);
    }
    world.assert_strict();
    world.receiver.read(|state| {
        assert_eq!(state.duplicates, 0);
        assert_eq!(state.count(&[("__name__", "drained")]), (SCRAPES * SERIES) as usize);
    });
    assert!(world.ups() + 1 >= scrapes, "{} of {scrapes} scrapes arrived", world.ups());
}
