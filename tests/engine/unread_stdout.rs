//! A dockerd that is down under live-restore reads nobody's stdout: the pipe fills, lines are dropped and counted, and everything else goes on.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::support::{
    Engine, Kind, Manifest, PATIENCE, Plugin, Receiver, assert_no_gaps, eventually, figure, now_ms,
    post_like_dockerd,
};

/// What a line of the log is cut to. The pipes between plugin and dockerd take about 120 KB (facts: docker-plugin 9), the queue before them 256 KiB:
/// about 50 such lines fill them all.
const LINE_BYTES: usize = 8 * 1024;

/// As many lines must be lost before it counts.
const DROPPED: f64 = 5.0;

#[test]
fn data_manifest_to_prometheus() {
    lines_that_nobody_reads_are_dropped_and_counted_and_scraping_goes_on(Manifest::Data, Kind::Prometheus);
}

fn lines_that_nobody_reads_are_dropped_and_counted_and_scraping_goes_on(manifest: Manifest, kind: Kind) {
    let receiver = Receiver::start(kind);
    let mut engine = Engine::start_with_live_restore();
    let plugin = Plugin::create(&engine, manifest);
    plugin.set(
        &engine,
        &[
            ("REMOTE_WRITE_URL", &receiver.push_url()),
            ("SCRAPE_URL", &talkative_target()),
            ("SCRAPE_INTERVAL", "1s"),
            ("LOG_LEVEL", "debug"),
        ],
    );
    plugin.enable(&engine);
    eventually("three scrapes", PATIENCE, || (up_since(&receiver, 0).len() >= 3).then_some(()));
    eventually("a long line", PATIENCE, || {
        plugin.log(&engine).lines().any(|line| line.len() > LINE_BYTES / 2).then_some(())
    });
    let pid = plugin.pid(&engine).expect("the plugin runs");
    assert!(
        log_lines(&receiver, "dropped").iter().all(|(_, lines)| *lines < 0.5),
        "dockerd reads every line"
    );

    engine.kill_dockerd();
    let (down_at, down) = (now_ms(), Instant::now());
    let dropped = eventually("lines to be dropped", Duration::from_secs(90), || {
        let (_, lines) = *log_lines(&receiver, "dropped").last()?;
        (lines >= DROPPED).then_some(lines)
    });
    figure(&format!(
        "stdout that nobody reads ({}): {dropped} lines dropped {:.0} s after dockerd's SIGKILL",
        manifest.path(),
        down.elapsed().as_secs_f64()
    ));
    // The writer stands in a write, and nothing else does.
    let since_full = |counter: &[(i64, f64)]| counter[counter.len() - 4..].to_vec();
    let written = since_full(&log_lines(&receiver, "written"));
    assert!(written.windows(2).all(|two| two[0].1.to_bits() == two[1].1.to_bits()), "{written:?}");
    let start = Instant::now();
    let answer = post_like_dockerd(&plugin.api_socket(), "MetricsCollector.StartMetrics");
    assert_eq!(answer.expect("dockerd's calls are answered"), (200, "{\"Err\":\"\"}".to_owned()));
    assert!(start.elapsed() < Duration::from_secs(1), "an answer took {:?}", start.elapsed());
    assert_eq!(plugin.pid(&engine), Some(pid));
    let ups = up_since(&receiver, down_at);
    assert_no_gaps("up while nobody reads", &ups);
    assert!(ups.iter().all(|(_, up)| *up > 0.5), "{ups:?}");

    engine.start_dockerd();
    let back_at = now_ms();
    let notice = |line: &str| line.contains("log lines dropped: the output took no more");
    eventually("the log to say what it lost", PATIENCE, || {
        plugin.log(&engine).lines().any(notice).then_some(())
    });
    let stood_at = written[0].1;
    eventually("lines to be written again", PATIENCE, || {
        (log_lines(&receiver, "written").last()?.1 > stood_at + 10.0).then_some(())
    });
    assert_eq!(plugin.pid(&engine), Some(pid), "it was never in need of a new process");
    eventually("two scrapes more", PATIENCE, || (up_since(&receiver, back_at).len() >= 2).then_some(()));
    assert_no_gaps("up, before and after", &up_since(&receiver, down_at));
    plugin.disable(&engine);
}

/// `docker_remote_write_log_lines_total` of one result: samples pushed by the plugin itself.
fn log_lines(receiver: &Receiver, result: &str) -> Vec<(i64, f64)> {
    receiver.stored_one(&format!("docker_remote_write_log_lines_total{{result=\"{result}\"}}"))
}

fn up_since(receiver: &Receiver, since: i64) -> Vec<(i64, f64)> {
    let mut ups = receiver.stored_one("up{job=\"docker\"}");
    ups.retain(|(at, _)| *at > since);
    ups
}

/// A target on loopback, for ever: one series twice, under labels that fill a line of the log, which names it at each scrape.
fn talkative_target() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
    let address = listener.local_addr().expect("it is bound");
    let series = format!("wide{{label=\"{}\"}}", "x".repeat(2 * LINE_BYTES));
    let body = format!("{series} 1\n{series} 2\n");
    std::thread::spawn(move || listener.incoming().flatten().for_each(|stream| answer(&stream, &body)));
    format!("http://{address}/metrics")
}

fn answer(mut stream: &TcpStream, body: &str) {
    let mut lines = BufReader::new(stream).lines();
    while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
    let length = body.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    // A scraper that went away sees its own error.
    let _ = stream.write_all(format!("{head}{body}").as_bytes());
}
