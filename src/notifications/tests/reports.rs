//! What Keystead itself reports, and who speaks.

use super::*;
use crate::{
    audit,
    crypto::digest::Digest,
    model::{
        audit::{Action, Change, Object},
        session::Session,
    },
    store::sessions,
};

fn session(number: u8, browser: &str) -> Session {
    Session {
        id: id(number),
        digest: Digest::of(&[number]),
        user_id: id(ADA),
        created_at: at(5),
        last_seen_at: at(5),
        idle_expires_at: at(500),
        expires_at: at(500),
        browser: browser.to_owned(),
        address: "192.0.2.7".to_owned(),
    }
}

/// Signs Ada in from `browser`, and says of what she is told.
fn sign_in(store: &Store, seconds: u64, number: u8, browser: &str) -> Vec<String> {
    let session = session(number, browser);
    done(store, seconds, move |tx, act| {
        sessions::add(tx, &session)?;
        let object = Object::Session(session.id);
        audit::record(tx, act.by, Action::SessionOpened, object, [])?;
        react(tx, act)
    });
    let page = seen(store, |tx| list(tx, id(ADA), &Filter::default()));
    let titles = page.entries.into_iter().map(|entry| entry.notification);
    titles.map(|notification| notification.content).collect()
}

#[test]
fn a_browser_is_reported_the_first_time_but_not_the_very_first() {
    let store = house();
    assert_eq!(sign_in(&store, 10, 11, "Firefox"), Vec::<String>::new());
    assert_eq!(sign_in(&store, 11, 12, "Firefox"), Vec::<String>::new());
    let told = sign_in(&store, 12, 13, "<b>Evil</b> [x](https://evil.example)");
    assert_eq!(told.len(), 1);
    // What a browser calls itself is shown and never read as Markdown.
    assert!(
        told[0].contains(r"\<b\>Evil\<\/b\> \[x\]\(https\:"),
        "{}",
        told[0]
    );
}

#[test]
fn owners_hear_of_a_secret_and_a_person_of_their_replayed_token() {
    let store = house();
    done(&store, 10, |tx, act| {
        let client = Change::to("client_id", &id(9));
        let object = Object::Secret(id(8));
        audit::record(tx, act.by, Action::SecretRemoved, object, [client.clone()])?;
        let object = Object::Family(id(7));
        let changes = [client, Change::to("user_id", &id(BOB))];
        audit::record(tx, act.by, Action::TokenReplayed, object, changes)?;
        react(tx, act)
    });
    for (reader, template) in [
        (ADA, Template::SecretRemoved),
        (BOB, Template::TokenReplayed),
    ] {
        let page = seen(&store, |tx| list(tx, id(reader), &Filter::default()));
        let told: Vec<_> = page
            .entries
            .iter()
            .map(|entry| entry.notification.template)
            .collect();
        assert_eq!(told, [template]);
    }
}

/// What stands before the text of a push names everybody but the box itself.
#[test]
fn whoever_speaks_for_somebody_else_is_named() {
    let store = house();
    let gone = format!("The app {}", id(9));
    for (sender, words) in [
        (Sender::Keystead, None),
        (Sender::Administrator, Some("A program on this box")),
        (Sender::Person(id(BOB)), Some("The person bob")),
        (Sender::Person(id(7)), Some("Somebody who is gone")),
        (Sender::Client(id(9)), Some(gone.as_str())),
    ] {
        let found = seen(&store, |tx| said_by(tx, sender));
        assert_eq!(found.as_deref(), words, "{sender:?}");
    }
}
