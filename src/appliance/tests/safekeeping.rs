//! Backup, restore and check of a whole deployment: what works afterwards and what does not.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    os::unix::{fs::PermissionsExt as _, net::UnixStream},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tempfile::TempDir;
use tokio::{sync::oneshot, task::spawn_blocking};

use super::{
    browser::Browser,
    client_app::ClientApp,
    house::{House, Tokens},
    wire::Fields,
};
use crate::{
    appliance::{
        DATA_FILE,
        administration::{Command, PageState, Reply, RestoredRow},
        safekeeping::{SafekeepingError, back_up, check_file, check_offline, restore},
        socket::{self, Listener},
        start,
    },
    audit,
    config::{Config, flags::Flags},
    runtime::entropy::SeededEntropy,
    store::{Store, StoreError, backup, meta, restore::Epoch},
};

/// A configuration on that data directory, which need not be there.
fn config(data_dir: &Path) -> Config {
    let data_dir = data_dir.to_str().expect("a UTF-8 path");
    let environment = [("KEYSTEAD_DATA", data_dir)].into_iter().collect();
    Config::load(&Flags::default(), &environment).expect("a configuration")
}

/// A backup of `house`, as a file of a directory of its own.
fn backup_of(house: &House) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("box.backup");
    let mut file = File::create(&path).expect("a file");
    let written = house
        .store
        .read(|tx| backup::write(tx, house.now(), &mut file));
    written.expect("a backup");
    (directory, path)
}

/// The house that the backup at `path` makes.
fn house_of(path: &Path, house: &House, epoch: Epoch) -> (House, RestoredRow, TempDir) {
    let directory = tempfile::tempdir().expect("a directory");
    let config = config(directory.path());
    let restored = restore(&config, path, epoch).expect("a data directory");
    let data = directory.path().join(DATA_FILE);
    let opened = std::thread::scope(|scope| {
        let opened = scope.spawn(|| Store::open(&data, &SeededEntropy::new(3)));
        opened.join().expect("no panic").expect("a data file")
    });
    let house = House::of_store(Arc::new(opened), house.now(), 4);
    (house, restored, directory)
}

/// The same browser, cookies and all, in front of another house.
fn moved<'house>(browser: &Browser<'_>, house: &'house House) -> Browser<'house> {
    let mut moved = Browser::new(house);
    let name = house.app.web.session_cookie();
    moved.keep(name, browser.cookie(name).expect("a session"));
    moved
}

/// Everything that was proof of something before, and whether it is so still.
struct Before<'house> {
    ada: Browser<'house>,
    app: ClientApp,
    tokens: Tokens,
    code: String,
    page: Fields,
}

impl<'house> Before<'house> {
    async fn of(house: &'house House) -> Self {
        let (ada, app, tokens) = house.connected().await;
        let other = ClientApp::public(house).await;
        let page = ada.consent(&other.request()).await;
        let code = ada.authorize(&app.request()).await.code();
        Self {
            ada,
            app,
            tokens,
            code,
            page: page.fields,
        }
    }

    async fn assert_works_in(&self, house: &House, epoch: Epoch) {
        let works = epoch == Epoch::Kept;
        let (good, bad) = if works { (200, 200) } else { (401, 400) };
        assert_eq!(house.mcp(&self.tokens.access).await.status, good);
        let refreshed = house
            .token(&self.app.refreshing(&self.tokens.refresh))
            .await;
        assert_eq!(refreshed.status, bad, "{refreshed:#?}");
        let exchanged = house.token(&self.app.exchange(&self.code)).await;
        assert_eq!(exchanged.status, bad, "{exchanged:#?}");
        let ada = moved(&self.ada, house);
        assert_eq!(ada.get("/account").await.status == 200, works);
        // Whoever is signed in gets a code without being asked only under a grant that lives.
        let authorized = ada.authorize(&self.app.request()).await;
        assert_eq!(
            authorized
                .header("location")
                .is_some_and(|to| to.contains("code=")),
            works,
            "{authorized:#?}"
        );
    }
}

fn last_entry(house: &House) -> (String, Vec<(String, Option<String>)>) {
    let found = house
        .store
        .read(|tx| audit::search(tx, "box.restored", 1, 0));
    let entry = found.expect("a log").entries.remove(0);
    let changes = entry.changes.into_iter();
    (
        entry.action.as_str().to_owned(),
        changes.map(|change| (change.field, change.new)).collect(),
    )
}

#[tokio::test]
async fn a_restore_revives_nothing_and_forgets_nobody() {
    let house = House::open();
    let before = Before::of(&house).await;
    let (_kept, path) = backup_of(&house);
    let (after, restored, _data) = house_of(&path, &house, Epoch::New);
    before.assert_works_in(&after, Epoch::New).await;
    assert_eq!((restored.users, restored.clients), (1, 2));
    assert_eq!((restored.sessions, restored.families), (1, 1));
    // The person is who they were: signed in again, they are asked, and the app works again.
    let ada = after
        .store
        .read(|tx| crate::store::users::list(tx))
        .expect("users")
        .remove(0);
    let mut ada = after.signed_in(&ada).await;
    // A page of before is bound to another session and another key.
    let stale = ada.decide(&before.page).await;
    assert!(stale.status >= 400, "{stale:#?}");
    let code = before.app.code(&ada).await;
    let tokens = Tokens::of(&after.token(&before.app.exchange(&code)).await);
    assert_eq!(after.mcp(&tokens.access).await.status, 200);
    ada.open_form("/account", "/sign-out").await;
    // And the log goes on.
    let (action, changes) = last_entry(&after);
    assert_eq!(action, "box.restored");
    assert_eq!(
        changes[0],
        ("backup_made_at".to_owned(), Some(restored.made_at))
    );
    assert_eq!(changes[2], ("tokens".to_owned(), Some("ended".to_owned())));
    after
        .store
        .read(|tx| audit::verify(tx))
        .expect("a whole log");
}

#[tokio::test]
async fn a_restore_that_keeps_tokens_keeps_them_all() {
    let house = House::open();
    let before = Before::of(&house).await;
    let (_kept, path) = backup_of(&house);
    let (after, restored, _data) = house_of(&path, &house, Epoch::Kept);
    before.assert_works_in(&after, Epoch::Kept).await;
    assert_eq!(restored.epoch, Epoch::Kept);
    assert_eq!(last_entry(&after).1[2].1.as_deref(), Some("kept"));
    after
        .store
        .read(|tx| audit::verify(tx))
        .expect("a whole log");
}

/// An open claim of the backup would make its finder the owner.
#[tokio::test]
async fn a_claim_of_before_is_closed() {
    let house = House::open();
    let link = house.claim_path().await;
    let (_kept, path) = backup_of(&house);
    let (after, ..) = house_of(&path, &house, Epoch::New);
    assert!(after.store.read(meta_claim).expect("a read").is_none());
    assert_ne!(after.stranger().get(&link).await.status, 200);
    let (kept, ..) = house_of(&path, &house, Epoch::Kept);
    assert_eq!(kept.stranger().get(&link).await.status, 200);
}

fn meta_claim(tx: &crate::store::ReadTx) -> Result<Option<meta::Claim>, StoreError> {
    meta::find_claim(tx)
}

#[tokio::test]
async fn only_a_whole_backup_makes_anything_and_only_where_nothing_is() {
    let house = House::open();
    house.connected().await;
    let (kept, path) = backup_of(&house);
    let data = kept.path().join("a/data");
    let config = config(&data);
    let whole = fs::read(&path).expect("the backup");
    let mut changed = whole.clone();
    changed[whole.len() / 2] ^= 1;
    for (content, why) in [
        (
            &whole[..whole.len() / 2],
            "it is cut off: expected more after byte",
        ),
        (&changed[..], "it was changed after it was made, at byte"),
        (b"a list of things to buy", "it is no backup of Keystead"),
    ] {
        fs::write(&path, content).expect("a file");
        let refused = restore(&config, &path, Epoch::New)
            .expect_err(why)
            .to_string();
        assert!(refused.contains(why), "{refused}");
        assert!(!data.exists());
    }
    let missing = restore(&config, &kept.path().join("missing"), Epoch::New);
    assert!(matches!(missing, Err(SafekeepingError::Unreadable { .. })));
    fs::write(&path, &whole).expect("a file");
    restore(&config, &path, Epoch::New).expect("a data directory");
    let mode = |path: &Path| {
        let found = fs::metadata(path).expect("a file");
        found.permissions().mode() & 0o777
    };
    assert_eq!((mode(&data), mode(&data.join(DATA_FILE))), (0o700, 0o600));
    let there = restore(&config, &path, Epoch::New)
        .expect_err("it is there")
        .to_string();
    assert!(
        there.contains("expected an empty data directory, found keystead.redb"),
        "{there}"
    );
    // The built-in authority may wait for its box.
    fs::remove_file(data.join(DATA_FILE)).expect("the data file");
    fs::write(data.join("ca.key"), b"a key").expect("a file");
    restore(&config, &path, Epoch::New).expect("a data directory");
}

/// Its checksums are right, and what it holds is not: it was made of a damaged store.
#[tokio::test]
async fn a_backup_that_contradicts_itself_makes_nothing() {
    let house = House::open();
    let damaged = house.write(|tx, _| {
        tx.put(crate::store::Table::UsersByName, b"eve", vec![1; 16]);
        Ok::<_, StoreError>(())
    });
    damaged.await.expect("a write");
    let (kept, path) = backup_of(&house);
    let data = kept.path().join("data");
    let refused = restore(&config(&data), &path, Epoch::New);
    assert!(
        matches!(refused, Err(SafekeepingError::NotWhole { count: 1, .. })),
        "{refused:?}"
    );
    assert!(!data.exists());
    let checked = check_file(&path).expect("a check");
    assert_eq!((checked.fault_count, checked.pages), (1, PageState::Whole));
    assert!(
        checked.faults[0].starts_with("users_by_name_v1 "),
        "{checked:?}"
    );
}

#[tokio::test]
async fn a_check_says_what_is_there_and_changes_nothing() {
    let house = House::open();
    house.connected().await;
    let (kept, path) = backup_of(&house);
    let data = kept.path().join("data");
    let config = config(&data);
    assert!(matches!(
        check_offline(&config),
        Err(SafekeepingError::Store(StoreError::Unreadable { .. }))
    ));
    restore(&config, &path, Epoch::Kept).expect("a data directory");
    let file = data.join(DATA_FILE);
    let before = fs::read(&file).expect("the file");
    let checked = check_offline(&config).expect("a check");
    assert_eq!((checked.fault_count, checked.pages), (0, PageState::Whole));
    assert_eq!(check_file(&file).expect("a check"), checked);
    let of_backup = check_file(&path).expect("a check");
    assert_eq!(of_backup.backup_made_at, Some(house.now().to_string()));
    let users = |row: &crate::appliance::administration::CheckRow| row.tables[1].rows;
    assert_eq!((users(&checked), users(&of_backup)), (1, 1));
    // A backup of the file itself, too.
    let again = blocking(move || {
        let mut again = Vec::new();
        back_up(&config, &mut again).expect("a backup");
        again
    })
    .await;
    assert!(again.starts_with(b"keystead backup\n"));
    assert_eq!(fs::read(&file).expect("the file"), before);
    fs::write(&path, &again[..again.len() - 1]).expect("a file");
    let cut = check_file(&path).expect("a check");
    assert_eq!((cut.fault_count, cut.pages), (1, PageState::Damaged));
}

/// A server in this process that answers on the socket of a data directory.
struct Served {
    stop: oneshot::Sender<()>,
    served: tokio::task::JoinHandle<()>,
}

impl Served {
    fn begin(house: &House, data_dir: &Path) -> Self {
        let listener = Listener::bind(data_dir).expect("a socket");
        let (stop, stopped) = oneshot::channel();
        let handler = start::administer(Arc::clone(&house.app));
        let served = tokio::spawn(socket::serve(listener, handler, async {
            stopped.await.expect("a stop");
        }));
        Self { stop, served }
    }

    async fn end(self) {
        self.stop.send(()).expect("a server");
        self.served.await.expect("a clean end");
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    spawn_blocking(work).await.expect("no panic")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_server_is_backed_up_and_checked_through_its_socket() {
    let house = House::open();
    house.connected().await;
    let directory = tempfile::tempdir().expect("a directory");
    let config = config(directory.path());
    let served = Served::begin(&house, directory.path());
    let asked = config.clone();
    let (made, bytes) = blocking(move || {
        let mut bytes = Vec::new();
        (back_up(&asked, &mut bytes), bytes)
    })
    .await;
    assert_eq!(made.expect("a backup").len, bytes.len() as u64);
    let asked = config.clone();
    let checked = blocking(move || socket::call(&asked.data_dir, &Command::Check)).await;
    let Ok(Ok(Reply::Checked(checked))) = checked else {
        panic!("{checked:?}")
    };
    assert_eq!(
        (checked.fault_count, checked.pages),
        (0, PageState::NotChecked)
    );
    assert_eq!(checked.tables[1].rows, 1);
    served.end().await;
}

/// Somebody who asks for a backup and reads nothing holds a snapshot, and no place of anybody else;
/// the server stops all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_stops_reading_keeps_nobody_waiting() {
    const LARGE: usize = 100;
    let house = House::open();
    let filled = house.write(|tx, _| {
        for number in 0..LARGE {
            tx.put(
                crate::store::Table::Codes,
                &number.to_be_bytes(),
                vec![7; 100_000],
            );
        }
        Ok::<_, StoreError>(())
    });
    filled.await.expect("a write");
    let directory = tempfile::tempdir().expect("a directory");
    let config = config(directory.path());
    let served = Served::begin(&house, directory.path());
    let path = socket::path_in(directory.path());
    let mut idle = blocking(move || {
        let mut idle = UnixStream::connect(path).expect("a connection");
        idle.write_all(b"\"backup\"\n").expect("a listener");
        idle.set_read_timeout(Some(Duration::from_secs(20)))
            .expect("a deadline");
        let mut first = [0; 15];
        idle.read_exact(&mut first).expect("an answer");
        assert_eq!(&first, b"{\"Ok\":\"backup\"}");
        idle
    })
    .await;
    // Writes go on, and a second backup is refused at once.
    house.person("bob", crate::model::user::Role::Member).await;
    let asked = config.clone();
    let refused = blocking(move || back_up(&asked, &mut Vec::new())).await;
    let refused = refused.expect_err("one is under way").to_string();
    assert!(refused.contains("is under way"), "{refused}");
    served.end().await;
    let rest = blocking(move || {
        let mut rest = Vec::new();
        idle.read_to_end(&mut rest).expect("an end");
        rest.len()
    });
    assert!(rest.await < LARGE * 100_000);
}
