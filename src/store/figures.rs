//! What is counted of the data file.

use crate::{
    metrics::{Counter, Gauge, Histogram, counters},
    model::audit::Action,
};

/// Upper bounds for how many writes share a commit: powers of two up to
/// [`BATCH_MAX`](crate::store::BATCH_MAX).
static BATCH_SIZES: [u64; 11] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024];

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is durable.
    Committed,
    /// Its own closure refused, so that nothing changed.
    Refused,
    /// The file did not take it.
    Failed,
    /// There was no room in the queue.
    QueueFull,
}

impl Fate {
    /// Every fate, in the order of their declaration.
    pub const ALL: [Self; 4] = [
        Self::Committed,
        Self::Refused,
        Self::Failed,
        Self::QueueFull,
    ];

    /// What it is called.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::QueueFull => "queue_full",
        }
    }
}

/// How many audit entries of each action.
pub(super) type Actions = [u32; Action::ALL.len()];

/// What is counted of one store.
#[derive(Debug)]
pub struct Figures {
    writes: [Counter; Fate::ALL.len()],
    actions: [Counter; Action::ALL.len()],
    /// How many writes shared each commit.
    pub batches: Histogram,
    /// How long each commit took, from its beginning to the second sync.
    pub commits: Histogram,
    /// Writes that wait.
    pub queued: Gauge,
    /// 1 while the file takes writes, 0 while it is tried anew.
    pub is_writable: Gauge,
    /// How often the file failed.
    pub faults: Counter,
    /// Steps of the sweeper that changed something.
    pub sweeps: Counter,
    /// Rows that they changed.
    pub swept_rows: Counter,
    /// Compactions that made the file smaller.
    pub compactions: Counter,
    /// Compactions that were given up.
    pub compactions_failed: Counter,
}

impl Figures {
    pub(super) fn new() -> Self {
        let is_writable = Gauge::default();
        is_writable.set(1);
        Self {
            writes: counters(),
            actions: counters(),
            batches: Histogram::new(&BATCH_SIZES),
            commits: Histogram::of_durations(),
            queued: Gauge::default(),
            is_writable,
            faults: Counter::default(),
            sweeps: Counter::default(),
            swept_rows: Counter::default(),
            compactions: Counter::default(),
            compactions_failed: Counter::default(),
        }
    }

    /// How many writes had that fate.
    pub fn writes(&self, fate: Fate) -> u64 {
        self.writes[fate as usize].get()
    }

    /// How many entries of that action the audit log got, durably.
    pub fn actions(&self, action: Action) -> u64 {
        self.actions[action as usize].get()
    }

    pub(super) fn wrote(&self, fate: Fate, writes: usize) {
        self.writes[fate as usize].add(writes as u64);
    }

    pub(super) fn noted(&self, actions: &Actions) {
        for (counter, times) in self.actions.iter().zip(actions) {
            if *times > 0 {
                counter.add((*times).into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::BATCH_MAX;

    #[test]
    fn every_kind_stands_at_its_place() {
        for (place, fate) in Fate::ALL.into_iter().enumerate() {
            assert_eq!(fate as usize, place);
        }
        for (place, action) in Action::ALL.into_iter().enumerate() {
            assert_eq!(action as usize, place, "{action:?}");
        }
    }

    #[test]
    fn the_largest_batch_has_a_bound_of_its_own() {
        assert!(BATCH_SIZES.is_sorted_by(|one, next| one < next));
        assert_eq!(BATCH_SIZES.last(), Some(&(BATCH_MAX as u64)));
    }
}
