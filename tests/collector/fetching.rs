//! One GET of one target: what is asked, which answers are a body, and the limits that hold while it is read.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use docker_remote_write::model::now_ms;
use docker_remote_write::scrape::{Address, Config, Escaping, Format, Protocol, ScrapeError, TargetClient};
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinHandle;

use super::{Bench, Then, ok, serve, ups};

const BODY: &str = "a 1\nb 2\n";

/// What `collector` scrapes with, and a directory for its socket.
fn config() -> (tempfile::TempDir, Config) {
    let bench = Bench::new();
    let mut config = bench.config().scrape;
    config.timeout = Duration::from_secs(10);
    (bench.dir, config)
}

async fn fetch(config: &Config) -> Result<String, ScrapeError> {
    fetch_format(config).await.map(|(_, body)| body)
}

async fn fetch_format(config: &Config) -> Result<(Format, String), ScrapeError> {
    let mut body = b"what was there before".to_vec();
    let format = TargetClient::new(config)?.fetch(&mut body).await?;
    Ok((format, String::from_utf8(body).unwrap()))
}

fn socket(config: &Config) -> &Path {
    match &config.address {
        Address::Unix { socket, .. } => socket,
        Address::Http(url) => panic!("{url} is no socket"),
    }
}

/// Fetches what answers with these bytes.
async fn fetch_answer(config: &Config, answer: Vec<u8>) -> Result<String, ScrapeError> {
    fetch_format_of(config, answer).await.map(|(_, body)| body)
}

async fn fetch_format_of(config: &Config, answer: Vec<u8>) -> Result<(Format, String), ScrapeError> {
    let target = serve(socket(config), answer, Then::Close);
    let fetched = fetch_format(config).await;
    target.abort();
    std::fs::remove_file(socket(config)).unwrap();
    fetched
}

fn answer(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{headers}Connection: close\r\nContent-Length: {length}\r\n\r\n{body}")
        .into_bytes()
}

fn typed(content_type: &str) -> Vec<u8> {
    answer("200 OK", &format!("Content-Type: {content_type}\r\n"), BODY)
}

/// Answers one request, and returns its head in small letters.
async fn head_of(mut stream: impl AsyncReadExt + AsyncWriteExt + Unpin, answer: Vec<u8>) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    stream.write_all(&answer).await.unwrap();
    String::from_utf8(head).unwrap().to_ascii_lowercase()
}

#[tokio::test]
async fn rw_4_08_a_get_asks_for_the_protocols_and_names_us_and_the_timeout() {
    let (_dir, mut config) = config();
    config.protocols = vec![Protocol::PrometheusText0, Protocol::OpenMetricsText1];
    config.escaping = Escaping::Underscores;
    config.timeout = Duration::from_millis(2_500);
    let listener = UnixListener::bind(socket(&config)).unwrap();
    let unix: JoinHandle<String> =
        tokio::spawn(async move { head_of(listener.accept().await.unwrap().0, ok(BODY)).await });
    assert_eq!(fetch(&config).await.unwrap(), BODY);

    // As `App` does: the http client is built with TLS whatever the URL.
    docker_remote_write::remote::install_crypto_provider();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    config.address = Address::Http(format!("http://{address}/metrics").parse().unwrap());
    let http: JoinHandle<String> =
        tokio::spawn(async move { head_of(listener.accept().await.unwrap().0, ok(BODY)).await });
    assert_eq!(fetch(&config).await.unwrap(), BODY);

    for (head, encoding) in [(unix.await.unwrap(), None), (http.await.unwrap(), Some("gzip"))] {
        assert!(head.starts_with("get /metrics http/1.1\r\n"), "{head}");
        let line = |name: &str| {
            let mut lines = head.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            let value = lines.next();
            assert_eq!(lines.next(), None, "{name} stands once: {head}");
            value
        };
        let accept = "text/plain;version=0.0.4;q=0.6,application/openmetrics-text;version=1.0.0;escaping=underscores;q=0.5,*/*;q=0.4";
        assert_eq!(line("accept"), Some(accept));
        assert!(line("user-agent").unwrap().starts_with("docker-remote-write/"), "{head}");
        assert_eq!(line("x-prometheus-scrape-timeout-seconds"), Some("2.5"));
        assert_eq!(line("accept-encoding"), encoding, "a socket carries text cheaper than dockerd packs it");
        assert!(line("host").is_some());
    }
}

#[tokio::test]
async fn rw_4_09_any_status_but_200_is_a_failure_whatever_the_body() {
    let (_dir, config) = config();
    let text = "Content-Type: text/plain\r\n";
    for status in [201, 202, 203, 206, 301, 302, 400, 401, 404, 418, 429, 500, 503, 599] {
        let error =
            fetch_answer(&config, answer(&format!("{status} Whatever"), text, BODY)).await.unwrap_err();
        assert!(
            matches!(error, ScrapeError::Status { status: said, .. } if said == status),
            "{status}: {error}"
        );
    }
    assert_eq!(fetch_answer(&config, answer("200 Whatever", text, BODY)).await.unwrap(), BODY);
}

#[tokio::test]
async fn rw_4_09_a_redirect_is_followed_over_http() {
    docker_remote_write::remote::install_crypto_provider();
    let (_dir, mut config) = config();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    config.address =
        Address::Http(format!("http://{}/metrics", listener.local_addr().unwrap()).parse().unwrap());
    let target = tokio::spawn(async move {
        let moved = answer("302 Found", "Location: /moved\r\n", "a 0\n");
        let first = head_of(listener.accept().await.unwrap().0, moved).await;
        let second = head_of(listener.accept().await.unwrap().0, ok(BODY)).await;
        [first, second]
    });
    assert_eq!(fetch(&config).await.unwrap(), BODY);
    let [first, second] = target.await.unwrap();
    assert!(first.starts_with("get /metrics ") && second.starts_with("get /moved "), "{first}{second}");
}

#[tokio::test]
async fn rw_4_10_a_missing_unparsable_or_unknown_content_type_needs_the_fallback() {
    let (_dir, mut config) = config();
    let none = answer("200 OK", "", BODY);
    let empty = typed("");
    let mut doubtful = vec![("none", none), ("empty", empty)];
    let types = [
        "text/html",
        "application/json",
        "text",
        "text/",
        "/plain",
        "text/plain/x",
        "text /plain",
        "; version=0.0.4",
        "text/plain, text/plain",
        "nonsense",
        // Prometheus reads the whole header, though it uses the media type alone.
        "text/plain; version",
        "text/plain; =0.0.4",
        "text/plain; version=",
        "text/plain; version=0.0.4 charset=utf-8",
        "text/plain; version=0.0.4, text/html",
        "text/plain;; version=0.0.4",
        "text/plain; charset=\"utf-8",
        "text/plain; version=0.0.4; version=1.0.0",
        "application/openmetrics-text; version",
    ];
    doubtful.extend(types.map(|text| (text, typed(text))));
    for (name, answer) in doubtful {
        for fallback in Protocol::ALL {
            config.fallback_protocol = Some(fallback);
            let fetched = fetch_format_of(&config, answer.clone()).await.unwrap();
            assert_eq!(fetched, (fallback.format(), BODY.to_owned()), "{name}");
        }
        config.fallback_protocol = None;
        let error = fetch_answer(&config, answer).await.unwrap_err();
        assert!(matches!(error, ScrapeError::ContentType { .. }), "{name}: {error}");
        assert!(error.to_string().contains("SCRAPE_FALLBACK_PROTOCOL"), "{error}");
    }
}

#[tokio::test]
async fn rw_4_10_a_known_format_is_read_as_what_it_says_whatever_was_asked_for() {
    let (_dir, mut config) = config();
    for fallback in [None, Some(Protocol::PrometheusText0)] {
        config.fallback_protocol = fallback;
        for (content_type, format) in [
            ("application/openmetrics-text; version=1.0.0; charset=utf-8", Format::OpenMetrics),
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
                Format::Protobuf,
            ),
            ("text/plain", Format::Text),
        ] {
            let fetched = fetch_format_of(&config, typed(content_type)).await.unwrap();
            assert_eq!(fetched, (format, BODY.to_owned()), "{content_type}");
        }
    }
}

#[tokio::test]
async fn rw_4_11_text_plain_is_read_whatever_its_version_says() {
    let (_dir, mut config) = config();
    config.fallback_protocol = None;
    for content_type in [
        "text/plain",
        "text/plain;version=0.0.4",
        "text/plain; version=1.0.0; escaping=allow-utf-8",
        "text/plain; version=7",
        "Text/Plain; Charset=\"utf-8\"",
        " text/plain ; version=0.0.4 ;",
        "text/plain;",
        "text/plain; version=\"a;b \\\" c\"; empty=\"\"",
        "text/plain; version=0.0.4; Version=0.0.4",
    ] {
        assert_eq!(fetch_answer(&config, typed(content_type)).await.unwrap(), BODY, "{content_type}");
    }
}

#[tokio::test]
async fn rw_4_12_a_body_fails_when_it_reaches_the_limit_and_0_is_off() {
    let (_dir, mut config) = config();
    let body = "#".repeat(100_000);
    let cases = [
        (Some(100_001), true),
        (Some(100_000), false),
        (Some(99_999), false),
        (Some(1), false),
        (None, true),
    ];
    for (limit, fits) in cases {
        config.body_size_limit = limit;
        match fetch_answer(&config, ok(&body)).await {
            Ok(fetched) => assert!(fits && fetched == body, "{limit:?}"),
            Err(error) => {
                assert!(matches!(error, ScrapeError::BodySize { .. }) && !fits, "{limit:?}: {error}");
                assert!(error.to_string().contains("SCRAPE_BODY_SIZE_LIMIT"), "{error}");
            }
        }
    }
}

#[tokio::test]
async fn rw_4_12_a_packed_body_that_nobody_asked_for_is_refused_so_the_limit_counts_what_is_read() {
    let (_dir, config) = config();
    for coding in ["gzip", "deflate", "br", "x-gzip"] {
        let headers = format!("Content-Type: text/plain\r\nContent-Encoding: {coding}\r\n");
        let error = fetch_answer(&config, answer("200 OK", &headers, BODY)).await.unwrap_err().to_string();
        assert!(error.contains(coding) && error.contains("was not asked for"), "{error}");
    }
    let headers = "Content-Type: text/plain\r\nContent-Encoding: identity\r\n";
    assert_eq!(fetch_answer(&config, answer("200 OK", headers, BODY)).await.unwrap(), BODY);
}

/// What an http target answers, packed.
async fn fetch_packed(config: &Config, coding: &str, body: Vec<u8>) -> Result<String, ScrapeError> {
    docker_remote_write::remote::install_crypto_provider();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address =
        Address::Http(format!("http://{}/metrics", listener.local_addr().unwrap()).parse().unwrap());
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Encoding: {coding}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let answer = [head.into_bytes(), body].concat();
    let target = tokio::spawn(async move { head_of(listener.accept().await.unwrap().0, answer).await });
    let fetched = fetch(&Config { address, ..config.clone() }).await;
    target.abort();
    fetched
}

fn packed(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn rw_4_12_an_http_target_may_pack_its_body_and_the_limit_counts_what_it_unpacks_to() {
    let (_dir, mut config) = config();
    assert_eq!(fetch_packed(&config, "gzip", packed(BODY.as_bytes())).await.unwrap(), BODY);
    let text = "#".repeat(100_000);
    for (limit, fits) in [(Some(100_001), true), (Some(100_000), false), (Some(1_000), false), (None, true)] {
        config.body_size_limit = limit;
        match fetch_packed(&config, "gzip", packed(text.as_bytes())).await {
            Ok(body) => assert!(fits && body == text, "{limit:?}"),
            Err(error) => {
                assert!(matches!(error, ScrapeError::BodySize { .. }) && !fits, "{limit:?}: {error}")
            }
        }
    }
    let mut cut = packed(BODY.as_bytes());
    cut.pop();
    let error = fetch_packed(&config, "gzip", cut).await.unwrap_err().to_string();
    assert!(error.contains("unpack gzip"), "{error}");
    let error = fetch_packed(&config, "br", packed(BODY.as_bytes())).await.unwrap_err().to_string();
    assert!(error.contains("was not asked for"), "{error}");
}

#[tokio::test]
async fn rw_4_01_samples_carry_the_time_when_the_scrape_began_not_when_it_was_answered() {
    let mut bench = Bench::new();
    let listener = UnixListener::bind(bench.socket()).unwrap();
    let target = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let asked_at = now_ms();
        tokio::time::sleep(Duration::from_millis(300)).await;
        head_of(stream, ok(BODY)).await;
        asked_at
    });
    let mut config = bench.config();
    // Much longer than the answer takes.
    let long = Duration::from_secs(2);
    (config.scrape.interval, config.scrape.timeout) = (long, long);
    bench.collect(&config);
    bench.control.start();
    let samples = bench.until("a good scrape", |seen| ups(seen, 1.0) > 0).await;
    let asked_at = target.await.unwrap();
    let of_scrape = samples.iter().filter(|sample| sample.timestamp == samples[0].timestamp);
    assert_eq!(of_scrape.count(), 7, "a, b and the five of the scrape: {samples:?}");
    assert!(samples[0].timestamp <= asked_at, "{} after {asked_at}", samples[0].timestamp);
    bench.end().await;
}
