//! Who may call what, whose data they get, and what becomes of a tool that fails.

use std::collections::BTreeSet;

use tokio::task::JoinSet;

use super::*;
use crate::{
    mcp::{
        ARGUMENTS_DEPTH_MAX, CALL_TIMEOUT,
        catalogue::Catalogue,
        handler::{Caller, Handler},
        tools::testing::TEST_TOOLS,
    },
    model::toolset::Toolset,
    oauth2provider::revoke,
};

/// All scopes, none, and each one alone.
fn scope_sets() -> Vec<ScopeSet> {
    let mut sets: Vec<_> = SCOPES
        .iter()
        .map(|scope| ScopeSet::of([scope.name]))
        .collect();
    sets.extend([all_scopes(), ScopeSet::default()]);
    sets
}

/// Arguments that every tool can read.
pub(super) fn arguments(tool: &Tool) -> Value {
    let unknown = "0".repeat(Id::TEXT_LEN);
    match tool.name {
        "revoke_my_grant" => json!({ "grant_id": unknown }),
        "revoke_my_session" => json!({ "session_id": unknown }),
        "notify_me" => json!({ "title": "Hello" }),
        "mark_notification_read" | "delete_notification" => json!({ "notification_id": unknown }),
        "report_task" => json!({ "summary": "tidying", "state": "working" }),
        "search" => json!({ "query": "ada" }),
        "fetch" => json!({ "id": "grant:none" }),
        _ => json!({}),
    }
}

/// A person of each role, with a token of those scopes.
fn people(scopes: &ScopeSet) -> [Access; 2] {
    [access("ada", scopes), owner_access("ada", scopes)]
}

/// What becomes of a call.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Runs,
    ScopeMissing,
    Unknown,
}

/// Said again and not computed as the table does it.
fn expected(tool: &Tool, caller: &Access) -> Outcome {
    let owners = ["list_clients", "search_audit_log"];
    if owners.contains(&tool.name) && caller.user.role == Role::Member {
        Outcome::Unknown
    } else if tool
        .scopes
        .iter()
        .all(|scope| caller.scopes.contains(scope))
    {
        Outcome::Runs
    } else {
        Outcome::ScopeMissing
    }
}

fn outcome(answer: &Answer) -> Outcome {
    match answer.status {
        StatusCode::FORBIDDEN => Outcome::ScopeMissing,
        StatusCode::OK if answer.json().get("error").is_some() => {
            assert_eq!(answer.error_code(), -32602, "{answer:?}");
            Outcome::Unknown
        }
        _ => {
            answer.result();
            Outcome::Runs
        }
    }
}

/// Threats 32 and 39: every tool with every scope and every role, in both eras.
#[tokio::test]
async fn a_tool_is_listed_and_callable_if_scopes_and_role_are_there_and_only_then() {
    let deployment = Deployment::new();
    for scopes in scope_sets() {
        for caller in people(&scopes) {
            for era in ERAS {
                let role = caller.user.role;
                let listed = deployment.listed(era, &caller).await;
                for tool in &TOOLS {
                    let expected = expected(tool, &caller);
                    let case = format!("{} {scopes} {role:?} {era:?}", tool.name);
                    let shown = listed.iter().any(|name| name == tool.name);
                    assert_eq!(shown, expected == Outcome::Runs, "{case}");
                    let call = deployment.call(era, &caller, tool.name, arguments(tool));
                    assert_eq!(outcome(&call.await), expected, "{case}");
                }
            }
        }
    }
}

/// Whoever looks at a call before it gets here: this is what holds.
#[tokio::test]
async fn a_call_is_checked_where_the_tool_is_run() {
    let deployment = Deployment::new();
    let desk = desk(&deployment.store, PUBLIC_URL, McpOff::default());
    let upstreams = behind(&desk, Arc::new(Nowhere));
    let catalogue = Catalogue::new(&TOOLS, Arc::default(), upstreams);
    let handler = Handler::new(desk, catalogue);
    for tool in &TOOLS {
        for scopes in scope_sets() {
            for access in people(&scopes) {
                let open = expected(tool, &access) == Outcome::Runs;
                let caller = Caller::new(&post("").head, access, Toolset::Standard, None);
                let arguments = rmcp::model::object(arguments(tool));
                let outcome = handler
                    .try_call(Arc::new(caller), tool.name, arguments)
                    .await;
                assert_eq!(outcome.is_ok(), open, "{} {scopes}", tool.name);
            }
        }
    }
}

/// Threat 33: answers crossed between clients.
#[tokio::test(flavor = "multi_thread")]
async fn interleaved_callers_never_see_each_others_data() {
    let deployment = Arc::new(Deployment::new());
    let mut calls = JoinSet::new();
    for name in ["ada", "grace", "lin", "mary"] {
        let caller = access(name, &all_scopes());
        deployment.grant(&caller).await;
        for round in 0..50 {
            let (deployment, caller) = (Arc::clone(&deployment), caller.clone());
            calls.spawn(async move {
                let era = ERAS[round % ERAS.len()];
                let who = deployment.call(era, &caller, "get_authenticated_user", json!({}));
                let who = who.await.result();
                assert_eq!(who["structuredContent"]["name"], caller.user.name.as_str());
                let list = deployment.call(era, &caller, "list_my_grants", json!({}));
                let list = list.await.result();
                let grants = list["structuredContent"]["grants"].as_array().cloned();
                let ids =
                    grants.map(|grants| grants.iter().map(|grant| grant["id"].clone()).collect());
                assert_eq!(ids, Some(vec![json!(caller.grant_id.to_string())]));
            });
        }
    }
    assert_eq!(calls.join_all().await.len(), 200);
}

#[tokio::test]
async fn grants_are_listed_with_what_a_person_wants_to_know() {
    let deployment = Deployment::new();
    let (old, new) = (access("ada", &all_scopes()), access("grace", &all_scopes()));
    let mut new = new;
    new.user = old.user.clone();
    deployment.grant(&old).await;
    deployment.grant(&new).await;
    let result = deployment
        .call(Era::Modern, &new, "list_my_grants", json!({}))
        .await
        .result();
    let grants = result["structuredContent"]["grants"]
        .as_array()
        .expect("a list");
    assert_eq!(grants.len(), 2);
    let of = |access: &Access| {
        let id = access.grant_id.to_string();
        grants
            .iter()
            .find(|grant| grant["id"] == id.as_str())
            .expect("a grant")
    };
    assert_eq!(of(&new)["current"], true);
    let expected_scopes: Vec<_> = old.scopes.iter().collect();
    assert_eq!(
        of(&old),
        &json!({
            "id": old.grant_id.to_string(),
            "client_id": old.client_id.to_string(),
            "client_name": "Some client",
            "scopes": expected_scopes,
            "resource": "https://box.lan/mcp",
            "created_at": NOW.to_string(),
            "expires_at": NOW.after(A_DAY).to_string(),
            "current": false,
        })
    );
}

#[tokio::test]
async fn an_own_grant_ends_at_once_and_only_once() {
    let deployment = Deployment::new();
    let ada = access("ada", &all_scopes());
    deployment.grant(&ada).await;
    let arguments = json!({ "grant_id": ada.grant_id.to_string() });
    let answer = deployment
        .call(Era::Modern, &ada, "revoke_my_grant", arguments.clone())
        .await;
    assert_eq!(
        answer.result()["structuredContent"],
        json!({ "revoked": true })
    );
    assert!(grants_of(&deployment, &ada).is_empty());
    let again = deployment
        .call(Era::Modern, &ada, "revoke_my_grant", arguments)
        .await;
    assert!(again.tool_error().starts_with("no such grant"));
}

#[tokio::test]
async fn a_foreign_grant_and_none_are_answered_alike_and_nothing_ends() {
    let deployment = Deployment::new();
    let (ada, grace) = (access("ada", &all_scopes()), access("grace", &all_scopes()));
    deployment.grant(&grace).await;
    let mut answers = BTreeSet::new();
    for id in [grace.grant_id.to_string(), "0".repeat(Id::TEXT_LEN)] {
        let arguments = json!({ "grant_id": id });
        let answer = deployment
            .call(Era::Modern, &ada, "revoke_my_grant", arguments)
            .await;
        answers.insert(answer.tool_error().replace(&id, "…"));
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(grants_of(&deployment, &grace), [grace.grant_id]);
}

fn grants_of(deployment: &Deployment, access: &Access) -> Vec<Id> {
    let listed = deployment
        .store
        .read(|tx| revoke::list_grants(tx, NOW, access.user.id));
    let listed = listed.expect("a store that can be read");
    listed.iter().map(|grant| grant.id).collect()
}

#[tokio::test]
async fn a_panic_in_a_tool_is_a_clean_error_and_the_next_call_works() {
    let deployment = Deployment::with_tools(&TEST_TOOLS);
    let ada = access("ada", &all_scopes());
    for era in ERAS {
        let answer = deployment.call(era, &ada, "panics", json!({})).await;
        assert_eq!(answer.status, StatusCode::OK, "{era:?}");
        assert_eq!(answer.error_code(), -32603, "{era:?}");
        let said = String::from_utf8_lossy(&answer.body);
        assert!(!said.contains("hush"), "{said}");
        let id = RequestId::generate(NOW, &SeededEntropy::new(1)).to_string();
        assert!(said.contains(&id), "the log cannot be found by {said}");
        let next = deployment.call(era, &ada, "needs_two_scopes", json!({}));
        next.await.result();
    }
}

#[tokio::test]
async fn a_fault_of_the_store_says_nothing_of_it() {
    let deployment = Deployment::with_tools(&TEST_TOOLS);
    let ada = access("ada", &all_scopes());
    let answer = deployment
        .call(Era::Modern, &ada, "meets_a_fault", json!({}))
        .await;
    assert_eq!(answer.error_code(), -32603);
    let said = String::from_utf8_lossy(&answer.body);
    assert!(!said.contains(&StoreError::Closed.to_string()), "{said}");
}

#[tokio::test]
async fn a_full_queue_is_a_result_that_a_model_can_act_on() {
    let deployment = Deployment::with_tools(&TEST_TOOLS);
    let ada = access("ada", &all_scopes());
    let answer = deployment
        .call(Era::Modern, &ada, "meets_a_queue", json!({}))
        .await;
    assert!(answer.tool_error().contains("full"));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_takes_too_long_is_ended() {
    let deployment = Deployment::with_tools(&TEST_TOOLS);
    let ada = access("ada", &all_scopes());
    let start = tokio::time::Instant::now();
    let answer = deployment
        .call(Era::Modern, &ada, "never_ends", json!({}))
        .await;
    assert!(answer.tool_error().contains("30 s"));
    assert!(start.elapsed() >= CALL_TIMEOUT && start.elapsed() < 2 * CALL_TIMEOUT);
}

#[tokio::test]
async fn an_answer_has_an_end() {
    let deployment = Deployment::with_tools(&TEST_TOOLS);
    let ada = access("ada", &all_scopes());
    for era in ERAS {
        let answer = deployment.call(era, &ada, "says_too_much", json!({})).await;
        let words = answer.tool_error();
        assert!(words.contains("at most 1048576 bytes"), "{words}");
        assert!(words.contains("ask for less"), "{words}");
        assert!(answer.body.len() < 1024, "{}", answer.body.len());
    }
}

#[tokio::test]
async fn arguments_nest_only_so_deep() {
    let deployment = Deployment::new();
    let ada = access("ada", &all_scopes());
    let nested = |levels: usize| {
        let inner = (1..levels).fold(json!(1), |inner, _| json!([inner]));
        json!({ "x": inner })
    };
    for (levels, said) in [
        (ARGUMENTS_DEPTH_MAX, "unknown field `x`"),
        (ARGUMENTS_DEPTH_MAX + 1, "at most 32 levels"),
    ] {
        let call = deployment.call(Era::Modern, &ada, "get_authenticated_user", nested(levels));
        let words = call.await.tool_error();
        assert!(words.contains(said), "{levels}: {words}");
    }
}
