//! Contract §10, `/account`, and the life of a browser session.

use std::time::Duration;

use super::{
    browser::{Browser, Form},
    client_app::ClientApp,
    house::{House, PASSWORD, Tokens},
    wire::{Answer, Ask, Fields},
};
use crate::{
    model::user::{Role, User},
    web::pages::markup,
};

const A_MILLISECOND: Duration = Duration::from_millis(1);

/// Whether the browser is signed in.
async fn is_signed_in(browser: &Browser<'_>) -> bool {
    browser.get("/account").await.status == 200
}

/// The forms of the account page whose action begins with `prefix` and ends with `/revoke`.
async fn rows(browser: &Browser<'_>, prefix: &str) -> Vec<Form> {
    let page = browser.get("/account").await.expect(200).body;
    let mut forms = Form::all(&page);
    forms.retain(|form| form.action.starts_with(prefix) && form.action.ends_with("/revoke"));
    forms
}

async fn change_password(browser: &Browser<'_>, current: &str, new: &str) -> Answer {
    let page = browser.get("/account").await.expect(200).body;
    let form = Form::find(&page, "/account/password")
        .with("current_password", current)
        .with("password", new)
        .with("password_again", new);
    browser.post(&form.action, &form.fields).await
}

/// Two browsers of one person, signed in.
async fn two_browsers<'house>(house: &'house House, user: &User) -> [Browser<'house>; 2] {
    [house.signed_in(user).await, house.signed_in(user).await]
}

/// Contract §10: `POST /sign-out`.
#[tokio::test]
async fn signing_out_ends_this_session_and_no_other() {
    let house = House::open();
    let user = house.person("ada", Role::Member).await;
    let [mut here, there] = two_browsers(&house, &user).await;
    let kept = here.clone();
    let form = here.open_form("/account", "/sign-out").await;
    assert_eq!(here.submit(&form).await.location(), "/");
    assert_eq!(here.cookie("keystead_session"), None);
    // The cookie is worth nothing any more, whoever kept it.
    assert!(!is_signed_in(&kept).await);
    assert!(is_signed_in(&there).await);
    here.submit(&form).await.expect(303);
}

/// Threat 38: nobody is signed out by another site.
#[tokio::test]
async fn signing_out_needs_the_form_of_the_page() {
    let house = House::open();
    let ada = house.member("ada").await;
    ada.post("/sign-out", &Fields::default()).await.expect(403);
    let foreign = Fields::of(&[("csrf_token", &house.member("eve").await.csrf_token().await)]);
    ada.post("/sign-out", &foreign).await.expect(403);
    assert!(is_signed_in(&ada).await);
}

/// Issue 2, accounts: idle lifetime, which use moves.
#[tokio::test]
async fn a_session_ends_when_nobody_uses_it() {
    let house = House::open();
    let (used, unused) = (house.member("ada").await, house.member("eve").await);
    let idle = house.app.web.provider.lifetimes.session_idle_ttl;
    house.wait(idle.saturating_sub(A_MILLISECOND));
    assert!(is_signed_in(&used).await);
    house.wait(A_MILLISECOND);
    assert!(is_signed_in(&used).await);
    assert!(!is_signed_in(&unused).await);
    house.wait(idle);
    assert!(!is_signed_in(&used).await);
}

/// Issue 2, accounts: and absolute, which nothing moves.
#[tokio::test]
async fn a_session_ends_in_any_case() {
    let house = House::open();
    let ada = house.member("ada").await;
    let lifetimes = house.app.web.provider.lifetimes;
    let (idle, end) = (lifetimes.session_idle_ttl, lifetimes.session_absolute_ttl);
    let mut passed = Duration::ZERO;
    let step = idle / 2;
    while passed + step < end {
        house.wait(step);
        passed += step;
        assert!(is_signed_in(&ada).await, "after {passed:?}");
    }
    house.wait(end.saturating_sub(passed));
    assert!(!is_signed_in(&ada).await);
}

/// Issue 2, accounts: "listed and revocable".
#[tokio::test]
async fn a_person_sees_and_ends_their_sessions() {
    let house = House::open();
    let user = house.person("ada", Role::Member).await;
    let [here, there] = two_browsers(&house, &user).await;
    let eve = house.member("eve").await;
    let listed = rows(&here, "/account/sessions/").await;
    assert_eq!(listed.len(), 2, "eve's is not among them");
    let page = here.get("/account").await.expect(200).body;
    assert_eq!(page.matches("this one").count(), 1);
    // The one that this browser has stands first.
    let other = &listed[1];
    let answer = here.post(&other.action, &other.fields).await;
    assert_eq!(answer.location(), "/account?done=session");
    assert!(!is_signed_in(&there).await);
    let own = &listed[0];
    assert_eq!(here.post(&own.action, &own.fields).await.location(), "/");
    assert!(!is_signed_in(&here).await);
    assert!(is_signed_in(&eve).await);
}

/// Issue 2, accounts: everywhere else, at once.
#[tokio::test]
async fn a_person_signs_out_everywhere_else() {
    let house = House::open();
    let user = house.person("ada", Role::Member).await;
    let [here, there] = two_browsers(&house, &user).await;
    let page = here.get("/account").await.expect(200).body;
    let form = Form::find(&page, "/account/sessions/revoke-others");
    let answer = here.post(&form.action, &form.fields).await;
    assert_eq!(answer.location(), "/account?done=sessions");
    assert!(is_signed_in(&here).await);
    assert!(!is_signed_in(&there).await);
}

/// Threat 33: what is another person's is as if it were not there.
#[tokio::test]
async fn nobody_ends_what_is_somebody_elses() {
    let house = House::open();
    let (ada, app, tokens) = house.connected().await;
    let eve = house.member("eve").await;
    let csrf = Fields::of(&[("csrf_token", &eve.csrf_token().await)]);
    for prefix in ["/account/sessions/", "/account/grants/"] {
        let hers = rows(&ada, prefix).await;
        assert_eq!(hers.len(), 1, "{prefix}");
        let mut told = Vec::new();
        let unknown = format!("{prefix}0000000000000000000000/revoke");
        for action in [&hers[0].action, &unknown, &format!("{prefix}x/revoke")] {
            let answer = eve.post(action, &csrf).await;
            told.push(answer.location().to_owned());
        }
        told.dedup();
        assert_eq!(told, ["/account?done=gone"]);
    }
    assert!(is_signed_in(&ada).await);
    house.mcp(&tokens.access).await.expect(200);
    house
        .token(&app.refreshing(&tokens.refresh))
        .await
        .expect(200);
    assert_eq!(rows(&eve, "/account/grants/").await.len(), 0);
}

/// Contract §10: grants with a revoke button each; one that is ended leaves the others.
#[tokio::test]
async fn a_grant_that_is_taken_back_ends_alone() {
    let house = House::open();
    let (ada, _, first) = house.connected().await;
    house.wait(Duration::from_secs(1));
    let other = ClientApp::public(&house).await;
    let code = other.code(&ada).await;
    let second = Tokens::of(&house.token(&other.exchange(&code)).await);
    let listed = rows(&ada, "/account/grants/").await;
    assert_eq!(listed.len(), 2);
    // The newest stands first.
    let newest = &listed[0];
    ada.post(&newest.action, &newest.fields).await.expect(303);
    house.mcp(&second.access).await.expect(401);
    house.mcp(&first.access).await.expect(200);
    // A second press finds it gone.
    let again = ada.post(&newest.action, &newest.fields).await;
    assert_eq!(again.location(), "/account?done=gone");
}

/// Issue 2, accounts: a new password ends every other session, and not what apps were allowed.
#[tokio::test]
async fn a_new_password_ends_the_other_sessions() {
    let house = House::open();
    let user = house.person("ada", Role::Member).await;
    let [here, there] = two_browsers(&house, &user).await;
    let app = ClientApp::public(&house).await;
    let code = app.code(&here).await;
    let tokens = Tokens::of(&house.token(&app.exchange(&code)).await);
    let answer = change_password(&here, PASSWORD, "another long password").await;
    assert_eq!(answer.location(), "/account?done=password");
    assert!(is_signed_in(&here).await);
    assert!(!is_signed_in(&there).await);
    house.mcp(&tokens.access).await.expect(200);
    for (password, status) in [(PASSWORD, 403), ("another long password", 303)] {
        let mut browser = house.stranger();
        let form = browser.open_form("/sign-in", "/sign-in").await;
        let form = form.with("username", "ada").with("password", password);
        browser.submit(&form).await.expect(status);
    }
}

/// Who sits down at an open browser does not know the password.
#[tokio::test]
async fn a_password_is_changed_by_who_knows_it() {
    let house = House::open();
    let ada = house.member("ada").await;
    for (current, new) in [
        ("not the one", "another long password"),
        ("", "another long password"),
        (PASSWORD, "short"),
        (PASSWORD, "ada"),
        (PASSWORD, ""),
    ] {
        let answer = change_password(&ada, current, new).await.expect(422);
        markup::assert_inert("account", &answer.body);
        assert!(answer.body.contains("role=\"alert\""), "{answer:#?}");
    }
    let mut browser = house.stranger();
    let form = browser.open_form("/sign-in", "/sign-in").await;
    let form = form.with("username", "ada").with("password", PASSWORD);
    browser.submit(&form).await.expect(303);
}

/// Somebody who is kept out is out at once, in every browser.
#[tokio::test]
async fn a_disabled_person_is_signed_out() {
    let house = House::open();
    let user = house.person("ada", Role::Member).await;
    let [here, there] = two_browsers(&house, &user).await;
    house.disable(&user).await;
    assert!(!is_signed_in(&here).await);
    assert!(!is_signed_in(&there).await);
}

/// Threat 31: a cookie that was cut, grown or flipped opens nothing, and breaks nothing.
#[tokio::test]
async fn a_damaged_cookie_is_no_session() {
    let house = House::open();
    let ada = house.member("ada").await;
    let cookie = ada
        .cookie("keystead_session")
        .expect("a session")
        .to_owned();
    let last = if cookie.ends_with('0') { "1" } else { "0" };
    let flipped = format!("{}{last}", &cookie[..cookie.len() - 1]);
    for wrong in [
        "",
        "x",
        &cookie[1..],
        &format!("{cookie}0"),
        &flipped,
        "\"",
        "%00",
    ] {
        let mut browser = house.stranger();
        browser.keep("keystead_session", wrong);
        assert!(!is_signed_in(&browser).await, "{wrong}");
    }
    // Two different ones are none: another site of the machine may have set one of them.
    let two = format!("keystead_session=x; keystead_session={cookie}");
    let answer = house.ask(Ask::get("/account").header("cookie", &two)).await;
    assert!(answer.location().starts_with("/sign-in"));
}

/// Contract §10: a page that needs a sign-in sends there, and back to exactly where one was going.
#[tokio::test]
async fn a_page_that_needs_a_sign_in_says_where_to_return() {
    let house = House::open();
    let answer = house.stranger().get("/account?done=grant").await;
    assert_eq!(
        answer.location(),
        "/sign-in?return_to=%2Faccount%3Fdone%3Dgrant"
    );
    // A post cannot come back; it is told what to do.
    let posted = house
        .stranger()
        .post("/account/password", &Fields::default())
        .await;
    assert!(posted.expect(403).body.contains("Sign in again"));
}

/// Contract §10: "signed out it says no more than its name".
#[tokio::test]
async fn the_start_page_tells_a_stranger_nothing() {
    let house = House::open();
    house.person("root", Role::Owner).await;
    let ada = house.member("ada").await;
    let page = house.stranger().get("/").await.expect(200).body;
    for secret in ["ada", "root", "/mcp", "claude", "version", "0.1"] {
        assert!(!page.contains(secret), "{secret}: {page}");
    }
    let page = ada.get("/").await.expect(200).body;
    assert!(page.contains("http://localhost:8420/mcp") && page.contains("ada"));
}
