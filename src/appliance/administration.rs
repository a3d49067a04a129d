//! What an administrator can ask for, and what comes back: the same on the file and through the
//! socket of a running server.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    audit::AuditRow,
    model::{upstream_words::UpstreamWords, user::Role},
    store::restore::Epoch,
};

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Make a user.
    UserAdd {
        /// The name to sign in with.
        name: String,
        /// What the user may do.
        role: Role,
        /// What the user signs in with.
        password: Password,
    },
    /// Every user.
    UserList,
    /// Give a user another password.
    UserPasswd {
        /// The user's name.
        name: String,
        /// The new password.
        password: Password,
    },
    /// Keep a user from signing in.
    UserDisable {
        /// The user's name.
        name: String,
    },
    /// Let a user sign in again.
    UserEnable {
        /// The user's name.
        name: String,
    },
    /// Remove a user and everything that is theirs.
    UserRemove {
        /// The user's name.
        name: String,
    },
    /// Register a client.
    ClientAdd {
        /// The name that is shown at consent.
        name: String,
        /// Where codes may be sent.
        redirect_uris: Vec<String>,
        /// Whether it has no secret.
        public: bool,
        /// Grant types; empty for what the server gives by itself.
        grants: Vec<String>,
        /// The most it may ask for, separated by spaces.
        scope: Option<String>,
    },
    /// Every client.
    ClientList,
    /// One client.
    ClientShow {
        /// The client's identifier.
        id: String,
    },
    /// Remove a client and end its grants.
    ClientRemove {
        /// The client's identifier.
        id: String,
    },
    /// Let another server use tokens of this box.
    ResourceAdd {
        /// The audience of its tokens.
        identifier: String,
        /// The scopes that it knows.
        scopes: Vec<String>,
        /// The words of scopes, each `NAME=WORDS`.
        scope_words: Vec<String>,
    },
    /// Every resource server.
    ResourceList,
    /// Remove a resource server.
    ResourceRemove {
        /// The audience of its tokens.
        identifier: String,
    },
    /// Put another MCP server behind this one.
    UpstreamAdd(Box<UpstreamWords>),
    /// Every MCP server behind this one.
    UpstreamList,
    /// The tools of an MCP server behind this one; begins it.
    UpstreamTools {
        /// Its name.
        name: String,
    },
    /// Take an MCP server from behind this one.
    UpstreamRemove {
        /// Its name.
        name: String,
    },
    /// Keep a copy of a client's document.
    ClientPin {
        /// Where the document is.
        url: String,
        /// Its text.
        document: String,
    },
    /// Every copy of a client's document.
    ClientPins,
    /// Give up a copy of a client's document.
    ClientUnpin {
        /// Where the document is.
        url: String,
    },
    /// Make another pair of keys for web push.
    VapidRegenerate,
    /// Tell a user something.
    Notify(Notice),
    /// Hand over a backup: after the answer, on the same connection.
    Backup,
    /// Look through the whole store.
    Check,
    /// Speak MCP: after the answer, on the same connection, until one end has had enough.
    Mcp {
        /// The name of the user to act as; none for the only one that there is.
        user: Option<String>,
        /// The set of tools; none for the first that is on.
        toolset: Option<String>,
        /// The one other server whose tools alone there are; none for all tools.
        upstream: Option<String>,
    },
    /// Say where browsers and clients reach the server.
    PublicUrl,
    /// Check the chain of the audit log.
    AuditVerify,
    /// Search the audit log.
    AuditSearch {
        /// Words that the entries have.
        query: String,
        /// How many entries at the most.
        limit: usize,
        /// How many to leave out first.
        offset: usize,
    },
}

/// What a user is to be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notice {
    /// The user's name.
    pub user: String,
    /// One line of text.
    pub title: String,
    /// Text in a small part of Markdown.
    pub body: String,
    /// Where there is more.
    pub link: Option<String>,
    /// How soon they should know; none for the usual.
    pub urgency: Option<String>,
}

/// A password on its way to be hashed. It is written out in full only on the administration
/// socket, which is the user's own.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Password(String);

impl Password {
    /// The password that is `text`.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// What came of a [`Command`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// It was done, and there is nothing to say.
    Done,
    /// The users, oldest first.
    Users(Vec<UserRow>),
    /// The user that was made.
    User(UserRow),
    /// The clients, oldest first.
    Clients(Vec<ClientRow>),
    /// The client that was asked for.
    Client(ClientRow),
    /// The client that was made.
    ClientCreated {
        /// The client.
        client: ClientRow,
        /// Its secret, which nobody can read again; none for a public client.
        #[serde(skip_serializing_if = "Option::is_none")]
        client_secret: Option<String>,
    },
    /// The resource servers, oldest first.
    Resources(Vec<ResourceRow>),
    /// The resource server that was added.
    ResourceCreated {
        /// The resource server.
        resource: ResourceRow,
        /// Its secret, which nobody can read again.
        client_secret: String,
    },
    /// The other MCP servers, those of the configuration first.
    Upstreams(Vec<UpstreamRow>),
    /// The other MCP server that was added.
    Upstream(UpstreamRow),
    /// The tools of another MCP server, in its order.
    UpstreamTools(Vec<UpstreamToolRow>),
    /// Every copy of a client's document.
    Pins(Vec<PinRow>),
    /// The copy that was pinned.
    Pin(PinRow),
    /// Push services know the box by another pair of keys.
    VapidRegenerated {
        /// Browsers that were forgotten.
        subscriptions_removed: usize,
    },
    /// What became of what a user was to be told.
    Notified(NotifiedRow),
    /// A backup follows.
    Backup,
    /// The connection speaks MCP from here on.
    Mcp,
    /// Where browsers and clients reach the server.
    PublicUrl(String),
    /// What is in the store, and what is wrong with it.
    Checked(CheckRow),
    /// The audit log holds together.
    AuditVerified {
        /// How many entries it has.
        entries: u64,
        /// The number of the newest.
        head: u64,
        /// The newest link, in hexadecimal.
        link: String,
    },
    /// What was found in the audit log.
    AuditLogs {
        /// A page of it, newest first.
        audit_logs: Vec<AuditRow>,
        /// How many there are.
        count: usize,
    },
}

/// What the administrator hears: what came of it, or why it was not done.
pub type Answer = Result<Reply, Refused>;

/// A user as `user list` shows it. Times are RFC 3339.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRow {
    /// The identifier.
    pub id: String,
    /// The name to sign in with.
    pub name: String,
    /// What the user may do.
    pub role: Role,
    /// Whether the user can sign in.
    pub state: UserState,
    /// When it was made.
    pub created_at: String,
    /// The last sign-in; none when there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_sign_in_at: Option<String>,
}

/// Whether a user can sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UserState {
    /// The user can.
    Active,
    /// An administrator took that away.
    Disabled,
}

/// A client as `client list` shows it. Times are RFC 3339.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientRow {
    /// The identifier.
    pub client_id: String,
    /// The name that is shown at consent; a client that registered itself chose it.
    pub name: String,
    /// Who registered it.
    pub origin: String,
    /// Whether it has no secret.
    pub public: bool,
    /// Where codes may be sent.
    pub redirect_uris: Vec<String>,
    /// The grant types it may use.
    pub grant_types: Vec<String>,
    /// The most it may ask for, separated by spaces.
    pub scope: String,
    /// When it was registered.
    pub created_at: String,
    /// The last token it got; none when there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<String>,
}

/// A resource server as `resource list` shows it. Times are RFC 3339.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceRow {
    /// What it authenticates with, beside its secret.
    pub client_id: String,
    /// The audience of its tokens.
    pub identifier: String,
    /// The scopes that it knows.
    pub scopes: Vec<ScopeRow>,
    /// When it was added.
    pub created_at: String,
}

/// A scope of a resource server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScopeRow {
    /// Its name.
    pub name: String,
    /// What a person reads at consent.
    pub words: String,
}

/// Another MCP server as `upstream list` shows it. Times are RFC 3339.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamRow {
    /// What it is called.
    pub name: String,
    /// How it is doing; none while no server runs, which alone would know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<UpstreamState>,
    /// Since when it is connected, or has failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Why it failed the last time, if it fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The program with its arguments; none for a server.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub command: Vec<String>,
    /// The endpoint of a server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Where clients find its tools alone.
    pub path: String,
    /// The scopes that open its tools.
    pub scopes: Vec<String>,
    /// When it was added; none if the configuration names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub added_at: Option<String>,
}

/// A tool of another MCP server as `upstream tools` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamToolRow {
    /// What it is called at `/mcp`.
    pub name: String,
    /// What it is called for people, if it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What it does, by its own word.
    pub effect: String,
    /// The narrowest scope that opens it.
    pub scope: String,
    /// Whether it is not switched off.
    pub on: bool,
}

/// How another MCP server is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpstreamState {
    /// Nobody uses it; the next call begins it.
    Idle,
    /// A connection to it is being made.
    Starting,
    /// There is a connection to it.
    Connected,
    /// It did not start, or its connection broke off.
    Failing,
}

impl UpstreamState {
    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Starting => "starting",
            Self::Connected => "connected",
            Self::Failing => "failing",
        }
    }
}

/// A copy of a client's document as `client pins` shows it. Times are RFC 3339.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinRow {
    /// Where the document is: the client's identifier.
    pub url: String,
    /// The name that is shown at consent.
    pub name: String,
    /// Where codes may be sent.
    pub redirect_uris: Vec<String>,
    /// When it was pinned; none for a copy that is in the binary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pinned_at: Option<String>,
}

/// A notification as `notify` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotifiedRow {
    /// The notification; none if the user does not want such.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The user's name.
    pub user: String,
    /// The browsers that it is on its way to.
    pub pushes: usize,
}

/// What `check` found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckRow {
    /// Whether the checksums of the file's pages, or of a backup, are right.
    pub pages: PageState,
    /// When the backup was made that was looked at; none for a data file. RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup_made_at: Option<String>,
    /// Every table.
    pub tables: Vec<TableRow>,
    /// What is wrong; the first hundred or so.
    pub faults: Vec<String>,
    /// How much is wrong.
    pub fault_count: u64,
}

impl CheckRow {
    /// What is so damaged that nothing in it can be looked at.
    pub(super) fn damaged(part: &str, fault: &dyn fmt::Display) -> Self {
        Self {
            pages: PageState::Damaged,
            backup_made_at: None,
            tables: Vec::new(),
            faults: vec![format!("{part}: {fault}")],
            fault_count: 1,
        }
    }
}

/// What is known of the checksums.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PageState {
    /// They are right.
    Whole,
    /// They are not.
    Damaged,
    /// They cannot be checked while the server runs.
    NotChecked,
}

/// A table as `check` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableRow {
    /// Its name.
    pub name: String,
    /// Its rows.
    pub rows: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
}

/// What `restore` made. Counts are those of the backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoredRow {
    /// When the backup was made, as RFC 3339.
    pub made_at: String,
    /// Which version made it.
    pub version: String,
    /// Its rows.
    pub rows: u64,
    /// Whether a new epoch has begun, or the backup's goes on.
    pub epoch: Epoch,
    /// Browser sessions.
    pub sessions: u64,
    /// What people allowed.
    pub grants: u64,
    /// Families of refresh tokens.
    pub families: u64,
    /// Access tokens.
    pub access_tokens: u64,
    /// Who can sign in.
    pub users: u64,
    /// Clients.
    pub clients: u64,
    /// Secrets of clients.
    pub secrets: u64,
    /// Resource servers.
    pub resource_servers: u64,
    /// Other MCP servers behind this one that an administrator added.
    pub upstreams: u64,
}

/// The command was understood and not done; nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    /// Why, in one sentence.
    pub message: String,
}

impl Refused {
    /// The refusal for the reason that `message` gives.
    pub fn because(message: impl fmt::Display) -> Self {
        Self {
            message: message.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_in_what_is_logged() {
        let command = Command::UserAdd {
            name: "ada".to_owned(),
            role: Role::Owner,
            password: Password::new("correct horse".to_owned()),
        };
        let logged = format!("{command:?}");
        assert!(!logged.contains("correct"), "{logged}");
        assert!(logged.contains("ada"), "{logged}");
    }

    #[test]
    fn nothing_absent_is_written_as_null() {
        let row = UserRow {
            id: "1".to_owned(),
            name: "ada".to_owned(),
            role: Role::Member,
            state: UserState::Disabled,
            created_at: "1970-01-01T00:00:00Z".to_owned(),
            last_sign_in_at: None,
        };
        let text = serde_json::to_string(&Reply::Users(vec![row.clone()])).expect("JSON");
        assert_eq!(
            text,
            r#"{"users":[{"id":"1","name":"ada","role":"member","state":"disabled","created_at":"1970-01-01T00:00:00Z"}]}"#
        );
        let reply: Reply = serde_json::from_str(&text).expect("a reply");
        assert_eq!(reply, Reply::Users(vec![row]));
    }
}
