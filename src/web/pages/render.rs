//! From a view to an answer.

use askama::Template;
use http::StatusCode;

use crate::{
    accounts::sessions::LiveSession,
    http::response::{Response, html},
    model::id::Id,
    store::notifications,
    web::{
        Web,
        pages::views::{Frame, SignedIn},
    },
};

/// What surrounds a page that `session` sees.
pub(super) fn frame(web: &Web, session: Option<&LiveSession>) -> Frame {
    Frame {
        box_name: web.provider.public_url.authority().to_owned(),
        signed_in: session.map(|live| SignedIn {
            name: live.user.name.to_string(),
            csrf_token: web.csrf_token(live.session.id),
            unread: unread(web, live.user.id),
        }),
    }
}

/// A page that shows something else is shown although this cannot be known.
fn unread(web: &Web, user_id: Id) -> Option<u64> {
    match web.store.read(|tx| notifications::counts(tx, user_id)) {
        Ok(counts) => Some(counts.unread),
        Err(fault) => {
            tracing::error!(%fault, "an inbox cannot be counted");
            None
        }
    }
}

/// The page that `view` is.
///
/// # Panics
/// If a template fails, which only writing to memory could make it: answered 500.
pub(super) fn text(view: &impl Template) -> String {
    view.render().expect("a template writes to memory")
}

/// The page that `view` is, as an answer.
pub(super) fn page(status: StatusCode, view: &impl Template) -> Response {
    html(status, text(view))
}
