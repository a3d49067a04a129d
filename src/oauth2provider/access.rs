//! What an access token opens, and in whose name it works.

use crate::{
    model::{
        credential::Credential,
        id::Id,
        oauth2::{
            client::{Client, ClientOrigin, GrantType},
            resource::ResourceUri,
            scope::{About, Opens, SCOPES, ScopeSet},
            token::{AccessToken, Holder, TokenFamily},
        },
        timestamp::Timestamp,
        user::{Role, User},
    },
    oauth2provider::{Provider, app_secrets, upstreams},
    store::{Read, StoreError, clients, grants, tokens, users},
};

/// What an access token opens, for one request.
#[derive(Clone, Debug)]
pub struct Access {
    /// Whose it is.
    pub user: User,
    /// Which client presents it.
    pub client_id: Id,
    /// The grant it comes from.
    pub grant_id: Id,
    /// What it may do.
    pub scopes: ScopeSet,
}

/// What a client's own token opens, for one request.
#[derive(Clone, Debug)]
pub struct OwnAccess {
    /// Which client.
    pub client_id: Id,
    /// What an administrator lets it do.
    pub scopes: ScopeSet,
}

/// In whose name an access token opens something.
#[derive(Clone, Debug)]
pub enum Opened {
    /// A person's.
    Person(Access),
    /// The client's own.
    Client(OwnAccess),
}

/// Why an access token opens nothing here: `invalid_token` (RFC 6750 §3.1).
#[derive(Clone, Debug, thiserror::Error)]
pub enum AccessError {
    /// Not a token, or a damaged one.
    #[error("the access token is malformed")]
    Malformed,
    /// No such token.
    #[error("the access token is unknown")]
    Unknown,
    /// Its time is over.
    #[error("the access token has expired")]
    Expired,
    /// It, its family, its grant, its user, its client or its client's secret is gone.
    #[error("the access token has been revoked")]
    Revoked,
    /// It is for another resource.
    #[error("the access token is for another audience")]
    OtherAudience,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A token that works, and what stands behind it.
#[derive(Clone, Debug)]
pub struct LiveToken {
    /// The token.
    pub record: AccessToken,
    /// Its family.
    pub family: TokenFamily,
    /// In whose name it works.
    pub holder: LiveHolder,
}

/// The token that `token` is, if it works anywhere.
pub fn find_live(
    tx: &dyn Read,
    now: Timestamp,
    token: &Credential,
) -> Result<LiveToken, AccessError> {
    let record = tokens::find_access_token(tx, token.id())?
        .filter(|record| record.digest == token.digest())
        .ok_or(AccessError::Unknown)?;
    if record.expires_at.has_passed(now) {
        return Err(AccessError::Expired);
    }
    let family = tokens::find_family(tx, record.family_id)?.ok_or(AccessError::Revoked)?;
    if !app_secrets::is_live(tx, family.client_id, record.secret_id)? {
        return Err(AccessError::Revoked);
    }
    let holder = live_holder(tx, now, &family)?.ok_or(AccessError::Revoked)?;
    Ok(LiveToken {
        record,
        family,
        holder,
    })
}

/// What `token` opens at `resource` of this deployment.
///
/// # Source
/// RFC 6750 §3; RFC 8707 §3 (audience); threats 30 and 35.
pub fn check_access(
    tx: &dyn Read,
    now: Timestamp,
    provider: &Provider,
    token: &Credential,
    resource: &ResourceUri,
) -> Result<Opened, AccessError> {
    let live = find_live(tx, now, token)?;
    if !provider.accepts(&live.record.resource, resource) {
        return Err(AccessError::OtherAudience);
    }
    let client_id = live.family.client_id;
    let scopes = live.record.scopes;
    Ok(match live.holder {
        LiveHolder::Client => Opened::Client(OwnAccess { client_id, scopes }),
        LiveHolder::Person { user, grant_id } => Opened::Person(Access {
            user: *user,
            client_id,
            grant_id,
            scopes,
        }),
    })
}

/// What a program may do in the name of a person of that role that runs on this machine, as
/// somebody who could take the data file itself: all that a token could let an MCP client do, the
/// tools of every upstream among it.
pub fn scopes_of_machine(
    tx: &dyn Read,
    provider: &Provider,
    role: Role,
) -> Result<ScopeSet, StoreError> {
    let own = SCOPES.iter().filter(|scope| {
        scope.opens == Opens::McpAndApi && (scope.about == About::Person || role == Role::Owner)
    });
    let own: Vec<_> = own.map(|scope| scope.name.to_owned()).collect();
    let others = upstreams::list(tx, provider)?;
    let others = others.iter().map(|upstream| upstream.name.scope());
    let all: Vec<String> = own.into_iter().chain(others).collect();
    Ok(ScopeSet::of(all.iter().map(String::as_str)))
}

/// In whose name a token works, now.
#[derive(Clone, Debug)]
pub enum LiveHolder {
    /// A person's, who may sign in.
    Person {
        /// Who.
        user: Box<User>,
        /// What they gave, and have not taken back.
        grant_id: Id,
    },
    /// The client's own.
    Client,
}

/// In whose name a family works. `None` once the client is gone that it belongs to, the grant has
/// ended, or its person may no longer sign in.
pub fn live_holder(
    tx: &dyn Read,
    now: Timestamp,
    family: &TokenFamily,
) -> Result<Option<LiveHolder>, StoreError> {
    match family.holder {
        Holder::Client => {
            let client = clients::find(tx, family.client_id)?;
            let may = client.is_some_and(|client| may_act_for_itself(&client));
            Ok(may.then_some(LiveHolder::Client))
        }
        Holder::Person { user_id, grant_id } => {
            let grant = grants::find(tx, grant_id)?;
            if grant.is_none_or(|grant| grant.expires_at.has_passed(now))
                || !clients::is_there(tx, family.client_id)?
            {
                return Ok(None);
            }
            let user = users::find(tx, user_id)?.filter(|user| user.disabled_at.is_none());
            let user = user.map(Box::new);
            Ok(user.map(|user| LiveHolder::Person { user, grant_id }))
        }
    }
}

/// Whether a client may get tokens of its own: only a confidential one that an administrator made
/// and gave that grant type.
pub(super) fn may_act_for_itself(client: &Client) -> bool {
    client.origin == ClientOrigin::Administrator
        && !client.is_public()
        && client.metadata.allows(GrantType::ClientCredentials)
}
