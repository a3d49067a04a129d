//! What a client is called on the wire: an identifier of ours, or the URL of its own document.

use std::{fmt, str::FromStr};

use bincode::{Decode, Encode};

use crate::model::{
    https_url::{HttpsUrl, HttpsUrlError},
    id::Id,
};

/// A `client_id`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClientId {
    /// Of a client that was registered here.
    Registered(Id),
    /// Of a client that a document at this URL describes.
    Document(DocumentUrl),
}

/// The URL of a client ID metadata document, which is the client's `client_id` as well.
///
/// # Source
/// draft-ietf-oauth-client-id-metadata-document-00 §3: https, with a path, without dot segments,
/// fragment, user name and password.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct DocumentUrl(HttpsUrl);

/// Why a text is not the URL of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentUrlError {
    /// Not a URL that may be called.
    #[error(transparent)]
    Url(#[from] HttpsUrlError),
    /// It names a whole site.
    #[error("expected a path behind the host")]
    NoPath,
}

/// The text is no `client_id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected an identifier of {} letters and digits, or the https URL of a document",
    Id::TEXT_LEN
)]
pub struct NotAClientId;

impl DocumentUrl {
    /// The URL as it was given: two are the same when their bytes are.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The URL that is called.
    pub const fn https(&self) -> &HttpsUrl {
        &self.0
    }

    /// The host that answers for the document.
    pub fn host(&self) -> String {
        self.0.host()
    }
}

impl FromStr for DocumentUrl {
    type Err = DocumentUrlError;

    fn from_str(text: &str) -> Result<Self, DocumentUrlError> {
        let url: HttpsUrl = text.parse()?;
        if url.to_url().path() == "/" {
            return Err(DocumentUrlError::NoPath);
        }
        Ok(Self(url))
    }
}

impl fmt::Display for DocumentUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ClientId {
    type Err = NotAClientId;

    fn from_str(text: &str) -> Result<Self, NotAClientId> {
        let registered = text.parse().map(Self::Registered);
        registered
            .or_else(|_| text.parse().map(Self::Document))
            .map_err(|_: DocumentUrlError| NotAClientId)
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registered(id) => fmt::Display::fmt(id, f),
            Self::Document(url) => fmt::Display::fmt(url, f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_are_told_apart_and_printed_back() {
        let id = Id::from_bytes([7; 16]);
        assert_eq!(id.to_string().parse(), Ok(ClientId::Registered(id)));
        let url = "https://app.example/client.json";
        let parsed: ClientId = url.parse().expect("a URL");
        assert!(
            matches!(&parsed, ClientId::Document(document) if document.host() == "app.example")
        );
        assert_eq!(parsed.to_string(), url);
    }

    #[test]
    fn what_is_neither_is_refused() {
        for text in ["", "client", "http://app.example/x", "https://app.example/"] {
            assert_eq!(text.parse::<ClientId>(), Err(NotAClientId), "{text}");
        }
        assert_eq!(
            "https://app.example/?x=y".parse::<DocumentUrl>(),
            Err(DocumentUrlError::NoPath)
        );
    }
}
