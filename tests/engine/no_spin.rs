//! Nothing makes dockerd start the plugin again and again: it has no pause and no limit for that (facts: docker-plugin 6).

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::{Engine, Manifest, PATIENCE, Plugin, eventually, figure, post_like_dockerd, signal};

/// No process may end by itself before that age. dockerd starts one that has ended 0.1 s later: one that spins would be started fifty times meanwhile.
const LEAST_AGE: Duration = Duration::from_secs(5);

/// A second start for one death would come within 0.1 s of the first.
const AFTER_DEATH: Duration = Duration::from_secs(2);

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

    // From outside the kernel delivers to the first process of a PID namespace what it has a handler for, and SIGKILL. The runtime's handler for SIGSEGV
    // goes on after what is no fault.
    let deaths: [(&str, &[Signal], usize); 2] =
        [("SIGSEGV and SIGABRT", &[Signal::SEGV, Signal::ABORT], 0), ("SIGKILL", &[Signal::KILL], 1)];
    for (name, signals, starts) in deaths {
        let pid = plugin.pid(&engine).expect("the plugin runs");
        let before = plugin.starts(&engine);
        for deadly in signals {
            signal(pid, *deadly);
        }
        std::thread::sleep(AFTER_DEATH);
        let again = plugin.starts(&engine) - before;
        figure(&format!("{name} from the host: {again} starts in the {AFTER_DEATH:?} after it"));
        assert_eq!(again, starts, "{name}");
        let after = eventually("the plugin's process", PATIENCE, || plugin.pid(&engine));
        assert_eq!(after == pid, starts == 0, "{name}");
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

/// Watches until a process that has ended early would have been started again and again; it has then been started so often in all.
fn watch(what: &str, plugin: &Plugin, engine: &Engine, starts: usize) {
    let pid = eventually("the plugin's process", PATIENCE, || plugin.pid(engine));
    std::thread::sleep(LEAST_AGE + Duration::from_millis(200));
    let started = 1 + plugin.starts(engine) - starts;
    figure(&format!("{what}: {started} starts in {LEAST_AGE:?}"));
    assert_eq!(plugin.pid(engine), Some(pid), "{what}: still the same process");
    assert_eq!(plugin.starts(engine), starts, "{what}: {}", plugin.log(engine));
}

fn start_metrics(plugin: &Plugin) -> u16 {
    eventually("the API to answer", PATIENCE, || {
        post_like_dockerd(&plugin.api_socket(), "MetricsCollector.StartMetrics").ok()
    })
    .0
}
