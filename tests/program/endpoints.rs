//! Several endpoints: each with a backlog of its own, none in the way of another.

use std::net::SocketAddr;

use docker_remote_write::receiver::{Answer, Options, Receiver, Reply, State};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::telemetry::{at, status};
use super::{DEADLINE, World};
use crate::support::program::Books;

/// A strict receiver beside the world's own.
struct Second {
    receiver: Receiver,
    address: SocketAddr,
    _stop: DropGuard,
}

impl Second {
    async fn new() -> Self {
        let receiver = Receiver::new(Options::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let (serving, ended) = (receiver.clone(), stop.clone());
        tokio::spawn(async move { serving.serve(listener, ended).await });
        Self { receiver, address, _stop: stop.drop_guard() }
    }

    fn block(&self, name: &str) -> String {
        format!("- url: http://{}/api/v1/write\n  name: {name}\n", self.address)
    }

    fn ups(&self) -> usize {
        self.receiver.read(ups)
    }

    async fn until_ups(&self, count: usize) {
        self.receiver.wait_until(|state| ups(state) >= count, DEADLINE).await.unwrap();
    }
}

fn ups(state: &State) -> usize {
    state.count(&[("__name__", "up"), ("job", "docker")])
}

#[tokio::test]
async fn an_endpoint_that_never_answers_is_in_nobodys_way() {
    let world = World::new().await;
    let black_hole = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = black_hole.local_addr().unwrap();
    let config =
        format!("- url: http://{address}/w\n  name: hole\n- url: http://127.0.0.1:1/w\n  name: refused\n");
    let mut program = world.run(&[("REMOTE_WRITE_CONFIG", &config)]);
    program.says("endpoint=refused").await;
    for scrapes in 1..=4 {
        assert!(world.engine.wait_for(scrapes, DEADLINE).await);
        world.until_ups(scrapes).await;
    }
    world
        .receiver
        .wait_until(|state| pending(state, "hole") > 0.0 && pending(state, "refused") > 0.0, DEADLINE)
        .await
        .unwrap();
    let (status, said, _) = program.terminated().await;
    assert!(status.success(), "{said}");
    for name in ["hole", "refused"] {
        let kept = said
            .lines()
            .find(|line| line.contains(&format!("endpoint={name} ")) && line.contains("stay in the queue"));
        assert!(kept.is_some(), "{name}: {said}");
    }
    world.assert_strict();
}

/// The newest value of our own gauge.
fn pending(state: &State, endpoint: &str) -> f64 {
    let wanted = [("__name__", "docker_remote_write_samples_pending"), ("endpoint", endpoint)];
    let mut series = state.store.select(&wanted);
    series.next().and_then(|(_, samples)| samples.last()).map_or(0.0, |sample| sample.value())
}

#[tokio::test]
async fn each_endpoint_has_a_backlog_of_its_own_over_a_restart() {
    let world = World::new().await;
    let second = Second::new().await;
    second.receiver.answer(Answer::status(503));
    let config = second.block("second");
    let program = world.run(&[("REMOTE_WRITE_CONFIG", &config)]);
    world.until_ups(3).await;
    program.killed();
    let seen = world.ups();
    second.receiver.answer(Answer::Normal);
    let program = world.run(&[("REMOTE_WRITE_CONFIG", &config)]);
    // Everything of the first process: what it had delivered to the one, the other still gets.
    second.until_ups(seen + 1).await;
    let (status, said, _) = program.terminated().await;
    assert!(status.success(), "{said}");
    world.assert_strict();
    second.receiver.read(|state| {
        assert_eq!(state.violation_count, 0, "{:?}", state.violations);
        assert_eq!(state.duplicates, 0);
    });
}

#[tokio::test]
async fn a_name_that_goes_is_counted_and_a_name_that_comes_beside_others_begins_with_the_newest() {
    let world = World::new().await;
    let second = Second::new().await;
    world.receiver.answer(Answer::status(503));
    let program = world.run(&[]);
    assert!(world.engine.wait_for(3, DEADLINE).await);
    let (status, _, _) = program.terminated().await;
    assert!(status.success());
    let scraped = world.engine.scrapes();

    // A new name beside the old one takes nothing of the old one's backlog.
    let config = second.block("second");
    let program = world.run(&[("REMOTE_WRITE_CONFIG", &config)]);
    second.until_ups(1).await;
    let (_, said, _) = program.terminated().await;
    let later = world.engine.scrapes() - scraped;
    assert!(second.ups() <= later, "{} of {later}: {said}", second.ups());

    // The old name goes: what it had not taken is counted and said.
    let mut program = world.run(&[("REMOTE_WRITE_URL", ""), ("REMOTE_WRITE_CONFIG", &config)]);
    program.says("samples it had not taken are counted as endpoint_removed").await;
    let removed = |state: &State| {
        let wanted =
            [("__name__", "docker_remote_write_samples_dropped_total"), ("reason", "endpoint_removed")];
        state.count(&wanted) > 0
    };
    second.receiver.wait_until(removed, DEADLINE).await.unwrap();
    program.terminated().await;
    assert_eq!(world.ups(), 0, "the first receiver took something after all");
}

#[tokio::test]
async fn rw_2_19_the_ledger_names_what_of_delivered_an_endpoint_has_not_confirmed() {
    let (world, second) = (World::new().await, Second::new().await);
    // It stores everything, and says each time that it has written one sample.
    second.receiver.answer(Answer::StorePart { series: usize::MAX, reply: Reply::written(204, 1) });
    let pages = world.path("pages.sock");
    let address = format!("unix:{}", pages.display());
    let block = second.block("short");
    let mut program = world.run(&[("REMOTE_WRITE_CONFIG", &block), ("TELEMETRY_ADDRESS", &address)]);
    program.says("serving /metrics").await;
    // One request at a time: at the second one, the first is booked.
    world.until_ups(2).await;
    second.until_ups(2).await;
    let page = status(at(&pages));
    let unconfirmed = |number: usize| page["endpoints"][number]["unconfirmed"].as_u64().unwrap();
    assert_eq!((unconfirmed(0), &page["endpoints"][1]["name"]), (0, &"short".into()), "{page}");
    assert!(unconfirmed(1) > 0 && unconfirmed(1) < page["endpoints"][1]["delivered"].as_u64().unwrap());

    let (ended, said, _) = program.terminated().await;
    assert!(ended.success(), "{said}");
    let [all, short] = ["default", "short"].map(|endpoint| Books::of(endpoint, &said));
    all.assert_closed();
    short.assert_closed();
    assert_eq!(all.unconfirmed, 0, "{said}");
    let sent: Vec<u64> =
        second.receiver.read(|state| state.requests.iter().map(|request| request.samples).collect());
    // The last answer may have come too late to be read.
    let mut delivered = 0;
    let booked = sent.iter().take_while(|samples| {
        delivered += **samples;
        delivered <= short.delivered
    });
    let expected = booked.map(|samples| samples - 1).sum::<u64>();
    assert!(expected > 0);
    assert_eq!(short.unconfirmed, expected, "{sent:?} {said}");
}
