//! `POST /oauth2/revoke`, RFC 7009.

use std::sync::Arc;

use http::StatusCode;

use crate::{
    http::{
        params::Params,
        request::Request,
        response::{Response, empty},
    },
    model::audit::Actor,
    oauth2provider::revoke::revoke_token,
    web::{
        Web,
        credentials::{Caller, by},
        headers::never_stored,
        oauth2::{client_credentials::authenticate, error::OAuthError},
        throttle::Endpoint,
    },
};

/// `POST /oauth2/revoke`: 200 for what was ended, for what was never there, and for what is
/// another client's and stays.
pub async fn post(web: Arc<Web>, request: Request, _: Caller) -> Response {
    match revoke(&web, &request).await {
        Ok(()) => never_stored(empty(StatusCode::OK)),
        Err(error) => error.into_response(),
    }
}

async fn revoke(web: &Web, request: &Request) -> Result<(), OAuthError> {
    let form = Params::from_form(request)?;
    if let Some(name) = form.first_repeated(&[]) {
        return Err(OAuthError::invalid_request(format!(
            "{name}: expected it once"
        )));
    }
    let client = authenticate(web, Endpoint::Revocation, request, &form)?.client;
    let token = form.get("token")?.ok_or_else(|| {
        OAuthError::invalid_request("token: expected the token to revoke, found none")
    })?;
    // `token_type_hint` is not needed (RFC 7009 §2.1): a token's prefix says what it is.
    let token = token.to_owned();
    let revoked = web.write(
        by(&request.head, Actor::Client(client.id)),
        move |tx, moment| revoke_token(tx, moment, &client, &token),
    );
    Ok(revoked.await?)
}
