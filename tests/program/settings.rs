//! Bad settings, and the faces that only print.

use std::collections::BTreeMap;

use super::{Program, World, with};

#[tokio::test]
async fn run_lists_every_problem_at_once_and_exits_78() {
    let settings = BTreeMap::from([
        ("REMOTE_WRITE_URL", "ftp://host/push".to_owned()),
        ("SCRAPE_INTERVAL", "15".to_owned()),
        ("QUEUE_STORAGE", "tape".to_owned()),
        ("REMOTE_WRITE_BEARER_TOKEN", "s3cret".to_owned()),
        ("REMOTE_WRITE_BASIC_AUTH_USERNAME", "me".to_owned()),
    ]);
    let (status, said) = Program::start(&["run"], &settings).ended().await;
    assert_eq!(status.code(), Some(78));
    for name in ["REMOTE_WRITE_URL", "SCRAPE_INTERVAL", "QUEUE_STORAGE", "REMOTE_WRITE_BEARER_TOKEN"] {
        assert!(said.contains(name), "{name} is not named in: {said}");
    }
    assert!(!said.contains("s3cret"), "{said}");
}

#[tokio::test]
async fn a_plugin_with_bad_settings_stays_and_answers_500_with_the_reason() {
    let world = World::new().await;
    let (mut program, mut dockerd) =
        world.plugin(&[("SCRAPE_INTERVAL", "often"), ("QUEUE_MAX_DISK_BYTES", "much")]).await;
    program.says("QUEUE_MAX_DISK_BYTES").await;
    program.says("nothing is scraped or sent").await;
    let reply = dockerd.start_metrics().await.unwrap();
    assert_eq!(reply.status, 500);
    assert!(
        reply.body.starts_with("{\"Err\":\"") && reply.body.contains("SCRAPE_INTERVAL"),
        "{}",
        reply.body
    );
    let (status, _, _) = program.terminated().await;
    assert!(status.success(), "{status}");
    assert_eq!(world.engine.scrapes(), 0);
}

#[tokio::test]
async fn settings_prints_the_table_and_every_face_has_help() {
    let (status, table) = Program::start(&["settings"], &BTreeMap::new()).ended().await;
    assert!(status.success());
    for setting in docker_remote_write::config::table::SETTINGS {
        assert!(table.contains(setting.name), "{} is missing", setting.name);
    }
    for face in ["plugin", "run", "demo", "receive", "settings"] {
        let (status, help) = Program::start(&[face, "--help"], &BTreeMap::new()).ended().await;
        assert!(status.success() && help.contains("Example"), "{face}: {help}");
    }
}

#[tokio::test]
async fn an_unknown_setting_is_warned_about_and_does_no_harm() {
    let world = World::new().await;
    let settings = with(world.settings(), &[("REMOTE_WRITE_ULR", "x")]);
    let mut program = Program::start(&["run"], &settings);
    program.says("REMOTE_WRITE_ULR").await;
    world.until_ups(1).await;
}

#[tokio::test]
async fn a_secret_that_appears_after_the_plugins_start_is_used_and_nothing_is_lost() {
    let world = World::new().await;
    let token = world.path("token");
    let more = [
        ("REMOTE_WRITE_BEARER_TOKEN_FILE", token.to_str().unwrap()),
        ("CONFIG_RELOAD_INTERVAL", "1s"),
        ("REMOTE_WRITE_MAX_BACKOFF", "1s"),
    ];
    let (mut program, mut dockerd) = world.plugin(&more).await;
    program.says("cannot read the bearer token").await;
    assert_eq!(dockerd.start_metrics().await.unwrap().status, 200, "the engine's metrics are there");
    assert!(world.engine.wait_for(2, super::DEADLINE).await, "scraped and queued meanwhile");
    std::fs::write(&token, "t0ken\n").unwrap();
    world.until_ups(2).await;
    world.receiver.read(|state| {
        assert_eq!(state.last_request().unwrap().header("authorization"), Some("Bearer t0ken"));
    });
    world.assert_strict();
}
