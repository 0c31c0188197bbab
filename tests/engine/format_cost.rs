//! What a scrape costs the engine's host in each format: the reason for the order of `SCRAPE_PROTOCOLS`. Printed; asserted is only that each format comes.
//!
//! `FORMAT_SCRAPES=500 FORMAT_ROUNDS=6 cargo test --test engine -- --nocapture format_cost` for the table in docs/performance.md.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use crate::support::{Engine, Manifest, PATIENCE, Plugin, eventually, figure};

/// As the plugin asks for them (`scrape::protocol`), and with gzip, which it does not ask a socket for.
const FORMATS: [(&str, &str, bool); 4] = [
    ("text 0.0.4", "text/plain;version=0.0.4", false),
    ("text 0.0.4, gzip", "text/plain;version=0.0.4", true),
    (
        "protobuf",
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
        false,
    ),
    (
        "protobuf, gzip",
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
        true,
    ),
];

/// Enough to see the order; a table wants more.
const SCRAPES: u32 = 50;
const ROUNDS: usize = 3;

#[test]
fn every_format_of_a_real_engine_has_its_price() {
    let engine = Engine::start();
    // dockerd listens on its metrics socket only for a plugin; this one stays out of the way.
    let plugin = Plugin::create(&engine, Manifest::Data);
    plugin.set(&engine, &[("REMOTE_WRITE_URL", "http://127.0.0.1:9/"), ("SCRAPE_INTERVAL", "1h")]);
    plugin.enable(&engine);
    let socket = engine.at("exec/metrics.sock");
    eventually("the metrics socket", PATIENCE, || scrape(&socket, FORMATS[0]));
    let pid = fs::read_to_string(engine.at("docker.pid")).expect("dockerd has written its pid");
    let threads = format!("/proc/{}/task", pid.trim());

    let scrapes = number("FORMAT_SCRAPES").unwrap_or(SCRAPES);
    let rounds = number("FORMAT_ROUNDS").map_or(ROUNDS, |rounds| rounds as usize);
    let mut costs = FORMATS.map(|_| Vec::new());
    let mut bytes = FORMATS.map(|_| 0);
    for _ in 0..rounds {
        for (at, format) in FORMATS.into_iter().enumerate() {
            let before = cpu(&threads);
            for _ in 0..scrapes {
                bytes[at] =
                    scrape(&socket, format).expect("the engine answers in the format that was asked for");
            }
            costs[at].push(cpu(&threads).saturating_sub(before) / scrapes);
        }
    }
    for ((name, ..), (mut costs, bytes)) in FORMATS.into_iter().zip(costs.into_iter().zip(bytes)) {
        costs.sort();
        let [middle, lowest, highest] =
            [costs.len() / 2, 0, costs.len() - 1].map(|at| costs[at].as_secs_f64() * 1e3);
        figure(&format!(
            "dockerd's CPU for a scrape as {name}, {bytes} bytes: {middle:.2} ms ({lowest:.2} to {highest:.2}) in {rounds} rounds of {scrapes}"
        ));
    }
    plugin.disable(&engine);
}

/// One scrape on a connection of its own, as the plugin does it. The body's bytes; `None` where another format or none came.
fn scrape(socket: &Path, (_, accept, gzip): (&str, &str, bool)) -> Option<usize> {
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let coding = if gzip { "Accept-Encoding: gzip\r\n" } else { "" };
    write!(stream, "GET /metrics HTTP/1.0\r\nHost: docker\r\nAccept: {accept}\r\n{coding}\r\n").ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    let (wanted, _) = accept.split_once(';')?;
    let is_packed = head.contains("content-encoding: gzip");
    let is_right = head.starts_with("http/1.0 200") && head.contains(&format!("content-type: {wanted}"));
    (is_right && is_packed == gzip).then_some(answer.len() - end)
}

/// CPU time of all threads that live, by the scheduler's count. dockerd's threads do not end.
fn cpu(threads: &str) -> Duration {
    let threads = fs::read_dir(threads).expect("dockerd runs").flatten();
    let spent = threads.filter_map(|thread| {
        let line = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        line.split_ascii_whitespace().next()?.parse().ok().map(Duration::from_nanos)
    });
    spent.sum()
}

fn number(name: &str) -> Option<u32> {
    std::env::var(name).ok()?.parse().ok()
}
