//! `keystead mcp` and `connect`: what a host program is told, and what it meets.

use super::{Failure, Server, keystead};
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
