//! Settings of the queue, the target, its labels, and the process.

use std::time::Duration;

use super::make::{duration, duration_or_off, secret, setting, size, size_or_off, text};
use super::{Default, Group, Kind, Limits, Setting};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
const MIB: u64 = 1 << 20;
const TIB: u64 = 1 << 40;

/// The two labels of the target.
const LABEL: &str =
    "text; placeholders are {{hostname}}, {{daemon_id}}, {{engine_version}}, {{node_id}} and {{swarm_id}}";

/// Prometheus's names of formats.
const PROTOCOLS: &str = "PrometheusProto, OpenMetricsText1.0.0, OpenMetricsText0.0.1, PrometheusText1.0.0 and PrometheusText0.0.4, any of them \
                         once, with commas between them";

/// Of labels or their bytes.
const LABEL_COUNT: Kind = Kind::Count(Limits { zero: true, min: 1, max: u64::MAX });

/// What selects metrics by name.
const NAMES: &str = "a regular expression (RE2) for the whole name, histogram suffixes included";

pub(super) const HOST: &[Setting] = &[
    setting(
        Group::Queue,
        "QUEUE_DIR",
        Kind::Path,
        Default::Told("/data in the plugin; required in run, unless QUEUE_STORAGE=memory"),
        "/var/lib/docker-remote-write",
        "The directory of the queue; created when missing.",
    ),
    setting(
        Group::Queue,
        "QUEUE_STORAGE",
        Kind::Choice(&["disk", "memory"]),
        Default::Value("disk"),
        "disk",
        "disk survives a crash; memory loses what is unsent at exit.",
    ),
    setting(
        Group::Queue,
        "QUEUE_MAX_DISK_BYTES",
        size(MIB, TIB),
        Default::Value("256MiB"),
        "1GiB",
        "The most bytes on disk; beyond it the oldest samples go first, counted as overflowed.",
    ),
    setting(
        Group::Queue,
        "QUEUE_MIN_FREE_DISK",
        size_or_off(MIB, TIB),
        Default::Told("512MiB, or a tenth of the file system where that is less"),
        "1GiB",
        "With less free than this, new samples stay in memory until there is room again; 0 is no floor.",
    ),
    setting(
        Group::Queue,
        "QUEUE_MAX_MEMORY_BYTES",
        size(MIB, 64 << 30),
        Default::Value("16MiB"),
        "16MiB",
        "The most bytes of the memory ring in front of the disk.",
    ),
    secret(
        Group::Scrape,
        "SCRAPE_URL",
        text(
            "unix:///path/of.sock, with ?path=/metrics if need be, or http(s)://host:port/path without user info",
        ),
        Default::Value("unix:///run/docker/metrics.sock"),
        "http://127.0.0.1:9323/metrics",
        "Where the metrics are; the path of the request is /metrics unless told.",
    ),
    setting(
        Group::Scrape,
        "SCRAPE_INTERVAL",
        duration(SECOND, HOUR),
        Default::Value("15s"),
        "15s",
        "The time from one scrape to the next.",
    ),
    setting(
        Group::Scrape,
        "SCRAPE_TIMEOUT",
        duration(SECOND, HOUR),
        Default::Told("10s, or SCRAPE_INTERVAL where that is shorter"),
        "10s",
        "For one scrape; not more than SCRAPE_INTERVAL.",
    ),
    setting(
        Group::Scrape,
        "SCRAPE_PROTOCOLS",
        text(PROTOCOLS),
        Default::Value("PrometheusProto,PrometheusText0.0.4"),
        "PrometheusText0.0.4",
        "The formats that the target is asked for, the best one first. What comes is read whatever was asked for.",
    ),
    setting(
        Group::Scrape,
        "SCRAPE_FALLBACK_PROTOCOL",
        Kind::Choice(&[
            "PrometheusProto",
            "OpenMetricsText1.0.0",
            "OpenMetricsText0.0.1",
            "PrometheusText1.0.0",
            "PrometheusText0.0.4",
            "none",
        ]),
        Default::Value("PrometheusText0.0.4"),
        "PrometheusText0.0.4",
        "How a body without a known Content-Type is read; none fails the scrape.",
    ),
    setting(
        Group::Scrape,
        "METRIC_NAME_ESCAPING_SCHEME",
        Kind::Choice(&["allow-utf-8", "underscores", "dots", "values"]),
        Default::Value("allow-utf-8"),
        "underscores",
        "How the target is asked to give names beyond letters, digits, _ and : in OpenMetricsText1.0.0 and PrometheusText1.0.0.",
    ),
    setting(
        Group::Scrape,
        "SCRAPE_CREATED_TIMESTAMPS",
        Kind::Boolean,
        Default::Value("false"),
        "true",
        "Whether _created lines of OpenMetrics become start timestamps of the series beside them; otherwise they are series.",
    ),
    setting(
        Group::Scrape,
        "SCRAPE_EXEMPLARS",
        Kind::Boolean,
        Default::Value("true"),
        "true",
        "Whether exemplars of OpenMetrics and protobuf are taken along with their samples; they count as none.",
    ),
    setting(
        Group::Scrape,
        "SCRAPE_NATIVE_HISTOGRAMS",
        Kind::Boolean,
        Default::Value("false"),
        "true",
        "Whether native histograms of protobuf are taken, each as one sample, instead of the classic buckets of the same histogram. Prometheus calls it scrape_native_histograms.",
    ),
    setting(
        Group::Scrape,
        "CONVERT_CLASSIC_HISTOGRAMS_TO_NHCB",
        Kind::Boolean,
        Default::Value("false"),
        "true",
        "Whether classic histograms are taken as native ones with custom buckets (schema -53), each as one sample. Only 2.0 can carry them.",
    ),
    setting(
        Group::Scrape,
        "ALWAYS_SCRAPE_CLASSIC_HISTOGRAMS",
        Kind::Boolean,
        Default::Value("false"),
        "true",
        "Whether the classic series are taken beside native and converted histograms.",
    ),
    setting(
        Group::Scrape,
        "SCRAPE_BODY_SIZE_LIMIT",
        size_or_off(1, TIB),
        Default::Value("16MiB"),
        "16MiB",
        "A larger body fails the scrape (up becomes 0); counted uncompressed. The memory of its series is limited with it: 30 MiB, or 1.875 times this where that is more; 0 turns both off.",
    ),
    setting(
        Group::Scrape,
        "SCRAPE_SAMPLE_LIMIT",
        Kind::Count(Limits { zero: true, min: 1, max: u64::MAX }),
        Default::Value("200000"),
        "200000",
        "More samples fail the scrape (up becomes 0); 0 is off.",
    ),
    setting(
        Group::Scrape,
        "SCRAPE_LABEL_LIMIT",
        LABEL_COUNT,
        Default::Value("0"),
        "30",
        "A series with more labels than this, its name, job and instance included, fails the scrape (up becomes 0); 0 is off.",
    ),
    setting(
        Group::Scrape,
        "SCRAPE_LABEL_NAME_LENGTH_LIMIT",
        LABEL_COUNT,
        Default::Value("0"),
        "128",
        "The same for a label name of more bytes.",
    ),
    setting(
        Group::Scrape,
        "SCRAPE_LABEL_VALUE_LENGTH_LIMIT",
        LABEL_COUNT,
        Default::Value("0"),
        "1024",
        "The same for a label value of more bytes.",
    ),
    setting(
        Group::Scrape,
        "EXTRA_SCRAPE_METRICS",
        Kind::Boolean,
        Default::Value("false"),
        "true",
        "Whether scrape_timeout_seconds, scrape_sample_limit and scrape_body_size_bytes are sent beside up.",
    ),
    setting(
        Group::Scrape,
        "SCRAPE_NORMALIZE_LE",
        Kind::Boolean,
        Default::Value("true"),
        "true",
        "Whether le and quantile are spelled as Prometheus 3 stores them (1 becomes 1.0).",
    ),
    setting(
        Group::Scrape,
        "HONOR_LABELS",
        Kind::Boolean,
        Default::Value("false"),
        "false",
        "Whether a label of the body wins over job and instance; otherwise it becomes exported_job or exported_instance.",
    ),
    setting(
        Group::Scrape,
        "HONOR_TIMESTAMPS",
        Kind::Boolean,
        Default::Value("true"),
        "true",
        "Whether timestamps of the body are kept.",
    ),
    setting(
        Group::Scrape,
        "TRACK_TIMESTAMPS_STALENESS",
        Kind::Boolean,
        Default::Value("false"),
        "true",
        "Whether series whose samples have timestamps in the body get a staleness marker when they vanish.",
    ),
    setting(Group::Labels, "JOB", text(LABEL), Default::Value("docker"), "docker", "The label job."),
    setting(
        Group::Labels,
        "INSTANCE",
        text(LABEL),
        Default::Value("{{hostname}}"),
        "{{hostname}}",
        "The label instance; our own series have the same.",
    ),
    setting(
        Group::Labels,
        "EXTERNAL_LABELS",
        Kind::Map,
        Default::Unset,
        "cluster=prod,host={{hostname}}",
        "Labels added to every series that has no such label of its own; with the placeholders of JOB and INSTANCE.",
    ),
    setting(
        Group::Metrics,
        "METRICS_PRESET",
        Kind::Choice(&["all", "engine", "minimal"]),
        Default::Value("all"),
        "engine",
        "engine leaves out swarm_*, etcd_* and grpc_* unless the node is a swarm manager; minimal keeps engine_*, logger_* and process_*, and \
         histogram buckets only of container actions.",
    ),
    setting(
        Group::Metrics,
        "METRICS_KEEP",
        text(NAMES),
        Default::Unset,
        "engine_.*|process_.*",
        "Only metrics whose name matches are taken, of those that the preset leaves.",
    ),
    setting(
        Group::Metrics,
        "METRICS_DROP",
        text(NAMES),
        Default::Unset,
        "go_.*|promhttp_.*",
        "Metrics whose name matches are left out.",
    ),
    setting(
        Group::Metrics,
        "METRIC_RELABEL_CONFIGS",
        text(
            "a YAML or JSON list in the schema of Prometheus's metric_relabel_configs, or file:///path of one",
        ),
        Default::Unset,
        "[{action: labeldrop, regex: commit}]",
        "Rules that rewrite or drop series after the scrape. A file is read again when it changes; while it is wrong, the rules before \
         stay in force.",
    ),
    setting(
        Group::Process,
        "SHUTDOWN_DRAIN_TIMEOUT",
        duration_or_off(Duration::from_millis(1), HOUR),
        Default::Value("5s"),
        "5s",
        "How long SIGTERM waits for endpoints that were answering; the rest stays in the queue.",
    ),
    setting(
        Group::Process,
        "STALE_MARKERS_ON_STOP",
        Kind::Boolean,
        Default::Value("true"),
        "true",
        "Whether every series ends at once when the engine stops; otherwise it fades after the receiver's lookback.",
    ),
    setting(
        Group::Process,
        "SELF_METRICS",
        Kind::Boolean,
        Default::Value("true"),
        "true",
        "Whether our own counters are pushed too, as job=\"docker-remote-write\".",
    ),
    setting(
        Group::Process,
        "CONFIG_RELOAD_INTERVAL",
        duration_or_off(SECOND, YEAR),
        Default::Value("30s"),
        "30s",
        "How often files of secrets, certificates and rules are looked at for a change; 0 is never.",
    ),
    setting(
        Group::Process,
        "TELEMETRY_ADDRESS",
        text("off, unix:/path/of.sock, or a loopback address with a port"),
        Default::Told("telemetry.sock beside the API socket in the plugin; off in run"),
        "unix:/run/docker/plugins/telemetry.sock",
        "Where /metrics, /status, /-/healthy and /-/ready are served; a unix socket answers root and our own uid alone.",
    ),
    setting(
        Group::Process,
        "SANDBOX",
        Kind::Boolean,
        Default::Value("on"),
        "on",
        "Whether all capabilities are dropped and, where the kernel has Landlock, every file and port refused that the other settings do not \
         ask for.",
    ),
    setting(
        Group::Process,
        "LOG_LEVEL",
        Kind::Choice(&["debug", "info", "warn", "error"]),
        Default::Value("info"),
        "info",
        "The least important lines that are logged.",
    ),
    setting(
        Group::Process,
        "LOG_FORMAT",
        Kind::Choice(&["logfmt", "json"]),
        Default::Value("logfmt"),
        "logfmt",
        "The form of a line.",
    ),
];
