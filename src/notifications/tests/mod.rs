//! What is told, to whom, and what is on its way to their browsers.

mod inbox;
mod queue;
mod reports;
mod tasks;

use super::*;
use crate::{
    audit::Act,
    model::{
        audit::{Actor, Origin},
        id::Id,
        notification::{Sender, Template, Urgency},
        timestamp::Timestamp,
        user::{Role, User},
    },
    runtime::entropy::SeededEntropy,
    store::{Read, Store, StoreError, WriteTx, users},
};

const ADA: u8 = 1;
const BOB: u8 = 2;

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

fn id(number: u8) -> Id {
    let mut bytes = [0; 16];
    bytes[15] = number;
    Id::from_bytes(bytes)
}

fn person(number: u8, name: &str, role: Role) -> User {
    User {
        id: id(number),
        name: name.parse().expect("a name"),
        password_hash: "$argon2id$".to_owned(),
        role,
        created_at: at(1),
        last_sign_in_at: None,
        disabled_at: None,
    }
}

/// A store with Ada, its owner, and Bob.
fn house() -> Store {
    let store = Store::in_memory(&SeededEntropy::new(1)).expect("memory");
    let added = store.write(|tx| {
        users::put(tx, &person(ADA, "ada", Role::Owner))?;
        users::put(tx, &person(BOB, "bob", Role::Member))
    });
    added
        .wait()
        .map_err(|error: StoreError| error)
        .expect("two people");
    store
}

fn done<T: Send + 'static>(
    store: &Store,
    seconds: u64,
    work: impl FnOnce(&mut WriteTx<'_>, Act<'_>) -> Result<T, StoreError> + Send + 'static,
) -> T {
    let write = store.write(move |tx| {
        let by = Origin::local(at(seconds), Actor::Keystead);
        let entropy = SeededEntropy::new(seconds);
        let act = Act {
            now: at(seconds),
            entropy: &entropy,
            by: &by,
        };
        work(tx, act)
    });
    write.wait().expect("a write")
}

fn seen<T>(store: &Store, work: impl FnOnce(&dyn Read) -> Result<T, StoreError>) -> T {
    store.read(|tx| work(tx)).expect("a read")
}

fn custom(title: &str) -> Message {
    Message {
        template: Template::Custom,
        targets: vec![],
        title: title.to_owned(),
        content: String::new(),
        actions: vec![],
        urgency: Urgency::Normal,
        sender: Sender::Client(id(9)),
    }
}

fn tell(store: &Store, seconds: u64, reader: u8, message: Message) -> Result<Told, Refused> {
    done(store, seconds, move |tx, act| {
        send(tx, act, id(reader), message)
    })
}

fn told(outcome: Result<Told, Refused>) -> (Id, usize) {
    match outcome.expect("told") {
        Told::Kept {
            notification,
            pushes,
        } => (notification.id, pushes),
        Told::Unwanted => panic!("expected it to be wanted"),
    }
}

fn browser(store: &Store, seconds: u64, reader: u8, number: u16) -> Id {
    done(store, seconds, move |tx, act| {
        testing::browser(tx, act, id(reader), number)
    })
}

fn titles(store: &Store, read_status: ReadStatus) -> Vec<String> {
    let filter = Filter {
        read_status,
        ..Filter::default()
    };
    let page = seen(store, |tx| list(tx, id(ADA), &filter));
    let titles = page.entries.into_iter().map(|entry| entry.notification);
    titles.map(|notification| notification.title).collect()
}
