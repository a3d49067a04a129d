//! One message to one push service: how it goes out, and what the answer to it means.
//!
//! # Source
//! RFC 8030 (the request and its answers), RFC 8291 (its body), RFC 8292 (who sends it).

mod payload;
mod vouchers;

use std::{fmt, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE},
};

pub use vouchers::{TOKEN_TTL, TOKENS_MAX, Vouchers};

use crate::{
    config::Switch,
    crypto::{
        digest::Digest,
        entropy::random,
        web_push::{self, Receiver, WebPushError},
    },
    experiments::{ExperimentsOff, WEB_PUSH},
    model::{
        https_url::HttpsUrl,
        notification::{Notification, Urgency},
        push::{QueuedPush, Subscription},
        timestamp::Timestamp,
    },
    notifications::Outcome,
    runtime::outbound::{Outbound, OutboundError, Posted},
    store::{Read, StoreError},
    web::Web,
};

/// RFC 8030 §5.2 to §5.4.
const TTL: HeaderName = HeaderName::from_static("ttl");
const URGENCY: HeaderName = HeaderName::from_static("urgency");
const TOPIC: HeaderName = HeaderName::from_static("topic");
/// Bytes of the digest that a topic is made of: 32 characters, as many as one may have.
const TOPIC_BYTES: usize = 24;
/// How long a push service keeps a test message for a browser that cannot be reached.
const TEST_TTL: Duration = Duration::from_mins(1);

/// Why nothing is pushed here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PushOff {
    /// The experiment is off.
    #[error(transparent)]
    Experiment(ExperimentsOff),
    /// There is no way out to any push service.
    #[error("nothing is pushed here: this box calls no other server (--egress off)")]
    Egress,
}

/// What one browser is to be told.
#[derive(Clone, Debug)]
pub struct Parcel {
    payload: Vec<u8>,
    ttl: Duration,
    urgency: Urgency,
    /// A push service keeps one message of a topic only, so that a second try takes the place of
    /// the first.
    topic: Option<String>,
}

impl Parcel {
    /// `notification`, which is `said_by` whom these words name or by Keystead itself, as long as
    /// `push` has left at `now`.
    pub fn of(
        notification: &Notification,
        said_by: Option<&str>,
        push: &QueuedPush,
        now: Timestamp,
    ) -> Self {
        let digest = Digest::of(notification.id.as_bytes());
        Self {
            payload: payload::of(notification, said_by),
            ttl: push.expires_at.since(now),
            urgency: notification.urgency,
            topic: Some(URL_SAFE_NO_PAD.encode(&digest.as_bytes()[..TOPIC_BYTES])),
        }
    }

    /// What shows whether a browser can be reached at all.
    pub fn test() -> Self {
        Self {
            payload: payload::test(),
            ttl: TEST_TTL,
            urgency: Urgency::Normal,
            topic: None,
        }
    }
}

/// A message that only its browser can read, addressed and signed.
pub struct Sealed {
    endpoint: HttpsUrl,
    headers: HeaderMap,
    body: Bytes,
}

/// Whoever has the endpoint or the headers can send to the browser.
impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealed")
            .field("push_service", &self.push_service())
            .finish_non_exhaustive()
    }
}

impl Sealed {
    /// The host of the push service. The rest of the endpoint is a secret of the browser's.
    pub fn push_service(&self) -> String {
        self.endpoint.host()
    }

    /// Hands it to the push service.
    pub async fn send(self, outbound: &Outbound) -> Result<Posted, OutboundError> {
        outbound.post(&self.endpoint, self.headers, self.body).await
    }
}

/// Why a message was not sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The pair of keys cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The box has no pair of keys yet.
    #[error("expected a pair of keys for web push, found none")]
    NoPair,
    /// It cannot be encrypted for that browser, or signed.
    #[error(transparent)]
    WebPush(#[from] WebPushError),
}

impl Web {
    /// Why nothing is pushed; `None` while it is.
    pub fn push_off(&self) -> Option<PushOff> {
        match self.experiments.require(&[&WEB_PUSH]) {
            Err(off) => Some(PushOff::Experiment(off)),
            Ok(()) if self.outbound.egress() == Switch::Off => Some(PushOff::Egress),
            Ok(()) => None,
        }
    }

    /// Encrypts and signs `parcel` for `browser`. Takes about 100 µs of computing.
    ///
    /// # Panics
    /// Never: base64 can be a header.
    pub fn seal(
        &self,
        tx: &dyn Read,
        now: Timestamp,
        browser: &Subscription,
        parcel: &Parcel,
    ) -> Result<Sealed, SealError> {
        let receiver = Receiver {
            public_key: browser.keys.public_key().ok_or(WebPushError::PublicKey)?,
            auth: browser.keys.auth(),
        };
        let body = web_push::encrypt(receiver, &random(&*self.entropy), &parcel.payload)?;
        let voucher = self.vouchers.authorization(tx, now, &browser.endpoint)?;
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, voucher);
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("aes128gcm"));
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/octet-stream"),
        );
        headers.insert(TTL, HeaderValue::from(parcel.ttl.as_secs()));
        headers.insert(URGENCY, HeaderValue::from_static(parcel.urgency.as_str()));
        if let Some(topic) = &parcel.topic {
            let topic = HeaderValue::from_str(topic).expect("base64 can be a header");
            headers.insert(TOPIC, topic);
        }
        Ok(Sealed {
            endpoint: browser.endpoint.clone(),
            headers,
            body: body.into(),
        })
    }
}

/// What a push service's answer means for the message.
pub fn outcome(answer: &Result<Posted, OutboundError>) -> Outcome {
    let Ok(posted) = answer else {
        return Outcome::Later(None);
    };
    match posted.status {
        status if status.is_success() => Outcome::Delivered,
        // RFC 8030 §7.3: 404 says that the subscription has ended. Some push services say 410.
        StatusCode::NOT_FOUND | StatusCode::GONE => Outcome::Gone,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => {
            Outcome::Later(posted.retry_after)
        }
        status if status.is_server_error() => Outcome::Later(posted.retry_after),
        _ => Outcome::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_has_one_meaning() {
        let wait = Some(Duration::from_mins(2));
        for (status, expected) in [
            (200, Outcome::Delivered),
            (201, Outcome::Delivered),
            (202, Outcome::Delivered),
            (204, Outcome::Delivered),
            (301, Outcome::Refused),
            (307, Outcome::Refused),
            (400, Outcome::Refused),
            (401, Outcome::Refused),
            (403, Outcome::Refused),
            (404, Outcome::Gone),
            (408, Outcome::Later(wait)),
            (410, Outcome::Gone),
            (413, Outcome::Refused),
            (429, Outcome::Later(wait)),
            (500, Outcome::Later(wait)),
            (503, Outcome::Later(wait)),
        ] {
            let answer = Ok(Posted {
                status: StatusCode::from_u16(status).expect("a status"),
                retry_after: wait,
            });
            assert_eq!(outcome(&answer), expected, "{status}");
        }
        let none = Err(OutboundError::TooSlow);
        assert_eq!(outcome(&none), Outcome::Later(None));
    }
}
