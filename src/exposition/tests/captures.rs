use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::*;
use crate::exposition::belongs_to_family;

pub(super) fn capture(name: &str) -> Vec<u8> {
    let folder = if name.ends_with(".pb") { "tests/fixtures/protobuf" } else { "tests/fixtures/captures" };
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Bytes, samples and families as docker-plugin section 12 counts them.
const CAPTURES: [(&str, usize, usize, usize); 8] = [
    ("00-daemon-idle.prom", 34_565, 409, 72),
    ("01-one-container-running.prom", 35_618, 423, 73),
    ("02-fresh-restart.prom", 33_354, 395, 72),
    ("03-containers-running-paused-stopped.prom", 36_657, 437, 73),
    ("04-containers-removed.prom", 36_666, 437, 73),
    ("05-swarm-init-immediately.prom", 204_580, 1_644, 82),
    ("06-swarm-manager-after-3s.prom", 204_585, 1_644, 82),
    ("07-after-swarm-leave.prom", 205_169, 1_648, 82),
];

#[test]
fn captures_of_a_real_engine_have_the_counted_samples_and_families() {
    for (name, bytes, samples, families) in CAPTURES {
        let body = capture(name);
        assert_eq!(body.len(), bytes, "{name}");
        let seen = accept(&body);
        let count = |wanted: fn(&Seen) -> bool| seen.iter().filter(|entry| wanted(entry)).count();
        assert_eq!(count(|entry| matches!(entry, Seen::Sample { .. })), samples, "{name}");
        assert_eq!(count(|entry| matches!(entry, Seen::Type(..))), families, "{name}");
        assert_eq!(count(|entry| matches!(entry, Seen::Help(..))), families, "{name}");
        assert_eq!(count(|entry| *entry == Seen::Comment), 0, "{name}");

        let unique: HashSet<_> = seen
            .iter()
            .filter_map(|entry| match entry {
                Seen::Sample { labels, .. } => Some(labels),
                Seen::Type(..) | Seen::Help(..) | Seen::Unit(..) | Seen::Comment => None,
            })
            .collect();
        assert_eq!(unique.len(), samples, "{name}: each series once");
    }
}

#[test]
fn the_types_of_a_swarm_manager_are_the_counted_ones() {
    let mut types: HashMap<MetricType, usize> = HashMap::new();
    for entry in accept(capture("06-swarm-manager-after-3s.prom")) {
        if let Seen::Type(_, metric_type) = entry {
            *types.entry(metric_type).or_default() += 1;
        }
    }
    let expected = [
        (MetricType::Counter, 22),
        (MetricType::Gauge, 43),
        (MetricType::Histogram, 16),
        (MetricType::Summary, 1),
    ];
    assert_eq!(types, expected.into());
}

#[test]
fn each_series_of_a_real_engine_belongs_to_the_family_before_it() {
    for (name, ..) in CAPTURES {
        let body = capture(name);
        let mut parser = Parser::new(&body);
        let mut current = String::new();
        while let Some(entry) = parser.next() {
            match entry.unwrap() {
                Entry::Type { family, .. } => current = family.into_owned(),
                Entry::Series(series) => {
                    let own = series.name().unwrap();
                    assert!(
                        belongs_to_family(&own, &current, series.in_force),
                        "{name}: {own} after {current}"
                    );
                }
                Entry::Histogram(_) | Entry::Help { .. } | Entry::Unit { .. } | Entry::Comment => {}
            }
        }
    }
}

#[test]
fn the_next_scrape_guesses_every_series_of_this_one() {
    let body = capture("00-daemon-idle.prom");
    let mut guesses = Vec::new();
    let mut parser = Parser::new(&body);
    while let Some(entry) = parser.next() {
        if let Entry::Series(series) = entry.unwrap() {
            guesses.push(series.raw);
        }
    }
    let mut expected = accept(&body).into_iter();
    let mut parser = Parser::new(&body);
    let mut at = 0;
    while let Some(entry) = parser.next_like(guesses.get(at).copied().unwrap_or_default()) {
        let entry = entry.unwrap();
        at += usize::from(matches!(entry, Entry::Series(_)));
        assert_eq!(Some(see(entry).unwrap()), expected.next());
    }
    assert_eq!(expected.next(), None);
    assert_eq!(at, guesses.len());
}
