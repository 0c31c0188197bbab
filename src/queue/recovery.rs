//! What a new process finds in the directory. Nothing that can be read is deleted.

use std::io;

use tracing::{error, info, warn};

use super::account::Account;
use super::cursor::CursorFile;
use super::files::{Files, LOCK, Mode};
use super::format::{self, FileHeader, Scan};
use super::index::{Entry, Index};
use super::journal::file::{JournalFile, is_unfinished, journal_of};
use super::journal::notebook::{Caps, Notebook};
use super::opening::Opening;
use super::segment::{SEQUENCE_CEILING, file_name, first_of};
use super::shelf::Segment;
use super::{Damage, Position, RemovedEndpoint, cursor, journal};

/// Larger than any segment that this program writes (1 MiB and one record); what is larger was not written by it.
const MAX_FILE_BYTES: u64 = 64 << 20;
/// More numbers than a segment can use: those of one that cannot be read stay its own.
const MAX_RECORDS: u64 = MAX_FILE_BYTES / format::RECORD_HEADER as u64;
/// Sequence 0 is kept free, so that the default position is before everything.
const FIRST_SEQUENCE: u64 = 1;

/// All that the queue's thread starts from.
pub(super) struct Recovered {
    pub(super) opening: Opening,
    /// First sequence and length of the newest segment, if it may be appended to.
    pub(super) resume: Option<(u64, u64)>,
    pub(super) cursors: Vec<CursorFile>,
    pub(super) journals: Vec<(Notebook, JournalFile)>,
}

enum Inspected {
    Ours { segment: Segment, entries: Vec<Entry>, appendable: bool },
    LeftAlone,
}

/// Reads everything; truncates torn tails; removes cursors of endpoints that are no longer configured.
pub(super) fn recover(files: &dyn Files, endpoints: &[String], caps: Caps) -> io::Result<Recovered> {
    let mut names = files.list()?;
    names.sort();
    report_foreign(&names, files);

    let mut opening = Opening { next: FIRST_SEQUENCE, ..Opening::default() };
    let mut resume = None;
    let firsts: Vec<u64> = names.iter().filter_map(|name| first_of(name)).collect();
    for (at, first) in firsts.iter().copied().enumerate() {
        let end = firsts.get(at + 1).copied().unwrap_or(SEQUENCE_CEILING);
        // A file keeps its name's number for itself, even if nothing in it can be read.
        opening.next = opening.next.max(first + 1);
        resume = None;
        match inspect(files, first, end, &mut opening.damage) {
            Inspected::LeftAlone => opening.next = opening.next.max(first + MAX_RECORDS),
            Inspected::Ours { segment, entries, appendable } => {
                opening.next = opening.next.max(segment.last + 1);
                resume = appendable.then_some((segment.first, segment.bytes));
                opening.entries.extend(entries);
                opening.segments.push(segment);
            }
        }
    }

    let cursors = recover_cursors(files, &names, endpoints, &mut opening);
    let journals = journal::recovery::recover(files, &names, caps, &mut opening);
    report(&opening, files);
    Ok(Recovered { opening, resume, cursors, journals })
}

fn inspect(files: &dyn Files, first: u64, end: u64, damage: &mut Damage) -> Inspected {
    let name = file_name(first);
    let path = files.path(&name);
    let bytes = match read_whole(files, &name) {
        Ok(bytes) => bytes,
        Err(error) => {
            error!(path = %path.display(), error = %error, "cannot read a segment; it is left alone, and its records are passed over");
            damage.unreadable_segments += 1;
            return Inspected::LeftAlone;
        }
    };
    let header = format::read_segment_header(&bytes);
    if let FileHeader::Unknown(version) = header {
        error!(path = %path.display(), version, "a segment of an unknown version is left alone; it was written by another release");
        damage.unknown_segments += 1;
        return Inspected::LeftAlone;
    }
    let scan = format::scan(&bytes, first..end);
    damage.damaged_records += scan.damaged_records;
    damage.damaged_bytes += scan.damaged_bytes;
    damage.damaged_samples += scan.damaged_samples;
    if scan.damaged_records > 0 {
        warn!(
            path = %path.display(), places = scan.damaged_records, bytes = scan.damaged_bytes, samples = scan.damaged_samples,
            "damaged records are skipped, everything around them is kept"
        );
    }
    let clean = scan.torn_bytes == 0 || cut_tail(files, &name, &scan, damage);
    let entries: Vec<Entry> = scan.records.iter().filter_map(entry).collect();
    let segment = Segment { first, last: scan.next.saturating_sub(1), bytes: scan.end as u64 };
    Inspected::Ours { segment, entries, appendable: clean && header == FileHeader::Current }
}

fn entry(found: &format::Found) -> Option<Entry> {
    let header = found.header;
    Some(Entry {
        sequence: header.sequence,
        min_timestamp: header.meta.min_timestamp,
        samples: header.meta.samples,
        length: header.length,
        // Cannot fail: files of more than 64 MiB are not read.
        offset: u32::try_from(found.offset).ok()?,
    })
}

/// Returns whether the file now ends behind its last record.
fn cut_tail(files: &dyn Files, name: &str, scan: &Scan, damage: &mut Damage) -> bool {
    damage.torn_tails += 1;
    damage.torn_bytes += scan.torn_bytes as u64;
    let path = files.path(name);
    let cut = files.open(name, Mode::Update).and_then(|file| file.set_len(scan.end as u64));
    match &cut {
        Ok(()) => warn!(
            path = %path.display(), bytes = scan.torn_bytes,
            "the end of a segment was not written completely and is cut off; everything before it is kept"
        ),
        Err(error) => warn!(
            path = %path.display(), bytes = scan.torn_bytes, error = %error,
            "the end of a segment was not written completely and cannot be cut off; a new segment is begun"
        ),
    }
    cut.is_ok()
}

pub(super) fn read_whole(files: &dyn Files, name: &str) -> io::Result<Vec<u8>> {
    let file = files.open(name, Mode::Read)?;
    let length = file.len()?;
    if length > MAX_FILE_BYTES {
        return Err(io::Error::other(format!("{length} bytes are more than any segment has")));
    }
    let mut bytes = vec![0; length as usize];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

fn recover_cursors(
    files: &dyn Files,
    names: &[String],
    endpoints: &[String],
    opening: &mut Opening,
) -> Vec<CursorFile> {
    let mut index = Index::default();
    opening.entries.iter().for_each(|entry| index.push(*entry));

    let mut loaded = Vec::new();
    for name in names {
        let Some(endpoint) = cursor::endpoint_of(name) else { continue };
        let slot = cursor::load(files, name).unwrap_or_else(|error| {
            warn!(path = %files.path(name).display(), error = %error, "cannot read a cursor");
            None
        });
        if let Some((_, position)) = slot {
            // A record that this cursor stands in, and that is gone, must not lend its number to a new one.
            opening.next = opening.next.max(position.sequence + u64::from(position.entry > 0));
        }
        loaded.push((endpoint, slot));
    }

    let oldest = index.first_from(0).map_or(opening.next, |entry| entry.sequence);
    let oldest = Position { sequence: oldest, entry: 0 };
    let newest = Position { sequence: opening.next, entry: 0 };
    for (endpoint, slot) in loaded.iter().filter(|(name, _)| !endpoints.iter().any(|known| known == name)) {
        let from = slot.map_or(oldest, |(_, position)| position);
        opening.removed.push(remove_cursor(files, endpoint, index.samples_between(from, newest)));
    }

    let mut cursors = Vec::new();
    for endpoint in endpoints {
        let known = loaded.iter().find(|(name, _)| name == endpoint);
        let (position, persisted, generation) = match known {
            Some((_, Some((generation, position)))) => {
                (settled(&index, *position), Some(*position), *generation)
            }
            Some((_, None)) => {
                opening.damage.damaged_cursors += 1;
                warn!(endpoint = %endpoint, "its cursor is unreadable; it starts at the oldest record and repeats what it had taken of the queue");
                (oldest, None, 0)
            }
            None if endpoints.len() == 1 => (oldest, None, 0),
            None => (newest, None, 0),
        };
        if known.is_none() {
            info!(endpoint = %endpoint, sequence = position.sequence, end = opening.next, "a new endpoint gets a cursor");
        }
        opening.accounts.push(Account::new(endpoint, position, persisted));
        cursors.push(CursorFile::new(endpoint, generation));
    }
    cursors
}

/// A cursor never stands inside a record that is not there.
fn settled(index: &Index, position: Position) -> Position {
    let samples = index.get(position.sequence).map_or(0, |entry| entry.samples);
    if position.entry > 0 && position.entry >= samples {
        return Position { sequence: position.sequence + 1, entry: 0 };
    }
    position
}

fn remove_cursor(files: &dyn Files, endpoint: &str, samples: u64) -> RemovedEndpoint {
    let removed = files.remove(&cursor::file_name(endpoint));
    match removed {
        Ok(()) => warn!(
            endpoint = %endpoint, samples,
            "no endpoint has this name any more: its cursor is removed; samples it had not taken are counted as endpoint_removed"
        ),
        Err(error) => warn!(
            endpoint = %endpoint, samples, error = %error,
            "no endpoint has this name any more, and its cursor cannot be removed: tried again at the next start"
        ),
    }
    RemovedEndpoint { name: endpoint.to_owned(), samples }
}

fn report_foreign(names: &[String], files: &dyn Files) {
    let ours = |name: &&String| {
        first_of(name).is_some()
            || cursor::endpoint_of(name).is_some()
            || journal_of(name).is_some()
            || is_unfinished(name)
            || name.as_str() == LOCK
    };
    let foreign: Vec<&str> = names.iter().filter(|name| !ours(name)).map(String::as_str).collect();
    if !foreign.is_empty() {
        let examples = foreign.iter().take(5).copied().collect::<Vec<_>>().join(", ");
        info!(path = %files.path("").display(), count = foreign.len(), examples = %examples, "files that are not the queue's own are left alone");
    }
}

fn report(opening: &Opening, files: &dyn Files) {
    info!(
        path = %files.path("").display(),
        segments = opening.segments.len(),
        records = opening.entries.len(),
        next = opening.next,
        "queue opened"
    );
}
