//! Labels that the engine fills, through the whole collector.

use docker_remote_write::collector::{Collector, Links, SelfExposition};
use docker_remote_write::scrape::{Identity, Placeholder, Template};
use tokio::sync::watch;

use super::*;

fn engine(version: &str) -> Vec<u8> {
    ok(&format!("engine_daemon_engine_info{{daemon_id=\"D\",version=\"{version}\"}} 1\na 1\n"))
}

/// Collects with `instance` as the engine's version, and own series beside the target's.
fn collect(bench: &mut Bench) -> watch::Receiver<Identity> {
    let mut config = bench.config();
    let mut version = Template::default();
    version.push(Placeholder::EngineVersion);
    config.scrape.labels.target[1].1 = version;
    let own = SelfExposition { job: "own".to_owned(), write: Box::new(|text| text.push_str("own_a 1\n")) };
    let (learn, learned) = watch::channel(Identity::default());
    let links = Links { learned: Some(learn), ..Links::default() };
    let metrics = bench.metrics.clone();
    let collector = Collector::new(&config, Some(own), links, &bench.queue, metrics).unwrap();
    let commands = bench.commands.take().unwrap();
    bench.collecting = Some(tokio::spawn(collector.run(commands, bench.cancel.clone())));
    bench.control.start();
    learned
}

fn of(seen: &[Stored], instance: &str, marker: bool) -> usize {
    let of_instance = |sample: &&Stored| sample.labels.get("instance") == Some(instance);
    seen.iter().filter(of_instance).filter(|sample| sample.is_marker() == marker).count()
}

#[tokio::test]
async fn nothing_is_queued_until_the_engine_has_said_who_it_is_and_then_everything_is_called_so() {
    let mut bench = Bench::new();
    let learned = collect(&mut bench);
    let held = async {
        while bench.metrics.snapshot().scrapes_held < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, held).await.unwrap();
    let failure = bench.metrics.snapshot().last_failure.unwrap();
    assert!(failure.contains("{{engine_version}} is not known yet"), "{failure}");
    serve(&bench.socket(), engine("24.0"), Then::Close);
    let seen = bench.until("a named scrape", |seen| seen.iter().any(|one| one.name() == "own_a")).await;
    assert!(seen.iter().all(|sample| sample.labels.get("instance") == Some("24.0")), "{seen:?}");
    assert_eq!(ups(&seen, 0.0), 0, "what was held back does not come later");
    assert_eq!(learned.borrow().get(Placeholder::DaemonId), Some("D"));
    bench.end().await;
}

#[tokio::test]
async fn an_upgrade_of_the_engine_ends_every_series_and_begins_it_under_its_new_labels() {
    let mut bench = Bench::new();
    let before = serve(&bench.socket(), engine("24.0"), Then::Close);
    collect(&mut bench);
    bench.until("the old engine", |seen| ups(seen, 1.0) > 1).await;
    before.abort();
    std::fs::remove_file(bench.socket()).unwrap();
    serve(&bench.socket(), engine("28.1"), Then::Close);
    let all = |seen: &[Stored]| {
        seen.iter().any(|one| one.name() == "own_a" && one.labels.get("instance") == Some("28.1"))
    };
    let seen = bench.until("the new engine", all).await;
    assert_ordered(&seen);
    let at_end = |seen: &[Stored]| {
        let mut last: BTreeMap<Labels, Stored> = BTreeMap::new();
        for sample in seen {
            last.insert(sample.labels.clone(), sample.clone());
        }
        last.into_values().collect::<Vec<_>>()
    };
    let last = at_end(&seen);
    // Two of the target, five of the scrape, one of ours.
    assert_eq!((of(&last, "24.0", true), of(&last, "24.0", false)), (8, 0), "{last:?}");
    assert_eq!((of(&last, "28.1", true), of(&last, "28.1", false)), (0, 8), "{last:?}");
    bench.end().await;
}

#[tokio::test]
async fn a_stop_while_scrapes_are_held_has_nothing_to_end() {
    let mut bench = Bench::new();
    serve(&bench.socket(), ok("a 1\n"), Then::Close);
    collect(&mut bench);
    let generation = bench.control.stop();
    assert!(bench.control.stopped(generation, DEADLINE).await);
    assert_eq!(bench.queue.end().borrow().to_owned(), bench.next);
    bench.end().await;
}
