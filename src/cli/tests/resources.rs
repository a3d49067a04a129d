//! `keystead resource`.

use super::Server;
use crate::appliance::administration::{Command, Reply};

#[test]
fn each_command_about_resources_asks_for_what_it_says() {
    let server = Server::answering(Ok(Reply::Done));
    for (words, expected) in [
        (&["resource", "list"][..], Command::ResourceList),
        (
            &["resource", "remove", "https://files.lan"],
            Command::ResourceRemove {
                identifier: "https://files.lan".to_owned(),
            },
        ),
        (
            &[
                "resource",
                "add",
                "https://files.lan",
                "--scope",
                "files:read",
                "--scope-words",
                "files:read=see your files",
                "--scope",
                "files:write",
            ],
            Command::ResourceAdd {
                identifier: "https://files.lan".to_owned(),
                scopes: vec!["files:read".to_owned(), "files:write".to_owned()],
                scope_words: vec!["files:read=see your files".to_owned()],
            },
        ),
    ] {
        assert_eq!(server.keystead(words).exit_code(), 0, "{words:?}");
        let asked = server.asked.lock().expect("a list").pop();
        assert_eq!(asked, Some(expected));
    }
    assert_eq!(server.end(), []);
}
