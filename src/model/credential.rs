//! The strings that are secrets: codes, tokens, client secrets, session cookies.
//!
//! `ks_<kind>_<id><secret><checksum>`, base62. The prefix lets secret scanners know them, the id is
//! the store's key, the secret is 256 bits and is kept only as its digest, and the checksum lets a
//! damaged one be refused before the store is asked.

use std::fmt;

use crate::{
    crypto::{
        digest::Digest,
        entropy::{Entropy, random},
    },
    model::{
        id::{Base62, Id, base62_fixed, parse_base62_fixed},
        timestamp::Timestamp,
    },
};

/// What a credential is for. One kind is never accepted for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CredentialKind {
    /// OAuth access token, `at`.
    AccessToken,
    /// OAuth refresh token, `rt`; its id is the family's, and a generation follows it.
    RefreshToken,
    /// OAuth authorization code, `ac`.
    AuthorizationCode,
    /// Secret of a confidential client, `cs`.
    ClientSecret,
    /// RFC 7592 registration access token, `ra`; its id is the client's.
    RegistrationToken,
    /// RFC 8628 device code, `dc`.
    DeviceCode,
    /// Browser session, `bs`.
    Session,
    /// The link by which the box gets its owner, `cl`.
    Claim,
}

impl CredentialKind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::AccessToken,
        Self::RefreshToken,
        Self::AuthorizationCode,
        Self::ClientSecret,
        Self::RegistrationToken,
        Self::DeviceCode,
        Self::Session,
        Self::Claim,
    ];

    /// What its text begins with.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::AccessToken => "ks_at_",
            Self::RefreshToken => "ks_rt_",
            Self::AuthorizationCode => "ks_ac_",
            Self::ClientSecret => "ks_cs_",
            Self::RegistrationToken => "ks_ra_",
            Self::DeviceCode => "ks_dc_",
            Self::Session => "ks_bs_",
            Self::Claim => "ks_cl_",
        }
    }

    const fn has_generation(self) -> bool {
        matches!(self, Self::RefreshToken)
    }
}

/// 256 bits that only their holder knows.
#[derive(Clone)]
pub struct Secret([u8; 32]);

impl Secret {
    const TEXT_LEN: usize = 2 * Id::TEXT_LEN;

    /// The secret with these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes, for a keyed function.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// What is kept of it.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.0)
    }

    fn push_to(&self, text: &mut String) {
        let (high, low) = self.0.split_at(16);
        let number = |half: &[u8]| {
            half.iter()
                .fold(0, |sum, byte| sum << 8 | u128::from(*byte))
        };
        text.push_str(base62_fixed(number(high)).as_str());
        text.push_str(base62_fixed(number(low)).as_str());
    }

    fn parse(text: &str) -> Option<Self> {
        let (high, low) = text.split_at_checked(Id::TEXT_LEN)?;
        let mut bytes = [0; 32];
        bytes[..16].copy_from_slice(&parse_base62_fixed(high)?.to_be_bytes());
        bytes[16..].copy_from_slice(&parse_base62_fixed(low)?.to_be_bytes());
        Some(Self(bytes))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

/// A credential in full. It leaves the process only in the response that creates it.
#[derive(Clone, Debug)]
pub struct Credential {
    kind: CredentialKind,
    id: Id,
    generation: u32,
    secret: Secret,
}

/// The text is not a credential of the expected kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the value is malformed or its checksum is wrong")]
pub struct Malformed;

const GENERATION_LEN: usize = 6;
const CHECKSUM_LEN: usize = 6;

impl Credential {
    /// A new credential of `kind`, made at `now`.
    pub fn generate(kind: CredentialKind, now: Timestamp, entropy: &dyn Entropy) -> Self {
        Self::with_id(kind, Id::generate(now, entropy), entropy)
    }

    /// A new credential whose id names something that exists.
    pub fn with_id(kind: CredentialKind, id: Id, entropy: &dyn Entropy) -> Self {
        Self {
            kind,
            id,
            generation: 0,
            secret: Secret::from_bytes(random(entropy)),
        }
    }

    /// The refresh token of that generation of a family.
    pub fn refresh_token(family: Id, generation: u32, secret: Secret) -> Self {
        Self {
            kind: CredentialKind::RefreshToken,
            id: family,
            generation,
            secret,
        }
    }

    /// Its public, time-ordered id.
    pub const fn id(&self) -> Id {
        self.id
    }

    /// Which of its family a refresh token is, from 0; 0 for every other kind.
    pub const fn generation(&self) -> u32 {
        self.generation
    }

    /// The part that only its holder knows.
    pub const fn secret(&self) -> &Secret {
        &self.secret
    }

    /// What is kept of the secret.
    pub fn digest(&self) -> Digest {
        self.secret.digest()
    }

    /// The credential as its holder gets it. The only way out.
    pub fn reveal(&self) -> String {
        let mut text = String::with_capacity(96);
        text.push_str(self.kind.prefix());
        let id = u128::from_be_bytes(*self.id.as_bytes());
        text.push_str(base62_fixed(id).as_str());
        if self.kind.has_generation() {
            text.push_str(base62_short(self.generation).as_str());
        }
        self.secret.push_to(&mut text);
        let checksum = base62_short(crc32fast::hash(text.as_bytes()));
        text.push_str(checksum.as_str());
        text
    }

    /// Reads a credential of `kind`. Every other text is [`Malformed`], whatever is wrong with it.
    pub fn parse(kind: CredentialKind, text: &str) -> Result<Self, Malformed> {
        Self::parse_option(kind, text).ok_or(Malformed)
    }

    fn parse_option(kind: CredentialKind, text: &str) -> Option<Self> {
        let generation_len = if kind.has_generation() {
            GENERATION_LEN
        } else {
            0
        };
        let body_len = Id::TEXT_LEN + generation_len + Secret::TEXT_LEN;
        let body = text.strip_prefix(kind.prefix())?;
        if body.len() != body_len + CHECKSUM_LEN || !body.is_ascii() {
            return None;
        }
        let (checked, checksum) = text.split_at(text.len() - CHECKSUM_LEN);
        if base62_short(crc32fast::hash(checked.as_bytes())).as_str() != checksum {
            return None;
        }
        let (id, rest) = body.split_at(Id::TEXT_LEN);
        let (generation, rest) = rest.split_at(generation_len);
        let generation = if generation.is_empty() {
            0
        } else {
            parse_base62_short(generation)?
        };
        let secret = Secret::parse(&rest[..Secret::TEXT_LEN])?;
        Some(Self {
            kind,
            id: id.parse().ok()?,
            generation,
            secret,
        })
    }
}

fn base62_short(number: u32) -> Base62<CHECKSUM_LEN> {
    Base62::of(number.into())
}

fn parse_base62_short(text: &str) -> Option<u32> {
    u32::try_from(base62::decode(text).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn credential(kind: CredentialKind, bytes: [u8; 32], generation: u32) -> Credential {
        let generation = if kind.has_generation() { generation } else { 0 };
        let id = Id::from_bytes(bytes[..16].try_into().expect("16 bytes"));
        Credential {
            kind,
            id,
            generation,
            secret: Secret::from_bytes(bytes),
        }
    }

    fn any_kind() -> impl Strategy<Value = CredentialKind> {
        proptest::sample::select(CredentialKind::ALL.as_slice())
    }

    proptest! {
        #[test]
        fn parse_undoes_reveal(kind in any_kind(), bytes: [u8; 32], generation: u32) {
            let made = credential(kind, bytes, generation);
            let read = Credential::parse(kind, &made.reveal()).expect("its own text");
            prop_assert_eq!(read.id(), made.id());
            prop_assert_eq!(read.generation(), made.generation());
            prop_assert_eq!(read.secret().as_bytes(), made.secret().as_bytes());
        }

        #[test]
        fn no_text_panics(kind in any_kind(), text in ".{0,120}") {
            let _ = Credential::parse(kind, &text);
        }
    }

    /// Threat 31: a truncated token of a peer was still valid.
    #[test]
    fn truncated_extended_or_flipped_credentials_are_refused() {
        for kind in CredentialKind::ALL {
            let text = credential(kind, [0xa5; 32], 77).reveal();
            for cut in 0..text.len() {
                assert_eq!(Credential::parse(kind, &text[..cut]).err(), Some(Malformed));
            }
            assert!(Credential::parse(kind, &format!("{text}0")).is_err());
            assert!(Credential::parse(kind, &format!(" {text}")).is_err());
            for place in 0..text.len() {
                for replacement in ["0", "z", "_", "-", "é"] {
                    let mut changed = text.clone();
                    changed.replace_range(place..=place, replacement);
                    if changed != text {
                        assert!(Credential::parse(kind, &changed).is_err(), "{changed}");
                    }
                }
            }
        }
    }

    #[test]
    fn one_kind_is_never_another() {
        for kind in CredentialKind::ALL {
            let text = credential(kind, [1; 32], 1).reveal();
            for other in CredentialKind::ALL
                .into_iter()
                .filter(|other| *other != kind)
            {
                assert!(Credential::parse(other, &text).is_err());
            }
        }
    }

    #[test]
    fn nothing_shows_the_secret_in_debug() {
        let made = credential(CredentialKind::AccessToken, [9; 32], 0);
        assert!(format!("{made:?}").contains("Secret(redacted)"));
    }
}
