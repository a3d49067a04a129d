//! Proof Key for Code Exchange, RFC 7636; S256 only.

use std::str::FromStr;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bincode::{Decode, Encode};
use subtle::ConstantTimeEq as _;

use crate::crypto::digest::Digest;

const LEN_MIN: usize = 43;
const LEN_MAX: usize = 128;

/// What is wrong with a verifier or a challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PkceError {
    /// Not 43 to 128 characters.
    #[error("expected {LEN_MIN} to {LEN_MAX} characters, found {found}")]
    Length {
        /// Characters that were given.
        found: usize,
    },
    /// A character outside RFC 7636's `unreserved`.
    #[error("expected letters, digits and -._~ only")]
    Character,
}

fn check(text: &str) -> Result<(), PkceError> {
    let found = text.chars().count();
    if !(LEN_MIN..=LEN_MAX).contains(&found) {
        return Err(PkceError::Length { found });
    }
    // RFC 7636 §4.1: ALPHA / DIGIT / "-" / "." / "_" / "~".
    let unreserved = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    if text.bytes().all(unreserved) {
        Ok(())
    } else {
        Err(PkceError::Character)
    }
}

/// What a client commits to at the authorization endpoint: the S256 of its verifier.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct CodeChallenge(String);

impl CodeChallenge {
    /// The challenge as it was sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `verifier` proves that its sender made this challenge (RFC 7636 §4.6).
    pub fn is_met_by(&self, verifier: &CodeVerifier) -> bool {
        let made = URL_SAFE_NO_PAD.encode(Digest::of(verifier.0.as_bytes()).as_bytes());
        made.as_bytes().ct_eq(self.0.as_bytes()).into()
    }
}

impl FromStr for CodeChallenge {
    type Err = PkceError;

    fn from_str(text: &str) -> Result<Self, PkceError> {
        check(text).map(|()| Self(text.to_owned()))
    }
}

/// The secret that a client proves with at the token endpoint.
#[derive(Clone)]
pub struct CodeVerifier(String);

impl FromStr for CodeVerifier {
    type Err = PkceError;

    fn from_str(text: &str) -> Result<Self, PkceError> {
        check(text).map(|()| Self(text.to_owned()))
    }
}

impl std::fmt::Debug for CodeVerifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CodeVerifier(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn parse_undoes_print(text in "[A-Za-z0-9._~-]{43,128}") {
            let challenge: CodeChallenge = text.parse().expect("unreserved characters");
            prop_assert_eq!(challenge.as_str(), &text);
            let verifier: CodeVerifier = text.parse().expect("unreserved characters");
            prop_assert_eq!(verifier.0, text);
        }

        #[test]
        fn what_is_accepted_is_what_rfc_7636_calls_unreserved(text in "[ -~]{40,130}|.{40,60}") {
            let is_unreserved = |c: char| matches!(c, 'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '.' | '_' | '~');
            let expected = (43..=128).contains(&text.len()) && text.chars().all(is_unreserved);
            prop_assert_eq!(text.parse::<CodeVerifier>().is_ok(), expected);
            prop_assert_eq!(text.parse::<CodeChallenge>().is_ok(), expected);
        }
    }

    #[test]
    fn the_vector_of_rfc_7636_appendix_b_holds() {
        let verifier: CodeVerifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
            .parse()
            .expect("a verifier");
        let challenge: CodeChallenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
            .parse()
            .expect("a challenge");
        assert!(challenge.is_met_by(&verifier));
        let other: CodeVerifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXl"
            .parse()
            .expect("a verifier");
        assert!(!challenge.is_met_by(&other));
    }

    #[test]
    fn length_and_characters_are_checked() {
        assert_eq!(
            "a".repeat(42).parse::<CodeChallenge>(),
            Err(PkceError::Length { found: 42 })
        );
        assert_eq!(
            "a".repeat(129).parse::<CodeChallenge>(),
            Err(PkceError::Length { found: 129 })
        );
        assert_eq!(
            "+".repeat(43).parse::<CodeChallenge>(),
            Err(PkceError::Character)
        );
        assert_eq!(
            "é".repeat(43).parse::<CodeChallenge>(),
            Err(PkceError::Character)
        );
        assert!("a".repeat(128).parse::<CodeVerifier>().is_ok());
    }
}
