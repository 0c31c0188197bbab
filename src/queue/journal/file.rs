//! A journal's file, on the queue's thread.

use std::io;

use super::super::files::{Files, Handle, Mode};
use super::format;
use super::notebook::Step;

const PREFIX: &str = "journal-";
const NEW: &str = ".new";

/// The file of a journal.
pub(in crate::queue) fn file_name(journal: &str) -> String {
    format!("{PREFIX}{journal}")
}

/// The journal whose file this is.
pub(in crate::queue) fn journal_of(file: &str) -> Option<&str> {
    file.strip_prefix(PREFIX).filter(|name| !name.ends_with(NEW))
}

/// Whether a rewriting was cut off here.
pub(in crate::queue) fn is_unfinished(file: &str) -> bool {
    file.starts_with(PREFIX) && file.ends_with(NEW)
}

/// Writes one journal's file.
pub(in crate::queue) struct JournalFile {
    name: String,
    file: Option<Box<dyn Handle>>,
    /// Where the next batch goes; 0 where there is not even a header.
    end: u64,
    unsynced: bool,
}

impl JournalFile {
    /// `end` is where the readable part ends. Touches no file.
    pub(in crate::queue) fn new(journal: &str, end: u64) -> Self {
        Self { name: file_name(journal), file: None, end, unsynced: false }
    }

    /// Bytes on disk.
    pub(in crate::queue) fn bytes(&self) -> u64 {
        self.end
    }

    /// Does it, or leaves things so that it can be tried again. Returns whether files were created or removed.
    pub(in crate::queue) fn apply(&mut self, files: &dyn Files, work: &Step) -> io::Result<bool> {
        match work {
            Step::Append { sequence, changes } => self.append(files, *sequence, changes),
            Step::Replace { sequence, changes } => self.replace(files, *sequence, changes),
            Step::Remove => self.remove(files),
        }
    }

    /// Makes what was written outlive a power loss.
    pub(in crate::queue) fn sync(&mut self) -> io::Result<()> {
        if let Some(file) = &self.file
            && self.unsynced
        {
            file.sync()?;
            self.unsynced = false;
        }
        Ok(())
    }

    fn append(&mut self, files: &dyn Files, sequence: u64, changes: &[u8]) -> io::Result<bool> {
        let batch = format::batch(sequence, false, changes).ok_or(io::ErrorKind::FileTooLarge)?;
        let file = match self.file.take() {
            Some(file) => file,
            None => files.open(&self.name, Mode::Update)?,
        };
        let created = self.end == 0;
        let bytes = if created { [&format::file_header()[..], &batch].concat() } else { batch };
        let written = file.write_all_at(&bytes, self.end);
        self.file = Some(file);
        // A part that was written is written over at the next try, or cut off at the next start.
        written?;
        self.end += bytes.len() as u64;
        self.unsynced = true;
        Ok(created)
    }

    /// In a file of its own first: a kill leaves the old one or the new one.
    fn replace(&mut self, files: &dyn Files, sequence: u64, changes: &[u8]) -> io::Result<bool> {
        let batch = format::batch(sequence, true, changes).ok_or(io::ErrorKind::FileTooLarge)?;
        let new = format!("{}{NEW}", self.name);
        let file = files.open(&new, Mode::Fresh)?;
        let header = format::file_header();
        file.write_all_at(&header, 0)?;
        file.write_all_at(&batch, header.len() as u64)?;
        file.sync()?;
        files.rename(&new, &self.name)?;
        self.end = (header.len() + batch.len()) as u64;
        self.file = Some(file);
        self.unsynced = false;
        Ok(true)
    }

    fn remove(&mut self, files: &dyn Files) -> io::Result<bool> {
        match files.remove(&self.name) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        self.file = None;
        self.end = 0;
        Ok(true)
    }
}
