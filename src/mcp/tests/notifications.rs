//! The tools of the inbox: who is told, what is listed, and what is refused.

use super::*;
use crate::{
    audit::Act,
    model::{
        audit::{Actor, Origin},
        notification::Sender,
    },
    notifications::{self, Filter, testing},
    store::{notifications::InboxEntry, users},
};

/// A deployment with these people in it.
async fn inhabited(people: &[&Access]) -> Deployment {
    let deployment = Deployment::new();
    keep(&deployment, people).await;
    deployment
}

async fn keep(deployment: &Deployment, people: &[&Access]) {
    let people: Vec<User> = people.iter().map(|one| one.user.clone()).collect();
    let kept = deployment.store.write(move |tx| -> Result<(), StoreError> {
        people.iter().try_for_each(|user| users::put(tx, user))
    });
    kept.await.expect("people who are kept");
}

fn inbox(deployment: &Deployment, access: &Access) -> Vec<InboxEntry> {
    let page = deployment
        .store
        .read(|tx| notifications::list(tx, access.user.id, &Filter::default()));
    page.expect("a page").entries
}

async fn list(deployment: &Deployment, access: &Access, arguments: Value) -> Value {
    deployment
        .output(access, "list_notifications", arguments)
        .await
}

async fn notify(deployment: &Deployment, access: &Access, title: &str) -> String {
    let told = deployment.output(access, "notify_me", json!({ "title": title }));
    let id = told.await["notification_id"].clone();
    id.as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn the_person_is_told_and_reads_it_marks_it_and_deletes_it() {
    let (ada, grace) = (access("ada", &all_scopes()), access("grace", &all_scopes()));
    let deployment = inhabited(&[&ada, &grace]).await;
    let arguments = json!({
        "title": "Backup done", "body": "**3 GB**", "link": "/inbox", "urgency": "high",
    });
    let told = deployment.output(&ada, "notify_me", arguments).await;
    let listed = list(&deployment, &ada, json!({ "read_status": "unread" })).await;
    let expected = json!({ "unread_count": 1, "notifications": [{
        "id": told["notification_id"],
        "template": "custom",
        "title": "Backup done",
        "content": "**3 GB**",
        "links": ["https://box.lan/inbox"],
        "created_at": NOW.to_string(),
    }] });
    assert_eq!(listed, expected);
    let entry = &inbox(&deployment, &ada)[0].notification;
    assert_eq!(entry.sender, Sender::Client(ada.client_id));
    assert_eq!(inbox(&deployment, &grace), []);

    let one = json!({ "notification_id": told["notification_id"] });
    for (is_read, unread_count) in [(true, 0), (false, 1), (true, 0)] {
        let mut mark = one.clone();
        mark["is_read"] = is_read.into();
        let marked = deployment.output(&ada, "mark_notification_read", mark);
        assert_eq!(marked.await, json!({ "unread_count": unread_count }));
    }
    let read = list(&deployment, &ada, json!({ "read_status": "read" })).await;
    assert_eq!(read["notifications"][0]["read_at"], NOW.to_string());
    let deleted = deployment.output(&ada, "delete_notification", one.clone());
    assert_eq!(deleted.await, json!({ "deleted": true }));
    assert_eq!(inbox(&deployment, &ada), []);
}

/// Another's notification and none are answered alike, and nothing of it changes.
#[tokio::test]
async fn anothers_inbox_is_neither_seen_nor_touched() {
    let (ada, grace) = (access("ada", &all_scopes()), access("grace", &all_scopes()));
    let deployment = inhabited(&[&ada, &grace]).await;
    let id = notify(&deployment, &grace, "for grace").await;
    let nothing = json!({ "unread_count": 0, "notifications": [] });
    assert_eq!(list(&deployment, &ada, json!({})).await, nothing);
    for tool in ["mark_notification_read", "delete_notification"] {
        let mut errors = Vec::new();
        for id in [id.clone(), "0".repeat(Id::TEXT_LEN)] {
            let call = deployment.call(Era::Modern, &ada, tool, json!({ "notification_id": id }));
            errors.push(call.await.tool_error().replace(&id, "…"));
        }
        assert_eq!(errors[0], errors[1]);
        assert!(errors[0].starts_with("no such notification"), "{errors:?}");
    }
    let fetched = json!({ "id": format!("notification:{id}") });
    let fetched = deployment.call(Era::Modern, &ada, "fetch", fetched).await;
    assert!(fetched.tool_error().starts_with("no such document"));
    let kept = inbox(&deployment, &grace);
    assert_eq!((kept.len(), kept[0].read_at), (1, None));
}

/// Issue 6: a full queue refuses new sends, and never drops silently.
#[tokio::test]
async fn who_has_as_many_messages_on_their_way_as_may_be_is_told_no_more() {
    let ada = access("ada", &all_scopes());
    let deployment = inhabited(&[&ada]).await;
    let user_id = ada.user.id;
    let filled = deployment.store.write(move |tx| {
        let by = Origin::local(NOW, Actor::Keystead);
        let act = Act {
            now: NOW,
            entropy: &OsEntropy,
            by: &by,
        };
        testing::fill_queue(tx, act, user_id)
    });
    filled.await.expect("a queue that is full");
    let report = |state| json!({ "summary": "tidying", "state": state });
    for (tool, arguments) in [
        ("notify_me", json!({ "title": "Hello" })),
        ("report_task", report("complete")),
    ] {
        let refused = deployment.call(Era::Modern, &ada, tool, arguments).await;
        let said = refused.tool_error();
        assert!(said.contains("messages to this person wait"), "{said}");
        assert!(said.ends_with("try again later"), "{said}");
    }
    assert_eq!(inbox(&deployment, &ada), []);
    // How far a task is calls nobody.
    let working = report("working");
    deployment.output(&ada, "report_task", working).await;
    assert_eq!(inbox(&deployment, &ada).len(), 1);
}

#[tokio::test]
async fn every_bound_is_kept_and_named() {
    let ada = access("ada", &all_scopes());
    let deployment = inhabited(&[&ada]).await;
    let notify = |name: &str, value: Value| {
        let mut arguments = json!({ "title": "Hello" });
        arguments[name] = value;
        ("notify_me", arguments)
    };
    let report = |name: &str, value: Value| {
        let mut arguments = json!({ "summary": "tidying", "state": "working" });
        arguments[name] = value;
        ("report_task", arguments)
    };
    let x = |len: usize| json!("x".repeat(len));
    for ((tool, arguments), said) in [
        (notify("title", json!("")), "title: expected 1 to 200"),
        (
            notify("title", json!("two\nlines")),
            "title: expected 1 to 200",
        ),
        (notify("title", x(201)), "title: expected 1 to 200"),
        (notify("body", x(4_001)), "body: expected at most 4000"),
        (notify("link", json!("http://a.example/")), "link: expected"),
        (
            notify("link", json!("javascript:alert(1)")),
            "link: expected",
        ),
        (
            notify("urgency", json!("now")),
            "urgency: expected very-low or",
        ),
        (notify("user_id", json!("x")), "unknown field"),
        (report("summary", json!(" ")), "summary: expected 1 to 160"),
        (report("summary", x(161)), "summary: expected 1 to 160"),
        (report("state", json!("lost")), "state: expected working or"),
        (report("link", json!("//evil.example")), "link: expected"),
    ] {
        let found = deployment.call(Era::Modern, &ada, tool, arguments).await;
        let found = found.tool_error();
        assert!(found.contains(said), "{tool}: {found}");
    }
    for arguments in [
        json!({ "read_status": "some" }),
        json!({ "starting_before": "junk" }),
    ] {
        let listed = deployment.call(Era::Modern, &ada, "list_notifications", arguments);
        listed.await.tool_error();
    }
    assert_eq!(inbox(&deployment, &ada), []);
}

#[tokio::test]
async fn the_list_goes_on_where_it_ended() {
    let ada = access("ada", &all_scopes());
    let deployment = inhabited(&[&ada]).await;
    let mut sent = Vec::new();
    for number in 0..30 {
        sent.push(notify(&deployment, &ada, &number.to_string()).await);
    }
    let ids = |page: &Value| -> Vec<String> {
        let page = page["notifications"].as_array().expect("a list").iter();
        let id = |one: &Value| one["id"].as_str().expect("an id").to_owned();
        page.map(id).collect()
    };
    let first = ids(&list(&deployment, &ada, json!({})).await);
    let rest = json!({ "starting_before": first[24] });
    let rest = ids(&list(&deployment, &ada, rest).await);
    assert_eq!((first.len(), rest.len()), (25, 5));
    sent.sort();
    let all: Vec<_> = first.into_iter().chain(rest).rev().collect();
    assert_eq!(all, sent);
}

#[tokio::test]
async fn a_task_is_one_entry_until_it_ends() {
    let ada = access("ada", &all_scopes());
    let deployment = inhabited(&[&ada]).await;
    let report = |state: &str| json!({ "summary": "tidying", "state": state });
    for state in ["working", "idle", "working"] {
        deployment.output(&ada, "report_task", report(state)).await;
    }
    let entries = inbox(&deployment, &ada);
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].notification.title, "Working: tidying");
    assert_eq!(list(&deployment, &ada, json!({})).await["unread_count"], 0);
    deployment
        .output(&ada, "report_task", report("complete"))
        .await;
    let entries = inbox(&deployment, &ada);
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].notification.title, "Done: tidying");
    assert_eq!(entries[0].read_at, None);
}

#[tokio::test]
async fn a_muted_client_is_answered_as_any_other() {
    let ada = access("ada", &all_scopes());
    let deployment = inhabited(&[&ada]).await;
    let (user, client) = (ada.user.id, ada.client_id);
    let muted = deployment
        .store
        .write(move |tx| notifications::mute(tx, user, client));
    assert!(muted.await.expect("the store writes"));
    notify(&deployment, &ada, "Hello").await;
    assert_eq!(inbox(&deployment, &ada), []);
}

/// What a client may tell it may tell by either tool.
#[tokio::test]
async fn who_has_used_up_the_allowance_waits() {
    let ada = access("ada", &all_scopes());
    let Deployment { store, .. } = Deployment::new();
    let (client, person) = (ada.client_id, ada.user.id);
    let desk = Desk {
        allowance: Arc::new(move |now, sender, reader| {
            assert_eq!((now, sender, reader), (NOW, client, person));
            Err(20)
        }),
        ..desk(&store, PUBLIC_URL, McpOff::default())
    };
    let upstreams = behind(&desk, Arc::new(Nowhere));
    let mcp = Mcp::with_tools(desk, &TOOLS, upstreams);
    let path = MCP_PATH;
    let deployment = Deployment { store, mcp, path };
    keep(&deployment, &[&ada]).await;
    for (tool, arguments) in [
        ("notify_me", json!({ "title": "Hello" })),
        ("report_task", json!({ "summary": "x", "state": "idle" })),
    ] {
        let call = deployment.call(Era::Modern, &ada, tool, arguments);
        let said = call.await.tool_error();
        assert!(said.contains("try again in 20 s"), "{said}");
    }
    assert_eq!(inbox(&deployment, &ada), []);
}

#[tokio::test]
async fn a_notification_is_searched_and_fetched() {
    let (ada, grace) = (access("ada", &all_scopes()), access("grace", &all_scopes()));
    let deployment = inhabited(&[&ada, &grace]).await;
    notify(&deployment, &grace, "Backup of grace").await;
    notify(&deployment, &ada, "Something else").await;
    let id = notify(&deployment, &ada, "Backup of ada").await;
    let search = async |access: &Access| {
        let query = json!({ "query": "BACKUP of" });
        let found = deployment.output(access, "search", query).await;
        found["results"].clone()
    };
    let expected = json!([{
        "id": format!("notification:{id}"),
        "title": "Backup of ada",
        "url": "https://box.lan/inbox",
    }]);
    assert_eq!(search(&ada).await, expected);
    let blind = access("ada", &ScopeSet::of(["user:read"]));
    assert_eq!(search(&blind).await, json!([]));
    let fetch = json!({ "id": expected[0]["id"] });
    let fetched = deployment.output(&ada, "fetch", fetch).await;
    let text = fetched["text"].as_str().expect("a text");
    assert!(text.contains("title: Backup of ada\n"), "{text}");
}
