//! `/api/v2/users/{user}/webpush`: the browsers that want a person's notifications pushed.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::StatusCode;
use tokio::task::spawn_blocking;

use crate::{
    crypto::web_push::WebPushError,
    http::{
        request::{Head, Request},
        response::{Response, empty},
    },
    model::{
        id::Id,
        notification::Template,
        oauth2::scope::WEBPUSH_WRITE,
        push::{PushKeys, PushKeysError, Subscription},
        timestamp::Timestamp,
    },
    notifications::{self, Endpoint, Outcome, message, send},
    store::{StoreError, pushes},
    web::{
        Web,
        api::{caller::ApiCaller, error::ApiRefusal, fields::Fields},
        push::{Parcel, PushOff, SealError, outcome},
        throttle::{self, Subject},
    },
};

/// Bytes of a subscription at the most.
pub const WEBPUSH_BODY_BYTES_MAX: usize = 4 * 1024;
/// How a path names whoever calls.
const ME: &str = "me";
const ENDPOINT: &str = "endpoint";
const AUTH_KEY: &str = "auth_key";
const P256DH_KEY: &str = "p256dh_key";
const FULL: &str = "expected room for another browser, found none on this box";
const CHANGED: &str = "expected your sign-in and the keys of this box to stay as they were while the \
     browser was tried out, found another: subscribe again";

/// `POST …/subscription`: a browser, once it took a test message.
pub async fn subscribe(
    web: Arc<Web>,
    request: Request,
    caller: ApiCaller,
) -> Result<Response, ApiRefusal> {
    let head = &request.head;
    admit(&web, head, &caller)?;
    let (endpoint, keys) = browser(&request)?;
    check_often(&web, head, &caller)?;
    let by = caller.origin(head);
    let act = web.moment(&by).act();
    let subscription = notifications::subscription(act, caller.user.id, endpoint, keys);
    let shown = web.shown(head, &caller, WEBPUSH_WRITE);
    let shown = shown.ok_or_else(|| ApiRefusal::conflict(CHANGED))?;
    let pair = web.store.read(|tx| notifications::vapid(tx))?;
    try_out(&web, head.now, subscription.clone()).await?;
    let judge = Arc::clone(&web);
    let kept = web.write(by, move |tx, moment| {
        // The test took its time: who signed out or was removed meanwhile, or made the box another
        // pair of keys, is heard.
        let is_as_before = judge.is_still_good(tx, &shown)? && notifications::vapid(tx)? == pair;
        if !is_as_before {
            return Ok(Err(CHANGED));
        }
        let kept = notifications::subscribe(tx, moment.by, &subscription)?;
        Ok::<_, StoreError>(if kept { Ok(()) } else { Err(FULL) })
    });
    match kept.await? {
        Ok(()) => Ok(empty(StatusCode::NO_CONTENT)),
        Err(why) => Err(ApiRefusal::conflict(why)),
    }
}

/// `DELETE …/subscription`: a browser no more. One that is not the caller's is not there.
pub async fn unsubscribe(
    web: Arc<Web>,
    request: Request,
    caller: ApiCaller,
) -> Result<Response, ApiRefusal> {
    check_experiment(&web)?;
    check_user(&request.head, &caller)?;
    let mut fields = Fields::parse(&request)?;
    fields.expect_only(&[ENDPOINT], &[AUTH_KEY, P256DH_KEY]);
    let endpoint = read_endpoint(&mut fields);
    fields.finish()?;
    let endpoint = endpoint.ok_or_else(ApiRefusal::not_found)?;
    let removed = web.write(caller.origin(&request.head), move |tx, moment| {
        notifications::unsubscribe(tx, moment.by, caller.user.id, &endpoint)
    });
    if removed.await? {
        Ok(empty(StatusCode::NO_CONTENT))
    } else {
        Err(ApiRefusal::not_found())
    }
}

/// `POST …/test`: a notification, to the inbox and to every browser.
pub async fn test(
    web: Arc<Web>,
    request: Request,
    caller: ApiCaller,
) -> Result<Response, ApiRefusal> {
    let head = &request.head;
    admit(&web, head, &caller)?;
    check_often(&web, head, &caller)?;
    let sent = web.write(caller.origin(head), move |tx, moment| {
        if pushes::list_of_user(tx, caller.user.id)?.is_empty() {
            return Ok::<_, StoreError>(None);
        }
        let test = message(Template::Test, "", Vec::new());
        send(tx, moment.act(), caller.user.id, test).map(Some)
    });
    match sent.await? {
        Some(Ok(_)) => Ok(empty(StatusCode::NO_CONTENT)),
        Some(Err(refused)) => Err(refused.into()),
        None => {
            let none = "expected a browser that wants notifications, found none";
            Err(ApiRefusal::conflict(none))
        }
    }
}

/// Lets through who may have something pushed here.
fn admit(web: &Web, head: &Head, caller: &ApiCaller) -> Result<(), ApiRefusal> {
    check_experiment(web)?;
    check_user(head, caller)?;
    match web.push_off() {
        None => Ok(()),
        Some(off) => Err(ApiRefusal::conflict(off.to_string())),
    }
}

/// A browser can be forgotten although nothing is pushed now, but not of a feature that is off.
fn check_experiment(web: &Web) -> Result<(), ApiRefusal> {
    match web.push_off() {
        Some(PushOff::Experiment(off)) => Err(ApiRefusal::off(&off)),
        Some(PushOff::Egress) | None => Ok(()),
    }
}

/// Another's browsers are not there.
fn check_user(head: &Head, caller: &ApiCaller) -> Result<(), ApiRefusal> {
    let named = head.capture("user").unwrap_or_default();
    if named == ME || named.parse::<Id>() == Ok(caller.user.id) {
        Ok(())
    } else {
        Err(ApiRefusal::not_found())
    }
}

/// Each call makes this server call another one.
fn check_often(web: &Web, head: &Head, caller: &ApiCaller) -> Result<(), ApiRefusal> {
    let name = caller.user.name.to_string();
    let (endpoint, subject) = (throttle::Endpoint::WebPush, Subject::Account(&name));
    let checked = web.throttle.check(head.now, endpoint, subject);
    checked.map_err(|wait| {
        let refusal = ApiRefusal::new(StatusCode::TOO_MANY_REQUESTS, "Too many requests.");
        refusal.retried_after(wait.seconds)
    })
}

fn browser(request: &Request) -> Result<(Endpoint, PushKeys), ApiRefusal> {
    let mut fields = Fields::parse(request)?;
    fields.expect_only(&[ENDPOINT, AUTH_KEY, P256DH_KEY], &[]);
    let endpoint = read_endpoint(&mut fields);
    let auth = read_key(&mut fields, AUTH_KEY);
    let p256dh = read_key(&mut fields, P256DH_KEY);
    let keys = p256dh.zip(auth).and_then(|(p256dh, auth)| {
        let keys = PushKeys::new(&p256dh, &auth);
        let field = |error: &PushKeysError| match error {
            PushKeysError::P256dh { .. } => P256DH_KEY,
            PushKeysError::Auth { .. } => AUTH_KEY,
        };
        keys.map_err(|error| fields.refuse(field(&error), error))
            .ok()
    });
    fields.finish()?;
    // What is missing was refused above.
    endpoint.zip(keys).ok_or_else(ApiRefusal::not_found)
}

fn read_endpoint(fields: &mut Fields) -> Option<Endpoint> {
    require(fields, ENDPOINT);
    fields.read(ENDPOINT, str::parse)
}

fn read_key(fields: &mut Fields, name: &str) -> Option<Vec<u8>> {
    require(fields, name);
    fields.read(name, |text| {
        let decoded = URL_SAFE_NO_PAD.decode(text);
        decoded.map_err(|_| "expected base64url without padding, as a browser gives it")
    })
}

fn require(fields: &mut Fields, name: &str) {
    if !fields.has(name) {
        fields.refuse(name, "expected a text, found none");
    }
}

/// Sends a test message, which the push service has to take.
async fn try_out(
    web: &Arc<Web>,
    now: Timestamp,
    subscription: Subscription,
) -> Result<(), ApiRefusal> {
    let sealing = Arc::clone(web);
    let sealed = spawn_blocking(move || {
        let parcel = Parcel::test();
        let store = Arc::clone(&sealing.store);
        store.read(|tx| sealing.seal(tx, now, &subscription, &parcel))
    });
    let sealed = match sealed.await.unwrap_or(Err(StoreError::Panicked.into())) {
        Ok(sealed) => sealed,
        Err(SealError::WebPush(WebPushError::PublicKey)) => {
            let detail = WebPushError::PublicKey.to_string();
            return Err(ApiRefusal::invalid(P256DH_KEY, detail));
        }
        Err(SealError::Store(fault)) => return Err(fault.into()),
        Err(other) => return Err(ApiRefusal::conflict(other.to_string())),
    };
    let answer = sealed.send(&web.outbound).await;
    if outcome(&answer) == Outcome::Delivered {
        return Ok(());
    }
    let why = match answer {
        Err(error) => error.to_string(),
        Ok(posted) => format!(
            "expected the push service to take a test message, found status {}",
            posted.status.as_u16()
        ),
    };
    Err(ApiRefusal::invalid(ENDPOINT, why))
}
