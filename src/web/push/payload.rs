//! What is in a message: JSON that the service worker shows, cut to what one message can hold.
//!
//! A device shows it under the name and the picture of the box, so the text says who else speaks,
//! and a click on it stays on the box: what leads away is a button that says where to.

use serde::Serialize;

use crate::{
    crypto::web_push::PLAINTEXT_LEN_MAX,
    model::notification::{Button, Notification, Template},
    notifications::{plain_text, row},
    web::pages::{
        assets,
        inbox::markdown::{host_of, readable},
    },
};

/// Where a notification without a button leads.
const INBOX: &str = "/inbox";
/// Bytes that buttons leave to the text.
const BODY_LEN_RESERVED: usize = 1_024;
/// Bytes of a host on a button at the most: more than most have.
const HOST_LEN_MAX: usize = 64;
/// What stands where something is missing.
const CUT: &str = "…";

#[derive(Serialize)]
struct Payload<'a> {
    /// By which the service worker marks it as read; none for what is in no inbox.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    icon: &'a str,
    title: String,
    body: String,
    actions: Vec<Action<'a>>,
    /// Where a click on it leads: somewhere on the box.
    url: String,
}

#[derive(Serialize)]
struct Action<'a> {
    label: String,
    url: &'a str,
}

/// What a browser is told of `notification`, and `said_by` whom unless by Keystead itself. Buttons
/// that leave no room for text are left out; the inbox has them.
pub(super) fn of(notification: &Notification, said_by: Option<&str>) -> Vec<u8> {
    let mut payload = Payload {
        id: Some(notification.id.to_string()),
        icon: assets::app_icon_href(),
        title: clean(&notification.title),
        body: String::new(),
        actions: Vec::new(),
        url: url(notification),
    };
    for button in &notification.actions {
        payload.actions.push(Action {
            label: label(button),
            url: button.url.as_str(),
        });
        if json(&payload).len() + BODY_LEN_RESERVED > PLAINTEXT_LEN_MAX {
            payload.actions.pop();
            break;
        }
    }
    let room = PLAINTEXT_LEN_MAX.saturating_sub(json(&payload).len());
    let text = clean(&plain_text(&notification.content));
    let text = match said_by {
        None => text,
        Some(who) => format!("{}: {text}", clean(who)),
    };
    payload.body = cut(&text, room);
    json(&payload)
}

/// Where the first button leads, if that is on the box; its entry otherwise.
fn url(notification: &Notification) -> String {
    match notification.actions.first() {
        None => INBOX.to_owned(),
        Some(button) if host_of(&button.url).is_none() => button.url.to_string(),
        Some(_) => format!("{INBOX}#entry-{}", notification.id),
    }
}

/// What stands on a button, and where it leads if that is away from the box.
fn label(button: &Button) -> String {
    let label = clean(&button.label);
    match host_of(&button.url) {
        None => label,
        Some(host) => format!("{label} ({})", end_of(host)),
    }
}

/// The end of a host: what somebody had to register is there.
fn end_of(host: String) -> String {
    let begin = host.len().saturating_sub(HOST_LEN_MAX);
    match host.get(begin..) {
        Some(end) if begin > 0 => format!("{CUT}{end}"),
        _ => host,
    }
}

/// `text` without the marks that turn the direction of what is around them.
fn clean(text: &str) -> String {
    readable(text.into()).into_string()
}

/// What a browser is told when it subscribes.
pub(super) fn test() -> Vec<u8> {
    let row = row(Template::Test);
    json(&Payload {
        id: None,
        icon: assets::app_icon_href(),
        title: row.title.to_owned(),
        body: plain_text(row.body),
        actions: Vec::new(),
        url: INBOX.to_owned(),
    })
}

/// As much of `text` as takes up `room` bytes in JSON.
fn cut(text: &str, room: usize) -> String {
    if json_len(text) <= room {
        return text.to_owned();
    }
    let mut left = room.saturating_sub(CUT.len());
    let fits = |c: &char| match left.checked_sub(json_len(c.encode_utf8(&mut [0; 4]))) {
        Some(rest) => {
            left = rest;
            true
        }
        None => false,
    };
    let mut text: String = text.chars().take_while(fits).collect();
    text.push_str(CUT);
    text
}

/// Bytes of `text` between the quotes.
fn json_len(text: &str) -> usize {
    json(&text).len() - 2
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("texts and lists of them are JSON")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::model::{
        id::Id,
        notification::{
            ACTIONS_MAX, CONTENT_LEN_MAX, LABEL_LEN_MAX, Sender, TITLE_LEN_MAX, Urgency,
        },
        oauth2::client::CLIENT_NAME_LEN_MAX,
        timestamp::Timestamp,
    };

    fn notification(title: &str, content: &str, actions: Vec<Button>) -> Notification {
        Notification {
            id: Id::from_bytes([7; 16]),
            user_id: Id::from_bytes([1; 16]),
            template: Template::Custom,
            targets: Vec::new(),
            title: title.to_owned(),
            content: content.to_owned(),
            actions,
            urgency: Urgency::Normal,
            sender: Sender::Administrator,
            created_at: Timestamp::EPOCH,
        }
    }

    fn button(label: &str, url: &str) -> Button {
        Button {
            label: label.to_owned(),
            url: url.parse().expect("a link"),
        }
    }

    fn read(payload: &[u8]) -> Value {
        serde_json::from_slice(payload).expect("JSON")
    }

    #[test]
    fn a_browser_is_told_what_its_service_worker_shows() {
        let actions = vec![button("Look", "/account#grants"), button("More", "/inbox")];
        let payload = read(&of(&notification("A title", "A **text**", actions), None));
        let expected = serde_json::json!({
            "id": Id::from_bytes([7; 16]).to_string(),
            "icon": assets::app_icon_href(),
            "title": "A title",
            "body": "A text",
            "actions": [
                { "label": "Look", "url": "/account#grants" },
                { "label": "More", "url": "/inbox" },
            ],
            "url": "/account#grants",
        });
        assert_eq!(payload, expected);
        let payload = read(&test());
        assert_eq!(payload["url"], INBOX);
        assert!(payload.get("id").is_none() && payload["title"] != "");
    }

    /// What one who may tell a person something can make of the box's name and picture.
    #[test]
    fn who_speaks_and_where_it_leads_is_said() {
        let away = format!("https://{}keystead.evil.example/sign-in", "a.".repeat(60));
        let actions = vec![
            button("\u{202e}Sign in", "https://evil.example/sign-in"),
            button("Look", "/account"),
            button("More", &away),
        ];
        let title = "Keystead: \u{2066}sign in again";
        let notification = notification(title, "You were\u{202e} signed out.", actions);
        let payload = read(&of(&notification, Some("The app Mal\u{202d}")));
        assert_eq!(payload["title"], "Keystead: sign in again");
        assert_eq!(payload["body"], "The app Mal: You were signed out.");
        let url = format!("/inbox#entry-{}", Id::from_bytes([7; 16]));
        assert_eq!(payload["url"], url);
        let actions = &payload["actions"];
        assert_eq!(actions[0]["label"], "Sign in (evil.example)");
        assert_eq!(actions[0]["url"], "https://evil.example/sign-in");
        assert_eq!(actions[1]["label"], "Look");
        let long = actions[2]["label"].as_str().expect("a text");
        assert!(
            long.starts_with("More (…") && long.ends_with(".keystead.evil.example)"),
            "{long}"
        );
        assert_eq!(long.len(), "More (…)".len() + HOST_LEN_MAX);
    }

    #[test]
    fn the_largest_of_everything_still_fits_with_some_of_its_text() {
        let url = format!("https://a.example/{}", "a".repeat(2_000));
        let label = "\u{1f511}".repeat(LABEL_LEN_MAX);
        let title = "\u{1f511}".repeat(TITLE_LEN_MAX);
        let actions = vec![button(&label, &url); ACTIONS_MAX];
        let content = "\"".repeat(CONTENT_LEN_MAX);
        let who = format!("The app {}", "\u{1f511}".repeat(CLIENT_NAME_LEN_MAX));
        let payload = of(&notification(&title, &content, actions), Some(&who));
        assert!(payload.len() <= PLAINTEXT_LEN_MAX, "{}", payload.len());
        let payload = read(&payload);
        let body = payload["body"].as_str().expect("a text");
        assert!(body.starts_with(&who), "{body}");
        assert!(body.len() > who.len() + 50 && body.ends_with(CUT), "{body}");
    }

    proptest! {
        /// Whatever is said, it fits, and nothing is cut that would have fitted.
        #[test]
        fn a_text_is_cut_where_the_message_is_full(
            title in "[^\\p{Cc}]{1,200}",
            content in proptest::collection::vec(any::<char>(), 0..CONTENT_LEN_MAX),
        ) {
            let content: String = content.into_iter().collect();
            let whole = notification(&title, &content, Vec::new());
            let content = clean(&plain_text(&content));
            let payload = of(&whole, None);
            prop_assert!(payload.len() <= PLAINTEXT_LEN_MAX);
            let value = read(&payload);
            let body = value["body"].as_str().expect("a text");
            if body != content {
                let kept = body.strip_suffix(CUT).expect("a mark");
                prop_assert!(content.starts_with(kept));
                // The next character has 12 bytes at the most.
                prop_assert!(payload.len() + 12 > PLAINTEXT_LEN_MAX);
            }
        }
    }
}
