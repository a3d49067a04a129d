//! What one user allowed one client.

use bincode::{Decode, Encode};

use crate::model::{
    id::Id,
    oauth2::{redirect_uri::RedirectUri, resource::ResourceUri, scope::ScopeSet},
    timestamp::Timestamp,
};

/// A grant: scopes, resource, and until when. A user and a client may have several.
///
/// Everything that is issued under it opens something only while it exists.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Grant {
    /// The store's key.
    pub id: Id,
    /// Who allowed it.
    pub user_id: Id,
    /// To whom.
    pub client_id: Id,
    /// What: a subset of what the client asked for.
    pub scopes: ScopeSet,
    /// Where.
    pub resource: ResourceUri,
    /// Where the browser was sent back to when it was given; nowhere for a device, which asks.
    pub redirect_uri: Option<RedirectUri>,
    /// When it was given.
    pub created_at: Timestamp,
    /// When it ends in any case.
    pub expires_at: Timestamp,
}
