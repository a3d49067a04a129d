//! `POST /oauth2/token`.

use std::{str::FromStr, sync::Arc};

use http::StatusCode;
use serde::Serialize;

use crate::{
    http::{
        params::Params,
        request::Request,
        response::{Response, json},
    },
    model::{
        audit::{Actor, Origin},
        credential::{Credential, CredentialKind},
        oauth2::{client::GrantType, resource::ResourceUri, scope::ScopeSet},
        timestamp::Timestamp,
    },
    oauth2provider::{
        apps::ProvenClient,
        device,
        tokens::{self, CodeExchange, Issued, Refresh, TokenError},
    },
    web::{
        Web,
        credentials::{Caller, by},
        figures::TokenOutcome,
        headers::never_stored,
        oauth2::{client_credentials::authenticate, error::OAuthError},
        throttle::Endpoint,
    },
};

/// What a client gets (RFC 6749 §5.1). `scope` is always there: a client that does not find it
/// would believe that it got what it asked for.
#[derive(Serialize)]
struct TokenResponse {
    access_token: String,
    token_type: &'static str,
    expires_in: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    scope: String,
}

/// `POST /oauth2/token`.
pub async fn post(web: Arc<Web>, request: Request, _: Caller) -> Response {
    match exchange(&web, &request).await {
        Ok(issued) => never_stored(json(StatusCode::OK, &response(request.head.now, &issued))),
        Err(error) => error.into_response(),
    }
}

fn response(now: Timestamp, issued: &Issued) -> TokenResponse {
    TokenResponse {
        access_token: issued.access_token.reveal(),
        token_type: "Bearer",
        expires_in: issued.expires_at.since(now).as_secs(),
        refresh_token: issued.refresh_token.as_ref().map(Credential::reveal),
        scope: issued.scopes.to_string(),
    }
}

async fn exchange(web: &Web, request: &Request) -> Result<Issued, OAuthError> {
    let form = Params::from_form(request)?;
    if let Some(name) = form.first_repeated(&["resource"]) {
        return Err(OAuthError::invalid_request(format!(
            "{name}: expected it once"
        )));
    }
    let proven = authenticate(web, Endpoint::Token, request, &form)?;
    let grant_type = form
        .get("grant_type")?
        .ok_or_else(|| missing("grant_type"))?;
    let by = by(&request.head, Actor::Client(proven.client.id));
    let Some(grant) = GrantType::find(grant_type) else {
        let known: Vec<_> = GrantType::ALL.iter().map(|grant| grant.as_str()).collect();
        let why = format!("grant_type: expected one of {}", known.join(", "));
        return Err(OAuthError::bad_request("unsupported_grant_type", why));
    };
    let asked = match grant {
        GrantType::AuthorizationCode => exchange_code(web, by, proven, &form).await,
        GrantType::RefreshToken => refresh(web, by, proven, &form).await,
        GrantType::ClientCredentials => issue_to_client(web, by, proven, &form).await,
        GrantType::DeviceCode => poll(web, by, proven, &form).await,
    };
    web.figures
        .asked_for_tokens(grant, TokenOutcome::of(&asked));
    asked?.map_err(|refusal| OAuthError::bad_request(refusal.code(), refusal.to_string()))
}

async fn exchange_code(
    web: &Web,
    by: Origin,
    proven: ProvenClient,
    form: &Params,
) -> Result<Result<Issued, TokenError>, OAuthError> {
    let code = form.get("code")?.ok_or_else(|| missing("code"))?;
    // RFC 7636 §4.5, and OAuth 2.1: without a verifier nothing is exchanged (threat 16).
    let verifier = parse(form, "code_verifier")?.ok_or_else(|| missing("code_verifier"))?;
    let Ok(code) = Credential::parse(CredentialKind::AuthorizationCode, code) else {
        return Ok(Err(TokenError::CodeUnknown));
    };
    // One that cannot be parsed cannot be the one of the authorization request, which was. The
    // code is not spent by a request that could never have had it.
    let Ok(redirect_uri) = form.get("redirect_uri")?.map(str::parse).transpose() else {
        return Ok(Err(TokenError::RedirectMismatch));
    };
    let resource = resource(form)?;
    let exchange = CodeExchange {
        code,
        verifier,
        redirect_uri,
        resource,
    };
    let exchanged = web.write(by, move |tx, moment| {
        tokens::exchange_code(tx, moment, &proven, &exchange)
    });
    Ok(exchanged.await?)
}

async fn refresh(
    web: &Web,
    by: Origin,
    proven: ProvenClient,
    form: &Params,
) -> Result<Result<Issued, TokenError>, OAuthError> {
    let token = form
        .get("refresh_token")?
        .ok_or_else(|| missing("refresh_token"))?;
    let (scopes, resource) = (scopes(form)?, resource(form)?);
    let Ok(token) = Credential::parse(CredentialKind::RefreshToken, token) else {
        return Ok(Err(TokenError::RefreshUnknown));
    };
    let refresh = Refresh {
        token,
        scopes,
        resource,
    };
    let refreshed = web.write(by, move |tx, moment| {
        tokens::refresh(tx, moment, &proven, &refresh)
    });
    Ok(refreshed.await?)
}

async fn issue_to_client(
    web: &Web,
    by: Origin,
    proven: ProvenClient,
    form: &Params,
) -> Result<Result<Issued, TokenError>, OAuthError> {
    let (scopes, resource) = (scopes(form)?, resource(form)?);
    let issued = web.write(by, move |tx, moment| {
        tokens::issue_to_client(tx, moment, &proven, scopes, resource)
    });
    Ok(issued.await?)
}

/// RFC 8628 §3.4.
async fn poll(
    web: &Web,
    by: Origin,
    proven: ProvenClient,
    form: &Params,
) -> Result<Result<Issued, TokenError>, OAuthError> {
    let code = form
        .get("device_code")?
        .ok_or_else(|| missing("device_code"))?;
    let Ok(code) = Credential::parse(CredentialKind::DeviceCode, code) else {
        return Ok(Err(TokenError::DeviceUnknown));
    };
    let polled = web.write(by, move |tx, moment| {
        device::poll(tx, moment, &proven, &code)
    });
    Ok(polled.await?)
}

fn missing(name: &str) -> OAuthError {
    OAuthError::invalid_request(format!("{name}: expected a value, found none"))
}

fn parse<T: FromStr<Err: std::fmt::Display>>(
    form: &Params,
    name: &str,
) -> Result<Option<T>, OAuthError> {
    let text = form.get(name)?;
    text.map(str::parse)
        .transpose()
        .map_err(|error: T::Err| OAuthError::invalid_request(format!("{name}: {error}")))
}

/// The scopes that a request names, if it names any.
pub(super) fn scopes(form: &Params) -> Result<Option<ScopeSet>, OAuthError> {
    let scopes = form.get("scope")?.map(str::parse).transpose();
    scopes.map_err(|error| OAuthError::bad_request("invalid_scope", format!("scope: {error}")))
}

/// RFC 8707 §2.2 lets `resource` repeat; a token of ours has one audience, so the values have to
/// be the same one.
pub(super) fn resource(form: &Params) -> Result<Option<ResourceUri>, OAuthError> {
    parse_resources(form).map_err(|why| OAuthError::bad_request("invalid_target", why))
}

/// The one resource that a request names, if it names any.
pub(super) fn parse_resources(params: &Params) -> Result<Option<ResourceUri>, String> {
    let mut named = None;
    for text in params.all("resource") {
        let parsed: ResourceUri = text.parse().map_err(|error| format!("resource: {error}"))?;
        if named.as_ref().is_some_and(|named| *named != parsed) {
            return Err("resource: expected one, because a token is for one; found several".into());
        }
        named = Some(parsed);
    }
    Ok(named)
}
