//! live-restore: dockerd comes back, calls StartMetrics again, and the socket in the plugin's mount is the old one.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use docker_remote_write::receiver::State;

use super::{DEADLINE, World};

const DEAD: &str = "the metrics socket is dead";
const ENDING: &str = "ending, so that dockerd starts a new process";

/// A world whose engine's socket dies at will: the program scrapes a link to it.
struct Restarts {
    world: World,
    link: PathBuf,
}

impl Restarts {
    async fn new() -> Self {
        let world = World::new().await;
        let link = world.path("mounted.sock");
        let restarts = Self { world, link };
        restarts.mount();
        restarts
    }

    /// What a fresh process gets.
    fn mount(&self) {
        std::os::unix::fs::symlink(self.world.path("metrics.sock"), &self.link).unwrap();
    }

    /// What a restart of dockerd leaves.
    fn unmount(&self) {
        fs::remove_file(&self.link).unwrap();
    }

    fn url(&self) -> String {
        format!("unix://{}", self.link.display())
    }
}

/// dockerd does this by itself only to a process that has lived for a while.
async fn old_enough(start: Instant) {
    tokio::time::sleep(Duration::from_secs(6).saturating_sub(start.elapsed())).await;
}

#[tokio::test]
async fn a_start_with_a_dead_socket_ends_the_plugin_cleanly_once_and_the_note_stops_a_second_exit() {
    let restarts = Restarts::new().await;
    let world = &restarts.world;
    let url = restarts.url();
    let start = Instant::now();
    let (program, mut dockerd) = world.plugin(&[("SCRAPE_URL", &url)]).await;
    assert_eq!(dockerd.start_metrics().await.unwrap().status, 200);
    world.until_ups(2).await;
    old_enough(start).await;
    let served = world.engine.scrapes();
    assert_eq!(dockerd.stop_metrics().await.unwrap().status, 200);
    restarts.unmount();
    // Before the call: the probes may begin before its answer is here.
    let called = Instant::now();
    assert_eq!(dockerd.start_metrics().await.unwrap().status, 200);
    let (status, said) = program.ended().await;
    let took = called.elapsed();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(said.contains(ENDING), "{said}");
    assert!(took >= Duration::from_millis(1500), "four probes half a second apart take longer than {took:?}");
    assert!(took < Duration::from_secs(4), "it took {took:?}");
    assert!(world.path("queue/state/stale-socket-exit").exists());

    // The fresh process has a fresh mount, which dies too.
    restarts.mount();
    let start = Instant::now();
    let (mut program, mut dockerd) = world.plugin(&[("SCRAPE_URL", &url)]).await;
    assert_eq!(dockerd.start_metrics().await.unwrap().status, 200);
    world.until_ups(served + 2).await;
    old_enough(start).await;
    restarts.unmount();
    for _ in 0..2 {
        assert_eq!(dockerd.start_metrics().await.unwrap().status, 200);
        program.says(DEAD).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    let stale = ("__name__", "docker_remote_write_metrics_socket_stale");
    let shown = |state: &State| {
        let mut series = state.store.iter().filter(|(labels, _)| labels.iter().any(|label| label == stale));
        series.any(|(_, samples)| samples.last().is_some_and(|sample| sample.value() > 0.5))
    };
    world.receiver.wait_until(shown, DEADLINE).await.unwrap();
    let (status, said, _) = program.terminated().await;
    assert!(status.success());
    assert_eq!(said.matches(DEAD).count(), 1, "said once, not at each probe: {said}");
    assert!(!said.contains(ENDING), "{said}");
    world.assert_strict();
}

#[tokio::test]
async fn without_a_good_scrape_or_a_new_start_a_dead_socket_is_waited_for() {
    let restarts = Restarts::new().await;
    let world = &restarts.world;
    let url = restarts.url();
    restarts.unmount();
    let start = Instant::now();
    let (mut program, mut dockerd) = world.plugin(&[("SCRAPE_URL", &url)]).await;
    assert_eq!(dockerd.start_metrics().await.unwrap().status, 200);
    program.says("scrape failed").await;
    old_enough(start).await;
    assert_eq!(dockerd.start_metrics().await.unwrap().status, 200);
    tokio::time::sleep(Duration::from_secs(3)).await;

    // The daemon comes up late, works, and goes down without a word.
    restarts.mount();
    program.says("scrapes succeed again").await;
    restarts.unmount();
    tokio::time::sleep(Duration::from_secs(4)).await;
    let (status, said, _) = program.terminated().await;
    assert!(status.success(), "{said}");
    assert!(!said.contains(DEAD), "{said}");
}

#[tokio::test]
async fn run_never_ends_by_itself() {
    let restarts = Restarts::new().await;
    let world = &restarts.world;
    let start = Instant::now();
    let mut program = world.run(&[("SCRAPE_URL", &restarts.url())]);
    world.until_ups(1).await;
    old_enough(start).await;
    restarts.unmount();
    program.says("scrape failed").await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (status, said, _) = program.terminated().await;
    assert!(status.success(), "{said}");
    assert!(!said.contains(DEAD), "{said}");
}
