//! `/api/v2/oauth2-provider/apps/{id}/secrets`: several at once, so that one can be replaced while
//! it is still in use.

use std::sync::Arc;

use http::StatusCode;
use serde::Serialize;

use crate::{
    http::{
        request::Request,
        response::{Response, empty, json},
    },
    model::oauth2::client::ClientSecret,
    oauth2provider::app_secrets::{self, SecretError},
    web::{
        Web,
        api::{caller::ApiCaller, error::ApiRefusal, id_in_path},
        headers::never_stored,
    },
};

/// A secret, as it is known after it was shown.
#[derive(Serialize)]
struct Listed {
    id: String,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used_at: Option<String>,
    client_secret_truncated: String,
}

impl Listed {
    fn new(secret: &ClientSecret) -> Self {
        Self {
            id: secret.id.to_string(),
            created_at: secret.created_at.to_string(),
            last_used_at: secret.last_used_at.map(|at| at.to_string()),
            client_secret_truncated: secret.truncated(),
        }
    }
}

/// A secret in full, the only time it is shown.
#[derive(Serialize)]
struct Created {
    id: String,
    client_secret_full: String,
}

/// `GET`: the secrets, oldest first.
pub async fn list(web: Arc<Web>, request: Request, _: ApiCaller) -> Result<Response, ApiRefusal> {
    let id = id_in_path(&request.head, "id")?;
    let secrets = web.store.read(|tx| app_secrets::list(tx, id))?;
    let secrets = secrets.ok_or_else(ApiRefusal::not_found)?;
    let listed: Vec<_> = secrets.iter().map(Listed::new).collect();
    Ok(json(StatusCode::OK, &listed))
}

/// `POST`: one more.
pub async fn create(
    web: Arc<Web>,
    request: Request,
    caller: ApiCaller,
) -> Result<Response, ApiRefusal> {
    let id = id_in_path(&request.head, "id")?;
    let secret = web
        .write(caller.origin(&request.head), move |tx, moment| {
            app_secrets::add(tx, moment.act(), id)
        })
        .await?;
    let created = Created {
        id: secret.id().to_string(),
        client_secret_full: secret.reveal(),
    };
    Ok(never_stored(json(StatusCode::CREATED, &created)))
}

/// `DELETE …/{sid}`: it, and every token that was issued under it.
pub async fn remove(
    web: Arc<Web>,
    request: Request,
    caller: ApiCaller,
) -> Result<Response, ApiRefusal> {
    let id = id_in_path(&request.head, "id")?;
    let secret_id = id_in_path(&request.head, "sid")?;
    let removed = web.write(caller.origin(&request.head), move |tx, moment| {
        app_secrets::remove(tx, moment.by, id, secret_id)
    });
    if removed.await? {
        Ok(empty(StatusCode::NO_CONTENT))
    } else {
        Err(ApiRefusal::not_found())
    }
}

impl From<SecretError> for ApiRefusal {
    fn from(error: SecretError) -> Self {
        match error {
            SecretError::ClientUnknown => Self::not_found(),
            SecretError::ClientPublic | SecretError::TooMany => Self::conflict(error.to_string()),
            SecretError::Store(fault) => fault.into(),
        }
    }
}
