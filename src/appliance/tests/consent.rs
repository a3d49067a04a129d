//! Contract §2, the consent page: what it shows, and to what an answer of it is bound.

use std::time::Duration;

use serde_json::json;

use super::{
    browser::Form,
    client_app::{CALLBACK, ClientApp, challenge_of, every_scope, public_at},
    house::{House, Tokens},
    wire::{Answer, Ask},
};
use crate::{model::user::Role, web::pages::markup};

/// How long a consent page can be answered, by default.
const CONSENT_TTL: Duration = Duration::from_mins(10);

/// Asserts that an answer of a page counted for nothing: no redirect, no code.
#[track_caller]
fn assert_refused(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{answer:#?}");
    assert_eq!(answer.header("location"), None);
    assert!(!answer.body.contains("ks_ac_"), "{answer:#?}");
}

/// Contract §2: what the page has to show.
#[tokio::test]
async fn the_page_shows_who_asks_for_what_and_where_it_goes() {
    let house = House::open();
    let ada = house.member("ada").await;
    let mut metadata = public_at(CALLBACK);
    metadata["client_name"] = "Weather report".into();
    metadata["client_uri"] = "https://weather.example/about".into();
    let app = ClientApp::register(&house, &metadata).await;
    let page = ada.authorize(&app.request()).await.expect(200).body;
    let shown = super::browser::unescape(&page);
    for words in [
        "ada",
        "Weather report",
        "registered itself",
        "weather.example",
        "app.example",
        CALLBACK,
        "see your name and your role on this box",
        "take back what you have allowed to any app, this one included",
        "stay connected while you are away",
        "http://localhost:8420/mcp",
        "Until you take it back, at most 180 days",
    ] {
        assert!(shown.contains(words), "{words} is not on the page:\n{page}");
    }
    markup::assert_inert("consent", &page);
}

/// Contract §2: "a warning when every redirect is loopback"; a private-use scheme is no better.
#[tokio::test]
async fn a_redirect_that_any_program_can_take_is_warned_of() {
    let house = House::open();
    let ada = house.member("ada").await;
    for (uri, warned) in [
        ("http://127.0.0.1/callback", true),
        ("cursor://anysphere.cursor-mcp/oauth/callback", true),
        (CALLBACK, false),
    ] {
        let app = ClientApp::register(&house, &public_at(uri)).await;
        let page = ada.authorize(&app.request()).await.expect(200).body;
        assert_eq!(page.contains("class=\"warning\""), warned, "{uri}");
    }
}

/// Contract §2 and §8; `mcp.md` D2 rule 14: Chromium applies `form-action` to the redirect.
#[tokio::test]
async fn the_page_may_send_its_form_to_where_the_answer_goes() {
    let house = House::open();
    let ada = house.member("ada").await;
    for (uri, source) in [
        (CALLBACK, "https://app.example"),
        ("https://app.example:8443/cb", "https://app.example:8443"),
        ("http://localhost:3118/callback", "http://localhost:3118"),
        ("com.example.app:/callback", "com.example.app:"),
    ] {
        let app = ClientApp::register(&house, &public_at(uri)).await;
        let answer = ada.authorize(&app.request()).await.expect(200);
        let policy = answer.header("content-security-policy").expect("a policy");
        let directive = format!("form-action 'self' {source};");
        assert!(policy.contains(&directive), "{uri}: {policy}");
        for fixed in [
            "default-src 'none'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        ] {
            assert!(policy.contains(fixed), "{policy}");
        }
        for never in ["script-src", "unsafe-inline", "*"] {
            assert!(!policy.contains(never), "{policy}");
        }
        assert_eq!(answer.header("x-frame-options"), Some("DENY"));
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
}

/// Threats 7 and 20: a host cannot write into the policy of the page.
#[tokio::test]
async fn a_redirect_host_cannot_change_the_policy_of_the_page() {
    let house = House::open();
    for uri in [
        "https://a;script-src/cb",
        "https://a,default-src/cb",
        "https://*.example/cb",
        "https://'self'/cb",
        "https://%61.example/cb",
        "http://a;script-src.localhost/cb",
    ] {
        let answer = house
            .ask(Ask::json("/oauth2/register", &public_at(uri)))
            .await;
        answer.refused(400, "invalid_redirect_uri");
    }
}

/// Threat 20: nothing that a client says of itself becomes markup.
#[tokio::test]
async fn what_a_client_says_of_itself_stays_text() {
    let house = House::open();
    let ada = house.member("ada").await;
    let evil = "<script>alert(1)</script>\"'&<img src=x onerror=alert(1)>";
    let mut metadata = public_at("https://app.example/cb?a='b'&c=d");
    metadata["client_name"] = evil.into();
    metadata["client_uri"] = "https://evil.example/<script>".into();
    metadata["logo_uri"] = "https://evil.example/logo.png".into();
    let answer = house.ask(Ask::json("/oauth2/register", &metadata)).await;
    let app = ClientApp::of(&answer.expect(201));
    let request = app.request().with("state", evil);
    let page = ada.authorize(&request).await.expect(200).body;
    markup::assert_inert("consent", &page);
    assert!(!page.contains("logo.png"), "a logo is never fetched");
    let form = Form::find(&page, "/oauth2/authorize");
    assert_eq!(form.fields.get("state"), Some(evil));
    ada.decide(&form.fields).await.code();
    // The account page shows the name too, and the sign-in page for a signed-out browser.
    markup::assert_inert("account", &ada.get("/account").await.expect(200).body);
    let stranger = house.stranger();
    let sign_in = stranger.authorize(&request).await.location().to_owned();
    let page = stranger.get(&sign_in).await.expect(200).body;
    assert!(page.contains("&#60;script&#62;"), "the name is shown");
    markup::assert_inert("sign-in", &page);
}

/// Contract §2; threats 2, 3 and 21: a page's answer counts in the session that saw it.
#[tokio::test]
async fn a_page_is_answered_in_the_browser_that_saw_it() {
    let house = House::open();
    let user = house.person("ada", Role::Member).await;
    let (first, second) = (house.signed_in(&user).await, house.signed_in(&user).await);
    let eve = house.member("eve").await;
    let app = ClientApp::public(&house).await;
    let page = first.consent(&app.request()).await.fields;
    for other in [&second, &eve] {
        // As it stands, its CSRF token is another session's.
        assert_refused(&other.decide(&page).await, 403);
        // With a CSRF token of its own the consent token still is.
        let own = other.consent(&app.request()).await.fields;
        let token = page.get("consent_token").expect("a token");
        let mixed = own.with("consent_token", token);
        assert_refused(&other.decide(&mixed).await, 403);
    }
    assert_refused(&house.stranger().decide(&page).await, 403);
    // None of it has used the page up.
    first.decide(&page).await.code();
}

/// Threats 2, 3 and 17; contract §2: bound to client, redirect URI, challenge, resource, scope and
/// state.
#[tokio::test]
async fn a_page_is_answered_for_the_request_that_it_showed() {
    let house = House::open();
    let ada = house.member("ada").await;
    let mut metadata = public_at(CALLBACK);
    metadata["redirect_uris"] = json!([CALLBACK, "https://app.example/other"]);
    let app = ClientApp::register(&house, &metadata).await;
    let other = ClientApp::register(&house, &metadata).await;
    let request = app.request().with("scope", "user:read");
    let page = ada.consent(&request).await.fields;
    let another_challenge = challenge_of(&"another-verifier".repeat(3));
    for (name, value) in [
        ("client_id", other.id.as_str()),
        ("redirect_uri", "https://app.example/other"),
        ("code_challenge", &another_challenge),
        ("resource", "http://localhost:8420"),
        ("requested_scope", &every_scope()),
        ("requested_scope", "grants:read"),
        ("state", "another"),
        ("state", ""),
    ] {
        let changed = page.clone().with(name, value);
        assert_refused(&ada.decide(&changed).await, 403);
    }
    ada.decide(&page).await.code();
}

/// Threat 3: the token of one app's page does not allow another app.
#[tokio::test]
async fn a_token_that_is_missing_or_made_up_allows_nothing() {
    let house = House::open();
    let (ada, app) = (house.member("ada").await, ClientApp::public(&house).await);
    let page = ada.consent(&app.request()).await.fields;
    let token = page.get("consent_token").expect("a token").to_owned();
    let (id, tag) = token.split_once('.').expect("two parts");
    let flipped = format!("{id}.A{}", &tag[1..]);
    for made_up in [
        "",
        "x",
        ".",
        id,
        &flipped,
        &format!("{id}."),
        &format!("{token}A"),
    ] {
        let changed = page.clone().with("consent_token", made_up);
        assert_refused(&ada.decide(&changed).await, 403);
    }
    assert_refused(&ada.decide(&page.without("consent_token")).await, 403);
}

/// Threat 38: the CSRF token, whatever else is right.
#[tokio::test]
async fn a_decision_without_the_csrf_token_counts_for_nothing() {
    let house = House::open();
    let (ada, app) = (house.member("ada").await, ClientApp::public(&house).await);
    let eve = house.member("eve").await.csrf_token().await;
    let page = ada.consent(&app.request()).await.fields;
    let own = page.get("csrf_token").expect("a token").to_owned();
    for wrong in ["", "x", &eve, &own[1..], &format!("{own}A")] {
        let changed = page.clone().with("csrf_token", wrong);
        assert_refused(&ada.decide(&changed).await, 403);
    }
    let twice = page.clone().and(&[("csrf_token", &own)]);
    assert_refused(&ada.decide(&twice).await, 403);
    let foreign = Ask::form("/oauth2/authorize", &page.clone().with("decision", "allow"))
        .header("origin", "https://evil.example");
    assert_refused(&ada.send(foreign).await, 403);
    ada.decide(&page).await.code();
}

/// Contract §2: a page can be answered for a while, and once.
#[tokio::test]
async fn a_page_is_answered_in_time_and_once() {
    let house = House::open();
    let (ada, app) = (house.member("ada").await, ClientApp::public(&house).await);
    let page = ada.consent(&app.request()).await.fields;
    house.wait(CONSENT_TTL);
    assert_refused(&ada.decide(&page).await, 403);

    let page = ada.consent(&app.request()).await.fields;
    house.wait(CONSENT_TTL.saturating_sub(Duration::from_millis(1)));
    ada.decide(&page).await.code();
    assert_refused(&ada.decide(&page).await, 409);
    let denied = page.with("decision", "deny");
    assert_refused(&ada.post("/oauth2/authorize", &denied).await, 409);
}

/// Threat 9: of many answers at once, one counts.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_answers_at_once_one_counts() {
    let house = House::open();
    let (ada, app) = (house.member("ada").await, ClientApp::public(&house).await);
    let page = ada.consent(&app.request()).await.fields;
    let answers = (0..16).map(|_| ada.decide(&page));
    let statuses: Vec<_> = super::codes::all(answers.collect()).await;
    let counted = statuses
        .iter()
        .filter(|answer| answer.status == 303)
        .count();
    assert_eq!(counted, 1, "{statuses:?}");
}

/// Contract §2: Deny tells the client, and spends the page.
#[tokio::test]
async fn deny_is_told_to_the_client_and_grants_nothing() {
    let house = House::open();
    let (ada, app) = (house.member("ada").await, ClientApp::public(&house).await);
    let page = ada.consent(&app.request()).await.fields;
    let deny = page.clone().with("decision", "deny");
    let answer = ada.post("/oauth2/authorize", &deny).await;
    answer.told_error("access_denied");
    assert_eq!(answer.told().get("state"), Some("the-state"));
    assert_refused(&ada.decide(&page).await, 409);
    // Nothing is remembered of it.
    ada.consent(&app.request()).await;
    for neither in ["", "maybe", "ALLOW"] {
        let page = ada.consent(&app.request()).await.fields;
        let unclear = page.with("decision", neither);
        assert_refused(&ada.post("/oauth2/authorize", &unclear).await, 403);
    }
}

/// Contract §2: "each of the changing ones can be unticked (the grant is then narrower)".
#[tokio::test]
async fn what_is_unticked_is_not_granted() {
    let house = House::open();
    let (ada, app) = (house.member("ada").await, ClientApp::public(&house).await);
    let page = ada.consent(&app.request()).await.fields;
    let code = ada
        .decide(&page.unticked("scope", "grants:write"))
        .await
        .code();
    let tokens = Tokens::of(&house.token(&app.exchange(&code)).await);
    assert_eq!(
        tokens.scope,
        "apps:read audit:read grants:read notifications:read notifications:write offline_access sessions:read sessions:write user:read"
    );
    let listed = house.mcp(&tokens.access).await.expect(200).body;
    assert!(!listed.contains("revoke_my_grant"), "{listed}");
    // RFC 6749 §6: what was not granted cannot be refreshed into.
    let wider = app
        .refreshing(&tokens.refresh)
        .with("scope", "grants:write");
    house.token(&wider).await.refused(400, "invalid_scope");
}

/// Contract §2: what only reads is not for unticking, and a form without it changes nothing; but who
/// connects a client need not show it the whole box.
#[tokio::test]
async fn a_scope_that_only_reads_what_is_ones_own_cannot_be_dropped() {
    let house = House::open();
    let (ada, app) = (house.member("ada").await, ClientApp::public(&house).await);
    let page = ada.consent(&app.request()).await.fields.without("scope");
    let code = ada.decide(&page).await.code();
    let tokens = Tokens::of(&house.token(&app.exchange(&code)).await);
    assert_eq!(
        tokens.scope,
        "grants:read notifications:read offline_access sessions:read user:read"
    );
}

/// With nothing left to allow, Allow is a denial.
#[tokio::test]
async fn with_every_box_unticked_nothing_is_allowed() {
    let house = House::open();
    let (ada, app) = (house.member("ada").await, ClientApp::public(&house).await);
    let request = app.request().with("scope", "grants:write");
    let page = ada.consent(&request).await.fields;
    let answer = ada.decide(&page.unticked("scope", "grants:write")).await;
    answer.told_error("access_denied");
}

/// Threats 15 and 37: a form cannot allow more than its page offered.
#[tokio::test]
async fn a_scope_that_was_not_offered_cannot_be_ticked() {
    let house = House::open();
    let (ada, app) = (house.member("ada").await, ClientApp::public(&house).await);
    let request = app.request().with("scope", "user:read");
    let page = ada.consent(&request).await.fields;
    for more in ["grants:write", "grants:read", "admin"] {
        let wider = page.clone().and(&[("scope", more)]);
        assert_refused(&ada.decide(&wider).await, 403);
    }
    ada.decide(&page).await.code();
}

/// RFC 7592: an app that changes while its page is open is not the one that was shown.
#[tokio::test]
async fn an_app_that_changed_meanwhile_is_not_allowed() {
    let house = House::open();
    let (ada, app) = (house.member("ada").await, ClientApp::public(&house).await);
    let page = ada.consent(&app.request()).await.fields;
    house.wait(Duration::from_secs(1));
    let mut other = public_at(CALLBACK);
    other["client_name"] = "Your bank".into();
    app.replace(&house, &other).await.expect(200);
    assert_refused(&ada.decide(&page).await, 403);
}

/// A person who is kept out meanwhile decides nothing any more.
#[tokio::test]
async fn somebody_who_was_disabled_meanwhile_allows_nothing() {
    let house = House::open();
    let user = house.person("ada", Role::Member).await;
    let ada = house.signed_in(&user).await;
    let app = ClientApp::public(&house).await;
    let page = ada.consent(&app.request()).await.fields;
    house.disable(&user).await;
    assert_refused(&ada.decide(&page).await, 403);
    // Asking again leads to the sign-in page.
    let answer = ada.authorize(&app.request()).await;
    assert!(answer.location().starts_with("/sign-in?"));
}
