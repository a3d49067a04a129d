//! Contract §3, "too many requests": what is answered beyond a limit, to whom, and until when.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use serde_json::json;

use super::{
    client_app::{CALLBACK, ClientApp, public_at},
    house::{House, Tokens, list_tools},
    wire::{Answer, Ask, Fields},
};
use crate::{
    oauth2provider::MCP_PATH,
    web::throttle::{Endpoint, LIMITS, Limit, Per},
};

const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 9));

/// The limit of `endpoint` for whom it is counted.
fn limit(endpoint: Endpoint, per: Per) -> &'static Limit {
    let is_meant = |row: &&Limit| (row.endpoint, row.per) == (endpoint, per);
    LIMITS.iter().find(is_meant).expect("there is such a limit")
}

fn address(number: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 | number))
}

/// Asserts that it says so as OAuth does; returns the seconds to wait.
#[track_caller]
fn asked_to_wait(answer: &Answer) -> u64 {
    answer.refused(429, "temporarily_unavailable");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    let seconds = answer.header("retry-after").expect("when to try again");
    seconds.parse().expect("seconds")
}

/// The address is counted before the body is read: what stands in it does not matter.
#[tokio::test]
async fn an_address_that_asks_too_often_waits_and_nobody_else_does() {
    for (path, endpoint) in [
        ("/oauth2/token", Endpoint::Token),
        ("/oauth2/tokens", Endpoint::Token),
        ("/token", Endpoint::Token),
        ("/oauth2/revoke", Endpoint::Revocation),
        ("/oauth2/register", Endpoint::Registration),
        ("/register", Endpoint::Registration),
    ] {
        let house = House::with_rate_limits();
        let nonsense = || Ask::json(path, &json!(["nonsense"]));
        for _ in 0..limit(endpoint, Per::Address).burst.get() {
            house.ask(nonsense()).await.expect(400);
        }
        let seconds = asked_to_wait(&house.ask(nonsense()).await);
        house.ask_from(ELSEWHERE, nonsense()).await.expect(400);
        house.wait(Duration::from_secs(seconds));
        house.ask(nonsense()).await.expect(400);
    }
}

/// mcp.md D2 #12: claude.ai registers twice for each connection, and all from a few addresses.
#[tokio::test]
async fn thirty_people_of_one_host_register_at_once() {
    let house = House::with_rate_limits();
    for _ in 0..30 * 2 {
        ClientApp::public(&house).await;
    }
}

#[tokio::test]
async fn strangers_everywhere_share_one_allowance_of_registrations() {
    let house = House::with_rate_limits();
    let register = || Ask::json("/oauth2/register", &public_at(CALLBACK));
    let burst = limit(Endpoint::Registration, Per::Box).burst.get();
    for number in 0..burst {
        house
            .ask_from(address(number), register())
            .await
            .expect(201);
    }
    // What could not have been registered takes nothing of it.
    let refused = Ask::json("/oauth2/register", &json!({}));
    let seconds = asked_to_wait(&house.ask_from(address(burst), register()).await);
    house
        .ask_from(address(burst), refused)
        .await
        .refused(400, "invalid_redirect_uri");
    house.wait(Duration::from_secs(seconds));
    house.ask_from(address(burst), register()).await.expect(201);
}

#[tokio::test]
async fn a_client_that_asks_too_often_waits_wherever_it_asks() {
    let house = House::with_rate_limits();
    let (busy, other) = (
        ClientApp::confidential(&house).await,
        ClientApp::confidential(&house).await,
    );
    let ask = |app: &ClientApp| Ask::form("/oauth2/token", &app.refreshing("junk"));
    let burst = limit(Endpoint::Token, Per::Client).burst.get();
    for number in 0..burst {
        let answer = house.ask_from(address(number), ask(&busy)).await;
        answer.refused(400, "invalid_grant");
    }
    asked_to_wait(&house.ask_from(address(burst), ask(&busy)).await);
    let answer = house.ask_from(address(burst), ask(&other)).await;
    answer.refused(400, "invalid_grant");
}

/// Its name is no secret: whoever sends it elsewhere keeps nobody from using it.
#[tokio::test]
async fn nobody_uses_up_the_allowance_of_a_public_client() {
    let house = House::with_rate_limits();
    let app = ClientApp::public(&house).await;
    let ask = || Ask::form("/oauth2/token", &app.refreshing("junk"));
    for _ in 0..limit(Endpoint::Token, Per::Client).burst.get() {
        house
            .ask_from(ELSEWHERE, ask())
            .await
            .refused(400, "invalid_grant");
    }
    asked_to_wait(&house.ask_from(ELSEWHERE, ask()).await);
    house.ask(ask()).await.refused(400, "invalid_grant");
}

/// A secret that is not right is no call of the client.
#[tokio::test]
async fn who_only_knows_a_clients_name_takes_nothing_of_its_allowance() {
    let house = House::with_rate_limits();
    let app = ClientApp::confidential(&house).await;
    let guess = Fields::of(&[("client_id", &app.id), ("client_secret", "guess")]);
    for _ in 0..=limit(Endpoint::Token, Per::Client).burst.get() {
        let answer = house
            .ask_from(ELSEWHERE, Ask::form("/oauth2/token", &guess))
            .await;
        answer.refused(401, "invalid_client");
    }
    let answer = house.token(&app.refreshing("junk")).await;
    answer.refused(400, "invalid_grant");
}

/// In the words of the endpoint, and whichever of its tokens a client shows.
#[tokio::test]
async fn a_client_that_calls_too_often_waits_and_a_new_token_is_no_new_allowance() {
    let house = House::with_rate_limits();
    let (ada, app, tokens) = house.connected().await;
    let list = |tokens: &Tokens| list_tools(MCP_PATH).bearer(&tokens.access);
    for _ in 0..limit(Endpoint::Mcp, Per::Grant).burst.get() {
        house.ask(list(&tokens)).await.expect(200);
    }
    let renewed = Tokens::of(&house.token(&app.refreshing(&tokens.refresh)).await);
    for tokens in [&tokens, &renewed] {
        let refused = house.ask(list(tokens)).await.expect(429);
        assert_eq!(refused.header("retry-after"), Some("1"));
        let body = refused.json();
        assert_eq!(body["jsonrpc"], "2.0");
        assert_eq!(body["error"]["code"], -32600);
    }
    let again = app.request().with("prompt", "consent");
    let code = ada.allow(&again).await.code();
    let other = Tokens::of(&house.token(&app.exchange(&code)).await);
    house.ask(list(&other)).await.expect(200);
    house.wait(Duration::from_secs(1));
    house.ask(list(&tokens)).await.expect(200);
}

#[tokio::test]
async fn off_lets_everybody_through() {
    let house = House::open();
    for _ in 0..=limit(Endpoint::Token, Per::Address).burst.get() {
        let answer = house.token(&Fields::default()).await;
        answer.refused(400, "invalid_request");
    }
}
