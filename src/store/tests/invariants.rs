//! What must hold in every store at every moment: the indexes agree with the records, and whatever
//! ends will be found by the sweeper. The product checks it ([`check`]); here it is tried.

use super::samples::{
    access_token, added_upstream, at, client, client_secret, code, device, document_client, family,
    grant, id, notification, notification_settings, pinned, queued_push, read, resource_server,
    session, store, subscription, user, write,
};
use crate::{
    crypto::{digest::Digest, web_push::VapidKey},
    model::{
        audit::{Action, Actor, AuditEntry, Object},
        push::{QueuedPush, Subscription},
        timestamp::Timestamp,
    },
    store::{
        Keys, Read, Store, StoreError, TABLES, Table, WriteTx, audit,
        check::{FAULTS_MAX, check},
        client_documents, clients,
        codec::{self, Record},
        codes, devices, grants,
        meta::{self, Claim, Settings},
        notifications::{self, InboxCounts},
        pushes::{self, Line},
        resource_servers, sessions, tokens, upstreams, users,
    },
};

/// What contradicts itself in the store, table by table; nothing in a sound one.
#[expect(
    clippy::unnecessary_wraps,
    reason = "what is done on a snapshot may fail, even if this does not"
)]
pub(super) fn contradictions(tx: &dyn Read) -> Result<Vec<String>, StoreError> {
    let checked = check(tx, &|| true).expect("nobody stops it");
    Ok(checked.faults.iter().map(ToString::to_string).collect())
}

pub(super) fn records<R: Record>(tx: &dyn Read) -> Result<Vec<R>, StoreError> {
    codec::list(tx, &Keys::ALL, usize::MAX)
}

pub(super) fn assert_sound(store: &Store) {
    assert_eq!(read(store, contradictions), Vec::<String>::new());
}

/// One row of everything.
pub(super) fn fill(tx: &mut WriteTx<'_>) -> Result<(), StoreError> {
    users::put(tx, &user(id(at(1), 1), "ada"))?;
    sessions::add(tx, &session(id(at(1), 3), id(at(1), 1), at(50)))?;
    clients::put(tx, &client(id(at(1), 2), None))?;
    clients::put(tx, &document_client(id(at(1), 7), None))?;
    clients::put_secret(tx, &client_secret(id(at(1), 4), id(at(1), 2)))?;
    clients::expire_unless_approved(tx, &client(id(at(1), 2), None), at(60));
    client_documents::put(tx, &pinned(at(1)))?;
    grants::add(tx, &grant(id(at(1), 5), id(at(1), 1), id(at(1), 2), at(50)))?;
    grants::spend_consent(tx, id(at(1), 10), at(50))?;
    codes::put(tx, &code(id(at(1), 9), at(50)))?;
    tokens::put_access_token(tx, &access_token(id(at(1), 11), at(50)))?;
    devices::add(tx, &device(id(at(1), 7), 1, at(50)))?;
    let server = resource_server(id(at(1), 8), "https://files.lan");
    resource_servers::add(tx, &server)?;
    upstreams::add(tx, &added_upstream(id(at(1), 12)))?;
    for number in 1..=3 {
        let head = audit::head(tx)?;
        audit::append(tx, &head, entry(number))?;
    }
    notifications::add(tx, &notification(id(at(1), 12), id(at(1), 1)))?;
    notifications::add(tx, &notification(id(at(1), 13), id(at(1), 1)))?;
    notifications::set_read(tx, id(at(1), 1), id(at(1), 12), Some(at(2)))?;
    let settings = notification_settings(id(at(1), 2));
    notifications::put_settings(tx, id(at(1), 1), &settings)?;
    pushes::add(tx, &subscription(id(at(1), 14), id(at(1), 1)))?;
    pushes::enqueue(tx, &on_its_way())?;
    meta::put_vapid(tx, VapidKey::generate().expect("a pair"));
    meta::put_claim(
        tx,
        &Claim {
            digest: Digest::of(b"claim"),
            expires_at: at(50),
        },
    )?;
    meta::put_settings(
        tx,
        &Settings {
            registration_enabled: Some(false),
        },
    )?;
    meta::put_probe(tx, at(1));
    tokens::add_family(tx, &family(id(at(1), 6), id(at(1), 5), at(50)))
}

fn on_its_way() -> QueuedPush {
    let browser = subscription(id(at(1), 14), id(at(1), 1));
    queued_push(id(at(1), 15), &browser, id(at(1), 12))
}

fn entry(number: u64) -> AuditEntry {
    AuditEntry {
        number,
        at: at(1),
        actor: Actor::Administrator,
        address: None,
        request_id: None,
        action: Action::UserCreated,
        object: Object::Box,
        changes: Vec::new(),
    }
}

type Damage = fn(&mut WriteTx<'_>);

/// What can be broken, and the fault that tells of it.
const DAMAGES: &[(&str, Damage)] = &[
    ("meta_v1: names no schema", |tx| {
        tx.remove(Table::Meta, b"schema");
    }),
    (
        "meta_v1: a record of meta_v1 cannot be read: expected 32 bytes at \"key\", found 0",
        |tx| {
            tx.remove(Table::Meta, b"key");
        },
    ),
    ("meta_v1 claim: expected version 1, found 7", |tx| {
        tx.put(Table::Meta, b"claim", vec![7]);
    }),
    (
        "meta_v1 vapid: expected a key pair of the curve P-256 in PKCS #8",
        |tx| tx.put(Table::Meta, b"vapid", vec![7]),
    ),
    (
        "notifications_v1 0000000003e80c0c0c0c0c0c0c0c0c0c: is not found by its user",
        |tx| {
            let user_id = id(at(1), 1);
            let key = codec::pair(user_id, id(at(1), 12));
            tx.remove(Table::NotificationsByUser, &key);
            let rest = InboxCounts {
                total: 1,
                unread: 1,
            };
            let rest = codec::encode(&rest).expect("a record");
            tx.put(Table::InboxCounts, user_id.as_bytes(), rest);
        },
    ),
    (
        "notifications_by_user_v1 0000000003e8010101010101010101010000000003e80c0c0c0c0c0c0c0c0c0c: \
         names a record that is gone or has another owner",
        |tx| tx.remove(Table::Notifications, id(at(1), 12).as_bytes()),
    ),
    (
        "inbox_counts_v1 0000000003e801010101010101010101: is not what the inbox has",
        |tx| {
            tx.put(
                Table::InboxCounts,
                id(at(1), 1).as_bytes(),
                codec::encode(&InboxCounts {
                    total: 2,
                    unread: 2,
                })
                .expect("a record"),
            );
        },
    ),
    (
        "notification_settings_v1 0000000003e801010101010101010101: expected version 1, found 9",
        |tx| {
            tx.put(
                Table::NotificationSettings,
                id(at(1), 1).as_bytes(),
                vec![9],
            );
        },
    ),
    (
        "subscriptions_v1 0000000003e8010101010101010101010000000003e80e0e0e0e0e0e0e0e0e0e: is not \
         found by its endpoint",
        |tx| {
            let browser = subscription(id(at(1), 14), id(at(1), 1));
            let digest = Subscription::endpoint_digest(&browser.endpoint);
            tx.remove(Table::SubscriptionsByEndpoint, digest.as_bytes());
        },
    ),
    (
        "subscriptions_by_endpoint_v1 4bb06f8e…: names no browser that is told there",
        |tx| tx.put(Table::SubscriptionsByEndpoint, &[7; 32], vec![7; 32]),
    ),
    (
        "push_queue_v1 ffff: stands at another browser or id than its own",
        |tx| {
            let push = codec::encode(&on_its_way()).expect("a record");
            tx.put(Table::PushQueue, &[0xff, 0xff], push);
        },
    ),
    (
        "push_queue_v1 0000000003e8010101010101010101010000000003e80e0e0e0e0e0e0e0e0e0e0000000003e8\
         0f0f0f0f0f0f0f0f0f0f: is for a browser that is gone",
        |tx| {
            let browser = codec::pair(id(at(1), 1), id(at(1), 14));
            tx.remove(Table::Subscriptions, &browser);
        },
    ),
    (
        "push_queue_v1 0000000003e8010101010101010101010000000003e80e0e0e0e0e0e0e0e0e0e0000000003e8\
         0f0f0f0f0f0f0f0f0f0f: is not found when it is due",
        |tx| {
            let line = Line::of(&on_its_way()).key();
            tx.remove(Table::PushLines, &line);
        },
    ),
    (
        "push_lines_v1 73686f7274: expected a number of 8 bytes, found 0",
        |tx| tx.put(Table::PushLines, b"short", Vec::new()),
    ),
    (
        "push_lines_v1 00000000000000070000000003e8010101010101010101010000000003e80e0e0e0e0e0e0e0e\
         0e0e: is no browser's for which something is due then",
        |tx| {
            let line = Line {
                due_at: Timestamp::from_millis(7),
                ..Line::of(&on_its_way())
            };
            tx.put(Table::PushLines, &line.key(), Vec::new());
        },
    ),
    ("meta_v1 other: no such fact is known", |tx| {
        tx.put(Table::Meta, b"other", Vec::new());
    }),
    (
        "users_v1 0000000003e801010101010101010101: is not found by its name",
        |tx| tx.remove(Table::UsersByName, b"ada"),
    ),
    (
        "users_v1 0000000003e801010101010101010101: expected version 1, found 9",
        |tx| tx.put(Table::Users, id(at(1), 1).as_bytes(), vec![9]),
    ),
    (
        "users_by_name_v1 85262adf…: names nobody of that name",
        |tx| {
            tx.put(Table::UsersByName, b"eve", id(at(1), 1).as_bytes().to_vec());
        },
    ),
    (
        "sessions_v1 0000000003e803030303030303030303: is not found by its user",
        |tx| {
            tx.remove(
                Table::SessionsByUser,
                &codec::pair(id(at(1), 1), id(at(1), 3)),
            );
        },
    ),
    (
        "sessions_by_user_v1 0000000003e8010101010101010101010000000003e803030303030303030303: \
         names a record that is gone or has another owner",
        |tx| tx.remove(Table::Sessions, id(at(1), 3).as_bytes()),
    ),
    (
        "clients_v1 0000000003e807070707070707070707: is not found by its document",
        |tx| {
            let url = format!("https://a.example/{}", id(at(1), 7));
            tx.remove(Table::ClientsByDocument, url.as_bytes());
        },
    ),
    (
        "client_secrets_v1 0000000003e8020202020202020202020000000003e804040404040404040404: \
         is of a client that is gone",
        |tx| tx.remove(Table::Clients, id(at(1), 2).as_bytes()),
    ),
    (
        "grants_v1 0000000003e805050505050505050505: is not found by its user",
        |tx| {
            let row = codec::pair(id(at(1), 1), id(at(1), 5));
            tx.remove(Table::GrantsByUser, &row);
        },
    ),
    (
        "grants_v1 0000000003e805050505050505050505: is not found by its client",
        |tx| {
            let row = codec::pair(id(at(1), 2), id(at(1), 5));
            tx.remove(Table::GrantsByClient, &row);
        },
    ),
    (
        "grants_by_user_v1 0000000003e8010101010101010101010000000003e832323232323232323232: \
         names a record that is gone or has another owner",
        |tx| {
            tx.put(
                Table::GrantsByUser,
                &codec::pair(id(at(1), 1), id(at(1), 50)),
                Vec::new(),
            );
        },
    ),
    (
        "grants_by_client_v1 0000000003e8020202020202020202020000000003e805050505050505050505: \
         names a record that is gone or has another owner",
        |tx| tx.remove(Table::Grants, id(at(1), 5).as_bytes()),
    ),
    (
        "spent_consents_v1 0000000003e80a0a0a0a0a0a0a0a0a0a: expected a number of 8 bytes, found 1",
        |tx| tx.put(Table::SpentConsents, id(at(1), 10).as_bytes(), vec![1]),
    ),
    (
        "codes_v1 656c73657768657265: stands at another id than its own",
        |tx| {
            let code = codec::encode(&code(id(at(1), 9), at(50))).expect("a record");
            tx.put(Table::Codes, b"elsewhere", code);
        },
    ),
    (
        "token_families_v1 0000000003e806060606060606060606: is never swept: it has no row in \
         the expiry index before its end",
        |tx| {
            // In the file a family has the row of the end that it had when it began.
            let row = [
                &at(50).millis().to_be_bytes()[..],
                &[4],
                id(at(1), 6).as_bytes(),
            ]
            .concat();
            tx.remove(Table::Expiry, &row);
        },
    ),
    (
        "access_tokens_v1 6b6579: expected a version byte, found nothing",
        |tx| {
            tx.put(Table::AccessTokens, b"key", Vec::new());
        },
    ),
    (
        "devices_v1 0000000003e807070707070707070707: is not found by its user code",
        |tx| {
            let code = device(id(at(1), 7), 1, at(50)).user_code_digest;
            tx.remove(Table::DevicesByUserCode, code.as_bytes());
        },
    ),
    (
        "devices_by_user_code_v1 9c12cfdc…: names no device that has it",
        |tx| tx.remove(Table::Devices, id(at(1), 7).as_bytes()),
    ),
    (
        "resource_servers_v1 0000000003e808080808080808080808: is not found by its identifier",
        |tx| {
            let table = Table::ResourceServersByIdentifier;
            tx.remove(table, b"https://files.lan");
        },
    ),
    (
        "resource_servers_by_identifier_v1 4349f6c6…: names no server that has it",
        |tx| tx.remove(Table::ResourceServers, id(at(1), 8).as_bytes()),
    ),
    (
        "audit_v1 3: does not follow upon the entry before it",
        |tx| {
            tx.remove(Table::Audit, &2_u64.to_be_bytes());
        },
    ),
    ("audit_v1 4: stands at another number than its own", |tx| {
        let third = tx.get(Table::Audit, &3_u64.to_be_bytes());
        let third = third.expect("a read").expect("an entry");
        tx.put(Table::Audit, &4_u64.to_be_bytes(), third);
    }),
    (
        "audit_v1: expected the newest entry to be 3, found 2",
        |tx| {
            tx.remove(Table::Audit, &3_u64.to_be_bytes());
        },
    ),
    (
        "expiry_v1 73686f7274: expected instant, kind and id, found 5 bytes",
        |tx| tx.put(Table::Expiry, b"short", Vec::new()),
    ),
    (
        "clients_by_document_v1 5836abc9…: names no client that the document describes",
        |tx| tx.remove(Table::Clients, id(at(1), 7).as_bytes()),
    ),
    (
        "pinned_documents_v1 7b1b763e…: stands at another URL than its own",
        |tx| {
            let pinned = codec::encode(&pinned(at(1))).expect("a record");
            tx.put(Table::PinnedDocuments, b"elsewhere", pinned);
        },
    ),
    (
        "upstreams_v1 7b1b763e…: stands at another name than its own",
        |tx| {
            let added = codec::encode(&added_upstream(id(at(1), 12))).expect("a record");
            tx.put(Table::Upstreams, b"elsewhere", added);
        },
    ),
];

/// The checker itself: each kind of damage is found where it is, and told without what is secret.
#[test]
fn what_contradicts_itself_is_found() {
    for (fault, damage) in DAMAGES {
        let store = store();
        write(&store, fill);
        assert_sound(&store);
        write(&store, move |tx| {
            damage(tx);
            Ok(())
        });
        let found = read(&store, contradictions);
        assert!(
            found.iter().any(|found| found == fault),
            "{fault}: {found:#?}"
        );
    }
}

#[test]
fn every_table_is_damaged_in_a_test_and_filled() {
    let store = store();
    write(&store, fill);
    let checked = read(&store, |tx| Ok(check(tx, &|| true))).expect("an end");
    for (definition, size) in TABLES.iter().zip(&checked.tables) {
        let name = definition.name;
        let is_damaged = DAMAGES.iter().any(|(fault, _)| fault.starts_with(name));
        assert!(is_damaged && size.rows > 0, "{name}");
        let rows = read(&store, |tx| tx.scan(definition.table, &Keys::ALL, 100));
        let bytes: usize = rows
            .iter()
            .map(|(key, value)| key.len() + value.len())
            .sum();
        assert_eq!((size.rows, size.bytes), (rows.len() as u64, bytes as u64));
    }
}

#[test]
fn a_check_of_endless_faults_has_an_end() {
    let store = store();
    write(&store, |tx| {
        for number in 0..300_u64 {
            tx.put(Table::Codes, &number.to_be_bytes(), vec![9]);
        }
        Ok(())
    });
    let checked = read(&store, |tx| Ok(check(tx, &|| true))).expect("an end");
    assert_eq!(
        (checked.fault_count, checked.faults.len()),
        (300, FAULTS_MAX)
    );
    assert_eq!(read(&store, |tx| Ok(check(tx, &|| false))), None);
}
