//! A file system that fails, blocks and writes halves when it is told to.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex};

use rustix::io::Errno;

use super::super::files::{Directory, Files, Handle, Mode};
use super::super::floor::Space;

/// Shared by the test and by every file.
#[derive(Clone, Default)]
pub(super) struct Sabotage(Arc<(Mutex<Plan>, Condvar)>);

#[derive(Default)]
struct Plan {
    frozen: bool,
    hanging: usize,
    /// Operations on files of this prefix answer so; of a write, that many bytes are done all the same.
    write: Option<(&'static str, Errno, usize)>,
    /// So many writes are still good.
    good_writes: usize,
    read: Option<(&'static str, Errno)>,
    set_len: Option<Errno>,
    remove: Option<Errno>,
    sync: Option<Errno>,
    /// So many writes panic.
    panics: usize,
    syncs: usize,
    /// Bytes that the file system says are free.
    available: Option<u64>,
}

impl Sabotage {
    pub(super) fn freeze(&self) {
        self.0.0.lock().unwrap().frozen = true;
    }

    pub(super) fn thaw(&self) {
        self.0.0.lock().unwrap().frozen = false;
        self.0.1.notify_all();
    }

    pub(super) fn hanging(&self) -> bool {
        self.0.0.lock().unwrap().hanging > 0
    }

    pub(super) fn fail_writes(&self, prefix: &'static str, errno: Errno, after: usize) {
        self.0.0.lock().unwrap().write = Some((prefix, errno, after));
    }

    /// After so many more writes (of a header, or of a payload) to such files.
    pub(super) fn fill_after(&self, prefix: &'static str, errno: Errno, writes: usize) {
        let mut plan = self.0.0.lock().unwrap();
        plan.write = Some((prefix, errno, 0));
        plan.good_writes = writes;
    }

    pub(super) fn fail_reads(&self, prefix: &'static str, errno: Errno) {
        self.0.0.lock().unwrap().read = Some((prefix, errno));
    }

    pub(super) fn fail_set_len(&self, errno: Errno) {
        self.0.0.lock().unwrap().set_len = Some(errno);
    }

    pub(super) fn fail_removes(&self, errno: Errno) {
        self.0.0.lock().unwrap().remove = Some(errno);
    }

    pub(super) fn fail_syncs(&self, errno: Errno) {
        self.0.0.lock().unwrap().sync = Some(errno);
    }

    pub(super) fn panic_at_writes(&self, panics: usize) {
        self.0.0.lock().unwrap().panics = panics;
    }

    pub(super) fn leave_free(&self, bytes: u64) {
        self.0.0.lock().unwrap().available = Some(bytes);
    }

    pub(super) fn syncs(&self) -> usize {
        self.0.0.lock().unwrap().syncs
    }

    pub(super) fn heal(&self) {
        let mut plan = self.0.0.lock().unwrap();
        *plan = Plan { frozen: plan.frozen, hanging: plan.hanging, syncs: plan.syncs, ..Plan::default() };
    }

    /// Hangs while the file system is frozen, then answers what the plan says.
    fn pass<T>(&self, choose: impl FnOnce(&mut Plan) -> Option<T>) -> Option<T> {
        let mut plan = self.0.0.lock().unwrap();
        plan.hanging += 1;
        plan = self.0.1.wait_while(plan, |plan| plan.frozen).unwrap();
        plan.hanging -= 1;
        choose(&mut plan)
    }

    fn check(&self, choose: impl FnOnce(&mut Plan) -> Option<Errno>) -> io::Result<()> {
        self.pass(choose).map_or(Ok(()), |errno| Err(errno.into()))
    }
}

/// A real directory behind [`Sabotage`].
pub(super) struct FaultyFiles {
    inner: Directory,
    faults: Sabotage,
}

struct FaultyHandle {
    name: String,
    inner: Box<dyn Handle>,
    faults: Sabotage,
}

impl FaultyFiles {
    pub(super) fn new(inner: Directory, faults: Sabotage) -> Self {
        Self { inner, faults }
    }
}

impl Files for FaultyFiles {
    fn list(&self) -> io::Result<Vec<String>> {
        self.inner.list()
    }

    fn open(&self, name: &str, mode: Mode) -> io::Result<Box<dyn Handle>> {
        self.faults.check(|_| None)?;
        let inner = self.inner.open(name, mode)?;
        Ok(Box::new(FaultyHandle { name: name.to_owned(), inner, faults: self.faults.clone() }))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.faults.check(|plan| plan.remove)?;
        self.inner.remove(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.faults.check(|_| None)?;
        self.inner.rename(from, to)
    }

    fn sync(&self) -> io::Result<()> {
        self.faults.check(|plan| plan.sync)?;
        self.inner.sync()
    }

    fn space(&self) -> io::Result<Space> {
        let available = self.faults.pass(|plan| plan.available);
        Ok(Space { available: available.unwrap_or(1 << 40), total: 1 << 40 })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.inner.path(name)
    }
}

impl Handle for FaultyHandle {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let ours = |(prefix, errno): (&str, Errno)| self.name.starts_with(prefix).then_some(errno);
        self.faults.check(|plan| plan.read.and_then(ours))?;
        self.inner.read_exact_at(buffer, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let panics = self.faults.pass(|plan| {
            let left = plan.panics.checked_sub(1)?;
            plan.panics = left;
            Some(())
        });
        if panics.is_some() {
            self.inner.write_all_at(&bytes[..bytes.len() / 2], offset)?;
            panic!("half of a write, as it was told");
        }
        let fault = self.faults.pass(|plan| {
            let fault = plan.write.filter(|(prefix, ..)| self.name.starts_with(prefix))?;
            let good = plan.good_writes > 0;
            plan.good_writes = plan.good_writes.saturating_sub(1);
            (!good).then_some(fault)
        });
        match fault {
            None => self.inner.write_all_at(bytes, offset),
            Some((_, errno, after)) => {
                self.inner.write_all_at(&bytes[..after.min(bytes.len())], offset)?;
                Err(errno.into())
            }
        }
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.faults.check(|plan| plan.set_len)?;
        self.inner.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.faults.check(|plan| {
            plan.syncs += 1;
            plan.sync
        })?;
        self.inner.sync()
    }
}
