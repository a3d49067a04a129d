//! Contract §10: signing in, and what a stranger does not learn from it.

use std::{net::IpAddr, time::Duration};

use super::{
    browser::{Browser, Form, unescape},
    client_app::ClientApp,
    house::{House, PASSWORD},
    wire::{Answer, Ask},
};
use crate::{
    model::user::Role,
    web::{
        pages::markup,
        throttle::{Endpoint, LIMITS, Per},
    },
};

/// How many may sign in at once.
fn burst(per: Per) -> u32 {
    let mut limits = LIMITS.iter();
    let limit = limits.find(|limit| limit.endpoint == Endpoint::SignIn && limit.per == per);
    limit.expect("sign-in has both limits").burst.get()
}

/// What becomes of a name and a password at the sign-in page.
async fn sign_in(browser: &mut Browser<'_>, name: &str, password: &str) -> Answer {
    let form = browser.open_form("/sign-in", "/sign-in").await;
    let form = form.with("username", name).with("password", password);
    browser.submit(&form).await
}

/// Contract §10: fields, redirect after a post, and a full page load back to where one was going.
#[tokio::test]
async fn who_signs_in_comes_back_to_where_they_were_going() {
    let house = House::open();
    house.person("ada", Role::Member).await;
    let app = ClientApp::public(&house).await;
    let mut ada = house.stranger();
    let page = ada.authorize(&app.request()).await.location().to_owned();
    let form = ada.open_form(&page, "/sign-in").await;
    let form = form.with("username", " Ada ").with("password", PASSWORD);
    let answer = ada.submit(&form).await;
    let expected = format!("/oauth2/authorize?{}", app.request().encoded());
    assert_eq!(answer.location(), expected);
    let back = ada.get(answer.location()).await.expect(200);
    let form = Form::find(&back.body, "/oauth2/authorize");
    ada.decide(&form.fields).await.code();
    // Who is signed in is not asked again.
    assert_eq!(
        ada.get("/sign-in?return_to=/account").await.location(),
        "/account"
    );
}

/// Contract §2: the longest state that is taken survives the way through the sign-in page.
#[tokio::test]
async fn a_long_request_survives_signing_in() {
    let house = House::open();
    house.person("ada", Role::Member).await;
    let app = ClientApp::public(&house).await;
    let state = "s".repeat(4_096);
    let mut ada = house.stranger();
    let page = ada.authorize(&app.request().with("state", &state)).await;
    let form = ada.open_form(page.location(), "/sign-in").await;
    let form = form.with("username", "ada").with("password", PASSWORD);
    let answer = ada.submit(&form).await;
    let back = ada.get(answer.location()).await.expect(200);
    let form = Form::find(&back.body, "/oauth2/authorize");
    let told = ada.decide(&form.fields).await.told();
    assert_eq!(told.get("state"), Some(state.as_str()));
}

/// Contract §2: nobody is asked to sign in for a request that would be lost on the way.
#[tokio::test]
async fn a_request_that_signing_in_would_lose_is_refused() {
    let house = House::open();
    let app = ClientApp::public(&house).await;
    let request = app.request().with("state", &"é".repeat(2_048));
    for browser in [house.stranger(), house.member("ada").await] {
        let answer = browser.authorize(&request).await;
        let description = answer.told_error("invalid_request");
        assert!(description.contains("at most 8192 bytes"), "{description}");
        assert_eq!(answer.told().get("state"), request.get("state"));
    }
}

/// Contract §10: `return_to` is one of our own paths only.
#[tokio::test]
async fn nobody_is_sent_elsewhere_from_the_sign_in_page() {
    let house = House::open();
    house.person("ada", Role::Member).await;
    for foreign in [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example/",
        "\\\\evil.example/",
        "/\t/evil.example/",
        "evil.example",
        "javascript:alert(1)",
        "",
    ] {
        let query = super::wire::Fields::of(&[("return_to", foreign)]);
        let page = format!("/sign-in?{}", query.encoded());
        let mut ada = house.stranger();
        let form = ada.open_form(&page, "/sign-in").await;
        assert_eq!(form.fields.get("return_to"), Some("/"), "{foreign:?}");
        // And the form's own field is not believed either.
        let form = form.with("username", "ada").with("password", PASSWORD);
        let form = form.with("return_to", foreign);
        assert_eq!(ada.submit(&form).await.location(), "/", "{foreign:?}");
        let signed_in = ada.get(&page).await;
        assert_eq!(signed_in.location(), "/", "{foreign:?}");
    }
}

/// Issue 2, accounts: "without telling whether the account exists".
#[tokio::test]
async fn a_wrong_password_and_an_unknown_name_are_told_the_same() {
    let house = House::open();
    house.person("ada", Role::Member).await;
    let gone = house.person("gone", Role::Member).await;
    house.disable(&gone).await;
    let mut told = Vec::new();
    for (name, password) in [
        ("ada", "not the one"),
        ("ada", ""),
        ("nobody", PASSWORD),
        ("gone", PASSWORD),
        ("not a name!", PASSWORD),
        ("ada", &"x".repeat(1_000)),
    ] {
        let mut browser = house.stranger();
        let answer = sign_in(&mut browser, name, password).await.expect(403);
        assert_eq!(browser.cookie("keystead_session"), None);
        let page = unescape(&answer.body).replace(&format!("\"{name}\""), "\"\"");
        let tokens = Form::find(&answer.body, "/sign-in").fields;
        told.push(page.replace(tokens.get("csrf_token").expect("a token"), ""));
        assert!(
            !answer.body.contains(PASSWORD),
            "a password is not repeated"
        );
    }
    told.dedup();
    assert_eq!(told.len(), 1, "{told:#?}");
}

/// Issue 2, accounts: throttled per account, known or not; 429 with `Retry-After`.
#[tokio::test]
async fn an_account_is_throttled_whether_or_not_it_exists() {
    for (name, exists) in [("ada", true), ("nobody", false)] {
        let house = House::with_rate_limits();
        house.person("ada", Role::Member).await;
        let mut browser = house.stranger();
        let form = browser.open_form("/sign-in", "/sign-in").await;
        let form = form.with("username", name).with("password", "wrong");
        for _ in 0..burst(Per::Account) {
            browser.submit(&form).await.expect(403);
        }
        // The right password as well: else the throttle would tell it.
        let right = form.with("password", PASSWORD);
        let answer = browser.submit(&right).await.expect(429);
        let wait = answer.header("retry-after").expect("a wait");
        let seconds = wait.parse().expect("seconds");
        assert!((1..=10).contains(&seconds), "{wait}");
        assert!(answer.body.contains("Too many attempts"), "{answer:#?}");
        house.wait(Duration::from_secs(seconds));
        let status = browser.submit(&right).await.status;
        assert_eq!(status, if exists { 303 } else { 403 });
    }
}

/// Issue 2, accounts: and per address, whatever names it tries.
#[tokio::test]
async fn an_address_is_throttled_whatever_names_it_tries() {
    let house = House::with_rate_limits();
    let mut browser = house.stranger();
    let form = browser.open_form("/sign-in", "/sign-in").await;
    let form = form.with("password", &"x".repeat(300));
    let attempt = |n: u32| {
        let fields = form.fields.clone().with("username", &format!("user{n}"));
        browser.dress(Ask::form("/sign-in", &fields))
    };
    let (near, far): (IpAddr, IpAddr) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
    for n in 0..burst(Per::Address) {
        house.ask_from(near, attempt(n)).await.expect(403);
    }
    house.ask_from(near, attempt(99)).await.expect(429);
    house.ask_from(far, attempt(99)).await.expect(403);
}

/// Threat 38: the form of somebody who is not signed in is bound to their browser.
#[tokio::test]
async fn a_sign_in_form_counts_in_the_browser_that_saw_it() {
    let house = House::open();
    house.person("ada", Role::Member).await;
    let (mut ada, mut eve) = (house.stranger(), house.stranger());
    let form = ada.open_form("/sign-in", "/sign-in").await;
    let form = form.with("username", "ada").with("password", PASSWORD);
    eve.open_form("/sign-in", "/sign-in").await;
    eve.submit(&form).await.expect(403);
    house.stranger().submit(&form).await.expect(403);
    let token = form.fields.get("csrf_token").expect("a token");
    for wrong in ["", "x", &token[1..]] {
        ada.submit(&form.clone().with("csrf_token", wrong))
            .await
            .expect(403);
    }
    let foreign = Ask::form("/sign-in", &form.fields).header("origin", "https://evil.example");
    ada.visit(foreign).await.expect(403);
    assert_eq!(ada.cookie("keystead_session"), None);
    ada.submit(&form).await.expect(303);
}

/// Contract §2: the cookie: `__Host-`, `HttpOnly`, SameSite=Lax, and a new one each time.
#[tokio::test]
async fn the_session_cookie_stays_with_this_host_and_from_scripts() {
    for (house, name, attributes) in [
        (
            House::on_https(),
            "__Host-keystead_session",
            "HttpOnly; SameSite=Lax; Secure; Path=/",
        ),
        (
            House::open(),
            "keystead_session",
            "HttpOnly; SameSite=Lax; Path=/",
        ),
    ] {
        house.person("ada", Role::Member).await;
        let mut values = Vec::new();
        for _ in 0..2 {
            let mut ada = house.stranger();
            let answer = sign_in(&mut ada, "ada", PASSWORD).await.expect(303);
            let set = answer.headers.get_all("set-cookie").iter();
            let set: Vec<_> = set.map(|cookie| cookie.to_str().expect("text")).collect();
            let session = set
                .iter()
                .find(|cookie| cookie.starts_with(&format!("{name}=")));
            let session = session.expect("a session");
            assert!(session.contains(attributes), "{session}");
            assert!(!session.to_lowercase().contains("domain"), "{session}");
            values.push(ada.cookie(name).expect("a session").to_owned());
        }
        assert_ne!(values[0], values[1]);
    }
}

/// Threat 20: a name that was typed comes back as text.
#[tokio::test]
async fn what_was_typed_stays_text() {
    let house = House::open();
    let mut browser = house.stranger();
    let evil = "\"><script>alert(1)</script><img src=x onerror='alert(1)'>";
    let answer = sign_in(&mut browser, evil, "wrong").await.expect(403);
    markup::assert_inert("sign-in", &answer.body);
    let form = Form::find(&answer.body, "/sign-in");
    assert_eq!(form.fields.get("username"), Some(evil));
    let page = browser
        .get("/sign-in?return_to=/%22%3E%3Cscript%3E")
        .await
        .expect(200);
    markup::assert_inert("sign-in", &page.body);
    let page = browser
        .get("/%3Cscript%3Ealert(1)%3C/script%3E")
        .await
        .expect(404);
    markup::assert_inert("not found", &page.body);
}

/// Issue 2, bad input: a form that cannot be read is refused, and no session comes of it.
#[tokio::test]
async fn a_malformed_form_signs_nobody_in() {
    let house = House::open();
    house.person("ada", Role::Member).await;
    let mut ada = house.stranger();
    let form = ada.open_form("/sign-in", "/sign-in").await;
    let form = form.with("username", "ada").with("password", PASSWORD);
    let good = form.fields.encoded();
    for broken in ["%zz=x", "x=%ff", "csrf_token=x"] {
        let ask = Ask::form("/sign-in", &form.fields).body(format!("{good}&{broken}"));
        let status = ada.visit(ask).await.status;
        assert!((400..500).contains(&status), "{broken}: {status}");
    }
    let json = Ask::form("/sign-in", &form.fields).header("content-type", "text/plain");
    let status = ada.visit(json).await.status;
    assert!((400..500).contains(&status), "{status}");
    let large = Ask::form("/sign-in", &form.fields).body("x".repeat(70_000));
    ada.visit(large).await.expect(413);
    assert_eq!(ada.cookie("keystead_session"), None);
}
