//! Presets, `METRICS_KEEP` and `METRICS_DROP`, on what real engines expose.

use super::*;

/// An engine of 20.10.24 without swarm.
const EXPOSITION: &str = include_str!("../../demo/recorded/engine.prom");

fn filter(preset: Preset, keep: Option<&str>, drop: Option<&str>) -> NameFilter {
    let compile = |text| NamePattern::compile(text).unwrap();
    NameFilter { preset, keep: keep.map(compile), drop: drop.map(compile) }
}

fn taken(filter: &NameFilter, role: SwarmRole) -> usize {
    let names = EXPOSITION.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let names = names.map(|line| line.split(['{', ' ']).next().unwrap_or_default());
    names.filter(|name| filter.verdict(name).keeps(role)).count()
}

#[test]
fn presets_of_a_real_engine() {
    let all = taken(&filter(Preset::All, None, None), SwarmRole::NoManager);
    let engine = filter(Preset::Engine, None, None);
    let minimal = filter(Preset::Minimal, None, None);
    assert_eq!(taken(&engine, SwarmRole::Manager), all);
    let counts = (all, taken(&engine, SwarmRole::NoManager), taken(&minimal, SwarmRole::NoManager));
    assert_eq!(counts, (437, 220, 102));
    assert_eq!(taken(&minimal, SwarmRole::Manager), counts.2);
}

#[test]
fn the_engine_preset_keeps_the_swarm_on_managers_only() {
    let engine = filter(Preset::Engine, None, None);
    for name in ["swarm_node_manager", "etcd_disk_wal_write_bytes_total", "grpc_server_handled_total"] {
        assert_eq!(engine.verdict(name), Verdict::KeepOnManagers);
        assert!(engine.verdict(name).keeps(SwarmRole::Manager));
        assert!(!engine.verdict(name).keeps(SwarmRole::NoManager));
    }
    for name in
        ["engine_daemon_engine_info", "go_threads", "containerd_gc_collections_total", "swarm", "my_swarm_x"]
    {
        assert_eq!(engine.verdict(name), Verdict::Keep);
    }
}

#[test]
fn keep_and_drop_match_whole_names_and_drop_wins() {
    let both = filter(Preset::All, Some("engine_.*|go_threads"), Some(".*_bucket"));
    assert_eq!(both.verdict("engine_daemon_events_total"), Verdict::Keep);
    assert_eq!(both.verdict("go_threads"), Verdict::Keep);
    assert_eq!(both.verdict("go_threads_total"), Verdict::Drop);
    assert_eq!(both.verdict("my_engine_x"), Verdict::Drop);
    assert_eq!(both.verdict("engine_daemon_container_actions_seconds_bucket"), Verdict::Drop);
}

#[test]
fn keep_narrows_a_preset_and_never_widens_it() {
    let engine = filter(Preset::Engine, Some("swarm_.*|go_.*"), None);
    assert_eq!(engine.verdict("swarm_node_info"), Verdict::KeepOnManagers);
    assert_eq!(engine.verdict("engine_daemon_events_total"), Verdict::Drop);
    assert_eq!(filter(Preset::Minimal, Some("go_.*"), None).verdict("go_threads"), Verdict::Drop);
    assert_eq!(filter(Preset::Minimal, None, Some("process_.*")).verdict("process_open_fds"), Verdict::Drop);
}

#[test]
fn a_bad_name_pattern_says_why() {
    assert_eq!(
        NamePattern::compile("go_(").unwrap_err().to_string(),
        "is not a regular expression: unclosed group"
    );
}
