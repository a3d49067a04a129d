//! `POST /oauth2/device_authorization`, RFC 8628 §3.1.

use std::sync::Arc;

use http::{HeaderValue, StatusCode, header::RETRY_AFTER};
use serde::Serialize;

use crate::{
    http::{
        params::Params,
        request::Request,
        response::{Response, json},
    },
    model::{audit::Actor, timestamp::Timestamp},
    oauth2provider::{
        device::{self, BeginError, Begun},
        resources::RequestError,
    },
    web::{
        Web,
        credentials::{Caller, by},
        headers::never_stored,
        oauth2::{client_credentials::authenticate, error::OAuthError, token},
        pages::device::DEVICE_PATH,
        throttle::Endpoint,
    },
};

/// Seconds after which a device that found no room may try again.
const FULL_RETRY_AFTER: HeaderValue = HeaderValue::from_static("60");

/// What a device gets (RFC 8628 §3.2).
#[derive(Serialize)]
struct DeviceAuthorizationResponse {
    device_code: String,
    user_code: String,
    verification_uri: String,
    verification_uri_complete: String,
    expires_in: u64,
    interval: u32,
}

/// `POST /oauth2/device_authorization`.
pub async fn post(web: Arc<Web>, request: Request, _: Caller) -> Response {
    match begin(&web, &request).await {
        Ok(begun) => {
            let answer = response(&web, request.head.now, &begun);
            never_stored(json(StatusCode::OK, &answer))
        }
        Err(error) => error.into_response(),
    }
}

fn response(web: &Web, now: Timestamp, begun: &Begun) -> DeviceAuthorizationResponse {
    let verification_uri = web.provider.public_url.join(DEVICE_PATH);
    DeviceAuthorizationResponse {
        device_code: begun.device_code.reveal(),
        user_code: begun.user_code.to_string(),
        verification_uri_complete: format!("{verification_uri}?user_code={}", begun.user_code),
        verification_uri,
        expires_in: begun.expires_at.since(now).as_secs(),
        interval: begun.interval_seconds,
    }
}

async fn begin(web: &Web, request: &Request) -> Result<Begun, OAuthError> {
    let form = Params::from_form(request)?;
    if let Some(name) = form.first_repeated(&["resource"]) {
        return Err(OAuthError::invalid_request(format!(
            "{name}: expected it once"
        )));
    }
    let client = authenticate(web, Endpoint::DeviceAuthorization, request, &form)?.client;
    let (scopes, resource) = (token::scopes(&form)?, token::resource(&form)?);
    let by = by(&request.head, Actor::Client(client.id));
    let begun = web.write(by, move |tx, moment| {
        device::begin(tx, moment, &client, scopes, resource)
    });
    begun.await.map_err(refused)
}

fn refused(error: BeginError) -> OAuthError {
    let why = error.to_string();
    match error {
        BeginError::Store(fault) | BeginError::Request(RequestError::Store(fault)) => fault.into(),
        BeginError::GrantTypeNotAllowed => OAuthError::bad_request("unauthorized_client", why),
        BeginError::Request(refusal) => OAuthError::bad_request(refusal.code(), why),
        BeginError::Full => OAuthError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "temporarily_unavailable",
            why,
        )
        .with_header(RETRY_AFTER, FULL_RETRY_AFTER),
    }
}
