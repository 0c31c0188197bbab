//! A real engine's metrics (20.10.24, one container running, one paused, one stopped) whose values move from scrape to scrape.

use std::fmt::Write as _;

const RECORDED: &str = include_str!("recorded/engine.prom");

/// The scrape at which the engine joins a swarm, and the one at which it has left again: a series comes and goes.
const SWARM: std::ops::Range<u64> = 3..6;
/// The scrape that shows the first image pull: a whole histogram comes and stays, as at a real engine's first use.
const FIRST_PULL: u64 = 4;

const NODE_INFO: [&str; 2] =
    ["# HELP swarm_node_info Information related to the swarm", "# TYPE swarm_node_info gauge"];
const NODE_INFO_SERIES: &str =
    r#"swarm_node_info{node_id="example01xxxxxxxxxxxxxxxx",swarm_id="example02xxxxxxxxxxxxxxxx"}"#;
const IMAGE_ACTIONS: [&str; 2] = [
    "# HELP engine_daemon_image_actions_seconds The number of seconds it takes to process each image action",
    "# TYPE engine_daemon_image_actions_seconds histogram",
];
const BUCKETS: [&str; 12] =
    ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"];

/// The metrics as they are now.
#[derive(Clone, Debug)]
pub struct Recording {
    lines: Vec<Line>,
    scrapes: u64,
    /// State of a linear congruential generator: each run of the demo shows the same values.
    noise: u64,
}

#[derive(Clone, Debug)]
enum Line {
    Comment(String),
    Sample { series: String, value: f64 },
}

impl Default for Recording {
    fn default() -> Self {
        let lines = RECORDED.lines().map(|line| match line.rsplit_once(' ') {
            Some((series, value)) if !line.starts_with('#') => {
                // Every recorded value parses: a test renders all of them.
                Line::Sample { series: series.to_owned(), value: value.parse().unwrap_or_default() }
            }
            Some(_) | None => Line::Comment(line.to_owned()),
        });
        Self { lines: lines.collect(), scrapes: 0, noise: 1 }
    }
}

impl Recording {
    /// The text of the next scrape: the engine has lived on since the last one.
    pub fn next_text(&mut self) -> String {
        self.scrapes += 1;
        self.counters();
        self.gauges();
        self.histograms();
        self.comings_and_goings();
        self.render()
    }

    fn counters(&mut self) {
        let allocated = 40_000 + self.noise(20_000);
        let objects = 300 + self.noise(100);
        let events = self.noise(4);
        self.add(r#"promhttp_metric_handler_requests_total{code="200"}"#, 1);
        self.add("engine_daemon_events_total", events);
        self.add("go_memstats_alloc_bytes_total", allocated);
        self.add("go_memstats_mallocs_total", objects);
        self.add("go_memstats_frees_total", objects - 7);
        self.add("engine_daemon_health_checks_total", 1);
        let busy = 0.01 * self.noise(4) as f64;
        self.change("process_cpu_seconds_total", |seconds| ((seconds + busy) * 100.0).round() / 100.0);
    }

    fn gauges(&mut self) {
        let running = 1 + self.noise(5);
        let goroutines = 50 + self.noise(20);
        let resident = 82_000_000 + 4096 * self.noise(500);
        let heap = 15_000_000 + self.noise(2_000_000);
        self.set(r#"engine_daemon_container_states_containers{state="running"}"#, running);
        self.set("go_goroutines", goroutines);
        self.set("process_resident_memory_bytes", resident);
        self.set("go_memstats_alloc_bytes", heap);
        self.set("go_memstats_heap_alloc_bytes", heap);
    }

    fn histograms(&mut self) {
        let containers = "engine_daemon_container_actions_seconds";
        let networks = "engine_daemon_network_actions_seconds";
        let seconds = |noise: u64| noise as f64 / 1e6;
        let (start, connect, info) =
            (seconds(self.noise(900_000)), seconds(self.noise(30_000)), seconds(self.noise(40_000)));
        self.observe(containers, r#"action="start""#, start);
        self.observe(networks, r#"action="connect""#, connect);
        self.observe("engine_daemon_host_info_functions_seconds", r#"function="system_info""#, info);
        let pull = 2.0 + seconds(self.noise(9_000_000));
        self.observe("engine_daemon_image_actions_seconds", r#"action="pull""#, pull);
    }

    fn comings_and_goings(&mut self) {
        if self.scrapes == SWARM.start {
            let block = NODE_INFO.map(comment).into_iter().chain([sample(NODE_INFO_SERIES, 1.0)]);
            self.insert_before("# HELP swarm_node_manager ", block.collect());
        }
        if self.scrapes == SWARM.end {
            self.lines.retain(|line| match line {
                Line::Comment(text) => !NODE_INFO.contains(&text.as_str()),
                Line::Sample { series, .. } => series != NODE_INFO_SERIES,
            });
        }
        if self.scrapes == FIRST_PULL {
            let family = "engine_daemon_image_actions_seconds";
            let buckets =
                BUCKETS.map(|le| sample(&format!(r#"{family}_bucket{{action="pull",le="{le}"}}"#), 0.0));
            let totals =
                ["sum", "count"].map(|part| sample(&format!(r#"{family}_{part}{{action="pull"}}"#), 0.0));
            let block = IMAGE_ACTIONS.map(comment).into_iter().chain(buckets).chain(totals);
            self.insert_before("# HELP engine_daemon_network_actions_seconds ", block.collect());
            self.observe(family, r#"action="pull""#, 3.25);
        }
    }

    /// A number below `below`.
    fn noise(&mut self, below: u64) -> u64 {
        // Knuth's MMIX constants; the high bits are the random ones.
        self.noise =
            self.noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.noise >> 33) % below
    }

    fn change(&mut self, wanted: &str, change: impl FnOnce(f64) -> f64) {
        for line in &mut self.lines {
            if let Line::Sample { series, value } = line
                && series == wanted
            {
                *value = change(*value);
                return;
            }
        }
    }

    fn add(&mut self, series: &str, more: u64) {
        self.change(series, |value| value + more as f64);
    }

    fn set(&mut self, series: &str, to: u64) {
        self.change(series, |_| to as f64);
    }

    /// Counts one observation in a classic histogram; one that is not there (yet) stays away.
    fn observe(&mut self, family: &str, labels: &str, observed: f64) {
        let bucket = format!(r#"{family}_bucket{{{labels},le=""#);
        let (sum, count) = (format!("{family}_sum{{{labels}}}"), format!("{family}_count{{{labels}}}"));
        for line in &mut self.lines {
            let Line::Sample { series, value } = line else { continue };
            if *series == sum {
                *value += observed;
            } else if *series == count {
                *value += 1.0;
            } else if let Some(bound) = series.strip_prefix(&bucket)
                && bound.trim_end_matches(r#""}"#).parse::<f64>().is_ok_and(|bound| observed <= bound)
            {
                *value += 1.0;
            }
        }
    }

    fn insert_before(&mut self, comment: &str, block: Vec<Line>) {
        let found = |line: &Line| matches!(line, Line::Comment(text) if text.starts_with(comment));
        let at = self.lines.iter().position(found).unwrap_or(self.lines.len());
        self.lines.splice(at..at, block);
    }

    fn render(&self) -> String {
        let mut text = String::with_capacity(RECORDED.len() + 4096);
        for line in &self.lines {
            let written = match line {
                Line::Comment(comment) => writeln!(text, "{comment}"),
                Line::Sample { series, value } => writeln!(text, "{series} {}", go_float(*value)),
            };
            debug_assert!(written.is_ok(), "a String takes everything");
        }
        text
    }
}

fn comment(text: &str) -> Line {
    Line::Comment(text.to_owned())
}

fn sample(series: &str, value: f64) -> Line {
    Line::Sample { series: series.to_owned(), value }
}

/// As Go's `strconv.FormatFloat(value, 'g', -1, 64)` writes it, which is how engines write all values.
fn go_float(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    // For the shortest digits Go decides between the two notations as if the precision were 6.
    if (-4..6).contains(&exponent) {
        return format!("{value}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn values(text: &str) -> BTreeMap<&str, f64> {
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        samples.map(|line| line.rsplit_once(' ').unwrap()).map(|(s, v)| (s, v.parse().unwrap())).collect()
    }

    #[test]
    fn what_was_recorded_is_rendered_byte_for_byte() {
        assert_eq!(Recording::default().render(), RECORDED);
    }

    #[test]
    fn floats_are_spelled_as_go_spells_them() {
        for (value, text) in [
            (0.0, "0"),
            (-1.0, "-1"),
            (20_000.0, "20000"),
            (999_999.0, "999999"),
            (1e6, "1e+06"),
            (82_034_688.0, "8.2034688e+07"),
            (0.0001, "0.0001"),
            (2.2593e-05, "2.2593e-05"),
            (1.8446744073709552e19, "1.8446744073709552e+19"),
            (1e100, "1e+100"),
            (f64::INFINITY, "+Inf"),
        ] {
            assert_eq!(go_float(value), text);
        }
    }

    #[test]
    fn counters_never_fall_and_something_changes_in_every_scrape() {
        let mut recording = Recording::default();
        let mut before = recording.next_text();
        for _ in 0..20 {
            let text = recording.next_text();
            let (old, new) = (values(&before), values(&text));
            for (series, value) in &new {
                if series.contains("_total{") || series.ends_with("_total") {
                    assert!(old.get(series).is_none_or(|old| old <= value), "{series}");
                }
            }
            assert!(new.iter().filter(|(series, value)| old.get(*series) != Some(value)).count() > 10);
            before = text;
        }
    }

    #[test]
    fn histograms_stay_consistent() {
        let mut recording = Recording::default();
        for _ in 0..20 {
            let text = recording.next_text();
            let all = values(&text);
            let mut last: Option<(&str, f64)> = None;
            for line in text.lines().filter(|line| line.contains("_bucket{")) {
                let series = line.rsplit_once(' ').unwrap().0;
                let (histogram, bound) = series.split_once("le=\"").unwrap();
                let value = all[series];
                if let Some((same, below)) = last
                    && same == histogram
                {
                    assert!(below <= value, "{series}");
                }
                last = Some((histogram, value));
                if bound.starts_with("+Inf") {
                    let labels = histogram.trim_end_matches(',').replace("_bucket{", "_count{") + "}";
                    assert_eq!(all[labels.replace("{}", "").as_str()], value, "{series}");
                }
            }
        }
    }

    #[test]
    fn a_series_comes_and_goes_and_a_histogram_comes_and_stays() {
        let mut recording = Recording::default();
        let texts: Vec<_> = (1..=8).map(|_| recording.next_text()).collect();
        let shown = |what: &str| -> Vec<bool> { texts.iter().map(|text| text.contains(what)).collect() };
        assert_eq!(shown(NODE_INFO_SERIES), [false, false, true, true, true, false, false, false]);
        assert_eq!(shown(NODE_INFO[1]), shown(NODE_INFO_SERIES));
        let pull = r#"image_actions_seconds_bucket{action="pull",le="+Inf"} "#;
        assert_eq!(shown(pull), [false, false, false, true, true, true, true, true]);
        assert!(texts[3].contains(r#"image_actions_seconds_count{action="pull"} 1"#));
    }
}
