//! The sweeper: what has ended leaves the file, a bounded step at a time.
//!
//! What lives for a fixed time stands in the order in which it was made, so its own table says what
//! ends next. The rest has a row in the expiry index, at the end it had when the row was written;
//! if that end has moved since, the step that meets the row moves it too.
//!
//! Sweeping is housekeeping only: whatever has ended is refused from that instant on, swept or not.

use std::time::Duration;

use crate::{
    model::{
        audit::ChainedEntry,
        id::Id,
        notification::Notification,
        oauth2::{
            code::AuthorizationCode,
            device::DeviceAuthorization,
            token::{AccessToken, Holder},
        },
        timestamp::Timestamp,
    },
    store::{
        Keys, Read, Row, StoreError, Table, WriteTx, audit, clients, codec,
        codes::CODE_KEPT,
        devices::{self, DEVICE_KEPT},
        grants, notifications, sessions, tokens,
    },
};

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
    /// A client that was removed: the grants that it had.
    GrantsOfClient = 5,
    /// A user who was removed: the grants that they gave.
    GrantsOfUser = 6,
    /// A user who was removed: what is in their inbox.
    InboxOfUser = 7,
}

impl Swept {
    const ALL: [Self; 7] = [
        Self::Session,
        Self::UnapprovedClient,
        Self::Grant,
        Self::Family,
        Self::GrantsOfClient,
        Self::GrantsOfUser,
        Self::InboxOfUser,
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

/// The parts of a row's key; an error for what is no row of the expiry index.
pub(super) fn parse_key(key: &[u8]) -> Result<(Timestamp, Swept, Id), StoreError> {
    let (at, rest) = key.split_first_chunk::<8>().unwrap_or((&[0; 8], &[]));
    let parts = rest
        .split_first()
        .and_then(|(kind, id)| Some((Swept::find(*kind)?, Id::from_bytes(id.try_into().ok()?))));
    let (kind, id) = parts.ok_or_else(|| StoreError::Corrupt {
        table: Table::Expiry.name(),
        reason: format!("expected instant, kind and id, found {} bytes", key.len()),
    })?;
    Ok((Timestamp::from_millis(u64::from_be_bytes(*at)), kind, id))
}

/// How long that is kept which has no end of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// An entry of the audit log.
    pub audit: Duration,
    /// A notification.
    pub notifications: Duration,
}

impl Kept {
    /// All of it for good.
    pub const FOR_GOOD: Self = Self {
        audit: Duration::MAX,
        notifications: Duration::MAX,
    };
}

/// One way through the file, and how far it has come. It removes what had ended when it began, so
/// that it has an end however much ends meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pass {
    now: Timestamp,
    kept: Kept,
    place: usize,
    /// The first key of the place that has not been met.
    from: Vec<u8>,
    /// The first key below a row of which a part is done.
    within: Vec<u8>,
}

impl Pass {
    /// A pass that removes what has ended at `now`, and what is older than it is `kept`.
    pub const fn begin(now: Timestamp, kept: Kept) -> Self {
        Self {
            now,
            kept,
            place: 0,
            from: Vec::new(),
            within: Vec::new(),
        }
    }

    /// Whether there is nothing left for it to look at.
    pub const fn is_over(&self) -> bool {
        self.place >= PLACES.len()
    }

    fn enter_next_place(&mut self) {
        self.place += 1;
        self.from.clear();
        self.within.clear();
    }

    fn go_behind(&mut self, key: Vec<u8>) {
        self.from = behind(key);
        self.within.clear();
    }
}

/// The first key after `key`.
fn behind(mut key: Vec<u8>) -> Vec<u8> {
    key.push(0);
    key
}

/// A row that could not be read. It stays where it is: what it says may still be needed, and
/// `keystead check` shows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Damaged {
    /// In which table it was met.
    pub table: &'static str,
    /// Its key.
    pub key: Vec<u8>,
    /// What was expected and what was found.
    pub reason: String,
}

/// What one step did.
#[derive(Debug, PartialEq, Eq)]
pub struct Step {
    /// Where the next step goes on.
    pub pass: Pass,
    /// Rows that it changed, those of the audit entries included that its caller has to write.
    pub changed: usize,
    /// Clients that are gone because no user had approved them.
    pub expired_clients: Vec<Id>,
    /// Grants that ended because their client or their user was removed.
    pub ended_grants: Vec<Id>,
    /// Rows that it passed over.
    pub damaged: Vec<Damaged>,
    /// Rows that it may change or pass over.
    rows_max: usize,
}

impl Step {
    /// How many rows more it may deal with.
    fn room(&self) -> usize {
        self.rows_max
            .saturating_sub(self.changed + self.damaged.len())
    }

    fn pass_over(&mut self, table: Table, key: &[u8], fault: StoreError) -> Result<(), StoreError> {
        let StoreError::Corrupt { .. } = fault else {
            return Err(fault);
        };
        self.damaged.push(Damaged {
            table: table.name(),
            key: key.to_vec(),
            reason: fault.to_string(),
        });
        Ok(())
    }
}

/// What became of a row that was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Met {
    /// It has been dealt with.
    Done,
    /// The step is full before all of it was done.
    Unfinished,
    /// It has not ended, and neither has what stands behind it.
    Young,
}

/// What is done with a row. It reads before it changes anything, so that a row which cannot be read
/// leaves no half-done work.
type Meet = fn(&mut WriteTx<'_>, &mut Step, &Row) -> Result<Met, StoreError>;

/// Every table in which something ends by itself, in the order of its key.
const PLACES: [(Table, Meet); 7] = [
    (Table::Expiry, meet_due),
    (Table::AccessTokens, meet_access_token),
    (Table::Codes, meet_code),
    (Table::SpentConsents, meet_consent),
    (Table::Devices, meet_device),
    (Table::Notifications, meet_notification),
    (Table::Audit, meet_audit_entry),
];

/// Removes some of what `pass` is to remove, and says where to go on.
///
/// # Units
/// `rows_max` is in rows changed. The last thing that is removed may go beyond it by the rows that
/// one client has: itself, its document's URL and [`clients::SECRETS_PER_CLIENT_MAX`] secrets.
pub fn step(tx: &mut WriteTx<'_>, pass: Pass, rows_max: usize) -> Result<Step, StoreError> {
    let mut step = Step {
        pass,
        changed: 0,
        expired_clients: Vec::new(),
        ended_grants: Vec::new(),
        damaged: Vec::new(),
        rows_max,
    };
    while let Some((table, meet)) = PLACES.get(step.pass.place)
        && step.room() > 0
    {
        if sweep_place(tx, &mut step, *table, *meet)? == Met::Young {
            step.pass.enter_next_place();
        }
    }
    Ok(step)
}

/// What [`step`] would do, found out on a snapshot and kept nowhere.
///
/// Afterwards the pages that the step needs are in memory, so that the writer does not wait for the
/// disk to read; and where nothing is to be changed, the writer need not be asked at all.
pub fn rehearse(tx: &dyn Read, pass: Pass, rows_max: usize) -> Result<Step, StoreError> {
    step(&mut WriteTx::new(tx), pass, rows_max)
}

/// `Young` when the place has nothing more that has ended.
fn sweep_place(
    tx: &mut WriteTx<'_>,
    step: &mut Step,
    table: Table,
    meet: Meet,
) -> Result<Met, StoreError> {
    let limit = step.room();
    let rows = tx.scan(table, &Keys::from(&step.pass.from), limit)?;
    let is_last = rows.len() < limit;
    for row in rows {
        if step.room() == 0 {
            return Ok(Met::Unfinished);
        }
        match meet(tx, step, &row) {
            Ok(Met::Done) => {}
            Ok(other) => return Ok(other),
            Err(fault) => step.pass_over(table, &row.0, fault)?,
        }
        step.pass.go_behind(row.0);
    }
    Ok(if is_last { Met::Young } else { Met::Unfinished })
}

fn meet_due(tx: &mut WriteTx<'_>, step: &mut Step, row: &Row) -> Result<Met, StoreError> {
    let now = step.pass.now;
    let (at, kind, id) = parse_key(&row.0)?;
    if !at.has_passed(now) {
        return Ok(Met::Young);
    }
    let later = match kind {
        Swept::Session => end_session(tx, step, id)?,
        Swept::UnapprovedClient => end_client(tx, step, id)?,
        Swept::Grant => end_grant(tx, step, id)?,
        Swept::Family => end_family(tx, step, id)?,
        Swept::GrantsOfClient | Swept::GrantsOfUser => {
            if end_grants_of(tx, step, kind, id)? == Met::Unfinished {
                return Ok(Met::Unfinished);
            }
            None
        }
        Swept::InboxOfUser => {
            if end_inbox_of(tx, step, id)? == Met::Unfinished {
                return Ok(Met::Unfinished);
            }
            None
        }
    };
    tx.remove(Table::Expiry, &row.0);
    step.changed += 1;
    if let Some(end) = later {
        schedule(tx, kind, end, id);
        step.changed += 1;
    }
    Ok(Met::Done)
}

/// The end of a session that has not ended.
fn end_session(
    tx: &mut WriteTx<'_>,
    step: &mut Step,
    id: Id,
) -> Result<Option<Timestamp>, StoreError> {
    let Some(session) = sessions::find(tx, id)? else {
        return Ok(None);
    };
    if !session.ends_at().has_passed(step.pass.now) {
        return Ok(Some(session.ends_at()));
    }
    sessions::remove(tx, &session);
    step.changed += 2;
    Ok(None)
}

/// A client stays for good once a user has approved it.
fn end_client(
    tx: &mut WriteTx<'_>,
    step: &mut Step,
    id: Id,
) -> Result<Option<Timestamp>, StoreError> {
    let client = clients::find(tx, id)?;
    if client.is_some_and(|client| client.approved_at.is_none()) {
        // Its own row and the audit entry, beside what it has.
        step.changed += 2 + clients::secrets(tx, id)?.len();
        clients::remove(tx, id)?;
        step.expired_clients.push(id);
    }
    Ok(None)
}

/// The end of a grant that has not ended.
fn end_grant(
    tx: &mut WriteTx<'_>,
    step: &mut Step,
    id: Id,
) -> Result<Option<Timestamp>, StoreError> {
    let Some(grant) = grants::find(tx, id)? else {
        return Ok(None);
    };
    if !grant.expires_at.has_passed(step.pass.now) {
        return Ok(Some(grant.expires_at));
    }
    grants::remove(tx, &grant);
    step.changed += 3;
    Ok(None)
}

/// The end of a family that has not ended.
fn end_family(
    tx: &mut WriteTx<'_>,
    step: &mut Step,
    id: Id,
) -> Result<Option<Timestamp>, StoreError> {
    let Some(end) = end_of_family_and_grant(tx, id)? else {
        return Ok(None);
    };
    if !end.has_passed(step.pass.now) {
        return Ok(Some(end));
    }
    tokens::remove_family(tx, id);
    step.changed += 1;
    Ok(None)
}

/// A family ends with its grant, if it has one, whatever its own end says.
fn end_of_family_and_grant(tx: &dyn Read, id: Id) -> Result<Option<Timestamp>, StoreError> {
    let Some(family) = tokens::find_family(tx, id)? else {
        return Ok(None);
    };
    let Holder::Person { grant_id, .. } = family.holder else {
        return Ok(Some(family.ends_at()));
    };
    let grant = grants::find(tx, grant_id)?;
    Ok(Some(grant.map_or(Timestamp::EPOCH, |grant| {
        family.ends_at().min(grant.expires_at)
    })))
}

/// Ends the grants of somebody who was removed, as many as the step has room for.
fn end_grants_of(
    tx: &mut WriteTx<'_>,
    step: &mut Step,
    kind: Swept,
    owner: Id,
) -> Result<Met, StoreError> {
    let index = match kind {
        Swept::GrantsOfClient => Table::GrantsByClient,
        _ => Table::GrantsByUser,
    };
    let limit = step.room();
    let from = owner.as_bytes().as_slice().max(&step.pass.within);
    let rows = tx.scan(index, &Keys::from(from), limit)?;
    let is_last = rows.len() < limit;
    for (key, _) in rows {
        if !key.starts_with(owner.as_bytes()) {
            return Ok(Met::Done);
        }
        if step.room() == 0 {
            return Ok(Met::Unfinished);
        }
        match grants::find_indexed(tx, index, &key) {
            Ok(grant) => {
                grants::remove(tx, &grant);
                step.ended_grants.push(grant.id);
                // With its audit entry.
                step.changed += 4;
            }
            Err(fault) => step.pass_over(index, &key, fault)?,
        }
        step.pass.within = behind(key);
    }
    Ok(if is_last { Met::Done } else { Met::Unfinished })
}

/// Empties the inbox of a user who was removed, as far as the step has room.
fn end_inbox_of(tx: &mut WriteTx<'_>, step: &mut Step, user_id: Id) -> Result<Met, StoreError> {
    let (table, limit) = (Table::NotificationsByUser, step.room());
    let from = user_id.as_bytes().as_slice().max(&step.pass.within);
    let rows = tx.scan(table, &Keys::from(from), limit)?;
    let is_last = rows.len() < limit;
    for (key, _) in rows {
        if !key.starts_with(user_id.as_bytes()) {
            return Ok(Met::Done);
        }
        if step.room() == 0 {
            return Ok(Met::Unfinished);
        }
        let removed = codec::id(table, &key[user_id.as_bytes().len()..])
            .and_then(|id| notifications::remove(tx, user_id, id));
        match removed {
            Ok(_) => step.changed += ROWS_OF_A_NOTIFICATION,
            Err(fault) => step.pass_over(table, &key, fault)?,
        }
        step.pass.within = behind(key);
    }
    Ok(if is_last { Met::Done } else { Met::Unfinished })
}

fn meet_access_token(
    tx: &mut WriteTx<'_>,
    step: &mut Step,
    (key, value): &Row,
) -> Result<Met, StoreError> {
    let token: AccessToken = codec::decode(value)?;
    if !token.expires_at.has_passed(step.pass.now) {
        return Ok(Met::Young);
    }
    Ok(remove_alone(tx, step, Table::AccessTokens, key))
}

fn meet_code(tx: &mut WriteTx<'_>, step: &mut Step, (key, value): &Row) -> Result<Met, StoreError> {
    let code: AuthorizationCode = codec::decode(value)?;
    let kept_until = code.id.created_at().after(CODE_KEPT).max(code.expires_at);
    if !kept_until.has_passed(step.pass.now) {
        return Ok(Met::Young);
    }
    Ok(remove_alone(tx, step, Table::Codes, key))
}

fn meet_consent(
    tx: &mut WriteTx<'_>,
    step: &mut Step,
    (key, value): &Row,
) -> Result<Met, StoreError> {
    let end = value
        .as_slice()
        .try_into()
        .map_err(|_| StoreError::Corrupt {
            table: Table::SpentConsents.name(),
            reason: format!("expected an instant of 8 bytes, found {}", value.len()),
        })?;
    if !Timestamp::from_millis(u64::from_be_bytes(end)).has_passed(step.pass.now) {
        return Ok(Met::Young);
    }
    Ok(remove_alone(tx, step, Table::SpentConsents, key))
}

fn meet_device(tx: &mut WriteTx<'_>, step: &mut Step, (_, value): &Row) -> Result<Met, StoreError> {
    let device: DeviceAuthorization = codec::decode(value)?;
    if !device
        .expires_at
        .after(DEVICE_KEPT)
        .has_passed(step.pass.now)
    {
        return Ok(Met::Young);
    }
    devices::remove(tx, &device);
    step.changed += 2;
    Ok(Met::Done)
}

/// Its record, its row in the index, and how full the inbox is.
const ROWS_OF_A_NOTIFICATION: usize = 3;

fn meet_notification(
    tx: &mut WriteTx<'_>,
    step: &mut Step,
    (_, value): &Row,
) -> Result<Met, StoreError> {
    let notification: Notification = codec::decode(value)?;
    let kept_until = notification.created_at.after(step.pass.kept.notifications);
    if !kept_until.has_passed(step.pass.now) {
        return Ok(Met::Young);
    }
    notifications::remove(tx, notification.user_id, notification.id)?;
    step.changed += ROWS_OF_A_NOTIFICATION;
    Ok(Met::Done)
}

/// An entry that cannot be read has no date. It is passed over together with those around it: the
/// chain then begins behind it.
fn meet_audit_entry(
    tx: &mut WriteTx<'_>,
    step: &mut Step,
    (_, value): &Row,
) -> Result<Met, StoreError> {
    let chained: ChainedEntry = codec::decode(value)?;
    if !chained
        .entry
        .at
        .after(step.pass.kept.audit)
        .has_passed(step.pass.now)
    {
        return Ok(Met::Young);
    }
    audit::let_go(tx, &chained)?;
    step.changed += 2;
    Ok(Met::Done)
}

fn remove_alone(tx: &mut WriteTx<'_>, step: &mut Step, table: Table, key: &[u8]) -> Met {
    tx.remove(table, key);
    step.changed += 1;
    Met::Done
}
