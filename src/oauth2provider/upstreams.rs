//! Other MCP servers behind this one: which there are, and what a token may do there.

use crate::{
    audit::{self, Act},
    model::{
        audit::{Action, Change, Object},
        id::Id,
        toolset::Toolset,
        upstream::{AddedUpstream, Reach, UPSTREAMS_MAX, Upstream, UpstreamName, UpstreamScope},
    },
    oauth2provider::{Provider, toolset_at, upstream_at},
    store::{Read, StoreError, WriteTx, upstreams},
};

/// Why an upstream is not added.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AddError {
    /// It was added before.
    #[error("expected a name that is not in use, found {0}, which is: remove it first")]
    Taken(UpstreamName),
    /// The configuration names it.
    #[error(
        "expected a name that is not in use, found {0}, which stands in the configuration file: \
         take another name, or take it out of that file first"
    )]
    Configured(UpstreamName),
    /// The box has as many as it may have.
    #[error("expected fewer than {UPSTREAMS_MAX} upstreams; remove one first")]
    Full,
    /// The store failed; nothing was changed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Every upstream: those of the configuration, then those that were added. A name that both have
/// is the configuration's.
pub fn list(tx: &dyn Read, provider: &Provider) -> Result<Vec<Upstream>, StoreError> {
    list_beside(tx, &provider.upstreams)
}

/// The same, where those are `configured`.
pub fn list_beside(tx: &dyn Read, configured: &[Upstream]) -> Result<Vec<Upstream>, StoreError> {
    let mut found = configured.to_vec();
    for added in upstreams::list(tx)? {
        if find_configured(configured, &added.upstream.name).is_none() {
            found.push(added.upstream);
        }
    }
    found.truncate(UPSTREAMS_MAX);
    Ok(found)
}

/// The upstream of that name.
pub fn find(
    tx: &dyn Read,
    provider: &Provider,
    name: &UpstreamName,
) -> Result<Option<Upstream>, StoreError> {
    if let Some(configured) = find_configured(&provider.upstreams, name) {
        return Ok(Some(configured.clone()));
    }
    Ok(upstreams::find(tx, name)?.map(|added| added.upstream))
}

fn find_configured<'a>(configured: &'a [Upstream], name: &UpstreamName) -> Option<&'a Upstream> {
    configured.iter().find(|upstream| upstream.name == *name)
}

/// The scopes of every upstream.
pub fn scopes(tx: &dyn Read, provider: &Provider) -> Result<Vec<UpstreamScope>, StoreError> {
    let found = list(tx, provider)?;
    Ok(found
        .iter()
        .flat_map(|upstream| upstream.name.scopes())
        .collect())
}

/// The scopes of upstreams that open something at `path` of the deployment.
pub fn scopes_at(
    tx: &dyn Read,
    provider: &Provider,
    path: &str,
) -> Result<Vec<UpstreamScope>, StoreError> {
    let mut found = scopes(tx, provider)?;
    found.retain(|scope| opens_at(scope, path));
    Ok(found)
}

/// Whether `scope`, of an upstream that there is, opens something at `path` of the deployment:
/// any where all tools are, one that only reads where only such tools are, and at an upstream's
/// path its own.
pub(super) fn opens_at(scope: &UpstreamScope, path: &str) -> bool {
    if let Some(name) = upstream_at(path) {
        return scope.name == name.scope() || scope.name == name.read_scope();
    }
    match toolset_at(path) {
        None | Some(Toolset::Standard) => true,
        Some(Toolset::Readonly) => scope.effect.is_read_only(),
        Some(Toolset::Search) => false,
    }
}

/// Adds an upstream, beside those that are `configured`.
pub fn add(
    tx: &mut WriteTx<'_>,
    act: Act<'_>,
    configured: &[Upstream],
    upstream: Upstream,
) -> Result<AddedUpstream, AddError> {
    let Act { now, entropy, by } = act;
    if find_configured(configured, &upstream.name).is_some() {
        return Err(AddError::Configured(upstream.name));
    }
    if upstreams::find(tx, &upstream.name)?.is_some() {
        return Err(AddError::Taken(upstream.name));
    }
    if configured.len() + upstreams::list(tx)?.len() >= UPSTREAMS_MAX {
        return Err(AddError::Full);
    }
    let added = AddedUpstream {
        id: Id::generate(now, entropy),
        upstream,
        added_at: now,
    };
    upstreams::add(tx, &added)?;
    let reach = match &added.upstream.reach {
        // Arguments can hold a secret, although none should: the log has the program alone.
        Reach::Child(child) => Change::to("command", child.command.first().map_or("", |word| word)),
        Reach::Server { url, .. } => Change::to("url", url),
    };
    let changes = [Change::to("name", &added.upstream.name), reach];
    audit::record(
        tx,
        by,
        Action::UpstreamAdded,
        Object::Upstream(added.id),
        changes,
    )?;
    Ok(added)
}

/// Removes an upstream that was added. Its scopes open nothing from here on. `false` if there is
/// none.
pub fn remove(tx: &mut WriteTx<'_>, act: Act<'_>, name: &UpstreamName) -> Result<bool, StoreError> {
    let Some(added) = upstreams::find(tx, name)? else {
        return Ok(false);
    };
    upstreams::remove(tx, name);
    let changes = [Change {
        field: "name".to_owned(),
        old: Some(name.to_string()),
        new: None,
    }];
    audit::record(
        tx,
        act.by,
        Action::UpstreamRemoved,
        Object::Upstream(added.id),
        changes,
    )?;
    Ok(true)
}
