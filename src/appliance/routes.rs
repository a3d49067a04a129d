//! The table of routes: what is served where, to whom, and by what.

use std::sync::Arc;

use http::{Method, StatusCode};

use crate::{
    appliance::{Appliance, metrics},
    experiments::MCP_SERVER_HTTP,
    http::{
        request::Request,
        response::{Response, json},
        route::{Cors, OnHangUp, Route},
    },
    mcp::{self, MCP_BODY_BYTES_MAX},
    model::{
        oauth2::scope::{
            APPS_READ, APPS_WRITE, AUDIT_READ, GRANTS_READ, GRANTS_WRITE, NOTIFICATIONS_READ,
            NOTIFICATIONS_WRITE, SESSIONS_READ, SETTINGS_READ, SETTINGS_WRITE, USER_READ,
            WEBPUSH_WRITE,
        },
        user::Role,
    },
    oauth2provider::{
        MCP_EXPERIMENT_PATH, MCP_PATH, MCP_READONLY_PATH, MCP_SEARCH_PATH, MCP_STANDARD_PATH,
    },
    web::{
        api::{self, API_BODY_BYTES_MAX, caller::Needs, webpush::WEBPUSH_BODY_BYTES_MAX},
        credentials::{Access, Caller},
        health,
        oauth2::{
            FORM_BYTES_MAX, authorize, clients, device_authorization, introspect, metadata,
            register::{self, REGISTRATION_BYTES_MAX},
            revoke, token,
        },
        pages::{account, apps, claim, device, home, inbox, installed, sign_in},
        refusals::ApiError,
        throttle::{Endpoint, Subject},
    },
};

/// A route whose endpoint lives on the web floor.
macro_rules! web {
    ($method:ident $path:literal, $access:ident $(($limited:ident))?, $endpoint:path) => {
        Route::new(
            ::http::Method::$method,
            $path,
            Access::$access $((Endpoint::$limited))?,
            |app: Arc<Appliance>, request, caller| {
                Box::pin($endpoint(Arc::clone(&app.web), request, caller))
            },
        )
    };
}

/// A route of the management API: what a token needs, and the least role of its person.
macro_rules! api {
    ($method:ident $path:literal, $scope:ident, $role:ident, $endpoint:path) => {
        Route::new(
            ::http::Method::$method,
            $path,
            Access::Api(Needs {
                scope: $scope,
                role: Role::$role,
            }),
            |app: Arc<Appliance>, request, caller| {
                Box::pin(api::answer(
                    Arc::clone(&app.web),
                    request,
                    caller,
                    $endpoint,
                ))
            },
        )
    };
}

/// The same, for a form.
macro_rules! form {
    ($path:literal, $access:ident $(($limited:ident))?, $endpoint:path) => {
        web!(POST $path, $access $(($limited))?, $endpoint).body_bytes_max(FORM_BYTES_MAX)
    };
}

/// The MCP endpoint, by every method: the credential comes before the method.
macro_rules! mcp {
    ($method:ident $path:ident) => {
        Route::new(
            ::http::Method::$method,
            $path,
            Access::Bearer($path),
            |app, request, caller| Box::pin(mcp(app, request, caller, $path)),
        )
        .body_bytes_max(MCP_BODY_BYTES_MAX)
        .cors(Cors::AnyOrigin)
        // A disconnect cancels the request (MCP 2026-07-28, transports).
        .on_hang_up(OnHangUp::Cancel)
    };
}

/// The MCP endpoint of one upstream, by every method.
macro_rules! mcp_upstream {
    ($method:ident) => {
        Route::new(
            ::http::Method::$method,
            "/mcp/{upstream}",
            Access::Upstream,
            |app, request, caller| Box::pin(mcp_upstream(app, request, caller)),
        )
        .body_bytes_max(MCP_BODY_BYTES_MAX)
        .cors(Cors::AnyOrigin)
        .on_hang_up(OnHangUp::Cancel)
    };
}

/// Where the metrics are, for who shows their token.
pub const METRICS_PATH: &str = "/metrics";

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
    form!("/oauth2/token", Client(Token), token::post).cors(Cors::AnyOrigin),
    form!("/oauth2/tokens", Client(Token), token::post).cors(Cors::AnyOrigin),
    form!("/token", Client(Token), token::post).cors(Cors::AnyOrigin),
    web!(POST "/oauth2/register", Client(Registration), register::post)
        .body_bytes_max(REGISTRATION_BYTES_MAX)
        .cors(Cors::AnyOrigin),
    web!(POST "/register", Client(Registration), register::post)
        .body_bytes_max(REGISTRATION_BYTES_MAX)
        .cors(Cors::AnyOrigin),
    web!(GET "/oauth2/clients/{client_id}", Anyone, clients::get).cors(Cors::AnyOrigin),
    web!(PUT "/oauth2/clients/{client_id}", Anyone, clients::put)
        .body_bytes_max(REGISTRATION_BYTES_MAX)
        .cors(Cors::AnyOrigin),
    web!(DELETE "/oauth2/clients/{client_id}", Anyone, clients::delete).cors(Cors::AnyOrigin),
    form!("/oauth2/revoke", Client(Revocation), revoke::post).cors(Cors::AnyOrigin),
    form!("/oauth2/introspect", Client(Introspection), introspect::post),
    form!("/oauth2/device_authorization", Client(DeviceAuthorization), device_authorization::post)
        .cors(Cors::AnyOrigin),
    mcp!(POST MCP_PATH),
    mcp!(GET MCP_PATH),
    mcp!(DELETE MCP_PATH),
    mcp!(POST MCP_STANDARD_PATH),
    mcp!(GET MCP_STANDARD_PATH),
    mcp!(DELETE MCP_STANDARD_PATH),
    mcp!(POST MCP_READONLY_PATH),
    mcp!(GET MCP_READONLY_PATH),
    mcp!(DELETE MCP_READONLY_PATH),
    mcp!(POST MCP_SEARCH_PATH),
    mcp!(GET MCP_SEARCH_PATH),
    mcp!(DELETE MCP_SEARCH_PATH),
    mcp_upstream!(POST),
    mcp_upstream!(GET),
    mcp_upstream!(DELETE),
    mcp!(POST MCP_EXPERIMENT_PATH),
    mcp!(GET MCP_EXPERIMENT_PATH),
    mcp!(DELETE MCP_EXPERIMENT_PATH),
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
    web!(GET "/inbox", SignedIn, inbox::get),
    form!("/inbox/read-all", SignedIn, inbox::read_all),
    web!(GET "/inbox/settings", SignedIn, inbox::settings::get),
    form!("/inbox/settings", SignedIn, inbox::settings::switch),
    form!("/inbox/settings/unmute", SignedIn, inbox::settings::unmute),
    form!("/inbox/{id}", SignedIn, inbox::change),
    web!(GET "/manifest.webmanifest", Anyone, installed::manifest),
    web!(GET "/sw.js", Anyone, installed::service_worker),
    web!(GET "/admin/apps", Owner, apps::list),
    form!("/admin/apps", Owner, apps::create),
    web!(GET "/admin/apps/{id}", Owner, apps::get),
    form!("/admin/apps/{id}/remove", Owner, apps::remove),
    form!("/admin/apps/{id}/secrets", Owner, apps::add_secret),
    form!("/admin/apps/{id}/secrets/{sid}/remove", Owner, apps::remove_secret),
    api!(GET "/api/v2/oauth2-provider/apps", APPS_READ, Member, api::apps::list),
    api!(POST "/api/v2/oauth2-provider/apps", APPS_WRITE, Owner, api::apps::create)
        .body_bytes_max(API_BODY_BYTES_MAX),
    api!(GET "/api/v2/oauth2-provider/apps/{id}", APPS_READ, Member, api::apps::get),
    api!(PUT "/api/v2/oauth2-provider/apps/{id}", APPS_WRITE, Owner, api::apps::replace)
        .body_bytes_max(API_BODY_BYTES_MAX),
    api!(DELETE "/api/v2/oauth2-provider/apps/{id}", APPS_WRITE, Owner, api::apps::remove),
    api!(GET "/api/v2/oauth2-provider/apps/{id}/secrets", APPS_READ, Owner, api::app_secrets::list),
    api!(POST "/api/v2/oauth2-provider/apps/{id}/secrets", APPS_WRITE, Owner, api::app_secrets::create)
        .body_bytes_max(API_BODY_BYTES_MAX),
    api!(DELETE "/api/v2/oauth2-provider/apps/{id}/secrets/{sid}", APPS_WRITE, Owner, api::app_secrets::remove),
    api!(GET "/api/v2/oauth2-provider/settings", SETTINGS_READ, Owner, api::settings::get),
    api!(PUT "/api/v2/oauth2-provider/settings", SETTINGS_WRITE, Owner, api::settings::replace)
        .body_bytes_max(API_BODY_BYTES_MAX),
    api!(GET "/api/v2/users/me", USER_READ, Member, api::users::me),
    api!(GET "/api/v2/users/me/grants", GRANTS_READ, Member, api::grants::list),
    api!(DELETE "/api/v2/users/me/grants/{id}", GRANTS_WRITE, Member, api::grants::remove),
    api!(GET "/api/v2/users/me/sessions", SESSIONS_READ, Member, api::sessions::list),
    api!(POST "/api/v2/users/{user}/webpush/subscription", WEBPUSH_WRITE, Member, api::webpush::subscribe)
        .body_bytes_max(WEBPUSH_BODY_BYTES_MAX),
    api!(DELETE "/api/v2/users/{user}/webpush/subscription", WEBPUSH_WRITE, Member, api::webpush::unsubscribe)
        .body_bytes_max(WEBPUSH_BODY_BYTES_MAX),
    api!(POST "/api/v2/users/{user}/webpush/test", WEBPUSH_WRITE, Member, api::webpush::test)
        .body_bytes_max(WEBPUSH_BODY_BYTES_MAX),
    api!(GET "/api/v2/notifications/inbox", NOTIFICATIONS_READ, Member, api::notifications::list),
    api!(GET "/api/v2/notifications/inbox/watch", NOTIFICATIONS_READ, Member, api::notifications::watch::watch),
    api!(PUT "/api/v2/notifications/inbox/mark-all-as-read", NOTIFICATIONS_WRITE, Member, api::notifications::mark_all_as_read)
        .body_bytes_max(API_BODY_BYTES_MAX),
    api!(PUT "/api/v2/notifications/inbox/{id}/read-status", NOTIFICATIONS_WRITE, Member, api::notifications::set_read)
        .body_bytes_max(API_BODY_BYTES_MAX),
    api!(DELETE "/api/v2/notifications/inbox/{id}", NOTIFICATIONS_WRITE, Member, api::notifications::remove),
    api!(GET "/api/v2/notifications/settings", NOTIFICATIONS_READ, Member, api::notifications::settings::get),
    api!(PUT "/api/v2/notifications/settings", NOTIFICATIONS_WRITE, Member, api::notifications::settings::switch)
        .body_bytes_max(API_BODY_BYTES_MAX),
    api!(PUT "/api/v2/notifications/settings/muted/{client_id}", NOTIFICATIONS_WRITE, Member, api::notifications::settings::mute)
        .body_bytes_max(API_BODY_BYTES_MAX),
    api!(DELETE "/api/v2/notifications/settings/muted/{client_id}", NOTIFICATIONS_WRITE, Member, api::notifications::settings::unmute),
    api!(GET "/api/v2/experiments", USER_READ, Member, api::experiments::list),
    api!(GET "/api/v2/experiments/available", USER_READ, Member, api::experiments::available),
    api!(GET "/api/v2/audit", AUDIT_READ, Owner, api::audit::search),
    api!(GET "/api/v2/auth/scopes", USER_READ, Member, api::scopes::list),
    Route::new(
        ::http::Method::POST,
        "/api/v2/notifications/custom",
        Access::ApiOrClient(Needs {
            scope: NOTIFICATIONS_WRITE,
            role: Role::Member,
        }),
        |app: Arc<Appliance>, request, caller| {
            Box::pin(api::notifications::custom::post(Arc::clone(&app.web), request, caller))
        },
    )
    .body_bytes_max(API_BODY_BYTES_MAX),
    web!(GET "/api/v2/buildinfo", Anyone, api::buildinfo::get),
    api!(DELETE "/oauth2/tokens", GRANTS_WRITE, Member, api::grants::remove_of_client),
    web!(GET "/healthz", Anyone, health::healthz),
    web!(GET "/readyz", Anyone, health::readyz),
    web!(GET "/favicon.ico", Anyone, home::favicon),
    Route::new(Method::GET, METRICS_PATH, Access::Metrics, |app, request, _| {
        Box::pin(async move { metrics::answer(app, &request.head).await })
    })
    .on_hang_up(OnHangUp::Cancel),
];

/// The MCP endpoint of the upstream that the path names.
async fn mcp_upstream(app: Arc<Appliance>, request: Request, caller: Caller) -> Response {
    let name = request.head.capture("upstream").unwrap_or_default();
    let path = format!("{MCP_PATH}/{name}");
    mcp(app, request, caller, &path).await
}

/// The MCP endpoint at `path`.
async fn mcp(app: Arc<Appliance>, request: Request, caller: Caller, path: &str) -> Response {
    if path == MCP_EXPERIMENT_PATH
        && let Err(off) = app.web.experiments.require(&[&MCP_SERVER_HTTP])
    {
        return refused(StatusCode::FORBIDDEN, &off.to_string());
    }
    match caller {
        Caller::Bearer(access) => {
            let allowance = Subject::Grant(access.grant_id);
            let checked = app
                .web
                .throttle
                .check(request.head.now, Endpoint::Mcp, allowance);
            match checked {
                Ok(()) => app.mcp.answer(request, *access, path).await,
                Err(wait) => mcp::too_often(wait.seconds),
            }
        }
        // The route asks for a bearer; if none was checked, nothing is done.
        Caller::Anyone | Caller::Visitor(_) | Caller::Api(_) | Caller::Client(_) => {
            refused(StatusCode::UNAUTHORIZED, "no credential")
        }
    }
}

fn refused(status: StatusCode, message: &str) -> Response {
    json(status, &ApiError::new(message, None))
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
                !matches!(route.access, Access::Visitor | Access::SignedIn),
                "{} {}",
                route.method,
                route.path
            );
        }
    }
}
