//! Grants, their indexes by user and by client, and the consent pages that were answered.

use crate::{
    model::{id::Id, oauth2::grant::Grant, timestamp::Timestamp},
    store::{
        Keys, Read, StoreError, Table, WriteTx,
        codec::{self, Record},
        sweep::{self, Swept},
    },
};

/// Grants of one user at the most; one more ends the oldest.
pub const GRANTS_PER_USER_MAX: usize = 1_000;
/// Grants of one client at the most; one more ends the oldest.
pub const GRANTS_PER_CLIENT_MAX: usize = 20_000;
/// Rows of an index that are read at a time: few, for what is wanted is most often the newest.
const INDEX_STEP: usize = 8;

impl Record for Grant {
    const TABLE: Table = Table::Grants;
    const VERSION: u8 = 1;
}

/// The grant with that id.
pub fn find(tx: &dyn Read, id: Id) -> Result<Option<Grant>, StoreError> {
    codec::find(tx, id.as_bytes())
}

/// A user's grants, newest first, ended ones among them until they are swept.
pub fn list_of_user(tx: &dyn Read, user_id: Id) -> Result<Vec<Grant>, StoreError> {
    let keys = Keys::with_prefix(user_id.as_bytes()).newest_first();
    codec::list_by_index(tx, Table::GrantsByUser, &keys, GRANTS_PER_USER_MAX, find)
}

/// The newest grant of `user_id` to `client_id` that was given at `since` or later and `suits`.
///
/// It reads the user's index row by row and, of the grants, only those of the two: a person who has
/// allowed a thousand things to others costs a thousand look-ups in the client's index.
pub fn find_newest(
    tx: &dyn Read,
    (user_id, client_id): (Id, Id),
    since: Timestamp,
    suits: impl Fn(&Grant) -> bool,
) -> Result<Option<Grant>, StoreError> {
    let mut keys = Keys::with_prefix(user_id.as_bytes());
    loop {
        let rows = tx.scan(
            Table::GrantsByUser,
            &keys.clone().newest_first(),
            INDEX_STEP,
        )?;
        let Some((last, _)) = rows.last() else {
            return Ok(None);
        };
        keys = keys.until(last);
        for (key, _) in rows {
            let Some(id) = key.strip_prefix(user_id.as_bytes().as_slice()) else {
                return Ok(None);
            };
            let id = codec::id(Table::GrantsByUser, id)?;
            // An id has the time in it, so everything further on is older still.
            if id.created_at() < since {
                return Ok(None);
            }
            let of_client = codec::pair(client_id, id);
            if tx.get(Table::GrantsByClient, &of_client)?.is_some()
                && let Some(grant) = find(tx, id)?.filter(&suits)
            {
                return Ok(Some(grant));
            }
        }
    }
}

/// The grant that a row of one of the two indexes names.
pub(super) fn find_indexed(tx: &dyn Read, index: Table, key: &[u8]) -> Result<Grant, StoreError> {
    let id = codec::id(index, key.get(16..).unwrap_or_default())?;
    find(tx, id)?.ok_or_else(|| StoreError::Corrupt {
        table: index.name(),
        reason: "a row names a record that does not exist".to_owned(),
    })
}

/// Ends the oldest grant of whom has as many as they may have, so that `user_id` can give
/// `client_id` one more, and says which. It reads index rows and at most two grants.
pub fn make_room(
    tx: &mut WriteTx<'_>,
    user_id: Id,
    client_id: Id,
) -> Result<Vec<Grant>, StoreError> {
    let mut ended = Vec::new();
    for (index, owner, max) in [
        (Table::GrantsByUser, user_id, GRANTS_PER_USER_MAX),
        (Table::GrantsByClient, client_id, GRANTS_PER_CLIENT_MAX),
    ] {
        let rows = tx.scan(index, &Keys::with_prefix(owner.as_bytes()), max)?;
        let oldest = rows.first().filter(|_| rows.len() >= max);
        let Some((key, _)) = oldest else { continue };
        let id = codec::id(index, key.get(16..).unwrap_or_default())?;
        if let Some(grant) = find(tx, id)? {
            remove(tx, &grant);
            ended.push(grant);
        }
    }
    Ok(ended)
}

/// Keeps a grant that was just given.
pub fn add(tx: &mut WriteTx<'_>, grant: &Grant) -> Result<(), StoreError> {
    codec::put(tx, grant.id.as_bytes(), grant)?;
    tx.put(
        Table::GrantsByUser,
        &codec::pair(grant.user_id, grant.id),
        Vec::new(),
    );
    tx.put(
        Table::GrantsByClient,
        &codec::pair(grant.client_id, grant.id),
        Vec::new(),
    );
    sweep::schedule(tx, Swept::Grant, grant.expires_at, grant.id);
    Ok(())
}

/// Ends a grant, and with it everything that was issued under it.
pub fn remove(tx: &mut WriteTx<'_>, grant: &Grant) {
    tx.remove(Table::Grants, grant.id.as_bytes());
    tx.remove(Table::GrantsByUser, &codec::pair(grant.user_id, grant.id));
    tx.remove(
        Table::GrantsByClient,
        &codec::pair(grant.client_id, grant.id),
    );
}

/// Has the sweeper end all grants of a client, however many they are. The client has to be gone:
/// until then they open what they opened.
pub fn end_of_removed_client(tx: &mut WriteTx<'_>, now: Timestamp, client_id: Id) {
    sweep::schedule(tx, Swept::GrantsOfClient, now, client_id);
}

/// Has the sweeper end all grants of a user, who has to be gone.
pub fn end_of_removed_user(tx: &mut WriteTx<'_>, now: Timestamp, user_id: Id) {
    sweep::schedule(tx, Swept::GrantsOfUser, now, user_id);
}

/// Marks a consent page as answered until it would have expired. `false` if it already was.
pub fn spend_consent(
    tx: &mut WriteTx<'_>,
    id: Id,
    expires_at: Timestamp,
) -> Result<bool, StoreError> {
    if tx.get(Table::SpentConsents, id.as_bytes())?.is_some() {
        return Ok(false);
    }
    let value = expires_at.millis().to_be_bytes().to_vec();
    tx.put(Table::SpentConsents, id.as_bytes(), value);
    Ok(true)
}
