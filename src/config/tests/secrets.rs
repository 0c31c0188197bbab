use super::*;

#[test]
fn no_secret_is_shown_anywhere() {
    const ZEBRA: &str = "s3cr3tZEBRA";
    let looks = |text: String| assert!(!text.to_ascii_lowercase().contains("zebra"), "{text}");

    // Every secret good, nothing else broken: warnings and the configuration itself.
    let url = format!("http://{ZEBRA}:{ZEBRA}@h/x?token={ZEBRA}");
    let header = format!("X-Api-Key={ZEBRA},X-Other=\"{ZEBRA}\"");
    let good = [
        vec![("REMOTE_WRITE_URL", url.as_str()), ("REMOTE_WRITE_HEADERS", header.as_str())],
        vec![("REMOTE_WRITE_BEARER_TOKEN", ZEBRA), ("SCRAPE_URL", "http://h/x?token=s3cr3tZEBRA")],
        vec![("REMOTE_WRITE_BASIC_AUTH_USERNAME", "me"), ("REMOTE_WRITE_BASIC_AUTH_PASSWORD", ZEBRA)],
    ];
    for pairs in &good {
        let loaded = load(pairs).unwrap_or_else(|problems| panic!("{problems}"));
        looks(format!(
            "{loaded:?} {:?} {:#?}",
            loaded.config,
            loaded.config.endpoints[0].auth.clone_without_name()
        ));
        loaded.warnings.iter().for_each(|warning| looks(warning.to_string()));
    }

    // Every secret set to the mark in ways that are mostly broken, and every other setting broken.
    let secrets = SETTINGS.iter().filter(|setting| setting.secret).map(|setting| setting.name);
    let forms = [
        "ZEBRA",
        "ZEBRA\n",
        "X=ZEBRA\u{1}",
        "Authorization=ZEBRA",
        "Bearer ZEBRA",
        "https://ZEBRA:ZEBRA@h:ZEBRA/",
        "https://h/#ZEBRA",
        "ftp://ZEBRA",
        "{ZEBRA: ZEBRA",
        "{\"ZEBRA\": \"ZEBRA\\n\"}",
        "-----BEGIN CERTIFICATE-----\nZEBRA\n-----END CERTIFICATE-----\n",
        "-----BEGIN ZEBRA-----\nZEBRA\n-----END ZEBRA-----\n",
        "http://ZEBRA:a%0AZEBRA@h/",
    ];
    let secrets: Vec<_> = secrets.collect();
    for form in forms {
        let mut all = env(&[]);
        for setting in SETTINGS {
            let broken = match setting.kind {
                Kind::Path => "a\nb",
                Kind::Map => "x",
                _ => "\u{1}{{(",
            };
            let value = if secrets.contains(&setting.name) { form } else { broken };
            all.insert(setting.name.to_owned(), value.to_owned());
        }
        let problems = Config::load(Mode::Run, &all, HOST).unwrap_err();
        let told: BTreeSet<_> = problems.as_slice().iter().map(|problem| problem.setting).collect();
        let broken = SETTINGS.iter().filter(|setting| !setting.secret).map(|setting| setting.name);
        broken.for_each(|name| assert!(told.contains(name), "{name} is not told: {problems}"));
        looks(format!("{problems} {problems:?} {}", problems.one_line()));
        let mut reader = Reader::new(&all, Mode::Plugin);
        let config = read(&mut reader, HOST);
        assert!(config.is_none());
        let (_, warnings) = reader.finish();
        warnings.iter().for_each(|warning| looks(format!("{warning} {warning:?}")));
    }
}

trait WithoutName {
    fn clone_without_name(&self) -> Self;
}

impl WithoutName for Auth {
    /// The user's name is no secret of the type, only of the URL it came from.
    fn clone_without_name(&self) -> Self {
        match self {
            Auth::Basic { password, .. } => {
                Auth::Basic { username: String::new(), password: password.clone() }
            }
            Auth::None | Auth::Bearer(_) => self.clone(),
        }
    }
}
