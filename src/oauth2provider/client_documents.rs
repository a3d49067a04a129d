//! Clients that are named by the URL of a document which describes them.
//!
//! Such a client is kept like any other, under an identifier of ours and with an index by its URL,
//! so that grants, codes and tokens work alike; on the wire it is its URL and nothing else.
//! Fetching is the caller's business: a copy that was fetched is handed in ([`keep`]), and when
//! none could be, another copy serves ([`fall_back`]). Only the authorization endpoint of somebody
//! who is signed in does either; no other endpoint has a document looked at again.
//!
//! # Source
//! draft-ietf-oauth-client-id-metadata-document-00; MCP 2026-07-28, client registration.

use std::time::Duration;

use crate::{
    audit::{self, Act},
    config::Switch,
    model::{
        audit::{Action, Change, Object},
        id::Id,
        oauth2::{
            client::{Client, ClientOrigin},
            client_document::{ClientDocument, PinnedDocument},
            client_id::{ClientId, DocumentUrl},
        },
        timestamp::Timestamp,
    },
    oauth2provider::{Moment, apps},
    store::{Read, StoreError, WriteTx, client_documents, clients},
};

/// The least time for which a copy serves without being fetched again, whatever its headers say.
pub const FRESH_MIN: Duration = Duration::from_mins(5);
/// The longest.
pub const FRESH_MAX: Duration = Duration::from_hours(1);
/// How long a copy that is no longer fresh serves when the document cannot be fetched.
pub const STALE_MAX: Duration = Duration::from_hours(7 * 24);

/// Whether clients may come with a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Documents {
    /// They may, and the metadata says so.
    Advertised,
    /// A host had better register itself: most documents could not be had.
    NotAdvertised,
}

/// Why a document's client is not known.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DocumentError {
    /// The document could not be fetched, and there is no copy of it.
    #[error("the document could not be fetched, and this box keeps no copy of it")]
    Unavailable,
    /// The box has as many clients as it may have.
    #[error("this box has no room for another client")]
    Full,
    /// The box keeps as many copies as it may.
    #[error(
        "expected at most {} pinned documents; unpin one first",
        client_documents::PINS_MAX
    )]
    TooManyPins,
    /// The store failed; nothing was changed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Whether the metadata says that documents are understood: while they can be fetched, or the owner
/// pinned some.
///
/// The copies in the binary do not count: with egress off, a host whose document is not among them
/// would come with it and fail, where it would have registered itself and gone on.
pub fn documents(tx: &dyn Read, egress: Switch) -> Result<Documents, StoreError> {
    Ok(if egress.is_on() || !client_documents::is_empty(tx)? {
        Documents::Advertised
    } else {
        Documents::NotAdvertised
    })
}

/// Whether the copy of the document at `url` serves without being fetched again.
pub fn is_fresh(tx: &dyn Read, now: Timestamp, url: &DocumentUrl) -> Result<bool, StoreError> {
    Ok(fresh_until(tx, url)?.is_some_and(|end| !end.has_passed(now)))
}

fn fresh_until(tx: &dyn Read, url: &DocumentUrl) -> Result<Option<Timestamp>, StoreError> {
    let client = clients::find_named(tx, &ClientId::Document(url.clone()))?;
    Ok(client.and_then(|client| match client.origin {
        ClientOrigin::Document { fresh_until, .. } => Some(fresh_until),
        ClientOrigin::Administrator | ClientOrigin::SelfRegistered => None,
    }))
}

/// Keeps what was fetched, for as long as `fresh_for` says within the bounds.
///
/// A client that says something else than before is asked about again: what people allowed stays,
/// and is no longer remembered at consent. One that is new expires until somebody approves it.
///
/// # Errors
/// | variant | meaning |
/// |---|---|
/// | [`DocumentError::Full`] | the quota of all clients, or that of documents |
pub fn keep(
    tx: &mut WriteTx<'_>,
    moment: Moment<'_>,
    document: ClientDocument,
    fresh_for: Option<Duration>,
) -> Result<Client, DocumentError> {
    let Moment { provider, now, .. } = moment;
    let fresh_for = fresh_for.unwrap_or(FRESH_MIN).clamp(FRESH_MIN, FRESH_MAX);
    let fresh_until = now.after(fresh_for);
    if let Some(client) = update(tx, moment.act(), &document, fresh_until)? {
        return Ok(client);
    }
    if clients::is_full_of_documents(tx)? {
        return Err(DocumentError::Full);
    }
    let ClientDocument { url, metadata } = document;
    let client = Client {
        id: Id::generate(now, moment.entropy),
        origin: ClientOrigin::Document { url, fresh_until },
        metadata,
        registration_digest: None,
        created_at: now,
        updated_at: now,
        approved_at: None,
        last_used_at: None,
    };
    clients::put(tx, &client)?;
    let expires_at = now.after(provider.lifetimes.unapproved_client_ttl);
    clients::expire_unless_approved(tx, &client, expires_at);
    let mut changes = vec![document_change(&client.client_id())];
    changes.extend(apps::described(&client.metadata));
    let object = Object::Client(client.id);
    audit::record(tx, moment.by, Action::ClientDescribed, object, changes)?;
    Ok(client)
}

/// The client of the document as it is now; `None` if there is none.
fn update(
    tx: &mut WriteTx<'_>,
    act: Act<'_>,
    document: &ClientDocument,
    fresh_until: Timestamp,
) -> Result<Option<Client>, StoreError> {
    let url = document.url.clone();
    let Some(mut client) = clients::find_named(tx, &ClientId::Document(url.clone()))? else {
        return Ok(None);
    };
    if client.metadata != document.metadata {
        let changes = apps::compared(&client.metadata, &document.metadata);
        let object = Object::Client(client.id);
        audit::record(tx, act.by, Action::ClientChanged, object, changes)?;
        client.metadata = document.metadata.clone();
        client.updated_at = act.now;
    }
    client.origin = ClientOrigin::Document { url, fresh_until };
    clients::put(tx, &client)?;
    Ok(Some(client))
}

/// The client of a document that could not be fetched: by the owner's copy, else by the last one
/// that was fetched, else by `shipped`, the copy in the binary.
///
/// A failure is not remembered: a copy from before stays stale, so that the next request tries to
/// fetch again.
///
/// # Errors
/// | variant | meaning |
/// |---|---|
/// | [`DocumentError::Unavailable`] | there is no copy, or only one that is older than [`STALE_MAX`] |
pub fn fall_back(
    tx: &mut WriteTx<'_>,
    moment: Moment<'_>,
    url: &DocumentUrl,
    shipped: Option<ClientDocument>,
) -> Result<(), DocumentError> {
    if let Some(pinned) = client_documents::find(tx, url)? {
        keep(tx, moment, pinned.document, None)?;
        return Ok(());
    }
    let stale_end = fresh_until(tx, url)?.map(|end| end.after(STALE_MAX));
    if stale_end.is_some_and(|end| !end.has_passed(moment.now)) {
        return Ok(());
    }
    let shipped = shipped.ok_or(DocumentError::Unavailable)?;
    keep(tx, moment, shipped, None)?;
    Ok(())
}

/// Keeps a copy for when the document cannot be fetched, in place of any other.
///
/// A client that is known already is at once what the copy says.
pub fn pin(
    tx: &mut WriteTx<'_>,
    act: Act<'_>,
    document: ClientDocument,
) -> Result<PinnedDocument, DocumentError> {
    let is_new = client_documents::find(tx, &document.url)?.is_none();
    if is_new && client_documents::is_full(tx)? {
        return Err(DocumentError::TooManyPins);
    }
    update(tx, act, &document, act.now)?;
    let mut changes = vec![document_change(&document.url)];
    changes.extend(apps::described(&document.metadata));
    let pinned = PinnedDocument {
        document,
        pinned_at: act.now,
    };
    client_documents::put(tx, &pinned)?;
    audit::record(tx, act.by, Action::DocumentPinned, Object::Box, changes)?;
    Ok(pinned)
}

/// Gives up the owner's copy. `false` if there is none. A client that it described stays, like one
/// whose document was fetched.
pub fn unpin(tx: &mut WriteTx<'_>, act: Act<'_>, url: &DocumentUrl) -> Result<bool, StoreError> {
    if client_documents::find(tx, url)?.is_none() {
        return Ok(false);
    }
    client_documents::remove(tx, url);
    let change = document_change(url);
    audit::record(tx, act.by, Action::DocumentUnpinned, Object::Box, [change])?;
    Ok(true)
}

/// What an audit entry says of which document it is about.
fn document_change(url: &impl ToString) -> Change {
    Change::to("client_id", url)
}
