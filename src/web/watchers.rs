//! Who watches their inbox now, and what each of them has not been told yet.
//!
//! What happened to an inbox comes from the store, whoever wrote it ([`notifications::listen`]): a
//! write cannot forget to tell. A watcher is told *that* something is to be looked at and reads it
//! from the store, so that it never shows what is not durable.
//!
//! [`notifications::listen`]: crate::store::notifications::listen

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::mpsc;

use crate::model::id::Id;

/// Watchers of one user at the most: tabs and devices.
pub const WATCHERS_PER_USER_MAX: usize = 64;
/// Watchers of everybody together at the most. Over WebSocket they are no longer among the
/// connections that `http/` counts.
pub const WATCHERS_MAX: usize = 8_192;
/// What may wait for one watcher; one more and it is given up, and catches up by listing.
pub const WAITING_MAX: usize = 32;
/// Entries of one user that one commit tells one by one; beyond it their watchers are told that
/// much has changed.
pub const ENTRIES_PER_COMMIT_MAX: usize = 8;

/// What a watcher is to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// This entry was added, changed or removed.
    Entry(Id),
    /// Many were.
    Many,
}

/// Why nobody may watch now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Crowded {
    /// The user has as many watchers as they may have.
    #[error("expected at most {WATCHERS_PER_USER_MAX} open streams of one user, found as many")]
    User,
    /// The box has.
    #[error("expected at most {WATCHERS_MAX} open streams, found as many")]
    Box,
}

/// Everybody who watches.
#[derive(Clone, Debug, Default)]
pub struct Watchers(Arc<Mutex<Seats>>);

#[derive(Debug, Default)]
struct Seats {
    by_user: HashMap<Id, Vec<Seat>>,
    taken: usize,
    next_number: u64,
}

/// Where one watcher is told. It is kept until the watcher leaves; without a sender it was given up.
#[derive(Debug)]
struct Seat {
    number: u64,
    sender: Option<mpsc::Sender<Event>>,
}

/// One watcher. It leaves when it is dropped.
#[derive(Debug)]
pub struct Watching {
    watchers: Watchers,
    user_id: Id,
    number: u64,
    events: mpsc::Receiver<Event>,
}

impl Watchers {
    /// From here on `user_id` is told what happens to their inbox.
    pub fn watch(&self, user_id: Id) -> Result<Watching, Crowded> {
        let mut seats = self.seats();
        if seats.taken >= WATCHERS_MAX {
            return Err(Crowded::Box);
        }
        let number = seats.next_number;
        let of_user = seats.by_user.entry(user_id).or_default();
        if of_user.len() >= WATCHERS_PER_USER_MAX {
            return Err(Crowded::User);
        }
        let (sender, events) = mpsc::channel(WAITING_MAX);
        of_user.push(Seat {
            number,
            sender: Some(sender),
        });
        seats.next_number += 1;
        seats.taken += 1;
        drop(seats);
        Ok(Watching {
            watchers: self.clone(),
            user_id,
            number,
            events,
        })
    }

    /// Tells everybody who watches what happened to these entries of these users.
    pub fn tell(&self, entries: &[(Id, Id)]) {
        let mut by_user: HashMap<Id, BTreeSet<Id>> = HashMap::new();
        for (user_id, id) in entries {
            by_user.entry(*user_id).or_default().insert(*id);
        }
        let mut seats = self.seats();
        for (user_id, ids) in by_user {
            let Some(of_user) = seats.by_user.get_mut(&user_id) else {
                continue;
            };
            let events: Vec<_> = if ids.len() > ENTRIES_PER_COMMIT_MAX {
                vec![Event::Many]
            } else {
                ids.into_iter().map(Event::Entry).collect()
            };
            for seat in of_user {
                seat.tell(&events);
            }
        }
    }

    /// How many watch.
    pub fn count(&self) -> usize {
        self.seats().taken
    }

    fn leave(&self, user_id: Id, number: u64) {
        let mut seats = self.seats();
        if let Some(of_user) = seats.by_user.get_mut(&user_id) {
            of_user.retain(|seat| seat.number != number);
            if of_user.is_empty() {
                seats.by_user.remove(&user_id);
            }
            seats.taken -= 1;
        }
    }

    fn seats(&self) -> MutexGuard<'_, Seats> {
        // Every change is whole before anything in it could panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Nothing is left out silently: who cannot be told all is told that it is over.
    fn tell(&mut self, events: &[Event]) {
        let Some(sender) = &self.sender else { return };
        if events.iter().any(|event| sender.try_send(*event).is_err()) {
            self.sender = None;
        }
    }
}

impl Watching {
    /// What is next to be looked at; waits until there is something. None once this watcher was
    /// given up because too much waited for it. Dropped before its end it has lost nothing.
    pub async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.watchers.leave(self.user_id, self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> Id {
        let mut bytes = [0; 16];
        bytes[8..].copy_from_slice(&number.to_be_bytes());
        Id::from_bytes(bytes)
    }

    const ADA: usize = 1;
    const BOB: usize = 2;

    fn tell(watchers: &Watchers, user: usize, entry: usize) {
        watchers.tell(&[(id(user), id(entry))]);
    }

    /// What waits for a watcher; `None` at the end where it was given up.
    fn waiting(watching: &mut Watching) -> Vec<Option<Event>> {
        use mpsc::error::TryRecvError;
        let mut waiting = Vec::new();
        loop {
            match watching.events.try_recv() {
                Ok(event) => waiting.push(Some(event)),
                Err(TryRecvError::Empty) => return waiting,
                Err(TryRecvError::Disconnected) => {
                    waiting.push(None);
                    return waiting;
                }
            }
        }
    }

    #[test]
    fn every_tab_of_a_user_is_told_and_nobody_else() {
        let watchers = Watchers::default();
        let watch = |user| watchers.watch(id(user)).expect("room");
        let (mut one, mut two, mut other) = (watch(ADA), watch(ADA), watch(BOB));
        tell(&watchers, ADA, 7);
        tell(&watchers, 3, 8);
        assert_eq!(waiting(&mut one), [Some(Event::Entry(id(7)))]);
        assert_eq!(waiting(&mut two), [Some(Event::Entry(id(7)))]);
        assert_eq!(waiting(&mut other), []);
    }

    /// A wake-up that comes while nobody waits is not lost.
    #[tokio::test]
    async fn what_happens_before_a_watcher_waits_is_told_when_it_does() {
        let watchers = Watchers::default();
        let mut watching = watchers.watch(id(ADA)).expect("room");
        tell(&watchers, ADA, 7);
        assert_eq!(watching.next().await, Some(Event::Entry(id(7))));
        // Nor is one that comes while a wait is given up.
        let waited = tokio::time::timeout(std::time::Duration::ZERO, watching.next());
        assert!(waited.await.is_err());
        tell(&watchers, ADA, 8);
        assert_eq!(watching.next().await, Some(Event::Entry(id(8))));
    }

    #[test]
    fn a_slow_watcher_is_given_up_and_no_other() {
        let watchers = Watchers::default();
        let mut slow = watchers.watch(id(ADA)).expect("room");
        let mut quick = watchers.watch(id(ADA)).expect("room");
        for entry in 0..=WAITING_MAX {
            tell(&watchers, ADA, entry);
            assert_eq!(waiting(&mut quick), [Some(Event::Entry(id(entry)))]);
        }
        let told = waiting(&mut slow);
        assert_eq!(told.len(), WAITING_MAX + 1);
        assert_eq!(told.last(), Some(&None), "it learns that there was more");
        // It keeps its seat until it has left.
        assert_eq!(watchers.count(), 2);
        drop(slow);
        assert_eq!(watchers.count(), 1);
    }

    #[test]
    fn many_entries_at_once_are_one_event() {
        let watchers = Watchers::default();
        let mut watching = watchers.watch(id(ADA)).expect("room");
        let entries = |count| (0..count).map(|entry| (id(ADA), id(entry)));
        watchers.tell(&entries(ENTRIES_PER_COMMIT_MAX).collect::<Vec<_>>());
        assert_eq!(waiting(&mut watching).len(), ENTRIES_PER_COMMIT_MAX);
        watchers.tell(&entries(ENTRIES_PER_COMMIT_MAX + 1).collect::<Vec<_>>());
        assert_eq!(waiting(&mut watching), [Some(Event::Many)]);
        // The same entry twice in one commit is told once.
        watchers.tell(&[(id(ADA), id(1)), (id(ADA), id(1))]);
        assert_eq!(waiting(&mut watching).len(), 1);
    }

    #[test]
    fn there_is_room_for_so_many_and_who_leaves_makes_room() {
        let watchers = Watchers::default();
        let mut all = Vec::new();
        for number in 0..WATCHERS_MAX {
            let user = id(number / WATCHERS_PER_USER_MAX);
            all.push(watchers.watch(user).expect("room"));
        }
        let refused = |user| watchers.watch(id(user)).map(drop);
        assert_eq!(refused(9_999), Err(Crowded::Box));
        all.pop();
        assert_eq!(refused(0), Err(Crowded::User));
        assert_eq!(refused(9_999), Ok(()));
        all.clear();
        assert_eq!(watchers.count(), 0);
        assert!(watchers.seats().by_user.is_empty());
    }
}
