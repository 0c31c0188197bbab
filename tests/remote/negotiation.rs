//! Which message an endpoint is sent (receivers section 5): 2.0 first, 1.0 where that is not taken, and nothing lost on the way.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use docker_remote_write::remote::{Learned, ProtobufMessage, Version};
use docker_remote_write::wire::decode::{decode_v1, decode_v2};
use proptest::prelude::*;

use super::*;
use crate::support::scripted::{Answer, Judge, NOTHING, Scripted, Step, serve, status};

const MAX: usize = 64 << 20;

fn auto(server: &Scripted) -> Config {
    Config { message: ProtobufMessage::Auto, ..config(&server.url("/w")) }
}

fn written(code: u16, samples: u64) -> Answer {
    status(code).header("X-Prometheus-Remote-Write-Samples-Written", samples.to_string())
}

/// The version of a request by what is in it, and its timestamps.
fn read(body: &[u8]) -> (Version, Vec<i64>) {
    let v1: Vec<i64> = decode_v1(body, MAX)
        .map(|request| {
            request.timeseries.iter().flat_map(|series| &series.samples).map(|s| s.timestamp).collect()
        })
        .unwrap_or_default();
    if !v1.is_empty() {
        return (Version::V1, v1);
    }
    let v2 = decode_v2(body, MAX).unwrap();
    assert_eq!(v2.symbols[0], "");
    (Version::V2, v2.timeseries.iter().flat_map(|series| &series.samples).map(|s| s.timestamp).collect())
}

fn versions(server: &Scripted) -> Vec<(Version, Vec<i64>)> {
    server.seen().iter().map(|seen| read(&seen.body)).collect()
}

fn assert_headers(seen: &Seen) {
    let (content_type, version) = match read(&seen.body).0 {
        Version::V1 => ("application/x-protobuf", "0.1.0"),
        Version::V2 => ("application/x-protobuf;proto=io.prometheus.write.v2.Request", "2.0.0"),
    };
    assert_eq!(seen.header("content-type").as_deref(), Some(content_type));
    assert_eq!(seen.header("x-prometheus-remote-write-version").as_deref(), Some(version));
    assert_eq!(seen.header("content-encoding").as_deref(), Some("snappy"));
}

#[tokio::test]
async fn rw_2_01_and_2_03_and_2_04_a_receiver_of_2_0_gets_records_untouched() {
    let server = serve([written(204, 3)]).await;
    server.otherwise(written(204, 1));
    let queue = queue();
    let now = young();
    append(&queue, &[now, now + 1, now + 2]);
    let payload = queue.read(0).await.unwrap().unwrap().payload;
    let running = start(auto(&server), &queue);
    running.until_done().await;
    assert_eq!(server.seen()[0].body, payload, "byte for byte");
    append(&queue, &[now + 3]);
    running.until_done().await;
    assert_eq!(versions(&server), [(Version::V2, vec![now, now + 1, now + 2]), (Version::V2, vec![now + 3])]);
    server.seen().iter().for_each(assert_headers);
    assert_eq!(*running.sender.learned.borrow(), Learned::V2);
    let metrics = running.sender.metrics.snapshot();
    assert_eq!((metrics.version, metrics.samples_unconfirmed), (Some(Version::V2), 0));
}

#[tokio::test]
async fn rw_2_18_and_2_20_a_receiver_of_1_0_gets_the_same_samples_at_once_and_then_1_0_only() {
    for first in [
        status(415),
        status(204),
        status(200),
        status(400),
        status(404),
        status(405),
        status(406),
        status(501),
    ] {
        let said = format!("{first:?}");
        let server = serve([first]).await;
        let queue = queue();
        let now = young();
        append(&queue, &[now, now + 1]);
        // A wait would be seen as a deadline missed.
        let slow = Config { min_backoff: DEADLINE, max_backoff: DEADLINE, ..auto(&server) };
        let running = start(slow, &queue);
        running.until_done().await;
        append(&queue, &[now + 2]);
        running.until_done().await;
        let both = vec![now, now + 1];
        let expected = [(Version::V2, both.clone()), (Version::V1, both), (Version::V1, vec![now + 2])];
        assert_eq!(versions(&server), expected, "{said}");
        server.seen().iter().for_each(assert_headers);
        assert!(matches!(*running.sender.learned.borrow(), Learned::V1 { .. }));
        let ledger = queue.ledger(0);
        assert_eq!((ledger.delivered, ledger.rejected), (3, 0));
    }
}

#[tokio::test]
async fn what_is_remembered_is_not_asked_again_before_a_day_is_over() {
    for (age, first) in [(0, Version::V1), (23, Version::V1), (25, Version::V2)] {
        let server = serve(NOTHING).await;
        let queue = queue();
        append(&queue, &[young()]);
        let learned = Learned::V1 { since: young() - age * 3_600_000 };
        let running = start_with(auto(&server), &queue, Tuning { learned, ..quick() });
        running.until_done().await;
        assert_eq!(versions(&server)[0].0, first, "after {age} hours");
    }
}

#[tokio::test]
async fn rw_2_19_written_counts_are_compared_and_decide_nothing() {
    // Cortex: another replica is elected; Mimir: less is counted than was sent.
    let server = serve([written(202, 0), written(204, 1)]).await;
    let queue = queue();
    let now = young();
    let running = start(auto(&server), &queue);
    append(&queue, &[now, now + 1]);
    running.until_done().await;
    append(&queue, &[now + 2, now + 3]);
    running.until_done().await;
    assert_eq!(server.seen().len(), 2);
    assert_eq!(running.sender.metrics.snapshot().samples_unconfirmed, 3);
    assert_eq!(queue.ledger(0).delivered, 4);
}

#[tokio::test]
async fn a_pinned_2_0_is_held_and_loses_nothing_where_it_is_not_taken() {
    let server = serve([status(415), status(204)]).await;
    server.otherwise(written(204, 2));
    let queue = queue();
    let now = young();
    append(&queue, &[now, now + 1]);
    let pinned = Config { message: ProtobufMessage::V2, ..auto(&server) };
    let running = start(pinned, &queue);
    running.until_done().await;
    assert_eq!(versions(&server), vec![(Version::V2, vec![now, now + 1]); 3]);
    assert_eq!(queue.ledger(0).delivered, 2);
}

/// What a receiver understands.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Both,
    V1Says415,
    V1Says204,
    V1Says400,
    V2,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Normal,
    Busy,
    Dropped,
    AnswerLost,
}

#[derive(Debug, Default)]
struct Store {
    script: Vec<(Kind, Fate)>,
    /// Of each sample: how often it was stored, and how often its answer was lost.
    stored: HashMap<i64, (usize, usize)>,
    doubled: Vec<i64>,
}

fn judge(store: &Arc<Mutex<Store>>) -> Judge {
    let store = Arc::clone(store);
    Arc::new(move |body: &Bytes| {
        let mut store = store.lock().unwrap();
        let (version, timestamps) = read(body);
        let (kind, fate) = store.script.pop().unwrap_or((Kind::Both, Fate::Normal));
        match fate {
            Fate::Busy => return status(503).into(),
            Fate::Dropped => return Step::Close,
            Fate::Normal | Fate::AnswerLost => {}
        }
        let foreign = match (kind, version) {
            (Kind::Both, _) | (Kind::V2, Version::V2) => None,
            (Kind::V1Says415 | Kind::V1Says204 | Kind::V1Says400, Version::V1) => None,
            (Kind::V1Says415, Version::V2) | (Kind::V2, Version::V1) => Some(415),
            (Kind::V1Says204, Version::V2) => Some(204),
            (Kind::V1Says400, Version::V2) => Some(400),
        };
        if let Some(code) = foreign {
            return status(code).into();
        }
        let is_lost = matches!(fate, Fate::AnswerLost);
        for timestamp in &timestamps {
            let (stored, lost) = store.stored.entry(*timestamp).or_default();
            *stored += 1;
            *lost += usize::from(is_lost);
            // Each lost answer allows one more.
            if *stored > *lost + 1 {
                store.doubled.push(*timestamp);
            }
        }
        if is_lost {
            return Step::Close;
        }
        match version {
            Version::V1 => status(204).into(),
            Version::V2 => written(204, timestamps.len() as u64).into(),
        }
    })
}

fn any_script() -> impl Strategy<Value = Vec<(Kind, Fate)>> {
    let kind = prop::sample::select(vec![Kind::Both, Kind::V1Says415, Kind::V1Says204, Kind::V2]);
    let fate =
        prop::sample::select(vec![Fate::Normal, Fate::Normal, Fate::Busy, Fate::Dropped, Fate::AnswerLost]);
    // A 400 speaks of the message only until 2.0 is proven.
    let old = prop::collection::vec((Just(Kind::V1Says400), fate.clone()), 0..6);
    let runs = prop::collection::vec((kind, prop::collection::vec(fate, 1..5)), 0..5);
    (runs, old).prop_map(|(runs, old)| {
        let runs = runs.into_iter().flat_map(|(kind, fates)| fates.into_iter().map(move |fate| (kind, fate)));
        // Taken from the end.
        runs.chain(old).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// In any order of answers, with restarts in between: nothing is lost, nothing comes twice but after a lost answer, the ledger closes.
    #[test]
    fn in_any_order_of_answers_nothing_is_lost_or_doubled(script in any_script(), restart_after in 0..4_usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let store = Arc::new(Mutex::new(Store { script, ..Store::default() }));
            let server = serve(NOTHING).await;
            server.otherwise(Step::Judge(judge(&store)));
            let queue = queue();
            let now = young();
            let config = Config { max_samples_per_send: 3, ..auto(&server) };
            let mut running = start(config.clone(), &queue);
            for record in 0..4_i64 {
                let first = now + 10 * record;
                append(&queue, &[first, first + 1]);
                if record as usize == restart_after {
                    let learned = *running.sender.learned.borrow();
                    running.cancel.cancel();
                    (&mut running.sender.task).await.unwrap();
                    running = start_with(config.clone(), &queue, Tuning { learned, ..quick() });
                }
            }
            running.until_done().await;
            let store = store.lock().unwrap();
            let ledger = queue.ledger(0);
            assert_eq!((ledger.appended, ledger.delivered, ledger.rejected, ledger.pending), (8, 8, 0, 0));
            assert_eq!(store.stored.len(), 8, "lost: {:?}", store.stored);
            // A restart gives a request up whose answer may be on its way.
            assert!(store.doubled.len() <= 3, "doubled: {:?} {:?}", store.doubled, store.stored);
            server.seen().iter().for_each(assert_headers);
        });
    }
}
