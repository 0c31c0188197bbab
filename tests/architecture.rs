//! `ls src` is the architecture: a room imports only from rooms below it, and files stay small.

use std::fs;
use std::path::{Path, PathBuf};

/// Room, and the rooms it may import from. A new line here is a decision: say why in docs/architecture.md.
const ROOMS: [(&str, &[&str]); 18] = [
    ("main", &["cli"]),
    ("cli", &["app", "config", "demo", "plugin", "receiver"]),
    ("demo", &["app", "config", "collector", "model", "plugin", "queue", "receiver", "telemetry", "wire"]),
    (
        "app",
        &[
            "config",
            "plugin",
            "collector",
            "remote",
            "queue",
            "scrape",
            "relabel",
            "telemetry",
            "sandbox",
            "model",
        ],
    ),
    ("config", &["collector", "remote", "scrape", "queue", "relabel", "telemetry", "model"]),
    ("plugin", &["collector", "telemetry"]),
    ("collector", &["scrape", "wire", "queue", "model"]),
    ("remote", &["wire", "queue", "sandbox", "model"]),
    ("receiver", &["wire", "proto", "model"]),
    ("scrape", &["exposition", "relabel", "model"]),
    ("exposition", &["model"]),
    ("relabel", &["model"]),
    ("wire", &["proto", "model"]),
    ("queue", &[]),
    ("telemetry", &["model"]),
    ("sandbox", &[]),
    ("model", &[]),
    ("proto", &[]),
];

/// Lines of code before a file's tests; longer ones are to be looked at: a missing noun?
const MAX_LINES: usize = 450;

pub(crate) fn source_files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(source_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn room_of(file: &Path) -> String {
    let inside = file.strip_prefix(src()).unwrap();
    inside.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

fn is_test(file: &Path) -> bool {
    file.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "tests.rs")
}

/// The code of a file without its comments and its test module.
fn code(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Rooms that a file names, as `crate::room` or inside `crate::{...}`.
fn imports(code: &str) -> Vec<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut rooms = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => {
                let mut depth = 0;
                let mut start = true;
                for (at, character) in group.char_indices() {
                    if start && character.is_alphabetic() {
                        rooms.push(word(&group[at..]));
                        start = false;
                    }
                    match character {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => start = true,
                        _ => {}
                    }
                }
            }
            None => rooms.push(word(rest)),
        }
    }
    rooms
}

#[test]
fn imports_point_downward() {
    let mut wrong = Vec::new();
    for file in source_files(&src()) {
        let room = room_of(&file);
        if room == "lib" || is_test(&file) {
            continue;
        }
        let (_, allowed) = ROOMS.iter().find(|(name, _)| *name == room).unwrap_or_else(|| {
            panic!("{} is a room that docs/architecture.md does not know", file.display())
        });
        for import in imports(&code(&file)) {
            if import != room && !allowed.contains(&import.as_str()) {
                wrong.push(format!("{} imports {import}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_rooms_form_no_circle() {
    for (number, (room, allowed)) in ROOMS.iter().enumerate() {
        for import in *allowed {
            let below = ROOMS.iter().position(|(name, _)| name == import);
            assert!(below > Some(number), "{room} may import {import}, which is not below it");
        }
    }
}

#[test]
fn files_stay_small() {
    let long: Vec<_> = source_files(&src())
        .into_iter()
        .filter(|file| !is_test(file))
        .map(|file| {
            (fs::read_to_string(&file).unwrap().split("#[cfg(test)]").next().unwrap().lines().count(), file)
        })
        .filter(|(lines, _)| *lines > MAX_LINES)
        .collect();
    assert!(long.is_empty(), "{long:?}");
}

#[test]
fn a_group_of_imports_is_read_whole() {
    assert_eq!(imports("use crate::{queue, remote::{self, Sender}, scrape};"), ["queue", "remote", "scrape"]);
    assert_eq!(imports("use crate::model::{Labels, now_ms};"), ["model"]);
}

/// Comments and test names speak of rules by number (`remote-write 3.02`, `rw_3_02_...`): each must stand in docs/rules.md.
#[test]
fn every_rule_that_the_code_names_is_written_down() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let rules = fs::read_to_string(root.join("docs/rules.md")).unwrap();
    let mut unknown = Vec::new();
    for file in source_files(&root.join("src")).into_iter().chain(source_files(&root.join("tests"))) {
        let text = fs::read_to_string(&file).unwrap();
        let spelled = text.match_indices("remote-write ").map(|(at, word)| &text[at + word.len()..]);
        let named = text.match_indices("fn rw_").map(|(at, word)| &text[at + word.len()..]);
        for rest in spelled.chain(named) {
            let mut parts = rest.split(|c: char| !c.is_ascii_digit());
            let (Some(section), Some(number)) = (parts.next(), parts.next()) else { continue };
            let stands = rules.contains(&format!("\n| {section}.{number} |"));
            if !section.is_empty() && number.len() == 2 && !stands {
                unknown.push(format!("{section}.{number} in {}", file.display()));
            }
        }
    }
    assert!(unknown.is_empty(), "{unknown:?}");
}

/// What the page on security claims is shown by the tests that it names.
#[test]
fn every_test_that_the_page_on_security_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/security.md")).unwrap();
    let dirs = ["src", "tests", "fuzz"].into_iter().flat_map(|dir| source_files(&root.join(dir)));
    let code: String = dirs.map(|file| fs::read_to_string(file).unwrap()).collect();
    let words = page.split('`').skip(1).step_by(2);
    let is_test = |word: &&str| {
        word.contains('_') && word.chars().all(|c| c == '_' || c.is_ascii_lowercase() || c.is_ascii_digit())
    };
    let names: Vec<&str> = words.filter(is_test).filter(|word| *word != "no_new_privs").collect();
    assert!(names.len() > 40, "{names:?}");
    let missing = names.into_iter().filter(|name| !code.contains(&format!("fn {name}(")));
    assert_eq!(missing.collect::<Vec<_>>(), Vec::<&str>::new());
}
