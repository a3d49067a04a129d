//! How far a task is.

use super::*;
use crate::{
    model::notification::Notification,
    store::{notifications, pushes},
};

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
