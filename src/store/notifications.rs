//! The inbox: notifications in the order of their ids, and which of them each person has read.
//!
//! A notification never changes. Whether and when it was read is the value of its row in the index
//! by user, so that a list, a count and "mark as read" touch small rows only.

use bincode::{Decode, Encode};

use crate::{
    model::{
        id::Id,
        notification::{Notification, NotificationSettings},
        timestamp::Timestamp,
    },
    store::{
        Keys, Read, Store, StoreError, Table, WriteTx,
        codec::{self, Record},
        sweep::{self, Swept},
    },
};

/// Notifications of one user at the most; one more ends the oldest that was read, or the oldest.
pub const NOTIFICATIONS_PER_USER_MAX: usize = 10_000;
/// Rows of an inbox that are read in one go to find the oldest that was read.
const ROWS_STEP: usize = 128;
/// Notifications that one step of [`mark_all_read`] marks.
pub const MARK_STEP: usize = 256;

impl Record for Notification {
    const TABLE: Table = Table::Notifications;
    const VERSION: u8 = 1;
}

impl Record for NotificationSettings {
    const TABLE: Table = Table::NotificationSettings;
    const VERSION: u8 = 1;
}

/// How full somebody's inbox is: rows, and those among them that were not read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct InboxCounts {
    /// All of them.
    pub total: u64,
    /// Those that were not read.
    pub unread: u64,
}

impl Record for InboxCounts {
    const TABLE: Table = Table::InboxCounts;
    const VERSION: u8 = 1;
}

/// A notification as its reader has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboxEntry {
    /// What it says.
    pub notification: Notification,
    /// When it was read.
    pub read_at: Option<Timestamp>,
}

/// A row of the index by user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InboxRow {
    /// Of the notification.
    pub id: Id,
    /// When it was read.
    pub read_at: Option<Timestamp>,
}

/// From now on `listener` is told which entries a commit added, changed or removed, whoever wrote
/// them: users and notifications, as soon as readers find them as they are now.
///
/// It is called by the writer, which waits for it.
pub fn listen(store: &Store, listener: impl Fn(&[(Id, Id)]) + Send + Sync + 'static) {
    let pair = |key: &Vec<u8>| {
        let (user_id, id) = key.split_first_chunk::<16>()?;
        Some((
            Id::from_bytes(*user_id),
            Id::from_bytes(id.try_into().ok()?),
        ))
    };
    store.listen(Table::NotificationsByUser, move |keys| {
        let entries: Vec<_> = keys.iter().filter_map(pair).collect();
        listener(&entries);
    });
}

/// How full the inbox of `user_id` is.
pub fn counts(tx: &dyn Read, user_id: Id) -> Result<InboxCounts, StoreError> {
    Ok(codec::find(tx, user_id.as_bytes())?.unwrap_or_default())
}

fn put_counts(tx: &mut WriteTx<'_>, user_id: Id, counts: InboxCounts) -> Result<(), StoreError> {
    if counts.total == 0 {
        tx.remove(Table::InboxCounts, user_id.as_bytes());
        return Ok(());
    }
    codec::put(tx, user_id.as_bytes(), &counts)
}

/// The notification with that id, whoever's it is.
pub fn find(tx: &dyn Read, id: Id) -> Result<Option<Notification>, StoreError> {
    codec::find(tx, id.as_bytes())
}

/// The entry of `user_id` with that id. None if it is somebody else's.
pub fn find_of_user(tx: &dyn Read, user_id: Id, id: Id) -> Result<Option<InboxEntry>, StoreError> {
    let key = codec::pair(user_id, id);
    let Some(value) = tx.get(Table::NotificationsByUser, &key)? else {
        return Ok(None);
    };
    let read_at = read_at(&value)?;
    entry(tx, InboxRow { id, read_at }).map(Some)
}

/// What stands behind a row.
pub fn entry(tx: &dyn Read, row: InboxRow) -> Result<InboxEntry, StoreError> {
    Ok(InboxEntry {
        notification: find(tx, row.id)?.ok_or_else(names_nothing)?,
        read_at: row.read_at,
    })
}

/// Up to `limit` rows of `user_id` before `before`, or from the newest on, newest first.
pub fn rows_before(
    tx: &dyn Read,
    user_id: Id,
    before: Option<Id>,
    limit: usize,
) -> Result<Vec<InboxRow>, StoreError> {
    let keys = match before {
        None => Keys::with_prefix(user_id.as_bytes()),
        Some(id) => Keys::with_prefix(user_id.as_bytes()).until(&codec::pair(user_id, id)),
    };
    rows(tx, &keys.newest_first(), limit)
}

fn rows(tx: &dyn Read, keys: &Keys, limit: usize) -> Result<Vec<InboxRow>, StoreError> {
    tx.scan(Table::NotificationsByUser, keys, limit)?
        .iter()
        .map(|(key, value)| {
            Ok(InboxRow {
                id: codec::id(
                    Table::NotificationsByUser,
                    key.get(16..).unwrap_or_default(),
                )?,
                read_at: read_at(value)?,
            })
        })
        .collect()
}

/// What the value of a row of the index by user says.
pub(super) fn read_at(value: &[u8]) -> Result<Option<Timestamp>, StoreError> {
    if value.is_empty() {
        return Ok(None);
    }
    let millis = value.try_into().map_err(|_| StoreError::Corrupt {
        table: Table::NotificationsByUser.name(),
        reason: format!("expected an instant of 8 bytes, found {}", value.len()),
    })?;
    Ok(Some(Timestamp::from_millis(u64::from_be_bytes(millis))))
}

fn names_nothing() -> StoreError {
    StoreError::Corrupt {
        table: Table::NotificationsByUser.name(),
        reason: "a row names a record that does not exist".to_owned(),
    }
}

/// Puts a notification into its reader's inbox, in the place of another if it is full.
pub fn add(tx: &mut WriteTx<'_>, notification: &Notification) -> Result<(), StoreError> {
    let user_id = notification.user_id;
    if counts(tx, user_id)?.total >= NOTIFICATIONS_PER_USER_MAX as u64 {
        make_room(tx, user_id)?;
    }
    codec::put(tx, notification.id.as_bytes(), notification)?;
    tx.put(
        Table::NotificationsByUser,
        &codec::pair(user_id, notification.id),
        Vec::new(),
    );
    let InboxCounts { total, unread } = counts(tx, user_id)?;
    let counts = InboxCounts {
        total: total + 1,
        unread: unread + 1,
    };
    put_counts(tx, user_id, counts)
}

/// Ends the oldest that was read, or the oldest if none was.
fn make_room(tx: &mut WriteTx<'_>, user_id: Id) -> Result<(), StoreError> {
    let InboxCounts { total, unread } = counts(tx, user_id)?;
    let ends = if unread < total {
        oldest_read(tx, user_id)?
    } else {
        None
    };
    let oldest = rows(tx, &Keys::with_prefix(user_id.as_bytes()), 1)?;
    match ends.or(oldest.first().copied()) {
        Some(row) => remove(tx, user_id, row.id).map(drop),
        None => Ok(()),
    }
}

fn oldest_read(tx: &dyn Read, user_id: Id) -> Result<Option<InboxRow>, StoreError> {
    let mut keys = Keys::with_prefix(user_id.as_bytes());
    loop {
        let step = rows(tx, &keys, ROWS_STEP)?;
        let read = step.iter().find(|row| row.read_at.is_some());
        let Some(last) = step.last() else {
            return Ok(None);
        };
        if read.is_some() || step.len() < ROWS_STEP {
            return Ok(read.copied());
        }
        keys = keys.behind(&codec::pair(user_id, last.id));
    }
}

/// Marks an entry as read at `read_at`, or as not read. `false` if `user_id` has none of that id.
pub fn set_read(
    tx: &mut WriteTx<'_>,
    user_id: Id,
    id: Id,
    is_read_at: Option<Timestamp>,
) -> Result<bool, StoreError> {
    let key = codec::pair(user_id, id);
    let Some(value) = tx.get(Table::NotificationsByUser, &key)? else {
        return Ok(false);
    };
    let was_read = read_at(&value)?.is_some();
    if was_read == is_read_at.is_some() {
        return Ok(true);
    }
    let value = is_read_at.map_or_else(Vec::new, |at| at.millis().to_be_bytes().to_vec());
    tx.put(Table::NotificationsByUser, &key, value);
    let InboxCounts { total, unread } = counts(tx, user_id)?;
    let unread = if was_read {
        unread + 1
    } else {
        unread.saturating_sub(1)
    };
    put_counts(tx, user_id, InboxCounts { total, unread })?;
    Ok(true)
}

/// Marks the unread among up to [`MARK_STEP`] entries of `user_id` as read: those before `before`,
/// or from the newest on. Where to go on, if there may be more.
pub fn mark_all_read(
    tx: &mut WriteTx<'_>,
    user_id: Id,
    before: Option<Id>,
    now: Timestamp,
) -> Result<Option<Id>, StoreError> {
    if counts(tx, user_id)?.unread == 0 {
        return Ok(None);
    }
    let rows = rows_before(tx, user_id, before, MARK_STEP)?;
    for row in rows.iter().filter(|row| row.read_at.is_none()) {
        set_read(tx, user_id, row.id, Some(now))?;
    }
    Ok(rows
        .last()
        .filter(|_| rows.len() == MARK_STEP)
        .map(|row| row.id))
}

/// Removes an entry of `user_id`. `false` if they have none of that id.
pub fn remove(tx: &mut WriteTx<'_>, user_id: Id, id: Id) -> Result<bool, StoreError> {
    let key = codec::pair(user_id, id);
    let Some(value) = tx.get(Table::NotificationsByUser, &key)? else {
        return Ok(false);
    };
    let was_unread = read_at(&value)?.is_none();
    tx.remove(Table::NotificationsByUser, &key);
    tx.remove(Table::Notifications, id.as_bytes());
    let InboxCounts { total, unread } = counts(tx, user_id)?;
    let counts = InboxCounts {
        total: total.saturating_sub(1),
        unread: unread.saturating_sub(u64::from(was_unread)),
    };
    put_counts(tx, user_id, counts)?;
    Ok(true)
}

/// How `user_id` wants to be told.
pub fn settings(tx: &dyn Read, user_id: Id) -> Result<NotificationSettings, StoreError> {
    Ok(codec::find(tx, user_id.as_bytes())?.unwrap_or_default())
}

/// Keeps how `user_id` wants to be told.
pub fn put_settings(
    tx: &mut WriteTx<'_>,
    user_id: Id,
    settings: &NotificationSettings,
) -> Result<(), StoreError> {
    codec::put(tx, user_id.as_bytes(), settings)
}

/// Forgets how a user wanted to be told, who has to be gone, and has the sweeper empty their inbox.
pub fn end_of_removed_user(tx: &mut WriteTx<'_>, now: Timestamp, user_id: Id) {
    tx.remove(Table::NotificationSettings, user_id.as_bytes());
    sweep::schedule(tx, Swept::InboxOfUser, now, user_id);
}
