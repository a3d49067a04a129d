//! Where passwords are hashed and checked: off the runtime's threads, two at a time.

use std::sync::Arc;

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    task::JoinError,
};

use crate::{
    accounts::password::Candidate,
    crypto::{
        entropy::{Entropy, random},
        password,
    },
    model::user::{NewPassword, User},
};

/// Hashes that run at once. Each takes [`password::PASSWORD_KIB`] of memory and a core.
const HASHES_AT_ONCE: usize = 2;

/// The desk where passwords are handled, where a few hashes are made at a time.
pub struct PasswordDesk(Semaphore);

/// The desk is closed, or a hash could not be made.
#[derive(Debug, thiserror::Error)]
#[error("a password could not be hashed: {0}")]
pub struct DeskError(#[from] JoinError);

impl PasswordDesk {
    /// An empty desk.
    pub const fn new() -> Self {
        Self(Semaphore::const_new(HASHES_AT_ONCE))
    }

    /// The hash of `password`.
    pub async fn hash(
        &self,
        password: NewPassword,
        entropy: &Arc<dyn Entropy>,
    ) -> Result<String, DeskError> {
        let _place = self.place().await;
        let salt = random(&**entropy);
        let hash = move || password::hash(password.as_str(), &salt);
        Ok(tokio::task::spawn_blocking(hash).await?)
    }

    /// The candidate's user, if `password` is theirs.
    pub async fn verify(
        &self,
        candidate: Candidate,
        password: String,
    ) -> Result<Option<User>, DeskError> {
        let _place = self.place().await;
        Ok(tokio::task::spawn_blocking(move || candidate.verify(&password)).await?)
    }

    async fn place(&self) -> SemaphorePermit<'_> {
        self.0.acquire().await.expect("the desk is never closed")
    }
}

impl Default for PasswordDesk {
    fn default() -> Self {
        Self::new()
    }
}
