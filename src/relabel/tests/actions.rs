//! Prometheus's own cases for each action, with labels of ours, and what they leave out.

use super::*;

/// `Some`: labels that are set or changed by the rules; an empty value is a label that goes. `None`: the set is dropped.
type Change<'a> = Option<&'a [(&'a str, &'a str)]>;

#[track_caller]
fn check(input: &[(&str, &str)], yaml: &str, change: Change<'_>) {
    let expected = change.map(|change| {
        input.iter().chain(change).copied().fold(Labels::new(), |mut all, (name, value)| {
            all.set(name, value);
            all
        })
    });
    assert_eq!(rules(yaml).apply(labels(input)), expected, "{yaml}");
}

const NODE: [(&str, &str); 3] = [("host", "node"), ("site", "west"), ("zone", "blue")];

#[test]
fn replace_fills_the_template_from_the_groups() {
    check(
        &NODE,
        "[{source_labels: [host], regex: n(.*), target_label: t, replacement: '${1}-x$1'}]",
        // `$1` ends where the text does; `${1}` where the brace does.
        Some(&[("t", "ode-xode")]),
    );
    check(&NODE, "[{source_labels: [host], regex: '.*(d).*', target_label: t}]", Some(&[("t", "d")]));
    check(&NODE, "[{source_labels: [host], target_label: t}]", Some(&[("t", "node")]));
    check(&NODE, "[{target_label: t, replacement: fixed}]", Some(&[("t", "fixed")]));
}

#[test]
fn a_rule_sees_what_the_rules_before_it_wrote() {
    let yaml = "
- source_labels: [host, site]
  regex: n(.*);(.*)t
  target_label: host
  replacement: m${1}${2}m
- source_labels: [zone, host]
  regex: (b).*m(.*)de(.*)
  target_label: t
  replacement: $1$2$2$3
";
    check(&NODE, yaml, Some(&[("host", "modewesm"), ("t", "boowesm")]));
}

#[test]
fn the_separator_joins_the_values_and_a_missing_label_is_empty() {
    let join =
        |separator: &str| format!("[{{source_labels: [host, none, site], {separator} target_label: t}}]");
    check(&NODE, &join(""), Some(&[("t", "node;;west")]));
    check(&NODE, &join("separator: ' / ',"), Some(&[("t", "node /  / west")]));
    check(&NODE, &join("separator: '',"), Some(&[("t", "nodewest")]));
    check(&NODE, &join("separator: null,"), Some(&[("t", "nodewest")]));
}

#[test]
fn without_a_match_replace_does_nothing() {
    check(&NODE, "[{source_labels: [host], regex: n, target_label: site, replacement: x}]", Some(&[]));
    check(&NODE, "[{source_labels: [host], regex: ode, target_label: site, replacement: x}]", Some(&[]));
    // The empty regex matches nothing but the empty value.
    check(&NODE, "[{source_labels: [host], regex: , target_label: site, replacement: x}]", Some(&[]));
    check(
        &NODE,
        "[{source_labels: [none], regex: , target_label: site, replacement: x}]",
        Some(&[("site", "x")]),
    );
}

#[test]
fn an_empty_replacement_removes_the_target() {
    check(
        &NODE,
        "[{source_labels: [host], regex: (n).*, target_label: site, replacement: $2}]",
        Some(&[("site", "")]),
    );
    check(&NODE, "[{target_label: site, replacement: ''}]", Some(&[("site", "")]));
    check(&NODE, "[{target_label: site, source_labels: [none]}]", Some(&[("site", "")]));
    check(&NODE, "[{target_label: none, replacement: }]", Some(&[]));
}

#[test]
fn the_target_is_a_template_too() {
    let input = [("tag", "some-color-green")];
    let rule = |target: &str, replacement: &str| {
        format!(
            "[{{source_labels: [tag], regex: 'some-([^-]+)-([^,]+)', target_label: '{target}', replacement: '{replacement}'}}]"
        )
    };
    check(&input, &rule("${1}", "${2}"), Some(&[("color", "green")]));
    check(&input, &rule("is_$1", "$2"), Some(&[("is_color", "green")]));
    check(&input, &rule("$1.$2", "$0"), Some(&[("color.green", "some-color-green")]));
    // A digit to Unicode, and none to Go.
    check(&input, &rule("t", "$1²"), Some(&[("t", "color²")]));
    check(&input, &rule("t", "$1é"), Some(&[]));
    // No third group: an empty value removes what is not there, an empty name names no label.
    check(&input, &rule("${1}", "${3}"), Some(&[]));
    check(&input, &rule("${3}", "${1}"), Some(&[]));
}

#[test]
fn tags_in_one_label_become_labels() {
    let input = [("tags", "path:/secret,job:docker,label:team=infra")];
    let yaml = "
- {source_labels: [tags], regex: '(?:.+,|^)path:(/[^,]+).*', target_label: __metrics_path__, replacement: '${1}'}
- {source_labels: [tags], regex: '(?:.+,|^)job:([^,]+).*', target_label: job}
- {source_labels: [tags], regex: '(?:.+,|^)label:([^=]+)=([^,]+).*', target_label: '${1}', replacement: '${2}'}
";
    check(&input, yaml, Some(&[("__metrics_path__", "/secret"), ("job", "docker"), ("team", "infra")]));
}

#[test]
fn names_of_labels_are_utf8_and_groups_may_have_names() {
    let input = [("os.type", "line1\nline2"), ("b", "x")];
    check(
        &input,
        "[{source_labels: [os.type], regex: line1.*line2, target_label: ok, replacement: 'yes${1}'}]",
        Some(&[("ok", "yes")]),
    );
    check(
        &input,
        "[{source_labels: [os.type], target_label: größe, replacement: 'yes'}]",
        Some(&[("größe", "yes")]),
    );
    check(
        &input,
        "[{source_labels: [b], regex: (x), target_label: 'a.b${1}', replacement: '1'}]",
        Some(&[("a.bx", "1")]),
    );
    check(
        &input,
        "[{source_labels: [os.type], regex: '(line1).*(?<second>line2)', target_label: 'n_${1}', replacement: 'v_${second}_$second'}]",
        Some(&[("n_line1", "v_line2_line2")]),
    );
    check(
        &input,
        "[{source_labels: [b], regex: '(?P<g>.)', target_label: t, replacement: $g}]",
        Some(&[("t", "x")]),
    );
}

#[test]
fn the_metric_name_is_a_label_like_others() {
    let input = [("__name__", "engine_daemon_events_total"), ("job", "docker")];
    check(
        &input,
        "[{source_labels: [__name__], regex: .*_total$, target_label: __type__, replacement: counter}]",
        Some(&[("__type__", "counter")]),
    );
    check(
        &input,
        "[{source_labels: [__name__], regex: engine_daemon_(.+), target_label: __name__, replacement: docker_$1}]",
        Some(&[("__name__", "docker_events_total")]),
    );
    check(&input, "[{source_labels: [__name__, job], regex: 'engine_.*;docker', action: drop}]", None);
}

#[test]
fn keep_and_drop_match_the_whole_value() {
    for (regex, matches) in [
        ("node", true),
        ("n.*", true),
        (".*o.*", true),
        ("n|o", false),
        ("no", false),
        ("no-match", false),
        ("", false),
        ("^node$", true),
    ] {
        let rule = |action| format!("[{{source_labels: [host], regex: '{regex}', action: {action}}}]");
        let kept = Some(&[][..]);
        check(&NODE, &rule("keep"), if matches { kept } else { None });
        check(&NODE, &rule("drop"), if matches { None } else { kept });
    }
    check(&NODE, "[{action: drop, source_labels: [host]}, {target_label: t, replacement: never}]", None);
    check(&NODE, "[{action: keep, source_labels: [none], regex: ''}]", Some(&[]));
    // No source is the empty value, and the default regex matches it.
    check(&NODE, "[{action: drop}]", None);
}

#[test]
fn keepequal_and_dropequal_compare_with_the_target() {
    let input = [("__tmp_port", "1234"), ("one", "1234"), ("two", "5678"), ("both", "1234;5678")];
    let rule = |action: &str, source: &str, target: &str| {
        format!("[{{source_labels: [{source}], target_label: {target}, action: {action}}}]")
    };
    for (source, target, equal) in [
        ("__tmp_port", "one", true),
        ("__tmp_port", "two", false),
        ("one, two", "both", true),
        ("none", "nothing", true),
        ("none", "one", false),
        ("one", "none", false),
    ] {
        let kept = Some(&[][..]);
        check(&input, &rule("keepequal", source, target), if equal { kept } else { None });
        check(&input, &rule("dropequal", source, target), if equal { None } else { kept });
    }
}

/// The remainders are those that md5 of the shell gives: last 8 bytes, big-endian.
#[test]
fn hashmod_takes_the_last_eight_bytes_of_md5() {
    let rule = |modulus: &str| {
        format!(
            "[{{source_labels: [a, b], separator: '', target_label: t, action: hashmod, modulus: {modulus}}}]"
        )
    };
    check(&[("a", "baz")], &rule("1000"), Some(&[("t", "976")]));
    check(&[("a", "foo\nbar")], &rule("1000"), Some(&[("t", "734")]));
    check(&[("b", "baz")], &rule("1"), Some(&[("t", "0")]));
    check(&[("a", "x"), ("t", "old")], &rule("18446744073709551615"), Some(&[("t", "17710500428000290726")]));
    check(
        &[("a", "node-7"), ("b", "docker")],
        "[{source_labels: [a, b], target_label: t, action: HashMod, modulus: 64}]",
        Some(&[("t", "31")]),
    );
    check(&[("a", "x")], "[{target_label: t, action: hashmod, modulus: 10}]", Some(&[("t", "8")]));
}

#[test]
fn labelmap_copies_and_labeldrop_and_labelkeep_take_away() {
    let input = [("a", "foo"), ("b1", "bar"), ("b2", "baz")];
    check(
        &input,
        "[{regex: '(b.*)', replacement: 'new_${1}', action: labelmap}]",
        Some(&[("new_b1", "bar"), ("new_b2", "baz")]),
    );
    check(&input, "[{regex: 'b(.)', replacement: 'b$1', action: labelmap}]", Some(&[]));
    check(&input, "[{regex: '(b.*)', action: labelkeep}]", Some(&[("a", "")]));
    check(&input, "[{regex: '(b.*)', action: labeldrop}]", Some(&[("b1", ""), ("b2", "")]));
    check(&input, "[{regex: b, action: labeldrop}]", Some(&[]));
    let meta = [("a", "foo"), ("__meta_my_bar", "aaa"), ("__meta_my_baz", "bbb"), ("__meta_other", "ccc")];
    check(
        &meta,
        "[{regex: '__meta_(my.*)', action: labelmap}]",
        Some(&[("my_bar", "aaa"), ("my_baz", "bbb")]),
    );
}

#[test]
fn labelmap_reads_the_labels_as_they_were_before_it() {
    check(
        &[("a", "1"), ("aa", "2")],
        "[{regex: (.+), replacement: a$1, action: labelmap}]",
        Some(&[("aa", "1"), ("aaa", "2")]),
    );
    check(
        &[("a", "1"), ("b", "2")],
        "[{regex: '[ab]', replacement: one, action: labelmap}]",
        Some(&[("one", "2")]),
    );
}

/// prometheus/prometheus issue 12283: a label that was dropped and set again counts as set.
#[test]
fn a_label_that_was_dropped_can_be_set_again() {
    let input = [("port_name", "web"), ("port_hint", "9091")];
    let yaml = "
- {regex: ^port_name$, action: labeldrop}
- {source_labels: [port_hint], regex: (.+), target_label: port_name, replacement: metrics}
- {source_labels: [port_name], regex: ^metrics$, action: keep}
";
    check(&input, yaml, Some(&[("port_name", "metrics")]));
}

#[test]
fn lowercase_and_uppercase_map_character_by_character() {
    for (value, lower, upper) in [
        ("bAr123Foo", "bar123foo", "BAR123FOO"),
        ("Grüße", "grüße", "GRÜßE"),
        ("ΣΑΣ", "σασ", "ΣΑΣ"),
        ("İı", "iı", "İI"),
        ("ᾳ ᾀ ŉ ﬁ", "ᾳ ᾀ ŉ ﬁ", "ᾼ ᾈ ŉ ﬁ"),
    ] {
        let yaml = "[{source_labels: [v], action: lowercase, target_label: l}, {source_labels: [v], action: uppercase, target_label: u}]";
        check(&[("v", value)], yaml, Some(&[("l", lower), ("u", upper)]));
    }
    check(&NODE, "[{source_labels: [none], action: uppercase, target_label: site}]", Some(&[("site", "")]));
}

#[test]
fn a_set_without_labels_is_dropped_and_no_rules_change_nothing() {
    check(&NODE, "[{regex: .*, action: labeldrop}]", None);
    check(&NODE, "[]", Some(&[]));
    assert!(rules("# nothing yet\n").is_empty());
}

#[test]
fn what_cannot_be_stored_is_told() {
    let input = [("__name__", "m"), ("a", "1")];
    let after = |yaml: &str| check_storable(&rules(yaml).apply(labels(&input)).unwrap());
    assert_eq!(after("[{regex: a, action: labeldrop}]"), Ok(()));
    assert_eq!(after("[{regex: __name__, action: labeldrop}]"), Err(NotStorable::NoMetricName));
    assert_eq!(after("[{regex: a, replacement: $1, action: labelmap}]"), Err(NotStorable::EmptyLabelName));
}
