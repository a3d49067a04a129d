//! The pages of the inbox.

use super::{
    browser::{Browser, Form},
    house::{House, LOCAL},
    wire::{Answer, Ask, Fields},
};
use crate::{
    model::{
        id::Id,
        notification::{Button, Sender, Template, Urgency},
        user::{Role, User},
    },
    notifications::{self, Message, PAGE_LEN, Told},
    oauth2provider::Moment,
    store::{StoreError, WriteTx, notifications as kept},
};

/// What somebody is told, with a title and a content of a client's.
fn said(title: &str, content: &str) -> Message {
    Message {
        template: Template::Custom,
        targets: Vec::new(),
        title: title.to_owned(),
        content: content.to_owned(),
        actions: Vec::new(),
        urgency: Urgency::Normal,
        sender: Sender::Administrator,
    }
}

/// Tells `user` that, and says which entry it is.
async fn tell(house: &House, user: &User, message: Message) -> Id {
    let user_id = user.id;
    let work = move |tx: &mut WriteTx<'_>, moment: Moment<'_>| {
        notifications::send(tx, moment.act(), user_id, message)
    };
    let told: Result<_, StoreError> = house.write(work).await;
    match told.expect("the store writes") {
        Ok(Told::Kept { notification, .. }) => notification.id,
        other => panic!("expected an entry, found {other:?}"),
    }
}

/// Whether the entry was read; none if it is gone.
fn is_read(house: &House, user: &User, id: Id) -> Option<bool> {
    let found = house.store.read(|tx| kept::find_of_user(tx, user.id, id));
    let entry = found.expect("the store reads")?;
    Some(entry.read_at.is_some())
}

async fn ada(house: &House) -> (User, Browser<'_>) {
    let ada = house.person("ada", Role::Member).await;
    let browser = house.signed_in(&ada).await;
    (ada, browser)
}

/// Presses that button below that entry of the page at `page`.
async fn press(browser: &Browser<'_>, page: &str, id: Id, button: &str) -> Answer {
    let shown = browser.get(page).await.expect(200).body;
    let form = Form::find(&shown, &format!("/inbox/{id}"));
    assert!(shown.contains(&format!("value=\"{button}\"")), "{shown}");
    browser
        .post(&form.action, &form.fields.with("do", button))
        .await
}

#[tokio::test]
async fn an_entry_is_read_unread_and_deleted() {
    let house = House::open();
    let (ada, browser) = ada(&house).await;
    let id = tell(&house, &ada, said("Backup done", "It took *two* minutes.")).await;
    let page = browser.get("/inbox").await.expect(200).body;
    assert!(
        page.contains("<p>It took <em>two</em> minutes.</p>"),
        "{page}"
    );
    assert!(page.contains("1 unread."), "{page}");
    let home = browser.get("/").await.expect(200).body;
    assert!(home.contains("</span>1<"), "{home}");

    let done = press(&browser, "/inbox", id, "read").await;
    let there = format!("/inbox?done=read#entry-{id}");
    assert_eq!((done.status, done.location()), (303, there.as_str()));
    assert_eq!(is_read(&house, &ada, id), Some(true));
    let home = browser.get("/").await.expect(200).body;
    assert!(!home.contains("class=\"badge\""), "{home}");

    let unread_only = browser.get("/inbox?show=unread").await.expect(200).body;
    assert!(
        unread_only.contains("No entry is what you chose."),
        "{unread_only}"
    );
    press(&browser, "/inbox", id, "unread").await.expect(303);
    assert_eq!(is_read(&house, &ada, id), Some(false));
    let done = press(&browser, "/inbox?show=unread", id, "remove").await;
    assert_eq!(done.location(), "/inbox?show=unread&done=removed");
    assert_eq!(is_read(&house, &ada, id), None);
    let page = browser.get("/inbox").await.expect(200).body;
    assert!(page.contains("Nothing here yet."), "{page}");
}

#[tokio::test]
async fn what_is_older_is_behind_a_link() {
    let house = House::open();
    let (ada, browser) = ada(&house).await;
    for number in 0..=PAGE_LEN {
        house.wait(std::time::Duration::from_secs(1));
        tell(&house, &ada, said(&format!("Entry number {number}"), "")).await;
    }
    let first = browser.get("/inbox").await.expect(200).body;
    assert_eq!(first.matches("<h2").count(), PAGE_LEN);
    assert!(!first.contains("Entry number 0<"), "{first}");
    let (_, older) = first
        .split_once("<a href=\"/inbox?before=")
        .expect("a link");
    let (id, _) = older.split_once('"').expect("an address");
    let last = browser
        .get(&format!("/inbox?before={id}"))
        .await
        .expect(200)
        .body;
    assert_eq!(last.matches("<h2").count(), 1);
    assert!(last.contains("Entry number 0<"), "{last}");
    assert!(!last.contains(">Older<"), "{last}");
    // As many as a page has: there is nothing older.
    let oldest = last.split_once("/inbox/0").expect("a form").1;
    let id = format!("0{}", &oldest[..Id::TEXT_LEN - 1]);
    let fields = Form::find(&last, &format!("/inbox/{id}"))
        .fields
        .with("do", "remove");
    browser
        .post(&format!("/inbox/{id}"), &fields)
        .await
        .expect(303);
    let first = browser.get("/inbox").await.expect(200).body;
    assert!(!first.contains(">Older<"), "{first}");
}

#[tokio::test]
async fn everything_is_marked_as_read_at_once() {
    let house = House::open();
    let (ada, browser) = ada(&house).await;
    for number in 0..=kept::MARK_STEP {
        tell(&house, &ada, said(&format!("Entry number {number}"), "")).await;
    }
    let page = browser.get("/inbox?template=custom").await.expect(200).body;
    assert!(page.contains("</span>99+<"), "{page}");
    let form = Form::find(&page, "/inbox/read-all");
    let done = browser.post("/inbox/read-all", &form.fields).await;
    assert_eq!(done.location(), "/inbox?template=custom&done=all-read");
    let page = browser.get("/inbox").await.expect(200).body;
    assert!(page.contains("Nothing unread."), "{page}");
    assert!(!page.contains("/inbox/read-all"), "{page}");
}

#[tokio::test]
async fn an_app_is_muted_where_it_speaks_and_let_speak_again() {
    let house = House::open();
    let (_, app, _) = house.connected().await;
    let bob = house.person("bob", Role::Member).await;
    let browser = house.signed_in(&bob).await;
    let client_id: Id = app.id.parse().expect("an id");
    let of_app = |title: &str| Message {
        sender: Sender::Client(client_id),
        actions: vec![Button {
            label: "Look".to_owned(),
            url: "https://app.example/x".parse().expect("a link"),
        }],
        ..said(title, "[x](javascript:alert(1))")
    };
    let id = tell(&house, &bob, of_app("<b>Done</b>")).await;
    let page = browser.get("/inbox").await.expect(200).body;
    assert!(page.contains("&#60;b&#62;Done"), "{page}");
    assert!(page.contains("href=\"https://app.example/x\""), "{page}");
    assert!(
        page.contains("<bdi>app.example</bdi>"),
        "where it leads: {page}"
    );
    assert!(!page.contains("javascript:"), "{page}");

    let done = press(&browser, "/inbox", id, "mute").await;
    assert_eq!(done.location(), format!("/inbox?done=muted#entry-{id}"));
    let told: Result<_, StoreError> = house
        .write({
            let (message, bob_id) = (of_app("again"), bob.id);
            move |tx, moment| notifications::send(tx, moment.act(), bob_id, message)
        })
        .await;
    assert_eq!(told.expect("the store writes"), Ok(Told::Unwanted));
    let settings = browser.get("/inbox/settings").await.expect(200).body;
    let form = Form::find(&settings, "/inbox/settings/unmute");
    let done = browser.post(&form.action, &form.fields).await;
    assert_eq!(done.location(), "/inbox/settings?done=unmuted");
    tell(&house, &bob, of_app("again")).await;
}

/// The entry of `page` with that title, up to our own buttons below it.
fn said_in<'a>(page: &'a str, title: &str) -> &'a str {
    let (_, entry) = page
        .split_once(&format!("<bdi>{title}</bdi>"))
        .expect("an entry");
    let (said, _) = entry.split_once("<form").expect("our own buttons");
    said
}

#[tokio::test]
async fn what_others_say_and_offer_is_set_apart_from_our_own() {
    let house = House::open();
    let (ada, browser) = ada(&house).await;
    let button = |label: &str| Button {
        label: label.to_owned(),
        url: "https://app.example/x".parse().expect("a link"),
    };
    let theirs = Message {
        actions: vec![button("Delete \u{202e}moc.knab")],
        ..said("Call \u{2067}moc.knab", "Now.")
    };
    tell(&house, &ada, theirs).await;
    let own = Message {
        sender: Sender::Keystead,
        actions: vec![button("Look")],
        ..said("Ours", "")
    };
    tell(&house, &ada, own).await;
    tell(&house, &ada, said("No more than this", "")).await;
    let page = browser.get("/inbox").await.expect(200).body;
    let quoted = said_in(&page, "Call moc.knab");
    let (before, after) = quoted
        .split_once("<div class=\"quoted\">")
        .expect("a frame");
    assert!(before.contains(">A program on this box</span>"), "{before}");
    assert!(after.contains("<p>Now.</p>"), "{after}");
    assert!(after.contains("<bdi>Delete moc.knab</bdi>"), "{after}");
    for not_quoted in ["Ours", "No more than this"] {
        let said = said_in(&page, not_quoted);
        assert!(!said.contains("quoted"), "{said}");
    }
    assert!(!said_in(&page, "No more than this").contains("<div"));
}

#[tokio::test]
async fn a_person_who_says_something_is_named_as_one_even_when_they_are_gone() {
    let house = House::open();
    let (ada, browser) = ada(&house).await;
    let by = |sender: Id, title: &str| Message {
        sender: Sender::Person(sender),
        ..said(title, "")
    };
    tell(&house, &ada, by(ada.id, "Hers")).await;
    tell(&house, &ada, by(Id::from_bytes([1; 16]), "Nobody's")).await;
    let page = browser.get("/inbox").await.expect(200).body;
    assert!(said_in(&page, "Hers").contains("The person <bdi>ada</bdi>"));
    let gone = said_in(&page, "Nobody&#39;s");
    assert!(gone.contains(">Somebody who is gone</span>"), "{gone}");
}

#[tokio::test]
async fn the_newest_of_a_kind_is_behind_a_link_and_a_time_is_an_instant() {
    let house = House::open();
    let (ada, browser) = ada(&house).await;
    let id = tell(&house, &ada, said("Backup done", "")).await;
    let address = format!("/inbox?show=unread&template=custom&before={id}");
    let page = browser.get(&address).await.expect(200).body;
    let newest = "<a href=\"/inbox?show=unread&#38;template=custom\">Newest</a>";
    assert!(page.contains(newest), "{page}");
    assert!(page.contains("Mark the whole inbox as read"), "{page}");
    let page = browser.get("/inbox").await.expect(200).body;
    let (_, time) = page.split_once("datetime=\"").expect("a time");
    let (instant, words) = time.split_once("\">").expect("its words");
    assert!(instant.ends_with('Z'), "{instant}");
    let minute = instant[..16].replace('T', " ");
    assert!(words.starts_with(&format!("{minute} UTC<")), "{words}");
}

/// Threat 13.
#[tokio::test]
async fn nobody_reaches_the_entry_of_another() {
    let house = House::open();
    let (ada, _) = ada(&house).await;
    let id = tell(&house, &ada, said("Hers", "")).await;
    let bob = house.member("bob").await;
    assert!(!bob.get("/inbox").await.expect(200).body.contains("Hers"));
    let csrf_token = bob.csrf_token().await;
    for button in ["read", "unread", "remove", "mute", "no-such", ""] {
        let fields = Fields::of(&[("csrf_token", &csrf_token), ("do", button)]);
        let answer = bob.post(&format!("/inbox/{id}"), &fields).await;
        assert_eq!(answer.location(), "/inbox?done=gone", "{button}");
    }
    assert_eq!(is_read(&house, &ada, id), Some(false));
}

#[tokio::test]
async fn a_switch_that_is_not_on_the_form_stays_as_it_is() {
    let house = House::open();
    let (_, browser) = ada(&house).await;
    let page = browser.get("/inbox/settings").await.expect(200).body;
    // Every box ticked.
    let form = Form::find(&page, "/inbox/settings");
    let done = browser.post("/inbox/settings", &form.fields).await;
    assert_eq!(done.location(), "/inbox/settings?done=saved");
    let ticked = |page: &str| page.matches(" checked").count();
    let page = browser.get("/inbox/settings").await.expect(200).body;
    assert_eq!(ticked(&page), 2 * Template::ALL.len());
    let csrf_token = browser.csrf_token().await;
    let one = Fields::of(&[
        ("csrf_token", &csrf_token),
        ("template", "custom"),
        ("inbox", "custom"),
        ("push", "no-such"),
    ]);
    browser.post("/inbox/settings", &one).await.expect(303);
    let page = browser.get("/inbox/settings").await.expect(200).body;
    assert_eq!(ticked(&page), 2 * Template::ALL.len() - 1);
    assert!(page.contains("name=\"push\" value=\"custom\">"), "{page}");
}

#[tokio::test]
async fn the_settings_say_why_no_device_is_told() {
    let pushing = House::with(LOCAL, &[("KEYSTEAD_EXPERIMENTS", "web-push")]);
    for (house, why) in [
        (House::open(), "--experiments web-push"),
        (pushing, "(--egress off)"),
    ] {
        let (_, browser) = ada(&house).await;
        let page = browser.get("/inbox/settings").await.expect(200).body;
        assert!(page.contains(why), "{page}");
        assert!(!page.contains("id=\"push\""), "{page}");
    }
}

/// W3C, Web Application Manifest; Service Workers §3.4: what makes a page an app of the device.
#[tokio::test]
async fn the_manifest_and_its_icons_can_be_had_by_anybody() {
    let house = House::on_https();
    let manifest = house.get("/manifest.webmanifest").await.expect(200);
    assert_eq!(
        manifest.header("content-type"),
        Some("application/manifest+json")
    );
    let manifest: serde_json::Value = serde_json::from_str(&manifest.body).expect("JSON");
    assert_eq!(manifest["name"], "Inbox of box.example");
    assert_eq!(manifest["start_url"], "/inbox");
    for icon in manifest["icons"].as_array().expect("a list") {
        let src = icon["src"].as_str().expect("a path");
        let head = house
            .ask(Ask::new(http::Method::HEAD, src))
            .await
            .expect(200);
        assert_eq!(head.header("content-type"), Some("image/png"), "{src}");
    }
    let worker = house.get("/sw.js").await.expect(200);
    assert_eq!(
        worker.header("content-type"),
        Some("text/javascript; charset=utf-8")
    );
    assert_eq!(
        worker.header("content-security-policy"),
        Some("default-src 'none'; connect-src 'self'")
    );
}
