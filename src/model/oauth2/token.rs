//! Access tokens, refresh tokens, and the families they belong to.

use bincode::{Decode, Encode};

use crate::{
    crypto::digest::Digest,
    model::{
        id::Id,
        oauth2::{resource::ResourceUri, scope::ScopeSet},
        timestamp::Timestamp,
    },
};

/// An access token.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct AccessToken {
    /// The store's key, and the public part of the token.
    pub id: Id,
    /// Of the token's secret.
    pub digest: Digest,
    /// The family it was issued with; it opens something only while that exists.
    pub family_id: Id,
    /// The one audience it is for.
    pub resource: ResourceUri,
    /// What it may do there.
    pub scopes: ScopeSet,
    /// When it stops working.
    pub expires_at: Timestamp,
    /// The client's secret that it was issued under; it opens something only while that exists.
    pub secret_id: Option<Id>,
}

/// All that came of one exchange: its access tokens, and its refresh token in every generation.
///
/// Revoking any part of it ends the family, by removing this record.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct TokenFamily {
    /// The store's key, and the public part of its refresh tokens.
    pub id: Id,
    /// In whose name it works.
    pub holder: Holder,
    /// Whose it is.
    pub client_id: Id,
    /// The widest audience that its access tokens may have.
    pub resource: ResourceUri,
    /// The most that its access tokens may do.
    pub scopes: ScopeSet,
    /// When it ends in any case.
    pub expires_at: Timestamp,
    /// The refresh token, for a client that may refresh.
    pub refresh: Option<RefreshChain>,
    /// The client's secret that the current refresh token was issued under; it works only while
    /// that exists.
    pub secret_id: Option<Id>,
}

impl TokenFamily {
    /// When nothing of it works any more.
    pub fn ends_at(&self) -> Timestamp {
        let idle = self.refresh.as_ref().map(|chain| chain.idle_expires_at);
        self.expires_at.min(idle.unwrap_or(Timestamp::NEVER))
    }
}

/// In whose name a token works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Holder {
    /// A person's, who allowed it.
    Person {
        /// Who.
        user_id: Id,
        /// The grant it was issued under; it works only while that exists.
        grant_id: Id,
    },
    /// The client's own (RFC 6749 §4.4): nobody was asked.
    Client,
}

/// Where the chain of a family's refresh tokens stands.
///
/// Each token is derived from the one before it, so that a client which lost an answer can be
/// given the same successor again, although only digests are kept.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RefreshChain {
    /// Which token is the current one, from 0.
    pub generation: u32,
    /// Of the current token's secret.
    pub digest: Digest,
    /// Its direct predecessor, which for a while is answered with the current one again.
    pub predecessor: Option<Predecessor>,
    /// When it ends if it is not used.
    pub idle_expires_at: Timestamp,
}

/// The token that the current one replaced.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Predecessor {
    /// Of its secret.
    pub digest: Digest,
    /// When it was replaced.
    pub rotated_at: Timestamp,
}
