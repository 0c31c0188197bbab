//! The least that is a metrics plugin: what dockerd itself does with any of them, to measure ours against.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Engine;

const NAME: &str = "trivial-metrics";

/// Answers every call at once and does nothing else. Perl, because every Debian has it and it needs no file but itself and four libraries;
/// 1 and 1 are AF_UNIX and SOCK_STREAM.
const PROGRAM: &str = r#"
$SIG{TERM} = sub { exit 0 };
socket(my $listener, 1, 1, 0) or die "socket: $!";
bind($listener, pack("S a108", 1, "/run/docker/plugins/metrics.sock")) or die "bind: $!";
listen($listener, 16) or die "listen: $!";
while (accept(my $peer, $listener)) {
    while (sysread($peer, my $request, 4096)) {
        syswrite($peer, "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.plugins.v1.2+json\r\nContent-Length: 2\r\n\r\n{}");
    }
}
"#;

const MANIFEST: &str = r#"{
  "description": "answers and does nothing",
  "documentation": "https://example.invalid/",
  "entrypoint": ["/perl", "/plugin.pl"],
  "interface": { "types": ["docker.metricscollector/1.0"], "socket": "metrics.sock" },
  "network": { "type": "host" }
}"#;

/// Creates and enables it.
pub(crate) fn enable_trivial_plugin(engine: &Engine) {
    let home = engine.at("trivial");
    let root = home.join("rootfs");
    fs::create_dir_all(&root).expect("the scratch directory is writable");
    fs::write(home.join("config.json"), MANIFEST).expect("the scratch directory is writable");
    fs::write(root.join("plugin.pl"), PROGRAM).expect("the scratch directory is writable");
    fs::copy("/usr/bin/perl", root.join("perl")).expect("perl is part of every Debian");
    for library in libraries_of(Path::new("/usr/bin/perl")) {
        let copy = root.join(library.strip_prefix("/").expect("ldd prints whole paths"));
        fs::create_dir_all(copy.parent().expect("a file is in a directory")).expect("it is writable");
        fs::copy(&library, copy).expect("a library that ldd names can be read");
    }
    engine.docker(&["plugin", "create", NAME, &home.display().to_string()]);
    engine.docker(&["plugin", "enable", NAME]);
}

/// The loader and the libraries of a program.
fn libraries_of(program: &Path) -> BTreeSet<PathBuf> {
    let output = Command::new("ldd").arg(program).output().expect("ldd is part of libc");
    let listed = String::from_utf8_lossy(&output.stdout).into_owned();
    listed.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect()
}
