//! Rules, labels and roles that change while a target's series are known: what is gone ends, what stays goes on.

use std::collections::BTreeSet;

use docker_remote_write::relabel::Preset;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

const A: &str = r#"a{cluster="prod",instance="host",job="docker"}"#;
const B: &str = r#"b{cluster="prod",instance="host",job="docker"}"#;

#[test]
fn new_rules_end_what_they_drop_and_leave_alone_what_they_keep() {
    let mut target = Target::new(Relabelling::default());
    target.scrape(1, "a 1\nb 1\n");
    target.0.relabel(ruled("- {source_labels: [__name__], regex: b, action: drop}"));
    assert_eq!(target.scrape(2, "a 2\nb 2\n").0, [format!("{A} 2"), format!("{B} stale")]);
    assert_eq!(target.scrape(3, "a 3\nb 3\n").0, [format!("{A} 3")]);
    target.0.relabel(Relabelling::default());
    assert_eq!(target.scrape(4, "a 4\nb 4\n").0, [format!("{A} 4"), format!("{B} 4")]);
}

#[test]
fn rw_3_02_new_rules_and_a_scrape_that_fails_end_everything_once() {
    let mut target = Target::new(Relabelling::default());
    target.scrape(1, "a 1\nb 1\n");
    target.0.relabel(ruled("- {source_labels: [__name__], regex: b, action: drop}"));
    assert_eq!(target.scrape(2, "a 2\nb 2\noops\n").0, [format!("{A} stale"), format!("{B} stale")]);
    assert_eq!(target.scrape(3, "a 3\nb 3\n").0, [format!("{A} 3")]);
}

#[test]
fn new_labels_end_every_series_and_begin_all_of_them_anew() {
    let mut target = Target(Ingest::new(Rules { synthetic_series: true, ..defaults() }));
    target.scrape(1, "a 1\nb{instance=\"own\"} 1\n");
    let named = |instance| Labels::from_iter([("instance", instance), ("job", "docker")]);
    target.0.rename(&named("new"), &Labels::from_iter([("cluster", "prod")]));
    let (samples, report) = target.scrape(2, "a 2\nb{instance=\"own\"} 2\n");
    let (ended, begun): (Vec<_>, Vec<_>) = samples.iter().partition(|sample| sample.ends_with(" stale"));
    assert_eq!((ended.len(), begun.len(), report.markers), (7, 7, 7), "{samples:?}");
    assert!(ended.iter().all(|sample| sample.contains("instance=\"host\"")), "{ended:?}");
    assert!(begun.iter().all(|sample| sample.contains("instance=\"new\"")), "{begun:?}");
    assert_eq!(target.scrape(3, "a 3\nb{instance=\"own\"} 3\n").1.markers, 0);
    assert_eq!(target.0.end_all(4), 7, "what ended under the old labels does not end again");
}

#[test]
fn a_target_that_is_renamed_and_then_fails_or_goes_ends_its_old_synthetic_series_too() {
    let new = Labels::from_iter([("instance", "new")]);
    for last in [false, true] {
        let mut target = Target(Ingest::new(Rules { synthetic_series: true, ..defaults() }));
        target.scrape(1, "a 1\n");
        target.0.rename(&new, &Labels::default());
        if last {
            assert!(target.0.last_scrape(b"oops\n", 2, Instant::now()).is_err());
            assert_eq!(target.0.end_all(3), 6);
            continue;
        }
        let failure = ScrapeError::Status { target: "t".into(), status: 500 };
        assert_eq!(target.0.scrape(Err(failure), 2, Instant::now()).markers, 6);
        assert!(target.samples().contains(&r#"up{instance="new"} 0"#.to_owned()), "{:?}", target.samples());
    }
}

#[test]
fn labels_of_a_target_that_was_never_scraped_are_replaced_without_a_trace() {
    let mut target = Target(Ingest::new(Rules { synthetic_series: true, ..defaults() }));
    target.0.rename(&Labels::from_iter([("instance", "new")]), &Labels::default());
    let (samples, report) = target.scrape(1, "a 1\n");
    assert_eq!((samples.len(), report.markers), (6, 0));
}

#[test]
fn a_series_whose_label_the_target_does_not_decide_goes_on_under_new_labels_of_the_target() {
    let mut target = Target(Ingest::new(Rules { honor_labels: true, ..defaults() }));
    target.scrape(1, "a{instance=\"own\"} 1\nb 1\n");
    target.0.rename(
        &Labels::from_iter([("instance", "new"), ("job", "docker")]),
        &Labels::from_iter([("cluster", "prod")]),
    );
    let (samples, report) = target.scrape(2, "a{instance=\"own\"} 2\nb 2\n");
    assert_eq!((samples.len(), report.markers), (3, 1), "{samples:?}");
    assert_eq!(samples[0], r#"a{cluster="prod",instance="own",job="docker"} 2"#);
}

#[test]
fn the_preset_engine_follows_the_role_of_the_node() {
    let mut relabelling = Relabelling::default();
    relabelling.names.preset = Preset::Engine;
    let mut target = Target::new(relabelling);
    let body = |role| format!("engine_a 1\nswarm_b 1\nswarm_node_manager {role}\n");
    let mut scrape = |timestamp, role| {
        let (samples, report) = target.scrape(timestamp, &body(role));
        (samples.len(), report.markers, report.filtered)
    };
    assert_eq!(scrape(1, 0), (1, 0, 2));
    assert_eq!(scrape(2, 1), (3, 0, 0), "promoted");
    assert_eq!(scrape(3, 1), (3, 0, 0));
    assert_eq!(scrape(4, 0), (3, 2, 2), "demoted: two series end");
    assert_eq!(scrape(5, 0), (1, 0, 2));
}

#[test]
fn lines_with_timestamps_of_their_own_are_not_sent_again_because_rules_have_changed() {
    let mut target = Target::new(Relabelling::default());
    target.scrape(1_000, "a 1 900\n");
    target.0.relabel(ruled("- {action: keep}"));
    let (samples, report) = target.scrape(2_000, "a 1 900\n");
    assert_eq!((samples.len(), report.discarded.duplicate), (0, 1));
}

/// Rule sets between which a target changes.
const SETS: [&str; 6] = [
    "[]",
    "- {source_labels: [x], regex: '1', action: drop}",
    "- {source_labels: [x], regex: '1|2', action: keep}",
    "- {regex: x, action: labeldrop}",
    "- {source_labels: [__name__], regex: 'm', target_label: __name__, replacement: n}",
    "- {source_labels: [x], target_label: x, regex: '2', replacement: '1'}",
];

/// What a line names under a set of rules, by the room's own judgement.
fn named(line: &str, set: usize) -> Option<String> {
    let (name, x) = line.split_once(' ').unwrap();
    let labels = [("__name__", name), ("x", x), ("job", "docker"), ("instance", "host")];
    let labels = relabel::Rules::compile(SETS[set]).unwrap().apply(Labels::from_iter(labels))?;
    let with_external = labels.iter().chain([("cluster", "prod")]);
    Some(Labels::from_iter(with_external).to_string())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    /// Whatever rules and bodies follow each other: each series that was there and is not gets one marker, each that is there one sample.
    #[test]
    fn what_vanishes_ends_once_and_what_stays_goes_on_whether_the_body_or_the_rules_change(
        steps in vec((vec(select(vec!["m 1", "m 2", "m ", "n 1", "n 2"]), 0..6), 0..SETS.len(), any::<bool>()), 1..12)
    ) {
        let mut target = Target::new(Relabelling::default());
        let (mut before, mut set) = (BTreeSet::new(), 0);
        for (timestamp, (lines, next, changes)) in (1..).zip(steps) {
            if changes {
                set = next;
                target.0.relabel(ruled(SETS[set]));
            }
            let body: String = lines.iter().map(|line| {
                let (name, x) = line.split_once(' ').unwrap();
                format!("{name}{{x=\"{x}\"}} {timestamp}\n")
            }).collect();
            let now: BTreeSet<String> = lines.iter().filter_map(|line| named(line, set)).collect();
            let (samples, report) = target.scrape(timestamp, &body);
            let taken = lines.iter().filter(|line| named(line, set).is_some()).count() as u64;
            prop_assert_eq!((report.post_relabel, report.filtered), (taken, lines.len() as u64 - taken));
            prop_assert_eq!(report.discarded.duplicate, taken - now.len() as u64);
            let mut expected: Vec<String> = now.iter().map(|series| format!("{series} {timestamp}")).collect();
            expected.extend(before.difference(&now).map(|series| format!("{series} stale")));
            let (mut samples, mut expected) = (samples, expected);
            samples.sort();
            expected.sort();
            prop_assert_eq!(samples, expected);
            before = now;
        }
    }
}
