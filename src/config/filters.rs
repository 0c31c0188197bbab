//! `METRICS_*` and `METRIC_RELABEL_CONFIGS`: what is taken of the exposition.

use std::path::PathBuf;
use std::sync::Arc;

use super::reader::{Parsed, Reader};
use crate::relabel::{CompileError, NameFilter, NamePattern, Preset, Rules};
use crate::scrape::Relabelling;

const RULES: &str = "METRIC_RELABEL_CONFIGS";

/// How a value begins that names a file instead of holding the document.
const FILE: &str = "file://";

/// Where rules come from.
enum Source {
    Inline(Rules),
    File(PathBuf),
}

/// Filters and inline rules, and the file of the rules where there is one. Incomplete only beside a problem.
pub(super) fn read(reader: &mut Reader<'_>) -> (Relabelling, Option<PathBuf>) {
    let presets = [("all", Preset::All), ("engine", Preset::Engine), ("minimal", Preset::Minimal)];
    let preset = reader.choice("METRICS_PRESET", &presets, &[]).unwrap_or_default();
    let keep = reader.parse("METRICS_KEEP", |_, text| pattern(text));
    let drop = reader.parse("METRICS_DROP", |_, text| pattern(text));
    let (rules, file) = match reader.parse(RULES, |_, text| source(text)) {
        Some(Source::Inline(rules)) => (rules, None),
        Some(Source::File(path)) => (Rules::default(), Some(path)),
        None => (Rules::default(), None),
    };
    (Relabelling { names: NameFilter { preset, keep, drop }, rules: Arc::new(rules) }, file)
}

fn pattern(text: &str) -> Parsed<NamePattern> {
    NamePattern::compile(text).map_err(|error| error.to_string())
}

fn source(text: &str) -> Parsed<Source> {
    match text.trim().strip_prefix(FILE) {
        Some(path) if path.starts_with('/') && !path.contains(char::is_control) => {
            Ok(Source::File(PathBuf::from(path)))
        }
        Some(_) => Err("names no absolute path on this host: write file:///path".to_owned()),
        None => match Rules::compile(text) {
            Ok(rules) => Ok(Source::Inline(rules)),
            Err(errors) => {
                let all: Vec<_> = errors.iter().map(CompileError::to_string).collect();
                Err(format!("cannot be used: {}", all.join("; ")))
            }
        },
    }
}
