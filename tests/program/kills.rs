//! kill -9 at any moment: what was scraped more than a second before arrives, and at most one request twice.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use docker_remote_write::model::now_ms;
use docker_remote_write::receiver::Answer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use super::{DEADLINE, Program, World};

/// The kill takes what was scraped within this time at most.
const GRACE: Duration = Duration::from_secs(1);
const KILLS: usize = 5;

/// Kills it; returns the moment up to which what was queued has to be safe.
async fn killed(world: &World, program: Program) -> i64 {
    let killed_at = now_ms();
    program.killed();
    // What it has asked for and the engine has not read yet is no scrape of the next process: connections are read in their order, and what is
    // not found is not counted.
    let mut stream = UnixStream::connect(world.path("metrics.sock")).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: engine\r\nConnection: close\r\n\r\n").await.unwrap();
    stream.read_to_end(&mut Vec::new()).await.unwrap();
    killed_at - i64::try_from(GRACE.as_millis()).unwrap()
}

/// A seed, and numbers below a bound.
fn dice() -> (u64, impl FnMut(u64) -> u64) {
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    let mut state = seed | 1;
    let draw = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    (seed, draw)
}

#[tokio::test]
async fn kills_at_random_moments_of_an_outage_lose_nothing_that_was_scraped_a_second_before() {
    let (seed, mut draw) = dice();
    let world = World::new().await;
    world.receiver.answer(Answer::status(503));
    let mut safe = Vec::new();
    for _ in 0..KILLS {
        let before = world.engine.scrapes();
        let program = world.run(&[]);
        // When the second one is asked for, the first one is queued; a second later it has to be safe.
        assert!(world.engine.wait_for(before + 2, DEADLINE).await);
        // Anywhere between two scrapes: in the middle of one, of its write, of its sync.
        let moment = Duration::from_micros(draw(1_000_000));
        tokio::time::sleep(GRACE + moment).await;
        let until = killed(&world, program).await;
        safe.extend(world.scraped(before, until));
    }
    assert!(safe.len() >= KILLS, "each process has scraped a second before its end");
    world.receiver.answer(Answer::Normal);
    let program = world.run(&[]);
    world.until_arrived(&safe).await;
    let (status, said, _) = program.terminated().await;
    assert!(status.success(), "seed {seed}: {said}");
    world.assert_strict();
    world.receiver.read(|state| assert_eq!(state.duplicates, 0, "seed {seed}"));
}

/// While endpoints keep up hardly anything is written, cursors included; after an outage everything was, and cursors follow each request.
#[tokio::test]
async fn kills_at_random_moments_repeat_one_request_at_most_whether_records_were_written_or_not() {
    let (seed, mut draw) = dice();
    let world = World::new().await;
    let resent = || -> usize {
        world.receiver.read(|state| state.requests.iter().filter(|request| request.duplicates > 0).count())
    };
    let mut safe = Vec::new();
    for kill in 0..2 * KILLS {
        let (before, resent_before) = (world.engine.scrapes(), resent());
        world.receiver.answer(if kill % 2 == 0 { Answer::Normal } else { Answer::status(503) });
        let program = world.run(&[]);
        assert!(world.engine.wait_for(before + 2, DEADLINE).await);
        world.receiver.answer(Answer::Normal);
        // From a second on the first scrape has to be safe.
        tokio::time::sleep(Duration::from_micros(draw(2_000_000))).await;
        let until = killed(&world, program).await;
        safe.extend(world.scraped(before, until));
        assert!(resent() <= resent_before + 1, "seed {seed}, kill {kill}");
    }
    let (before, resent_before) = (world.engine.scrapes(), resent());
    let program = world.run(&[]);
    // Everything may be there already: SIGTERM must not come before the process obeys it.
    assert!(world.engine.wait_for(before + 1, DEADLINE).await);
    world.until_arrived(&safe).await;
    let (status, said, _) = program.terminated().await;
    assert!(status.success(), "seed {seed}: {said}");
    assert!(resent() <= resent_before + 1, "seed {seed}");
    world.assert_strict();
}
