//! Contract §3, last row: a store that fails denies, changes nothing, and tells nothing of itself.
//! Threats 22 and 36.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    time::Duration,
};

use super::{
    client_app::{CALLBACK, ClientApp, public_at},
    house::{House, NOON, Tokens, list_tools},
    wire::{Answer, Ask},
};
use crate::{
    model::{
        credential::{Credential, CredentialKind},
        id::Id,
        oauth2::client::Client,
    },
    runtime::entropy::SeededEntropy,
    store::{
        self, QUEUE_MAX, Read as _, StoreError, Table,
        testing::{Disk, Fault},
    },
};

/// A record that a disk has damaged, and what it was.
struct Damage {
    table: Table,
    key: Vec<u8>,
    was: Vec<u8>,
}

impl Damage {
    /// Damages the record of `id`.
    async fn of(house: &House, table: Table, id: Id) -> Self {
        let key = id.as_bytes().to_vec();
        let at = key.clone();
        let read: Result<Vec<u8>, StoreError> = house
            .write(move |tx, _| {
                let was = tx.get(table, &at)?.expect("a record");
                tx.put(table, &at, vec![0xff; 3]);
                Ok(was)
            })
            .await;
        let was = read.expect("the store writes");
        Self { table, key, was }
    }

    async fn mend(self, house: &House) {
        let Self { table, key, was } = self;
        let mended: Result<(), StoreError> = house
            .write(move |tx, _| {
                tx.put(table, &key, was);
                Ok(())
            })
            .await;
        mended.expect("the store writes");
    }
}

/// A writer that does nothing until it is let go, with no room left before it.
struct Jam(Sender<()>);

impl Jam {
    async fn of(house: &House) -> Self {
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let (go, wait): (Sender<()>, Receiver<()>) = channel();
        let first = house.store.write(move |_| {
            begun.send(()).expect("the test waits");
            // Ends when the jam is let go, or dropped by a test that failed.
            wait.recv().map_err(|_| StoreError::Closed)
        });
        drop(first);
        has_begun.await.expect("the writer runs");
        for _ in 0..QUEUE_MAX {
            drop(house.store.write(|_| Ok::<_, StoreError>(())));
        }
        Self(go)
    }

    /// Lets the writer go, and waits until it takes writes again.
    async fn end(self, house: &House) {
        self.0.send(()).expect("the writer waits");
        while house
            .store
            .write(|_| Ok::<_, StoreError>(()))
            .await
            .is_err()
        {
            tokio::task::yield_now().await;
        }
    }
}

/// Asserts that nothing internal is said.
#[track_caller]
fn assert_silent(answer: &Answer) {
    let said = format!("{:?} {}", answer.headers, answer.body).to_lowercase();
    for internal in [
        "redb", "record", "table", "grants", "corrupt", "queue", "bytes",
    ] {
        assert!(!said.contains(internal), "{internal}: {answer:#?}");
    }
}

/// Contract §3: "500 `server_error`, nothing changed, nothing internal said".
#[tokio::test]
async fn a_fault_denies_an_exchange_and_leaves_the_code() {
    let house = House::open();
    let (ada, app) = (house.member("ada").await, ClientApp::public(&house).await);
    let code = app.code(&ada).await;
    let record = Credential::parse(CredentialKind::AuthorizationCode, &code).expect("a code");
    for (table, id) in [
        (Table::Codes, record.id()),
        (Table::Clients, app.id.parse().expect("an id")),
    ] {
        let damage = Damage::of(&house, table, id).await;
        let answer = house.token(&app.exchange(&code)).await;
        answer.refused(500, "server_error");
        assert_silent(&answer);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        damage.mend(&house).await;
    }
    house.token(&app.exchange(&code)).await.expect(200);
}

/// The same for a refresh token and for an access token: a fault never opens anything.
#[tokio::test]
async fn a_fault_denies_every_token_and_ends_none() {
    let house = House::open();
    let (_, app, tokens) = house.connected().await;
    let access = Credential::parse(CredentialKind::AccessToken, &tokens.access).expect("a token");
    let refresh = Credential::parse(CredentialKind::RefreshToken, &tokens.refresh).expect("one");
    let damage = Damage::of(&house, Table::AccessTokens, access.id()).await;
    let answer = house.mcp(&tokens.access).await.expect(500);
    assert_eq!(
        answer.header("www-authenticate"),
        None,
        "the token is not the fault"
    );
    assert_silent(&answer);
    damage.mend(&house).await;
    let damage = Damage::of(&house, Table::TokenFamilies, refresh.id()).await;
    house
        .token(&app.refreshing(&tokens.refresh))
        .await
        .refused(500, "server_error");
    let revoked = house.ask(app.revoking(&tokens.refresh)).await;
    revoked.refused(500, "server_error");
    house.mcp(&tokens.access).await.expect(500);
    damage.mend(&house).await;
    house.mcp(&tokens.access).await.expect(200);
    house
        .token(&app.refreshing(&tokens.refresh))
        .await
        .expect(200);
}

/// A person gets a page, and is neither signed in nor sent to the client.
#[tokio::test]
async fn a_fault_denies_a_consent_and_leaves_the_page() {
    let house = House::open();
    let (ada, app) = (house.member("ada").await, ClientApp::public(&house).await);
    let page = ada.consent(&app.request()).await.fields;
    let id = app.id.parse().expect("an id");
    let damage = Damage::of(&house, Table::Clients, id).await;
    for answer in [ada.authorize(&app.request()).await, ada.decide(&page).await] {
        let answer = answer.expect(500);
        assert_eq!(answer.header("location"), None);
        assert_silent(&answer);
    }
    damage.mend(&house).await;
    ada.decide(&page).await.code();
}

/// Contract §3 and issue 2: too much to write at once is "try again", and changes nothing.
#[tokio::test]
async fn a_store_without_room_asks_to_try_again() {
    let house = House::open();
    let (ada, app, tokens) = house.connected().await;
    let code = ada.authorize(&app.request()).await.code();
    let page = ada
        .consent(&app.request().with("prompt", "consent"))
        .await
        .fields;
    let jam = Jam::of(&house).await;
    for answer in [
        house.token(&app.exchange(&code)).await,
        house.token(&app.refreshing(&tokens.refresh)).await,
        house.ask(app.revoking(&tokens.refresh)).await,
        house
            .ask(Ask::json("/oauth2/register", &public_at(CALLBACK)))
            .await,
    ] {
        answer.refused(503, "temporarily_unavailable");
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert_silent(&answer);
    }
    let decided = ada.decide(&page).await.expect(503);
    assert_eq!(decided.header("retry-after"), Some("1"));
    house.get("/readyz").await.expect(503);
    house.get("/healthz").await.expect(200);
    // What only reads is answered all the same.
    house
        .ask(list_tools("/mcp").bearer(&tokens.access))
        .await
        .expect(200);
    jam.end(&house).await;
    house.get("/readyz").await.expect(200);
    ada.decide(&page).await.code();
    house.token(&app.exchange(&code)).await.expect(200);
    Tokens::of(&house.token(&app.refreshing(&tokens.refresh)).await);
}

/// What a request begins and cannot end leaves no trace: registrations are counted.
#[tokio::test]
async fn a_registration_that_was_refused_is_not_kept() {
    let house = House::open();
    let count = |house: &House| {
        let found: Result<Vec<Client>, StoreError> =
            house.store.read(|tx| store::clients::list(tx, usize::MAX));
        found.expect("the store reads").len()
    };
    ClientApp::public(&house).await;
    let jam = Jam::of(&house).await;
    let ask = Ask::json("/oauth2/register", &public_at(CALLBACK));
    house.ask(ask).await.expect(503);
    jam.end(&house).await;
    assert_eq!(count(&house), 1);
}

/// Issue 4, point 6: what changes something is refused, what reads is not, and it goes on by
/// itself.
#[tokio::test]
async fn a_full_disk_asks_to_try_again_until_there_is_room() {
    let disk = Disk::default();
    let store = disk.store(&SeededEntropy::new(1)).expect("a store");
    let house = House::of_store(Arc::new(store), NOON, 2);
    let (ada, app, tokens) = house.connected().await;
    let code = ada.authorize(&app.request()).await.code();
    let page = ada
        .consent(&app.request().with("prompt", "consent"))
        .await
        .fields;
    disk.fail_all(Fault::Full);
    for answer in [
        house.token(&app.exchange(&code)).await,
        house.token(&app.refreshing(&tokens.refresh)).await,
        house.ask(app.revoking(&tokens.refresh)).await,
        house
            .ask(Ask::json("/oauth2/register", &public_at(CALLBACK)))
            .await,
    ] {
        answer.refused(503, "temporarily_unavailable");
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert_silent(&answer);
        assert!(!answer.body.contains("disk"), "{answer:#?}");
    }
    let decided = ada.decide(&page).await.expect(503);
    assert_eq!(decided.header("retry-after"), Some("1"));
    house.get("/readyz").await.expect(503);
    house.get("/healthz").await.expect(200);
    house.mcp(&tokens.access).await.expect(200);
    ada.get("/account").await.expect(200);
    disk.mend();
    while house.get("/readyz").await.status == 503 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    house.get("/readyz").await.expect(200);
    ada.decide(&page).await.code();
    house.token(&app.exchange(&code)).await.expect(200);
    Tokens::of(&house.token(&app.refreshing(&tokens.refresh)).await);
}
