//! What the pages of the apps show: plain data in, HTML out, as in [`crate::web::pages::views`].

use askama::Template;

use crate::{
    http::params::Params,
    web::pages::{
        assets,
        views::{FieldError, Frame, ascii, message_of},
    },
};

/// `/admin/apps`.
#[derive(Clone, Debug, Template)]
#[template(path = "apps.html")]
pub(in crate::web::pages) struct AppsPage {
    /// What surrounds the page; an owner is signed in.
    pub(in crate::web::pages) frame: Frame,
    /// Bound to the session.
    pub(in crate::web::pages) csrf_token: String,
    /// A part of them, newest first.
    pub(in crate::web::pages) apps: Vec<AppRow>,
    /// How many there are.
    pub(in crate::web::pages) count: usize,
    /// Where the part before this one begins.
    pub(in crate::web::pages) newer: Option<usize>,
    /// Where the next part begins.
    pub(in crate::web::pages) older: Option<usize>,
    /// What the last form did.
    pub(in crate::web::pages) notice: Option<String>,
    /// The form that adds one.
    pub(in crate::web::pages) form: NewAppForm,
}

/// The form that adds an app, as it was sent.
#[derive(Clone, Debug, Default)]
pub(in crate::web::pages) struct NewAppForm {
    /// As it was typed.
    pub(in crate::web::pages) name: String,
    /// As they were typed, one a line.
    pub(in crate::web::pages) redirect_uris: String,
    /// Whether it is to have no secret.
    pub(in crate::web::pages) is_public: bool,
    /// Of `name` and `redirect_uris`.
    pub(in crate::web::pages) errors: Vec<FieldError>,
}

impl NewAppForm {
    /// What a person typed. What came twice counts as not sent: no form of ours does that.
    pub(super) fn typed(form: &Params) -> Self {
        let text = |name: &str| form.get(name).ok().flatten().unwrap_or_default().to_owned();
        Self {
            name: text("name"),
            redirect_uris: text("redirect_uris"),
            is_public: text("public") == "yes",
            errors: Vec::new(),
        }
    }
}

/// One app.
#[derive(Clone, Debug)]
pub(in crate::web::pages) struct AppRow {
    /// In the path of its page: letters and digits.
    pub(in crate::web::pages) id: String,
    /// As it calls itself.
    pub(in crate::web::pages) name: String,
    /// Who says so, in words that end without a full stop.
    pub(in crate::web::pages) origin_words: String,
    /// Where its answers may go.
    pub(in crate::web::pages) redirect_uris: Vec<String>,
    /// Whether it has no secret.
    pub(in crate::web::pages) is_public: bool,
    /// When it was made.
    pub(in crate::web::pages) created_at: String,
    /// When it last got a token, if ever.
    pub(in crate::web::pages) last_used_at: Option<String>,
}

/// `/admin/apps/{id}`.
#[derive(Clone, Debug, Template)]
#[template(path = "app.html")]
pub(in crate::web::pages) struct AppPage {
    /// What surrounds the page; an owner is signed in.
    pub(in crate::web::pages) frame: Frame,
    /// Bound to the session.
    pub(in crate::web::pages) csrf_token: String,
    /// The app.
    pub(in crate::web::pages) app: AppRow,
    /// Its secrets, oldest first.
    pub(in crate::web::pages) secrets: Vec<SecretRow>,
    /// The secret that was just made.
    pub(in crate::web::pages) shown: Option<ShownSecret>,
    /// What the last form did.
    pub(in crate::web::pages) notice: Option<String>,
}

/// One secret, as it is known after it was shown.
#[derive(Clone, Debug)]
pub(in crate::web::pages) struct SecretRow {
    /// In the path of its removal: letters and digits.
    pub(in crate::web::pages) id: String,
    /// By which its owner knows it again.
    pub(in crate::web::pages) beginning: String,
    /// When it was made.
    pub(in crate::web::pages) created_at: String,
    /// When it last opened the token endpoint, if ever.
    pub(in crate::web::pages) last_used_at: Option<String>,
}

/// A secret in full.
#[derive(Clone)]
pub(in crate::web::pages) struct ShownSecret {
    /// Its text.
    pub(in crate::web::pages) text: String,
}

impl std::fmt::Debug for ShownSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ShownSecret(redacted)")
    }
}
