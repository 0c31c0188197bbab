//! remote-write 3.07: what one process leaves open, the next one ends or goes on with.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::super::super::open_series::ChangeKind;
use super::*;
use crate::model::SampleKind;

/// A target whose open series are kept as whoever reads the changes would keep them.
struct Kept {
    target: Target,
    open: BTreeSet<Labels>,
}

impl Kept {
    fn new(rules: Rules, left: BTreeSet<Labels>) -> Self {
        let mut target = Target::new(rules);
        target.ingest.restore(left.iter().map(|labels| (labels.clone(), SampleKind::Float)));
        Self { target, open: left }
    }

    fn restarted(self, rules: Rules) -> Self {
        Self::new(rules, self.open)
    }

    fn follow(&mut self) {
        let ingest = &self.target.ingest;
        let mut before = 0;
        for change in ingest.changes() {
            let labels = ingest.describe(change.slot).labels;
            let fits = match change.kind {
                ChangeKind::Opened => self.open.insert(labels.clone()),
                ChangeKind::Ended => self.open.remove(labels),
            };
            assert!(fits, "{:?} twice: {labels}", change.kind);
            assert!(change.sample >= before && change.sample <= ingest.samples().len(), "{change:?}");
            if let Some(sample) = ingest.samples().get(change.sample) {
                assert_eq!(sample.slot, change.slot);
                assert_eq!(is_stale_marker(sample.value), change.kind == ChangeKind::Ended);
            }
            before = change.sample;
        }
        let open: BTreeSet<_> = ingest.open_series().map(|(labels, _)| labels.clone()).collect();
        assert_eq!(open, self.open);
    }

    fn scrape(&mut self, timestamp: i64, body: &str) -> Vec<String> {
        let (samples, _) = self.target.scrape(timestamp, body);
        self.follow();
        samples
    }

    fn fail(&mut self, timestamp: i64) -> Vec<String> {
        let (samples, _) = self.target.fail(timestamp);
        self.follow();
        samples
    }

    fn end_all(&mut self, timestamp: i64) -> Vec<String> {
        self.target.ingest.end_all(timestamp);
        self.follow();
        self.target.samples()
    }

    fn open(&self) -> Vec<String> {
        self.open.iter().map(|labels| labels.get("__name__").unwrap_or_default().to_owned()).collect()
    }
}

fn synthetic() -> Rules {
    Rules { synthetic_series: true, ..rules() }
}

#[test]
fn rw_3_07_synthetic_series_whose_labels_are_known_only_after_the_start_go_on() {
    let mut kept = Kept::new(synthetic(), BTreeSet::new());
    kept.scrape(1, "a 1\n");
    let rules = Rules { target_labels: Labels::default(), ..synthetic() };
    let mut kept = kept.restarted(rules);
    let Rules { target_labels, external_labels, .. } = synthetic();
    kept.target.ingest.rename(&target_labels, &external_labels);
    for timestamp in 2..4 {
        let samples = kept.scrape(timestamp, "a 1\n");
        assert_eq!(samples.len(), 6, "{samples:?}");
        assert!(!samples.iter().any(|sample| sample.contains("stale")), "{samples:?}");
    }
    assert_eq!(kept.open().len(), 6);
}

#[test]
fn rw_3_07_the_first_good_scrape_ends_what_vanished_meanwhile_and_the_rest_goes_on() {
    let mut kept = Kept::new(rules(), BTreeSet::new());
    kept.scrape(1, "a{x=\"1\"} 1\nb 2\nc 3\n");
    let mut kept = kept.restarted(rules());
    assert_eq!(kept.scrape(2, "b 2\nd 4\n"), ["b 2@2", "d 4@2", "a{x=\"1\"} stale@2", "c stale@2"]);
    assert_eq!(kept.open(), ["b", "d"]);
    assert_eq!(kept.scrape(3, "b 2\n"), ["b 2@3", "d stale@3"], "no second marker");
    assert_eq!(kept.scrape(4, "a{x=\"1\"} 1\nb 2\n"), ["a{x=\"1\"} 1@4", "b 2@4"]);
}

#[test]
fn rw_3_07_a_failing_first_scrape_ends_nothing_of_the_old_set_and_the_first_good_one_does() {
    let mut kept = Kept::new(synthetic(), BTreeSet::new());
    kept.scrape(1, "a 1\nb 2\n");
    let mut kept = kept.restarted(synthetic());
    assert_eq!(kept.fail(2)[0], "up 0@2");
    assert_eq!(kept.scrape(3, "a 1\nbroken line {\n")[0], "up 0@3");
    assert_eq!(kept.open().len(), 7, "everything is still open");
    let samples = kept.scrape(4, "b 2\n");
    assert_eq!(samples[..2], ["b 2@4", "a stale@4"]);
    let mut kept = kept.restarted(synthetic());
    assert_eq!(kept.fail(5)[0], "up 0@5");
    let mut kept = kept.restarted(synthetic());
    assert_eq!(
        kept.scrape(6, "a 1\n")[..2],
        ["a 1@6", "b stale@6"],
        "a process that never saw a good scrape hands on what it got"
    );
}

#[test]
fn rw_3_07_what_a_failed_scrape_has_ended_is_not_ended_again_by_the_next_process() {
    let mut kept = Kept::new(rules(), BTreeSet::new());
    kept.scrape(1, "a 1\nb 2\n");
    kept.fail(2);
    assert!(kept.open.is_empty());
    let mut kept = kept.restarted(rules());
    assert_eq!(kept.scrape(3, "b 2\n"), ["b 2@3"]);
}

#[test]
fn rw_3_07_changed_target_labels_end_the_old_series_with_their_old_labels_the_synthetic_ones_too() {
    let mut kept = Kept::new(synthetic(), BTreeSet::new());
    kept.scrape(1, "a 1\n");
    let renamed = Rules {
        target_labels: Labels::from_iter([("job", "other")]),
        external_labels: Labels::from_iter([("cluster", "prod")]),
        ..synthetic()
    };
    let mut kept = kept.restarted(renamed);
    let failed = kept.fail(2);
    assert!(failed.iter().all(|sample| sample.contains("job=\"other\"") && !sample.contains("stale")));
    let samples = kept.scrape(3, "a 1\n");
    let (stale, live): (Vec<_>, Vec<_>) = samples.iter().partition(|sample| sample.contains("stale@3"));
    assert_eq!((stale.len(), live.len()), (6, 6));
    assert!(live.iter().all(|sample| sample.contains("cluster=\"prod\",job=\"other\"")), "{live:?}");
    assert!(stale.iter().all(|sample| !sample.contains("cluster")), "{stale:?}");
    assert!(stale.contains(&&"up stale@3".to_owned()), "{stale:?}");
}

#[test]
fn rw_3_07_series_with_timestamps_of_their_own_are_not_kept() {
    let mut kept = Kept::new(rules(), BTreeSet::new());
    kept.scrape(10, "own 1 5\nplain 1\nboth 1 5\nboth{} 2\n");
    assert_eq!(kept.open(), ["both", "plain"]);
    let mut kept = kept.restarted(rules());
    assert_eq!(kept.scrape(20, "plain 1 15\n"), ["plain 1@15", "both stale@20", "plain stale@20"]);
    assert!(kept.open.is_empty());
}

#[test]
fn rw_3_07_the_end_of_the_target_leaves_nothing_to_end() {
    let mut kept = Kept::new(synthetic(), BTreeSet::new());
    kept.scrape(1, "a 1\n");
    assert_eq!(kept.end_all(2).len(), 6);
    assert!(kept.open.is_empty());

    kept.scrape(3, "a 1\n");
    let mut kept = kept.restarted(synthetic());
    kept.fail(4);
    assert_eq!(kept.end_all(5).len(), 6, "also what was never seen by this process");
    assert!(kept.open.is_empty());
    let mut kept = Kept::new(synthetic(), BTreeSet::from([Labels::from_iter([("__name__", "a")])]));
    assert_eq!(kept.end_all(5), ["a stale@5"]);
}

#[test]
fn rw_3_07_without_a_scrape_an_end_of_the_target_ends_what_was_restored() {
    let mut kept = Kept::new(synthetic(), BTreeSet::new());
    kept.scrape(1, "a 1\n");
    let mut kept = kept.restarted(synthetic());
    assert_eq!(kept.end_all(2).len(), 6);
    assert!(kept.end_all(3).is_empty());
}

#[test]
fn a_series_that_leaves_without_a_marker_is_not_kept_either() {
    let mut kept = Kept::new(rules(), BTreeSet::new());
    kept.scrape(10, "a 1\nb 1\n");
    assert!(kept.scrape(5, "b 1\n").is_empty(), "the clock was set back: 3.09");
    assert!(kept.open.is_empty(), "nor is one of which nothing could be stored");
    kept.scrape(11, "b 1\n");
    assert_eq!(kept.open(), ["b"]);
}

#[test]
fn a_series_whose_samples_were_all_dropped_was_never_open() {
    let mut kept = Kept::new(Rules { honor_timestamps: true, ..rules() }, BTreeSet::new());
    kept.scrape(10, "a 1 9\n");
    kept.scrape(5, "a 1\n");
    assert!(kept.open.is_empty());
}

#[test]
fn a_steady_set_changes_nothing() {
    let mut kept = Kept::new(synthetic(), BTreeSet::new());
    for at in 1..10 {
        kept.scrape(at, "a 1\nb 2\nc 3 5\n");
        assert_eq!(kept.target.ingest.changes().len(), if at == 1 { 7 } else { 0 });
    }
}

#[derive(Clone, Debug)]
enum Event {
    Scrape(BTreeSet<u8>),
    Failure,
    Broken(BTreeSet<u8>),
    /// The engine stops; whether markers are wanted.
    Stop(bool),
    /// A new process, which perhaps gives other labels; of the changes of the scrape before the kill, and its samples, nothing is left if so.
    Restart {
        renamed: bool,
        lost: bool,
    },
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let some = || prop::collection::btree_set(0..6_u8, 0..6);
    let event = prop_oneof![
        5 => some().prop_map(Event::Scrape),
        1 => Just(Event::Failure),
        1 => some().prop_map(Event::Broken),
        1 => any::<bool>().prop_map(Event::Stop),
        3 => (prop::bool::weighted(0.2), any::<bool>()).prop_map(|(renamed, lost)| Event::Restart { renamed, lost }),
    ];
    prop::collection::vec(event, 1..30)
}

/// What a receiver holds.
#[derive(Clone, Default)]
struct Receiver {
    /// Whether the newest sample of a series is a marker.
    ended: BTreeMap<Labels, bool>,
}

impl Receiver {
    fn take(&mut self, ingest: &Ingest) {
        for sample in ingest.samples() {
            let labels = ingest.describe(sample.slot).labels.clone();
            let marker = is_stale_marker(sample.value);
            let before = self.ended.insert(labels.clone(), marker);
            assert!(!marker || before == Some(false), "{labels} ends twice, or before it began");
        }
    }

    fn alive(&self) -> BTreeSet<Labels> {
        self.ended.iter().filter(|(_, ended)| !**ended).map(|(labels, _)| labels.clone()).collect()
    }
}

fn exposition(series: &BTreeSet<u8>) -> String {
    // Some come under two spellings, in the order of the set.
    series.iter().map(|n| format!("m{{n=\"{n}\"{}}} 1\n", if n % 2 == 0 { "," } else { "" })).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_000) })]

    #[test]
    fn rw_3_07_whatever_happens_every_series_that_vanished_ends_once_and_none_that_lives(events in events()) {
        let rules = |renamed: bool| Rules {
            target_labels: Labels::from_iter([("job", if renamed { "other" } else { "docker" })]),
            ..synthetic()
        };
        let mut renamed = false;
        let mut kept = Kept::new(rules(renamed), BTreeSet::new());
        let mut receiver = Receiver::default();
        let mut durable = (receiver.clone(), kept.open.clone());
        for (at, event) in (1..).zip(events) {
            let before = (receiver.clone(), kept.open.clone());
            let mut good = None;
            match event {
                Event::Scrape(series) => {
                    kept.scrape(at * 10, &exposition(&series));
                    good = Some(series.len() + 5);
                }
                Event::Broken(series) => {
                    kept.scrape(at * 10, &(exposition(&series) + "broken line {\n"));
                }
                Event::Failure => {
                    kept.fail(at * 10);
                }
                Event::Stop(true) => {
                    kept.end_all(at * 10);
                    good = Some(0);
                }
                Event::Stop(false) => continue,
                Event::Restart { renamed: changed, lost } => {
                    renamed ^= changed;
                    let open = if lost {
                        receiver = durable.0.clone();
                        durable.1.clone()
                    } else {
                        kept.open
                    };
                    kept = Kept::new(rules(renamed), open);
                    durable = (receiver.clone(), kept.open.clone());
                    continue;
                }
            }
            durable = before;
            receiver.take(&kept.target.ingest);
            prop_assert_eq!(&receiver.alive(), &kept.open, "what is kept is what lives");
            if let Some(expected) = good {
                prop_assert_eq!(receiver.alive().len(), expected, "after a good scrape lives what it had, and nothing else");
            }
        }
    }
}
