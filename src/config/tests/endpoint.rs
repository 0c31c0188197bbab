use super::*;

// === URL, headers, tenant ===

#[test]
fn the_url_is_required() {
    let problems = Config::load(Mode::Plugin, &env(&[]), HOST).unwrap_err();
    assert_eq!(problems.as_slice().len(), 1, "{problems}");
    assert_eq!(problems.as_slice()[0].setting, "REMOTE_WRITE_URL");
}

#[test]
fn headers_reach_the_endpoint_in_their_order() {
    let endpoint = endpoint(&[
        ("REMOTE_WRITE_HEADERS", r#"{"X-B": "1, 2", "x-a": ""}"#),
        ("REMOTE_WRITE_TENANT_ID", "t-1"),
    ]);
    let headers: Vec<_> =
        endpoint.headers.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
    assert_eq!(headers, [("X-B", "1, 2"), ("x-a", ""), ("X-Scope-OrgID", "t-1")]);
}

#[test]
fn rw_1_04_and_2_05_reserved_headers_are_refused() {
    for name in [
        "Content-Encoding",
        "content-type",
        "X-Prometheus-Remote-Write-Version",
        "USER-AGENT",
        "Host",
        "Content-Length",
        "Connection",
        "Keep-Alive",
        "Proxy-Authorization",
        "Proxy-Connection",
        "Proxy-Anything",
        "WWW-Authenticate",
        "Accept-Encoding",
        "Authorization",
        "Transfer-Encoding",
        "Retry-Attempt",
    ] {
        assert_problem(
            &[("REMOTE_WRITE_HEADERS", &format!("X-Ok=1,{name}=x"))],
            "REMOTE_WRITE_HEADERS",
            "reserved",
        );
    }
}

#[test]
fn headers_that_http_cannot_carry_are_refused() {
    for (text, what) in [
        ("X Y=1", "entry 1 has a name"),
        ("X-A=1,Ü=1", "entry 2 has a name"),
        ("{\"X-A\": \"a\\nb\"}", "entry 1 has a value"),
        ("X-A=1,x-a=2", "entry 2 has the name of an earlier one"),
        ("X-A", "entry 1 has no `=`"),
        ("X-A: 1\nX-B\n", "line 2"),
    ] {
        assert_problem(&[("REMOTE_WRITE_HEADERS", text)], "REMOTE_WRITE_HEADERS", what);
    }
}

#[test]
fn the_tenant_is_given_once_and_in_characters_that_receivers_take() {
    let twice = [("REMOTE_WRITE_HEADERS", "x-scope-orgid=a"), ("REMOTE_WRITE_TENANT_ID", "a")];
    assert_problem(&twice, "REMOTE_WRITE_TENANT_ID", "REMOTE_WRITE_HEADERS has X-Scope-OrgID too");
    assert_eq!(endpoint(&twice[..1]).headers.len(), 1);
    assert_eq!(endpoint(&[("REMOTE_WRITE_TENANT_ID", "a!-_.*'()Z9")]).headers.len(), 1);
    for (tenant, what) in
        [("a b", "characters"), ("a/b", "characters"), ("a\n", "characters"), ("..", "is a name")]
    {
        assert_problem(&[("REMOTE_WRITE_TENANT_ID", tenant)], "REMOTE_WRITE_TENANT_ID", what);
    }
    assert_problem(
        &[("REMOTE_WRITE_TENANT_ID", &"x".repeat(151))],
        "REMOTE_WRITE_TENANT_ID",
        "longer than 150",
    );
}

// === authentication ===

#[test]
fn user_info_of_the_url_becomes_basic_auth() {
    let endpoint = endpoint(&[("REMOTE_WRITE_URL", "https://me:p%40ss@h.example/x")]);
    assert_eq!(endpoint.url.as_str(), "https://h.example/x");
    match endpoint.auth {
        Auth::Basic { username, password } => {
            assert_eq!((username.as_str(), password), ("me", Some(inline("p@ss"))))
        }
        other => panic!("{other:?}"),
    }
    assert_problem(&[("REMOTE_WRITE_URL", "https://a%3Ab:c@h/")], "REMOTE_WRITE_URL", "colon");
    assert_problem(&[("REMOTE_WRITE_URL", "https://a:b%0Ac@h/")], "REMOTE_WRITE_URL", "control character");
}

#[test]
fn basic_auth_takes_its_password_from_the_setting_or_from_a_file() {
    let user = ("REMOTE_WRITE_BASIC_AUTH_USERNAME", "me");
    let password = |pairs: &[(&str, &str)]| match endpoint(pairs).auth {
        Auth::Basic { username, password } if username == "me" => password,
        other => panic!("{other:?}"),
    };
    assert_eq!(password(&[user]), None);
    assert_eq!(password(&[user, ("REMOTE_WRITE_BASIC_AUTH_PASSWORD", " p ")]), Some(inline(" p ")));
    let file = Some(SecretSource::File(PathBuf::from("/s")));
    assert_eq!(password(&[user, ("REMOTE_WRITE_BASIC_AUTH_PASSWORD_FILE", "/s")]), file);
}

#[test]
fn a_bearer_token_comes_from_the_setting_or_from_a_file() {
    let token = |pairs: &[(&str, &str)]| match endpoint(pairs).auth {
        Auth::Bearer(token) => token,
        other => panic!("{other:?}"),
    };
    assert_eq!(token(&[("REMOTE_WRITE_BEARER_TOKEN", "t0ken==")]), inline("t0ken=="));
    assert_eq!(token(&[("REMOTE_WRITE_BEARER_TOKEN_FILE", "/t")]), SecretSource::File(PathBuf::from("/t")));
    for (text, what) in
        [("Bearer x", "the word Bearer"), ("a b", "a space"), ("x\n", "a line end"), ("ü", "not ASCII")]
    {
        assert_problem(&[("REMOTE_WRITE_BEARER_TOKEN", text)], "REMOTE_WRITE_BEARER_TOKEN", what);
    }
}

#[test]
fn a_secret_and_its_file_exclude_each_other() {
    let (cert, key) = pem();
    let user = ("REMOTE_WRITE_BASIC_AUTH_USERNAME", "me");
    let other_half = |name: &str| {
        if name.ends_with("CERT") { "REMOTE_WRITE_TLS_KEY_FILE" } else { "REMOTE_WRITE_TLS_CERT_FILE" }
    };
    for (name, value) in [
        ("REMOTE_WRITE_BASIC_AUTH_PASSWORD", "p"),
        ("REMOTE_WRITE_BEARER_TOKEN", "t"),
        ("REMOTE_WRITE_TLS_CA", cert.as_str()),
        ("REMOTE_WRITE_TLS_CERT", cert.as_str()),
        ("REMOTE_WRITE_TLS_KEY", key.as_str()),
    ] {
        let file = format!("{name}_FILE");
        let mut pairs = vec![(name, value), (file.as_str(), "/f")];
        match name {
            "REMOTE_WRITE_BASIC_AUTH_PASSWORD" => pairs.push(user),
            "REMOTE_WRITE_TLS_CERT" | "REMOTE_WRITE_TLS_KEY" => pairs.push((other_half(name), "/g")),
            _ => {}
        }
        assert_problem(&pairs, name, &format!("is set together with {file}"));
    }
}

#[test]
fn at_most_one_way_to_authenticate() {
    let user = ("REMOTE_WRITE_BASIC_AUTH_USERNAME", "me");
    let token = ("REMOTE_WRITE_BEARER_TOKEN", "t");
    let url = ("REMOTE_WRITE_URL", "https://me:p@h/");
    assert_problem(&[user, token], token.0, "together with REMOTE_WRITE_BASIC_AUTH_USERNAME");
    assert_problem(&[url, user], url.0, "REMOTE_WRITE_BASIC_AUTH_USERNAME is set too");
    assert_problem(&[url, token], url.0, "REMOTE_WRITE_BEARER_TOKEN is set too");
    let password = ("REMOTE_WRITE_BASIC_AUTH_PASSWORD", "p");
    assert_problem(&[password], password.0, "without REMOTE_WRITE_BASIC_AUTH_USERNAME");
    assert_problem(&[("REMOTE_WRITE_BASIC_AUTH_USERNAME", "a:b")], user.0, "colon");
}

#[test]
fn an_inline_secret_gets_one_warning_that_says_who_can_read_it() {
    let (cert, key) = pem();
    let user = ("REMOTE_WRITE_BASIC_AUTH_USERNAME", "me");
    let inspect = "`docker plugin inspect` shows this secret";
    let password = ("REMOTE_WRITE_BASIC_AUTH_PASSWORD", "p");
    assert_warning(&[user, password], password.0, inspect);
    assert_warning(
        &[("REMOTE_WRITE_BEARER_TOKEN", "t")],
        "REMOTE_WRITE_BEARER_TOKEN",
        "REMOTE_WRITE_BEARER_TOKEN_FILE",
    );
    assert_warning(&[("REMOTE_WRITE_URL", "https://me:p@h/")], "REMOTE_WRITE_URL", inspect);
    assert_warning(&[("REMOTE_WRITE_HEADERS", "X-Api-Key=k")], "REMOTE_WRITE_HEADERS", inspect);
    let identity = [("REMOTE_WRITE_TLS_CERT", cert.as_str()), ("REMOTE_WRITE_TLS_KEY", key.as_str())];
    assert_warning(&identity, "REMOTE_WRITE_TLS_KEY", inspect);
    assert_eq!(
        warnings(&[user, ("REMOTE_WRITE_BASIC_AUTH_PASSWORD_FILE", "/f"), ("REMOTE_WRITE_HEADERS", "X-A=1")])
            .len(),
        0
    );
    let env = env(&[URL, ("QUEUE_DIR", "/q"), ("REMOTE_WRITE_BEARER_TOKEN", "t")]);
    let warnings = Config::load(Mode::Run, &env, HOST).unwrap().warnings;
    assert!(warnings.len() == 1 && !warnings[0].text.contains("docker"), "{warnings:?}");
}

#[test]
fn credentials_over_plain_text_are_warned_about() {
    let url = ("REMOTE_WRITE_URL", "http://h/");
    let plain = "plain text";
    assert_warning(&[("REMOTE_WRITE_URL", "http://me@h/")], url.0, plain);
    assert_warning(&[url, ("REMOTE_WRITE_BEARER_TOKEN_FILE", "/t")], url.0, plain);
    assert_warning(&[url, ("REMOTE_WRITE_HEADERS", "X-Auth-Token=x")], url.0, plain);
    assert_eq!(warnings(&[url, ("REMOTE_WRITE_TENANT_ID", "t"), ("REMOTE_WRITE_HEADERS", "X-A=1")]).len(), 0);
}

// === TLS ===

#[test]
fn tls_settings_reach_the_endpoint_as_file_or_inline() {
    let (cert, key) = pem();
    let tls = endpoint(&[
        ("REMOTE_WRITE_TLS_CA", &cert),
        ("REMOTE_WRITE_TLS_CERT", &cert),
        ("REMOTE_WRITE_TLS_KEY", &key),
    ])
    .tls;
    assert!(matches!(tls.ca, Some(Pem::Inline(text)) if text.expose() == cert));
    match tls.identity {
        Some((Pem::Inline(c), Pem::Inline(k))) => {
            assert_eq!((c.expose(), k.expose()), (cert.as_str(), key.as_str()))
        }
        other => panic!("{other:?}"),
    }
    let files = [
        ("REMOTE_WRITE_TLS_CA_FILE", "/ca"),
        ("REMOTE_WRITE_TLS_CERT_FILE", "/c"),
        ("REMOTE_WRITE_TLS_KEY", key.as_str()),
    ];
    let tls = endpoint(&files).tls;
    assert!(matches!(tls.ca, Some(Pem::File(path)) if path.as_os_str() == "/ca"));
    assert!(matches!(tls.identity, Some((Pem::File(_), Pem::Inline(_)))));
}

#[test]
fn a_certificate_and_its_key_go_together() {
    let (cert, key) = pem();
    for (name, value) in [("REMOTE_WRITE_TLS_CERT", cert.as_str()), ("REMOTE_WRITE_TLS_CERT_FILE", "/c")] {
        assert_problem(&[(name, value)], name, "without a key");
    }
    for (name, value) in [("REMOTE_WRITE_TLS_KEY", key.as_str()), ("REMOTE_WRITE_TLS_KEY_FILE", "/k")] {
        assert_problem(&[(name, value)], name, "without a certificate");
    }
}

#[test]
fn broken_pem_is_told_at_once() {
    let (cert, key) = pem();
    let one_line = cert.replace('\n', " ");
    let broken = cert.replace("MII", "M*I");
    for text in ["x", one_line.as_str(), broken.as_str(), key.as_str()] {
        assert_problem(&[("REMOTE_WRITE_TLS_CA", text)], "REMOTE_WRITE_TLS_CA", "PEM");
    }
    let pairs = [("REMOTE_WRITE_TLS_CERT_FILE", "/c"), ("REMOTE_WRITE_TLS_KEY", cert.as_str())];
    assert_problem(&pairs, "REMOTE_WRITE_TLS_KEY", "no private key");
}

#[test]
fn skipping_verification_warns_loudly_and_tls_over_http_has_no_effect() {
    let skip = ("REMOTE_WRITE_TLS_INSECURE_SKIP_VERIFY", "true");
    assert!(endpoint(&[skip]).tls.insecure_skip_verify);
    assert_warning(&[skip], skip.0, "NOT VERIFIED");
    let http = ("REMOTE_WRITE_URL", "http://h/");
    assert_warning(&[http, ("REMOTE_WRITE_TLS_CA_FILE", "/ca")], "REMOTE_WRITE_TLS_CA_FILE", "has no effect");
}

// === What is sent ===

#[test]
fn every_word_for_names_of_1_0_has_its_meaning() {
    let names = |word| endpoint(&[("REMOTE_WRITE_METRIC_NAME_ESCAPING_SCHEME", word)]).names;
    for scheme in Escaping::ALL {
        assert_eq!(names(scheme.name()), Names::Escaped(scheme));
    }
    assert_eq!(names("drop"), Names::Dropped);
    let setting = "REMOTE_WRITE_METRIC_NAME_ESCAPING_SCHEME";
    assert_problem(&[(setting, "utf8")], setting, "not one of the words");
}

#[test]
fn metadata_may_be_switched_off_and_its_interval_has_limits() {
    assert_eq!(endpoint(&[("REMOTE_WRITE_METADATA_SEND", "false")]).metadata, None);
    let setting = "REMOTE_WRITE_METADATA_SEND_INTERVAL";
    assert_problem(&[(setting, "0")], setting, "out of range");
    assert_problem(&[("REMOTE_WRITE_METADATA_SEND", "false"), (setting, "2d")], setting, "out of range");
}

#[test]
fn the_deadline_may_be_nothing_and_is_an_hour_at_most() {
    let setting = "REMOTE_WRITE_BATCH_SEND_DEADLINE";
    for (text, deadline) in [("0", 0), ("0s", 0), ("250ms", 250), ("1h", 3_600_000)] {
        assert_eq!(endpoint(&[(setting, text)]).batch_send_deadline, Duration::from_millis(deadline));
    }
    assert_problem(&[(setting, "61m")], setting, "out of range");
}
