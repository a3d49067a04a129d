//! Floor 2: who did what, when and from where, in the same transaction as what was done.
//!
//! Entries are chained by hash: [`verify()`] shows one that was removed or edited behind our back.
//! Nothing secret is in an entry, and what a client sent is in it only as what was kept of it.

mod rows;
mod verify;

use std::time::Duration;

pub use rows::{AuditChange, AuditRow};
pub use verify::{Broken, Verified, verify};

use crate::{
    crypto::entropy::Entropy,
    model::{
        audit::{Action, Actor, AuditEntry, Change, Object, Origin},
        timestamp::Timestamp,
    },
    store::{Read, StoreError, WriteTx, audit, sweep},
};

/// Entries that one search looks at, at the most.
pub const SEARCH_ENTRIES_MAX: usize = 100_000;
/// Entries that one answer has, at the most.
pub const SEARCH_LIMIT_MAX: usize = 100;
/// Characters of a query at the most.
pub const QUERY_LEN_MAX: usize = 256;
/// Characters of one value in an entry; what is longer is cut.
const VALUE_LEN_MAX: usize = 512;
/// Entries that one step of [`prune`] lets go.
const PRUNE_STEP: usize = 256;

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
    let entry = AuditEntry {
        number: audit::head(tx)?.number.saturating_add(1),
        at: by.at,
        actor: by.actor.clone(),
        address: by.address.map(|address| address.to_string()),
        request_id: by.request_id.clone(),
        action,
        object,
        changes: changes.into_iter().map(cut).collect(),
    };
    audit::append(tx, entry)
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
        let page = audit::list_before(tx, before, PRUNE_STEP)?;
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

/// Removes some of what has ended, writes down the clients among it, and lets go of some entries
/// that are older than `kept`. Says how many rows that were; 0 when nothing is left to do.
pub fn sweep(tx: &mut WriteTx<'_>, now: Timestamp, kept: Duration) -> Result<usize, StoreError> {
    let step = sweep::step(tx, now)?;
    let by = Origin::local(now, Actor::Keystead);
    for id in step.expired_clients {
        record(tx, &by, Action::ClientExpired, Object::Client(id), [])?;
    }
    Ok(step.rows + prune(tx, now, kept)?)
}

/// Lets go of some entries that are older than `kept`, and says how many it were.
pub fn prune(tx: &mut WriteTx<'_>, now: Timestamp, kept: Duration) -> Result<usize, StoreError> {
    let mut oldest = audit::list_after(tx, audit::base(tx)?.number, PRUNE_STEP)?;
    let is_old = |at: Timestamp| at.after(kept).has_passed(now);
    let young = oldest.iter().position(|chained| !is_old(chained.entry.at));
    oldest.truncate(young.unwrap_or(oldest.len()));
    audit::let_go(tx, &oldest)?;
    Ok(oldest.len())
}

#[cfg(test)]
mod tests;
