//! Client ID metadata documents at the authorization endpoint: fetched for somebody who is signed
//! in, else taken from a copy.

mod parse;
mod shipped;

use std::time::Duration;

use crate::{
    http::{request::Head, response::Response},
    model::{
        audit::Actor,
        oauth2::{client_document::ClientDocument, client_id::DocumentUrl},
        user::User,
    },
    oauth2provider::client_documents::{self, DocumentError},
    runtime::outbound::OutboundError,
    web::{Web, credentials::by, pages::message, refusals},
};

pub use parse::{DOCUMENT_BYTES_MAX, MalformedDocument, parse};
pub use shipped::{SHIPPED, Shipped};

/// Why a document could not be had from its host. The message is for whoever is signed in.
#[derive(Debug, thiserror::Error)]
enum NotFetched {
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    #[error(transparent)]
    Malformed(#[from] MalformedDocument),
}

/// Sees to it that the client which the document at `url` describes is known, by the document
/// itself while its copy here is not fresh, else by a copy.
///
/// This calls out, so that it is for requests of people who are signed in: whoever is not would
/// otherwise choose what this server calls (threat 23).
pub(super) async fn refresh(
    web: &Web,
    head: &Head,
    person: &User,
    url: &DocumentUrl,
) -> Result<(), Response> {
    let (now, actor) = (head.now, Actor::User(person.id));
    match web
        .store
        .read(|tx| client_documents::is_fresh(tx, now, url))
    {
        Ok(true) => return Ok(()),
        Ok(false) => {}
        Err(fault) => return Err(refusals::fault(web, head, &fault)),
    }
    let kept = match fetch(web, url).await {
        Ok((document, fresh_for)) => {
            web.write(by(head, actor), move |tx, moment| {
                client_documents::keep(tx, moment, document, fresh_for).map(drop)
            })
            .await
        }
        Err(why) => {
            tracing::warn!(%url, ?why, "a client's document was not fetched; a copy is looked for");
            return fall_back(web, head, actor, url, &why).await;
        }
    };
    kept.map_err(|error| refuse(web, head, &error, None))
}

async fn fetch(
    web: &Web,
    url: &DocumentUrl,
) -> Result<(ClientDocument, Option<Duration>), NotFetched> {
    let fetched = web
        .outbound
        .fetch_json(url.https(), DOCUMENT_BYTES_MAX)
        .await?;
    Ok((parse(url, &fetched.body)?, fetched.fresh_for))
}

async fn fall_back(
    web: &Web,
    head: &Head,
    actor: Actor,
    url: &DocumentUrl,
    why: &NotFetched,
) -> Result<(), Response> {
    let (named, shipped) = (url.clone(), shipped::find(url));
    let kept = web.write(by(head, actor), move |tx, moment| {
        client_documents::fall_back(tx, moment, &named, shipped)
    });
    kept.await
        .map_err(|error| refuse(web, head, &error, Some((url, why))))
}

fn refuse(
    web: &Web,
    head: &Head,
    error: &DocumentError,
    failure: Option<(&DocumentUrl, &NotFetched)>,
) -> Response {
    match (error, failure) {
        (DocumentError::Store(fault), _) => refusals::fault(web, head, fault),
        (DocumentError::Unavailable, Some((url, why))) => {
            message::document_unavailable(web, head, &format!("{url}: {why}"))
        }
        (DocumentError::Full, _) => message::no_room_for_client(web, head, &error.to_string()),
        (DocumentError::Unavailable | DocumentError::TooManyPins, _) => {
            message::document_unavailable(web, head, &error.to_string())
        }
    }
}
