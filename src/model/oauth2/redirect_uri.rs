//! Where a browser goes back to: exact, with the port of a loopback address as the one exception.

use std::{fmt, str::FromStr};

use bincode::{Decode, Encode};
use url::Url;

/// A redirect URI that may be registered.
///
/// It keeps the text as it was sent: two of them match when their bytes do.
///
/// # Source
/// OAuth 2.1 §2.3 and §8.4.2; RFC 8252 §7 (native apps); threats 7, 17, 19, 20 and 22.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct RedirectUri(String);

/// What kind of program listens behind a redirect URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedirectKind {
    /// An https address.
    Web,
    /// A program on the person's own computer: any program there can take its place.
    Loopback,
    /// A program that claimed a URI scheme: another program can claim it as well.
    PrivateUse,
}

/// Why a text is not a redirect URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedirectUriError {
    /// Longer than any URI may be.
    #[error("expected at most {max} bytes, found {found}", max = RedirectUri::LEN_MAX)]
    Length {
        /// Bytes that were given.
        found: usize,
    },
    /// A control character, a space or a backslash, on which parsers disagree.
    #[error("expected printable ASCII without space and backslash")]
    Character,
    /// Not an absolute URI.
    #[error("expected an absolute URI")]
    NotAUri,
    /// `javascript:` and the like.
    #[error("expected https, http on a loopback address, or a private-use scheme")]
    Scheme,
    /// Plain http to another machine.
    #[error("expected https, because plain http is only for localhost, 127.0.0.1 and [::1]")]
    PlainHttp,
    /// A host with a character that hosts do not have.
    #[error("expected a host of letters, digits, dots, dashes and underscores")]
    Host,
    /// A user name or password in it.
    #[error("expected no user name and no password")]
    UserInfo,
    /// A fragment (RFC 6749 §3.1.2 forbids it).
    #[error("expected no fragment")]
    Fragment,
    /// A private-use scheme with nothing behind it.
    #[error("expected a host or a path behind the scheme")]
    Bare,
}

/// Schemes that open something other than the program that registered them.
const SCHEMES_REFUSED: [&str; 16] = [
    "javascript",
    "data",
    "file",
    "ftp",
    "blob",
    "about",
    "ws",
    "wss",
    "mailto",
    "tel",
    "sms",
    "vbscript",
    "filesystem",
    "view-source",
    "intent",
    "ssh",
];

impl RedirectUri {
    /// Bytes of a URI at the most.
    pub const LEN_MAX: usize = 2_048;

    /// The URI as it was registered.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What kind of program listens behind it.
    pub fn kind(&self) -> RedirectKind {
        match self.scheme() {
            "https" => RedirectKind::Web,
            "http" => RedirectKind::Loopback,
            _ => RedirectKind::PrivateUse,
        }
    }

    /// Its scheme, in lower case.
    pub fn scheme(&self) -> &str {
        self.0.split_once(':').map_or("", |(scheme, _)| scheme)
    }

    /// The host, or for a URI without one the scheme: what a person is shown.
    pub fn shown_host(&self) -> String {
        let url = Url::parse(&self.0).ok();
        let host = url
            .as_ref()
            .and_then(Url::host_str)
            .filter(|host| !host.is_empty());
        match (self.kind(), host) {
            (RedirectKind::Web | RedirectKind::Loopback, Some(host)) => host.to_owned(),
            _ => format!("{}:", self.scheme()),
        }
    }

    /// What a content security policy's `form-action` has to name for the redirect to go through.
    pub fn form_action_source(&self) -> String {
        match (self.kind(), Url::parse(&self.0)) {
            (RedirectKind::Web | RedirectKind::Loopback, Ok(url)) => {
                url.origin().ascii_serialization()
            }
            _ => format!("{}:", self.scheme()),
        }
    }

    /// Whether a request that names `requested` may be answered there, `self` being registered.
    ///
    /// Bytes are compared. Only the port of a loopback address is left out, because a native app
    /// learns it when it starts to listen (RFC 8252 §7.3; OAuth 2.1 §8.4.2).
    pub fn allows(&self, requested: &Self) -> bool {
        if self.0 == requested.0 {
            return true;
        }
        match (
            self.without_loopback_port(),
            requested.without_loopback_port(),
        ) {
            (Some(registered), Some(requested)) => registered == requested,
            _ => false,
        }
    }

    /// Host and the rest of a loopback URI whose port is to be ignored.
    fn without_loopback_port(&self) -> Option<(&str, &str)> {
        let rest = self.0.strip_prefix("http://")?;
        let host = ["localhost", "127.0.0.1", "[::1]"]
            .into_iter()
            .find(|h| rest.starts_with(h))?;
        let rest = &rest[host.len()..];
        let Some(port_on) = rest.strip_prefix(':') else {
            return rest
                .is_empty()
                .then_some((host, rest))
                .or_else(|| rest.starts_with(['/', '?']).then_some((host, rest)));
        };
        let digits = port_on.bytes().take_while(u8::is_ascii_digit).count();
        let after = &port_on[digits..];
        (digits > 0 && (after.is_empty() || after.starts_with(['/', '?']))).then_some((host, after))
    }
}

impl FromStr for RedirectUri {
    type Err = RedirectUriError;

    fn from_str(text: &str) -> Result<Self, RedirectUriError> {
        if text.len() > Self::LEN_MAX {
            return Err(RedirectUriError::Length { found: text.len() });
        }
        // Browsers, the URL standard and RFC 3986 read these differently: a program that checks
        // one reading and follows another is how threat 7 happened.
        if !text
            .bytes()
            .all(|b| b.is_ascii_graphic() && !matches!(b, b'\\' | b'"' | b'<' | b'>'))
        {
            return Err(RedirectUriError::Character);
        }
        if text.contains('#') {
            return Err(RedirectUriError::Fragment);
        }
        let url = Url::parse(text).map_err(|_| RedirectUriError::NotAUri)?;
        // The scheme as typed is the scheme that is compared and shown.
        if !text.starts_with(&format!("{}:", url.scheme())) {
            return Err(RedirectUriError::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() || authority(text).contains('@') {
            return Err(RedirectUriError::UserInfo);
        }
        check_scheme(text, &url)?;
        Ok(Self(text.to_owned()))
    }
}

fn check_scheme(text: &str, url: &Url) -> Result<(), RedirectUriError> {
    match url.scheme() {
        scheme @ ("https" | "http") => {
            // `Url` repairs `https:/host` and `https:host`; bytes that need repair match nothing.
            if !text.starts_with(&format!("{scheme}://")) || authority(text).is_empty() {
                return Err(RedirectUriError::NotAUri);
            }
            // The URL standard takes `;`, `,`, `*` and `'` in a host. In the content security
            // policy of the consent page each of them means something else.
            let in_host = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
            if !authority(text).bytes().all(in_host) {
                return Err(RedirectUriError::Host);
            }
            if scheme == "http" && !is_loopback(authority(text)) {
                return Err(RedirectUriError::PlainHttp);
            }
            Ok(())
        }
        scheme if SCHEMES_REFUSED.contains(&scheme) => Err(RedirectUriError::Scheme),
        scheme => {
            let rest = &text[scheme.len() + 1..];
            let bare = rest.trim_start_matches('/').is_empty() && rest != "/";
            if bare {
                Err(RedirectUriError::Bare)
            } else {
                Ok(())
            }
        }
    }
}

fn authority(text: &str) -> &str {
    let rest = text.split_once("://").map_or("", |(_, rest)| rest);
    rest.split(['/', '?']).next().unwrap_or_default()
}

/// Whether the text itself names this machine: `http://2130706433` does only to some parsers.
fn is_loopback(authority: &str) -> bool {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    };
    matches!(host, "localhost" | "127.0.0.1" | "[::1]") || host.ends_with(".localhost")
}

impl fmt::Display for RedirectUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn uri(text: &str) -> RedirectUri {
        text.parse()
            .unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn what_real_clients_register_is_accepted() {
        for text in [
            "https://claude.ai/api/mcp/auth_callback",
            "http://localhost/callback",
            "http://127.0.0.1:33418/",
            "http://[::1]:8080/cb",
            "http://app.localhost:3000/cb",
            "cursor://anysphere.cursor-mcp/oauth/callback",
            "com.example.app:/cb",
            "https://example.com/cb?fixed=1",
        ] {
            uri(text);
        }
    }

    /// Threats 7, 19, 20: the corpus of redirect URIs that fooled somebody.
    #[test]
    fn what_fooled_others_is_refused() {
        use RedirectUriError as E;
        for (text, error) in [
            ("https://good.example@evil.example/cb", E::UserInfo),
            ("https://@evil.example/cb", E::UserInfo),
            ("https://user:pw@good.example/cb", E::UserInfo),
            ("https://good.example\\@evil.example/cb", E::Character),
            ("https://good.example/\tcb", E::Character),
            ("https://good.example/\ncb", E::Character),
            ("https://good.example/c b", E::Character),
            ("https://gооd.example/cb", E::Character),
            ("https://good.example/cb#x", E::Fragment),
            ("https://good.example/cb#", E::Fragment),
            ("http://good.example/cb", E::PlainHttp),
            ("http://localhost.evil.example/cb", E::PlainHttp),
            ("http://127.0.0.2/cb", E::PlainHttp),
            ("http://[::1%25eth0]/cb", E::NotAUri),
            ("http://2130706433/cb", E::PlainHttp),
            ("javascript:alert(1)", E::Scheme),
            ("JavaScript:alert(1)", E::Scheme),
            ("data:text/html,x", E::Scheme),
            ("file:///etc/passwd", E::Scheme),
            ("HTTPS://good.example/cb", E::Scheme),
            ("https:good.example/cb", E::NotAUri),
            ("https:/good.example/cb", E::NotAUri),
            ("https://a;script-src/cb", E::Host),
            ("https://a,b/cb", E::Host),
            ("https://*.example/cb", E::Host),
            ("https://%65vil.example/cb", E::Host),
            ("http://a;b.localhost/cb", E::Host),
            ("https://", E::NotAUri),
            ("https:///cb", E::NotAUri),
            ("/cb", E::NotAUri),
            ("cb", E::NotAUri),
            ("", E::NotAUri),
            ("myapp:", E::Bare),
            ("myapp://", E::Bare),
        ] {
            assert_eq!(text.parse::<RedirectUri>(), Err(error), "{text}");
        }
        let long = format!("https://example.com/{}", "a".repeat(2_048));
        assert_eq!(
            long.parse::<RedirectUri>(),
            Err(E::Length { found: long.len() })
        );
    }

    #[test]
    fn only_the_same_bytes_match() {
        let registered = uri("https://good.example/cb");
        for text in [
            "https://good.example/cb/",
            "https://good.example/CB",
            "https://good.example./cb",
            "https://good.example:443/cb",
            "https://good.example/cb?x=1",
            "https://good.example/%63b",
            "https://good.example/cb/../cb",
            "https://good.example/cb%2f",
        ] {
            assert!(!registered.allows(&uri(text)), "{text}");
        }
        assert!(registered.allows(&registered));
    }

    /// RFC 8252 §7.3: "MUST allow any port".
    #[test]
    fn the_port_of_a_loopback_address_is_ignored_and_nothing_else() {
        for host in ["localhost", "127.0.0.1", "[::1]"] {
            let registered = uri(&format!("http://{host}/callback"));
            assert!(registered.allows(&uri(&format!("http://{host}:3118/callback"))));
            assert!(uri(&format!("http://{host}:1/callback")).allows(&registered));
            assert!(!registered.allows(&uri(&format!("http://{host}:3118/callback/"))));
            assert!(!registered.allows(&uri(&format!("http://{host}:3118/other"))));
            assert!(!registered.allows(&uri(&format!("https://{host}:3118/callback"))));
        }
        assert!(!uri("http://localhost/cb").allows(&uri("http://127.0.0.1/cb")));
        assert!(!uri("http://a.localhost/cb").allows(&uri("http://a.localhost:1/cb")));
        assert!(!uri("http://localhost/cb").allows(&uri("http://localhost.localhost/cb")));
        assert!(uri("http://localhost").allows(&uri("http://localhost:1")));
        assert!(uri("http://localhost?x").allows(&uri("http://localhost:1?x")));
    }

    #[test]
    fn policies_name_where_the_redirect_goes() {
        assert_eq!(
            uri("https://a.example:8443/cb").form_action_source(),
            "https://a.example:8443"
        );
        assert_eq!(
            uri("http://localhost:1/cb").form_action_source(),
            "http://localhost:1"
        );
        assert_eq!(uri("cursor://x/y").form_action_source(), "cursor:");
        assert_eq!(uri("cursor://x/y").shown_host(), "cursor:");
        assert_eq!(uri("https://a.example:8443/cb").shown_host(), "a.example");
    }

    proptest! {
        #[test]
        fn no_text_panics_and_parse_undoes_print(text in "[ -~]{0,80}|.{0,40}") {
            if let Ok(uri) = text.parse::<RedirectUri>() {
                prop_assert_eq!(uri.to_string(), text);
                let _ = (uri.form_action_source(), uri.shown_host(), uri.allows(&uri));
            }
        }
    }
}
