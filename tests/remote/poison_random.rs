//! Random poison among random scrapes, and receivers that refuse it in different ways.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{append_scrape, config, queue, start, young};
use crate::support::scripted::{NOTHING, serve};
use crate::support::tsdb::{Manner, Tsdb};

/// What is wrong with a series.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// Refused always, with a 400.
    Always400,
    /// Refused always, with a 500.
    Always500,
    /// The sample of this scrape is late.
    Late(usize),
}

#[derive(Clone, Debug)]
struct Case {
    series: usize,
    scrapes: usize,
    faults: BTreeMap<usize, Fault>,
    max_bytes: usize,
}

fn case() -> impl Strategy<Value = Case> {
    let fault =
        prop_oneof![Just(Fault::Always400), Just(Fault::Always500), (0_usize..4).prop_map(Fault::Late)];
    let faults = proptest::collection::btree_map(0_usize..200, fault, 0..5);
    (1_usize..200, 1_usize..4, faults, prop_oneof![Just(usize::MAX), 400_usize..5000]).prop_map(
        |(series, scrapes, mut faults, max_bytes)| {
            faults.retain(|at, _| *at < series);
            Case { series, scrapes, faults, max_bytes }
        },
    )
}

async fn check(case: Case) -> Result<(), TestCaseError> {
    let Case { series, scrapes, faults, max_bytes } = case;
    let now = young();
    let names: Vec<String> = (0..series).map(|n| format!("m{n}")).collect();
    let at = move |scrape: usize| now - 100 + i64::try_from(scrape).unwrap();
    let faulty: BTreeMap<String, Fault> =
        faults.iter().map(|(n, fault)| (names[*n].clone(), *fault)).collect();
    let is_bad = move |series: &str, timestamp: i64| match faulty.get(series)? {
        Fault::Always400 => Some((400, "not this one")),
        Fault::Always500 => Some((500, "oops")),
        Fault::Late(scrape) => (at(*scrape) == timestamp).then_some((400, "out of order sample")),
    };
    let rule = is_bad.clone();
    let tsdb = Tsdb::new(Manner::RollsBack).refusing(is_bad).up_to(max_bytes, 413, "");
    let server = serve(NOTHING).await;
    server.otherwise(tsdb.step());
    let queue = queue();
    for scrape in 0..scrapes {
        append_scrape(&queue, &names.iter().map(|name| (name.as_str(), at(scrape))).collect::<Vec<_>>());
    }
    // Somebody must get through, or a 500 is the server's own trouble.
    append_scrape(&queue, &[("last", now)]);
    let running = start(config(&server.url("/")), &queue);
    running.until_done().await;

    let mut good = 1;
    let mut bad = BTreeSet::new();
    for name in &names {
        let times = (0..scrapes).map(at);
        let expected: Vec<i64> = times.clone().filter(|time| rule(name, *time).is_none()).collect();
        prop_assert_eq!(tsdb.timestamps(name), expected.clone(), "{}", name);
        good += expected.len() as u64;
        bad.extend(times.filter(|time| rule(name, *time).is_some()).map(|time| (name.clone(), time)));
    }
    let ledger = queue.ledger(0);
    prop_assert_eq!((ledger.delivered, ledger.rejected), (good, bad.len() as u64));
    let metrics = running.sender.metrics.snapshot();
    prop_assert_eq!(metrics.rejected.values().sum::<u64>(), ledger.rejected);

    // About 2 log2 n for each series that is at fault; a 500 is repeated before it is believed.
    let samples = (series * scrapes + 1) as u64;
    let log2 = u64::from(64 - samples.leading_zeros());
    let pieces = if max_bytes == usize::MAX { 1 } else { metrics.requests_split + samples / 5 };
    let of = |status: fn(&Fault) -> bool| faults.values().filter(|fault| status(fault)).count() as u64;
    let quick = of(|fault| !matches!(fault, Fault::Always500)) * (2 * log2 + 4);
    let slow = of(|fault| matches!(fault, Fault::Always500)) * (scrapes as u64) * (4 * log2 + 20);
    let requests = server.seen().len() as u64;
    prop_assert!(requests <= pieces + 2 + quick + slow, "{} requests", requests);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_good_sample_is_stored_once_in_order_and_every_bad_one_is_booked(case in case()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(check(case))?;
    }
}
