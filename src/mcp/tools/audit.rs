//! The log of what was done on the box, for its owner.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    audit::{self, AuditChange, AuditRow, QUERY_LEN_MAX},
    mcp::tools::{Call, LIMIT_MAX, ToolError, Typed, bounded, page},
    runtime::apart::apart,
};

/// `search_audit_log`.
pub(super) struct SearchAuditLog;

/// Which entries to find.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SearchArguments {
    /// Words that an entry must have, every one of them: an action such as token.issued, an id, an
    /// address, a changed value. Absent for all entries.
    #[serde(default)]
    #[schemars(length(max = QUERY_LEN_MAX))]
    query: String,
    /// How many at the most; 25 unless given.
    #[serde(default)]
    #[schemars(with = "usize", range(min = 1, max = LIMIT_MAX))]
    limit: Option<usize>,
    /// How many to leave out from the beginning; 0 unless given.
    #[serde(default)]
    offset: usize,
}

/// A page of the log.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Entries {
    /// The entries, newest first.
    entries: Vec<Entry>,
    /// How many there are on all pages.
    count: usize,
}

/// Something that was done.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Entry {
    /// Its place in the log.
    number: u64,
    /// When it was done, RFC 3339.
    #[schemars(extend("format" = "date-time"))]
    at: String,
    /// What was done.
    action: String,
    /// Who did it: user, client, stranger, administrator or keystead.
    actor: String,
    /// The identifier of a user or of a client.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    actor_id: Option<String>,
    /// To what: client, grant and so on.
    object: String,
    /// The identifier of what it was done to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    object_id: Option<String>,
    /// From which address.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    address: Option<String>,
    /// In which request; the server's own log has it under this id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    request_id: Option<String>,
    /// What changed; secrets are never in it.
    changes: Vec<Changed>,
}

/// One value that changed.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Changed {
    /// The field.
    field: String,
    /// What it was; absent if it was nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    old: Option<String>,
    /// What it is now; absent if it is nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    new: Option<String>,
}

impl From<AuditRow> for Entry {
    fn from(row: AuditRow) -> Self {
        let changed = |AuditChange { field, old, new }| Changed { field, old, new };
        Self {
            number: row.number,
            at: row.at,
            action: row.action,
            actor: row.actor,
            actor_id: row.actor_id,
            object: row.object,
            object_id: row.object_id,
            address: row.address,
            request_id: row.request_id,
            changes: row.changes.into_iter().map(changed).collect(),
        }
    }
}

impl Typed for SearchAuditLog {
    type Arguments = SearchArguments;
    type Output = Entries;

    async fn run(call: Call, arguments: SearchArguments) -> Result<Entries, ToolError> {
        let page = page(arguments.limit, arguments.offset)?;
        let query = bounded("query", arguments.query, QUERY_LEN_MAX)?;
        let store = call.desk.store;
        let search = move || store.read(|tx| audit::search(tx, &query, page.limit, page.offset));
        let found = apart(search).await?;
        let rows = found.entries.into_iter().map(AuditRow::from);
        Ok(Entries {
            entries: rows.map(Into::into).collect(),
            count: found.count,
        })
    }
}
