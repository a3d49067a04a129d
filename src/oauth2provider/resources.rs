//! What a token can be for: this deployment, a part of it, or another server that was added to it;
//! and what a client may ask for there.

use crate::{
    audit::{self, Act},
    model::{
        audit::{Action, Change, Object},
        credential::{Credential, CredentialKind},
        effect::Effect,
        id::Id,
        oauth2::{
            client::{Client, ClientOrigin},
            client_id::ClientId,
            resource::ResourceUri,
            resource_server::{ResourceServer, SERVER_SCOPES_MAX, ServerIdentifier, ServerScope},
            scope::{About, Minimal, OFFLINE_ACCESS, SCOPES, ScopeSet, find_definition},
        },
        public_url::PublicUrl,
        upstream::UpstreamScope,
    },
    oauth2provider::{
        Provider,
        apps::{ClientCredentials, ClientError},
        metadata::opens_at,
        upstream_at, upstream_path, upstreams,
    },
    store::{
        Read, StoreError, WriteTx,
        resource_servers::{self, RESOURCE_SERVERS_MAX},
    },
};

/// A resource that tokens can be for.
#[derive(Clone, Debug)]
pub enum Resource {
    /// This deployment, or a part of it.
    Own(Own),
    /// Another server.
    Server(Box<ResourceServer>),
}

/// This deployment, or a part of it.
#[derive(Clone, Debug)]
pub struct Own {
    identifier: ResourceUri,
    /// Where it is; the empty path is the deployment itself.
    path: String,
    /// The scopes of every upstream.
    upstream_scopes: Vec<UpstreamScope>,
}

impl Own {
    fn at(tx: &dyn Read, provider: &Provider, path: String) -> Result<Self, StoreError> {
        Ok(Self {
            identifier: provider.resource_at(&path).into_owned(),
            upstream_scopes: upstreams::scopes(tx, provider)?,
            path,
        })
    }

    fn opens(&self, name: &str) -> bool {
        if let Some(scope) = self.upstream_scope(name) {
            return upstreams::opens_at(scope, &self.path);
        }
        let definition = find_definition(name);
        name == OFFLINE_ACCESS || definition.is_some_and(|scope| opens_at(scope, &self.path))
    }

    fn known_scopes(&self) -> ScopeSet {
        let of_table = SCOPES.iter().map(|scope| scope.name);
        let of_upstreams = self.upstream_scopes.iter().map(|scope| scope.name.as_str());
        ScopeSet::of(of_table.chain(of_upstreams))
    }

    fn minimal_scopes(&self) -> ScopeSet {
        if let Some(upstream) = upstream_at(&self.path) {
            return ScopeSet::of([upstream.read_scope().as_str()]);
        }
        let minimal = SCOPES.iter().filter(|scope| scope.minimal == Minimal::Yes);
        ScopeSet::of(minimal.map(|scope| scope.name))
    }

    fn upstream_scope(&self, name: &str) -> Option<&UpstreamScope> {
        self.upstream_scopes.iter().find(|scope| scope.name == name)
    }
}

impl Resource {
    /// The audience of its tokens.
    pub fn identifier(&self) -> &ResourceUri {
        match self {
            Self::Own(own) => &own.identifier,
            Self::Server(server) => server.identifier.as_resource(),
        }
    }

    /// Every scope name that means something there. `offline_access` says nothing of the resource,
    /// so it goes with each.
    pub fn known_scopes(&self) -> ScopeSet {
        match self {
            Self::Own(own) => own.known_scopes(),
            Self::Server(server) => {
                let known = server.known_scopes();
                ScopeSet::of(known.iter().chain([OFFLINE_ACCESS]))
            }
        }
    }

    /// Whether the scope `name` is one of [`Resource::known_scopes`].
    fn knows(&self, name: &str) -> bool {
        match self {
            Self::Own(own) => own.upstream_scope(name).is_some() || find_definition(name).is_some(),
            Self::Server(server) => name == OFFLINE_ACCESS || server.find_scope(name).is_some(),
        }
    }

    /// Whether the scope `name` opens something there, or is `offline_access`, which is asked for
    /// with any that does; never one that is not known there.
    fn is_useful(&self, name: &str) -> bool {
        match self {
            Self::Own(own) => own.opens(name),
            Self::Server(_) => self.knows(name),
        }
    }

    /// What a client gets that asks for nothing; it may be nothing.
    fn minimal_scopes(&self) -> ScopeSet {
        match self {
            Self::Own(own) => own.minimal_scopes(),
            Self::Server(server) => server.minimal_scopes(),
        }
    }

    /// What the scope `name` lets a client do there. What is not known counts as the gravest.
    pub fn effect_of(&self, name: &str) -> Effect {
        let elsewhere = match self {
            Self::Own(own) => own.upstream_scope(name).map(|scope| scope.effect),
            Self::Server(server) => server.find_scope(name).map(ServerScope::effect),
        };
        let effect = elsewhere.or_else(|| find_definition(name).map(|scope| scope.effect));
        effect.unwrap_or(Effect::Destroys)
    }

    /// Whether a person may leave the scope `name` out of what a client asks for: what changes
    /// something, what lets it look at the whole box, and what lets it look at another server
    /// behind it.
    pub fn can_leave_out(&self, name: &str) -> bool {
        let is_of_more = match self {
            Self::Own(own) => {
                let definition = find_definition(name);
                let is_of_the_box = definition.is_some_and(|scope| scope.about == About::Box);
                is_of_the_box || own.upstream_scope(name).is_some()
            }
            Self::Server(_) => false,
        };
        is_of_more || !self.effect_of(name).is_read_only()
    }

    /// The words in which a person reads the scope `name`; the name where there are none.
    pub fn words_of<'a>(&'a self, name: &'a str) -> &'a str {
        let elsewhere = match self {
            Self::Own(own) => own.upstream_scope(name).map(|scope| scope.words.as_str()),
            Self::Server(server) => server.find_scope(name).map(ServerScope::words),
        };
        let words = elsewhere.or_else(|| find_definition(name).map(|scope| scope.words));
        words.unwrap_or(name)
    }
}

/// The path of this deployment at which `asked` is, if it is a resource there.
pub fn find_path(
    tx: &dyn Read,
    provider: &Provider,
    asked: &ResourceUri,
) -> Result<Option<String>, StoreError> {
    if let Some(path) = provider.path_of(asked) {
        return Ok(Some(path.to_owned()));
    }
    match provider.upstream_of(asked) {
        None => Ok(None),
        Some(name) => {
            let found = upstreams::find(tx, provider, &name)?;
            Ok(found.map(|upstream| upstream_path(&upstream.name)))
        }
    }
}

/// The resource that `asked` names, if there is one.
pub fn find(
    tx: &dyn Read,
    provider: &Provider,
    asked: &ResourceUri,
) -> Result<Option<Resource>, StoreError> {
    if let Some(path) = find_path(tx, provider, asked)? {
        return Ok(Some(Resource::Own(Own::at(tx, provider, path)?)));
    }
    // The public URL may have moved to where a resource server was added.
    if provider.public_url.is_origin_of(asked.as_str()) {
        return Ok(None);
    }
    let server = resource_servers::find_by_identifier(tx, asked)?;
    Ok(server.map(|server| Resource::Server(Box::new(server))))
}

/// What a client asks for and may ask for.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Where.
    pub resource: Resource,
    /// What; never empty.
    pub scopes: ScopeSet,
}

/// Why a client cannot be given what it asks for.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RequestError {
    /// `invalid_scope`: a name that the resource does not have.
    #[error("scope: expected scopes of {resource}, found {found}")]
    ScopeUnknown {
        /// The resource.
        resource: ResourceUri,
        /// What it does not have.
        found: ScopeSet,
    },
    /// `invalid_scope`: more than an administrator allowed the client to ask for.
    #[error("scope: expected at most what the client is registered for, found also {0}")]
    ScopeBeyondClient(ScopeSet),
    /// `invalid_scope`: nothing of it opens anything at the resource.
    #[error("scope: expected scopes of the resource, found only those of others: {0}")]
    ScopeElsewhere(ScopeSet),
    /// `invalid_scope`: nothing is given unasked.
    #[error("scope: expected some of {0}, found none")]
    ScopeMissing(ScopeSet),
    /// `invalid_target`: not a resource that this deployment knows.
    #[error("resource: expected a resource that this server protects, found {0}")]
    ResourceUnknown(ResourceUri),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl RequestError {
    /// The error's word on the wire (RFC 6749 §4.1.2.1, RFC 8707 §2).
    pub const fn code(&self) -> &'static str {
        match self {
            Self::ScopeUnknown { .. }
            | Self::ScopeBeyondClient(_)
            | Self::ScopeElsewhere(_)
            | Self::ScopeMissing(_) => "invalid_scope",
            Self::ResourceUnknown(_) => "invalid_target",
            Self::Store(_) => "server_error",
        }
    }
}

/// Checks what a client asks for against the resource and against the client, on every grant type
/// alike (threat 15).
pub fn ask(
    tx: &dyn Read,
    provider: &Provider,
    client: &Client,
    scopes: Option<ScopeSet>,
    resource: Option<ResourceUri>,
) -> Result<Asked, RequestError> {
    let resource = match resource {
        None => Resource::Own(Own::at(tx, provider, String::new())?),
        Some(asked) => find(tx, provider, &asked)?.ok_or(RequestError::ResourceUnknown(asked))?,
    };
    let ceiling = ceiling(client);
    let Some(scopes) = scopes.filter(|scopes| !scopes.is_empty()) else {
        let scopes = least(&resource, ceiling);
        return if scopes.is_empty() {
            Err(RequestError::ScopeMissing(resource.known_scopes()))
        } else {
            Ok(Asked { resource, scopes })
        };
    };
    let found = scopes.filtered(|name| !resource.knows(name));
    if !found.is_empty() {
        let resource = resource.identifier().clone();
        return Err(RequestError::ScopeUnknown { resource, found });
    }
    // RFC 6749 §3.3 lets a server "partially ignore the scope requested": hosts ask for all that
    // the server's metadata lists, and nobody should be asked for what opens nothing there.
    let useful = scopes.filtered(|name| resource.is_useful(name));
    if useful.is_empty() {
        return Err(RequestError::ScopeElsewhere(scopes));
    }
    let scopes = useful;
    let beyond = ceiling.map(|ceiling| scopes.difference(ceiling));
    match beyond.filter(|beyond| !beyond.is_empty()) {
        Some(beyond) => Err(RequestError::ScopeBeyondClient(beyond)),
        None => Ok(Asked { resource, scopes }),
    }
}

/// The least that is useful (threat 37); an administrator's ceiling holds for it as well.
fn least(resource: &Resource, ceiling: Option<&ScopeSet>) -> ScopeSet {
    let minimal = resource.minimal_scopes();
    let Some(ceiling) = ceiling else {
        return minimal;
    };
    let least = minimal.intersection(ceiling);
    if least.is_empty() {
        ceiling.filtered(|name| resource.is_useful(name))
    } else {
        least
    }
}

/// The most that a client may ask for: only for one that an administrator made.
fn ceiling(client: &Client) -> Option<&ScopeSet> {
    match client.origin {
        ClientOrigin::Administrator => client.metadata.scope.as_ref(),
        ClientOrigin::SelfRegistered | ClientOrigin::Document { .. } => None,
    }
}

/// Why a resource server is not added.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AddError {
    /// An address of this deployment.
    #[error("expected the identifier of another server, found an address of this box")]
    Ours,
    /// It was added before.
    #[error("expected an identifier that is not in use, found {0}, which is: remove it first")]
    Taken(ServerIdentifier),
    /// Nothing could be allowed there, or too much.
    #[error("expected 1 to {SERVER_SCOPES_MAX} scopes, found {found}")]
    ScopeCount {
        /// Scopes that were given.
        found: usize,
    },
    /// A scope with two meanings.
    #[error("expected each scope once, found {0} twice")]
    ScopeTwice(String),
    /// The box has as many as it may have.
    #[error("expected fewer than {RESOURCE_SERVERS_MAX} resource servers; remove one first")]
    Full,
    /// The store failed; nothing was changed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Adds a resource server. The returned credential is the only copy.
///
/// `public_url` is this deployment's, as far as it is known: while no server runs it may not be.
pub fn add(
    tx: &mut WriteTx<'_>,
    act: Act<'_>,
    public_url: Option<&PublicUrl>,
    identifier: ServerIdentifier,
    scopes: Vec<ServerScope>,
) -> Result<(ResourceServer, Credential), AddError> {
    let Act { now, entropy, by } = act;
    check_new(tx, public_url, &identifier, &scopes)?;
    let secret = Credential::generate(CredentialKind::ClientSecret, now, entropy);
    let server = ResourceServer {
        id: Id::generate(now, entropy),
        identifier,
        secret_id: secret.id(),
        secret_digest: secret.digest(),
        scopes,
        created_at: now,
    };
    resource_servers::add(tx, &server)?;
    let changes = [
        Change::to("identifier", &server.identifier),
        Change::to("scope", &server.known_scopes()),
    ];
    let object = Object::ResourceServer(server.id);
    audit::record(tx, by, Action::ResourceAdded, object, changes)?;
    Ok((server, secret))
}

fn check_new(
    tx: &dyn Read,
    public_url: Option<&PublicUrl>,
    identifier: &ServerIdentifier,
    scopes: &[ServerScope],
) -> Result<(), AddError> {
    // Not only what is served there today: a token for an address of this box is for this box.
    if public_url.is_some_and(|own| own.is_origin_of(identifier.as_resource().as_str())) {
        return Err(AddError::Ours);
    }
    let found = scopes.len();
    if !(1..=SERVER_SCOPES_MAX).contains(&found) {
        return Err(AddError::ScopeCount { found });
    }
    for (place, scope) in scopes.iter().enumerate() {
        if scopes[..place]
            .iter()
            .any(|other| other.name() == scope.name())
        {
            return Err(AddError::ScopeTwice(scope.name().to_owned()));
        }
    }
    if resource_servers::find_by_identifier(tx, identifier.as_resource())?.is_some() {
        return Err(AddError::Taken(identifier.clone()));
    }
    if resource_servers::list(tx)?.len() >= RESOURCE_SERVERS_MAX {
        return Err(AddError::Full);
    }
    Ok(())
}

/// Removes a resource server. Its tokens open nothing from here on: nobody can look them up, and
/// none is refreshed. `false` if there is none.
pub fn remove(
    tx: &mut WriteTx<'_>,
    act: Act<'_>,
    identifier: &ResourceUri,
) -> Result<bool, StoreError> {
    match resource_servers::find_by_identifier(tx, identifier)? {
        None => Ok(false),
        Some(server) => {
            resource_servers::remove(tx, &server);
            let object = Object::ResourceServer(server.id);
            audit::record(tx, act.by, Action::ResourceRemoved, object, [])?;
            Ok(true)
        }
    }
}

/// The resource server that `credentials` prove; `None` if they are not those of one.
pub fn authenticate(
    tx: &dyn Read,
    credentials: &ClientCredentials,
) -> Result<Option<ResourceServer>, ClientError> {
    let ClientId::Registered(id) = credentials.client_id else {
        return Ok(None);
    };
    let Some(server) = resource_servers::find(tx, id)? else {
        return Ok(None);
    };
    let secret = credentials.secret.as_deref();
    let secret = secret.ok_or(ClientError::SecretMissing)?;
    match Credential::parse(CredentialKind::ClientSecret, secret) {
        Ok(secret)
            if secret.id() == server.secret_id && secret.digest() == server.secret_digest =>
        {
            Ok(Some(server))
        }
        _ => Err(ClientError::SecretWrong),
    }
}
