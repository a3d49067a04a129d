//! What an administrator is shown of an upstream's tools, before any client is connected.

use tokio::time::timeout;

use crate::{
    mcp::{Mcp, upstreams::LIST_WAIT},
    model::{effect::Effect, upstream::UpstreamName},
    store::StoreError,
};

/// A tool of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownTool {
    /// What it is called at `/mcp`.
    pub name: String,
    /// What it is called for people, if it says.
    pub title: Option<String>,
    /// What it does, by its own word.
    pub effect: Effect,
    /// The narrowest scope that opens it.
    pub scope: String,
    /// Whether the owner has switched it off.
    pub is_off: bool,
}

/// Why nothing can be shown.
#[derive(Debug, thiserror::Error)]
pub enum NotShown {
    /// There is none of that name.
    #[error("there is no upstream {0}: `keystead upstream list` shows those that there are")]
    NoSuchUpstream(UpstreamName),
    /// It does not say what it has.
    #[error("{0}")]
    Upstream(String),
    /// It may do so later.
    #[error(
        "expected the tools of {0} within {seconds} s, found none: it goes on starting, so try again",
        seconds = LIST_WAIT.as_secs()
    )]
    TooSlow(UpstreamName),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Mcp {
    /// The tools of the upstream of that name, which is begun for that.
    pub async fn show_tools(&self, name: &UpstreamName) -> Result<Vec<ShownTool>, NotShown> {
        let link = self.catalogue.upstream(name)?;
        let link = link.ok_or_else(|| NotShown::NoSuchUpstream(name.clone()))?;
        let tools = timeout(LIST_WAIT, link.tools()).await;
        let tools = tools
            .map_err(|_| NotShown::TooSlow(name.clone()))?
            .map_err(|error| NotShown::Upstream(error.to_string()))?;
        let shown = tools.iter().map(|tool| {
            let effect = tool.effect();
            let prefixed = name.prefixed(tool.name());
            ShownTool {
                is_off: self.catalogue.is_off(&prefixed),
                name: prefixed,
                title: tool.title().map(str::to_owned),
                effect,
                scope: if effect.is_read_only() {
                    name.read_scope()
                } else {
                    name.scope()
                },
            }
        });
        Ok(shown.collect())
    }
}
