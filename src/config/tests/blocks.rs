use super::*;

const CONFIG: &str = "REMOTE_WRITE_CONFIG";

fn endpoints(yaml: &str) -> Vec<remote::Config> {
    config(&[("REMOTE_WRITE_URL", ""), (CONFIG, yaml)]).endpoints
}

fn only(yaml: &str) -> remote::Config {
    let mut all = endpoints(yaml);
    assert_eq!(all.len(), 1, "{yaml}");
    all.remove(0)
}

#[test]
fn a_block_of_a_prometheus_yml_becomes_an_endpoint() {
    let endpoint = only(concat!(
        "- url: https://mimir.example/api/v1/push\n",
        "  name: mimir\n",
        "  remote_timeout: 10s\n",
        "  headers:\n",
        "    X-Scope-OrgID: infra\n",
        "  basic_auth:\n",
        "    username: me\n",
        "    password_file: /data/etc/password\n",
        "  tls_config:\n",
        "    ca_file: /data/etc/ca.pem\n",
        "    cert_file: /data/etc/client.pem\n",
        "    key_file: /data/etc/client.key\n",
        "    min_version: TLS13\n",
        "  queue_config:\n",
        "    max_samples_per_send: 500\n",
        "    min_backoff: 30ms\n",
        "    max_backoff: 2s\n",
        "    retry_on_http_429: false\n",
        "    sample_age_limit: 2h\n",
    ));
    assert_eq!(endpoint.name, "mimir");
    assert_eq!(endpoint.url.as_str(), "https://mimir.example/api/v1/push");
    assert_eq!(endpoint.timeout, Duration::from_secs(10));
    let headers: Vec<_> = endpoint.headers.iter().map(|(name, value)| (&**name, value.expose())).collect();
    assert_eq!(headers, [("X-Scope-OrgID", "infra")]);
    match endpoint.auth {
        Auth::Basic { username, password } => {
            assert_eq!(username, "me");
            assert_eq!(password, Some(SecretSource::File(PathBuf::from("/data/etc/password"))));
        }
        other => panic!("{other:?}"),
    }
    assert!(
        matches!(endpoint.tls.ca, Some(Pem::File(path)) if path.as_path() == std::path::Path::new("/data/etc/ca.pem"))
    );
    assert!(matches!(endpoint.tls.identity, Some((Pem::File(_), Pem::File(_)))));
    assert_eq!(endpoint.tls.min_version, TlsVersion::Tls13);
    assert_eq!(endpoint.max_samples_per_send, 500);
    assert_eq!(endpoint.min_backoff, Duration::from_millis(30));
    assert_eq!(endpoint.max_backoff, Duration::from_secs(2));
    assert!(!endpoint.retry_on_http_429);
    assert_eq!(endpoint.sample_age_limit, Some(Duration::from_secs(2 * 3600)));
}

#[test]
fn what_a_block_leaves_out_is_as_in_the_flat_settings() {
    let flat = endpoint(&[("REMOTE_WRITE_URL", "https://h.example/x"), ("REMOTE_WRITE_NAME", "n")]);
    let block = only("- {url: 'https://h.example/x', name: n, queue_config: , tls_config: }");
    assert_eq!(format!("{block:?}"), format!("{flat:?}"));
}

#[test]
fn a_block_without_a_name_is_called_after_its_host() {
    assert_eq!(only("- url: https://mimir.example:8080/api/v1/push").name, "mimir.example");
    assert_eq!(only("- url: http://[::1]:9090/w").name, "___1_");
    let twice = "- url: http://h/1\n- url: http://h/2\n";
    assert_problem(&[("REMOTE_WRITE_URL", ""), (CONFIG, twice)], CONFIG, "two endpoints are called h");
}

#[test]
fn the_list_comes_behind_the_flat_endpoint_and_names_are_unique() {
    let yaml = "[{url: 'http://b/w', name: b}, {url: 'http://a/w', name: a}]";
    let names: Vec<_> = config(&[(CONFIG, yaml)]).endpoints.into_iter().map(|e| e.name).collect();
    assert_eq!(names, ["default", "b", "a"]);
    assert_problem(&[(CONFIG, yaml), ("REMOTE_WRITE_NAME", "a")], "REMOTE_WRITE_NAME", "two endpoints");
}

#[test]
fn without_a_flat_url_the_other_flat_settings_are_told_to_be_idle() {
    let pairs = [
        ("REMOTE_WRITE_URL", ""),
        (CONFIG, "- url: https://h/w"),
        ("REMOTE_WRITE_TIMEOUT", "1s"),
        ("REMOTE_WRITE_TENANT_ID", "t"),
    ];
    assert_warning(&pairs, "REMOTE_WRITE_URL", "REMOTE_WRITE_TENANT_ID, REMOTE_WRITE_TIMEOUT");
    assert_eq!(config(&pairs).endpoints.len(), 1);
}

#[test]
fn every_way_to_authenticate() {
    let auth = |fields: &str| only(&format!("- url: https://h/w\n  {fields}")).auth;
    match auth("authorization: {credentials: tok}") {
        Auth::Bearer(token) => assert_eq!(token, inline("tok")),
        other => panic!("{other:?}"),
    }
    match auth("authorization: {type: bearer, credentials_file: /t}") {
        Auth::Bearer(token) => assert_eq!(token, SecretSource::File(PathBuf::from("/t"))),
        other => panic!("{other:?}"),
    }
    match auth("basic_auth: {username: u, password: 12345}") {
        Auth::Basic { password, .. } => assert_eq!(password, Some(inline("12345"))),
        other => panic!("{other:?}"),
    }
    match only("- url: https://u:p@h/w").auth {
        Auth::Basic { password, .. } => assert_eq!(password, Some(inline("p"))),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_does_not_fit_is_told_with_its_line_and_column() {
    for (yaml, what) in [
        (
            "- url: https://h/w\n  urll: x\n",
            "line 2, column 3: there is no such field; here may stand url, name",
        ),
        ("- url: https://h/w\n  basic_auth: {user: x}\n", "there is no such field; here may stand username"),
        ("remote_write:\n- url: x\n", "line 1, column 1: a list is expected here"),
        ("- url: https://h/w\n  url: https://h/w\n", "line 2, column 3: the field was there before"),
        ("- name: x\n", "line 1, column 3: the block has no url"),
        ("- \n", "the block is empty"),
        ("[]", "holds no block"),
        ("- url: ftp://h/w\n", "line 1, column 8: url "),
        ("- url: https://h/w\n  name: a b\n", "line 2, column 9: name has characters"),
        ("- url: https://h/w\n  headers: {Content-Type: x}\n", "this entry of headers is content-type"),
        (
            "- url: https://h/w\n  remote_timeout: soon\n",
            "line 2, column 19: remote_timeout is not a duration",
        ),
        ("- url: https://h/w\n  remote_timeout: 2h\n", "remote_timeout is out of range; allowed: a duration"),
        (
            "- url: https://h/w\n  queue_config: {max_samples_per_send: 0}\n",
            "max_samples_per_send is out of range",
        ),
        (
            "- url: https://h/w\n  queue_config: {min_backoff: 9s}\n",
            "line 2, column 31: min_backoff is longer than max_backoff",
        ),
        (
            "- url: https://h/w\n  queue_config: {retry_on_http_429: maybe}\n",
            "line 2, column 37: a value of another",
        ),
        ("- url: https://h/w\n  basic_auth: {password: x}\n", "basic_auth needs a username"),
        ("- url: https://h/w\n  basic_auth: {username: 'a:b'}\n", "username contains a colon"),
        (
            "- url: https://h/w\n  authorization: {type: Digest, credentials: x}\n",
            "type of authorization is not built",
        ),
        ("- url: https://h/w\n  authorization: {}\n", "authorization needs credentials"),
        (
            "- url: https://h/w\n  authorization: {credentials: x, credentials_file: /x}\n",
            "stands beside credentials",
        ),
        (
            "- url: https://h/w\n  basic_auth: {username: u}\n  authorization: {credentials: x}\n",
            "authorization stands beside basic_auth",
        ),
        (
            "- url: https://u:p@h/w\n  basic_auth: {username: u}\n",
            "basic_auth stands beside a url with user info",
        ),
        (
            "- url: https://u:p@h/w\n  authorization: {credentials: x}\n",
            "authorization stands beside a url with user info",
        ),
        ("- url: https://h/w\n  tls_config: {cert_file: /c}\n", "needs a certificate and its key"),
        ("- url: https://h/w\n  tls_config: {ca: nonsense}\n", "ca holds no certificate"),
        ("- url: https://h/w\n  tls_config: {min_version: TLS10}\n", "min_version is not one of the words"),
        ("- url: https://h/w\n  tls_config: {server_name: x}\n", "server_name is not built yet"),
        (
            "- url: https://h/w\n  write_relabel_configs: [{action: drop}]\n",
            "write_relabel_configs is not built yet",
        ),
        ("- url: https://h/w\n  oauth2: {client_id: x}\n", "oauth2 is not built yet"),
        ("- url: https://h/w\n  bearer_token: x\n", "bearer_token is an old name: write authorization"),
        ("- url: https://h/w\n  protobuf_message: '2.0'\n", "protobuf_message is not one of the words"),
        ("- url: [", "line "),
        ("- url: *x\n", "line 1, column 8: unknown anchor"),
    ] {
        assert_problem(&[("REMOTE_WRITE_URL", ""), (CONFIG, yaml)], CONFIG, what);
    }
}

#[test]
fn everything_that_is_wrong_with_the_blocks_is_told_at_once() {
    let yaml = "- url: ftp://h/w\n  name: a b\n- url: https://h/w\n  remote_timeout: soon\n  oauth2: {}\n";
    let problems = load(&[("REMOTE_WRITE_URL", "x"), (CONFIG, yaml)]).unwrap_err();
    let told: Vec<_> = problems.as_slice().iter().map(|problem| problem.setting).collect();
    assert_eq!(told, ["REMOTE_WRITE_URL", CONFIG, CONFIG, CONFIG, CONFIG], "{problems}");
}

#[test]
fn fields_of_prometheus_that_change_nothing_are_told_once() {
    let yaml = concat!(
        "- url: https://a/w\n  round_robin_dns: true\n  enable_http2: true\n",
        "  queue_config: {capacity: 10000, max_shards: 5}\n",
        "- url: https://b/w\n  enable_http2: false\n",
    );
    let pairs = [("REMOTE_WRITE_URL", ""), (CONFIG, yaml)];
    let idle = "fields without effect here: capacity, enable_http2, max_shards, round_robin_dns";
    assert_warning(&pairs, CONFIG, idle);
}

#[test]
fn credentials_in_the_text_or_over_http_are_warned_about() {
    let inline =
        [("REMOTE_WRITE_URL", ""), (CONFIG, "- url: http://h/w\n  authorization: {credentials: x}\n")];
    assert_warning(&inline, CONFIG, "`docker plugin inspect` shows this secret");
    assert_warning(&inline, CONFIG, "the url of endpoint h is http://");
    let file = "- url: https://h/w\n  authorization: {credentials_file: /x}\n";
    assert!(warnings(&[("REMOTE_WRITE_URL", ""), (CONFIG, file)]).is_empty());
    let unverified = "- url: https://h/w\n  tls_config: {insecure_skip_verify: true}\n";
    assert_warning(&[("REMOTE_WRITE_URL", ""), (CONFIG, unverified)], CONFIG, "NOT VERIFIED");
}

#[test]
fn no_problem_and_no_debug_form_shows_a_part_of_the_text() {
    for yaml in [
        "- url: https://h/w\n  ZEBRA: x\n",
        "- url: ftp://ZEBRA@h\n",
        "- url: https://h/w\n  basic_auth: {username: \"ZEBRA:\", password: ZEBRA}\n",
        "- url: https://h/w\n  authorization: {credentials: Bearer ZEBRA}\n",
        "- url: https://h/w\n  authorization: ZEBRA\n",
        "- url: https://h/w\n  headers: {X-ZEBRA: \"ZEBRA\\n\"}\n",
        "- url: https://h/w\n  tls_config: {key: ZEBRA, cert: ZEBRA}\n",
        "- url: https://h/w\n  queue_config: {retry_on_http_429: ZEBRA, max_samples_per_send: ZEBRA}\n",
        "ZEBRA",
        "- ZEBRA: [\n",
        "- url: \"ZEBRA",
    ] {
        let problems = load(&[("REMOTE_WRITE_URL", ""), (CONFIG, yaml)]).unwrap_err();
        assert!(!format!("{problems} {problems:?}").contains("ZEBRA"), "{yaml}: {problems}");
    }
    let good = "- url: https://ZEBRA:ZEBRA@h/w\n- url: https://i/w\n  authorization: {credentials: ZEBRA}\n";
    let loaded = load(&[("REMOTE_WRITE_URL", ""), (CONFIG, good)]).unwrap();
    let shown = format!("{loaded:?} {:?}", loaded.config.endpoints[1]);
    assert!(!shown.contains("ZEBRA"), "{shown}");
}

#[test]
fn a_block_says_what_is_sent_and_when() {
    let endpoint = only(concat!(
        "- url: https://mimir.example/api/v1/push\n",
        "  send_exemplars: false\n",
        "  send_native_histograms: false\n",
        "  queue_config: {batch_send_deadline: 5s}\n",
        "  metadata_config: {send: true, send_interval: 30s, max_samples_per_send: 500}\n",
    ));
    assert!(!endpoint.send_exemplars && !endpoint.send_native_histograms);
    assert_eq!(endpoint.batch_send_deadline, Duration::from_secs(5));
    let metadata = MetadataConfig { interval: Duration::from_secs(30), max_entries_per_send: 500 };
    assert_eq!(endpoint.metadata, Some(metadata));
    assert_eq!(only("- {url: 'http://h/w', metadata_config: {send: false}}").metadata, None);
    for (field, what) in [
        ("metadata_config: {send_interval: 0s}", "send_interval is out of range"),
        ("metadata_config: {max_samples_per_send: 0}", "max_samples_per_send of metadata_config"),
        ("metadata_config: {interval: 1m}", "there is no such field"),
        ("queue_config: {batch_send_deadline: 2h}", "batch_send_deadline is out of range"),
        ("send_exemplars: perhaps", "a value of another kind"),
    ] {
        let yaml = format!("- {{url: 'http://h/w', {field}}}");
        assert_problem(&[("REMOTE_WRITE_URL", ""), (CONFIG, &yaml)], CONFIG, what);
    }
}
