use std::io;

use rustix::io::Errno;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set, no_new_privs,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};

/// What [`drop_privileges`] came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Privileges {
    /// Whether no capability is left to this thread.
    pub no_capabilities: bool,
    /// Whether `execve` can give nothing back.
    pub no_new_privs: bool,
    /// Whether a crash leaves no image of the memory behind.
    pub no_core_dumps: bool,
    /// What failed, and why.
    pub failures: Vec<String>,
}

/// Drops every capability from every set, forbids new privileges, and core dumps. Blocks on nothing.
///
/// uid 0 owns the engine's socket, the API's directory and the queue, so none of Docker's 14 capabilities is needed. Memory holds passwords and
/// keys: with `PR_SET_DUMPABLE` off they are neither written to a core file nor read by another process of the same uid. (`RLIMIT_CORE` would
/// not do: a `core_pattern` that pipes ignores it.) The price is that a debugger needs a stronger process.
pub fn drop_privileges() -> Privileges {
    let mut failures = Vec::new();
    let mut tried = |what: &str, result: Result<(), Errno>| {
        if let Err(errno) = result {
            failures.push(format!("{what}: {}", io::Error::from(errno)));
        }
    };
    tried("ambient capabilities", clear_ambient_capability_set());
    // It takes CAP_SETPCAP, so it comes before the rest. Who has none (not root) cannot use what the set allows.
    if has(CapabilitySet::SETPCAP) {
        tried("the bounding set", empty_bounding_set());
    }
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    tried("capabilities", set_capabilities(None, sets));
    tried("no_new_privs", set_no_new_privs(true));
    tried("core dumps", set_dumpable_behavior(DumpableBehavior::NotDumpable));
    Privileges {
        no_capabilities: capabilities(None).is_ok_and(|left| left == sets),
        no_new_privs: no_new_privs().unwrap_or(false),
        no_core_dumps: rustix::process::dumpable_behavior()
            .is_ok_and(|now| now == DumpableBehavior::NotDumpable),
        failures,
    }
}

/// Makes new files and directories of the whole process readable for its own uid alone, whatever umask it was started with. Blocks on nothing.
pub fn keep_files_private() {
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
}

fn has(capability: CapabilitySet) -> bool {
    capabilities(None).is_ok_and(|sets| sets.effective.contains(capability))
}

/// All 64 numbers that the kernel's interface has room for; the first that it does not know ends the list.
fn empty_bounding_set() -> Result<(), Errno> {
    for number in 0..u64::BITS {
        match remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << number)) {
            Ok(()) => {}
            Err(Errno::INVAL) => break,
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}
