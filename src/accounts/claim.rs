//! The claim: a link that works once and makes whoever opens it the box's first owner.

use std::time::Duration;

use crate::{
    accounts::{AccountError, users},
    audit::{self, Act},
    crypto::entropy::Entropy,
    model::{
        audit::{Action, Object},
        credential::{Credential, CredentialKind},
        timestamp::Timestamp,
        user::{Role, User, UserName},
    },
    store::{
        Read, WriteTx,
        meta::{self, Claim},
    },
};

/// Opens a claim in place of any other, unless the box has an owner.
pub fn open(
    tx: &mut WriteTx<'_>,
    now: Timestamp,
    entropy: &dyn Entropy,
    ttl: Duration,
) -> Result<Option<Credential>, AccountError> {
    if users::has_owner(tx)? {
        meta::remove_claim(tx);
        return Ok(None);
    }
    let credential = Credential::generate(CredentialKind::Claim, now, entropy);
    let claim = Claim {
        digest: credential.digest(),
        expires_at: now.after(ttl),
    };
    meta::put_claim(tx, &claim)?;
    Ok(Some(credential))
}

/// Whether `credential` is the open claim.
///
/// # Errors
/// [`AccountError::ClaimClosed`] whatever the reason: a stranger learns nothing from it.
pub fn check(tx: &dyn Read, now: Timestamp, credential: &Credential) -> Result<(), AccountError> {
    let claim = meta::find_claim(tx)?.ok_or(AccountError::ClaimClosed)?;
    let open = claim.digest == credential.digest() && !claim.expires_at.has_passed(now);
    if open && !users::has_owner(tx)? {
        Ok(())
    } else {
        Err(AccountError::ClaimClosed)
    }
}

/// Makes the first owner and closes the claim, in one transaction.
///
/// # Errors
/// [`AccountError::ClaimClosed`], [`AccountError::NameTaken`].
pub fn take(
    tx: &mut WriteTx<'_>,
    act: Act<'_>,
    credential: &Credential,
    name: UserName,
    password_hash: String,
) -> Result<User, AccountError> {
    check(tx, act.now, credential)?;
    meta::remove_claim(tx);
    let owner = users::create(tx, act, name, Role::Owner, password_hash)?;
    audit::record(tx, act.by, Action::BoxClaimed, Object::User(owner.id), [])?;
    Ok(owner)
}
