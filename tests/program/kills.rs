//! kill -9 at any moment of an outage: what was scraped more than a second before arrives.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use docker_remote_write::model::now_ms;
use docker_remote_write::receiver::Answer;

use super::{DEADLINE, World};

/// The kill takes what was scraped within this many ms at most.
const GRACE: i64 = 1000;
const KILLS: usize = 5;

#[tokio::test]
async fn kills_at_random_moments_of_an_outage_lose_nothing_that_was_scraped_a_second_before() {
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    let mut state = seed | 1;
    let mut draw = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let world = World::new().await;
    world.receiver.answer(Answer::status(503));
    let mut safe = Vec::new();
    for _ in 0..KILLS {
        let before = world.engine.scrapes();
        let program = world.run(&[]);
        assert!(world.engine.wait_for(before + 2, DEADLINE).await);
        // Anywhere between two scrapes: in the middle of one, of its write, of its sync.
        let moment = Duration::from_micros(draw(1_000_000));
        tokio::time::sleep(moment).await;
        let killed_at = now_ms();
        program.killed();
        safe.extend(world.scraped(before, killed_at - GRACE));
    }
    assert!(safe.len() >= KILLS, "each process has scraped twice");
    world.receiver.answer(Answer::Normal);
    let program = world.run(&[]);
    world.until_arrived(&safe).await;
    let (status, said, _) = program.terminated().await;
    assert!(status.success(), "seed {seed}: {said}");
    world.assert_strict();
    world.receiver.read(|state| assert_eq!(state.duplicates, 0, "seed {seed}"));
}
