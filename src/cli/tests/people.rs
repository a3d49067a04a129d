//! `keystead user`, `client` and `vapid`: what they ask for, and what they ask first.

use std::io;

use super::{Server, rows::ada};
use crate::{
    appliance::administration::{Command, Password, Reply},
    model::user::Role,
};

#[test]
fn each_command_asks_for_what_it_says() {
    let server = Server::answering(Ok(Reply::Done));
    let name = || "ada".to_owned();
    let id = || "c1".to_owned();
    for (words, expected) in [
        (&["user", "list"][..], Command::UserList),
        (
            &["user", "disable", "ada"],
            Command::UserDisable { name: name() },
        ),
        (
            &["user", "enable", "ada"],
            Command::UserEnable { name: name() },
        ),
        (
            &["user", "remove", "ada", "--yes"],
            Command::UserRemove { name: name() },
        ),
        (&["client", "list"], Command::ClientList),
        (&["client", "pins"], Command::ClientPins),
        (&["client", "show", "c1"], Command::ClientShow { id: id() }),
        (
            &["client", "remove", "c1"],
            Command::ClientRemove { id: id() },
        ),
        (
            &[
                "client",
                "add",
                "--redirect-uri",
                "https://a/",
                "dash",
                "--redirect-uri",
                "https://b/",
                "--public",
                "--grant",
                "refresh_token",
                "--scope",
                "a b",
            ],
            Command::ClientAdd {
                name: "dash".to_owned(),
                redirect_uris: vec!["https://a/".to_owned(), "https://b/".to_owned()],
                public: true,
                grants: vec!["refresh_token".to_owned()],
                scope: Some("a b".to_owned()),
            },
        ),
    ] {
        assert_eq!(server.keystead(words).exit_code(), 0, "{words:?}");
        let asked = server.asked.lock().expect("a list").pop();
        assert_eq!(asked, Some(expected));
    }
    assert_eq!(server.end(), []);
}

#[test]
fn a_password_comes_by_standard_input_or_by_hand() {
    let server = Server::answering(Ok(Reply::User(ada())));
    let words = ["user", "add", "ada", "--owner", "--password-stdin"];
    let done = server.keystead_with(&words, b"correct horse\nmore", None);
    assert_eq!(done.exit_code(), 0, "{}", done.words());
    let by_hand = Some((|_: &str| Ok("by hand".to_owned())) as fn(&str) -> io::Result<String>);
    let done = server.keystead_with(&["user", "passwd", "ada"], b"", by_hand);
    assert_eq!(done.words(), "ada has another password.\n");
    let name = || "ada".to_owned();
    let (added, changed) = ("correct horse".to_owned(), "by hand".to_owned());
    let expected = [
        Command::UserAdd {
            name: name(),
            role: Role::Owner,
            password: Password::new(added),
        },
        Command::UserPasswd {
            name: name(),
            password: Password::new(changed),
        },
    ];
    assert_eq!(server.end(), expected);
}

#[test]
fn a_removal_is_confirmed_by_the_name() {
    let server = Server::answering(Ok(Reply::Done));
    let person = Some((|_: &str| Ok(String::new())) as fn(&str) -> io::Result<String>);
    let words = ["user", "remove", "ada"];
    let done = server.keystead_with(&words, b"yes\n", person);
    assert_eq!(done.exit_code(), 1);
    assert!(
        done.words()
            .contains("Type ada to confirm: error: not confirmed")
    );
    assert_eq!(
        server.keystead_with(&words, b"ada\n", person).exit_code(),
        0
    );
    let name = "ada".to_owned();
    assert_eq!(server.end(), [Command::UserRemove { name }]);
}

#[test]
fn another_pair_of_keys_is_confirmed_or_asked_for_with_yes() {
    let reply = Reply::VapidRegenerated {
        subscriptions_removed: 3,
    };
    let server = Server::answering(Ok(reply));
    let person = Some((|_: &str| Ok(String::new())) as fn(&str) -> io::Result<String>);
    let words = ["vapid", "regenerate"];
    let refused = server.keystead_with(&words, b"yes\n", person).words();
    assert!(
        refused.contains("turn them on again") && refused.contains("not confirmed"),
        "{refused}"
    );
    let done = server.keystead_with(&words, b"regenerate\n", person);
    assert!(done.output.ends_with("again: 3.\n"), "{}", done.words());
    let done = server.keystead(&["vapid", "regenerate", "--yes", "--json"]);
    assert_eq!(done.words(), "{\"subscriptions_removed\":3}\n");
    let expected = [Command::VapidRegenerate, Command::VapidRegenerate];
    assert_eq!(server.end(), expected);
}
