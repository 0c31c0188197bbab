use super::*;

#[test]
fn the_only_placeholder_is_the_name_of_the_host() {
    let config = config(&[
        ("JOB", "docker on {{hostname}}"),
        ("INSTANCE", "{{ hostname }}:{{hostname}}"),
        ("EXTERNAL_LABELS", "host={{hostname}},__replica__=\"{x}\",b=ü"),
    ]);
    let target = config.scrape.target_labels;
    assert_eq!(
        (target.get("job"), target.get("instance")),
        (Some("docker on host-7"), Some("host-7:host-7"))
    );
    assert_eq!(config.scrape.external_labels.to_string(), r#"{__replica__="{x}",b="ü",host="host-7"}"#);
    for (text, what) in [
        ("{{daemon_id}}", "{{daemon_id}}, which is not built yet"),
        ("x{{swarm_id}}", "not built yet"),
        ("{{nonsense}}", "does not exist"),
        ("{{hostname", "without a }}"),
    ] {
        assert_problem(&[("INSTANCE", text)], "INSTANCE", what);
        assert_problem(&[("EXTERNAL_LABELS", &format!("a={text}"))], "EXTERNAL_LABELS", what);
    }
}

#[test]
fn a_host_without_a_name_of_its_own_is_warned_about_once_where_it_matters() {
    for host in ["localhost", "", "localhost.localdomain"] {
        let load = |pairs: &[(&str, &str)]| {
            let mut env = env(&[URL]);
            env.extend(self::env(pairs));
            Config::load(Mode::Plugin, &env, host).unwrap()
        };
        let loaded = load(&[("EXTERNAL_LABELS", "host={{hostname}}")]);
        assert_eq!(loaded.warnings.len(), 1, "{:?}", loaded.warnings);
        assert!(loaded.config.scrape.target_labels.get("instance").unwrap().starts_with("localhost"));
        assert_eq!(load(&[("INSTANCE", "a")]).warnings, []);
    }
}

#[test]
fn external_labels_have_valid_names_and_are_given_once() {
    for (text, what) in [
        ("a-b=1", "label name \"a-b\""),
        ("1a=1", "label name \"1a\""),
        ("é=1", "label name"),
        ("__name__=x", "belongs to the metric"),
        ("a=1,a=2", "entry 2 has the key of entry 1"),
        ("{a: 1, b: [c]}", "line 1"),
        ("a: 1\nb: : 2\n", "line 2"),
    ] {
        assert_problem(&[("EXTERNAL_LABELS", text)], "EXTERNAL_LABELS", what);
    }
    assert_warning(&[("EXTERNAL_LABELS", "a=,b=1")], "EXTERNAL_LABELS", "the label a has an empty value");
    let yaml = config(&[("EXTERNAL_LABELS", "cluster: prod\nreplica: 1\n")]).scrape.external_labels;
    assert_eq!(yaml.to_string(), r#"{cluster="prod",replica="1"}"#);
}
