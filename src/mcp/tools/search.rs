//! `search` and `fetch`, in the shape in which hosts look for them.
//!
//! # Source
//! What `OpenAI` documents for connectors: `search` with a query returns ids, `fetch` with an id
//! returns a document.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    audit::QUERY_LEN_MAX,
    mcp::tools::{
        Call, ToolError, Typed, bounded,
        documents::{Document, KINDS, Kind},
    },
    runtime::apart::apart,
    store::StoreError,
};

/// Results of one search at the most, of each kind of thing.
const RESULTS_PER_KIND_MAX: usize = 10;
/// Bytes of a document's id at the most; it is a kind and an identifier or a name.
const DOCUMENT_ID_LEN_MAX: usize = 128;

/// `search`.
pub(super) struct Search;

/// What to look for.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SearchArguments {
    /// Words that a document must have, every one of them; none for the newest of everything.
    #[schemars(length(max = QUERY_LEN_MAX))]
    query: String,
}

/// What was found.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Results {
    /// The documents, by kind and then newest first.
    results: Vec<Found>,
}

/// A document that was found.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Found {
    /// What `fetch` takes.
    id: String,
    /// What it is, in one line.
    title: String,
    /// Where a person can see it.
    #[schemars(extend("format" = "uri"))]
    url: String,
}

impl Typed for Search {
    type Arguments = SearchArguments;
    type Output = Results;

    async fn run(call: Call, arguments: SearchArguments) -> Result<Results, ToolError> {
        let query = bounded("query", arguments.query, QUERY_LEN_MAX)?;
        Ok(apart(move || search(&call, &query)).await?)
    }
}

fn search(call: &Call, query: &str) -> Result<Results, StoreError> {
    let mut results = Vec::new();
    for kind in KINDS.iter().filter(|kind| kind.is_open_to(call)) {
        let found = kind.search(call, query, RESULTS_PER_KIND_MAX)?;
        results.extend(found.into_iter().map(|document| Found {
            id: format!("{}:{}", kind.name, document.key),
            url: call.desk.provider.public_url.join(&document.path),
            title: document.title,
        }));
    }
    Ok(Results { results })
}

/// `fetch`.
pub(super) struct Fetch;

/// Which document to return.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FetchArguments {
    /// The document's identifier, as `search` shows it.
    #[schemars(length(max = DOCUMENT_ID_LEN_MAX))]
    id: String,
}

/// A document.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Fetched {
    /// The document's identifier.
    id: String,
    /// What it is, in one line.
    title: String,
    /// All that there is to know, a line for each thing.
    text: String,
    /// Where a person can see it.
    #[schemars(extend("format" = "uri"))]
    url: String,
    /// What kind of thing it is about.
    metadata: Metadata,
}

/// What a document is about.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Metadata {
    /// The kind of thing: person, grant, session, notification, experiment, client or
    /// entry.
    kind: &'static str,
}

impl Typed for Fetch {
    type Arguments = FetchArguments;
    type Output = Fetched;

    async fn run(call: Call, arguments: FetchArguments) -> Result<Fetched, ToolError> {
        let id = bounded("id", arguments.id, DOCUMENT_ID_LEN_MAX)?;
        let (kind, document) = find(&call, &id)?.ok_or_else(|| {
            ToolError::NotFound(format!(
                "no such document: expected an id that search shows, found {id:?}"
            ))
        })?;
        Ok(Fetched {
            id,
            text: document.text(),
            url: call.desk.provider.public_url.join(&document.path),
            metadata: Metadata { kind: kind.name },
            title: document.title,
        })
    }
}

/// A document that the caller may not see and one that there is not are answered alike.
fn find(call: &Call, id: &str) -> Result<Option<(&'static Kind, Document)>, ToolError> {
    let Some((name, key)) = id.split_once(':') else {
        return Ok(None);
    };
    let mut kinds = KINDS.iter().filter(|kind| kind.is_open_to(call));
    match kinds.find(|kind| kind.name == name) {
        None => Ok(None),
        Some(kind) => {
            let found = kind.find(call, key)?;
            Ok(found.map(|document| (kind, document)))
        }
    }
}
