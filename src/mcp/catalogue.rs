//! What is offered to whom: every tool that there is, less what a caller does not get to see.
//!
//! Whatever knows tools is asked here and nowhere else, so that a list and a call cannot differ:
//! [`Catalogue::list`] and [`Catalogue::find`] go by the same rules, and an [`Offer`] is a tool of
//! whichever source it comes from.

use std::{pin::Pin, sync::Arc, time::Duration};

use rmcp::model::{CallToolResult, ContentBlock, JsonObject};
use serde_json::Value;

use crate::{
    config::McpOff,
    mcp::{
        ANSWER_BYTES_MAX, CALL_TIMEOUT,
        figures::{CallFigures, Figures},
        handler::Caller,
        tools::{Call, Tool, ToolError},
        upstreams::{self, Link, Reached, UpstreamError, Upstreams},
    },
    model::{oauth2::scope::ScopeSet, toolset::Toolset, upstream::UpstreamName},
    store::StoreError,
};

/// Every tool of this box, and what its owner has switched off.
#[derive(Clone)]
pub(super) struct Catalogue {
    table: &'static [Tool],
    off: Arc<McpOff>,
    upstreams: Arc<Upstreams>,
    figures: Arc<Figures>,
}

/// A tool that a caller may know of.
#[derive(Clone, Debug)]
pub(super) enum Offer {
    /// One of the table's.
    Own(&'static Tool),
    /// One of another server behind this one, and what it is called here.
    Upstream(Reached, String),
}

/// Why it cannot be said what is offered.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unknowable {
    /// The other server does not say.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A call that is under way.
pub(super) type Answering = Pin<Box<dyn Future<Output = Result<CallToolResult, ToolError>> + Send>>;

impl Catalogue {
    pub(super) fn new(table: &'static [Tool], off: Arc<McpOff>, upstreams: Arc<Upstreams>) -> Self {
        Self {
            table,
            off,
            upstreams,
            figures: Arc::new(Figures::new(table)),
        }
    }

    /// What is counted of calls.
    pub(super) fn figures(&self) -> &Figures {
        &self.figures
    }

    /// What is counted of calls of `offer`.
    pub(super) fn calls_of<'a>(&'a self, offer: &'a Offer) -> &'a Arc<CallFigures> {
        match offer {
            Offer::Own(tool) => self.figures.of(tool),
            Offer::Upstream(reached, _) => &reached.figures().calls,
        }
    }

    /// The way to the upstream of that name.
    pub(super) fn upstream(&self, name: &UpstreamName) -> Result<Option<Arc<Link>>, StoreError> {
        self.upstreams.find(name)
    }

    /// Whether the owner has switched off the tool that is called `prefixed` among all.
    pub(super) fn is_off(&self, prefixed: &str) -> bool {
        self.off.tools.iter().any(|off| off == prefixed)
    }

    /// What is counted of calls of an upstream that did not say what it has.
    pub(super) fn calls_of_upstream(&self, name: &UpstreamName) -> Option<Arc<CallFigures>> {
        let link = self.upstreams.known(name)?;
        Some(Arc::clone(&link.figures().calls))
    }

    /// The sets of tools that are on; who asks for none gets the first.
    pub(super) fn toolsets(&self) -> Vec<Toolset> {
        let is_on = |set: &Toolset| !self.off.toolsets.contains(set);
        Toolset::ALL.into_iter().filter(is_on).collect()
    }

    /// What `caller` may know of and what its token opens: in the order of the table, then that of
    /// the upstreams.
    pub(super) async fn list(&self, caller: &Caller) -> Result<Vec<Offer>, Unknowable> {
        let mut offers: Vec<Offer> = self.known_to(caller).map(Offer::Own).collect();
        let links = match &caller.upstream {
            _ if caller.toolset == Toolset::Search => Vec::new(),
            Some(only) => self.upstreams.find(only)?.into_iter().collect(),
            None => self.upstreams.list()?,
        };
        // Who may use none of its tools does not make an upstream start.
        let may_use = |link: &Arc<Link>| opens_some(&link.upstream().name, &caller.person.scopes);
        let links: Vec<_> = links.into_iter().filter(may_use).collect();
        let reached = upstreams::tools_of(links).await.into_iter();
        offers.extend(reached.filter_map(|reached| self.offer(caller, reached)));
        offers.retain(|offer| offer.is_open_to(&caller.person.scopes));
        Ok(offers)
    }

    /// The tool of that name, if `caller` may know of it; its token need not open it.
    pub(super) async fn find(
        &self,
        caller: &Caller,
        name: &str,
    ) -> Result<Option<Offer>, Unknowable> {
        let own = self.known_to(caller).find(|tool| tool.name == name);
        if let Some(own) = own {
            return Ok(Some(Offer::Own(own)));
        }
        let asked = match &caller.upstream {
            Some(only) => Some((only.clone(), name)),
            None => UpstreamName::split(name),
        };
        let Some((upstream, tool)) = asked else {
            return Ok(None);
        };
        let Some(link) = self.upstreams.find(&upstream)? else {
            return Ok(None);
        };
        // Threat 39: without a scope of its own a caller does not get near the connection.
        if !opens_some(&upstream, &caller.person.scopes) {
            let reached = Reached::unknown(link);
            return Ok(Some(Offer::Upstream(reached, name.to_owned())));
        }
        // It is large, and most calls do not come here.
        let reached = Box::pin(Reached::find(link, tool)).await?;
        Ok(reached.and_then(|reached| self.offer(caller, reached)))
    }

    /// The tool of that name, if `caller` may know of it and its token does not open it: what a
    /// client has to ask its person for. Nothing is decided by it that is not decided again.
    pub(super) async fn find_closed(&self, caller: &Caller, name: &str) -> Option<Offer> {
        let scopes = &caller.person.scopes;
        let upstream = match &caller.upstream {
            Some(only) => Some(only.clone()),
            None => UpstreamName::split(name).map(|(upstream, _)| upstream),
        };
        // It opens all of them: the upstream need not be asked which there are.
        if upstream.is_some_and(|upstream| scopes.contains(&upstream.scope())) {
            return None;
        }
        let found = self.find(caller, name).await.ok().flatten();
        found.filter(|offer| !offer.is_open_to(scopes))
    }

    /// An upstream's tool as `caller` gets to see it, if it does: by its own name where there are
    /// no others.
    fn offer(&self, caller: &Caller, reached: Reached) -> Option<Offer> {
        let tool = reached.tool.as_ref()?;
        let prefixed = reached.upstream().prefixed(tool.name());
        let is_in = match caller.toolset {
            Toolset::Standard => true,
            Toolset::Readonly => tool.only_reads(),
            Toolset::Search => false,
        };
        if !is_in || self.is_off(&prefixed) {
            return None;
        }
        let shown = match &caller.upstream {
            Some(_) => tool.name().to_owned(),
            None => prefixed,
        };
        Some(Offer::Upstream(reached, shown))
    }

    fn known_to(&self, caller: &Caller) -> impl Iterator<Item = &'static Tool> {
        self.table.iter().filter(|tool| {
            caller.upstream.is_none()
                && tool.is_for(&caller.person, &self.off)
                && tool.is_in(caller.toolset)
        })
    }
}

impl Offer {
    /// What it is called by.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Own(tool) => tool.name,
            Self::Upstream(_, shown) => shown,
        }
    }

    /// Whether a token with `scopes` opens it.
    pub(super) fn is_open_to(&self, scopes: &ScopeSet) -> bool {
        match self {
            Self::Own(tool) => tool.is_open_to(scopes),
            Self::Upstream(reached, _) => {
                let name = reached.upstream();
                let only_reads = reached.tool.as_ref().is_some_and(|tool| tool.only_reads());
                scopes.contains(&name.scope()) || only_reads && scopes.contains(&name.read_scope())
            }
        }
    }

    /// All the scopes that open it, as a challenge names them.
    pub(super) fn scopes(&self) -> String {
        match self {
            Self::Own(tool) => tool.scopes.join(" "),
            Self::Upstream(reached, _) => match &reached.tool {
                Some(tool) if tool.only_reads() => reached.upstream().read_scope(),
                _ => reached.upstream().scope(),
            },
        }
    }

    /// The entry of `tools/list`.
    pub(super) fn listed(&self) -> rmcp::model::Tool {
        match self {
            Self::Own(tool) => tool.listed(),
            Self::Upstream(reached, shown) => match &reached.tool {
                Some(tool) => tool.listed(shown.clone()),
                None => unreachable!("a tool that is not known is open to nobody"),
            },
        }
    }

    /// The longest that a call of it may take.
    pub(super) fn call_timeout(&self) -> Duration {
        match self {
            Self::Own(_) => CALL_TIMEOUT,
            Self::Upstream(reached, _) => reached.call_timeout(),
        }
    }

    /// Begins `call`, which was found allowed.
    pub(super) fn run(&self, call: Call, arguments: JsonObject) -> Answering {
        match self {
            Self::Own(tool) => {
                let running = tool.run(call, arguments);
                Box::pin(async move { answer(running.await?) })
            }
            Self::Upstream(reached, _) => {
                let reached = reached.clone();
                Box::pin(async move { Ok(reached.call(arguments).await?) })
            }
        }
    }
}

/// Whether a token with `scopes` opens any tool of the upstream.
fn opens_some(upstream: &UpstreamName, scopes: &ScopeSet) -> bool {
    scopes.contains(&upstream.scope()) || scopes.contains(&upstream.read_scope())
}

/// What a tool returned, as the protocol has it: for programs, and as text for who reads only text.
fn answer(output: Value) -> Result<CallToolResult, ToolError> {
    let text = serde_json::to_string(&output).expect("a value can be JSON");
    if text.len() > ANSWER_BYTES_MAX {
        return Err(ToolError::TooLong { found: text.len() });
    }
    let mut result = CallToolResult::success(vec![ContentBlock::text(text)]);
    result.structured_content = Some(output);
    Ok(result)
}
