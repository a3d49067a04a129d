//! What people are told, and what is on its way to their browsers, beside the store and done to
//! plain maps; the rest of the model is in [`super::plain`].

use std::{collections::BTreeMap, time::Duration};

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

/// How long a message waits that was put off.
const PAUSE: Duration = Duration::from_secs(1);

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
    PutOff,
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
            Self::PutOff,
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
                pushes::remove(tx, &found)?;
            }
            Self::Enqueue { push, browser } => {
                let endpoint = made_browser(browser, 0).endpoint;
                let Some(found) = pushes::find_by_endpoint(tx, &endpoint)? else {
                    return Ok(false);
                };
                pushes::enqueue(tx, &made_push(push, &found, now))?;
            }
            Self::Take => {
                let Some(first) = first_due(tx, now)? else {
                    return Ok(false);
                };
                return pushes::take(tx, &first, now);
            }
            Self::PutOff => {
                let Some(first) = first_due(tx, now)? else {
                    return Ok(false);
                };
                let attempts = first.attempts + 1;
                return pushes::put_off(tx, &first, now.after(PAUSE), attempts);
            }
            other => unreachable!("{other:?}"),
        }
        Ok(true)
    }
}

/// The message that is tried next.
fn first_due(tx: &dyn Read, now: Timestamp) -> Result<Option<QueuedPush>, StoreError> {
    match pushes::list_due(tx, now, None, 1)?.first() {
        None => Ok(None),
        Some(line) => pushes::first(tx, line.user_id, line.subscription_id),
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

fn place(push: &QueuedPush) -> (Id, Id, Id) {
    (push.user_id, push.subscription_id, push.id)
}

/// The same in plain maps.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Inboxes {
    entries: BTreeMap<Id, Notification>,
    read: BTreeMap<(Id, Id), Option<Timestamp>>,
    counts: BTreeMap<Id, InboxCounts>,
    settings: BTreeMap<Id, NotificationSettings>,
    browsers: BTreeMap<(Id, Id), Subscription>,
    /// By browser, oldest first.
    queue: BTreeMap<(Id, Id, Id), QueuedPush>,
}

impl Inboxes {
    /// What is in a store.
    pub(super) fn of(tx: &dyn Read) -> Result<Self, StoreError> {
        let mut found = Self {
            entries: keyed(tx, |entry: &Notification| entry.id)?,
            browsers: keyed(tx, |browser: &Subscription| (browser.user_id, browser.id))?,
            queue: keyed(tx, place)?,
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
                let made = made_browser(browser, user);
                if !self.browsers.contains_key(&(made.user_id, made.id)) {
                    self.unsubscribe(browser);
                }
                self.browsers.insert((made.user_id, made.id), made);
                true
            }
            Op::Unsubscribe { browser } => self.unsubscribe(browser),
            Op::Enqueue { push, browser } => {
                let to = self
                    .browsers
                    .values()
                    .find(|found| found.id == name(14, browser));
                let Some(mut made) = to.map(|to| made_push(push, to, now)) else {
                    return false;
                };
                if let Some(first) = self.first_for(made.subscription_id) {
                    made.due_at = first.due_at;
                }
                self.queue.insert(place(&made), made);
                true
            }
            Op::Take => {
                let Some(due) = self.first_due(now) else {
                    return false;
                };
                self.queue.remove(&place(&due));
                self.wait(due.subscription_id, now);
                true
            }
            Op::PutOff => {
                let Some(due) = self.first_due(now) else {
                    return false;
                };
                let kept = self.queue.get_mut(&place(&due));
                kept.expect("it is there").attempts += 1;
                self.wait(due.subscription_id, now.after(PAUSE));
                true
            }
        };
        self.count();
        done
    }

    /// The oldest message for a browser, which alone is ever due.
    fn first_for(&mut self, browser: Id) -> Option<&mut QueuedPush> {
        let mut all = self.queue.values_mut();
        all.find(|push| push.subscription_id == browser)
    }

    fn first_due(&self, now: Timestamp) -> Option<QueuedPush> {
        let mut firsts: Vec<&QueuedPush> = self.queue.values().collect();
        firsts.dedup_by_key(|push| push.subscription_id);
        firsts.retain(|push| push.due_at <= now);
        let longest = |push: &&&QueuedPush| (push.due_at, push.user_id, push.subscription_id);
        firsts.iter().min_by_key(longest).copied().cloned()
    }

    fn wait(&mut self, browser: Id, due_at: Timestamp) {
        if let Some(first) = self.first_for(browser) {
            first.due_at = due_at;
        }
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
        self.drop_lines();
        self.browsers.len() < before
    }

    /// What goes at once with a user who is removed.
    pub(super) fn remove_user(&mut self, user: Id) {
        self.settings.remove(&user);
        self.browsers.retain(|(of, _), _| *of != user);
        self.drop_lines();
    }

    /// What is on its way to a browser goes with it.
    fn drop_lines(&mut self) {
        let left = &self.browsers;
        self.queue
            .retain(|(user, browser, _), _| left.contains_key(&(*user, *browser)));
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
