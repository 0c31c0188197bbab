//! Debian's Prometheus and we scrape the same targets; its storage and that of a second Prometheus to which we push must be the same, bit by bit,
//! but for what `known` lists by name.
//!
//! Both sides see body k at their k-th scrape, so samples are compared by the number of the scrape, and by the timestamp only where the target
//! gives one.

mod generated;
mod history;
mod known;
mod messages;
mod nasty;
mod native;
mod native_generated;
mod onward;
mod scripts;
mod target;

use std::process::Command;
use std::time::Duration;

use docker_remote_write::model::SampleKind;
use history::{At, History, LabelSet, Samples, Storage, Stored};
use known::Known;
use onward::Onward;
use target::{Side, Step, Targets};

use crate::support::{PATIENCE, Process, Receiver, eventually, now_ms, say};

/// Generated sequences, each a target of its own.
const SEQUENCES: usize = 12;
/// Scrapes of each of them.
const SCRAPES: usize = 40;

/// One target, scraped by both.
struct Job {
    name: String,
    steps: Vec<Step>,
    /// What differs from our defaults.
    settings: Vec<(&'static str, &'static str)>,
    /// The same in a scrape_config; a list is that of `metric_relabel_configs`.
    config: &'static str,
}

/// As Prometheus 2.42 stores bounds.
const SPELLING: (&str, &str) = ("SCRAPE_NORMALIZE_LE", "false");

fn jobs(start: i64) -> Vec<Job> {
    let job = |name: &str, steps| Job { name: name.to_owned(), steps, settings: vec![SPELLING], config: "" };
    let with = |name: &str, steps, setting, config| Job {
        name: name.to_owned(),
        steps,
        settings: vec![SPELLING, setting],
        config,
    };
    let mut jobs = vec![
        Job { name: "captures".to_owned(), steps: scripts::captures(), settings: Vec::new(), config: "" },
        job("syntax", scripts::syntax()),
        job("numbers", scripts::numbers()),
        job("faults", scripts::faults()),
        job("comings", scripts::comings_and_goings()),
        job("timestamps", scripts::timestamps(start)),
        with(
            "notimestamps",
            scripts::timestamps(start),
            ("HONOR_TIMESTAMPS", "false"),
            "honor_timestamps: false",
        ),
        job("clashes", scripts::clashes("clashes")),
        with("honored", scripts::clashes("honored"), ("HONOR_LABELS", "true"), "honor_labels: true"),
        with("samplelimit", scripts::limits(), ("SCRAPE_SAMPLE_LIMIT", "3"), "sample_limit: 3"),
        with("bodylimit", scripts::limits(), ("SCRAPE_BODY_SIZE_LIMIT", "200"), "body_size_limit: 200B"),
    ];
    let rules =
        |name: &str, steps, rules: &'static str| with(name, steps, ("METRIC_RELABEL_CONFIGS", rules), rules);
    jobs.push(rules("relabelled", scripts::relabelled(), scripts::RULES));
    jobs.push(rules("relabelledcaptures", scripts::captures(), scripts::RULES_FOR_CAPTURES));
    let nasty = [
        ("nastybytes", nasty::bytes()),
        ("nastyencodings", nasty::encodings()),
        ("nastytokens", nasty::tokens()),
        ("nastycomments", nasty::comments()),
        ("nastymeetings", nasty::meetings(start)),
    ];
    jobs.extend(nasty.map(|(name, steps)| job(name, steps)));
    let generated = generated::targets(SEQUENCES, SCRAPES, start);
    jobs.extend(generated.into_iter().enumerate().map(|(n, steps)| job(&format!("generated{n}"), steps)));
    jobs.extend(native::jobs(start));
    jobs
}

#[test]
fn what_arrives_is_what_prometheus_stores_from_the_same_targets() {
    let start = now_ms();
    let jobs = jobs(start);
    let scripts: Vec<_> = jobs.iter().map(|job| (job.name.as_str(), job.steps.as_slice())).collect();
    let targets = Targets::serve(&scripts);
    let dir = tempfile::tempdir().expect("the temporary directory is writable");
    let (onward_of_oracle, onward_of_ours, sent) = (Onward::listen(), Onward::listen(), Onward::listen());
    let pushed_to = Receiver::with_native_histograms(onward_of_ours.config(native::INSTANCES));
    let config = prometheus_yml(&jobs, &targets) + &onward_of_oracle.config(native::INSTANCES);
    let oracle = Receiver::with_native_histograms(config);
    let oracle_storage = Storage { port: oracle.port(), onward: &onward_of_oracle };
    let our_storage = Storage { port: pushed_to.port(), onward: &onward_of_ours };
    let _ours: Vec<Process> = jobs
        .iter()
        .map(|job| {
            let log = dir.path().join(format!("{}.log", job.name));
            Process::start(
                &format!("docker-remote-write for {}", job.name),
                our_run(job, &targets, &pushed_to, &sent),
                &log,
            )
        })
        .collect();

    let mut total = Totals::default();
    let mut differences = Vec::new();
    for job in &jobs {
        let steps = job.steps.len();
        let read = |side, storage: &Storage<'_>| {
            eventually(
                &format!("{steps} scrapes of {} by {side:?}", job.name),
                Duration::from_secs(80),
                || {
                    // The storage may lag behind the target: the sample after the script's last one closes it.
                    let due = targets.scrapes(side, &job.name) > steps;
                    due.then(|| storage.of_job(&job.name, start - 3_600_000, now_ms() + 7_200_000, steps))
                        .flatten()
                },
            )
        };
        let expected = read(Side::Prometheus, &oracle_storage);
        let found = known::without_durations(read(Side::Ours, &our_storage));
        let of_interest = |known: &Known| *known != Known::BoundSpelling || !job.settings.contains(&SPELLING);
        let expected = Known::ALL
            .iter()
            .filter(|known| of_interest(known))
            .fold(expected, |expected, known| known.correct(expected, &found, steps));
        if native::is_job(&job.name) {
            let sent = eventually(&format!("{steps} scrapes of {}, sent", job.name), PATIENCE, || {
                history::sent(&sent, &job.name, steps)
            });
            differences.extend(compare(job, "sent", &expected, &known::without_durations(sent)));
        }
        let expected = known::as_received(expected);
        total.count(&expected, steps);
        differences.extend(compare(job, "stored", &expected, &found));
    }
    say(&format!(
        "differential: {} targets, {} scrapes ({SEQUENCES} + {} generated sequences of {SCRAPES}), {} series, {} samples, {} native histograms, {} staleness markers and {} stale histograms in {:.0} s",
        jobs.len(),
        total.scrapes,
        native::SEQUENCES,
        total.series,
        total.samples,
        total.histograms,
        total.markers,
        total.stale_histograms,
        Duration::from_millis(u64::try_from(now_ms() - start).unwrap_or_default()).as_secs_f64(),
    ));
    assert!(
        differences.is_empty(),
        "{} differences from Prometheus; the first of them:\n{}",
        differences.len(),
        differences.iter().take(40).cloned().collect::<Vec<_>>().join("\n")
    );
    assert!(total.samples > 10_000 && total.markers > 1_000, "too little was compared: {total:?}");
    assert!(total.histograms > 1_000 && total.stale_histograms > 300, "too little was compared: {total:?}");
}

#[derive(Debug, Default)]
struct Totals {
    scrapes: usize,
    series: usize,
    samples: usize,
    histograms: usize,
    markers: usize,
    stale_histograms: usize,
}

impl Totals {
    fn count(&mut self, history: &History, steps: usize) {
        self.scrapes += steps;
        self.series += history.len();
        for stored in history.values().flat_map(Samples::values) {
            match stored {
                Stored::Float(_) => self.samples += 1,
                Stored::Histogram(_) => self.histograms += 1,
                Stored::Marker(SampleKind::Float) => self.markers += 1,
                Stored::Marker(SampleKind::Histogram(_)) => self.stale_histograms += 1,
            }
        }
    }
}

/// One line for each sample that only one side has, or that is not the same on both.
fn compare(job: &Job, what: &str, expected: &History, found: &History) -> Vec<String> {
    let none = Samples::new();
    let mut lines = Vec::new();
    let all: std::collections::BTreeSet<&LabelSet> = expected.keys().chain(found.keys()).collect();
    for labels in all {
        let (expected, found) = (expected.get(labels).unwrap_or(&none), found.get(labels).unwrap_or(&none));
        let moments: std::collections::BTreeSet<At> = expected.keys().chain(found.keys()).copied().collect();
        for at in moments {
            let show =
                |stored: Option<&Stored>| stored.map_or("nothing".to_owned(), |stored| format!("{stored:?}"));
            let (expected, found) = (expected.get(&at), found.get(&at));
            if expected != found {
                let served = match at {
                    At::Scrape(scrape) => format!("; served: {}", shown(&job.steps[scrape])),
                    At::Own(_) => String::new(),
                };
                let (expected, found) = (show(expected), show(found));
                lines.push(format!(
                    "{}: {labels:?} at {at:?}: Prometheus {expected}, ours {found} ({what}){served}",
                    job.name
                ));
            }
        }
    }
    lines
}

fn shown(step: &Step) -> String {
    match step {
        Step::Body(body) => {
            format!("{:?}", String::from_utf8_lossy(body).chars().take(600).collect::<String>())
        }
        Step::Protobuf(_) | Step::Apart { .. } => format!("{step:?}"),
        other => format!("{other:?}").chars().take(200).collect(),
    }
}

fn prometheus_yml(jobs: &[Job], targets: &Targets) -> String {
    let mut config = String::from("global:\n  scrape_interval: 1s\n  scrape_timeout: 1s\nscrape_configs:\n");
    for Job { name, config: extra, .. } in jobs {
        let (address, path) = targets.address(Side::Prometheus, name);
        config += &format!(
            "- job_name: {name}\n  metrics_path: {path}\n  static_configs:\n  - targets: ['{address}']\n    labels: {{instance: host-{name}}}\n"
        );
        if extra.starts_with('[') {
            config += &format!("  metric_relabel_configs: {extra}\n");
        } else if !extra.is_empty() {
            config += &format!("  {extra}\n");
        }
    }
    config
}

fn our_run(job: &Job, targets: &Targets, receiver: &Receiver, sent: &Onward) -> Command {
    let (address, path) = targets.address(Side::Ours, &job.name);
    let mut command = Command::new(env!("CARGO_BIN_EXE_docker-remote-write"));
    command
        .arg("run")
        .env_clear()
        .env("REMOTE_WRITE_URL", receiver.push_url())
        .env("SCRAPE_URL", format!("http://{address}{path}"))
        .env("SCRAPE_INTERVAL", "1s")
        .env("QUEUE_STORAGE", "memory")
        .env("SELF_METRICS", "false")
        .env("JOB", &job.name)
        .env("INSTANCE", format!("host-{}", job.name))
        .envs(job.settings.iter().copied());
    if native::is_job(&job.name) {
        command.env("REMOTE_WRITE_CONFIG", sent.endpoint());
    }
    command
}
