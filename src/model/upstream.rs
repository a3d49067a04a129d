//! Another MCP server whose tools are offered here: what it is called, how it is reached, and what
//! it is held to.

use std::{fmt, str::FromStr, time::Duration};

use bincode::{Decode, Encode};
use serde::{Deserialize, Serialize};
use url::{Host, Url};

use crate::model::{effect::Effect, id::Id, timestamp::Timestamp, toolset::Toolset};

/// Upstreams of one box at the most, configured and added ones together.
///
/// Each has two scopes, and all of them have to fit in what one client may ask for at `/mcp`.
pub const UPSTREAMS_MAX: usize = 16;
/// Words of a command at the most, the program's own included.
pub const COMMAND_WORDS_MAX: usize = 64;
/// Bytes of one word, path or value at the most.
pub const TEXT_BYTES_MAX: usize = 1_024;
/// Variables of a child's environment at the most.
pub const VARIABLES_MAX: usize = 64;
/// Paths that a child is restricted to, at the most.
pub const PATHS_MAX: usize = 32;
/// The bounds of [`Bounds::idle_timeout`].
pub const IDLE_TIMEOUTS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_hours(24));
/// The bounds of [`Bounds::call_timeout`].
pub const CALL_TIMEOUTS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(10));
/// The bounds of [`Bounds::answer_bytes_max`].
pub const ANSWER_BYTES: (u64, u64) = (64 * 1024, 64 * 1024 * 1024);
/// The bounds of [`Sandbox::memory_bytes_max`].
pub const MEMORY_BYTES: (u64, u64) = (16 * 1024 * 1024, 1024 * 1024 * 1024 * 1024);
/// The bounds of [`Sandbox::open_files_max`].
pub const OPEN_FILES: (u64, u64) = (16, 1_048_576);

/// What stands between an upstream's name and its tool's.
const SEPARATOR: &str = "__";
/// What the scopes of upstreams begin with; no other scope does.
const SCOPE_PREFIX: &str = "upstream:";
/// What the scope of those tools ends with that only read.
const READ_SUFFIX: &str = ":read";

/// The name of an upstream: part of a path, of its tools' names and of its scopes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct UpstreamName(String);

/// Why a text is not the name of an upstream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamNameError {
    /// Not a word of the right shape.
    #[error(
        "expected 1 to {max} small letters, digits and hyphens, no hyphen at an end, found {0:?}",
        max = UpstreamName::LEN_MAX
    )]
    Shape(String),
    /// A word that already stands behind `/mcp/`.
    #[error("expected a name that is not a set of tools, found {0}")]
    Toolset(Toolset),
}

impl UpstreamName {
    /// Characters of a name at the most.
    pub const LEN_MAX: usize = 32;

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What its tool `tool` is called among those of others.
    pub fn prefixed(&self, tool: &str) -> String {
        format!("{self}{SEPARATOR}{tool}")
    }

    /// The upstream and its own name for a tool that is called `prefixed`; `None` for what cannot
    /// be one of an upstream. No name of an upstream has an underscore, so there is one way to
    /// read it.
    pub fn split(prefixed: &str) -> Option<(Self, &str)> {
        let (name, tool) = prefixed.split_once(SEPARATOR)?;
        Some((name.parse().ok()?, tool))
    }

    /// The scope that opens all its tools.
    pub fn scope(&self) -> String {
        format!("{SCOPE_PREFIX}{self}")
    }

    /// The scope that opens those of its tools that only read.
    pub fn read_scope(&self) -> String {
        format!("{SCOPE_PREFIX}{self}{READ_SUFFIX}")
    }
}

/// A scope of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamScope {
    /// Its name.
    pub name: String,
    /// What it lets a client do. Nothing is known of what a tool changes, so that it counts as the
    /// gravest.
    pub effect: Effect,
    /// What a person reads at consent.
    pub words: String,
}

impl UpstreamName {
    /// Its scopes, the wider one first.
    pub fn scopes(&self) -> [UpstreamScope; 2] {
        [
            UpstreamScope {
                name: self.scope(),
                effect: Effect::Destroys,
                words: format!("use all tools of {self}, another server of this box"),
            },
            UpstreamScope {
                name: self.read_scope(),
                effect: Effect::Reads,
                words: format!(
                    "use those tools of {self}, another server, that say they only read"
                ),
            },
        ]
    }
}

/// Whether `scope` could be one of an upstream, whether there is one of that name or not.
pub fn is_upstream_scope(scope: &str) -> bool {
    scope.starts_with(SCOPE_PREFIX)
}

impl FromStr for UpstreamName {
    type Err = UpstreamNameError;

    fn from_str(text: &str) -> Result<Self, UpstreamNameError> {
        let of_name = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let fits = (1..=Self::LEN_MAX).contains(&text.len()) && text.bytes().all(of_name);
        if !fits || text.starts_with('-') || text.ends_with('-') {
            let found = text.chars().take(2 * Self::LEN_MAX).collect();
            return Err(UpstreamNameError::Shape(found));
        }
        match text.parse::<Toolset>() {
            Ok(toolset) => Err(UpstreamNameError::Toolset(toolset)),
            Err(_) => Ok(Self(text.to_owned())),
        }
    }
}

impl fmt::Display for UpstreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Another MCP server whose tools are offered here.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Upstream {
    /// What it is called here.
    pub name: UpstreamName,
    /// Where it is.
    pub reach: Reach,
    /// What it is held to.
    pub bounds: Bounds,
}

/// An upstream that was added by a command, and not by the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct AddedUpstream {
    /// What the audit log calls it.
    pub id: Id,
    /// The upstream.
    pub upstream: Upstream,
    /// When it was added.
    pub added_at: Timestamp,
}

/// Where an upstream is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub enum Reach {
    /// A program that speaks over its standard streams.
    Child(Box<Child>),
    /// A server that speaks streamable HTTP.
    Server {
        /// Its endpoint.
        url: UpstreamUrl,
        /// What proves to it that we may call.
        header: Option<SecretHeader>,
    },
}

/// A program, and how it is run.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Child {
    /// The program and its arguments; never empty.
    pub command: Vec<String>,
    /// What its environment has beside `PATH`, `HOME` and `LANG`.
    pub environment: Vec<Variable>,
    /// What it is restricted to.
    pub sandbox: Sandbox,
}

/// What a program is restricted to. Nothing by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Encode, Decode, Serialize, Deserialize)]
pub struct Sandbox {
    /// The user that it runs as, by name or number.
    pub user: Option<String>,
    /// Where it starts.
    pub working_directory: Option<String>,
    /// Bytes of memory of its own at the most.
    pub memory_bytes_max: Option<u64>,
    /// Files that it has open at the most.
    pub open_files_max: Option<u64>,
    /// Paths below which it may read and execute.
    pub read_paths: Vec<String>,
    /// Paths below which it may do everything.
    pub write_paths: Vec<String>,
}

impl Sandbox {
    /// Whether it is kept from every path that is not named.
    pub fn restricts_paths(&self) -> bool {
        !self.read_paths.is_empty() || !self.write_paths.is_empty()
    }
}

/// A variable of a child's environment.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Where its value comes from.
    pub value: Source,
}

/// Where a value comes from. What is secret is read when it is needed and kept nowhere.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub enum Source {
    /// From a variable of this process.
    Environment(String),
    /// From a file, less one newline at its end.
    File(String),
    /// As it stands here: nothing secret.
    Text(String),
}

/// A header that proves to a server that we may call.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct SecretHeader {
    /// Its name, in small letters.
    pub name: String,
    /// Its whole value; never [`Source::Text`].
    pub value: Source,
}

/// How much, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Bounds {
    /// After how much time without a call the connection is closed.
    pub idle_timeout: Duration,
    /// The longest that one call may take.
    pub call_timeout: Duration,
    /// Bytes of one message from it at the most.
    pub answer_bytes_max: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            idle_timeout: Duration::from_mins(5),
            call_timeout: Duration::from_secs(30),
            answer_bytes_max: 4 * 1024 * 1024,
        }
    }
}

/// The endpoint of a server, as its owner named it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct UpstreamUrl(String);

/// Why a text is not such a URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamUrlError {
    /// Longer than any URL may be.
    #[error("expected at most {TEXT_BYTES_MAX} bytes, found {0}")]
    Length(usize),
    /// Not a URL, or of another scheme. What stands before an at sign can be a password, and is not
    /// said again.
    #[error("expected an http or https URL with a host, such as https://box.lan/mcp, found {0:?}")]
    NotHttp(String),
    /// A user name, a password or a fragment in it.
    #[error("expected no user name, no password and no fragment: a secret belongs in a header")]
    Extra,
}

impl UpstreamUrl {
    /// The URL in its parts.
    ///
    /// # Panics
    /// Never: the text was parsed before it was kept.
    pub fn to_url(&self) -> Url {
        Url::parse(&self.0).expect("it was parsed when it was made")
    }

    /// The URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UpstreamUrl {
    type Err = UpstreamUrlError;

    fn from_str(text: &str) -> Result<Self, UpstreamUrlError> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(UpstreamUrlError::Length(text.len()));
        }
        let not_http = || {
            let shown = text.rsplit('@').next().unwrap_or_default();
            UpstreamUrlError::NotHttp(shown.to_owned())
        };
        let url = Url::parse(text).map_err(|_| not_http())?;
        let has_host = match url.host() {
            Some(Host::Domain(name)) => !name.is_empty(),
            Some(Host::Ipv4(_) | Host::Ipv6(_)) => true,
            None => false,
        };
        if !has_host || !matches!(url.scheme(), "http" | "https") {
            return Err(not_http());
        }
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err(UpstreamUrlError::Extra);
        }
        Ok(Self(url.into()))
    }
}

impl fmt::Display for UpstreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_is_a_word_that_fits_into_a_path_a_scope_and_a_tool() {
        let longest = "a".repeat(UpstreamName::LEN_MAX);
        for text in ["a", "files", "files-2", "0", longest.as_str()] {
            let name: UpstreamName = text.parse().expect(text);
            assert_eq!(name.as_str(), text);
            for scope in name.scopes() {
                assert!(is_upstream_scope(&scope.name));
                assert_ne!(scope.words, scope.name);
            }
        }
        let too_long = format!("{longest}a");
        for text in [
            "",
            "-a",
            "a-",
            "A",
            "a_b",
            "a/b",
            "a.b",
            "é",
            too_long.as_str(),
        ] {
            let refused = text.parse::<UpstreamName>();
            assert!(
                matches!(refused, Err(UpstreamNameError::Shape(_))),
                "{text}"
            );
        }
        for toolset in Toolset::ALL {
            let refused = toolset.as_str().parse::<UpstreamName>();
            assert_eq!(refused, Err(UpstreamNameError::Toolset(toolset)));
        }
    }

    #[test]
    fn what_is_no_url_is_shown_without_its_password() {
        for (text, found) in [
            ("ftp://box.lan/", "found \"ftp://box.lan/\""),
            ("10.0.0.5/mcp", "found \"10.0.0.5/mcp\""),
            ("htps://ada:hunter2@box.lan/", "found \"box.lan/\""),
        ] {
            let refused = text.parse::<UpstreamUrl>().expect_err(text).to_string();
            assert!(refused.ends_with(found), "{refused}");
        }
        let long = format!("https://box.lan/{}", "x".repeat(TEXT_BYTES_MAX));
        let refused = long.parse::<UpstreamUrl>().expect_err("too long");
        assert_eq!(refused, UpstreamUrlError::Length(TEXT_BYTES_MAX + 16));
    }

    proptest! {
        /// However a tool is called, it is one upstream's alone.
        #[test]
        fn a_prefixed_name_is_read_in_one_way(name in "[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?", tool in "[A-Za-z0-9_.-]{1,64}") {
            if let Ok(name) = name.parse::<UpstreamName>() {
                let prefixed = name.prefixed(&tool);
                prop_assert_eq!(UpstreamName::split(&prefixed), Some((name, tool.as_str())));
            }
        }

        #[test]
        fn no_text_is_a_url_that_is_read_differently_the_second_time(text in "https?://[ -~]{0,40}|.{0,40}") {
            if let Ok(url) = text.parse::<UpstreamUrl>() {
                prop_assert_eq!(url.as_str().parse::<UpstreamUrl>(), Ok(url.clone()));
                prop_assert!(url.to_url().host().is_some());
            }
        }
    }
}
