//! A bad setting: `enable` succeeds, the daemon's log names the setting, nothing crashes, and `set` mends it.

use std::time::Duration;

use crate::support::{Engine, Kind, Manifest, PATIENCE, Plugin, Receiver, eventually, post_like_dockerd};

#[test]
fn docker_page_manifest() {
    bad_setting_is_named_in_the_daemon_log(Manifest::DockerPage);
}

#[test]
fn data_manifest() {
    bad_setting_is_named_in_the_daemon_log(Manifest::Data);
}

fn bad_setting_is_named_in_the_daemon_log(manifest: Manifest) {
    let receiver = Receiver::start(Kind::Prometheus);
    let engine = Engine::start();
    let plugin = Plugin::create(&engine, manifest);
    let unknown = engine.try_docker(&["plugin", "set", "remote-write", "REMOTE_WRITE_UURL=x"]);
    assert!(!unknown.status.success(), "dockerd itself refuses names that the manifest does not declare");

    plugin.set(
        &engine,
        &[
            ("REMOTE_WRITE_URL", "ftp://mimir.example/"),
            ("SCRAPE_INTERVAL", "soon"),
            ("REMOTE_WRITE_BASIC_AUTH_PASSWORD", "hunter2-secret"),
        ],
    );
    plugin.enable(&engine);
    assert!(plugin.is_enabled(&engine));
    for name in ["REMOTE_WRITE_URL", "SCRAPE_INTERVAL"] {
        eventually(&format!("{name} in the daemon's log"), PATIENCE, || {
            plugin.log(&engine).contains(name).then_some(())
        });
    }
    // dockerd asked StartMetrics during `enable`, so a process that is going to exit over its settings has had its reason.
    let pid = plugin.pid(&engine).expect("the process lives");
    for _ in 0..3 {
        let (status, body) = post_like_dockerd(&plugin.api_socket(), "MetricsCollector.StartMetrics")
            .expect("the API answers although the settings are bad");
        assert_eq!(status, 500, "{body}");
        assert!(body.contains("\"Err\"") && body.contains("SCRAPE_INTERVAL"), "{body}");
    }
    assert_eq!(plugin.pid(&engine), Some(pid), "still the same process");
    assert!(!engine.log().contains("hunter2-secret"), "a secret in the daemon's log");

    let disable = plugin.disable(&engine);
    assert!(disable < Duration::from_secs(1), "`docker plugin disable` took {disable:?}");
    plugin.set(
        &engine,
        &[
            ("REMOTE_WRITE_URL", &receiver.push_url()),
            ("SCRAPE_INTERVAL", "1s"),
            ("REMOTE_WRITE_BASIC_AUTH_PASSWORD", ""),
        ],
    );
    plugin.enable(&engine);
    eventually("up{job=\"docker\"} == 1 after the settings are mended", PATIENCE, || {
        receiver.one("up{job=\"docker\"} == 1")
    });
}
