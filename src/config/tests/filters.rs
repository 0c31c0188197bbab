use super::*;
use crate::model::{Labels, METRIC_NAME};

fn takes(config: &Config, metric: &str) -> bool {
    config.scrape.relabelling.names.verdict(metric).keeps(SwarmRole::NoManager)
}

#[test]
fn a_preset_is_one_of_three_words() {
    for (word, preset) in
        [("", Preset::All), ("all", Preset::All), ("engine", Preset::Engine), ("minimal", Preset::Minimal)]
    {
        let config = config(&[("METRICS_PRESET", word)]);
        assert_eq!(config.scrape.relabelling.names.preset, preset, "{word:?}");
    }
    assert_problem(&[("METRICS_PRESET", "small")], "METRICS_PRESET", "not one of the words");
}

#[test]
fn keep_and_drop_are_regular_expressions_for_the_whole_name() {
    let config = config(&[("METRICS_KEEP", "a.*|b"), ("METRICS_DROP", "ab")]);
    assert!(takes(&config, "a") && takes(&config, "abc") && takes(&config, "b"));
    assert!(!takes(&config, "ab") && !takes(&config, "bb") && !takes(&config, "xa"));
    for name in ["METRICS_KEEP", "METRICS_DROP"] {
        assert_problem(&[(name, "a(")], name, "\"a(\" ");
        assert_problem(&[(name, "(?=a)")], name, "\"(?=a)\" ");
    }
}

#[test]
fn inline_rules_are_yaml_or_json_in_prometheuss_schema() {
    let labels = || Labels::from_iter([(METRIC_NAME, "m"), ("commit", "x"), ("job", "j")]);
    let yaml = "- action: labeldrop\n  regex: commit\n- target_label: job\n  replacement: new\n";
    let json = r#"[{"action":"labeldrop","regex":"commit"},{"target_label":"job","replacement":"new"}]"#;
    for text in [yaml, json] {
        let rules = config(&[("METRIC_RELABEL_CONFIGS", text)]).scrape.relabelling.rules;
        assert_eq!(rules.apply(labels()).unwrap().to_string(), r#"m{job="new"}"#);
    }
}

#[test]
fn every_bad_rule_is_told_at_once_with_its_line_and_column() {
    let text = "- action: dorp\n- regex: \"(\"\n  target_label: a\n- action: hashmod\n  target_label: a\n";
    let problems = load(&[("METRIC_RELABEL_CONFIGS", text), ("METRICS_PRESET", "x")]).unwrap_err();
    let [preset, rules] = problems.as_slice() else { panic!("{problems}") };
    assert_eq!((preset.setting, rules.setting), ("METRICS_PRESET", "METRIC_RELABEL_CONFIGS"));
    for part in [
        "line 1, column 11: unknown action \"dorp\"; allowed: ",
        "; line 2, column 10: the regex",
        "; line 4, ",
    ] {
        assert!(rules.what.contains(part), "{part:?} is not in {:?}", rules.what);
    }
    assert_problem(
        &[("METRIC_RELABEL_CONFIGS", "- {colour: red}")],
        "METRIC_RELABEL_CONFIGS",
        "line 1, column",
    );
    let keyed = "metric_relabel_configs:\n- action: drop\n";
    assert_problem(&[("METRIC_RELABEL_CONFIGS", keyed)], "METRIC_RELABEL_CONFIGS", "the rules alone");
}

#[test]
fn a_file_of_rules_is_named_by_its_absolute_path_and_not_looked_at() {
    let config = config(&[("METRIC_RELABEL_CONFIGS", " file:///data/etc/rules.yml\n")]);
    assert_eq!(config.scrape.rules_file, Some(PathBuf::from("/data/etc/rules.yml")));
    assert!(config.scrape.relabelling.rules.is_empty());
    for text in ["file://rules.yml", "file://", "file:///a\nb"] {
        assert_problem(&[("METRIC_RELABEL_CONFIGS", text)], "METRIC_RELABEL_CONFIGS", "write file:///path");
    }
}
