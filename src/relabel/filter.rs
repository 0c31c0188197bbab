//! Which metrics are taken at all, by name alone: `METRICS_PRESET`, `METRICS_KEEP`, `METRICS_DROP`.

use std::fmt;

use super::pattern::Pattern;

/// A ready choice of metrics (facts: docker-metrics 1 to 3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preset {
    /// Everything that the engine exposes.
    #[default]
    All,
    /// Without `swarm_*`, `etcd_*` and `grpc_*`, which every engine registers and only a swarm manager fills: 220 of the 437 series of a
    /// real engine stay. On a manager all stay.
    Engine,
    /// `engine_*`, `logger_*` and `process_*`, and of the histogram buckets only those of the container actions: 102
    /// of the same 437 series.
    Minimal,
}

/// What the last known exposition says of the node: `swarm_node_manager`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SwarmRole {
    /// `swarm_node_manager` is 1.
    Manager,
    /// It is 0, or not there.
    #[default]
    NoManager,
}

/// What becomes of every series of a metric. It depends on nothing but the name, so it can be kept with a cached series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Taken.
    Keep,
    /// Taken while the node is a swarm manager.
    KeepOnManagers,
    /// Never taken.
    Drop,
}

impl Verdict {
    /// Whether the series is taken on a node of this role.
    #[must_use]
    pub const fn keeps(self, role: SwarmRole) -> bool {
        match (self, role) {
            (Self::Keep, _) | (Self::KeepOnManagers, SwarmRole::Manager) => true,
            (Self::Drop, _) | (Self::KeepOnManagers, SwarmRole::NoManager) => false,
        }
    }
}

/// A regular expression on a metric's whole name.
#[derive(Clone)]
pub struct NamePattern {
    text: String,
    pattern: Pattern,
}

/// A [`NamePattern`] that cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NamePatternError(String);

impl NamePattern {
    /// Compiles RE2 syntax, anchored at both ends.
    ///
    /// # Errors
    /// What is wrong, as the end of a sentence that begins with the pattern.
    pub fn compile(text: &str) -> Result<Self, NamePatternError> {
        let pattern = Pattern::compile(text).map_err(NamePatternError)?;
        Ok(Self { text: text.to_owned(), pattern })
    }
}

impl fmt::Debug for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl PartialEq for NamePattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for NamePattern {}

/// The three settings together. A metric is taken if all of them let it pass, so `keep` narrows a preset and never widens it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameFilter {
    /// `METRICS_PRESET`.
    pub preset: Preset,
    /// `METRICS_KEEP`: what it does not match is dropped.
    pub keep: Option<NamePattern>,
    /// `METRICS_DROP`: what it matches is dropped.
    pub drop: Option<NamePattern>,
}

impl NameFilter {
    /// The verdict on a metric, by the name that the engine gave it: the suffixes of histograms belong to it.
    #[must_use]
    pub fn verdict(&self, metric: &str) -> Verdict {
        let matches = |name: &Option<NamePattern>| name.as_ref().map(|name| name.pattern.matches(metric));
        if matches(&self.keep) == Some(false) || matches(&self.drop) == Some(true) {
            return Verdict::Drop;
        }
        match self.preset {
            Preset::All => Verdict::Keep,
            Preset::Engine if is_of_swarm(metric) => Verdict::KeepOnManagers,
            Preset::Engine => Verdict::Keep,
            Preset::Minimal if is_core(metric) => Verdict::Keep,
            Preset::Minimal => Verdict::Drop,
        }
    }
}

fn is_of_swarm(metric: &str) -> bool {
    ["swarm_", "etcd_", "grpc_"].iter().any(|prefix| metric.starts_with(prefix))
}

fn is_core(metric: &str) -> bool {
    let core = ["engine_", "logger_", "process_"].iter().any(|prefix| metric.starts_with(prefix));
    // Slow container actions are what one looks for first; means suffice for the rest.
    core && (!metric.ends_with("_bucket") || metric == "engine_daemon_container_actions_seconds_bucket")
}
