//! A queue directory that is missing, locked, unusable or damaged.

use std::fs;

use docker_remote_write::receiver::Answer;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{DEADLINE, World};
use crate::support::program::Books;

#[tokio::test]
async fn a_missing_directory_is_made_with_its_parents() {
    let world = World::new().await;
    let dir = world.path("not/yet/there");
    let _program = world.run(&[("QUEUE_DIR", dir.to_str().unwrap())]);
    world.until_ups(1).await;
    assert!(dir.join("lock").exists());
    world.assert_strict();
}

#[tokio::test]
async fn a_directory_in_use_by_another_instance_ends_run_with_what_to_check() {
    let world = World::new().await;
    let _first = world.run(&[]);
    world.until_ups(1).await;
    let (status, said) = world.run(&[]).ended().await;
    assert_eq!(status.code(), Some(1));
    assert!(said.contains("queue") && said.contains("another"), "{said}");
}

#[tokio::test]
async fn a_plugin_whose_directory_cannot_be_used_goes_on_in_memory_and_says_so() {
    let world = World::new().await;
    fs::write(world.path("file"), "no directory").unwrap();
    let dir = world.path("file/queue");
    let (mut program, mut dockerd) = world.plugin(&[("QUEUE_DIR", dir.to_str().unwrap())]).await;
    program.says("the queue is in memory").await;
    assert_eq!(dockerd.start_metrics().await.unwrap().status, 200);
    world.until_ups(2).await;
    world.receiver.answer(Answer::status(503));
    program.says("503").await;
    let (status, said, _) = program.terminated().await;
    assert!(status.success());
    assert!(said.contains("undelivered samples are lost: the queue was in memory"), "{said}");
}

#[tokio::test]
async fn a_plugin_that_went_to_memory_waits_at_its_end_for_the_first_answer() {
    let world = World::new().await;
    fs::write(world.path("file"), "no directory").unwrap();
    // The kernel takes the connection; nobody answers before SIGTERM has come.
    let late = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = [
        ("QUEUE_DIR", world.path("file/queue").display().to_string()),
        ("REMOTE_WRITE_URL", format!("http://{}/api/v1/write", late.local_addr().unwrap())),
    ];
    let settings = settings.each_ref().map(|(name, value)| (*name, value.as_str()));
    let (mut program, mut dockerd) = world.plugin(&settings).await;
    assert_eq!(dockerd.start_metrics().await.unwrap().status, 200);
    assert!(world.engine.wait_for(2, DEADLINE).await);
    program.interrupt();
    program.says("shutting down").await;
    let receiver = world.receiver.clone();
    tokio::spawn(async move { receiver.serve(late, CancellationToken::new()).await });
    let (status, said) = program.ended().await;
    assert!(status.success());
    assert_eq!(Books::of("default", &said).dropped, 0, "{said}");
    assert!(!said.contains("queue on disk"), "{said}");
    assert!(world.ups() > 0);
}

#[tokio::test]
async fn a_flipped_bit_in_a_segment_costs_that_record_and_is_said() {
    let world = World::new().await;
    world.receiver.answer(Answer::status(503));
    let first = world.run(&[("SELF_METRICS", "false")]);
    assert!(world.engine.wait_for(4, DEADLINE).await);
    first.killed();
    let segment = fs::read_dir(world.path("queue"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.file_name().unwrap().to_str().unwrap().starts_with("segment"))
        .unwrap();
    let mut bytes = fs::read(&segment).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 0x10;
    fs::write(&segment, bytes).unwrap();
    let served = world.engine.scrapes();

    world.receiver.answer(Answer::Normal);
    let mut second = world.run(&[("SELF_METRICS", "false")]);
    second.says("damaged").await;
    // One record is damaged, and the scrape that the kill cut short may be missing; all others arrive.
    world.until_ups(served - 2 + 1).await;
    world.assert_strict();
}
