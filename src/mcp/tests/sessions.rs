//! The tools of the person's browser sessions.

use std::collections::BTreeSet;

use super::*;
use crate::{
    crypto::digest::Digest,
    model::{audit::Action, session::Session},
    store::{audit, sessions},
};

/// Signs a browser of that user in.
async fn open(deployment: &Deployment, access: &Access, browser: &str, at: Timestamp) -> Id {
    let id = Id::generate(at, &OsEntropy);
    let session = Session {
        id,
        digest: Digest::of(browser.as_bytes()),
        user_id: access.user.id,
        created_at: at,
        last_seen_at: at,
        idle_expires_at: at.after(A_DAY),
        expires_at: at.after(A_DAY),
        browser: browser.to_owned(),
        address: "192.0.2.7".to_owned(),
    };
    let kept = deployment
        .store
        .write(move |tx| -> Result<(), StoreError> { sessions::add(tx, &session) });
    kept.await.expect("a session that is kept");
    id
}

#[tokio::test]
async fn own_sessions_are_listed_newest_first_and_no_others() {
    let deployment = Deployment::new();
    let (ada, grace) = (access("ada", &all_scopes()), access("grace", &all_scopes()));
    let earlier = Timestamp::from_millis(NOW.millis() - 60_000);
    let long_ago = Timestamp::from_millis(NOW.millis() - 2 * 86_400_000);
    let old = open(&deployment, &ada, "Firefox", earlier).await;
    let new = open(&deployment, &ada, "curl", NOW).await;
    open(&deployment, &ada, "Mosaic", long_ago).await;
    open(&deployment, &grace, "Lynx", NOW).await;
    let listed = deployment.output(&ada, "list_my_sessions", json!({})).await;
    assert_eq!(
        listed,
        json!({ "sessions": [
            {
                "id": new.to_string(),
                "browser": "curl",
                "address": "192.0.2.7",
                "created_at": NOW.to_string(),
                "last_seen_at": NOW.to_string(),
                "expires_at": NOW.after(A_DAY).to_string(),
            },
            {
                "id": old.to_string(),
                "browser": "Firefox",
                "address": "192.0.2.7",
                "created_at": earlier.to_string(),
                "last_seen_at": earlier.to_string(),
                "expires_at": earlier.after(A_DAY).to_string(),
            },
        ] })
    );
}

#[tokio::test]
async fn an_own_session_ends_at_once_and_only_once_and_is_written_down() {
    let deployment = Deployment::new();
    let ada = access("ada", &all_scopes());
    let id = open(&deployment, &ada, "Firefox", NOW).await;
    let arguments = json!({ "session_id": id.to_string() });
    let ended = deployment.output(&ada, "revoke_my_session", arguments.clone());
    assert_eq!(ended.await, json!({ "revoked": true }));
    let left = deployment.output(&ada, "list_my_sessions", json!({}));
    assert_eq!(left.await, json!({ "sessions": [] }));
    let again = deployment.call(Era::Modern, &ada, "revoke_my_session", arguments);
    assert!(again.await.tool_error().starts_with("no such session"));
    let log = deployment.store.read(|tx| audit::list_after(tx, 0, 10));
    let log = log.expect("a store that can be read");
    let actions: Vec<_> = log.iter().map(|chained| chained.entry.action).collect();
    assert_eq!(actions, [Action::SessionClosed]);
}

#[tokio::test]
async fn a_foreign_session_and_none_are_answered_alike_and_nothing_ends() {
    let deployment = Deployment::new();
    let (ada, grace) = (access("ada", &all_scopes()), access("grace", &all_scopes()));
    let foreign = open(&deployment, &grace, "Firefox", NOW).await;
    let mut answers = BTreeSet::new();
    for id in [foreign.to_string(), "0".repeat(Id::TEXT_LEN)] {
        let arguments = json!({ "session_id": id });
        let call = deployment.call(Era::Modern, &ada, "revoke_my_session", arguments);
        answers.insert(call.await.tool_error().replace(&id, "…"));
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
    let left = deployment
        .output(&grace, "list_my_sessions", json!({}))
        .await;
    assert_eq!(left["sessions"][0]["id"], foreign.to_string());
}
