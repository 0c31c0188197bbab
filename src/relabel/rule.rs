//! One rule, checked: each action with exactly what it needs.

use std::num::NonZeroU64;

use serde_saphyr::{Location, Spanned};

use super::CompileError;
use super::document::{Field, Placed, RawRule};
use super::pattern::{Pattern, Template};

const DEFAULT_SEPARATOR: &str = ";";
const DEFAULT_REGEX: &str = "(.*)";
const DEFAULT_REPLACEMENT: &str = "$1";

/// One rule, ready to be applied.
#[derive(Clone, Debug)]
pub(super) enum Rule {
    Replace { source: Source, pattern: Pattern, target: Template, replacement: Template },
    Keep { source: Source, pattern: Pattern },
    Drop { source: Source, pattern: Pattern },
    KeepEqual { source: Source, target: String },
    DropEqual { source: Source, target: String },
    HashMod { source: Source, target: String, modulus: NonZeroU64 },
    LabelMap { pattern: Pattern, replacement: Template },
    LabelDrop { pattern: Pattern },
    LabelKeep { pattern: Pattern },
    Lowercase { source: Source, target: String },
    Uppercase { source: Source, target: String },
}

/// The values of these labels in this order, a label that is not there being empty, with the separator between them.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) labels: Vec<String>,
    pub(super) separator: String,
}

#[derive(Clone, Copy)]
enum Action {
    Replace,
    Keep,
    Drop,
    KeepEqual,
    DropEqual,
    HashMod,
    LabelMap,
    LabelDrop,
    LabelKeep,
    Lowercase,
    Uppercase,
}

const ACTIONS: [(&str, Action); 11] = [
    ("replace", Action::Replace),
    ("keep", Action::Keep),
    ("drop", Action::Drop),
    ("keepequal", Action::KeepEqual),
    ("dropequal", Action::DropEqual),
    ("hashmod", Action::HashMod),
    ("labelmap", Action::LabelMap),
    ("labeldrop", Action::LabelDrop),
    ("labelkeep", Action::LabelKeep),
    ("lowercase", Action::Lowercase),
    ("uppercase", Action::Uppercase),
];

impl Rule {
    /// # Errors
    /// The first rule of Prometheus 3 that this one breaks. Names are UTF-8 there: all but the empty one are valid.
    pub(super) fn compile(placed: Placed) -> Result<Self, CompileError> {
        let place = placed.referenced;
        match placed.value {
            Some(raw) => Draft { raw, place }.finish(),
            None => Err(CompileError::at(place, "the rule is empty")),
        }
    }
}

struct Draft {
    raw: RawRule,
    place: Location,
}

impl Draft {
    fn finish(mut self) -> Result<Rule, CompileError> {
        let (name, action) = self.action()?;
        let pattern = self.pattern()?;
        match action {
            Action::Replace => {
                let (source, target) = (self.source()?, self.target(name)?);
                let replacement = Template::parse(text(&self.raw.replacement, DEFAULT_REPLACEMENT), &pattern);
                Ok(Rule::Replace { source, target: Template::parse(&target, &pattern), replacement, pattern })
            }
            Action::Keep => Ok(Rule::Keep { source: self.source()?, pattern }),
            Action::Drop => Ok(Rule::Drop { source: self.source()?, pattern }),
            Action::KeepEqual => {
                self.only_source_and_target(name)?;
                Ok(Rule::KeepEqual { target: self.target(name)?, source: self.source()? })
            }
            Action::DropEqual => {
                self.only_source_and_target(name)?;
                Ok(Rule::DropEqual { target: self.target(name)?, source: self.source()? })
            }
            Action::HashMod => {
                let given = self.raw.modulus.as_ref();
                let modulus =
                    given.and_then(|field| field.value).and_then(NonZeroU64::new).ok_or_else(|| {
                        CompileError::at(self.place_of(given), "hashmod needs a `modulus` above 0")
                    })?;
                Ok(Rule::HashMod { target: self.target(name)?, source: self.source()?, modulus })
            }
            Action::LabelMap => {
                let replacement = text(&self.raw.replacement, DEFAULT_REPLACEMENT);
                if replacement.is_empty() {
                    let place = self.place_of(self.raw.replacement.as_ref());
                    return Err(CompileError::at(
                        place,
                        "labelmap needs a `replacement`: the name of the new label",
                    ));
                }
                Ok(Rule::LabelMap { replacement: Template::parse(replacement, &pattern), pattern })
            }
            Action::LabelDrop => self.only_regex(name).map(|()| Rule::LabelDrop { pattern }),
            Action::LabelKeep => self.only_regex(name).map(|()| Rule::LabelKeep { pattern }),
            Action::Lowercase => {
                self.without_replacement(name)?;
                Ok(Rule::Lowercase { target: self.target(name)?, source: self.source()? })
            }
            Action::Uppercase => {
                self.without_replacement(name)?;
                Ok(Rule::Uppercase { target: self.target(name)?, source: self.source()? })
            }
        }
    }

    fn place_of<T>(&self, field: Option<&Spanned<T>>) -> Location {
        field.map_or(self.place, |field| field.referenced)
    }

    /// Upper-case letters are allowed, as in Prometheus.
    fn action(&self) -> Result<(&'static str, Action), CompileError> {
        let given = text(&self.raw.action, "replace");
        ACTIONS.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(given)).ok_or_else(|| {
            let names = ACTIONS.map(|(name, _)| name).join(", ");
            CompileError::at(
                self.place_of(self.raw.action.as_ref()),
                format!("unknown action {given:?}; allowed: {names}"),
            )
        })
    }

    fn pattern(&self) -> Result<Pattern, CompileError> {
        let given = text(&self.raw.regex, DEFAULT_REGEX);
        Pattern::compile(given).map_err(|reason| {
            CompileError::at(self.place_of(self.raw.regex.as_ref()), format!("the regex {given:?} {reason}"))
        })
    }

    fn source(&mut self) -> Result<Source, CompileError> {
        let labels = self.raw.source_labels.take().and_then(|field| field.value).unwrap_or_default();
        if let Some(empty) = labels.iter().find(|label| label.value.is_empty()) {
            return Err(CompileError::at(empty.referenced, "a label's name is empty"));
        }
        Ok(Source {
            labels: labels.into_iter().map(|label| label.value).collect(),
            separator: text(&self.raw.separator, DEFAULT_SEPARATOR).to_owned(),
        })
    }

    fn target(&self, action: &str) -> Result<String, CompileError> {
        match text(&self.raw.target_label, "") {
            "" => {
                let place = self.place_of(self.raw.target_label.as_ref());
                Err(CompileError::at(place, format!("{action} needs a `target_label`")))
            }
            target => Ok(target.to_owned()),
        }
    }

    fn without_replacement(&self, action: &str) -> Result<(), CompileError> {
        match &self.raw.replacement {
            Some(field) if field.value.as_deref() != Some(DEFAULT_REPLACEMENT) => {
                Err(CompileError::at(field.referenced, format!("{action} takes no `replacement`")))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// A field that spells its default is forgiven, except `regex`: as in Prometheus.
    fn only_source_and_target(&self, action: &str) -> Result<(), CompileError> {
        let refused = |place| {
            Err(CompileError::at(place, format!("{action} takes only `source_labels` and `target_label`")))
        };
        match (self.raw.regex.as_ref(), self.neither_modulus_nor_texts()) {
            (Some(field), _) => refused(field.referenced),
            (None, Err(place)) => refused(place),
            (None, Ok(())) => Ok(()),
        }
    }

    fn only_regex(&self, action: &str) -> Result<(), CompileError> {
        let source = self.raw.source_labels.as_ref().filter(|field| field.value.is_some());
        let target =
            self.raw.target_label.as_ref().filter(|field| !field.value.as_deref().unwrap_or("").is_empty());
        let place = match (source, target) {
            (Some(field), _) => Err(field.referenced),
            (None, Some(field)) => Err(field.referenced),
            (None, None) => self.neither_modulus_nor_texts(),
        };
        place.map_err(|place| CompileError::at(place, format!("{action} takes only `regex`")))
    }

    /// Otherwise the place of the first.
    fn neither_modulus_nor_texts(&self) -> Result<(), Location> {
        let differs = |field: &Field<String>, default| {
            let field = field.as_ref()?;
            (field.value.as_deref() != Some(default)).then_some(field.referenced)
        };
        let modulus = self.raw.modulus.as_ref().filter(|field| field.value.unwrap_or(0) != 0);
        modulus
            .map(|field| field.referenced)
            .or_else(|| differs(&self.raw.separator, DEFAULT_SEPARATOR))
            .or_else(|| differs(&self.raw.replacement, DEFAULT_REPLACEMENT))
            .map_or(Ok(()), Err)
    }
}

/// The default where the field is not there, nothing where it is null.
fn text<'a>(field: &'a Field<String>, default: &'a str) -> &'a str {
    field.as_ref().map_or(default, |field| field.value.as_deref().unwrap_or(""))
}
