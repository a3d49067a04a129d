//! What the caller allowed: `/api/v2/users/me/grants`, and `DELETE /oauth2/tokens`.

use std::sync::Arc;

use http::StatusCode;
use serde::Serialize;

use crate::{
    http::{
        params::Params,
        request::Request,
        response::{Response, empty, json},
    },
    model::oauth2::{client_id::ClientId, grant::Grant},
    oauth2provider::revoke,
    store::{Read, StoreError, clients},
    web::{
        Web,
        api::{caller::ApiCaller, error::ApiRefusal, id_in_path, page},
    },
};

/// A grant, with what is known of the app that has it.
#[derive(Serialize)]
struct Given {
    id: String,
    app_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    app_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    app_origin: Option<&'static str>,
    scope: String,
    resource: String,
    created_at: String,
    expires_at: String,
}

/// A page of grants, and how many there are on all pages.
#[derive(Serialize)]
struct Grants {
    grants: Vec<Given>,
    count: usize,
}

impl Given {
    fn find(tx: &dyn Read, grant: &Grant) -> Result<Self, StoreError> {
        let client = clients::find(tx, grant.client_id)?;
        Ok(Self {
            id: grant.id.to_string(),
            app_id: grant.client_id.to_string(),
            app_origin: client.as_ref().map(|client| client.origin.as_str()),
            app_name: client.map(|client| client.metadata.name.to_string()),
            scope: grant.scopes.to_string(),
            resource: grant.resource.to_string(),
            created_at: grant.created_at.to_string(),
            expires_at: grant.expires_at.to_string(),
        })
    }
}

/// `GET`: what is live, newest first.
pub async fn list(
    web: Arc<Web>,
    request: Request,
    caller: ApiCaller,
) -> Result<Response, ApiRefusal> {
    let head = &request.head;
    let page = page(&Params::from_query(head)?)?;
    let grants = web.store.read(|tx| {
        let given = revoke::list_grants(tx, head.now, caller.user.id)?;
        let count = given.len();
        let grants = page.of(given).into_iter();
        let grants: Result<Vec<_>, StoreError> =
            grants.map(|grant| Given::find(tx, &grant)).collect();
        grants.map(|grants| Grants { grants, count })
    })?;
    Ok(json(StatusCode::OK, &grants))
}

/// `DELETE …/{id}`: the grant, and everything that was issued under it. Another's is not found.
pub async fn remove(
    web: Arc<Web>,
    request: Request,
    caller: ApiCaller,
) -> Result<Response, ApiRefusal> {
    let id = id_in_path(&request.head, "id")?;
    let revoked = web.write(caller.origin(&request.head), move |tx, moment| {
        revoke::revoke_grant(tx, moment.by, caller.user.id, id)
    });
    if revoked.await? {
        Ok(empty(StatusCode::NO_CONTENT))
    } else {
        Err(ApiRefusal::not_found())
    }
}

/// `DELETE /oauth2/tokens?client_id=`: everything that the caller allowed to a client. Where that is
/// nothing, nothing is what is left, too.
pub async fn remove_of_client(
    web: Arc<Web>,
    request: Request,
    caller: ApiCaller,
) -> Result<Response, ApiRefusal> {
    let query = Params::from_query(&request.head)?;
    let expected = || ApiRefusal::invalid("client_id", "expected the identifier of a client");
    let client_id = query.get("client_id")?.ok_or_else(expected)?;
    let client_id: ClientId = client_id.parse().map_err(|_| expected())?;
    let revoked =
        web.write(
            caller.origin(&request.head),
            move |tx, moment| match clients::find_named(tx, &client_id)? {
                None => Ok(0),
                Some(client) => {
                    revoke::revoke_grants_of_client(tx, moment.by, caller.user.id, client.id)
                }
            },
        );
    revoked.await?;
    Ok(empty(StatusCode::NO_CONTENT))
}
