//! How much of the sweeper's work one write does, so that no other write waits long for it.
//!
//! Rows alone do not bound a time: a row may cost a microsecond or, on a slow disk, a thousand times
//! as much. So the next step follows from how long the last one took. The store has no clock; the
//! caller measures.

use std::time::Duration;

/// For how long a step may keep the writer from everybody else's writes.
pub const STEP_TIME_MAX: Duration = Duration::from_millis(20);
/// A step that took longer than this is followed by one of half its rows.
const SLOW: Duration = Duration::from_millis(10);
/// A full step that took less than this is followed by one of twice its rows. More than twice less
/// than [`SLOW`], so that the pace does not swing to and fro.
const FAST: Duration = Duration::from_millis(4);
/// Rows of the smallest step. On a disk whose commit alone is slow a smaller one would keep nobody
/// waiting for less, and the sweeper would not keep up.
const ROWS_MIN: usize = 128;
/// Rows of the first step, before anything was measured.
const ROWS_FIRST: usize = 256;
/// Rows of the largest step. Bounds the memory that one takes.
const ROWS_MAX: usize = 8_192;

/// How many rows the next step may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    rows: usize,
}

impl Pace {
    /// Before anything was measured.
    pub const FIRST: Self = Self { rows: ROWS_FIRST };

    /// Rows that the next step may change.
    pub const fn rows(self) -> usize {
        self.rows
    }

    /// The pace after a step that changed `changed` rows and took `took`, in the queue and on the
    /// disk: a busy writer slows the sweeper down as well.
    #[must_use]
    pub fn after(self, changed: usize, took: Duration) -> Self {
        let rows = if took > STEP_TIME_MAX {
            self.rows / 4
        } else if took > SLOW {
            self.rows / 2
        } else if took < FAST && changed >= self.rows {
            self.rows * 2
        } else {
            self.rows
        };
        Self {
            rows: rows.clamp(ROWS_MIN, ROWS_MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    #[test]
    fn a_fast_disk_gets_larger_steps_up_to_the_bound() {
        let mut pace = Pace::FIRST;
        for _ in 0..20 {
            pace = pace.after(pace.rows, MILLISECOND);
        }
        assert_eq!(pace.rows, ROWS_MAX);
    }

    #[test]
    fn a_slow_disk_gets_smaller_ones_down_to_the_bound() {
        let mut pace = Pace { rows: ROWS_MAX };
        for _ in 0..20 {
            pace = pace.after(pace.rows, STEP_TIME_MAX * 2);
        }
        assert_eq!(pace.rows, ROWS_MIN);
    }

    #[test]
    fn a_step_that_had_little_to_do_says_nothing_of_a_larger_one() {
        let pace = Pace { rows: 512 };
        assert_eq!(pace.after(511, MILLISECOND), pace);
        assert_eq!(pace.after(512, MILLISECOND).rows, 1_024);
    }

    /// On a disk that takes a fixed time for a commit and a fixed time for a row, whatever these
    /// are, a pace is found that keeps the writer for less than the bound, if there is one.
    #[test]
    fn it_settles_below_the_bound_on_every_disk() {
        for commit in [100, 1_000, 5_000, 15_000] {
            for row in [1, 10, 50, 200] {
                let took =
                    |rows: usize| Duration::from_micros(commit).saturating_add(cost(row, rows));
                let mut pace = Pace::FIRST;
                for _ in 0..50 {
                    pace = pace.after(pace.rows, took(pace.rows));
                }
                for _ in 0..10 {
                    assert!(
                        took(pace.rows) <= STEP_TIME_MAX || pace.rows == ROWS_MIN,
                        "commit {commit} us, row {row} us: {pace:?}"
                    );
                    pace = pace.after(pace.rows, took(pace.rows));
                }
            }
        }
    }

    fn cost(row_micros: u64, rows: usize) -> Duration {
        Duration::from_micros(row_micros * u64::try_from(rows).expect("rows are few"))
    }
}
