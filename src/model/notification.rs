//! The nouns of the inbox: what software tells a person, and how they want to be told.

use std::{fmt, str::FromStr};

use bincode::{Decode, Encode};
use url::Url;

use crate::model::{
    https_url::{HttpsUrl, HttpsUrlError},
    id::Id,
    timestamp::Timestamp,
};

/// Characters of a title at the most.
pub const TITLE_LEN_MAX: usize = 200;
/// Characters of a content at the most.
pub const CONTENT_LEN_MAX: usize = 4_000;
/// Characters of an action's label at the most.
pub const LABEL_LEN_MAX: usize = 64;
/// Actions of one notification at the most.
pub const ACTIONS_MAX: usize = 4;
/// Targets of one notification at the most.
pub const TARGETS_MAX: usize = 8;

/// What a notification is about. The words of each are in `notifications/templates.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum Template {
    /// A person allowed a client that had registered itself for the first time.
    ClientApproved,
    /// A person allowed a client something.
    GrantGiven,
    /// A refresh token or a code came a second time; what it had given was revoked.
    TokenReplayed,
    /// A browser signed in from which nobody had.
    NewBrowser,
    /// Somebody tried too many passwords.
    SignInThrottled,
    /// A client lost a secret.
    SecretRemoved,
    /// Another MCP server behind this one does not answer.
    UpstreamFailing,
    /// The person wanted to see whether it works.
    Test,
    /// What a client or a command says.
    Custom,
}

impl Template {
    /// Every template.
    pub const ALL: [Self; 9] = [
        Self::ClientApproved,
        Self::GrantGiven,
        Self::TokenReplayed,
        Self::NewBrowser,
        Self::SignInThrottled,
        Self::SecretRemoved,
        Self::UpstreamFailing,
        Self::Test,
        Self::Custom,
    ];

    /// Its name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClientApproved => "client-approved",
            Self::GrantGiven => "grant-given",
            Self::TokenReplayed => "token-replayed",
            Self::NewBrowser => "new-browser",
            Self::SignInThrottled => "sign-in-throttled",
            Self::SecretRemoved => "secret-removed",
            Self::UpstreamFailing => "upstream-failing",
            Self::Test => "test",
            Self::Custom => "custom",
        }
    }

    /// The template of that name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == name)
    }
}

/// How soon a push service should wake the device (RFC 8030 §5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum Urgency {
    /// On power and Wi-Fi.
    VeryLow,
    /// On either.
    Low,
    /// On neither.
    Normal,
    /// On low battery as well.
    High,
}

impl Urgency {
    /// Every urgency, the least first.
    pub const ALL: [Self; 4] = [Self::VeryLow, Self::Low, Self::Normal, Self::High];

    /// Its name on the wire, and the header's value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::VeryLow => "very-low",
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
        }
    }

    /// The urgency of that name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == name)
    }
}

/// Where a button leads: somewhere on the box itself, or an https URL. Nothing else: no script, no
/// other application.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Link(String);

/// Why a text is no such link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// It begins with one slash, and is no path as a browser would read it.
    #[error("expected a path as a browser prints it, such as /inbox")]
    Path,
    /// It is not a path, and no https URL either.
    #[error("expected a path on this box, or an https URL with a host")]
    Neither,
    /// It is an https URL that is not taken.
    #[error(transparent)]
    Url(HttpsUrlError),
}

impl From<HttpsUrlError> for LinkError {
    fn from(error: HttpsUrlError) -> Self {
        match error {
            HttpsUrlError::NotHttps => Self::Neither,
            other => Self::Url(other),
        }
    }
}

impl Link {
    /// The link as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Link {
    type Err = LinkError;

    fn from_str(text: &str) -> Result<Self, LinkError> {
        if !text.starts_with('/') {
            let url: HttpsUrl = text.parse()?;
            return Ok(Self(url.as_str().to_owned()));
        }
        // What a parser leaves as it is on some host is a path on any: `//host` and `/\host`,
        // which a browser takes for another host, are not.
        let own = format!("https://box.invalid{text}");
        let is_path = text.len() <= HttpsUrl::LEN_MAX
            && !text.starts_with("//")
            && Url::parse(&own).is_ok_and(|url| url.as_str() == own);
        if is_path {
            Ok(Self(text.to_owned()))
        } else {
            Err(LinkError::Path)
        }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A button of a notification.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Button {
    /// What stands on it.
    pub label: String,
    /// Where it leads.
    pub url: Link,
}

impl Button {
    /// A button that leads to `url` and says no more.
    pub fn open(url: Link) -> Self {
        Self {
            label: "Open".to_owned(),
            url,
        }
    }
}

/// Who tells the person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Sender {
    /// Keystead itself.
    Keystead,
    /// A client that acts for the person, or for itself.
    Client(Id),
    /// A program of this machine: of whoever administers it, or of a client of `keystead mcp`.
    Administrator,
    /// Somebody of this box, in their browser.
    Person(Id),
}

/// An entry of a person's inbox. It never changes; whether it was read stands beside it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Notification {
    /// The store's key; newer ones are greater.
    pub id: Id,
    /// Whose inbox.
    pub user_id: Id,
    /// What it is about.
    pub template: Template,
    /// Which clients, grants, sessions … it is about.
    pub targets: Vec<Id>,
    /// One line of text.
    pub title: String,
    /// Text in a small part of Markdown.
    pub content: String,
    /// What the person can do next.
    pub actions: Vec<Button>,
    /// How soon they should know.
    pub urgency: Urgency,
    /// Who says so.
    pub sender: Sender,
    /// When.
    pub created_at: Timestamp,
}

/// How a person wants to be told about one template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Methods {
    /// In the inbox.
    pub inbox: bool,
    /// By push to their browsers.
    pub push: bool,
}

/// What a person set about their notifications.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct NotificationSettings {
    /// Templates that are not as they are by default.
    pub switched: Vec<(Template, Methods)>,
    /// Clients whose notifications are dropped.
    pub muted: Vec<Id>,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_template_and_urgency_is_found_by_a_name_of_its_own() {
        let names: BTreeSet<_> = Template::ALL.iter().map(|one| one.as_str()).collect();
        assert_eq!(names.len(), Template::ALL.len());
        for template in Template::ALL {
            assert_eq!(Template::find(template.as_str()), Some(template));
        }
        for urgency in Urgency::ALL {
            assert_eq!(Urgency::find(urgency.as_str()), Some(urgency));
        }
        assert_eq!(Template::find("no-such"), None);
    }

    #[test]
    fn a_link_stays_on_the_box_or_is_https() {
        for good in [
            "/inbox",
            "/account?tab=1#grants",
            "/",
            "https://a.example/x",
        ] {
            assert_eq!(
                good.parse::<Link>().map(|link| link.to_string()),
                Ok(good.to_owned())
            );
        }
        let path = Err(LinkError::Path);
        for bad in [
            "//evil.example",
            "/\\evil.example",
            "/a/../b",
            "/a b",
            "/\ta",
        ] {
            assert_eq!(bad.parse::<Link>(), path, "{bad}");
        }
        for bad in ["javascript:alert(1)", "http://a.example/", "a", ""] {
            assert_eq!(bad.parse::<Link>(), Err(LinkError::Neither), "{bad}");
        }
        let user_info = Err(LinkError::Url(HttpsUrlError::UserInfo));
        assert_eq!("https://u@a.example/".parse::<Link>(), user_info);
    }
}
