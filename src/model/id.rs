//! The identifier that every record of the store has.

use std::{fmt, str::FromStr};

use bincode::{Decode, Encode};

use crate::{
    crypto::entropy::{Entropy, random},
    model::timestamp::Timestamp,
};

/// A public, time-ordered identifier: 48 bits of milliseconds, then 80 random bits.
///
/// It is the store's key, so that what is made later is stored later, and it is never a proof of
/// anything: whoever knows it has learned a name, not a secret.
///
/// # Units
/// 16 bytes; 22 characters of base62 as text, in the same order as the bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Id([u8; 16]);

impl Id {
    /// Characters of the text form.
    pub const TEXT_LEN: usize = 22;

    /// A new identifier for something made at `now`.
    pub fn generate(now: Timestamp, entropy: &dyn Entropy) -> Self {
        let mut bytes = [0; 16];
        bytes[..6].copy_from_slice(&now.millis().to_be_bytes()[2..]);
        bytes[6..].copy_from_slice(&random::<10>(entropy));
        Self(bytes)
    }

    /// The identifier with these bytes, as the store keeps them.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes, as the store keeps them.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// When it was made.
    pub fn created_at(self) -> Timestamp {
        let mut millis = [0; 8];
        millis[2..].copy_from_slice(&self.0[..6]);
        Timestamp::from_millis(u64::from_be_bytes(millis))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(base62_fixed(u128::from_be_bytes(self.0)).as_str())
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not an identifier.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {} letters and digits", Id::TEXT_LEN)]
pub struct NotAnId;

impl FromStr for Id {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let number = parse_base62_fixed(text).ok_or(NotAnId)?;
        Ok(Self(number.to_be_bytes()))
    }
}

/// A number in base62 with zeros in front, always `LEN` characters, so that order is kept. Each
/// request has several of them, so that they are not on the heap.
pub(crate) struct Base62<const LEN: usize>([u8; LEN]);

impl<const LEN: usize> Base62<LEN> {
    /// `number`, which has at most `LEN` digits.
    pub(crate) fn of(number: u128) -> Self {
        let mut digits = [b'0'; LEN];
        let mut written = [0; Id::TEXT_LEN];
        let len = base62::encode_bytes(number, &mut written).expect("as many as the largest has");
        digits[LEN - len..].copy_from_slice(&written[..len]);
        Self(digits)
    }

    /// The digits.
    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("letters and digits")
    }
}

/// `number` in base62, always [`Id::TEXT_LEN`] characters.
pub(crate) fn base62_fixed(number: u128) -> Base62<{ Id::TEXT_LEN }> {
    Base62::of(number)
}

/// What [`base62_fixed`] printed; `None` for every other text.
pub(crate) fn parse_base62_fixed(text: &str) -> Option<u128> {
    if text.len() != Id::TEXT_LEN || !text.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    base62::decode(text).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn parse_undoes_print(bytes: [u8; 16]) {
            let id = Id::from_bytes(bytes);
            prop_assert_eq!(id.to_string().parse(), Ok(id));
        }

        #[test]
        fn text_order_is_byte_order(a: [u8; 16], b: [u8; 16]) {
            let (a, b) = (Id::from_bytes(a), Id::from_bytes(b));
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = text.parse::<Id>();
        }
    }

    #[test]
    fn too_large_a_number_is_refused() {
        assert_eq!("z".repeat(22).parse::<Id>(), Err(NotAnId));
    }

    #[test]
    fn it_knows_when_it_was_made() {
        struct Zero;
        impl Entropy for Zero {
            fn fill(&self, bytes: &mut [u8]) {
                bytes.fill(0);
            }
        }
        let now = Timestamp::from_millis(1_790_000_000_123);
        assert_eq!(Id::generate(now, &Zero).created_at(), now);
    }
}
