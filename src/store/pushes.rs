//! Browsers that want to be told, and what is on its way to them.
//!
//! The messages for one browser are a [`Line`]: they go one after the other, so that only the first
//! is ever due. What is due is found by lines, whatever stands in them.

use std::time::Duration;

use crate::{
    model::{
        https_url::HttpsUrl,
        id::Id,
        push::{QueuedPush, Subscription},
        timestamp::Timestamp,
    },
    store::{
        Keys, Read, Store, StoreError, Table, WriteTx,
        codec::{self, Record},
    },
};

/// Browsers of one user at the most; one more takes the place of the oldest.
pub const SUBSCRIPTIONS_PER_USER_MAX: usize = 32;
/// Browsers of everybody together at the most: all of them are forgotten in one go when the box
/// gets another pair of keys.
pub const SUBSCRIPTIONS_MAX: usize = 20_000;
/// Messages on their way at the most, for everybody together.
pub const QUEUE_MAX: usize = 100_000;
/// Messages on their way to one user at the most: a hundredth of the queue.
pub const QUEUE_PER_USER_MAX: usize = 1_000;
/// The longest that a line waits for its next turn.
pub const WAIT_MAX: Duration = Duration::from_hours(1);

impl Record for Subscription {
    const TABLE: Table = Table::Subscriptions;
    const VERSION: u8 = 1;
}

impl Record for QueuedPush {
    const TABLE: Table = Table::PushQueue;
    const VERSION: u8 = 1;
}

/// The messages for one browser that wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// When the first of them is to be tried.
    pub due_at: Timestamp,
    /// Whose browser.
    pub user_id: Id,
    /// Which of theirs.
    pub subscription_id: Id,
}

impl Line {
    /// That of which `first` is the first.
    pub(super) fn of(first: &QueuedPush) -> Self {
        Self {
            due_at: first.due_at,
            user_id: first.user_id,
            subscription_id: first.subscription_id,
        }
    }

    /// Where it stands among the lines.
    pub(super) fn key(&self) -> [u8; 40] {
        let mut key = [0; 40];
        key[..8].copy_from_slice(&self.due_at.millis().to_be_bytes());
        key[8..].copy_from_slice(&codec::pair(self.user_id, self.subscription_id));
        key
    }

    /// The line that a row of [`Table::PushLines`] stands for.
    pub(super) fn parse(key: &[u8]) -> Result<Self, StoreError> {
        let table = Table::PushLines;
        let (due_at, pair) = key.split_at_checked(8).unwrap_or_default();
        let (user_id, subscription_id) = pair.split_at_checked(16).unwrap_or_default();
        Ok(Self {
            due_at: Timestamp::from_millis(codec::number(table, due_at)?),
            user_id: codec::id(table, user_id)?,
            subscription_id: codec::id(table, subscription_id)?,
        })
    }
}

/// The browser `id` of `user_id`.
pub fn find(tx: &dyn Read, user_id: Id, id: Id) -> Result<Option<Subscription>, StoreError> {
    codec::find(tx, &codec::pair(user_id, id))
}

/// Whoever is told at `endpoint`.
pub fn find_by_endpoint(
    tx: &dyn Read,
    endpoint: &HttpsUrl,
) -> Result<Option<Subscription>, StoreError> {
    let digest = Subscription::endpoint_digest(endpoint);
    match tx.get(Table::SubscriptionsByEndpoint, digest.as_bytes())? {
        None => Ok(None),
        Some(key) => codec::find(tx, &key),
    }
}

/// A user's browsers, the oldest first.
pub fn list_of_user(tx: &dyn Read, user_id: Id) -> Result<Vec<Subscription>, StoreError> {
    let keys = Keys::with_prefix(user_id.as_bytes());
    codec::list(tx, &keys, SUBSCRIPTIONS_PER_USER_MAX)
}

/// Keeps a browser in the place of whatever had its endpoint, and of the user's oldest if they
/// have as many as they may have. One that was the user's before keeps its id, and with it what is
/// on its way to it.
pub fn add(tx: &mut WriteTx<'_>, subscription: &Subscription) -> Result<(), StoreError> {
    let user_id = subscription.user_id;
    let id = match find_by_endpoint(tx, &subscription.endpoint)? {
        Some(before) if before.user_id == user_id => before.id,
        before => {
            before.map_or(Ok(()), |before| remove(tx, &before))?;
            make_room(tx, user_id)?;
            subscription.id
        }
    };
    let key = codec::pair(user_id, id);
    let subscription = Subscription {
        id,
        ..subscription.clone()
    };
    codec::put(tx, &key, &subscription)?;
    let digest = Subscription::endpoint_digest(&subscription.endpoint);
    tx.put(
        Table::SubscriptionsByEndpoint,
        digest.as_bytes(),
        key.to_vec(),
    );
    Ok(())
}

/// Forgets the oldest browser of a user who has as many as they may have.
fn make_room(tx: &mut WriteTx<'_>, user_id: Id) -> Result<(), StoreError> {
    let browsers = list_of_user(tx, user_id)?;
    let is_full = browsers.len() >= SUBSCRIPTIONS_PER_USER_MAX;
    match browsers.first().filter(|_| is_full) {
        Some(oldest) => remove(tx, oldest),
        None => Ok(()),
    }
}

/// Forgets a browser, and what is on its way to it.
pub fn remove(tx: &mut WriteTx<'_>, subscription: &Subscription) -> Result<(), StoreError> {
    let key = codec::pair(subscription.user_id, subscription.id);
    tx.remove(Table::Subscriptions, &key);
    let digest = Subscription::endpoint_digest(&subscription.endpoint);
    tx.remove(Table::SubscriptionsByEndpoint, digest.as_bytes());
    if let Some(first) = first(tx, subscription.user_id, subscription.id)? {
        tx.remove(Table::PushLines, &Line::of(&first).key());
    }
    for (key, _) in tx.scan(Table::PushQueue, &Keys::with_prefix(&key), QUEUE_MAX)? {
        tx.remove(Table::PushQueue, &key);
    }
    Ok(())
}

/// Forgets every browser of a user.
pub fn remove_of_user(tx: &mut WriteTx<'_>, user_id: Id) -> Result<(), StoreError> {
    for subscription in list_of_user(tx, user_id)? {
        remove(tx, &subscription)?;
    }
    Ok(())
}

/// Forgets every browser, and says how many that were.
pub fn remove_all(tx: &mut WriteTx<'_>) -> Result<usize, StoreError> {
    let found: Vec<Subscription> = codec::list(tx, &Keys::ALL, SUBSCRIPTIONS_MAX)?;
    for subscription in &found {
        remove(tx, subscription)?;
    }
    Ok(found.len())
}

/// How many browsers there are.
pub fn subscriptions_len(tx: &dyn Read) -> Result<u64, StoreError> {
    tx.len(Table::Subscriptions)
}

/// Where a message stands in the queue: behind those for its browser that were made before it.
pub(super) fn key(push: &QueuedPush) -> [u8; 48] {
    let mut key = [0; 48];
    key[..32].copy_from_slice(&codec::pair(push.user_id, push.subscription_id));
    key[32..].copy_from_slice(push.id.as_bytes());
    key
}

/// From now on `listener` is called whenever a commit changed the queue, as soon as readers find it
/// changed. It is called by the writer, which waits for it.
pub fn listen(store: &Store, listener: impl Fn() + Send + Sync + 'static) {
    store.listen(Table::PushQueue, move |_| listener());
}

/// How many messages are on their way.
pub fn queue_len(tx: &dyn Read) -> Result<u64, StoreError> {
    tx.len(Table::PushQueue)
}

/// Up to `limit` of the messages that are on their way to `user_id`.
#[cfg(test)]
pub fn queue_of_user(
    tx: &dyn Read,
    user_id: Id,
    limit: usize,
) -> Result<Vec<QueuedPush>, StoreError> {
    codec::list(tx, &Keys::with_prefix(user_id.as_bytes()), limit)
}

/// How many messages are on their way to `user_id`, as far as `limit`.
pub fn queue_len_of_user(tx: &dyn Read, user_id: Id, limit: usize) -> Result<usize, StoreError> {
    let keys = Keys::with_prefix(user_id.as_bytes());
    Ok(tx.scan(Table::PushQueue, &keys, limit)?.len())
}

/// How many messages are in a line, as far as `limit`.
pub fn line_len(
    tx: &dyn Read,
    user_id: Id,
    subscription_id: Id,
    limit: usize,
) -> Result<usize, StoreError> {
    let keys = Keys::with_prefix(&codec::pair(user_id, subscription_id));
    Ok(tx.scan(Table::PushQueue, &keys, limit)?.len())
}

/// Sends a message off. Where others wait for the browser, it waits with them, unless they wait for
/// longer than any line does: then the clock was ahead, and their turn is now.
pub fn enqueue(tx: &mut WriteTx<'_>, push: &QueuedPush) -> Result<(), StoreError> {
    let due_at = match first(tx, push.user_id, push.subscription_id)? {
        None => {
            tx.put(Table::PushLines, &Line::of(push).key(), Vec::new());
            push.due_at
        }
        Some(first) if first.due_at > push.due_at.after(WAIT_MAX) => {
            tx.remove(Table::PushLines, &Line::of(&first).key());
            lead(tx, &first, push.due_at)?;
            push.due_at
        }
        Some(first) => first.due_at,
    };
    let push = QueuedPush {
        due_at,
        ..push.clone()
    };
    codec::put(tx, &key(&push), &push)
}

/// Has `first` lead its line, of which there is no row, at `due_at`.
fn lead(tx: &mut WriteTx<'_>, first: &QueuedPush, due_at: Timestamp) -> Result<(), StoreError> {
    let first = QueuedPush {
        due_at,
        ..first.clone()
    };
    codec::put(tx, &key(&first), &first)?;
    tx.put(Table::PushLines, &Line::of(&first).key(), Vec::new());
    Ok(())
}

/// Up to `limit` lines behind `last` that are due at `now`, those that have waited longest first.
pub fn list_due(
    tx: &dyn Read,
    now: Timestamp,
    last: Option<&Line>,
    limit: usize,
) -> Result<Vec<Line>, StoreError> {
    let due = Keys::before(&next_instant(now));
    let keys = match last {
        None => due,
        Some(last) => due.behind(&last.key()),
    };
    let rows = tx.scan(Table::PushLines, &keys, limit)?;
    rows.iter().map(|(key, _)| Line::parse(key)).collect()
}

/// When the first line is due that is not at `now`.
pub fn next_due_at(tx: &dyn Read, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
    let rows = tx.scan(Table::PushLines, &Keys::from(&next_instant(now)), 1)?;
    let next = rows.first().map(|(key, _)| Line::parse(key)).transpose()?;
    Ok(next.map(|line| line.due_at))
}

fn next_instant(now: Timestamp) -> [u8; 8] {
    now.millis().saturating_add(1).to_be_bytes()
}

/// The message of a line that is tried next. One that cannot be read is passed over, so that it
/// stops nothing but itself; `keystead check` tells of it.
pub fn first(
    tx: &dyn Read,
    user_id: Id,
    subscription_id: Id,
) -> Result<Option<QueuedPush>, StoreError> {
    let keys = Keys::with_prefix(&codec::pair(user_id, subscription_id));
    let readable = |limit| -> Result<Option<QueuedPush>, StoreError> {
        let rows = tx.scan(Table::PushQueue, &keys, limit)?;
        Ok(rows.iter().find_map(|(_, row)| codec::decode(row).ok()))
    };
    match readable(1)? {
        None => readable(QUEUE_MAX),
        found => Ok(found),
    }
}

/// Takes a message out; whatever is behind it is due at `due_at`. `false` if it is not there any
/// more.
pub fn take(
    tx: &mut WriteTx<'_>,
    push: &QueuedPush,
    due_at: Timestamp,
) -> Result<bool, StoreError> {
    change(tx, push, due_at, |tx| {
        tx.remove(Table::PushQueue, &key(push));
        Ok(())
    })
}

/// Has a message, and whatever is behind it, wait until `due_at`, after so many `attempts`. `false`
/// if it is not there any more.
pub fn put_off(
    tx: &mut WriteTx<'_>,
    push: &QueuedPush,
    due_at: Timestamp,
    attempts: u32,
) -> Result<bool, StoreError> {
    change(tx, push, due_at, |tx| {
        let push = QueuedPush {
            attempts,
            ..push.clone()
        };
        codec::put(tx, &key(&push), &push)
    })
}

/// Changes a message that is there, and has whatever is first in its line then wait until `due_at`.
fn change(
    tx: &mut WriteTx<'_>,
    push: &QueuedPush,
    due_at: Timestamp,
    change: impl FnOnce(&mut WriteTx<'_>) -> Result<(), StoreError>,
) -> Result<bool, StoreError> {
    let before = first(tx, push.user_id, push.subscription_id)?;
    let (Some(before), true) = (before, tx.get(Table::PushQueue, &key(push))?.is_some()) else {
        return Ok(false);
    };
    tx.remove(Table::PushLines, &Line::of(&before).key());
    change(tx)?;
    if let Some(next) = first(tx, push.user_id, push.subscription_id)? {
        lead(tx, &next, due_at)?;
    }
    Ok(true)
}
