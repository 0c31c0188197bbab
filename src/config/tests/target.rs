use super::*;

/// With all that an engine can tell.
fn names(config: &Config) -> (String, String) {
    let told = r#"{"daemon_id":"D","engine_version":"28.1","node_id":"N","swarm_id":""}"#;
    let names = config.scrape.labels.fill(&Identity::parse(told)).unwrap();
    (names.target.to_string(), names.external.to_string())
}

#[test]
fn the_hosts_name_is_filled_at_once_and_what_the_engine_tells_later() {
    let config = config(&[
        ("JOB", "docker on {{hostname}}"),
        ("INSTANCE", "{{ hostname }}:{{hostname}}"),
        ("EXTERNAL_LABELS", "host={{hostname}},__replica__=\"{x}\",b=ü"),
    ]);
    assert!(config.scrape.labels.placeholders().is_empty());
    let (target, external) = names(&config);
    assert_eq!(target, r#"{instance="host-7:host-7",job="docker on host-7"}"#);
    assert_eq!(external, r#"{__replica__="{x}",b="ü",host="host-7"}"#);
    assert_eq!(config.scrape.phase.to_string(), target);

    let config = super::config(&[
        ("JOB", "docker {{engine_version}}"),
        ("INSTANCE", "{{hostname}}/{{ daemon_id }}!"),
        ("EXTERNAL_LABELS", "node={{node_id}},swarm={{swarm_id}},c=d"),
    ]);
    assert_eq!(config.scrape.labels.placeholders().len(), 4);
    let (target, external) = names(&config);
    assert_eq!(target, r#"{instance="host-7/D!",job="docker 28.1"}"#);
    assert_eq!(external, r#"{c="d",node="N"}"#, "outside a swarm there is no such label");
    assert_eq!(config.scrape.phase.to_string(), r#"{instance="host-7"}"#, "hosts must not scrape in step");
}

#[test]
fn rw_4_31_a_target_behind_a_unix_socket_bears_the_hosts_name() {
    let (target, _) = names(&config(&[("SCRAPE_URL", "unix:///run/docker/metrics.sock")]));
    assert_eq!(target, r#"{instance="host-7",job="docker"}"#);
}

#[test]
fn histograms_are_read_as_asked_and_what_has_no_effect_is_said() {
    const NATIVE: (&str, &str) = ("SCRAPE_NATIVE_HISTOGRAMS", "true");
    const CONVERTED: (&str, &str) = ("CONVERT_CLASSIC_HISTOGRAMS_TO_NHCB", "true");
    const CLASSIC_TOO: (&str, &str) = ("ALWAYS_SCRAPE_CLASSIC_HISTOGRAMS", "true");
    const TEXT: (&str, &str) = ("SCRAPE_PROTOCOLS", "PrometheusText0.0.4,PrometheusProto");
    const OLD: (&str, &str) = ("REMOTE_WRITE_PROTOBUF_MESSAGE", "prometheus.WriteRequest");
    const ALL: HistogramForms = HistogramForms { native: true, converted: true, classic_too: true };
    const NO_EFFECT: HistogramForms = HistogramForms { classic_too: true, ..HistogramForms::CLASSIC };
    type Case = (&'static [(&'static str, &'static str)], HistogramForms, &'static [&'static str]);
    let cases: [Case; 7] = [
        (&[], HistogramForms::CLASSIC, &[]),
        (&[NATIVE], HistogramForms::NATIVE, &[]),
        (&[NATIVE, CLASSIC_TOO], HistogramForms::BOTH, &[]),
        (&[NATIVE, CONVERTED, CLASSIC_TOO], ALL, &[]),
        (&[NATIVE, TEXT], HistogramForms::NATIVE, &["SCRAPE_NATIVE_HISTOGRAMS"]),
        (&[CLASSIC_TOO], NO_EFFECT, &["ALWAYS_SCRAPE_CLASSIC_HISTOGRAMS"]),
        (&[CONVERTED, TEXT, OLD], HistogramForms::CONVERTED, &["CONVERT_CLASSIC_HISTOGRAMS_TO_NHCB"]),
    ];
    for (pairs, expected, warned) in cases {
        let loaded = load(pairs).unwrap();
        assert_eq!(loaded.config.scrape.histograms, expected, "{pairs:?}");
        let about: Vec<&str> = loaded.warnings.iter().map(|warning| warning.setting.as_str()).collect();
        assert_eq!(about, warned, "{pairs:?}");
    }
}

#[test]
fn an_unknown_placeholder_is_a_problem_that_lists_the_known_ones() {
    let known = "unknown placeholder; known are {{hostname}}, {{daemon_id}}, {{engine_version}}, {{node_id}}, {{swarm_id}}";
    for (text, what) in
        [("{{nonsense}}", known), ("x{{}}", known), ("{{Daemon_ID}}", known), ("{{hostname", "without a }}")]
    {
        assert_problem(&[("JOB", text)], "JOB", what);
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
        assert!(names(&loaded.config).0.starts_with("{instance=\"localhost"));
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
    let yaml = config(&[("EXTERNAL_LABELS", "cluster: prod\nreplica: 1\n")]);
    assert_eq!(names(&yaml).1, r#"{cluster="prod",replica="1"}"#);
}

#[test]
fn protocols_are_prometheuss_names_in_any_order_and_none_of_them_twice() {
    let all = "[PrometheusText0.0.4, 'PrometheusText1.0.0',OpenMetricsText0.0.1, \"OpenMetricsText1.0.0\", PrometheusProto]";
    let mut expected = Protocol::ALL;
    expected.reverse();
    assert_eq!(config(&[("SCRAPE_PROTOCOLS", all)]).scrape.protocols, expected);
    for (text, what) in [
        ("PrometheusText0.0.4,PrometheusText0.0.4", "has PrometheusText0.0.4 twice"),
        ("PrometheusText", "\"PrometheusText\", which is no protocol"),
        ("prometheusproto", "which is no protocol"),
        ("PrometheusProto,", "\"\", which is no protocol"),
        ("[]", "\"\", which is no protocol"),
    ] {
        assert_problem(&[("SCRAPE_PROTOCOLS", text)], "SCRAPE_PROTOCOLS", what);
    }
    for protocol in Protocol::ALL {
        let fallback = config(&[("SCRAPE_FALLBACK_PROTOCOL", protocol.name())]).scrape.fallback_protocol;
        assert_eq!(fallback, Some(protocol));
    }
}

#[test]
fn limits_of_labels_and_prometheuss_switches_are_off_unless_set() {
    let scrape = config(&[]).scrape;
    assert_eq!(scrape.label_limits, LabelLimits::default());
    assert!(!scrape.extra_metrics && !scrape.track_timestamps_staleness);
    let scrape = config(&[
        ("SCRAPE_LABEL_LIMIT", "30"),
        ("SCRAPE_LABEL_NAME_LENGTH_LIMIT", "0"),
        ("SCRAPE_LABEL_VALUE_LENGTH_LIMIT", "200"),
        ("EXTRA_SCRAPE_METRICS", "true"),
        ("TRACK_TIMESTAMPS_STALENESS", "true"),
    ])
    .scrape;
    let limits = LabelLimits { labels: Some(30), name_length: None, value_length: Some(200) };
    assert_eq!(scrape.label_limits, limits);
    assert!(scrape.extra_metrics && scrape.track_timestamps_staleness);
}
