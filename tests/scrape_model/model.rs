//! What Prometheus makes of one exposition after the other, told in the plainest way: maps of label sets, searched anew for each line.
//! Shares no code with the program, its parser included.

use std::collections::{BTreeMap, BTreeSet};

use super::body::{EPOCH, Flaw, Line, Sample};

pub(super) type Labels = BTreeMap<String, String>;

pub(super) const STALE: u64 = 0x7ff0_0000_0000_0002;

/// Type word and help text.
pub(super) type Metadata = (&'static str, &'static str);

#[derive(Clone, Debug)]
pub(super) struct Setup {
    pub(super) target: Labels,
    pub(super) external: Labels,
    pub(super) honor_labels: bool,
    pub(super) honor_timestamps: bool,
    pub(super) normalize_le: bool,
    pub(super) sample_limit: Option<u64>,
    pub(super) synthetic: bool,
}

/// What is handed on. No value: it is the duration of the scrape, which nobody can foretell.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stored {
    pub(super) labels: Labels,
    pub(super) bits: Option<u64>,
    pub(super) timestamp: i64,
    /// None: one of the scrape's own series.
    pub(super) metadata: Option<Metadata>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Outcome {
    pub(super) samples: Vec<Stored>,
    pub(super) failed: bool,
    pub(super) scraped: u64,
    pub(super) post_relabel: u64,
    pub(super) added: u64,
    pub(super) markers: u64,
    pub(super) duplicate: u64,
    pub(super) out_of_order: u64,
    pub(super) too_far_ahead: u64,
    pub(super) too_old: u64,
}

#[derive(Debug)]
pub(super) struct Model {
    setup: Setup,
    /// Lines of the last good scrape and of the failed ones after it, and the series that they name.
    known: BTreeMap<(String, &'static str), Labels>,
    /// Newest sample of each series that the target ever had.
    newest: BTreeMap<Labels, (i64, u64)>,
    /// Series of the last scrape that had no timestamps of their own, in order of appearance.
    tracked: Vec<Labels>,
    families: BTreeMap<&'static str, Metadata>,
    latest: i64,
}

/// A scrape in the making.
#[derive(Default)]
struct Draft {
    outcome: Outcome,
    /// What counts against the limit.
    offered: u64,
    samples: Vec<(Labels, Option<u64>, i64)>,
    /// Lines that the cache has from now on.
    seen: BTreeMap<(String, &'static str), Labels>,
    /// All lines.
    exposed: BTreeSet<(String, &'static str)>,
    tracked: Vec<Labels>,
}

impl Draft {
    fn newest_of(&self, labels: &Labels) -> Option<i64> {
        self.samples.iter().filter(|sample| sample.0 == *labels).map(|sample| sample.2).max()
    }
}

enum Verdict {
    Stored,
    Duplicate,
    Repeated,
    OutOfOrder,
    TooFarAhead,
    TooOld,
}

impl Model {
    pub(super) fn new(setup: &Setup) -> Self {
        Self {
            setup: setup.clone(),
            known: BTreeMap::new(),
            newest: BTreeMap::new(),
            tracked: Vec::new(),
            families: BTreeMap::new(),
            latest: i64::MIN,
        }
    }

    pub(super) fn scrape(
        &mut self,
        lines: &[Line],
        flaw: Option<(usize, Flaw)>,
        round: u8,
        at: i64,
    ) -> Outcome {
        let mut draft = self.read(lines, flaw, round, at);
        if draft.outcome.failed {
            self.roll_back(&mut draft);
        } else {
            self.cache(&mut draft, lines);
        }
        self.finish(draft, at)
    }

    pub(super) fn unreachable(&mut self, at: i64) -> Outcome {
        let mut draft = Draft::default();
        draft.outcome.failed = true;
        self.finish(draft, at)
    }

    /// None: it failed, and leaves no trace.
    pub(super) fn last_scrape(
        &mut self,
        lines: &[Line],
        flaw: Option<(usize, Flaw)>,
        round: u8,
        at: i64,
    ) -> Option<Outcome> {
        let at = at.max(self.latest.saturating_add(1));
        let mut draft = self.read(lines, flaw, round, at);
        if draft.outcome.failed {
            self.roll_back(&mut draft);
            return None;
        }
        self.cache(&mut draft, lines);
        Some(self.finish(draft, at))
    }

    pub(super) fn end_all(&mut self, at: i64) -> Outcome {
        // The target's loop ends, and its cache with it.
        self.known.clear();
        let at = at.max(self.latest.saturating_add(1));
        let mut draft = Draft::default();
        self.mark_missing(&mut draft, at);
        for (labels, _) in self.own_series(&Outcome::default()) {
            self.mark(&mut draft, &labels, at);
        }
        self.commit(draft, at)
    }

    /// An empty body is taken for a failed scrape: nothing is forgotten.
    fn cache(&mut self, draft: &mut Draft, lines: &[Line]) {
        let seen = std::mem::take(&mut draft.seen);
        if lines.is_empty() {
            return;
        }
        self.known.retain(|key, _| draft.exposed.contains(key));
        self.known.extend(seen);
    }

    fn roll_back(&mut self, draft: &mut Draft) {
        self.known.append(&mut draft.seen);
        draft.samples.clear();
        draft.tracked.clear();
        let outcome = &mut draft.outcome;
        (outcome.duplicate, outcome.out_of_order) = (0, 0);
        (outcome.too_far_ahead, outcome.too_old) = (0, 0);
    }

    fn finish(&mut self, mut draft: Draft, at: i64) -> Outcome {
        self.mark_missing(&mut draft, at);
        for (labels, bits) in self.own_series(&draft.outcome) {
            match self.judge(&draft, &labels, bits, at, at) {
                Verdict::Stored => draft.samples.push((labels, bits, at)),
                Verdict::Duplicate | Verdict::Repeated => draft.outcome.duplicate += 1,
                Verdict::OutOfOrder => draft.outcome.out_of_order += 1,
                Verdict::TooFarAhead => draft.outcome.too_far_ahead += 1,
                Verdict::TooOld => draft.outcome.too_old += 1,
            }
        }
        self.commit(draft, at)
    }

    fn commit(&mut self, mut draft: Draft, at: i64) -> Outcome {
        self.latest = self.latest.max(at);
        self.tracked = draft.tracked;
        let own: BTreeSet<_> = self.own_series(&Outcome::default()).into_iter().map(|own| own.0).collect();
        for (labels, bits, timestamp) in draft.samples {
            self.newest.insert(labels.clone(), (timestamp, bits.unwrap_or(1)));
            let metadata = (!own.contains(&labels)).then(|| self.metadata(&labels["__name__"]));
            draft.outcome.samples.push(Stored { labels, bits, timestamp, metadata });
        }
        draft.outcome
    }

    fn read(&mut self, lines: &[Line], flaw: Option<(usize, Flaw)>, round: u8, at: i64) -> Draft {
        let mut draft = Draft::default();
        let mut word = "untyped";
        for line in 0..=lines.len() {
            match flaw.filter(|(place, _)| *place == line) {
                Some((_, Flaw::Syntax(_))) => {
                    draft.outcome.failed = true;
                    return draft;
                }
                // Beyond the limit no label set is looked at any more: the line only counts.
                Some((_, Flaw::Series(_))) if self.is_full(&draft) => {
                    draft.outcome.scraped += 1;
                    draft.outcome.post_relabel += 1;
                    draft.offered += 1;
                }
                Some((_, Flaw::Series(_))) => {
                    draft.outcome.scraped += 1;
                    draft.outcome.failed = true;
                    return draft;
                }
                None => {}
            }
            match lines.get(line) {
                Some(Line::Sample(sample)) => self.append(&mut draft, sample, word, round, at),
                Some(Line::Type(family, new)) => {
                    word = new;
                    self.families.entry(family).or_insert(("untyped", "")).0 = new;
                }
                Some(Line::Help(family, help)) => {
                    self.families.entry(family).or_insert(("untyped", "")).1 = help
                }
                Some(Line::Comment) | None => {}
            }
        }
        draft.outcome.failed = self.setup.sample_limit.is_some_and(|limit| draft.offered > limit);
        draft
    }

    fn is_full(&self, draft: &Draft) -> bool {
        self.setup.sample_limit.is_some_and(|limit| draft.offered >= limit)
    }

    fn append(&self, draft: &mut Draft, sample: &Sample, word: &'static str, round: u8, at: i64) {
        draft.outcome.scraped += 1;
        draft.outcome.post_relabel += 1;
        let bound = match word {
            "histogram" if self.setup.normalize_le => "le",
            "summary" if self.setup.normalize_le => "quantile",
            _ => "",
        };
        let own =
            sample.timestamp.filter(|_| self.setup.honor_timestamps).map(|after| EPOCH + i64::from(after));
        let key = (sample.series(), bound);
        let new = !self.known.contains_key(&key) && !draft.seen.contains_key(&key);
        if own.is_none() && !new && draft.exposed.contains(&key) {
            draft.outcome.duplicate += 1;
            return;
        }
        let full = self.is_full(draft);
        draft.offered += 1;
        if full {
            return;
        }
        draft.exposed.insert(key.clone());
        let labels = self.labels(sample, bound);
        let bits = sample.value.bits(round);
        let timestamp = own.unwrap_or(at);
        // Prometheus learns only when it stores the scrape that two spellings are one series: for its cache each sample stands alone.
        let alone = self.judge(&Draft::default(), &labels, Some(bits), timestamp, at);
        // A head asks for its bounds before it looks for a sample that it has.
        let in_bounds = timestamp >= at - 3_600_000;
        if in_bounds && matches!(alone, Verdict::Stored | Verdict::Repeated) {
            draft.outcome.added += u64::from(new);
            draft.seen.insert(key, labels.clone());
            // What could not be stored is not waited for.
            let synthetic = self.own_series(&Outcome::default()).into_iter().any(|own| own.0 == labels);
            if own.is_none() && !synthetic && !draft.tracked.contains(&labels) {
                draft.tracked.push(labels.clone());
            }
        }
        match self.judge(draft, &labels, Some(bits), timestamp, at) {
            Verdict::Stored => draft.samples.push((labels, Some(bits), timestamp)),
            Verdict::Duplicate => draft.outcome.duplicate += 1,
            Verdict::Repeated => draft.outcome.duplicate += 1,
            Verdict::OutOfOrder => draft.outcome.out_of_order += 1,
            Verdict::TooFarAhead => draft.outcome.too_far_ahead += 1,
            Verdict::TooOld => draft.outcome.too_old += 1,
        }
    }

    fn judge(&self, draft: &Draft, labels: &Labels, bits: Option<u64>, timestamp: i64, at: i64) -> Verdict {
        if timestamp > at + 600_000 {
            return Verdict::TooFarAhead;
        }
        if draft.newest_of(labels).is_some_and(|newest| timestamp <= newest) {
            return Verdict::Duplicate;
        }
        match self.newest.get(labels) {
            Some((newest, value)) if timestamp == *newest && bits == Some(*value) => Verdict::Repeated,
            Some((newest, _)) if timestamp <= *newest => Verdict::OutOfOrder,
            Some(_) | None if timestamp < at - 3_600_000 => Verdict::TooOld,
            Some(_) | None => Verdict::Stored,
        }
    }

    fn mark_missing(&self, draft: &mut Draft, at: i64) {
        for labels in &self.tracked {
            if !draft.tracked.contains(labels) {
                self.mark(draft, labels, at);
            }
        }
    }

    fn mark(&self, draft: &mut Draft, labels: &Labels, at: i64) {
        let here = draft.newest_of(labels);
        let before = self.newest.get(labels);
        let ended = here.is_none() && before.is_none_or(|(_, bits)| *bits == STALE);
        if !ended && here.or(before.map(|before| before.0)).is_none_or(|newest| at > newest) {
            draft.outcome.markers += 1;
            draft.samples.push((labels.clone(), Some(STALE), at));
        }
    }

    fn labels(&self, sample: &Sample, bound: &str) -> Labels {
        let setup = &self.setup;
        let mut exposed: Labels =
            sample.labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        for (name, value) in &mut exposed {
            if name == bound {
                let spelled = match value.as_str() {
                    "1" => "1.0",
                    "0.50" => "0.5",
                    "1e6" => "1e+06",
                    other => other,
                };
                *value = spelled.to_owned();
            }
        }
        let mut labels = exposed.clone();
        labels.insert("__name__".into(), sample.name.into());
        if setup.honor_labels {
            for (name, value) in &setup.target {
                labels.entry(name.clone()).or_insert(value.clone());
            }
        } else {
            labels.extend(setup.target.clone());
            let mut clashes: Vec<_> = exposed
                .iter()
                .filter(|(name, value)| setup.target.contains_key(*name) && !value.is_empty())
                .collect();
            clashes.sort_by_key(|(name, _)| name.len());
            for (name, value) in clashes {
                let mut name = format!("exported_{name}");
                while labels.get(&name).is_some_and(|value| !value.is_empty()) {
                    name = format!("exported_{name}");
                }
                labels.insert(name, value.clone());
            }
        }
        self.complete(labels)
    }

    fn complete(&self, mut labels: Labels) -> Labels {
        labels.retain(|_, value| !value.is_empty());
        for (name, value) in &self.setup.external {
            labels.entry(name.clone()).or_insert(value.clone());
        }
        labels
    }

    fn own_series(&self, outcome: &Outcome) -> Vec<(Labels, Option<u64>)> {
        #[expect(clippy::cast_precision_loss, reason = "small counts")]
        let count = |count: u64| Some((count as f64).to_bits());
        let values = [
            ("up", count(u64::from(!outcome.failed))),
            ("scrape_duration_seconds", None),
            ("scrape_samples_scraped", count(outcome.scraped)),
            ("scrape_samples_post_metric_relabeling", count(outcome.post_relabel)),
            ("scrape_series_added", count(outcome.added)),
        ];
        let series = |name: &str| {
            let mut labels = self.setup.target.clone();
            labels.insert("__name__".into(), name.into());
            self.complete(labels)
        };
        values
            .into_iter()
            .filter(|_| self.setup.synthetic)
            .map(|(name, value)| (series(name), value))
            .collect()
    }

    fn metadata(&self, name: &str) -> Metadata {
        let suffixed = |suffix: &str, types: &[&str]| {
            let family = self.families.get(name.strip_suffix(suffix)?)?;
            types.contains(&family.0).then_some(*family)
        };
        let own = self.families.get(name).copied();
        own.or_else(|| suffixed("_bucket", &["histogram"]))
            .or_else(|| suffixed("_sum", &["histogram", "summary"]))
            .or_else(|| suffixed("_count", &["histogram", "summary"]))
            .unwrap_or(("untyped", ""))
    }
}
