//! Contract §6 and issue of the provider: what is done on the wire is written down with it, and the
//! log of it holds together.

use serde_json::json;

use super::{
    client_app::public_at,
    house::{House, Tokens},
};
use crate::{
    audit::{self, AuditRow},
    store::StoreError,
};

const REDIRECT_URI: &str = "https://app.example/cb";

/// The whole log, oldest first, after a check that it holds together.
fn log(house: &House) -> Vec<AuditRow> {
    let store = &house.app.web.store;
    store.read(|tx| audit::verify(tx)).expect("an unbroken log");
    let found = store.read(|tx| audit::search(tx, "", audit::SEARCH_LIMIT_MAX, 0));
    let mut rows: Vec<_> = found
        .map(|found| found.entries.into_iter().map(AuditRow::from).collect())
        .map_err(|fault: StoreError| fault.to_string())
        .expect("a log");
    rows.reverse();
    rows
}

#[tokio::test]
async fn every_step_of_a_connection_is_written_down() {
    let house = House::open();
    let (ada, app, first) = house.connected().await;
    let second = Tokens::of(&house.token(&app.refreshing(&first.refresh)).await);
    house.ask(app.revoking(&second.refresh)).await.expect(200);
    drop(ada);
    let rows = log(&house);
    let actions: Vec<_> = rows.iter().map(|row| row.action.as_str()).collect();
    let mut expected = [
        "client.registered",
        "consent.given",
        "token.issued",
        "token.refreshed",
        "token.revoked",
    ]
    .into_iter()
    .peekable();
    for action in &actions {
        expected.next_if(|next| next == action);
    }
    assert_eq!(expected.next(), None, "in {actions:?}");
    // Who, and from where.
    let consent = rows
        .iter()
        .find(|row| row.action == "consent.given")
        .expect("a consent");
    assert_eq!(consent.actor, "user");
    assert!(consent.address.is_some() && consent.request_id.is_some());
    let refreshed = rows
        .iter()
        .find(|row| row.action == "token.refreshed")
        .expect("a refresh");
    assert_eq!(
        (refreshed.actor.as_str(), refreshed.object.as_str()),
        ("client", "family")
    );
}

/// "Secrets blanked": nothing in the log opens anything.
#[tokio::test]
async fn no_secret_is_in_the_log() {
    let house = House::open();
    let (_, app, tokens) = house.connected().await;
    house.ask(app.revoking(&tokens.access)).await.expect(200);
    let text = format!("{:?}", log(&house));
    assert!(!text.contains("ks_"), "{text}");
}

/// "Old and new values".
#[tokio::test]
async fn what_a_client_changes_of_itself_is_written_down_with_what_it_was() {
    let house = House::open();
    let metadata = public_at(REDIRECT_URI);
    let app = super::client_app::ClientApp::register(&house, &metadata).await;
    let mut changed = metadata;
    changed["scope"] = json!("grants:read");
    changed["client_name"] = json!("Another name");
    app.replace(&house, &changed).await.expect(200);
    let rows = log(&house);
    let row = rows.last().expect("an entry");
    assert_eq!(row.action, "client.changed");
    let of = |field: &str| row.changes.iter().find(|change| change.field == field);
    let scope = of("scope").expect("the scope");
    assert_eq!(
        (scope.old.as_deref(), scope.new.as_deref()),
        (None, Some("grants:read"))
    );
    let name = of("client_name").expect("the name");
    assert_eq!(name.new.as_deref(), Some("Another name"));
    assert!(name.old.is_some() && of("redirect_uris").is_none());
}

/// A refusal changes nothing, and a replay is written down as what it is.
#[tokio::test]
async fn a_replay_is_written_down_and_a_refusal_is_not() {
    let house = House::open();
    let (_, app, first) = house.connected().await;
    let before = log(&house).len();
    let wrong = app.refreshing(&first.refresh).with("scope", "apps:write");
    house.token(&wrong).await.refused(400, "invalid_scope");
    assert_eq!(log(&house).len(), before);
    let second = Tokens::of(&house.token(&app.refreshing(&first.refresh)).await);
    house.wait(std::time::Duration::from_secs(31));
    house
        .token(&app.refreshing(&first.refresh))
        .await
        .refused(400, "invalid_grant");
    house.mcp(&second.access).await.expect(401);
    assert_eq!(
        log(&house).last().expect("an entry").action,
        "token.replayed"
    );
}
