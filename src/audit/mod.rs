//! Floor 2: who did what, when and from where, in the same transaction as what was done.
//!
//! Entries are chained by hash: [`verify()`] shows one that was removed or edited behind our back.
//! Nothing secret is in an entry, and what a client sent is in it only as what was kept of it.

mod rows;
mod verify;

pub use rows::{AuditChange, AuditRow};
pub use verify::{Broken, Verified, verify};

use crate::{
    crypto::entropy::Entropy,
    model::{
        audit::{Action, Actor, AuditEntry, Change, Object, Origin},
        timestamp::Timestamp,
    },
    store::{
        Read, StoreError, WriteTx, audit,
        sweep::{self, Pass, Step},
    },
};

/// Entries that one search looks at, at the most.
pub const SEARCH_ENTRIES_MAX: usize = 100_000;
/// Entries that one answer has, at the most.
pub const SEARCH_LIMIT_MAX: usize = 100;
/// Characters of a query at the most.
pub const QUERY_LEN_MAX: usize = 256;
/// Characters of one value in an entry; what is longer is cut.
const VALUE_LEN_MAX: usize = 512;
/// Entries that a search reads at a time.
const SEARCH_STEP: usize = 256;

/// What every change is made with: one `now`, random bytes, and whom it is written down as.
#[derive(Clone, Copy)]
pub struct Act<'a> {
    /// When the request arrived.
    pub now: Timestamp,
    /// For identifiers and secrets.
    pub entropy: &'a dyn Entropy,
    /// Who asks for it, and from where.
    pub by: &'a Origin,
}

/// Writes down that something was done.
pub fn record(
    tx: &mut WriteTx<'_>,
    by: &Origin,
    action: Action,
    object: Object,
    changes: impl IntoIterator<Item = Change>,
) -> Result<(), StoreError> {
    let head = audit::head(tx)?;
    let entry = AuditEntry {
        number: head.number.saturating_add(1),
        at: by.at,
        actor: by.actor.clone(),
        address: by.address.map(|address| address.to_string()),
        request_id: by.request_id.clone(),
        action,
        object,
        changes: changes.into_iter().map(cut).collect(),
    };
    audit::append(tx, &head, entry)
}

fn cut(change: Change) -> Change {
    // What has as few bytes has as few characters.
    let cut = |value: String| match value.len() {
        0..=VALUE_LEN_MAX => value,
        _ => value.chars().take(VALUE_LEN_MAX).collect(),
    };
    Change {
        old: change.old.map(cut),
        new: change.new.map(cut),
        ..change
    }
}

/// What a search found.
#[derive(Debug)]
pub struct Found {
    /// A page of it, newest first.
    pub entries: Vec<AuditEntry>,
    /// How many there are, of the [`SEARCH_ENTRIES_MAX`] newest.
    pub count: usize,
}

/// The entries that have every word of `query`, newest first.
///
/// A word is found in the action, in the ids of actor and object, in the address, the request's id,
/// and the changed fields and values.
pub fn search(
    tx: &dyn Read,
    query: &str,
    limit: usize,
    offset: usize,
) -> Result<Found, StoreError> {
    let words: Vec<String> = query.split_whitespace().map(str::to_lowercase).collect();
    let mut found = Found {
        entries: Vec::new(),
        count: 0,
    };
    let mut before = u64::MAX;
    let mut seen = 0;
    while seen < SEARCH_ENTRIES_MAX {
        let page = audit::list_before(tx, before, SEARCH_STEP)?;
        let Some(last) = page.last() else { break };
        before = last.entry.number;
        seen += page.len();
        for entry in page.into_iter().map(|chained| chained.entry) {
            if !matches(&entry, &words) {
                continue;
            }
            if found.count >= offset && found.entries.len() < limit.min(SEARCH_LIMIT_MAX) {
                found.entries.push(entry);
            }
            found.count += 1;
        }
    }
    Ok(found)
}

fn matches(entry: &AuditEntry, words: &[String]) -> bool {
    if words.is_empty() {
        return true;
    }
    let changes = entry.changes.iter().flat_map(|change| {
        [
            Some(change.field.as_str()),
            change.old.as_deref(),
            change.new.as_deref(),
        ]
    });
    let own = [entry.address.as_deref(), entry.request_id.as_deref()];
    let mut text = format!(
        "{} {:?} {:?}",
        entry.action.as_str(),
        entry.actor,
        entry.object
    );
    for part in own.into_iter().chain(changes).flatten() {
        text.push(' ');
        text.push_str(part);
    }
    let text = text.to_lowercase();
    words.iter().all(|word| text.contains(word.as_str()))
}

/// Does one step of a sweep ([`sweep::step`]) at `now`, and writes down what of it was not the end
/// of its own time: clients that nobody approved, and grants whose client or user was removed.
pub fn sweep(
    tx: &mut WriteTx<'_>,
    now: Timestamp,
    pass: Pass,
    rows_max: usize,
) -> Result<Step, StoreError> {
    let step = sweep::step(tx, pass, rows_max)?;
    let by = Origin::local(now, Actor::Keystead);
    for id in &step.expired_clients {
        record(tx, &by, Action::ClientExpired, Object::Client(*id), [])?;
    }
    for id in &step.ended_grants {
        record(tx, &by, Action::GrantRevoked, Object::Grant(*id), [])?;
    }
    Ok(step)
}

#[cfg(test)]
mod tests;
