//! `REMOTE_WRITE_CONFIG` to further endpoints: blocks of a `prometheus.yml`, as they are.

mod auth;
mod document;
mod endpoint;

use std::path::PathBuf;
use std::time::Duration;

use serde_saphyr::{Location, Spanned};

use super::reader::{Parsed, Reader};
use super::table::{self, Default, Kind};
use crate::model::{Secret, SecretSource};
use crate::remote::Config;
use document::{Field, Known, Misfit};

pub(super) const CONFIG: &str = "REMOTE_WRITE_CONFIG";

/// The endpoints of the list, in its order. Whatever is wrong with a block is a problem at its line and column, and the block is left
/// out.
pub(super) fn read(reader: &mut Reader<'_>, reload_interval: Option<Option<Duration>>) -> Vec<Config> {
    let Some(text) = reader.parse(CONFIG, |_, text| Ok(text.to_owned())) else { return Vec::new() };
    let blocks = match document::read(&text) {
        Ok(blocks) => blocks,
        Err(misfit) => {
            problem(reader, &misfit);
            return Vec::new();
        }
    };
    if blocks.is_empty() {
        reader.problem(CONFIG, "holds no block");
    }
    let mut notes = Notes::default();
    let endpoints: Vec<_> = blocks
        .into_iter()
        .filter_map(|block| endpoint::build(block, reload_interval.flatten(), &mut notes))
        .collect();
    notes.misfits.iter().for_each(|misfit| problem(reader, misfit));
    notes.warnings.into_iter().for_each(|text| reader.warn(CONFIG, text));
    if notes.inline_secret {
        reader.warn_inline(CONFIG, Some("password_file or credentials_file"));
    }
    if !notes.idle.is_empty() {
        notes.idle.sort_unstable();
        notes.idle.dedup();
        reader.warn(CONFIG, format!("fields without effect here: {}", notes.idle.join(", ")));
    }
    endpoints
}

fn problem(reader: &mut Reader<'_>, misfit: &Misfit) {
    reader.problem(CONFIG, format!("line {}, column {}: {}", misfit.line, misfit.column, misfit.what));
}

/// What is said about the blocks, besides what they say.
#[derive(std::default::Default)]
struct Notes {
    misfits: Vec<Misfit>,
    warnings: Vec<String>,
    /// Fields of Prometheus that change nothing here.
    idle: Vec<&'static str>,
    /// Whether a secret stands in the text itself.
    inline_secret: bool,
}

impl Notes {
    fn wrong(&mut self, place: Location, what: impl Into<String>) {
        self.misfits.push(Misfit::at(place, what));
    }

    /// The field's value as `parse` reads it; `None` where there is none, or a misfit.
    fn take<T, V>(
        &mut self,
        name: &str,
        field: Field<V>,
        parse: impl FnOnce(V) -> Parsed<T>,
    ) -> Option<(T, Location)> {
        let Spanned { value, referenced: place, .. } = field?;
        match parse(value?) {
            Ok(value) => Some((value, place)),
            Err(what) => {
                self.wrong(place, format!("{name} {what}"));
                None
            }
        }
    }

    /// The field's value, or the default of the flat setting with the same meaning, within that setting's limits.
    fn limited<T>(
        &mut self,
        name: &str,
        field: Field<String>,
        setting: &'static str,
        parse: impl Fn(&Kind, &str) -> Parsed<T>,
    ) -> Option<(T, Option<Location>)> {
        match field {
            Some(Spanned { value: Some(_), .. }) => {
                let kind = table::find(setting)?.kind;
                let allowed =
                    |text: String| parse(&kind, &text).map_err(|what| format!("{what}; allowed: {kind}"));
                self.take(name, field, allowed).map(|(value, place)| (value, Some(place)))
            }
            Some(Spanned { value: None, .. }) | None => default_of(setting, parse).map(|value| (value, None)),
        }
    }

    /// A text, or the file that holds it; both is a misfit.
    fn text_or_file(
        &mut self,
        (name, inline): (&str, Field<String>),
        (file_name, file): (&str, Field<String>),
        check: impl FnOnce(&str) -> Parsed<()>,
    ) -> Option<SecretSource> {
        let inline = self.take(name, inline, |text| check(&text).map(|()| Secret::new(text)));
        let file = self.take(file_name, file, read_path);
        match (inline, file) {
            (Some(_), Some((_, place))) => {
                self.wrong(place, format!("{file_name} stands beside {name}: only one of them may be"));
                None
            }
            (Some((text, _)), None) => Some(SecretSource::Inline(text)),
            (None, Some((path, _))) => Some(SecretSource::File(path)),
            (None, None) => None,
        }
    }

    fn not_built<const N: usize>(&mut self, fields: [(&str, &Known); N]) {
        for (name, field) in fields {
            if let Some(field) = field {
                self.wrong(field.referenced, format!("{name} is not built yet"));
            }
        }
    }

    fn without_effect<const N: usize>(&mut self, fields: [(&'static str, &Known); N]) {
        self.idle.extend(fields.iter().filter(|(_, field)| field.is_some()).map(|(name, _)| *name));
    }
}

/// What a block leaves out is as in the flat setting with the same meaning.
fn default_of<T>(setting: &'static str, parse: impl Fn(&Kind, &str) -> Parsed<T>) -> Option<T> {
    let setting = table::find(setting)?;
    let Default::Value(text) = setting.default else { return None };
    parse(&setting.kind, text).ok()
}

fn read_path(text: String) -> Parsed<PathBuf> {
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err("is empty or contains a control character (a line end?)".to_owned());
    }
    Ok(PathBuf::from(text))
}
