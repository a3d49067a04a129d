//! An inbox: who finds what in it, in which order, and what is refused.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::{
    model::notification::{CONTENT_LEN_MAX, Methods, TITLE_LEN_MAX},
    store::notifications::{self, NOTIFICATIONS_PER_USER_MAX},
};

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
