//! Everything that must hold of every tool, and the two files that are written from the table.

use std::{collections::BTreeSet, fmt::Write as _, path::Path};

use serde_json::json;

use super::{testing::WITHOUT_A_SCOPE, *};
use crate::{
    mcp::{ARGUMENTS_DEPTH_MAX, CALL_TIMEOUT, MCP_BODY_BYTES_MAX},
    model::oauth2::scope::{SCOPES, find_definition},
};

/// Set to anything, it has a test write its file anew instead of comparing it.
const UPDATE: &str = "KEYSTEAD_UPDATE_GOLDEN";

/// Compares `found` with the file at `path`, or writes it there.
fn check_file(path: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    #[expect(
        clippy::disallowed_methods,
        reason = "a switch of the tests, no setting"
    )]
    let update = std::env::var_os(UPDATE).is_some();
    if update {
        std::fs::write(&path, found).expect("a file that can be written");
    }
    let kept = std::fs::read_to_string(&path).expect("a file that can be read");
    assert!(
        kept == found,
        "{} is not what the table says; {UPDATE}=1 cargo test --lib mcp::tools writes:\n{found}",
        path.display()
    );
}

#[test]
fn every_tool_has_a_name_of_its_own_and_words() {
    let names: BTreeSet<_> = TOOLS.iter().map(|tool| tool.name).collect();
    assert_eq!(names.len(), TOOLS.len(), "a name stands twice");
    for tool in &TOOLS {
        let is_snake = |c: char| c.is_ascii_lowercase() || c == '_';
        assert!(tool.name.chars().all(is_snake), "{}", tool.name);
        assert!(tool.title.starts_with(char::is_uppercase), "{}", tool.name);
        assert!(!tool.title.ends_with('.'), "{}", tool.name);
        assert!(tool.description.ends_with('.'), "{}", tool.name);
        assert!(!tool.description.contains("  "), "{}", tool.name);
    }
}

#[test]
fn every_tool_needs_scopes_that_exist_and_whose_effect_covers_its_own() {
    for tool in &TOOLS {
        assert!(!tool.scopes.is_empty(), "{}", tool.name);
        let effects = tool.scopes.iter().map(|scope| {
            let definition = find_definition(scope).expect("a scope of ours");
            definition.effect
        });
        let widest = effects.max().expect("a scope");
        assert!(widest >= tool.effect, "{}: {:?}", tool.name, tool.effect);
    }
}

/// Threat 35: an empty list would allow all.
#[test]
fn a_tool_without_a_scope_is_open_to_nobody() {
    let all = ScopeSet::of(SCOPES.iter().map(|scope| scope.name));
    assert!(!WITHOUT_A_SCOPE.is_open_to(&all));
}

/// Calls `check` for a schema and every schema inside of it.
fn each_schema(schema: &Value, check: &dyn Fn(&Value)) {
    match schema {
        Value::Object(members) => {
            check(schema);
            members.values().for_each(|inner| each_schema(inner, check));
        }
        Value::Array(items) => items.iter().for_each(|inner| each_schema(inner, check)),
        _ => {}
    }
}

#[test]
fn every_schema_is_a_closed_object_that_needs_nothing_from_elsewhere() {
    for tool in &TOOLS {
        for schema in [tool.input_schema(), tool.output_schema()] {
            let schema = Value::Object(schema.as_ref().clone());
            assert_eq!(schema["type"], "object", "{}", tool.name);
            each_schema(&schema, &|inner| {
                if inner["type"] == "object" {
                    assert_eq!(inner["additionalProperties"], false, "{}", tool.name);
                }
                let reference = inner["$ref"].as_str().unwrap_or("#");
                assert!(reference.starts_with('#'), "{}: {reference}", tool.name);
            });
        }
    }
}

#[test]
fn every_member_of_a_schema_says_what_it_is() {
    for tool in &TOOLS {
        for schema in [tool.input_schema(), tool.output_schema()] {
            let schema = Value::Object(schema.as_ref().clone());
            each_schema(&schema, &|inner| {
                let members = inner["properties"].as_object().into_iter().flatten();
                for (name, member) in members {
                    let words = member["description"].as_str().unwrap_or("");
                    assert!(!words.is_empty(), "{}: {name}", tool.name);
                }
            });
        }
    }
}

#[test]
fn annotations_follow_from_the_effect() {
    for tool in &TOOLS {
        let hints = serde_json::to_value(tool.annotations()).expect("JSON");
        assert_eq!(hints["title"], tool.title);
        assert_eq!(hints["readOnlyHint"], tool.effect == Effect::Reads);
        let destroys = matches!(tool.effect, Effect::Changes | Effect::Destroys);
        assert_eq!(hints["destructiveHint"], destroys);
        assert_eq!(hints["idempotentHint"], tool.effect != Effect::Adds);
        assert_eq!(hints["openWorldHint"], false);
    }
}

#[test]
fn the_list_is_as_it_was() {
    let listed: Vec<_> = TOOLS.iter().map(Tool::listed).collect();
    let listed = serde_json::to_string_pretty(&json!({ "tools": listed })).expect("JSON");
    check_file("src/mcp/tools/golden.json", &format!("{listed}\n"));
}

#[test]
fn the_documentation_is_the_table() {
    check_file("docs/tools.md", &document());
}

/// The preface says them in words.
#[test]
fn the_bounds_are_as_documented() {
    assert_eq!([MCP_BODY_BYTES_MAX, ANSWER_BYTES_MAX], [1 << 20; 2]);
    assert_eq!((ARGUMENTS_DEPTH_MAX, CALL_TIMEOUT.as_secs()), (32, 30));
}

/// Whatever `search` can find, a tool of the table shows.
#[test]
fn every_kind_of_document_is_shown_by_a_tool() {
    for kind in &documents::KINDS {
        let tool = find_own(kind.tool).expect(kind.tool);
        assert_eq!(tool.effect, Effect::Reads, "{}", kind.tool);
    }
}

const PREFACE: &str = "# Tools\n\n\
    What a client can call at `/mcp`, written from the table in `src/mcp/tools/mod.rs` by \
    `KEYSTEAD_UPDATE_GOLDEN=1 cargo test --lib mcp::tools`. A client sees only the tools whose \
    scopes its token has, in this order; those for an owner do not exist for others.\n\n\
    ## Sets of tools\n\n\
    `standard` is all of them, `readonly` those that change nothing, `search` the two that some \
    hosts' connectors look for. Ask for one with `/mcp?toolset=readonly`, or at a path of its own, \
    `/mcp/standard`, `/mcp/readonly` or `/mcp/search`: each path is a resource with its own \
    metadata, for hosts that compare URLs byte by byte, and a token for it opens nothing else. \
    Tokens for `/mcp` and for the deployment open every path. These names are taken: nothing else \
    is served under them below `/mcp/`. Who asks for no set gets the first one that is on.\n\n\
    The owner of the box can switch tools and sets off with `mcp_tools_off` and \
    `mcp_toolsets_off`; what is off is not listed and cannot be called.\n\n\
    ## Bounds\n\n\
    A message has at most 1 MiB and its arguments at most 32 levels of nesting; a call takes at most \
    30 s and its answer has at most 1 MiB of JSON: a tool with more to say returns an error that \
    asks for less. Each grant has an [allowance](configuration.md#rate-limits); beyond it the answer \
    is 429 with `Retry-After` and an error of JSON-RPC.\n\n\
    ## All tools\n\n\
    | tool | scope | effect | for | sets |\n|---|---|---|---|---|\n";

fn document() -> String {
    let mut text = PREFACE.to_owned();
    for tool in &TOOLS {
        let Tool { name, .. } = tool;
        let (scopes, effect) = (scopes(tool), effect(tool.effect));
        let role = match tool.role {
            Role::Member => "everybody",
            Role::Owner => "an owner",
        };
        let sets = sets(tool);
        writeln!(
            text,
            "| [`{name}`](#{name}) | {scopes} | {effect} | {role} | {sets} |"
        )
        .expect("a string grows");
    }
    for tool in &TOOLS {
        let (name, title) = (tool.name, tool.title);
        write!(text, "\n## `{name}`\n\n**{title}.** {}\n", tool.description)
            .expect("a string grows");
        table(&mut text, "Arguments", &tool.input_schema());
        table(&mut text, "Result", &tool.output_schema());
    }
    text
}

fn scopes(tool: &Tool) -> String {
    let scopes: Vec<_> = tool
        .scopes
        .iter()
        .map(|scope| format!("`{scope}`"))
        .collect();
    scopes.join(", ")
}

fn sets(tool: &Tool) -> String {
    let sets = Toolset::ALL.into_iter().filter(|set| tool.is_in(*set));
    let sets: Vec<_> = sets.map(|set| format!("`{set}`")).collect();
    sets.join(", ")
}

const fn effect(effect: Effect) -> &'static str {
    match effect {
        Effect::Reads => "reads",
        Effect::Adds => "adds",
        Effect::AddsOnce => "adds, once",
        Effect::Changes => "changes",
        Effect::Destroys => "destroys",
    }
}

/// The members of an object as a table; those of the objects in a list behind the list's name.
fn table(text: &mut String, heading: &str, schema: &JsonObject) {
    let schema = Value::Object(schema.clone());
    let mut rows = String::new();
    add_rows(&mut rows, "", &schema, &schema);
    if rows.is_empty() {
        write!(text, "\n{heading}: none.\n").expect("a string grows");
    } else {
        write!(text, "\n| {heading} | type | |\n|---|---|---|\n{rows}").expect("a string grows");
    }
}

fn add_rows(rows: &mut String, prefix: &str, object: &Value, root: &Value) {
    for (name, member) in object["properties"].as_object().into_iter().flatten() {
        let required = object["required"].as_array();
        let required = required.is_some_and(|names| names.contains(&json!(name)));
        let kind = kind(member) + if required { "" } else { ", may be absent" };
        let words = member["description"].as_str().unwrap_or("");
        writeln!(rows, "| `{prefix}{name}` | {kind} | {words} |").expect("a string grows");
        for (reference, inner) in [(&member["items"]["$ref"], "[]."), (&member["$ref"], ".")] {
            let pointer = reference.as_str().map(|text| text.trim_start_matches('#'));
            if let Some(inner_object) = pointer.and_then(|pointer| root.pointer(pointer)) {
                add_rows(rows, &format!("{prefix}{name}{inner}"), inner_object, root);
            }
        }
    }
}

fn kind(member: &Value) -> String {
    let one = match &member["type"] {
        Value::Array(kinds) => kinds[0].as_str(),
        Value::Null => member["$ref"].as_str().map(|_| "object"),
        kind => kind.as_str(),
    };
    match one.expect("a type") {
        "array" => {
            let of = member["items"]["type"].as_str().unwrap_or("object");
            format!("list of {of}s")
        }
        kind => kind.to_owned(),
    }
}
