//! Numbers that the closing note and the README quote: measured here, printed, asserted nowhere.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::support::{Engine, Kind, Manifest, PATIENCE, Plugin, Process, Receiver, eventually, figure};

/// Series of the load that the issue names.
const SERIES: u32 = 600;

#[test]
fn memory_idle_and_at_600_series_each_second() {
    let receiver = Receiver::start(Kind::VictoriaMetrics);
    let engine = Engine::start();
    let plugin = Plugin::create(&engine, Manifest::DockerPage);
    let url = receiver.push_url();
    plugin.set(&engine, &[("REMOTE_WRITE_URL", &url), ("SCRAPE_INTERVAL", "1h")]);
    plugin.enable(&engine);
    let idle = resident(&plugin, &engine);
    plugin.disable(&engine);

    let (port, served) = serve_moving_series();
    let target = format!("http://127.0.0.1:{port}/metrics");
    plugin.set(&engine, &[("SCRAPE_URL", &target), ("SCRAPE_INTERVAL", "1s")]);
    plugin.enable(&engine);
    eventually("thirty scrapes of the load", PATIENCE, || {
        (served.load(Ordering::Relaxed) >= 30).then_some(())
    });
    eventually("their arrival", PATIENCE, || {
        receiver.one(&format!("count(load{{job=\"docker\"}}) == {SERIES}"))
    });
    let loaded = resident(&plugin, &engine);
    plugin.disable(&engine);
    figure(&format!("resident memory: idle {idle}; at {SERIES} series x 1 s {loaded}"));
}

#[test]
fn exec_to_api_socket_and_binary_size() {
    let binary = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/plugin/rootfs/docker-remote-write");
    let bytes = fs::metadata(&binary).expect("`make plugin-rootfs` ran before these tests").len();
    figure(&format!("static binary: {bytes} bytes"));

    let mut times: Vec<Duration> = (0..9).map(|_| exec_to_api_socket(&binary)).collect();
    times.sort();
    figure(&format!(
        "exec to API socket bound (fork, nsenter and polling included): median {:.1} ms, slowest {:.1} ms of {}",
        times[times.len() / 2].as_secs_f64() * 1000.0,
        times[times.len() - 1].as_secs_f64() * 1000.0,
        times.len()
    ));
}

/// Starts the plugin's entrypoint in a mount namespace of its own, where /run is empty as in a plugin's rootfs, and waits for its socket to answer.
fn exec_to_api_socket(binary: &Path) -> Duration {
    let dir = tempfile::tempdir().expect("the temporary directory is writable");
    let mut holder = Command::new("unshare");
    holder.args([
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        "mount -t tmpfs tmpfs /run && exec sleep 60",
    ]);
    let holder = Process::start("unshare", holder, &dir.path().join("holder.log"));
    let root = PathBuf::from(format!("/proc/{}/root", holder.pid()));
    eventually("an empty /run", PATIENCE, || {
        let is_sleep = fs::read_to_string(format!("/proc/{}/comm", holder.pid())).ok()?.trim() == "sleep";
        is_sleep.then_some(())
    });
    let socket = root.join("run/docker/plugins").join(docker_remote_write::plugin::SOCKET_NAME);

    let mut command = Command::new("nsenter");
    command
        .arg(format!("--mount=/proc/{}/ns/mnt", holder.pid()))
        .arg(binary)
        .env_clear()
        .env("REMOTE_WRITE_URL", "http://127.0.0.1:1/api/v1/write")
        .env("QUEUE_DIR", dir.path().join("queue"));
    let start = Instant::now();
    let mut process = Process::start("docker-remote-write", command, &dir.path().join("log"));
    while UnixStream::connect(&socket).is_err() {
        assert!(start.elapsed() < PATIENCE && !process.ended(), "no API socket at {}", socket.display());
        std::thread::sleep(Duration::from_micros(100));
    }
    let elapsed = start.elapsed();
    process.terminate(Duration::from_secs(10));
    elapsed
}

/// VmRSS and VmHWM of the plugin's process.
fn resident(plugin: &Plugin, engine: &Engine) -> String {
    let pid = plugin.pid(engine).expect("the plugin runs");
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the plugin runs");
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("?");
        line.trim_start_matches(':').trim().to_owned()
    };
    format!("{} (peak {})", field("VmRSS"), field("VmHWM"))
}

/// A target on loopback with 600 counters that move at each scrape. Its thread ends with the test program.
fn serve_moving_series() -> (u16, Arc<AtomicU32>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
    let port = listener.local_addr().expect("it is bound").port();
    let served = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&served);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(&stream).lines();
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            let scrape = counter.load(Ordering::Relaxed);
            let mut body = String::from("# TYPE load counter\n");
            for series in 0..SERIES {
                let value = u64::from(scrape) * u64::from(series + 1);
                body += &format!("load{{series=\"{series}\",action=\"an ordinary label value\"}} {value}\n");
            }
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            // A scrape that went away meets its error in the plugin, not here.
            if (&stream).write_all((head + &body).as_bytes()).is_ok() {
                counter.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    (port, served)
}
