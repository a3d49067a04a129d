//! The tools of an upstream, as far as they can be shown: what it says is somebody else's word.

use std::{collections::BTreeSet, sync::Arc};

use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use serde_json::Value;

use crate::model::{effect::Effect, upstream::UpstreamName};

/// Tools of one upstream at the most; the rest is left out.
pub(super) const TOOLS_MAX: usize = 128;
/// Characters of a tool's name. With the upstream's before it, it stays within what the MCP
/// specification has one be.
pub(super) const NAME_LEN_MAX: usize = 64;
/// Characters of a title.
const TITLE_LEN_MAX: usize = 128;
/// Bytes of a description; the rest is cut off.
pub(super) const DESCRIPTION_BYTES_MAX: usize = 4 * 1024;
/// Bytes of both schemas of one tool.
pub(super) const SCHEMA_BYTES_MAX: usize = 64 * 1024;
/// Bytes of all that is shown of one upstream's tools.
pub(super) const LIST_BYTES_MAX: usize = 512 * 1024;
/// What an argument carries that is to stand in a header of the call as well (MCP 2026-07-28,
/// "Custom headers from tool parameters").
const IN_HEADER: &str = "x-mcp-header";

/// A tool of an upstream.
#[derive(Debug)]
pub(in crate::mcp) struct UpstreamTool {
    name: String,
    title: Option<String>,
    description: Option<String>,
    input_schema: Arc<JsonObject>,
    output_schema: Option<Arc<JsonObject>>,
    annotations: ToolAnnotations,
}

impl UpstreamTool {
    /// What the upstream calls it.
    pub(in crate::mcp) fn name(&self) -> &str {
        &self.name
    }

    /// What it is called for people, if it says.
    pub(in crate::mcp) fn title(&self) -> Option<&str> {
        self.title.as_deref()
    }

    /// What it does, by its own word.
    pub(in crate::mcp) fn effect(&self) -> Effect {
        if self.only_reads() {
            Effect::Reads
        } else if self.annotations.destructive_hint == Some(false) {
            Effect::Adds
        } else {
            Effect::Destroys
        }
    }

    /// Whether the upstream says that it only reads.
    pub(in crate::mcp) fn only_reads(&self) -> bool {
        self.annotations.read_only_hint == Some(true)
    }

    /// The entry of `tools/list`, in which it is called `shown`.
    pub(in crate::mcp) fn listed(&self, shown: String) -> Tool {
        let description = self.description.clone().unwrap_or_default();
        let mut tool = Tool::new(shown, description, Arc::clone(&self.input_schema))
            .with_annotations(self.annotations.clone());
        tool.title.clone_from(&self.title);
        tool.output_schema.clone_from(&self.output_schema);
        tool
    }

    /// `None` for a tool that cannot be shown.
    fn read(tool: &Tool) -> Option<Self> {
        let input = serde_json::to_string(&*tool.input_schema).ok()?;
        let output = serde_json::to_string(&tool.output_schema).ok()?;
        let fits = is_name(&tool.name) && input.len() + output.len() <= SCHEMA_BYTES_MAX;
        let hints = tool.annotations.clone().unwrap_or_default();
        let title = tool.title.as_deref().or(hints.title.as_deref());
        fits.then(|| Self {
            name: tool.name.to_string(),
            title: title.map(|title| shown(title).chars().take(TITLE_LEN_MAX).collect()),
            description: tool.description.as_deref().map(cut),
            input_schema: Arc::new(without_headers(&tool.input_schema)),
            output_schema: tool.output_schema.clone(),
            annotations: annotations(&hints),
        })
    }

    /// Bytes of what is shown of it, about.
    fn len(&self) -> usize {
        let schema = |schema: &JsonObject| serde_json::to_string(schema).map_or(0, |t| t.len());
        self.name.len()
            + self.description.as_ref().map_or(0, String::len)
            + schema(&self.input_schema)
            + self.output_schema.as_deref().map_or(0, schema)
    }
}

/// Those of `tools` that can be shown, in their order; each name once.
pub(super) fn read(upstream: &UpstreamName, tools: &[Tool]) -> Arc<[Arc<UpstreamTool>]> {
    let mut names = BTreeSet::new();
    let mut bytes = 0;
    let mut read = Vec::new();
    for tool in tools {
        let fitting = UpstreamTool::read(tool).filter(|_| read.len() < TOOLS_MAX);
        let Some(fitting) = fitting.filter(|tool| bytes + tool.len() <= LIST_BYTES_MAX) else {
            continue;
        };
        if names.insert(fitting.name.clone()) {
            bytes += fitting.len();
            read.push(Arc::new(fitting));
        }
    }
    let left_out = tools.len() - read.len();
    if left_out > 0 {
        tracing::warn!(%upstream, left_out, "tools whose name, schema or number is beyond the bounds");
    }
    read.into()
}

/// The MCP specification's letters for a tool's name.
fn is_name(name: &str) -> bool {
    let of_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    (1..=NAME_LEN_MAX).contains(&name.len()) && name.bytes().all(of_name)
}

/// `schema` without the wish for headers: they are for what stands between an upstream and its own
/// client, and a server that asks its callers for them must compare them with the message.
fn without_headers(schema: &JsonObject) -> JsonObject {
    let mut schema = schema.clone();
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        for property in properties.values_mut().filter_map(Value::as_object_mut) {
            *property = without_headers(property);
            property.remove(IN_HEADER);
        }
    }
    schema
}

/// All four hints, always. One that is absent is the protocol's own default, which is the worst.
fn annotations(hints: &ToolAnnotations) -> ToolAnnotations {
    let only_reads = hints.read_only_hint.unwrap_or(false);
    ToolAnnotations::new()
        .read_only(only_reads)
        .destructive(!only_reads && hints.destructive_hint.unwrap_or(true))
        .idempotent(only_reads || hints.idempotent_hint.unwrap_or(false))
        .open_world(hints.open_world_hint.unwrap_or(true))
}

fn shown(text: &str) -> String {
    let shown = |c: char| if c.is_control() && c != '\n' { ' ' } else { c };
    text.chars().map(shown).collect()
}

fn cut(text: &str) -> String {
    let mut text = shown(text);
    let mut end = text.len().min(DESCRIPTION_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}
