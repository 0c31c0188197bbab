//! What is wrong with the settings, and what is merely worth a line in the log.

use std::fmt;

use super::table::Setting;

/// One thing that is wrong with one setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The name of the setting.
    pub setting: &'static str,
    /// What was wrong; shows the value only where it cannot be secret.
    pub what: String,
    /// What is allowed.
    pub allowed: String,
    /// A value that is allowed.
    pub example: &'static str,
}

impl Problem {
    pub(super) fn new(setting: &Setting, what: impl Into<String>) -> Self {
        Self {
            setting: setting.name,
            what: what.into(),
            allowed: setting.kind.to_string(),
            example: setting.example,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { setting, what, allowed, example } = self;
        write!(f, "{setting}: {what}; allowed: {allowed}; example: {setting}={example}")
    }
}

/// Everything that is wrong, in the order of the table. Never empty when it is an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub(super) Vec<Problem>);

impl Problems {
    /// One by one.
    #[must_use]
    pub fn as_slice(&self) -> &[Problem] {
        &self.0
    }

    /// All of them in one line: for the log, and for the answer to StartMetrics.
    #[must_use]
    pub fn one_line(&self) -> String {
        let all: Vec<_> = self.0.iter().map(Problem::to_string).collect();
        format!("{}: {}", self.title(), all.join(" | "))
    }

    fn title(&self) -> String {
        match self.0.len() {
            1 => "1 problem with the settings".to_owned(),
            n => format!("{n} problems with the settings"),
        }
    }
}

/// A heading, then one line for each.
impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.title())?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl std::error::Error for Problems {}

/// Something that works and is probably not meant. Never shows a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The name of the setting, or of the variable that is none.
    pub setting: String,
    /// One sentence.
    pub text: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.setting, self.text)
    }
}
