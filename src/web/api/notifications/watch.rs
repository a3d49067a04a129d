//! `/api/v2/notifications/inbox/watch`: what happens to the caller's inbox, as it happens.
//!
//! The first message is the state, `{"notification":null,"unread_count":N,"newest_id":ID}`. From
//! then on each entry that was added or changed comes as `{"notification":{…},"unread_count":N}`.
//! Where one was removed, or many changed at once, the state comes again. A reader who knows the
//! newest entry of the state has missed none; one who does not lists the inbox.

use std::sync::Arc;

use http::{
    HeaderName, HeaderValue, StatusCode,
    header::{CONNECTION, ORIGIN, RETRY_AFTER, SEC_WEBSOCKET_VERSION, UPGRADE},
};
use serde::Serialize;

use super::{Changed, item::Format};
use crate::{
    http::{
        params::Params,
        request::Request,
        response::{Response, json_bytes},
        stream::{Ended, Opening, Source, Unfit},
    },
    model::{id::Id, oauth2::scope::NOTIFICATIONS_READ},
    store::{Read, StoreError, notifications as store},
    web::{
        Web,
        api::{
            caller::{ApiCaller, Shown},
            error::ApiRefusal,
        },
        watchers::{Crowded, Event, Watching},
    },
};

const DEPRECATION: HeaderName = HeaderName::from_static("deprecation");
/// Server-sent events are there for who cannot have a WebSocket, and were so from the beginning
/// (RFC 9745 §2.1: a date of RFC 9651, here 2026-11-22).
const DEPRECATED_SINCE: HeaderValue = HeaderValue::from_static("@1795305600");
/// When to come again where there was no room for another stream.
const CROWDED_RETRY_SECONDS: HeaderValue = HeaderValue::from_static("30");

/// `GET`: a WebSocket, or with `Accept: text/event-stream` the same as server-sent events.
pub async fn watch(
    web: Arc<Web>,
    request: Request,
    caller: ApiCaller,
) -> Result<Response, ApiRefusal> {
    let head = &request.head;
    let format = Format::parse(&Params::from_query(head)?)?;
    let opening = Opening::of(&request).map_err(unfit)?;
    let is_socket = matches!(opening, Opening::WebSocket(_));
    // Threat 34: a browser sends our cookie with a WebSocket of any page, and always says whose. A
    // foreign Origin has been refused before; none at all is no page of ours.
    if is_socket && caller.session_id().is_some() && !head.headers.contains_key(ORIGIN) {
        return Err(ApiRefusal::forbidden(
            "Origin: expected this box's own beside a session cookie, found none",
        ));
    }
    let gone = || ApiRefusal::new(StatusCode::UNAUTHORIZED, "Unauthorized.");
    let shown = web
        .shown(head, &caller, NOTIFICATIONS_READ)
        .ok_or_else(gone)?;
    // Before anything is read, so that nothing happens between what is read and what is told.
    let watching = web.watchers.watch(caller.user.id).map_err(crowded)?;
    let mut response = opening.begin(Stream {
        web,
        shown,
        user_id: caller.user.id,
        format,
        watching,
        is_begun: false,
    });
    if !is_socket {
        response.headers_mut().insert(DEPRECATION, DEPRECATED_SINCE);
    }
    Ok(response)
}

fn unfit(unfit: Unfit) -> ApiRefusal {
    let (status, message) = match unfit {
        Unfit::Key => (StatusCode::BAD_REQUEST, "The handshake cannot be read."),
        // RFC 9110 §15.5.22, and RFC 6455 §4.4 for the version.
        Unfit::NotAsked | Unfit::Version | Unfit::Connection => {
            (StatusCode::UPGRADE_REQUIRED, "Expected a WebSocket.")
        }
    };
    ApiRefusal::new(status, message)
        .because(unfit.to_string())
        .with(CONNECTION, HeaderValue::from_static("upgrade"))
        .with(UPGRADE, HeaderValue::from_static("websocket"))
        .with(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"))
}

fn crowded(crowded: Crowded) -> ApiRefusal {
    let (status, message) = match crowded {
        Crowded::User => (StatusCode::TOO_MANY_REQUESTS, "Too many open streams."),
        Crowded::Box => (StatusCode::SERVICE_UNAVAILABLE, "The server is busy."),
    };
    ApiRefusal::new(status, message)
        .because(crowded.to_string())
        .with(RETRY_AFTER, CROWDED_RETRY_SECONDS)
}

/// What the inbox is like as a whole.
#[derive(Serialize)]
struct State {
    /// Always null: by it a reader tells this message from others.
    notification: (),
    unread_count: u64,
    newest_id: Option<String>,
}

impl State {
    fn find(tx: &dyn Read, user_id: Id) -> Result<Self, StoreError> {
        let newest = store::rows_before(tx, user_id, None, 1)?;
        Ok(Self {
            notification: (),
            unread_count: store::counts(tx, user_id)?.unread,
            newest_id: newest.first().map(|row| row.id.to_string()),
        })
    }
}

/// One person's inbox, for one reader.
struct Stream {
    web: Arc<Web>,
    shown: Shown,
    user_id: Id,
    format: Format,
    watching: Watching,
    is_begun: bool,
}

impl Source for Stream {
    async fn next(&mut self) -> Result<String, Ended> {
        let event = if self.is_begun {
            self.watching.next().await.ok_or(Ended::Slow)?
        } else {
            self.is_begun = true;
            Event::Many
        };
        self.message(event)
    }

    fn check(&mut self) -> Result<(), Ended> {
        self.web.store.read(|tx| self.admit(tx))
    }
}

impl Stream {
    /// What is told of `event`, to whom it may still be told.
    fn message(&self, event: Event) -> Result<String, Ended> {
        let message = self.web.store.read(|tx| {
            self.admit(tx)?;
            let entry = match event {
                Event::Entry(id) => store::find_of_user(tx, self.user_id, id)?,
                Event::Many => None,
            };
            Ok::<_, Ended>(match entry {
                Some(entry) => json_bytes(&Changed::find(tx, &entry, self.format)?),
                None => json_bytes(&State::find(tx, self.user_id)?),
            })
        })?;
        String::from_utf8(message).map_err(|_| Ended::Fault)
    }

    fn admit(&self, tx: &dyn Read) -> Result<(), Ended> {
        if self.web.is_still_good(tx, &self.shown)? {
            Ok(())
        } else {
            Err(Ended::Unauthorized)
        }
    }
}

impl From<StoreError> for Ended {
    fn from(fault: StoreError) -> Self {
        tracing::error!(%fault, "the store failed a stream");
        Self::Fault
    }
}
