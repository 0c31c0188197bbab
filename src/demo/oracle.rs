//! What must arrive, worked out from the served texts alone: a reader of its own, so that no parser of the pipe vouches for
//! itself. It knows what engines write (remote-write 4.01, 4.06, 4.17 to 4.20), and nothing more.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use super::engine::Served;
use crate::model::{Labels, METRIC_NAME, NORMAL_NAN_BITS, STALE_MARKER_BITS};

/// What the scraper adds to each scrape (4.01).
pub(super) const SYNTHETIC: [&str; 5] = [
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
];

/// A value that must arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// Exactly these bits.
    Bits(u64),
    /// A duration: nobody else can know it.
    Positive,
}

impl Value {
    pub(super) const MARKER: Self = Self::Bits(STALE_MARKER_BITS);

    fn number(value: f64) -> Self {
        Self::Bits(value.to_bits())
    }

    pub(super) fn fits(self, bits: u64) -> bool {
        match self {
            Self::Bits(wanted) => wanted == bits,
            Self::Positive => f64::from_bits(bits) > 0.0,
        }
    }
}

/// All that must arrive of one target: for each series its samples in order.
#[derive(Debug, Default)]
pub(super) struct Expected {
    pub(super) series: BTreeMap<Labels, Vec<(i64, Value)>>,
    /// Samples that stand in the served texts.
    pub(super) samples: u64,
    /// Staleness markers: of series that vanished, of failed scrapes, of the end.
    pub(super) markers: u64,
    /// Series of the last scrape, as labels and value.
    last: BTreeSet<Labels>,
}

/// A line that an engine does not write.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the served text's line {line} cannot be read back: {text:?}")]
pub(super) struct Unreadable {
    line: usize,
    text: String,
}

/// What the target's labels are.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// `job`, `instance`.
    pub(super) labels: Labels,
    /// Added where a series has no such label.
    pub(super) external: Labels,
}

impl Target {
    /// The full label set of a synthetic series.
    pub(super) fn synthetic(&self, name: &str) -> Labels {
        self.complete(Labels::from_iter([(METRIC_NAME, name)]))
    }

    fn complete(&self, exposed: Labels) -> Labels {
        let mut labels = exposed.clone();
        for (name, value) in self.labels.iter() {
            if let Some(theirs) = exposed.get(name) {
                labels.set(&format!("exported_{name}"), theirs);
            }
            labels.set(name, value);
        }
        for (name, value) in self.external.iter() {
            if labels.get(name).is_none() {
                labels.set(name, value);
            }
        }
        labels
    }
}

impl Expected {
    /// Adds one scrape: `at` is its timestamp.
    pub(super) fn scrape(&mut self, served: &Served, at: i64, target: &Target) -> Result<(), Unreadable> {
        let samples = served.text.as_deref().map_or_else(|| Ok(Vec::new()), |text| read(text, target))?;
        let now: BTreeSet<Labels> = samples.iter().map(|(labels, _)| labels.clone()).collect();
        let added = now.difference(&self.last).count();
        let gone: Vec<_> = self.last.difference(&now).cloned().collect();
        self.samples += samples.len() as u64;
        let count = samples.len() as f64;
        let synthetic = [
            Value::number(if served.text.is_some() { 1.0 } else { 0.0 }),
            Value::Positive,
            Value::number(count),
            Value::number(count),
            Value::number(added as f64),
        ];
        for (labels, value) in samples {
            self.push(labels, at, value);
        }
        self.mark(gone, at);
        for (name, value) in SYNTHETIC.into_iter().zip(synthetic) {
            self.push(target.synthetic(name), at, value);
        }
        self.last = now;
        Ok(())
    }

    /// A served text of which nothing arrived, so that nobody knows its timestamp: counts its samples and the scrape's own.
    pub(super) fn lost(&mut self, text: &str, target: &Target) -> Result<u64, Unreadable> {
        let samples = read(text, target)?;
        self.samples += samples.len() as u64;
        let count = (samples.len() + SYNTHETIC.len()) as u64;
        self.last = samples.into_iter().map(|(labels, _)| labels).collect();
        Ok(count)
    }

    /// Adds the end of all series at `at`.
    pub(super) fn end(&mut self, at: i64, target: &Target) {
        let synthetic = SYNTHETIC.map(|name| target.synthetic(name));
        let all: Vec<_> = std::mem::take(&mut self.last).into_iter().chain(synthetic).collect();
        self.mark(all, at);
    }

    fn mark(&mut self, series: Vec<Labels>, at: i64) {
        self.markers += series.len() as u64;
        for labels in series {
            self.push(labels, at, Value::MARKER);
        }
    }

    fn push(&mut self, labels: Labels, at: i64, value: Value) {
        self.series.entry(labels).or_default().push((at, value));
    }
}

/// The samples of one text in its order, with complete labels.
pub(super) fn read(text: &str, target: &Target) -> Result<Vec<(Labels, Value)>, Unreadable> {
    let mut samples = Vec::new();
    let mut bounds = "";
    for (index, line) in text.lines().enumerate() {
        if let Some(comment) = line.strip_prefix("# TYPE ") {
            bounds = match comment.rsplit(' ').next() {
                Some("histogram") => "le",
                Some("summary") => "quantile",
                Some(_) | None => "",
            };
        }
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (labels, value) =
            sample(line, bounds).ok_or_else(|| Unreadable { line: index + 1, text: line.to_owned() })?;
        samples.push((target.complete(labels), value));
    }
    Ok(samples)
}

/// `name{label="value",...} number`; `bounds` is the label whose numbers Prometheus 3 spells its own way (4.19).
fn sample(line: &str, bounds: &str) -> Option<(Labels, Value)> {
    let (series, number) = line.rsplit_once(' ')?;
    let (name, inside) = match series.split_once('{') {
        Some((name, rest)) => (name, rest.strip_suffix('}')?),
        None => (series, ""),
    };
    let mut labels = Labels::from_iter([(METRIC_NAME, name)]);
    let mut rest = inside;
    while !rest.is_empty() {
        let (label, after) = rest.split_once("=\"")?;
        let (value, after) = quoted(after)?;
        let value =
            if label == bounds && !value.contains(['.', 'e', 'I', 'N']) { value + ".0" } else { value };
        labels.set(label, &value);
        rest = after.strip_prefix(',').unwrap_or(after);
    }
    let value: f64 = number.parse().ok()?;
    let bits = if value.is_nan() { NORMAL_NAN_BITS } else { value.to_bits() };
    Some((labels, Value::Bits(bits)))
}

/// A label value up to its closing quote, unescaped, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut escaped = false;
    let end = text.char_indices().try_for_each(|(at, character)| {
        match (escaped, character) {
            (false, '"') => return ControlFlow::Break(at),
            (false, '\\') => {
                escaped = true;
                return ControlFlow::Continue(());
            }
            (false, other) => value.push(other),
            (true, 'n') => value.push('\n'),
            (true, '"' | '\\') => value.push(character),
            // Any other pair is kept as it stands (4.20).
            (true, other) => value.extend(['\\', other]),
        }
        escaped = false;
        ControlFlow::Continue(())
    });
    Some((value, &text[end.break_value()? + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target() -> Target {
        Target {
            labels: Labels::from_iter([("job", "docker"), ("instance", "host")]),
            external: Labels::from_iter([("cluster", "c"), ("le", "none")]),
        }
    }

    fn shown(text: &str) -> Vec<String> {
        let target = Target { external: Labels::default(), ..target() };
        let samples = read(text, &target).unwrap();
        samples
            .iter()
            .map(|(labels, value)| match value {
                Value::Bits(bits) => format!("{labels} {}", f64::from_bits(*bits)),
                Value::Positive => labels.to_string(),
            })
            .collect()
    }

    #[test]
    fn names_labels_escapes_and_numbers_are_read() {
        let text =
            "# HELP a x\n# TYPE a counter\na 1\na{b=\"c,d=}\\\"\\\\ \\n\\x\"} 2.5e+06\nb{le=\"1\",} -Inf\n";
        assert_eq!(
            shown(text),
            [
                r#"a{instance="host",job="docker"} 1"#,
                r#"a{b="c,d=}\"\\ \n\\x",instance="host",job="docker"} 2500000"#,
                r#"b{instance="host",job="docker",le="1"} -inf"#,
            ]
        );
    }

    #[test]
    fn rw_4_19_bounds_are_spelled_as_prometheus_3_does() {
        let text = "# TYPE h histogram\nh{le=\"1\"} 1\nh{le=\"0.5\"} 1\nh{le=\"1e+06\"} 1\nh{le=\"+Inf\"} 1\nh{quantile=\"1\"} 1\n\
                    # TYPE s summary\ns{quantile=\"0\"} NaN\ns{le=\"1\"} 1\n# TYPE g gauge\ng{le=\"1\"} 1\n";
        let labels: Vec<String> =
            read(text, &target()).unwrap().iter().map(|(labels, _)| format!("{labels}")).collect();
        let bounds = ["1.0", "0.5", "1e+06", "+Inf"].map(|le| format!("le=\"{le}\"")).into_iter();
        let bounds =
            bounds.chain(["quantile=\"1\"", "quantile=\"0.0\"", "le=\"1\"", "le=\"1\""].map(str::to_owned));
        for (labels, bound) in labels.iter().zip(bounds) {
            assert!(labels.contains(&bound), "{labels} {bound}");
        }
        assert_eq!(read("a NaN\n", &target()).unwrap()[0].1, Value::Bits(NORMAL_NAN_BITS));
    }

    #[test]
    fn rw_4_06_and_4_07_the_targets_labels_win_and_external_ones_give_way() {
        let samples = read("a{job=\"x\",cluster=\"y\"} 1\n", &target()).unwrap();
        assert_eq!(
            samples[0].0.to_string(),
            r#"a{cluster="y",exported_job="x",instance="host",job="docker",le="none"}"#
        );
    }

    #[test]
    fn what_no_engine_writes_is_said() {
        let error = read("a 1\nb 1 x\n", &target()).unwrap_err();
        assert_eq!(error.to_string(), "the served text's line 2 cannot be read back: \"b 1 x\"");
        for line in ["a", "a{b=\"c} 1", "a{b=c} 1", "a{b=\"c\" 1"] {
            assert!(read(line, &target()).is_err(), "{line}");
        }
    }

    #[test]
    fn every_recorded_text_is_read_completely() {
        let mut recording = super::super::recording::Recording::default();
        let text = recording.next_text();
        let lines = text.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(read(&text, &target()).unwrap().len(), lines);
        assert!(lines > 400);
    }

    #[test]
    fn vanished_series_failed_scrapes_and_the_end_bring_markers() {
        let target = target();
        let mut expected = Expected::default();
        let served = |text: Option<&str>| Served { at: 0, text: text.map(Into::into) };
        expected.scrape(&served(Some("a 1\nb 1\n")), 1, &target).unwrap();
        expected.scrape(&served(Some("a 2\n")), 2, &target).unwrap();
        expected.scrape(&served(None), 3, &target).unwrap();
        expected.scrape(&served(Some("a 3\n")), 4, &target).unwrap();
        expected.end(5, &target);
        let series = |name: &str| expected.series[&target.synthetic(name)].clone();
        let number = Value::number;
        assert_eq!(
            series("a"),
            [(1, number(1.0)), (2, number(2.0)), (3, Value::MARKER), (4, number(3.0)), (5, Value::MARKER)]
        );
        assert_eq!(series("b"), [(1, number(1.0)), (2, Value::MARKER)]);
        let up = [(1, 1.0), (2, 1.0), (3, 0.0), (4, 1.0)].map(|(at, value)| (at, number(value)));
        assert_eq!(series("up")[..4], up);
        assert_eq!(series("up")[4], (5, Value::MARKER));
        let added = [2.0, 0.0, 0.0, 1.0].map(number);
        assert_eq!(series("scrape_series_added")[..4], [1, 2, 3, 4].map(|at| (at, added[at as usize - 1])));
        assert_eq!((expected.samples, expected.markers), (4, 1 + 1 + 6));
    }
}
