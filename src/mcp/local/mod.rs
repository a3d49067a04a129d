//! The endpoint for a program of this machine, over a stream instead of HTTP: `keystead mcp`.
//!
//! Whoever can open such a stream is the owner of the data directory or root, and needs no token:
//! what a person may do is decided by their role alone. The tools, what is switched off, and every
//! bound of a call are the same as over HTTP, because the handler is. There is no session here
//! either: who calls is looked up again for each message, so that a user who was disabled is
//! refused by the next one.

mod calls;
mod transport;

use std::sync::Arc;

use rmcp::ServiceExt as _;
#[cfg(any(test, feature = "fuzzing"))]
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{
    crypto::entropy::Entropy,
    http::request::RequestId,
    mcp::{
        Mcp,
        handler::Caller,
        local::transport::Messages,
        person::{Person, Through},
    },
    model::{
        id::Id,
        toolset::Toolset,
        upstream::UpstreamName,
        user::{User, UserName},
    },
    oauth2provider::{Provider, access, upstreams},
    runtime::clock::Clock,
    store::{Read, Store, StoreError, users},
};

/// Calls of one stream that are under way at once.
pub const CALLS_MAX: usize = 16;
/// Lines in a row that are no message; one more, and the stream ends.
pub const GARBAGE_MAX: usize = 100;

/// Why nobody can call over a stream, or can no longer.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// The box has not been claimed.
    #[error(
        "there is no user yet: claim the box with the link that the server printed, or make one \
         with `keystead user add`"
    )]
    Nobody,
    /// It cannot be guessed who is meant.
    #[error("expected --user NAME, because this box has {0} users")]
    Several(usize),
    /// There is nobody of that name, or not any more.
    #[error("there is no user {0:?}: `keystead user list` shows those that there are")]
    NoSuchUser(String),
    /// They may not sign in.
    #[error("the user {0} is disabled")]
    Disabled(UserName),
    /// There is no other server of that name, or not any more.
    #[error("there is no upstream {0}: `keystead upstream list` shows those that there are")]
    NoSuchUpstream(UpstreamName),
    /// The set of tools is off.
    #[error("toolset: expected one that is switched on, found {0}, which is off")]
    ToolsetOff(Toolset),
    /// Every set of tools is off.
    #[error("the owner of this box has switched every set of tools off")]
    NoToolsets,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What would be understood of a stream on which `bytes` came, each line of which may have that many
/// bytes.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn read_whole(
    bytes: &[u8],
    line_bytes_max: usize,
) -> Vec<(Vec<u8>, Result<Value, Value>)> {
    transport::read_whole(bytes, line_bytes_max)
}

/// Who calls over a stream, and with which tools.
#[derive(Clone, Debug)]
pub struct LocalCaller {
    user_id: Id,
    /// The name to sign in with, as it was when the stream was opened.
    pub name: UserName,
    toolset: Toolset,
    upstream: Option<UpstreamName>,
}

/// What a stream has of the machine.
#[derive(Clone)]
pub struct Machine {
    /// For the `now` of each message.
    pub clock: Arc<dyn Clock>,
    /// For the name of each message.
    pub entropy: Arc<dyn Entropy>,
}

impl Mcp {
    /// The caller that acts as the user of that name, or as the only one that there is; with the
    /// first set of tools that is on, if none is named; of one upstream alone, if that is named.
    pub fn find_local(
        &self,
        name: Option<&str>,
        toolset: Option<Toolset>,
        upstream: Option<UpstreamName>,
    ) -> Result<LocalCaller, LocalError> {
        let on = self.catalogue.toolsets();
        let first = *on.first().ok_or(LocalError::NoToolsets)?;
        let toolset = toolset.unwrap_or(first);
        if !on.contains(&toolset) {
            return Err(LocalError::ToolsetOff(toolset));
        }
        let user = self.store.read(|tx| {
            check_upstream(tx, &self.provider, upstream.as_ref())?;
            match name {
                Some(name) => find_named(tx, name),
                None => find_only(tx),
            }
        })?;
        Ok(LocalCaller {
            user_id: user.id,
            name: user.name,
            toolset,
            upstream,
        })
    }

    /// Answers what comes over `stream`, until it ends or has to `stop`; answers that are owed are
    /// written first, for a while.
    pub async fn serve_local(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + 'static,
        caller: LocalCaller,
        machine: Machine,
        stop: impl Future<Output = ()>,
    ) {
        let (user, toolset) = (caller.name.clone(), caller.toolset);
        tracing::info!(%user, %toolset, "a program of this machine is connected");
        let door = Door {
            store: Arc::clone(&self.store),
            provider: Arc::clone(&self.provider),
            caller,
            machine,
        };
        let (read, write) = tokio::io::split(stream);
        let service = self.answers.clone();
        let mut stop = std::pin::pin!(stop);
        let begun = tokio::select! {
            begun = service.serve(Messages::new(read, write, door)) => begun,
            () = &mut stop => return,
        };
        match begun {
            Ok(running) => {
                let token = running.cancellation_token();
                let mut running = std::pin::pin!(running.waiting());
                let ended = tokio::select! {
                    ended = &mut running => ended,
                    () = stop => {
                        token.cancel();
                        running.await
                    }
                };
                if let Err(error) = ended {
                    tracing::error!(%error, "a stream of this machine did not end in order");
                }
            }
            Err(error) => {
                tracing::debug!(%error, "a stream of this machine ended at its beginning");
            }
        }
        tracing::info!(%user, "a program of this machine is gone");
    }
}

/// Lets each message in under the name of its caller.
struct Door {
    store: Arc<Store>,
    provider: Arc<Provider>,
    caller: LocalCaller,
    machine: Machine,
}

impl Door {
    /// Who sends the message that has just come.
    fn caller(&self) -> Result<Caller, LocalError> {
        let now = self.machine.clock.now();
        let only = self.caller.upstream.as_ref();
        let person = self.store.read(|tx| {
            check_upstream(tx, &self.provider, only)?;
            let user = users::find(tx, self.caller.user_id)?;
            let user = user.ok_or_else(|| LocalError::NoSuchUser(self.caller.name.to_string()))?;
            let user = enabled(user)?;
            let scopes = access::scopes_of_machine(tx, &self.provider, user.role)?;
            Ok::<_, LocalError>(Person {
                user,
                scopes,
                through: Through::Machine,
            })
        })?;
        let id = RequestId::generate(now, &*self.machine.entropy);
        let mut caller = Caller::local(person, self.caller.toolset, now, id);
        caller.upstream = only.cloned();
        Ok(caller)
    }
}

/// Whether the upstream that was named, if one was, is there.
fn check_upstream(
    tx: &dyn Read,
    provider: &Provider,
    only: Option<&UpstreamName>,
) -> Result<(), LocalError> {
    match only {
        Some(name) if upstreams::find(tx, provider, name)?.is_none() => {
            Err(LocalError::NoSuchUpstream(name.clone()))
        }
        _ => Ok(()),
    }
}

fn find_named(tx: &dyn Read, name: &str) -> Result<User, LocalError> {
    let no_such_user = || LocalError::NoSuchUser(name.to_owned());
    let parsed: UserName = name.parse().map_err(|_| no_such_user())?;
    let found = users::find_by_name(tx, &parsed)?;
    enabled(found.ok_or_else(no_such_user)?)
}

fn find_only(tx: &dyn Read) -> Result<User, LocalError> {
    let mut all = users::list(tx)?;
    match (all.pop(), all.len()) {
        (None, _) => Err(LocalError::Nobody),
        (Some(only), 0) => enabled(only),
        (Some(_), others) => Err(LocalError::Several(others + 1)),
    }
}

fn enabled(user: User) -> Result<User, LocalError> {
    if user.disabled_at.is_some() {
        return Err(LocalError::Disabled(user.name));
    }
    Ok(user)
}
