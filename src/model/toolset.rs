//! Sets of MCP tools: what a client can choose from, and what its owner may allow.

use std::{fmt, str::FromStr};

/// A set of tools. Who asks for none gets the first one that is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Toolset {
    /// All of them.
    Standard,
    /// Those that change nothing.
    Readonly,
    /// `search` and `fetch`, and no other: what some hosts call a connector.
    Search,
}

/// No set of tools has that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected standard, readonly or search")]
pub struct NotAToolset;

impl Toolset {
    /// Every set.
    pub const ALL: [Self; 3] = [Self::Standard, Self::Readonly, Self::Search];

    /// Its word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Readonly => "readonly",
            Self::Search => "search",
        }
    }
}

impl FromStr for Toolset {
    type Err = NotAToolset;

    fn from_str(text: &str) -> Result<Self, NotAToolset> {
        let known = Self::ALL.into_iter().find(|set| set.as_str() == text);
        known.ok_or(NotAToolset)
    }
}

impl fmt::Display for Toolset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_undoes_print_and_the_refusal_names_every_set() {
        for set in Toolset::ALL {
            assert_eq!(set.to_string().parse(), Ok(set));
            assert!(NotAToolset.to_string().contains(set.as_str()));
        }
        for text in ["", "Standard", "standard ", "read-only"] {
            assert_eq!(text.parse::<Toolset>(), Err(NotAToolset), "{text:?}");
        }
    }
}
