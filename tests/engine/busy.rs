//! StartMetrics is answered from memory: while the disk of the queue is frozen, every endpoint is a black hole, and the main thread parses 15 MiB.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{
    BlackHoles, Engine, FreezableDisk, Manifest, PATIENCE, Plugin, eventually, figure, post_like_dockerd,
};

/// Just below SCRAPE_BODY_SIZE_LIMIT's default.
const BODY_BYTES: usize = 15 << 20;

/// Scrapes over which calls are spread, and the pause between two calls.
const SCRAPES: usize = 5;
const PAUSE: Duration = Duration::from_millis(1);
/// So many calls have to fall into the parses: that is 20 for each, from its beginning to its end.
const CALLS_IN_PARSES: usize = 20 * SCRAPES;

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
    eventually("the queue's thread to be stuck in a write", PATIENCE, || {
        (state_of_thread(pid, "queue") == Some('D')).then_some(())
    });

    while sent.try_recv().is_ok() {}
    sent.recv_timeout(PATIENCE).expect("the plugin scrapes");
    let api = stat_of_thread(pid, "plugin-api").map(|(dir, _)| dir).expect("the API has a thread of its own");
    let (mut calls, mut scrapes, start) = (Vec::new(), 0, Instant::now());
    while scrapes < SCRAPES {
        match sent.try_recv() {
            Ok(()) => scrapes += 1,
            Err(TryRecvError::Empty) => assert!(start.elapsed() < PATIENCE, "{scrapes} scrapes"),
            Err(TryRecvError::Disconnected) => panic!("the target has ended"),
        }
        let (busy_before, waited_before) = (main_is_busy(pid), waited_for_a_core(&api));
        let start = Instant::now();
        let answer = post_like_dockerd(&plugin.api_socket(), "MetricsCollector.StartMetrics");
        let took = start.elapsed();
        let for_a_core = waited_for_a_core(&api) - waited_before;
        let in_parse = busy_before && main_is_busy(pid);
        assert_eq!(answer.expect("the API answers"), (200, "{\"Err\":\"\"}".to_owned()));
        calls.push(Call { took, for_a_core, in_parse });
        thread::sleep(PAUSE);
    }
    assert_eq!(state_of_thread(pid, "queue"), Some('D'), "the disk has been frozen all the time");
    disk.thaw();
    plugin.disable(&engine);
    drop(disk);

    for call in &calls {
        let (took, own) = (call.took, call.own());
        assert!(own < AT_MOST, "{took:?}, and {:?} of it were waits for a core", call.for_a_core);
    }
    let in_parses: Vec<&Call> = calls.iter().filter(|call| call.in_parse).collect();
    assert!(
        in_parses.len() >= CALLS_IN_PARSES,
        "only {} of {} calls fell into a parse",
        in_parses.len(),
        calls.len()
    );
    let ms = |time: Duration| format!("{:.2} ms", time.as_secs_f64() * 1000.0);
    let say = |what: &str, took: fn(&Call) -> Duration| {
        let mut times: Vec<Duration> = in_parses.iter().map(|call| took(call)).collect();
        times.sort();
        let [median, p99, slowest] =
            [times.len() / 2, times.len() * 99 / 100, times.len() - 1].map(|at| times[at]);
        let of_all = calls.iter().map(took).max().unwrap_or_default();
        figure(&format!(
            "StartMetrics, frozen disk, black holes, 15 MiB being parsed, {what}: median {}, p99 {}, slowest {} of {} calls; slowest of all {} {}",
            ms(median),
            ms(p99),
            ms(slowest),
            times.len(),
            calls.len(),
            ms(of_all)
        ));
        median
    };
    let median = say("as the caller sees it", |call| call.took);
    say("without waits for a core", Call::own);
    assert!(median < AT_MOST, "half of the calls took {median:?} or more");
}

/// One call.
struct Call {
    took: Duration,
    /// Of that, what the caller and the API's thread waited for a core although nothing but the machine's other work kept them from running.
    for_a_core: Duration,
    /// The main thread was busy before it and after it.
    in_parse: bool,
}

impl Call {
    /// What it would have taken on a machine with a core for each of the two; where the machine is quiet that is what it took.
    fn own(&self) -> Duration {
        self.took.saturating_sub(self.for_a_core)
    }
}

/// How long this thread and the API's have been ready to run and were not let, by the kernel's count (nothing where it keeps none). Waiting for a lock, a
/// disk, a timer or another thread's word is no part of that.
fn waited_for_a_core(api: &Path) -> Duration {
    [Path::new("/proc/thread-self"), api]
        .iter()
        .filter_map(|thread| fs::read_to_string(thread.join("schedstat")).ok())
        .filter_map(|stat| stat.split(' ').nth(1)?.parse().ok())
        .map(Duration::from_nanos)
        .sum()
}

/// Whether the process's main thread runs or wants to: between two scrapes it sleeps.
fn main_is_busy(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/task/{pid}/stat")).unwrap_or_default();
    state(&stat) == Some('R')
}

fn state_of_thread(pid: u32, name: &str) -> Option<char> {
    state(&stat_of_thread(pid, name)?.1)
}

/// A thread's directory below /proc, and what `stat` says there.
fn stat_of_thread(pid: u32, name: &str) -> Option<(PathBuf, String)> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten();
    let stats = threads.filter_map(|thread| {
        let stat = fs::read_to_string(thread.path().join("stat")).ok()?;
        Some((thread.path(), stat))
    });
    let name = format!("({name})");
    stats.into_iter().find(|(_, stat)| stat.contains(&name))
}

fn state(stat: &str) -> Option<char> {
    stat.rsplit_once(") ")?.1.chars().next()
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
