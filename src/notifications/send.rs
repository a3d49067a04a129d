//! Telling somebody something.

use crate::{
    audit::Act,
    model::{
        id::Id,
        notification::{
            ACTIONS_MAX, Button, CONTENT_LEN_MAX, LABEL_LEN_MAX, Methods, Notification, Sender,
            TARGETS_MAX, TITLE_LEN_MAX, Template, Urgency,
        },
    },
    notifications::{push, settings, templates},
    store::{StoreError, WriteTx, notifications, pushes, users},
};

/// Characters of somebody else's reason that are shown. Escaped, they still leave room for what the
/// template says.
const REASON_LEN_MAX: usize = 512;

/// What somebody is to be told.
#[derive(Clone, Debug)]
pub struct Message {
    /// What it is about.
    pub template: Template,
    /// Which clients, grants … it is about.
    pub targets: Vec<Id>,
    /// One line of text.
    pub title: String,
    /// Text in a small part of Markdown.
    pub content: String,
    /// What they can do next.
    pub actions: Vec<Button>,
    /// How soon.
    pub urgency: Urgency,
    /// Who says so.
    pub sender: Sender,
}

/// Why somebody is not told. Nothing was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no such user, or they may not sign in.
    #[error("expected a user of this box who may sign in, found none")]
    NoUser,
    /// No title, or too long a one.
    #[error("expected 1 to {TITLE_LEN_MAX} characters on one line, found {found}")]
    Title {
        /// Its characters.
        found: usize,
    },
    /// A title that is not one line.
    #[error(
        "expected 1 to {TITLE_LEN_MAX} characters on one line, found a line break or another \
         control character"
    )]
    TitleLine,
    /// Too long a content.
    #[error("expected at most {CONTENT_LEN_MAX} characters, found {found}")]
    Content {
        /// Its characters.
        found: usize,
    },
    /// Too many buttons.
    #[error("expected at most {ACTIONS_MAX}, found {found}")]
    Actions {
        /// How many.
        found: usize,
    },
    /// No label, or too long a one.
    #[error("expected labels of 1 to {LABEL_LEN_MAX} characters on one line, found {found}")]
    Label {
        /// Its characters.
        found: usize,
    },
    /// A label that is not one line.
    #[error(
        "expected labels of 1 to {LABEL_LEN_MAX} characters on one line, found a line break or \
         another control character"
    )]
    LabelLine,
    /// It is about too many things.
    #[error("expected at most {TARGETS_MAX}, found {found}")]
    Targets {
        /// How many.
        found: usize,
    },
    /// As many messages wait for push services as may.
    #[error("so many messages wait for push services that no other is taken: try again later")]
    QueueFull,
    /// As many messages to this person wait as may.
    #[error(
        "so many messages to this person wait for push services that no other is taken: try again \
         later"
    )]
    QueueOfUserFull,
}

impl Refused {
    /// The part of the message that does not fit, if it is one.
    pub const fn field(self) -> Option<&'static str> {
        match self {
            Self::Title { .. } | Self::TitleLine => Some("title"),
            Self::Content { .. } => Some("content"),
            Self::Actions { .. } | Self::Label { .. } | Self::LabelLine => Some("actions"),
            Self::Targets { .. } => Some("targets"),
            Self::NoUser | Self::QueueFull | Self::QueueOfUserFull => None,
        }
    }
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// It is in their inbox, and on its way to as many browsers.
    Kept {
        /// The notification.
        notification: Box<Notification>,
        /// Browsers.
        pushes: usize,
    },
    /// They have muted the client, or switched this template off.
    Unwanted,
}

/// What Keystead says of `about` by `template`.
#[expect(
    clippy::missing_panics_doc,
    reason = "every path of the table is a link: the table's own test parses them"
)]
pub fn message(template: Template, about: &str, targets: Vec<Id>) -> Message {
    let row = templates::row(template);
    let cut = |text: String, max| text.chars().take(max).collect();
    let button = row.button.map(|(label, path)| Button {
        label: label.to_owned(),
        url: path.parse().expect("the table's paths are links"),
    });
    Message {
        template,
        targets,
        title: cut(
            row.title
                .replace("{}", about)
                .replace(char::is_control, " "),
            TITLE_LEN_MAX,
        ),
        content: cut(row.body.replace("{}", &as_text(about)), CONTENT_LEN_MAX),
        actions: button.into_iter().collect(),
        urgency: row.urgency,
        sender: Sender::Keystead,
    }
}

impl Message {
    /// With `why`, in somebody else's words, after its own.
    #[must_use]
    pub fn because(mut self, why: &str) -> Self {
        let why: String = why.chars().take(REASON_LEN_MAX).collect();
        self.content.push_str("\n\nThe last time: ");
        self.content.push_str(&as_text(&why));
        self
    }
}

/// `text` in Markdown that shows it and nothing else: a client chooses its own name.
pub(super) fn as_text(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        // CommonMark §2.4: any ASCII punctuation may be escaped.
        if c.is_ascii_punctuation() {
            escaped.push('\\');
        }
        escaped.push(if c.is_control() { ' ' } else { c });
    }
    escaped
}

/// Tells `user_id`: in the inbox, and by push to every browser of theirs, as they want it.
pub fn send(
    tx: &mut WriteTx<'_>,
    act: Act<'_>,
    user_id: Id,
    message: Message,
) -> Result<Result<Told, Refused>, StoreError> {
    deliver(tx, act, user_id, message, Delivery::Refusable)
}

/// Tells `user_id` what Keystead itself reports; in the inbox at least, whatever the queue has.
///
/// Whom it cannot be told, such as a user who may not sign in, is not told: it has happened all the
/// same.
pub fn report(
    tx: &mut WriteTx<'_>,
    act: Act<'_>,
    user_id: Id,
    message: Message,
) -> Result<(), StoreError> {
    deliver(tx, act, user_id, message, Delivery::Reported).map(drop)
}

/// As [`send()`], for a sender that does not learn whether the person wants to hear it: what they
/// do not want is answered as it would have been, and kept nowhere.
pub fn hand_in(
    tx: &mut WriteTx<'_>,
    act: Act<'_>,
    user_id: Id,
    message: Message,
) -> Result<Result<Notification, Refused>, StoreError> {
    hand_in_as(tx, act, user_id, message, Delivery::Refusable)
}

pub(super) fn hand_in_as(
    tx: &mut WriteTx<'_>,
    act: Act<'_>,
    user_id: Id,
    message: Message,
    delivery: Delivery,
) -> Result<Result<Notification, Refused>, StoreError> {
    let outcome = deliver(tx, act, user_id, message.clone(), delivery)?;
    Ok(outcome.map(|told| match told {
        Told::Kept { notification, .. } => *notification,
        Told::Unwanted => entry(act, user_id, message),
    }))
}

/// How a message gets to its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    /// As they want; without room in the queue of pushes nothing is kept, and whoever sends it is
    /// told.
    Refusable,
    /// As they want; without room in the queue of pushes the inbox has it.
    Reported,
    /// It stands in the inbox as if they had read it, and calls nobody.
    Quiet,
}

fn deliver(
    tx: &mut WriteTx<'_>,
    act: Act<'_>,
    user_id: Id,
    message: Message,
    delivery: Delivery,
) -> Result<Result<Told, Refused>, StoreError> {
    if let Err(refused) = check(&message) {
        return Ok(Err(refused));
    }
    let user = users::find(tx, user_id)?.filter(|user| user.disabled_at.is_none());
    if user.is_none() {
        return Ok(Err(Refused::NoUser));
    }
    let settings = notifications::settings(tx, user_id)?;
    let is_muted = matches!(message.sender, Sender::Client(id) if settings.muted.contains(&id));
    let wanted = settings::methods(&settings, message.template);
    let mut methods = match delivery {
        Delivery::Refusable | Delivery::Reported => wanted,
        Delivery::Quiet => Methods {
            push: false,
            ..wanted
        },
    };
    if is_muted || !(methods.inbox || methods.push) {
        return Ok(Ok(Told::Unwanted));
    }
    let mut browsers = if methods.push && push::is_on(tx)? {
        pushes::list_of_user(tx, user_id)?
    } else {
        Vec::new()
    };
    // Before anything is written: a refusal leaves nothing behind.
    if let Some(full) = push::lacks_room(tx, user_id, browsers.len())? {
        if delivery != Delivery::Reported {
            return Ok(Err(full));
        }
        // What has happened on this box can be told to nobody again, so the inbox has it at least,
        // whatever else they want.
        let all = browsers.len();
        browsers = push::told_all_the_same(tx, &full, browsers)?;
        let left_out = all - browsers.len();
        tracing::warn!(%user_id, left_out, %full, "browsers are not told what the inbox has");
        methods.inbox = true;
    }
    let notification = entry(act, user_id, message);
    notifications::add(tx, &notification)?;
    if !methods.inbox || delivery == Delivery::Quiet {
        // A push is made from the entry when it is due, so there is one; it waits for nobody.
        notifications::set_read(tx, user_id, notification.id, Some(act.now))?;
    }
    push::fan_out(tx, act, &notification, &browsers)?;
    Ok(Ok(Told::Kept {
        notification: Box::new(notification),
        pushes: browsers.len(),
    }))
}

/// What `message` is in the inbox of `user_id`.
fn entry(act: Act<'_>, user_id: Id, message: Message) -> Notification {
    Notification {
        id: Id::generate(act.now, act.entropy),
        user_id,
        template: message.template,
        targets: message.targets,
        title: message.title,
        content: message.content,
        actions: message.actions,
        urgency: message.urgency,
        sender: message.sender,
        created_at: act.now,
    }
}

fn check(message: &Message) -> Result<(), Refused> {
    let found = message.title.trim().chars().count();
    if found == 0 || found > TITLE_LEN_MAX {
        return Err(Refused::Title { found });
    }
    if message.title.contains(char::is_control) {
        return Err(Refused::TitleLine);
    }
    let found = message.content.chars().count();
    if found > CONTENT_LEN_MAX {
        return Err(Refused::Content { found });
    }
    let found = message.actions.len();
    if found > ACTIONS_MAX {
        return Err(Refused::Actions { found });
    }
    for button in &message.actions {
        let found = button.label.trim().chars().count();
        if found == 0 || found > LABEL_LEN_MAX {
            return Err(Refused::Label { found });
        }
        if button.label.contains(char::is_control) {
            return Err(Refused::LabelLine);
        }
    }
    let found = message.targets.len();
    if found > TARGETS_MAX {
        return Err(Refused::Targets { found });
    }
    Ok(())
}
