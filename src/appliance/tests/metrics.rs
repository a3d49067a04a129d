//! `/metrics`: who gets it, what is in it, and what nobody can put into it.

use std::{collections::BTreeMap, fs, sync::Arc, time::Duration};

use http::Method;
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::watch;

use super::{
    client_app::ClientApp,
    house::{House, LOCAL, PASSWORD, Tokens, list_tools},
    wire::{Answer, Ask},
};
use crate::{
    appliance::metrics::{LIMITS, Own},
    http::{dispatch::Dispatcher, server::Phase},
    mcp::upstreams::testing,
    model::user::Role,
};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
/// For how long a predecessor is answered, by default, and a little more.
const BEYOND_REPLAY_WINDOW: Duration = Duration::from_secs(31);

/// A house whose metrics a token opens.
struct Measured {
    house: House,
    _token: TempDir,
}

impl Measured {
    fn open() -> Self {
        Self::with(&[("KEYSTEAD_RATE_LIMIT", "off")])
    }

    fn with(variables: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("token");
        fs::write(&path, format!("{TOKEN}\n")).expect("a file");
        let file = ("KEYSTEAD_METRICS_TOKEN_FILE", path.to_str().expect("UTF-8"));
        let variables: Vec<_> = variables.iter().copied().chain([file]).collect();
        Self {
            house: House::with(LOCAL, &variables),
            _token: directory,
        }
    }

    async fn scrape(&self) -> Scrape {
        Scrape::read(&self.house.ask(strict().bearer(TOKEN)).await)
    }
}

/// A scrape in the stricter of both formats.
fn strict() -> Ask {
    Ask::get("/metrics").header("accept", "application/openmetrics-text")
}

/// What was read, after it was found to be what OpenMetrics says.
struct Scrape(BTreeMap<String, f64>);

impl Scrape {
    #[track_caller]
    fn read(answer: &Answer) -> Self {
        assert_eq!(answer.status, 200, "{answer:#?}");
        assert_eq!(
            answer.header("content-type"),
            Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
        );
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let body = answer
            .body
            .strip_suffix("# EOF\n")
            .expect("it ends in order");
        let (mut families, mut series) = (BTreeMap::new(), BTreeMap::new());
        let mut family = ("", "");
        for line in body.lines() {
            if let Some(described) = line.strip_prefix("# TYPE ") {
                family = described.split_once(' ').expect("a name and a type");
                assert_eq!(families.insert(family.0, family.1), None, "{line}: twice");
            }
            if line.starts_with('#') {
                continue;
            }
            let (name, value) = line.rsplit_once(' ').expect("a series and a value");
            let plain = name.split('{').next().unwrap_or_default();
            let end = plain
                .strip_prefix(family.0)
                .expect("it follows its description");
            let is_of_type = match family.1 {
                "counter" => end == "_total",
                "gauge" => end.is_empty(),
                "info" => end == "_info",
                "histogram" => ["_sum", "_count", "_bucket"].contains(&end),
                _ => false,
            };
            assert!(is_of_type, "{line}: {family:?}");
            let value: f64 = value.parse().expect("a number");
            assert!(value >= 0.0, "{line}");
            assert_eq!(series.insert(name.to_owned(), value), None, "{line}: twice");
        }
        Self(series)
    }

    /// The value of a series; 0 while there is none.
    fn value(&self, series: &str) -> f64 {
        self.0.get(series).copied().unwrap_or(0.0)
    }

    #[track_caller]
    fn expect(&self, expected: &[(&str, u32)]) {
        for (series, value) in expected {
            let found = self.value(series);
            assert!(
                (found - f64::from(*value)).abs() < 0.5,
                "{series}: expected {value}, found {found}"
            );
        }
    }

    fn names(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }
}

async fn call(house: &House, tokens: &Tokens, tool: &str) -> Answer {
    let params = json!({ "name": tool, "arguments": {} });
    let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
    let ask = Ask::json("/mcp", &message)
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2025-11-25");
    house.ask(ask.bearer(&tokens.access)).await
}

/// Off, it cannot be told from what does not exist, by any method.
#[tokio::test]
async fn without_a_token_file_there_is_no_such_page() {
    let house = House::open();
    for method in [Method::GET, Method::POST, Method::DELETE, Method::OPTIONS] {
        let missing = house.ask(Ask::new(method.clone(), "/nowhere")).await;
        let answer = house
            .ask(Ask::new(method.clone(), "/metrics").bearer(TOKEN))
            .await;
        assert_eq!(answer.status, 404, "{method}");
        assert_eq!(answer.body, missing.body, "{method}");
    }
}

/// Threats 27 and 35.
#[tokio::test]
async fn only_its_own_token_opens_the_page() {
    let measured = Measured::open();
    let house = &measured.house;
    let (ada, _, tokens) = house.connected().await;
    let get = || Ask::get("/metrics");
    let nothing = house.ask(get()).await.expect(401);
    let challenge = nothing.header("www-authenticate").expect("a challenge");
    assert_eq!(challenge, r#"Bearer realm="keystead metrics""#);
    for wrong in [
        get().bearer(""),
        get().bearer(&TOKEN[1..]),
        get().bearer(&format!("{TOKEN}0")),
        get().bearer(&TOKEN.to_uppercase()),
        get().bearer(&tokens.access),
        get().header("authorization", TOKEN),
        get().header("authorization", &format!("Basic {TOKEN}")),
        Ask::get(&format!("/metrics?access_token={TOKEN}")),
        ada.dress(get()),
    ] {
        let answer = house.ask(wrong.clone()).await;
        assert_eq!(answer.status, 401, "{wrong:?}");
        assert!(!answer.body.contains("keystead_"), "{answer:?}");
    }
    house.ask(get().bearer(TOKEN)).await.expect(200);
    let odd = get().header("authorization", &format!("bearer  {TOKEN} "));
    house.ask(odd).await.expect(200);
    // The token opens nothing else, and a script of another origin gets nothing with it.
    house.mcp(TOKEN).await.expect(401);
    let elsewhere = get().bearer(TOKEN).header("origin", "https://evil.example");
    house.ask(elsewhere).await.expect(403);
}

/// A person who signs in at the second try, and a client that refreshes, calls and replays.
async fn live(house: &House) {
    house.person("grace", Role::Member).await;
    let mut grace = house.stranger();
    for (password, status) in [("wrong", 403), (PASSWORD, 303)] {
        let form = grace.open_form("/sign-in", "/sign-in").await;
        let form = form.with("username", "grace").with("password", password);
        grace.submit(&form).await.expect(status);
    }
    let (_, app, first) = house.connected().await;
    let second = Tokens::of(&house.token(&app.refreshing(&first.refresh)).await);
    house
        .ask(list_tools("/mcp").bearer(&second.access))
        .await
        .expect(200);
    call(house, &second, "get_authenticated_user")
        .await
        .expect(200);
    call(house, &second, "revoke_my_grant").await.expect(200);
    call(house, &second, "no_such_tool").await;
    house.wait(BEYOND_REPLAY_WINDOW);
    house
        .token(&app.refreshing(&first.refresh))
        .await
        .expect(400);
}

#[tokio::test]
async fn what_is_done_is_counted() {
    let measured = Measured::open();
    live(&measured.house).await;
    let scrape = measured.scrape().await;
    scrape.expect(&[
        (r#"keystead_sign_ins_total{outcome="wrong"}"#, 1),
        (r#"keystead_sign_ins_total{outcome="signed_in"}"#, 1),
        (
            r#"keystead_token_requests_total{grant_type="authorization_code",outcome="issued"}"#,
            1,
        ),
        (
            r#"keystead_token_requests_total{grant_type="refresh_token",outcome="issued"}"#,
            1,
        ),
        (
            r#"keystead_token_requests_total{grant_type="refresh_token",outcome="replayed"}"#,
            1,
        ),
        (r#"keystead_audit_entries_total{action="token.issued"}"#, 1),
        (
            r#"keystead_audit_entries_total{action="token.refreshed"}"#,
            1,
        ),
        (
            r#"keystead_audit_entries_total{action="token.replayed"}"#,
            1,
        ),
        (
            r#"keystead_http_requests_total{method="POST",route="/sign-in",status="3xx"}"#,
            1,
        ),
        (
            r#"keystead_http_requests_total{method="POST",route="/sign-in",status="4xx"}"#,
            1,
        ),
        (
            r#"keystead_http_request_duration_seconds_count{method="POST",route="/sign-in"}"#,
            2,
        ),
        (
            r#"keystead_mcp_tool_calls_total{tool="get_authenticated_user",outcome="ok"}"#,
            1,
        ),
        // It was called without the argument that it needs.
        (
            r#"keystead_mcp_tool_calls_total{tool="revoke_my_grant",outcome="error"}"#,
            1,
        ),
        (
            r#"keystead_mcp_tool_calls_total{tool="none",outcome="refused"}"#,
            1,
        ),
        (
            r#"keystead_mcp_tool_call_duration_seconds_count{tool="get_authenticated_user"}"#,
            1,
        ),
        ("keystead_mcp_tool_calls_in_flight", 0),
        // This one.
        ("keystead_http_requests_in_flight", 1),
        ("keystead_store_queue_length", 0),
        ("keystead_store_writable", 1),
        (r#"keystead_store_writes_total{outcome="failed"}"#, 0),
        (
            &format!(
                r#"keystead_build_info{{version="{}"}}"#,
                env!("CARGO_PKG_VERSION")
            ),
            1,
        ),
        ("process_start_time_seconds", 1_790_000_000),
    ]);
}

/// Of what the machine says as well, which is not the same each time.
#[tokio::test]
async fn what_is_written_is_counted() {
    let measured = Measured::open();
    live(&measured.house).await;
    let scrape = measured.scrape().await;
    let committed = scrape.value(r#"keystead_store_writes_total{outcome="committed"}"#);
    assert!(committed > 8.0, "{committed}");
    let batches = scrape.value("keystead_store_batch_writes_count");
    assert!((1.0..=committed + 9.0).contains(&batches), "{batches}");
    assert!(scrape.value("keystead_store_file_size_bytes") > 4_096.0);
    assert!(scrape.value("process_resident_memory_bytes") > 1e6);
}

/// Buckets of a histogram grow, and the last one has all.
#[tokio::test]
async fn the_buckets_of_a_histogram_add_up() {
    let measured = Measured::open();
    for _ in 0..3 {
        measured.house.get("/healthz").await.expect(200);
    }
    let scrape = measured.scrape().await;
    let name = "keystead_http_request_duration_seconds";
    let labels = r#"method="GET",route="/healthz""#;
    let bucket = |bound: &str| scrape.value(&format!(r#"{name}_bucket{{le="{bound}",{labels}}}"#));
    let counts = ["0.0001", "0.001", "0.01", "1.0", "30.0", "+Inf"].map(bucket);
    assert!(counts.is_sorted(), "{counts:?}");
    assert!((counts[5] - 3.0).abs() < 0.5, "{counts:?}");
    assert!(scrape.value(&format!("{name}_sum{{{labels}}}")) > 0.0);
}

/// What a stranger, or a client, makes up makes no series: not one more after a thousand names than
/// after one.
#[tokio::test]
async fn no_caller_makes_a_series_of_its_own() {
    let measured = Measured::open();
    let house = &measured.house;
    let (_, app, tokens) = house.connected().await;
    let mut names = Vec::new();
    for round in [0..1, 1..40] {
        for number in round {
            let evil = format!("evil{number}");
            house.get(&format!("/{evil}")).await.expect(404);
            house.get(&format!("/claim/{evil}")).await.expect(404);
            house.get(&format!("/mcp/{evil}")).await.expect(404);
            let method: Method = evil.to_uppercase().parse().expect("a method");
            house
                .ask(Ask::new(method.clone(), "/mcp"))
                .await
                .expect(405);
            house.ask(Ask::new(method, "/nowhere")).await.expect(404);
            house
                .ask(Ask::get("/").header("host", &evil))
                .await
                .expect(403);
            let form = app.identified(&[("grant_type", &evil)]);
            house.token(&form).await.expect(400);
            for tool in [&*evil, &format!("{evil}__tool"), "a\"} 1\nevil"] {
                call(house, &tokens, tool).await;
            }
        }
        // Two, so that what the first one counts of itself is there.
        measured.scrape().await;
        let scrape = measured.scrape().await;
        assert!(
            scrape
                .names()
                .iter()
                .all(|name| !name.to_lowercase().contains("evil"))
        );
        names.push(scrape.names().join("\n"));
    }
    assert_eq!(names[0], names[1]);
}

#[tokio::test]
async fn an_upstream_is_one_tool_and_up_while_it_is_connected() {
    let house = House::with_upstreams(Arc::new(testing::House::default()));
    super::administered::upstream(&house, "files").await;
    let (ada, app) = (house.member("ada").await, ClientApp::public(&house).await);
    let request = app.request().with("scope", "upstream:files");
    let code = ada.allow(&request).await.code();
    let tokens = Tokens::of(&house.token(&app.exchange(&code)).await);
    let scraped = || async { Scrape::read(&own(&house, strict()).await) };
    let up = r#"keystead_upstream_up{upstream="files"}"#;
    scraped().await.expect(&[(up, 0)]);
    for tool in ["files__echo", "files__echo", "files__no_such_tool"] {
        call(&house, &tokens, tool).await;
    }
    let scrape = scraped().await;
    scrape.expect(&[
        (up, 1),
        (
            r#"keystead_upstream_connections_total{upstream="files"}"#,
            1,
        ),
        (r#"keystead_upstream_restarts_total{upstream="files"}"#, 0),
        (r#"keystead_upstream_failures_total{upstream="files"}"#, 0),
        (
            r#"keystead_mcp_tool_calls_total{tool="files__*",outcome="ok"}"#,
            2,
        ),
        (
            r#"keystead_mcp_tool_calls_total{tool="none",outcome="refused"}"#,
            1,
        ),
    ]);
}

#[tokio::test]
async fn refusals_for_too_many_calls_are_counted_by_their_limit() {
    let measured = Measured::with(&[]);
    let nonsense = || Ask::json("/oauth2/register", &json!(["nonsense"]));
    while measured.house.ask(nonsense()).await.status != 429 {}
    let scrape = measured.scrape().await;
    let refused = |endpoint: &str, per: &str| {
        let labels = format!(r#"endpoint="{endpoint}",per="{per}""#);
        scrape.value(&format!("keystead_rate_limit_refusals_total{{{labels}}}"))
    };
    assert!((refused("registration", "address") - 1.0).abs() < 0.5);
    assert!(refused("registration", "box") < 0.5);
    assert!(refused("token", "address") < 0.5);
}

/// What the listener for metrics answers.
async fn own(house: &House, ask: Ask) -> Answer {
    let phase = Arc::new(watch::Sender::new(Phase::Serving));
    let own = Arc::new(Own::new(Arc::clone(&house.app)));
    let dispatcher = Dispatcher::new(own, LIMITS, phase);
    super::house::asked(&dispatcher, "127.0.0.1:9464", ask).await
}

/// Threat 1: a page in a browser of this machine, whatever name it found the address under.
#[tokio::test]
async fn the_listener_of_its_own_serves_metrics_to_this_machine_and_nothing_else() {
    let house = House::open();
    let scrape = Scrape::read(&own(&house, strict()).await);
    assert!(scrape.value("process_start_time_seconds") > 0.0);
    own(&house, Ask::new(Method::HEAD, "/metrics"))
        .await
        .expect(200);
    for path in ["/", "/healthz", "/mcp", "/metrics/", "/oauth2/token"] {
        own(&house, Ask::get(path)).await.expect(404);
    }
    own(&house, Ask::new(Method::POST, "/metrics"))
        .await
        .expect(405);
    let foreign = Ask::get("/metrics").header("host", "evil.example:9464");
    own(&house, foreign).await.expect(403);
    let page = Ask::get("/metrics").header("origin", "http://localhost:9464");
    own(&house, page).await.expect(403);
}
