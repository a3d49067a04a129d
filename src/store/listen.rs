//! Who wants to know what commits change, so that nobody who writes has to think of them.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::store::{tables::Table, transaction::Changes};

type Listener = Box<dyn Fn(&[Vec<u8>]) + Send + Sync>;

/// Who listens to which table.
#[derive(Default)]
pub(super) struct Listeners(Mutex<Vec<(Table, Listener)>>);

/// The keys that the closures of one batch changed in the tables that are listened to.
pub(super) struct Heard(BTreeMap<Table, Vec<Vec<u8>>>);

impl Listeners {
    pub(super) fn add(&self, table: Table, listener: Listener) {
        self.all().push((table, listener));
    }

    /// For a batch that begins.
    pub(super) fn listen(&self) -> Heard {
        Heard(
            self.all()
                .iter()
                .map(|(table, _)| (*table, Vec::new()))
                .collect(),
        )
    }

    /// Tells each of them what was committed.
    pub(super) fn tell(&self, heard: &Heard) {
        for (table, listener) in self.all().iter() {
            match heard.0.get(table) {
                Some(keys) if !keys.is_empty() => listener(keys),
                _ => {}
            }
        }
    }

    fn all(&self) -> MutexGuard<'_, Vec<(Table, Listener)>> {
        // Listeners are only ever added, so that a panic leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Heard {
    /// Notes what a closure changed that succeeded.
    pub(super) fn note(&mut self, changes: &Changes) {
        for (table, keys) in &mut self.0 {
            keys.extend(
                changes
                    .get(table)
                    .into_iter()
                    .flat_map(BTreeMap::keys)
                    .cloned(),
            );
        }
    }
}
