//! Labels with places that only the exposition can fill.

use super::identity::Identity;
use crate::model::Labels;

/// What an engine says of itself, and a label may repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placeholder {
    /// `daemon_id` of `engine_daemon_engine_info`.
    DaemonId,
    /// `version` of `engine_daemon_engine_info`.
    EngineVersion,
    /// `node_id` of `swarm_node_info`.
    NodeId,
    /// `swarm_id` of `swarm_node_info`.
    SwarmId,
}

impl Placeholder {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::DaemonId, Self::EngineVersion, Self::NodeId, Self::SwarmId];

    /// As it stands between the braces.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DaemonId => "daemon_id",
            Self::EngineVersion => "engine_version",
            Self::NodeId => "node_id",
            Self::SwarmId => "swarm_id",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Filled(Placeholder),
}

/// A label's value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template(Vec<Part>);

impl Template {
    /// Appends a text.
    pub fn push_text(&mut self, text: &str) {
        if !text.is_empty() {
            self.0.push(Part::Text(text.to_owned()));
        }
    }

    /// Appends what the exposition will tell.
    pub fn push(&mut self, placeholder: Placeholder) {
        self.0.push(Part::Filled(placeholder));
    }

    /// Whether it can only be an empty text, which is no label.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn fill(&self, identity: &Identity) -> Result<String, Placeholder> {
        let part = |part: &Part| match part {
            Part::Text(text) => Ok(text.clone()),
            Part::Filled(placeholder) => identity.get(*placeholder).map(str::to_owned).ok_or(*placeholder),
        };
        self.0.iter().map(part).collect()
    }
}

impl From<&str> for Template {
    fn from(text: &str) -> Self {
        let mut template = Self::default();
        template.push_text(text);
        template
    }
}

/// Names and values of one set of labels.
pub type Templates = Vec<(String, Template)>;

/// What a target's series are labelled with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelTemplates {
    /// `job`, `instance`.
    pub target: Templates,
    /// `EXTERNAL_LABELS`.
    pub external: Templates,
}

/// [`LabelTemplates`], filled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetNames {
    /// `job`, `instance`.
    pub target: Labels,
    /// `EXTERNAL_LABELS`.
    pub external: Labels,
}

impl LabelTemplates {
    /// The labels; one whose value turns out empty is left out.
    ///
    /// # Errors
    /// A placeholder that is not known yet.
    pub fn fill(&self, identity: &Identity) -> Result<TargetNames, Placeholder> {
        let fill = |templates: &Templates| -> Result<Labels, Placeholder> {
            templates.iter().map(|(name, value)| Ok((name, value.fill(identity)?))).collect()
        };
        Ok(TargetNames { target: fill(&self.target)?, external: fill(&self.external)? })
    }

    /// What the exposition is asked for, each once.
    #[must_use]
    pub fn placeholders(&self) -> Vec<Placeholder> {
        let parts = || self.target.iter().chain(&self.external).flat_map(|(_, template)| &template.0);
        let used = |wanted: &Placeholder| parts().any(|part| *part == Part::Filled(*wanted));
        Placeholder::ALL.into_iter().filter(used).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_filled_once_everything_is_known_and_empty_ones_left_out() {
        let mut instance = Template::from("engine ");
        instance.push(Placeholder::DaemonId);
        let mut node = Template::default();
        node.push(Placeholder::NodeId);
        let templates = LabelTemplates {
            target: vec![("job".into(), "docker".into()), ("instance".into(), instance)],
            external: vec![("node".into(), node)],
        };
        assert_eq!(templates.placeholders(), [Placeholder::DaemonId, Placeholder::NodeId]);
        assert_eq!(templates.fill(&Identity::default()), Err(Placeholder::DaemonId));
        let half = Identity::parse(r#"{"daemon_id":"D"}"#);
        assert_eq!(templates.fill(&half), Err(Placeholder::NodeId));
        let names = templates.fill(&Identity::parse(r#"{"daemon_id":"D","node_id":""}"#)).unwrap();
        assert_eq!(names.target.to_string(), r#"{instance="engine D",job="docker"}"#);
        assert!(names.external.is_empty());
    }
}
