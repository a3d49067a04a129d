//! Both eras of the protocol, message by message.

use super::*;

fn initialize(version: &str) -> Request {
    let params = json!({
        "protocolVersion": version,
        "capabilities": {},
        "clientInfo": { "name": "test", "version": "1" },
    });
    let message = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params });
    post(message.to_string())
}

#[tokio::test]
async fn initialize_agrees_on_a_revision_that_has_it() {
    let deployment = Deployment::new();
    let ada = access("ada", &all_scopes());
    for (asked, agreed) in [
        ("2025-03-26", "2025-03-26"),
        ("2025-06-18", "2025-06-18"),
        ("2025-11-25", "2025-11-25"),
        ("2026-07-28", "2025-11-25"),
        ("2024-11-05", "2025-11-25"),
        ("1999-01-01", "2025-11-25"),
    ] {
        let answer = deployment.answer(initialize(asked), &ada).await;
        let result = answer.result();
        assert_eq!(result["protocolVersion"], agreed, "asked for {asked}");
        assert_eq!(result["serverInfo"]["name"], "keystead");
        assert_eq!(result["serverInfo"]["title"], "Keystead");
        assert_eq!(result["serverInfo"]["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(result["capabilities"], json!({ "tools": {} }));
        let instructions = result["instructions"].as_str().expect("instructions");
        assert!(instructions.starts_with("Keystead is "), "{instructions}");
        assert_eq!(answer.headers.get("mcp-session-id"), None);
    }
}

#[tokio::test]
async fn discover_says_what_is_spoken() {
    let deployment = Deployment::new();
    let ada = access("ada", &all_scopes());
    let answer = deployment
        .ask(Era::Modern, &ada, "server/discover", json!({}))
        .await;
    let result = answer.result();
    assert_eq!(
        result["supportedVersions"],
        json!(["2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"])
    );
    assert_eq!(result["capabilities"], json!({ "tools": {} }));
    assert_eq!(result["cacheScope"], "private");
    assert_eq!(result["resultType"], "complete");
    let info = &result["_meta"]["io.modelcontextprotocol/serverInfo"];
    assert_eq!(info["name"], "keystead");
}

#[tokio::test]
async fn every_era_lists_the_same_tools_in_the_order_of_the_table() {
    let deployment = Deployment::new();
    let ada = owner_access("ada", &all_scopes());
    let expected: Vec<_> = TOOLS.iter().map(|tool| tool.name).collect();
    for era in ERAS {
        assert_eq!(deployment.listed(era, &ada).await, expected, "{era:?}");
    }
}

#[tokio::test]
async fn a_list_is_for_this_caller_and_for_a_while() {
    let deployment = Deployment::new();
    let ada = access("ada", &all_scopes());
    let answer = deployment
        .ask(Era::Modern, &ada, "tools/list", json!({}))
        .await;
    let result = answer.result();
    assert_eq!(result["cacheScope"], "private");
    assert_eq!(result["ttlMs"], crate::mcp::handler::TOOLS_TTL_MS);
    assert_eq!(result["resultType"], "complete");
    assert_eq!(result.get("nextCursor"), None);
}

#[tokio::test]
async fn a_list_has_one_page() {
    let deployment = Deployment::new();
    let ada = access("ada", &all_scopes());
    for era in ERAS {
        let params = json!({ "cursor": "2" });
        let answer = deployment.ask(era, &ada, "tools/list", params).await;
        assert_eq!(answer.error_code(), -32602, "{era:?}");
    }
}

#[tokio::test]
async fn every_era_calls_a_tool() {
    let deployment = Deployment::new();
    let ada = access("ada", &all_scopes());
    for era in ERAS {
        let answer = deployment
            .call(era, &ada, "get_authenticated_user", json!({}))
            .await;
        let result = answer.result();
        assert_eq!(result["isError"], false, "{era:?}");
        let user = &result["structuredContent"];
        assert_eq!(user["name"], "ada", "{era:?}");
        assert_eq!(user["id"], ada.user.id.to_string());
        assert_eq!(user["role"], "member");
        assert_eq!(user["client_id"], ada.client_id.to_string());
        let expected: Vec<_> = ada.scopes.iter().collect();
        assert_eq!(user["scopes"], json!(expected));
        let text = result["content"][0]["text"].as_str().expect("a text");
        assert_eq!(&serde_json::from_str::<Value>(text).expect("JSON"), user);
        let is_modern = era == Era::Modern;
        assert_eq!(result["resultType"] == "complete", is_modern, "{era:?}");
        assert_eq!(answer.json()["id"], 7);
    }
}

#[tokio::test]
async fn a_notification_is_taken_and_not_answered() {
    let deployment = Deployment::new();
    let ada = access("ada", &all_scopes());
    let message = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    let answer = deployment.answer(post(message.to_string()), &ada).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    assert!(answer.body.is_empty(), "{answer:?}");
}

#[tokio::test]
async fn an_unknown_method_is_an_error_in_the_words_of_its_era() {
    let deployment = Deployment::new();
    let ada = access("ada", &all_scopes());
    for era in ERAS {
        let answer = deployment.ask(era, &ada, "tools/paint", json!({})).await;
        let expected = match era {
            Era::Legacy(_) => StatusCode::OK,
            Era::Modern => StatusCode::NOT_FOUND,
        };
        assert_eq!(answer.status, expected, "{era:?}");
        assert_eq!(answer.error_code(), -32601, "{era:?}");
    }
}

/// rmcp would answer each of these with an empty list, which says that there can be some.
#[tokio::test]
async fn what_is_not_offered_is_not_there() {
    let deployment = Deployment::new();
    let ada = access("ada", &all_scopes());
    let complete = json!({
        "ref": { "type": "ref/prompt", "name": "x" },
        "argument": { "name": "x", "value": "x" },
    });
    for era in ERAS {
        for (method, params) in [
            ("prompts/list", json!({})),
            ("prompts/get", json!({ "name": "x" })),
            ("resources/list", json!({})),
            ("resources/templates/list", json!({})),
            ("resources/read", json!({ "uri": "file:///x" })),
            ("completion/complete", complete.clone()),
            ("logging/setLevel", json!({ "level": "info" })),
        ] {
            let mut request = request(era, method, params);
            if method == "resources/read" {
                let uri = HeaderValue::from_static("file:///x");
                request.head.headers.insert("mcp-name", uri);
            }
            let answer = deployment.answer(request, &ada).await;
            assert_eq!(answer.error_code(), -32601, "{method} {era:?} {answer:?}");
        }
    }
}

#[tokio::test]
async fn ping_ended_with_the_legacy_era() {
    let deployment = Deployment::new();
    let ada = access("ada", &all_scopes());
    for era in ERAS {
        let answer = deployment.ask(era, &ada, "ping", json!({})).await;
        match era {
            Era::Legacy(_) => assert_eq!(answer.result(), json!({}), "{era:?}"),
            Era::Modern => assert_eq!(answer.error_code(), -32601),
        }
    }
}

/// Whatever its parameters are: what they had to be is no matter of a stateless client.
#[tokio::test]
async fn initialize_ended_with_the_legacy_era() {
    let deployment = Deployment::new();
    let ada = access("ada", &all_scopes());
    let answer = deployment.ask(Era::Modern, &ada, "initialize", json!({}));
    let answer = answer.await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(answer.error_code(), -32601);
}

#[tokio::test]
async fn an_unknown_tool_is_an_error_of_the_protocol() {
    let deployment = Deployment::new();
    let ada = access("ada", &all_scopes());
    for era in ERAS {
        let answer = deployment.call(era, &ada, "paint", json!({})).await;
        assert_eq!(answer.error_code(), -32602, "{era:?}");
        assert_eq!(answer.status, StatusCode::OK, "{era:?}");
    }
}

/// The specification: what is wrong with arguments is a result, so that the model can read it.
#[tokio::test]
async fn wrong_arguments_are_a_result_that_says_what_is_wrong() {
    let deployment = Deployment::new();
    let ada = access("ada", &all_scopes());
    for era in ERAS {
        for (tool, arguments, said) in [
            (
                "get_authenticated_user",
                json!({ "x": 1 }),
                "unknown field `x`",
            ),
            ("revoke_my_grant", json!({}), "missing field `grant_id`"),
            (
                "revoke_my_grant",
                json!({ "grant_id": 1 }),
                "expected a string",
            ),
            ("revoke_my_grant", json!({ "grant_id": "1" }), "22 letters"),
        ] {
            let answer = deployment.call(era, &ada, tool, arguments).await;
            let words = answer.tool_error();
            assert!(words.starts_with("arguments: "), "{words}");
            assert!(words.contains(said), "{era:?} {words}");
        }
    }
}

#[tokio::test]
async fn parameters_that_no_call_has_are_an_error_of_the_protocol() {
    let deployment = Deployment::new();
    let ada = access("ada", &all_scopes());
    for params in [
        json!({}),
        json!({ "name": 5 }),
        json!({ "name": "x", "arguments": [] }),
    ] {
        let era = Era::Legacy("2025-11-25");
        let answer = deployment.ask(era, &ada, "tools/call", params).await;
        assert_eq!(answer.error_code(), -32602, "{answer:?}");
    }
}
