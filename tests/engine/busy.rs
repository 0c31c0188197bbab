//! StartMetrics is answered from memory: while the disk of the queue is frozen, every endpoint is a black hole, and the main thread parses 15 MiB.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{
    BlackHoles, Engine, FreezableDisk, Manifest, PATIENCE, Plugin, figure, post_like_dockerd,
};

/// Just below SCRAPE_BODY_SIZE_LIMIT's default.
const BODY_BYTES: usize = 15 << 20;

/// Scrapes into which calls fall, and calls for each.
const SCRAPES: usize = 5;
const CALLS: usize = 50;

/// What is promised for each call.
const AT_MOST: Duration = Duration::from_millis(10);

#[test]
fn start_metrics_takes_no_time_while_the_disk_is_frozen_and_15_mib_are_parsed() {
    let black_holes = BlackHoles::open();
    let (url, sent) = serve_large_bodies();
    let engine = Engine::start();
    let plugin = Plugin::create(&engine, Manifest::Data);
    plugin.set(
        &engine,
        &[("REMOTE_WRITE_CONFIG", &black_holes.blocks()), ("SCRAPE_URL", &url), ("SCRAPE_INTERVAL", "1s")],
    );
    let disk = FreezableDisk::mount(&engine.at("queue.img"), &plugin.queue_dir(&engine));
    plugin.enable(&engine);
    plugin.await_queue_growth(&engine, 1);
    disk.freeze();

    let pid = plugin.pid(&engine).expect("the plugin runs");
    let mut machine = Echo::start();
    let (mut calls, mut machine_slowest, mut in_parse) = (Vec::new(), Duration::ZERO, 0);
    while sent.try_recv().is_ok() {}
    for _ in 0..SCRAPES {
        sent.recv_timeout(PATIENCE).expect("the plugin scrapes");
        for _ in 0..CALLS {
            machine_slowest = machine_slowest.max(machine.round_trip());
            let parsing = is_busy(pid);
            let start = Instant::now();
            let answer = post_like_dockerd(&plugin.api_socket(), "MetricsCollector.StartMetrics");
            let took = start.elapsed();
            in_parse += usize::from(parsing && is_busy(pid));
            assert_eq!(answer.expect("the API answers"), (200, "{\"Err\":\"\"}".to_owned()));
            calls.push(took);
        }
    }
    // With the disk still frozen: nothing of the answers above had waited for it.
    disk.thaw();
    plugin.disable(&engine);
    drop(disk);

    calls.sort();
    let (median, slowest) = (calls[calls.len() / 2], calls[calls.len() - 1]);
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    figure(&format!(
        "StartMetrics, frozen disk, black holes, 15 MiB being parsed: median {:.2} ms, p99 {:.2} ms, slowest {:.2} ms of {} calls, {in_parse} of them \
         while the main thread was at it; the machine itself, a byte through a socket and back at the same time: slowest {:.2} ms",
        ms(median),
        ms(calls[calls.len() * 99 / 100]),
        ms(slowest),
        calls.len(),
        ms(machine_slowest)
    ));
    assert!(in_parse >= calls.len() / 4, "only {in_parse} of {} calls fell into a parse", calls.len());
    assert!(
        slowest < AT_MOST + machine_slowest,
        "{slowest:?}, of which the machine is to blame for {machine_slowest:?}"
    );
}

/// Whether the process's main thread runs or wants to: between two scrapes it sleeps.
fn is_busy(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/task/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, fields)| fields.starts_with('R'))
}

/// A thread that sends each byte back: what two threads and a socket take on this machine, whatever the plugin does.
struct Echo(UnixStream);

impl Echo {
    fn start() -> Echo {
        let (near, mut far) = UnixStream::pair().expect("a socket pair");
        thread::spawn(move || {
            let mut byte = [0];
            while far.read_exact(&mut byte).and_then(|()| far.write_all(&byte)).is_ok() {}
        });
        Echo(near)
    }

    fn round_trip(&mut self) -> Duration {
        let start = Instant::now();
        let mut byte = [1];
        self.0.write_all(&byte).and_then(|()| self.0.read_exact(&mut byte)).expect("the echo is there");
        start.elapsed()
    }
}

/// A target on loopback whose series all move from scrape to scrape; tells when a body has been sent. Its thread ends with the test program.
fn serve_large_bodies() -> (String, Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
    let url = format!("http://{}/metrics", listener.local_addr().expect("it is bound"));
    let bodies = [large_body(1), large_body(2)];
    let (tell, sent) = mpsc::channel();
    thread::spawn(move || {
        for (stream, body) in listener.incoming().flatten().zip(bodies.iter().cycle()) {
            let mut lines = BufReader::new(&stream).lines();
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let answered =
                (&stream).write_all(head.as_bytes()).and_then(|()| (&stream).write_all(body.as_bytes()));
            if answered.is_ok() && tell.send(()).is_err() {
                return;
            }
        }
    });
    (url, sent)
}

fn large_body(seed: usize) -> String {
    let mut body = String::with_capacity(BODY_BYTES + 200);
    body += "# TYPE load counter\n";
    for series in 0.. {
        if body.len() >= BODY_BYTES {
            break;
        }
        let value = series * seed;
        let _ = writeln!(
            body,
            "load{{series=\"{series}\",action=\"a label value as long as those of an engine are\"}} {value}"
        );
    }
    body
}
