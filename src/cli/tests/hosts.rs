//! `keystead mcp` and `connect`: what a host program is told, and what it meets.

use super::{Failure, Server, keystead, keystead_in};
use crate::appliance::administration::{Command, Refused, Reply};

#[test]
fn connect_names_the_certificate_of_a_box_that_has_its_own_authority() {
    let server = Server::answering(Ok(Reply::PublicUrl("https://box.lan".to_owned())));
    let certificate = server.dir.path().join("ca.crt");
    let line = format!("NODE_EXTRA_CA_CERTS={}\n", certificate.display());
    let without = server.keystead(&["connect", "claude-code"]);
    assert!(!without.notes.contains(&line), "{}", without.words());
    std::fs::write(&certificate, "a certificate").expect("a file");
    let with = server.keystead(&["connect", "claude-code"]);
    assert!(with.notes.contains(&line), "{}", with.words());
    server.end();
}

#[test]
fn mcp_needs_a_server_that_runs_and_agrees() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().to_str().expect("a path");
    let done = keystead(&["mcp", "--data", data]);
    assert_eq!(done.exit_code(), 1);
    let expected = format!("no server runs on {data}: start it with `keystead serve`");
    assert!(done.words().contains(&expected), "{}", done.words());
    assert_eq!(done.output, "");
    let server = Server::answering(Err(Refused::because("there is no user \"bob\"")));
    let done = server.keystead(&["mcp", "--user", "bob", "--toolset", "readonly"]);
    assert_eq!(done.exit_code(), 1);
    assert_eq!(done.words(), "error: there is no user \"bob\"\n");
    assert_eq!(
        server.end(),
        [Command::Mcp {
            user: Some("bob".to_owned()),
            toolset: Some("readonly".to_owned()),
            upstream: None,
        }]
    );
    let server = Server::answering(Err(Refused::because("there is no user \"bob\"")));
    let done = server.keystead(&["connect", "claude-desktop", "--user", "bob", "--write"]);
    assert_eq!(done.exit_code(), 1);
    assert_eq!(done.words(), "error: there is no user \"bob\"\n");
    assert_eq!(
        server.end(),
        [Command::Mcp {
            user: Some("bob".to_owned()),
            toolset: None,
            upstream: None,
        }]
    );
    let done = keystead(&["mcp", "--toolset", "all"]);
    let usage = match &done.outcome {
        Err(Failure::Usage(usage)) => usage.to_string(),
        other => panic!("expected a wrong use, found {other:?}"),
    };
    assert!(
        usage.contains("expected standard, readonly or search"),
        "{usage}"
    );
}

#[test]
fn one_upstream_alone_is_asked_for_by_its_name() {
    let server = Server::answering(Err(Refused::because("there is no upstream files")));
    for words in [
        &["mcp", "--upstream", "files"][..],
        &["connect", "claude-desktop", "--upstream", "files"],
    ] {
        let done = server.keystead(words);
        assert_eq!(done.words(), "error: there is no upstream files\n");
        let asked = Command::Mcp {
            user: None,
            toolset: None,
            upstream: Some("files".to_owned()),
        };
        let last = server.asked.lock().expect("a list").pop();
        assert_eq!(last, Some(asked), "{words:?}");
    }
    server.end();
    for words in [
        &["mcp", "--upstream", "Files"][..],
        &["mcp", "--upstream", "search"],
        &[
            "connect",
            "cursor",
            "--upstream",
            "files",
            "--toolset",
            "readonly",
        ],
    ] {
        assert_eq!(keystead(words).exit_code(), 2, "{words:?}");
    }
}

#[test]
fn one_upstream_alone_stands_beside_the_box_in_a_hosts_file() {
    let at = ["--url", "https://box.lan", "--upstream", "files"];
    let home = [("HOME", "/home/ada")].into_iter().collect();
    let connect = |words: &[&str]| keystead_in(&home, &[&["connect", "cursor"], words].concat());
    let by_url = connect(&at);
    let entry: serde_json::Value = serde_json::from_str(&by_url.output).expect("JSON");
    let url = "https://box.lan/mcp/files";
    assert_eq!(
        entry["mcpServers"]["files"]["url"],
        url,
        "{}",
        by_url.words()
    );
    let data = tempfile::tempdir().expect("a directory");
    let data = data.path().to_str().expect("a path");
    let program = connect(&[
        "--stdio",
        "--upstream",
        "files",
        "--name",
        "f",
        "--data",
        data,
    ]);
    let entry: serde_json::Value = serde_json::from_str(&program.output).expect("JSON");
    let words = serde_json::json!(["mcp", "--data", data, "--upstream", "files"]);
    assert_eq!(
        entry["mcpServers"]["f"]["args"],
        words,
        "{}",
        program.words()
    );
    // A server that runs knows whether there is one.
    let server = Server::answering(Ok(Reply::Upstreams(Vec::new())));
    let refused = server.keystead(&["connect", "cursor", "--upstream", "files"]);
    let expected = "error: there is no upstream files: `keystead upstream list` shows those that \
                    there are\n";
    assert_eq!(
        (refused.exit_code(), refused.words().as_str()),
        (1, expected)
    );
    assert_eq!(server.end(), [Command::UpstreamList]);
}
