//! A cursor file: two slots, written in turn, so that a write that is cut off spoils only the older one.

use std::io;

use super::Position;
use super::files::{Files, Handle, Mode};
use super::format;
use super::segment::SEQUENCE_CEILING;

/// The slots stand in sectors of their own.
const SLOT_DISTANCE: usize = 512;
const FILE_BYTES: usize = 2 * SLOT_DISTANCE;
const PREFIX: &str = "cursor-";

/// The file of an endpoint. Endpoint names are `[A-Za-z0-9_.-]{1,64}`, so they are safe in a file name.
pub(super) fn file_name(endpoint: &str) -> String {
    format!("{PREFIX}{endpoint}")
}

/// The endpoint whose file this is.
pub(super) fn endpoint_of(file: &str) -> Option<&str> {
    file.strip_prefix(PREFIX)
}

/// Generation and position of the newest readable slot.
pub(super) fn load(files: &dyn Files, name: &str) -> io::Result<Option<(u64, Position)>> {
    let file = files.open(name, Mode::Read)?;
    let mut bytes = [0; FILE_BYTES];
    let length = file.len()?.min(FILE_BYTES as u64) as usize;
    file.read_exact_at(&mut bytes[..length], 0)?;
    let slots = [format::read_slot(&bytes), format::read_slot(&bytes[SLOT_DISTANCE..])];
    // Both are counted on from here. What no honest queue reaches is as good as unreadable, whatever its checksum says.
    let honest = |slot: &(u64, Position)| slot.0.max(slot.1.sequence) < SEQUENCE_CEILING;
    Ok(slots.into_iter().flatten().filter(honest).max_by_key(|(generation, _)| *generation))
}

/// Writes one endpoint's cursor file.
pub(super) struct CursorFile {
    name: String,
    generation: u64,
    file: Option<Box<dyn Handle>>,
    unsynced: bool,
}

impl CursorFile {
    /// `generation` is that of the newest slot, 0 when there is none. Touches no file.
    pub(super) fn new(endpoint: &str, generation: u64) -> Self {
        Self { name: file_name(endpoint), generation, file: None, unsynced: false }
    }

    /// Writes the position into the older slot. Whether the file may be new: its name is then to be synced, too.
    pub(super) fn write(&mut self, files: &dyn Files, position: Position) -> io::Result<bool> {
        let (file, new) = match self.file.take() {
            Some(file) => (file, false),
            None => self.open(files)?,
        };
        let generation = self.generation + 1;
        let offset = if generation.is_multiple_of(2) { 0 } else { SLOT_DISTANCE as u64 };
        let written = file.write_all_at(&format::slot(generation, position), offset);
        self.file = Some(file);
        written?;
        self.generation = generation;
        self.unsynced = true;
        Ok(new)
    }

    /// Makes what was written outlive a power loss.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if let Some(file) = &self.file
            && self.unsynced
        {
            file.sync()?;
            self.unsynced = false;
        }
        Ok(())
    }

    /// A new file gets both slots' space at once: a disk that fills up later does not stop the cursor.
    fn open(&self, files: &dyn Files) -> io::Result<(Box<dyn Handle>, bool)> {
        let file = files.open(&self.name, Mode::Update)?;
        let length = file.len()?;
        if length < FILE_BYTES as u64 {
            file.write_all_at(&vec![0; FILE_BYTES - length as usize], length)?;
        }
        Ok((file, length < FILE_BYTES as u64))
    }
}

/// Bytes that a slot really uses, for tests that flip them.
#[cfg(test)]
pub(super) const USED: [std::ops::Range<usize>; 2] =
    [0..format::SLOT, SLOT_DISTANCE..SLOT_DISTANCE + format::SLOT];
