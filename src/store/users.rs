//! Users, and the index by their names.

use crate::{
    model::{
        id::Id,
        user::{User, UserName},
    },
    store::{
        Keys, Read, StoreError, Table, WriteTx,
        codec::{self, Record},
    },
};

/// Users of one box at the most.
pub const USERS_MAX: usize = 10_000;

impl Record for User {
    const TABLE: Table = Table::Users;
    const VERSION: u8 = 1;
}

/// The user with that id.
pub fn find(tx: &dyn Read, id: Id) -> Result<Option<User>, StoreError> {
    codec::find(tx, id.as_bytes())
}

/// The user with that name.
pub fn find_by_name(tx: &dyn Read, name: &UserName) -> Result<Option<User>, StoreError> {
    match tx.get(Table::UsersByName, name.as_str().as_bytes())? {
        None => Ok(None),
        Some(id) => find(tx, codec::id(Table::UsersByName, &id)?),
    }
}

/// Everybody, in the order in which their accounts were made.
pub fn list(tx: &dyn Read) -> Result<Vec<User>, StoreError> {
    codec::list(tx, &Keys::ALL, USERS_MAX)
}

/// Whether there is no room for another user.
pub fn is_full(tx: &dyn Read) -> Result<bool, StoreError> {
    Ok(tx.len(Table::Users)? >= USERS_MAX as u64)
}

/// Keeps `user`. Its name must be its own: look with [`find_by_name`] first, in the same closure.
pub fn put(tx: &mut WriteTx<'_>, user: &User) -> Result<(), StoreError> {
    if let Some(before) = find(tx, user.id)?
        && before.name != user.name
    {
        tx.remove(Table::UsersByName, before.name.as_str().as_bytes());
    }
    codec::put(tx, user.id.as_bytes(), user)?;
    let name = user.name.as_str().as_bytes();
    tx.put(Table::UsersByName, name, user.id.as_bytes().to_vec());
    Ok(())
}

/// Removes `user`; their sessions and grants are the caller's to end.
pub fn remove(tx: &mut WriteTx<'_>, user: &User) {
    tx.remove(Table::Users, user.id.as_bytes());
    tx.remove(Table::UsersByName, user.name.as_str().as_bytes());
}
