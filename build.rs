//! Compiles our own `.proto` files, and notes which revision is being built.

use std::error::Error;
use std::path::Path;
use std::process::Command;

const PROTOS: [&str; 3] =
    ["prometheus/remote.proto", "io/prometheus/write/v2.proto", "io/prometheus/client/metrics.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    compile_protos()?;
    emit_revision();
    Ok(())
}

/// protox instead of protoc: the build needs no other program than `cc`.
fn compile_protos() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(PROTOS, ["proto"])?;
    prost_build::Config::new().compile_fds(descriptors)?;
    Ok(())
}

/// A tree without git history (a source archive) builds with the revision `unknown`.
fn emit_revision() {
    if Path::new(".git/HEAD").exists() {
        println!("cargo:rerun-if-changed=.git/HEAD");
        println!("cargo:rerun-if-changed=.git/refs/heads");
    }
    println!("cargo:rerun-if-env-changed=REVISION");
    let from_git = || {
        let output = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let revision = std::env::var("REVISION").ok().filter(|r| !r.is_empty()).or_else(from_git);
    println!("cargo:rustc-env=REVISION={}", revision.unwrap_or_else(|| "unknown".to_owned()));
}
