//! How a person wants to be told: switches by template, and clients that they muted.

use crate::{
    model::{
        id::Id,
        notification::{Methods, NotificationSettings, Template},
    },
    notifications::templates,
    store::{StoreError, WriteTx, notifications},
};

/// Clients that one person can mute at the most.
pub const MUTED_MAX: usize = 1_000;

/// How somebody with `settings` is told about `template`.
pub fn methods(settings: &NotificationSettings, template: Template) -> Methods {
    let switched = settings.switched.iter().find(|(one, _)| *one == template);
    switched.map_or(templates::row(template).default, |(_, methods)| *methods)
}

/// Tells `user_id` about `template` by `methods` from now on.
pub fn switch(
    tx: &mut WriteTx<'_>,
    user_id: Id,
    template: Template,
    methods: Methods,
) -> Result<(), StoreError> {
    let mut settings = notifications::settings(tx, user_id)?;
    settings.switched.retain(|(one, _)| *one != template);
    if methods != templates::row(template).default {
        settings.switched.push((template, methods));
        settings.switched.sort_unstable_by_key(|(one, _)| *one);
    }
    notifications::put_settings(tx, user_id, &settings)
}

/// Drops what `client_id` tells `user_id` from now on. `false` if they have muted too many.
pub fn mute(tx: &mut WriteTx<'_>, user_id: Id, client_id: Id) -> Result<bool, StoreError> {
    let mut settings = notifications::settings(tx, user_id)?;
    if settings.muted.contains(&client_id) {
        return Ok(true);
    }
    if settings.muted.len() >= MUTED_MAX {
        return Ok(false);
    }
    settings.muted.push(client_id);
    notifications::put_settings(tx, user_id, &settings)?;
    Ok(true)
}

/// Lets `client_id` tell `user_id` again.
pub fn unmute(tx: &mut WriteTx<'_>, user_id: Id, client_id: Id) -> Result<(), StoreError> {
    let mut settings = notifications::settings(tx, user_id)?;
    settings.muted.retain(|one| *one != client_id);
    notifications::put_settings(tx, user_id, &settings)
}
