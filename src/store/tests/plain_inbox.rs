//! What people are told, and what is on its way to their browsers, beside the store and done to
//! plain maps; the rest of the model is in [`super::plain`].

use std::collections::BTreeMap;

use super::{
    invariants::records,
    plain::{Done, add, client_id, keyed, name, pop_while, user_id},
    samples::{notification, notification_settings, queued_push, subscription},
};
use crate::{
    model::{
        id::Id,
        notification::{Notification, NotificationSettings},
        push::{QueuedPush, Subscription},
        timestamp::Timestamp,
    },
    store::{
        Keys, Read, StoreError, Table, WriteTx, codec,
        notifications::{self, InboxCounts},
        pushes,
    },
};

/// What a service does.
#[derive(Clone, Copy, Debug)]
pub(super) enum InboxOperation {
    Tell { entry: u8, user: u8 },
    Read { entry: u8, user: u8 },
    Unread { entry: u8, user: u8 },
    ReadAll { user: u8 },
    Forget { entry: u8, user: u8 },
    Configure { user: u8, muted: u8 },
    Subscribe { browser: u8, user: u8 },
    Unsubscribe { browser: u8 },
    Enqueue { push: u8, browser: u8 },
    Take,
}

impl InboxOperation {
    /// One of each kind, those that make something first.
    pub(super) fn with(a: u8, b: u8, c: u8) -> Vec<Self> {
        vec![
            Self::Tell { entry: a, user: b },
            Self::Read { entry: a, user: b },
            Self::Unread { entry: a, user: b },
            Self::ReadAll { user: b },
            Self::Configure { user: b, muted: c },
            Self::Subscribe {
                browser: a,
                user: b,
            },
            Self::Enqueue {
                push: c,
                browser: a,
            },
            Self::Take,
            Self::Unsubscribe { browser: a },
            Self::Forget { entry: a, user: b },
        ]
    }

    /// Does it as a service would: looks first, then changes.
    pub(super) fn perform(self, tx: &mut WriteTx<'_>, now: Timestamp) -> Result<Done, StoreError> {
        match self {
            Self::Tell { entry, user } => {
                let made = made_entry(entry, user, now);
                if notifications::find(tx, made.id)?.is_some() {
                    return Ok(false);
                }
                notifications::add(tx, &made)?;
            }
            Self::Read { entry, user } => {
                return notifications::set_read(tx, user_id(user), entry_id(entry), Some(now));
            }
            Self::Unread { entry, user } => {
                return notifications::set_read(tx, user_id(user), entry_id(entry), None);
            }
            Self::ReadAll { user } => {
                let more = notifications::mark_all_read(tx, user_id(user), None, now)?;
                assert_eq!(more, None, "one step is enough for so few");
            }
            Self::Forget { entry, user } => {
                return notifications::remove(tx, user_id(user), entry_id(entry));
            }
            Self::Configure { user, muted } => {
                let settings = notification_settings(client_id(muted));
                notifications::put_settings(tx, user_id(user), &settings)?;
            }
            other => return other.perform_on_pushes(tx, now),
        }
        Ok(true)
    }

    fn perform_on_pushes(self, tx: &mut WriteTx<'_>, now: Timestamp) -> Result<Done, StoreError> {
        match self {
            Self::Subscribe { browser, user } => pushes::add(tx, &made_browser(browser, user))?,
            Self::Unsubscribe { browser } => {
                let endpoint = made_browser(browser, 0).endpoint;
                let Some(found) = pushes::find_by_endpoint(tx, &endpoint)? else {
                    return Ok(false);
                };
                pushes::remove(tx, &found);
            }
            Self::Enqueue { push, browser } => {
                let endpoint = made_browser(browser, 0).endpoint;
                let Some(found) = pushes::find_by_endpoint(tx, &endpoint)? else {
                    return Ok(false);
                };
                pushes::enqueue(tx, &made_push(push, &found, now))?;
            }
            Self::Take => {
                let due = pushes::list_due(tx, now, None, 1)?;
                let Some(first) = due.first() else {
                    return Ok(false);
                };
                return pushes::take(tx, first);
            }
            other => unreachable!("{other:?}"),
        }
        Ok(true)
    }
}

fn entry_id(number: u8) -> Id {
    name(13, number)
}

fn made_entry(number: u8, of: u8, now: Timestamp) -> Notification {
    Notification {
        created_at: now,
        ..notification(entry_id(number), user_id(of))
    }
}

fn made_browser(number: u8, of: u8) -> Subscription {
    Subscription {
        endpoint: format!("https://push.example/{number}")
            .parse()
            .expect("a URL"),
        ..subscription(name(14, number), user_id(of))
    }
}

fn made_push(number: u8, to: &Subscription, now: Timestamp) -> QueuedPush {
    QueuedPush {
        due_at: now,
        ..queued_push(name(15, number), to, entry_id(0))
    }
}

/// The same in plain maps.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Inboxes {
    entries: BTreeMap<Id, Notification>,
    read: BTreeMap<(Id, Id), Option<Timestamp>>,
    counts: BTreeMap<Id, InboxCounts>,
    settings: BTreeMap<Id, NotificationSettings>,
    browsers: BTreeMap<(Id, Id), Subscription>,
    queue: BTreeMap<(Timestamp, Id), QueuedPush>,
}

impl Inboxes {
    /// What is in a store.
    pub(super) fn of(tx: &dyn Read) -> Result<Self, StoreError> {
        let mut found = Self {
            entries: keyed(tx, |entry: &Notification| entry.id)?,
            browsers: keyed(tx, |browser: &Subscription| (browser.user_id, browser.id))?,
            queue: keyed(tx, |push: &QueuedPush| (push.due_at, push.id))?,
            ..Self::default()
        };
        for (key, value) in tx.scan(Table::NotificationsByUser, &Keys::ALL, usize::MAX)? {
            let part = |bytes| codec::id(Table::NotificationsByUser, bytes);
            let row = (part(&key[..16])?, part(&key[16..])?);
            found.read.insert(row, notifications::read_at(&value)?);
        }
        let by_user = |table| tx.scan(table, &Keys::ALL, usize::MAX);
        for ((key, _), counts) in by_user(Table::InboxCounts)?.into_iter().zip(records(tx)?) {
            found
                .counts
                .insert(codec::id(Table::InboxCounts, &key)?, counts);
        }
        let settings = by_user(Table::NotificationSettings)?;
        for ((key, _), settings) in settings.into_iter().zip(records(tx)?) {
            let user_id = codec::id(Table::NotificationSettings, &key)?;
            found.settings.insert(user_id, settings);
        }
        Ok(found)
    }

    /// Does `operation`.
    pub(super) fn perform(&mut self, operation: InboxOperation, now: Timestamp) -> Done {
        use InboxOperation as Op;
        let done = match operation {
            Op::Tell { entry, user } => {
                let made = made_entry(entry, user, now);
                let row = (made.user_id, made.id);
                let is_new = add(&mut self.entries, made.id, || made);
                if is_new {
                    self.read.insert(row, None);
                }
                is_new
            }
            Op::Read { entry, user } => self.set_read(entry, user, Some(now)),
            Op::Unread { entry, user } => self.set_read(entry, user, None),
            Op::ReadAll { user } => {
                let of_user = |(of, _): &&(Id, Id)| *of == user_id(user);
                let rows: Vec<_> = self.read.keys().filter(of_user).copied().collect();
                for row in rows {
                    self.read.entry(row).and_modify(|at| *at = at.or(Some(now)));
                }
                true
            }
            Op::Forget { entry, user } => self.forget(user_id(user), entry_id(entry)),
            Op::Configure { user, muted } => {
                let settings = notification_settings(client_id(muted));
                self.settings.insert(user_id(user), settings);
                true
            }
            Op::Subscribe { browser, user } => {
                self.unsubscribe(browser);
                let made = made_browser(browser, user);
                self.browsers.insert((made.user_id, made.id), made);
                true
            }
            Op::Unsubscribe { browser } => self.unsubscribe(browser),
            Op::Enqueue { push, browser } => {
                let to = self
                    .browsers
                    .values()
                    .find(|found| found.id == name(14, browser));
                let made = to.map(|to| made_push(push, to, now));
                let key = made.as_ref().map(|made| (made.due_at, made.id));
                key.zip(made)
                    .map(|(key, made)| self.queue.insert(key, made))
                    .is_some()
            }
            Op::Take => {
                let first = self.queue.first_entry();
                let due = first.filter(|first| first.key().0 <= now);
                due.map(std::collections::btree_map::OccupiedEntry::remove)
                    .is_some()
            }
        };
        self.count();
        done
    }

    fn set_read(&mut self, entry: u8, user: u8, at: Option<Timestamp>) -> Done {
        let found = self.read.get_mut(&(user_id(user), entry_id(entry)));
        found
            .map(|read_at| {
                if read_at.is_some() != at.is_some() {
                    *read_at = at;
                }
            })
            .is_some()
    }

    fn forget(&mut self, user: Id, id: Id) -> Done {
        let is_there = self.read.remove(&(user, id)).is_some();
        if is_there {
            self.entries.remove(&id);
        }
        is_there
    }

    fn unsubscribe(&mut self, browser: u8) -> Done {
        let before = self.browsers.len();
        self.browsers.retain(|(_, id), _| *id != name(14, browser));
        self.browsers.len() < before
    }

    /// What goes at once with a user who is removed.
    pub(super) fn remove_user(&mut self, user: Id) {
        self.settings.remove(&user);
        self.browsers.retain(|(of, _), _| *of != user);
    }

    /// What goes with the sweeper of a user who was removed.
    pub(super) fn empty(&mut self, user: Id) {
        self.entries.retain(|_, entry| entry.user_id != user);
        self.read.retain(|(of, _), _| *of != user);
        self.count();
    }

    /// Removes what was told before and is no longer kept.
    pub(super) fn sweep(&mut self, is_over: impl Fn(&Notification) -> bool) {
        pop_while(&mut self.entries, |_, entry| is_over(entry));
        let left = &self.entries;
        self.read.retain(|(_, id), _| left.contains_key(id));
        self.count();
    }

    fn count(&mut self) {
        self.counts.clear();
        for ((user, _), read_at) in &self.read {
            let counts = self.counts.entry(*user).or_default();
            counts.total += 1;
            counts.unread += u64::from(read_at.is_none());
        }
    }
}
