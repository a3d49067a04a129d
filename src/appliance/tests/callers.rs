//! Every route with every kind of caller.

use std::collections::BTreeSet;

use http::Method;

use super::{
    administered,
    browser::{Browser, Form},
    client_app::{ClientApp, public_at},
    house::{House, PASSWORD, Tokens, list_tools},
    wire::{Ask, Fields},
};
use crate::{
    appliance::routes::ROUTES,
    model::user::Role,
    oauth2provider::{MCP_EXPERIMENT_PATH, OWN_PATHS},
};

/// Who comes, in the order of a row's statuses: those last who may end a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Caller {
    Nobody,
    JunkBearer,
    McpBearer,
    OtherAudience,
    SignedOut,
    ForeignOrigin,
    ForeignHost,
    NoCsrfToken,
    Member,
    Owner,
}

const CALLERS: [Caller; 10] = [
    Caller::Nobody,
    Caller::JunkBearer,
    Caller::McpBearer,
    Caller::OtherAudience,
    Caller::SignedOut,
    Caller::ForeignOrigin,
    Caller::ForeignHost,
    Caller::NoCsrfToken,
    Caller::Member,
    Caller::Owner,
];

type Row = (&'static str, &'static str, [u16; 10]);

/// What everybody may read, scripts of other origins too.
const OPEN: [u16; 10] = [200, 200, 200, 200, 200, 200, 403, 200, 200, 200];
/// What everybody may see in a browser.
const PAGE: [u16; 10] = [200, 200, 200, 200, 200, 403, 403, 200, 200, 200];
/// Where a page asks; somebody who is not signed in is sent to the sign-in page.
const ASKING: [u16; 10] = [303, 303, 303, 303, 303, 403, 403, 200, 200, 200];
/// A form of a person who is signed in.
const FORM: [u16; 10] = [403, 403, 403, 403, 403, 403, 403, 403, 303, 303];
/// What a client sends that says who it is in the form; a bearer token is no way to say it.
const CODE: [u16; 10] = [400, 401, 401, 401, 400, 400, 403, 400, 400, 400];
const MADE: [u16; 10] = [201, 201, 201, 201, 201, 201, 403, 201, 201, 201];
/// What only a registration access token opens.
const MANAGED: [u16; 10] = [401, 401, 401, 401, 401, 401, 403, 401, 401, 401];
/// Not there on this box.
const MISSING: [u16; 10] = [404, 404, 404, 404, 404, 403, 403, 404, 404, 404];
const EXPERIMENT: [u16; 10] = [401, 401, 401, 403, 401, 403, 403, 401, 401, 401];
/// The path of an upstream.
const UPSTREAM: &str = "/mcp/{upstream}";
/// What only an access token opens.
const MCP: [u16; 10] = [401, 401, 200, 401, 401, 403, 403, 401, 401, 401];
const NOT_SERVED: [u16; 10] = [401, 401, 405, 401, 401, 403, 403, 401, 401, 401];
const PROBE: [u16; 10] = [200, 200, 200, 200, 200, 403, 200, 200, 200, 200];

/// A page of an owner's.
const fn owner_page(answer: u16) -> [u16; 10] {
    [303, 303, 303, 303, 303, 403, 403, 403, 403, answer]
}

/// A form of an owner's.
const fn owner_form(answer: u16) -> [u16; 10] {
    [403, 403, 403, 403, 403, 403, 403, 403, 403, answer]
}

const EXPECTED: &[Row] = &[
    ("GET", "/.well-known/oauth-authorization-server", OPEN),
    (
        "GET",
        "/.well-known/oauth-authorization-server/{*path}",
        OPEN,
    ),
    ("GET", "/.well-known/oauth-protected-resource", OPEN),
    (
        "GET",
        "/.well-known/oauth-protected-resource/{*resource}",
        OPEN,
    ),
    ("GET", "/oauth2/authorize", ASKING),
    ("POST", "/oauth2/authorize", FORM),
    ("GET", "/authorize", ASKING),
    ("POST", "/authorize", FORM),
    ("POST", "/oauth2/token", CODE),
    ("POST", "/oauth2/tokens", CODE),
    ("POST", "/token", CODE),
    ("POST", "/oauth2/register", MADE),
    ("POST", "/register", MADE),
    ("GET", "/oauth2/clients/{client_id}", MANAGED),
    ("PUT", "/oauth2/clients/{client_id}", MANAGED),
    ("DELETE", "/oauth2/clients/{client_id}", MANAGED),
    (
        "POST",
        "/oauth2/revoke",
        [200, 401, 401, 401, 200, 200, 403, 200, 200, 200],
    ),
    (
        "POST",
        "/oauth2/introspect",
        [400, 401, 401, 401, 400, 403, 403, 400, 400, 400],
    ),
    ("POST", "/oauth2/device_authorization", CODE),
    ("POST", "/mcp", MCP),
    ("GET", "/mcp", NOT_SERVED),
    ("DELETE", "/mcp", NOT_SERVED),
    ("POST", "/mcp/standard", MCP),
    ("GET", "/mcp/standard", NOT_SERVED),
    ("DELETE", "/mcp/standard", NOT_SERVED),
    ("POST", "/mcp/readonly", MCP),
    ("GET", "/mcp/readonly", NOT_SERVED),
    ("DELETE", "/mcp/readonly", NOT_SERVED),
    ("POST", "/mcp/search", MCP),
    ("GET", "/mcp/search", NOT_SERVED),
    ("DELETE", "/mcp/search", NOT_SERVED),
    ("POST", "/mcp/{upstream}", MCP),
    ("GET", "/mcp/{upstream}", NOT_SERVED),
    ("DELETE", "/mcp/{upstream}", NOT_SERVED),
    ("POST", "/api/experimental/mcp/http", EXPERIMENT),
    ("GET", "/api/experimental/mcp/http", EXPERIMENT),
    ("DELETE", "/api/experimental/mcp/http", EXPERIMENT),
    ("GET", "/", PAGE),
    ("GET", "/assets/{*path}", PAGE),
    ("GET", "/ca.crt", MISSING),
    ("GET", "/claim/{token}", MISSING),
    ("POST", "/claim/{token}", [403; 10]),
    (
        "GET",
        "/sign-in",
        [200, 200, 200, 200, 200, 403, 403, 303, 303, 303],
    ),
    (
        "POST",
        "/sign-in",
        [403, 403, 403, 403, 303, 403, 403, 403, 303, 303],
    ),
    (
        "POST",
        "/sign-out",
        [303, 303, 303, 303, 303, 403, 403, 403, 303, 303],
    ),
    ("GET", "/device", ASKING),
    ("POST", "/device", [403; 10]),
    (
        "GET",
        "/device/consent",
        [303, 303, 303, 303, 303, 403, 403, 303, 303, 303],
    ),
    ("POST", "/device/consent", [403; 10]),
    ("GET", "/device/answered", ASKING),
    ("GET", "/account", ASKING),
    (
        "POST",
        "/account/password",
        [403, 403, 403, 403, 403, 403, 403, 403, 422, 422],
    ),
    ("POST", "/account/sessions/revoke-others", FORM),
    ("POST", "/account/sessions/{id}/revoke", FORM),
    ("POST", "/account/grants/{id}/revoke", FORM),
    ("GET", "/inbox", ASKING),
    ("POST", "/inbox/read-all", FORM),
    ("GET", "/inbox/settings", ASKING),
    ("POST", "/inbox/settings", FORM),
    ("POST", "/inbox/settings/unmute", FORM),
    ("POST", "/inbox/{id}", FORM),
    ("GET", "/manifest.webmanifest", PAGE),
    ("GET", "/sw.js", PAGE),
    ("GET", "/admin/apps", owner_page(200)),
    ("POST", "/admin/apps", owner_form(422)),
    ("GET", "/admin/apps/{id}", owner_page(404)),
    ("POST", "/admin/apps/{id}/remove", owner_form(303)),
    ("POST", "/admin/apps/{id}/secrets", owner_form(404)),
    (
        "POST",
        "/admin/apps/{id}/secrets/{sid}/remove",
        owner_form(303),
    ),
    ("GET", "/api/v2/buildinfo", PAGE),
    ("GET", "/healthz", PROBE),
    ("GET", "/readyz", PROBE),
    (
        "GET",
        "/favicon.ico",
        [303, 303, 303, 303, 303, 403, 403, 303, 303, 303],
    ),
    // With its token it has tests of its own.
    ("GET", "/metrics", MISSING),
];

/// Threat 13: a route without a check. One that is not in the table above fails here. Those of the
/// management API have a table of their own.
#[test]
fn every_route_has_its_row_of_expectations() {
    let routes = ROUTES
        .iter()
        .filter(|route| !route.access.is_of_api())
        .map(|route| (route.method.as_str(), route.path));
    let routes: BTreeSet<_> = routes.collect();
    let expected = EXPECTED.iter().map(|(method, path, _)| (*method, *path));
    assert_eq!(routes, expected.collect());
}

/// Threats 1, 13, 34, 35 and 38; contract §5 (audience) and §8.
#[tokio::test]
async fn every_route_answers_every_kind_of_caller_as_expected() {
    let mut wrong = Vec::new();
    for (method, path, expected) in EXPECTED.iter().copied() {
        let house = House::open();
        administered::upstream(&house, "files").await;
        let world = World::of(&house).await;
        for (caller, expected) in CALLERS.into_iter().zip(expected) {
            let ask = world.ask(method, path, caller).await;
            let found = house.ask(ask).await.status;
            if found != expected {
                wrong.push(format!(
                    "{method} {path} {caller:?}: expected {expected}, found {found}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// A house with somebody of every kind.
struct World<'house> {
    app: ClientApp,
    mcp: Tokens,
    other: Tokens,
    stranger: Browser<'house>,
    sign_in: Form,
    member: Browser<'house>,
    owner: Browser<'house>,
}

impl<'house> World<'house> {
    async fn of(house: &'house House) -> Self {
        let (mut member, app, mcp) = house.connected().await;
        let elsewhere = format!("{}{MCP_EXPERIMENT_PATH}", house.public_url);
        let request = app.request().with("resource", &elsewhere);
        let code = member.allow(&request).await.code();
        let other = Tokens::of(&house.token(&app.exchange(&code)).await);
        let root = house.person("root", Role::Owner).await;
        let mut owner = house.signed_in(&root).await;
        let mut stranger = house.stranger();
        let sign_in = stranger.open_form("/sign-in", "/sign-in").await;
        // Who is signed in may still have the sign-in page open elsewhere.
        let form_cookie = stranger.cookie("keystead_form").expect("a form's cookie");
        for browser in [&mut member, &mut owner] {
            browser.keep("keystead_form", form_cookie);
        }
        Self {
            app,
            mcp,
            other,
            stranger,
            sign_in,
            member,
            owner,
        }
    }

    async fn ask(&self, method: &str, path: &str, caller: Caller) -> Ask {
        let browser = match caller {
            Caller::Owner => &self.owner,
            _ => &self.member,
        };
        let mut fields = self.fields(path, browser).await;
        if caller == Caller::NoCsrfToken {
            fields = fields.without("csrf_token");
        }
        let ask = self.example(method.parse().expect("a method"), path, &fields);
        let is_mcp = OWN_PATHS.contains(&path) || path == UPSTREAM;
        let trusted = |ask: Ask| {
            let ask = self.member.dress(ask);
            if is_mcp {
                ask.bearer(&self.mcp.access)
            } else {
                ask
            }
        };
        match caller {
            Caller::Nobody => ask,
            Caller::JunkBearer => ask.bearer("junk"),
            Caller::McpBearer => ask.bearer(&self.mcp.access),
            Caller::OtherAudience => ask.bearer(&self.other.access),
            Caller::SignedOut => self.stranger.dress(ask),
            Caller::Member | Caller::Owner | Caller::NoCsrfToken => browser.dress(ask),
            Caller::ForeignOrigin => trusted(ask).header("origin", "https://evil.example"),
            Caller::ForeignHost => trusted(ask).header("host", "evil.example"),
        }
    }

    /// A request whose page is shown although the person allowed the app before.
    fn request(&self) -> Fields {
        self.app.request().with("prompt", "consent")
    }

    /// What the form of a path is sent with, by somebody who was shown its page.
    async fn fields(&self, path: &str, browser: &Browser<'_>) -> Fields {
        match path {
            "/oauth2/authorize" | "/authorize" => {
                let form = browser.consent(&self.request()).await;
                form.fields.with("decision", "deny")
            }
            "/oauth2/token" | "/oauth2/tokens" | "/token" => self.app.exchange("ks_ac_unknown"),
            "/oauth2/revoke" => self.app.identified(&[("token", "unknown")]),
            "/sign-in" => {
                let form = self.sign_in.clone().with("username", "ada");
                form.with("password", PASSWORD).fields
            }
            _ => Fields::of(&[
                ("csrf_token", &browser.csrf_token().await),
                ("current_password", "not the one"),
            ]),
        }
    }

    fn example(&self, method: Method, path: &str, fields: &Fields) -> Ask {
        let target = path
            .replace("{*path}", "style.css")
            .replace("{*resource}", "mcp")
            .replace("{upstream}", "files")
            .replace("{client_id}", &self.app.id)
            .replace("{token}", "ks_cl_unknown")
            .replace("{sid}", "0000000000000000000000")
            .replace("{id}", "0000000000000000000000");
        let mut ask = match path {
            UPSTREAM => list_tools(&target),
            _ if OWN_PATHS.contains(&path) => list_tools(path),
            "/oauth2/authorize" | "/authorize" if method == Method::GET => {
                let query = self.request().encoded();
                Ask::get(&format!("{target}?{query}"))
            }
            "/oauth2/register" | "/register" | "/oauth2/clients/{client_id}" => {
                Ask::json(&target, &public_at("https://other.example/cb"))
            }
            _ if method == Method::POST => Ask::form(&target, fields),
            _ => Ask::get(&target),
        };
        if matches!(method, Method::GET | Method::DELETE) {
            ask = ask.body("");
        }
        ask.method = method;
        ask
    }
}
