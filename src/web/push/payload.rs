//! What is in a message: JSON that the service worker shows, cut to what one message can hold.

use serde::Serialize;

use crate::{
    crypto::web_push::PLAINTEXT_LEN_MAX,
    model::notification::{Button, Notification, Template},
    notifications::{plain_text, row},
    web::pages::assets,
};

/// Where a notification without a button leads.
const INBOX: &str = "/inbox";
/// Bytes that buttons leave to the text.
const BODY_LEN_RESERVED: usize = 512;
/// What stands where something is missing.
const CUT: &str = "…";

#[derive(Serialize)]
struct Payload<'a> {
    /// By which the service worker marks it as read; none for what is in no inbox.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    icon: &'a str,
    title: &'a str,
    body: String,
    actions: Vec<Action<'a>>,
    /// Where a click on it leads.
    url: &'a str,
}

#[derive(Serialize)]
struct Action<'a> {
    label: &'a str,
    url: &'a str,
}

/// What a browser is told of `notification`. Buttons that leave no room for text are left out; the
/// inbox has them.
pub(super) fn of(notification: &Notification) -> Vec<u8> {
    let mut payload = Payload {
        id: Some(notification.id.to_string()),
        icon: assets::app_icon_href(),
        title: &notification.title,
        body: String::new(),
        actions: Vec::new(),
        url: url(&notification.actions),
    };
    for Button { label, url } in &notification.actions {
        let url = url.as_str();
        payload.actions.push(Action { label, url });
        if json(&payload).len() + BODY_LEN_RESERVED > PLAINTEXT_LEN_MAX {
            payload.actions.pop();
            break;
        }
    }
    let room = PLAINTEXT_LEN_MAX.saturating_sub(json(&payload).len());
    payload.body = cut(&plain_text(&notification.content), room);
    json(&payload)
}

fn url(actions: &[Button]) -> &str {
    actions.first().map_or(INBOX, |button| button.url.as_str())
}

/// What a browser is told when it subscribes.
pub(super) fn test() -> Vec<u8> {
    let row = row(Template::Test);
    json(&Payload {
        id: None,
        icon: assets::app_icon_href(),
        title: row.title,
        body: plain_text(row.body),
        actions: Vec::new(),
        url: INBOX,
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
        let payload = read(&of(&notification("A title", "A **text**", actions)));
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

    #[test]
    fn the_largest_of_everything_still_fits_with_some_of_its_text() {
        let url = format!("https://a.example/{}", "a".repeat(2_000));
        let label = "\u{1f511}".repeat(LABEL_LEN_MAX);
        let title = "\u{1f511}".repeat(TITLE_LEN_MAX);
        let actions = vec![button(&label, &url); ACTIONS_MAX];
        let content = "\"".repeat(CONTENT_LEN_MAX);
        let payload = of(&notification(&title, &content, actions));
        assert!(payload.len() <= PLAINTEXT_LEN_MAX, "{}", payload.len());
        let payload = read(&payload);
        let body = payload["body"].as_str().expect("a text");
        assert!(body.len() > 100 && body.ends_with(CUT), "{body}");
        assert_eq!(payload["url"], url);
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
            let content = plain_text(&content);
            let payload = of(&whole);
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
