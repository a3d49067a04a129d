//! Contract §3, `refresh_token`: it rotates always, forgives a client that lost an answer, and
//! punishes a replay.

use std::time::Duration;

use super::{
    client_app::ClientApp,
    codes::all,
    house::{House, LOCAL, Tokens},
};
use crate::model::{
    credential::{Credential, CredentialKind, Secret},
    user::Role,
};

/// For how long a predecessor is answered, by default.
const REPLAY_WINDOW: Duration = Duration::from_secs(30);
/// An access token, by default.
const ACCESS_TTL: Duration = Duration::from_hours(1);
const A_DAY: Duration = Duration::from_hours(24);
const A_MILLISECOND: Duration = Duration::from_millis(1);

/// Refreshes, which has to work.
async fn refreshed(house: &House, app: &ClientApp, token: &str) -> Tokens {
    Tokens::of(&house.token(&app.refreshing(token)).await)
}

/// Asserts that nothing of a family works any more.
async fn assert_over(house: &House, app: &ClientApp, family: &[&Tokens]) {
    for tokens in family {
        let answer = house.token(&app.refreshing(&tokens.refresh)).await;
        answer.refused(400, "invalid_grant");
        house.mcp(&tokens.access).await.expect(401);
    }
}

/// Contract §3: "rotates always".
#[tokio::test]
async fn every_refresh_gives_another_token() {
    let house = House::open();
    let (_, app, first) = house.connected().await;
    let second = refreshed(&house, &app, &first.refresh).await;
    let third = refreshed(&house, &app, &second.refresh).await;
    assert_ne!(first.refresh, second.refresh);
    assert_ne!(second.refresh, third.refresh);
    assert_ne!(first.access, second.access);
    // The access tokens live out their own time.
    for tokens in [&first, &second, &third] {
        house.mcp(&tokens.access).await.expect(200);
    }
}

/// Contract §3: "keeps answering with **the same successor** for a replay window".
#[tokio::test]
async fn within_the_window_the_predecessor_gives_the_same_successor() {
    let house = House::open();
    let (_, app, first) = house.connected().await;
    let second = refreshed(&house, &app, &first.refresh).await;
    house.wait(REPLAY_WINDOW.saturating_sub(A_MILLISECOND));
    let again = refreshed(&house, &app, &first.refresh).await;
    assert_eq!(again.refresh, second.refresh);
    assert_ne!(again.access, second.access);
    house.mcp(&again.access).await.expect(200);
    refreshed(&house, &app, &second.refresh).await;
}

/// Contract §3; threat 11: the predecessor after the window is a replay.
#[tokio::test]
async fn after_the_window_the_predecessor_revokes_the_family() {
    let house = House::open();
    let (_, app, first) = house.connected().await;
    let second = refreshed(&house, &app, &first.refresh).await;
    house.wait(REPLAY_WINDOW);
    let description = house
        .token(&app.refreshing(&first.refresh))
        .await
        .refused(400, "invalid_grant");
    assert!(description.contains("used before"), "{description}");
    assert_over(&house, &app, &[&first, &second]).await;
}

/// Contract §3; threat 11: "an older generation at any time".
#[tokio::test]
async fn an_older_generation_revokes_the_family_at_any_time() {
    let house = House::open();
    for generations in [2, 3, 10] {
        let name = format!("user{generations}");
        let ada = house.member(&name).await;
        let app = ClientApp::public(&house).await;
        let code = app.code(&ada).await;
        let first = Tokens::of(&house.token(&app.exchange(&code)).await);
        let mut last = first.clone();
        for _ in 0..generations {
            last = refreshed(&house, &app, &last.refresh).await;
        }
        let answer = house.token(&app.refreshing(&first.refresh)).await;
        answer.refused(400, "invalid_grant");
        assert_over(&house, &app, &[&first, &last]).await;
    }
}

/// A replay ends its own family and nothing else of the person or the client.
#[tokio::test]
async fn a_replay_ends_one_family_only() {
    let house = House::open();
    let (ada, app, first) = house.connected().await;
    let code = ada.authorize(&app.request()).await.code();
    let other = Tokens::of(&house.token(&app.exchange(&code)).await);
    refreshed(&house, &app, &first.refresh).await;
    house.wait(REPLAY_WINDOW);
    house
        .token(&app.refreshing(&first.refresh))
        .await
        .refused(400, "invalid_grant");
    house.mcp(&other.access).await.expect(200);
    refreshed(&house, &app, &other.refresh).await;
}

/// Who knows a family's id, and none of its tokens, changes nothing: else anybody could end it.
#[tokio::test]
async fn an_invented_token_of_a_known_family_changes_nothing() {
    let house = House::open();
    let (_, app, first) = house.connected().await;
    let second = refreshed(&house, &app, &first.refresh).await;
    let known = Credential::parse(CredentialKind::RefreshToken, &second.refresh).expect("a token");
    for generation in [0, 1, 2, 3, 1_000, u32::MAX] {
        let secret = Secret::from_bytes([7; 32]);
        let invented = Credential::refresh_token(known.id(), generation, secret).reveal();
        let answer = house.token(&app.refreshing(&invented)).await;
        answer.refused(400, "invalid_grant");
        house.ask(app.revoking(&invented)).await.expect(200);
    }
    refreshed(&house, &app, &second.refresh).await;
}

/// Threat 8: public and confidential, both ways; the family is none the worse for it.
#[tokio::test]
async fn a_refresh_token_of_one_client_gives_another_nothing() {
    let house = House::open();
    let ada = house.member("ada").await;
    let public = ClientApp::public(&house).await;
    let confidential = ClientApp::confidential(&house).await;
    for (of, by) in [(&public, &confidential), (&confidential, &public)] {
        let code = of.code(&ada).await;
        let tokens = Tokens::of(&house.token(&of.exchange(&code)).await);
        for _ in 0..2 {
            let answer = house.token(&by.refreshing(&tokens.refresh)).await;
            answer.refused(400, "invalid_grant");
        }
        let next = refreshed(&house, of, &tokens.refresh).await;
        house.mcp(&next.access).await.expect(200);
    }
}

/// Threat 6: client × time, for refresh tokens.
#[tokio::test]
async fn a_refresh_token_needs_the_right_client_and_the_right_time() {
    for (own, in_time) in [(true, true), (true, false), (false, true), (false, false)] {
        let house = House::open();
        let (_, app, tokens) = house.connected().await;
        let other = ClientApp::public(&house).await;
        let idle = 30 * A_DAY;
        house.wait(if in_time {
            idle.saturating_sub(A_MILLISECOND)
        } else {
            idle
        });
        let by = if own { &app } else { &other };
        let answer = house.token(&by.refreshing(&tokens.refresh)).await;
        if own && in_time {
            answer.expect(200);
        } else {
            answer.refused(400, "invalid_grant");
        }
    }
}

/// Contract §3: 30 days idle, 180 days in any case.
#[tokio::test]
async fn use_keeps_a_family_alive_up_to_its_absolute_end() {
    let house = House::open();
    let (_, app, mut tokens) = house.connected().await;
    for _ in 0..8 {
        house.wait(20 * A_DAY);
        tokens = refreshed(&house, &app, &tokens.refresh).await;
    }
    house.wait((20 * A_DAY).saturating_sub(ACCESS_TTL / 2));
    let answer = house.token(&app.refreshing(&tokens.refresh)).await;
    // What is issued last does not outlive the family.
    assert_eq!(answer.json()["expires_in"], 1_800);
    tokens = Tokens::of(&answer);
    house.wait(ACCESS_TTL / 2);
    house
        .token(&app.refreshing(&tokens.refresh))
        .await
        .refused(400, "invalid_grant");
    house.mcp(&tokens.access).await.expect(401);
}

/// Contract §3: two nodes of one client do not lose each other, nor do 64: one successor for all.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_64_refreshes_at_once_all_get_one_successor() {
    let house = House::open();
    let (_, app, first) = house.connected().await;
    let form = app.refreshing(&first.refresh);
    let answers = all((0..64).map(|_| house.token(&form)).collect()).await;
    assert_eq!(answers.len(), 64);
    let mut successors: Vec<_> = answers
        .iter()
        .map(|answer| Tokens::of(answer).refresh)
        .collect();
    successors.sort();
    successors.dedup();
    assert_eq!(successors.len(), 1);
    refreshed(&house, &app, &successors[0]).await;
}

/// Contract §3: "a narrowed scope is for that access token only".
#[tokio::test]
async fn a_narrowed_scope_is_for_that_access_token_only() {
    let house = House::open();
    let (_, app, first) = house.connected().await;
    let form = app.refreshing(&first.refresh).with("scope", "user:read");
    let narrow = Tokens::of(&house.token(&form).await);
    assert_eq!(narrow.scope, "user:read");
    let listed = house.mcp(&narrow.access).await.expect(200).body;
    assert!(listed.contains("get_authenticated_user") && !listed.contains("list_my_grants"));
    let wide = refreshed(&house, &app, &narrow.refresh).await;
    assert_eq!(wide.scope, first.scope);
}

/// Contract §3; threats 12 and 15: wider or unknown is `invalid_scope`, and the token stays.
#[tokio::test]
async fn a_refresh_never_widens_the_scope() {
    let house = House::open();
    let (ada, app) = (house.member("ada").await, ClientApp::public(&house).await);
    let request = app.request().with("scope", "user:read");
    let code = ada.allow(&request).await.code();
    let tokens = Tokens::of(&house.token(&app.exchange(&code)).await);
    for wider in [
        "grants:write",
        "user:read grants:read",
        "admin",
        "offline_access",
    ] {
        let form = app.refreshing(&tokens.refresh).with("scope", wider);
        house.token(&form).await.refused(400, "invalid_scope");
    }
    assert_eq!(
        refreshed(&house, &app, &tokens.refresh).await.scope,
        "user:read"
    );
}

/// Contract §3; threat 12: from the deployment to `/mcp`, never the other way.
#[tokio::test]
async fn a_resource_narrows_and_never_widens() {
    let house = House::open();
    let (ada, app) = (house.member("ada").await, ClientApp::public(&house).await);
    let (mcp, other) = (
        format!("{LOCAL}/mcp"),
        format!("{LOCAL}/api/experimental/mcp/http"),
    );
    let code = ada
        .allow(&app.request().with("resource", LOCAL))
        .await
        .code();
    let whole = Tokens::of(&house.token(&app.exchange(&code)).await);
    let form = app.refreshing(&whole.refresh).with("resource", &mcp);
    let narrow = Tokens::of(&house.token(&form).await);
    house.mcp(&narrow.access).await.expect(200);
    // Narrowed for that token only: the next one may be for another part of the deployment.
    let form = app.refreshing(&narrow.refresh).with("resource", &other);
    let elsewhere = Tokens::of(&house.token(&form).await);
    house.mcp(&elsewhere.access).await.expect(401);

    let code = ada.allow(&app.request()).await.code();
    let tokens = Tokens::of(&house.token(&app.exchange(&code)).await);
    for wider in [LOCAL, &other, "https://elsewhere.example/mcp", "not a uri"] {
        let form = app.refreshing(&tokens.refresh).with("resource", wider);
        house.token(&form).await.refused(400, "invalid_target");
    }
    let form = app.refreshing(&tokens.refresh).with("resource", &mcp);
    house.token(&form).await.expect(200);
}

/// What a person took back, or somebody who may not sign in any more, refreshes nothing.
#[tokio::test]
async fn a_disabled_person_refreshes_nothing() {
    let house = House::open();
    let user = house.person("ada", Role::Member).await;
    let ada = house.signed_in(&user).await;
    let app = ClientApp::public(&house).await;
    let code = app.code(&ada).await;
    let tokens = Tokens::of(&house.token(&app.exchange(&code)).await);
    house.disable(&user).await;
    assert_over(&house, &app, &[&tokens]).await;
}

/// Contract §3: what is no refresh token is an invalid grant, whatever else it is.
#[tokio::test]
async fn what_is_no_refresh_token_is_an_invalid_grant() {
    let house = House::open();
    let (_, app, tokens) = house.connected().await;
    let cut = &tokens.refresh[..tokens.refresh.len() - 1];
    let longer = format!("{}0", tokens.refresh);
    for wrong in ["x", "\0", cut, &longer, &tokens.access, "ks_rt_", "é"] {
        let answer = house.token(&app.refreshing(wrong)).await;
        answer.refused(400, "invalid_grant");
    }
    refreshed(&house, &app, &tokens.refresh).await;
}
