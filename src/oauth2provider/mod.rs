//! Floor 2: the OAuth 2.1 authorization server. Every function gets a transaction, the request's
//! `now` and, where it makes something, entropy; none is async, and none knows a status code.
//!
//! There is no read-then-write here: what decides and what changes happen in one closure.

pub mod access;
pub mod app_secrets;
pub mod apps;
pub mod authorize;
pub mod client_documents;
pub mod device;
pub mod introspect;
pub mod metadata;
pub mod registration;
pub mod resources;
pub mod revoke;
pub mod rotation;
pub mod tokens;

use crate::{
    audit::Act,
    config::Lifetimes,
    crypto::{entropy::Entropy, keyed::Key},
    model::{
        audit::Origin,
        oauth2::{
            resource::ResourceUri,
            scope::{Opens, SCOPES, ScopeDefinition, ScopeSet},
        },
        public_url::PublicUrl,
        timestamp::Timestamp,
    },
    oauth2provider::metadata::Registration,
};

/// What the provider knows of its deployment, the same for every request.
#[derive(Clone, Debug)]
pub struct Provider {
    /// The issuer.
    pub public_url: PublicUrl,
    /// The deployment's own key.
    pub key: Key,
    /// How long everything lasts.
    pub lifetimes: Lifetimes,
    /// Whether clients may register themselves, unless the owner decided otherwise.
    pub registration_by_default: Registration,
    /// The resources of this deployment, in the order of [`OWN_PATHS`].
    own: [ResourceUri; OWN_PATHS.len()],
}

/// The provider as one request sees it: one `now`, and where random bytes come from.
#[derive(Clone, Copy)]
pub struct Moment<'a> {
    /// The provider.
    pub provider: &'a Provider,
    /// When the request arrived.
    pub now: Timestamp,
    /// For identifiers and secrets.
    pub entropy: &'a dyn Entropy,
    /// Who asks for it, and from where.
    pub by: &'a Origin,
}

impl<'a> Moment<'a> {
    /// The same without the provider.
    pub const fn act(self) -> Act<'a> {
        Act {
            now: self.now,
            entropy: self.entropy,
            by: self.by,
        }
    }
}

/// Path of the MCP endpoint.
pub const MCP_PATH: &str = "/mcp";
/// Path of the MCP endpoint behind the experiment `mcp-server-http`.
pub const MCP_EXPERIMENT_PATH: &str = "/api/experimental/mcp/http";
/// The paths at which this deployment has a resource; the empty path is the deployment itself.
pub const OWN_PATHS: [&str; 3] = ["", MCP_PATH, MCP_EXPERIMENT_PATH];

impl Provider {
    /// The provider of the deployment at `public_url`.
    ///
    /// # Panics
    /// Never: a public URL and a constant path make a resource identifier.
    pub fn new(
        public_url: PublicUrl,
        key: Key,
        lifetimes: Lifetimes,
        registration_by_default: Registration,
    ) -> Self {
        let resource = |path| {
            let text = public_url.join(path);
            text.parse()
                .expect("a public URL and a constant path make a resource identifier")
        };
        Self {
            own: OWN_PATHS.map(resource),
            public_url,
            key,
            lifetimes,
            registration_by_default,
        }
    }

    /// The resource at `path` of this deployment; the empty path is the deployment itself.
    ///
    /// # Panics
    /// If `path` is not one of [`OWN_PATHS`]: paths are constants of ours.
    pub fn resource_at(&self, path: &str) -> &ResourceUri {
        let place = OWN_PATHS.iter().position(|known| *known == path);
        &self.own[place.expect("a path of this deployment's own")]
    }

    /// The resource of this deployment that `requested` names, if it is one.
    pub fn find_resource(&self, requested: &ResourceUri) -> Option<&ResourceUri> {
        self.own.iter().find(|known| *known == requested)
    }

    /// Whether a token for `audience` opens `resource`: its own, or the deployment's.
    pub fn accepts(&self, audience: &ResourceUri, resource: &ResourceUri) -> bool {
        audience == resource || audience == self.resource_at("")
    }

    /// Whether `scope` opens something at `resource`, or is `offline_access`, which is asked for
    /// with any that does.
    pub fn opens(&self, scope: &ScopeDefinition, resource: &ResourceUri) -> bool {
        scope.opens != Opens::Api || resource == self.resource_at("")
    }

    /// Every scope name of the deployment.
    pub fn known_scopes(&self) -> ScopeSet {
        ScopeSet::of(SCOPES.iter().map(|scope| scope.name))
    }
}
