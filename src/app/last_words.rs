//! What a process says at its end: the ledger of each endpoint, and what becomes of the samples that are left.

use tracing::{info, warn};

use super::is_mount_point;
use crate::config::Mode;
use crate::queue::{Ledger, Storage};

/// The last line of each endpoint's ledger: with it the books of one process after the other can be checked against what a receiver holds.
/// `unconfirmed` is a part of `delivered`, and in no sum.
pub(super) fn say(
    ledgers: &[(String, Ledger)],
    unconfirmed: impl Iterator<Item = u64>,
    mode: Mode,
    storage: &Storage,
) {
    // dockerd says nothing to a plugin that is to be upgraded: any end may be the one before.
    let upgrade_wipes = match (mode, storage) {
        (Mode::Plugin, Storage::Disk(dir)) => !is_mount_point(dir),
        (Mode::Plugin, Storage::Memory) | (Mode::Run, Storage::Disk(_) | Storage::Memory) => false,
    };
    for ((endpoint, ledger), unconfirmed) in ledgers.iter().zip(unconfirmed) {
        let Ledger { appended, recovered, delivered, rejected, expired, overflowed, lost_at_exit, pending } =
            ledger;
        info!(%endpoint, appended, recovered, delivered, unconfirmed, rejected, expired, overflowed, lost_at_exit, pending, "the ledger at the end");
        if ledger.lost_at_exit > 0 {
            warn!(%endpoint, samples = ledger.lost_at_exit, "undelivered samples are lost: the queue was in memory");
        } else if ledger.pending > 0 && upgrade_wipes {
            warn!(%endpoint, samples = ledger.pending, "undelivered samples stay in the queue; the next start sends them, but a plugin upgrade before that wipes them");
        } else if ledger.pending > 0 {
            info!(%endpoint, samples = ledger.pending, "undelivered samples stay in the queue; the next start sends them");
        }
    }
    info!("stopped");
}
