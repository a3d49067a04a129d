//! Devices that cannot show a page: the code a person types elsewhere, and what became of it
//! (RFC 8628).

use std::{fmt, str::FromStr, time::Duration};

use bincode::{Decode, Encode};

use crate::{
    crypto::{
        digest::Digest,
        entropy::{Entropy, random},
    },
    model::{
        id::Id,
        oauth2::{resource::ResourceUri, scope::ScopeSet},
        timestamp::Timestamp,
    },
};

/// What a person types: [`UserCode::LEN`] letters, shown in two halves.
///
/// # Source
/// RFC 8628 §6.1: consonants only, so that it spells nothing and no two letters are confused.
#[derive(Clone, PartialEq, Eq)]
pub struct UserCode([u8; UserCode::LEN]);

/// The text is not a code of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected the {} letters that the device shows, such as WDJB-MJHT",
    UserCode::LEN
)]
pub struct NotAUserCode;

impl UserCode {
    /// Letters of a code: with 20 to choose from, one in 25.6 billion.
    pub const LEN: usize = 8;
    /// Characters of what a person may type for it, spaces and dashes included.
    const TYPED_LEN_MAX: usize = 32;
    const ALPHABET: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";

    /// A new code.
    ///
    /// # Panics
    /// Never: a remainder of 20 fits a place of the alphabet.
    pub fn generate(entropy: &dyn Entropy) -> Self {
        // 64 bits for the 35 that are needed: no code is likelier than another by more than one
        // in 700 million.
        let mut number = u64::from_be_bytes(random(entropy));
        Self(std::array::from_fn(|_| {
            let base = Self::ALPHABET.len() as u64;
            let place = usize::try_from(number % base).expect("below 20");
            number /= base;
            Self::ALPHABET[place]
        }))
    }

    /// The letters, for a keyed function.
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

impl FromStr for UserCode {
    type Err = NotAUserCode;

    /// Reads what a person typed: case, spaces and dashes do not matter (RFC 8628 §6.1).
    fn from_str(text: &str) -> Result<Self, NotAUserCode> {
        if text.len() > Self::TYPED_LEN_MAX {
            return Err(NotAUserCode);
        }
        let letters: Vec<u8> = text
            .bytes()
            .filter(|byte| !matches!(byte, b' ' | b'-'))
            .map(|byte| byte.to_ascii_uppercase())
            .collect();
        let code: [u8; Self::LEN] = letters.try_into().map_err(|_| NotAUserCode)?;
        if code.iter().all(|letter| Self::ALPHABET.contains(letter)) {
            Ok(Self(code))
        } else {
            Err(NotAUserCode)
        }
    }
}

impl fmt::Display for UserCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, letter) in self.0.iter().enumerate() {
            if place == Self::LEN / 2 {
                f.write_str("-")?;
            }
            write!(f, "{}", char::from(*letter))?;
        }
        Ok(())
    }
}

impl fmt::Debug for UserCode {
    // While it works, whoever reads it can answer in the person's place.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserCode(redacted)")
    }
}

/// What a device asked for, and how far it has come.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct DeviceAuthorization {
    /// The store's key, and the public part of the device code.
    pub id: Id,
    /// Of the device code's secret.
    pub digest: Digest,
    /// Of the user code, by the deployment's key: 35 bits alone could be searched for.
    pub user_code_digest: Digest,
    /// Who asks.
    pub client_id: Id,
    /// When its registration last changed: a person answers about it as it was then.
    pub client_updated_at: Timestamp,
    /// For what; never empty.
    pub scopes: ScopeSet,
    /// Where.
    pub resource: ResourceUri,
    /// When its codes stop working.
    pub expires_at: Timestamp,
    /// Seconds that have to lie between two polls.
    pub interval_seconds: u32,
    /// When the device last asked.
    pub polled_at: Option<Timestamp>,
    /// The stage it is in.
    pub stage: DeviceStage,
}

/// How far a device has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum DeviceStage {
    /// Nobody has typed its code.
    Waiting,
    /// A browser has its page open, and no other can answer.
    Opened {
        /// The session of that browser.
        session_id: Id,
    },
    /// A person said no.
    Denied,
    /// A person said yes, and the device has not asked since.
    Allowed {
        /// What they gave.
        grant_id: Id,
    },
    /// The device has its tokens; a replay ends them.
    Exchanged {
        /// Their family.
        family_id: Id,
    },
}

impl DeviceAuthorization {
    /// For how long its codes work.
    pub const TTL: Duration = Duration::from_mins(10);
    /// Seconds between two polls, to begin with (RFC 8628 §3.2).
    pub const INTERVAL_SECONDS: u32 = 5;
    /// Seconds that a poll which came too soon adds (RFC 8628 §3.5).
    pub const SLOW_DOWN_SECONDS: u32 = 5;
    /// Seconds between two polls at the most, however often one came too soon.
    pub const INTERVAL_SECONDS_MAX: u32 = 60;
    /// How much too soon a poll may come: a device that keeps to the second must not be told to
    /// slow down because the network was faster this time.
    pub const JITTER: Duration = Duration::from_millis(500);

    /// Whether a poll at `now` comes too soon after the last one.
    pub fn is_polled_too_soon(&self, now: Timestamp) -> bool {
        let interval = Duration::from_secs(self.interval_seconds.into());
        let least = interval.saturating_sub(Self::JITTER);
        self.polled_at.is_some_and(|last| now.since(last) < least)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    struct Given([u8; 8]);

    impl Entropy for Given {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.copy_from_slice(&self.0);
        }
    }

    proptest! {
        #[test]
        fn parse_undoes_print(bytes: [u8; 8]) {
            let code = UserCode::generate(&Given(bytes));
            prop_assert_eq!(code.to_string().parse(), Ok(code));
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = text.parse::<UserCode>();
        }
    }

    #[test]
    fn every_place_can_have_every_letter() {
        for (place, power) in (0..8).map(|place| (place, 20_u64.pow(place))) {
            let letters = (0..20).map(|digit| {
                let code = UserCode::generate(&Given((digit * power).to_be_bytes()));
                code.as_bytes()[place as usize]
            });
            let letters: Vec<u8> = letters.collect();
            assert_eq!(letters, UserCode::ALPHABET);
        }
    }

    #[test]
    fn how_it_is_typed_does_not_matter_and_what_it_is_does() {
        let code: UserCode = "WDJB-MJHT".parse().expect("a code");
        assert_eq!(code.to_string(), "WDJB-MJHT");
        for same in ["wdjbmjht", "WDJB MJHT", " wd-jb-mj-ht "] {
            assert_eq!(same.parse(), Ok(code.clone()), "{same}");
        }
        for other in [
            "",
            "WDJB-MJH",
            "WDJB-MJHTT",
            "WDJB-MJHA",
            "WDJB-MJH1",
            "ÄDJB-MJHT",
        ] {
            assert_eq!(other.parse::<UserCode>(), Err(NotAUserCode), "{other}");
        }
    }
}
