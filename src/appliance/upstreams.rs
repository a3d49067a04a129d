//! What an administrator does with other MCP servers behind this one.

use crate::{
    appliance::{
        administration::{Refused, Reply, UpstreamRow},
        execute::Known,
    },
    audit::Act,
    model::upstream::{AddedUpstream, Reach, Upstream},
    oauth2provider::{upstream_path, upstreams},
    store::{self, Read, WriteTx},
};

/// Adds one.
pub(super) fn add(
    tx: &mut WriteTx<'_>,
    act: Act<'_>,
    known: &Known,
    upstream: Upstream,
) -> Result<Reply, Refused> {
    let added = upstreams::add(tx, act, &known.upstreams, upstream).map_err(Refused::because)?;
    Ok(Reply::Upstream(added_row(&added)))
}

/// Removes one; the configuration's own has to be removed there.
pub(super) fn remove(
    tx: &mut WriteTx<'_>,
    act: Act<'_>,
    known: &Known,
    name: &str,
) -> Result<(), Refused> {
    if known
        .upstreams
        .iter()
        .any(|upstream| upstream.name.as_str() == name)
    {
        return Err(Refused::because(format!(
            "expected an upstream that a command added; {name} stands in the configuration file"
        )));
    }
    let parsed = name.parse().ok();
    let removed = parsed.map(|parsed| upstreams::remove(tx, act, &parsed));
    if removed.transpose()? == Some(true) {
        return Ok(());
    }
    Err(Refused::because(format!(
        "expected the name of an upstream, found {name:?}, which is none"
    )))
}

/// Every one: those of the configuration, then those that were added.
pub(super) fn list(tx: &dyn Read, known: &Known) -> Result<Reply, Refused> {
    let configured = known.upstreams.iter().map(|upstream| row(upstream, None));
    let mut rows: Vec<UpstreamRow> = configured.collect();
    rows.extend(store::upstreams::list(tx)?.iter().map(added_row));
    Ok(Reply::Upstreams(rows))
}

fn scope_names(upstream: &Upstream) -> impl Iterator<Item = String> + use<> {
    upstream.name.scopes().into_iter().map(|scope| scope.name)
}

fn added_row(added: &AddedUpstream) -> UpstreamRow {
    row(&added.upstream, Some(added.added_at.to_string()))
}

fn row(upstream: &Upstream, added_at: Option<String>) -> UpstreamRow {
    let (command, url) = match &upstream.reach {
        Reach::Child(child) => (child.command.clone(), None),
        Reach::Server { url, .. } => (Vec::new(), Some(url.to_string())),
    };
    UpstreamRow {
        name: upstream.name.to_string(),
        command,
        url,
        path: upstream_path(&upstream.name),
        scopes: scope_names(upstream).collect(),
        added_at,
    }
}
