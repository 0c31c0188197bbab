//! kill -9 at any moment: what was scraped more than a second before arrives, and at most one request twice.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use docker_remote_write::model::now_ms;
use docker_remote_write::receiver::Answer;

use super::{DEADLINE, World};

/// The kill takes what was scraped within this many ms at most.
const GRACE: i64 = 1000;
const KILLS: usize = 5;

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
        // Of three the first is always a second old, however late it came.
        assert!(world.engine.wait_for(before + 3, DEADLINE).await);
        // Anywhere between two scrapes: in the middle of one, of its write, of its sync.
        let moment = Duration::from_micros(draw(1_000_000));
        tokio::time::sleep(moment).await;
        let killed_at = now_ms();
        program.killed();
        safe.extend(world.scraped(before, killed_at - GRACE));
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
        tokio::time::sleep(Duration::from_micros(draw(1_000_000))).await;
        let killed_at = now_ms();
        program.killed();
        safe.extend(world.scraped(before, killed_at - GRACE));
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
