//! `/oauth2/clients/{client_id}`: a client manages its own registration, RFC 7592.

use std::sync::Arc;

use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    http::{
        request::{Head, Request},
        response::{Response, empty, json},
    },
    model::{
        audit::Actor,
        credential::{Credential, CredentialKind},
        id::Id,
    },
    oauth2provider::registration::{self, RegistrationError},
    web::{
        Web,
        credentials::{Caller, bearer_of_kind, by},
        headers::never_stored,
        oauth2::{
            error::OAuthError,
            register::{ClientInformation, invalid, parse_metadata},
        },
    },
};

/// `GET`: what is registered.
pub async fn get(web: Arc<Web>, request: Request, _: Caller) -> Response {
    let found = managed(&request.head).and_then(|(id, token)| {
        let client = web
            .store
            .read(|tx| registration::find_managed(tx, id, &token))?;
        let token = token.reveal();
        Ok(json(
            StatusCode::OK,
            &ClientInformation::new(&web, &client, &token, None),
        ))
    });
    never_stored(found.unwrap_or_else(OAuthError::into_response))
}

/// `PUT`: replaces everything that is registered.
pub async fn put(web: Arc<Web>, request: Request, _: Caller) -> Response {
    let replaced = replace(&web, &request).await;
    never_stored(replaced.unwrap_or_else(OAuthError::into_response))
}

async fn replace(web: &Web, request: &Request) -> Result<Response, OAuthError> {
    let (id, token) = managed(&request.head)?;
    // The token first: a stranger learns nothing about what would be accepted.
    web.store
        .read(|tx| registration::find_managed(tx, id, &token))?;
    let metadata = parse_metadata(&request.body)?;
    refuse_another_name(&request.body, id)?;
    let revealed = token.reveal();
    let client = web
        .write(by(&request.head, Actor::Client(id)), move |tx, moment| {
            registration::replace(tx, moment.act(), id, &token, metadata)
        })
        .await?;
    Ok(json(
        StatusCode::OK,
        &ClientInformation::new(web, &client, &revealed, None),
    ))
}

/// RFC 7592 §2.2: the `client_id` in the request "MUST be the same as its currently issued client
/// identifier". One that is left out is as good as that in the path.
fn refuse_another_name(body: &[u8], id: Id) -> Result<(), OAuthError> {
    #[derive(Deserialize)]
    struct Named {
        client_id: Option<Value>,
    }
    let named: Named = serde_json::from_slice(body)
        .map_err(|error| invalid(format!("expected a JSON object: {error}")))?;
    match named.client_id {
        Some(found) if found != id.to_string() => Err(invalid(format!(
            "client_id: expected the client that is managed here, found {found}"
        ))),
        _ => Ok(()),
    }
}

/// `DELETE`: the client and everything that was allowed to it end.
pub async fn delete(web: Arc<Web>, request: Request, _: Caller) -> Response {
    let removed = remove(&web, &request).await;
    never_stored(removed.unwrap_or_else(OAuthError::into_response))
}

async fn remove(web: &Web, request: &Request) -> Result<Response, OAuthError> {
    let (id, token) = managed(&request.head)?;
    web.write(by(&request.head, Actor::Client(id)), move |tx, moment| {
        registration::unregister(tx, moment.act(), id, &token)
    })
    .await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

/// Which client is meant, and the token that is to prove the right to it.
fn managed(head: &Head) -> Result<(Id, Credential), OAuthError> {
    let id = head.capture("client_id").and_then(|text| text.parse().ok());
    let token = bearer_of_kind(head, CredentialKind::RegistrationToken);
    id.zip(token)
        .ok_or_else(|| RegistrationError::TokenWrong.into())
}
