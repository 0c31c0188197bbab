//! Debian's docker-registry on loopback, which dockerd takes without TLS.

use std::fs;
use std::process::Command;

use tempfile::TempDir;

use super::process::{Process, free_port};
use super::{PATIENCE, eventually, http};

/// A registry with storage of its own; dropping it ends it.
pub(crate) struct Registry {
    port: u16,
    _process: Process,
    _dir: TempDir,
}

impl Registry {
    /// Starts it and waits until it answers.
    pub(crate) fn start() -> Registry {
        let dir = tempfile::Builder::new()
            .prefix("drw-registry-")
            .tempdir()
            .expect("the temporary directory is writable");
        let port = free_port();
        let config = dir.path().join("config.yml");
        let text = format!(
            "version: 0.1\nlog: {{level: warn}}\nstorage: {{filesystem: {{rootdirectory: {}/data}}}}\nhttp: {{addr: \"127.0.0.1:{port}\"}}\n",
            dir.path().display()
        );
        fs::write(&config, text).expect("the scratch directory is writable");
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&config).env("OTEL_TRACES_EXPORTER", "none");
        let mut process = Process::start("docker-registry", command, &dir.path().join("log"));
        eventually("the registry to answer", PATIENCE, || {
            assert!(!process.ended(), "docker-registry ended by itself");
            matches!(http::get(port, "/v2/"), Ok((200, _))).then_some(())
        });
        Registry { port, _process: process, _dir: dir }
    }

    /// A reference to this tag of the plugin.
    pub(crate) fn reference(&self, tag: &str) -> String {
        format!("127.0.0.1:{}/remote-write:{tag}", self.port)
    }
}
