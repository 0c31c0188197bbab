//! Both manifests, the README's table and the settings table say the same. `BLESS=1 cargo test --test main manifests`
//! writes the settings into the files.

use std::fs;
use std::path::PathBuf;

use docker_remote_write::config::PLUGIN_QUEUE_DIR;
use docker_remote_write::config::table::{self, SETTINGS};
use docker_remote_write::plugin::SOCKET_NAME;
use serde_json::{Value, json};

/// Docker's page to the letter, with a tmpfs over the mount that it asks for (docker-plugin 5).
const LETTER: &str = "config.json";
/// The same plugin with a queue that survives upgrades.
const DATA: &str = "deploy/config.data.json";

const BEGIN: &str = "<!-- settings:begin -->";
const END: &str = "<!-- settings:end -->";

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn blessing() -> bool {
    std::env::var_os("BLESS").is_some_and(|value| !value.is_empty())
}

/// In one step: the other tests read the files meanwhile.
pub(crate) fn replace(name: &str, text: String) {
    let unfinished = path(&format!("{name}.blessed"));
    fs::write(&unfinished, text).unwrap();
    fs::rename(&unfinished, path(name)).unwrap();
}

fn manifest(name: &str) -> Value {
    let text = fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// `env` of a manifest: every setting, without a default (those live in the binary), in the table's order.
fn env_of_the_table() -> Value {
    let variable = |setting: &table::Setting| {
        json!({
            "name": setting.name,
            "description": setting.doc,
            "value": "",
            "settable": ["value"],
        })
    };
    SETTINGS.iter().map(variable).collect()
}

/// As the files are written: two spaces, a line end at the end, the keys of a variable in the order of Docker's own page.
fn env_text() -> String {
    let line = |setting: &table::Setting| {
        let (name, description) = (json!(setting.name), json!(setting.doc));
        format!(
            "    {{ \"name\": {name}, \"description\": {description}, \"value\": \"\", \"settable\": [\"value\"] }}"
        )
    };
    let lines: Vec<_> = SETTINGS.iter().map(line).collect();
    format!("  \"env\": [\n{}\n  ]", lines.join(",\n"))
}

#[test]
fn both_manifests_declare_every_setting_of_the_table_and_no_value() {
    for name in [LETTER, DATA] {
        if blessing() {
            let text = fs::read_to_string(path(name)).unwrap();
            let begin = text.find("  \"env\": [").expect("an env list");
            let end = begin + text[begin..].find("\n  ]").expect("the end of the env list") + "\n  ]".len();
            replace(name, format!("{}{}{}", &text[..begin], env_text(), &text[end..]));
        }
        assert_eq!(
            manifest(name)["env"],
            env_of_the_table(),
            "{name}: run BLESS=1 cargo test --test main manifests"
        );
    }
}

#[test]
fn the_manifest_follows_dockers_page() {
    let manifest = manifest(LETTER);
    assert_eq!(manifest["interface"]["types"], json!(["docker.metricscollector/1.0"]));
    assert_eq!(manifest["propagatedMount"], "/run/docker");
    assert_eq!(manifest["entrypoint"], json!(["/docker-remote-write"]));
    assert_eq!(manifest["network"], json!({"type": "host"}));
    assert!(manifest["description"].is_string() && manifest["documentation"].is_string());
    let [mount] = &manifest["mounts"].as_array().expect("mounts")[..] else { panic!("one mount") };
    assert!(mount["description"].as_str().is_some_and(|text| !text.is_empty()));
    let mut mount = mount.clone();
    mount["description"] = json!("");
    let tmpfs = json!({
        "name": "run", "description": "", "source": "tmpfs", "destination": "/run/docker", "type": "tmpfs",
        "options": ["nosuid", "nodev", "mode=755"],
    });
    assert_eq!(mount, tmpfs);
}

#[test]
fn the_manifests_differ_only_in_the_propagated_mount_and_its_tmpfs() {
    let (mut letter, mut data) = (manifest(LETTER), manifest(DATA));
    assert_eq!(data["propagatedMount"], PLUGIN_QUEUE_DIR);
    for manifest in [&mut letter, &mut data] {
        let manifest = manifest.as_object_mut().unwrap();
        // `env` is held to the table by a test of its own.
        manifest.remove("env");
        manifest.remove("propagatedMount");
    }
    letter.as_object_mut().unwrap().remove("mounts");
    assert_eq!(letter, data);
}

#[test]
fn the_manifests_ask_for_no_more_than_they_must_and_have_no_key_that_docker_ignores() {
    // Unknown keys are ignored in silence (docker-plugin 2): a typo would disappear.
    let known = [
        "description",
        "documentation",
        "entrypoint",
        "env",
        "interface",
        "mounts",
        "network",
        "propagatedMount",
    ];
    for name in [LETTER, DATA] {
        let manifest = manifest(name);
        for key in manifest.as_object().unwrap().keys() {
            assert!(known.contains(&key.as_str()), "{name}: {key}");
        }
        let mut interface: Vec<_> = manifest["interface"].as_object().unwrap().keys().collect();
        interface.sort();
        assert_eq!(interface, ["socket", "types"], "{name}");
    }
}

#[test]
fn the_manifests_name_the_socket_that_the_binary_binds() {
    for name in [LETTER, DATA] {
        assert_eq!(manifest(name)["interface"]["socket"], SOCKET_NAME, "{name}");
    }
}

#[test]
fn the_readme_shows_the_table() {
    let readme = fs::read_to_string(path("README.md")).unwrap();
    let begin = readme.find(BEGIN).expect("the begin mark") + BEGIN.len();
    let end = begin + readme[begin..].find(END).expect("the end mark");
    let expected = format!("\n{}", table::render_markdown());
    if blessing() {
        replace("README.md", format!("{}{expected}{}", &readme[..begin], &readme[end..]));
    } else {
        assert_eq!(readme[begin..end], expected, "run BLESS=1 cargo test --test main manifests");
    }
}
