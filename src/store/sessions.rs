//! Browser sessions, and the index by their users.

use crate::{
    model::{id::Id, session::Session},
    store::{
        Keys, Read, StoreError, Table, WriteTx,
        codec::{self, Record},
        sweep::{self, Swept},
    },
};

/// Sessions of one user at the most; one more ends the oldest.
pub const SESSIONS_PER_USER_MAX: usize = 100;

impl Record for Session {
    const TABLE: Table = Table::Sessions;
    const VERSION: u8 = 1;
}

/// The session with that id.
pub fn find(tx: &dyn Read, id: Id) -> Result<Option<Session>, StoreError> {
    codec::find(tx, id.as_bytes())
}

/// A user's sessions, newest first, ended ones among them until they are swept.
pub fn list_of_user(tx: &dyn Read, user_id: Id) -> Result<Vec<Session>, StoreError> {
    let keys = Keys::with_prefix(user_id.as_bytes()).newest_first();
    codec::list_by_index(
        tx,
        Table::SessionsByUser,
        &keys,
        SESSIONS_PER_USER_MAX,
        find,
    )
}

/// Keeps a session that has just begun.
pub fn add(tx: &mut WriteTx<'_>, session: &Session) -> Result<(), StoreError> {
    put(tx, session)?;
    tx.put(
        Table::SessionsByUser,
        &codec::pair(session.user_id, session.id),
        Vec::new(),
    );
    schedule(tx, session);
    Ok(())
}

/// Has the sweeper look at a session when it ends: when it has just begun, and when it now ends
/// earlier than it did.
pub fn schedule(tx: &mut WriteTx<'_>, session: &Session) {
    sweep::schedule(tx, Swept::Session, session.ends_at(), session.id);
}

/// Keeps what changed of a session that exists. If it ends later than it did, the sweeper finds
/// that out.
pub fn put(tx: &mut WriteTx<'_>, session: &Session) -> Result<(), StoreError> {
    codec::put(tx, session.id.as_bytes(), session)
}

/// Ends a session.
pub fn remove(tx: &mut WriteTx<'_>, session: &Session) {
    tx.remove(Table::Sessions, session.id.as_bytes());
    tx.remove(
        Table::SessionsByUser,
        &codec::pair(session.user_id, session.id),
    );
}
