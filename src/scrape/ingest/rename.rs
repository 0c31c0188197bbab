//! Other labels and other rules for a target whose series are known: what is called otherwise from now on ends under its old name.

use super::Ingest;
use crate::exposition::Format;
use crate::model::Labels;
use crate::scrape::identity;
use crate::scrape::relabelling::Relabelling;
use crate::scrape::synthetic;
use crate::scrape::target_labels::TargetLabels;

impl Ingest {
    /// Takes other labels of the target and other external labels, from the next scrape on. Series that change ends get a marker in that
    /// scrape, the synthetic ones too.
    pub fn rename(&mut self, target: &Labels, external: &Labels) {
        let labels = TargetLabels::new(target, external, self.rules.honor_labels);
        if self.rules.synthetic_series {
            let renamed = synthetic::all(&self.rules, &labels, &mut self.series);
            for old in std::mem::replace(&mut self.synthetic, renamed) {
                if self.synthetic.iter().any(|new| new.slot == old.slot) {
                    self.series.release(old.slot);
                } else {
                    self.series.retire_synthetic(old.slot);
                    self.retired.push(old.slot);
                }
            }
        }
        self.naming.set_labels(labels);
        self.renamed = true;
    }

    /// Takes other filters and rules, from the next scrape on. Series that are dropped or renamed by them end in that scrape.
    pub fn relabel(&mut self, relabelling: Relabelling) {
        self.naming.set_relabelling(relabelling);
        self.renamed = true;
    }

    /// Before the first line of a body: what the cached lines come to is forgotten where it may be something else by now.
    pub(super) fn renew_names(&mut self, format: Format, body: &[u8]) {
        if self.naming.asks_for_role() {
            let role = identity::swarm_role(identity::engine_lines(format, body, &mut self.engine_lines));
            self.renamed |= self.naming.set_role(role);
        }
        // The lines of another format are other lines, as to Prometheus.
        self.renamed |= std::mem::replace(&mut self.format, format) != format;
        if std::mem::take(&mut self.renamed) {
            let series = &mut self.series;
            self.lines.forget_all(|slot| series.release(slot));
        }
    }

    /// Markers for synthetic series that have other labels now; behind the scrape's own samples, which may be of the same series.
    pub(super) fn end_retired(&mut self, timestamp: i64) -> u64 {
        let mut markers = 0;
        for slot in std::mem::take(&mut self.retired) {
            let marked = self.mark(slot, timestamp);
            markers += u64::from(marked);
            self.open.untracked(slot, marked);
            self.series.release(slot);
        }
        markers
    }
}
