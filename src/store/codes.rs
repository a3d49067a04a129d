//! Authorization codes, kept for a while after their end so that a replay is known as one.

use std::time::Duration;

use crate::{
    model::{id::Id, oauth2::code::AuthorizationCode},
    store::{
        Read, StoreError, Table, WriteTx,
        codec::{self, Record},
    },
};

/// For how long after it was made a code is remembered, spent or not.
pub const CODE_KEPT: Duration = Duration::from_hours(24);

impl Record for AuthorizationCode {
    const TABLE: Table = Table::Codes;
    const VERSION: u8 = 1;
}

/// The code with that id.
pub fn find(tx: &dyn Read, id: Id) -> Result<Option<AuthorizationCode>, StoreError> {
    codec::find(tx, id.as_bytes())
}

/// Keeps `code`.
pub fn put(tx: &mut WriteTx<'_>, code: &AuthorizationCode) -> Result<(), StoreError> {
    codec::put(tx, code.id.as_bytes(), code)
}
