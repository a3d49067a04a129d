//! What is told, to whom, and what is on its way to their browsers.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::{
    audit::{self, Act},
    config::Switch,
    crypto::{digest::Digest, web_push::VapidKey},
    model::{
        audit::{Action, Actor, Change, Object, Origin},
        id::Id,
        notification::{
            CONTENT_LEN_MAX, Methods, Notification, Sender, TITLE_LEN_MAX, Template, Urgency,
        },
        push::{PushKeys, QueuedPush},
        session::Session,
        timestamp::Timestamp,
        user::{Role, User},
    },
    runtime::entropy::SeededEntropy,
    store::{
        Read, Store, StoreError, WriteTx,
        notifications::{self, NOTIFICATIONS_PER_USER_MAX},
        pushes::{self, QUEUE_MAX, SUBSCRIPTIONS_PER_USER_MAX},
        sessions, users,
    },
};

const ADA: u8 = 1;
const BOB: u8 = 2;

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

fn id(number: u8) -> Id {
    let mut bytes = [0; 16];
    bytes[15] = number;
    Id::from_bytes(bytes)
}

fn person(number: u8, name: &str, role: Role) -> User {
    User {
        id: id(number),
        name: name.parse().expect("a name"),
        password_hash: "$argon2id$".to_owned(),
        role,
        created_at: at(1),
        last_sign_in_at: None,
        disabled_at: None,
    }
}

/// A store with Ada, its owner, and Bob.
fn house() -> Store {
    let store = Store::in_memory(&SeededEntropy::new(1)).expect("memory");
    let added = store.write(|tx| {
        users::put(tx, &person(ADA, "ada", Role::Owner))?;
        users::put(tx, &person(BOB, "bob", Role::Member))
    });
    added
        .wait()
        .map_err(|error: StoreError| error)
        .expect("two people");
    store
}

fn done<T: Send + 'static>(
    store: &Store,
    seconds: u64,
    work: impl FnOnce(&mut WriteTx<'_>, Act<'_>) -> Result<T, StoreError> + Send + 'static,
) -> T {
    let write = store.write(move |tx| {
        let by = Origin::local(at(seconds), Actor::Keystead);
        let entropy = SeededEntropy::new(seconds);
        let act = Act {
            now: at(seconds),
            entropy: &entropy,
            by: &by,
        };
        work(tx, act)
    });
    write.wait().expect("a write")
}

fn seen<T>(store: &Store, work: impl FnOnce(&dyn Read) -> Result<T, StoreError>) -> T {
    store.read(|tx| work(tx)).expect("a read")
}

fn custom(title: &str) -> Message {
    Message {
        template: Template::Custom,
        targets: vec![],
        title: title.to_owned(),
        content: String::new(),
        actions: vec![],
        urgency: Urgency::Normal,
        sender: Sender::Client(id(9)),
    }
}

fn tell(store: &Store, seconds: u64, reader: u8, message: Message) -> Result<Told, Refused> {
    done(store, seconds, move |tx, act| {
        send(tx, act, id(reader), message)
    })
}

fn told(outcome: Result<Told, Refused>) -> (Id, usize) {
    match outcome.expect("told") {
        Told::Kept {
            notification,
            pushes,
        } => (notification.id, pushes),
        Told::Unwanted => panic!("expected it to be wanted"),
    }
}

fn browser(store: &Store, seconds: u64, reader: u8, number: u16) -> Id {
    done(store, seconds, move |tx, act| {
        let mut point = [1; 65];
        point[0] = 4;
        let keys = PushKeys::new(&point, &[2; 16]).expect("keys");
        let endpoint = format!("https://push.example/{number}");
        let endpoint = endpoint.parse().expect("an endpoint");
        let subscription = subscription(act, id(reader), endpoint, keys);
        assert!(subscribe(tx, act.by, &subscription)?);
        Ok(subscription.id)
    })
}

#[test]
fn a_message_stands_in_its_readers_inbox_and_in_no_others() {
    let store = house();
    let (told, _) = told(tell(&store, 10, ADA, custom("Hello")));
    let page = seen(&store, |tx| list(tx, id(ADA), &Filter::default()));
    assert_eq!(page.unread_count, 1);
    assert_eq!(page.entries[0].notification.title, "Hello");
    let others = seen(&store, |tx| list(tx, id(BOB), &Filter::default()));
    assert_eq!((others.entries.len(), others.unread_count), (0, 0));
    let foreign = done(&store, 11, move |tx, act| {
        Ok((
            notifications::set_read(tx, id(BOB), told, Some(act.now))?,
            notifications::remove(tx, id(BOB), told)?,
        ))
    });
    assert_eq!(foreign, (false, false));
}

#[test]
fn what_does_not_fit_is_refused_and_leaves_nothing() {
    let store = house();
    let long = "a".repeat(TITLE_LEN_MAX + 1);
    let content = Message {
        content: "a".repeat(CONTENT_LEN_MAX + 1),
        ..custom("x")
    };
    let targets = Message {
        targets: vec![id(1); 9],
        ..custom("x")
    };
    let found = TITLE_LEN_MAX + 1;
    for (message, refused) in [
        (custom(&long), Refused::Title { found }),
        (custom(" "), Refused::Title { found: 0 }),
        (custom("a\nb"), Refused::TitleLine),
        (
            content,
            Refused::Content {
                found: CONTENT_LEN_MAX + 1,
            },
        ),
        (targets, Refused::Targets { found: 9 }),
    ] {
        assert_eq!(tell(&store, 10, ADA, message), Err(refused));
    }
    assert_eq!(tell(&store, 10, 77, custom("x")), Err(Refused::NoUser));
    assert_eq!(
        seen(&store, |tx| notifications::counts(tx, id(ADA))).total,
        0
    );
}

#[test]
fn a_muted_client_and_a_template_that_is_off_tell_nobody() {
    let store = house();
    assert!(done(&store, 5, |tx, _| mute(tx, id(ADA), id(9))));
    assert_eq!(tell(&store, 10, ADA, custom("x")), Ok(Told::Unwanted));
    done(&store, 11, |tx, _| unmute(tx, id(ADA), id(9)));
    told(tell(&store, 12, ADA, custom("x")));
    let off = Methods {
        inbox: false,
        push: false,
    };
    done(&store, 13, move |tx, _| {
        switch(tx, id(ADA), Template::Custom, off)
    });
    assert_eq!(tell(&store, 14, ADA, custom("x")), Ok(Told::Unwanted));
    let default = row(Template::Custom).default;
    done(&store, 15, move |tx, _| {
        switch(tx, id(ADA), Template::Custom, default)
    });
    told(tell(&store, 16, ADA, custom("x")));
    let settings = seen(&store, |tx| notifications::settings(tx, id(ADA)));
    assert_eq!(settings.switched, vec![], "the default is not kept");
}

#[test]
fn a_full_inbox_ends_the_oldest_that_was_read() {
    let store = house();
    let (first, second) = done(&store, 10, |tx, act| {
        let mut ids = Vec::new();
        for number in 0..NOTIFICATIONS_PER_USER_MAX {
            let now = act.now.after(Duration::from_millis(number as u64));
            let act = Act { now, ..act };
            let told = send(tx, act, id(ADA), custom("x"))?;
            if let Ok(Told::Kept { notification, .. }) = told {
                ids.push(notification.id);
            }
        }
        notifications::set_read(tx, id(ADA), ids[1], Some(act.now))?;
        Ok((ids[0], ids[1]))
    });
    told(tell(&store, 100, ADA, custom("one more")));
    let (counts, first, second) = seen(&store, |tx| {
        Ok((
            notifications::counts(tx, id(ADA))?,
            notifications::find_of_user(tx, id(ADA), first)?,
            notifications::find_of_user(tx, id(ADA), second)?,
        ))
    });
    assert_eq!(counts.total, NOTIFICATIONS_PER_USER_MAX as u64);
    assert!(first.is_some() && second.is_none());
}

proptest! {
    /// Whatever the filter, following the cursor shows each entry that fits once, newest first.
    #[test]
    fn the_cursor_visits_every_entry_once_in_order(
        templates in proptest::collection::vec(0_usize..3, 0..90),
        read in proptest::collection::vec(any::<bool>(), 90),
        wanted in proptest::option::of(0_usize..3),
        status in 0_usize..3,
    ) {
        let kinds = [Template::Custom, Template::Test, Template::GrantGiven];
        let store = house();
        let model = done(&store, 10, move |tx, act| {
            let mut model = Vec::new();
            for (number, kind) in templates.iter().enumerate() {
                let now = act.now.after(Duration::from_millis(number as u64));
                let message = Message { template: kinds[*kind], ..custom("x") };
                let told = send(tx, Act { now, ..act }, id(ADA), message)?;
                let Ok(Told::Kept { notification, .. }) = told else { continue };
                if read[number] {
                    notifications::set_read(tx, id(ADA), notification.id, Some(now))?;
                }
                model.push((notification.id, *kind, read[number]));
            }
            Ok(model)
        });
        let status = [ReadStatus::All, ReadStatus::Read, ReadStatus::Unread][status];
        let mut expected: Vec<Id> = model
            .iter()
            .filter(|(_, kind, _)| wanted.is_none_or(|wanted| wanted == *kind))
            .filter(|(.., read)| match status {
                ReadStatus::All => true,
                ReadStatus::Read => *read,
                ReadStatus::Unread => !*read,
            })
            .map(|(id, ..)| *id)
            .collect();
        expected.sort_unstable_by(|a, b| b.cmp(a));
        let mut filter = Filter {
            templates: wanted.map(|kind| kinds[kind]).into_iter().collect(),
            read_status: status,
            ..Filter::default()
        };
        let mut visited = Vec::new();
        loop {
            let page = seen(&store, |tx| list(tx, id(ADA), &filter));
            prop_assert!(page.entries.len() <= PAGE_LEN);
            let unread = model.iter().filter(|(.., read)| !read).count();
            prop_assert_eq!(page.unread_count, unread as u64);
            let Some(last) = page.entries.last() else { break };
            filter.starting_before = Some(last.notification.id);
            visited.extend(page.entries.iter().map(|entry| entry.notification.id));
        }
        prop_assert_eq!(visited, expected);
    }
}

#[test]
fn all_are_marked_as_read_in_steps() {
    let store = house();
    let steps = done(&store, 10, |tx, act| {
        for number in 0..600_u64 {
            let now = act.now.after(Duration::from_millis(number));
            send(tx, Act { now, ..act }, id(ADA), custom("x"))?.expect("told");
        }
        let (mut before, mut steps) = (None, 1);
        while let Some(next) = notifications::mark_all_read(tx, id(ADA), before, act.now)? {
            before = Some(next);
            steps += 1;
        }
        Ok(steps)
    });
    assert_eq!(steps, 3);
    assert_eq!(
        seen(&store, |tx| notifications::counts(tx, id(ADA))).unread,
        0
    );
}

#[test]
fn a_message_is_queued_for_every_browser_and_leaves_when_it_is_settled() {
    let store = house();
    browser(&store, 5, ADA, 1);
    browser(&store, 6, ADA, 2);
    browser(&store, 7, BOB, 3);
    let (_, pushes) = told(tell(&store, 10, ADA, custom("x")));
    assert_eq!(pushes, 2);
    let found = seen(&store, |tx| due(tx, at(10), None, 10));
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
    assert_eq!(seen(&store, |tx| due(tx, at(70), None, 10)).len(), 0);
    let later = seen(&store, |tx| due(tx, at(71), None, 10));
    assert_eq!(later[0].attempts, 1);
}

#[test]
fn a_browser_that_is_gone_is_forgotten_and_no_other() {
    let store = house();
    let gone = browser(&store, 5, ADA, 1);
    let stays = browser(&store, 6, ADA, 2);
    told(tell(&store, 10, ADA, custom("x")));
    let found = seen(&store, |tx| due(tx, at(10), None, 10));
    let to_gone = found.iter().find(|push| push.subscription_id == gone);
    let push = to_gone.expect("its message").clone();
    done(&store, 11, move |tx, act| {
        settle(tx, act.by, &push, Outcome::Gone)
    });
    let left = seen(&store, |tx| pushes::list_of_user(tx, id(ADA)));
    assert_eq!(left.iter().map(|one| one.id).collect::<Vec<_>>(), [stays]);
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
    browser(&store, 5, ADA, 1);
    told(tell(&store, 10, ADA, custom("x")));
    let push = seen(&store, |tx| due(tx, at(10), None, 1))[0].clone();
    let waits = done(&store, 11, {
        let push = push.clone();
        move |tx, _| postpone(tx, &push, at(60))
    });
    assert_eq!(waits, Some(at(60)));
    assert_eq!(seen(&store, |tx| next_due_at(tx, at(10))), Some(at(60)));
    let found = seen(&store, |tx| due(tx, at(60), None, 2));
    let expected = QueuedPush {
        due_at: at(60),
        ..push
    };
    assert_eq!(found, [expected]);
    let end = at(10).after(PUSH_TTL);
    let late = done(&store, 61, move |tx, _| postpone(tx, &found[0], end));
    assert_eq!(late, None, "it would come too late");
    assert_eq!(seen(&store, pushes::queue_len), 0);
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
    let push = seen(&store, |tx| due(tx, at(12), None, 1))[0].clone();
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
    let found = seen(&store, |tx| due(tx, end, None, 10));
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
        let found = seen(&store, |tx| due(tx, now, None, 1));
        let push = found[0].clone();
        now = later_at(&store, now, &push).expect("another try");
    }
    let push = seen(&store, |tx| due(tx, now, None, 1))[0].clone();
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

fn session(number: u8, browser: &str) -> Session {
    Session {
        id: id(number),
        digest: Digest::of(&[number]),
        user_id: id(ADA),
        created_at: at(5),
        last_seen_at: at(5),
        idle_expires_at: at(500),
        expires_at: at(500),
        browser: browser.to_owned(),
        address: "192.0.2.7".to_owned(),
    }
}

/// Signs Ada in from `browser`, and says of what she is told.
fn sign_in(store: &Store, seconds: u64, number: u8, browser: &str) -> Vec<String> {
    let session = session(number, browser);
    done(store, seconds, move |tx, act| {
        sessions::add(tx, &session)?;
        let object = Object::Session(session.id);
        audit::record(tx, act.by, Action::SessionOpened, object, [])?;
        react(tx, act)
    });
    let page = seen(store, |tx| list(tx, id(ADA), &Filter::default()));
    let titles = page.entries.into_iter().map(|entry| entry.notification);
    titles.map(|notification| notification.content).collect()
}

#[test]
fn a_browser_is_reported_the_first_time_but_not_the_very_first() {
    let store = house();
    assert_eq!(sign_in(&store, 10, 11, "Firefox"), Vec::<String>::new());
    assert_eq!(sign_in(&store, 11, 12, "Firefox"), Vec::<String>::new());
    let told = sign_in(&store, 12, 13, "<b>Evil</b> [x](https://evil.example)");
    assert_eq!(told.len(), 1);
    // What a browser calls itself is shown and never read as Markdown.
    assert!(
        told[0].contains(r"\<b\>Evil\<\/b\> \[x\]\(https\:"),
        "{}",
        told[0]
    );
}

#[test]
fn owners_hear_of_a_secret_and_a_person_of_their_replayed_token() {
    let store = house();
    done(&store, 10, |tx, act| {
        let client = Change::to("client_id", &id(9));
        let object = Object::Secret(id(8));
        audit::record(tx, act.by, Action::SecretRemoved, object, [client.clone()])?;
        let object = Object::Family(id(7));
        let changes = [client, Change::to("user_id", &id(BOB))];
        audit::record(tx, act.by, Action::TokenReplayed, object, changes)?;
        react(tx, act)
    });
    for (reader, template) in [
        (ADA, Template::SecretRemoved),
        (BOB, Template::TokenReplayed),
    ] {
        let page = seen(&store, |tx| list(tx, id(reader), &Filter::default()));
        let told: Vec<_> = page
            .entries
            .iter()
            .map(|entry| entry.notification.template)
            .collect();
        assert_eq!(told, [template]);
    }
}

fn task(state: TaskState, task: u8, summary: &str) -> Report {
    Report {
        summary: summary.parse().expect("a summary"),
        state,
        link: Some("https://ci.example/7".parse().expect("a link")),
        sender: Sender::Client(id(9)),
        task: id(task),
    }
}

fn told_of(store: &Store, seconds: u64, what: Report) -> Notification {
    let told = done(store, seconds, move |tx, act| {
        report_task(tx, act, id(ADA), &what)
    });
    told.expect("told")
}

fn titles(store: &Store, read_status: ReadStatus) -> Vec<String> {
    let filter = Filter {
        read_status,
        ..Filter::default()
    };
    let page = seen(store, |tx| list(tx, id(ADA), &filter));
    let titles = page.entries.into_iter().map(|entry| entry.notification);
    titles.map(|notification| notification.title).collect()
}

#[test]
fn of_a_task_that_goes_on_only_the_latest_state_stands_and_calls_nobody() {
    use TaskState::{Complete, Failure, Idle, Working};
    let store = house();
    browser(&store, 5, ADA, 1);
    told_of(&store, 10, task(Working, 20, "tidying"));
    told_of(&store, 11, task(Working, 21, "another task"));
    told_of(&store, 12, task(Idle, 20, "waiting for you"));
    let standing = ["Idle: waiting for you", "Working: another task"];
    assert_eq!(titles(&store, ReadStatus::Read), standing);
    assert_eq!(titles(&store, ReadStatus::Unread), [""; 0]);
    assert_eq!(seen(&store, pushes::queue_len), 0);
    let ended = told_of(&store, 13, task(Complete, 20, "tidied"));
    assert_eq!(ended.actions[0].label, "Open");
    told_of(&store, 14, task(Failure, 20, "could not tidy more"));
    assert_eq!(titles(&store, ReadStatus::Read), ["Working: another task"]);
    // What has ended stays until its reader removes it.
    told_of(&store, 15, task(Working, 20, "tidying again"));
    let ended = ["Failed: could not tidy more", "Done: tidied"];
    assert_eq!(titles(&store, ReadStatus::Unread), ended);
    assert_eq!(seen(&store, pushes::queue_len), 2);
}

#[test]
fn a_task_takes_the_place_of_nothing_else() {
    let store = house();
    let quiet = Message {
        urgency: Urgency::VeryLow,
        ..custom("no task")
    };
    told(tell(&store, 10, ADA, quiet.clone()));
    let of_another = Message {
        targets: vec![id(20)],
        sender: Sender::Client(id(8)),
        ..quiet
    };
    told(tell(&store, 11, ADA, of_another));
    told_of(&store, 12, task(TaskState::Working, 20, "tidying"));
    assert_eq!(titles(&store, ReadStatus::Unread), ["no task"; 2]);
}

#[test]
fn a_summary_is_one_bounded_line() {
    let long = "a".repeat(SUMMARY_LEN_MAX + 1);
    for bad in ["", "  ", "a\nb", &long] {
        assert!(bad.parse::<Summary>().is_err(), "{bad:?}");
    }
    assert!(long[1..].parse::<Summary>().is_ok());
}

/// Whoever is muted hears the same as everybody else.
#[test]
fn a_muted_sender_is_answered_as_any_other() {
    let store = house();
    assert!(done(&store, 5, |tx, _| mute(tx, id(ADA), id(9))));
    let sent = done(&store, 10, |tx, act| {
        hand_in(tx, act, id(ADA), custom("Hello"))
    });
    assert_eq!(sent.expect("taken").title, "Hello");
    told_of(&store, 11, task(TaskState::Working, 20, "tidying"));
    told_of(&store, 12, task(TaskState::Failure, 20, "gave up"));
    let counts = seen(&store, |tx| notifications::counts(tx, id(ADA)));
    assert_eq!(counts.total, 0);
}

fn fill_the_queue(store: &Store) {
    done(store, 6, |tx, act| {
        let waiting = QueuedPush {
            id: id(99),
            due_at: act.now,
            user_id: id(BOB),
            subscription_id: id(98),
            notification_id: id(97),
            attempts: 0,
            expires_at: act.now.after(PUSH_TTL),
        };
        for _ in 0..QUEUE_MAX {
            let id = Id::generate(act.now, act.entropy);
            pushes::enqueue(
                tx,
                &QueuedPush {
                    id,
                    ..waiting.clone()
                },
            )?;
        }
        Ok(())
    });
}

#[test]
fn a_full_queue_refuses_a_client_and_keeps_nothing_that_keystead_reports_from_the_inbox() {
    let store = house();
    browser(&store, 5, ADA, 1);
    fill_the_queue(&store);
    assert_eq!(tell(&store, 10, ADA, custom("x")), Err(Refused::QueueFull));
    let reported = message(Template::UpstreamFailing, "files", vec![]);
    done(&store, 11, move |tx, act| tell_owners(tx, act, &reported));
    assert_eq!(
        titles(&store, ReadStatus::Unread),
        ["files does not answer"]
    );
    // Who has no browser waits for no push service.
    told(tell(&store, 12, BOB, custom("x")));
}

/// What stands before the text of a push names everybody but the box itself.
#[test]
fn whoever_speaks_for_somebody_else_is_named() {
    let store = house();
    let gone = format!("The app {}", id(9));
    for (sender, words) in [
        (Sender::Keystead, None),
        (Sender::Administrator, Some("A program on this box")),
        (Sender::Person(id(BOB)), Some("The person bob")),
        (Sender::Person(id(7)), Some("Somebody who is gone")),
        (Sender::Client(id(9)), Some(gone.as_str())),
    ] {
        let found = seen(&store, |tx| said_by(tx, sender));
        assert_eq!(found.as_deref(), words, "{sender:?}");
    }
}
