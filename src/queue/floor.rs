//! How much of the file system is left to others.

/// 512 MiB: dockerd, images and logs live on the same file system as the plugin.
const DEFAULT_BYTES: u64 = 512 << 20;
/// Of the file system. A mount of a few hundred MiB that is there for the queue would otherwise never be used.
const DEFAULT_SHARE: u64 = 10;

/// What a file system says of itself, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Space {
    /// Free for processes without privileges.
    pub(super) available: u64,
    /// All of it.
    pub(super) total: u64,
}

/// Less would be left than shall be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Short {
    /// Bytes.
    pub(super) available: u64,
    /// `QUEUE_MIN_FREE_DISK`.
    pub(super) floor: u64,
}

/// Whether records may be written. Pure: it is told what is free.
#[derive(Debug)]
pub(super) struct Floor {
    setting: Option<u64>,
    below: bool,
}

impl Floor {
    /// `None`: 512 MiB, or a tenth of the file system where that is less. 0: no floor.
    pub(super) fn new(setting: Option<u64>) -> Self {
        Self { setting, below: false }
    }

    /// Whether `needed` bytes may go. After a no an eighth of the floor must be free on top of it, so that the queue does
    /// not turn back and forth with every file that others make and remove.
    pub(super) fn admit(&mut self, space: Space, needed: u64) -> Result<(), Short> {
        let floor = self.setting.unwrap_or(DEFAULT_BYTES.min(space.total / DEFAULT_SHARE));
        let margin = if self.below { floor / 8 } else { 0 };
        let left = space.available.checked_sub(needed);
        self.below = floor > 0 && left.is_none_or(|left| left < floor.saturating_add(margin));
        if self.below { Err(Short { available: space.available, floor }) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn admits(floor: &mut Floor, available: u64, needed: u64) -> bool {
        floor.admit(Space { available, total: 100 << 30 }, needed).is_ok()
    }

    #[test]
    fn a_write_that_would_leave_less_than_the_floor_is_not_admitted_until_an_eighth_more_is_free() {
        let mut floor = Floor::new(Some(80));
        assert!(admits(&mut floor, 90, 10));
        assert!(!admits(&mut floor, 89, 10));
        assert!(!admits(&mut floor, 99, 10), "the tenth of the way back is not enough");
        assert!(admits(&mut floor, 100, 10));
        assert!(admits(&mut floor, 90, 10), "and then the floor itself counts again");
        assert!(!admits(&mut floor, 5, 10));
    }

    #[test]
    fn the_default_is_512_mib_or_a_tenth_of_a_small_file_system() {
        let mut floor = Floor::new(None);
        let mut at =
            |available, total| floor.admit(Space { available, total }, 0).map_err(|short| short.floor);
        assert_eq!(at(512 * MIB, 100 << 30), Ok(()));
        assert_eq!(at(511 * MIB, 100 << 30), Err(512 * MIB));
        assert_eq!(at(60 * MIB, 64 * MIB), Ok(()));
        assert_eq!(at(6 * MIB, 64 * MIB), Err(64 * MIB / 10));
    }

    #[test]
    fn what_was_set_is_taken_as_it_is_and_0_is_no_floor() {
        let full = Space { available: 0, total: 64 * MIB };
        assert_eq!(Floor::new(Some(0)).admit(full, 10), Ok(()));
        let small = Space { available: 64 * MIB, total: 64 * MIB };
        let short = Short { available: 64 * MIB, floor: 512 * MIB };
        assert_eq!(Floor::new(Some(512 * MIB)).admit(small, 10), Err(short));
    }
}
