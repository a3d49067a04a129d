//! Sets of tools: by query, by path, and what the owner has switched off.

use super::*;
use crate::{
    experiments::Experiments,
    mcp::UnknownTool,
    model::toolset::Toolset,
    oauth2provider::{
        MCP_EXPERIMENT_PATH, MCP_READONLY_PATH, MCP_SEARCH_PATH, MCP_STANDARD_PATH, toolset_at,
    },
};

fn list(query: &str) -> Request {
    let mut request = request(Era::Modern, "tools/list", json!({}));
    request.head.query = Some(query.to_owned());
    request
}

fn names(answer: &Answer) -> Vec<String> {
    let result = answer.result();
    let tools = result["tools"].as_array().expect("a list").iter();
    let name = |tool: &Value| tool["name"].as_str().expect("a name").to_owned();
    tools.map(name).collect()
}

fn words(answer: &Answer) -> String {
    let words = answer.json()["error"]["message"].clone();
    words.as_str().expect("words").to_owned()
}

/// The names of the tools that a set is made of, said again and not computed as the table does it.
fn expected(set: Toolset) -> Vec<&'static str> {
    let is_in = |tool: &&Tool| match set {
        Toolset::Standard => true,
        Toolset::Readonly => tool.annotations().read_only_hint == Some(true),
        Toolset::Search => tool.name == "search" || tool.name == "fetch",
    };
    TOOLS.iter().filter(is_in).map(|tool| tool.name).collect()
}

fn owner() -> Access {
    owner_access("ada", &all_scopes())
}

#[tokio::test]
async fn a_set_is_what_its_name_says_by_query_and_by_path() {
    for set in Toolset::ALL {
        let by_query = list(&format!("toolset={set}"));
        let found = Deployment::new().answer(by_query, &owner()).await;
        assert_eq!(names(&found), expected(set), "{set}");
    }
    for path in [MCP_STANDARD_PATH, MCP_READONLY_PATH, MCP_SEARCH_PATH] {
        let set = toolset_at(path).expect("the path of a set");
        assert_eq!(path, format!("{MCP_PATH}/{set}"));
        let found = Deployment::new().at(path).answer(list(""), &owner()).await;
        assert_eq!(names(&found), expected(set), "{path}");
    }
}

#[tokio::test]
async fn who_asks_for_no_set_gets_all() {
    for (path, query) in [
        (MCP_PATH, "toolset="),
        (MCP_PATH, "other=1"),
        (MCP_EXPERIMENT_PATH, ""),
    ] {
        let deployment = Deployment::new().at(path);
        let found = deployment.answer(list(query), &owner()).await;
        assert_eq!(names(&found), expected(Toolset::Standard), "{path} {query}");
    }
}

#[tokio::test]
async fn a_toolset_that_is_none_is_refused_and_says_which_are() {
    for (query, said) in [
        (
            "toolset=all",
            "toolset: expected standard, readonly or search, found \"all\"",
        ),
        ("toolset=standard&toolset=standard", "query: "),
        ("toolset=%zz", "query: "),
    ] {
        let answer = Deployment::new().answer(list(query), &owner()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}");
        assert_eq!(answer.error_code(), -32600, "{query}");
        assert!(words(&answer).starts_with(said), "{}", words(&answer));
    }
}

#[tokio::test]
async fn the_query_does_not_widen_what_the_path_says() {
    let deployment = Deployment::new().at(MCP_READONLY_PATH);
    let same = deployment.answer(list("toolset=readonly"), &owner()).await;
    assert_eq!(names(&same), expected(Toolset::Readonly));
    let other = deployment.answer(list("toolset=standard"), &owner()).await;
    assert_eq!(other.status, StatusCode::BAD_REQUEST);
    assert_eq!(
        words(&other),
        "toolset: expected readonly, found \"standard\""
    );
}

/// Not only the list: what is not in the set cannot be called there.
#[tokio::test]
async fn a_tool_of_another_set_is_unknown() {
    let owner = owner();
    let arguments = json!({ "grant_id": "0".repeat(Id::TEXT_LEN) });
    for path in [MCP_READONLY_PATH, MCP_SEARCH_PATH] {
        let deployment = Deployment::new().at(path);
        for era in ERAS {
            let call = deployment.call(era, &owner, "revoke_my_grant", arguments.clone());
            assert_eq!(call.await.error_code(), -32602, "{path} {era:?}");
        }
    }
}

#[tokio::test]
async fn a_tool_that_is_off_is_not_listed_and_cannot_be_called() {
    let off = McpOff {
        tools: vec!["revoke_my_grant".to_owned()],
        toolsets: Vec::new(),
    };
    let deployment = Deployment::of(PUBLIC_URL, &TOOLS, off);
    let owner = owner();
    let arguments = json!({ "grant_id": "0".repeat(Id::TEXT_LEN) });
    for era in ERAS {
        let listed = deployment.listed(era, &owner).await;
        assert_eq!(listed.len(), TOOLS.len() - 1);
        assert!(!listed.contains(&"revoke_my_grant".to_owned()));
        let call = deployment.call(era, &owner, "revoke_my_grant", arguments.clone());
        let answer = call.await;
        assert_eq!(answer.error_code(), -32602, "{era:?}");
        assert_eq!(
            words(&answer),
            "expected a tool that tools/list shows, found \"revoke_my_grant\""
        );
    }
}

fn without(toolsets: &[Toolset]) -> Deployment {
    let off = McpOff {
        tools: Vec::new(),
        toolsets: toolsets.to_vec(),
    };
    Deployment::of(PUBLIC_URL, &TOOLS, off)
}

#[tokio::test]
async fn a_set_that_is_off_is_refused_and_the_next_one_is_what_one_gets() {
    let deployment = without(&[Toolset::Standard]);
    let unasked = deployment.answer(list(""), &owner()).await;
    assert_eq!(names(&unasked), expected(Toolset::Readonly));
    let asked = deployment.answer(list("toolset=standard"), &owner()).await;
    assert_eq!(
        words(&asked),
        "toolset: expected readonly or search, found \"standard\""
    );
    let at_its_path = deployment.at(MCP_STANDARD_PATH);
    let asked = at_its_path.answer(list(""), &owner()).await;
    assert_eq!(asked.status, StatusCode::NOT_FOUND);
    assert_eq!(asked.error_code(), -32600);
    let asked = at_its_path.answer(list("toolset=standard"), &owner()).await;
    assert_eq!(asked.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn with_every_set_off_there_is_nothing() {
    let deployment = without(&Toolset::ALL);
    for query in ["", "toolset=search"] {
        let answer = deployment.answer(list(query), &owner()).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{query}");
    }
}

/// Its owner would believe to be rid of something.
#[tokio::test]
async fn to_switch_off_what_is_no_tool_is_refused() {
    let Deployment { store, .. } = Deployment::new();
    let off = McpOff {
        tools: vec!["revoke_my_grant".to_owned(), "revoke_grant".to_owned()],
        toolsets: Vec::new(),
    };
    let desk = desk(&store, PUBLIC_URL, McpOff::default());
    let upstreams = behind(&desk, Arc::new(Nowhere));
    let refused = Mcp::new(
        store,
        desk.provider,
        desk.entropy,
        desk.allowance,
        Experiments::default(),
        off,
        upstreams,
    );
    let refused = refused.err();
    assert_eq!(refused, Some(UnknownTool("revoke_grant".to_owned())));
}

/// To search is to see: what the owner switched off is not found either.
#[tokio::test]
async fn what_a_tool_that_is_off_would_show_is_not_found() {
    let off = McpOff {
        tools: vec!["list_my_grants".to_owned()],
        toolsets: Vec::new(),
    };
    let deployment = Deployment::of(PUBLIC_URL, &TOOLS, off).at(MCP_SEARCH_PATH);
    let ada = owner();
    deployment.grant(&ada).await;
    let found = deployment.output(&ada, "search", json!({ "query": "some client" }));
    let found = found.await["results"].as_array().cloned().expect("a list");
    assert!(!found.is_empty());
    for one in found {
        let id = one["id"].as_str().expect("an id");
        assert!(!id.starts_with("grant:"), "{id}");
    }
    let id = format!("grant:{}", ada.grant_id);
    let call = deployment.call(Era::Modern, &ada, "fetch", json!({ "id": id }));
    assert!(call.await.tool_error().starts_with("no such document"));
}
