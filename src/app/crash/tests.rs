use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use tokio::net::{TcpListener, UnixListener};

use super::*;
use crate::app::{App, Ended};
use crate::collector::{Commands, Control, control};
use crate::config::{Config, Mode};
use crate::demo::engine::{Engine, Source};
use crate::queue;
use crate::receiver::{Options, Receiver};

/// Long enough for any machine; only a test that fails waits for it.
const DEADLINE: Duration = Duration::from_secs(20);

fn born(ago_ms: u64) -> Instant {
    Instant::now().checked_sub(Duration::from_millis(ago_ms)).unwrap()
}

fn config(dir: &Path) -> Config {
    config_of(dir, "http://127.0.0.1:1/metrics", "http://127.0.0.1:1/")
}

fn config_of(dir: &Path, target: &str, endpoint: &str) -> Config {
    let settings: BTreeMap<String, String> = [
        ("REMOTE_WRITE_URL", endpoint),
        ("SCRAPE_URL", target),
        ("SCRAPE_INTERVAL", "1s"),
        ("QUEUE_DIR", dir.to_str().unwrap()),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    Config::from_env(Mode::Plugin, &settings).unwrap().config
}

fn note(dir: &Path) -> Option<String> {
    fs::read_to_string(dir.join("state").join(NOTE)).ok()
}

/// Boxed: a test's thread has 2 MiB of stack, and several apps in one future, unoptimised, take more.
async fn in_time<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(DEADLINE, Box::pin(future)).await.unwrap()
}

#[tokio::test]
async fn a_part_that_panics_is_named_once_leaves_the_others_alone_and_ends_with_everything() {
    let shutdown = CancellationToken::new();
    let parts = Parts::new(shutdown.clone());
    let queue = queue::Queue::open(&memory(), &[]).unwrap();
    assert_eq!(parts.run("a good one", async { 7 }).await, Some(7));
    let unlucky = |part| parts.run(part, async { panic!("a test wants it so") });
    let mut both = pin!(async { tokio::join!(unlucky("first"), unlucky("second")) });
    tokio::select! {
        biased;
        _ = &mut both => panic!("they end with everything, not before"),
        dead = in_time(parts.first_dead(&[], &queue)) => assert_eq!(dead, "first"),
    }
    shutdown.cancel();
    let (first, second): (Option<()>, Option<()>) = in_time(both).await;
    assert_eq!((first, second), (None, None));
}

fn memory() -> queue::Config {
    queue::Config {
        storage: Storage::Memory,
        max_disk_bytes: 0,
        min_free_disk: None,
        max_memory_bytes: 1 << 20,
    }
}

#[tokio::test]
async fn a_sender_that_ends_unasked_and_a_queue_that_panics_are_parts_too() {
    let dir = tempfile::tempdir().unwrap();
    let queue = queue::Queue::open(&memory(), &["a".to_owned(), "b".to_owned()]).unwrap();
    crate::remote::install_crypto_provider();
    let endpoint = config(dir.path()).endpoints.remove(0);
    let sender =
        |number| crate::remote::spawn(endpoint.clone(), number, queue.clone(), CancellationToken::new());
    let senders = [("a".to_owned(), sender(0)), ("b".to_owned(), sender(1))];
    let parts = Parts::new(CancellationToken::new());
    let nothing = tokio::time::timeout(Duration::from_millis(50), parts.first_dead(&senders, &queue));
    assert!(nothing.await.is_err());
    senders[1].1.task.abort();
    assert_eq!(in_time(parts.first_dead(&senders, &queue)).await, "the sender of endpoint b");
    queue.pretend_a_panic();
    assert_eq!(in_time(parts.first_dead(&senders[..1], &queue)).await, "the queue's thread");
}

#[tokio::test]
async fn the_first_end_comes_at_five_seconds_the_next_a_minute_later_and_the_pause_doubles() {
    let dir = tempfile::tempdir().unwrap();
    let storage = Storage::Disk(dir.path().to_owned());
    let fault = Fault::default();
    let start = Instant::now();
    let mut guard = Guard::read(&storage, born(4_700), fault.clone());
    in_time(guard.until_allowed("a part has panicked")).await;
    assert!(start.elapsed() >= Duration::from_millis(300), "not before it is 5 s old");
    assert_eq!(fault.reason(), Some("a part has panicked"));
    assert!(note(dir.path()).unwrap().ends_with(" 60\n"));

    // Of the pause 300 ms are left.
    fs::write(dir.path().join("state").join(NOTE), format!("{} 60\n", now_ms() - 59_700)).unwrap();
    let start = Instant::now();
    let mut guard = Guard::read(&storage, born(10_000), Fault::default());
    in_time(guard.until_allowed("a part has panicked")).await;
    assert!(start.elapsed() >= Duration::from_millis(250));
    assert!(note(dir.path()).unwrap().ends_with(" 120\n"));
}

#[tokio::test]
async fn where_no_note_can_be_kept_the_end_comes_at_a_minute() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "no directory").unwrap();
    for storage in [Storage::Memory, Storage::Disk(dir.path().join("file/queue"))] {
        let start = Instant::now();
        let mut guard = Guard::read(&storage, born(59_700), Fault::default());
        in_time(guard.until_allowed("a part has panicked")).await;
        assert!(start.elapsed() >= Duration::from_millis(300), "{storage:?}");
    }
}

/// An app whose collector panics at its start: no schedule has such an interval, and a build with checks says so.
fn doomed(dir: &Path) -> (App, Control, Commands) {
    let mut config = config(dir);
    config.scrape.interval = Duration::MAX;
    let (control, commands) = control();
    (App::build(config, None).unwrap(), control, commands)
}

#[tokio::test]
async fn a_collector_that_panics_ends_the_process_once_with_its_queue_closed() {
    let dir = tempfile::tempdir().unwrap();
    let (app, control, commands) = doomed(dir.path());
    let fault = Fault::default();
    let start = Instant::now();
    let app = app.self_healing(born(4_500), fault.clone());
    control.start();
    let Ended { ledgers, crashed } = in_time(app.run(commands, CancellationToken::new())).await.unwrap();
    assert_eq!(crashed.as_deref(), Some("the collector"));
    assert!(start.elapsed() >= Duration::from_millis(500), "not before it is 5 s old");
    assert!(fault.reason().unwrap().starts_with("the collector has panicked"));
    assert!(note(dir.path()).is_some());
    assert_eq!(ledgers[0].1.lost_at_exit, 0);
    let next = App::build(config(dir.path()), None).unwrap();
    assert!(next.queue().stats().disk_ok, "the directory is free for the next process");
}

#[tokio::test]
async fn sigterm_is_obeyed_at_once_while_the_end_is_put_off() {
    let dir = tempfile::tempdir().unwrap();
    let (app, control, commands) = doomed(dir.path());
    let fault = Fault::default();
    let app = app.self_healing(Instant::now(), fault.clone());
    let shutdown = CancellationToken::new();
    control.start();
    let terminate = async {
        while fault.reason().is_none() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        shutdown.cancel();
        Instant::now()
    };
    let (ended, told) = in_time(async { tokio::join!(app.run(commands, shutdown.clone()), terminate) }).await;
    assert_eq!(ended.unwrap().crashed, None);
    assert!(told.elapsed() < Duration::from_secs(3), "{:?}", told.elapsed());
    assert_eq!(note(dir.path()), None, "it did not end by itself");
}

#[tokio::test]
async fn run_ends_at_once_whoever_starts_it_again_has_pauses_of_his_own() {
    let dir = tempfile::tempdir().unwrap();
    let (app, control, commands) = doomed(dir.path());
    control.start();
    let ended = in_time(app.run(commands, CancellationToken::new())).await.unwrap();
    assert_eq!(ended.crashed.as_deref(), Some("the collector"));
    assert_eq!(note(dir.path()), None);
}

/// Its queue's thread is said to have panicked while it scrapes, with its endpoint away: the samples that it has queued.
async fn scrape_until_a_crash(dir: &Path) -> u64 {
    let engine = Engine::new(Source::Recording(Box::default()));
    let target = dir.join("metrics.sock");
    let (stop, listener) = (CancellationToken::new(), UnixListener::bind(&target).unwrap());
    let serving = tokio::spawn({
        let (engine, stop) = (engine.clone(), stop.clone());
        async move { engine.serve(listener, stop).await }
    });
    let target = format!("unix://{}", target.display());
    let app = App::build(config_of(&dir.join("queue"), &target, "http://127.0.0.1:1/"), None).unwrap();
    let (queue, (control, commands)) = (app.queue().clone(), control());
    let app = app.self_healing(born(10_000), Fault::default());
    control.start();
    let crash = async {
        assert!(engine.wait_for(2, DEADLINE).await);
        queue.pretend_a_panic();
    };
    let (ended, ()) =
        in_time(async { tokio::join!(app.run(commands, CancellationToken::new()), crash) }).await;
    stop.cancel();
    serving.await.unwrap();
    let Ended { ledgers, crashed } = ended.unwrap();
    assert_eq!(crashed.as_deref(), Some("the queue's thread"));
    let ledger = ledgers[0].1;
    assert!(ledger.appended > 0);
    assert_eq!((ledger.pending, ledger.lost_at_exit), (ledger.appended, 0));
    ledger.appended
}

#[tokio::test]
async fn what_was_queued_outlives_two_crashes_and_is_delivered_by_the_third_process() {
    let dir = tempfile::tempdir().unwrap();
    let queued = Box::pin(scrape_until_a_crash(dir.path())).await;

    let (app, control, commands) = doomed(&dir.path().join("queue"));
    control.start();
    let Ended { ledgers, crashed } = in_time(app.run(commands, CancellationToken::new())).await.unwrap();
    assert_eq!(crashed.as_deref(), Some("the collector"));
    let ledger = ledgers[0].1;
    assert_eq!((ledger.recovered, ledger.pending, ledger.lost_at_exit), (queued, queued, 0));

    let receiver = Receiver::new(Options::default());
    let (stop, listener) = (CancellationToken::new(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let endpoint = format!("http://{}/api/v1/write", listener.local_addr().unwrap());
    let serving = tokio::spawn({
        let (receiver, stop) = (receiver.clone(), stop.clone());
        async move { receiver.serve(listener, stop).await }
    });
    // dockerd never calls StartMetrics, so there is nothing but the backlog.
    let config = config_of(&dir.path().join("queue"), "http://127.0.0.1:1/metrics", &endpoint);
    let app = App::build(config, None).unwrap();
    let (queue, (_control, commands)) = (app.queue().clone(), crate::collector::control());
    let shutdown = CancellationToken::new();
    let delivery = async {
        while queue.ledger(0).pending > 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        shutdown.cancel();
    };
    let (ended, ()) = in_time(async { tokio::join!(app.run(commands, shutdown.clone()), delivery) }).await;
    let ledger = ended.unwrap().ledgers[0].1;
    assert_eq!((ledger.appended, ledger.recovered, ledger.delivered), (0, queued, queued));
    let stored =
        receiver.read(|state| state.store.iter().map(|(_, samples)| samples.len() as u64).sum::<u64>());
    assert_eq!(stored, queued);
    stop.cancel();
    serving.await.unwrap();
}
