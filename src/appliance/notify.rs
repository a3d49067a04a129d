//! What an administrator tells a user, and how much any sender may.

use std::sync::Arc;

use crate::{
    accounts::users,
    appliance::{
        administration::{Answer, Notice, NotifiedRow, Refused, Reply},
        execute::user_name,
    },
    audit::Act,
    mcp::tools::Allowance,
    model::notification::{Button, LinkError, Sender, Template, Urgency},
    notifications::{self, Message, Told},
    store::WriteTx,
    web::{
        Web,
        throttle::{Endpoint, Subject},
    },
};

/// The allowance of the API, for what sends in another way.
pub(super) fn allowance(web: &Arc<Web>) -> Allowance {
    let web = Arc::clone(web);
    Arc::new(move |now, sender, reader| {
        let subject = Subject::Sender(sender, reader);
        let taken = web.throttle.check(now, Endpoint::Notification, subject);
        taken.map_err(|wait| wait.seconds)
    })
}

/// Tells a user. Whoever administers the machine could read the file, so they learn what became of
/// it.
pub(super) fn send(tx: &mut WriteTx<'_>, act: Act<'_>, notice: Notice) -> Answer {
    let user = users::named(tx, &user_name(&notice.user)?)?;
    if user.disabled_at.is_some() {
        return Err(Refused::because(format!(
            "expected a user who may sign in, found {name}, who is disabled: `keystead user enable \
             {name}` changes that",
            name = user.name
        )));
    }
    let told = notifications::send(tx, act, user.id, message(notice)?)?.map_err(refused)?;
    let (id, pushes) = match told {
        Told::Kept {
            notification,
            pushes,
        } => (Some(notification.id.to_string()), pushes),
        Told::Unwanted => (None, 0),
    };
    let user = user.name.to_string();
    Ok(Reply::Notified(NotifiedRow { id, user, pushes }))
}

fn message(notice: Notice) -> Result<Message, Refused> {
    let link = notice.link.map(|link| link.parse()).transpose();
    let link = link.map_err(|error: LinkError| Refused::because(format!("link: {error}")))?;
    let urgency = notice.urgency.map_or(Ok(Urgency::Normal), |name| {
        let refused = || {
            let expected = "urgency: expected very-low, low, normal or high";
            Refused::because(format!("{expected}, found {name:?}"))
        };
        Urgency::find(&name).ok_or_else(refused)
    });
    Ok(Message {
        template: Template::Custom,
        targets: Vec::new(),
        title: notice.title,
        content: notice.body,
        actions: link.map(Button::open).into_iter().collect(),
        urgency: urgency?,
        sender: Sender::Administrator,
    })
}

/// In the words of the command.
fn refused(refused: notifications::Refused) -> Refused {
    let flag = refused.field().map(|field| match field {
        "content" => "body",
        "actions" => "link",
        other => other,
    });
    match flag {
        Some(flag) => Refused::because(format!("{flag}: {refused}")),
        None => Refused::because(refused),
    }
}
