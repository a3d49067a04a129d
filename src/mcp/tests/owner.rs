//! The tools of the box's owner, and its experiments.

use super::*;

#[tokio::test]
async fn clients_are_listed_with_their_last_use_by_page_and_by_name() {
    let deployment = Deployment::new();
    let ada = owner_access("ada", &all_scopes());
    for name in ["grace", "lin", "mary"] {
        deployment.grant(&access(name, &all_scopes())).await;
    }
    // The newest, whatever the random part of the others' ids is.
    let mut used = client(Id::generate(NOW.after(A_DAY), &OsEntropy));
    used.metadata.name = ClientName::parse("Claude Code").expect("a name");
    used.last_used_at = Some(NOW);
    used.approved_at = None;
    let id = used.id;
    let kept = deployment
        .store
        .write(move |tx| -> Result<(), StoreError> { clients::put(tx, &used) });
    kept.await.expect("a client that is kept");

    let all = deployment.output(&ada, "list_clients", json!({})).await;
    assert_eq!(all["count"], 4);
    assert_eq!(all["clients"].as_array().map(Vec::len), Some(4));
    let named = deployment.output(&ada, "list_clients", json!({ "name": "claude" }));
    assert_eq!(
        named.await,
        json!({ "count": 1, "clients": [{
            "client_id": id.to_string(),
            "name": "Claude Code",
            "origin": "administrator",
            "created_at": NOW.to_string(),
            "last_used_at": NOW.to_string(),
        }] })
    );
    let page = json!({ "limit": 2, "offset": 3 });
    let last = deployment.output(&ada, "list_clients", page).await;
    assert_eq!(last["count"], 4);
    assert_eq!(last["clients"], json!([all["clients"][3]]));
    let never = &all["clients"][3];
    assert_eq!(never.get("last_used_at"), None, "{never}");
    assert_eq!(never["approved_at"], NOW.to_string());
}

#[tokio::test]
async fn the_audit_log_is_searched_newest_first() {
    let deployment = Deployment::new();
    let ada = owner_access("ada", &all_scopes());
    for name in ["grace", "lin"] {
        let person = access(name, &all_scopes());
        deployment.grant(&person).await;
        let arguments = json!({ "grant_id": person.grant_id.to_string() });
        deployment
            .output(&person, "revoke_my_grant", arguments)
            .await;
    }
    let lin = access("lin", &all_scopes());
    let all = deployment.output(&ada, "search_audit_log", json!({})).await;
    assert_eq!(all["count"], 2);
    assert_eq!(
        all["entries"][0],
        json!({
            "number": 2,
            "at": NOW.to_string(),
            "action": "grant.revoked",
            "actor": "user",
            "actor_id": lin.user.id.to_string(),
            "object": "grant",
            "object_id": lin.grant_id.to_string(),
            "address": "127.0.0.1",
            "request_id": RequestId::generate(NOW, &SeededEntropy::new(1)).to_string(),
            "changes": [{ "field": "client_id", "new": lin.client_id.to_string() }],
        })
    );
    let query = json!({ "query": format!("REVOKED {}", lin.client_id), "limit": 1 });
    let one = deployment.output(&ada, "search_audit_log", query).await;
    assert_eq!(one, json!({ "count": 1, "entries": [all["entries"][0]] }));
    let page = json!({ "offset": 1 });
    let older = deployment.output(&ada, "search_audit_log", page).await;
    assert_eq!(older["entries"], json!([all["entries"][1]]));
}

#[tokio::test]
async fn a_page_has_bounds() {
    let deployment = Deployment::new();
    let ada = owner_access("ada", &all_scopes());
    let long = "x".repeat(257);
    for tool in ["list_clients", "search_audit_log"] {
        let words = if tool == "list_clients" {
            "name"
        } else {
            "query"
        };
        for (arguments, said) in [
            (json!({ "limit": 0 }), "limit: expected 1 to 50, found 0"),
            (json!({ "limit": 51 }), "limit: expected 1 to 50, found 51"),
            (json!({ "limit": -1 }), "invalid value"),
            (json!({ "offset": 1_000_001 }), "offset: expected at most"),
            (json!({ words: long }), "characters, found 257"),
        ] {
            let call = deployment.call(Era::Modern, &ada, tool, arguments);
            let found = call.await.tool_error();
            assert!(found.contains(said), "{tool}: {found}");
        }
    }
}

#[tokio::test]
async fn experiments_are_listed_with_whether_they_are_on() {
    let deployment = Deployment::new();
    let ada = access("ada", &all_scopes());
    let listed = deployment.output(&ada, "list_experiments", json!({})).await;
    assert_eq!(
        listed,
        json!({ "experiments": [{
            "name": "mcp-server-http",
            "title": "MCP HTTP Server",
            "description": "Serves MCP at /api/experimental/mcp/http as well.",
            "on": false,
        }, {
            "name": "web-push",
            "title": "Web Push",
            "description": "Sends notifications to browsers and phones that ask for them.",
            "on": false,
        }] })
    );
}
