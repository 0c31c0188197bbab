//! What each action does to a label set.

use std::borrow::Cow;

use md5::{Digest, Md5};

use super::rule::{Rule, Source};
use crate::model::Labels;

/// The next step after one rule.
pub(super) enum Step {
    Go,
    Drop,
}

impl Step {
    fn keep_if(keep: bool) -> Self {
        if keep { Self::Go } else { Self::Drop }
    }
}

impl Source {
    /// Borrowed where one label is the whole source.
    fn value<'a>(&self, labels: &'a Labels) -> Cow<'a, str> {
        match self.labels.as_slice() {
            [] => Cow::Borrowed(""),
            [one] => Cow::Borrowed(labels.get(one).unwrap_or_default()),
            several => {
                let values: Vec<_> =
                    several.iter().map(|name| labels.get(name).unwrap_or_default()).collect();
                Cow::Owned(values.join(&self.separator))
            }
        }
    }
}

impl Rule {
    pub(super) fn apply(&self, labels: &mut Labels) -> Step {
        match self {
            Self::Keep { source, pattern } => return Step::keep_if(pattern.matches(&source.value(labels))),
            Self::Drop { source, pattern } => return Step::keep_if(!pattern.matches(&source.value(labels))),
            Self::KeepEqual { source, target } => {
                return Step::keep_if(labels.get(target).unwrap_or_default() == source.value(labels));
            }
            Self::DropEqual { source, target } => {
                return Step::keep_if(labels.get(target).unwrap_or_default() != source.value(labels));
            }
            Self::Replace { source, pattern, target, replacement } => {
                let filled = {
                    let value = source.value(labels);
                    pattern.captures(&value).map(|found| (target.fill(&found), replacement.fill(&found)))
                };
                // A target that comes out empty names no label: nothing is written.
                if let Some((target, replacement)) = filled.filter(|(target, _)| !target.is_empty()) {
                    labels.set(&target, &replacement);
                }
            }
            Self::HashMod { source, target, modulus } => {
                let rest = hash(&source.value(labels)) % modulus.get();
                labels.set(target, &rest.to_string());
            }
            Self::Lowercase { source, target } => {
                let value: String = source.value(labels).chars().map(lowercase).collect();
                labels.set(target, &value);
            }
            Self::Uppercase { source, target } => {
                let value: String = source.value(labels).chars().map(uppercase).collect();
                labels.set(target, &value);
            }
            Self::LabelMap { pattern, replacement } => {
                let mapped: Vec<_> = labels
                    .iter()
                    .filter_map(|(name, value)| {
                        pattern.captures(name).map(|found| (replacement.fill(&found), value.to_owned()))
                    })
                    .collect();
                for (name, value) in mapped {
                    labels.set(&name, &value);
                }
            }
            Self::LabelDrop { pattern } => {
                *labels = labels.iter().filter(|(name, _)| !pattern.matches(name)).collect()
            }
            Self::LabelKeep { pattern } => {
                *labels = labels.iter().filter(|(name, _)| pattern.matches(name)).collect()
            }
        }
        Step::Go
    }
}

/// The last 8 bytes of the MD5 sum as a big-endian number, as Prometheus has always taken it.
fn hash(value: &str) -> u64 {
    let digest: [u8; 16] = Md5::digest(value.as_bytes()).into();
    digest[8..].iter().fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

/// One character for one, as Go maps them. Of the characters whose full mapping is longer only `İ` has a short one.
fn lowercase(character: char) -> char {
    let mut mapped = character.to_lowercase();
    match (mapped.next(), mapped.next()) {
        (Some(only), None) => only,
        (_, _) if character == 'İ' => 'i',
        (_, _) => character,
    }
}

/// One character for one, as Go maps them: `ß` stays. The Greek letters with an iota below have a capital of their own.
fn uppercase(character: char) -> char {
    let mut mapped = character.to_uppercase();
    match (mapped.next(), mapped.next()) {
        (Some(only), None) => only,
        (_, _) => match character {
            'ᾀ'..='ᾇ' | 'ᾐ'..='ᾗ' | 'ᾠ'..='ᾧ' => {
                char::from_u32(u32::from(character) + 8).unwrap_or(character)
            }
            'ᾳ' => 'ᾼ',
            'ῃ' => 'ῌ',
            'ῳ' => 'ῼ',
            _ => character,
        },
    }
}
