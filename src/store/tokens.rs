//! Access tokens and the families they belong to.

use crate::{
    model::{
        id::Id,
        oauth2::token::{AccessToken, TokenFamily},
    },
    store::{
        Read, StoreError, Table, WriteTx,
        codec::{self, Record},
        sweep::{self, Swept},
    },
};

impl Record for AccessToken {
    const TABLE: Table = Table::AccessTokens;
    const VERSION: u8 = 1;
}

impl Record for TokenFamily {
    const TABLE: Table = Table::TokenFamilies;
    const VERSION: u8 = 1;
}

/// The access token with that id.
pub fn find_access_token(tx: &dyn Read, id: Id) -> Result<Option<AccessToken>, StoreError> {
    codec::find(tx, id.as_bytes())
}

/// Keeps an access token that was just issued.
pub fn put_access_token(tx: &mut WriteTx<'_>, token: &AccessToken) -> Result<(), StoreError> {
    codec::put(tx, token.id.as_bytes(), token)
}

/// Ends one access token, and nothing else of its family.
pub fn remove_access_token(tx: &mut WriteTx<'_>, id: Id) {
    tx.remove(Table::AccessTokens, id.as_bytes());
}

/// The family with that id.
pub fn find_family(tx: &dyn Read, id: Id) -> Result<Option<TokenFamily>, StoreError> {
    codec::find(tx, id.as_bytes())
}

/// Keeps a family that has just begun.
pub fn add_family(tx: &mut WriteTx<'_>, family: &TokenFamily) -> Result<(), StoreError> {
    put_family(tx, family)?;
    schedule_family(tx, family);
    Ok(())
}

/// Has the sweeper look at a family when it ends: when it has just begun, and when it now ends
/// earlier than it did.
pub fn schedule_family(tx: &mut WriteTx<'_>, family: &TokenFamily) {
    sweep::schedule(tx, Swept::Family, family.ends_at(), family.id);
}

/// Keeps what changed of a family that exists. If it ends later than it did, the sweeper finds that
/// out, so that a rotation writes one table less.
pub fn put_family(tx: &mut WriteTx<'_>, family: &TokenFamily) -> Result<(), StoreError> {
    codec::put(tx, family.id.as_bytes(), family)
}

/// Ends a family: its refresh token, and every access token that was issued with it.
pub fn remove_family(tx: &mut WriteTx<'_>, id: Id) {
    tx.remove(Table::TokenFamilies, id.as_bytes());
}
