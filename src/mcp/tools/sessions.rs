//! In which browsers the person is signed in.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    accounts::sessions,
    mcp::tools::{Call, NoArguments, ToolError, Typed, id_of},
    model::{id::Id, session::Session},
};

/// `list_my_sessions`.
pub(super) struct ListMySessions;

/// In which browsers the person is signed in.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Sessions {
    /// The sessions, newest first.
    sessions: Vec<ListedSession>,
}

/// A browser that is signed in.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct ListedSession {
    /// The session's identifier.
    id: String,
    /// What the browser calls itself.
    browser: String,
    /// The address from which the person signed in.
    address: String,
    /// When the person signed in, RFC 3339.
    #[schemars(extend("format" = "date-time"))]
    created_at: String,
    /// When it was last used, to the minute, RFC 3339.
    #[schemars(extend("format" = "date-time"))]
    last_seen_at: String,
    /// When it ends if it is not used again, RFC 3339.
    #[schemars(extend("format" = "date-time"))]
    expires_at: String,
}

impl From<Session> for ListedSession {
    fn from(session: Session) -> Self {
        Self {
            id: session.id.to_string(),
            created_at: session.created_at.to_string(),
            last_seen_at: session.last_seen_at.to_string(),
            expires_at: session.ends_at().to_string(),
            browser: session.browser,
            address: session.address,
        }
    }
}

impl Typed for ListMySessions {
    type Arguments = NoArguments;
    type Output = Sessions;

    async fn run(call: Call, NoArguments {}: NoArguments) -> Result<Sessions, ToolError> {
        let user_id = call.caller.person.user.id;
        let open = call
            .desk
            .store
            .read(|tx| sessions::list(tx, call.caller.now, user_id))?;
        let sessions = open.into_iter().map(Into::into).collect();
        Ok(Sessions { sessions })
    }
}

/// `revoke_my_session`.
pub(super) struct RevokeMySession;

/// Which session to end.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RevokeArguments {
    /// The session's identifier, as `list_my_sessions` shows it.
    #[schemars(length(equal = Id::TEXT_LEN))]
    session_id: String,
}

/// What became of it.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Revoked {
    /// Whether the session has been ended.
    revoked: bool,
}

impl Typed for RevokeMySession {
    type Arguments = RevokeArguments;
    type Output = Revoked;

    async fn run(call: Call, arguments: RevokeArguments) -> Result<Revoked, ToolError> {
        let RevokeArguments { session_id: text } = arguments;
        let session_id = id_of("session_id", &text)?;
        let user_id = call.caller.person.user.id;
        let revoked = call
            .desk
            .store
            .write(move |tx| sessions::close(tx, &call.caller.by, user_id, session_id))
            .await?;
        // A session of somebody else and one that never was are answered alike.
        if revoked {
            Ok(Revoked { revoked })
        } else {
            Err(ToolError::NotFound(format!(
                "no such session: expected an id that list_my_sessions shows, found {text:?}"
            )))
        }
    }
}
