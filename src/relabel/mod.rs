//! Rules that rewrite or drop label sets, and filters on a metric's name. Owns Prometheus's relabel_config (compile, apply) and the presets;
//! hands on label sets, or nothing where one is dropped; never knows where rules come from, nor what a sample is.

mod apply;
mod document;
mod filter;
mod pattern;
mod re2;
mod rule;
#[cfg(test)]
mod tests;

pub use filter::{NameFilter, NamePattern, NamePatternError, Preset, SwarmRole, Verdict};

use apply::Step;
use rule::Rule;
use serde_saphyr::Location;

use crate::model::{Labels, METRIC_NAME};

/// A list of rules, compiled. The empty list changes nothing.
#[derive(Clone, Debug, Default)]
pub struct Rules(Vec<Rule>);

/// What is wrong with one rule, or with the document as a whole, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {reason}")]
pub struct CompileError {
    /// 1-based.
    pub line: u64,
    /// 1-based, in characters.
    pub column: u64,
    /// What is wrong, and what is allowed.
    pub reason: String,
}

/// Why a label set that rules have left cannot be stored: Prometheus fails the whole scrape for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotStorable {
    /// There is no `__name__`.
    #[error("the rules left a series without a metric name")]
    NoMetricName,
    /// `labelmap` made a label whose name is empty.
    #[error("the rules made a label with an empty name")]
    EmptyLabelName,
}

impl CompileError {
    fn at(place: Location, reason: impl Into<String>) -> Self {
        Self { line: place.line(), column: place.column(), reason: reason.into() }
    }
}

impl Rules {
    /// Compiles a YAML (or JSON) list in the schema of Prometheus 3's relabel_config, with its defaults and its checks; names are UTF-8.
    /// An empty document is the empty list. The dialect of the regular expressions is RE2's.
    ///
    /// # Errors
    /// Everything that is wrong, one entry for each bad rule, in order; one entry if the document is no list of rules. Never empty.
    pub fn compile(yaml: &str) -> Result<Self, Vec<CompileError>> {
        let mut rules = Vec::new();
        let mut errors = Vec::new();
        for placed in document::read(yaml).map_err(|error| vec![error])? {
            match Rule::compile(placed) {
                Ok(rule) => rules.push(rule),
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() { Ok(Self(rules)) } else { Err(errors) }
    }

    /// Whether there is no rule.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The label set after all rules in their order; `None` if one of them drops it, or if no label is left.
    ///
    /// One case depends on an order that a label set does not keep: where `labelmap` maps several labels to one name, the value of the last
    /// one in sorted order wins; Prometheus takes labels that were set on the way (the target's, or by rules) after all others.
    #[must_use]
    pub fn apply(&self, mut labels: Labels) -> Option<Labels> {
        for rule in &self.0 {
            match rule.apply(&mut labels) {
                Step::Go => {}
                Step::Drop => return None,
            }
        }
        (!labels.is_empty()).then_some(labels)
    }
}

/// Whether Prometheus would store a series with these labels after its rules ran.
///
/// # Errors
/// Why not.
pub fn check_storable(labels: &Labels) -> Result<(), NotStorable> {
    if labels.get(METRIC_NAME).is_none() {
        Err(NotStorable::NoMetricName)
    } else if labels.get("").is_some() {
        Err(NotStorable::EmptyLabelName)
    } else {
        Ok(())
    }
}
