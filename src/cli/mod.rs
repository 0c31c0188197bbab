//! Arguments to the faces of the program.

/// Runs the program; the exit code is the process's.
#[must_use]
pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
