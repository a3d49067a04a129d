//! The name/value pairs of a query or of a form.

use std::fmt;

use http::header::CONTENT_TYPE;

use crate::http::{
    request::{Head, Request},
    route::decode,
};

/// The most pairs of one query or form.
pub const PARAMS_MAX: usize = 64;
/// The longest name, in bytes.
pub const NAME_BYTES_MAX: usize = 64;
/// The longest value, in bytes.
pub const VALUE_BYTES_MAX: usize = 8192;

/// Pairs as they were sent, percent-decoded.
///
/// A pair with an empty value is as good as none (RFC 6749 §3.1) and is not kept. `Debug` shows
/// names only: a value can be a secret.
///
/// # Source
/// RFC 6749 appendix B: `application/x-www-form-urlencoded`, in UTF-8.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Params(Vec<(String, String)>);

/// Why a text is no list of parameters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParamsError {
    /// A form came as something else.
    #[error("expected Content-Type application/x-www-form-urlencoded in UTF-8, found {found:?}")]
    ContentType {
        /// What it came as; empty if nothing was said.
        found: String,
    },
    /// Too many pairs.
    #[error("expected at most {PARAMS_MAX} parameters, found more")]
    TooMany,
    /// A name is too long, or cannot be read.
    #[error(
        "expected every parameter's name as at most {NAME_BYTES_MAX} bytes of percent-encoded \
         UTF-8; parameter number {number} has another"
    )]
    Name {
        /// Which pair it is, from 1.
        number: usize,
    },
    /// A value is too long.
    #[error("expected at most {VALUE_BYTES_MAX} bytes as the value of {name:?}, found more")]
    TooLong {
        /// The name of the parameter.
        name: String,
    },
    /// A value cannot be read.
    #[error("expected percent-encoded UTF-8 as the value of {name:?}, found something else")]
    Malformed {
        /// The name of the parameter.
        name: String,
    },
}

/// A parameter that may come once came more often.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {name:?} once, found it more than once")]
pub struct Repeated {
    /// The name of the parameter.
    pub name: String,
}

impl Params {
    /// Reads a query or the body of a form.
    ///
    /// # Errors
    /// | variant | meaning |
    /// |---|---|
    /// | [`ParamsError::TooMany`] | more than [`PARAMS_MAX`] pairs |
    /// | [`ParamsError::Name`] | a name too long, or malformed |
    /// | [`ParamsError::TooLong`] | a value longer than [`VALUE_BYTES_MAX`] |
    /// | [`ParamsError::Malformed`] | a value that is not percent-encoded UTF-8 |
    pub fn parse(text: impl AsRef<[u8]>) -> Result<Self, ParamsError> {
        let mut params = Self::default();
        let pairs = text.as_ref().split(|byte| *byte == b'&');
        for (at, pair) in pairs.filter(|pair| !pair.is_empty()).enumerate() {
            if at == PARAMS_MAX {
                return Err(ParamsError::TooMany);
            }
            let (name, value) = parse_pair(pair, at + 1)?;
            if !value.is_empty() {
                params.0.push((name, value));
            }
        }
        Ok(params)
    }

    /// Reads the query of a request; none is an empty one.
    ///
    /// # Errors
    /// As [`Params::parse`].
    pub fn from_query(head: &Head) -> Result<Self, ParamsError> {
        Self::parse(head.query.as_deref().unwrap_or_default())
    }

    /// Reads the body of a form.
    ///
    /// # Errors
    /// As [`Params::parse`], and [`ParamsError::ContentType`].
    pub fn from_form(request: &Request) -> Result<Self, ParamsError> {
        let found = request.head.headers.get(CONTENT_TYPE);
        let found = found.map_or(&b""[..], |value| value.as_bytes());
        if !is_form(found) {
            let found = String::from_utf8_lossy(found).into_owned();
            return Err(ParamsError::ContentType { found });
        }
        Self::parse(&request.body)
    }

    /// The value of `name`.
    ///
    /// # Errors
    /// [`Repeated`] if it came more than once (RFC 6749 §3.1).
    pub fn get(&self, name: &str) -> Result<Option<&str>, Repeated> {
        let mut values = self.values(name);
        let value = values.next();
        match values.next() {
            Some(_) => Err(Repeated {
                name: name.to_owned(),
            }),
            None => Ok(value),
        }
    }

    /// All values of `name`, in the order they were sent.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.values(name).collect()
    }

    /// The first name that came more than once, leaving out those that may.
    pub fn first_repeated(&self, may_repeat: &[&str]) -> Option<&str> {
        let names = || self.0.iter().map(|(name, _)| name.as_str());
        names()
            .filter(|name| !may_repeat.contains(name))
            .find(|name| names().filter(|other| other == name).count() > 1)
    }

    /// All pairs, in the order they were sent.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    fn values<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.pairs()
            .filter_map(move |(known, value)| (known == name).then_some(value))
    }
}

impl fmt::Debug for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.pairs().map(|(name, _)| name))
            .finish()
    }
}

fn parse_pair(pair: &[u8], number: usize) -> Result<(String, String), ParamsError> {
    let mut halves = pair.splitn(2, |byte| *byte == b'=');
    let (name, value) = (
        halves.next().unwrap_or_default(),
        halves.next().unwrap_or_default(),
    );
    let name = decode_plus(name)
        .filter(|name| name.len() <= NAME_BYTES_MAX)
        .ok_or(ParamsError::Name { number })?;
    match decode_plus(value) {
        None => Err(ParamsError::Malformed { name }),
        Some(value) if value.len() > VALUE_BYTES_MAX => Err(ParamsError::TooLong { name }),
        Some(value) => Ok((name, value)),
    }
}

/// `bytes` as text, where a `+` is a space.
fn decode_plus(bytes: &[u8]) -> Option<String> {
    decode(&std::str::from_utf8(bytes).ok()?.replace('+', " "))
}

/// Whether a `Content-Type` is that of a form. A charset is tolerated if it is the one that forms
/// have anyway (RFC 6749 appendix B).
fn is_form(content_type: &[u8]) -> bool {
    let Ok(content_type) = std::str::from_utf8(content_type) else {
        return false;
    };
    let mut parts = content_type.split(';').map(str::trim);
    let is_utf8 = |part: &str| {
        part.split_once('=').is_some_and(|(name, value)| {
            name.eq_ignore_ascii_case("charset")
                && value.trim_matches('"').eq_ignore_ascii_case("utf-8")
        })
    };
    parts
        .next()
        .is_some_and(|kind| kind.eq_ignore_ascii_case("application/x-www-form-urlencoded"))
        && parts.all(|part| part.is_empty() || is_utf8(part))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use url::form_urlencoded::Serializer;

    use super::*;
    use crate::http::{stream::Line, testing::head};

    fn params(text: &str) -> Params {
        Params::parse(text).expect(text)
    }

    #[test]
    fn pairs_are_decoded() {
        let params = params("a=1&b=x+y%2Bz%C3%A9&c&d=&&e==");
        assert_eq!(
            params.pairs().collect::<Vec<_>>(),
            [("a", "1"), ("b", "x y+zé"), ("e", "=")]
        );
    }

    #[test]
    fn an_empty_value_counts_as_absent() {
        assert_eq!(params("a=").get("a"), Ok(None));
        assert_eq!(params("a=&a=x").get("a"), Ok(Some("x")));
    }

    #[test]
    fn a_repeated_name_is_found() {
        let params = params("resource=a&x=1&resource=b&x=2");
        assert_eq!(params.get("x"), Err(Repeated { name: "x".into() }));
        assert_eq!(params.all("resource"), ["a", "b"]);
        assert_eq!(params.first_repeated(&["resource"]), Some("x"));
        assert_eq!(params.first_repeated(&["resource", "x"]), None);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let malformed = |name: &str| Err(ParamsError::Malformed { name: name.into() });
        for text in ["ok=1&a=%", "a=%4", "a=%zz", "a=%ff", "a=%C3"] {
            assert_eq!(Params::parse(text), malformed("a"), "{text}");
        }
        assert_eq!(Params::parse(b"a=\xff"), malformed("a"));
        assert_eq!(
            Params::parse("ok=1&%=x"),
            Err(ParamsError::Name { number: 2 })
        );
    }

    #[test]
    fn every_bound_holds_to_the_byte() {
        let name = "n".repeat(NAME_BYTES_MAX);
        assert!(Params::parse(format!("{name}=1")).is_ok());
        assert_eq!(
            Params::parse(format!("{name}n=1")),
            Err(ParamsError::Name { number: 1 })
        );

        let value = "v".repeat(VALUE_BYTES_MAX);
        assert!(Params::parse(format!("a={value}")).is_ok());
        assert_eq!(
            Params::parse(format!("a={value}v")),
            Err(ParamsError::TooLong { name: "a".into() })
        );

        let pairs = vec!["a=1"; PARAMS_MAX].join("&");
        assert!(Params::parse(&pairs).is_ok());
        assert_eq!(
            Params::parse(format!("{pairs}&a=1")),
            Err(ParamsError::TooMany)
        );
        // Pairs that are not kept take a place all the same.
        let pairs = vec!["a"; PARAMS_MAX + 1].join("&");
        assert_eq!(Params::parse(&pairs), Err(ParamsError::TooMany));
    }

    #[test]
    fn only_a_form_is_read_as_a_form() {
        for yes in [
            "application/x-www-form-urlencoded",
            "Application/X-WWW-Form-URLEncoded; charset=UTF-8",
            "application/x-www-form-urlencoded;charset=\"utf-8\";",
        ] {
            assert!(is_form(yes.as_bytes()), "{yes}");
        }
        for no in [
            "",
            "application/json",
            "application/x-www-form-urlencodedx",
            "application/x-www-form-urlencoded; charset=latin1",
            "application/x-www-form-urlencoded; charset",
            "application/x-www-form-urlencoded, text/plain",
        ] {
            assert!(!is_form(no.as_bytes()), "{no}");
        }
        assert!(!is_form(b"\xff"));
    }

    fn request(head: Head, body: bytes::Bytes) -> Request {
        let line = Line::default();
        Request { head, body, line }
    }

    #[test]
    fn a_form_and_a_query_are_read_from_their_places() {
        let mut head = head(&[("content-type", "application/x-www-form-urlencoded")]);
        assert_eq!(Params::from_query(&head), Ok(Params::default()));
        head.query = Some("a=query".into());
        let body = "a=form".into();
        assert_eq!(Params::from_query(&head), Ok(params("a=query")));
        assert_eq!(
            Params::from_form(&request(head, body)),
            Ok(params("a=form"))
        );
    }

    #[test]
    fn a_form_that_says_it_is_something_else_is_refused() {
        for content_type in [Some("application/json"), None] {
            let headers = content_type.map(|value| ("content-type", value));
            let head = head(headers.as_slice());
            let refused = Params::from_form(&request(head, "a=form".into()));
            let found = content_type.unwrap_or_default().to_owned();
            assert_eq!(refused, Err(ParamsError::ContentType { found }));
        }
    }

    #[test]
    fn debug_shows_no_value() {
        assert_eq!(
            format!("{:?}", params("code=hush&x=hush")),
            r#"["code", "x"]"#
        );
    }

    proptest! {
        #[test]
        fn parse_undoes_print(
            pairs in proptest::collection::vec(("\\PC{1,10}", "\\PC{1,20}"), 0..10)
        ) {
            let text = Serializer::new(String::new()).extend_pairs(&pairs).finish();
            let params = Params::parse(&text).expect("printed by a serializer");
            prop_assert_eq!(params.0, pairs);
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = Params::parse(&bytes);
        }
    }
}
