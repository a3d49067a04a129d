//! What concerns the box and nobody in particular: its owners hear of it.

use crate::{
    audit::Act,
    model::{id::Id, user::Role},
    notifications::send::{Message, report},
    store::{Read, StoreError, WriteTx, users},
};

/// Tells every owner.
pub fn tell_owners(
    tx: &mut WriteTx<'_>,
    act: Act<'_>,
    message: &Message,
) -> Result<(), StoreError> {
    owners(tx)?
        .into_iter()
        .try_for_each(|owner| report(tx, act, owner, message.clone()))
}

/// The owners who may sign in.
pub(super) fn owners(tx: &dyn Read) -> Result<Vec<Id>, StoreError> {
    let mut users = users::list(tx)?;
    users.retain(|user| user.role == Role::Owner && user.disabled_at.is_none());
    Ok(users.iter().map(|user| user.id).collect())
}
