//! An https URL that this server may be asked to call.

use std::{fmt, str::FromStr};

use bincode::{Decode, Encode};
use url::Url;

/// An https URL in the one form in which every parser reads it alike.
///
/// It keeps the text as it was given, and takes only a text that the URL standard's parser leaves
/// as it is: no upper case in the host, no default port, no dot segment however it is encoded, no
/// backslash. What was checked is then what is called.
///
/// # Source
/// Threats 7 and 23; client ID metadata documents, §3.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct HttpsUrl(String);

/// Why a text is not such a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpsUrlError {
    /// Longer than any URL may be.
    #[error("expected at most {max} bytes, found {found}", max = HttpsUrl::LEN_MAX)]
    Length {
        /// Bytes that were given.
        found: usize,
    },
    /// Not a URL, or of another scheme.
    #[error("expected an https URL with a host")]
    NotHttps,
    /// A user name or password in it.
    #[error("expected no user name and no password")]
    UserInfo,
    /// A fragment, which is never sent.
    #[error("expected no fragment")]
    Fragment,
    /// The parser would change it.
    #[error(
        "expected a URL as a parser prints it: host in lower case, no port 443, no dot segment, a \
         slash behind the host"
    )]
    NotCanonical,
}

impl HttpsUrl {
    /// Bytes of a URL at the most.
    pub const LEN_MAX: usize = 2_048;

    /// The URL as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The URL in its parts.
    ///
    /// # Panics
    /// Never: the text was parsed before it was kept.
    pub fn to_url(&self) -> Url {
        Url::parse(&self.0).expect("it was parsed when it was made")
    }

    /// The host: a name in its ASCII form, or an address.
    pub fn host(&self) -> String {
        self.to_url().host_str().unwrap_or_default().to_owned()
    }
}

impl FromStr for HttpsUrl {
    type Err = HttpsUrlError;

    fn from_str(text: &str) -> Result<Self, HttpsUrlError> {
        if text.len() > Self::LEN_MAX {
            return Err(HttpsUrlError::Length { found: text.len() });
        }
        let url = Url::parse(text).map_err(|_| HttpsUrlError::NotHttps)?;
        if url.scheme() != "https" || url.host_str().is_none_or(str::is_empty) {
            return Err(HttpsUrlError::NotHttps);
        }
        if !url.username().is_empty() || url.password().is_some() || text.contains('@') {
            return Err(HttpsUrlError::UserInfo);
        }
        if url.fragment().is_some() {
            return Err(HttpsUrlError::Fragment);
        }
        if url.as_str() != text {
            return Err(HttpsUrlError::NotCanonical);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for HttpsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Threat 23: what one parser checks and another one calls.
    #[test]
    fn only_one_reading_of_a_url_is_taken() {
        use HttpsUrlError as E;
        for (text, expected) in [
            ("https://app.example/client.json", Ok(())),
            ("https://app.example:8443/a/b?c=d", Ok(())),
            ("https://[2001:db8::1]/x", Ok(())),
            ("http://app.example/x", Err(E::NotHttps)),
            ("ftp://app.example/x", Err(E::NotHttps)),
            ("app.example/x", Err(E::NotHttps)),
            ("https://", Err(E::NotHttps)),
            ("", Err(E::NotHttps)),
            ("https://u@app.example/x", Err(E::UserInfo)),
            ("https://u:p@app.example/x", Err(E::UserInfo)),
            ("https://@app.example/x", Err(E::UserInfo)),
            ("https://app.example/x#y", Err(E::Fragment)),
            ("https://app.example/x#", Err(E::Fragment)),
            ("https://app.example", Err(E::NotCanonical)),
            ("https://App.example/x", Err(E::NotCanonical)),
            ("HTTPS://app.example/x", Err(E::NotCanonical)),
            ("https://app.example:443/x", Err(E::NotCanonical)),
            ("https://app.example/a/../x", Err(E::NotCanonical)),
            ("https://app.example/./x", Err(E::NotCanonical)),
            ("https://app.example/%2e%2E/x", Err(E::NotCanonical)),
            ("https://app.example\\@evil.example/x", Err(E::UserInfo)),
            ("https://app.example\\x", Err(E::NotCanonical)),
            ("https:/app.example/x", Err(E::NotCanonical)),
            ("https://app.example/x y", Err(E::NotCanonical)),
            ("https://app.example/x\n", Err(E::NotCanonical)),
            ("https://2130706433/x", Err(E::NotCanonical)),
            ("https://0x7f.1/x", Err(E::NotCanonical)),
            ("https://аpp.example/x", Err(E::NotCanonical)),
        ] {
            assert_eq!(text.parse::<HttpsUrl>().map(drop), expected, "{text}");
        }
        let long = format!("https://app.example/{}", "a".repeat(HttpsUrl::LEN_MAX));
        let found = long.len();
        assert_eq!(long.parse::<HttpsUrl>(), Err(E::Length { found }));
    }

    proptest! {
        #[test]
        fn no_text_panics_and_parse_undoes_print(text in "(https://)?[ -~]{0,60}|.{0,30}") {
            if let Ok(url) = text.parse::<HttpsUrl>() {
                prop_assert_eq!(url.to_string(), text);
                prop_assert!(!url.host().is_empty());
            }
        }
    }
}
