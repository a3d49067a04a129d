//! The table of routes: what is served where, to whom, and by what.

use std::sync::Arc;

use http::StatusCode;

use crate::{
    appliance::Appliance,
    experiments::MCP_SERVER_HTTP,
    http::{
        request::Request,
        response::{Response, json},
        route::{Cors, OnHangUp, Route},
    },
    mcp::MCP_BODY_BYTES_MAX,
    oauth2provider::{MCP_EXPERIMENT_PATH, MCP_PATH},
    web::{
        credentials::{Access, Caller},
        health,
        oauth2::{
            FORM_BYTES_MAX, authorize, clients, device_authorization, introspect, metadata,
            register::{self, REGISTRATION_BYTES_MAX},
            revoke, token,
        },
        pages::{account, claim, device, home, sign_in},
        refusals::ApiError,
    },
};

/// A route whose endpoint lives on the web floor.
macro_rules! web {
    ($method:ident $path:literal, $access:ident, $endpoint:path) => {
        Route::new(
            ::http::Method::$method,
            $path,
            Access::$access,
            |app: Arc<Appliance>, request, caller| {
                Box::pin($endpoint(Arc::clone(&app.web), request, caller))
            },
        )
    };
}

/// The same, for a form.
macro_rules! form {
    ($path:literal, $access:ident, $endpoint:path) => {
        web!(POST $path, $access, $endpoint).body_bytes_max(FORM_BYTES_MAX)
    };
}

/// The MCP endpoint, by every method: the credential comes before the method.
macro_rules! mcp {
    ($method:ident $path:ident, $endpoint:path) => {
        Route::new(
            ::http::Method::$method,
            $path,
            Access::Bearer($path),
            |app, request, caller| Box::pin($endpoint(app, request, caller)),
        )
        .body_bytes_max(MCP_BODY_BYTES_MAX)
        .cors(Cors::AnyOrigin)
        // A disconnect cancels the request (MCP 2026-07-28, transports).
        .on_hang_up(OnHangUp::Cancel)
    };
}

/// Every route.
pub static ROUTES: &[Route<Appliance>] = &[
    web!(GET "/.well-known/oauth-authorization-server", Anyone, metadata::authorization_server)
        .cors(Cors::AnyOrigin),
    web!(GET "/.well-known/oauth-authorization-server/{*path}", Anyone, metadata::authorization_server)
        .cors(Cors::AnyOrigin),
    web!(GET "/.well-known/oauth-protected-resource", Anyone, metadata::protected_resource)
        .cors(Cors::AnyOrigin),
    web!(GET "/.well-known/oauth-protected-resource/{*resource}", Anyone, metadata::protected_resource)
        .cors(Cors::AnyOrigin),
    web!(GET "/oauth2/authorize", Visitor, authorize::get),
    form!("/oauth2/authorize", Visitor, authorize::post),
    web!(GET "/authorize", Visitor, authorize::get),
    form!("/authorize", Visitor, authorize::post),
    form!("/oauth2/token", Anyone, token::post).cors(Cors::AnyOrigin),
    form!("/oauth2/tokens", Anyone, token::post).cors(Cors::AnyOrigin),
    form!("/token", Anyone, token::post).cors(Cors::AnyOrigin),
    web!(POST "/oauth2/register", Anyone, register::post)
        .body_bytes_max(REGISTRATION_BYTES_MAX)
        .cors(Cors::AnyOrigin),
    web!(POST "/register", Anyone, register::post)
        .body_bytes_max(REGISTRATION_BYTES_MAX)
        .cors(Cors::AnyOrigin),
    web!(GET "/oauth2/clients/{client_id}", Anyone, clients::get).cors(Cors::AnyOrigin),
    web!(PUT "/oauth2/clients/{client_id}", Anyone, clients::put)
        .body_bytes_max(REGISTRATION_BYTES_MAX)
        .cors(Cors::AnyOrigin),
    web!(DELETE "/oauth2/clients/{client_id}", Anyone, clients::delete).cors(Cors::AnyOrigin),
    form!("/oauth2/revoke", Anyone, revoke::post).cors(Cors::AnyOrigin),
    form!("/oauth2/introspect", Anyone, introspect::post),
    form!("/oauth2/device_authorization", Anyone, device_authorization::post)
        .cors(Cors::AnyOrigin),
    mcp!(POST MCP_PATH, mcp),
    mcp!(GET MCP_PATH, mcp),
    mcp!(DELETE MCP_PATH, mcp),
    mcp!(POST MCP_EXPERIMENT_PATH, experimental_mcp),
    mcp!(GET MCP_EXPERIMENT_PATH, experimental_mcp),
    mcp!(DELETE MCP_EXPERIMENT_PATH, experimental_mcp),
    web!(GET "/", Visitor, home::get),
    web!(GET "/assets/{*path}", Anyone, home::asset),
    web!(GET "/ca.crt", Anyone, home::ca_certificate),
    web!(GET "/claim/{token}", Anyone, claim::get),
    form!("/claim/{token}", Anyone, claim::post),
    web!(GET "/sign-in", Visitor, sign_in::get),
    form!("/sign-in", Anyone, sign_in::post),
    form!("/sign-out", Visitor, sign_in::sign_out),
    web!(GET "/device", SignedIn, device::get),
    form!("/device", SignedIn, device::post),
    web!(GET "/device/consent", SignedIn, device::ask),
    form!("/device/consent", SignedIn, device::decide),
    web!(GET "/device/answered", SignedIn, device::answered),
    web!(GET "/account", SignedIn, account::get),
    form!("/account/password", SignedIn, account::change_password),
    form!("/account/sessions/revoke-others", SignedIn, account::revoke_other_sessions),
    form!("/account/sessions/{id}/revoke", SignedIn, account::revoke_session),
    form!("/account/grants/{id}/revoke", SignedIn, account::revoke_grant),
    web!(GET "/healthz", Anyone, health::healthz),
    web!(GET "/readyz", Anyone, health::readyz),
    web!(GET "/favicon.ico", Anyone, home::favicon),
];

/// `/mcp`.
async fn mcp(app: Arc<Appliance>, request: Request, caller: Caller) -> Response {
    match caller {
        Caller::Bearer(access) => app.mcp.answer(request, *access).await,
        // The route asks for a bearer; if none was checked, nothing is done.
        Caller::Anyone | Caller::Visitor(_) => refused(StatusCode::UNAUTHORIZED, "no credential"),
    }
}

/// `/api/experimental/mcp/http`.
async fn experimental_mcp(app: Arc<Appliance>, request: Request, caller: Caller) -> Response {
    if let Err(off) = app.experiments.require(&MCP_SERVER_HTTP) {
        return refused(StatusCode::FORBIDDEN, &off.to_string());
    }
    match caller {
        Caller::Bearer(access) => app.experimental_mcp.answer(request, *access).await,
        Caller::Anyone | Caller::Visitor(_) => refused(StatusCode::UNAUTHORIZED, "no credential"),
    }
}

fn refused(status: StatusCode, message: &str) -> Response {
    json(
        status,
        &ApiError {
            message,
            detail: None,
        },
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_route_stands_once_and_bounds_its_body() {
        let mut seen = BTreeSet::new();
        for route in ROUTES {
            assert!(
                seen.insert((route.path, route.method.as_str())),
                "{} {} stands twice",
                route.method,
                route.path
            );
            assert!(route.path.starts_with('/'));
            assert!(route.body_bytes_max <= MCP_BODY_BYTES_MAX);
        }
    }

    /// Contract §8: never on the authorization endpoint and on pages.
    #[test]
    fn scripts_of_other_origins_read_nothing_that_a_cookie_opens() {
        for route in ROUTES.iter().filter(|route| route.cors == Cors::AnyOrigin) {
            assert!(
                matches!(route.access, Access::Anyone | Access::Bearer(_)),
                "{} {}",
                route.method,
                route.path
            );
        }
    }
}
