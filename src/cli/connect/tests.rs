//! What a host's file holds before and after.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fmt::Write as _,
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
};

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::{
    entry::TRANSPORT,
    hosts::{HOSTS, Places, Transport},
    *,
};
use crate::cli::execute;

fn http() -> Transport {
    Transport::Http("https://box.lan/mcp".to_owned())
}

fn stdio() -> Transport {
    let words = ["mcp", "--data", "/srv/keystead"];
    Transport::Stdio(
        "/usr/local/bin/keystead".to_owned(),
        words.map(str::to_owned).to_vec(),
    )
}

fn host(word: &str) -> &'static Host {
    hosts::find(word).expect("a host")
}

fn merged(word: &str, text: &str, transport: &Transport) -> String {
    let merged = host(word).merge(text, "keystead", transport);
    merged.unwrap_or_else(|error| panic!("{word}: {error}"))
}

#[test]
fn every_host_gets_what_its_maker_documents() {
    let mut all = String::new();
    for host in &HOSTS {
        let mut show = |kind: &str, transport: &Transport| {
            let text = host.merge("", "keystead", transport).expect("a text");
            let then = host.then("keystead", transport);
            writeln!(all, "# {}, {kind}\n{text}{then}\n", host.title).expect("a text");
        };
        if host.takes_urls() {
            show("at the URL", &http());
        }
        show("as a program", &stdio());
    }
    insta::assert_snapshot!("hosts", all);
}

#[test]
fn every_host_has_a_name_and_a_file_of_its_own() {
    let words: BTreeSet<_> = HOSTS.iter().map(|host| host.word).collect();
    let linux: BTreeSet<_> = HOSTS.iter().map(|host| host.places.linux).collect();
    assert_eq!((words.len(), linux.len()), (HOSTS.len(), HOSTS.len()));
    for host in &HOSTS {
        let Places {
            linux,
            macos,
            windows,
            ..
        } = host.places;
        assert!(linux.starts_with("~/.") && macos.starts_with("~/"));
        assert!(windows.starts_with('%'));
        assert!(hosts::NotAHost.to_string().contains(host.word));
        for place in [linux, macos, windows] {
            assert!(
                include_str!("../../../docs/hosts.md").contains(place),
                "{place}"
            );
        }
        assert_eq!(hosts::find(host.word).expect("a host").title, host.title);
    }
    assert_eq!(hosts::find("emacs").err(), Some(hosts::NotAHost));
}

#[test]
fn a_file_is_where_the_host_looks_for_it() {
    for (word, variables, expected) in [
        (
            "claude-code",
            &[("HOME", "/h")][..],
            Some("/h/.claude.json"),
        ),
        (
            "claude-code",
            &[("HOME", "/h"), ("CLAUDE_CONFIG_DIR", "/c")],
            Some("/c/.claude.json"),
        ),
        (
            "codex",
            &[("HOME", "/h"), ("CODEX_HOME", "relative")],
            Some("/h/.codex/config.toml"),
        ),
        (
            "vscode",
            &[("HOME", "/h"), ("XDG_CONFIG_HOME", "/x")],
            Some("/x/Code/User/mcp.json"),
        ),
        (
            "cursor",
            &[("HOME", "/h"), ("XDG_CONFIG_HOME", "/x")],
            Some("/h/.cursor/mcp.json"),
        ),
        ("gemini", &[], None),
    ] {
        let environment: Environment = variables.iter().copied().collect();
        let found = host(word).places.here(&environment);
        assert_eq!(found.as_deref(), expected.map(Path::new), "{word}");
    }
}

#[test]
fn whatever_else_stands_in_a_file_stays_as_it_is() {
    let before = r#"{
    // Mine.
    "inputs": [ 1,2 ],  /* so */
    "servers": {
        "other": {"url": "https://other.example", },
    },
    "z": null,
    "a": 1e3,
}
"#;
    insta::assert_snapshot!("json_with_comments", merged("vscode", before, &http()));
    let before = "# Mine.\nmodel = \"x\" # so\n\n[mcp_servers.other]\nurl = 'https://other.example'\n\n[[z]]\na = 1\n";
    insta::assert_snapshot!("toml_with_comments", merged("codex", before, &stdio()));
    let inline = "mcp_servers = { other = { url = \"u\" } } # so\n";
    insta::assert_snapshot!("toml_inline", merged("codex", inline, &stdio()));
    let windows = "{\r\n  \"a\": 1\r\n}\r\n";
    let after = merged("cursor", windows, &http());
    assert_eq!(after.matches('\n').count(), after.matches("\r\n").count());
}

#[test]
fn what_stands_under_our_name_keeps_what_is_not_about_the_way() {
    let before = r#"{"mcpServers": {"keystead": {"disabled": true, "httpUrl": "https://old", "env": {"A": "b"}}}}"#;
    let after: Value = serde_json::from_str(&merged("cursor", before, &stdio())).expect("JSON");
    let ours = &after["mcpServers"]["keystead"];
    assert_eq!(ours["disabled"], true);
    assert_eq!(ours["env"], json!({ "A": "b" }));
    assert_eq!(ours["command"], "/usr/local/bin/keystead");
    assert_eq!(ours.get("httpUrl"), None);
    let before = "[mcp_servers.keystead]\ncommand = \"old\"\nargs = []\nstartup_timeout_sec = 20\n";
    let after = merged("codex", before, &http());
    assert_eq!(
        after,
        "[mcp_servers.keystead]\nstartup_timeout_sec = 20\nurl = \"https://box.lan/mcp\"\n"
    );
}

#[test]
fn what_cannot_be_understood_is_refused() {
    for (word, text, expected) in [
        ("cursor", "{", "expected JSON"),
        ("cursor", "[]", "expected an object at its beginning"),
        ("cursor", "null", "expected an object at its beginning"),
        ("cursor", "{'a': 1}", "expected JSON"),
        ("cursor", "{\"a\": 1 \"b\": 2}", "expected JSON"),
        ("cursor", "\u{feff}{}", "expected JSON"),
        (
            "cursor",
            r#"{"mcpServers": []}"#,
            "expected an object at mcpServers",
        ),
        (
            "cursor",
            r#"{"mcpServers": null}"#,
            "expected an object at mcpServers",
        ),
        (
            "cursor",
            r#"{"mcpServers": {"keystead": 1}}"#,
            "expected an object at keystead",
        ),
        (
            "cursor",
            r#"{"mcpServers": {}, "mcp\u0053ervers": {}}"#,
            "expected mcpServers once",
        ),
        (
            "cursor",
            r#"{"mcpServers": {"keystead": {"url": "", "url": ""}}}"#,
            "expected url once",
        ),
        ("codex", "a = ", "expected TOML"),
        (
            "codex",
            "mcp_servers = 1",
            "expected a table at mcp_servers",
        ),
        (
            "codex",
            "[[mcp_servers]]",
            "expected a table at mcp_servers",
        ),
        (
            "codex",
            "mcp_servers.keystead = 1",
            "expected a table at keystead",
        ),
    ] {
        let refused = host(word).merge(text, "keystead", &http());
        let refused = refused.expect_err(text).to_string();
        assert!(refused.starts_with(expected), "{text}: {refused}");
    }
}

/// Any JSON, with names that mean something among its keys.
fn documents() -> impl Strategy<Value = Value> {
    let keys = || {
        prop_oneof![
            Just("mcpServers".to_owned()),
            Just("keystead".to_owned()),
            proptest::sample::select(TRANSPORT.to_vec()).prop_map(str::to_owned),
            "\\PC{0,6}",
        ]
    };
    let leaves = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
    ];
    let values = leaves.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(keys(), inner, 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    });
    values.prop_filter("an object", Value::is_object)
}

/// What `before` has to be after a merge, said again and not as the merge does it.
fn expected(mut before: Value, key: &str, entry: &Map<String, Value>) -> Option<Value> {
    let all = before.as_object_mut()?.entry(key).or_insert(json!({}));
    let ours = all.as_object_mut()?.entry("keystead").or_insert(json!({}));
    let ours = ours.as_object_mut()?;
    ours.retain(|member, _| !TRANSPORT.contains(&member.as_str()));
    ours.extend(entry.clone());
    Some(before)
}

proptest! {
    #[test]
    fn a_merge_loses_no_key_of_json_and_a_second_one_changes_nothing(
        before in documents(),
        command in "\\PC{0,12}[\"\\\\\u{1}]?",
        is_pretty in any::<bool>(),
    ) {
        let text = if is_pretty { serde_json::to_string_pretty(&before) } else { serde_json::to_string(&before) };
        let text = text.expect("JSON");
        let transport = Transport::Stdio(command.clone(), vec![command.clone()]);
        let entry = json!({ "type": "stdio", "command": command.clone(), "args": [command] });
        let merged = host("cursor").merge(&text, "keystead", &transport);
        match expected(before, "mcpServers", entry.as_object().expect("an object")) {
            None => {
                let is_refused = matches!(merged, Err(MergeError::NotATable { .. }));
                prop_assert!(is_refused);
            }
            Some(expected) => {
                let merged = merged.expect("a merge");
                let found: Value = serde_json::from_str(&merged).expect("JSON");
                prop_assert_eq!(found, expected);
                let again = host("cursor").merge(&merged, "keystead", &transport);
                prop_assert_eq!(again, Ok(merged));
            }
        }
    }

    #[test]
    fn a_merge_loses_no_key_of_toml_and_a_second_one_changes_nothing(
        before in documents(),
        command in "\\PC{0,12}[\"\\\\\u{1}]?",
    ) {
        let before = without_null(before);
        let text = ::toml::to_string(&before).expect("TOML");
        let text = text.replace("mcpServers", "mcp_servers");
        let before: Value = ::toml::from_str(&text).expect("TOML");
        let transport = Transport::Stdio(command.clone(), vec![command.clone()]);
        let entry = json!({ "command": command.clone(), "args": [command] });
        let merged = host("codex").merge(&text, "keystead", &transport);
        match expected(before, "mcp_servers", entry.as_object().expect("an object")) {
            None => {
                let is_refused = matches!(merged, Err(MergeError::NotATable { .. }));
                prop_assert!(is_refused);
            }
            Some(expected) => {
                let merged = merged.expect("a merge");
                let found: Value = ::toml::from_str(&merged).expect("TOML");
                prop_assert_eq!(found, expected);
                let again = host("codex").merge(&merged, "keystead", &transport);
                prop_assert_eq!(again, Ok(merged));
            }
        }
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,64}") {
        for host in &HOSTS {
            drop(host.merge(&text, "keystead", &http()));
        }
    }
}

/// TOML has no null.
fn without_null(value: Value) -> Value {
    match value {
        Value::Null => Value::from(0),
        Value::Array(items) => items.into_iter().map(without_null).collect(),
        Value::Object(members) => {
            let members = members.into_iter();
            Value::Object(
                members
                    .map(|(key, value)| (key, without_null(value)))
                    .collect(),
            )
        }
        other => other,
    }
}

/// A person's home, and what a command in it left behind.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("a file")
    }

    fn names(&self, directory: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(directory)).expect("a directory");
        let name = |entry: io::Result<fs::DirEntry>| entry.expect("an entry").file_name();
        let mut names: Vec<_> = entries.map(name).collect();
        names.sort();
        let text = |name: OsString| name.into_string().expect("text");
        names.into_iter().map(text).collect()
    }

    /// Standard output, standard error and what went wrong.
    fn connect(&self, words: &[&str]) -> (String, String, Option<(u8, String)>) {
        let (mut output, mut notes) = (Vec::new(), Vec::new());
        let mut console = Console {
            input: &mut &b""[..],
            output: &mut output,
            notes: &mut notes,
            keyboard: None,
        };
        let environment = [("HOME", self.0.path())].into_iter().collect();
        let words = ["keystead", "connect"].iter().chain(words);
        let done = execute(words.map(OsString::from), &environment, &mut console);
        let text = |bytes| String::from_utf8(bytes).expect("text");
        let failure = done.err().map(|failure| {
            let mut report = Vec::new();
            failure.report(&mut report).expect("a vector");
            (failure.exit_code(), text(report))
        });
        (text(output), text(notes), failure)
    }
}

#[test]
fn what_is_printed_is_what_the_file_would_hold() {
    let home = Home::new();
    let (output, notes, failure) = home.connect(&["vscode", "--url", "https://box.lan"]);
    assert_eq!(failure, None);
    assert_eq!(output, merged("vscode", "", &http()));
    let path = home.path(".config/Code/User/mcp.json");
    let expected = format!("VS Code reads it from {}.\n  Linux ", path.display());
    assert!(notes.starts_with(&expected), "{notes}");
    assert!(home.names(".").is_empty(), "nothing is written");
    let (again, notes, _) = home.connect(&["vscode", "--url", "https://box.lan", "--write"]);
    assert_eq!(again, "");
    assert!(notes.contains("is written."), "{notes}");
    assert_eq!(home.read(".config/Code/User/mcp.json"), output);
    assert_eq!(home.names(".config/Code/User"), ["mcp.json"]);
    let mode = fs::metadata(&path).expect("a file").mode() & 0o777;
    assert_eq!(mode, 0o600);
}

#[test]
fn a_file_keeps_its_mode_and_a_copy_and_the_same_again_changes_nothing() {
    let home = Home::new();
    let before = "{\n  \"numStartups\": 34\n}\n";
    let path = home.path(".claude.json");
    fs::write(&path, before).expect("a file");
    fs::set_permissions(&path, Permissions::from_mode(0o640)).expect("a mode");
    let words = ["claude-code", "--url", "https://box.lan", "--write"];
    let (_, notes, failure) = home.connect(&words);
    assert_eq!(failure, None);
    assert!(notes.contains(".claude.json.keystead-backup."), "{notes}");
    assert_eq!(home.read(".claude.json.keystead-backup"), before);
    assert_eq!(
        home.read(".claude.json"),
        merged("claude-code", before, &http())
    );
    for name in [".claude.json", ".claude.json.keystead-backup"] {
        let mode = fs::metadata(home.path(name)).expect("a file").mode() & 0o777;
        assert_eq!(mode, 0o640, "{name}");
    }
    let written = home.read(".claude.json");
    let (_, notes, failure) = home.connect(&words);
    assert_eq!(failure, None);
    assert!(
        notes.contains("has it already; nothing was changed"),
        "{notes}"
    );
    assert_eq!(
        home.names("."),
        [".claude.json", ".claude.json.keystead-backup"]
    );
    let (_, notes, _) = home.connect(&["claude-code", "--url", "https://other.lan", "--write"]);
    assert!(notes.contains(".keystead-backup-2."), "{notes}");
    assert_eq!(home.read(".claude.json.keystead-backup"), before);
    assert_eq!(home.read(".claude.json.keystead-backup-2"), written);
}

#[test]
fn a_link_is_followed_to_the_file_and_stays_a_link() {
    let home = Home::new();
    fs::create_dir_all(home.path("dotfiles")).expect("a directory");
    fs::create_dir_all(home.path(".cursor")).expect("a directory");
    fs::write(home.path("dotfiles/mcp.json"), "{}").expect("a file");
    symlink("../dotfiles/mcp.json", home.path(".cursor/mcp.json")).expect("a link");
    let words = ["cursor", "--url", "https://box.lan", "--write"];
    assert_eq!(home.connect(&words).2, None);
    let link = fs::symlink_metadata(home.path(".cursor/mcp.json")).expect("a link");
    assert!(link.file_type().is_symlink());
    assert!(
        home.read("dotfiles/mcp.json")
            .contains("https://box.lan/mcp")
    );
    assert_eq!(
        home.names("dotfiles"),
        ["mcp.json", "mcp.json.keystead-backup"]
    );
}

#[test]
fn a_file_that_cannot_be_changed_is_left_and_said_what_to_paste() {
    let home = Home::new();
    fs::create_dir_all(home.path(".cursor")).expect("a directory");
    let path = home.path(".cursor/mcp.json");
    let words = ["cursor", "--url", "https://box.lan", "--write"];
    fs::write(&path, "{ broken").expect("a file");
    let (output, _, failure) = home.connect(&words);
    let (code, report) = failure.expect("a refusal");
    assert_eq!(code, 1);
    assert!(
        report.contains("was not changed: expected JSON"),
        "{report}"
    );
    assert_eq!(output, merged("cursor", "", &http()));
    assert_eq!(home.read(".cursor/mcp.json"), "{ broken");
    fs::write(&path, b"\xff").expect("a file");
    let refused = |expected: &str| {
        let (_, report) = home.connect(&words).2.expect("a refusal");
        assert!(report.contains(expected), "{report}");
    };
    refused("expected text in UTF-8");
    fs::remove_file(&path).expect("a file");
    fs::create_dir(&path).expect("a directory");
    refused("expected a file");
    fs::remove_dir(&path).expect("a directory");
    symlink("nowhere", &path).expect("a link");
    refused("found a link to nothing");
    assert_eq!(home.names(".cursor"), ["mcp.json"]);
}

#[test]
fn what_its_host_wrote_meanwhile_is_not_lost() {
    let home = Home::new();
    let path = home.path("mcp.json");
    for before in [None, Some("{}")] {
        if let Some(before) = before {
            fs::write(&path, before).expect("a file");
        }
        let file = HostFile::open(&path).expect("a file");
        fs::write(&path, "{\"mine\": 1}").expect("a file");
        let refused = file.replace("ours", OWN_MODE);
        assert!(matches!(refused, Err(FileError::Changed)), "{refused:?}");
        assert_eq!(home.read("mcp.json"), "{\"mine\": 1}");
        fs::remove_file(&path).expect("a file");
    }
    assert!(!home.names(".").contains(&"mcp.json.unfinished".to_owned()));
}

#[test]
fn a_program_is_named_by_its_own_path_and_all_that_it_needs() {
    let home = Home::new();
    let words = [
        "claude-desktop",
        "--user",
        "ada",
        "--toolset",
        "readonly",
        "--name",
        "my_box",
    ];
    let (output, notes, failure) = home.connect(&words);
    assert_eq!(failure, None);
    let program = std::env::current_exe().expect("a program");
    let data = home.path(".local/share/keystead");
    let expected = json!({ "mcpServers": { "my_box": {
        "command": program,
        "args": ["mcp", "--data", data, "--user", "ada", "--toolset", "readonly"],
    }}});
    let found: Value = serde_json::from_str(&output).expect("JSON");
    assert_eq!(found, expected);
    assert!(notes.contains("claude_desktop_config.json"), "{notes}");
}

#[test]
fn a_set_of_tools_has_a_url_of_its_own_and_the_url_is_that_of_the_configuration() {
    let home = Home::new();
    let (output, notes, _) = home.connect(&["gemini", "--toolset", "readonly"]);
    let data = home.path(".local/share/keystead");
    let expected = format!(
        "No server runs on {}: this is the default; --url names another.\n",
        data.display()
    );
    assert!(notes.starts_with(&expected), "{notes}");
    let url = "\"httpUrl\": \"http://localhost:8420/mcp/readonly\"";
    assert!(output.contains(url), "{output}");
    assert!(home.names(".").is_empty(), "no data file is made");
}

#[test]
fn contradictions_are_wrong_use() {
    let home = Home::new();
    for (words, expected) in [
        (
            &["cursor", "--user", "ada"][..],
            "expected --stdio beside --user",
        ),
        (&["claude-desktop", "--project"], "expected no --project"),
        (
            &["claude-desktop", "--url", "https://box.lan"],
            "expected no --url",
        ),
    ] {
        let (_, _, failure) = home.connect(words);
        let (code, report) = failure.expect("a refusal");
        assert_eq!(code, 2);
        assert!(report.contains(expected), "{report}");
    }
    for words in [
        &["emacs"][..],
        &["cursor", "--name", "a b"],
        &["cursor", "--name", ""],
        &["cursor", "--url", "ftp://box.lan"],
        &["cursor", "--stdio", "--url", "https://box.lan"],
    ] {
        let (_, _, failure) = home.connect(words);
        assert_eq!(failure.expect("a refusal").0, 2, "{words:?}");
    }
}
