//! The one binary: hands the arguments to [`docker_remote_write::cli`] and its exit code to the system.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    docker_remote_write::cli::main()
}
