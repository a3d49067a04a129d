//! What is offered to whom: every tool that there is, less what a caller does not get to see.
//!
//! Whatever knows tools is asked here and nowhere else, so that a list and a call cannot differ:
//! [`Catalogue::list`] and [`Catalogue::find`] go by the same rules, and an [`Offer`] is a tool of
//! whichever source it comes from.

use std::{pin::Pin, sync::Arc};

use rmcp::model::{CallToolResult, ContentBlock, JsonObject};
use serde_json::Value;

use crate::{
    config::McpOff,
    mcp::{
        ANSWER_BYTES_MAX,
        handler::Caller,
        tools::{Call, Tool, ToolError},
    },
    model::{oauth2::scope::ScopeSet, toolset::Toolset},
};

/// Every tool of this box, and what its owner has switched off.
#[derive(Clone)]
pub(super) struct Catalogue {
    table: &'static [Tool],
    off: Arc<McpOff>,
}

/// A tool that a caller may know of.
#[derive(Clone, Debug)]
pub(super) enum Offer {
    /// One of the table's.
    Own(&'static Tool),
}

/// A call that is under way.
pub(super) type Answering = Pin<Box<dyn Future<Output = Result<CallToolResult, ToolError>> + Send>>;

impl Catalogue {
    pub(super) fn new(table: &'static [Tool], off: Arc<McpOff>) -> Self {
        Self { table, off }
    }

    /// The sets of tools that are on; who asks for none gets the first.
    pub(super) fn toolsets(&self) -> Vec<Toolset> {
        let is_on = |set: &Toolset| !self.off.toolsets.contains(set);
        Toolset::ALL.into_iter().filter(is_on).collect()
    }

    /// What `caller` may know of and what its token opens, in the order of the table.
    pub(super) fn list(&self, caller: &Caller) -> Vec<Offer> {
        let known = self.known_to(caller).map(Offer::Own);
        known
            .filter(|offer| offer.is_open_to(&caller.access.scopes))
            .collect()
    }

    /// The tool of that name, if `caller` may know of it; its token need not open it.
    pub(super) fn find(&self, caller: &Caller, name: &str) -> Option<Offer> {
        let mut known = self.known_to(caller);
        known.find(|tool| tool.name == name).map(Offer::Own)
    }

    fn known_to(&self, caller: &Caller) -> impl Iterator<Item = &'static Tool> {
        self.table
            .iter()
            .filter(|tool| tool.is_for(&caller.access, &self.off) && tool.is_in(caller.toolset))
    }
}

impl Offer {
    /// What it is called by.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Own(tool) => tool.name,
        }
    }

    /// Whether a token with `scopes` opens it.
    pub(super) fn is_open_to(&self, scopes: &ScopeSet) -> bool {
        match self {
            Self::Own(tool) => tool.is_open_to(scopes),
        }
    }

    /// All the scopes that open it, as a challenge names them.
    pub(super) fn scopes(&self) -> String {
        match self {
            Self::Own(tool) => tool.scopes.join(" "),
        }
    }

    /// The entry of `tools/list`.
    pub(super) fn listed(&self) -> rmcp::model::Tool {
        match self {
            Self::Own(tool) => tool.listed(),
        }
    }

    /// Begins `call`, which was found allowed.
    pub(super) fn run(&self, call: Call, arguments: JsonObject) -> Answering {
        match self {
            Self::Own(tool) => {
                let running = tool.run(call, arguments);
                Box::pin(async move { answer(running.await?) })
            }
        }
    }
}

/// What a tool returned, as the protocol has it: for programs, and as text for who reads only text.
fn answer(output: Value) -> Result<CallToolResult, ToolError> {
    let text = output.to_string();
    if text.len() > ANSWER_BYTES_MAX {
        return Err(ToolError::TooLong { found: text.len() });
    }
    let mut result = CallToolResult::success(vec![ContentBlock::text(text)]);
    result.structured_content = Some(output);
    Ok(result)
}
