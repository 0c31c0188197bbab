//! What a new process finds of the journals.

use bytes::Bytes;
use tracing::{info, warn};

use super::super::files::{Files, Mode};
use super::super::opening::Opening;
use super::super::recovery::read_whole;
use super::super::segment::SEQUENCE_CEILING;
use super::file::{JournalFile, is_unfinished, journal_of};
use super::format::{self, Scan};
use super::notebook::{Caps, Notebook};

/// Reads every journal; `opening` already tells the next sequence, and gets what was damaged and how many bytes there are.
pub(in crate::queue) fn recover(
    files: &dyn Files,
    names: &[String],
    caps: Caps,
    opening: &mut Opening,
) -> Vec<(Notebook, JournalFile)> {
    for name in names.iter().filter(|name| is_unfinished(name)) {
        if let Err(error) = files.remove(name) {
            warn!(path = %files.path(name).display(), %error, "a journal's unfinished rewriting cannot be removed; it does no harm");
        }
    }
    // Without its cursor nobody knows how far an endpoint had come, so every change counts.
    let unborn = if opening.damage.damaged_cursors > 0 { u64::MAX } else { opening.next };
    let journals = names.iter().filter_map(|name| Some((name, journal_of(name)?)));
    journals
        .map(|(file, name)| recover_one(files, file, Notebook::new(name, caps), unborn, opening))
        .collect()
}

fn recover_one(
    files: &dyn Files,
    file: &str,
    notebook: Notebook,
    unborn: u64,
    opening: &mut Opening,
) -> (Notebook, JournalFile) {
    let path = files.path(file);
    let bytes = match read_whole(files, file) {
        Ok(bytes) => bytes,
        Err(error) => {
            opening.damage.damaged_journal_places += 1;
            warn!(path = %path.display(), %error, "cannot read a journal; its set begins anew");
            let writer = JournalFile::new(notebook.name(), 0);
            return (notebook.recovered(Vec::new(), None), writer);
        }
    };
    let Scan { entries, end, readable, torn_bytes, unborn_bytes, newest, damaged } =
        format::scan(&bytes, unborn);
    // A lost cursor may have stood behind them, and a sequence that came again would bring them back to life.
    opening.next = opening.next.max(newest.saturating_add(1).min(SEQUENCE_CEILING));
    opening.damage.journal_torn_bytes += torn_bytes;
    opening.damage.damaged_journal_places += damaged;
    if damaged > 0 {
        warn!(
            path = %path.display(), places = damaged, entries = entries.len(),
            "a journal is damaged: what is readable counts, and the file is written anew"
        );
    }
    if torn_bytes > 0 {
        warn!(path = %path.display(), bytes = torn_bytes, "the end of a journal was not written completely and is cut off");
    }
    if unborn_bytes > 0 {
        info!(path = %path.display(), bytes = unborn_bytes, "changes of records that a kill has kept from the disk are taken back");
    }
    let clean = torn_bytes + unborn_bytes == 0 || cut(files, file, readable);
    let writer = JournalFile::new(notebook.name(), end);
    opening.journal_bytes += end;
    let usable = clean && damaged == 0;
    let size = end.max(format::FILE_HEADER as u64);
    let entries = entries.into_iter().map(Bytes::from).collect();
    (notebook.recovered(entries, usable.then_some(size)), writer)
}

/// Returns whether the file now ends there.
fn cut(files: &dyn Files, file: &str, end: u64) -> bool {
    let cut = files.open(file, Mode::Update).and_then(|file| file.set_len(end));
    if let Err(error) = &cut {
        warn!(path = %files.path(file).display(), %error, "a journal cannot be cut off at its last good place: it is written anew");
    }
    cut.is_ok()
}
