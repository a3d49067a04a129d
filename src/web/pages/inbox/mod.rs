//! `/inbox`: what the person was told, and how they want to be told.

pub mod markdown;
pub mod settings;

mod sieve;
mod views;

#[cfg(test)]
pub(super) mod samples;

use std::sync::Arc;

use http::StatusCode;

use sieve::Sieve;
use views::{ActionView, EntryRow, InboxPage, InstantView, SenderView};

use crate::{
    accounts::sessions::LiveSession,
    http::{
        params::Params,
        request::{Head, Request},
        response::{Response, see_other},
    },
    model::{
        audit::{Actor, Origin},
        id::Id,
        notification::{Button, NotificationSettings, Sender},
    },
    notifications::{self, PAGE_LEN, app_name, person_name},
    oauth2provider::Moment,
    runtime::apart::apart,
    store::{
        Read, StoreError, WriteTx,
        notifications::{self as kept, InboxEntry},
    },
    web::{
        Web,
        credentials::{Caller, by},
        headers::{script_policy, with_policy},
        pages::{
            account::signed_form,
            message,
            render::{frame, page},
            views::minute,
        },
        refusals,
    },
};

/// What a form did, by the word that stands in the address afterwards.
const NOTICES: [(&str, &str); 7] = [
    ("read", "Marked as read."),
    ("unread", "Marked as unread."),
    ("all-read", "Everything is marked as read."),
    ("removed", "The entry is deleted."),
    (
        "muted",
        "The app is muted: what it says from now on is dropped. It can be let speak again under \
         “How you are told”.",
    ),
    (
        "too-many",
        "You have muted as many apps as you can. Let another speak first.",
    ),
    ("gone", "That entry was gone already."),
];

/// What `done` in the address says, by the words of a page.
fn notice(head: &Head, notices: &[(&str, &str)]) -> Option<String> {
    let query = Params::from_query(head).ok()?;
    let word = query.get("done").ok()??;
    let (_, words) = notices.iter().find(|(known, _)| *known == word)?;
    Some((*words).to_owned())
}

/// The page that `view` is, with our own script in it.
fn live_page(view: &impl askama::Template) -> Response {
    with_policy(page(StatusCode::OK, view), script_policy())
}

fn origin(head: &Head, live: &LiveSession) -> Origin {
    by(head, Actor::User(live.user.id))
}

/// `GET /inbox`.
pub async fn get(web: Arc<Web>, request: Request, caller: Caller) -> Response {
    let head = &request.head;
    let Some(live) = caller.session() else {
        return message::signed_out(&web, head);
    };
    let sieve = Sieve::parse(&Params::from_query(head).unwrap_or_default());
    let user_id = live.user.id;
    let (store, asked) = (Arc::clone(&web.store), sieve);
    let is_narrow = asked.filter().is_narrow();
    let list = move || store.read(|tx| found(tx, user_id, &asked));
    let found = if is_narrow { apart(list).await } else { list() };
    let (entries, unread, older) = match found {
        Ok(found) => found,
        Err(fault) => return refusals::fault(&web, head, &fault),
    };
    live_page(&InboxPage {
        frame: frame(&web, Some(&live)),
        csrf_token: web.csrf_token(live.session.id),
        entries,
        unread,
        newest: sieve.newest().map(|newest| newest.address(None)),
        sieve: sieve.view(),
        older,
        notice: notice(head, &NOTICES),
    })
}

/// The rows of a page, how many entries are unread, and where older ones are.
type Found = (Vec<EntryRow>, u64, Option<String>);

fn found(tx: &dyn Read, user_id: Id, sieve: &Sieve) -> Result<Found, StoreError> {
    let shown = notifications::list(tx, user_id, &sieve.filter())?;
    let settings = kept::settings(tx, user_id)?;
    let rows = shown.entries.iter().map(|entry| row(tx, &settings, entry));
    let rows = rows.collect::<Result<Vec<_>, StoreError>>()?;
    let older = match shown.entries.last() {
        Some(last) if shown.entries.len() == PAGE_LEN => {
            let older = sieve.behind(last.notification.id);
            let next = notifications::list(tx, user_id, &older.filter())?;
            (!next.entries.is_empty()).then(|| older.address(None))
        }
        _ => None,
    };
    Ok((rows, shown.unread_count, older))
}

fn row(
    tx: &dyn Read,
    settings: &NotificationSettings,
    entry: &InboxEntry,
) -> Result<EntryRow, StoreError> {
    let notification = &entry.notification;
    let sender = match notification.sender {
        Sender::Keystead => SenderView::Keystead,
        Sender::Administrator => SenderView::Administrator,
        Sender::Person(id) => person_name(tx, id)?.map_or(SenderView::Gone, SenderView::Person),
        Sender::Client(id) => SenderView::App {
            name: app_name(tx, id)?,
            is_muted: settings.muted.contains(&id),
        },
    };
    Ok(EntryRow {
        id: notification.id.to_string(),
        title: markdown::readable(notification.title.as_str().into()).into_string(),
        content: markdown::html(&notification.content),
        sender,
        template: notification.template.as_str(),
        about: notifications::row(notification.template).name,
        at: InstantView {
            instant: notification.created_at.to_string(),
            words: minute(notification.created_at),
        },
        is_read: entry.read_at.is_some(),
        actions: notification.actions.iter().map(action).collect(),
    })
}

fn action(button: &Button) -> ActionView {
    ActionView {
        label: markdown::readable(button.label.as_str().into()).into_string(),
        href: button.url.to_string(),
        host: markdown::host_of(&button.url),
    }
}

/// What one of the buttons below an entry does.
#[derive(Clone, Copy)]
enum Change {
    Read,
    Unread,
    Remove,
    Mute,
}

impl Change {
    fn find(word: &str) -> Option<Self> {
        match word {
            "read" => Some(Self::Read),
            "unread" => Some(Self::Unread),
            "remove" => Some(Self::Remove),
            "mute" => Some(Self::Mute),
            _ => None,
        }
    }

    /// What was done, as a word of [`NOTICES`].
    fn apply(
        self,
        tx: &mut WriteTx<'_>,
        moment: Moment<'_>,
        user_id: Id,
        id: Id,
    ) -> Result<&'static str, StoreError> {
        let (found, done) = match self {
            Self::Read => (kept::set_read(tx, user_id, id, Some(moment.now))?, "read"),
            Self::Unread => (kept::set_read(tx, user_id, id, None)?, "unread"),
            Self::Remove => (kept::remove(tx, user_id, id)?, "removed"),
            Self::Mute => return mute_sender(tx, user_id, id),
        };
        Ok(if found { done } else { "gone" })
    }
}

fn mute_sender(tx: &mut WriteTx<'_>, user_id: Id, id: Id) -> Result<&'static str, StoreError> {
    let entry = kept::find_of_user(tx, user_id, id)?;
    match entry.map(|entry| entry.notification.sender) {
        Some(Sender::Client(client_id)) => {
            let muted = notifications::mute(tx, user_id, client_id)?;
            Ok(if muted { "muted" } else { "too-many" })
        }
        // What is not an app's has no such button.
        Some(Sender::Keystead | Sender::Administrator | Sender::Person(_)) | None => Ok("gone"),
    }
}

/// `POST /inbox/{id}`: one of the buttons below an entry.
pub async fn change(web: Arc<Web>, request: Request, caller: Caller) -> Response {
    let (live, form) = match signed_form(&web, &request, caller) {
        Ok(signed) => signed,
        Err(response) => return response,
    };
    let head = &request.head;
    let sieve = Sieve::parse(&form);
    let id = head.capture("id").and_then(|id| id.parse::<Id>().ok());
    let change = form.get("do").ok().flatten().and_then(Change::find);
    let Some((id, change)) = id.zip(change) else {
        return see_other(&sieve.address(Some("gone")));
    };
    let user_id = live.user.id;
    let changed = web.write(origin(head, &live), move |tx, moment| {
        change.apply(tx, moment, user_id, id)
    });
    match changed.await {
        Ok(word) => see_other(&landing(sieve, word, id)),
        Err(fault) => refusals::fault(&web, head, &fault),
    }
}

/// Where the reader is afterwards: at the entry, if it is still there. Without a script they would
/// be at the top of the page after each button.
fn landing(sieve: Sieve, word: &str, id: Id) -> String {
    let address = sieve.address(Some(word));
    match word {
        "read" | "unread" | "muted" => format!("{address}#entry-{id}"),
        _ => address,
    }
}

/// `POST /inbox/read-all`: whatever the page shows, all of it.
pub async fn read_all(web: Arc<Web>, request: Request, caller: Caller) -> Response {
    let (live, form) = match signed_form(&web, &request, caller) {
        Ok(signed) => signed,
        Err(response) => return response,
    };
    let head = &request.head;
    let user_id = live.user.id;
    let mut before = None;
    loop {
        let step = web.write(origin(head, &live), move |tx, moment| {
            kept::mark_all_read(tx, user_id, before, moment.now)
        });
        match step.await {
            Ok(None) => break,
            Ok(next) => before = next,
            Err(fault) => return refusals::fault(&web, head, &fault),
        }
    }
    see_other(&Sieve::parse(&form).address(Some("all-read")))
}
