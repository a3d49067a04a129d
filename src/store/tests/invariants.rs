//! What must hold in every store at every moment: the indexes agree with the records, and whatever
//! ends will be found by the sweeper.

use std::collections::BTreeSet;

use super::samples::{
    added_upstream, at, client, client_secret, device, document_client, family, grant, id, pinned,
    read, resource_server, session, store, user, write,
};
use crate::{
    model::{
        audit::ChainedEntry,
        id::Id,
        oauth2::{
            client::{Client, ClientSecret},
            client_document::PinnedDocument,
            client_id::ClientId,
            code::AuthorizationCode,
            device::DeviceAuthorization,
            grant::Grant,
            resource_server::ResourceServer,
            token::{AccessToken, TokenFamily},
        },
        session::Session,
        timestamp::Timestamp,
        upstream::AddedUpstream,
        user::User,
    },
    store::{
        Keys, Read, Store, StoreError, TABLES, Table, WriteTx, audit, clients,
        codec::{self, Record},
        devices, grants, resource_servers, sessions, sweep, tokens, upstreams, users,
    },
};

/// What contradicts itself in the store, table by table; nothing in a sound one.
pub(super) fn contradictions(tx: &dyn Read) -> Result<Vec<String>, StoreError> {
    let mut found = Vec::new();
    for definition in TABLES {
        let mut say = |what: String| found.push(format!("{}: {what}", definition.name));
        match definition.table {
            Table::Meta | Table::SpentConsents => {}
            Table::Users => check_users(tx, &mut say)?,
            Table::UsersByName => check_names(tx, &mut say)?,
            Table::Sessions => check_sessions(tx, &mut say)?,
            Table::SessionsByUser => {
                check_index::<Session>(tx, definition.table, |session| session.user_id, &mut say)?;
            }
            Table::Clients => check_records::<Client>(tx, |client| client.id, &mut say)?,
            Table::ClientSecrets => check_secrets(tx, &mut say)?,
            Table::Grants => check_grants(tx, &mut say)?,
            Table::GrantsByUser => {
                check_index::<Grant>(tx, definition.table, |grant| grant.user_id, &mut say)?;
            }
            Table::GrantsByClient => {
                check_index::<Grant>(tx, definition.table, |grant| grant.client_id, &mut say)?;
            }
            Table::Codes => check_records::<AuthorizationCode>(tx, |code| code.id, &mut say)?,
            Table::TokenFamilies => check_families(tx, &mut say)?,
            Table::AccessTokens => check_records::<AccessToken>(tx, |token| token.id, &mut say)?,
            Table::Devices => check_devices(tx, &mut say)?,
            Table::DevicesByUserCode => check_user_codes(tx, &mut say)?,
            Table::ResourceServers => check_servers(tx, &mut say)?,
            Table::ResourceServersByIdentifier => check_identifiers(tx, &mut say)?,
            Table::Audit => check_audit(tx, &mut say)?,
            Table::Expiry => check_expiry(tx, &mut say)?,
            Table::ClientsByDocument => check_documents(tx, &mut say)?,
            Table::PinnedDocuments => check_pins(tx, &mut say)?,
            Table::Upstreams => check_upstreams(tx, &mut say)?,
        }
    }
    Ok(found)
}

type Say<'a> = &'a mut dyn FnMut(String);

pub(super) fn records<R: Record>(tx: &dyn Read) -> Result<Vec<R>, StoreError> {
    codec::list(tx, &Keys::ALL, usize::MAX)
}

fn rows(tx: &dyn Read, table: Table) -> Result<BTreeSet<Vec<u8>>, StoreError> {
    let rows = tx.scan(table, &Keys::ALL, usize::MAX)?;
    Ok(rows.into_iter().map(|(key, _)| key).collect())
}

/// Entries stand at their numbers, without a gap, up to the head of the chain.
fn check_audit(tx: &dyn Read, say: Say<'_>) -> Result<(), StoreError> {
    let mut number = audit::base(tx)?.number;
    for chained in records::<ChainedEntry>(tx)? {
        number += 1;
        if chained.entry.number != number {
            say(format!(
                "expected entry {number}, found {}",
                chained.entry.number
            ));
        }
    }
    if number != audit::head(tx)?.number {
        say(format!("ends at {number}, which is not its head"));
    }
    Ok(())
}

/// Every record stands at its own id.
fn check_records<R: Record>(
    tx: &dyn Read,
    id_of: impl Fn(&R) -> Id,
    say: Say<'_>,
) -> Result<(), StoreError> {
    for (key, value) in tx.scan(R::TABLE, &Keys::ALL, usize::MAX)? {
        let id = id_of(&codec::decode::<R>(&value)?);
        if key != id.as_bytes() {
            say(format!("{id} stands at another key"));
        }
    }
    Ok(())
}

/// Every index row has its record, and every record its index row.
fn check_index<R: Record + HasId>(
    tx: &dyn Read,
    index: Table,
    owner_of: impl Fn(&R) -> Id,
    say: Say<'_>,
) -> Result<(), StoreError> {
    let expected: BTreeSet<Vec<u8>> = records::<R>(tx)?
        .iter()
        .map(|record| codec::pair(owner_of(record), record.id()).to_vec())
        .collect();
    for row in rows(tx, index)?.symmetric_difference(&expected) {
        say(format!(
            "{row:02x?} is in the index or in the records alone"
        ));
    }
    Ok(())
}

/// Everything that is not swept in its own order has a row in the expiry index, not later than its
/// end: otherwise it would stay for good.
fn check_swept(
    tx: &dyn Read,
    kind: u8,
    id: Id,
    end: Timestamp,
    say: Say<'_>,
) -> Result<(), StoreError> {
    let is_found = rows(tx, Table::Expiry)?.iter().any(|row| {
        row[8] == kind && row[9..] == *id.as_bytes() && row[..8] <= end.millis().to_be_bytes()[..]
    });
    if !is_found {
        say(format!("{id} is never swept"));
    }
    Ok(())
}

fn check_users(tx: &dyn Read, say: Say<'_>) -> Result<(), StoreError> {
    check_records::<User>(tx, |user| user.id, say)?;
    for user in records::<User>(tx)? {
        if users::find_by_name(tx, &user.name)?.is_none_or(|found| found.id != user.id) {
            say(format!("{} is not found by its name", user.id));
        }
    }
    Ok(())
}

fn check_names(tx: &dyn Read, say: Say<'_>) -> Result<(), StoreError> {
    for (name, id) in tx.scan(Table::UsersByName, &Keys::ALL, usize::MAX)? {
        let user = users::find(tx, codec::id(Table::UsersByName, &id)?)?;
        if user.is_none_or(|user| user.name.as_str().as_bytes() != name) {
            say(format!("{name:02x?} names nobody of that name"));
        }
    }
    Ok(())
}

fn check_sessions(tx: &dyn Read, say: Say<'_>) -> Result<(), StoreError> {
    check_records::<Session>(tx, |session| session.id, say)?;
    for session in records::<Session>(tx)? {
        check_swept(tx, 1, session.id, session.ends_at(), say)?;
    }
    Ok(())
}

fn check_secrets(tx: &dyn Read, say: Say<'_>) -> Result<(), StoreError> {
    for (key, value) in tx.scan(Table::ClientSecrets, &Keys::ALL, usize::MAX)? {
        let secret: ClientSecret = codec::decode(&value)?;
        if key != codec::pair(secret.client_id, secret.id) {
            say(format!("{} stands at another key", secret.id));
        }
        if clients::find(tx, secret.client_id)?.is_none() {
            say(format!("{} is of a client that is gone", secret.id));
        }
    }
    Ok(())
}

fn check_grants(tx: &dyn Read, say: Say<'_>) -> Result<(), StoreError> {
    check_records::<Grant>(tx, |grant| grant.id, say)?;
    for grant in records::<Grant>(tx)? {
        check_swept(tx, 3, grant.id, grant.expires_at, say)?;
    }
    Ok(())
}

fn check_families(tx: &dyn Read, say: Say<'_>) -> Result<(), StoreError> {
    check_records::<TokenFamily>(tx, |family| family.id, say)?;
    for family in records::<TokenFamily>(tx)? {
        check_swept(tx, 4, family.id, sweep::end_of_family(&family), say)?;
    }
    Ok(())
}

fn check_devices(tx: &dyn Read, say: Say<'_>) -> Result<(), StoreError> {
    check_records::<DeviceAuthorization>(tx, |device| device.id, say)?;
    for device in records::<DeviceAuthorization>(tx)? {
        let found = devices::find_by_user_code(tx, &device.user_code_digest)?;
        if found.is_none_or(|found| found.id != device.id) {
            say(format!("{} is not found by its user code", device.id));
        }
    }
    Ok(())
}

fn check_user_codes(tx: &dyn Read, say: Say<'_>) -> Result<(), StoreError> {
    for (code, id) in tx.scan(Table::DevicesByUserCode, &Keys::ALL, usize::MAX)? {
        let device = devices::find(tx, codec::id(Table::DevicesByUserCode, &id)?)?;
        if device.is_none_or(|device| device.user_code_digest.as_bytes()[..] != code) {
            say(format!("{code:02x?} names no device that has it"));
        }
    }
    Ok(())
}

fn check_servers(tx: &dyn Read, say: Say<'_>) -> Result<(), StoreError> {
    check_records::<ResourceServer>(tx, |server| server.id, say)?;
    for server in records::<ResourceServer>(tx)? {
        let found = resource_servers::find_by_identifier(tx, server.identifier.as_resource())?;
        if found.is_none_or(|found| found.id != server.id) {
            say(format!("{} is not found by its identifier", server.id));
        }
    }
    Ok(())
}

fn check_identifiers(tx: &dyn Read, say: Say<'_>) -> Result<(), StoreError> {
    let table = Table::ResourceServersByIdentifier;
    for (identifier, id) in tx.scan(table, &Keys::ALL, usize::MAX)? {
        let server = resource_servers::find(tx, codec::id(table, &id)?)?;
        if server.is_none_or(|server| server.identifier.to_string().as_bytes() != identifier) {
            say(format!("{identifier:02x?} names no server that has it"));
        }
    }
    Ok(())
}

/// Every upstream stands at its own name.
fn check_upstreams(tx: &dyn Read, say: Say<'_>) -> Result<(), StoreError> {
    for (key, value) in tx.scan(Table::Upstreams, &Keys::ALL, usize::MAX)? {
        let added: AddedUpstream = codec::decode(&value)?;
        if key != added.upstream.name.as_str().as_bytes() {
            say(format!("{} stands at another key", added.upstream.name));
        }
    }
    Ok(())
}

fn check_expiry(tx: &dyn Read, say: Say<'_>) -> Result<(), StoreError> {
    for row in rows(tx, Table::Expiry)? {
        if row.len() != 25 || !(1..=4).contains(&row[8]) {
            say(format!("{row:02x?} is no row of it"));
        }
    }
    Ok(())
}

/// Every client of a document is found by its URL, and by no other.
fn check_documents(tx: &dyn Read, say: Say<'_>) -> Result<(), StoreError> {
    let mut expected = BTreeSet::new();
    for client in records::<Client>(tx)? {
        if let ClientId::Document(url) = client.client_id() {
            let id = client.id.as_bytes().to_vec();
            expected.insert((url.as_str().as_bytes().to_vec(), id));
        }
    }
    let rows = tx.scan(Table::ClientsByDocument, &Keys::ALL, usize::MAX)?;
    for row in BTreeSet::from_iter(rows).symmetric_difference(&expected) {
        say(format!(
            "{row:02x?} is in the index or in the records alone"
        ));
    }
    Ok(())
}

fn check_pins(tx: &dyn Read, say: Say<'_>) -> Result<(), StoreError> {
    for (key, value) in tx.scan(Table::PinnedDocuments, &Keys::ALL, usize::MAX)? {
        let pinned: PinnedDocument = codec::decode(&value)?;
        if key != pinned.document.url.as_str().as_bytes() {
            say(format!("{} stands at another key", pinned.document.url));
        }
    }
    Ok(())
}

trait HasId {
    fn id(&self) -> Id;
}

impl HasId for Session {
    fn id(&self) -> Id {
        self.id
    }
}

impl HasId for Grant {
    fn id(&self) -> Id {
        self.id
    }
}

pub(super) fn assert_sound(store: &Store) {
    assert_eq!(read(store, contradictions), Vec::<String>::new());
}

/// One row of everything.
fn fill(tx: &mut WriteTx<'_>) -> Result<(), StoreError> {
    users::put(tx, &user(id(at(1), 1), "ada"))?;
    sessions::add(tx, &session(id(at(1), 3), id(at(1), 1), at(50)))?;
    clients::put(tx, &client(id(at(1), 2), None))?;
    clients::put(tx, &document_client(id(at(1), 7), None))?;
    clients::put_secret(tx, &client_secret(id(at(1), 4), id(at(1), 2)))?;
    grants::add(tx, &grant(id(at(1), 5), id(at(1), 1), id(at(1), 2), at(50)))?;
    devices::add(tx, &device(id(at(1), 7), 1, at(50)))?;
    let server = resource_server(id(at(1), 8), "https://files.lan");
    resource_servers::add(tx, &server)?;
    upstreams::add(tx, &added_upstream(id(at(1), 9)))?;
    tokens::add_family(tx, &family(id(at(1), 6), id(at(1), 5), at(50)))
}

type Damage = fn(&mut WriteTx<'_>);

/// What can be broken, and the table in which it shows.
const DAMAGES: [(&str, Damage); 15] = [
    ("users_v1", |tx| tx.remove(Table::UsersByName, b"ada")),
    ("users_by_name_v1", |tx| {
        tx.put(Table::UsersByName, b"eve", id(at(1), 1).as_bytes().to_vec());
    }),
    ("sessions_by_user_v1", |tx| {
        tx.remove(
            Table::SessionsByUser,
            &codec::pair(id(at(1), 1), id(at(1), 3)),
        );
    }),
    ("grants_by_user_v1", |tx| {
        tx.put(
            Table::GrantsByUser,
            &codec::pair(id(at(1), 1), id(at(1), 50)),
            Vec::new(),
        );
    }),
    ("grants_by_client_v1", |tx| {
        tx.remove(Table::Grants, id(at(1), 5).as_bytes());
    }),
    ("client_secrets_v1", |tx| {
        tx.remove(Table::Clients, id(at(1), 2).as_bytes());
    }),
    ("token_families_v1", |tx| {
        // In the file a family has the row of the end that it had when it began.
        let row = [
            &at(50).millis().to_be_bytes()[..],
            &[4],
            id(at(1), 6).as_bytes(),
        ]
        .concat();
        tx.remove(Table::Expiry, &row);
    }),
    ("devices_v1", |tx| {
        let code = device(id(at(1), 7), 1, at(50)).user_code_digest;
        tx.remove(Table::DevicesByUserCode, code.as_bytes());
    }),
    ("devices_by_user_code_v1", |tx| {
        tx.remove(Table::Devices, id(at(1), 7).as_bytes());
    }),
    ("resource_servers_v1", |tx| {
        let table = Table::ResourceServersByIdentifier;
        tx.remove(table, b"https://files.lan");
    }),
    ("resource_servers_by_identifier_v1", |tx| {
        tx.remove(Table::ResourceServers, id(at(1), 8).as_bytes());
    }),
    ("expiry_v1", |tx| {
        tx.put(Table::Expiry, b"short", Vec::new());
    }),
    ("clients_by_document_v1", |tx| {
        tx.remove(Table::Clients, id(at(1), 7).as_bytes());
    }),
    ("pinned_documents_v1", |tx| {
        let pinned = codec::encode(&pinned(at(1))).expect("a record");
        tx.put(Table::PinnedDocuments, b"elsewhere", pinned);
    }),
    ("upstreams_v1", |tx| {
        let added = codec::encode(&added_upstream(id(at(1), 9))).expect("a record");
        tx.put(Table::Upstreams, b"elsewhere", added);
    }),
];

/// The checker itself: each kind of damage is found where it is.
#[test]
fn what_contradicts_itself_is_found() {
    for (table, damage) in DAMAGES {
        let store = store();
        write(&store, fill);
        assert_sound(&store);
        write(&store, move |tx| {
            damage(tx);
            Ok(())
        });
        let found = read(&store, contradictions);
        assert!(
            found.iter().any(|found| found.starts_with(table)),
            "{table}: {found:?}"
        );
    }
}
