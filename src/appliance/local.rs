//! MCP for a program of this machine: what the administration socket is asked for, given to the
//! endpoint's own handler.

use std::sync::Arc;

use crate::{
    appliance::{
        Appliance,
        administration::{Refused, Reply},
        socket::{Response, Talk},
    },
    mcp::local::{LocalCaller, Machine},
    model::{toolset::NotAToolset, upstream::UpstreamNameError},
};

/// Begins a talk in the name of `user`, with the tools of `toolset`, or with those of one
/// `upstream` alone.
pub(super) fn talk(
    app: Arc<Appliance>,
    user: Option<&str>,
    toolset: Option<&str>,
    upstream: Option<&str>,
) -> Response {
    let caller = match find(&app, user, toolset, upstream) {
        Ok(caller) => caller,
        Err(refused) => return Err(refused).into(),
    };
    Response::Talk(Talk::new(Reply::Mcp, move |stream, stop| async move {
        let machine = Machine {
            clock: Arc::clone(&app.clock),
            entropy: Arc::clone(&app.web.entropy),
        };
        app.mcp.serve_local(stream, caller, machine, stop).await;
    }))
}

fn find(
    app: &Appliance,
    user: Option<&str>,
    toolset: Option<&str>,
    upstream: Option<&str>,
) -> Result<LocalCaller, Refused> {
    let not_a_toolset = |word: &str, error: NotAToolset| {
        Refused::because(format!("toolset: {error}, found {word:?}"))
    };
    let toolset = toolset.map(|word| word.parse().map_err(|error| not_a_toolset(word, error)));
    let not_a_name = |error: UpstreamNameError| Refused::because(format!("upstream: {error}"));
    let upstream = upstream.map(|word| word.parse().map_err(not_a_name));
    let found = app
        .mcp
        .find_local(user, toolset.transpose()?, upstream.transpose()?);
    found.map_err(Refused::because)
}
