//! The sweeper: what has ended leaves the file, a bounded step at a time.
//!
//! What lives for a fixed time stands in the order in which it was made, so its own table says what
//! ends next. The rest has a row in the expiry index, at the end it had when the row was written;
//! if that end has moved since, the step that meets the row moves it too.
//!
//! Sweeping is housekeeping only: whatever has ended is refused from that instant on, swept or not.

use crate::{
    model::{
        id::Id,
        oauth2::{
            code::AuthorizationCode,
            device::DeviceAuthorization,
            token::{AccessToken, Holder, TokenFamily},
        },
        timestamp::Timestamp,
    },
    store::{
        Keys, Read, StoreError, Table, WriteTx, clients, codec,
        codes::CODE_KEPT,
        devices::{self, DEVICE_KEPT},
        grants, sessions, tokens,
    },
};

/// Rows that one step looks at, in each of its places. Bounds how long it holds the writer.
pub const STEP_ROWS_MAX: usize = 256;

/// What the expiry index names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Swept {
    /// A browser session.
    Session = 1,
    /// A client that registered itself, unless a user has approved it.
    UnapprovedClient = 2,
    /// A grant.
    Grant = 3,
    /// A family of tokens.
    Family = 4,
}

impl Swept {
    const ALL: [Self; 4] = [
        Self::Session,
        Self::UnapprovedClient,
        Self::Grant,
        Self::Family,
    ];

    fn find(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// Puts something into the expiry index.
pub(super) fn schedule(tx: &mut WriteTx<'_>, kind: Swept, at: Timestamp, id: Id) {
    tx.put(Table::Expiry, &key(kind, at, id), Vec::new());
}

fn key(kind: Swept, at: Timestamp, id: Id) -> Vec<u8> {
    let mut key = Vec::with_capacity(25);
    key.extend_from_slice(&at.millis().to_be_bytes());
    key.push(kind as u8);
    key.extend_from_slice(id.as_bytes());
    key
}

pub(super) fn parse_key(key: &[u8]) -> Result<(Swept, Id), StoreError> {
    let parts = (key.len() == 25).then(|| Swept::find(key[8])).flatten();
    let kind = parts.ok_or_else(|| StoreError::Corrupt {
        table: Table::Expiry.name(),
        reason: format!("expected instant, kind and id, found {} bytes", key.len()),
    })?;
    Ok((kind, codec::id(Table::Expiry, &key[9..])?))
}

/// What one step did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// How many rows it dealt with. When it is 0, nothing is left to do: what was met and has not
    /// ended is due later.
    pub rows: usize,
    /// Clients that are gone because no user had approved them.
    pub expired_clients: Vec<Id>,
}

/// Removes some of what has ended at `now`.
pub fn step(tx: &mut WriteTx<'_>, now: Timestamp) -> Result<Step, StoreError> {
    let mut step = Step::default();
    step.rows += step_by_index(tx, now, &mut step.expired_clients)?;
    step.rows += step_codes(tx, now)?;
    step.rows += step_consents(tx, now)?;
    step.rows += step_access_tokens(tx, now)?;
    step.rows += step_devices(tx, now)?;
    Ok(step)
}

fn step_by_index(
    tx: &mut WriteTx<'_>,
    now: Timestamp,
    expired_clients: &mut Vec<Id>,
) -> Result<usize, StoreError> {
    let due = now.millis().saturating_add(1).to_be_bytes();
    let rows = tx.scan(Table::Expiry, &Keys::before(&due), STEP_ROWS_MAX)?;
    let met = rows.len();
    for (row, _) in rows {
        let (kind, id) = parse_key(&row)?;
        tx.remove(Table::Expiry, &row);
        match end_or_remove(tx, kind, id, now)? {
            Some(end) => schedule(tx, kind, end, id),
            None if kind == Swept::UnapprovedClient && clients::find(tx, id)?.is_none() => {
                expired_clients.push(id);
            }
            None => {}
        }
    }
    Ok(met)
}

/// Removes what has ended at `now`. The end of what has not, and so is to be looked at again.
fn end_or_remove(
    tx: &mut WriteTx<'_>,
    kind: Swept,
    id: Id,
    now: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    let end = match kind {
        Swept::Session => sessions::find(tx, id)?.map(|session| session.ends_at()),
        Swept::Grant => grants::find(tx, id)?.map(|grant| grant.expires_at),
        Swept::Family => end_of_family_and_grant(tx, id)?,
        Swept::UnapprovedClient => end_of_client(tx, id, now)?,
    };
    if end.is_some_and(|end| end.has_passed(now)) {
        remove(tx, kind, id)?;
        return Ok(None);
    }
    Ok(end)
}

fn remove(tx: &mut WriteTx<'_>, kind: Swept, id: Id) -> Result<(), StoreError> {
    match kind {
        Swept::Session => {
            if let Some(session) = sessions::find(tx, id)? {
                sessions::remove(tx, &session);
            }
        }
        Swept::Grant => {
            if let Some(grant) = grants::find(tx, id)? {
                grants::remove(tx, &grant);
            }
        }
        Swept::Family => tokens::remove_family(tx, id),
        Swept::UnapprovedClient => clients::remove(tx, id)?,
    }
    Ok(())
}

/// `None` for a client that stays for good: one that a user has approved.
fn end_of_client(tx: &dyn Read, id: Id, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
    let client = clients::find(tx, id)?;
    Ok(client
        .filter(|client| client.approved_at.is_none())
        .map(|_| now))
}

/// A family ends with its grant, if it has one, whatever its own end says.
fn end_of_family_and_grant(tx: &dyn Read, id: Id) -> Result<Option<Timestamp>, StoreError> {
    let Some(family) = tokens::find_family(tx, id)? else {
        return Ok(None);
    };
    let Holder::Person { grant_id, .. } = family.holder else {
        return Ok(Some(end_of_family(&family)));
    };
    let grant = grants::find(tx, grant_id)?;
    Ok(Some(grant.map_or(Timestamp::EPOCH, |grant| {
        end_of_family(&family).min(grant.expires_at)
    })))
}

/// When nothing of a family works any more.
pub(super) fn end_of_family(family: &TokenFamily) -> Timestamp {
    let idle = family
        .refresh
        .as_ref()
        .map_or(Timestamp::NEVER, |chain| chain.idle_expires_at);
    family.expires_at.min(idle)
}

fn step_codes(tx: &mut WriteTx<'_>, now: Timestamp) -> Result<usize, StoreError> {
    remove_while(tx, Table::Codes, |id, value| {
        let code: AuthorizationCode = codec::decode(value)?;
        Ok(id
            .created_at()
            .after(CODE_KEPT)
            .max(code.expires_at)
            .has_passed(now))
    })
}

fn step_consents(tx: &mut WriteTx<'_>, now: Timestamp) -> Result<usize, StoreError> {
    remove_while(tx, Table::SpentConsents, |_, value| {
        let end = value.try_into().map_err(|_| StoreError::Corrupt {
            table: Table::SpentConsents.name(),
            reason: format!("expected an instant of 8 bytes, found {}", value.len()),
        })?;
        Ok(Timestamp::from_millis(u64::from_be_bytes(end)).has_passed(now))
    })
}

fn step_access_tokens(tx: &mut WriteTx<'_>, now: Timestamp) -> Result<usize, StoreError> {
    remove_while(tx, Table::AccessTokens, |_, value| {
        let token: AccessToken = codec::decode(value)?;
        Ok(token.expires_at.has_passed(now))
    })
}

fn step_devices(tx: &mut WriteTx<'_>, now: Timestamp) -> Result<usize, StoreError> {
    let mut removed = 0;
    for (_, value) in tx.scan(Table::Devices, &Keys::ALL, STEP_ROWS_MAX)? {
        let device: DeviceAuthorization = codec::decode(&value)?;
        if !device.expires_at.after(DEVICE_KEPT).has_passed(now) {
            break;
        }
        devices::remove(tx, &device);
        removed += 1;
    }
    Ok(removed)
}

/// Removes the oldest rows of a table up to the first that has not ended.
fn remove_while(
    tx: &mut WriteTx<'_>,
    table: Table,
    has_ended: impl Fn(Id, &[u8]) -> Result<bool, StoreError>,
) -> Result<usize, StoreError> {
    let mut removed = 0;
    for (key, value) in tx.scan(table, &Keys::ALL, STEP_ROWS_MAX)? {
        if !has_ended(codec::id(table, &key)?, &value)? {
            break;
        }
        tx.remove(table, &key);
        removed += 1;
    }
    Ok(removed)
}
