//! Contract §2: what a client asks for at the authorization endpoint, and how it is refused.

use super::{
    browser::Browser,
    client_app::{CALLBACK, ClientApp, challenge_of, public_at},
    house::{House, LOCAL, SECURE, Tokens},
    wire::{Answer, Ask, Fields},
};
use crate::{
    model::oauth2::{
        client::{AuthMethod, ClientMetadata, ClientName, GrantType},
        scope::ScopeSet,
    },
    oauth2provider::apps::{self, FirstSecret},
};
use serde_json::json;

/// The answer to a request whose form is sent back with `change` made to it, whether the page was
/// asked for or answered: both run the same checks.
async fn asked_and_answered(
    browser: &Browser<'_>,
    request: &Fields,
    change: impl Fn(Fields) -> Fields,
) -> [Answer; 2] {
    let form = browser.consent(request).await;
    [
        browser.authorize(&change(request.clone())).await,
        browser.decide(&change(form.fields)).await,
    ]
}

/// Asserts that `answer` is a page with that status, and that nobody is sent to the client.
#[track_caller]
fn assert_page(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{answer:#?}");
    assert_eq!(answer.header("location"), None);
    let kind = answer.header("content-type").expect("a page");
    assert!(kind.starts_with("text/html"), "{kind}");
}

/// Contract §2: "GET is idempotent and works without cookies". `FastMCP` asks first without cookies
/// and takes 401 and 403 for "client unknown" (`mcp.md` D1).
#[tokio::test]
async fn a_request_without_cookies_is_sent_to_sign_in_as_often_as_it_is_made() {
    let house = House::open();
    let request = ClientApp::public(&house).await.request();
    let first = house.stranger().authorize(&request).await;
    let path = format!("/oauth2/authorize?{}", request.encoded());
    let to_sign_in = first.location().strip_prefix("/sign-in?");
    let returned = to_sign_in.expect("the sign-in page");
    let decoded: Vec<_> = url::form_urlencoded::parse(returned.as_bytes()).collect();
    assert_eq!(decoded, [("return_to".into(), path.into())]);
    let second = house.stranger().authorize(&request).await;
    assert_eq!(second.location(), first.location());
}

/// Contract §2: aliases at the origin, for hosts that ignore metadata (`mcp.md` D3).
#[tokio::test]
async fn the_alias_asks_the_same_question() {
    let house = House::open();
    let (ada, app) = (house.member("ada").await, ClientApp::public(&house).await);
    let path = format!("/authorize?{}", app.request().encoded());
    let page = ada.get(&path).await.expect(200);
    let form = super::browser::Form::find(&page.body, "/oauth2/authorize");
    assert!(ada.decide(&form.fields).await.code().starts_with("ks_ac_"));
}

/// Contract §2, `client_id`; RFC 6749 §3.1.2.4: nobody is redirected.
#[tokio::test]
async fn an_unknown_client_gets_a_page_and_no_redirect() {
    let house = House::open();
    let (ada, app) = (house.member("ada").await, ClientApp::public(&house).await);
    let removed = ClientApp::public(&house).await;
    let mut ask = Ask::get(&removed.path()).bearer(&removed.registration_token);
    ask.method = http::Method::DELETE;
    house.ask(ask).await.expect(204);
    for id in ["", "nobody", "\0", "0000000000000000000000", &removed.id] {
        let change = |fields: Fields| fields.with("client_id", id);
        for answer in asked_and_answered(&ada, &app.request(), change).await {
            assert_page(&answer, 400);
        }
        // Without a session it is the same, so that a client learns it before its person signs in.
        let answer = house.stranger().authorize(&change(app.request())).await;
        assert_page(&answer, 400);
    }
}

/// Contract §2, `redirect_uri`; threats 7, 17, 19 and 22: bytes are compared.
#[tokio::test]
async fn a_redirect_uri_that_is_not_registered_is_never_redirected_to() {
    let house = House::open();
    let (ada, app) = (house.member("ada").await, ClientApp::public(&house).await);
    for uri in [
        "https://app.example/callback/",
        "https://app.example/callback?x=1",
        "https://app.example/Callback",
        "https://app.example/%63allback",
        "https://app.example/x/../callback",
        "https://app.example//callback",
        "https://app.example:443/callback",
        "https://APP.example/callback",
        "https://app.example./callback",
        "https://app.example.evil.example/callback",
        "https://evil.example/callback",
        "https://app.example@evil.example/callback",
        "https://evil.example\\@app.example/callback",
        "https://app.example/callback#",
        " https://app.example/callback",
        "https://app.example/callback\t",
        "http://app.example/callback",
        "javascript:alert(1)//https://app.example/callback",
        "//app.example/callback",
        "/callback",
    ] {
        let change = |fields: Fields| fields.with("redirect_uri", uri);
        for answer in asked_and_answered(&ada, &app.request(), change).await {
            assert_page(&answer, 400);
        }
    }
}

/// Contract §2, `redirect_uri`: "required when several are registered, else the only one".
#[tokio::test]
async fn only_the_only_redirect_uri_goes_without_saying() {
    let house = House::open();
    let ada = house.member("ada").await;
    let one = ClientApp::public(&house).await;
    let request = one.request().without("redirect_uri");
    let code = ada.allow(&request).await.code();
    // RFC 6749 §4.1.3: required at the token endpoint only if it was sent.
    let exchange = one.exchange(&code).without("redirect_uri");
    house.token(&exchange).await.expect(200);

    let mut metadata = public_at(CALLBACK);
    metadata["redirect_uris"] = json!([CALLBACK, "https://app.example/other"]);
    let two = ClientApp::register(&house, &metadata).await;
    let request = two.request().without("redirect_uri");
    assert_page(&ada.authorize(&request).await, 400);
    for uri in [CALLBACK, "https://app.example/other"] {
        let request = two.request().with("redirect_uri", uri);
        let answer = ada.allow(&request).await;
        assert!(answer.location().starts_with(uri));
    }
}

/// Contract §2: the port of a loopback address is ignored, nothing else (`mcp.md` decision 6).
#[tokio::test]
async fn a_loopback_redirect_may_have_any_port_and_nothing_else() {
    let house = House::open();
    let ada = house.member("ada").await;
    for host in ["localhost", "127.0.0.1", "[::1]"] {
        let registered = format!("http://{host}/callback");
        let app = ClientApp::register(&house, &public_at(&registered)).await;
        for port in [":1", ":3118", ":65535", ""] {
            let uri = format!("http://{host}{port}/callback");
            let request = app.request().with("redirect_uri", &uri);
            let answer = ada.allow(&request).await;
            assert!(answer.location().starts_with(&format!("{uri}?")), "{uri}");
        }
        for wrong in [
            format!("http://{host}:1/callback/"),
            format!("https://{host}:1/callback"),
            format!("http://{host}:1/callback?x=1"),
            format!("http://{host}:99999/callback"),
            format!("http://{host}.evil.example:1/callback"),
            format!("http://{host}:1@evil.example/callback"),
        ] {
            let request = app.request().with("redirect_uri", &wrong);
            assert_page(&ada.authorize(&request).await, 400);
        }
        let other = if host == "localhost" {
            "127.0.0.1"
        } else {
            "localhost"
        };
        let request = app.request();
        let request = request.with("redirect_uri", &format!("http://{other}:1/callback"));
        assert_page(&ada.authorize(&request).await, 400);
    }
}

/// Contract §2, each row from `response_type` to `resource`; threats 16 and 18.
#[tokio::test]
async fn each_wrong_parameter_is_told_to_the_client() {
    let house = House::open();
    let (ada, app) = (house.member("ada").await, ClientApp::public(&house).await);
    let short = "x".repeat(42);
    let long = "x".repeat(129);
    let foreign = format!("{LOCAL}/other");
    for (name, value, error) in [
        ("response_type", "token", "unsupported_response_type"),
        (
            "response_type",
            "code id_token",
            "unsupported_response_type",
        ),
        ("response_type", "", "invalid_request"),
        ("code_challenge", "", "invalid_request"),
        ("code_challenge", &short, "invalid_request"),
        ("code_challenge", &long, "invalid_request"),
        (
            "code_challenge",
            "not+unreserved+but+long+enough+to+be+one+at+all",
            "invalid_request",
        ),
        ("code_challenge_method", "plain", "invalid_request"),
        ("code_challenge_method", "s256", "invalid_request"),
        ("code_challenge_method", "S512", "invalid_request"),
        (
            "resource",
            "https://elsewhere.example/mcp",
            "invalid_target",
        ),
        ("resource", &foreign, "invalid_target"),
        (
            "resource",
            "http://localhost:8420/mcp#fragment",
            "invalid_target",
        ),
        ("resource", "/mcp", "invalid_target"),
        (
            "resource",
            "http://localhost:8420.evil.example/mcp",
            "invalid_target",
        ),
    ] {
        let change = |fields: Fields| fields.with(name, value);
        for answer in asked_and_answered(&ada, &app.request(), change).await {
            let description = answer.told_error(error);
            assert!(description.contains(name), "{description}");
            assert!(description.contains("expected"), "{description}");
            let told = answer.told();
            assert_eq!(told.get("iss"), Some(LOCAL));
            assert_eq!(told.get("state"), Some("the-state"));
        }
    }
}

/// Contract §2, `scope`: known names, else `invalid_scope`.
#[tokio::test]
async fn an_unknown_scope_is_told_to_the_client() {
    let house = House::open();
    let (ada, app) = (house.member("ada").await, ClientApp::public(&house).await);
    for scope in [
        "admin",
        "user:read admin:write",
        "user:read\0",
        "user:\"read\"",
        "ü",
    ] {
        for browser in [&ada, &house.stranger()] {
            let request = app.request().with("scope", scope);
            let description = browser
                .authorize(&request)
                .await
                .told_error("invalid_scope");
            assert!(description.starts_with("scope: expected"), "{description}");
        }
        let form = ada.consent(&app.request()).await;
        let form = form.fields.with("requested_scope", scope);
        ada.decide(&form).await.told_error("invalid_scope");
    }
}

/// Contract §2: "any parameter twice"; RFC 6749 §3.1.
#[tokio::test]
async fn a_parameter_that_comes_twice_is_refused() {
    let house = House::open();
    let (ada, app) = (house.member("ada").await, ClientApp::public(&house).await);
    let request = app.request();
    for name in [
        "response_type",
        "code_challenge",
        "scope",
        "prompt",
        "whatever",
    ] {
        let value = request.get(name).unwrap_or("x").to_owned();
        let twice = request.clone().with(name, &value).and(&[(name, &value)]);
        let description = ada.authorize(&twice).await.told_error("invalid_request");
        assert!(description.contains(name), "{description}");
    }
    let state = request.clone().and(&[("state", "another")]);
    let answer = ada.authorize(&state).await;
    answer.told_error("invalid_request");
    assert_eq!(answer.told().get("state"), None, "which one would it be?");
    for name in ["client_id", "redirect_uri"] {
        let value = request.get(name).expect("a value").to_owned();
        let twice = request.clone().and(&[(name, &value)]);
        assert_page(&ada.authorize(&twice).await, 400);
    }
}

/// Contract §2: only `resource` may repeat; a token has one audience.
#[tokio::test]
async fn a_resource_may_repeat_while_it_is_the_same_one() {
    let house = House::open();
    let (ada, app) = (house.member("ada").await, ClientApp::public(&house).await);
    let mcp = format!("{LOCAL}/mcp");
    let same = app.request().and(&[("resource", &mcp)]);
    assert!(ada.allow(&same).await.code().starts_with("ks_ac_"));
    let other = app.request().and(&[("resource", LOCAL)]);
    ada.authorize(&other).await.told_error("invalid_target");
}

/// Contract §2, `resource`: case of scheme and host and one trailing slash are tolerated.
#[tokio::test]
async fn a_resource_is_found_however_clients_write_it() {
    let house = House::open();
    let (ada, app) = (house.member("ada").await, ClientApp::public(&house).await);
    for (written, opens_mcp) in [
        ("http://localhost:8420/mcp", true),
        ("HTTP://LocalHost:8420/mcp", true),
        ("http://localhost:8420/mcp/", true),
        ("http://localhost:8420", true),
        ("http://localhost:8420/", true),
        ("http://localhost:8420/api/experimental/mcp/http", false),
    ] {
        let request = app.request().with("resource", written);
        let request = request.with("prompt", "consent");
        let code = ada.allow(&request).await.code();
        let tokens = Tokens::of(&house.token(&app.exchange(&code)).await);
        let status = house.mcp(&tokens.access).await.status;
        assert_eq!(status == 200, opens_mcp, "{written}: {status}");
    }
}

/// Contract §2, `resource`: absent is the deployment itself (`mcp.md` D2 rule 8).
#[tokio::test]
async fn without_a_resource_the_token_is_for_the_deployment() {
    let house = House::open();
    let (ada, app) = (house.member("ada").await, ClientApp::public(&house).await);
    let request = app.request().without("resource");
    let form = ada.consent(&request).await;
    let code = ada.decide(&form.fields).await.code();
    let tokens = Tokens::of(&house.token(&app.exchange(&code)).await);
    house.mcp(&tokens.access).await.expect(200);
    let mcp = format!("{LOCAL}/mcp");
    let narrow = app.refreshing(&tokens.refresh).with("resource", &mcp);
    house.token(&narrow).await.expect(200);
}

/// Contract §2, `scope`; threat 37: who asks for nothing gets the least.
#[tokio::test]
async fn a_client_that_asks_for_no_scope_gets_the_least() {
    let house = House::open();
    let (ada, app) = (house.member("ada").await, ClientApp::public(&house).await);
    for request in [
        app.request().without("scope"),
        app.request().with("scope", " "),
    ] {
        let code = ada.allow(&request.with("prompt", "consent")).await.code();
        let tokens = Tokens::of(&house.token(&app.exchange(&code)).await);
        assert_eq!(tokens.scope, "user:read");
    }
}

/// Contract §2, `scope`: "a ceiling only for clients that an administrator made".
#[tokio::test]
async fn a_registered_scope_is_a_ceiling_only_where_an_administrator_set_it() {
    let house = House::open();
    let ada = house.member("ada").await;
    let mut metadata = public_at(CALLBACK);
    metadata["scope"] = "user:read".into();
    let by_itself = ClientApp::register(&house, &metadata).await;
    let code = by_itself.code(&ada).await;
    let tokens = Tokens::of(&house.token(&by_itself.exchange(&code)).await);
    assert!(tokens.scope.contains("grants:write"), "{tokens:?}");

    let metadata = ClientMetadata {
        name: ClientName::parse("Set up").expect("a name"),
        redirect_uris: vec![CALLBACK.parse().expect("a redirect URI")],
        auth_method: AuthMethod::None,
        grant_types: vec![GrantType::AuthorizationCode],
        scope: Some(ScopeSet::of(["user:read", "grants:read"])),
        client_uri: None,
        logo_uri: None,
        tos_uri: None,
        policy_uri: None,
        software_id: None,
        software_version: None,
        contacts: Vec::new(),
        application_type: None,
    };
    let made = house
        .write(move |tx, moment| apps::create(tx, moment.act(), metadata, FirstSecret::AtOnce));
    let (client, _) = made.await.expect("a client");
    let by_administrator = ClientApp {
        id: client.id.to_string(),
        ..by_itself
    };
    let answer = ada.authorize(&by_administrator.request()).await;
    answer.told_error("invalid_scope");
    let request = by_administrator.request().with("scope", "grants:read");
    ada.allow(&request).await.code();
}

/// Contract §2: `state` is echoed unchanged when sent, and `iss` is always there (RFC 9207 §2).
#[tokio::test]
async fn the_state_comes_back_as_it_went() {
    let house = House::open();
    let (ada, app) = (house.member("ada").await, ClientApp::public(&house).await);
    let long = "s".repeat(4_096);
    for state in [
        "x",
        "a b+c%20d&e=f#g/?",
        "<script>alert(1)</script>\"'",
        "é ünïcode 🔑",
        "new\r\nline\0",
        &long,
    ] {
        let request = app.request().with("state", state).with("prompt", "consent");
        let allowed = ada.allow(&request).await;
        let form = ada.consent(&request).await.fields.with("decision", "deny");
        let denied = ada.post("/oauth2/authorize", &form).await;
        let wrong = ada.authorize(&request.with("scope", "nothing")).await;
        for answer in [allowed, denied, wrong] {
            assert_eq!(answer.told().all("state"), [state]);
            assert_eq!(answer.told().all("iss"), [LOCAL]);
        }
    }
    let without = app.request().without("state").with("prompt", "consent");
    assert_eq!(ada.allow(&without).await.told().get("state"), None);
}

/// A state has a bound with a name; what is too long is still no reason for a page.
#[tokio::test]
async fn a_state_beyond_its_bound_is_refused() {
    let house = House::open();
    let (ada, app) = (house.member("ada").await, ClientApp::public(&house).await);
    let request = app.request().with("state", &"s".repeat(4_097));
    let description = ada.authorize(&request).await.told_error("invalid_request");
    assert!(description.contains("state: expected at most 4096 bytes"));
}

/// RFC 9207 §2: `iss` on an https deployment is the bare origin, byte for byte.
#[tokio::test]
async fn the_issuer_is_told_without_a_trailing_slash() {
    let house = House::on_https();
    let (ada, app) = (house.member("ada").await, ClientApp::public(&house).await);
    let request = app.request().without("resource");
    assert_eq!(ada.allow(&request).await.told().get("iss"), Some(SECURE));
}

/// Contract §2: "Descriptions name every failing field, in the RFC 6749 character set".
#[tokio::test]
async fn several_wrong_fields_are_all_named_in_plain_characters() {
    let house = House::open();
    let (ada, app) = (house.member("ada").await, ClientApp::public(&house).await);
    let request = Fields::of(&[
        ("client_id", &app.id),
        ("redirect_uri", CALLBACK),
        ("response_type", "tok\u{e9}n\"\\"),
        ("code_challenge", "short"),
        ("code_challenge_method", "plain"),
        ("scope", "sc\u{f6}pe"),
        ("resource", "not a uri"),
    ]);
    let description = ada
        .authorize(&request)
        .await
        .told_error("unsupported_response_type");
    for name in [
        "response_type",
        "code_challenge",
        "code_challenge_method",
        "scope",
        "resource",
    ] {
        assert!(
            description.contains(&format!("{name}: expected")),
            "{name}: {description}"
        );
    }
    assert!(description.chars().count() <= 2_048);
    // RFC 6749 §4.1.2.1: %x20-21 / %x23-5B / %x5D-7E.
    let allowed = |c: char| matches!(c, ' '..='~') && c != '"' && c != '\\';
    assert!(description.chars().all(allowed), "{description}");
}

/// Contract §2: a description has at most 2048 characters, however much is wrong.
#[tokio::test]
async fn a_description_has_an_end() {
    let house = House::open();
    let (ada, app) = (house.member("ada").await, ClientApp::public(&house).await);
    let names: Vec<_> = (0..60).map(|n| format!("{n}{}", "x".repeat(100))).collect();
    let request = app.request().with("scope", &names.join(" "));
    let description = ada.authorize(&request).await.told_error("invalid_scope");
    assert_eq!(description.chars().count(), 2_048);
}

/// Contract §2: other unknown parameters are ignored, and so is a missing method (S256 here).
#[tokio::test]
async fn unknown_parameters_and_a_missing_method_do_no_harm() {
    let house = House::open();
    let (ada, app) = (house.member("ada").await, ClientApp::public(&house).await);
    let request = app.request().without("code_challenge_method").and(&[
        ("nonce", "n"),
        ("login_hint", "x"),
        ("prompt", "login"),
        ("display", "popup"),
    ]);
    let code = ada.allow(&request).await.code();
    house.token(&app.exchange(&code)).await.expect(200);
}

/// RFC 6749 §3.1.2: the query of a redirect URI is retained.
#[tokio::test]
async fn the_query_of_a_redirect_uri_is_kept() {
    let house = House::open();
    let ada = house.member("ada").await;
    let app = ClientApp::register(&house, &public_at("https://app.example/cb?tenant=7")).await;
    let told = ada.allow(&app.request()).await.told();
    assert_eq!(told.get("tenant"), Some("7"));
    assert!(told.get("code").is_some());
}

/// Issue 2, bad input: 4xx, never 500; nothing that cannot be read is redirected.
#[tokio::test]
async fn a_malformed_query_gets_a_page() {
    let house = House::open();
    let app = ClientApp::public(&house).await;
    let query = app.request().encoded();
    for broken in ["%zz", "state=%ff", "%ff=x"] {
        let target = format!("/oauth2/authorize?{query}&{broken}");
        let answer = house.ask(Ask::get(&target)).await;
        assert_page(&answer, 400);
    }
    let many = "&x=1".repeat(65);
    let answer = house.get(&format!("/oauth2/authorize?{query}{many}")).await;
    assert_page(&answer, 400);
}

/// Threat 16: a challenge that is stripped on the way leaves nothing to exchange.
#[tokio::test]
async fn a_challenge_cannot_be_stripped_between_page_and_answer() {
    let house = House::open();
    let (ada, app) = (house.member("ada").await, ClientApp::public(&house).await);
    let form = ada.consent(&app.request()).await.fields;
    let stripped = form.clone().without("code_challenge");
    ada.decide(&stripped).await.told_error("invalid_request");
    let exchanged = form.with("code_challenge", &challenge_of(&"e".repeat(43)));
    assert_page(&ada.decide(&exchanged).await, 403);
}
