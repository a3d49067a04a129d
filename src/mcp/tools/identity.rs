//! Who the caller is.

use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    mcp::{
        person::Through,
        tools::{Call, NoArguments, ToolError, Typed, client_id_of},
    },
    model::user::Role,
    store::clients,
};

/// `get_authenticated_user`.
pub(super) struct GetAuthenticatedUser;

/// The person, and the client that acts for them.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct AuthenticatedUser {
    /// The person's identifier, which never changes.
    id: String,
    /// The name the person signs in with.
    name: String,
    /// What the person may do on this box: an owner administers it.
    #[schemars(extend("enum" = [Role::Owner.as_str(), Role::Member.as_str()]))]
    role: &'static str,
    /// The identifier of the client that acts for the person; absent for a program of the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    client_id: Option<String>,
    /// What the client may do now.
    scopes: Vec<String>,
}

impl Typed for GetAuthenticatedUser {
    type Arguments = NoArguments;
    type Output = AuthenticatedUser;

    async fn run(call: Call, NoArguments {}: NoArguments) -> Result<AuthenticatedUser, ToolError> {
        let user = &call.caller.person.user;
        let client_id = match call.caller.person.through {
            Through::Client { client_id: id, .. } => {
                let client = call.desk.store.read(|tx| clients::find(tx, id))?;
                Some(client_id_of(id, client.as_ref()))
            }
            Through::Machine => None,
        };
        Ok(AuthenticatedUser {
            id: user.id.to_string(),
            name: user.name.to_string(),
            role: user.role.as_str(),
            client_id,
            scopes: call
                .caller
                .person
                .scopes
                .iter()
                .map(str::to_owned)
                .collect(),
        })
    }
}
