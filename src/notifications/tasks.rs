//! How far a task is that somebody's software does for them.
//!
//! A task that has ended is told as anything else. One that goes on is one entry of the inbox, which
//! calls nobody, and in whose place the next report of the same task comes: the latest state is all
//! that is kept of it.

use std::str::FromStr;

use crate::{
    audit::Act,
    model::{
        id::Id,
        notification::{Button, Link, Notification, Sender, Template, Urgency},
    },
    notifications::send::{Delivery, Message, Refused, hand_in_as},
    store::{Read, StoreError, WriteTx, notifications},
};

/// Characters of a summary at the most.
pub const SUMMARY_LEN_MAX: usize = 160;
/// The newest rows of an inbox among which an earlier report is looked for; an older one stays.
const ROWS_SEEN: usize = 128;
/// What tells the entry of a task that goes on from others about it.
const GOING_ON: Urgency = Urgency::VeryLow;

/// What a task is about, in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary(String);

/// A text is no such line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected 1 to {SUMMARY_LEN_MAX} characters on one line, found {found}")]
pub struct SummaryError {
    found: usize,
}

impl FromStr for Summary {
    type Err = SummaryError;

    fn from_str(text: &str) -> Result<Self, SummaryError> {
        let text = text.trim();
        let found = text.chars().count();
        if found == 0 || found > SUMMARY_LEN_MAX || text.contains(char::is_control) {
            return Err(SummaryError { found });
        }
        Ok(Self(text.to_owned()))
    }
}

/// How far a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskState {
    /// It goes on.
    Working,
    /// Nothing happens, for now.
    Idle,
    /// It is done.
    Complete,
    /// It was given up.
    Failure,
}

impl TaskState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Working, Self::Idle, Self::Complete, Self::Failure];

    /// Its name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Working => "working",
            Self::Idle => "idle",
            Self::Complete => "complete",
            Self::Failure => "failure",
        }
    }

    /// The state of that name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == name)
    }

    /// The word before the summary.
    const fn word(self) -> &'static str {
        match self {
            Self::Working => "Working",
            Self::Idle => "Idle",
            Self::Complete => "Done",
            Self::Failure => "Failed",
        }
    }

    const fn urgency(self) -> Urgency {
        match self {
            Self::Working | Self::Idle => GOING_ON,
            Self::Complete => Urgency::Normal,
            Self::Failure => Urgency::High,
        }
    }
}

/// How far a task is, and who says so.
#[derive(Clone, Debug)]
pub struct Report {
    /// What it is about.
    pub summary: Summary,
    /// How far it is.
    pub state: TaskState,
    /// Where there is more.
    pub link: Option<Link>,
    /// Who says so.
    pub sender: Sender,
    /// What tells the tasks of one sender apart: the grant that it works under.
    pub task: Id,
}

impl Report {
    fn message(&self) -> Message {
        let button = self.link.clone().map(Button::open);
        Message {
            template: Template::Custom,
            targets: vec![self.task],
            title: format!("{}: {}", self.state.word(), self.summary.0),
            content: String::new(),
            actions: button.into_iter().collect(),
            urgency: self.state.urgency(),
            sender: self.sender,
        }
    }
}

/// Tells `user_id` how far a task is, in the place of what was said of it while it went on. The
/// sender does not learn whether they want to hear it.
pub fn report_task(
    tx: &mut WriteTx<'_>,
    act: Act<'_>,
    user_id: Id,
    report: &Report,
) -> Result<Result<Notification, Refused>, StoreError> {
    let delivery = if report.state.urgency() == GOING_ON {
        Delivery::Quiet
    } else {
        Delivery::Refusable
    };
    let earlier = earlier(tx, user_id, report)?;
    let told = hand_in_as(tx, act, user_id, report.message(), delivery)?;
    if let (Ok(_), Some(earlier)) = (&told, earlier) {
        notifications::remove(tx, user_id, earlier)?;
    }
    Ok(told)
}

/// What was last said of the task, if it went on then.
fn earlier(tx: &dyn Read, user_id: Id, report: &Report) -> Result<Option<Id>, StoreError> {
    for row in notifications::rows_before(tx, user_id, None, ROWS_SEEN)? {
        let Some(notification) = notifications::find(tx, row.id)? else {
            continue;
        };
        if notification.sender == report.sender
            && notification.targets == [report.task]
            && notification.urgency == GOING_ON
        {
            return Ok(Some(row.id));
        }
    }
    Ok(None)
}
