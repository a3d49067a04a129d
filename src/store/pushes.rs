//! Browsers that want to be told, and what is on its way to them.

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

impl Record for Subscription {
    const TABLE: Table = Table::Subscriptions;
    const VERSION: u8 = 1;
}

impl Record for QueuedPush {
    const TABLE: Table = Table::PushQueue;
    const VERSION: u8 = 1;
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
/// have as many as they may have.
pub fn add(tx: &mut WriteTx<'_>, subscription: &Subscription) -> Result<(), StoreError> {
    if let Some(before) = find_by_endpoint(tx, &subscription.endpoint)? {
        remove(tx, &before);
    }
    let others = list_of_user(tx, subscription.user_id)?;
    if let Some(oldest) = others
        .first()
        .filter(|_| others.len() >= SUBSCRIPTIONS_PER_USER_MAX)
    {
        remove(tx, oldest);
    }
    let key = codec::pair(subscription.user_id, subscription.id);
    codec::put(tx, &key, subscription)?;
    let digest = Subscription::endpoint_digest(&subscription.endpoint);
    tx.put(
        Table::SubscriptionsByEndpoint,
        digest.as_bytes(),
        key.to_vec(),
    );
    Ok(())
}

/// Forgets a browser. What is on its way to it is dropped when it is due.
pub fn remove(tx: &mut WriteTx<'_>, subscription: &Subscription) {
    let key = codec::pair(subscription.user_id, subscription.id);
    tx.remove(Table::Subscriptions, &key);
    let digest = Subscription::endpoint_digest(&subscription.endpoint);
    tx.remove(Table::SubscriptionsByEndpoint, digest.as_bytes());
}

/// Forgets every browser of a user.
pub fn remove_of_user(tx: &mut WriteTx<'_>, user_id: Id) -> Result<(), StoreError> {
    for subscription in list_of_user(tx, user_id)? {
        remove(tx, &subscription);
    }
    Ok(())
}

/// Forgets every browser, and says how many that were.
pub fn remove_all(tx: &mut WriteTx<'_>) -> Result<usize, StoreError> {
    let found: Vec<Subscription> = codec::list(tx, &Keys::ALL, SUBSCRIPTIONS_MAX)?;
    for subscription in &found {
        remove(tx, subscription);
    }
    Ok(found.len())
}

/// How many browsers there are.
pub fn subscriptions_len(tx: &dyn Read) -> Result<u64, StoreError> {
    tx.len(Table::Subscriptions)
}

/// Where a message stands in the queue.
pub(super) fn key(push: &QueuedPush) -> [u8; 24] {
    let mut key = [0; 24];
    key[..8].copy_from_slice(&push.due_at.millis().to_be_bytes());
    key[8..].copy_from_slice(push.id.as_bytes());
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

/// Sends a message off.
pub fn enqueue(tx: &mut WriteTx<'_>, push: &QueuedPush) -> Result<(), StoreError> {
    codec::put(tx, &key(push), push)
}

/// Up to `limit` messages behind `last` that are due at `now`, those that have waited longest first.
pub fn list_due(
    tx: &dyn Read,
    now: Timestamp,
    last: Option<&QueuedPush>,
    limit: usize,
) -> Result<Vec<QueuedPush>, StoreError> {
    let end = now.millis().saturating_add(1).to_be_bytes();
    let due = Keys::before(&end);
    let keys = match last {
        None => due,
        Some(last) => due.behind(&key(last)),
    };
    codec::list(tx, &keys, limit)
}

/// When the first message is due that is not at `now`.
pub fn next_due_at(tx: &dyn Read, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
    let begin = now.millis().saturating_add(1).to_be_bytes();
    let first: Vec<QueuedPush> = codec::list(tx, &Keys::from(&begin), 1)?;
    Ok(first.first().map(|push| push.due_at))
}

/// Takes a message out. `false` if it is not there as it was.
pub fn take(tx: &mut WriteTx<'_>, push: &QueuedPush) -> Result<bool, StoreError> {
    let is_there = codec::find::<QueuedPush>(tx, &key(push))?.is_some();
    tx.remove(Table::PushQueue, &key(push));
    Ok(is_there)
}
