//! One upstream: its connection while there is one, its tools as it last said them, and the calls.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use rmcp::{
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, JsonObject, PaginatedRequestParams,
    },
    service::ServiceError,
};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, timeout},
};

use super::{
    BACKOFF_MAX, CALLS_MAX, FAILING_AFTER, LIST_TIMEOUT, LinkFigures, PAGES_MAX, STABLE_AFTER,
    Seen, Standing, UpstreamError, UpstreamTool, WAITING_MAX,
    client::ListChanged,
    connect::{Connect, Connection, why_not_sent},
    tools,
};
use crate::model::upstream::Upstream;

/// Characters of an upstream's own words that are shown.
const WORDS_LEN_MAX: usize = 1_024;

/// An upstream, and whatever is shared by those who use it.
pub(in crate::mcp) struct Link {
    upstream: Upstream,
    connect: Arc<dyn Connect>,
    /// A place for each call at once.
    calls: Semaphore,
    waiting: AtomicUsize,
    list_changed: ListChanged,
    figures: Arc<LinkFigures>,
    /// Held by whoever makes the connection, or reads the list.
    starting: tokio::sync::Mutex<()>,
    listing: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

type Tools = Arc<[Arc<UpstreamTool>]>;

struct State {
    connection: Option<Arc<Connection>>,
    opened_at: Instant,
    used_at: Instant,
    /// Failures in a row, and until when nothing is tried after them.
    failures: u32,
    rests_until: Instant,
    /// Why it failed the last time; empty if it never did.
    last_failure: String,
    /// Since when it has done nothing but fail, if it does.
    failing_since: Instant,
    /// Whether somebody was told of these failures.
    is_told: bool,
    /// Whether the next connection is made in the place of one that failed.
    is_restart: bool,
    tools: Option<Tools>,
}

impl Link {
    pub(super) fn new(upstream: Upstream, connect: Arc<dyn Connect>) -> Self {
        let now = Instant::now();
        let list_changed = ListChanged::default();
        list_changed.set();
        Self {
            upstream,
            connect,
            calls: Semaphore::new(CALLS_MAX),
            waiting: AtomicUsize::new(0),
            list_changed,
            figures: Arc::default(),
            starting: tokio::sync::Mutex::default(),
            listing: tokio::sync::Mutex::default(),
            state: Mutex::new(State {
                connection: None,
                opened_at: now,
                used_at: now,
                failures: 0,
                rests_until: now,
                last_failure: String::new(),
                failing_since: now,
                is_told: false,
                is_restart: false,
                tools: None,
            }),
        }
    }

    pub(in crate::mcp) fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    pub(in crate::mcp) fn figures(&self) -> &LinkFigures {
        &self.figures
    }

    /// As who measures sees it.
    pub(super) fn seen(&self) -> Seen {
        let state = self.state();
        let is_living = |connection: &Arc<Connection>| !connection.has_ended();
        Seen {
            name: self.upstream.name.clone(),
            is_up: state.connection.as_ref().is_some_and(is_living),
            figures: Arc::clone(&self.figures),
        }
    }

    /// How it is doing. Nothing is begun for that.
    pub(super) fn standing(&self) -> Standing {
        if self.living().is_some() {
            let lasted = self.state().opened_at.elapsed();
            return Standing::Connected { lasted };
        }
        if self.starting.try_lock().is_err() {
            return Standing::Starting;
        }
        let state = self.state();
        if !state.is_restart {
            return Standing::Idle;
        }
        Standing::Failing {
            lasted: state.failing_since.elapsed(),
            why: state.last_failure.clone(),
        }
    }

    /// Its tools, as it said them last; it is asked if it never did, or said that they changed.
    pub(in crate::mcp) async fn tools(self: &Arc<Self>) -> Result<Tools, UpstreamError> {
        if let Some(tools) = self.known_tools().filter(|_| !self.list_changed.is_set()) {
            return Ok(tools);
        }
        // In a task of its own: who gives up waiting must not end what others wait for.
        let link = Arc::clone(self);
        let read = tokio::spawn(async move { link.read_tools().await });
        match read.await {
            Ok(Ok(tools)) => Ok(tools),
            // What it said before is better than nothing; a call will say what is wrong.
            Ok(Err(error)) => self.known_tools().ok_or(error),
            Err(error) => Err(self.unavailable(error)),
        }
    }

    fn known_tools(&self) -> Option<Tools> {
        self.state().tools.clone()
    }

    async fn read_tools(&self) -> Result<Tools, UpstreamError> {
        let _alone = self.listing.lock().await;
        if let Some(tools) = self.known_tools().filter(|_| !self.list_changed.is_set()) {
            return Ok(tools);
        }
        let connection = self.open().await?;
        // Taken before it is asked: what changes meanwhile is asked for again.
        self.list_changed.take();
        let listed = timeout(LIST_TIMEOUT, list(&connection)).await;
        let listed = match listed {
            Ok(Ok(listed)) => Ok(listed),
            Ok(Err(error)) => Err(self.failed(&connection, error).await),
            Err(_) => Err(self.too_slow(LIST_TIMEOUT)),
        };
        let listed = listed.inspect_err(|_| self.list_changed.set())?;
        let tools = tools::read(&self.upstream.name, &listed);
        self.state().tools = Some(Arc::clone(&tools));
        Ok(tools)
    }

    /// Calls the tool that it calls `tool`.
    pub(super) async fn call(
        self: &Arc<Self>,
        tool: &str,
        arguments: JsonObject,
    ) -> Result<CallToolResult, UpstreamError> {
        let _place = self.place().await?;
        let connection = self.connection().await?;
        let asked = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
        let limit = self.upstream.bounds.call_timeout;
        // Whatever ends this future before its answer cancels the call at the upstream.
        let answered = timeout(limit, connection.peer().call_tool_once(asked)).await;
        self.state().used_at = Instant::now();
        match answered {
            Err(_) => Err(self.too_slow(limit)),
            Ok(Err(error)) => Err(self.failed(&connection, error).await),
            Ok(Ok(CallToolResponse::Complete(mut result))) => {
                result.meta = None;
                Ok(result)
            }
            Ok(Ok(_)) => Err(UpstreamError::Asks(self.upstream.name.clone())),
        }
    }

    /// A place among the calls, if not too many wait for one.
    async fn place(&self) -> Result<SemaphorePermit<'_>, UpstreamError> {
        if let Ok(place) = self.calls.try_acquire() {
            return Ok(place);
        }
        let _waiting = Waiting::new(&self.waiting)
            .ok_or_else(|| UpstreamError::Busy(self.upstream.name.clone()))?;
        let limit = self.upstream.bounds.call_timeout;
        match timeout(limit, self.calls.acquire()).await {
            Ok(Ok(place)) => Ok(place),
            // The semaphore is never closed.
            Ok(Err(error)) => Err(self.unavailable(error)),
            Err(_) => Err(self.too_slow(limit)),
        }
    }

    async fn connection(self: &Arc<Self>) -> Result<Arc<Connection>, UpstreamError> {
        if let Some(living) = self.living() {
            return Ok(living);
        }
        // In a task of its own, as above.
        let link = Arc::clone(self);
        let opened = tokio::spawn(async move { link.open().await });
        opened
            .await
            .unwrap_or_else(|error| Err(self.unavailable(error)))
    }

    /// The connection, made now if there is none.
    async fn open(&self) -> Result<Arc<Connection>, UpstreamError> {
        let _alone = self.starting.lock().await;
        if let Some(living) = self.living() {
            return Ok(living);
        }
        self.check_rested()?;
        let list_changed = self.list_changed.clone();
        match self.connect.connect(&self.upstream, list_changed).await {
            Ok(connection) => Ok(self.opened(connection)),
            Err(why) => {
                tracing::warn!(upstream = %self.upstream.name, why, "it did not start");
                let why = shown(&why);
                self.fail(&mut self.state(), why.clone());
                Err(self.unavailable(why))
            }
        }
    }

    /// Whether it may be tried now.
    fn check_rested(&self) -> Result<(), UpstreamError> {
        let state = self.state();
        let wait = state.rests_until.saturating_duration_since(Instant::now());
        if wait.is_zero() {
            return Ok(());
        }
        Err(UpstreamError::Resting {
            name: self.upstream.name.clone(),
            wait,
            why: state.last_failure.clone(),
        })
    }

    fn opened(&self, connection: Connection) -> Arc<Connection> {
        tracing::info!(upstream = %self.upstream.name, "connected");
        let connection = Arc::new(connection);
        let mut state = self.state();
        state.connection = Some(Arc::clone(&connection));
        self.figures.connections.add_one();
        if std::mem::take(&mut state.is_restart) {
            self.figures.restarts.add_one();
        }
        state.opened_at = Instant::now();
        state.used_at = Instant::now();
        self.list_changed.set();
        connection
    }

    /// The connection, if there is one and it has not ended.
    fn living(&self) -> Option<Arc<Connection>> {
        let connection = self.state().connection.clone()?;
        if connection.has_ended() {
            self.bury(&connection);
            return None;
        }
        Some(connection)
    }

    /// Gives `connection` up, if that has not been done. Calls that still use it keep it until
    /// they end.
    fn bury(&self, connection: &Arc<Connection>) {
        let mut state = self.state();
        let is_it = |held: &mut Arc<Connection>| Arc::ptr_eq(held, connection);
        if state.connection.take_if(is_it).is_some() {
            let why = connection.cause();
            tracing::warn!(upstream = %self.upstream.name, why, "the connection ended");
            state.forgive();
            self.fail(&mut state, shown(&why));
        }
    }

    fn fail(&self, state: &mut State, why: String) {
        self.figures.failures.add_one();
        state.fail(why);
    }

    /// Whether it keeps failing and nobody was told.
    pub(super) fn is_news(&self) -> bool {
        let state = self.state();
        state.failures >= FAILING_AFTER && !state.is_told
    }

    /// Why it failed the last time.
    pub(super) fn last_failure(&self) -> String {
        self.state().last_failure.clone()
    }

    /// Somebody was told.
    pub(super) fn set_told(&self) {
        self.state().is_told = true;
    }

    /// Closes the connection that nobody has used for long enough.
    pub(super) fn close_if_idle(&self) {
        if self.calls.available_permits() < CALLS_MAX {
            return;
        }
        let mut state = self.state();
        if state.used_at.elapsed() >= self.upstream.bounds.idle_timeout
            && state.connection.take().is_some()
        {
            tracing::info!(upstream = %self.upstream.name, "closed, since nobody uses it");
            state.forgive();
        }
    }

    /// Closes the connection, and waits until its child is gone unless a call still has it.
    pub(super) async fn close(&self) {
        let connection = self.state().connection.take();
        if let Some(connection) = connection.and_then(Arc::into_inner) {
            connection.close().await;
        }
    }

    async fn failed(&self, connection: &Arc<Connection>, error: ServiceError) -> UpstreamError {
        let name = self.upstream.name.clone();
        match error {
            ServiceError::McpError(said) => UpstreamError::Said {
                name,
                words: shown(&said.message),
            },
            ServiceError::UnexpectedResponse => UpstreamError::Said {
                name,
                words: "something else than was asked for".to_owned(),
            },
            ServiceError::TransportSend(error) => {
                self.bury(connection);
                let why = shown(&why_not_sent(&error));
                UpstreamError::Ended { name, why }
            }
            _ => {
                // First: whoever calls next does not wait for what is to be heard of this one.
                self.bury(connection);
                let why = shown(&connection.why_ended().await);
                self.state().last_failure.clone_from(&why);
                UpstreamError::Ended { name, why }
            }
        }
    }

    fn unavailable(&self, why: impl fmt::Display) -> UpstreamError {
        UpstreamError::Unavailable {
            name: self.upstream.name.clone(),
            why: why.to_string(),
        }
    }

    fn too_slow(&self, limit: Duration) -> UpstreamError {
        UpstreamError::TooSlow {
            name: self.upstream.name.clone(),
            limit,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change of it is one assignment, so that it is whole after any panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What has worked for long enough has not failed before.
    fn forgive(&mut self) {
        if self.opened_at.elapsed() >= STABLE_AFTER {
            self.failures = 0;
            self.is_told = false;
        }
    }

    /// One failure more: the first is tried again at once, then after a pause that doubles.
    fn fail(&mut self, why: String) {
        self.last_failure = why;
        let doublings = self.failures.checked_sub(1);
        let pause = doublings.map_or(Duration::ZERO, |doublings| {
            let factor = 2_u32.saturating_pow(doublings);
            Duration::from_secs(1)
                .saturating_mul(factor)
                .min(BACKOFF_MAX)
        });
        self.failures = self.failures.saturating_add(1);
        if !self.is_restart {
            self.failing_since = Instant::now();
        }
        self.is_restart = true;
        self.rests_until = Instant::now() + pause;
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({})", self.upstream.name)
    }
}

/// A call that waits for a place.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(waiting: &'a AtomicUsize) -> Option<Self> {
        let place = Self(waiting);
        let before = waiting.fetch_add(1, Ordering::AcqRel);
        (before < WAITING_MAX).then_some(place)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Every page of the upstream's list.
async fn list(connection: &Connection) -> Result<Vec<rmcp::model::Tool>, ServiceError> {
    let mut listed = Vec::new();
    let mut cursor = None;
    for _ in 0..PAGES_MAX {
        let page = cursor.map(|cursor| {
            let mut page = PaginatedRequestParams::default();
            page.cursor = Some(cursor);
            page
        });
        let mut result = connection.peer().list_tools(page).await?;
        listed.append(&mut result.tools);
        match result.next_cursor {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    Ok(listed)
}

/// Somebody else's words: short, and on one line.
fn shown(words: &str) -> String {
    let words = words.chars().take(WORDS_LEN_MAX);
    words
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}
