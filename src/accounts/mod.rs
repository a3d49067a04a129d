//! Floor 2: the people of the box: their accounts, their browser sessions, and the first owner's
//! claim. Nothing here is async, and nothing knows a cookie or a page.

pub mod claim;
pub mod password;
pub mod sessions;
pub mod users;

use crate::store::StoreError;

/// Why something about an account was refused.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AccountError {
    /// Somebody has that name.
    #[error("expected a name that nobody has, found {0:?}, which is taken")]
    NameTaken(String),
    /// Nobody has that name.
    #[error("expected the name of a user, found {0:?}, which nobody has")]
    NoSuchUser(String),
    /// It would leave the box without anybody who can administer it.
    #[error("expected another enabled owner to remain, found none: make one first")]
    LastOwner,
    /// The box has as many users as it may have.
    #[error("expected fewer than {max} users; remove one first")]
    TooMany {
        /// The bound.
        max: usize,
    },
    /// The claim link is not the open one, or its time is over, or the box has an owner.
    #[error("the claim link does not work any more")]
    ClaimClosed,
    /// The store failed; nothing was changed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
