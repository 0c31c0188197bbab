//! remote-write 3.07: what vanishes while the program is not there ends once, with the first good scrape of the next process.

use std::collections::BTreeSet;

use docker_remote_write::receiver::{Answer, State};

use super::{DEADLINE, Program, World};
use crate::support::program::Books;
use crate::support::scripted::{Answer as Reply, NOTHING, Scripted, Step, serve, status};

/// An http target whose exposition changes, and what the strict receiver has of it.
struct Story {
    world: World,
    target: Scripted,
    url: String,
}

fn exposition(series: &[&str]) -> Reply {
    let lines: String = series.iter().map(|series| format!("{series} 1\n")).collect();
    status(200).header("content-type", "text/plain; version=0.0.4").text(lines)
}

impl Story {
    async fn new(series: &[&str]) -> Self {
        let target = serve(NOTHING).await;
        target.otherwise(exposition(series));
        Self::of(target).await
    }

    async fn of(target: Scripted) -> Self {
        let url = target.url("/metrics");
        Self { world: World::new().await, target, url }
    }

    fn exposes(&self, series: &[&str]) {
        self.target.otherwise(exposition(series));
    }

    fn run(&self, more: &[(&'static str, &str)]) -> Program {
        self.world.run(&[&[("SCRAPE_URL", self.url.as_str())], more].concat())
    }

    /// Waits until so many samples of this name have arrived.
    async fn until(&self, name: &str, count: usize) {
        let there = |state: &State| state.count(&[("__name__", name)]) >= count;
        self.world.receiver.wait_until(there, DEADLINE).await.unwrap();
    }

    /// Names of the series of `job` whose newest sample is a marker; fails if any other series than these has a marker, or one has two.
    fn ended(&self, job: &str) -> BTreeSet<String> {
        self.world.assert_strict();
        self.world.receiver.read(|state| {
            let mut ended = BTreeSet::new();
            for (labels, samples) in state.store.select(&[("job", job)]) {
                let markers = samples.iter().filter(|sample| sample.is_stale_marker()).count();
                let last = samples.last().unwrap().is_stale_marker();
                assert_eq!(markers, usize::from(last), "{labels} has {markers} markers: {samples:?}");
                if last {
                    ended.insert(labels.get("__name__").unwrap().to_owned());
                }
            }
            ended
        })
    }
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[tokio::test]
async fn rw_3_07_after_a_kill_what_vanished_ends_once_and_the_rest_goes_on() {
    let story = Story::new(&["a", "b", "c{x=\"1\"}"]).await;
    let program = story.run(&[]);
    story.until("b", 2).await;
    program.killed();
    story.exposes(&["a", "d"]);
    let program = story.run(&[]);
    story.until("d", 2).await;
    assert_eq!(story.ended("docker"), names(&["b", "c"]));
    // Some of our own come late in each process; this one goes on.
    let own = story.world.receiver.read(|state| {
        let mut info = state.store.select(&[("__name__", "docker_remote_write_build_info")]);
        info.next().map(|(_, samples)| samples.iter().all(|sample| !sample.is_stale_marker()))
    });
    assert_eq!(own, Some(true));
    program.killed();
    let program = story.run(&[]);
    story.until("d", 4).await;
    assert_eq!(story.ended("docker"), names(&["b", "c"]), "nothing ends a second time");
    drop(program);
}

#[tokio::test]
async fn rw_3_07_what_a_killed_process_could_not_deliver_ends_behind_it() {
    let story = Story::new(&["a", "b", "c"]).await;
    story.world.receiver.answer(Answer::status(503));
    let program = story.run(&[]);
    story.target.saw(3).await;
    program.killed();
    story.exposes(&["a", "b"]);
    let program = story.run(&[]);
    let seen = story.target.seen().len();
    story.target.saw(seen + 3).await;
    program.killed();
    story.exposes(&["a"]);
    story.world.receiver.answer(Answer::Normal);
    let program = story.run(&[]);
    let newest = |state: &State| {
        let mut b = state.store.select(&[("__name__", "b")]);
        b.next().is_some_and(|(_, samples)| samples.last().is_some_and(|sample| sample.is_stale_marker()))
    };
    story.world.receiver.wait_until(newest, DEADLINE).await.unwrap();
    assert_eq!(story.ended("docker"), names(&["b", "c"]));
    drop(program);
}

#[tokio::test]
async fn rw_3_06_sigterm_ends_nothing_and_the_next_process_ends_what_vanished() {
    let story = Story::new(&["a", "b"]).await;
    let program = story.run(&[]);
    story.until("b", 2).await;
    let (status, said, _) = program.terminated().await;
    assert!(status.success(), "{said}");
    assert!(story.ended("docker").is_empty() && story.ended("docker-remote-write").is_empty());
    story.exposes(&["a"]);
    // A failing target says nothing of what has vanished.
    story.target.otherwise(crate::support::scripted::status(500));
    let mut program = story.run(&[]);
    program.says("scrape failed").await;
    program.killed();
    assert!(story.ended("docker").is_empty());
    story.exposes(&["a", "d"]);
    let program = story.run(&[]);
    story.until("d", 1).await;
    assert_eq!(story.ended("docker"), names(&["b"]));
    drop(program);
}

#[tokio::test]
async fn rw_3_06_sigterm_in_the_middle_of_a_scrape_leaves_no_trace() {
    let story = Story::of(serve([exposition(&["a", "b"]).into(), Step::Hang]).await).await;
    // The second answer is held back; until its timeout SIGTERM has this much time.
    let program = story.run(&[("SCRAPE_INTERVAL", "5s"), ("SCRAPE_TIMEOUT", "5s")]);
    story.until("up", 1).await;
    story.target.saw(2).await;
    let (status, said, _) = program.terminated().await;
    assert_eq!(status.code(), Some(0), "{said}");
    assert_eq!(story.target.seen().len(), 2);
    let books = Books::of("default", &said);
    assert_eq!((books.pending, books.dropped), (0, 0), "all that was queued has arrived: {said}");
    assert!(story.ended("docker").is_empty() && story.ended("docker-remote-write").is_empty());
    story.world.receiver.read(|state| {
        let all = state.store.iter().flat_map(|(_, samples)| samples.iter());
        let moments: BTreeSet<i64> = all.map(|sample| sample.timestamp).collect();
        assert_eq!(moments.len(), 1, "all samples are the first scrape's");
        let (_, up) = state.store.select(&[("__name__", "up")]).next().unwrap();
        assert_eq!(up.iter().map(|sample| sample.value()).collect::<Vec<_>>(), [1.0]);
    });
}

#[tokio::test]
async fn rw_3_07_with_other_labels_everything_old_ends() {
    let story = Story::new(&["a"]).await;
    let program = story.run(&[]);
    story.until("a", 1).await;
    let (status, _, _) = program.terminated().await;
    assert!(status.success());
    let program = story.run(&[("JOB", "renamed"), ("SELF_METRICS", "false")]);
    story.until("a", 4).await;
    assert!(story.ended("renamed").is_empty());
    let old = story.ended("docker");
    assert!(old.contains("a") && old.contains("up") && old.contains("scrape_series_added"), "{old:?}");
    let own = story.ended("docker-remote-write");
    let open =
        story.world.receiver.read(|state| state.store.select(&[("job", "docker-remote-write")]).count());
    assert_eq!(own.len() > 10, open > 0, "our own series are switched off: {own:?}");
    let alive = story.world.receiver.read(|state| {
        let own = state.store.select(&[("job", "docker-remote-write")]);
        own.filter(|(_, samples)| !samples.last().unwrap().is_stale_marker()).count()
    });
    assert_eq!(alive, 0);
    drop(program);
}

#[tokio::test]
async fn rw_3_05_what_a_stop_has_ended_is_not_ended_again_by_the_next_process() {
    let story = Story::new(&["a", "b"]).await;
    let settings = [("SCRAPE_URL", story.url.as_str())];
    let (program, mut dockerd) = story.world.plugin(&settings).await;
    assert_eq!(dockerd.start_metrics().await.unwrap().status, 200);
    story.until("b", 1).await;
    assert_eq!(dockerd.stop_metrics().await.unwrap().status, 200);
    let (status, _, _) = program.terminated().await;
    assert!(status.success());
    let ended = story.ended("docker");
    assert!(ended.contains("a") && ended.contains("b") && ended.contains("up"), "{ended:?}");

    story.exposes(&["d"]);
    let (program, mut dockerd) = story.world.plugin(&settings).await;
    assert_eq!(dockerd.start_metrics().await.unwrap().status, 200);
    story.until("d", 2).await;
    let markers = story.world.receiver.read(|state| {
        let all = state.store.select(&[("job", "docker")]);
        all.map(|(_, samples)| samples.iter().filter(|sample| sample.is_stale_marker()).count()).max()
    });
    assert_eq!(markers, Some(1), "once ended, a and b stay so; up has gone on");
    drop(program);
}

#[tokio::test]
async fn rw_3_07_what_a_stop_without_markers_left_open_ends_when_the_next_process_does_not_find_it() {
    let story = Story::new(&["a", "b"]).await;
    let settings = [("SCRAPE_URL", story.url.as_str()), ("STALE_MARKERS_ON_STOP", "false")];
    let (program, mut dockerd) = story.world.plugin(&settings).await;
    assert_eq!(dockerd.start_metrics().await.unwrap().status, 200);
    story.until("b", 1).await;
    assert_eq!(dockerd.stop_metrics().await.unwrap().status, 200);
    let (status, _, _) = program.terminated().await;
    assert!(status.success());
    assert!(story.ended("docker").is_empty());

    story.exposes(&["b", "d"]);
    let (program, mut dockerd) = story.world.plugin(&settings).await;
    assert_eq!(dockerd.start_metrics().await.unwrap().status, 200);
    story.until("d", 2).await;
    assert_eq!(story.ended("docker"), names(&["a"]));
    drop(program);
}
