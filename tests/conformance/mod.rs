//! docs/conformance.md is written from the names of the tests: which rule of docs/rules.md is shown by which test, where we leave the
//! specification, and how the cases of the public sender suites are called here.
//!
//! `make conformance` runs the tests and writes the page with their results; `cargo test --test main conformance` fails where the page
//! names other rules or tests than there are.

mod cases;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use cases::{CASES, DEVIATIONS};

use crate::architecture::source_files;
use crate::manifests::replace;

const PAGE: &str = "docs/conformance.md";
/// The sections of docs/rules.md that are held against tests, with how many rules each has.
const SECTIONS: [(u8, u8); 4] = [(1, 19), (2, 24), (3, 9), (4, 31)];

/// Section and number of a rule, as in `1.06`.
type Id = (u8, u8);

struct Test {
    name: String,
    /// From the root of the repository.
    file: String,
    rules: Vec<Id>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every function of the tests, whatever it is called.
fn tests() -> Vec<Test> {
    let mut files: Vec<_> = ["src", "tests"].iter().flat_map(|dir| source_files(&root().join(dir))).collect();
    // In the order in which the page has them, whatever the file system says first.
    files.sort();
    let mut tests = Vec::new();
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        let mut is_test = false;
        for line in text.lines().map(str::trim_start) {
            if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
                is_test = true;
            } else if let Some((_, rest)) = line.split_once("fn ").filter(|_| is_test) {
                let name = rest.split(['(', '<']).next().unwrap_or_default();
                let file = path.strip_prefix(root()).unwrap().display().to_string();
                tests.push(Test { name: name.to_owned(), file, rules: ids(name) });
                is_test = false;
            }
        }
    }
    tests
}

/// The rules in a test's name: behind a word `rw` come their numbers, `1_06`, several of them one after the other, joined by `and`, or as a
/// range with `to`. They may stand anywhere in the name.
fn ids(name: &str) -> Vec<Id> {
    let words: Vec<&str> = name.split('_').collect();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(word) = words.get(at) {
        at += 1;
        if *word != "rw" {
            continue;
        }
        let mut range = false;
        loop {
            match (words.get(at), words.get(at + 1).copied().unwrap_or_default()) {
                (Some(&"and"), _) => at += 1,
                (Some(&"to"), _) => (at, range) = (at + 1, true),
                (Some(section @ (&"1" | &"2" | &"3" | &"4")), number) if number.len() == 2 => {
                    let (Ok(section), Ok(number)) = (section.parse(), number.parse()) else { break };
                    let begin = match found.last() {
                        Some((before, last)) if range && *before == section => last + 1,
                        _ => number,
                    };
                    found.extend((begin..=number).map(|number| (section, number)));
                    (at, range) = (at + 2, false);
                }
                _ => break,
            }
        }
    }
    found
}

fn shown((section, number): Id) -> String {
    format!("{section}.{number:02}")
}

/// The rows of docs/rules.md, by their number.
fn rules() -> BTreeMap<Id, String> {
    let text = fs::read_to_string(root().join("docs/rules.md")).unwrap();
    let sections = text.split("\n## ").filter(|section| section.starts_with("remote-write "));
    let rows = sections.flat_map(str::lines).filter_map(|line| {
        let (id, rule) = line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | ")?;
        let (section, number) = id.split_once('.')?;
        Some(((section.parse().ok()?, number.parse().ok()?), rule.to_owned()))
    });
    let wanted: BTreeSet<u8> = SECTIONS.iter().map(|(section, _)| *section).collect();
    rows.filter(|((section, _), _)| wanted.contains(section)).collect()
}

/// What a run said of each test, by its name: the lines of `cargo test`.
fn results(log: &str) -> BTreeMap<String, &'static str> {
    let lines = log.lines().filter_map(|line| line.strip_prefix("test ")?.split_once(" ... "));
    let results = lines.map(|(path, result)| {
        let name = path.trim_end_matches(" - should panic").rsplit("::").next().unwrap_or_default();
        let result = match result.trim() {
            "ok" => "passed",
            "FAILED" => "failed",
            _ => "not run",
        };
        (name.to_owned(), result)
    });
    results.collect()
}

fn page(log: &str) -> String {
    let (tests, rules, results) = (tests(), rules(), results(log));
    let named = |test: &Test| {
        let result = results.get(&test.name).copied().unwrap_or("not run");
        format!("[`{}`](../{}) ({result})", test.name, test.file)
    };
    let mut page = String::from(
        "# Conformance\n\nWritten by `make conformance` from the names of the tests and their results; a test fails where this page and the sources differ. \
         The rules are those of [rules.md](rules.md), in a few words each; a name like `rw_1_06_...` says which rule a test shows.\n\n\
         Where we leave a rule on purpose stands first.\n\n## Deviations\n\n| Rule | What we do | Why |\n|---|---|---|\n",
    );
    for (id, what, why) in DEVIATIONS {
        let _ = writeln!(page, "| {} | {what} | {why} |", shown(*id));
    }
    for (section, _) in SECTIONS {
        let _ = write!(page, "\n## remote-write {section}\n\n| No. | Rule | Shown by |\n|---|---|---|\n");
        for (id, rule) in rules.iter().filter(|((of, _), _)| *of == section) {
            let shown_by: Vec<String> =
                tests.iter().filter(|test| test.rules.contains(id)).map(named).collect();
            let shown_by =
                if shown_by.is_empty() { "see Deviations".to_owned() } else { shown_by.join(", ") };
            let _ = writeln!(page, "| {} | {rule} | {shown_by} |", shown(*id));
        }
    }
    page.push_str(
        "\n## The cases of the public sender suites\n\nThe suites of the Prometheus project for senders of 1.0 and 2.0 run a sender against targets and a receiver of their own. \
         Their cases, by what they ask for, and our tests of the same; our words, our code.\n\n| Case | Shown by |\n|---|---|\n",
    );
    for (case, names) in CASES {
        let of = |name: &&str| tests.iter().filter(|test| test.name == **name).map(named).collect::<Vec<_>>();
        let shown_by: Vec<String> = names.iter().flat_map(of).collect();
        let _ = writeln!(page, "| {case} | {} |", shown_by.join(", "));
    }
    page
}

/// Without the results, which are those of another run.
fn without_results(page: &str) -> String {
    ["passed", "failed", "not run"]
        .iter()
        .fold(page.to_owned(), |page, result| page.replace(&format!(") ({result})"), ")"))
}

#[test]
fn the_page_names_the_rules_and_tests_that_there_are() {
    let log = std::env::var_os("CONFORMANCE_LOG").map(|path| fs::read_to_string(path).unwrap());
    let page = page(log.as_deref().unwrap_or_default());
    if log.is_some() {
        replace(PAGE, page.clone());
    }
    let committed = fs::read_to_string(root().join(PAGE)).unwrap();
    assert!(
        without_results(&committed) == without_results(&page),
        "{PAGE} is not true any more: run make conformance"
    );
    assert!(!committed.contains("(failed)"), "{PAGE} has a failed test");
}

#[test]
fn every_rule_has_a_test_that_bears_its_number_or_a_reason_why_not() {
    let (tests, rules) = (tests(), rules());
    let tested: BTreeSet<Id> = tests.iter().flat_map(|test| test.rules.iter().copied()).collect();
    let excused: BTreeSet<Id> = DEVIATIONS.iter().map(|(id, _, _)| *id).collect();
    for (section, last) in SECTIONS {
        for id in (1..=last).map(|number| (section, number)) {
            assert!(rules.contains_key(&id), "{} is not in docs/rules.md", shown(id));
            assert!(
                tested.contains(&id) || excused.contains(&id),
                "{} has neither test nor reason",
                shown(id)
            );
        }
    }
    let unknown: Vec<_> = tested.iter().filter(|id| !rules.contains_key(id)).map(|id| shown(*id)).collect();
    assert!(unknown.is_empty(), "tests bear numbers of no rule: {unknown:?}");
}

#[test]
fn every_case_of_the_suites_names_tests_that_exist() {
    let names: BTreeSet<String> = tests().into_iter().map(|test| test.name).collect();
    for (case, shown_by) in CASES {
        assert!(!shown_by.is_empty(), "{case}");
        for name in *shown_by {
            assert!(names.contains(*name), "{case}: there is no test {name}");
        }
    }
}

#[test]
fn a_name_may_bear_several_rules() {
    assert_eq!(
        ids("rw_1_05_1_06_1_10_to_1_12_and_1_17_every"),
        [(1, 5), (1, 6), (1, 10), (1, 11), (1, 12), (1, 17)]
    );
    assert_eq!(ids("a_5xx_is_retried_rw_1_14"), [(1, 14)]);
    assert_eq!(ids("rw_1_13_5_02_to_1_0"), [(1, 13)]);
    assert_eq!(ids("a_415_to_2_0_falls_back"), []);
    assert_eq!(results("test a::b::rw_1_01_x ... ok\ntest c ... FAILED\n")["rw_1_01_x"], "passed");
}
