//! Users: make, list, disable, remove, give another password.

use crate::{
    accounts::AccountError,
    audit::{self, Act},
    model::{
        audit::{Action, Change, Object},
        id::Id,
        user::{Role, User, UserName},
    },
    store::{Read, StoreError, WriteTx, grants, notifications, pushes, sessions, users},
};

/// Makes a user.
///
/// # Errors
/// [`AccountError::NameTaken`], [`AccountError::TooMany`].
pub fn create(
    tx: &mut WriteTx<'_>,
    act: Act<'_>,
    name: UserName,
    role: Role,
    password_hash: String,
) -> Result<User, AccountError> {
    if users::find_by_name(tx, &name)?.is_some() {
        return Err(AccountError::NameTaken(name.to_string()));
    }
    if users::is_full(tx)? {
        return Err(AccountError::TooMany {
            max: users::USERS_MAX,
        });
    }
    let Act { now, entropy, by } = act;
    let user = User {
        id: Id::generate(now, entropy),
        name,
        role,
        password_hash,
        created_at: now,
        last_sign_in_at: None,
        disabled_at: None,
    };
    users::put(tx, &user)?;
    let changes = [
        Change::to("name", &user.name),
        Change::to("role", user.role.as_str()),
    ];
    audit::record(tx, by, Action::UserCreated, Object::User(user.id), changes)?;
    Ok(user)
}

/// The user with that name.
///
/// # Errors
/// [`AccountError::NoSuchUser`].
pub fn named(tx: &dyn Read, name: &UserName) -> Result<User, AccountError> {
    users::find_by_name(tx, name)?.ok_or_else(|| AccountError::NoSuchUser(name.to_string()))
}

/// Gives a user another password and ends all their sessions but `keep`.
///
/// What they allowed to clients stays: it never depended on the password.
pub fn change_password(
    tx: &mut WriteTx<'_>,
    act: Act<'_>,
    mut user: User,
    password_hash: String,
    keep: Option<Id>,
) -> Result<(), AccountError> {
    user.password_hash = password_hash;
    users::put(tx, &user)?;
    audit::record(
        tx,
        act.by,
        Action::UserPasswordChanged,
        Object::User(user.id),
        [],
    )?;
    end_sessions(tx, act, &user, keep)
}

/// Keeps a user from signing in; their sessions end, and their tokens open nothing while it lasts.
///
/// # Errors
/// [`AccountError::LastOwner`].
pub fn disable(tx: &mut WriteTx<'_>, act: Act<'_>, mut user: User) -> Result<(), AccountError> {
    refuse_last_owner(tx, &user)?;
    user.disabled_at = user.disabled_at.or(Some(act.now));
    users::put(tx, &user)?;
    audit::record(tx, act.by, Action::UserDisabled, Object::User(user.id), [])?;
    end_sessions(tx, act, &user, None)
}

/// Lets a user sign in again.
pub fn enable(tx: &mut WriteTx<'_>, act: Act<'_>, mut user: User) -> Result<(), AccountError> {
    user.disabled_at = None;
    users::put(tx, &user)?;
    Ok(audit::record(
        tx,
        act.by,
        Action::UserEnabled,
        Object::User(user.id),
        [],
    )?)
}

/// Removes a user, their sessions, and everything they allowed.
///
/// From here on nothing of it works, because every use of a token looks for its user. The grants
/// themselves and what is in the inbox leave with the sweeper.
///
/// # Errors
/// [`AccountError::LastOwner`].
pub fn remove(tx: &mut WriteTx<'_>, act: Act<'_>, user: &User) -> Result<(), AccountError> {
    refuse_last_owner(tx, user)?;
    end_sessions(tx, act, user, None)?;
    users::remove(tx, user);
    grants::end_of_removed_user(tx, act.now, user.id);
    notifications::end_of_removed_user(tx, act.now, user.id);
    pushes::remove_of_user(tx, user.id)?;
    let changes = [Change {
        field: "name".to_owned(),
        old: Some(user.name.to_string()),
        new: None,
    }];
    Ok(audit::record(
        tx,
        act.by,
        Action::UserRemoved,
        Object::User(user.id),
        changes,
    )?)
}

/// Whether anybody can administer the box.
pub fn has_owner(tx: &dyn Read) -> Result<bool, StoreError> {
    Ok(users::list(tx)?.iter().any(|user| user.role == Role::Owner))
}

fn end_sessions(
    tx: &mut WriteTx<'_>,
    act: Act<'_>,
    user: &User,
    keep: Option<Id>,
) -> Result<(), AccountError> {
    for session in sessions::list_of_user(tx, user.id)? {
        if Some(session.id) != keep {
            sessions::remove(tx, &session);
            audit::record(
                tx,
                act.by,
                Action::SessionClosed,
                Object::Session(session.id),
                [],
            )?;
        }
    }
    Ok(())
}

fn refuse_last_owner(tx: &dyn Read, user: &User) -> Result<(), AccountError> {
    let can_administer = |user: &User| user.role == Role::Owner && user.disabled_at.is_none();
    if !can_administer(user) {
        return Ok(());
    }
    let others = users::list(tx)?;
    if others
        .iter()
        .any(|other| other.id != user.id && can_administer(other))
    {
        Ok(())
    } else {
        Err(AccountError::LastOwner)
    }
}
