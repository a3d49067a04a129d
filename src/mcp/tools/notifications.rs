//! The person's inbox.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    audit::Act,
    mcp::{
        person::Through,
        tools::{Call, ToolError, Typed, id_of, one_of},
    },
    model::{
        https_url::HttpsUrl,
        id::Id,
        notification::{
            Button, CONTENT_LEN_MAX, Link, LinkError, Notification, Sender, TITLE_LEN_MAX,
            Template, Urgency,
        },
    },
    notifications::{self, Filter, Message, ReadStatus, Refused},
    oauth2provider::Provider,
    store::{
        StoreError, WriteTx,
        notifications::{self as inbox, InboxEntry},
    },
};

/// The names of every urgency.
const URGENCIES: [&str; 4] = [
    Urgency::VeryLow.as_str(),
    Urgency::Low.as_str(),
    Urgency::Normal.as_str(),
    Urgency::High.as_str(),
];

/// Who tells the person something by a tool.
pub(super) struct Teller {
    pub(super) sender: Sender,
    /// Who has an allowance.
    id: Id,
    /// What tells its tasks apart from those of others.
    pub(super) task: Id,
}

impl Call {
    pub(super) fn teller(&self) -> Teller {
        match self.caller.person.through {
            Through::Client {
                client_id,
                grant_id,
            } => Teller {
                sender: Sender::Client(client_id),
                id: client_id,
                task: grant_id,
            },
            Through::Machine => Teller {
                sender: Sender::Administrator,
                id: self.reader(),
                task: self.reader(),
            },
        }
    }

    fn reader(&self) -> Id {
        self.caller.person.user.id
    }

    /// Has `work` tell the person something, if the client has not used up what it may.
    pub(super) async fn tell(
        self,
        work: impl FnOnce(
            &mut WriteTx<'_>,
            Act<'_>,
            Id,
        ) -> Result<Result<Notification, Refused>, StoreError>
        + Send
        + 'static,
    ) -> Result<Told, ToolError> {
        let (reader, Self { desk, caller }) = (self.reader(), self);
        let entropy = desk.entropy;
        let told = desk.store.write(move |tx| {
            let act = Act {
                now: caller.now,
                entropy: &*entropy,
                by: &caller.by,
            };
            work(tx, act, reader)
        });
        let told = told.await?.map_err(refused)?;
        Ok(Told {
            notification_id: told.id.to_string(),
        })
    }

    /// Takes one of the client's allowance.
    pub(super) fn take_allowance(&self) -> Result<(), ToolError> {
        let taken = (self.desk.allowance)(self.caller.now, self.teller().id, self.reader());
        taken.map_err(|seconds| {
            let words = "this person has been told as much as may be";
            ToolError::Later(format!("{words}: try again in {seconds} s"))
        })
    }
}

/// In the words of the arguments of these tools.
fn refused(refused: Refused) -> ToolError {
    let argument = refused.field().map(|field| match field {
        "content" => "body",
        "actions" => "link",
        other => other,
    });
    match argument {
        Some(name) => ToolError::Arguments(format!("{name}: {refused}")),
        None => ToolError::Later(refused.to_string()),
    }
}

/// Where the argument `link` leads.
pub(super) fn link_of(text: Option<String>) -> Result<Option<Link>, ToolError> {
    let parsed = text.map(|text| text.parse()).transpose();
    parsed.map_err(|error: LinkError| ToolError::Arguments(format!("link: {error}")))
}

/// What was told.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Told {
    /// The notification's identifier. A person who does not want to hear it does not get it.
    notification_id: String,
}

/// `notify_me`.
pub(super) struct NotifyMe;

/// What the person is to be told.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NotifyArguments {
    /// What it is, in one line.
    #[schemars(length(min = 1, max = TITLE_LEN_MAX))]
    title: String,
    /// More about it: text, or Markdown with emphasis, code, lists and links.
    #[serde(default)]
    #[schemars(length(max = CONTENT_LEN_MAX))]
    body: String,
    /// Where there is more: an https URL, or a path on this box.
    #[serde(default)]
    #[schemars(with = "String", length(max = HttpsUrl::LEN_MAX), extend("format" = "uri-reference"))]
    link: Option<String>,
    /// How soon the person should know; normal unless given.
    #[serde(default)]
    #[schemars(with = "String", extend("enum" = URGENCIES))]
    urgency: Option<String>,
}

impl Typed for NotifyMe {
    type Arguments = NotifyArguments;
    type Output = Told;

    async fn run(call: Call, arguments: NotifyArguments) -> Result<Told, ToolError> {
        let urgency = arguments
            .urgency
            .map(|name| one_of("urgency", &name, Urgency::find, &URGENCIES));
        let link = link_of(arguments.link)?;
        let message = Message {
            template: Template::Custom,
            targets: Vec::new(),
            title: arguments.title,
            content: arguments.body,
            actions: link.map(Button::open).into_iter().collect(),
            urgency: urgency.transpose()?.unwrap_or(Urgency::Normal),
            sender: call.teller().sender,
        };
        call.take_allowance()?;
        call.tell(move |tx, act, reader| notifications::hand_in(tx, act, reader, message))
            .await
    }
}

/// `list_notifications`.
pub(super) struct ListNotifications;

/// Which notifications to list.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListArguments {
    /// Which by whether they were read; all unless given.
    #[serde(default)]
    #[schemars(with = "String", extend("enum" = ["all", "read", "unread"]))]
    read_status: Option<String>,
    /// The identifier of the notification before which to go on; absent for the newest.
    #[serde(default)]
    #[schemars(with = "String", length(equal = Id::TEXT_LEN))]
    starting_before: Option<String>,
}

/// A page of the inbox.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Notifications {
    /// The notifications, newest first.
    notifications: Vec<ListedNotification>,
    /// How many the person has not read, on all pages.
    unread_count: u64,
}

/// A notification.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct ListedNotification {
    /// The notification's identifier.
    id: String,
    /// What kind of notification it is; custom is what an app says.
    template: &'static str,
    /// What it is, in one line.
    title: String,
    /// More about it, in Markdown.
    content: String,
    /// Where there is more.
    links: Vec<String>,
    /// When it was sent, RFC 3339.
    #[schemars(extend("format" = "date-time"))]
    created_at: String,
    /// When it was read, RFC 3339; absent if it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    read_at: Option<String>,
}

impl ListedNotification {
    fn new(provider: &Provider, entry: InboxEntry) -> Self {
        let InboxEntry {
            notification,
            read_at,
        } = entry;
        let links = notification.actions.iter();
        Self {
            id: notification.id.to_string(),
            template: notification.template.as_str(),
            links: links.map(|one| absolute(provider, &one.url)).collect(),
            title: notification.title,
            content: notification.content,
            created_at: notification.created_at.to_string(),
            read_at: read_at.map(|at| at.to_string()),
        }
    }
}

/// A path on the box is a URL for who is not there.
fn absolute(provider: &Provider, link: &Link) -> String {
    let text = link.as_str();
    if text.starts_with('/') {
        provider.public_url.join(text)
    } else {
        text.to_owned()
    }
}

fn read_status(name: &str) -> Option<ReadStatus> {
    match name {
        "all" => Some(ReadStatus::All),
        "read" => Some(ReadStatus::Read),
        "unread" => Some(ReadStatus::Unread),
        _ => None,
    }
}

impl Typed for ListNotifications {
    type Arguments = ListArguments;
    type Output = Notifications;

    async fn run(call: Call, arguments: ListArguments) -> Result<Notifications, ToolError> {
        let status = arguments.read_status.map(|name| {
            one_of(
                "read_status",
                &name,
                read_status,
                &["all", "read", "unread"],
            )
        });
        let before = arguments
            .starting_before
            .map(|id| id_of("starting_before", &id));
        let filter = Filter {
            read_status: status.transpose()?.unwrap_or_default(),
            starting_before: before.transpose()?,
            ..Filter::default()
        };
        let reader = call.reader();
        let page = call
            .desk
            .store
            .read(|tx| notifications::list(tx, reader, &filter))?;
        let entries = page.entries.into_iter();
        Ok(Notifications {
            notifications: entries
                .map(|entry| ListedNotification::new(&call.desk.provider, entry))
                .collect(),
            unread_count: page.unread_count,
        })
    }
}

/// `mark_notification_read`.
pub(super) struct MarkNotificationRead;

/// Which notification, and as what.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MarkArguments {
    /// The notification's identifier, as `list_notifications` shows it.
    #[schemars(length(equal = Id::TEXT_LEN))]
    notification_id: String,
    /// Whether it is to count as read; true unless given.
    #[serde(default = "yes")]
    is_read: bool,
}

const fn yes() -> bool {
    true
}

/// What became of it.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Marked {
    /// How many notifications the person has not read.
    unread_count: u64,
}

impl Typed for MarkNotificationRead {
    type Arguments = MarkArguments;
    type Output = Marked;

    async fn run(call: Call, arguments: MarkArguments) -> Result<Marked, ToolError> {
        let id = id_of("notification_id", &arguments.notification_id)?;
        let (reader, read_at) = (call.reader(), arguments.is_read.then_some(call.caller.now));
        let marked = call
            .desk
            .store
            .write(move |tx| -> Result<_, StoreError> {
                let is_theirs = inbox::set_read(tx, reader, id, read_at)?;
                Ok((is_theirs, inbox::counts(tx, reader)?.unread))
            })
            .await?;
        match marked {
            (true, unread_count) => Ok(Marked { unread_count }),
            (false, _) => Err(not_found(&arguments.notification_id)),
        }
    }
}

/// `delete_notification`.
pub(super) struct DeleteNotification;

/// Which notification to remove.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DeleteArguments {
    /// The notification's identifier, as `list_notifications` shows it.
    #[schemars(length(equal = Id::TEXT_LEN))]
    notification_id: String,
}

/// What became of it.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Deleted {
    /// Whether the notification has been removed.
    deleted: bool,
}

impl Typed for DeleteNotification {
    type Arguments = DeleteArguments;
    type Output = Deleted;

    async fn run(call: Call, arguments: DeleteArguments) -> Result<Deleted, ToolError> {
        let id = id_of("notification_id", &arguments.notification_id)?;
        let reader = call.reader();
        let deleted = call
            .desk
            .store
            .write(move |tx| inbox::remove(tx, reader, id))
            .await?;
        if deleted {
            Ok(Deleted { deleted })
        } else {
            Err(not_found(&arguments.notification_id))
        }
    }
}

/// One of somebody else and one that never was are answered alike.
fn not_found(text: &str) -> ToolError {
    ToolError::NotFound(format!(
        "no such notification: expected an id that list_notifications shows, found {text:?}"
    ))
}
