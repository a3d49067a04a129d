//! Resource indicators, RFC 8707: what a token is for.

use std::{fmt, str::FromStr};

use bincode::{Decode, Encode};
use url::Url;

/// The identifier of a protected resource, in the form in which two are compared: scheme and host
/// in lower case, without one trailing slash.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct ResourceUri(String);

/// Why a text is not a resource identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResourceUriError {
    /// Longer than any identifier may be.
    #[error("expected at most {max} bytes, found {found}", max = ResourceUri::LEN_MAX)]
    Length {
        /// Bytes that were given.
        found: usize,
    },
    /// Not an absolute URI with a host.
    #[error("expected an absolute URI such as https://box.lan/mcp")]
    NotAUri,
    /// A fragment, which RFC 8707 §2 forbids.
    #[error("expected no fragment")]
    Fragment,
}

impl ResourceUri {
    /// Bytes of an identifier at the most.
    pub const LEN_MAX: usize = 2_048;

    /// The identifier.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ResourceUri {
    type Err = ResourceUriError;

    fn from_str(text: &str) -> Result<Self, ResourceUriError> {
        if text.len() > Self::LEN_MAX {
            return Err(ResourceUriError::Length { found: text.len() });
        }
        // RFC 8707 §2: "MUST NOT include a fragment component".
        if text.contains('#') {
            return Err(ResourceUriError::Fragment);
        }
        if !text.bytes().all(|b| b.is_ascii_graphic() && b != b'\\') {
            return Err(ResourceUriError::NotAUri);
        }
        let (scheme, rest) = text.split_once("://").ok_or(ResourceUriError::NotAUri)?;
        let url = Url::parse(text).map_err(|_| ResourceUriError::NotAUri)?;
        if url.host_str().is_none_or(str::is_empty)
            || !url.username().is_empty()
            || url.password().is_some()
        {
            return Err(ResourceUriError::NotAUri);
        }
        let authority_len = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(authority_len);
        let canonical = format!(
            "{}://{}{}",
            scheme.to_ascii_lowercase(),
            authority.to_ascii_lowercase(),
            path.strip_suffix('/').unwrap_or(path)
        );
        Ok(Self(canonical))
    }
}

impl fmt::Display for ResourceUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn resource(text: &str) -> ResourceUri {
        text.parse()
            .unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn case_of_the_host_and_one_trailing_slash_do_not_matter() {
        let canonical = resource("https://box.lan/mcp");
        assert_eq!(resource("https://box.lan/mcp/"), canonical);
        assert_eq!(resource("HTTPS://Box.Lan/mcp"), canonical);
        assert_eq!(resource("https://box.lan/"), resource("https://box.lan"));
        for other in [
            "https://box.lan/MCP",
            "https://box.lan/mcp//",
            "https://box.lan/x/../mcp",
            "https://box.lan/mcp?x",
            "http://box.lan/mcp",
            "https://box.lan:8443/mcp",
        ] {
            assert_ne!(resource(other), canonical, "{other}");
        }
    }

    #[test]
    fn what_is_no_identifier_is_refused() {
        for text in [
            "",
            "mcp",
            "/mcp",
            "https://",
            "https:/box",
            "https://u@box/",
            "a b://c",
            "urn:x",
        ] {
            assert_eq!(
                text.parse::<ResourceUri>(),
                Err(ResourceUriError::NotAUri),
                "{text}"
            );
        }
        assert_eq!(
            "https://b/#".parse::<ResourceUri>(),
            Err(ResourceUriError::Fragment)
        );
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_is_accepted_has_no_fragment(text in "[ -~]{0,80}|.{0,40}") {
            if let Ok(resource) = text.parse::<ResourceUri>() {
                prop_assert!(!resource.as_str().contains(['#', ' ', '\\']));
                prop_assert!(resource.as_str().len() <= text.len());
            }
        }

        #[test]
        fn parsing_is_idempotent(text in "(https?|HTTP)://[a-zA-Z.]{1,12}(:[0-9]{1,4})?(/[a-z]{0,3}){0,3}/{0,3}") {
            if let Ok(resource) = text.parse::<ResourceUri>() {
                let again: ResourceUri = resource.as_str().parse().expect("its own text");
                prop_assert_eq!(again.as_str().trim_end_matches('/'), resource.as_str().trim_end_matches('/'));
            }
        }
    }
}
