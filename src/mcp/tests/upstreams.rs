//! The tools of other servers as a client of this one sees them.

use super::*;
use crate::{
    experiments::Experiments,
    mcp::upstreams::testing::{House, upstream},
    model::toolset::Toolset,
};

/// A deployment with the upstreams of these names behind it.
pub(super) fn deployment(names: &[&str], house: &House, off: McpOff) -> Deployment {
    let Deployment { store, .. } = Deployment::new();
    let mut provider = provider(PUBLIC_URL);
    provider.upstreams = names.iter().map(|name| upstream(name)).collect();
    let provider = Arc::new(provider);
    let desk = Desk {
        provider: Arc::clone(&provider),
        ..desk(&store, PUBLIC_URL, McpOff::default())
    };
    let upstreams = behind(&desk, Arc::new(house.clone()));
    let mcp = Mcp::new(
        Arc::clone(&store),
        provider,
        desk.entropy,
        desk.allowance,
        Experiments::default(),
        off,
        upstreams,
    );
    let mcp = mcp.expect("an endpoint");
    Deployment {
        store,
        mcp,
        path: MCP_PATH,
    }
}

fn ada(scopes: &[&str]) -> Access {
    access("ada", &ScopeSet::of(scopes.iter().copied()))
}

const ALL: &str = "upstream:files";
const READ: &str = "upstream:files:read";
const ELSEWHERE: &str = "upstream:wiki";

/// Every path × every scope: what is listed there, and what is called.
#[tokio::test]
async fn a_token_sees_and_calls_what_its_scopes_say_and_no_more() {
    for (path, scopes, sees, calls) in [
        (
            MCP_PATH,
            &[ALL][..],
            &["files__echo", "files__ask"][..],
            &[][..],
        ),
        (MCP_PATH, &[READ], &["files__echo"], &["files__ask"]),
        (
            MCP_PATH,
            &[ELSEWHERE],
            &["wiki__echo"],
            &["files__echo", "files__ask"],
        ),
        (
            MCP_PATH,
            &["user:read"],
            &["get_authenticated_user"],
            &["files__echo"],
        ),
        (
            "/mcp/files",
            &[ALL, ELSEWHERE, "user:read"],
            &["echo", "ask"],
            &[],
        ),
        ("/mcp/files", &[READ, ELSEWHERE], &["echo"], &["ask"]),
        ("/mcp/files", &[ELSEWHERE], &[], &["echo", "ask"]),
        ("/mcp/readonly", &[ALL], &["files__echo"], &[]),
        ("/mcp/search", &[ALL], &[], &[]),
    ] {
        let house = House::default();
        let deployment = deployment(&["files", "wiki"], &house, McpOff::default()).at(path);
        let caller = ada(scopes);
        for era in ERAS {
            let listed = deployment.listed(era, &caller).await;
            for tool in sees {
                assert!(
                    listed.iter().any(|name| name == tool),
                    "{path} {scopes:?}: {listed:?}"
                );
                let answer = deployment
                    .call(era, &caller, tool, json!({ "text": "x" }))
                    .await;
                assert_eq!(answer.status, StatusCode::OK, "{path} {scopes:?} {tool}");
            }
            for tool in calls {
                assert!(
                    !listed.iter().any(|name| name == tool),
                    "{path} {scopes:?} {tool}"
                );
                let answer = deployment.call(era, &caller, tool, json!({})).await;
                assert_eq!(
                    answer.status,
                    StatusCode::FORBIDDEN,
                    "{path} {scopes:?} {tool}"
                );
            }
        }
    }
}

/// Threat 39: who may use none of its tools does not even make it start.
#[tokio::test]
async fn a_caller_without_a_scope_does_not_get_near_the_connection() {
    let house = House::default();
    let deployment = deployment(&["files"], &house, McpOff::default());
    let caller = ada(&["user:read", "grants:read", ELSEWHERE]);
    for era in ERAS {
        deployment.listed(era, &caller).await;
        let refused = deployment
            .call(era, &caller, "files__echo", json!({}))
            .await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN);
        let challenge = refused.headers["www-authenticate"].to_str().expect("text");
        assert!(
            challenge.contains(r#"scope="upstream:files""#),
            "{challenge}"
        );
    }
    assert_eq!(house.starts(), 0);
    assert!(house.heard.lock().expect("a list").is_empty());
}

/// What is asked of the person is what the tool needs.
#[tokio::test]
async fn a_challenge_names_the_narrowest_scope_that_opens_the_tool() {
    let house = House::default();
    let deployment = deployment(&["files"], &house, McpOff::default());
    let refused = deployment
        .call(Era::Modern, &ada(&[READ]), "files__ask", json!({}))
        .await;
    assert_eq!(refused.json()["error"]["data"]["scope"], ALL);
}

/// Nothing of a caller is passed on but what it calls with.
#[tokio::test]
async fn an_upstream_hears_nothing_of_the_caller() {
    let house = House::default();
    let deployment = deployment(&["files"], &house, McpOff::default());
    let caller = ada(&[ALL]);
    let params = json!({
        "name": "files__echo",
        "arguments": { "text": "hello" },
        "_meta": { "progressToken": "of the caller", "x": "y" },
    });
    let era = Era::Legacy("2025-06-18");
    deployment
        .ask(era, &caller, "tools/call", params)
        .await
        .result();
    let heard = serde_json::to_string(&*house.heard.lock().expect("a list")).expect("JSON");
    assert!(heard.contains("hello"), "{heard}");
    let person = caller.user.id.to_string();
    for secret in [
        "ada",
        "of the caller",
        "authorization",
        "box.lan",
        person.as_str(),
    ] {
        assert!(!heard.contains(secret), "{secret}: {heard}");
    }
}

#[tokio::test]
async fn a_tool_that_is_off_is_neither_listed_nor_called_under_any_name() {
    let caller = ada(&[ALL]);
    for (path, name) in [(MCP_PATH, "files__ask"), ("/mcp/files", "ask")] {
        let off = McpOff {
            tools: vec!["files__ask".to_owned()],
            toolsets: Vec::new(),
        };
        let deployment = deployment(&["files"], &House::default(), off);
        let deployment = deployment.at(path);
        let listed = deployment.listed(Era::Modern, &caller).await;
        assert!(
            !listed.is_empty() && !listed.iter().any(|shown| shown == name),
            "{listed:?}"
        );
        let answer = deployment.call(Era::Modern, &caller, name, json!({})).await;
        assert_eq!(answer.error_code(), -32602);
    }
}

/// A set that is on for `search` and `fetch` opens nothing else: not what stands at a path of its own
/// either, whose other sets are off.
#[tokio::test]
async fn the_set_for_searching_has_no_tool_of_an_upstream() {
    let house = House::default();
    let off = McpOff {
        tools: Vec::new(),
        toolsets: vec![Toolset::Standard, Toolset::Readonly],
    };
    let deployment = deployment(&["files"], &house, off).at("/mcp/files");
    let caller = ada(&[ALL]);
    for era in ERAS {
        assert_eq!(deployment.listed(era, &caller).await, [""; 0]);
        for tool in ["echo", "ask"] {
            let answer = deployment.call(era, &caller, tool, json!({})).await;
            assert_eq!(answer.error_code(), -32602, "{tool}");
        }
    }
}

#[tokio::test]
async fn one_that_does_not_start_hurts_no_other_tool() {
    let house = House::default();
    house
        .failing
        .store(usize::MAX, std::sync::atomic::Ordering::SeqCst);
    let deployment = deployment(&["files"], &house, McpOff::default());
    let caller = ada(&[ALL, "user:read"]);
    for era in ERAS {
        let listed = deployment.listed(era, &caller).await;
        assert!(!listed.is_empty() && !listed.iter().any(|name| name.contains("__")));
        let own = deployment
            .call(era, &caller, "get_authenticated_user", json!({}))
            .await;
        own.result();
        let answer = deployment
            .call(era, &caller, "files__echo", json!({}))
            .await
            .result();
        assert_eq!(answer["isError"], true, "{answer}");
    }
}
