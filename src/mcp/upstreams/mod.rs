//! Other MCP servers behind this one: one long-lived connection each, shared by all calls.
//!
//! Callers are kept apart by the identifiers of JSON-RPC, which are made here and never come from
//! a caller (threat 33); nothing of a caller but the arguments of its call is passed on. Whether
//! it may call is decided before anything here is asked (threat 39).
//!
//! # Source
//! `docs/decisions/0012-upstreams.md`.

mod client;
mod connect;
mod guard;
mod http;
mod lines;
mod link;
mod tools;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rmcp::model::{CallToolResult, JsonObject};
use tokio::{task::JoinSet, time::timeout};

pub use client::ListChanged;
pub use connect::{Connect, Connecting, Connection, SystemConnect};
pub(super) use link::Link;
pub(super) use tools::UpstreamTool;

use crate::{
    mcp::figures::{CallFigures, Outcome},
    metrics::Counter,
    model::upstream::{Upstream, UpstreamName},
    oauth2provider::{Provider, upstreams},
    store::{Store, StoreError},
};

/// Calls of one upstream at once; one more waits.
pub const CALLS_MAX: usize = 64;
/// Calls of one upstream that wait; one more is refused.
pub const WAITING_MAX: usize = 256;
/// From the beginning of a connection until it can be used.
pub const START_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a list of tools waits for an upstream; then it goes without, and the start goes on.
pub const LIST_WAIT: Duration = Duration::from_secs(5);
/// How long all pages of an upstream's list may take.
pub const LIST_TIMEOUT: Duration = Duration::from_secs(20);
/// Pages of an upstream's list at the most.
pub const PAGES_MAX: usize = 32;
/// The longest pause before a connection that keeps ending is made again.
pub const BACKOFF_MAX: Duration = Duration::from_mins(1);
/// A connection that lives for this long has not failed when it ends.
pub const STABLE_AFTER: Duration = Duration::from_secs(30);
/// Failures in a row with which an upstream counts as failing: at the end of them it has been tried
/// for a quarter of a minute.
pub const FAILING_AFTER: u32 = 5;
/// How often connections are looked at that nobody uses, or whose upstream is gone.
pub const TENDING_PERIOD: Duration = Duration::from_secs(1);

/// Why an upstream did not answer.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum UpstreamError {
    /// It cannot be reached or begun.
    #[error("expected {name} to start, but it did not: {why}")]
    Unavailable {
        /// Which.
        name: UpstreamName,
        /// Why, for the model and its person.
        why: String,
    },
    /// It was tried just now.
    #[error(
        "expected {name} to run, but it keeps failing; it is tried again in {} s; the last time: {why}",
        wait.as_secs() + 1
    )]
    Resting {
        /// Which.
        name: UpstreamName,
        /// Until it is tried again.
        wait: Duration,
        /// Why it failed the last time.
        why: String,
    },
    /// More calls than it is given.
    #[error("expected fewer than {WAITING_MAX} calls that wait for {0}: try again later")]
    Busy(UpstreamName),
    /// It took longer than it may.
    #[error(
        "expected an answer of {name} within {} s, found none: what the call began may still be done",
        limit.as_secs()
    )]
    TooSlow {
        /// Which.
        name: UpstreamName,
        /// How long it may take.
        limit: Duration,
    },
    /// The connection ended before the answer.
    #[error("{name} ended during the call: {why}; what the call began may still be done")]
    Ended {
        /// Which.
        name: UpstreamName,
        /// Why, as far as it is known.
        why: String,
    },
    /// It says that it cannot.
    #[error("{name} answered with an error: {words}")]
    Said {
        /// Which.
        name: UpstreamName,
        /// Its words.
        words: String,
    },
    /// It answers with what nobody here can give it.
    #[error("{0} wants something of its caller that this box does not pass on")]
    Asks(UpstreamName),
}

impl UpstreamError {
    /// Which did not.
    pub(super) const fn upstream(&self) -> &UpstreamName {
        match self {
            Self::Busy(name)
            | Self::Asks(name)
            | Self::Unavailable { name, .. }
            | Self::Resting { name, .. }
            | Self::TooSlow { name, .. }
            | Self::Ended { name, .. }
            | Self::Said { name, .. } => name,
        }
    }

    /// What a call that ended so is counted as.
    pub(super) const fn outcome(&self) -> Outcome {
        match self {
            Self::Busy(_) => Outcome::Refused,
            Self::TooSlow { .. } => Outcome::Timeout,
            Self::Unavailable { .. }
            | Self::Resting { .. }
            | Self::Ended { .. }
            | Self::Said { .. }
            | Self::Asks(_) => Outcome::Error,
        }
    }
}

/// What is counted of one upstream.
#[derive(Debug, Default)]
pub struct LinkFigures {
    /// Of calls of its tools.
    pub calls: Arc<CallFigures>,
    /// Connections that were made.
    pub connections: Counter,
    /// Those that were made because the one before had ended by itself, or had not come about.
    pub restarts: Counter,
    /// Times that a connection did not come about, or ended by itself.
    pub failures: Counter,
}

/// An upstream as who measures sees it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its name.
    pub name: UpstreamName,
    /// Whether there is a connection.
    pub is_up: bool,
    /// What is counted of it.
    pub figures: Arc<LinkFigures>,
}

/// How an upstream is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// There is no connection, since nobody uses it: the next call makes one.
    Idle,
    /// A connection is being made.
    Starting,
    /// There is a connection.
    Connected {
        /// For how long.
        lasted: Duration,
    },
    /// It did not start, or its connection broke off.
    Failing {
        /// For how long it has not worked.
        lasted: Duration,
        /// Why, the last time.
        why: String,
    },
}

/// Every upstream, and the connections to those that are in use.
pub struct Upstreams {
    store: Arc<Store>,
    provider: Arc<Provider>,
    connect: Arc<dyn Connect>,
    links: Mutex<HashMap<UpstreamName, Arc<Link>>>,
}

/// A tool of an upstream, and the way to it.
#[derive(Clone, Debug)]
pub(super) struct Reached {
    link: Arc<Link>,
    /// The tool; none where it is not known and who asks may not make the upstream say.
    pub(super) tool: Option<Arc<UpstreamTool>>,
}

impl Upstreams {
    /// The upstreams of the deployment, each of which `connect` reaches.
    pub fn new(store: Arc<Store>, provider: Arc<Provider>, connect: Arc<dyn Connect>) -> Self {
        Self {
            store,
            provider,
            connect,
            links: Mutex::default(),
        }
    }

    /// Closes what nobody uses and what is no upstream any more, for ever.
    pub async fn tend(&self) {
        let mut period = tokio::time::interval(TENDING_PERIOD);
        loop {
            period.tick().await;
            let known = self.store.read(|tx| upstreams::list(tx, &self.provider));
            let known = match known {
                Ok(known) => known,
                Err(fault) => {
                    tracing::error!(%fault, "the upstreams cannot be read; they stay as they are");
                    continue;
                }
            };
            self.links()
                .retain(|_, link| known.contains(link.upstream()));
            let links: Vec<_> = self.links().values().cloned().collect();
            for link in links {
                link.close_if_idle();
            }
        }
    }

    /// Those that keep failing and of which [`Upstreams::set_told`] does not know that somebody was
    /// told, each with why it failed the last time.
    pub fn failing(&self) -> Vec<(UpstreamName, String)> {
        let links = self.links();
        let failing = links.iter().filter(|(_, link)| link.is_news());
        failing
            .map(|(name, link)| (name.clone(), link.last_failure()))
            .collect()
    }

    /// Somebody was told that it keeps failing; not again before it has worked.
    pub fn set_told(&self, name: &UpstreamName) {
        if let Some(link) = self.links().get(name) {
            link.set_told();
        }
    }

    /// Closes every connection and waits until every child is gone.
    pub async fn close(&self) {
        let links: Vec<_> = self.links().drain().collect();
        let mut closing = JoinSet::new();
        for (_, link) in links {
            closing.spawn(async move { link.close().await });
        }
        closing.join_all().await;
    }

    /// The way to the upstream of that name; `None` if there is none.
    pub(super) fn find(&self, name: &UpstreamName) -> Result<Option<Arc<Link>>, StoreError> {
        let found = self
            .store
            .read(|tx| upstreams::find(tx, &self.provider, name))?;
        Ok(found.map(|upstream| self.link(upstream)))
    }

    /// The ways to all of them.
    pub(super) fn list(&self) -> Result<Vec<Arc<Link>>, StoreError> {
        let found = self.store.read(|tx| upstreams::list(tx, &self.provider))?;
        Ok(found
            .into_iter()
            .map(|upstream| self.link(upstream))
            .collect())
    }

    /// The way to the upstream of that name, if somebody has asked for it before.
    pub(super) fn known(&self, name: &UpstreamName) -> Option<Arc<Link>> {
        self.links().get(name).map(Arc::clone)
    }

    /// All of them, with what is counted of each; none is made to start.
    pub fn seen(&self) -> Vec<Seen> {
        match self.list() {
            Ok(links) => links.iter().map(|link| link.seen()).collect(),
            Err(fault) => {
                tracing::warn!(%fault, "the upstreams cannot be read, and are not measured");
                Vec::new()
            }
        }
    }

    /// How each of them is doing; none is made to start.
    pub fn standings(&self) -> Result<HashMap<UpstreamName, Standing>, StoreError> {
        let links = self.list()?;
        let standings = links
            .iter()
            .map(|link| (link.upstream().name.clone(), link.standing()));
        Ok(standings.collect())
    }

    /// One that was removed and added again under its name is another.
    fn link(&self, upstream: Upstream) -> Arc<Link> {
        let mut links = self.links();
        match links.get(&upstream.name) {
            Some(link) if *link.upstream() == upstream => Arc::clone(link),
            _ => {
                let name = upstream.name.clone();
                let link = Arc::new(Link::new(upstream, Arc::clone(&self.connect)));
                links.insert(name, Arc::clone(&link));
                link
            }
        }
    }

    fn links(&self) -> std::sync::MutexGuard<'_, HashMap<UpstreamName, Arc<Link>>> {
        // A map is whole after any panic: what is inserted is made before.
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Every tool of `links`, those of one upstream after those of another. One that does not answer in
/// time is left out, and goes on starting.
pub(super) async fn tools_of(links: Vec<Arc<Link>>) -> Vec<Reached> {
    let mut asked = JoinSet::new();
    for (place, link) in links.into_iter().enumerate() {
        asked.spawn(async move {
            let found = timeout(LIST_WAIT, link.tools()).await;
            (place, link, found)
        });
    }
    let mut answered = asked.join_all().await;
    answered.sort_by_key(|(place, ..)| *place);
    let mut reached = Vec::new();
    for (_, link, found) in answered {
        let name = &link.upstream().name;
        match found {
            Ok(Ok(tools)) => reached.extend(tools.iter().map(|tool| Reached {
                link: Arc::clone(&link),
                tool: Some(Arc::clone(tool)),
            })),
            Ok(Err(error)) => tracing::warn!(upstream = %name, %error, "its tools are left out"),
            Err(_) => tracing::warn!(upstream = %name, "it does not say its tools in time"),
        }
    }
    reached
}

impl Reached {
    /// The tool of `link` that it calls `name` itself; `None` if it has none.
    ///
    /// Only for a caller who may use some tool there: it can make the upstream start.
    pub(super) async fn find(link: Arc<Link>, name: &str) -> Result<Option<Self>, UpstreamError> {
        let tools = link.tools().await?;
        let tool = tools.iter().find(|tool| tool.name() == name).cloned();
        Ok(tool.map(|tool| Self {
            link,
            tool: Some(tool),
        }))
    }

    /// Whatever tool of `link` it is: for a caller who may use none.
    pub(super) fn unknown(link: Arc<Link>) -> Self {
        Self { link, tool: None }
    }

    /// The upstream's name.
    pub(super) fn upstream(&self) -> &UpstreamName {
        &self.link.upstream().name
    }

    /// What is counted of the upstream.
    pub(super) fn figures(&self) -> &LinkFigures {
        self.link.figures()
    }

    /// The longest that a call may take, with the start of the upstream.
    pub(super) fn call_timeout(&self) -> Duration {
        START_TIMEOUT + self.link.upstream().bounds.call_timeout
    }

    /// Calls it, for whom it was found allowed.
    pub(super) async fn call(
        &self,
        arguments: JsonObject,
    ) -> Result<CallToolResult, UpstreamError> {
        match &self.tool {
            Some(tool) => self.link.call(tool.name(), arguments).await,
            None => Err(UpstreamError::Asks(self.upstream().clone())),
        }
    }
}
