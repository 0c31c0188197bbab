//! The plugin inside a real Docker engine, pushing to real receivers: a dockerd of its own for each test, Debian's Prometheus and VictoriaMetrics.
//!
//! Needs root and the packages that `tests/run.sh` installs, so it runs by name only (`make test` does). Every process belongs to one test, lives
//! in a temporary directory and is ended by its pid. A theme is one file; each of its tests runs through both manifests.

/// What a user does first: create, set, enable, ask PromQL, disable.
mod main_job;

/// The plugin dies twice while the receiver is away.
mod crash;

/// The daemon restarts: StopMetrics, staleness, and on it goes.
mod restart;

/// The daemon restarts under live-restore: the process outlives it, its metrics socket does not.
mod live_restore;

/// Under live-restore nobody reads the plugin's stdout while the daemon is down.
mod unread_stdout;

/// `docker plugin upgrade` through a registry, in an outage.
mod upgrade;

/// A setting that nobody can use.
mod bad_setting;

/// dockerd must never wait: black-hole endpoint, frozen queue disk.
mod blocked;

/// StartMetrics while the main thread has its hands full.
mod busy;

/// What ends the plugin, or keeps it from beginning, is no loop of starts.
mod no_spin;

/// dockerd's own start, restart and stop, with and without the plugin.
mod normal_speed;

/// Real file systems that are full or read-only under the queue.
mod disk;

/// ext4 on loop devices that fill up, freeze, turn read-only and lose bytes under the queue.
mod loop_disk;

/// A file system that refuses every change with EIO or as read-only, and takes them again.
mod faulty_disk;

/// A sample that a real Prometheus refuses, and the others of its request.
mod poison;

/// The same targets scraped by Debian's Prometheus and by us: the same is stored.
mod differential;

/// An hour's backlog in under 10 s; no engine is needed, but the binary that it would get.
mod drain;

/// The version of remote-write that Debian's receivers take is found.
mod negotiation;

/// CPU time that each format of the exposition takes from a real dockerd.
mod format_cost;

/// What the closing note quotes: start-up time, size, memory.
mod figures;

mod support;

/// The binary without dockerd, shared with the other tests.
#[path = "../support/program.rs"]
#[allow(clippy::unwrap_used, dead_code, reason = "helpers of tests; each target uses its part of them")]
mod program;

#[path = "../support/endpoint.rs"]
#[allow(clippy::unwrap_used, dead_code, reason = "helpers of tests; each target uses its part of them")]
mod endpoint;

#[path = "../support/scripted.rs"]
#[allow(clippy::unwrap_used, dead_code, reason = "helpers of tests; each target uses its part of them")]
mod scripted;

#[path = "../support/wire.rs"]
#[allow(clippy::unwrap_used, dead_code, reason = "helpers of tests; each target uses its part of them")]
mod wire;

/// One test for each manifest and receiver, so that the name of a failure says which.
macro_rules! for_each_manifest_and_receiver {
    ($scenario:ident) => {
        #[test]
        fn docker_page_manifest_to_prometheus() {
            $scenario(crate::support::Manifest::DockerPage, crate::support::Kind::Prometheus);
        }
        #[test]
        fn docker_page_manifest_to_victoria_metrics() {
            $scenario(crate::support::Manifest::DockerPage, crate::support::Kind::VictoriaMetrics);
        }
        #[test]
        fn data_manifest_to_prometheus() {
            $scenario(crate::support::Manifest::Data, crate::support::Kind::Prometheus);
        }
        #[test]
        fn data_manifest_to_victoria_metrics() {
            $scenario(crate::support::Manifest::Data, crate::support::Kind::VictoriaMetrics);
        }
    };
}
pub(crate) use for_each_manifest_and_receiver;
