//! Our own pages, as curl and a scraper on the host see them.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use docker_remote_write::receiver::{Answer, Speaks};
use serde_json::Value;

use super::{DEADLINE, World};
use crate::support::refused::Refused;

/// Status line and headers, and the body.
fn get(mut stream: impl Read + Write, path: &str) -> Option<(String, String)> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: plugin\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.to_lowercase(), body.to_owned()))
}

pub(super) fn at(socket: &Path) -> UnixStream {
    let stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

fn status_code(socket: &Path, path: &str) -> String {
    get(at(socket), path).unwrap().0.split(' ').nth(1).unwrap().to_owned()
}

pub(super) fn status(stream: impl Read + Write) -> Value {
    let (head, body) = get(stream, "/status").unwrap();
    assert!(head.contains("content-type: application/json"), "{head}");
    serde_json::from_str(&body).unwrap()
}

#[tokio::test]
async fn the_plugins_pages_lie_beside_its_api_and_tell_how_it_goes() {
    let world = World::new().await;
    let url = format!("http://me:hunter2@{}/api/v1/write", world.address);
    let (mut program, mut dockerd) = world.plugin(&[("REMOTE_WRITE_URL", &url)]).await;
    program.says("queue opened").await;
    let socket = world.path("telemetry.sock");
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o7777, 0o600);
    program.says("sending to this endpoint").await;
    assert_eq!(
        (status_code(&socket, "/-/healthy"), status_code(&socket, "/-/ready")),
        ("200".into(), "503".into())
    );
    assert_eq!(dockerd.start_metrics().await.unwrap().status, 200);
    world.until_ups(2).await;
    assert_eq!(status_code(&socket, "/-/ready"), "200");

    let (head, metrics) = get(at(&socket), "/metrics").unwrap();
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    for series in [
        "docker_remote_write_build_info{",
        "docker_remote_write_scrapes_total{result=\"success\"}",
        "docker_remote_write_samples_delivered_total{endpoint=\"default\"}",
        "process_open_fds ",
    ] {
        assert!(metrics.contains(series), "{series} is missing in {metrics}");
    }

    let page = status(at(&socket));
    assert_eq!(page["version"], env!("CARGO_PKG_VERSION"));
    assert!(page["sandbox"].as_str().unwrap().starts_with("capabilities=none no_new_privs=true"), "{page}");
    assert_eq!(
        (&page["scrape"]["running"], &page["scrape"]["last_error"]),
        (&Value::Bool(true), &Value::Null)
    );
    let endpoint = &page["endpoints"][0];
    assert_eq!((&endpoint["name"], &endpoint["state"]), (&"default".into(), &"up".into()));
    assert_eq!(endpoint["url"], format!("http://{}/api/v1/write", world.address));
    let sum = |names: &[&str]| names.iter().map(|name| endpoint[*name].as_u64().unwrap()).sum::<u64>();
    let left = sum(&["delivered", "rejected", "expired", "overflowed", "pending"]);
    assert_eq!(sum(&["appended", "recovered"]), left, "{endpoint}");
    assert!(sum(&["delivered"]) > 0, "{endpoint}");

    world.receiver.answer(Answer::status(503));
    program.says("cannot deliver").await;
    let page = status(at(&socket));
    assert_eq!(page["endpoints"][0]["state"], "backoff");
    assert!(page["endpoints"][0]["last_error"].as_str().unwrap().contains("503"), "{page}");
    assert!(!page.to_string().contains("hunter"), "{page}");

    let (ended, said, _) = program.terminated().await;
    assert!(ended.success() && !said.contains("hunter"), "{said}");
    assert!(!socket.exists(), "the socket goes with the process");
}

#[tokio::test]
async fn the_page_of_the_status_names_the_message_that_an_endpoint_is_sent() {
    for (speaks, setting, message) in [
        (Speaks::Both, "auto", "io.prometheus.write.v2.Request"),
        (Speaks::V1, "auto", "prometheus.WriteRequest"),
        (Speaks::V1Unaware, "auto", "prometheus.WriteRequest"),
        (Speaks::Both, "1.0", "prometheus.WriteRequest"),
    ] {
        let world = World::new().await;
        world.receiver.speak(speaks);
        let (mut program, mut dockerd) = world.plugin(&[("REMOTE_WRITE_PROTOBUF_MESSAGE", setting)]).await;
        program.says("serving /metrics").await;
        program.says("sending to this endpoint").await;
        let socket = world.path("telemetry.sock");
        assert_eq!(dockerd.start_metrics().await.unwrap().status, 200);
        world.until_ups(1).await;
        program.says("the endpoint takes our samples").await;
        assert_eq!(status(at(&socket))["endpoints"][0]["protocol"], message, "{speaks:?} {setting}");
    }
}

#[tokio::test]
async fn peers_that_crowd_the_pages_keep_nobody_from_dockerd_or_the_scrape() {
    let world = World::new().await;
    let (mut program, mut dockerd) = world.plugin(&[]).await;
    program.says("serving /metrics").await;
    let socket = world.path("telemetry.sock");
    let crowd: Vec<UnixStream> = (0..100)
        .map(|_| {
            let mut stream = at(&socket);
            // One whose head never ends; it may have been closed already for the others' sake.
            let _ = stream.write_all(b"GET /metr");
            stream
        })
        .collect();
    assert_eq!(dockerd.start_metrics().await.unwrap().status, 200);
    world.until_ups(3).await;
    assert_eq!(status_code(&socket, "/-/healthy"), "200");
    drop(crowd);
    world.assert_strict();
}

#[tokio::test]
async fn the_pages_are_for_root_and_our_own_uid_whatever_the_sockets_mode() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let world = World::new().await;
    let (mut program, _dockerd) = world.plugin(&[]).await;
    program.says("serving /metrics").await;
    let socket = world.path("telemetry.sock");
    fs::set_permissions(&socket, Permissions::from_mode(0o666)).unwrap();
    fs::set_permissions(socket.parent().unwrap(), Permissions::from_mode(0o755)).unwrap();
    let as_uid = |uid: u32| {
        let visit = || {
            rustix::thread::set_thread_uid(rustix::process::Uid::from_raw(uid)).unwrap();
            get(at(&socket), "/-/healthy")
        };
        std::thread::scope(|scope| scope.spawn(visit).join().unwrap())
    };
    assert_eq!(as_uid(54_321), None);
    program.says("only root is answered there").await;
    assert!(as_uid(0).is_some());
}

#[tokio::test]
async fn run_serves_no_pages_unless_told_and_then_on_this_host_alone() {
    let world = World::new().await;
    let mut program = world.run(&[]);
    program.says("sending to this endpoint").await;
    assert!(!program.threads().iter().any(|name| name == "telemetry"));
    let (_, said, _) = program.terminated().await;
    assert!(!said.contains("serving /metrics"), "{said}");

    let refused = Refused::new();
    let free = refused.address;
    let url = "http://127.0.0.1:1/write?token=hunter3";
    let mut program = world.run(&[("TELEMETRY_ADDRESS", &free.to_string()), ("REMOTE_WRITE_URL", url)]);
    program.says("serving /metrics").await;
    program.says("cannot deliver").await;
    let page = status(TcpStream::connect(free).unwrap());
    assert_eq!(page["endpoints"][0]["state"], "backoff");
    assert_eq!(page["endpoints"][0]["url"], "http://127.0.0.1:1/write");
    assert!(!page.to_string().contains("hunter"), "a query is a place for tokens: {page}");

    let (ended, said) = world.run(&[("TELEMETRY_ADDRESS", "0.0.0.0:9999")]).ended().await;
    assert_eq!(ended.code(), Some(78));
    assert!(said.contains("TELEMETRY_ADDRESS") && said.contains("loopback"), "{said}");
}

#[tokio::test]
async fn an_address_that_is_taken_costs_the_pages_alone() {
    let world = World::new().await;
    let _taken = std::os::unix::net::UnixListener::bind(world.path("taken.sock")).unwrap();
    let address = format!("unix:{}", world.path("taken.sock").display());
    let mut program = world.run(&[("TELEMETRY_ADDRESS", &address)]);
    program.says("TELEMETRY_ADDRESS is not served").await;
    world.until_ups(1).await;
}
