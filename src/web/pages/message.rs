//! Error pages and small notices: what happened, what was expected and found, what to do next.

use http::StatusCode;

use crate::{
    accounts::sessions::LiveSession,
    http::{dispatch::Refusal, request::Head, response::Response},
    oauth2provider::authorize::ConsentError,
    web::{
        Web,
        pages::{
            render::{frame, page},
            views::MessagePage,
        },
    },
};

/// What a notice says.
struct Words<'a> {
    title: &'a str,
    message: &'a str,
    detail: Option<String>,
    what_to_do: Option<&'a str>,
    link: Option<(&'a str, &'a str)>,
}

fn notice(
    web: &Web,
    head: &Head,
    session: Option<&LiveSession>,
    status: StatusCode,
    words: Words<'_>,
) -> Response {
    let owned = |text: &str| text.to_owned();
    page(
        status,
        &MessagePage {
            frame: frame(web, session),
            title: owned(words.title),
            message: owned(words.message),
            detail: words.detail,
            what_to_do: words.what_to_do.map(owned),
            link: words.link.map(|(path, text)| (owned(path), owned(text))),
            request_id: Some(head.id.to_string()),
        },
    )
}

const HOME: Option<(&str, &str)> = Some(("/", "To the start page"));

/// A refusal of the dispatcher, for a person.
pub fn refused(web: &Web, head: &Head, refusal: &Refusal) -> Response {
    let elsewhere = format!("Open {} instead.", web.provider.public_url);
    let (title, message, what_to_do) = match refusal {
        Refusal::RouteUnknown => ("Not found", "There is no page at this address.", None),
        Refusal::HostForeign { .. } => (
            "Another address",
            "This box answers at one address only, and this is another one.",
            Some(elsewhere.as_str()),
        ),
        Refusal::OriginForeign { .. } => (
            "Sent from elsewhere",
            "Another site sent this form, so nothing was done.",
            Some("Open the page on this box and send the form from there."),
        ),
        Refusal::Busy | Refusal::BodyTooSlow => (
            "Busy",
            "The box has too much to do just now.",
            Some("Wait a moment, then try again."),
        ),
        Refusal::Fault => (
            "Something failed",
            "Something failed on this box. Nothing was changed.",
            Some("Try again. If it happens again, its owner finds more in the log."),
        ),
        _ => (
            "That did not work",
            "The request could not be understood.",
            None,
        ),
    };
    let detail =
        (!matches!(refusal, Refusal::RouteUnknown | Refusal::Fault)).then(|| refusal.to_string());
    let words = Words {
        title,
        message,
        detail,
        what_to_do,
        link: HOME,
    };
    notice(web, head, None, refusal.status(), words)
}

/// An authorization request that must not be redirected anywhere.
pub fn bad_request_of_app(web: &Web, head: &Head, why: &str) -> Response {
    let words = Words {
        title: "The app's request cannot be answered",
        message: "An app sent you here with a request that this box cannot answer safely, so \
                  nobody was told anything.",
        detail: Some(why.to_owned()),
        what_to_do: Some(
            "Go back to the app and connect again. If it was removed here, take it out of the app \
             first, so that it registers itself again.",
        ),
        link: None,
    };
    notice(web, head, None, StatusCode::BAD_REQUEST, words)
}

/// An app whose document cannot be had.
pub fn document_unavailable(web: &Web, head: &Head, why: &str) -> Response {
    let words = Words {
        title: "The app cannot be looked up",
        message: "The app names itself by the address of a document that describes it. This box \
                  could not read that document, so nobody was told anything.",
        detail: Some(why.to_owned()),
        what_to_do: Some(
            "Try again later. If this box is meant to stay without the internet, its owner can \
             keep a copy of the document: keystead client pin.",
        ),
        link: HOME,
    };
    notice(web, head, None, StatusCode::BAD_REQUEST, words)
}

/// An app that there is no room for.
pub fn no_room_for_client(web: &Web, head: &Head, why: &str) -> Response {
    let words = Words {
        title: "No room for another app",
        message: "This box knows as many apps as it can, so this one was not taken in.",
        detail: Some(why.to_owned()),
        what_to_do: Some("Its owner can remove apps that nobody uses: keystead client list."),
        link: HOME,
    };
    notice(web, head, None, StatusCode::SERVICE_UNAVAILABLE, words)
}

/// A form that its page did not give out, or not to this browser.
pub fn foreign_form(web: &Web, head: &Head) -> Response {
    let words = Words {
        title: "The form is not from this browser",
        message: "What was sent does not belong to a page that this browser was shown, so nothing \
                  was done.",
        detail: None,
        what_to_do: Some(
            "Open the page again and send the form from there. Cookies have to be on.",
        ),
        link: HOME,
    };
    notice(web, head, None, StatusCode::FORBIDDEN, words)
}

/// A form of somebody whose session is over.
pub fn signed_out(web: &Web, head: &Head) -> Response {
    let words = Words {
        title: "You are signed out",
        message: "Your session ended while the page was open, so nothing was done.",
        detail: None,
        what_to_do: Some("Sign in again, and then start again."),
        link: Some(("/sign-in", "Sign in")),
    };
    notice(web, head, None, StatusCode::FORBIDDEN, words)
}

/// A decision on the consent page that does not count.
pub fn consent_refused(
    web: &Web,
    head: &Head,
    session: &LiveSession,
    error: &ConsentError,
) -> Response {
    let (status, title) = match error {
        ConsentError::Expired => (StatusCode::FORBIDDEN, "The page was open for too long"),
        ConsentError::Answered => (StatusCode::CONFLICT, "The page was answered before"),
        ConsentError::ClientChanged => (StatusCode::CONFLICT, "The app has changed"),
        ConsentError::Foreign | ConsentError::Wider(_) | ConsentError::Store(_) => (
            StatusCode::FORBIDDEN,
            "The answer does not belong to this page",
        ),
    };
    let words = Words {
        title,
        message: "Nothing was allowed.",
        detail: Some(error.to_string()),
        what_to_do: Some("Go back to the app and connect again."),
        link: Some(("/account", "What you have allowed")),
    };
    notice(web, head, Some(session), status, words)
}

/// What follows an answer about a device.
pub fn device_answered(web: &Web, head: &Head, session: &LiveSession) -> Response {
    let words = Words {
        title: "The device has your answer",
        message: "You can close this page. The device goes on by itself in a few seconds.",
        detail: None,
        what_to_do: Some("What you have allowed can be taken back at any time."),
        link: Some(("/account", "What you have allowed")),
    };
    notice(web, head, Some(session), StatusCode::OK, words)
}

/// Somebody who does not administer the box, where only who does may be.
pub fn owners_only(web: &Web, head: &Head, session: &LiveSession) -> Response {
    let words = Words {
        title: "For an owner of this box",
        message: "This page is for those who administer the box. Nothing was done.",
        detail: None,
        what_to_do: None,
        link: HOME,
    };
    notice(web, head, Some(session), StatusCode::FORBIDDEN, words)
}

/// An app that gets no further secret.
pub fn secret_refused(web: &Web, head: &Head, session: &LiveSession, why: &str) -> Response {
    let words = Words {
        title: "No secret was made",
        message: "The app has all that it may have.",
        detail: Some(why.to_owned()),
        what_to_do: None,
        link: Some(("/admin/apps", "All apps")),
    };
    notice(web, head, Some(session), StatusCode::CONFLICT, words)
}

/// A claim link that is used, too old, or not for this box.
pub fn claim_closed(web: &Web, head: &Head) -> Response {
    let words = Words {
        title: "The link does not work any more",
        message: "A claim link works once, for an hour, and only while the box has no owner.",
        detail: None,
        what_to_do: Some(
            "If the box has an owner, sign in. If not, start Keystead again: it prints a new link.",
        ),
        link: Some(("/sign-in", "Sign in")),
    };
    notice(web, head, None, StatusCode::NOT_FOUND, words)
}
