//! An entry of an inbox in JSON.

use serde::Serialize;

use crate::{
    http::params::Params, notifications::plain_text, store::notifications::InboxEntry,
    web::api::error::ApiRefusal,
};

/// The picture beside an entry.
const ICON: &str = "/favicon.ico";

/// How a reader wants the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::web::api) enum Format {
    /// As it was written.
    Markdown,
    /// Without any markup.
    PlainText,
}

impl Format {
    /// What the query asks for.
    pub(in crate::web::api) fn parse(query: &Params) -> Result<Self, ApiRefusal> {
        let asked = Self::find(query.get("format")?);
        asked.map_err(|detail| ApiRefusal::invalid("format", detail))
    }

    /// The format of that name; Markdown unless one is asked for.
    pub(in crate::web::api) fn find(name: Option<&str>) -> Result<Self, &'static str> {
        match name {
            None | Some("markdown") => Ok(Self::Markdown),
            Some("plaintext") => Ok(Self::PlainText),
            Some(_) => Err("expected markdown or plaintext"),
        }
    }
}

/// An entry.
#[derive(Serialize)]
pub(in crate::web::api) struct Item {
    id: String,
    user_id: String,
    template_id: &'static str,
    targets: Vec<String>,
    title: String,
    content: String,
    icon: &'static str,
    actions: Vec<Action>,
    read_at: Option<String>,
    created_at: String,
}

/// A button.
#[derive(Serialize)]
struct Action {
    label: String,
    url: String,
}

impl Item {
    /// `entry` as its reader wants it.
    pub(in crate::web::api) fn new(entry: &InboxEntry, format: Format) -> Self {
        let notification = &entry.notification;
        let actions = notification.actions.iter().map(|button| Action {
            label: button.label.clone(),
            url: button.url.to_string(),
        });
        Self {
            id: notification.id.to_string(),
            user_id: notification.user_id.to_string(),
            template_id: notification.template.as_str(),
            targets: notification
                .targets
                .iter()
                .map(ToString::to_string)
                .collect(),
            title: notification.title.clone(),
            content: match format {
                Format::Markdown => notification.content.clone(),
                Format::PlainText => plain_text(&notification.content),
            },
            icon: ICON,
            actions: actions.collect(),
            read_at: entry.read_at.map(|at| at.to_string()),
            created_at: notification.created_at.to_string(),
        }
    }
}
