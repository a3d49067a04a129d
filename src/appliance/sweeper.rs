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
        sweep::{self, Damaged, Pass, Step},
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
            let rows = self.pace.rows();
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

    #[test]
    fn a_key_is_printed_byte_by_byte() {
        assert_eq!(hex(&[0, 0x1f, 0xff]), "001fff");
    }
}
