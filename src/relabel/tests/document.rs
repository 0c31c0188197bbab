//! What is read, and what is refused, with its place.

use super::*;

/// `at` is where the place points to.
#[track_caller]
fn refused(rule: &str, at: &str, error: &str) {
    let column = "- ".len() + 1 + rule.find(at).unwrap();
    assert_eq!(errors(&format!("- {rule}\n")), [format!("line 1, column {column}: {error}")], "{rule}");
}

#[test]
fn a_block_of_prometheus_yml_and_its_json_are_read() {
    let yaml = "
# as pasted
- source_labels: [__name__]
  separator: ;
  regex: (go|promhttp)_.*
  replacement: $1
  action: drop
- action: LabelDrop
  regex: 123
";
    let json = r#"[{"source_labels":["__name__"],"regex":"(go|promhttp)_.*","action":"drop"},{"action":"labeldrop","regex":"123"}]"#;
    for text in [yaml, json] {
        let rules = rules(text);
        assert_eq!(rules.apply(labels(&[("__name__", "go_threads")])), None);
        assert_eq!(
            rules.apply(labels(&[("__name__", "up"), ("123", "a")])),
            Some(labels(&[("__name__", "up")]))
        );
    }
}

#[test]
fn what_is_no_list_of_rules_has_a_line_and_a_column() {
    for (yaml, error) in [
        (
            "- regex: a\n  source_label: [b]\n",
            "line 2, column 3: unknown field `source_label`, expected one of source_labels, separator, target_label, regex, modulus, replacement, action",
        ),
        ("- action: keep\n  action: drop\n", "line 2, column 3: the field action was there before"),
        (
            "- action: keep\n- source_labels: a\n",
            "line 2, column 18: a list is expected here (the rules alone, without a key such as `metric_relabel_configs:` before them)",
        ),
        (
            "metric_relabel_configs:\n- action: keep\n",
            "line 1, column 1: a list is expected here (the rules alone, without a key such as `metric_relabel_configs:` before them)",
        ),
        ("- keep\n", "line 1, column 3: a rule is a map of fields"),
        ("- regex: [a]\n", "line 1, column 10: a text is expected here (quote text that begins with { or [)"),
        ("- modulus: -1\n", "line 1, column 12: a whole number is expected here"),
        ("- source_labels: [a, ~]\n", "line 1, column 22: a text is missing"),
        ("- regex: a\n---\n- regex: b\n", "line 3, column 1: a second document begins"),
    ] {
        assert_eq!(errors(yaml), [error], "{yaml}");
    }
    for yaml in ["- source_labels: [a\n", "- regex: *a\n", "- a: b: c\n", "\t- a\n", "- regex: \"a\n", "[}"] {
        assert_eq!(errors(yaml).len(), 1, "{yaml}");
    }
}

#[test]
fn the_checks_are_those_of_prometheus_3() {
    refused("{}", "{", "replace needs a `target_label`");
    refused("", "", "the rule is empty");
    refused("~", "~", "the rule is empty");
    for action in ["''", "~"] {
        refused(
            &format!("{{action: {action}}}"),
            action,
            "unknown action \"\"; allowed: replace, keep, drop, keepequal, dropequal, hashmod, labelmap, labeldrop, labelkeep, lowercase, uppercase",
        );
    }
    refused(
        "{action: labelmap, replacement: ''}",
        "''",
        "labelmap needs a `replacement`: the name of the new label",
    );
    refused("{action: drop, source_labels: [a, '']}", "''", "a label's name is empty");
    refused("{action: drop, regex: 'a**'}", "'a**'", "the regex \"a**\" repeats a repetition: **");
    refused("{action: hashmod, target_label: a}", "{", "hashmod needs a `modulus` above 0");
    refused("{action: hashmod, target_label: a, modulus: 0}", "0", "hashmod needs a `modulus` above 0");
    for action in ["hashmod", "lowercase", "uppercase", "keepequal", "dropequal"] {
        let needs = format!("{action} needs a `target_label`");
        let modulus = if action == "hashmod" { "modulus: 2, " } else { "" };
        refused(&format!("{{{modulus}action: {action}}}"), "{", &needs);
        refused(&format!("{{{modulus}action: {action}, target_label: ''}}"), "''", &needs);
    }
    for action in ["lowercase", "uppercase"] {
        for replacement in ["a", "~", "''"] {
            let rule = format!("{{replacement: {replacement}, target_label: t, action: {action}}}");
            refused(&rule, &format!("{replacement}, "), &format!("{action} takes no `replacement`"));
        }
    }
    for action in ["keepequal", "dropequal"] {
        let only = format!("{action} takes only `source_labels` and `target_label`");
        for (field, value) in [
            ("regex", "(.*)"),
            ("regex", "~"),
            ("separator", "','"),
            ("modulus", "2"),
            ("replacement", "'$2'"),
        ] {
            let rule = format!("{{{field}: {value}, target_label: t, action: {action}}}");
            refused(&rule, value, &only);
        }
    }
    for action in ["labeldrop", "labelkeep"] {
        let only = format!("{action} takes only `regex`");
        for (field, value) in [
            ("source_labels", "[]"),
            ("target_label", "'t'"),
            ("separator", "','"),
            ("modulus", "2"),
            ("replacement", "''"),
        ] {
            refused(&format!("{{{field}: {value}, regex: x, action: {action}}}"), value, &only);
        }
    }
}

/// The defaults spelled out, names that were not allowed before UTF-8, and fields that an action does not read.
#[test]
fn what_prometheus_3_takes_is_taken() {
    for rule in [
        "{action: keepequal, target_label: a, separator: ;, replacement: $1, modulus: 0}",
        "{action: labeldrop, regex: a, source_labels: ~, target_label: '', separator: ;, replacement: $1}",
        "{action: lowercase, target_label: '${3}', replacement: $1, regex: ignored}",
        "{action: replace, target_label: '0${3}'}",
        "{action: replace, target_label: '-${3}', modulus: 7}",
        "{action: replace, target_label: 'a b'}",
        "{action: labelmap, replacement: '${1}', source_labels: [ignored]}",
        "{action: keep}",
        "{action: UPPERCASE, target_label: a}",
        "{regex: ~, target_label: a}",
    ] {
        assert!(!rules(&format!("- {rule}\n")).is_empty(), "{rule}");
    }
}

#[test]
fn every_bad_rule_is_told_at_once() {
    let yaml = "- action: eat\n- action: keep\n- source_labels: [a]\n- {action: drop, regex: '['}\n";
    let errors = errors(yaml);
    assert_eq!(errors.len(), 3, "{errors:?}");
    assert!(errors[0].starts_with("line 1, column 11: unknown action \"eat\""), "{errors:?}");
    assert_eq!(errors[1], "line 3, column 3: replace needs a `target_label`");
    assert_eq!(errors[2], "line 4, column 25: the regex \"[\" has an open [");
}
