//! How much of the data file is content, and when it is worth making it smaller.

use std::time::Duration;

/// A file smaller than this is left as it is: what there is to gain is not worth a copy.
pub const COMPACTED_BYTES_MIN: u64 = 64 << 20;
/// How many times its content a file may be. In steady use it stays below half of that (see
/// `docs/storage.md`), so only much that ended, or was removed, leaves a file beyond it.
pub const FACTOR_MAX: u64 = 4;
/// For how long nothing has to have changed: a compaction copies everything, and a busy disk has
/// other things to do.
pub const IDLE_MIN: Duration = Duration::from_mins(10);

/// The sizes of a data file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Of the whole file.
    pub file_bytes: u64,
    /// Of the keys and values in it.
    pub live_bytes: u64,
}

impl Sizes {
    /// Whether a file of these sizes, to which nothing was written for `idle_for`, is to be
    /// compacted.
    pub fn is_worth_compacting(self, idle_for: Duration) -> bool {
        idle_for >= IDLE_MIN
            && self.file_bytes >= COMPACTED_BYTES_MIN
            && self.file_bytes / FACTOR_MAX > self.live_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGE: Sizes = Sizes {
        file_bytes: 4 * COMPACTED_BYTES_MIN,
        live_bytes: 1,
    };

    #[test]
    fn a_large_file_with_little_in_it_is_compacted_once_it_is_idle() {
        assert!(LARGE.is_worth_compacting(IDLE_MIN));
        assert!(!LARGE.is_worth_compacting(IDLE_MIN.saturating_sub(Duration::from_millis(1))));
    }

    #[test]
    fn a_small_file_is_left_however_little_is_in_it() {
        let at_the_bound = Sizes {
            file_bytes: COMPACTED_BYTES_MIN,
            ..LARGE
        };
        let below = Sizes {
            file_bytes: COMPACTED_BYTES_MIN - 1,
            ..LARGE
        };
        assert!(at_the_bound.is_worth_compacting(IDLE_MIN));
        assert!(!below.is_worth_compacting(IDLE_MIN));
    }

    #[test]
    fn a_file_that_is_full_of_what_lives_is_left() {
        let at_the_bound = Sizes {
            live_bytes: LARGE.file_bytes / FACTOR_MAX,
            ..LARGE
        };
        let beyond = Sizes {
            live_bytes: LARGE.file_bytes / FACTOR_MAX - 1,
            ..LARGE
        };
        assert!(!at_the_bound.is_worth_compacting(IDLE_MIN));
        assert!(beyond.is_worth_compacting(IDLE_MIN));
    }
}
