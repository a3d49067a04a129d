//! A browser that is signed in.

use bincode::{Decode, Encode};

use crate::{
    crypto::digest::Digest,
    model::{id::Id, timestamp::Timestamp},
};

/// Characters of a browser's own description that are kept.
pub const BROWSER_LEN_MAX: usize = 256;

/// A browser session.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Session {
    /// The store's key, and the public part of the cookie.
    pub id: Id,
    /// Of the cookie's secret.
    pub digest: Digest,
    /// Who signed in.
    pub user_id: Id,
    /// When they did.
    pub created_at: Timestamp,
    /// When it was last used, to within [`Session::TOUCH_SECONDS`].
    pub last_seen_at: Timestamp,
    /// When it ends if it is not used.
    pub idle_expires_at: Timestamp,
    /// When it ends in any case.
    pub expires_at: Timestamp,
    /// What the browser calls itself, cut at [`BROWSER_LEN_MAX`].
    pub browser: String,
    /// From where they signed in.
    pub address: String,
}

impl Session {
    /// How old `last_seen_at` may grow before a use writes it again.
    pub const TOUCH_SECONDS: u64 = 60;

    /// The earlier of its two ends.
    pub fn ends_at(&self) -> Timestamp {
        self.idle_expires_at.min(self.expires_at)
    }
}
