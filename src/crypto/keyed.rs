//! A keyed function: HMAC-SHA-256 over labelled parts.

use std::fmt;

use ring::hmac;
use subtle::ConstantTimeEq as _;

/// What a result of the key is for. Two purposes never give the same bytes for the same parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The next refresh token of a family.
    RefreshSuccessor,
    /// The token in a form that proves that the browser saw the page.
    FormToken,
    /// The token in a consent page that binds the decision to what was shown.
    ConsentToken,
    /// The code that a device shows, as it is kept.
    UserCode,
}

impl Purpose {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::RefreshSuccessor => b"keystead refresh successor",
            Self::FormToken => b"keystead form token",
            Self::ConsentToken => b"keystead consent token",
            Self::UserCode => b"keystead user code",
        }
    }
}

/// The deployment's own key: made with the data file and kept in it.
///
/// It alone opens nothing: what it derives also needs a secret or a cookie that only a client or a
/// browser has.
#[derive(Clone)]
pub struct Key(hmac::Key);

impl Key {
    /// Bytes of a key.
    pub const LEN: usize = 32;

    /// The key with these bytes.
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// 32 bytes that only this key makes for this purpose and these parts.
    pub fn derive(&self, purpose: Purpose, parts: &[&[u8]]) -> [u8; 32] {
        let tag = self.sign(purpose, parts);
        let mut bytes = [0; 32];
        bytes.copy_from_slice(tag.as_ref());
        bytes
    }

    /// Whether `tag` is what [`Key::derive`] gives, compared in constant time.
    pub fn verify(&self, purpose: Purpose, parts: &[&[u8]], tag: &[u8]) -> bool {
        self.sign(purpose, parts).as_ref().ct_eq(tag).into()
    }

    fn sign(&self, purpose: Purpose, parts: &[&[u8]]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.0);
        // Lengths go first, so that no two lists of parts are the same bytes.
        for part in std::iter::once(&purpose.label()).chain(parts) {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        context.sign()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_and_purposes_do_not_run_together() {
        let key = Key::from_bytes(&[7; 32]);
        let one = key.derive(Purpose::FormToken, &[b"ab", b"c"]);
        assert_ne!(one, key.derive(Purpose::FormToken, &[b"a", b"bc"]));
        assert_ne!(one, key.derive(Purpose::ConsentToken, &[b"ab", b"c"]));
        assert!(key.verify(Purpose::FormToken, &[b"ab", b"c"], &one));
        assert!(!key.verify(Purpose::FormToken, &[b"ab", b"c"], &one[..31]));
    }
}
