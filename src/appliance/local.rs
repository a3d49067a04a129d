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
    model::toolset::NotAToolset,
};

/// Begins a talk in the name of `user`, with the tools of `toolset`.
pub(super) fn talk(app: Arc<Appliance>, user: Option<&str>, toolset: Option<&str>) -> Response {
    let caller = match find(&app, user, toolset) {
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
) -> Result<LocalCaller, Refused> {
    let toolset = toolset.map(str::parse).transpose();
    let toolset =
        toolset.map_err(|error: NotAToolset| Refused::because(format!("toolset: {error}")))?;
    app.mcp.find_local(user, toolset).map_err(Refused::because)
}
