//! For tests: browsers that were never tried out, and people to whom no more can be sent.

use crate::{
    audit::Act,
    model::{
        id::Id,
        push::{PushKeys, QueuedPush},
    },
    notifications::{PUSH_TTL, subscribe, subscription},
    store::{
        StoreError, WriteTx,
        pushes::{self, QUEUE_PER_USER_MAX},
    },
};

/// A browser of `user_id`, whose number nobody else's has.
pub(crate) fn browser(
    tx: &mut WriteTx<'_>,
    act: Act<'_>,
    user_id: Id,
    number: u16,
) -> Result<Id, StoreError> {
    let mut point = [1; 65];
    point[0] = 4;
    let keys = PushKeys::new(&point, &[2; 16]).expect("keys");
    let endpoint = format!("https://push.example/{number}");
    let endpoint = endpoint.parse().expect("an endpoint");
    let subscription = subscription(act, user_id, endpoint, keys);
    assert!(subscribe(tx, act.by, &subscription)?);
    Ok(subscription.id)
}

/// A message about nothing to one of `user_id`'s browsers.
pub(crate) fn enqueue(
    tx: &mut WriteTx<'_>,
    act: Act<'_>,
    user_id: Id,
    browser: Id,
) -> Result<(), StoreError> {
    let push = QueuedPush {
        id: Id::generate(act.now, act.entropy),
        due_at: act.now,
        user_id,
        subscription_id: browser,
        notification_id: Id::generate(act.now, act.entropy),
        attempts: 0,
        expires_at: act.now.after(PUSH_TTL),
    };
    pushes::enqueue(tx, &push)
}

/// A browser of `user_id`, and as many messages to it as may be on their way to one person.
pub(crate) fn fill_queue(
    tx: &mut WriteTx<'_>,
    act: Act<'_>,
    user_id: Id,
) -> Result<(), StoreError> {
    let browser = browser(tx, act, user_id, 0)?;
    (0..QUEUE_PER_USER_MAX).try_for_each(|_| enqueue(tx, act, user_id, browser))
}
