//! Contract §5: using a token at the MCP endpoint, RFC 6750.

use std::time::Duration;

use http::Method;

use super::{
    browser::Form,
    client_app::ClientApp,
    house::{House, LOCAL, SECURE, Tokens, list_tools},
    wire::{Answer, Ask},
};
use crate::{
    accounts::{AccountError, users},
    audit::{self, Act},
    model::{
        id::Id,
        user::{Role, User},
    },
    oauth2provider::{MCP_EXPERIMENT_PATH, OWN_PATHS, apps},
    store::{WriteTx, grants},
};

/// Asserts that `answer` is a challenge with that reason in words, and returns the challenge.
#[track_caller]
fn challenged<'a>(answer: &'a Answer, why: &str) -> &'a str {
    let description = answer.refused(401, "invalid_token");
    assert!(
        description.contains(why),
        "expected {why}, found {description}"
    );
    let challenge = answer.header("www-authenticate").expect("a challenge");
    assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
    assert!(challenge.contains(why), "{challenge}");
    challenge
}

/// Contract §5: nothing sent is 401 without an error code (RFC 6750 §3.1), and the challenge says
/// where to learn more (RFC 9728 §5.1).
#[tokio::test]
async fn without_a_token_the_challenge_says_where_to_get_one() {
    for (house, public_url) in [(House::open(), LOCAL), (House::on_https(), SECURE)] {
        for method in [Method::POST, Method::GET, Method::DELETE, Method::HEAD] {
            let mut ask = list_tools("/mcp");
            ask.method = method.clone();
            let answer = house.ask(ask).await.expect(401);
            let expected = format!(
                "Bearer realm=\"keystead\", resource_metadata=\"{public_url}/.well-known/\
                 oauth-protected-resource/mcp\", scope=\"user:read grants:read grants:write \
                 sessions:read sessions:write notifications:read \
                 notifications:write apps:read audit:read\""
            );
            assert_eq!(
                answer.header("www-authenticate"),
                Some(expected.as_str()),
                "{method}"
            );
            if method != Method::HEAD {
                assert_eq!(answer.json().get("error"), None);
            }
        }
    }
}

/// The challenge of a resource names that resource's own metadata.
#[tokio::test]
async fn each_resource_names_its_own_metadata() {
    let house = House::open();
    let answer = house
        .ask(list_tools("/api/experimental/mcp/http"))
        .await
        .expect(401);
    let challenge = answer.header("www-authenticate").expect("a challenge");
    let metadata = format!(
        "resource_metadata=\"{LOCAL}/.well-known/oauth-protected-resource/api/experimental/mcp/http\""
    );
    assert!(challenge.contains(&metadata), "{challenge}");
    house
        .get("/.well-known/oauth-protected-resource/api/experimental/mcp/http")
        .await
        .expect(200);
}

/// A token for all of it opens its parts, and one for a part opens that part alone.
#[tokio::test]
async fn a_set_of_tools_is_a_resource_within_the_endpoint() {
    for (audience, opened) in [
        ("", &OWN_PATHS[1..]),
        (
            "/mcp",
            &["/mcp", "/mcp/standard", "/mcp/readonly", "/mcp/search"],
        ),
        ("/mcp/readonly", &["/mcp/readonly"]),
        ("/mcp/search", &["/mcp/search"]),
        (MCP_EXPERIMENT_PATH, &[MCP_EXPERIMENT_PATH]),
    ] {
        let house = House::open();
        let (ada, app) = (house.member("ada").await, ClientApp::public(&house).await);
        let resource = format!("{LOCAL}{audience}");
        let request = app.request().with("resource", &resource);
        let code = ada.allow(&request).await.code();
        let exchange = app.exchange(&code).with("resource", &resource);
        let tokens = Tokens::of(&house.token(&exchange).await);
        for path in &OWN_PATHS[1..] {
            let ask = list_tools(path).bearer(&tokens.access);
            let status = house.ask(ask).await.status;
            // The experiment is off here, which is said to those who may know.
            let expected = match opened.contains(path) {
                false => 401,
                true if *path == MCP_EXPERIMENT_PATH => 403,
                true => 200,
            };
            assert_eq!(status, expected, "a token for {audience:?} at {path}");
        }
    }
}

/// Contract §5: "malformed"; threats 31 and 35: truncated, extended, flipped, or of another kind.
#[tokio::test]
async fn a_damaged_token_is_malformed() {
    let house = House::open();
    let (_, app, tokens) = house.connected().await;
    let access = &tokens.access;
    let flip = |place: usize| {
        let other = if &access[place..=place] == "0" {
            "1"
        } else {
            "0"
        };
        let mut flipped = access.clone();
        flipped.replace_range(place..=place, other);
        flipped
    };
    let mut damaged: Vec<String> = (0..access.len()).map(flip).collect();
    damaged.extend((0..access.len()).map(|len| access[..len].to_owned()));
    let others = [
        &tokens.refresh,
        &app.registration_token,
        "junk",
        "\t",
        "..",
        "null",
    ];
    damaged.extend(others.map(str::to_owned));
    damaged.push(format!("{access}0"));
    damaged.push(format!("{access} {access}"));
    for token in damaged {
        challenged(&house.mcp(&token).await, "malformed");
    }
    for scheme in ["Basic", "Token", "DPoP", "bearer:"] {
        let ask = list_tools("/mcp").header("authorization", &format!("{scheme} {access}"));
        challenged(&house.ask(ask).await, "malformed");
    }
    let bare = list_tools("/mcp").header("authorization", access);
    challenged(&house.ask(bare).await, "malformed");
    let loud = list_tools("/mcp").header("authorization", &format!("BEARER {access}"));
    house.ask(loud).await.expect(200);
}

/// Contract §5: "unknown"; threat 30: a token of another deployment.
#[tokio::test]
async fn a_token_of_another_deployment_is_unknown() {
    let (house, other) = (House::open(), House::open());
    // Both draw the same random bytes: one more request sets them apart.
    other.get("/").await;
    let (_, _, tokens) = other.connected().await;
    challenged(&house.mcp(&tokens.access).await, "unknown");
}

/// Contract §5: "expired", to the millisecond.
#[tokio::test]
async fn a_token_ends_with_its_time() {
    let house = House::open();
    let (_, _, tokens) = house.connected().await;
    house.wait(Duration::from_hours(1).saturating_sub(Duration::from_millis(1)));
    house.mcp(&tokens.access).await.expect(200);
    house.wait(Duration::from_millis(1));
    challenged(&house.mcp(&tokens.access).await, "expired");
}

/// Contract §5: "revoked"; contract §10: a grant that is taken back ends at once.
#[tokio::test]
async fn a_token_of_a_grant_that_was_taken_back_is_revoked() {
    let house = House::open();
    let (ada, app, tokens) = house.connected().await;
    let page = ada.get("/account").await.expect(200).body;
    let mut forms = Form::all(&page).into_iter();
    let form = forms.find(|form| form.action.starts_with("/account/grants/"));
    let form = form.expect("a grant can be taken back");
    ada.post(&form.action, &form.fields).await.expect(303);
    challenged(&house.mcp(&tokens.access).await, "revoked");
    house
        .token(&app.refreshing(&tokens.refresh))
        .await
        .refused(400, "invalid_grant");
}

/// Contract §5: "revoked"; a person who may not sign in acts through nobody either.
#[tokio::test]
async fn a_token_of_a_disabled_person_is_revoked() {
    let house = House::open();
    let user = house.person("ada", Role::Member).await;
    let app = ClientApp::public(&house).await;
    let code = app.code(&house.signed_in(&user).await).await;
    let tokens = Tokens::of(&house.token(&app.exchange(&code)).await);
    house.mcp(&tokens.access).await.expect(200);
    house.disable(&user).await;
    challenged(&house.mcp(&tokens.access).await, "revoked");
}

/// Contract §5: "revoked". Decision 0003: who is gone stops everything at once, however long the
/// sweeper takes with what they had.
#[tokio::test]
async fn a_token_of_an_app_or_a_person_who_was_removed_is_revoked_before_anything_is_swept() {
    type Remove = fn(&mut WriteTx<'_>, Act<'_>, &User, Id) -> Result<(), AccountError>;
    let removals: [Remove; 2] = [
        |tx, act, _, client| Ok(apps::remove(tx, act, client).map(drop)?),
        |tx, act, user, _| users::remove(tx, act, user),
    ];
    for remove in removals {
        let house = House::open();
        let user = house.person("ada", Role::Member).await;
        let app = ClientApp::public(&house).await;
        let code = app.code(&house.signed_in(&user).await).await;
        let tokens = Tokens::of(&house.token(&app.exchange(&code)).await);
        house.mcp(&tokens.access).await.expect(200);
        let (user_id, client) = (user.id, app.id.parse().expect("an id"));
        let removed = house.write(move |tx, moment| remove(tx, moment.act(), &user, client));
        removed.await.expect("a removal");
        challenged(&house.mcp(&tokens.access).await, "revoked");
        let refreshed = house.token(&app.refreshing(&tokens.refresh)).await;
        assert!([400, 401].contains(&refreshed.status), "{}", refreshed.body);
        let count = || {
            let left = house.store.read(|tx| grants::list_of_user(tx, user_id));
            left.expect("a list").len()
        };
        assert_eq!(count(), 1);
        let swept = house.sweep(house.now()).await;
        assert_eq!(swept.ended_grants.len(), 1);
        assert_eq!(count(), 0);
        let logged = house
            .store
            .read(|tx| audit::search(tx, "grant.revoked keystead", 9, 0));
        assert_eq!(logged.expect("a search").count, 1);
    }
}

/// Contract §5: "accepted where its audience is that endpoint's resource, or the deployment
/// itself"; RFC 8707 §3; threat 30.
#[tokio::test]
async fn a_token_opens_its_own_audience() {
    let house = House::open();
    let (ada, app) = (house.member("ada").await, ClientApp::public(&house).await);
    let experiment = "/api/experimental/mcp/http";
    for (resource, mcp, other) in [
        (LOCAL.to_owned(), 200, 403),
        (format!("{LOCAL}/mcp"), 200, 401),
        // The experiment is off, which only somebody is told who may come in.
        (format!("{LOCAL}{experiment}"), 401, 403),
    ] {
        let request = app.request().with("resource", &resource);
        let code = ada.allow(&request).await.code();
        let tokens = Tokens::of(&house.token(&app.exchange(&code)).await);
        let answer = house.mcp(&tokens.access).await.expect(mcp);
        if mcp == 401 {
            challenged(&answer, "audience");
        }
        let ask = list_tools(experiment).bearer(&tokens.access);
        let answer = house.ask(ask).await.expect(other);
        if other == 403 {
            assert!(answer.body.contains("mcp-server-http"), "{answer:#?}");
        }
    }
}

/// Contract §7: the same endpoint behind its experiment, once that is on.
#[tokio::test]
async fn the_experimental_endpoint_answers_once_it_is_on() {
    let house = House::with(LOCAL, &[("KEYSTEAD_EXPERIMENTS", "mcp-server-http")]);
    let (ada, app) = (house.member("ada").await, ClientApp::public(&house).await);
    let path = "/api/experimental/mcp/http";
    let request = app.request().with("resource", &format!("{LOCAL}{path}"));
    let code = ada.allow(&request).await.code();
    let tokens = Tokens::of(&house.token(&app.exchange(&code)).await);
    let ask = list_tools(path).bearer(&tokens.access);
    let body = house.ask(ask).await.expect(200).body;
    assert!(body.contains("get_authenticated_user"), "{body}");
}

/// Contract §5; OAuth 2.1 §5.1: a query is written down everywhere.
#[tokio::test]
async fn a_token_in_the_query_is_refused() {
    let house = House::open();
    let (_, _, tokens) = house.connected().await;
    let target = format!("/mcp?access_token={}", tokens.access);
    for ask in [
        list_tools(&target),
        list_tools(&target).bearer(&tokens.access),
    ] {
        let answer = house.ask(ask).await;
        challenged(&answer, "query");
        assert!(!answer.body.contains(&tokens.access));
    }
    // Nor is one taken from a form (RFC 6750 §2.2).
    let body = format!("access_token={}", tokens.access);
    let ask = Ask::form("/mcp", &super::wire::Fields::default()).body(body);
    house.ask(ask).await.expect(401);
}

/// Contract §5: 403 `insufficient_scope` with all the scopes that the operation needs.
#[tokio::test]
async fn a_tool_beyond_the_tokens_scope_asks_for_its_own() {
    let house = House::open();
    let (ada, app) = (house.member("ada").await, ClientApp::public(&house).await);
    let tokens = ada.connect(&app, "user:read", &app.resource).await;
    let call = serde_json::json!({
        "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": { "name": "revoke_my_grant", "arguments": { "grant_id": "x" } },
    });
    let ask = list_tools("/mcp")
        .body(call.to_string())
        .bearer(&tokens.access);
    let answer = house.ask(ask).await.expect(403);
    let challenge = answer.header("www-authenticate").expect("a challenge");
    assert!(
        challenge.contains("error=\"insufficient_scope\""),
        "{challenge}"
    );
    assert!(challenge.contains("scope=\"grants:write\""), "{challenge}");
}

/// Threat 33: the cookie of a browser opens no endpoint of programs, and a token no page.
#[tokio::test]
async fn a_cookie_is_no_token_and_a_token_no_cookie() {
    let house = House::open();
    let (ada, _, tokens) = house.connected().await;
    ada.send(list_tools("/mcp")).await.expect(401);
    let cookie = format!("keystead_session={}", tokens.access);
    let page = house
        .ask(Ask::get("/account").header("cookie", &cookie))
        .await;
    assert!(page.location().starts_with("/sign-in"));
    let page = house.ask(Ask::get("/account").bearer(&tokens.access)).await;
    assert!(page.location().starts_with("/sign-in"));
}

/// Threats 1 and 34, and `mcp.md` D2 rule 13: a page of this machine is a developer's tool, one of
/// another site is not (docs/decisions/0007).
#[tokio::test]
async fn a_page_of_this_machine_may_call_and_one_of_another_site_may_not() {
    let house = House::open();
    let (_, _, tokens) = house.connected().await;
    for (origin, status) in [
        (LOCAL, 200),
        ("http://localhost:6274", 200),
        ("http://127.0.0.1:6274", 200),
        ("http://[::1]:6274", 200),
        ("https://localhost", 403),
        ("https://evil.example", 403),
        ("http://localhost.evil.example:8420", 403),
        ("null", 403),
        ("http://localhost:8420.evil.example", 403),
    ] {
        let ask = list_tools("/mcp")
            .bearer(&tokens.access)
            .header("origin", origin);
        let found = house.ask(ask).await.status;
        assert_eq!(found, status, "{origin}");
    }
}
