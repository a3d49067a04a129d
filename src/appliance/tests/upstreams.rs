//! Other MCP servers behind this one, as a client finds them and a person allows them.

use std::sync::{Arc, atomic::Ordering};

use serde_json::{Value, json};

use super::{
    administered,
    browser::unescape,
    client_app::ClientApp,
    discovery::has_null,
    house::{House, LOCAL, Tokens, list_tools},
    wire::Ask,
};
use crate::{
    appliance::{
        administration::{Command, Reply, UpstreamState},
        failing,
        socket::Response,
        start,
    },
    mcp::upstreams::{BACKOFF_MAX, FAILING_AFTER, testing},
    model::{
        notification::Template,
        upstream_words::UpstreamWords,
        user::{Role, User},
    },
    notifications::{self, Filter},
    oauth2provider::upstreams,
};

const ALL: &str = "upstream:files";
const READ: &str = "upstream:files:read";

async fn house() -> House {
    let house = House::with_upstreams(Arc::new(testing::House::default()));
    administered::upstream(&house, "files").await;
    house
}

fn strings(value: &Value) -> Vec<&str> {
    let list = value.as_array().expect("a list");
    list.iter().filter_map(Value::as_str).collect()
}

/// What a token of that scope, for that resource, lists at `path`.
async fn listed(house: &House, scope: &str, resource: &str, path: &str) -> Vec<String> {
    let (ada, app) = (house.member("ada").await, ClientApp::public(house).await);
    let request = app
        .request()
        .with("scope", scope)
        .with("resource", resource);
    let code = ada.allow(&request).await.code();
    let tokens = Tokens::of(&house.token(&app.exchange(&code)).await);
    let answer = house.ask(list_tools(path).bearer(&tokens.access)).await;
    let tools = answer.expect(200).json()["result"]["tools"].clone();
    let names = tools.as_array().expect("a list").iter();
    names
        .map(|tool| tool["name"].as_str().expect("a name").to_owned())
        .collect()
}

/// Contract §1: `resource` is byte-equal to the URL that a person pastes.
#[tokio::test]
async fn an_upstream_is_a_resource_with_metadata_of_its_own() {
    let house = house().await;
    let path = "/.well-known/oauth-protected-resource/mcp/files";
    let metadata = house.get(path).await.expect(200).json();
    assert!(!has_null(&metadata), "{metadata}");
    assert_eq!(metadata["resource"], format!("{LOCAL}/mcp/files"));
    assert_eq!(metadata["authorization_servers"], json!([LOCAL]));
    assert_eq!(metadata["scopes_supported"], json!([ALL, READ]));
    let refused = house.ask(list_tools("/mcp/files")).await.expect(401);
    let challenge = refused.header("www-authenticate").expect("a challenge");
    assert!(
        challenge.contains(&format!(r#"resource_metadata="{LOCAL}{path}""#)),
        "{challenge}"
    );
    assert!(
        challenge.contains(&format!(r#"scope="{ALL} {READ}""#)),
        "{challenge}"
    );
    for (path, has) in [
        (
            "/.well-known/oauth-protected-resource/mcp",
            &[ALL, READ][..],
        ),
        (
            "/.well-known/oauth-protected-resource/mcp/readonly",
            &[READ],
        ),
        ("/.well-known/oauth-protected-resource/mcp/search", &[]),
        ("/.well-known/oauth-authorization-server", &[ALL, READ]),
    ] {
        let metadata = house.get(path).await.expect(200).json();
        let mut found = strings(&metadata["scopes_supported"]);
        found.retain(|scope| scope.starts_with("upstream:"));
        assert_eq!(found, has, "{path}");
    }
}

/// The documents are rendered once, and again when an upstream came or went.
#[tokio::test]
async fn metadata_follow_what_is_added_and_removed_while_the_box_serves() {
    let house = house().await;
    let (added, rest) = (["upstream:wiki", "upstream:wiki:read"], [ALL, READ]);
    for is_there in [true, false, true] {
        if is_there {
            administered::upstream(&house, "wiki").await;
        } else {
            administered::remove_upstream(&house, "wiki").await;
        }
        for path in [
            "/.well-known/oauth-protected-resource",
            "/.well-known/oauth-protected-resource/mcp",
            "/.well-known/oauth-authorization-server",
        ] {
            let metadata = house.get(path).await.expect(200).json();
            let found = strings(&metadata["scopes_supported"]);
            let has = |scope| found.contains(&scope);
            assert!(rest.into_iter().all(has), "{path}: {found:?}");
            assert_eq!(added.map(has), [is_there; 2], "{path}: {found:?}");
        }
    }
}

#[tokio::test]
async fn what_is_no_upstream_is_not_there() {
    let house = house().await;
    for name in ["wiki", "Files", "files/x", "%2e%2e", "a__b"] {
        let path = format!("/.well-known/oauth-protected-resource/mcp/{name}");
        assert_eq!(house.get(&path).await.status, 404, "{name}");
        let path = format!("/mcp/{name}");
        assert_eq!(house.ask(list_tools(&path)).await.status, 404, "{name}");
    }
}

#[tokio::test]
async fn a_person_reads_what_an_upstream_is_for_and_may_leave_out_what_changes() {
    let house = house().await;
    let (ada, app) = (house.member("ada").await, ClientApp::public(&house).await);
    let request = app.request().with("scope", &format!("{ALL} {READ}"));
    let page = ada.authorize(&request).await.expect(200).body;
    let shown = unescape(&page);
    for words in ["use all tools of files", "use those tools of files"] {
        assert!(shown.contains(words), "{words}: {page}");
    }
    let form = ada.consent(&request).await;
    assert!(form.fields.all("scope").contains(&ALL), "{page}");
}

/// Every resource × every scope: what a token opens where.
#[tokio::test]
async fn a_token_opens_what_its_resource_and_its_scopes_say() {
    let at = |path: &str| format!("{LOCAL}{path}");
    for (scope, resource, path, first, has_changing) in [
        (ALL, at("/mcp"), "/mcp", Some("files__echo"), true),
        (READ, at("/mcp"), "/mcp", Some("files__echo"), false),
        (ALL, at("/mcp"), "/mcp/files", Some("echo"), true),
        (READ, at("/mcp/files"), "/mcp/files", Some("echo"), false),
        (ALL, at(""), "/mcp/files", Some("echo"), true),
        ("user:read", at("/mcp"), "/mcp/files", None, false),
    ] {
        let house = house().await;
        let listed = listed(&house, scope, &resource, path).await;
        assert_eq!(
            listed.first().map(String::as_str),
            first,
            "{scope} {resource} {path}"
        );
        let is_changing = |name: &String| name.ends_with("add_tool");
        assert_eq!(
            listed.iter().any(is_changing),
            has_changing,
            "{scope} {resource} {path}"
        );
    }
}

/// Threats 12 and 30: a token for one upstream opens neither another nor the rest of the box.
#[tokio::test]
async fn a_token_for_an_upstream_opens_nothing_else() {
    let house = house().await;
    administered::upstream(&house, "wiki").await;
    let (ada, app) = (house.member("ada").await, ClientApp::public(&house).await);
    let resource = format!("{LOCAL}/mcp/files");
    let request = app.request().with("scope", ALL).with("resource", &resource);
    let code = ada.allow(&request).await.code();
    let tokens = Tokens::of(&house.token(&app.exchange(&code)).await);
    for path in [
        "/mcp",
        "/mcp/wiki",
        "/mcp/standard",
        "/api/experimental/mcp/http",
    ] {
        let answer = house.ask(list_tools(path).bearer(&tokens.access)).await;
        assert_eq!(answer.status, 401, "{path}");
    }
    let api = Ask::get("/api/v2/users/me").bearer(&tokens.access);
    assert_eq!(house.ask(api).await.status, 401);
    for other in ["/mcp", "/mcp/wiki", ""] {
        let form = app.refreshing(&tokens.refresh);
        let form = form.and(&[("resource", &format!("{LOCAL}{other}"))]);
        house.token(&form).await.refused(400, "invalid_target");
    }
    // What is not known there is not asked of anybody.
    let request = app
        .request()
        .with("scope", "upstream:wiki")
        .with("resource", &resource);
    ada.authorize(&request).await.told_error("invalid_scope");
    let request = app.request().with("scope", "upstream:none");
    ada.authorize(&request).await.told_error("invalid_scope");
}

/// A client that asks for nothing gets what only reads (threat 37).
#[tokio::test]
async fn unasked_only_the_reading_tools_are_given() {
    let house = house().await;
    let listed = listed(&house, "", &format!("{LOCAL}/mcp/files"), "/mcp/files").await;
    assert_eq!(listed, ["echo"]);
}

#[tokio::test]
async fn with_an_upstream_its_scopes_end() {
    let house = house().await;
    let (ada, app) = (house.member("ada").await, ClientApp::public(&house).await);
    let request = app.request().with("scope", &format!("user:read {ALL}"));
    let code = ada.allow(&request).await.code();
    let tokens = Tokens::of(&house.token(&app.exchange(&code)).await);
    administered::remove_upstream(&house, "files").await;
    let list = |path: &str| list_tools(path).bearer(&tokens.access);
    let answer = house.ask(list("/mcp")).await.expect(200).json();
    let shown = answer["result"]["tools"].to_string();
    assert!(
        shown.contains("get_authenticated_user") && !shown.contains("files__"),
        "{shown}"
    );
    assert_eq!(house.ask(list("/mcp/files")).await.status, 404);
    ada.authorize(&request).await.told_error("invalid_scope");
    let metadata = house.get("/.well-known/oauth-protected-resource/mcp").await;
    assert!(!metadata.expect(200).body.contains("upstream:"));
}

/// Owners, once, and nobody else.
#[tokio::test(start_paused = true)]
async fn owners_are_told_once_of_an_upstream_that_keeps_failing() {
    let house = House::with_upstreams(Arc::new(testing::Nowhere));
    administered::upstream(&house, "files").await;
    let root = house.person("root", Role::Owner).await;
    let ada = house.person("ada", Role::Member).await;
    let (browser, app) = (house.signed_in(&ada).await, ClientApp::public(&house).await);
    let request = app.request().with("scope", ALL);
    let code = browser.allow(&request).await.code();
    let tokens = Tokens::of(&house.token(&app.exchange(&code)).await);
    let told = async |user: &User| {
        failing::tell(&house.app).await;
        let filter = Filter {
            templates: vec![Template::UpstreamFailing],
            ..Filter::default()
        };
        let page = house
            .store
            .read(|tx| notifications::list(tx, user.id, &filter));
        let entries = page.expect("a page").entries.into_iter();
        let told = entries.map(|entry| {
            let content = entry.notification.content;
            assert!(
                content.ends_with("The last time: there is nothing in this test"),
                "{content}"
            );
            entry.notification.title
        });
        told.collect::<Vec<_>>()
    };
    for _ in 0..FAILING_AFTER {
        assert_eq!(told(&root).await, [""; 0]);
        house.mcp(&tokens.access).await.expect(200);
        tokio::time::advance(BACKOFF_MAX).await;
    }
    for _ in 0..2 {
        assert_eq!(told(&root).await, ["files does not answer"]);
    }
    assert_eq!(told(&ada).await, [""; 0]);
}

#[tokio::test]
async fn a_name_that_is_in_use_is_refused_with_the_place_where_it_stands() {
    let house = house().await;
    let add = async |name: &str| {
        let upstream = testing::upstream(name);
        let configured = [testing::upstream("notes")];
        let added = house.write(move |tx, moment| {
            upstreams::add(tx, moment.act(), &configured, upstream.clone())
        });
        added.await.expect_err("it is in use").to_string()
    };
    assert!(add("files").await.ends_with("remove it first"));
    assert!(
        add("notes")
            .await
            .contains("stands in the configuration file")
    );
}

/// What an administrator is answered by the server that runs.
async fn commanded(house: &House, command: Command) -> Reply {
    match start::administer(Arc::clone(&house.app))(command).await {
        Response::Answer(answer) => answer.expect("it is done"),
        other => panic!("expected an answer, found {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn an_administrator_is_told_how_each_of_them_is_doing() {
    let behind = testing::House::default();
    let house = House::with_upstreams(Arc::new(behind.clone()));
    administered::upstream(&house, "files").await;
    let shown = async || {
        let Reply::Upstreams(rows) = commanded(&house, Command::UpstreamList).await else {
            panic!("expected rows");
        };
        let [row] = rows.as_slice() else {
            panic!("expected one row, found {rows:?}");
        };
        (row.state, row.since.clone(), row.reason.clone())
    };
    assert_eq!(shown().await, (Some(UpstreamState::Idle), None, None));
    let (ada, app) = (house.member("ada").await, ClientApp::public(&house).await);
    let request = app.request().with("scope", ALL);
    let code = ada.allow(&request).await.code();
    let tokens = Tokens::of(&house.token(&app.exchange(&code)).await);
    behind.failing.store(1, Ordering::SeqCst);
    let now = || Some(house.app.clock.now().to_string());
    house.mcp(&tokens.access).await.expect(200);
    let why = Some("it fails as the test wants it".to_owned());
    assert_eq!(shown().await, (Some(UpstreamState::Failing), now(), why));
    house.mcp(&tokens.access).await.expect(200);
    assert_eq!(shown().await, (Some(UpstreamState::Connected), now(), None));
    let words = UpstreamWords {
        name: "wiki".to_owned(),
        command: vec!["mcp-wiki".to_owned()],
        ..UpstreamWords::default()
    };
    let added = commanded(&house, Command::UpstreamAdd(Box::new(words))).await;
    assert!(
        matches!(&added, Reply::Upstream(row) if row.state == Some(UpstreamState::Idle)),
        "{added:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_administrator_is_shown_its_tools_as_clients_find_them() {
    let behind = testing::House::default();
    let house = House::with_upstreams(Arc::new(behind.clone()));
    administered::upstream(&house, "files").await;
    let asked = |name: &str| Command::UpstreamTools {
        name: name.to_owned(),
    };
    let Reply::UpstreamTools(rows) = commanded(&house, asked("files")).await else {
        panic!("expected rows");
    };
    let row = |name: &str| rows.iter().find(|row| row.name == name).expect("a tool");
    let (echo, ask) = (row("files__echo"), row("files__ask"));
    assert_eq!((echo.effect.as_str(), echo.scope.as_str()), ("reads", READ));
    assert_eq!((ask.effect.as_str(), ask.scope.as_str()), ("destroys", ALL));
    assert!(echo.on && ask.on);
    let refused = async |name: &str| {
        let command = asked(name);
        match start::administer(Arc::clone(&house.app))(command).await {
            Response::Answer(answer) => answer.expect_err("there is none").message,
            other => panic!("expected an answer, found {other:?}"),
        }
    };
    assert!(
        refused("notes")
            .await
            .starts_with("there is no upstream notes")
    );
    assert!(refused("No").await.starts_with("name: expected 1 to 32"));
    administered::upstream(&house, "wiki").await;
    behind.failing.store(1, Ordering::SeqCst);
    let why = "expected wiki to start, but it did not: it fails as the test wants it";
    assert_eq!(refused("wiki").await, why);
}
