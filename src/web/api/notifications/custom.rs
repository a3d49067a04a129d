//! `/api/v2/notifications/custom`: what a client, or somebody, tells a person.

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use serde_json::{Map, Value};

use crate::{
    http::{
        request::{Head, Request},
        response::{Response, json},
    },
    model::{
        audit::{Actor, Origin},
        id::{Id, NotAnId},
        notification::{ACTIONS_MAX, Button, Notification, Sender, TARGETS_MAX, Template, Urgency},
        user::Role,
    },
    notifications::{self, Message, Refused},
    store::notifications::InboxEntry,
    web::{
        Web,
        api::{
            caller::ShownBy,
            error::ApiRefusal,
            fields::{Fields, quoted},
            notifications::{Format, Item},
        },
        credentials::{Caller, by},
        throttle::{Endpoint, Subject},
    },
};

/// How long a sender is asked to wait where too many messages wait for push services: about as
/// long as those of a minute's outage need to leave.
const QUEUE_WAIT: Duration = Duration::from_secs(30);
/// What a body may have.
const FIELDS: [&str; 6] = [
    "user_id", "title", "content", "actions", "targets", "urgency",
];

/// `POST`: 201, whether or not the person wants to hear it.
pub async fn post(web: Arc<Web>, request: Request, caller: Caller) -> Response {
    let sent = send(&web, &request, &caller).await;
    sent.map_or_else(ApiRefusal::into_response, |notification| {
        // Whether it counts as read is between the person and their inbox.
        let entry = InboxEntry {
            notification,
            read_at: None,
        };
        json(StatusCode::CREATED, &Item::new(&entry, Format::Markdown))
    })
}

async fn send(web: &Web, request: &Request, caller: &Caller) -> Result<Notification, ApiRefusal> {
    let Some(source) = Source::of(caller, &request.head) else {
        // The route asks for one of these; if none was found, nothing is done.
        return Err(ApiRefusal::new(StatusCode::UNAUTHORIZED, "Unauthorized."));
    };
    let (reader, message) = read(request, source.sender)?;
    let reader = source.reader(reader)?;
    let allowance = Subject::Sender(source.id, reader);
    web.throttle
        .check(request.head.now, Endpoint::Notification, allowance)
        .map_err(|wait| {
            ApiRefusal::too_often(wait.seconds, "this person has been told as much as may be")
        })?;
    let sent = web.write(source.by, move |tx, moment| {
        notifications::hand_in(tx, moment.act(), reader, message)
    });
    sent.await?.map_err(ApiRefusal::from)
}

/// Who sends.
struct Source {
    sender: Sender,
    /// The client, or the person where there is none: who has an allowance.
    id: Id,
    by: Origin,
    /// Whose inbox it is where none is named.
    own: Option<Id>,
    readers: Readers,
}

/// Whose inboxes somebody may write to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Readers {
    /// Everybody's: who sends is an owner, or a client that an administrator gave the scope.
    Everybody,
    /// Their own.
    Oneself,
}

impl Source {
    fn of(caller: &Caller, head: &Head) -> Option<Self> {
        match caller {
            Caller::Client(client) => Some(Self {
                sender: Sender::Client(client.client_id),
                id: client.client_id,
                by: by(head, Actor::Client(client.client_id)),
                own: None,
                readers: Readers::Everybody,
            }),
            Caller::Api(caller) => {
                let (sender, id) = match caller.by {
                    ShownBy::Session(_) => (Sender::Person(caller.user.id), caller.user.id),
                    ShownBy::Token { client_id, .. } => (Sender::Client(client_id), client_id),
                };
                Some(Self {
                    sender,
                    id,
                    by: caller.origin(head),
                    own: Some(caller.user.id),
                    readers: match caller.user.role {
                        Role::Owner => Readers::Everybody,
                        Role::Member => Readers::Oneself,
                    },
                })
            }
            Caller::Anyone | Caller::Visitor(_) | Caller::Bearer(_) => None,
        }
    }

    /// Whose inbox it is, where `asked` is named. One that is not theirs to write to and one that
    /// there is not are answered alike.
    fn reader(&self, asked: Option<Id>) -> Result<Id, ApiRefusal> {
        let missing = "expected the id of a user, since a client has no inbox of its own";
        let reader = asked.or(self.own);
        let reader = reader.ok_or_else(|| ApiRefusal::invalid("user_id", missing))?;
        match self.readers {
            Readers::Oneself if Some(reader) != self.own => Err(ApiRefusal::not_found()),
            _ => Ok(reader),
        }
    }
}

/// Whom it is for, if that is said, and what it says.
fn read(request: &Request, sender: Sender) -> Result<(Option<Id>, Message), ApiRefusal> {
    let mut fields = Fields::parse(request)?;
    fields.expect_only(&FIELDS, &[]);
    let text = |text: &str| Ok::<_, String>(text.to_owned());
    let reader = fields.read("user_id", |text| {
        let refused = |error: NotAnId| {
            let found = quoted(text);
            format!("{error}, found {found:?}; keystead user list shows the ids")
        };
        text.parse().map_err(refused)
    });
    let title = fields.read("title", text);
    let content = fields.read("content", text);
    let actions = fields.read_objects("actions", ACTIONS_MAX, read_action);
    let targets = fields.read_all("targets", TARGETS_MAX, str::parse);
    let urgency = fields.read("urgency", |name| {
        let refused = || {
            format!(
                "expected very-low, low, normal or high, found {:?}",
                quoted(name)
            )
        };
        Urgency::find(name).ok_or_else(refused)
    });
    if !fields.has("title") {
        fields.refuse("title", "expected a title, found none");
    }
    fields.finish()?;
    let message = Message {
        template: Template::Custom,
        targets: targets.unwrap_or_default(),
        title: title.unwrap_or_default(),
        content: content.unwrap_or_default(),
        actions: actions.unwrap_or_default(),
        urgency: urgency.unwrap_or(Urgency::Normal),
        sender,
    };
    Ok((reader, message))
}

fn read_action(members: &Map<String, Value>) -> Result<Button, String> {
    let text = |name: &str| {
        let found = members.get(name).and_then(Value::as_str);
        found.ok_or_else(|| format!("{name}: expected a text"))
    };
    if members.len() > 2 {
        return Err("expected label and url and nothing else".to_owned());
    }
    Ok(Button {
        label: text("label")?.to_owned(),
        url: text("url")?
            .parse()
            .map_err(|error| format!("url: {error}"))?,
    })
}

impl From<Refused> for ApiRefusal {
    fn from(refused: Refused) -> Self {
        match (refused, refused.field()) {
            (_, Some(field)) => Self::invalid(field, refused.to_string()),
            (Refused::QueueFull | Refused::QueueOfUserFull, _) => {
                Self::too_often(QUEUE_WAIT.as_secs(), refused.to_string())
            }
            _ => Self::not_found(),
        }
    }
}
