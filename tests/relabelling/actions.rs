//! Each action of Prometheus's relabel_config, from the line to the series, and where in the order of things rules stand.

use docker_remote_write::relabel::{NamePattern, Preset};

use super::*;

/// What a body comes to under these rules.
fn golden(yaml: &str, body: &str, expected: &[&str]) {
    let (samples, report) = Target::new(ruled(yaml)).scrape(1, body);
    let samples: Vec<_> = samples.iter().map(|sample| sample.replace("cluster=\"prod\",", "")).collect();
    assert_eq!(samples, expected, "{yaml}");
    assert!(report.failure.is_none(), "{yaml}: {:?}", report.failure);
}

const BODY: &str = "m{a=\"x\",b=\"Y\"} 1\nn{a=\"z\"} 2\n";
const M: &str = r#"m{a="x",b="Y",instance="host",job="docker"} 1"#;
const N: &str = r#"n{a="z",instance="host",job="docker"} 2"#;

#[test]
fn keep_and_drop() {
    golden("- {source_labels: [__name__, a], regex: m;.*, action: keep}", BODY, &[M]);
    golden("- {source_labels: [a], regex: x|y, action: drop}", BODY, &[N]);
    golden("- {action: drop}", BODY, &[]);
}

#[test]
fn keepequal_and_dropequal() {
    let body = "m{a=\"x\",b=\"x\"} 1\nm{a=\"x\",b=\"y\"} 2\n";
    let (same, other) = (
        r#"m{a="x",b="x",instance="host",job="docker"} 1"#,
        r#"m{a="x",b="y",instance="host",job="docker"} 2"#,
    );
    golden("- {source_labels: [a], target_label: b, action: keepequal}", body, &[same]);
    golden("- {source_labels: [a], target_label: b, action: dropequal}", body, &[other]);
}

#[test]
fn replace() {
    let rule = "- {source_labels: [a, b], separator: '/', regex: '(.)/(.*)', target_label: 'c', replacement: '$2-${1}'}";
    golden(
        rule,
        BODY,
        &[
            r#"m{a="x",b="Y",c="Y-x",instance="host",job="docker"} 1"#,
            r#"n{a="z",c="-z",instance="host",job="docker"} 2"#,
        ],
    );
    let renames =
        "- {source_labels: [__name__], regex: 'm', target_label: __name__, replacement: 'renamed_total'}";
    golden(renames, BODY, &[r#"renamed_total{a="x",b="Y",instance="host",job="docker"} 1"#, N]);
}

#[test]
fn hashmod() {
    // Prometheus's own case: md5 of foo, modulo 1000.
    golden(
        "- {source_labels: [c], modulus: 1000, target_label: d, action: hashmod}",
        "m{c=\"baz\"} 1\n",
        &[r#"m{c="baz",d="976",instance="host",job="docker"} 1"#],
    );
}

#[test]
fn lowercase_and_uppercase() {
    golden(
        "- {source_labels: [b], target_label: b, action: lowercase}\n- {source_labels: [a], target_label: a, action: uppercase}",
        BODY,
        &[r#"m{a="X",b="y",instance="host",job="docker"} 1"#, r#"n{a="Z",instance="host",job="docker"} 2"#],
    );
}

#[test]
fn labelmap_labeldrop_and_labelkeep() {
    golden(
        "- {regex: '([ab])', replacement: 'new_$1', action: labelmap}\n- {regex: '[ab]', action: labeldrop}",
        BODY,
        &[
            r#"m{instance="host",job="docker",new_a="x",new_b="Y"} 1"#,
            r#"n{instance="host",job="docker",new_a="z"} 2"#,
        ],
    );
    golden(
        "- {regex: '__name__|a', action: labelkeep}",
        BODY,
        &[r#"m{a="x"} 1"#, r#"n{a="z"} 2"#].map(external),
    );
}

/// Rules did not see the external labels, so `labelkeep` has not removed them; `golden` takes out the usual spelling only.
fn external(series: &'static str) -> &'static str {
    match series {
        r#"m{a="x"} 1"# => r#"m{a="x",cluster="prod"} 1"#,
        _ => r#"n{a="z",cluster="prod"} 2"#,
    }
}

#[test]
fn rw_4_06_rules_see_the_targets_labels_and_the_renamed_clash() {
    let rule = "- {source_labels: [job, exported_job], target_label: both}";
    golden(
        rule,
        "m{job=\"own\"} 1\n",
        &[r#"m{both="docker;own",exported_job="own",instance="host",job="docker"} 1"#],
    );
}

#[test]
fn rw_4_07_external_labels_come_behind_the_rules_and_stand_only_where_these_left_room() {
    let (samples, _) =
        Target::new(ruled("- {source_labels: [cluster], target_label: seen}")).scrape(1, "m 1\n");
    assert_eq!(samples, [r#"m{cluster="prod",instance="host",job="docker"} 1"#], "rules do not see them");
    let (samples, _) = Target::new(ruled("- {target_label: cluster, replacement: mine}")).scrape(1, "m 1\n");
    assert_eq!(samples, [r#"m{cluster="mine",instance="host",job="docker"} 1"#]);
}

#[test]
fn rw_4_19_bounds_have_their_spelling_before_the_rules_see_them() {
    let body = "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"2\"} 2\n";
    let rule = "- {source_labels: [le], regex: '1\\.0', action: keep}";
    golden(rule, body, &[r#"h_bucket{instance="host",job="docker",le="1.0"} 1"#]);
}

#[test]
fn names_are_filtered_as_they_are_exposed_before_any_rule() {
    let mut relabelling =
        ruled("- {source_labels: [__name__], regex: n, target_label: __name__, replacement: m}");
    relabelling.names.keep = Some(NamePattern::compile("n|o").unwrap());
    relabelling.names.drop = Some(NamePattern::compile("o").unwrap());
    let (samples, report) = Target::new(relabelling).scrape(1, "m 1\nn 2\no 3\n{\"m\"} 4\n");
    assert_eq!(samples, [r#"m{cluster="prod",instance="host",job="docker"} 2"#]);
    assert_eq!(report.filtered, 3);
}

#[test]
fn presets_leave_of_a_real_engine_what_the_readme_says() {
    let idle = String::from_utf8(captures().remove(3)).unwrap();
    let manager = String::from_utf8(captures().remove(6)).unwrap();
    let left = |preset, body: &str| {
        let mut relabelling = Relabelling::default();
        relabelling.names.preset = preset;
        let (_, report) = Target::new(relabelling).scrape(1, body);
        assert_eq!(report.post_relabel + report.filtered, report.scraped);
        report.post_relabel
    };
    let all = left(Preset::All, &idle);
    assert_eq!([all, left(Preset::Engine, &idle), left(Preset::Minimal, &idle)], [437, 220, 102]);
    assert_eq!(
        left(Preset::Engine, &manager),
        left(Preset::All, &manager),
        "a manager's own series are of use"
    );
}
