//! The queue of pushes: who is told through it and when, and who finds it full.

use std::time::Duration;

use super::*;
use crate::{
    config::Switch,
    crypto::web_push::VapidKey,
    model::push::QueuedPush,
    store::{
        Table,
        pushes::{self, Line, QUEUE_MAX, QUEUE_PER_USER_MAX, SUBSCRIPTIONS_PER_USER_MAX},
    },
};

#[test]
fn a_message_is_queued_for_every_browser_and_leaves_when_it_is_settled() {
    let store = house();
    browser(&store, 5, ADA, 1);
    browser(&store, 6, ADA, 2);
    browser(&store, 7, BOB, 3);
    let (_, pushes) = told(tell(&store, 10, ADA, custom("x")));
    assert_eq!(pushes, 2);
    let found = due_at(&store, at(10));
    assert_eq!(found.len(), 2);
    for push in &found {
        assert!(seen(&store, |tx| parts(tx, at(10), push)).is_some());
    }
    let first = found[0].clone();
    assert_eq!(
        done(&store, 11, move |tx, act| settle(
            tx,
            act.by,
            &first,
            Outcome::Delivered
        )),
        None
    );
    let second = found[1].clone();
    let again = done(&store, 11, move |tx, act| {
        settle(
            tx,
            act.by,
            &second,
            Outcome::Later(Some(Duration::from_mins(1))),
        )
    });
    assert_eq!(again, Some(at(71)));
    assert_eq!(due_at(&store, at(70)), []);
    assert_eq!(due_at(&store, at(71))[0].attempts, 1);
}

#[test]
fn a_browser_that_is_gone_is_forgotten_and_no_other() {
    let store = house();
    let gone = browser(&store, 5, ADA, 1);
    let stays = browser(&store, 6, ADA, 2);
    told(tell(&store, 10, ADA, custom("x")));
    let found = due_at(&store, at(10));
    let to_gone = found.iter().find(|push| push.subscription_id == gone);
    let push = to_gone.expect("its message").clone();
    done(&store, 11, move |tx, act| {
        settle(tx, act.by, &push, Outcome::Gone)
    });
    let left = seen(&store, |tx| pushes::list_of_user(tx, id(ADA)));
    assert_eq!(left.iter().map(|one| one.id).collect::<Vec<_>>(), [stays]);
}

/// What is tried at `now`.
fn due_at(store: &Store, now: Timestamp) -> Vec<QueuedPush> {
    seen(store, |tx| due(tx, now, 10, |_| true)).pushes
}

/// When a message is tried again that did not go at `now`.
fn later_at(store: &Store, now: Timestamp, push: &QueuedPush) -> Option<Timestamp> {
    let push = push.clone();
    done(store, 11, move |tx, _| {
        let by = Origin::local(now, Actor::Keystead);
        settle(tx, &by, &push, Outcome::Later(None))
    })
}

#[test]
fn what_waits_for_another_of_its_browser_loses_no_try() {
    let store = house();
    let browser = browser(&store, 5, ADA, 1);
    for seconds in [10, 11] {
        told(tell(&store, seconds, ADA, custom("x")));
    }
    let push = due_at(&store, at(20)).remove(0);
    let first = seen(&store, |tx| pushes::first(tx, id(ADA), browser));
    assert_eq!(Some(&push), first.as_ref(), "the older");
    let waits = later_at(&store, at(20), &push).expect("another try");
    // What comes meanwhile waits as well.
    told(tell(&store, 21, ADA, custom("x")));
    let found = seen(&store, |tx| due(tx, at(21), 10, |_| true));
    assert_eq!((found.pushes, found.next_at), (vec![], Some(waits)));
    let again = due_at(&store, waits).remove(0);
    assert_eq!((again.id, again.attempts), (push.id, 1));
    let end = Timestamp::from_millis(again.expires_at.millis() - 1);
    let late = later_at(&store, end, &again);
    assert_eq!(late, None, "it would come too late");
    // The next one is not tried before it would have been.
    assert_eq!(due_at(&store, end), []);
    let next = due_at(&store, end.after(retry_after(2, None))).remove(0);
    assert_eq!(next.attempts, 0);
    assert_eq!(seen(&store, pushes::queue_len), 2);
}

/// Whoever was told the most waits behind whoever has waited longest since their last turn.
#[test]
fn everybody_has_a_turn_before_anybody_has_another() {
    let store = house();
    let of_ada = browser(&store, 5, ADA, 1);
    browser(&store, 5, BOB, 2);
    fill_the_queue(&store, ADA, [of_ada; QUEUE_PER_USER_MAX]);
    told(tell(&store, 11, BOB, custom("x")));
    let found = due_at(&store, at(12));
    let turns: Vec<_> = found.iter().map(|push| push.user_id).collect();
    assert_eq!(turns, [id(ADA), id(BOB)]);
    let first = found[0].clone();
    done(&store, 12, move |tx, act| {
        settle(tx, act.by, &first, Outcome::Delivered)
    });
    let next = seen(&store, |tx| due(tx, at(12), 1, |_| true));
    assert_eq!(next.pushes[0].user_id, id(BOB));
}

/// Lines of whoever has places already are passed over, and a look at nothing else has an end.
#[test]
fn a_look_passes_over_so_many_lines_and_no_more() {
    let store = house();
    let number = |number: usize| Id::from_bytes((number as u128).to_be_bytes());
    fill_the_queue(&store, BOB, (1..LINES_READ_MAX).map(number));
    browser(&store, 7, ADA, 1);
    told(tell(&store, 10, ADA, custom("x")));
    let found = || {
        let not_bobs = |line: &Line| line.user_id != id(BOB);
        seen(&store, |tx| due(tx, at(10), 1, not_bobs)).pushes.len()
    };
    assert_eq!(found(), 1);
    fill_the_queue(&store, BOB, [number(LINES_READ_MAX)]);
    assert_eq!(found(), 0);
}

#[test]
fn nothing_is_queued_while_push_is_off_or_sent_to_whom_may_not_sign_in() {
    let store = house();
    browser(&store, 5, ADA, 1);
    done(&store, 6, |tx, _| {
        switch_push(tx, Switch::Off);
        Ok(())
    });
    assert_eq!(told(tell(&store, 10, ADA, custom("x"))).1, 0);
    done(&store, 11, |tx, _| {
        switch_push(tx, Switch::On);
        Ok(())
    });
    assert_eq!(told(tell(&store, 12, ADA, custom("x"))).1, 1);
    let push = due_at(&store, at(12)).remove(0);
    done(&store, 13, |tx, _| {
        let mut ada = users::find(tx, id(ADA))?.expect("Ada");
        ada.disabled_at = Some(at(13));
        users::put(tx, &ada)
    });
    assert!(seen(&store, |tx| parts(tx, at(13), &push)).is_none());
}

#[test]
fn a_message_is_never_sent_after_its_time() {
    let store = house();
    browser(&store, 5, ADA, 1);
    told(tell(&store, 10, ADA, custom("x")));
    let end = at(10).after(PUSH_TTL);
    let found = due_at(&store, end);
    assert!(seen(&store, |tx| parts(tx, end, &found[0])).is_none());
    let push = found[0].clone();
    let almost = Timestamp::from_millis(end.millis() - 1);
    let again = later_at(&store, almost, &push);
    assert_eq!(again, None, "the next try would come too late");
    assert_eq!(seen(&store, pushes::queue_len), 0);
}

#[test]
fn tries_wait_longer_each_time_and_end() {
    assert_eq!(retry_after(1, None), Duration::from_secs(5));
    assert_eq!(retry_after(2, None), Duration::from_secs(10));
    assert_eq!(retry_after(40, None), Duration::from_hours(1));
    assert_eq!(
        retry_after(1, Some(Duration::from_secs(90))),
        Duration::from_secs(90)
    );
    let forever = Some(Duration::from_secs(u64::MAX));
    assert_eq!(retry_after(1, forever), Duration::from_hours(1));
    let store = house();
    browser(&store, 5, ADA, 1);
    told(tell(&store, 10, ADA, custom("x")));
    let mut now = at(10);
    for _ in 1..ATTEMPTS_MAX {
        let push = due_at(&store, now).remove(0);
        now = later_at(&store, now, &push).expect("another try");
    }
    let push = due_at(&store, now).remove(0);
    assert_eq!(later_at(&store, now, &push), None);
}

#[test]
fn an_endpoint_is_one_browser_and_a_user_has_not_too_many() {
    let store = house();
    browser(&store, 5, ADA, 1);
    browser(&store, 6, BOB, 1);
    assert_eq!(seen(&store, |tx| pushes::list_of_user(tx, id(ADA))), vec![]);
    let browsers = u16::try_from(SUBSCRIPTIONS_PER_USER_MAX).expect("few");
    for number in 0..=browsers {
        browser(&store, 10 + u64::from(number), ADA, 100 + number);
    }
    let left = seen(&store, |tx| pushes::list_of_user(tx, id(ADA)));
    assert_eq!(left.len(), SUBSCRIPTIONS_PER_USER_MAX);
    assert_eq!(left[0].endpoint.as_str(), "https://push.example/101");
}

#[test]
fn an_endpoint_is_https_short_and_names_a_browser() {
    assert!("https://push.example/x".parse::<Endpoint>().is_ok());
    let long = format!("https://push.example/{}", "a".repeat(Endpoint::LEN_MAX));
    for bad in [
        "http://push.example/x",
        "https://push.example/",
        "push",
        &long,
    ] {
        assert!(bad.parse::<Endpoint>().is_err(), "{bad}");
    }
}

#[test]
fn another_pair_of_keys_forgets_every_browser() {
    let store = house();
    browser(&store, 5, ADA, 1);
    let (first, kept) = done(&store, 10, |tx, _| {
        ensure_vapid(tx, VapidKey::generate().expect("a pair"))?;
        let first = vapid(tx)?;
        ensure_vapid(tx, VapidKey::generate().expect("a pair"))?;
        let kept = vapid(tx)?;
        Ok((first, kept))
    });
    assert!(first.is_some() && first == kept);
    assert_eq!(seen(&store, pushes::subscriptions_len), 0);
    browser(&store, 11, ADA, 1);
    let forgotten = done(&store, 12, |tx, act| {
        regenerate_vapid(tx, act.by, VapidKey::generate().expect("a pair"))
    });
    assert_eq!(forgotten, 1);
}

/// A message on its way to each of `reader`'s `browsers`.
fn fill_the_queue(store: &Store, reader: u8, browsers: impl IntoIterator<Item = Id>) {
    let browsers: Vec<Id> = browsers.into_iter().collect();
    done(store, 6, move |tx, act| {
        let mut browsers = browsers.into_iter();
        browsers.try_for_each(|browser| testing::enqueue(tx, act, id(reader), browser))
    });
}

/// Nothing is kept of what a client tells Ada, and what Keystead reports is in her inbox.
#[track_caller]
fn assert_full(store: &Store, why: Refused) {
    assert_eq!(tell(store, 10, ADA, custom("x")), Err(why));
    let reported = message(Template::UpstreamFailing, "files", vec![]);
    done(store, 11, move |tx, act| tell_owners(tx, act, &reported));
    assert_eq!(titles(store, ReadStatus::Unread), ["files does not answer"]);
}

#[test]
fn a_full_queue_refuses_a_client_and_keeps_nothing_that_keystead_reports_from_the_inbox() {
    let store = house();
    browser(&store, 5, ADA, 1);
    let browsers = (0..QUEUE_MAX as u128).map(|number| Id::from_bytes(number.to_be_bytes()));
    fill_the_queue(&store, BOB, browsers);
    assert_full(&store, Refused::QueueFull);
    // Who has no browser waits for no push service.
    told(tell(&store, 12, BOB, custom("x")));
}

/// One person's push services fill a hundredth of the queue at the most.
#[test]
fn a_queue_that_is_full_for_one_person_is_not_for_another() {
    let store = house();
    let first = browser(&store, 5, ADA, 1);
    browser(&store, 5, BOB, 2);
    fill_the_queue(&store, ADA, [first; QUEUE_PER_USER_MAX - 1]);
    // Each of her browsers counts, as each is told.
    let second = browser(&store, 7, ADA, 3);
    assert_full(&store, Refused::QueueOfUserFull);
    told(tell(&store, 12, BOB, custom("x")));
    let theirs = |reader| {
        seen(&store, |tx| {
            pushes::queue_len_of_user(tx, id(reader), QUEUE_MAX)
        })
    };
    // The browser of hers whose line is short is told what Keystead reports.
    assert_eq!((theirs(ADA), theirs(BOB)), (QUEUE_PER_USER_MAX, 1));
    let line = |browser| {
        seen(&store, |tx| {
            pushes::line_len(tx, id(ADA), browser, QUEUE_MAX)
        })
    };
    assert_eq!((line(first), line(second)), (QUEUE_PER_USER_MAX - 1, 1));
    // What was on its way to a browser goes with it, and leaves its room.
    done(&store, 13, move |tx, act| {
        let push = pushes::first(tx, id(ADA), first)?.expect("the first of them");
        settle(tx, act.by, &push, Outcome::Gone)
    });
    assert_eq!(theirs(ADA), 1);
    told(tell(&store, 14, ADA, custom("x")));
}

/// A box may start before it knows what time it is.
#[test]
fn what_waits_for_a_time_that_the_clock_took_back_is_due_with_the_next_message() {
    let store = house();
    browser(&store, 5, ADA, 1);
    told(tell(&store, 10, ADA, custom("x")));
    let push = due_at(&store, at(20)).remove(0);
    let ahead = at(20).after(Duration::from_hours(24 * 365));
    let by = Origin::local(ahead, Actor::Keystead);
    let waits = done(&store, 11, {
        let push = push.clone();
        move |tx, _| pushes::put_off(tx, &push, by.at, 1)
    });
    assert!(waits);
    assert_eq!(due_at(&store, at(30)), []);
    told(tell(&store, 31, ADA, custom("x")));
    let again = due_at(&store, at(31));
    assert_eq!((again[0].id, again.len()), (push.id, 1));
    let lines = seen(&store, |tx| tx.len(Table::PushLines));
    assert_eq!(lines, 1);
}

#[test]
fn a_browser_that_subscribes_again_keeps_what_is_on_its_way_to_it_unless_it_is_anothers_now() {
    let store = house();
    let before = browser(&store, 5, ADA, 1);
    told(tell(&store, 10, ADA, custom("x")));
    browser(&store, 11, ADA, 1);
    let found = due_at(&store, at(12));
    assert_eq!((found[0].subscription_id, found.len()), (before, 1));
    let now = at(12);
    assert!(seen(&store, |tx| parts(tx, now, &found[0])).is_some());
    browser(&store, 13, BOB, 1);
    assert_eq!(due_at(&store, at(14)), []);
    assert_eq!(seen(&store, pushes::queue_len), 0);
}

/// A damaged message stops nothing but itself.
#[test]
fn a_message_that_cannot_be_read_is_passed_over() {
    let store = house();
    let to = browser(&store, 5, ADA, 1);
    for seconds in [10, 11, 12] {
        told(tell(&store, seconds, ADA, custom("x")));
    }
    let all = seen(&store, |tx| pushes::queue_of_user(tx, id(ADA), 3));
    let [_, damaged, last] = &all[..] else {
        panic!("expected three, found {all:?}");
    };
    let key = [
        &id(ADA).as_bytes()[..],
        to.as_bytes(),
        damaged.id.as_bytes(),
    ]
    .concat();
    done(&store, 13, move |tx, _| {
        tx.put(Table::PushQueue, &key, b"damaged".to_vec());
        Ok(())
    });
    let first = due_at(&store, at(14)).remove(0);
    done(&store, 14, move |tx, act| {
        settle(tx, act.by, &first, Outcome::Delivered)
    });
    assert_eq!(due_at(&store, at(15))[0].id, last.id);
    // Keystead tells her of a sign-in all the same, and she can be removed.
    told(tell(&store, 16, ADA, custom("x")));
    done(&store, 17, |tx, _| pushes::remove_of_user(tx, id(ADA)));
    assert_eq!(seen(&store, pushes::queue_len), 0);
}
