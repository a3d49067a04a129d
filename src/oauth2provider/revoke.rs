//! Ending things: by the client that holds a token (RFC 7009), by the person who allowed it.

use crate::{
    audit,
    model::{
        audit::{Action, Change, Object, Origin},
        credential::{Credential, CredentialKind},
        id::Id,
        oauth2::{client::Client, grant::Grant, token::Holder},
        timestamp::Timestamp,
    },
    oauth2provider::{Moment, rotation::is_of_family},
    store::{Read, StoreError, WriteTx, clients, grants, tokens},
};

/// Ends the token that a client presents, if it is a token of its own.
///
/// A refresh token ends its whole family, in whatever generation it is presented; an access token
/// ends alone. Everything else changes nothing and is not an error.
///
/// # Source
/// RFC 7009 §2.1 and §2.2; another client's token stays valid (threat 18).
pub fn revoke_token(
    tx: &mut WriteTx<'_>,
    moment: Moment<'_>,
    client: &Client,
    token: &str,
) -> Result<(), StoreError> {
    if let Ok(refresh) = Credential::parse(CredentialKind::RefreshToken, token) {
        revoke_refresh_token(tx, moment, client, &refresh)
    } else if let Ok(access) = Credential::parse(CredentialKind::AccessToken, token) {
        revoke_access_token(tx, moment.by, client, &access)
    } else {
        Ok(())
    }
}

fn revoke_refresh_token(
    tx: &mut WriteTx<'_>,
    moment: Moment<'_>,
    client: &Client,
    token: &Credential,
) -> Result<(), StoreError> {
    let family = tokens::find_family(tx, token.id())?;
    let ended = family.filter(|family| {
        family.client_id == client.id && is_of_family(moment.provider, moment.now, family, token)
    });
    if let Some(family) = ended {
        tokens::remove_family(tx, family.id);
        let object = Object::Family(family.id);
        audit::record(tx, moment.by, Action::TokenRevoked, object, [])?;
    }
    Ok(())
}

fn revoke_access_token(
    tx: &mut WriteTx<'_>,
    by: &Origin,
    client: &Client,
    token: &Credential,
) -> Result<(), StoreError> {
    let found =
        tokens::find_access_token(tx, token.id())?.filter(|record| record.digest == token.digest());
    let Some(record) = found else { return Ok(()) };
    let family = tokens::find_family(tx, record.family_id)?;
    if family.is_some_and(|family| family.client_id == client.id) {
        tokens::remove_access_token(tx, record.id);
        audit::record(
            tx,
            by,
            Action::TokenRevoked,
            Object::AccessToken(record.id),
            [],
        )?;
    }
    Ok(())
}

/// A user's live grants, newest first.
pub fn list_grants(tx: &dyn Read, now: Timestamp, user_id: Id) -> Result<Vec<Grant>, StoreError> {
    let mut live = Vec::new();
    for grant in grants::list_of_user(tx, user_id)? {
        // What was allowed to a client that is gone has ended with it, swept or not.
        if !grant.expires_at.has_passed(now) && clients::is_there(tx, grant.client_id)? {
            live.push(grant);
        }
    }
    Ok(live)
}

/// Ends one grant of `user_id` and everything issued under it. `false` if it is not theirs or
/// there is none: the two cannot be told apart.
pub fn revoke_grant(
    tx: &mut WriteTx<'_>,
    by: &Origin,
    user_id: Id,
    grant_id: Id,
) -> Result<bool, StoreError> {
    match grants::find(tx, grant_id)?.filter(|grant| grant.user_id == user_id) {
        None => Ok(false),
        Some(grant) => {
            end_grant(tx, by, &grant)?;
            Ok(true)
        }
    }
}

/// Ends everything that `user_id` allowed to a client, and says how many grants that were.
pub fn revoke_grants_of_client(
    tx: &mut WriteTx<'_>,
    by: &Origin,
    user_id: Id,
    client_id: Id,
) -> Result<usize, StoreError> {
    let mut given = grants::list_of_user(tx, user_id)?;
    given.retain(|grant| grant.client_id == client_id);
    for grant in &given {
        end_grant(tx, by, grant)?;
    }
    Ok(given.len())
}

fn end_grant(tx: &mut WriteTx<'_>, by: &Origin, grant: &Grant) -> Result<(), StoreError> {
    grants::remove(tx, grant);
    let changes = [Change::to("client_id", &grant.client_id)];
    audit::record(
        tx,
        by,
        Action::GrantRevoked,
        Object::Grant(grant.id),
        changes,
    )
}

/// Ends a family because something came a second time, and writes down whose it was: they are told.
pub(super) fn end_replayed(
    tx: &mut WriteTx<'_>,
    moment: Moment<'_>,
    action: Action,
    family_id: Id,
) -> Result<(), StoreError> {
    let family = tokens::find_family(tx, family_id)?;
    tokens::remove_family(tx, family_id);
    let client_id = family.as_ref().map(|family| family.client_id);
    let user_id = family.and_then(|family| match family.holder {
        Holder::Person { user_id, .. } => Some(user_id),
        Holder::Client => None,
    });
    let named = [("client_id", client_id), ("user_id", user_id)];
    let changes = named.map(|(field, id)| id.map(|id| Change::to(field, &id)));
    let object = Object::Family(family_id);
    audit::record(tx, moment.by, action, object, changes.into_iter().flatten())
}
