//! An entry as people and programs are shown it.

use serde::{Deserialize, Serialize};

use crate::model::audit::{AuditEntry, Change};

/// An entry of the audit log, as the command and the management API show it. Times are RFC 3339.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRow {
    /// Its place in the log.
    pub number: u64,
    /// When it was done.
    pub at: String,
    /// What was done.
    pub action: String,
    /// Who did it: `user`, `client`, `stranger`, `administrator` or `keystead`.
    pub actor: String,
    /// The identifier of a user or of a client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor_id: Option<String>,
    /// To what: `client`, `grant` and so on.
    pub object: String,
    /// Its identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object_id: Option<String>,
    /// From where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// In which request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// What changed; secrets are never in it.
    pub changes: Vec<AuditChange>,
}

/// One value that changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditChange {
    /// The field.
    pub field: String,
    /// What it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<String>,
    /// What it is now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<String>,
}

impl From<AuditEntry> for AuditRow {
    fn from(entry: AuditEntry) -> Self {
        let (actor, actor_id) = entry.actor.named();
        let (object, object_id) = entry.object.named();
        let change = |change: Change| AuditChange {
            field: change.field,
            old: change.old,
            new: change.new,
        };
        Self {
            number: entry.number,
            at: entry.at.to_string(),
            action: entry.action.as_str().to_owned(),
            actor: actor.to_owned(),
            actor_id: actor_id.map(|id| id.to_string()),
            object: object.to_owned(),
            object_id: object_id.map(|id| id.to_string()),
            address: entry.address,
            request_id: entry.request_id,
            changes: entry.changes.into_iter().map(change).collect(),
        }
    }
}
