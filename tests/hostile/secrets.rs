//! Every secret is a marker; the markers go to the endpoint that they are for, and nowhere else.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex};

use docker_remote_write::config::{Config, Mode};
use rcgen::ExtendedKeyUsagePurpose;

use super::until;
use crate::support::certificates::{Authority, Identity};
use crate::support::program::{Program, World, with};

/// Each begins so, and no two are the same.
const MARK: &str = "HUNTER";

/// An endpoint that gives back everything it was sent, in all the places where an answer has room, before it behaves.
struct Mirror {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Mirror {
    fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let all = Arc::clone(&all);
                std::thread::spawn(move || reflect(stream, &all));
            }
        });
        Self { address, seen }
    }
}

/// What becomes of an endpoint's requests: two failures that pass, then one of those that hold it or drop the request. By the path, so
/// that each endpoint meets failures of all kinds.
fn status(path: &str, number: usize) -> u16 {
    match (number, path.as_bytes().get(1)) {
        (0, _) => 500,
        (1, _) => 429,
        (_, Some(b'a' | b'f')) => 302,
        (_, Some(b'b')) => 401,
        (_, Some(b'c')) => 403,
        _ => 400,
    }
}

fn reflect(mut stream: TcpStream, seen: &Mutex<Vec<String>>) {
    let (mut all, mut piece) = (Vec::new(), [0; 64 << 10]);
    while let Ok(more @ 1..) = stream.read(&mut piece) {
        all.extend_from_slice(&piece[..more]);
        let Some(end) = all.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&all[..end]).into_owned();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        if all.len() < end + 4 + length.unwrap_or(0) {
            continue;
        }
        all.clear();
        let path = head.split([' ', '?']).nth(1).unwrap_or_default().to_owned();
        let number = {
            let mut seen = seen.lock().unwrap();
            seen.push(head.clone());
            seen.iter().filter(|head| head.split([' ', '?']).nth(1) == Some(&path)).count() - 1
        };
        // As a server repeats what it has decoded.
        let text = format!("{}\n{head}", head.replace("%2B", "+"));
        let answer = if path == "/metrics" && number % 2 == 1 {
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\na 1\n".to_owned()
        } else {
            let secret = head.lines().filter(|line| line.contains(MARK)).collect::<Vec<_>>().join("/");
            let word = |c: &char| c.is_ascii_alphanumeric() || "/_%".contains(*c);
            let secret: String = secret.chars().filter(word).collect();
            let status = status(&path, number);
            format!(
                "HTTP/1.1 {status} {secret}\r\nLocation: http://elsewhere/{secret}?{secret}\r\nRetry-After: 0\r\n\
                 X-Echo: {secret}\r\nContent-Length: {}\r\n\r\n{text}",
                text.len()
            )
        };
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// Every file below a directory.
fn files(dir: &Path, all: &mut String) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => files(&entry.path(), all),
            _ => all.push_str(&String::from_utf8_lossy(&std::fs::read(entry.path()).unwrap_or_default())),
        }
    }
}

/// One of the program's own pages.
fn page(socket: &Path, path: &str) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: us\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn assert_clean(place: &str, text: &str) {
    let at = text.find(MARK);
    assert!(at.is_none(), "{place}: {}", &text[at.unwrap().saturating_sub(200)..]);
}

fn settings(world: &World, mirror: &Mirror, key: &Identity) -> BTreeMap<&'static str, String> {
    let token = world.path("token");
    std::fs::write(&token, "HUNTERfileTOKEN\n").unwrap();
    let at = mirror.address;
    let blocks = format!(
        "- {{url: 'http://{at}/b?k=HUNTERblockQUERY', name: basic, basic_auth: {{username: u, password: HUNTERblockPASSWORD}}}}\n\
         - {{url: 'http://{at}/c', name: bearer, authorization: {{credentials: HUNTERblockTOKEN}}}}\n\
         - {{url: 'http://{at}/d', name: header, headers: {{X-Api-Key: HUNTERblockHEADER}}}}\n\
         - {{url: 'http://{at}/e', name: file, authorization: {{credentials_file: '{}'}}}}\n\
         - {{url: 'http://HUNTERuser:HUNTERuserinfo@{at}/f', name: userinfo}}\n\
         - {{url: 'https://{at}/g', name: key, tls_config: {{cert: {:?}, key: {:?}}}}}\n",
        token.display(),
        key.certificate,
        key.key,
    );
    let mut settings = world.settings();
    settings.extend([
        ("REMOTE_WRITE_URL", format!("http://{at}/a?token=HUNTERurl%2BQUERY")),
        ("REMOTE_WRITE_BEARER_TOKEN", "HUNTERflatTOKEN".to_owned()),
        ("REMOTE_WRITE_HEADERS", "X-Api-Key=HUNTERflatHEADER".to_owned()),
        ("REMOTE_WRITE_CONFIG", blocks),
        ("REMOTE_WRITE_BEARER_TOKN", "HUNTERmisspelt".to_owned()),
        ("REMOTE_WRITE_MAX_BACKOFF", "500ms".to_owned()),
        ("SCRAPE_URL", format!("http://{at}/metrics?token=HUNTERscrapeQUERY")),
        ("LOG_LEVEL", "debug".to_owned()),
    ]);
    settings
}

#[tokio::test]
async fn every_secret_reaches_its_endpoint_and_no_output() {
    let world = World::new().await;
    let mirror = Mirror::listen();
    let key = Authority::new().sign("us", ExtendedKeyUsagePurpose::ClientAuth);
    let mut settings = settings(&world, &mirror, &key);
    // One more endpoint that stores, so that what is pushed can be looked at.
    let stored = format!("- {{url: 'http://{}/api/v1/write', name: stored}}\n", world.address);
    settings.entry("REMOTE_WRITE_CONFIG").and_modify(|blocks| blocks.push_str(&stored));
    let wanted = [
        "HUNTERurl%2BQUERY",
        "HUNTERscrapeQUERY",
        "Bearer HUNTERflatTOKEN",
        "HUNTERflatHEADER",
        "HUNTERblockQUERY",
        "Bearer HUNTERblockTOKEN",
        "HUNTERblockHEADER",
        "Bearer HUNTERfileTOKEN",
        // base64 of u:HUNTERblockPASSWORD and of HUNTERuser:HUNTERuserinfo
        "dTpIVU5URVJibG9ja1BBU1NXT1JE",
        "SFVOVEVSdXNlcjpIVU5URVJ1c2VyaW5mbw",
    ];
    let telemetry = world.path("telemetry.sock");
    settings.insert("TELEMETRY_ADDRESS", format!("unix:{}", telemetry.display()));
    let program = Program::start(&["run"], &settings);
    until("each endpoint has met two failures that pass and one that does not", || {
        let seen = mirror.seen.lock().unwrap();
        let asked = |path: &str| seen.iter().filter(|head| head.contains(&format!("POST {path}"))).count();
        ["/a", "/b", "/c", "/d", "/e", "/f"].iter().all(|path| asked(path) >= 3)
    })
    .await;
    let sent = mirror.seen.lock().unwrap().join("\n");
    for secret in wanted {
        assert!(sent.contains(secret), "{secret} has not reached its endpoint: {sent}");
    }
    world.until_ups(3).await;
    let (metrics, page) = (page(&telemetry, "/metrics"), page(&telemetry, "/status"));
    assert!(metrics.contains("docker_remote_write_") && page.contains("userinfo"), "{metrics} {page}");
    let (status, said, _) = program.terminated().await;
    assert!(status.success(), "{said}");
    let pushed = world
        .receiver
        .read(|state| state.store.iter().map(|(labels, _)| labels.to_string()).collect::<String>());
    let mut kept = String::new();
    files(&world.path("queue"), &mut kept);
    assert!(!kept.is_empty() && pushed.contains("docker_remote_write_"), "there is something to look at");
    let owned: BTreeMap<String, String> =
        settings.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let debug = format!("{:?}", Config::from_env(Mode::Run, &owned).unwrap());
    let (_, table) = Program::start(&["settings"], &settings).ended().await;
    let key = key.key.lines().nth(1).unwrap();
    // Whatever else shows something of the process belongs here.
    for (place, text) in [
        ("stdout and stderr", &said),
        ("series", &pushed),
        ("queue files", &kept),
        ("Debug", &debug),
        ("settings", &table),
        ("/metrics", &metrics),
        ("/status", &page),
    ] {
        assert_clean(place, text);
        for encoded in [key, "dTpIVU5URVJibG9ja1", "SFVOVEVSdXNlcjpIVU"] {
            assert!(!text.contains(encoded), "{place}: {text}");
        }
    }
    assert!(said.contains("[redacted]"), "the endpoint's words are shown, without the secrets: {said}");
}

#[tokio::test]
async fn a_setting_that_is_wrong_does_not_show_the_secret_in_it() {
    let world = World::new().await;
    for (name, value) in [
        ("REMOTE_WRITE_URL", "http://HUNTER:HUNTER@host:HUNTER/"),
        ("REMOTE_WRITE_URL", "HUNTER://HUNTER"),
        ("REMOTE_WRITE_BEARER_TOKEN", "HUNTER with blanks \u{e9}"),
        ("REMOTE_WRITE_HEADERS", "X-Key=HUNTER,HUNTER"),
        ("REMOTE_WRITE_HEADERS", "Authorization=HUNTER"),
        ("REMOTE_WRITE_BASIC_AUTH_PASSWORD", "HUNTER\n"),
        ("REMOTE_WRITE_TLS_KEY", "-----BEGIN PRIVATE KEY-----\nHUNTER\n-----END PRIVATE KEY-----"),
        ("REMOTE_WRITE_CONFIG", "- url: http://h/\n  basic_auth: {password: HUNTER, password: [HUNTER\n"),
        ("REMOTE_WRITE_CONFIG", "- url: http://h/\n  basic_auth: HUNTER\n"),
        ("REMOTE_WRITE_CONFIG", "- url: http://h/\n  authorization: {credentials: {HUNTER: HUNTER}}\n"),
        ("REMOTE_WRITE_CONFIG", "HUNTER: [HUNTER"),
        ("SCRAPE_URL", "http://HUNTER:HUNTER@127.0.0.1:1/"),
    ] {
        let settings = with(world.settings(), &[(name, value)]);
        let (status, said) = Program::start(&["run"], &settings).ended().await;
        assert_eq!(status.code(), Some(78), "{name}={value}: {said}");
        assert!(said.contains(name), "{said}");
        assert_clean(name, &said);
    }
    let (mut program, mut dockerd) =
        world.plugin(&[("REMOTE_WRITE_URL", "http://HUNTER:HUNTER@host:HUNTER/")]).await;
    program.says("nothing is scraped or sent").await;
    assert_clean("StartMetrics", &dockerd.start_metrics().await.unwrap().body);
    assert_clean("plugin", &program.terminated().await.1);
}
