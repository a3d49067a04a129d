//! What the person has allowed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    mcp::{
        person::{Person, Through},
        tools::{Call, NoArguments, ToolError, Typed, client_id_of, id_of},
    },
    model::{id::Id, oauth2::grant::Grant},
    oauth2provider::revoke,
    store::{Read, StoreError, clients},
};

/// `list_my_grants`.
pub(super) struct ListMyGrants;

/// What the person has allowed.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Grants {
    /// The grants, newest first.
    grants: Vec<ListedGrant>,
}

/// What the person allowed one client.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct ListedGrant {
    /// The grant's identifier.
    id: String,
    /// The client's identifier.
    client_id: String,
    /// The name that the client gave itself; absent if the client is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    client_name: Option<String>,
    /// What it may do.
    scopes: Vec<String>,
    /// Where it may do it.
    #[schemars(extend("format" = "uri"))]
    resource: String,
    /// When it was given, RFC 3339.
    #[schemars(extend("format" = "date-time"))]
    created_at: String,
    /// When it ends by itself, RFC 3339.
    #[schemars(extend("format" = "date-time"))]
    expires_at: String,
    /// Whether it is the grant that this client uses now.
    current: bool,
}

impl Typed for ListMyGrants {
    type Arguments = NoArguments;
    type Output = Grants;

    async fn run(call: Call, NoArguments {}: NoArguments) -> Result<Grants, ToolError> {
        let person = &call.caller.person;
        call.desk.store.read(|tx| {
            let given = revoke::list_grants(tx, call.caller.now, person.user.id)?;
            let listed = given.iter().map(|grant| listed(tx, person, grant));
            let grants = listed.collect::<Result<_, StoreError>>()?;
            Ok(Grants { grants })
        })
    }
}

fn listed(tx: &dyn Read, person: &Person, grant: &Grant) -> Result<ListedGrant, StoreError> {
    let client = clients::find(tx, grant.client_id)?;
    let is_current = match person.through {
        Through::Client { grant_id, .. } => grant.id == grant_id,
        Through::Machine => false,
    };
    Ok(ListedGrant {
        id: grant.id.to_string(),
        client_id: client_id_of(grant.client_id, client.as_ref()),
        client_name: client.map(|client| client.metadata.name.to_string()),
        scopes: grant.scopes.iter().map(str::to_owned).collect(),
        resource: grant.resource.to_string(),
        created_at: grant.created_at.to_string(),
        expires_at: grant.expires_at.to_string(),
        current: is_current,
    })
}

/// `revoke_my_grant`.
pub(super) struct RevokeMyGrant;

/// Which grant to end.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RevokeArguments {
    /// The grant's identifier, as `list_my_grants` shows it.
    #[schemars(length(equal = Id::TEXT_LEN))]
    grant_id: String,
}

/// What became of it.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Revoked {
    /// Whether the grant has been ended.
    revoked: bool,
}

impl Typed for RevokeMyGrant {
    type Arguments = RevokeArguments;
    type Output = Revoked;

    async fn run(call: Call, arguments: RevokeArguments) -> Result<Revoked, ToolError> {
        let RevokeArguments { grant_id: text } = arguments;
        let grant_id = id_of("grant_id", &text)?;
        let user_id = call.caller.person.user.id;
        let revoked = call
            .desk
            .store
            .write(move |tx| revoke::revoke_grant(tx, &call.caller.by, user_id, grant_id))
            .await?;
        // A grant of somebody else and one that never was are answered alike.
        if revoked {
            Ok(Revoked { revoked })
        } else {
            Err(ToolError::NotFound(format!(
                "no such grant: expected an id that list_my_grants shows, found {text:?}"
            )))
        }
    }
}
