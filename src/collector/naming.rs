//! Before a scrape is taken in: what the series are called, and whether that is known yet. Decisions alone, no I/O.

use tokio::sync::watch;

use crate::scrape::{
    Config, Format, Identity, LabelTemplates, Recognition, Relabelling, TargetNames, engine_lines,
};

/// Why nothing of a scrape can be taken in, `up` included.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Held {
    /// A placeholder of a label.
    #[error("{{{{{0}}}}} is not known yet: the engine has not exposed it")]
    Placeholder(&'static str),
    /// `METRIC_RELABEL_CONFIGS`.
    #[error("the rules of METRIC_RELABEL_CONFIGS have not been read yet")]
    Rules,
}

/// What has changed since the scrape before.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) names: Option<TargetNames>,
    pub(super) relabelling: Option<Relabelling>,
}

/// What the collector needs from elsewhere, and gives to elsewhere, to name series.
#[derive(Debug, Default)]
pub struct Links {
    /// What an earlier process has learned of the engine.
    pub saved: Identity,
    /// Takes whatever is learned anew.
    pub learned: Option<watch::Sender<Identity>>,
    /// The rules of a file; `None` while they have not been read.
    pub rules: Option<watch::Receiver<Option<Relabelling>>>,
}

#[derive(Debug)]
pub(super) struct Naming {
    labels: LabelTemplates,
    /// `None` where the exposition is asked for nothing.
    recognition: Option<Recognition>,
    /// What a protobuf body says of the engine.
    engine_lines: Vec<u8>,
    learned: Option<watch::Sender<Identity>>,
    rules: Option<watch::Receiver<Option<Relabelling>>>,
    /// In force, as soon as they are known.
    names: Option<TargetNames>,
    /// Whether rules are in force.
    ruled: bool,
    /// What the next scrape that is taken in has to know.
    changes: Changes,
}

impl Naming {
    /// Also the names for the first series; they are replaced before one is handed on where they are not known yet.
    pub(super) fn new(config: &Config, links: Links) -> (Self, TargetNames) {
        let Links { saved, learned, rules } = links;
        let placeholders = config.labels.placeholders();
        let names = config.labels.fill(&saved).ok();
        let naming = Self {
            labels: config.labels.clone(),
            recognition: (!placeholders.is_empty()).then(|| Recognition::new(saved, &placeholders)),
            engine_lines: Vec::new(),
            learned,
            names: names.clone(),
            ruled: config.rules_file.is_none(),
            rules: rules.filter(|_| config.rules_file.is_some()),
            changes: Changes::default(),
        };
        (naming, names.unwrap_or_default())
    }

    /// Looks into a body (`None` where there is none) for what labels need, and whether there are new rules. What has changed is told with
    /// the first scrape that is not held.
    pub(super) fn look(&mut self, body: Option<(Format, &[u8])>, timestamp: i64) -> Result<Changes, Held> {
        self.look_for_rules();
        self.look_for_names(body, timestamp)?;
        if self.ruled { Ok(std::mem::take(&mut self.changes)) } else { Err(Held::Rules) }
    }

    fn look_for_rules(&mut self) {
        let Some(rules) = &mut self.rules else { return };
        // The sender may have gone with the program's end; what it sent last stands.
        if self.ruled && !rules.has_changed().unwrap_or(false) {
            return;
        }
        if let Some(relabelling) = rules.borrow_and_update().clone() {
            self.changes.relabelling = Some(relabelling);
            self.ruled = true;
        }
    }

    fn look_for_names(&mut self, body: Option<(Format, &[u8])>, timestamp: i64) -> Result<(), Held> {
        let Some(recognition) = &mut self.recognition else { return Ok(()) };
        let learned = body.is_some_and(|(format, body)| {
            recognition.look(engine_lines(format, body, &mut self.engine_lines), timestamp)
        });
        if learned && let Some(somebody) = &self.learned {
            somebody.send_replace(recognition.identity().clone());
        }
        if self.names.is_some() && !learned {
            return Ok(());
        }
        let names = self.labels.fill(recognition.identity());
        let names = Some(names.map_err(|unknown| Held::Placeholder(unknown.name()))?);
        if names != self.names {
            self.names.clone_from(&names);
            self.changes.names = names;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use super::*;
    use crate::model::Labels;
    use crate::scrape::{Address, Placeholder, Template};
    use crate::scrape::{Escaping, HistogramForms, LabelLimits, Protocol};

    const ENGINE: &[u8] = b"engine_daemon_engine_info{daemon_id=\"D\",version=\"24.0\"} 1\n";

    fn config(placeholder: Option<Placeholder>, rules_file: Option<PathBuf>) -> Config {
        let mut instance = Template::from("host");
        if let Some(placeholder) = placeholder {
            instance.push(placeholder);
        }
        Config {
            address: Address::Unix { socket: PathBuf::new(), path: String::new() },
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            body_size_limit: None,
            sample_limit: None,
            protocols: vec![Protocol::PrometheusText0],
            fallback_protocol: Some(Protocol::PrometheusText0),
            escaping: Escaping::AllowUtf8,
            created_timestamps: false,
            exemplars: true,
            histograms: HistogramForms::CLASSIC,
            label_limits: LabelLimits::default(),
            extra_metrics: false,
            track_timestamps_staleness: false,
            normalize_le: true,
            honor_labels: false,
            honor_timestamps: true,
            labels: LabelTemplates { target: vec![("instance".into(), instance)], external: Vec::new() },
            phase: Labels::default(),
            relabelling: Relabelling::default(),
            rules_file,
        }
    }

    fn instance(changes: Result<Changes, Held>) -> Option<String> {
        changes.unwrap().names.map(|names| names.target.get("instance").unwrap().to_owned())
    }

    #[test]
    fn without_a_placeholder_or_a_file_nothing_is_held_and_nothing_changes() {
        let (mut naming, names) = Naming::new(&config(None, None), Links::default());
        assert_eq!(names.target.get("instance"), Some("host"));
        for body in [None, Some(ENGINE)] {
            let changes = naming.look(body.map(|body| (Format::Text, body)), 0).unwrap();
            assert!(changes.names.is_none() && changes.relabelling.is_none());
        }
    }

    #[test]
    fn scrapes_are_held_until_the_engine_has_said_who_it_is_and_that_is_told_once() {
        let (learn, learned) = watch::channel(Identity::default());
        let links = Links { learned: Some(learn), ..Links::default() };
        let (mut naming, _) = Naming::new(&config(Some(Placeholder::DaemonId), None), links);
        assert_eq!(naming.look(None, 0).unwrap_err(), Held::Placeholder("daemon_id"));
        assert_eq!(
            naming.look(Some((Format::Text, b"up 1\n")), 1).unwrap_err(),
            Held::Placeholder("daemon_id")
        );
        assert_eq!(instance(naming.look(Some((Format::Text, ENGINE)), 2)).as_deref(), Some("hostD"));
        assert_eq!(instance(naming.look(Some((Format::Text, ENGINE)), 3)), None);
        assert_eq!(instance(naming.look(None, 4)), None, "a target that fails has its name");
        assert_eq!(learned.borrow().get(Placeholder::EngineVersion), Some("24.0"), "saved for other labels");
    }

    #[test]
    fn what_was_saved_holds_nothing_up_and_a_change_that_no_label_shows_changes_nothing() {
        let saved = || Identity::parse(r#"{"daemon_id":"D","engine_version":"20.10"}"#);
        let of_daemon = config(Some(Placeholder::DaemonId), None);
        let (mut naming, names) = Naming::new(&of_daemon, Links { saved: saved(), ..Links::default() });
        assert_eq!(names.target.get("instance"), Some("hostD"));
        assert_eq!(instance(naming.look(None, 0)), None);
        assert_eq!(
            instance(naming.look(Some((Format::Text, ENGINE)), 1)),
            None,
            "another version, the same daemon"
        );
        let of_version = config(Some(Placeholder::EngineVersion), None);
        let (mut naming, _) = Naming::new(&of_version, Links { saved: saved(), ..Links::default() });
        assert_eq!(instance(naming.look(None, 0)), None);
        assert_eq!(instance(naming.look(Some((Format::Text, ENGINE)), 1)).as_deref(), Some("host24.0"));
    }

    #[test]
    fn without_the_rules_of_a_file_nothing_is_taken_in_and_names_learned_meanwhile_are_not_forgotten() {
        let (read, rules) = watch::channel(None);
        let links = Links { rules: Some(rules), ..Links::default() };
        let of_daemon = config(Some(Placeholder::DaemonId), Some(PathBuf::from("/rules")));
        let (mut naming, _) = Naming::new(&of_daemon, links);
        assert_eq!(naming.look(Some((Format::Text, ENGINE)), 0).unwrap_err(), Held::Rules);
        read.send_replace(Some(Relabelling::default()));
        let changes = naming.look(None, 1).unwrap();
        assert!(changes.relabelling.is_some() && changes.names.is_some());
        assert!(naming.look(None, 2).unwrap().relabelling.is_none());
        read.send_replace(Some(Relabelling::default()));
        assert!(naming.look(None, 3).unwrap().relabelling.is_some());
        drop(read);
        assert!(naming.look(None, 4).unwrap().relabelling.is_none());
    }
}
