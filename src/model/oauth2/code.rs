//! Authorization codes, RFC 6749 §4.1.2.

use bincode::{Decode, Encode};

use crate::{
    crypto::digest::Digest,
    model::{
        id::Id,
        oauth2::{
            pkce::CodeChallenge, redirect_uri::RedirectUri, resource::ResourceUri, scope::ScopeSet,
        },
        timestamp::Timestamp,
    },
};

/// An authorization code and everything it is bound to.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct AuthorizationCode {
    /// The store's key, and the public part of the code.
    pub id: Id,
    /// Of the code's secret.
    pub digest: Digest,
    /// The grant it was issued under.
    pub grant_id: Id,
    /// Who allowed it.
    pub user_id: Id,
    /// To whom it was issued.
    pub client_id: Id,
    /// The browser session in which it was allowed.
    pub session_id: Id,
    /// The redirect URI, when the request named one: the token request must then name the same.
    pub redirect_uri: Option<RedirectUri>,
    /// What the verifier has to meet.
    pub challenge: CodeChallenge,
    /// Where its tokens open something.
    pub resource: ResourceUri,
    /// What they may do there.
    pub scopes: ScopeSet,
    /// Of the `state` that came with the request.
    pub state_digest: Option<Digest>,
    /// When it stops working.
    pub expires_at: Timestamp,
    /// The stage it is in.
    pub stage: CodeStage,
}

/// How far a code has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum CodeStage {
    /// Nobody has presented it yet.
    Issued,
    /// It was presented and refused; it will never work.
    Spent,
    /// It was exchanged; a replay ends the family it gave.
    Exchanged {
        /// That family.
        family_id: Id,
    },
}
