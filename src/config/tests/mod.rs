//! One test for each rule of the settings.

mod blocks;
mod endpoint;
mod filters;
mod secrets;
mod table;
mod target;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use super::table::{Default, Group, Kind, SETTINGS, find};
use super::*;
use crate::model::{Secret, SecretSource};
use crate::queue::Storage;
use crate::relabel::{NameFilter, NamePattern, Preset, SwarmRole};
use crate::remote::{Auth, MetadataConfig, Names, Pem, TlsVersion};
use crate::scrape::{Address, Escaping, HistogramForms, Identity, LabelLimits, Protocol};
use crate::telemetry::log::{Format, Level};

const HOST: &str = "host-7";
const URL: (&str, &str) = ("REMOTE_WRITE_URL", "https://mimir.example/api/v1/push");

fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The plugin with a URL and `pairs`, which may replace it.
fn load(pairs: &[(&str, &str)]) -> Result<Loaded, Problems> {
    let mut env = env(&[URL]);
    env.extend(self::env(pairs));
    Config::load(Mode::Plugin, &env, HOST)
}

fn config(pairs: &[(&str, &str)]) -> Config {
    load(pairs).unwrap_or_else(|problems| panic!("{pairs:?}: {problems}")).config
}

fn endpoint(pairs: &[(&str, &str)]) -> remote::Config {
    config(pairs).endpoints.remove(0)
}

fn warnings(pairs: &[(&str, &str)]) -> Vec<String> {
    let loaded = load(pairs).unwrap_or_else(|problems| panic!("{pairs:?}: {problems}"));
    loaded.warnings.iter().map(Warning::to_string).collect()
}

/// The one problem with `pairs`, which must be with `setting` and say `what`.
fn assert_problem(pairs: &[(&str, &str)], setting: &str, what: &str) {
    let problems = match load(pairs) {
        Err(Problems(problems)) => problems,
        Ok(_) => panic!("{pairs:?}: no problem"),
    };
    assert_eq!(problems.len(), 1, "{pairs:?}: {problems:?}");
    assert_eq!(problems[0].setting, setting, "{pairs:?}: {problems:?}");
    assert!(problems[0].what.contains(what), "{pairs:?}: {:?} does not say {what:?}", problems[0].what);
}

fn assert_warning(pairs: &[(&str, &str)], setting: &str, what: &str) {
    let warnings = warnings(pairs);
    let found =
        warnings.iter().filter(|text| text.starts_with(&format!("{setting}: ")) && text.contains(what));
    assert_eq!(found.count(), 1, "{pairs:?}: {warnings:?} should say {what:?} once");
}

fn inline(text: &str) -> SecretSource {
    SecretSource::Inline(Secret::new(text))
}

fn pem() -> (String, String) {
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    (signed.cert.pem(), signed.signing_key.serialize_pem())
}

// === what problems look like ===

#[test]
fn all_problems_come_at_once_in_the_order_of_the_table() {
    let pairs = [
        ("LOG_LEVEL", "loud"),
        ("SCRAPE_INTERVAL", "15"),
        ("QUEUE_STORAGE", "tape"),
        ("QUEUE_MAX_DISK_BYTES", "much"),
        ("REMOTE_WRITE_URL", ""),
        ("REMOTE_WRITE_TIMEOUT", "soon"),
    ];
    let problems = load(&pairs).unwrap_err();
    let settings: Vec<_> = problems.as_slice().iter().map(|problem| problem.setting).collect();
    let expected = [
        "REMOTE_WRITE_URL",
        "REMOTE_WRITE_TIMEOUT",
        "QUEUE_STORAGE",
        "QUEUE_MAX_DISK_BYTES",
        "SCRAPE_INTERVAL",
        "LOG_LEVEL",
    ];
    assert_eq!(settings, expected);
}

#[test]
fn a_problem_names_the_setting_what_was_wrong_what_is_allowed_and_an_example() {
    let problems = load(&[("SCRAPE_INTERVAL", "15"), ("LOG_LEVEL", "loud")]).unwrap_err();
    assert_eq!(
        problems.to_string(),
        "2 problems with the settings:\n  \
         SCRAPE_INTERVAL: \"15\" is not a duration: write numbers with units, largest first (y w d h m s ms); \
         allowed: a duration from 1s to 1h; example: SCRAPE_INTERVAL=15s\n  \
         LOG_LEVEL: \"loud\" is not one of the words for it; \
         allowed: debug, info, warn or error; example: LOG_LEVEL=info"
    );
    let one_line = problems.one_line();
    assert!(
        !one_line.contains('\n')
            && one_line.contains("SCRAPE_INTERVAL: ")
            && one_line.contains("LOG_LEVEL: ")
    );
}

#[test]
fn a_long_value_is_cut_and_shown_on_one_line() {
    let long = format!("a\nb{}", "ü".repeat(100_000));
    let problems = load(&[("LOG_LEVEL", &long)]).unwrap_err();
    let line = problems.as_slice()[0].to_string();
    assert!(line.len() < 400 && !line.contains('\n'), "{line}");
}

#[test]
fn a_value_that_is_not_utf_8_is_a_problem() {
    struct Broken;
    impl Strings for Broken {
        fn get(&self, name: &str) -> Result<Option<String>, NotUtf8> {
            match name {
                "JOB" | "REMOTE_WRITE_BEARER_TOKEN" => Err(NotUtf8),
                "REMOTE_WRITE_URL" => Ok(Some(URL.1.to_owned())),
                _ => Ok(None),
            }
        }
        fn names(&self) -> Vec<String> {
            vec!["JOB".to_owned()]
        }
    }
    let problems = Config::load(Mode::Plugin, &Broken, HOST).unwrap_err();
    let settings: Vec<_> = problems.as_slice().iter().map(|p| (p.setting, p.what.as_str())).collect();
    let what = "its value is not UTF-8";
    assert_eq!(settings, [("REMOTE_WRITE_BEARER_TOKEN", what), ("JOB", what)]);
}

// === single values ===

#[test]
fn values_out_of_range_are_refused() {
    for (name, value) in [
        ("SCRAPE_INTERVAL", "999ms"),
        ("SCRAPE_INTERVAL", "1h1ms"),
        ("SCRAPE_INTERVAL", "0"),
        ("REMOTE_WRITE_TIMEOUT", "0"),
        ("REMOTE_WRITE_MAX_SAMPLES_PER_SEND", "0"),
        ("REMOTE_WRITE_MAX_BYTES_PER_SEND", "1000"),
        ("REMOTE_WRITE_MIN_BACKOFF", "0s"),
        ("REMOTE_WRITE_SAMPLE_AGE_LIMIT", "1ms"),
        ("QUEUE_MAX_DISK_BYTES", "0"),
        ("QUEUE_MAX_MEMORY_BYTES", "1KiB"),
        ("CONFIG_RELOAD_INTERVAL", "1ms"),
    ] {
        assert_problem(&[(name, value)], name, "is out of range");
    }
}

#[test]
fn white_space_around_a_number_or_word_does_no_harm() {
    let config = config(&[("SCRAPE_INTERVAL", " 20s\r"), ("LOG_LEVEL", "warn "), ("SELF_METRICS", " no")]);
    assert_eq!((config.scrape.interval, config.log.level), (Duration::from_secs(20), Level::Warn));
    assert!(!config.self_metrics);
}

#[test]
fn the_scrape_timeout_is_not_longer_than_the_interval() {
    assert_problem(
        &[("SCRAPE_INTERVAL", "5s"), ("SCRAPE_TIMEOUT", "6s")],
        "SCRAPE_TIMEOUT",
        "longer than SCRAPE_INTERVAL",
    );
    assert_eq!(config(&[("SCRAPE_INTERVAL", "5s")]).scrape.timeout, Duration::from_secs(5));
    assert_eq!(
        config(&[("SCRAPE_INTERVAL", "1m"), ("SCRAPE_TIMEOUT", "1m")]).scrape.timeout,
        Duration::from_secs(60)
    );
    // A timeout is not measured against an interval that could not be read.
    assert_problem(
        &[("SCRAPE_INTERVAL", "x"), ("SCRAPE_TIMEOUT", "6s")],
        "SCRAPE_INTERVAL",
        "not a duration",
    );
}

#[test]
fn the_shortest_backoff_is_not_longer_than_the_longest() {
    assert_problem(
        &[("REMOTE_WRITE_MIN_BACKOFF", "6s")],
        "REMOTE_WRITE_MIN_BACKOFF",
        "longer than REMOTE_WRITE_MAX_BACKOFF",
    );
}

#[test]
fn protocols_of_later_issues_are_refused_as_not_built_yet() {
    assert_problem(
        &[("SCRAPE_FALLBACK_PROTOCOL", "OpenMetricsText2.0.0")],
        "SCRAPE_FALLBACK_PROTOCOL",
        "not one of the words",
    );
    assert_problem(
        &[("REMOTE_WRITE_PROTOBUF_MESSAGE", "v1")],
        "REMOTE_WRITE_PROTOBUF_MESSAGE",
        "not one of the words",
    );
}

#[test]
fn every_word_for_the_message_is_understood() {
    use crate::remote::ProtobufMessage;
    for (word, message) in [
        ("", ProtobufMessage::Auto),
        ("auto", ProtobufMessage::Auto),
        ("prometheus.WriteRequest", ProtobufMessage::V1),
        ("1.0", ProtobufMessage::V1),
        ("io.prometheus.write.v2.Request", ProtobufMessage::V2),
        ("2.0", ProtobufMessage::V2),
    ] {
        assert_eq!(endpoint(&[("REMOTE_WRITE_PROTOBUF_MESSAGE", word)]).message, message, "{word}");
    }
}

#[test]
fn an_endpoint_name_is_fit_for_a_file_and_a_label() {
    assert_eq!(endpoint(&[("REMOTE_WRITE_NAME", &"x".repeat(64))]).name.len(), 64);
    assert_problem(&[("REMOTE_WRITE_NAME", &"x".repeat(65))], "REMOTE_WRITE_NAME", "longer than 64");
    for name in ["a/b", "a b", "ü", "a\n"] {
        assert_problem(&[("REMOTE_WRITE_NAME", name)], "REMOTE_WRITE_NAME", "not allowed");
    }
}

// === queue ===

#[test]
fn run_needs_a_directory_unless_the_queue_is_in_memory() {
    let run = |pairs: &[(&str, &str)]| {
        let mut env = env(&[URL]);
        env.extend(self::env(pairs));
        Config::load(Mode::Run, &env, HOST)
    };
    let problems = run(&[]).unwrap_err();
    assert_eq!(problems.as_slice().len(), 1, "{problems}");
    assert_eq!(problems.as_slice()[0].setting, "QUEUE_DIR");
    let storage = |pairs: &[(&str, &str)]| run(pairs).unwrap().config.queue.storage;
    assert_eq!(storage(&[("QUEUE_DIR", "q")]), Storage::Disk(PathBuf::from("q")));
    assert_eq!(storage(&[("QUEUE_STORAGE", "memory")]), Storage::Memory);
    assert_eq!(storage(&[("QUEUE_STORAGE", "memory"), ("QUEUE_DIR", "q")]), Storage::Memory);
}

#[test]
fn a_broken_queue_directory_is_one_problem_and_hides_no_other() {
    let problems =
        Config::load(Mode::Run, &env(&[URL, ("QUEUE_DIR", "a\nb"), ("QUEUE_MAX_DISK_BYTES", "x")]), HOST);
    let settings: Vec<_> = problems.unwrap_err().as_slice().iter().map(|problem| problem.setting).collect();
    assert_eq!(settings, ["QUEUE_DIR", "QUEUE_MAX_DISK_BYTES"]);
}

#[test]
fn a_plugin_that_drains_longer_than_dockerd_waits_is_warned() {
    let pairs = [("SHUTDOWN_DRAIN_TIMEOUT", "9s")];
    assert_warning(&pairs, "SHUTDOWN_DRAIN_TIMEOUT", "dockerd kills");
    let mut env = env(&[URL, ("QUEUE_DIR", "/q")]);
    env.extend(self::env(&pairs));
    assert_eq!(Config::load(Mode::Run, &env, HOST).unwrap().warnings, []);
}

// === the rest ===

#[test]
fn unknown_names_are_warned_about_and_harmless() {
    let warnings =
        warnings(&[("REMOTE_WRITE_URLS", "s3cret"), ("TELEMETRY_OF_THE_OFFICE", ""), ("PATH", "/bin")]);
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].contains("the closest is REMOTE_WRITE_URL;") && !warnings[0].contains("s3cret"));
}

#[test]
fn log_settings_can_be_read_before_all_others() {
    let json = LogConfig { level: Level::Warn, format: Format::Json };
    assert_eq!(log_from_env(&env(&[("LOG_LEVEL", "warn"), ("LOG_FORMAT", "json")])), json);
    let broken = env(&[("LOG_LEVEL", "loud"), ("LOG_FORMAT", "json"), ("REMOTE_WRITE_URL", "x")]);
    assert_eq!(log_from_env(&broken), LogConfig::default());
}

#[test]
fn from_env_takes_the_name_of_this_host() {
    let loaded = Config::from_env(Mode::Plugin, &env(&[URL])).unwrap();
    assert!(loaded.config.scrape.phase.get("instance").is_some());
}

#[test]
fn find_knows_the_table_and_nothing_else() {
    assert_eq!(find("JOB").map(|setting| setting.default), Some(Default::Value("docker")));
    assert!(find("job").is_none());
}
