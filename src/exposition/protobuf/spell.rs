//! A sample's series as the text format would spell it: then everything behind reads all formats alike, the cache's keys included.

use super::Metric;
use crate::exposition::float::push_go_float;
use crate::exposition::scan::{LABEL, LABEL_START, NAME, NAME_START, is};
use crate::model::{Labels, METRIC_NAME};

/// Text that is written anew for each sample, in room that is kept.
#[derive(Debug, Default)]
pub(super) struct Spelling {
    /// The family's name is a classic one and stands before the brace; otherwise it is quoted inside.
    bare: bool,
    /// The labels of the metric, with commas between them.
    labels: Vec<u8>,
    /// The series.
    pub(super) series: Vec<u8>,
    /// Bounds as they were spelled last, by their place: histograms of a family, and of most families, have the same ones.
    bounds: Vec<(u64, usize)>,
    spelled: String,
}

/// The label that tells the parts of a metric apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound {
    /// `le` or `quantile`.
    pub(super) label: &'static str,
    pub(super) value: f64,
    /// Its place among the metric's parts.
    pub(super) place: usize,
    /// As OpenMetrics spells numbers (`1.0`) rather than as the text format does (`1`).
    pub(super) open_metrics: bool,
}

impl Spelling {
    pub(super) fn begin_family(&mut self, name: &str) {
        self.bare = is_classic(name, NAME_START, NAME);
    }

    pub(super) fn begin_metric(&mut self, body: &[u8], metric: &Metric) {
        self.labels.clear();
        for (name, value) in &metric.labels {
            if !self.labels.is_empty() {
                self.labels.push(b',');
            }
            push_label(&body[name.clone()], &body[value.clone()], &mut self.labels);
        }
    }

    /// The series of this part of the metric.
    pub(super) fn spell(&mut self, family: &str, suffix: &str, bound: Option<Bound>) {
        let series = &mut self.series;
        series.clear();
        let mut separator = b'{';
        if self.bare {
            series.extend_from_slice(family.as_bytes());
            series.extend_from_slice(suffix.as_bytes());
        } else {
            series.push(b'{');
            push_quoted(family.as_bytes(), series);
            series.pop();
            series.extend_from_slice(suffix.as_bytes());
            series.push(b'"');
            separator = b',';
        }
        if !self.labels.is_empty() {
            series.push(separator);
            series.extend_from_slice(&self.labels);
            separator = b',';
        }
        if let Some(bound) = bound {
            self.series.push(separator);
            self.series.extend_from_slice(bound.label.as_bytes());
            self.series.extend_from_slice(b"=\"");
            self.spell_bound(bound);
            self.series.push(b'"');
            separator = b',';
        }
        if separator == b',' {
            self.series.push(b'}');
        }
    }

    fn spell_bound(&mut self, bound: Bound) {
        let Bound { label: _, value, place, open_metrics } = bound;
        // Spelling the shortest digits takes longer than all the rest of a sample.
        let start = place.checked_sub(1).map_or(0, |before| self.bounds[before].1);
        if self.bounds.get(place).is_none_or(|(bits, _)| *bits != value.to_bits()) {
            self.bounds.truncate(place);
            self.spelled.truncate(start);
            push_go_float(value, &mut self.spelled);
            self.bounds.push((value.to_bits(), self.spelled.len()));
        }
        let text = &self.spelled[start..self.bounds[place].1];
        self.series.extend_from_slice(text.as_bytes());
        if open_metrics && !text.contains(['.', 'e', 'N', 'I']) {
            self.series.extend_from_slice(b".0");
        }
    }
}

/// Appends a series as a line has it, from labels without empty values.
pub(in crate::exposition) fn spell_series(labels: &Labels, out: &mut Vec<u8>) {
    let name = labels.get(METRIC_NAME).unwrap_or_default();
    let mut separator = b'{';
    if is_classic(name, NAME_START, NAME) {
        out.extend_from_slice(name.as_bytes());
    } else {
        out.push(b'{');
        push_quoted(name.as_bytes(), out);
        separator = b',';
    }
    for (name, value) in labels.iter().filter(|(name, _)| *name != METRIC_NAME) {
        out.push(separator);
        push_label(name.as_bytes(), value.as_bytes(), out);
        separator = b',';
    }
    if separator == b',' {
        out.push(b'}');
    }
}

/// `name="value"`; a name that is no classic one is quoted.
fn push_label(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    match std::str::from_utf8(name) {
        Ok(text) if is_classic(text, LABEL_START, LABEL) => out.extend_from_slice(name),
        Ok(_) | Err(_) => push_quoted(name, out),
    }
    out.push(b'=');
    push_quoted(value, out);
}

fn is_classic(name: &str, start: u8, part: u8) -> bool {
    name.bytes().next().is_some_and(|byte| is(byte, start)) && name.bytes().all(|byte| is(byte, part))
}

/// In double quotes, escaped as the text format does.
fn push_quoted(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = text;
    while let Some(at) = memchr::memchr3(b'\\', b'"', b'\n', rest) {
        out.extend_from_slice(&rest[..at]);
        out.push(b'\\');
        out.push(if rest[at] == b'\n' { b'n' } else { rest[at] });
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}
