//! Browser sessions: sign in, stay signed in for a while, sign out here or everywhere.

use std::{net::IpAddr, time::Duration};

use crate::{
    accounts::AccountError,
    audit::{self, Act},
    config::Lifetimes,
    model::{
        audit::{Action, Change, Object, Origin},
        credential::{Credential, CredentialKind},
        id::Id,
        session::{BROWSER_LEN_MAX, Session},
        timestamp::Timestamp,
        user::User,
    },
    store::{
        Read, StoreError, WriteTx,
        sessions::{self, SESSIONS_PER_USER_MAX},
        users,
    },
};

/// A session that was found to be live, and whose it is.
#[derive(Clone, Debug)]
pub struct LiveSession {
    /// The session.
    pub session: Session,
    /// Who signed in.
    pub user: User,
}

impl LiveSession {
    /// Whether its last use is old enough to be written down again.
    pub fn needs_touch(&self, now: Timestamp) -> bool {
        now.since(self.session.last_seen_at) >= Duration::from_secs(Session::TOUCH_SECONDS)
    }
}

/// From where a browser signs in, as the person will read it in the list of their sessions.
#[derive(Clone, Debug)]
pub struct SignInOrigin {
    /// What the browser calls itself.
    pub browser: String,
    /// Its address.
    pub address: IpAddr,
}

/// Signs `user_id` in. `password_hash` is the one that the password was checked against: if it is
/// no longer theirs, or they may no longer sign in, nothing happens.
pub fn open(
    tx: &mut WriteTx<'_>,
    act: Act<'_>,
    lifetimes: &Lifetimes,
    checked: &User,
    origin: &SignInOrigin,
) -> Result<Option<Credential>, AccountError> {
    let current = users::find(tx, checked.id)?
        .filter(|user| user.disabled_at.is_none() && user.password_hash == checked.password_hash);
    let Some(mut user) = current else {
        return Ok(None);
    };
    end_oldest(tx, act, user.id)?;
    let Act { now, entropy, by } = act;
    let credential = Credential::generate(CredentialKind::Session, now, entropy);
    let session = Session {
        id: credential.id(),
        digest: credential.digest(),
        user_id: user.id,
        created_at: now,
        last_seen_at: now,
        idle_expires_at: now.after(lifetimes.session_idle_ttl),
        expires_at: now.after(lifetimes.session_absolute_ttl),
        browser: origin.browser.chars().take(BROWSER_LEN_MAX).collect(),
        address: origin.address.to_string(),
    };
    sessions::add(tx, &session)?;
    user.last_sign_in_at = Some(now);
    users::put(tx, &user)?;
    let changes = [
        Change::to("user_id", &user.id),
        Change::to("browser", &session.browser),
    ];
    audit::record(
        tx,
        by,
        Action::SessionOpened,
        Object::Session(session.id),
        changes,
    )?;
    Ok(Some(credential))
}

/// Makes room for one more session of a user.
fn end_oldest(tx: &mut WriteTx<'_>, act: Act<'_>, user_id: Id) -> Result<(), StoreError> {
    let open = sessions::list_of_user(tx, user_id)?;
    if let Some(oldest) = open.last().filter(|_| open.len() >= SESSIONS_PER_USER_MAX) {
        end(tx, act.by, oldest)?;
    }
    Ok(())
}

/// The live session that a cookie opens, if it opens one.
pub fn find(
    tx: &dyn Read,
    now: Timestamp,
    cookie: &Credential,
) -> Result<Option<LiveSession>, StoreError> {
    let found = sessions::find(tx, cookie.id())?
        .filter(|session| session.digest == cookie.digest() && !session.ends_at().has_passed(now));
    let Some(session) = found else {
        return Ok(None);
    };
    let user = users::find(tx, session.user_id)?.filter(|user| user.disabled_at.is_none());
    Ok(user.map(|user| LiveSession { session, user }))
}

/// Writes down that a session was used, which moves its idle end.
pub fn touch(
    tx: &mut WriteTx<'_>,
    now: Timestamp,
    lifetimes: &Lifetimes,
    id: Id,
) -> Result<(), StoreError> {
    let found = sessions::find(tx, id)?.filter(|session| !session.ends_at().has_passed(now));
    let Some(mut session) = found else {
        return Ok(());
    };
    let ended_at = session.ends_at();
    session.last_seen_at = session.last_seen_at.max(now);
    session.idle_expires_at = now.after(lifetimes.session_idle_ttl);
    // The owner has made lifetimes shorter since.
    if session.ends_at() < ended_at {
        sessions::schedule(tx, &session);
    }
    sessions::put(tx, &session)
}

/// A user's live sessions, newest first.
pub fn list(tx: &dyn Read, now: Timestamp, user_id: Id) -> Result<Vec<Session>, StoreError> {
    let mut open = sessions::list_of_user(tx, user_id)?;
    open.retain(|session| !session.ends_at().has_passed(now));
    Ok(open)
}

/// Ends one session of `user_id`. `false` if it is not theirs or there is none.
pub fn close(tx: &mut WriteTx<'_>, by: &Origin, user_id: Id, id: Id) -> Result<bool, StoreError> {
    match sessions::find(tx, id)?.filter(|session| session.user_id == user_id) {
        None => Ok(false),
        Some(session) => {
            end(tx, by, &session)?;
            Ok(true)
        }
    }
}

/// Ends every session of `user_id` but `keep`, and says how many.
pub fn close_others(
    tx: &mut WriteTx<'_>,
    by: &Origin,
    user_id: Id,
    keep: Id,
) -> Result<usize, StoreError> {
    let mut others = sessions::list_of_user(tx, user_id)?;
    others.retain(|session| session.id != keep);
    for session in &others {
        end(tx, by, session)?;
    }
    Ok(others.len())
}

fn end(tx: &mut WriteTx<'_>, by: &Origin, session: &Session) -> Result<(), StoreError> {
    sessions::remove(tx, session);
    audit::record(
        tx,
        by,
        Action::SessionClosed,
        Object::Session(session.id),
        [],
    )
}
