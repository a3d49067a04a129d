//! By which a push service knows who sends: a token for each, signed with the box's own pair.
//!
//! # Source
//! RFC 8292.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use http::HeaderValue;
use serde::Serialize;

use crate::{
    crypto::web_push::{VapidKey, WebPushError},
    model::{https_url::HttpsUrl, public_url::PublicUrl, push::Contact, timestamp::Timestamp},
    notifications,
    store::{Read, StoreError, Table},
    web::push::SealError,
};

/// How long a token is good for. RFC 8292 §2 allows 24 hours, by the push service's own clock.
pub const TOKEN_TTL: Duration = Duration::from_hours(12);
/// Tokens that are kept at the most: one for each push service.
pub const TOKENS_MAX: usize = 256;

/// The tokens, and the pair that signs them.
pub struct Vouchers {
    contact: Option<Contact>,
    held: Mutex<Option<Held>>,
}

/// A pair, and what was signed with it.
struct Held {
    pkcs8: Vec<u8>,
    key: VapidKey,
    tokens: HashMap<String, Voucher>,
}

struct Voucher {
    header: HeaderValue,
    renewed_at: Timestamp,
}

/// What a token says (RFC 8292 §2).
#[derive(Serialize)]
struct Claims<'a> {
    aud: &'a str,
    exp: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<&'a str>,
}

impl Vouchers {
    /// Tokens that name `contact`, or else the public URL where that is https.
    pub fn new(contact: Option<Contact>, public_url: &PublicUrl) -> Self {
        let own = || public_url.as_str().parse().ok();
        Self {
            contact: contact.or_else(own),
            held: Mutex::new(None),
        }
    }

    /// Whom a push service may write to.
    pub const fn contact(&self) -> Option<&Contact> {
        self.contact.as_ref()
    }

    /// What a browser subscribes with; none while the box has no pair.
    pub fn public_key(&self, tx: &dyn Read) -> Result<Option<String>, StoreError> {
        self.with_pair(tx, |held| held.key.public_key())
    }

    /// The value of `Authorization` for the push service of `endpoint`.
    pub(super) fn authorization(
        &self,
        tx: &dyn Read,
        now: Timestamp,
        endpoint: &HttpsUrl,
    ) -> Result<HeaderValue, SealError> {
        let origin = endpoint.to_url().origin().ascii_serialization();
        let contact = self.contact.as_ref().map(Contact::as_str);
        let found = self.with_pair(tx, |held| held.authorization(now, origin, contact))?;
        Ok(found.ok_or(SealError::NoPair)??)
    }

    /// Works with the pair that is in the file now: another one is another pair from its first
    /// moment on.
    fn with_pair<T>(
        &self,
        tx: &dyn Read,
        work: impl FnOnce(&mut Held) -> T,
    ) -> Result<Option<T>, StoreError> {
        let Some(pkcs8) = notifications::vapid(tx)? else {
            return Ok(None);
        };
        // What a panic could leave half done is a token that is missing.
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let held = match held.take() {
            Some(same) if same.pkcs8 == pkcs8 => held.insert(same),
            _ => held.insert(Held::new(pkcs8)?),
        };
        Ok(Some(work(held)))
    }
}

impl Held {
    fn new(pkcs8: Vec<u8>) -> Result<Self, StoreError> {
        let key = VapidKey::from_pkcs8(&pkcs8).map_err(|error| StoreError::Corrupt {
            table: Table::Meta.name(),
            reason: error.to_string(),
        })?;
        Ok(Self {
            pkcs8,
            key,
            tokens: HashMap::new(),
        })
    }

    fn authorization(
        &mut self,
        now: Timestamp,
        origin: String,
        contact: Option<&str>,
    ) -> Result<HeaderValue, WebPushError> {
        let known = self.tokens.get(&origin);
        if let Some(known) = known.filter(|known| !known.renewed_at.has_passed(now)) {
            return Ok(known.header.clone());
        }
        let header = self.sign(now, &origin, contact)?;
        // They are made again in a moment; which of them are still in use is not worth knowing.
        if self.tokens.len() >= TOKENS_MAX {
            self.tokens.clear();
        }
        let voucher = Voucher {
            header: header.clone(),
            renewed_at: now.after(TOKEN_TTL / 2),
        };
        self.tokens.insert(origin, voucher);
        Ok(header)
    }

    fn sign(
        &self,
        now: Timestamp,
        origin: &str,
        contact: Option<&str>,
    ) -> Result<HeaderValue, WebPushError> {
        let claims = Claims {
            aud: origin,
            exp: now.after(TOKEN_TTL).seconds(),
            sub: contact,
        };
        let claims = serde_json::to_vec(&claims).expect("texts and a number are JSON");
        let token = self.key.sign(&claims)?;
        let header = format!("vapid t={token}, k={}", self.key.public_key());
        Ok(HeaderValue::from_str(&header).expect("base64 can be a header"))
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    use serde_json::{Value, json};

    use super::*;
    use crate::{runtime::entropy::SeededEntropy, store::Store};

    const NOON: Timestamp = Timestamp::from_millis(1_790_000_000_000);

    fn store() -> Store {
        let store = Store::in_memory(&SeededEntropy::new(1)).expect("memory");
        pair(&store);
        store
    }

    /// Gives the box another pair.
    fn pair(store: &Store) {
        let pkcs8 = VapidKey::generate().expect("a pair");
        let put = store.write(move |tx| {
            crate::store::meta::put_vapid(tx, pkcs8);
            Ok::<_, StoreError>(())
        });
        put.wait().expect("a write");
    }

    fn vouchers(contact: Option<&str>, public_url: &str) -> Vouchers {
        let contact = contact.map(|text| text.parse().expect("a contact"));
        Vouchers::new(contact, &public_url.parse().expect("a public URL"))
    }

    fn header(vouchers: &Vouchers, store: &Store, now: Timestamp, endpoint: &str) -> String {
        let endpoint = endpoint.parse().expect("a URL");
        let header = store.read(|tx| vouchers.authorization(tx, now, &endpoint));
        let header = header.expect("a voucher");
        header.to_str().expect("text").to_owned()
    }

    fn claims(header: &str) -> Value {
        let token = header.strip_prefix("vapid t=").expect("a token");
        let claims = token.split('.').nth(1).expect("claims");
        let claims = URL_SAFE_NO_PAD.decode(claims).expect("base64url");
        serde_json::from_slice(&claims).expect("JSON")
    }

    #[test]
    fn a_token_names_the_service_the_time_and_whom_to_write_to() {
        let store = store();
        let endpoint = "https://push.example:8443/a?b=c";
        for (contact, public_url, sub) in [
            (None, "https://box.example", json!("https://box.example")),
            (None, "http://localhost:8420", Value::Null),
            (
                Some("mailto:a@b.example"),
                "https://box.example",
                json!("mailto:a@b.example"),
            ),
        ] {
            let found = claims(&header(
                &vouchers(contact, public_url),
                &store,
                NOON,
                endpoint,
            ));
            assert_eq!(found["aud"], "https://push.example:8443");
            assert_eq!(found["exp"], NOON.seconds() + 12 * 3_600);
            assert_eq!(found["sub"], sub);
        }
    }

    #[test]
    fn a_token_serves_for_half_its_life_and_never_with_another_pair() {
        let (store, vouchers) = (store(), vouchers(None, "https://box.example"));
        let header = |now, endpoint| header(&vouchers, &store, now, endpoint);
        let first = header(NOON, "https://push.example/a");
        let almost = NOON.after(Duration::from_secs(6 * 3_600 - 1));
        assert_eq!(header(almost, "https://push.example/b"), first);
        let half = NOON.after(TOKEN_TTL / 2);
        assert_ne!(header(half, "https://push.example/a"), first);
        assert_ne!(header(NOON, "https://other.example/a"), first);
        let key = |store: &Store| store.read(|tx| vouchers.public_key(tx)).expect("a read");
        let before = key(&store).expect("a key");
        assert!(first.ends_with(&format!(", k={before}")), "{first}");
        pair(&store);
        let after = key(&store).expect("a key");
        assert_ne!(after, before);
        assert!(header(half, "https://push.example/a").ends_with(&after));
    }

    #[test]
    fn no_more_tokens_are_kept_than_the_bound() {
        let (store, vouchers) = (store(), vouchers(None, "https://box.example"));
        for number in 0..=TOKENS_MAX {
            header(
                &vouchers,
                &store,
                NOON,
                &format!("https://p{number}.example/a"),
            );
        }
        let held = vouchers.held.lock().expect("nobody panicked");
        assert_eq!(held.as_ref().expect("a pair").tokens.len(), 1);
    }

    #[test]
    fn a_box_without_a_pair_vouches_for_nothing() {
        let store = Store::in_memory(&SeededEntropy::new(1)).expect("memory");
        let vouchers = vouchers(None, "https://box.example");
        let endpoint = "https://push.example/a".parse().expect("a URL");
        let refused = store.read(|tx| vouchers.authorization(tx, NOON, &endpoint));
        assert!(matches!(refused, Err(SealError::NoPair)), "{refused:?}");
        let key = store.read(|tx| vouchers.public_key(tx)).expect("a read");
        assert_eq!(key, None);
    }
}
