use std::collections::BTreeSet;
use std::fmt::Display;
use std::path::PathBuf;

use tracing::{info, warn};

use super::{Confinement, Privileges};

/// What is in force.
#[derive(Debug)]
pub enum Report {
    /// `SANDBOX=off`.
    Off,
    /// As far as the kernel goes.
    On {
        /// The process's privileges.
        privileges: Privileges,
        /// What this thread and those after it may do.
        confinement: Confinement,
    },
}

impl Report {
    /// One line that says what is in force, and one for each thing that should be and is not.
    pub fn log(&self) {
        let (privileges, confinement) = match self {
            Self::Off => {
                return warn!(
                    "SANDBOX=off: capabilities, files and ports are those that this process was started with"
                );
            }
            Self::On { privileges, confinement } => (privileges, confinement),
        };
        info!(
            capabilities = if privileges.no_capabilities { "none" } else { "kept" },
            no_new_privs = privileges.no_new_privs,
            core_dumps = if privileges.no_core_dumps { "off" } else { "on" },
            landlock_abi = confinement.abi,
            reads = since(1, confinement.abi, list(&shown(&confinement.read))),
            writes = since(1, confinement.abi, list(&shown(&confinement.written))),
            connects = since(4, confinement.abi, list(&confinement.connect)),
            kernel_lacks = lacking(confinement.abi),
            "sandbox in force"
        );
        for failure in privileges.failures.iter().chain(&confinement.failures) {
            warn!(failure, "a part of the sandbox is not in force");
        }
    }

    /// Whether `SANDBOX` is on, whatever the kernel makes of it.
    #[must_use]
    pub fn is_on(&self) -> bool {
        matches!(self, Self::On { .. })
    }

    /// The same in one short word, for whoever asks later.
    #[must_use]
    pub fn summary(&self) -> String {
        match self {
            Self::Off => "off".to_owned(),
            Self::On { privileges, confinement } => format!(
                "capabilities={} no_new_privs={} landlock_abi={}",
                if privileges.no_capabilities { "none" } else { "kept" },
                privileges.no_new_privs,
                confinement.abi
            ),
        }
    }
}

fn shown(paths: &BTreeSet<PathBuf>) -> BTreeSet<String> {
    paths.iter().map(|path| path.display().to_string()).collect()
}

fn list<T: Display>(items: &BTreeSet<T>) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(",")
}

/// What is allowed, in a version of Landlock that refuses the rest.
fn since(version: u8, abi: u8, allowed: String) -> String {
    if abi < version { "anything".to_owned() } else { allowed }
}

/// What this version of Landlock cannot refuse, with the first Linux that can.
fn lacking(abi: u8) -> String {
    const PARTS: [(u8, &str); 5] = [
        (1, "files (5.13)"),
        (3, "truncate (6.2)"),
        (4, "tcp ports (6.7)"),
        (5, "ioctl of devices (6.10)"),
        (6, "signals and abstract sockets (6.12)"),
    ];
    let missing: Vec<_> = PARTS.iter().filter(|(since, _)| abi < *since).map(|(_, what)| *what).collect();
    if missing.is_empty() { "nothing".to_owned() } else { missing.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_older_kernel_lacks_is_named() {
        assert_eq!(lacking(7), "nothing");
        assert_eq!(lacking(5), "signals and abstract sockets (6.12)");
        assert_eq!(
            lacking(3),
            "tcp ports (6.7), ioctl of devices (6.10), signals and abstract sockets (6.12)"
        );
        assert_eq!(since(4, 4, "53,443".to_owned()), "53,443");
        assert_eq!(since(4, 3, "53,443".to_owned()), "anything");
        assert!(lacking(0).starts_with("files (5.13), truncate (6.2), tcp ports (6.7)"), "{}", lacking(0));
    }
}
