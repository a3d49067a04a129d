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
pub mod scopes;
pub mod tokens;
pub mod upstreams;

use std::borrow::Cow;

use crate::{
    audit::Act,
    config::Lifetimes,
    crypto::{entropy::Entropy, keyed::Key},
    model::{
        audit::Origin,
        oauth2::resource::ResourceUri,
        public_url::PublicUrl,
        timestamp::Timestamp,
        toolset::Toolset,
        upstream::{Upstream, UpstreamName},
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
    /// Other MCP servers behind this one that the configuration names; the store has more.
    pub upstreams: Vec<Upstream>,
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
/// Path of the MCP endpoint with every tool.
pub const MCP_STANDARD_PATH: &str = "/mcp/standard";
/// Path of the MCP endpoint with the tools that change nothing.
pub const MCP_READONLY_PATH: &str = "/mcp/readonly";
/// Path of the MCP endpoint with `search` and `fetch`.
pub const MCP_SEARCH_PATH: &str = "/mcp/search";

/// The paths at which this deployment has a resource; the empty path is the deployment itself.
///
/// A set of tools has a path, and so an identifier, of its own, because some clients compare the
/// URL that they were given with the resource byte by byte, and would lose a query on the way.
pub const OWN_PATHS: [&str; 6] = [
    "",
    MCP_PATH,
    MCP_EXPERIMENT_PATH,
    MCP_STANDARD_PATH,
    MCP_READONLY_PATH,
    MCP_SEARCH_PATH,
];

/// The set of tools that a path of the MCP endpoint stands for.
pub fn toolset_at(path: &str) -> Option<Toolset> {
    match path {
        MCP_STANDARD_PATH => Some(Toolset::Standard),
        MCP_READONLY_PATH => Some(Toolset::Readonly),
        MCP_SEARCH_PATH => Some(Toolset::Search),
        _ => None,
    }
}

/// The path of the upstream of that name.
pub fn upstream_path(name: &UpstreamName) -> String {
    format!("{MCP_PATH}/{name}")
}

/// The upstream whose path `path` is, whether there is one of that name or not.
pub fn upstream_at(path: &str) -> Option<UpstreamName> {
    let name = path.strip_prefix(MCP_PATH)?.strip_prefix('/')?;
    name.parse().ok()
}

fn resource(public_url: &PublicUrl, path: &str) -> ResourceUri {
    let text = public_url.join(path);
    text.parse()
        .expect("a public URL and a path of ours make a resource identifier")
}

impl Provider {
    /// The provider of the deployment at `public_url`.
    pub fn new(
        public_url: PublicUrl,
        key: Key,
        lifetimes: Lifetimes,
        registration_by_default: Registration,
        upstreams: Vec<Upstream>,
    ) -> Self {
        Self {
            own: OWN_PATHS.map(|path| resource(&public_url, path)),
            public_url,
            key,
            lifetimes,
            registration_by_default,
            upstreams,
        }
    }

    /// The resource at `path` of this deployment; the empty path is the deployment itself.
    ///
    /// # Panics
    /// If `path` is not one: paths are constants of ours, with the name of an upstream at most.
    pub fn resource_at(&self, path: &str) -> Cow<'_, ResourceUri> {
        match OWN_PATHS.iter().position(|known| *known == path) {
            Some(place) => Cow::Borrowed(&self.own[place]),
            None => Cow::Owned(resource(&self.public_url, path)),
        }
    }

    /// The path at which `resource` is, if this deployment has it.
    fn path_of(&self, resource: &ResourceUri) -> Option<&'static str> {
        let place = self.own.iter().position(|known| known == resource)?;
        Some(OWN_PATHS[place])
    }

    /// The upstream that `resource` is, whether there is one of that name or not.
    pub fn upstream_of(&self, resource: &ResourceUri) -> Option<UpstreamName> {
        let origin = self.resource_at("");
        upstream_at(resource.as_str().strip_prefix(origin.as_str())?)
    }

    /// Whether a token for `audience` opens `resource`: its own, or the deployment's; and that of
    /// the MCP endpoint for some of its tools, but not the other way round.
    pub fn accepts(&self, audience: &ResourceUri, resource: &ResourceUri) -> bool {
        let is_part = || {
            let toolset = self.path_of(resource).and_then(toolset_at);
            toolset.is_some() || self.upstream_of(resource).is_some()
        };
        audience == resource
            || *audience == *self.resource_at("")
            || *audience == *self.resource_at(MCP_PATH) && is_part()
    }
}
