//! Rules in a file, filters, and labels that the engine fills: as an operator meets them.

use docker_remote_write::receiver::State;

use super::{DEADLINE, World, with};
use crate::support::program::Program;

const DROP_PROCESS: &str = "- {source_labels: [__name__], regex: 'process_.*', action: drop}\n";
const DROP_GO: &str = "- {source_labels: [__name__], regex: 'go_.*', action: drop}\n";

fn begins_or_goes_on(state: &State, name: &str) -> bool {
    let of_target = |labels: &docker_remote_write::model::Labels| {
        labels.get("__name__") == Some(name) && labels.get("job") == Some("docker")
    };
    let mut series = state.store.iter().filter(|(labels, _)| of_target(labels));
    series.any(|(_, samples)| samples.last().is_some_and(|sample| !sample.is_stale_marker()))
}

#[tokio::test]
async fn a_file_of_rules_is_in_force_from_the_start_and_a_good_new_one_from_the_next_scrape_but_no_bad_one() {
    let world = World::new().await;
    let path = world.path("rules.yml");
    std::fs::write(&path, DROP_PROCESS).unwrap();
    let url = format!("file://{}", path.display());
    let mut program = world.run(&[("METRIC_RELABEL_CONFIGS", &url), ("CONFIG_RELOAD_INTERVAL", "1s")]);
    world.until_ups(1).await;
    world.receiver.read(|state| {
        assert!(begins_or_goes_on(state, "go_goroutines") && !begins_or_goes_on(state, "process_open_fds"));
    });

    std::fs::write(&path, "- action: drop\n- action: dorp\n").unwrap();
    program.says("line 2, column 11: unknown action").await;
    program.says("the rules before stay in force").await;
    let seen = world.ups();
    world.until_ups(seen + 2).await;
    world.receiver.read(|state| assert!(begins_or_goes_on(state, "go_goroutines")));
    let failed = |state: &State| {
        let name = Some("docker_remote_write_config_last_reload_successful");
        let mut series = state.store.iter().filter(|(labels, _)| labels.get("__name__") == name);
        series.any(|(_, samples)| samples.iter().any(|sample| sample.value().to_bits() == 0))
    };
    world.receiver.wait_until(failed, DEADLINE).await.unwrap();

    std::fs::write(&path, DROP_GO).unwrap();
    let changed = |state: &State| {
        begins_or_goes_on(state, "process_open_fds") && !begins_or_goes_on(state, "go_goroutines")
    };
    world.receiver.wait_until(changed, DEADLINE).await.unwrap();
    world.assert_strict();
    let filtered = [("__name__", "docker_remote_write_samples_dropped_total"), ("reason", "filtered")];
    world.receiver.read(|state| assert!(state.count(&filtered) > 0));
    assert!(program.terminated().await.0.success());
}

#[tokio::test]
async fn without_the_file_run_ends_and_the_plugin_takes_nothing_in_until_it_is_there() {
    let world = World::new().await;
    let path = world.path("rules.yml");
    let url = format!("file://{}", path.display());
    let more = [("METRIC_RELABEL_CONFIGS", url.as_str()), ("CONFIG_RELOAD_INTERVAL", "1s")];
    let (status, said) = Program::start(&["run"], &with(world.settings(), &more)).ended().await;
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("METRIC_RELABEL_CONFIGS: cannot read"), "{said}");

    let (mut program, mut dockerd) = world.plugin(&more).await;
    program.says("nothing is taken in until there are rules").await;
    assert_eq!(dockerd.start_metrics().await.unwrap().status, 200);
    program.says("scrapes are not taken in").await;
    world.receiver.read(|state| assert_eq!(state.store.iter().count(), 0));
    std::fs::write(&path, DROP_GO).unwrap();
    world.until_ups(1).await;
    world.receiver.read(|state| assert!(!begins_or_goes_on(state, "go_goroutines")));
    world.assert_strict();
}

#[tokio::test]
async fn labels_that_the_engine_fills_are_on_every_series_and_known_to_the_next_process_before_it_scrapes() {
    let world = World::new().await;
    let more = [("INSTANCE", "{{daemon_id}}"), ("EXTERNAL_LABELS", "v={{engine_version}}")];
    let program = world.run(&more);
    world.until_ups(2).await;
    assert!(program.terminated().await.0.success());
    let id = "EXAM:PLE0:0000:AAAA:BBBB:CCCC:DDDD:EEEE:FFFF:GGGG:HHHH:IIII";
    world.receiver.read(|state| {
        for (labels, _) in state.store.iter() {
            assert_eq!(labels.get("instance"), Some(id), "{labels}");
            assert_eq!(labels.get("v"), Some("20.10.24+dfsg1"), "{labels}");
        }
        let own = [("job", "docker-remote-write"), ("instance", id)];
        assert!(state.count(&own) > 0, "our own series have the same instance");
    });

    // An engine that is down says nothing of itself.
    let nobody = format!("unix://{}", world.path("nobody.sock").display());
    let mut down = more.to_vec();
    down.push(("SCRAPE_URL", &nobody));
    let program = world.run(&down);
    let said_so = |state: &State| {
        let mut ups = state.store.iter().filter(|(labels, _)| labels.get("__name__") == Some("up"));
        ups.any(|(labels, samples)| {
            labels.get("instance") == Some(id)
                && samples.last().is_some_and(|last| last.value().to_bits() == 0)
        })
    };
    world.receiver.wait_until(said_so, DEADLINE).await.unwrap();
    assert!(program.terminated().await.0.success());
    world.assert_strict();
}

#[tokio::test]
async fn a_label_that_is_not_known_yet_holds_up_back_and_says_so() {
    let world = World::new().await;
    let nobody = format!("unix://{}", world.path("nobody.sock").display());
    let mut program = world.run(&[("INSTANCE", "{{daemon_id}}"), ("SCRAPE_URL", &nobody)]);
    program.says("{{daemon_id}} is not known yet").await;
    let (status, said, _) = program.terminated().await;
    assert!(status.success(), "{said}");
    world.receiver.read(|state| assert_eq!(state.store.iter().count(), 0));
}
