//! What Keystead itself tells: read off the audit log, in the transaction that wrote it.
//!
//! Every change is written down there, so what people are told cannot forget a way by which
//! something happens, and no service needs to know who wants to hear of it.

use crate::{
    audit::Act,
    model::{
        audit::{Action, AuditEntry, Object},
        id::Id,
        notification::Template,
    },
    notifications::{
        owners::owners,
        send::{Message, message, report},
    },
    store::{Read, StoreError, WriteTx, audit, clients, grants, sessions},
};

/// Entries that one write makes at the most; what is behind them is told to nobody.
const ENTRIES_MAX: usize = 64;

/// Whom an entry concerns, and what they are told.
type News = Option<(Vec<Id>, Message)>;

/// What of it anybody is told.
const REPORTED: [Action; 5] = [
    Action::ConsentGiven,
    Action::TokenReplayed,
    Action::CodeReplayed,
    Action::SessionOpened,
    Action::SecretRemoved,
];

/// Tells whom it concerns what this closure has written down until now.
///
/// A full queue of pushes does not undo what is reported, and the inbox has it all the same.
pub fn react(tx: &mut WriteTx<'_>, act: Act<'_>) -> Result<(), StoreError> {
    // Most writes report nothing, and must not pay for those that do.
    if !audit::has_written(tx, &REPORTED) {
        return Ok(());
    }
    for chained in audit::list_written(tx, ENTRIES_MAX)? {
        if let Some((readers, message)) = news(tx, &chained.entry)? {
            for reader in readers {
                report(tx, act, reader, message.clone())?;
            }
        }
    }
    Ok(())
}

fn news(tx: &dyn Read, entry: &AuditEntry) -> Result<News, StoreError> {
    match (entry.action, &entry.object) {
        (Action::ConsentGiven, Object::Grant(id)) => of_grant(tx, entry, *id),
        (Action::TokenReplayed | Action::CodeReplayed, _) => of_replay(tx, entry),
        (Action::SessionOpened, Object::Session(id)) => of_session(tx, *id),
        (Action::SecretRemoved, _) => of_secret(tx, entry),
        _ => Ok(None),
    }
}

fn of_grant(tx: &dyn Read, entry: &AuditEntry, id: Id) -> Result<News, StoreError> {
    let Some(grant) = grants::find(tx, id)? else {
        return Ok(None);
    };
    let Some(client) = clients::find(tx, grant.client_id)? else {
        return Ok(None);
    };
    let template = if client.approved_at == Some(entry.at) {
        Template::ClientApproved
    } else {
        Template::GrantGiven
    };
    let targets = vec![client.id, grant.id];
    let message = message(template, &client.metadata.name.to_string(), targets);
    Ok(Some((vec![grant.user_id], message)))
}

fn of_replay(tx: &dyn Read, entry: &AuditEntry) -> Result<News, StoreError> {
    let (Some(user_id), Some(client_id)) = (named(entry, "user_id"), named(entry, "client_id"))
    else {
        // A client's own token: no person allowed it, so the owners are told.
        return of_owners(tx, entry, Template::TokenReplayed);
    };
    let message = message(
        Template::TokenReplayed,
        &client_name(tx, client_id)?,
        vec![client_id],
    );
    Ok(Some((vec![user_id], message)))
}

fn of_secret(tx: &dyn Read, entry: &AuditEntry) -> Result<News, StoreError> {
    of_owners(tx, entry, Template::SecretRemoved)
}

fn of_owners(tx: &dyn Read, entry: &AuditEntry, template: Template) -> Result<News, StoreError> {
    let Some(client_id) = named(entry, "client_id") else {
        return Ok(None);
    };
    let message = message(template, &client_name(tx, client_id)?, vec![client_id]);
    Ok(Some((owners(tx)?, message)))
}

/// A browser is new if the person has signed in before, and from none that calls itself so.
fn of_session(tx: &dyn Read, id: Id) -> Result<News, StoreError> {
    let Some(session) = sessions::find(tx, id)? else {
        return Ok(None);
    };
    let mut others = sessions::list_of_user(tx, session.user_id)?;
    others.retain(|other| other.id != id);
    if others.is_empty() || others.iter().any(|other| other.browser == session.browser) {
        return Ok(None);
    }
    let about = format!("{} from {}", session.browser, session.address);
    let message = message(Template::NewBrowser, &about, vec![id]);
    Ok(Some((vec![session.user_id], message)))
}

fn client_name(tx: &dyn Read, id: Id) -> Result<String, StoreError> {
    let client = clients::find(tx, id)?;
    Ok(client.map_or_else(
        || "An app that is gone".to_owned(),
        |client| client.metadata.name.to_string(),
    ))
}

/// The id that `entry` has in that field.
fn named(entry: &AuditEntry, field: &str) -> Option<Id> {
    let change = entry.changes.iter().find(|change| change.field == field)?;
    change.new.as_deref()?.parse().ok()
}
