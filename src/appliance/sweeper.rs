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
        pace::Pace,
        sweep::{self, Damaged, Kept, Pass, Step},
    },
};

/// How often a pass begins. One that takes longer is followed by the next at once.
const PERIOD: Duration = Duration::from_mins(1);
/// How long the sweeper rests after a step, in times of what the step took: a third of the writer
/// is the most that it ever has.
const REST_FACTOR: u32 = 2;
/// Damaged rows that are told apart; more are counted only.
const REPORTED_MAX: usize = 1_000;

/// Sweeps what has ended out of the data file, until it is aborted.
pub(super) async fn sweep_for_ever(store: Arc<Store>, clock: Arc<dyn Clock>, kept: Kept) {
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
            let rows = self.pace.rows();
            let mut step = self.rehearse(pass.clone(), rows).await?;
            if step.changed > 0 {
                let (began, now) = (Instant::now(), clock.now());
                let swept = self
                    .store
                    .write(move |tx| audit::sweep(tx, now, pass, rows));
                step = swept.await?;
                let took = began.elapsed();
                let figures = self.store.figures();
                figures.sweeps.add_one();
                figures.swept_rows.add(step.changed as u64);
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
    use crate::{
        model::{id::Id, timestamp::Timestamp},
        runtime::{clock::ManualClock, entropy::SeededEntropy},
        store::{Keys, Read as _, Table, grants},
    };

    /// More than one step takes.
    const ENDED: u64 = 1_000;
    const NOW: Timestamp = Timestamp::from_millis(10_000);

    fn consent(number: u64) -> Id {
        let mut bytes = [0; 16];
        bytes[8..].copy_from_slice(&number.to_be_bytes());
        Id::from_bytes(bytes)
    }

    /// A sweeper of a store in which much has ended, one thing has not, and one cannot be read.
    async fn sweeper() -> Sweeper {
        let store = Store::in_memory(&SeededEntropy::new(1)).expect("memory");
        let written = store.write(|tx| {
            tx.put(Table::SpentConsents, consent(0).as_bytes(), vec![1]);
            for number in 1..=ENDED {
                grants::spend_consent(tx, consent(number), NOW)?;
            }
            grants::spend_consent(tx, consent(ENDED + 1), Timestamp::NEVER)
        });
        assert!(written.await.expect("a write"));
        Sweeper {
            store: Arc::new(store),
            pace: Pace::FIRST,
            reported: BTreeSet::new(),
        }
    }

    #[tokio::test]
    async fn a_pass_removes_what_has_ended_and_says_once_what_it_cannot_read() {
        let (mut sweeper, clock) = (sweeper().await, ManualClock::new(NOW));
        for _ in 0..2 {
            let pass = Pass::begin(NOW, Kept::FOR_GOOD);
            sweeper.pass(pass, &clock).await.expect("a pass");
            let left = sweeper
                .store
                .read(|tx| tx.scan(Table::SpentConsents, &Keys::ALL, 9));
            let left: Vec<_> = left
                .expect("a scan")
                .into_iter()
                .map(|(key, _)| key)
                .collect();
            assert_eq!(
                left,
                [consent(0), consent(ENDED + 1)].map(|id| id.as_bytes().to_vec())
            );
            let key = consent(0).as_bytes().to_vec();
            assert_eq!(
                sweeper.reported,
                BTreeSet::from([("spent_consents_v1", key)])
            );
        }
    }

    /// An access token, its entry in the audit log and the log's new beginning.
    const ROWS_OF_A_TOKEN: u32 = 3;

    #[test]
    fn a_slow_disk_keeps_up_with_a_million_tokens_an_hour() {
        let commit = Duration::from_millis(20);
        let mut pace = Pace::FIRST;
        for _ in 0..20 {
            pace = pace.after(pace.rows(), commit);
        }
        let step = commit * (1 + REST_FACTOR);
        let rows = Duration::from_hours(1).as_millis() / step.as_millis() * pace.rows() as u128;
        assert!(rows >= 1_000_000 * u128::from(ROWS_OF_A_TOKEN), "{rows}");
    }

    #[tokio::test]
    async fn no_more_damaged_rows_are_told_apart_than_the_bound() {
        let mut sweeper = sweeper().await;
        let damaged = |number: usize| Damaged {
            table: "t",
            key: number.to_be_bytes().to_vec(),
            reason: String::new(),
        };
        sweeper.report((0..REPORTED_MAX + 5).map(damaged).collect());
        assert_eq!(sweeper.reported.len(), REPORTED_MAX);
    }

    #[test]
    fn a_key_is_printed_byte_by_byte() {
        assert_eq!(hex(&[0, 0x1f, 0xff]), "001fff");
    }
}
