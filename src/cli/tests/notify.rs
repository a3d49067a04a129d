//! `keystead notify`.

use super::{Server, keystead_on, keystead_with};
use crate::appliance::administration::{Command, Notice, Reply};

#[test]
fn notify_asks_for_what_it_says() {
    let server = Server::answering(Ok(Reply::Done));
    let plain = Notice {
        user: "ada".to_owned(),
        title: "Hello".to_owned(),
        body: String::new(),
        link: None,
        urgency: None,
    };
    let full = Notice {
        body: "**sda**".to_owned(),
        link: Some("/inbox".to_owned()),
        urgency: Some("high".to_owned()),
        ..plain.clone()
    };
    // A list in Markdown, or a temperature.
    let with_a_dash = Notice {
        title: "-12°".to_owned(),
        body: "-one".to_owned(),
        ..plain.clone()
    };
    for (words, expected) in [
        ("notify ada --title Hello", plain),
        ("notify ada --title -12° --body -one", with_a_dash),
        (
            "notify --title Hello --body **sda** ada --link /inbox --urgency high",
            full,
        ),
    ] {
        let words: Vec<&str> = words.split_whitespace().collect();
        assert_eq!(server.keystead(&words).exit_code(), 0, "{words:?}");
        let asked = server.asked.lock().expect("a list").pop();
        assert_eq!(asked, Some(Command::Notify(expected)));
    }
    assert_eq!(server.end(), []);
}

#[test]
fn a_user_is_told_while_no_server_runs() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().to_str().expect("a UTF-8 path");
    let notify = |words: &[&str]| keystead_on(dir.path(), &[&["notify"], words].concat());
    let no_box = notify(&["ada", "--title", "Hello"]);
    assert_eq!(no_box.exit_code(), 1);
    let expected = format!("error: no data file in {data}: expected the directory of a box");
    assert!(no_box.words().starts_with(&expected), "{}", no_box.words());
    let left = std::fs::read_dir(dir.path()).expect("a directory");
    assert_eq!(left.count(), 0, "a data file was made");
    let add = ["user", "add", "ada", "--password-stdin", "--data", data];
    let added = keystead_with(&add, b"correct horse battery\n", None);
    assert_eq!(added.exit_code(), 0, "{}", added.words());
    let told = notify(&["ada", "--title", "Hello", "--link", "/inbox", "--json"]);
    assert_eq!(told.exit_code(), 0, "{}", told.words());
    let row: serde_json::Value = serde_json::from_str(&told.output).expect("JSON");
    assert_eq!((&row["user"], &row["pushes"]), (&"ada".into(), &0.into()));
    assert!(row["id"].is_string(), "{row}");
    let (title, body) = ("x".repeat(201), "x".repeat(4_001));
    for (words, said) in [
        (&["--title", " "][..], "title: expected 1 to 200 characters"),
        (&["--title", "a\nb"], "on one line, found a line break"),
        (&["--title", &title], "title: expected 1 to 200 characters"),
        (
            &["--title", "x", "--body", &body],
            "body: expected at most 4000",
        ),
        (
            &["--title", "x", "--link", "http://nas.lan/"],
            "link: expected a path",
        ),
    ] {
        let refused = notify(&[&["ada"], words].concat());
        assert_eq!(refused.exit_code(), 1, "{words:?}");
        assert!(refused.words().contains(said), "{}", refused.words());
    }
    assert_eq!(
        keystead_on(dir.path(), &["user", "disable", "ada"]).exit_code(),
        0
    );
    let disabled = notify(&["ada", "--title", "Hello"]);
    assert!(
        disabled.words().contains("`keystead user enable ada`"),
        "{}",
        disabled.words()
    );
    let checked = keystead_on(dir.path(), &["check"]);
    assert!(
        checked.output.contains("It is whole."),
        "{}",
        checked.words()
    );
}
