//! Client ID metadata documents: what the one who answers for a URL says of a client.

use bincode::{Decode, Encode};

use crate::model::{
    oauth2::{client::ClientMetadata, client_id::DocumentUrl},
    timestamp::Timestamp,
};

/// A document that names its own URL and describes a client which this server can serve.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ClientDocument {
    /// Where it belongs; the `client_id` in it is the same, byte for byte.
    pub url: DocumentUrl,
    /// What it says. The client is public: a document has no secret.
    pub metadata: ClientMetadata,
}

/// A copy of a document that the owner of the box keeps for when it cannot be fetched.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct PinnedDocument {
    /// The copy.
    pub document: ClientDocument,
    /// When it was pinned.
    pub pinned_at: Timestamp,
}
