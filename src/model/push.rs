//! The nouns of web push: a browser that wants to be told, and a message on its way to it.

use std::{fmt, str::FromStr};

use bincode::{Decode, Encode};
use url::Url;

use crate::{
    crypto::{
        digest::Digest,
        web_push::{AUTH_LEN, PUBLIC_KEY_LEN},
    },
    model::{https_url::HttpsUrl, id::Id, timestamp::Timestamp},
};

/// What a browser gave when it subscribed: enough to encrypt for it, so it is shown to nobody.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct PushKeys {
    /// Its public key, an uncompressed point of P-256.
    p256dh: Vec<u8>,
    /// What it shares with this box.
    auth: [u8; AUTH_LEN],
}

/// Why bytes are not such keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PushKeysError {
    /// Not an uncompressed point.
    #[error("expected {PUBLIC_KEY_LEN} bytes that begin with 4, found {found}")]
    P256dh {
        /// How many bytes.
        found: usize,
    },
    /// Not the secret of a subscription.
    #[error("expected {AUTH_LEN} bytes, found {found}")]
    Auth {
        /// How many bytes.
        found: usize,
    },
}

impl PushKeys {
    /// The keys in these bytes.
    pub fn new(p256dh: &[u8], auth: &[u8]) -> Result<Self, PushKeysError> {
        let found = p256dh.len();
        // SEC 1 §2.3.3: an uncompressed point begins with 4.
        if found != PUBLIC_KEY_LEN || p256dh[0] != 4 {
            return Err(PushKeysError::P256dh { found });
        }
        let found = auth.len();
        let auth = auth.try_into().map_err(|_| PushKeysError::Auth { found })?;
        Ok(Self {
            p256dh: p256dh.to_vec(),
            auth,
        })
    }

    /// The public key; none if the record is damaged.
    pub fn public_key(&self) -> Option<&[u8; PUBLIC_KEY_LEN]> {
        self.p256dh.as_slice().try_into().ok()
    }

    /// The shared secret.
    pub const fn auth(&self) -> &[u8; AUTH_LEN] {
        &self.auth
    }
}

impl fmt::Debug for PushKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PushKeys(redacted)")
    }
}

/// A browser that wants a person's notifications.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct Subscription {
    /// The store's key, after the user's.
    pub id: Id,
    /// Whose notifications.
    pub user_id: Id,
    /// Where its push service takes them.
    pub endpoint: HttpsUrl,
    /// How they are encrypted for it.
    pub keys: PushKeys,
    /// When it subscribed.
    pub created_at: Timestamp,
}

/// Whoever has an endpoint can send to it, so of that only the push service is shown.
impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("id", &self.id)
            .field("user_id", &self.user_id)
            .field("push_service", &self.endpoint.host())
            .finish_non_exhaustive()
    }
}

impl Subscription {
    /// By which a subscription is found: an endpoint is a secret address, so that no two are the
    /// same browser.
    pub fn endpoint_digest(endpoint: &HttpsUrl) -> Digest {
        Digest::of(endpoint.as_str().as_bytes())
    }
}

/// A notification that is to reach one browser.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct QueuedPush {
    /// Its own name; part of the store's key.
    pub id: Id,
    /// When it is to be tried next; the first part of the store's key.
    pub due_at: Timestamp,
    /// Whose browser.
    pub user_id: Id,
    /// Which of theirs.
    pub subscription_id: Id,
    /// What it is told.
    pub notification_id: Id,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is worth nothing any more.
    pub expires_at: Timestamp,
}

/// Whom a push service may write to about what this box sends.
///
/// # Source
/// RFC 8292 §2.1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact(String);

/// A text is no such address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected mailto: and an address, or an https URL, of at most {max} bytes",
    max = Contact::LEN_MAX
)]
pub struct NotAContact;

impl Contact {
    /// Bytes of it at the most: it is in every message's header.
    pub const LEN_MAX: usize = 512;

    /// The address as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Contact {
    type Err = NotAContact;

    fn from_str(text: &str) -> Result<Self, NotAContact> {
        let url = Url::parse(text).map_err(|_| NotAContact)?;
        let is_one = match url.scheme() {
            "https" => url.has_host(),
            "mailto" => url.path().contains('@'),
            _ => false,
        };
        if is_one && text.len() <= Self::LEN_MAX && text.bytes().all(|b| b.is_ascii_graphic()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotAContact)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contact_is_an_address_that_somebody_reads() {
        for good in ["mailto:ada@box.example", "https://box.example"] {
            assert_eq!(
                good.parse::<Contact>().map(|one| one.0),
                Ok(good.to_owned())
            );
        }
        let long = format!("https://box.example/{}", "a".repeat(Contact::LEN_MAX));
        for bad in [
            "",
            "ada@box.example",
            "mailto:ada",
            "http://box.example",
            "https://a b/",
            &long,
        ] {
            assert_eq!(bad.parse::<Contact>(), Err(NotAContact), "{bad}");
        }
    }

    #[test]
    fn of_a_browser_its_push_service_is_shown() {
        let mut point = [1; PUBLIC_KEY_LEN];
        point[0] = 4;
        let browser = Subscription {
            id: Id::from_bytes([1; 16]),
            user_id: Id::from_bytes([2; 16]),
            endpoint: "https://app.example/push/secret".parse().expect("a URL"),
            keys: PushKeys::new(&point, &[2; AUTH_LEN]).expect("keys"),
            created_at: Timestamp::EPOCH,
        };
        let shown = format!("{browser:?}");
        assert!(shown.contains("app.example"), "{shown}");
        assert!(!shown.contains("secret"), "{shown}");
    }

    #[test]
    fn keys_have_their_lengths_and_are_not_shown() {
        let mut point = [1; PUBLIC_KEY_LEN];
        point[0] = 4;
        let keys = PushKeys::new(&point, &[2; AUTH_LEN]).expect("keys");
        assert_eq!(format!("{keys:?}"), "PushKeys(redacted)");
        assert_eq!(keys.public_key(), Some(&point));
        let found = PUBLIC_KEY_LEN;
        assert_eq!(
            PushKeys::new(&[1; PUBLIC_KEY_LEN], &[2; AUTH_LEN]),
            Err(PushKeysError::P256dh { found })
        );
        assert_eq!(
            PushKeys::new(&[], &[]),
            Err(PushKeysError::P256dh { found: 0 })
        );
        assert_eq!(
            PushKeys::new(&point, &[2; 15]),
            Err(PushKeysError::Auth { found: 15 })
        );
    }
}
