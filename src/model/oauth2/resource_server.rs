//! Other servers whose tokens are issued and looked up here.

use std::{fmt, str::FromStr};

use bincode::{Decode, Encode};
use url::{Host, Url};

use crate::{
    crypto::digest::Digest,
    model::{
        effect::Effect,
        id::Id,
        oauth2::{
            resource::{ResourceUri, ResourceUriError},
            scope::{ScopeError, ScopeSet, find_definition},
        },
        timestamp::Timestamp,
        upstream::is_upstream_scope,
    },
};

/// Scopes of one resource server at the most: as many as one request can name.
pub const SERVER_SCOPES_MAX: usize = ScopeSet::LEN_MAX;
/// Characters of a scope's words at the most.
pub const SCOPE_WORDS_LEN_MAX: usize = 128;
/// What the name of a scope that only reads ends with.
const READS: &str = ":read";

/// A server that is not this deployment, and whose tokens this deployment issues.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ResourceServer {
    /// The store's key; as text, the identifier it authenticates with at introspection.
    pub id: Id,
    /// The audience of its tokens.
    pub identifier: ServerIdentifier,
    /// Its secret's public part.
    pub secret_id: Id,
    /// Of its secret.
    pub secret_digest: Digest,
    /// What a token may do there, in the order in which it was given; never empty.
    pub scopes: Vec<ServerScope>,
    /// When it was added.
    pub created_at: Timestamp,
}

impl ResourceServer {
    /// Every scope name that it knows.
    pub fn known_scopes(&self) -> ScopeSet {
        ScopeSet::of(self.scopes.iter().map(ServerScope::name))
    }

    /// What a client gets that asks for nothing: what only reads. It may be nothing.
    pub fn minimal_scopes(&self) -> ScopeSet {
        let reads = self.scopes.iter().filter(|s| s.effect() == Effect::Reads);
        ScopeSet::of(reads.map(ServerScope::name))
    }

    /// Its scope of that name.
    pub fn find_scope(&self, name: &str) -> Option<&ServerScope> {
        self.scopes.iter().find(|scope| scope.name == name)
    }
}

/// The identifier of a resource server: a resource that is reached by https, or by http on this
/// machine.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ServerIdentifier(ResourceUri);

/// Why a text does not identify a resource server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServerIdentifierError {
    /// Not a resource identifier at all.
    #[error(transparent)]
    Uri(#[from] ResourceUriError),
    /// A token sent there would be seen by the network, or by nobody knows whom.
    #[error("expected https://, or http:// to localhost, 127.0.0.1 or [::1]")]
    Scheme,
}

impl ServerIdentifier {
    /// The identifier as the audience of a token.
    pub const fn as_resource(&self) -> &ResourceUri {
        &self.0
    }
}

impl FromStr for ServerIdentifier {
    type Err = ServerIdentifierError;

    fn from_str(text: &str) -> Result<Self, ServerIdentifierError> {
        let resource: ResourceUri = text.parse()?;
        let url = Url::parse(resource.as_str()).map_err(|_| ServerIdentifierError::Scheme)?;
        let is_loopback = match url.host() {
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        match url.scheme() {
            "https" => Ok(Self(resource)),
            "http" if is_loopback => Ok(Self(resource)),
            _ => Err(ServerIdentifierError::Scheme),
        }
    }
}

impl fmt::Display for ServerIdentifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A scope of a resource server, in the words that a person reads at consent.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ServerScope {
    name: String,
    words: Option<String>,
}

/// Why something is not a scope of a resource server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServerScopeError {
    /// Not the name of a scope.
    #[error(transparent)]
    Name(#[from] ScopeError),
    /// No name, or several.
    #[error("expected one name, found {found}")]
    Count {
        /// Names that were given.
        found: usize,
    },
    /// A name that means something on this box.
    #[error("expected a name that this box does not use for itself")]
    Reserved,
    /// No words, too many, or such that would not stay in their line.
    #[error("expected words of 1 to {SCOPE_WORDS_LEN_MAX} characters without control characters")]
    Words,
}

impl ServerScope {
    /// The scope `name`, which a person reads as `words`, or as its name.
    pub fn new(name: &str, words: Option<&str>) -> Result<Self, ServerScopeError> {
        let names: ScopeSet = name.parse()?;
        let found = names.iter().count();
        if found != 1 || !names.contains(name) {
            return Err(ServerScopeError::Count { found });
        }
        // A name has one meaning on a box: a token for one resource never looks like one for
        // another.
        if find_definition(name).is_some() || is_upstream_scope(name) {
            return Err(ServerScopeError::Reserved);
        }
        let words = words.map(str::trim);
        let fits = |words: &str| {
            (1..=SCOPE_WORDS_LEN_MAX).contains(&words.chars().count())
                && !words.chars().any(char::is_control)
        };
        if words.is_some_and(|words| !fits(words)) {
            return Err(ServerScopeError::Words);
        }
        Ok(Self {
            name: name.to_owned(),
            words: words.map(str::to_owned),
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What a person reads.
    pub fn words(&self) -> &str {
        self.words.as_deref().unwrap_or(&self.name)
    }

    /// What it lets a client do, as far as its name tells: whatever does not say that it only
    /// reads counts as changing something.
    pub fn effect(&self) -> Effect {
        if self.name.ends_with(READS) {
            Effect::Reads
        } else {
            Effect::Changes
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_sent_by_https_or_stays_on_the_machine() {
        for text in [
            "https://files.lan/mcp",
            "https://192.168.1.2:8443",
            "http://localhost:9000/mcp",
            "http://files.localhost",
            "http://127.0.0.1:9000",
            "http://[::1]/mcp",
        ] {
            let identifier: ServerIdentifier = text.parse().expect(text);
            assert_eq!(identifier.to_string(), text);
        }
        for (text, error) in [
            ("http://files.lan/mcp", ServerIdentifierError::Scheme),
            (
                "http://localhost.evil.example",
                ServerIdentifierError::Scheme,
            ),
            ("ftp://files.lan", ServerIdentifierError::Scheme),
            ("files", ResourceUriError::NotAUri.into()),
            ("https://files.lan/#a", ResourceUriError::Fragment.into()),
        ] {
            assert_eq!(text.parse::<ServerIdentifier>(), Err(error), "{text}");
        }
    }

    #[test]
    fn a_scope_has_a_name_of_its_own_and_words_of_one_line() {
        let scope = ServerScope::new("files:read", Some(" see your files ")).expect("a scope");
        assert_eq!(
            (scope.name(), scope.words()),
            ("files:read", "see your files")
        );
        assert_eq!(scope.effect(), Effect::Reads);
        let scope = ServerScope::new("files:write", None).expect("a scope");
        assert_eq!(
            (scope.words(), scope.effect()),
            ("files:write", Effect::Changes)
        );
        for (name, words, error) in [
            ("user:read", None, ServerScopeError::Reserved),
            ("offline_access", None, ServerScopeError::Reserved),
            ("upstream:files", None, ServerScopeError::Reserved),
            ("", None, ServerScopeError::Count { found: 0 }),
            ("a b", None, ServerScopeError::Count { found: 2 }),
            (" a", None, ServerScopeError::Count { found: 1 }),
            ("a\"", None, ScopeError::Character.into()),
            ("a", Some(""), ServerScopeError::Words),
            ("a", Some("b\nc"), ServerScopeError::Words),
        ] {
            assert_eq!(
                ServerScope::new(name, words),
                Err(error),
                "{name:?} {words:?}"
            );
        }
    }
}
