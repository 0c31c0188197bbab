//! The environment: `NAME=VALUE`, each ended by a zero byte, as `/proc/<pid>/environ` has it.

use std::collections::{BTreeMap, BTreeSet};

use docker_remote_write::config::table::{SETTINGS, Setting};
use docker_remote_write::config::{Config, Loaded, Mode, NotUtf8, Problems, Strings};

use super::{Outcome, Target};

pub(crate) const TARGET: Target = Target {
    name: "settings",
    run,
    words: &[
        b"\0REMOTE_WRITE_URL=",
        b"\0REMOTE_WRITE_NAME=",
        b"\0REMOTE_WRITE_CONFIG=",
        b"\0REMOTE_WRITE_HEADERS=",
        b"\0REMOTE_WRITE_TENANT_ID=",
        b"\0REMOTE_WRITE_BASIC_AUTH_USERNAME=",
        b"\0REMOTE_WRITE_BASIC_AUTH_PASSWORD=",
        b"\0REMOTE_WRITE_BEARER_TOKEN=",
        b"\0REMOTE_WRITE_TLS_CA=",
        b"\0REMOTE_WRITE_TLS_KEY=",
        b"\0QUEUE_DIR=",
        b"\0QUEUE_MAX_DISK_BYTES=",
        b"\0SCRAPE_URL=",
        b"\0SCRAPE_INTERVAL=",
        b"\0SCRAPE_TIMEOUT=",
        b"\0JOB=",
        b"\0EXTERNAL_LABELS=",
        b"\0METRICS_KEEP=",
        b"\0METRICS_PRESET=",
        b"\0METRIC_RELABEL_CONFIGS=",
        b"\0LOG_LEVEL=",
        b"https://u:p@h:1/x?q=1",
        b"unix:///run/docker/metrics.sock?path=/metrics",
        b"- url: ",
        b"\n  basic_auth:\n    username: u\n    password: ",
        b"\n  authorization: {type: Bearer, credentials: ",
        b"\n  headers: {X-A: ",
        b"\n  tls_config: {insecure_skip_verify: true}",
        b"\n  queue_config: {max_samples_per_send: ",
        b"\n  remote_timeout: ",
        b"\n  name: ",
        b"-----BEGIN CERTIFICATE-----\n",
        b"-----END CERTIFICATE-----\n",
        b"1h30m",
        b"64MiB",
        b"18446744073709551615",
        b"{{hostname}}",
        b"{{node_id}}",
        b"{{",
        b"\"",
        b",",
        b"=",
        b"\xff",
        b"\xc2\x85",
    ],
    fixtures: &[],
    longest: 4 << 10,
    memory: (96 << 20, 64 << 10),
};

/// A word that no message has.
const CANARY: &str = "qzCANARYzq";

/// What the process would find.
#[derive(Clone, Default)]
struct Env(BTreeMap<String, Option<String>>);

impl Env {
    fn read(bytes: &[u8]) -> Self {
        let pairs = bytes.split(|byte| *byte == 0).filter_map(|pair| {
            let at = pair.iter().position(|byte| *byte == b'=')?;
            let name = std::str::from_utf8(&pair[..at]).ok().filter(|name| !name.is_empty())?;
            Some((name.to_owned(), String::from_utf8(pair[at + 1..].to_vec()).ok()))
        });
        Self(pairs.take(64).collect())
    }
}

impl Strings for Env {
    fn get(&self, name: &str) -> Result<Option<String>, NotUtf8> {
        self.0.get(name).map(|value| value.clone().ok_or(NotUtf8)).transpose()
    }

    fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }
}

/// # Panics
/// If one environment has two meanings, a problem hides another one, or something secret is told.
pub(crate) fn run(bytes: &[u8]) -> Outcome {
    let env = Env::read(bytes);
    let mut outcome = Outcome::default();
    for mode in [Mode::Plugin, Mode::Run] {
        let loaded = Config::from_env(mode, &env);
        let again = Config::from_env(mode, &env);
        assert_eq!(told(&loaded), told(&again), "one environment has one meaning");
        match &loaded {
            Ok(loaded) => {
                let endpoints = &loaded.config.endpoints;
                assert!(!endpoints.is_empty());
                let names: BTreeSet<_> = endpoints.iter().map(|endpoint| &endpoint.name).collect();
                assert_eq!(names.len(), endpoints.len(), "names are unique");
                assert!(loaded.config.scrape.timeout <= loaded.config.scrape.interval);
                outcome = outcome.with_count(endpoints.len() as u64).with_count(loaded.warnings.len() as u64);
            }
            Err(problems) => {
                assert_ordered(problems);
                let settings = problems.as_slice().iter().map(|problem| problem.setting).take(4);
                outcome = settings.fold(outcome, |outcome, setting| outcome.with(setting));
            }
        }
    }
    assert_all_at_once(&env);
    assert_secret(&env);
    outcome
}

/// All that may end in a log.
fn told(loaded: &Result<Loaded, Problems>) -> String {
    match loaded {
        Ok(loaded) => {
            let warnings: Vec<_> = loaded.warnings.iter().map(ToString::to_string).collect();
            format!("{:?} {loaded:?} {warnings:?}", loaded.config)
        }
        Err(problems) => format!("{problems} {problems:?} {}", problems.one_line()),
    }
}

fn assert_ordered(problems: &Problems) {
    let place = |name: &str| SETTINGS.iter().position(|setting| setting.name == name);
    let places: Vec<_> = problems.as_slice().iter().map(|problem| place(problem.setting)).collect();
    assert!(!places.is_empty() && !places.contains(&None) && places.is_sorted(), "{problems}");
}

/// A setting that cannot be read is told, whatever is wrong with the others.
fn assert_all_at_once(env: &Env) {
    // Without it the flat settings of an endpoint may have no effect.
    if env.0.get("REMOTE_WRITE_URL").is_none_or(|url| url.as_ref().is_some_and(String::is_empty)) {
        return;
    }
    for setting in SETTINGS.iter().filter(|setting| env.0.contains_key(setting.name)).take(6) {
        let mut unreadable = env.clone();
        unreadable.0.insert(setting.name.to_owned(), None);
        let told = Config::from_env(Mode::Plugin, &unreadable)
            .is_err_and(|problems| problems.as_slice().iter().any(|problem| problem.setting == setting.name));
        assert!(told, "{} is not told beside others", setting.name);
    }
}

/// The secrets of this setting, replaced by the canary in ways that the input chooses.
fn with_canary(setting: &Setting, value: &str) -> Option<String> {
    let middle = (0..=value.len() / 2).rev().find(|at| value.is_char_boundary(*at))?;
    let behind = |mark: &str| {
        let at = value.find(mark)? + mark.len();
        Some(format!("{}{CANARY}{}", &value[..at], &value[at..]))
    };
    match setting.name {
        // Its host, and a name made of it, are no secrets.
        "REMOTE_WRITE_URL" => {
            behind("://").map(|url| url.replacen(CANARY, &format!("{CANARY}:{CANARY}@"), 1))
        }
        "REMOTE_WRITE_CONFIG" => {
            ["password: ", "credentials: ", "X-A: "].iter().find_map(|mark| behind(mark))
        }
        // Names of headers are no secrets.
        "REMOTE_WRITE_HEADERS" => behind("="),
        _ if setting.secret => Some(format!("{}{CANARY}{}", &value[..middle], &value[middle..])),
        _ => None,
    }
}

fn assert_secret(env: &Env) {
    let mut marked = env.clone();
    let mut any = false;
    for setting in SETTINGS {
        let Some(Some(value)) = marked.0.get_mut(setting.name) else { continue };
        if let Some(canary) = with_canary(setting, value) {
            *value = canary;
            any = true;
        }
    }
    if !any {
        return;
    }
    for mode in [Mode::Plugin, Mode::Run] {
        let told = told(&Config::from_env(mode, &marked));
        assert!(
            !told.to_ascii_lowercase().contains(&CANARY.to_ascii_lowercase()),
            "a secret is told: {told}"
        );
    }
}
