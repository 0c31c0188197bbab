//! Nothing makes dockerd start the plugin again and again: it has no pause and no limit for that (facts: docker-plugin 6).

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::{Engine, Manifest, PATIENCE, Plugin, eventually, figure, post_like_dockerd, signal};

/// dockerd starts a plugin that has ended 0.1 s later: one that spins would be started twenty times in this window.
const WINDOW: Duration = Duration::from_secs(2);

#[test]
fn neither_a_death_nor_a_start_that_fails_is_repeated() {
    let engine = Engine::start();
    let plugin = Plugin::create(&engine, Manifest::DockerPage);
    let url = ("REMOTE_WRITE_URL", "http://127.0.0.1:9/write");

    // What a plugin cannot bind is tried again, by the same process.
    let socket = plugin.api_socket();
    fs::create_dir_all(&socket).expect("/run/docker/plugins is writable");
    plugin.set(&engine, &[url, ("SCRAPE_INTERVAL", "1s")]);
    std::thread::scope(|scope| {
        let enable = scope.spawn(|| plugin.enable(&engine));
        eventually("the plugin to say why it cannot be called", PATIENCE, || {
            plugin.log(&engine).contains("the path exists and is no socket").then_some(())
        });
        watch("an API socket that cannot be bound", &plugin, &engine, 1);
        fs::remove_dir(&socket).expect("the directory is empty");
        let took = enable.join().expect("enable succeeds when the socket is there");
        figure(&format!(
            "`docker plugin enable` with a socket that could be bound only later: {} ms",
            took.as_millis()
        ));
    });
    assert_eq!(start_metrics(&plugin), 200);

    // The first process of a PID namespace has signals that it does not ask for ignored, unless they come from its own fault.
    for (name, deadly) in [("SIGSEGV", Signal::SEGV), ("SIGABRT", Signal::ABORT), ("SIGKILL", Signal::KILL)] {
        let before = plugin.pid(&engine).expect("the plugin runs");
        let starts = plugin.starts(&engine);
        let start = Instant::now();
        signal(before, deadly);
        while start.elapsed() < WINDOW {
            std::thread::sleep(Duration::from_millis(20));
        }
        let after = eventually("the plugin's process", PATIENCE, || plugin.pid(&engine));
        let again = plugin.starts(&engine) - starts;
        figure(&format!("{name}: started {again} times in the {WINDOW:?} after it"));
        assert_eq!(again, usize::from(after != before), "{name}: one start for a death");
        assert!(again == 1 || deadly != Signal::KILL, "SIGKILL is deadly");
        assert_eq!(start_metrics(&plugin), 200, "{name}");
    }
    plugin.disable(&engine);

    // A queue that cannot be on disk is in memory, in the same process.
    let no_directory = Path::new("/docker-remote-write/queue").display().to_string();
    plugin.set(&engine, &[("QUEUE_DIR", &no_directory)]);
    let starts = plugin.starts(&engine);
    plugin.enable(&engine);
    watch("a queue directory that cannot be used", &plugin, &engine, starts + 1);
    assert!(plugin.log(&engine).contains("the queue is in memory until the plugin is started again"));
    assert_eq!(start_metrics(&plugin), 200);
    plugin.disable(&engine);

    plugin.set(&engine, &[("SCRAPE_INTERVAL", "soon")]);
    let starts = plugin.starts(&engine);
    plugin.enable(&engine);
    watch("a bad setting", &plugin, &engine, starts + 1);
    assert_eq!(start_metrics(&plugin), 500);
    let disable = plugin.disable(&engine);
    assert!(disable < Duration::from_secs(1), "`docker plugin disable` took {disable:?}");
}

/// Watches for a window; the process has then been started so often in all.
fn watch(what: &str, plugin: &Plugin, engine: &Engine, starts: usize) {
    let pid = eventually("the plugin's process", PATIENCE, || plugin.pid(engine));
    std::thread::sleep(WINDOW);
    figure(&format!("{what}: started once in {WINDOW:?}"));
    assert_eq!(plugin.pid(engine), Some(pid), "{what}: still the same process");
    assert_eq!(plugin.starts(engine), starts, "{what}: {}", plugin.log(engine));
}

fn start_metrics(plugin: &Plugin) -> u16 {
    eventually("the API to answer", PATIENCE, || {
        post_like_dockerd(&plugin.api_socket(), "MetricsCollector.StartMetrics").ok()
    })
    .0
}
