//! One filled-in view of each state, for the tests of all pages.

use askama::Template;

use super::{
    markdown,
    sieve::Sieve,
    views::{
        ActionView, EntryRow, InboxPage, InboxSettingsPage, InstantView, MutedRow, PushView,
        SenderView, SieveView, SwitchRow,
    },
};
use crate::web::pages::samples::signed_in;

/// Every page in every state, rendered, with `theirs` where a stranger's text may stand.
pub(in crate::web::pages) fn rendered(theirs: &str) -> Vec<(&'static str, String)> {
    let empty = InboxPage {
        entries: Vec::new(),
        unread: 0,
        sieve: Sieve::default().view(),
        newest: None,
        older: None,
        notice: None,
        ..inbox(theirs)
    };
    let sieved = InboxPage {
        sieve: inbox(theirs).sieve,
        ..empty.clone()
    };
    let off = InboxSettingsPage {
        push: PushView::Off("Off here."),
        muted: Vec::new(),
        ..settings(theirs)
    };
    let mut pages = vec![
        ("inbox", inbox(theirs).render().unwrap()),
        ("inbox-settings", settings(theirs).render().unwrap()),
    ];
    // Where nothing of a stranger's is shown.
    if theirs == PLAIN {
        pages.extend([
            ("inbox-empty", empty.render().unwrap()),
            ("inbox-sieved", sieved.render().unwrap()),
            ("inbox-settings-off", off.render().unwrap()),
        ]);
    }
    pages
}

/// What is no attack.
pub(in crate::web::pages) const PLAIN: &str = "Claude";

fn inbox(theirs: &str) -> InboxPage {
    let own = EntryRow {
        id: "034Shhzc9y4MuEEMErdqDV".into(),
        sender: SenderView::Keystead,
        is_read: true,
        actions: Vec::new(),
        ..entry(theirs)
    };
    let muted = EntryRow {
        id: "034Shhzc9y4MuEEMErdqDW".into(),
        sender: SenderView::App {
            name: theirs.to_owned(),
            is_muted: true,
        },
        ..entry(theirs)
    };
    let administrators = EntryRow {
        id: "034Shhzc9y4MuEEMErdqDX".into(),
        sender: SenderView::Administrator,
        ..entry(theirs)
    };
    let persons = EntryRow {
        id: "034Shhzc9y4MuEEMErdqDY".into(),
        sender: SenderView::Person(theirs.to_owned()),
        ..entry(theirs)
    };
    let gone = EntryRow {
        id: "034Shhzc9y4MuEEMErdqDT".into(),
        content: String::new(),
        actions: Vec::new(),
        sender: SenderView::Gone,
        ..entry(theirs)
    };
    InboxPage {
        frame: signed_in(),
        csrf_token: "csrf".into(),
        entries: vec![entry(theirs), own, muted, administrators, persons, gone],
        unread: 3,
        sieve: SieveView {
            unread_only: true,
            template: Some("custom"),
            before: Some("034Shhzc9y4MuEEMErdqDZ".into()),
            ..Sieve::default().view()
        },
        newest: Some("/inbox?show=unread&template=custom".into()),
        older: Some("/inbox?show=unread&before=034Shhzc9y4MuEEMErdqDU".into()),
        notice: Some("Marked as read.".into()),
    }
}

fn entry(theirs: &str) -> EntryRow {
    EntryRow {
        id: "034Shhzc9y4MuEEMErdqDU".into(),
        title: theirs.to_owned(),
        content: markdown::html(&format!("{theirs}\n\n- *one* `two` [three](/account)")),
        sender: SenderView::App {
            name: theirs.to_owned(),
            is_muted: false,
        },
        template: "custom",
        about: "What apps tell you",
        at: InstantView {
            instant: "2026-11-22T09:12:34Z".into(),
            words: "2026-11-22 09:12 UTC".into(),
        },
        is_read: false,
        actions: vec![
            ActionView {
                label: theirs.to_owned(),
                href: "/account#grants".into(),
                host: None,
            },
            ActionView {
                label: "Open".into(),
                href: "https://app.example/x".into(),
                host: Some("app.example".into()),
            },
        ],
    }
}

fn settings(theirs: &str) -> InboxSettingsPage {
    InboxSettingsPage {
        frame: signed_in(),
        csrf_token: "csrf".into(),
        push: PushView::On {
            key: "BKey".into(),
            told: "0a 0b".into(),
        },
        switches: vec![
            SwitchRow {
                template: "new-browser",
                words: "Sign-in from a new browser",
                inbox: true,
                push: true,
            },
            SwitchRow {
                template: "custom",
                words: "What apps tell you",
                inbox: true,
                push: false,
            },
        ],
        muted: vec![MutedRow {
            id: "034Shhzc9y4MuEEMErdqDU".into(),
            name: theirs.to_owned(),
        }],
        notice: Some("Saved.".into()),
    }
}
