//! Arguments to the faces of the program. Settings come from the environment alone; arguments choose what to do with them.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::config::{Environment, table};
use crate::{app, demo, plugin, receiver};

/// Pushes the Docker engine's own metrics by Prometheus remote-write.
#[derive(Debug, Parser)]
#[command(
    name = "docker-remote-write",
    version,
    arg_required_else_help = false,
    after_help = "Settings come from environment variables; `docker-remote-write settings` lists them.\nSee it work, without Docker and without a network: docker-remote-write demo"
)]
struct Arguments {
    #[command(subcommand)]
    face: Option<Face>,
}

#[derive(Debug, Subcommand)]
enum Face {
    /// Serve dockerd's MetricsCollector API (the plugin's entrypoint, and the default)
    #[command(
        after_help = "Example, without dockerd:\n  REMOTE_WRITE_URL=http://127.0.0.1:9090/api/v1/write QUEUE_DIR=/tmp/queue docker-remote-write plugin --socket /tmp/plugin.sock\n  curl --unix-socket /tmp/plugin.sock -X POST http://plugin/MetricsCollector.StartMetrics"
    )]
    Plugin {
        /// Where dockerd calls
        #[arg(long, value_name = "PATH", default_value = plugin::SOCKET_PATH)]
        socket: PathBuf,
    },
    /// Forward without the plugin API, from start to SIGTERM (systemd, containers, metrics-addr hosts)
    #[command(
        after_help = "Example:\n  SCRAPE_URL=http://127.0.0.1:9323/metrics REMOTE_WRITE_URL=http://127.0.0.1:9090/api/v1/write QUEUE_DIR=/var/lib/docker-remote-write docker-remote-write run"
    )]
    Run,
    /// Show the main job on embedded parts, with an outage in the middle; exits 1 if a sample is lost, doubled, out of order or changed
    #[command(
        after_help = "Example:\n  docker-remote-write demo\n  docker-remote-write demo --engine    (as root, on a host with Docker)"
    )]
    Demo(demo::Args),
    /// Receive remote-write requests, check them against the specification and print them
    #[command(
        after_help = "Example:\n  docker-remote-write receive --listen 127.0.0.1:9201 --samples\n  then point any sender at http://127.0.0.1:9201/api/v1/write"
    )]
    Receive(receiver::command::Args),
    /// Print the table of all settings
    #[command(after_help = "Example:\n  docker-remote-write settings | less")]
    Settings,
}

/// Runs the program; the exit code is the process's.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.face {
        None if io::stdin().is_terminal() && io::stdout().is_terminal() => help(),
        None => app::plugin::run(plugin::SOCKET_PATH.as_ref(), &Environment),
        Some(Face::Plugin { socket }) => app::plugin::run(&socket, &Environment),
        Some(Face::Run) => app::run::run(&Environment),
        Some(Face::Demo(arguments)) => demo::run(&arguments),
        Some(Face::Receive(arguments)) => receiver::command::run(&arguments),
        Some(Face::Settings) => settings(),
    }
}

/// A person who types the bare name wants to know what this is; dockerd gives us no terminal.
fn help() -> ExitCode {
    let _ = Arguments::command().print_help();
    ExitCode::SUCCESS
}

fn settings() -> ExitCode {
    const WIDTH: usize = 100;
    match io::stdout().write_all(table::render_text(WIDTH).as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        // A reader that has seen enough (`| head`) is no failure.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_face_has_help_with_an_example() {
        let mut command = Arguments::command();
        command.build();
        for face in command.get_subcommands().filter(|face| face.get_name() != "help") {
            let example = face.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(example.starts_with("Example"), "{} has no example", face.get_name());
            assert!(face.get_about().is_some(), "{} says nothing of itself", face.get_name());
        }
    }
}
