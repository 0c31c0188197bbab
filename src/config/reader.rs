//! Reads single settings by the table, and collects what is wrong instead of stopping at it.

use std::path::PathBuf;
use std::time::Duration;

use super::Mode;
use super::map::parse_map;
use super::problem::{Problem, Warning};
use super::strings::{NotUtf8, Strings};
use super::table::{self, Default, Kind, SETTINGS, Setting};
use super::values::{parse_boolean, parse_count, parse_duration, parse_size};
use crate::model::{Secret, SecretSource};

/// More of a value than this helps nobody, and a log line is short.
const SHOWN_CHARACTERS: usize = 60;

/// One pass over the settings. A reading method returns `None` where there is no value, or where there was a problem: what
/// is built from it is then thrown away, because any problem fails the whole.
pub(super) struct Reader<'a> {
    env: &'a dyn Strings,
    pub(super) mode: Mode,
    problems: Vec<Problem>,
    warnings: Vec<Warning>,
    asked: Vec<&'static str>,
}

/// What a parser of a value says when it does not like it: the end of a sentence that begins with the value.
pub(super) type Parsed<T> = Result<T, String>;

impl<'a> Reader<'a> {
    pub(super) fn new(env: &'a dyn Strings, mode: Mode) -> Self {
        Self { env, mode, problems: Vec::new(), warnings: Vec::new(), asked: Vec::new() }
    }

    /// Problems in the order of the table, then warnings in the order of their discovery.
    pub(super) fn finish(mut self) -> (Vec<Problem>, Vec<Warning>) {
        let place = |name: &str| SETTINGS.iter().position(|setting| setting.name == name);
        self.problems.sort_by_key(|problem| place(problem.setting));
        (self.problems, self.warnings)
    }

    /// The names that were asked for: a test holds them against the table.
    #[cfg(test)]
    pub(super) fn asked(&self) -> &[&'static str] {
        &self.asked
    }

    pub(super) fn problem(&mut self, name: &'static str, what: impl Into<String>) {
        let problem = match table::find(name) {
            Some(setting) => Problem::new(setting, what),
            None => Problem { setting: name, what: what.into(), allowed: "nothing".to_owned(), example: "" },
        };
        self.problems.push(problem);
    }

    pub(super) fn warn(&mut self, name: &str, text: impl Into<String>) {
        self.warnings.push(Warning { setting: name.to_owned(), text: text.into() });
    }

    /// Whether the setting has a value of its own. Empty is unset.
    pub(super) fn is_set(&self, name: &str) -> bool {
        self.env.get(name).is_ok_and(|value| value.is_some_and(|value| !value.is_empty()))
            || self.env.get(name) == Err(NotUtf8)
    }

    /// The value, or the default, as `parse` reads it.
    pub(super) fn parse<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&Setting, &str) -> Parsed<T>,
    ) -> Option<T> {
        let Some(setting) = table::find(name) else {
            self.problem(name, "is not in the table of settings");
            return None;
        };
        self.asked.push(setting.name);
        let given = match self.env.get(name) {
            Ok(given) => given.filter(|value| !value.is_empty()),
            Err(NotUtf8) => {
                self.problem(name, "its value is not UTF-8");
                return None;
            }
        };
        let text = match (given, setting.default) {
            (Some(given), _) => given,
            (None, Default::Value(default)) => default.to_owned(),
            (None, Default::Told(_) | Default::Unset) => return None,
        };
        match parse(setting, &text) {
            Ok(value) => Some(value),
            Err(what) if setting.secret => {
                self.problem(name, format!("its value {what}"));
                None
            }
            Err(what) => {
                self.problem(name, format!("{} {what}", shown(&text)));
                None
            }
        }
    }

    pub(super) fn boolean(&mut self, name: &'static str) -> Option<bool> {
        self.parse(name, |_, text| Ok(parse_boolean(text.trim())?))
    }

    pub(super) fn duration(&mut self, name: &'static str) -> Option<Duration> {
        self.parse(name, |setting, text| duration_within(&setting.kind, text))
    }

    /// A duration whose 0 means "off".
    pub(super) fn duration_or_off(&mut self, name: &'static str) -> Option<Option<Duration>> {
        self.duration(name).map(|duration| (!duration.is_zero()).then_some(duration))
    }

    pub(super) fn size(&mut self, name: &'static str) -> Option<u64> {
        self.parse(name, |setting, text| size_within(&setting.kind, text))
    }

    pub(super) fn count(&mut self, name: &'static str) -> Option<u64> {
        self.parse(name, |setting, text| count_within(&setting.kind, text))
    }

    /// One of the words of the table, with what it stands for here. `later` are words that will be understood one day.
    pub(super) fn choice<T: Copy>(
        &mut self,
        name: &'static str,
        words: &[(&str, T)],
        later: &[&str],
    ) -> Option<T> {
        self.parse(name, |_, text| {
            let text = text.trim();
            match words.iter().find(|(word, _)| *word == text) {
                Some((_, value)) => Ok(*value),
                None if later.contains(&text) => Err("is not built yet".to_owned()),
                None => Err("is not one of the words for it".to_owned()),
            }
        })
    }

    pub(super) fn path(&mut self, name: &'static str) -> Option<PathBuf> {
        self.parse(name, |_, text| {
            if text.chars().any(char::is_control) {
                return Err("contains a control character (a line end?)".to_owned());
            }
            Ok(PathBuf::from(text))
        })
    }

    pub(super) fn map(&mut self, name: &'static str) -> Option<Vec<(String, String)>> {
        self.parse(name, |_, text| parse_map(text).map_err(|error| format!("cannot be read: {error}")))
    }

    /// The value of the setting or the file that its twin names; both is a problem, an inline secret is worth a warning.
    pub(super) fn secret(
        &mut self,
        name: &'static str,
        file: &'static str,
        check: impl FnOnce(&str) -> Parsed<()>,
    ) -> Option<SecretSource> {
        let inline = self.parse(name, |_, text| check(text).map(|()| Secret::new(text)));
        let path = self.path(file);
        self.not_both(name, file);
        if inline.is_some() {
            self.warn_inline(name, Some(file));
        }
        inline.map(SecretSource::Inline).or(path.map(SecretSource::File))
    }

    /// Tells that `name` and `other` exclude each other, if both are set.
    pub(super) fn not_both(&mut self, name: &'static str, other: &str) {
        if self.is_set(name) && self.is_set(other) {
            self.problem(name, format!("is set together with {other}: only one of them may be"));
        }
    }

    /// Tells who can read a secret that stands in a setting.
    pub(super) fn warn_inline(&mut self, name: &str, file: Option<&str>) {
        let readers = match self.mode {
            Mode::Plugin => "`docker plugin inspect` shows this secret",
            Mode::Run => "whoever may read the process's environment can read this secret",
        };
        let text = match file {
            Some(file) => format!("{readers}; {file} keeps it in a file"),
            None => readers.to_owned(),
        };
        self.warn(name, text);
    }
}

const NOT_OF_THIS_KIND: &str = "has a wrong kind in the table of settings";

/// A duration in the range of its kind.
pub(super) fn duration_within(kind: &Kind, text: &str) -> Parsed<Duration> {
    match kind {
        Kind::Duration(limits) => in_range(parse_duration(text.trim())?, |value| limits.contains(value)),
        _ => Err(NOT_OF_THIS_KIND.to_owned()),
    }
}

/// Bytes in the range of their kind.
pub(super) fn size_within(kind: &Kind, text: &str) -> Parsed<u64> {
    match kind {
        Kind::Size(limits) => in_range(parse_size(text.trim())?, |value| limits.contains(value)),
        _ => Err(NOT_OF_THIS_KIND.to_owned()),
    }
}

/// A whole number in the range of its kind.
pub(super) fn count_within(kind: &Kind, text: &str) -> Parsed<u64> {
    match kind {
        Kind::Count(limits) => in_range(parse_count(text.trim())?, |value| limits.contains(value)),
        _ => Err(NOT_OF_THIS_KIND.to_owned()),
    }
}

fn in_range<T>(value: T, allowed: impl FnOnce(&T) -> bool) -> Parsed<T> {
    if allowed(&value) { Ok(value) } else { Err("is out of range".to_owned()) }
}

/// A value that is not secret, on one line and not too long.
pub(super) fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARACTERS) {
        Some((end, _)) => format!("{:?}...", &text[..end]),
        None => format!("{text:?}"),
    }
}
