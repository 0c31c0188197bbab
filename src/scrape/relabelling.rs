//! Which series a new line names, if it is taken at all: once for each line, then the cache knows.

use std::sync::Arc;

use super::cache::Spelling;
use super::error::{ScrapeError, Site};
use super::label_limits::LabelLimits;
use super::repeated;
use super::target_labels::TargetLabels;
use crate::exposition::Series as ExposedSeries;
use crate::model::Labels;
use crate::relabel::{self, NameFilter, Preset, SwarmRole, check_storable};

/// What is taken of the exposition, and how rules rewrite it. The default takes everything as it is.
#[derive(Clone, Debug, Default)]
pub struct Relabelling {
    /// `METRICS_PRESET`, `METRICS_KEEP`, `METRICS_DROP`.
    pub names: NameFilter,
    /// `METRIC_RELABEL_CONFIGS`.
    pub rules: Arc<relabel::Rules>,
}

impl Relabelling {
    /// Whether every line is a series, whatever it says.
    fn takes_all(&self) -> bool {
        self.rules.is_empty() && self.names == NameFilter::default()
    }
}

/// The way from a line to its series: filter on names, clash rule, rules, external labels, in this order (remote-write 4.06, 4.07).
#[derive(Debug)]
pub(super) struct Naming {
    labels: TargetLabels,
    relabelling: Relabelling,
    role: SwarmRole,
    takes_all: bool,
    limits: LabelLimits,
}

impl Naming {
    pub(super) fn new(labels: TargetLabels, relabelling: Relabelling, limits: LabelLimits) -> Self {
        let takes_all = relabelling.takes_all();
        Self { labels, relabelling, role: SwarmRole::default(), takes_all, limits }
    }

    pub(super) fn set_labels(&mut self, labels: TargetLabels) {
        self.labels = labels;
    }

    pub(super) fn set_relabelling(&mut self, relabelling: Relabelling) {
        self.takes_all = relabelling.takes_all();
        self.relabelling = relabelling;
    }

    /// Whether no line is ever left out.
    pub(super) fn takes_all(&self) -> bool {
        self.takes_all
    }

    /// Whether the verdict on a line depends on the node's role.
    pub(super) fn asks_for_role(&self) -> bool {
        match self.relabelling.names.preset {
            Preset::Engine => true,
            Preset::All | Preset::Minimal => false,
        }
    }

    /// Returns whether the role has changed.
    pub(super) fn set_role(&mut self, role: SwarmRole) -> bool {
        std::mem::replace(&mut self.role, role) != role
    }

    /// The complete label set of a line's series; `None` where a filter or a rule drops it.
    ///
    /// # Errors
    /// A series that cannot be (remote-write 4.16), as exposed or as the rules have left it, or one beyond the limits of labels (4.13).
    pub(super) fn series(
        &self,
        line: &ExposedSeries<'_>,
        spelling: Spelling,
    ) -> Result<Option<Labels>, ScrapeError> {
        if !self.relabelling.names.verdict(&line.name()?).keeps(self.role) {
            return Ok(None);
        }
        let mut exposed = repeated::settled(line, &self.labels)?;
        match spelling {
            Spelling::AsExposed => {}
            Spelling::Le | Spelling::Quantile => exposed.normalize(line.in_force),
        }
        let Some(labels) = self.relabelling.rules.apply(self.labels.apply(exposed.iter())) else {
            return Ok(None);
        };
        check_storable(&labels).map_err(|reason| ScrapeError::Relabelled { place: line.place(), reason })?;
        self.limits.check(&labels).map_err(|excess| {
            let place = line.place();
            ScrapeError::LabelLimit { series: place.excerpt.clone(), site: Site::Line(place), excess }
        })?;
        Ok(Some(self.labels.with_external(labels)))
    }
}
