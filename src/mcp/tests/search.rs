//! `search` and `fetch`: what is found is what may be seen.

use std::collections::BTreeSet;

use super::*;
use crate::oauth2provider::MCP_SEARCH_PATH;

async fn found(deployment: &Deployment, access: &Access, query: &str) -> Vec<Value> {
    let arguments = json!({ "query": query });
    let output = deployment.output(access, "search", arguments).await;
    let members: Vec<_> = output.as_object().into_iter().flatten().collect();
    assert_eq!(members.len(), 1, "{output}");
    output["results"].as_array().cloned().expect("a list")
}

fn kinds(found: &[Value]) -> BTreeSet<String> {
    let kind = |one: &Value| {
        let id = one["id"].as_str().expect("an id");
        let (kind, _) = id.split_once(':').expect("a kind");
        kind.to_owned()
    };
    found.iter().map(kind).collect()
}

/// A deployment with one thing of every kind that is kept.
async fn furnished(access: &Access) -> Deployment {
    let deployment = Deployment::new().at(MCP_SEARCH_PATH);
    deployment.grant(access).await;
    let other = super::access("grace", &all_scopes());
    deployment.grant(&other).await;
    let arguments = json!({ "grant_id": other.grant_id.to_string() });
    let elsewhere = Deployment {
        path: MCP_PATH,
        ..deployment
    };
    elsewhere.output(&other, "revoke_my_grant", arguments).await;
    elsewhere.at(MCP_SEARCH_PATH)
}

/// What hosts expect, member by member.
#[tokio::test]
async fn what_is_found_can_be_fetched() {
    let ada = owner_access("ada", &all_scopes());
    let deployment = furnished(&ada).await;
    let all = found(&deployment, &ada, "").await;
    let expected = ["client", "entry", "experiment", "grant", "person"];
    assert_eq!(kinds(&all), expected.map(str::to_owned).into());
    for one in all {
        let mut members: Vec<_> = one.as_object().expect("an object").keys().collect();
        members.sort();
        assert_eq!(members, ["id", "title", "url"]);
        let document = deployment.output(&ada, "fetch", json!({ "id": one["id"] }));
        let document = document.await;
        for member in ["id", "title", "url"] {
            assert_eq!(document[member], one[member]);
        }
        assert!(
            document["text"]
                .as_str()
                .is_some_and(|text| !text.is_empty())
        );
        let id = one["id"].as_str().expect("an id");
        let kind = document["metadata"]["kind"].as_str().expect("a kind");
        assert!(id.starts_with(kind), "{id} {kind}");
        let url = one["url"].as_str().expect("a URL");
        assert!(url.starts_with("https://box.lan/"), "{url}");
    }
}

#[tokio::test]
async fn every_word_has_to_be_there() {
    let ada = owner_access("ada", &all_scopes());
    let deployment = furnished(&ada).await;
    let both = found(&deployment, &ada, "SOME  client mcp").await;
    assert_eq!(kinds(&both), ["grant".to_owned()].into());
    assert_eq!(both[0]["id"], format!("grant:{}", ada.grant_id));
    assert_eq!(both[0]["title"], "What Some client was allowed");
    let log = found(&deployment, &ada, "grant.revoked").await;
    assert_eq!(kinds(&log), ["entry".to_owned()].into());
    let nothing = found(&deployment, &ada, "no such words").await;
    assert_eq!(nothing, Vec::<Value>::new());
}

/// A scope for each kind, and for an owner's kinds the role as well.
#[tokio::test]
async fn nobody_finds_what_no_tool_would_show_them() {
    let all = owner_access("ada", &all_scopes());
    let deployment = furnished(&all).await;
    for (scopes, role, expected) in [
        ("user:read", Role::Owner, &["experiment", "person"][..]),
        (
            "user:read grants:read",
            Role::Member,
            &["experiment", "grant", "person"],
        ),
        (
            "user:read apps:read audit:read",
            Role::Member,
            &["experiment", "person"],
        ),
        (
            "user:read apps:read",
            Role::Owner,
            &["client", "experiment", "person"],
        ),
        (
            "user:read audit:read",
            Role::Owner,
            &["entry", "experiment", "person"],
        ),
    ] {
        let mut caller = all.clone();
        caller.scopes = scopes.parse().expect("scopes");
        caller.user.role = role;
        let found = found(&deployment, &caller, "").await;
        let expected: BTreeSet<_> = expected.iter().map(|kind| (*kind).to_owned()).collect();
        assert_eq!(kinds(&found), expected, "{scopes} {role:?}");
    }
}

#[tokio::test]
async fn what_may_not_be_seen_and_what_is_not_there_are_answered_alike() {
    let ada = owner_access("ada", &all_scopes());
    let deployment = furnished(&ada).await;
    let mut least = ada.clone();
    least.scopes = "user:read".parse().expect("scopes");
    let grace = access("grace", &all_scopes());
    let mut answers = BTreeSet::new();
    for (caller, id) in [
        (&least, format!("grant:{}", ada.grant_id)),
        (&least, "entry:1".to_owned()),
        (&least, format!("client:{}", ada.client_id)),
        (&grace, format!("grant:{}", ada.grant_id)),
        (&ada, format!("grant:{}", "0".repeat(Id::TEXT_LEN))),
        (&ada, format!("client:{}", "0".repeat(Id::TEXT_LEN))),
        (&ada, "client:none".to_owned()),
        (&ada, "entry:0".to_owned()),
        (&ada, "entry:2".to_owned()),
        (&ada, "entry:18446744073709551615".to_owned()),
        (&ada, "entry:-1".to_owned()),
        (&ada, "experiment:hidden-sample".to_owned()),
        (&ada, "no kind".to_owned()),
        (&ada, String::new()),
    ] {
        let call = deployment.call(Era::Modern, caller, "fetch", json!({ "id": id }));
        let words = call.await.tool_error();
        answers.insert(words.replace(&format!("{id:?}"), "…"));
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
}

#[tokio::test]
async fn a_query_and_an_id_have_an_end() {
    let deployment = Deployment::new();
    let ada = access("ada", &all_scopes());
    for (tool, member, max) in [("search", "query", 256), ("fetch", "id", 128)] {
        let arguments = json!({ member: "x".repeat(max + 1) });
        let call = deployment.call(Era::Modern, &ada, tool, arguments);
        let expected = format!("{member}: expected at most {max} characters");
        let words = call.await.tool_error();
        assert!(words.contains(&expected), "{words}");
    }
}
