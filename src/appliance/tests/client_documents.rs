//! Contract §4: clients that are named by the URL of a document. `mcp.md` D3: what the hosts that
//! do so need. Threat 23: what a document can make this server call, and what it can claim.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    browser::Browser,
    client_app::{CALLBACK, ClientApp},
    house::{House, LOCAL, Tokens},
    wire::{Answer, Ask},
};
use crate::{
    model::oauth2::client_id::ClientId,
    oauth2provider::client_documents::{self, FRESH_MIN, STALE_MAX},
    runtime::outbound::testing::{
        Asked, GLOBAL, HOST, Says, Script, World, answer, json_answer, served,
    },
    store::clients,
    web::oauth2::client_documents::parse,
};

const URL: &str = "https://app.example/client.json";
const CLAUDE_CODE: &str = "https://claude.ai/oauth/claude-code-client-metadata";
const A_SECOND: Duration = Duration::from_secs(1);
const AN_HOUR: Duration = Duration::from_hours(1);

fn document() -> Value {
    json!({
        "client_id": URL,
        "client_name": "An app with a document",
        "redirect_uris": [CALLBACK],
        "grant_types": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_method": "none",
    })
}

/// The client of that document, as it knows itself.
fn client_of(url: &str, redirect_uri: &str) -> ClientApp {
    ClientApp {
        id: url.to_owned(),
        secret: None,
        registration_token: String::new(),
        redirect_uri: redirect_uri.to_owned(),
        resource: format!("{LOCAL}/mcp"),
    }
}

fn app() -> ClientApp {
    client_of(URL, CALLBACK)
}

/// A deployment, and the host of the document.
struct Setting {
    house: House,
    asked: Asked,
    script: Script,
}

impl Setting {
    async fn where_the_host_says(says: Says) -> Self {
        let World {
            asked,
            outbound,
            script,
        } = served(&[&[GLOBAL]], says).await;
        Self {
            house: House::with_outbound(outbound),
            asked,
            script,
        }
    }

    async fn with(document: &Value) -> Self {
        Self::where_the_host_says(json_answer(&document.to_string())).await
    }

    /// How often the host was asked.
    fn fetches(&self) -> usize {
        self.asked.requests().len()
    }

    fn host_fails(&self) {
        let headers = "content-type: application/json\r\n";
        let failure = answer("403 Forbidden", headers, "{}");
        self.script.set(Says::Bytes(failure));
    }

    fn host_serves(&self, document: &Value) {
        self.script.set(json_answer(&document.to_string()));
    }
}

async fn pin(house: &House, document: &Value) {
    let url = document["client_id"].as_str().expect("a URL");
    let parsed = parse(
        &url.parse().expect("a URL"),
        document.to_string().as_bytes(),
    );
    let parsed = parsed.expect("a document");
    let pinned = house.write(move |tx, moment| client_documents::pin(tx, moment.act(), parsed));
    pinned.await.expect("a copy");
}

async fn supported(house: &House) -> Value {
    let metadata = house.get("/.well-known/oauth-authorization-server").await;
    metadata.expect(200).json()["client_id_metadata_document_supported"].clone()
}

/// A page that says why, and sends nobody anywhere.
#[track_caller]
fn assert_not_looked_up(answer: &Answer) {
    assert_eq!(answer.status, 400, "{answer:#?}");
    assert!(!answer.headers.contains_key("location"), "{answer:#?}");
    assert!(answer.body.contains("cannot be looked up"), "{answer:#?}");
}

async fn authorize(browser: &Browser<'_>) -> Answer {
    browser.authorize(&app().request()).await
}

/// The whole way: on the wire the client is its URL, and nothing else.
#[tokio::test]
async fn a_client_is_its_url_from_consent_to_revocation() {
    let setting = Setting::with(&document()).await;
    let house = &setting.house;
    let ada = house.member("ada").await;
    let page = authorize(&ada).await.expect(200).body;
    assert!(
        page.contains("An app with a document") && page.contains(HOST),
        "{page}"
    );
    let code = app().code(&ada).await;
    let tokens = Tokens::of(&house.token(&app().exchange(&code)).await);
    let refreshed = house.token(&app().refreshing(&tokens.refresh)).await;
    let tokens = Tokens::of(&refreshed);
    house.mcp(&tokens.access).await.expect(200);
    let whoami = json!({
        "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": { "name": "get_authenticated_user", "arguments": {} },
    });
    let ask = Ask::json("/mcp", &whoami)
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2025-11-25")
        .bearer(&tokens.access);
    let said = house.ask(ask).await.expect(200).body;
    assert!(said.contains(URL), "{said}");
    let account = ada.get("/account").await.expect(200).body;
    assert!(account.contains("described by app.example"), "{account}");
    house.ask(app().revoking(&tokens.refresh)).await.expect(200);
    house.mcp(&tokens.access).await.expect(401);
    assert_eq!(setting.fetches(), 1);
}

/// The key that the client is kept under is not a second name of it.
#[tokio::test]
async fn the_key_of_a_documents_client_names_nobody() {
    let setting = Setting::with(&document()).await;
    let ada = setting.house.member("ada").await;
    authorize(&ada).await.expect(200);
    let named = ClientId::Document(URL.parse().expect("a URL"));
    let client = setting
        .house
        .store
        .read(|tx| clients::find_named(tx, &named));
    let key = client.expect("a store").expect("a client").id.to_string();
    let request = app().request().with("client_id", &key);
    ada.authorize(&request).await.expect(400);
    let form = app().refreshing("x").with("client_id", &key);
    setting.house.token(&form).await.expect(401);
}

/// Threat 23; design: "No request of a stranger makes the server call out".
#[tokio::test]
async fn a_stranger_never_makes_the_server_call_out() {
    let setting = Setting::with(&document()).await;
    let (house, stranger) = (&setting.house, setting.house.stranger());
    let signing_in = authorize(&stranger).await;
    let location = signing_in.location();
    assert!(location.starts_with("/sign-in?return_to="), "{location}");
    stranger.get(location).await.expect(200);
    house.token(&app().exchange("x")).await.expect(401);
    house.token(&app().refreshing("x")).await.expect(401);
    house.ask(app().revoking("x")).await.expect(401);
    stranger
        .post("/oauth2/authorize", &app().request())
        .await
        .expect(403);
    assert_eq!(setting.asked.names(), Vec::<String>::new());
    assert_eq!(setting.asked.addresses(), []);
}

/// Neither does the answer to a page that was shown.
#[tokio::test]
async fn a_document_is_fetched_for_the_page_and_not_for_its_answer() {
    let setting = Setting::with(&document()).await;
    let ada = setting.house.member("ada").await;
    let form = ada.consent(&app().request()).await;
    setting.host_fails();
    setting.house.wait(FRESH_MIN);
    let code = ada.decide(&form.fields).await.code();
    setting
        .house
        .token(&app().exchange(&code))
        .await
        .expect(200);
    assert_eq!(setting.fetches(), 1);
}

#[tokio::test]
async fn a_copy_is_fresh_for_as_long_as_its_headers_say_within_bounds() {
    for (cache, minutes) in [
        ("", 5),
        ("max-age=1", 5),
        ("max-age=1200", 20),
        ("max-age=86400", 60),
    ] {
        let headers = format!("content-type: application/json\r\ncache-control: {cache}\r\n");
        let bytes = answer("200 OK", &headers, &document().to_string());
        let setting = Setting::where_the_host_says(Says::Bytes(bytes)).await;
        let ada = setting.house.member("ada").await;
        authorize(&ada).await.expect(200);
        setting.house.wait(Duration::from_secs(minutes * 60 - 1));
        authorize(&ada).await.expect(200);
        assert_eq!(setting.fetches(), 1, "{cache}");
        setting.house.wait(A_SECOND);
        authorize(&ada).await.expect(200);
        assert_eq!(setting.fetches(), 2, "{cache}");
    }
}

/// A consent is to what the document said; what stays the same is remembered over a new fetch.
#[tokio::test]
async fn a_changed_document_ends_remembered_consents() {
    let setting = Setting::with(&document()).await;
    let ada = setting.house.member("ada").await;
    let code = app().code(&ada).await;
    let tokens = Tokens::of(&setting.house.token(&app().exchange(&code)).await);
    setting.house.wait(AN_HOUR / 2);
    authorize(&ada).await.code();
    let mut changed = document();
    changed["redirect_uris"] = json!([CALLBACK, "https://app.example/other"]);
    setting.host_serves(&changed);
    setting.house.wait(AN_HOUR / 2);
    ada.consent(&app().request()).await;
    assert_eq!(setting.fetches(), 3);
    // What it was given before goes on.
    setting
        .house
        .token(&app().refreshing(&tokens.refresh))
        .await
        .expect(200);
}

/// A redirect URI that the document has withdrawn is not gone to.
#[tokio::test]
async fn a_withdrawn_redirect_uri_is_refused() {
    let setting = Setting::with(&document()).await;
    let ada = setting.house.member("ada").await;
    authorize(&ada).await.expect(200);
    let mut changed = document();
    changed["redirect_uris"] = json!(["https://app.example/other"]);
    setting.host_serves(&changed);
    setting.house.wait(AN_HOUR);
    let answer = authorize(&ada).await.expect(400);
    assert!(!answer.headers.contains_key("location"), "{answer:#?}");
}

/// Threat 23: another's document, none at all, and one that leads elsewhere.
#[tokio::test]
async fn what_is_no_document_of_the_url_is_refused_on_a_page() {
    let mut anothers = document();
    anothers["client_id"] = "https://claude.ai/oauth/mcp-oauth-client-metadata".into();
    let mut secretive = document();
    secretive["token_endpoint_auth_method"] = "client_secret_basic".into();
    let json = "content-type: application/json\r\n";
    let redirect = format!("{json}location: {URL}\r\n");
    for says in [
        json_answer(&anothers.to_string()),
        json_answer(&secretive.to_string()),
        json_answer("[]"),
        Says::Bytes(answer("200 OK", "content-type: text/html\r\n", "<html>")),
        Says::Bytes(answer("302 Found", &redirect, "")),
        Says::Bytes(answer("404 Not Found", json, "{}")),
        Says::Bytes(b"garbage".to_vec()),
    ] {
        let setting = Setting::where_the_host_says(says).await;
        let ada = setting.house.member("ada").await;
        assert_not_looked_up(&authorize(&ada).await);
        // No negative caching: the next one is another try.
        setting.host_serves(&document());
        authorize(&ada).await.expect(200);
    }
}

/// Threat 23: a host that is not on the public internet.
#[tokio::test]
async fn a_document_on_a_private_network_is_not_fetched() {
    for address in ["127.0.0.1", "192.168.1.1", "::ffff:10.0.0.1", "fd00::1"] {
        let says = json_answer(&document().to_string());
        let World {
            asked, outbound, ..
        } = served(&[&[address]], says).await;
        let house = House::with_outbound(outbound);
        let ada = house.member("ada").await;
        let page = authorize(&ada).await;
        assert_not_looked_up(&page);
        assert!(!page.body.contains(address), "{}", page.body);
        assert_eq!(asked.addresses(), []);
    }
}

#[tokio::test]
async fn a_stale_copy_serves_for_a_while_when_the_host_fails() {
    let setting = Setting::with(&document()).await;
    let ada = setting
        .house
        .person("ada", crate::model::user::Role::Member)
        .await;
    let browser = setting.house.signed_in(&ada).await;
    let code = app().code(&browser).await;
    setting
        .house
        .token(&app().exchange(&code))
        .await
        .expect(200);
    setting.host_fails();
    setting
        .house
        .wait(FRESH_MIN + STALE_MAX.saturating_sub(A_SECOND));
    let browser = setting.house.signed_in(&ada).await;
    authorize(&browser).await.code();
    setting.house.wait(A_SECOND);
    assert_not_looked_up(&authorize(&browser).await);
}

/// The copy in the binary: claude.ai answers a data centre with 403 (`mcp.md` D3).
#[tokio::test]
async fn a_copy_in_the_binary_serves_where_nothing_can_be_fetched() {
    let house = House::open();
    let ada = house.member("ada").await;
    for redirect in [
        "http://localhost:3118/callback",
        "http://127.0.0.1:51234/callback",
    ] {
        let claude = client_of(CLAUDE_CODE, redirect);
        let page = ada.authorize(&claude.request()).await.expect(200).body;
        assert!(
            page.contains("Claude Code") && page.contains("claude.ai"),
            "{page}"
        );
        let code = claude.code(&ada).await;
        house.token(&claude.exchange(&code)).await.expect(200);
    }
    // A document that nobody has a copy of is another matter.
    assert_not_looked_up(&authorize(&ada).await);
}

/// `--egress off` stops advertising what it cannot honour, unless the owner pinned something.
#[tokio::test]
async fn documents_are_advertised_only_while_they_can_be_had() {
    let house = House::open();
    assert_eq!(supported(&house).await, json!(false));
    pin(&house, &document()).await;
    assert_eq!(supported(&house).await, json!(true));
    let url = URL.parse().expect("a URL");
    let unpinned = house.write(move |tx, moment| client_documents::unpin(tx, moment.act(), &url));
    assert!(unpinned.await.expect("the store writes"));
    assert_eq!(supported(&house).await, json!(false));
    let setting = Setting::with(&document()).await;
    assert_eq!(supported(&setting.house).await, json!(true));
}

#[tokio::test]
async fn the_owners_copy_serves_before_every_other() {
    let house = House::open();
    pin(&house, &document()).await;
    let ada = house.member("ada").await;
    let code = app().code(&ada).await;
    house.token(&app().exchange(&code)).await.expect(200);
    // Another copy of it holds at once, and people are asked again.
    house.wait(A_SECOND);
    let mut renamed = document();
    renamed["client_name"] = "Another name".into();
    pin(&house, &renamed).await;
    let page = authorize(&ada).await.expect(200).body;
    assert!(page.contains("Another name"), "{page}");
}

/// Abuse: a client that nobody approved expires like one that registered itself.
#[tokio::test]
async fn a_documents_client_that_nobody_approved_expires() {
    let setting = Setting::with(&document()).await;
    let house = &setting.house;
    let ada = house.member("ada").await;
    authorize(&ada).await.expect(200);
    let known = || {
        let named = ClientId::Document(URL.parse().expect("a URL"));
        house
            .store
            .read(|tx| clients::find_named(tx, &named))
            .expect("a store")
            .is_some()
    };
    let ttl = house.app.web.provider.lifetimes.unapproved_client_ttl;
    house.sweep(house.now().after(ttl).before(A_SECOND)).await;
    assert!(known());
    house.sweep(house.now().after(ttl)).await;
    assert!(!known());
}

/// `mcp.md` D3, `ChatGPT`: `private_key_jwt` preferred, `none` listed; it sends no assertion.
#[tokio::test]
async fn a_client_that_would_rather_sign_is_served_without() {
    let mut chatgpt = document();
    chatgpt["token_endpoint_auth_method"] = "private_key_jwt".into();
    chatgpt["token_endpoint_auth_methods_supported"] = json!(["none", "private_key_jwt"]);
    chatgpt["jwks_uri"] = "https://app.example/jwks.json".into();
    let setting = Setting::with(&chatgpt).await;
    let ada = setting.house.member("ada").await;
    let code = app().code(&ada).await;
    setting
        .house
        .token(&app().exchange(&code))
        .await
        .expect(200);
    assert_eq!(setting.fetches(), 1, "the keys are not fetched");
}

/// `mcp.md` D3, VS Code: another port when its own is taken, and types that are not served here.
#[tokio::test]
async fn a_loopback_client_is_asked_for_each_time_on_whatever_port() {
    let mut vscode = document();
    vscode["redirect_uris"] = json!(["http://127.0.0.1:33418/", "https://vscode.dev/redirect"]);
    vscode["grant_types"] = json!([
        "authorization_code",
        "refresh_token",
        "urn:ietf:params:oauth:grant-type:device_code"
    ]);
    vscode["application_type"] = "native".into();
    let setting = Setting::with(&vscode).await;
    let ada = setting.house.member("ada").await;
    for redirect in ["http://127.0.0.1:33418/", "http://127.0.0.1:50000/"] {
        client_of(URL, redirect).code(&ada).await;
        let page = ada
            .authorize(&client_of(URL, redirect).request())
            .await
            .expect(200);
        assert!(
            page.body.contains("Any program on that computer"),
            "{}",
            page.body
        );
    }
    for redirect in ["http://localhost:33418/", "http://127.0.0.1:33418/x"] {
        let request = client_of(URL, redirect).request();
        ada.authorize(&request).await.expect(400);
    }
}
