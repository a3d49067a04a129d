//! The sweeper's task: when it looks, how much it takes at once, and how long it rests.
//!
//! Each step is a write like any other and waits its turn in the store's queue. What it will meet is
//! looked at on a snapshot first, so that the writer neither waits for the disk to read it nor
//! commits anything when there is nothing to remove.

use std::{collections::BTreeSet, fmt::Write as _, sync::Arc, time::Duration};

use tokio::{
    task::spawn_blocking,
    time::{Instant, MissedTickBehavior},
};

use crate::{
    audit,
    runtime::clock::Clock,
    store::{
        Store, StoreError,
        sweep::{self, Damaged, Pass, Step},
    },
};

/// How often a pass begins. One that takes longer is followed by the next at once.
const PERIOD: Duration = Duration::from_mins(1);
/// For how long a step may keep the writer from everybody else's writes.
const STEP_TIME_MAX: Duration = Duration::from_millis(20);
/// A step that took longer than this is followed by one of half its rows.
const SLOW: Duration = Duration::from_millis(10);
/// A full step that took less than this is followed by one of twice its rows. More than twice less
/// than [`SLOW`], so that the pace does not swing to and fro.
const FAST: Duration = Duration::from_millis(4);
/// Rows of the smallest step: what a disk that is too slow for anything gets.
const ROWS_MIN: usize = 16;
/// Rows of the first step, before anything was measured.
const ROWS_FIRST: usize = 64;
/// Rows of the largest step. Bounds the memory that one takes.
const ROWS_MAX: usize = 8_192;
/// How long the sweeper rests after a step, in times of what the step took: a third of the writer
/// is the most that it ever has.
const REST_FACTOR: u32 = 2;
/// Damaged rows that are told apart; more are counted only.
const REPORTED_MAX: usize = 1_000;

/// How many rows the next step may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pace {
    rows: usize,
}

impl Pace {
    const FIRST: Self = Self { rows: ROWS_FIRST };

    /// The pace after a step that changed `changed` rows and took `took`, in the queue and on the
    /// disk: a busy writer slows the sweeper down as well.
    fn after(self, changed: usize, took: Duration) -> Self {
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

/// Sweeps what has ended out of the data file, until it is aborted.
pub(super) async fn sweep_for_ever(store: Arc<Store>, clock: Arc<dyn Clock>, kept: Duration) {
    let mut period = tokio::time::interval(PERIOD);
    period.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sweeper = Sweeper {
        store,
        pace: Pace::FIRST,
        reported: BTreeSet::new(),
    };
    loop {
        period.tick().await;
        let pass = Pass::begin(clock.now(), kept);
        if let Err(fault) = sweeper.pass(pass, &*clock).await {
            tracing::error!(%fault, "the sweeper failed; it tries again");
        }
    }
}

struct Sweeper {
    store: Arc<Store>,
    pace: Pace,
    /// The damaged rows that are in the log already.
    reported: BTreeSet<(&'static str, Vec<u8>)>,
}

impl Sweeper {
    /// Removes everything that had ended when `pass` began. How many steps that takes is bounded by
    /// what is in the file at that moment.
    async fn pass(&mut self, mut pass: Pass, clock: &dyn Clock) -> Result<(), StoreError> {
        let (mut changed, mut passed_over) = (0, 0);
        while !pass.is_over() {
            let rows = self.pace.rows;
            let mut step = self.rehearse(pass.clone(), rows).await?;
            if step.changed > 0 {
                let (began, now) = (Instant::now(), clock.now());
                let swept = self
                    .store
                    .write(move |tx| audit::sweep(tx, now, pass, rows));
                step = swept.await?;
                let took = began.elapsed();
                self.pace = self.pace.after(step.changed, took);
                tokio::time::sleep(took * REST_FACTOR).await;
            }
            changed += step.changed;
            passed_over += step.damaged.len();
            self.report(step.damaged);
            pass = step.pass;
        }
        if changed > 0 {
            tracing::debug!(rows = changed, passed_over, "swept");
        }
        Ok(())
    }

    async fn rehearse(&self, pass: Pass, rows: usize) -> Result<Step, StoreError> {
        let store = Arc::clone(&self.store);
        let rehearsed = spawn_blocking(move || store.read(|tx| sweep::rehearse(tx, pass, rows)));
        // Only a panic or the end of the process keeps it from its end.
        rehearsed.await.unwrap_or(Err(StoreError::Panicked))
    }

    /// Says once of each damaged row that it is there.
    fn report(&mut self, damaged: Vec<Damaged>) {
        for Damaged { table, key, reason } in damaged {
            if self.reported.len() >= REPORTED_MAX || !self.reported.insert((table, key.clone())) {
                continue;
            }
            let key = hex(&key);
            tracing::error!(
                table,
                key,
                reason,
                "the sweeper cannot read a row and leaves it; `keystead check` lists all of them"
            );
        }
    }
}

fn hex(key: &[u8]) -> String {
    key.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
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

    #[test]
    fn a_key_is_printed_byte_by_byte() {
        assert_eq!(hex(&[0, 0x1f, 0xff]), "001fff");
    }
}
