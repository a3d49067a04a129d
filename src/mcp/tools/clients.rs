//! The clients of the box, for its owner.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    mcp::tools::{Call, LIMIT_MAX, ToolError, Typed, bounded, page},
    model::oauth2::client::{CLIENT_NAME_LEN_MAX, Client},
    oauth2provider::apps::{self, Search},
};

/// `list_clients`.
pub(super) struct ListClients;

/// Which clients to list.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListArguments {
    /// A part of the name, in whatever case; absent for all.
    #[serde(default)]
    #[schemars(with = "String", length(max = CLIENT_NAME_LEN_MAX))]
    name: Option<String>,
    /// How many at the most; 25 unless given.
    #[serde(default)]
    #[schemars(with = "usize", range(min = 1, max = LIMIT_MAX))]
    limit: Option<usize>,
    /// How many to leave out from the beginning; 0 unless given.
    #[serde(default)]
    offset: usize,
}

/// A page of the clients.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Clients {
    /// The clients, newest first.
    clients: Vec<ListedClient>,
    /// How many there are on all pages.
    count: usize,
}

/// A client of the box.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct ListedClient {
    /// The client's identifier.
    client_id: String,
    /// The name that the client gave itself.
    name: String,
    /// How it came to be: an administrator added it, it registered itself, or a document on the
    /// web describes it.
    #[schemars(extend("enum" = ["administrator", "self-registered", "document"]))]
    origin: &'static str,
    /// When it came to be, RFC 3339.
    #[schemars(extend("format" = "date-time"))]
    created_at: String,
    /// When somebody first allowed it something, RFC 3339; absent if nobody has.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    approved_at: Option<String>,
    /// When it last got a token, RFC 3339; absent if it never has.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    last_used_at: Option<String>,
}

impl From<Client> for ListedClient {
    fn from(client: Client) -> Self {
        Self {
            client_id: client.client_id().to_string(),
            name: client.metadata.name.to_string(),
            origin: client.origin.as_str(),
            created_at: client.created_at.to_string(),
            approved_at: client.approved_at.map(|at| at.to_string()),
            last_used_at: client.last_used_at.map(|at| at.to_string()),
        }
    }
}

impl Typed for ListClients {
    type Arguments = ListArguments;
    type Output = Clients;

    async fn run(call: Call, arguments: ListArguments) -> Result<Clients, ToolError> {
        let page = page(arguments.limit, arguments.offset)?;
        let name_part = arguments
            .name
            .map(|name| bounded("name", name, CLIENT_NAME_LEN_MAX));
        let search = Search {
            name_part: name_part.transpose()?,
            approved_by: None,
        };
        let found = call
            .desk
            .store
            .read(|tx| apps::search(tx, call.caller.now, &search, page));
        let (found, count) = found?;
        let clients = found.into_iter().map(Into::into).collect();
        Ok(Clients { clients, count })
    }
}
