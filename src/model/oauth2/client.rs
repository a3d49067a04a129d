//! OAuth clients: what they registered, where they came from, how they prove who they are.

use std::fmt;

use bincode::{Decode, Encode};

use crate::{
    crypto::digest::Digest,
    model::{
        credential::CredentialKind,
        id::Id,
        oauth2::{
            client_id::{ClientId, DocumentUrl},
            redirect_uri::{RedirectKind, RedirectUri},
            scope::ScopeSet,
        },
        timestamp::Timestamp,
    },
};

/// Redirect URIs of one client at the most.
pub const REDIRECT_URIS_MAX: usize = 32;
/// Characters of a client's name at the most.
pub const CLIENT_NAME_LEN_MAX: usize = 128;

/// Who made a client.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub enum ClientOrigin {
    /// The owner of the box. Its registered scope is a ceiling.
    Administrator,
    /// Itself, by RFC 7591.
    SelfRegistered,
    /// A client ID metadata document, of which this is a copy.
    Document {
        /// Where the document is: the client's `client_id`.
        url: DocumentUrl,
        /// Until when the copy serves without being fetched again.
        fresh_until: Timestamp,
    },
}

impl ClientOrigin {
    /// Its word on the wire.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Administrator => "administrator",
            Self::SelfRegistered => "self-registered",
            Self::Document { .. } => "document",
        }
    }
}

/// How a client authenticates at the token endpoint (RFC 7591 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub enum AuthMethod {
    /// A public client: by nothing but the proof of PKCE.
    None,
    /// A secret, in the `Authorization` header by preference.
    ClientSecretBasic,
    /// A secret, in the body by preference.
    ClientSecretPost,
}

impl AuthMethod {
    /// Every method.
    pub const ALL: [Self; 3] = [Self::ClientSecretBasic, Self::ClientSecretPost, Self::None];

    /// Its word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::ClientSecretBasic => "client_secret_basic",
            Self::ClientSecretPost => "client_secret_post",
        }
    }

    /// The method with that word.
    pub fn find(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str() == word)
    }
}

/// What a client may present at the token endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum GrantType {
    /// `authorization_code`.
    AuthorizationCode,
    /// `refresh_token`.
    RefreshToken,
    /// `client_credentials`: only for a client that an administrator made.
    ClientCredentials,
    /// RFC 8628.
    DeviceCode,
}

impl GrantType {
    /// Every type that this deployment serves.
    pub const ALL: [Self; 4] = [
        Self::AuthorizationCode,
        Self::RefreshToken,
        Self::ClientCredentials,
        Self::DeviceCode,
    ];
    /// What an administrator's client may use unless they say otherwise.
    pub const OF_AN_APP: [Self; 2] = [Self::AuthorizationCode, Self::RefreshToken];

    /// Its word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AuthorizationCode => "authorization_code",
            Self::RefreshToken => "refresh_token",
            Self::ClientCredentials => "client_credentials",
            Self::DeviceCode => "urn:ietf:params:oauth:grant-type:device_code",
        }
    }

    /// The type with that word.
    pub fn find(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|grant| grant.as_str() == word)
    }
}

/// A name that a client gave itself: shown to people, believed by nobody.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ClientName(String);

/// The text may not be a client's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientNameError {
    /// Nothing, or too much.
    #[error("expected 1 to {CLIENT_NAME_LEN_MAX} characters, found {found}")]
    Length {
        /// Characters that were given.
        found: usize,
    },
    /// A line break or another control character.
    #[error("expected no control characters")]
    Control,
}

impl ClientName {
    /// Takes `text` as a name, without the white space around it.
    pub fn parse(text: &str) -> Result<Self, ClientNameError> {
        let text = text.trim();
        let found = text.chars().count();
        if !(1..=CLIENT_NAME_LEN_MAX).contains(&found) {
            return Err(ClientNameError::Length { found });
        }
        if text.chars().any(char::is_control) {
            return Err(ClientNameError::Control);
        }
        Ok(Self(text.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClientName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a client registered about itself: the metadata of RFC 7591 §2 that is kept and echoed.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ClientMetadata {
    /// `client_name`, or a name made for a client that gave none.
    pub name: ClientName,
    /// `redirect_uris`: at least one for the code grant.
    pub redirect_uris: Vec<RedirectUri>,
    /// `token_endpoint_auth_method`.
    pub auth_method: AuthMethod,
    /// `grant_types`, each once.
    pub grant_types: Vec<GrantType>,
    /// `scope`: a ceiling for a client that an administrator made, for any other only an echo.
    pub scope: Option<ScopeSet>,
    /// `client_uri`, https.
    pub client_uri: Option<String>,
    /// `logo_uri`, https; never fetched.
    pub logo_uri: Option<String>,
    /// `tos_uri`, https.
    pub tos_uri: Option<String>,
    /// `policy_uri`, https.
    pub policy_uri: Option<String>,
    /// `software_id`.
    pub software_id: Option<String>,
    /// `software_version`.
    pub software_version: Option<String>,
    /// `contacts`.
    pub contacts: Vec<String>,
    /// `application_type`, `native` or `web`: an echo.
    pub application_type: Option<String>,
}

impl ClientMetadata {
    /// Whether every redirect goes to the person's own computer, where any program may listen.
    pub fn is_loopback_only(&self) -> bool {
        !self.redirect_uris.is_empty()
            && self
                .redirect_uris
                .iter()
                .all(|uri| uri.kind() == RedirectKind::Loopback)
    }

    /// Whether the client may use `grant`.
    pub fn allows(&self, grant: GrantType) -> bool {
        self.grant_types.contains(&grant)
    }
}

/// A client.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Client {
    /// The store's key; [`Client::client_id`] is what the wire has.
    pub id: Id,
    /// Who made it.
    pub origin: ClientOrigin,
    /// What it registered.
    pub metadata: ClientMetadata,
    /// Of the RFC 7592 registration access token; only for one that registered itself.
    pub registration_digest: Option<Digest>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its metadata last changed: a consent from before does not count.
    pub updated_at: Timestamp,
    /// When a user first approved it; until then it expires.
    pub approved_at: Option<Timestamp>,
    /// When it last got a token, to within an hour.
    pub last_used_at: Option<Timestamp>,
}

impl Client {
    /// What the client is called on the wire.
    pub fn client_id(&self) -> ClientId {
        match &self.origin {
            ClientOrigin::Administrator | ClientOrigin::SelfRegistered => {
                ClientId::Registered(self.id)
            }
            ClientOrigin::Document { url, .. } => ClientId::Document(url.clone()),
        }
    }

    /// Whether it has no secret (OAuth 2.1 §2.1).
    pub fn is_public(&self) -> bool {
        self.metadata.auth_method == AuthMethod::None
    }
}

/// One of the secrets of a confidential client.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ClientSecret {
    /// The store's key, and the public part of the secret.
    pub id: Id,
    /// Whose it is.
    pub client_id: Id,
    /// Of the secret.
    pub digest: Digest,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last opened the token endpoint, to within an hour.
    pub last_used_at: Option<Timestamp>,
}

impl ClientSecret {
    /// Its beginning, by which its owner knows it again: nothing of it is secret.
    pub fn truncated(&self) -> String {
        format!("{}{}…", CredentialKind::ClientSecret.prefix(), self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_on_the_wire_are_found_again() {
        for method in AuthMethod::ALL {
            assert_eq!(AuthMethod::find(method.as_str()), Some(method));
        }
        for grant in GrantType::ALL {
            assert_eq!(GrantType::find(grant.as_str()), Some(grant));
        }
        assert_eq!(AuthMethod::find("private_key_jwt"), None);
        assert_eq!(GrantType::find("implicit"), None);
    }

    #[test]
    fn a_name_is_short_and_has_no_control_characters() {
        assert_eq!(
            ClientName::parse(" a ").map(|n| n.to_string()),
            Ok("a".to_owned())
        );
        assert_eq!(ClientName::parse("a\nb"), Err(ClientNameError::Control));
        assert_eq!(
            ClientName::parse(" "),
            Err(ClientNameError::Length { found: 0 })
        );
        assert_eq!(
            ClientName::parse(&"é".repeat(129)),
            Err(ClientNameError::Length { found: 129 })
        );
    }
}
