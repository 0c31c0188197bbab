use super::*;

#[test]
fn every_setting_of_the_table_is_read_and_no_other() {
    let env = env(&[URL]);
    let mut reader = Reader::new(&env, Mode::Plugin);
    assert!(read(&mut reader, HOST).is_some());
    let asked: BTreeSet<_> = reader.asked().iter().copied().collect();
    assert_eq!(asked.len(), reader.asked().len(), "something is read twice");
    assert_eq!(asked, SETTINGS.iter().map(|setting| setting.name).collect());
}

#[test]
fn the_table_is_in_the_order_of_its_groups_and_its_names_are_fit_for_docker() {
    let groups: Vec<_> = SETTINGS.iter().map(|setting| setting.group).collect();
    let place = |group: &Group| Group::ALL.iter().position(|other| other == group);
    assert!(groups.is_sorted_by_key(place));
    for setting in SETTINGS {
        assert!(setting.name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_'));
        assert_eq!(SETTINGS.iter().filter(|other| other.name == setting.name).count(), 1);
        assert!(setting.doc.ends_with('.') && !setting.doc.contains('\n'), "{}", setting.name);
    }
}

#[test]
fn every_example_and_every_word_of_a_choice_is_allowed() {
    for setting in SETTINGS.iter().filter(|setting| setting.kind != Kind::Pem && setting.name != "JOB") {
        let words = match setting.kind {
            Kind::Choice(words) => words.to_vec(),
            _ => vec![setting.example],
        };
        for word in words {
            let mut pairs = vec![(setting.name, word)];
            match setting.name {
                "REMOTE_WRITE_BASIC_AUTH_PASSWORD" | "REMOTE_WRITE_BASIC_AUTH_PASSWORD_FILE" => {
                    pairs.push(("REMOTE_WRITE_BASIC_AUTH_USERNAME", "u"));
                }
                "REMOTE_WRITE_TLS_CERT_FILE" => pairs.push(("REMOTE_WRITE_TLS_KEY_FILE", "k")),
                "REMOTE_WRITE_TLS_KEY_FILE" => pairs.push(("REMOTE_WRITE_TLS_CERT_FILE", "c")),
                _ => {}
            }
            config(&pairs);
        }
    }
}

#[test]
fn empty_means_default() {
    let empty: Vec<_> = SETTINGS.iter().map(|setting| (setting.name, "")).collect();
    let problems = Config::load(Mode::Plugin, &env(&empty), HOST).unwrap_err();
    assert_eq!(problems.as_slice().len(), 1, "{problems}");
    let but_url: Vec<_> = empty.into_iter().filter(|(name, _)| *name != URL.0).collect();
    let (given, absent) = (load(&but_url).unwrap(), load(&[]).unwrap());
    assert_eq!(format!("{given:?}"), format!("{absent:?}"));
    assert_eq!(given.warnings, []);
}

#[test]
fn the_defaults_are_those_of_the_table() {
    let config = config(&[]);
    assert_eq!(config.queue.storage, Storage::Disk(PathBuf::from("/data")));
    assert_eq!((config.queue.max_disk_bytes, config.queue.max_memory_bytes), (256 << 20, 16 << 20));
    assert_eq!(config.queue.min_free_disk, None);
    assert_eq!(config.log, LogConfig { level: Level::Info, format: Format::Logfmt });
    assert_eq!(config.shutdown_drain_timeout, Duration::from_secs(5));
    assert!(config.stale_markers_on_stop && config.self_metrics);
    assert_eq!(config.reload_interval, Some(Duration::from_secs(30)));

    let scrape = &config.scrape;
    let socket = PathBuf::from("/run/docker/metrics.sock");
    assert_eq!(scrape.address, Address::Unix { socket, path: "/metrics".to_owned() });
    assert_eq!((scrape.interval, scrape.timeout), (Duration::from_secs(15), Duration::from_secs(10)));
    assert_eq!((scrape.body_size_limit, scrape.sample_limit), (Some(16 << 20), Some(200_000)));
    assert!(scrape.normalize_le && scrape.honor_timestamps && !scrape.honor_labels);
    assert_eq!(scrape.phase.to_string(), r#"{instance="host-7",job="docker"}"#);
    assert_eq!(scrape.protocols, [Protocol::PrometheusProto, Protocol::PrometheusText0]);
    assert_eq!(scrape.fallback_protocol, Some(Protocol::PrometheusText0));
    assert_eq!(scrape.escaping, Escaping::AllowUtf8);
    assert!(scrape.exemplars && !scrape.created_timestamps);
    let labels = scrape.labels.fill(&Identity::default()).unwrap();
    assert_eq!((labels.target.to_string(), labels.external.len()), (scrape.phase.to_string(), 0));
    assert!(scrape.relabelling.rules.is_empty() && scrape.rules_file.is_none());
    assert_eq!(scrape.relabelling.names, NameFilter::default());

    let [endpoint] = &config.endpoints[..] else { panic!("{:?}", config.endpoints) };
    assert_eq!((endpoint.name.as_str(), endpoint.url.as_str()), ("default", URL.1));
    assert_eq!(endpoint.timeout, Duration::from_secs(30));
    assert!(endpoint.headers.is_empty() && matches!(endpoint.auth, Auth::None));
    assert!(
        endpoint.tls.ca.is_none() && endpoint.tls.identity.is_none() && !endpoint.tls.insecure_skip_verify
    );
    assert_eq!(endpoint.tls.min_version, TlsVersion::Tls12);
    assert_eq!((endpoint.max_samples_per_send, endpoint.max_bytes_per_send), (2000, 3 << 20));
    assert_eq!(endpoint.batch_send_deadline, Duration::ZERO);
    assert!(endpoint.send_exemplars && endpoint.send_native_histograms);
    assert_eq!(endpoint.names, Names::Escaped(Escaping::Underscores));
    let minute = MetadataConfig { interval: Duration::from_secs(60), max_entries_per_send: 2_000 };
    assert_eq!(endpoint.metadata, Some(minute));
    assert_eq!(
        (endpoint.min_backoff, endpoint.max_backoff),
        (Duration::from_millis(500), Duration::from_secs(5))
    );
    assert!(endpoint.retry_on_http_429 && endpoint.hold_on_auth_error);
    assert_eq!((endpoint.sample_age_limit, endpoint.reload_interval), (None, Some(Duration::from_secs(30))));
}

#[test]
fn every_setting_reaches_its_room() {
    let config = config(&[
        ("REMOTE_WRITE_NAME", "a.b-c_D1"),
        ("REMOTE_WRITE_PROTOBUF_MESSAGE", "1.0"),
        ("REMOTE_WRITE_TIMEOUT", "1m30s"),
        ("REMOTE_WRITE_MAX_SAMPLES_PER_SEND", "1"),
        ("REMOTE_WRITE_MAX_BYTES_PER_SEND", "1MB"),
        ("REMOTE_WRITE_BATCH_SEND_DEADLINE", "5s"),
        ("REMOTE_WRITE_SEND_EXEMPLARS", "no"),
        ("REMOTE_WRITE_SEND_NATIVE_HISTOGRAMS", "no"),
        ("REMOTE_WRITE_METRIC_NAME_ESCAPING_SCHEME", "dots"),
        ("REMOTE_WRITE_METADATA_SEND_INTERVAL", "5m"),
        ("REMOTE_WRITE_MIN_BACKOFF", "1s"),
        ("REMOTE_WRITE_MAX_BACKOFF", "1s"),
        ("REMOTE_WRITE_RETRY_ON_HTTP_429", "off"),
        ("REMOTE_WRITE_HOLD_ON_AUTH_ERROR", "no"),
        ("REMOTE_WRITE_SAMPLE_AGE_LIMIT", "2h"),
        ("REMOTE_WRITE_TLS_MIN_VERSION", "TLS13"),
        ("QUEUE_DIR", "/q"),
        ("QUEUE_MAX_DISK_BYTES", "1MiB"),
        ("QUEUE_MIN_FREE_DISK", "0"),
        ("QUEUE_MAX_MEMORY_BYTES", "2000000"),
        ("SCRAPE_URL", "http://127.0.0.1:9323"),
        ("SCRAPE_INTERVAL", "5s"),
        ("SCRAPE_PROTOCOLS", "PrometheusProto, OpenMetricsText1.0.0"),
        ("SCRAPE_FALLBACK_PROTOCOL", "none"),
        ("METRIC_NAME_ESCAPING_SCHEME", "values"),
        ("SCRAPE_CREATED_TIMESTAMPS", "yes"),
        ("SCRAPE_EXEMPLARS", "no"),
        ("SCRAPE_BODY_SIZE_LIMIT", "0"),
        ("SCRAPE_SAMPLE_LIMIT", "0"),
        ("SCRAPE_NORMALIZE_LE", "false"),
        ("HONOR_LABELS", "true"),
        ("HONOR_TIMESTAMPS", "0"),
        ("METRICS_PRESET", "minimal"),
        ("METRICS_KEEP", "engine_.*"),
        ("METRICS_DROP", "engine_b"),
        ("METRIC_RELABEL_CONFIGS", "- {regex: a, action: labeldrop}"),
        ("SHUTDOWN_DRAIN_TIMEOUT", "0"),
        ("STALE_MARKERS_ON_STOP", "no"),
        ("SELF_METRICS", "off"),
        ("CONFIG_RELOAD_INTERVAL", "0s"),
        ("LOG_LEVEL", "debug"),
        ("LOG_FORMAT", "json"),
    ]);
    assert_eq!(config.queue.storage, Storage::Disk(PathBuf::from("/q")));
    assert_eq!((config.queue.max_disk_bytes, config.queue.max_memory_bytes), (1 << 20, 2_000_000));
    assert_eq!(config.queue.min_free_disk, Some(0));
    assert_eq!(config.log, LogConfig { level: Level::Debug, format: Format::Json });
    assert_eq!(config.shutdown_drain_timeout, Duration::ZERO);
    assert!(!config.stale_markers_on_stop && !config.self_metrics);
    assert_eq!(config.reload_interval, None);
    let scrape = &config.scrape;
    assert_eq!(scrape.address, Address::Http("http://127.0.0.1:9323/metrics".parse().unwrap()));
    assert_eq!((scrape.interval, scrape.timeout), (Duration::from_secs(5), Duration::from_secs(5)));
    assert_eq!((scrape.body_size_limit, scrape.sample_limit), (None, None));
    assert!(
        scrape.created_timestamps && !scrape.normalize_le && !scrape.honor_timestamps && scrape.honor_labels
    );
    assert_eq!(scrape.protocols, [Protocol::PrometheusProto, Protocol::OpenMetricsText1]);
    assert!(!scrape.exemplars);
    assert_eq!((scrape.fallback_protocol, scrape.escaping), (None, Escaping::Values));
    let relabelling = &scrape.relabelling;
    let pattern = |text| Some(NamePattern::compile(text).unwrap());
    let (keep, drop) = (pattern("engine_.*"), pattern("engine_b"));
    assert_eq!(relabelling.names, NameFilter { preset: Preset::Minimal, keep, drop });
    assert!(!relabelling.rules.is_empty());
    let endpoint = &config.endpoints[0];
    assert_eq!(endpoint.name, "a.b-c_D1");
    assert_eq!(endpoint.timeout, Duration::from_secs(90));
    assert_eq!((endpoint.max_samples_per_send, endpoint.max_bytes_per_send), (1, 1_000_000));
    assert_eq!(endpoint.batch_send_deadline, Duration::from_secs(5));
    assert!(!endpoint.send_exemplars && !endpoint.send_native_histograms);
    assert_eq!(endpoint.names, Names::Escaped(Escaping::Dots));
    assert_eq!(endpoint.metadata.map(|metadata| metadata.interval), Some(Duration::from_secs(300)));
    assert_eq!(
        (endpoint.min_backoff, endpoint.max_backoff),
        (Duration::from_secs(1), Duration::from_secs(1))
    );
    assert!(!endpoint.retry_on_http_429 && !endpoint.hold_on_auth_error);
    assert_eq!(endpoint.sample_age_limit, Some(Duration::from_secs(7200)));
    assert_eq!(endpoint.tls.min_version, TlsVersion::Tls13);
    assert_eq!(endpoint.reload_interval, None);
}
