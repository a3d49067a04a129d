//! How an upstream is reached: a child is begun, a server is called.

use std::{
    error::Error,
    fs,
    io::{self, ErrorKind, Read},
    pin::Pin,
    process::ExitStatus,
    sync::Arc,
    time::Duration,
};

use ::http::{HeaderName, HeaderValue};
use rmcp::{
    RoleClient, ServiceExt,
    service::{ClientInitializeError, Peer, RunningService},
    transport::{DynamicTransportError, Transport},
};
use tokio::{
    sync::{Mutex, OnceCell},
    time::timeout,
};

use super::{
    START_TIMEOUT,
    client::{Client, ListChanged},
    guard::{Cause, Guarded},
    http,
    lines::Lines,
};
use crate::{
    config::environment::Environment,
    model::upstream::{Child, Reach, SecretHeader, Source, Upstream, UpstreamUrl, Variable},
    runtime::{
        child::{Launcher, Leash, OwnEnd, Program, Running},
        outbound::NamedServers,
    },
};

/// The longest that a connection may take to end in order.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of a file that holds a value.
const SECRET_FILE_BYTES_MAX: u64 = 64 * 1024;
/// What every child's environment has, if ours has it.
const INHERITED: [&str; 3] = ["PATH", "HOME", "LANG"];
/// By which systemd tells the process of a unit that it is one (systemd.exec(5)).
const UNIT_PROCESS: &str = "SYSTEMD_EXEC_PID";
/// What to do about a program that does not start, where a unit is what may keep it from it.
const UNDER_SYSTEMD: &str = "what the systemd unit forbids this server it forbids its programs: \
     docs/upstreams.md says how to allow it";

/// A connection, or the words why there is none.
pub type Connecting<'a> = Pin<Box<dyn Future<Output = Result<Connection, String>> + Send + 'a>>;

/// Makes connections to upstreams.
pub trait Connect: Send + Sync {
    /// A connection to `upstream` that is ready for calls; it says through `list_changed` when
    /// the upstream's list of tools changed.
    fn connect<'a>(&'a self, upstream: &'a Upstream, list_changed: ListChanged) -> Connecting<'a>;
}

/// A connection that is ready for calls. It ends when it is dropped, and its child with it.
pub struct Connection {
    service: RunningService<RoleClient, Client>,
    cause: Cause,
    leash: Option<Leash>,
    /// By which the end of its child is heard.
    end: Mutex<Option<OwnEnd>>,
    why_ended: OnceCell<String>,
}

impl Connection {
    /// Speaks the protocol's first words over `transport`, and waits for an answer.
    pub(super) async fn open(
        transport: impl Transport<RoleClient> + 'static,
        cause: Cause,
        list_changed: ListChanged,
    ) -> Result<Self, String> {
        let guarded = Guarded::new(transport, cause.clone());
        let service = timeout(START_TIMEOUT, Client { list_changed }.serve(guarded));
        let seconds = START_TIMEOUT.as_secs();
        let service = service
            .await
            .map_err(|_| format!("it did not answer within {seconds} s"))?;
        let service = service.map_err(|error| {
            tracing::debug!(%error, "no connection to an upstream");
            why_not_opened(error, &cause)
        })?;
        Ok(Self {
            service,
            cause,
            leash: None,
            end: Mutex::default(),
            why_ended: OnceCell::new(),
        })
    }

    /// By which it is spoken to.
    pub(super) fn peer(&self) -> &Peer<RoleClient> {
        self.service.peer()
    }

    /// Whether it has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.service.is_closed() || self.peer().is_transport_closed()
    }

    /// Why it ended, as far as it is known.
    pub(super) fn cause(&self) -> String {
        self.cause.words()
    }

    /// The same, with how its child ended if it did: what is beyond a limit is ended by a signal,
    /// and says nothing. What the child said last stays in the log: it may be of another's call
    /// (threat 33).
    pub(super) async fn why_ended(&self) -> String {
        let heard = self.why_ended.get_or_init(async || {
            let mut end = self.end.lock().await;
            let ended = match &mut *end {
                Some(own_end) => own_end.hear().await,
                None => None,
            };
            let failed = ended.filter(|status| !status.success());
            joined([Some(self.cause()), failed.map(how_ended), None])
        });
        heard.await.clone()
    }

    /// Ends it, and waits until its child is gone.
    pub(super) async fn close(mut self) {
        // A child that reads nothing any more ends below, and with it whoever writes to it.
        match timeout(CLOSE_TIMEOUT, self.service.close()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                tracing::error!(%error, "a connection to an upstream was not closed in order");
            }
            Err(_) => tracing::warn!("a connection to an upstream was not closed in time"),
        }
        if let Some(leash) = self.leash.take() {
            leash.end().await;
        }
    }
}

/// The innermost cause: around it the library puts the names of types.
fn why_not_opened(error: ClientInitializeError, cause: &Cause) -> String {
    match error {
        ClientInitializeError::ConnectionClosed(_) => cause.words(),
        ClientInitializeError::TransportError { error, .. } => why_not_sent(&error),
        ClientInitializeError::JsonRpcError(said) => {
            format!("it answered with an error: {}", said.message)
        }
        ClientInitializeError::NoCompatibleProtocolVersion { .. } => {
            "expected a revision of the protocol that this box speaks, found none".to_owned()
        }
        ClientInitializeError::Cancelled => "it was given up".to_owned(),
        _ => "expected an answer to \"initialize\", found something else".to_owned(),
    }
}

/// Why a message did not go out, without the types through which it went.
pub(super) fn why_not_sent(error: &DynamicTransportError) -> String {
    let error: &(dyn Error + 'static) = &*error.error;
    let is_closed = |error: &io::Error| error.kind() == ErrorKind::BrokenPipe;
    if error.downcast_ref().is_some_and(is_closed) {
        return "it closed its standard input".to_owned();
    }
    http::why_not_sent(error).unwrap_or_else(|| error.to_string())
}

/// What is known, as one sentence.
fn joined(parts: [Option<String>; 3]) -> String {
    let known: Vec<String> = parts.into_iter().flatten().collect();
    known.join("; ")
}

fn last_line(line: &str) -> String {
    format!("the last that it said is: {line}")
}

/// How a program ended that ended by itself.
fn how_ended(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("it ended with exit code {code}"),
        None => format!("it was ended, {status}"),
    }
}

/// Where the system looked for a program that it did not find.
fn why_not_launched(program: &str, error: &io::Error) -> String {
    let is_looked_for = error.kind() == ErrorKind::NotFound && !program.contains('/');
    let hint = if is_looked_for {
        ": expected it on the PATH of the server; name its whole path"
    } else {
        ""
    };
    format!("cannot run {program}: {error}{hint}")
}

/// Connections as the machine has them.
pub struct SystemConnect {
    launcher: Launcher,
    environment: Environment,
    servers: Arc<NamedServers>,
}

impl SystemConnect {
    /// Children are begun by `launcher` with values from `environment`; servers are called by way
    /// of `servers`.
    pub fn new(launcher: Launcher, environment: Environment, servers: NamedServers) -> Self {
        Self {
            launcher,
            environment,
            servers: Arc::new(servers),
        }
    }

    async fn connect_child(
        &self,
        upstream: &Upstream,
        child: &Child,
        list_changed: ListChanged,
    ) -> Result<Connection, String> {
        let program = Program {
            name: upstream.name.to_string(),
            command: child.command.clone(),
            environment: self.environment_of(child)?,
            sandbox: child.sandbox.clone(),
        };
        let running = self.launcher.launch(&program).map_err(|error| {
            let name = child.command.first().map_or("", String::as_str);
            let why = why_not_launched(name, &error);
            joined([Some(why), self.hint(), None])
        })?;
        let Running {
            stdout,
            stdin,
            last_words,
            mut own_end,
            leash,
        } = running;
        let cause = Cause::default();
        let lines = Lines::new(stdout, stdin, bytes_max(upstream), cause.clone());
        let why = match Connection::open(lines, cause, list_changed).await {
            Ok(mut connection) => {
                connection.leash = Some(leash);
                connection.end = Mutex::new(Some(own_end));
                return Ok(connection);
            }
            Err(why) => why,
        };
        // One that ends well was told to, by the end of its input.
        let ended = own_end.hear().await.filter(|status| !status.success());
        let why = joined([Some(why), ended.map(how_ended), self.hint()]);
        // Only now: what is told to end says nothing of why it would have.
        drop(leash);
        let said = last_words.hear().await;
        let error = said.error.map(|line| format!("it said: {line}"));
        Err(joined([
            Some(why),
            error,
            said.last.as_deref().map(last_line),
        ]))
    }

    /// What to do about a program that does not start, if this is the process of a systemd unit.
    fn hint(&self) -> Option<String> {
        let unit_process = self.environment.find(UNIT_PROCESS)?;
        let is_it = *unit_process == *std::process::id().to_string();
        is_it.then(|| UNDER_SYSTEMD.to_owned())
    }

    async fn connect_server(
        &self,
        upstream: &Upstream,
        url: &UpstreamUrl,
        header: Option<&SecretHeader>,
        list_changed: ListChanged,
    ) -> Result<Connection, String> {
        let header = header.map(|header| self.header(header)).transpose()?;
        let servers = Arc::clone(&self.servers);
        let transport = http::transport(servers, url, header, bytes_max(upstream));
        Connection::open(transport, Cause::default(), list_changed).await
    }

    fn environment_of(&self, child: &Child) -> Result<Vec<(String, String)>, String> {
        let find = |name: &str| self.environment.find(name)?.to_str().map(str::to_owned);
        let inherited = INHERITED.into_iter();
        let inherited = inherited.filter_map(|name| Some((name.to_owned(), find(name)?)));
        let named = child.environment.iter();
        let named = named.map(|Variable { name, value }| Ok((name.clone(), self.read(value)?)));
        inherited.map(Ok).chain(named).collect()
    }

    fn header(&self, header: &SecretHeader) -> Result<(HeaderName, HeaderValue), String> {
        let name = header
            .name
            .parse::<HeaderName>()
            .map_err(|error| error.to_string())?;
        let value = self.read(&header.value)?;
        // Its text is in no message.
        let mut value = HeaderValue::from_str(&value)
            .map_err(|_| format!("header {name}: expected a value that a header can hold"))?;
        value.set_sensitive(true);
        Ok((name, value))
    }

    /// The value of `source`, read now, so that one that was changed is taken by the next start.
    fn read(&self, source: &Source) -> Result<String, String> {
        match source {
            Source::Text(text) => Ok(text.clone()),
            Source::Environment(name) => {
                let value = self.environment.find(name).and_then(|value| value.to_str());
                let missing = || {
                    format!(
                        "expected the variable {name} in the environment of the server, found none"
                    )
                };
                value.map(str::to_owned).ok_or_else(missing)
            }
            Source::File(path) => {
                read_secret(path).map_err(|error| format!("cannot read {path}: {error}"))
            }
        }
    }
}

pub(super) fn bytes_max(upstream: &Upstream) -> usize {
    usize::try_from(upstream.bounds.answer_bytes_max).unwrap_or(usize::MAX)
}

fn read_secret(path: &str) -> io::Result<String> {
    let mut text = String::new();
    let mut file = fs::File::open(path)?.take(SECRET_FILE_BYTES_MAX + 1);
    file.read_to_string(&mut text)?;
    if file.limit() == 0 {
        let words = format!("expected at most {SECRET_FILE_BYTES_MAX} bytes, found more");
        return Err(io::Error::other(words));
    }
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

impl Connect for SystemConnect {
    fn connect<'a>(&'a self, upstream: &'a Upstream, list_changed: ListChanged) -> Connecting<'a> {
        Box::pin(async move {
            match &upstream.reach {
                Reach::Child(child) => self.connect_child(upstream, child, list_changed).await,
                Reach::Server { url, header } => {
                    let header = header.as_ref();
                    self.connect_server(upstream, url, header, list_changed)
                        .await
                }
            }
        })
    }
}
