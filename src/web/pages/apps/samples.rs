//! One filled-in view of each state, for the tests of all pages.

use askama::Template;

use super::views::{AppPage, AppRow, AppsPage, NewAppForm, SecretRow, ShownSecret};
use crate::web::pages::{samples::signed_in, views::FieldError};

/// Every page in every state, rendered, with `theirs` where a stranger's text may stand.
pub(in crate::web::pages) fn rendered(theirs: &str) -> Vec<(&'static str, String)> {
    let refused = AppsPage {
        notice: None,
        form: NewAppForm {
            name: theirs.to_owned(),
            redirect_uris: theirs.to_owned(),
            is_public: true,
            errors: vec![
                error("name", "Expected 1 to 128 characters, found 0."),
                error("redirect_uris", "Expected 1 to 32 addresses."),
            ],
        },
        ..apps(theirs)
    };
    let none = AppsPage {
        apps: Vec::new(),
        count: 0,
        older: None,
        newer: None,
        form: NewAppForm {
            name: theirs.to_owned(),
            ..NewAppForm::default()
        },
        ..apps(theirs)
    };
    let public = AppPage {
        app: AppRow {
            is_public: true,
            last_used_at: None,
            ..app(theirs)
        },
        secrets: Vec::new(),
        shown: None,
        ..one(theirs)
    };
    vec![
        ("apps", apps(theirs).render().unwrap()),
        ("apps-refused", refused.render().unwrap()),
        ("apps-none", none.render().unwrap()),
        ("app", one(theirs).render().unwrap()),
        ("app-public", public.render().unwrap()),
    ]
}

fn error(field: &'static str, message: &str) -> FieldError {
    FieldError {
        field,
        message: message.to_owned(),
    }
}

fn apps(theirs: &str) -> AppsPage {
    AppsPage {
        frame: signed_in(),
        csrf_token: "csrf".into(),
        apps: vec![app(theirs)],
        count: 60,
        newer: Some(0),
        older: Some(50),
        notice: Some("The app is removed.".into()),
        form: NewAppForm::default(),
    }
}

fn one(theirs: &str) -> AppPage {
    AppPage {
        frame: signed_in(),
        csrf_token: "csrf".into(),
        app: app(theirs),
        secrets: vec![
            secret("s1", Some("2026-11-22 09:12 UTC")),
            secret("s2", None),
        ],
        shown: Some(ShownSecret {
            text: "ks_cs_0123456789abcdefghijkl".into(),
        }),
        notice: Some("The secret is removed.".into()),
    }
}

fn app(theirs: &str) -> AppRow {
    AppRow {
        id: "034Shhzc9y4MuEEMErdqDU".into(),
        name: theirs.to_owned(),
        origin_words: "Registered itself".into(),
        redirect_uris: vec![theirs.to_owned(), "http://localhost/callback".into()],
        is_public: false,
        created_at: "2026-11-20 18:42 UTC".into(),
        last_used_at: Some("2026-11-22 09:12 UTC".into()),
    }
}

fn secret(id: &str, last_used_at: Option<&str>) -> SecretRow {
    SecretRow {
        id: id.to_owned(),
        beginning: "ks_cs_034Shhzc9y4MuEEMErdqDU…".into(),
        created_at: "2026-11-20 18:42 UTC".into(),
        last_used_at: last_used_at.map(str::to_owned),
    }
}
