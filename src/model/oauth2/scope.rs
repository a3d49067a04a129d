//! Scopes: what a token may do, and the words a person reads before allowing it.

use std::{collections::BTreeSet, fmt, str::FromStr};

use bincode::{Decode, Encode};

use crate::model::effect::Effect;

/// Whether a client that asks for nothing gets a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Minimal {
    /// It is part of the least that is useful.
    Yes,
    /// It has to be asked for.
    No,
}

/// Where a scope opens something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opens {
    /// The MCP endpoint and the management API.
    McpAndApi,
    /// The management API only: what an MCP client is offered does not grow with it.
    Api,
    /// No resource at all.
    Nothing,
}

/// What a scope is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// What is the person's own.
    Person,
    /// The whole box: it opens nothing for whom the box does not let, and is never needed to work
    /// for one person.
    Box,
}

/// A scope of this deployment.
#[derive(Clone, Copy, Debug)]
pub struct ScopeDefinition {
    /// `thing:action`.
    pub name: &'static str,
    /// What it is about.
    pub about: About,
    /// What it lets a client do.
    pub effect: Effect,
    /// What a person reads at consent: the end of "This app wants to …".
    pub words: &'static str,
    /// Whether it is granted when nothing is asked for.
    pub minimal: Minimal,
    /// Where it opens something.
    pub opens: Opens,
}

/// Names the wish to be connected without the person being there. Every client that may refresh
/// gets a refresh token whether it asks for this or not, so it opens nothing by itself.
pub const OFFLINE_ACCESS: &str = "offline_access";
/// The identity of the person who signed in.
pub const USER_READ: &str = "user:read";
/// The list of what the person allowed.
pub const GRANTS_READ: &str = "grants:read";
/// Ending what the person allowed.
pub const GRANTS_WRITE: &str = "grants:write";
/// The list of the person's browser sessions.
pub const SESSIONS_READ: &str = "sessions:read";
/// Ending the person's browser sessions.
pub const SESSIONS_WRITE: &str = "sessions:write";
/// The apps of the box.
pub const APPS_READ: &str = "apps:read";
/// Making, changing and removing the apps of the box, and their secrets; for an owner.
pub const APPS_WRITE: &str = "apps:write";
/// The settings of the box; for an owner.
pub const SETTINGS_READ: &str = "settings:read";
/// Changing the settings of the box; for an owner.
pub const SETTINGS_WRITE: &str = "settings:write";
/// The person's inbox.
pub const NOTIFICATIONS_READ: &str = "notifications:read";
/// Telling the person something, and marking and removing what is in their inbox.
pub const NOTIFICATIONS_WRITE: &str = "notifications:write";
/// Having the person's notifications pushed to a browser.
pub const WEBPUSH_WRITE: &str = "webpush:write";
/// The log of what was done on the box; for an owner.
pub const AUDIT_READ: &str = "audit:read";

/// Every scope of this deployment.
pub const SCOPES: &[ScopeDefinition] = &[
    ScopeDefinition {
        name: USER_READ,
        about: About::Person,
        effect: Effect::Reads,
        words: "see your name and your role on this box",
        minimal: Minimal::Yes,
        opens: Opens::McpAndApi,
    },
    ScopeDefinition {
        name: GRANTS_READ,
        about: About::Person,
        effect: Effect::Reads,
        words: "see which apps you have allowed, and what they may do",
        minimal: Minimal::No,
        opens: Opens::McpAndApi,
    },
    ScopeDefinition {
        name: GRANTS_WRITE,
        about: About::Person,
        effect: Effect::Destroys,
        words: "take back what you have allowed to any app, this one included",
        minimal: Minimal::No,
        opens: Opens::McpAndApi,
    },
    ScopeDefinition {
        name: SESSIONS_READ,
        about: About::Person,
        effect: Effect::Reads,
        words: "see in which browsers you are signed in, and from where",
        minimal: Minimal::No,
        opens: Opens::McpAndApi,
    },
    ScopeDefinition {
        name: SESSIONS_WRITE,
        about: About::Person,
        effect: Effect::Destroys,
        words: "sign you out of any browser in which you are signed in",
        minimal: Minimal::No,
        opens: Opens::McpAndApi,
    },
    ScopeDefinition {
        name: WEBPUSH_WRITE,
        about: About::Person,
        effect: Effect::Changes,
        words: "have your notifications sent to a browser that it names, until you end that",
        minimal: Minimal::No,
        opens: Opens::Api,
    },
    ScopeDefinition {
        name: NOTIFICATIONS_READ,
        about: About::Person,
        effect: Effect::Reads,
        words: "read the notifications in your inbox",
        minimal: Minimal::No,
        opens: Opens::McpAndApi,
    },
    ScopeDefinition {
        name: NOTIFICATIONS_WRITE,
        about: About::Person,
        effect: Effect::Destroys,
        words: "send you notifications, mark and remove those in your inbox and, if you own this \
                box, send them to anybody on it",
        minimal: Minimal::No,
        opens: Opens::McpAndApi,
    },
    ScopeDefinition {
        name: APPS_READ,
        about: About::Box,
        effect: Effect::Reads,
        words: "see which apps are registered on this box",
        minimal: Minimal::No,
        opens: Opens::McpAndApi,
    },
    ScopeDefinition {
        name: APPS_WRITE,
        about: About::Box,
        effect: Effect::Destroys,
        words: "add, change and remove apps of this box and make secrets for them, if you own it",
        minimal: Minimal::No,
        opens: Opens::Api,
    },
    ScopeDefinition {
        name: AUDIT_READ,
        about: About::Box,
        effect: Effect::Reads,
        words: "see the log of what was done on this box, if you own it",
        minimal: Minimal::No,
        opens: Opens::McpAndApi,
    },
    ScopeDefinition {
        name: SETTINGS_READ,
        about: About::Box,
        effect: Effect::Reads,
        words: "see the settings of this box, if you own it",
        minimal: Minimal::No,
        opens: Opens::Api,
    },
    ScopeDefinition {
        name: SETTINGS_WRITE,
        about: About::Box,
        effect: Effect::Changes,
        words: "change the settings of this box, if you own it",
        minimal: Minimal::No,
        opens: Opens::Api,
    },
    ScopeDefinition {
        name: OFFLINE_ACCESS,
        about: About::Person,
        effect: Effect::Reads,
        words: "stay connected while you are away, until you take it back",
        minimal: Minimal::No,
        opens: Opens::Nothing,
    },
];

/// The definition of `name`, if it is a scope of this deployment.
pub fn find_definition(name: &str) -> Option<&'static ScopeDefinition> {
    SCOPES.iter().find(|definition| definition.name == name)
}

/// A set of scope names, in the order of their bytes.
///
/// # Source
/// RFC 6749 §3.3: `scope-token`s separated by single spaces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct ScopeSet(BTreeSet<String>);

/// Why a text is not a set of scopes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// Too many names.
    #[error("expected at most {max} scopes, found {found}", max = ScopeSet::LEN_MAX)]
    Count {
        /// Names that were given.
        found: usize,
    },
    /// A name that is too long.
    #[error("expected scopes of at most {max} characters", max = ScopeSet::NAME_LEN_MAX)]
    NameLength,
    /// A character outside of RFC 6749's `NQCHAR`.
    #[error("expected printable ASCII without quotes and backslashes, separated by single spaces")]
    Character,
}

impl ScopeSet {
    /// Names in a set at the most.
    pub const LEN_MAX: usize = 64;
    /// Characters of a name at the most.
    pub const NAME_LEN_MAX: usize = 128;

    /// A set of names from our own tables.
    pub fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        Self(names.into_iter().map(str::to_owned).collect())
    }

    /// The names, in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `name` is in it.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// Whether all of `self` is in `other`.
    pub fn is_subset(&self, other: &Self) -> bool {
        self.0.is_subset(&other.0)
    }

    /// Those of it that `keep` says yes to.
    #[must_use]
    pub fn filtered(&self, keep: impl Fn(&str) -> bool) -> Self {
        Self(self.0.iter().filter(|name| keep(name)).cloned().collect())
    }

    /// What is in `self` and not in `other`.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        Self(self.0.difference(&other.0).cloned().collect())
    }

    /// What is in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self(self.0.intersection(&other.0).cloned().collect())
    }
}

impl FromStr for ScopeSet {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        let mut names = BTreeSet::new();
        for (place, name) in text.split(' ').filter(|name| !name.is_empty()).enumerate() {
            if place == Self::LEN_MAX {
                return Err(ScopeError::Count {
                    found: text.split(' ').count(),
                });
            }
            if name.len() > Self::NAME_LEN_MAX {
                return Err(ScopeError::NameLength);
            }
            // RFC 6749 §3.3: %x21 / %x23-5B / %x5D-7E.
            if !name
                .bytes()
                .all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\')
            {
                return Err(ScopeError::Character);
            }
            names.insert(name.to_owned());
        }
        Ok(Self(names))
    }
}

impl fmt::Display for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, name) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_str(" ")?;
            }
            f.write_str(name)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_scope_has_one_name_and_words_that_end_the_sentence() {
        let names = ScopeSet::of(SCOPES.iter().map(|definition| definition.name));
        assert_eq!(names.iter().count(), SCOPES.len(), "a name stands twice");
        for definition in SCOPES {
            let parsed: ScopeSet = definition.name.parse().expect(definition.name);
            assert!(parsed.contains(definition.name));
            assert!(
                definition.name == OFFLINE_ACCESS || definition.name.split(':').count() == 2,
                "{} is not thing:action",
                definition.name
            );
            let first = definition.words.chars().next().expect("words");
            assert!(
                first.is_lowercase() && !definition.words.ends_with('.'),
                "{}",
                definition.words
            );
        }
    }

    /// Threat 37: the default scope of a peer included writing and offline access.
    #[test]
    fn what_is_granted_unasked_only_reads() {
        for definition in SCOPES
            .iter()
            .filter(|definition| definition.minimal == Minimal::Yes)
        {
            assert_eq!(definition.effect, Effect::Reads, "{}", definition.name);
            assert_ne!(definition.name, OFFLINE_ACCESS);
        }
    }

    /// A token that got its scopes unasked has to be worth something at the MCP endpoint.
    #[test]
    fn what_is_granted_unasked_opens_every_resource() {
        let minimal = |definition: &&ScopeDefinition| definition.minimal == Minimal::Yes;
        for definition in SCOPES.iter().filter(minimal) {
            assert_eq!(definition.opens, Opens::McpAndApi, "{}", definition.name);
        }
    }

    proptest! {
        #[test]
        fn parse_undoes_print(text in "[!-~ ]{0,200}|.{0,80}") {
            if let Ok(scopes) = text.parse::<ScopeSet>() {
                prop_assert_eq!(scopes.to_string().parse::<ScopeSet>(), Ok(scopes));
            }
        }
    }

    #[test]
    fn bounds_are_kept() {
        let many: Vec<_> = (0..65).map(|n| format!("s{n}")).collect();
        let many = many.join(" ");
        assert!(matches!(
            many.parse::<ScopeSet>(),
            Err(ScopeError::Count { .. })
        ));
        assert_eq!(
            "x".repeat(129).parse::<ScopeSet>(),
            Err(ScopeError::NameLength)
        );
        assert_eq!("a\"b".parse::<ScopeSet>(), Err(ScopeError::Character));
    }
}
