//! Push: who wants it, what is on its way, and what becomes of it.
//!
//! A message leaves the queue only once its push service has answered, so that it is delivered at
//! least once; what has lost its worth is dropped and never sent late.

use std::{str::FromStr, time::Duration};

use crate::{
    audit::{self, Act},
    config::Switch,
    model::{
        audit::{Action, Change, Object, Origin},
        https_url::{HttpsUrl, HttpsUrlError},
        id::Id,
        notification::Notification,
        push::{PushKeys, QueuedPush, Subscription},
        timestamp::Timestamp,
    },
    notifications::Refused,
    store::{
        Read, StoreError, WriteTx, meta, notifications,
        pushes::{
            self, Line, QUEUE_PER_USER_MAX, SUBSCRIPTIONS_MAX, SUBSCRIPTIONS_PER_USER_MAX, WAIT_MAX,
        },
        users,
    },
};

/// How long a message is worth anything: what the push service is told as its TTL, too.
pub const PUSH_TTL: Duration = Duration::from_hours(24);
/// How often a message is tried at the most.
pub const ATTEMPTS_MAX: u32 = 12;
/// Lines that are read in one go.
const LINES_STEP: usize = 64;
/// Lines that a look reads at the most.
pub const LINES_READ_MAX: usize = 2_048;
/// The wait before the second try; it doubles with each.
const RETRY_FIRST: Duration = Duration::from_secs(5);
/// Messages that wait for a browser at the most for it to be told what Keystead reports, where its
/// person has as many on their way as they may: it is not the one that fails.
const SHORT_LINE_MAX: usize = QUEUE_PER_USER_MAX / SUBSCRIPTIONS_PER_USER_MAX;

/// Where a push service takes messages for one browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(HttpsUrl);

/// Why a text is no such place. An address that must not be called is found when it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Longer than any push service makes them.
    #[error("expected at most {max} bytes, found {found}", max = Endpoint::LEN_MAX)]
    Length {
        /// Its bytes.
        found: usize,
    },
    /// Not an https URL.
    #[error(transparent)]
    Url(#[from] HttpsUrlError),
    /// It names a server and no browser.
    #[error("expected the address of one browser at its push service, found the service alone")]
    NoPath,
}

impl Endpoint {
    /// Bytes of an endpoint at the most.
    pub const LEN_MAX: usize = 1_024;
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let found = text.len();
        if found > Self::LEN_MAX {
            return Err(EndpointError::Length { found });
        }
        let url: HttpsUrl = text.parse()?;
        let parts = url.to_url();
        if parts.path() == "/" && parts.query().is_none() {
            return Err(EndpointError::NoPath);
        }
        Ok(Self(url))
    }
}

/// A subscription of `user_id` as it will be kept; nothing is written yet, so that a test push can
/// be sent first.
pub fn subscription(act: Act<'_>, user_id: Id, endpoint: Endpoint, keys: PushKeys) -> Subscription {
    Subscription {
        id: Id::generate(act.now, act.entropy),
        user_id,
        endpoint: endpoint.0,
        keys,
        created_at: act.now,
    }
}

/// Keeps a browser that took its test push. `false` if there is no room for another.
///
/// An endpoint is one browser's: whoever subscribed it before no longer is.
pub fn subscribe(
    tx: &mut WriteTx<'_>,
    by: &Origin,
    subscription: &Subscription,
) -> Result<bool, StoreError> {
    let is_known = pushes::find_by_endpoint(tx, &subscription.endpoint)?.is_some();
    if !is_known && pushes::subscriptions_len(tx)? >= SUBSCRIPTIONS_MAX as u64 {
        return Ok(false);
    }
    pushes::add(tx, subscription)?;
    record(tx, by, Action::PushSubscribed, subscription)?;
    Ok(true)
}

/// Forgets the browser at `endpoint`. `false` if it is not one of `user_id`.
pub fn unsubscribe(
    tx: &mut WriteTx<'_>,
    by: &Origin,
    user_id: Id,
    endpoint: &Endpoint,
) -> Result<bool, StoreError> {
    let found = pushes::find_by_endpoint(tx, &endpoint.0)?;
    match found.filter(|found| found.user_id == user_id) {
        None => Ok(false),
        Some(subscription) => {
            forget(tx, by, &subscription)?;
            Ok(true)
        }
    }
}

fn forget(tx: &mut WriteTx<'_>, by: &Origin, browser: &Subscription) -> Result<(), StoreError> {
    pushes::remove(tx, browser)?;
    record(tx, by, Action::PushUnsubscribed, browser)
}

/// Whoever has an endpoint can send to it, so of that only the push service is written down.
fn record(
    tx: &mut WriteTx<'_>,
    by: &Origin,
    action: Action,
    browser: &Subscription,
) -> Result<(), StoreError> {
    let service = Change::to("push_service", &browser.endpoint.host());
    audit::record(tx, by, action, Object::User(browser.user_id), [service])
}

/// Whether anything is pushed at all; while it is not, nothing is put in the queue.
pub fn is_on(tx: &dyn Read) -> Result<bool, StoreError> {
    Ok(!meta::is_push_off(tx)?)
}

/// Writes down whether anything is pushed, as the server was started: a command that finds no
/// server has to know it, too.
pub fn switch_push(tx: &mut WriteTx<'_>, push: Switch) {
    meta::put_push(tx, push);
}

/// Why a message for so many `browsers` of `user_id` finds no room in the queue, if it finds none.
pub(super) fn lacks_room(
    tx: &dyn Read,
    user_id: Id,
    browsers: usize,
) -> Result<Option<Refused>, StoreError> {
    if browsers == 0 {
        return Ok(None);
    }
    let after = pushes::queue_len(tx)?.saturating_add(browsers as u64);
    if after > pushes::QUEUE_MAX as u64 {
        return Ok(Some(Refused::QueueFull));
    }
    let theirs = pushes::queue_len_of_user(tx, user_id, QUEUE_PER_USER_MAX)?;
    Ok((theirs + browsers > QUEUE_PER_USER_MAX).then_some(Refused::QueueOfUserFull))
}

/// Those of `browsers` that are told what Keystead reports although there is no room for what others
/// say, for which `full` is the reason.
pub(super) fn told_all_the_same(
    tx: &dyn Read,
    full: &Refused,
    mut browsers: Vec<Subscription>,
) -> Result<Vec<Subscription>, StoreError> {
    if *full != Refused::QueueOfUserFull {
        return Ok(Vec::new());
    }
    let mut fault = None;
    browsers.retain(|browser| {
        let line = pushes::line_len(tx, browser.user_id, browser.id, SHORT_LINE_MAX);
        line.map_err(|error| fault = Some(error))
            .is_ok_and(|len| len < SHORT_LINE_MAX)
    });
    fault.map_or(Ok(browsers), Err)
}

/// Sends `notification` off to each of `browsers`.
pub(super) fn fan_out(
    tx: &mut WriteTx<'_>,
    act: Act<'_>,
    notification: &Notification,
    browsers: &[Subscription],
) -> Result<(), StoreError> {
    for browser in browsers {
        let push = QueuedPush {
            id: Id::generate(act.now, act.entropy),
            due_at: act.now,
            user_id: notification.user_id,
            subscription_id: browser.id,
            notification_id: notification.id,
            attempts: 0,
            expires_at: act.now.after(PUSH_TTL),
        };
        pushes::enqueue(tx, &push)?;
    }
    Ok(())
}

/// What a look into the queue found.
#[derive(Debug, PartialEq, Eq)]
pub struct Due {
    /// What is to be tried now, those first that have waited longest.
    pub pushes: Vec<QueuedPush>,
    /// When something else is due.
    pub next_at: Option<Timestamp>,
}

/// Up to `limit` messages that are due at `now`, one for a browser, of the lines that `is_wanted`
/// lets through.
///
/// A line is one row, however long it is, so that a look costs as much as there are lines that are
/// due and not wanted, and what it finds.
pub fn due(
    tx: &dyn Read,
    now: Timestamp,
    limit: usize,
    mut is_wanted: impl FnMut(&Line) -> bool,
) -> Result<Due, StoreError> {
    let mut pushes = Vec::new();
    let mut last = None;
    let mut read = 0;
    while pushes.len() < limit && read < LINES_READ_MAX {
        let lines = pushes::list_due(tx, now, last.as_ref(), LINES_STEP)?;
        let Some(end) = lines.last() else { break };
        last = Some(*end);
        read += lines.len();
        for line in lines {
            if pushes.len() < limit && is_wanted(&line) {
                pushes.extend(pushes::first(tx, line.user_id, line.subscription_id)?);
            }
        }
    }
    let next_at = pushes::next_due_at(tx, now)?;
    Ok(Due { pushes, next_at })
}

/// To whom `push` goes, and what it says. None if the browser, its person or the notification is
/// gone, or the time of it is over: then there is nothing to send.
pub fn parts(
    tx: &dyn Read,
    now: Timestamp,
    push: &QueuedPush,
) -> Result<Option<(Subscription, Notification)>, StoreError> {
    let user = users::find(tx, push.user_id)?.filter(|user| user.disabled_at.is_none());
    if user.is_none() || push.expires_at.has_passed(now) {
        return Ok(None);
    }
    let browser = pushes::find(tx, push.user_id, push.subscription_id)?;
    Ok(browser.zip(notifications::find(tx, push.notification_id)?))
}

/// What became of a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The push service took it.
    Delivered,
    /// The push service no longer knows the browser (RFC 8030 §7.3).
    Gone,
    /// It may go better later; after that time, if the push service said so.
    Later(Option<Duration>),
    /// It will never go.
    Refused,
    /// There was nothing to send.
    Nothing,
}

/// Writes down what became of a try. When it is tried again, if it is.
///
/// Whatever else is for the browser waits as long; after any other outcome it is due now, behind
/// everybody whose turn it has not been.
pub fn settle(
    tx: &mut WriteTx<'_>,
    by: &Origin,
    push: &QueuedPush,
    outcome: Outcome,
) -> Result<Option<Timestamp>, StoreError> {
    match outcome {
        Outcome::Delivered | Outcome::Refused | Outcome::Nothing => {
            pushes::take(tx, push, by.at)?;
            Ok(None)
        }
        Outcome::Gone => {
            if let Some(browser) = pushes::find(tx, push.user_id, push.subscription_id)? {
                forget(tx, by, &browser)?;
            }
            Ok(None)
        }
        Outcome::Later(asked) => {
            let attempts = push.attempts.saturating_add(1);
            let due_at = by.at.after(retry_after(attempts, asked));
            if attempts >= ATTEMPTS_MAX || push.expires_at.has_passed(due_at) {
                pushes::take(tx, push, due_at)?;
                return Ok(None);
            }
            let is_there = pushes::put_off(tx, push, due_at, attempts)?;
            Ok(is_there.then_some(due_at))
        }
    }
}

/// How long a message that failed `attempts` times waits: longer each time, at least as long as
/// the push service `asked` for, and never longer than an hour.
pub fn retry_after(attempts: u32, asked: Option<Duration>) -> Duration {
    let doublings = attempts.saturating_sub(1).min(16);
    let own = RETRY_FIRST.saturating_mul(1 << doublings);
    own.max(asked.unwrap_or_default()).min(WAIT_MAX)
}

/// The pair by which push services know this box. A box without one gets `generated`, and forgets
/// every browser, for each subscribed to another.
pub fn ensure_vapid(tx: &mut WriteTx<'_>, generated: Vec<u8>) -> Result<(), StoreError> {
    if meta::vapid(tx)?.is_none() {
        put_vapid(tx, generated)?;
    }
    Ok(())
}

/// Puts `generated` in the place of the pair, and forgets every browser. How many those were.
pub fn regenerate_vapid(
    tx: &mut WriteTx<'_>,
    by: &Origin,
    generated: Vec<u8>,
) -> Result<usize, StoreError> {
    let forgotten = put_vapid(tx, generated)?;
    let subscriptions = Change::to("subscriptions_removed", &forgotten);
    audit::record(
        tx,
        by,
        Action::VapidRegenerated,
        Object::Box,
        [subscriptions],
    )?;
    Ok(forgotten)
}

fn put_vapid(tx: &mut WriteTx<'_>, generated: Vec<u8>) -> Result<usize, StoreError> {
    let forgotten = pushes::remove_all(tx)?;
    meta::put_vapid(tx, generated);
    Ok(forgotten)
}

/// The pair by which push services know this box, in PKCS #8, if it has one.
pub fn vapid(tx: &dyn Read) -> Result<Option<Vec<u8>>, StoreError> {
    meta::vapid(tx)
}
