use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, NetPort, PathBeneath, PathFd,
    RestrictionStatus, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, Scope,
};
use rustix::fs::{Mode, OFlags};

use super::{Needs, read};

/// The newest rights that are asked for.
const NEWEST: ABI = ABI::V7;

/// Plain DNS, where an answer does not fit into UDP.
const DNS: u16 = 53;

/// What [`confine`] came to.
#[derive(Debug)]
pub struct Confinement {
    /// The version of Landlock in force, 0 for none; at most 7.
    pub abi: u8,
    /// What is read beneath.
    pub read: BTreeSet<PathBuf>,
    /// What is written beneath.
    pub written: BTreeSet<PathBuf>,
    /// TCP ports that may be connected to.
    pub connect: BTreeSet<u16>,
    /// What failed, and why.
    pub failures: Vec<String>,
    /// A rule holds for an inode, and the kernel makes a new one for `/proc/self` when it needs memory, unless somebody holds on to it.
    _own_process: Option<OwnedFd>,
}

/// Confines the calling thread, and those that it will start, to `needs`. Opens the paths among them, so it waits while a file system does.
/// Descriptors that are open stay usable.
pub fn confine(needs: &Needs) -> Confinement {
    let mut confinement = Confinement {
        abi: 0,
        read: needs.files.iter().flat_map(|file| read::with_neighbours(file)).collect(),
        written: needs.writable.iter().cloned().collect(),
        connect: needs.connect.clone(),
        failures: Vec::new(),
        _own_process: None,
    };
    if needs.resolver {
        confinement.read.extend(read::resolver(rustix::process::geteuid().is_root()));
        confinement.connect.insert(DNS);
    }
    if needs.own_process {
        confinement._own_process = hold_own_process();
    }
    match confinement.enforce(needs) {
        Ok(status) => confinement.abi = abi_of(&status),
        Err(error) => confinement.failures.push(format!("landlock: {error}")),
    }
    confinement
}

/// Everything that Landlock knows is refused but what a rule allows.
fn nothing_allowed() -> Result<RulesetCreated, RulesetError> {
    Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()
}

impl Confinement {
    fn enforce(&mut self, needs: &Needs) -> Result<RestrictionStatus, RulesetError> {
        let mut ruleset = nothing_allowed()?;
        for path in &self.read {
            ruleset = allow(ruleset, path, AccessFs::ReadFile.into(), &mut self.failures)?;
        }
        for path in &self.written {
            ruleset = allow(ruleset, path, written(), &mut self.failures)?;
        }
        for path in &needs.removable_in {
            ruleset = allow(ruleset, path, AccessFs::RemoveFile.into(), &mut self.failures)?;
        }
        for path in &needs.sockets_in {
            let access = AccessFs::MakeSock | AccessFs::RemoveFile;
            ruleset = allow(ruleset, path, access, &mut self.failures)?;
        }
        if needs.own_process {
            let access = AccessFs::ReadFile | AccessFs::ReadDir;
            ruleset = allow(ruleset, Path::new("/proc/self"), access, &mut self.failures)?;
        }
        for port in &self.connect {
            ruleset = ruleset.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
        }
        ruleset.restrict_self()
    }
}

/// What the queue does in its directory: no device, no socket, no link, nothing that runs, nothing moved in or out.
fn written() -> BitFlags<AccessFs> {
    AccessFs::ReadFile
        | AccessFs::ReadDir
        | AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::MakeReg
        | AccessFs::MakeDir
        | AccessFs::RemoveFile
}

/// What cannot be opened now is refused later, with words of its own; the rest still holds.
fn allow(
    ruleset: RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
    failures: &mut Vec<String>,
) -> Result<RulesetCreated, RulesetError> {
    match PathFd::new(path) {
        // Rights of directories are none of a file's; the library takes the rest of them as a wish of the caller's.
        Ok(opened) if path.is_file() => {
            ruleset.add_rule(PathBeneath::new(opened, access & AccessFs::from_file(NEWEST)))
        }
        Ok(opened) => ruleset.add_rule(PathBeneath::new(opened, access)),
        Err(error) => {
            failures.push(error.to_string());
            Ok(ruleset)
        }
    }
}

fn hold_own_process() -> Option<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open("/proc/self", flags, Mode::empty()).ok()
}

fn abi_of(status: &RestrictionStatus) -> u8 {
    match status.landlock {
        LandlockStatus::NotEnabled | LandlockStatus::NotImplemented => 0,
        LandlockStatus::Available { effective_abi, .. } => effective_abi.min(NEWEST) as u8,
    }
}
