//! What the pages of the inbox show: plain data in, HTML out, as in [`crate::web::pages::views`].

use askama::Template;

use crate::web::pages::{assets, views::Frame};

/// `/inbox`.
#[derive(Clone, Debug, Template)]
#[template(path = "inbox.html")]
pub(in crate::web::pages) struct InboxPage {
    /// What surrounds the page; somebody is signed in.
    pub(in crate::web::pages) frame: Frame,
    /// Bound to the session.
    pub(in crate::web::pages) csrf_token: String,
    /// A part of the entries, newest first.
    pub(in crate::web::pages) entries: Vec<EntryRow>,
    /// Entries of the whole inbox that were not read.
    pub(in crate::web::pages) unread: u64,
    /// Which entries the page was asked for.
    pub(in crate::web::pages) sieve: SieveView,
    /// The address of the first part, if this is another.
    pub(in crate::web::pages) newest: Option<String>,
    /// The address of the next part, if there is one.
    pub(in crate::web::pages) older: Option<String>,
    /// What the last form did.
    pub(in crate::web::pages) notice: Option<String>,
}

/// Which entries a page was asked for, as its links and forms say it again.
#[derive(Clone, Debug, Default)]
pub(in crate::web::pages) struct SieveView {
    /// Whether it leaves out what was read.
    pub(in crate::web::pages) unread_only: bool,
    /// The template that it keeps to.
    pub(in crate::web::pages) template: Option<&'static str>,
    /// The entry that it begins behind.
    pub(in crate::web::pages) before: Option<String>,
    /// Every template: name on the wire, and the words of it.
    pub(in crate::web::pages) templates: Vec<(&'static str, &'static str)>,
}

impl InboxPage {
    /// How many entries wait, in words.
    fn waiting(&self) -> String {
        match self.unread {
            0 => "Nothing unread.".to_owned(),
            many => format!("{many} unread."),
        }
    }
}

impl SieveView {
    fn is_chosen(&self, name: &str) -> bool {
        self.template == Some(name)
    }

    fn lets_all_through(&self) -> bool {
        !self.unread_only && self.template.is_none() && self.before.is_none()
    }
}

impl EntryRow {
    /// Whether there is anything behind its title.
    fn says_more(&self) -> bool {
        !(self.content.is_empty() && self.actions.is_empty())
    }

    /// Whether the page sets its words and its buttons apart from our own.
    fn is_quoted(&self) -> bool {
        !matches!(self.sender, SenderView::Keystead)
    }
}

/// One notification.
#[derive(Clone, Debug)]
pub(in crate::web::pages) struct EntryRow {
    /// In the path of its form: letters and digits.
    pub(in crate::web::pages) id: String,
    /// One line of somebody's text.
    pub(in crate::web::pages) title: String,
    /// Somebody's text, as HTML that is safe.
    pub(in crate::web::pages) content: String,
    /// Who says so.
    pub(in crate::web::pages) sender: SenderView,
    /// What it is about, by its name on the wire.
    pub(in crate::web::pages) template: &'static str,
    /// The same, in words.
    pub(in crate::web::pages) about: &'static str,
    /// When it came.
    pub(in crate::web::pages) at: InstantView,
    /// Whether it was read.
    pub(in crate::web::pages) is_read: bool,
    /// What one can do next.
    pub(in crate::web::pages) actions: Vec<ActionView>,
}

/// An instant, for a script and for a reader without one.
#[derive(Clone, Debug)]
pub(in crate::web::pages) struct InstantView {
    /// To the second, as HTML has it (RFC 3339, UTC).
    pub(in crate::web::pages) instant: String,
    /// To the minute, with the zone.
    pub(in crate::web::pages) words: String,
}

/// Who says what an entry says.
#[derive(Clone, Debug)]
pub(in crate::web::pages) enum SenderView {
    /// Keystead itself.
    Keystead,
    /// An app, by the name that it gives itself.
    App {
        /// Its name.
        name: String,
        /// Whether what it says is dropped from now on.
        is_muted: bool,
    },
    /// A program of this machine: `keystead notify`, or a client of `keystead mcp`.
    Administrator,
    /// Somebody of this box, by name.
    Person(String),
    /// Somebody of this box who was removed.
    Gone,
}

/// A button that leads somewhere.
#[derive(Clone, Debug)]
pub(in crate::web::pages) struct ActionView {
    /// What stands on it.
    pub(in crate::web::pages) label: String,
    /// An own path, or an https URL.
    pub(in crate::web::pages) href: String,
    /// The host, where it leads away from the box.
    pub(in crate::web::pages) host: Option<String>,
}

/// `/inbox/settings`.
#[derive(Clone, Debug, Template)]
#[template(path = "inbox_settings.html")]
pub(in crate::web::pages) struct InboxSettingsPage {
    /// What surrounds the page; somebody is signed in.
    pub(in crate::web::pages) frame: Frame,
    /// Bound to the session.
    pub(in crate::web::pages) csrf_token: String,
    /// Whether devices can be told, and by which key.
    pub(in crate::web::pages) push: PushView,
    /// One row a template.
    pub(in crate::web::pages) switches: Vec<SwitchRow>,
    /// Apps whose notifications are dropped.
    pub(in crate::web::pages) muted: Vec<MutedRow>,
    /// What the last form did.
    pub(in crate::web::pages) notice: Option<String>,
}

/// Whether this box tells devices at all.
#[derive(Clone, Debug)]
pub(in crate::web::pages) enum PushView {
    /// It does; by this key a browser knows it (RFC 8292), in base64url.
    On {
        /// The key.
        key: String,
        /// A digest of the endpoint of each browser in which the person is told, with spaces
        /// between them.
        told: String,
    },
    /// It does not, in words.
    Off(&'static str),
}

/// How somebody is told about one template.
#[derive(Clone, Debug)]
pub(in crate::web::pages) struct SwitchRow {
    /// The template's name on the wire.
    pub(in crate::web::pages) template: &'static str,
    /// What it is about.
    pub(in crate::web::pages) words: &'static str,
    /// In the inbox.
    pub(in crate::web::pages) inbox: bool,
    /// On their devices.
    pub(in crate::web::pages) push: bool,
}

/// An app that may say nothing.
#[derive(Clone, Debug)]
pub(in crate::web::pages) struct MutedRow {
    /// Of the client.
    pub(in crate::web::pages) id: String,
    /// As it calls itself.
    pub(in crate::web::pages) name: String,
}
