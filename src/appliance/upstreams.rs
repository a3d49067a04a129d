//! What an administrator does with other MCP servers behind this one.

use crate::{
    appliance::{
        administration::{Answer, Refused, Reply, UpstreamRow, UpstreamState, UpstreamToolRow},
        execute::Known,
    },
    audit::Act,
    mcp::{
        Mcp,
        upstreams::{Standing, Upstreams},
    },
    model::{
        timestamp::Timestamp,
        upstream::{AddedUpstream, Reach, Upstream, UpstreamNameError},
    },
    oauth2provider::{upstream_path, upstreams},
    runtime::outbound::{OutboundError, judge_literal},
    store::{self, Read, StoreError, WriteTx},
};

/// Refuses one at an address that no connection to it could ever lead to.
pub(super) fn judge(upstream: &Upstream) -> Result<(), OutboundError> {
    match &upstream.reach {
        Reach::Server { url, .. } => judge_literal(&url.to_url()),
        Reach::Child(_) => Ok(()),
    }
}

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
            "expected an upstream that a command added; {name} stands in the configuration file: \
             take it out of that file, and start the server again"
        )));
    }
    let parsed = name.parse().ok();
    let removed = parsed.map(|parsed| upstreams::remove(tx, act, &parsed));
    if removed.transpose()? == Some(true) {
        return Ok(());
    }
    Err(Refused::because(format!(
        "expected the name of an upstream, found {name:?}, which is none: `keystead upstream list` \
         shows those that there are"
    )))
}

/// Every one: those of the configuration, then those that were added.
pub(super) fn list(tx: &dyn Read, known: &Known) -> Result<Reply, Refused> {
    let configured = known.upstreams.iter().map(|upstream| row(upstream, None));
    let mut rows: Vec<UpstreamRow> = configured.collect();
    rows.extend(store::upstreams::list(tx)?.iter().map(added_row));
    Ok(Reply::Upstreams(rows))
}

/// Says of every upstream in `reply` how it is doing at `now`.
pub(super) fn tell_standings(
    reply: &mut Reply,
    upstreams: &Upstreams,
    now: Timestamp,
) -> Result<(), StoreError> {
    let rows = match reply {
        Reply::Upstreams(rows) => rows.as_mut_slice(),
        Reply::Upstream(row) => std::slice::from_mut(row),
        _ => return Ok(()),
    };
    let mut standings = upstreams.standings()?;
    for row in rows {
        let name = row.name.parse().ok();
        let standing = name.and_then(|name| standings.remove(&name));
        let since = |lasted| Some(now.before(lasted).to_string());
        (row.state, row.since, row.reason) = match standing {
            // It is more than the box may have, so that nobody can use it.
            None => (None, None, None),
            Some(Standing::Idle) => (Some(UpstreamState::Idle), None, None),
            Some(Standing::Starting) => (Some(UpstreamState::Starting), None, None),
            Some(Standing::Connected { lasted }) => {
                (Some(UpstreamState::Connected), since(lasted), None)
            }
            Some(Standing::Failing { lasted, why }) => {
                (Some(UpstreamState::Failing), since(lasted), Some(why))
            }
        };
    }
    Ok(())
}

/// The tools of one, which is begun for that.
pub(super) async fn tools(mcp: &Mcp, name: &str) -> Answer {
    let name = name
        .parse()
        .map_err(|error: UpstreamNameError| Refused::because(format!("name: {error}")))?;
    let shown = mcp.show_tools(&name).await.map_err(Refused::because)?;
    let rows = shown.into_iter().map(|tool| UpstreamToolRow {
        name: tool.name,
        title: tool.title,
        effect: tool.effect.as_str().to_owned(),
        scope: tool.scope,
        on: !tool.is_off,
    });
    Ok(Reply::UpstreamTools(rows.collect()))
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
        state: None,
        since: None,
        reason: None,
        command,
        url,
        path: upstream_path(&upstream.name),
        scopes: scope_names(upstream).collect(),
        added_at,
    }
}
