//! The templates, as one table: what people can be told about, and how by default.

use crate::model::notification::{Methods, Template, Urgency};

/// Everything that is known of a template.
#[derive(Debug)]
pub struct TemplateRow {
    /// Which.
    pub template: Template,
    /// What a person reads in their switches.
    pub name: &'static str,
    /// The title of a notification; `{}` stands for what it is about.
    pub title: &'static str,
    /// The content, in Markdown; `{}` likewise.
    pub body: &'static str,
    /// How people are told who have not said how.
    pub default: Methods,
    /// How soon.
    pub urgency: Urgency,
    /// The button's label and where it leads, if there is something to do.
    pub button: Option<(&'static str, &'static str)>,
}

const BOTH: Methods = Methods {
    inbox: true,
    push: true,
};
const INBOX: Methods = Methods {
    inbox: true,
    push: false,
};

/// Every template, in the order of [`Template::ALL`].
pub static TEMPLATES: [TemplateRow; 9] = [
    TemplateRow {
        template: Template::ClientApproved,
        name: "A new app was connected",
        title: "{} was connected",
        body: "You allowed **{}**, which had registered itself and which nobody here had used \
               before. If that was not you, take it back and change your password.",
        default: BOTH,
        urgency: Urgency::Normal,
        button: Some(("See what it may do", "/account#grants")),
    },
    TemplateRow {
        template: Template::GrantGiven,
        name: "An app was allowed something",
        title: "{} may act for you",
        body: "You allowed **{}** to act for you. You can take it back at any time.",
        default: INBOX,
        urgency: Urgency::Low,
        button: Some(("See what it may do", "/account#grants")),
    },
    TemplateRow {
        template: Template::TokenReplayed,
        name: "A stolen token was stopped",
        title: "{} was signed out",
        body: "A token of **{}** was used a second time, as happens when somebody has copied it. \
               Everything that it opened is closed. Connect the app again; if this comes back, \
               remove the app.",
        default: BOTH,
        urgency: Urgency::High,
        button: Some(("Look at your apps", "/account#grants")),
    },
    TemplateRow {
        template: Template::NewBrowser,
        name: "Sign-in from a new browser",
        title: "Sign-in from a new browser",
        body: "Somebody signed in with your password: {}. If that was not you, sign that browser \
               out and change your password.",
        default: BOTH,
        urgency: Urgency::High,
        button: Some(("See your sessions", "/account#sessions")),
    },
    TemplateRow {
        template: Template::SignInThrottled,
        name: "Too many wrong passwords",
        title: "Too many wrong passwords",
        body: "Somebody tried too many passwords for your name: {}. They have to wait now, and you \
               may have to as well.",
        default: BOTH,
        urgency: Urgency::High,
        button: None,
    },
    TemplateRow {
        template: Template::SecretRemoved,
        name: "An app lost a secret",
        title: "{} lost a secret",
        body: "A secret of **{}** was removed, and with it everything that was issued with it. If \
               the app still uses it, it can no longer sign in.",
        default: INBOX,
        urgency: Urgency::Normal,
        button: Some(("Look at the apps", "/admin/apps")),
    },
    TemplateRow {
        template: Template::UpstreamFailing,
        name: "A server behind this one does not answer",
        title: "{} does not answer",
        body: "The MCP server **{}** behind this one does not answer. It is tried again from time \
               to time; its log is in the log of Keystead.",
        default: BOTH,
        urgency: Urgency::Normal,
        button: None,
    },
    TemplateRow {
        template: Template::Test,
        name: "Test",
        title: "It works",
        body: "Notifications of this box reach this device.",
        default: BOTH,
        urgency: Urgency::Normal,
        button: Some(("Open the inbox", "/inbox")),
    },
    TemplateRow {
        template: Template::Custom,
        name: "What apps tell you",
        title: "{}",
        body: "{}",
        default: BOTH,
        urgency: Urgency::Normal,
        button: None,
    },
];

/// What is known of `template`.
pub fn row(template: Template) -> &'static TemplateRow {
    &TEMPLATES[template as usize]
}

#[cfg(test)]
mod table {
    use super::*;
    use crate::model::notification::{LABEL_LEN_MAX, Link, TITLE_LEN_MAX};

    #[test]
    fn every_template_stands_at_its_own_place_with_words_that_fit() {
        for (place, (row, template)) in TEMPLATES.iter().zip(Template::ALL).enumerate() {
            assert_eq!(row.template, template, "row {place}");
            assert_eq!(row.template as usize, place);
            assert!(!row.name.is_empty());
            assert!(row.title.len() < TITLE_LEN_MAX);
            if let Some((label, path)) = row.button {
                assert!(label.len() <= LABEL_LEN_MAX);
                assert!(path.parse::<Link>().is_ok(), "{path}");
            }
        }
    }

    #[test]
    fn every_template_is_documented() {
        let page = include_str!("../../docs/notifications.md");
        for row in &TEMPLATES {
            let methods = match row.default {
                BOTH => "inbox, push",
                INBOX => "inbox",
                other => panic!("no word for {other:?}"),
            };
            let (id, urgency) = (row.template.as_str(), row.urgency.as_str());
            let expected = format!("| `{id}` | {} | {methods} | {urgency} |", row.name);
            assert!(
                page.lines().any(|line| line == expected),
                "no row {expected}"
            );
        }
    }
}
