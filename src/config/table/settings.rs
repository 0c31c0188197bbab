use std::time::Duration;

use super::{Default, Group, Kind, Limits, Setting};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
const MIB: u64 = 1 << 20;
const TIB: u64 = 1 << 40;

const fn text(allowed: &'static str) -> Kind {
    Kind::Text(allowed)
}

const fn duration(min: Duration, max: Duration) -> Kind {
    Kind::Duration(Limits { zero: false, min, max })
}

const fn duration_or_off(min: Duration, max: Duration) -> Kind {
    Kind::Duration(Limits { zero: true, min, max })
}

const fn size(min: u64, max: u64) -> Kind {
    Kind::Size(Limits { zero: false, min, max })
}

const fn setting(
    group: Group,
    name: &'static str,
    kind: Kind,
    default: Default,
    example: &'static str,
    doc: &'static str,
) -> Setting {
    Setting { name, group, kind, default, secret: false, example, doc }
}

const fn secret(
    group: Group,
    name: &'static str,
    kind: Kind,
    default: Default,
    example: &'static str,
    doc: &'static str,
) -> Setting {
    Setting { name, group, kind, default, secret: true, example, doc }
}

/// Every setting, in the order of the table and of the manifests.
pub const SETTINGS: &[Setting] = &[
    secret(
        Group::Endpoint,
        "REMOTE_WRITE_URL",
        text("an http:// or https:// URL"),
        Default::Told("required"),
        "https://mimir.example/api/v1/push",
        "Where samples are pushed, used exactly as given. User info moves to basic auth and is never printed.",
    ),
    setting(
        Group::Endpoint,
        "REMOTE_WRITE_NAME",
        text("1 to 64 of A-Z a-z 0-9 _ . -"),
        Default::Value("default"),
        "mimir",
        "The endpoint's name in logs, metrics and on disk: the backlog belongs to the name, so the URL can be mended.",
    ),
    secret(
        Group::Endpoint,
        "REMOTE_WRITE_CONFIG",
        text("a YAML or JSON list of blocks as under remote_write in prometheus.yml"),
        Default::Unset,
        "[{url: https://second.example/api/v1/write, name: second}]",
        "Further endpoints, or all of them: blocks with url, name, headers, basic_auth, authorization, tls_config and the like. Each has its own backlog.",
    ),
    setting(
        Group::Endpoint,
        "REMOTE_WRITE_PROTOBUF_MESSAGE",
        Kind::Choice(&["auto", "prometheus.WriteRequest", "1.0"]),
        Default::Value("auto"),
        "auto",
        "The message that is sent. auto means prometheus.WriteRequest (1.0) until 2.0 is built.",
    ),
    secret(
        Group::Endpoint,
        "REMOTE_WRITE_HEADERS",
        Kind::Map,
        Default::Unset,
        "X-Team=infra,X-Site=north",
        "Extra headers of every request; those that the protocol itself sets are refused. Values are never printed.",
    ),
    setting(
        Group::Endpoint,
        "REMOTE_WRITE_TENANT_ID",
        text("1 to 150 of A-Z a-z 0-9 ! - _ . * ' ( ), neither . nor .."),
        Default::Unset,
        "infra",
        "The tenant of Mimir or Cortex: a short way to write the header X-Scope-OrgID.",
    ),
    setting(
        Group::Authentication,
        "REMOTE_WRITE_BASIC_AUTH_USERNAME",
        text("text without a colon or control characters"),
        Default::Unset,
        "docker",
        "Basic auth: the user's name. At most one of basic auth and bearer token.",
    ),
    secret(
        Group::Authentication,
        "REMOTE_WRITE_BASIC_AUTH_PASSWORD",
        text("text without control characters"),
        Default::Unset,
        "correct-horse",
        "Basic auth: the password; never printed.",
    ),
    setting(
        Group::Authentication,
        "REMOTE_WRITE_BASIC_AUTH_PASSWORD_FILE",
        Kind::Path,
        Default::Unset,
        "/data/etc/password",
        "A file that holds the password; read again when it changes.",
    ),
    secret(
        Group::Authentication,
        "REMOTE_WRITE_BEARER_TOKEN",
        text("the bare token, visible ASCII characters only"),
        Default::Unset,
        "eyJhbGciOi",
        "Sent as Authorization: Bearer; never printed.",
    ),
    setting(
        Group::Authentication,
        "REMOTE_WRITE_BEARER_TOKEN_FILE",
        Kind::Path,
        Default::Unset,
        "/data/etc/token",
        "A file that holds the token; read again when it changes.",
    ),
    setting(
        Group::Tls,
        "REMOTE_WRITE_TLS_CA_FILE",
        Kind::Path,
        Default::Unset,
        "/data/etc/ca.pem",
        "Certificates of further authorities, added to the bundled roots; read again when the file changes.",
    ),
    setting(
        Group::Tls,
        "REMOTE_WRITE_TLS_CERT_FILE",
        Kind::Path,
        Default::Unset,
        "/data/etc/client.pem",
        "Our own certificate; goes together with the key.",
    ),
    setting(
        Group::Tls,
        "REMOTE_WRITE_TLS_KEY_FILE",
        Kind::Path,
        Default::Unset,
        "/data/etc/client.key",
        "The key of our own certificate.",
    ),
    secret(
        Group::Tls,
        "REMOTE_WRITE_TLS_CA",
        Kind::Pem,
        Default::Unset,
        "\"$(cat ca.pem)\"",
        "As REMOTE_WRITE_TLS_CA_FILE, with the text in the setting itself.",
    ),
    secret(
        Group::Tls,
        "REMOTE_WRITE_TLS_CERT",
        Kind::Pem,
        Default::Unset,
        "\"$(cat client.pem)\"",
        "As REMOTE_WRITE_TLS_CERT_FILE, with the text in the setting itself.",
    ),
    secret(
        Group::Tls,
        "REMOTE_WRITE_TLS_KEY",
        Kind::Pem,
        Default::Unset,
        "\"$(cat client.key)\"",
        "As REMOTE_WRITE_TLS_KEY_FILE, with the text in the setting itself; never printed.",
    ),
    setting(
        Group::Tls,
        "REMOTE_WRITE_TLS_INSECURE_SKIP_VERIFY",
        Kind::Boolean,
        Default::Value("false"),
        "false",
        "Takes any certificate of the endpoint, so anybody on the way can read and forge what is sent.",
    ),
    setting(
        Group::Tls,
        "REMOTE_WRITE_TLS_MIN_VERSION",
        Kind::Choice(&["TLS12", "TLS13"]),
        Default::Value("TLS12"),
        "TLS13",
        "The oldest version of TLS that is spoken.",
    ),
    setting(
        Group::Sending,
        "REMOTE_WRITE_TIMEOUT",
        duration(Duration::from_millis(100), HOUR),
        Default::Value("30s"),
        "30s",
        "For one request, from connecting to the end of the answer.",
    ),
    setting(
        Group::Sending,
        "REMOTE_WRITE_MAX_SAMPLES_PER_SEND",
        Kind::Count(Limits { zero: false, min: 1, max: 1_000_000 }),
        Default::Value("2000"),
        "2000",
        "The most samples in one request.",
    ),
    setting(
        Group::Sending,
        "REMOTE_WRITE_MAX_BYTES_PER_SEND",
        size(1024, 128 * MIB),
        Default::Value("3MiB"),
        "3MiB",
        "The most bytes in one request, before compression.",
    ),
    setting(
        Group::Sending,
        "REMOTE_WRITE_MIN_BACKOFF",
        duration(Duration::from_millis(1), HOUR),
        Default::Value("500ms"),
        "500ms",
        "The wait after the first failure; it doubles with each further one. Retry-After of the endpoint wins.",
    ),
    setting(
        Group::Sending,
        "REMOTE_WRITE_MAX_BACKOFF",
        duration(Duration::from_millis(1), HOUR),
        Default::Value("5s"),
        "5s",
        "The longest wait between two attempts; not less than REMOTE_WRITE_MIN_BACKOFF.",
    ),
    setting(
        Group::Sending,
        "REMOTE_WRITE_RETRY_ON_HTTP_429",
        Kind::Boolean,
        Default::Value("true"),
        "true",
        "Whether the answer 429 (too many requests) is retried; otherwise it is final.",
    ),
    setting(
        Group::Sending,
        "REMOTE_WRITE_HOLD_ON_AUTH_ERROR",
        Kind::Boolean,
        Default::Value("true"),
        "true",
        "Whether 401, 403, 404 and 405 hold the endpoint and keep its samples until it answers well; otherwise they are final.",
    ),
    setting(
        Group::Sending,
        "REMOTE_WRITE_SAMPLE_AGE_LIMIT",
        duration_or_off(SECOND, YEAR),
        Default::Value("0"),
        "2h",
        "Older samples are dropped and counted as expired; 0 keeps them. Set it to what the receiver still takes.",
    ),
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
        "QUEUE_MAX_MEMORY_BYTES",
        size(MIB, 64 << 30),
        Default::Value("16MiB"),
        "16MiB",
        "The most bytes of the memory ring in front of the disk.",
    ),
    setting(
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
        "SCRAPE_FALLBACK_PROTOCOL",
        Kind::Choice(&["PrometheusText0.0.4", "none"]),
        Default::Value("PrometheusText0.0.4"),
        "PrometheusText0.0.4",
        "How a body without a known Content-Type is read; none fails the scrape.",
    ),
    setting(
        Group::Scrape,
        "SCRAPE_BODY_SIZE_LIMIT",
        Kind::Size(Limits { zero: true, min: 1, max: TIB }),
        Default::Value("16MiB"),
        "16MiB",
        "A larger body fails the scrape (up becomes 0); counted uncompressed, 0 is off.",
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
        Group::Labels,
        "JOB",
        text("text; the only placeholder is {{hostname}}"),
        Default::Value("docker"),
        "docker",
        "The label job.",
    ),
    setting(
        Group::Labels,
        "INSTANCE",
        text("text; the only placeholder is {{hostname}}"),
        Default::Value("{{hostname}}"),
        "{{hostname}}",
        "The label instance.",
    ),
    setting(
        Group::Labels,
        "EXTERNAL_LABELS",
        Kind::Map,
        Default::Unset,
        "cluster=prod,host={{hostname}}",
        "Labels added to every series that has no such label of its own.",
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
        "How often files of secrets and certificates are looked at for a change; 0 is never.",
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
