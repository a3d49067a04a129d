//! Files of released schemas: each is opened for ever, and everything in it is what was put there.
//!
//! `tests/fixtures/README.md` says how one is made.

use std::{
    fmt::Debug,
    fs,
    path::{Path, PathBuf},
};

use super::{
    invariants::{assert_sound, records},
    samples::{
        Fixed, access_token, added_upstream, at, client, client_secret, code, device,
        document_client, family, grant, id, notification, notification_settings, pinned,
        queued_push, read, resource_server, session, subscription, upstream_server, user, write,
    },
};
use crate::{
    crypto::digest::Digest,
    model::{
        audit::{Action, Actor, AuditEntry, ChainedEntry, Change, Object},
        id::Id,
        notification::{Notification, NotificationSettings, Sender, Template, Urgency},
        oauth2::{
            client::{AuthMethod, Client, ClientMetadata, ClientOrigin, ClientSecret, GrantType},
            client_document::PinnedDocument,
            code::{AuthorizationCode, CodeStage},
            device::{DeviceAuthorization, DeviceStage},
            grant::Grant,
            resource_server::ResourceServer,
            token::{AccessToken, Holder, RefreshChain, TokenFamily},
        },
        push::{QueuedPush, Subscription},
        session::Session,
        upstream::{AddedUpstream, Child, Reach, Sandbox, Source, Upstream, Variable},
        user::{Role, User},
    },
    store::{
        Inspected, Keys, Read, Row, SCHEMA, Store, StoreError, Table, WriteTx, audit,
        client_documents, clients, codes, devices,
        file::DataFile,
        grants,
        handle::Handle,
        meta::{self, Claim, Settings},
        notifications::{self, InboxCounts},
        pushes, resource_servers, sessions, tokens, upstreams, users,
    },
};

/// Bytes of a fixture: it is kept with the sources for ever.
const BYTES_MAX: u64 = 200 * 1024;

/// One of everything that a file of this schema can hold: every optional part there and missing,
/// every variant.
#[derive(Debug, PartialEq)]
struct Everything {
    users: Vec<User>,
    sessions: Vec<Session>,
    clients: Vec<Client>,
    secrets: Vec<ClientSecret>,
    grants: Vec<Grant>,
    codes: Vec<AuthorizationCode>,
    families: Vec<TokenFamily>,
    access_tokens: Vec<AccessToken>,
    devices: Vec<DeviceAuthorization>,
    resource_servers: Vec<ResourceServer>,
    upstreams: Vec<AddedUpstream>,
    pins: Vec<PinnedDocument>,
    entries: Vec<AuditEntry>,
    notifications: Vec<Notification>,
    inbox: Vec<Row>,
    counts: Vec<InboxCounts>,
    wishes: Vec<NotificationSettings>,
    browsers: Vec<Subscription>,
    pushes: Vec<QueuedPush>,
    consents: Vec<Row>,
    claim: Option<Claim>,
    settings: Settings,
}

fn ids<const N: usize>() -> [Id; N] {
    std::array::from_fn(|place| id(at(1), u8::try_from(place + 1).expect("few")))
}

impl Everything {
    fn expected() -> Self {
        let [ada, bob] = ids();
        let [made, own, of_document] = ids();
        let consent = (
            ada.as_bytes().to_vec(),
            at(50).millis().to_be_bytes().to_vec(),
        );
        Self {
            users: vec![
                user(ada, "ada"),
                User {
                    role: Role::Member,
                    last_sign_in_at: None,
                    disabled_at: Some(at(3)),
                    ..user(bob, "bob")
                },
            ],
            sessions: vec![session(ids::<1>()[0], ada, at(50))],
            clients: vec![
                made_by_an_administrator(made),
                Client {
                    last_used_at: Some(at(4)),
                    ..client(own, Some(at(3)))
                },
                document_client(of_document, None),
            ],
            secrets: vec![
                client_secret(ids::<1>()[0], made),
                ClientSecret {
                    last_used_at: None,
                    ..client_secret(ids::<2>()[1], made)
                },
            ],
            grants: grants_of(ada, made),
            codes: codes_of_every_stage(),
            families: families_of_every_kind(),
            access_tokens: access_tokens_of_every_kind(),
            devices: devices_of_every_stage(),
            resource_servers: vec![resource_server(ids::<1>()[0], "https://files.lan")],
            upstreams: upstreams_of_every_kind(),
            pins: vec![pinned(at(5))],
            entries: entries_of_every_kind(),
            notifications: notifications_of_every_kind(ada),
            inbox: inbox_of(ada),
            counts: vec![InboxCounts {
                total: Template::ALL.len() as u64,
                unread: Template::ALL.len() as u64 - 1,
            }],
            wishes: vec![notification_settings(made)],
            browsers: vec![subscription(ids::<1>()[0], ada)],
            pushes: vec![queued_push(
                ids::<1>()[0],
                &subscription(ids::<1>()[0], ada),
                ids::<1>()[0],
            )],
            consents: vec![consent],
            claim: Some(Claim {
                digest: Digest::of(b"claim"),
                expires_at: at(50),
            }),
            settings: Settings {
                registration_enabled: Some(true),
            },
        }
    }

    fn write(self, tx: &mut WriteTx<'_>) -> Result<(), StoreError> {
        self.users
            .iter()
            .try_for_each(|user| users::put(tx, user))?;
        each(&self.sessions, |session| sessions::add(tx, session))?;
        each(&self.clients, |client| {
            clients::expire_unless_approved(tx, client, at(60));
            clients::put(tx, client)
        })?;
        each(&self.secrets, |secret| clients::put_secret(tx, secret))?;
        each(&self.grants, |grant| grants::add(tx, grant))?;
        each(&self.codes, |code| codes::put(tx, code))?;
        each(&self.families, |family| tokens::add_family(tx, family))?;
        each(&self.access_tokens, |token| {
            tokens::put_access_token(tx, token)
        })?;
        each(&self.devices, |device| devices::add(tx, device))?;
        each(&self.resource_servers, |server| {
            resource_servers::add(tx, server)
        })?;
        each(&self.upstreams, |added| upstreams::add(tx, added))?;
        each(&self.pins, |pinned| client_documents::put(tx, pinned))?;
        each(&self.entries, |entry| {
            let head = audit::head(tx)?;
            audit::append(tx, &head, entry.clone())
        })?;
        each(&self.notifications, |told| notifications::add(tx, told))?;
        let [ada] = ids();
        notifications::set_read(tx, ada, ids::<1>()[0], Some(at(4)))?;
        each(&self.wishes, |wishes| {
            notifications::put_settings(tx, ada, wishes)
        })?;
        each(&self.browsers, |browser| pushes::add(tx, browser))?;
        each(&self.pushes, |push| pushes::enqueue(tx, push))?;
        for (key, value) in self.consents {
            tx.put(Table::SpentConsents, &key, value);
        }
        if let Some(claim) = &self.claim {
            meta::put_claim(tx, claim)?;
        }
        meta::put_settings(tx, &self.settings)?;
        meta::put_probe(tx, at(9));
        Ok(())
    }

    fn read(tx: &dyn Read) -> Result<Self, StoreError> {
        let entries = records::<ChainedEntry>(tx)?.into_iter();
        Ok(Self {
            users: records(tx)?,
            sessions: records(tx)?,
            clients: records(tx)?,
            secrets: records(tx)?,
            grants: records(tx)?,
            codes: records(tx)?,
            families: records(tx)?,
            access_tokens: records(tx)?,
            devices: records(tx)?,
            resource_servers: records(tx)?,
            upstreams: records(tx)?,
            pins: records(tx)?,
            entries: entries.map(|chained| chained.entry).collect(),
            notifications: records(tx)?,
            inbox: tx.scan(Table::NotificationsByUser, &Keys::ALL, 100)?,
            counts: records(tx)?,
            wishes: records(tx)?,
            browsers: records(tx)?,
            pushes: records(tx)?,
            consents: tx.scan(Table::SpentConsents, &Keys::ALL, 100)?,
            claim: meta::find_claim(tx)?,
            settings: meta::settings(tx)?,
        })
    }
}

fn each<R>(
    records: &[R],
    mut put: impl FnMut(&R) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    records.iter().try_for_each(&mut put)
}

fn made_by_an_administrator(id: Id) -> Client {
    let text = |text: &str| Some(format!("https://a.example/{text}"));
    let plain = client(id, Some(at(3)));
    Client {
        origin: ClientOrigin::Administrator,
        metadata: ClientMetadata {
            auth_method: AuthMethod::ClientSecretPost,
            grant_types: GrantType::ALL.to_vec(),
            scope: None,
            client_uri: None,
            logo_uri: text("logo"),
            tos_uri: text("tos"),
            policy_uri: text("policy"),
            software_id: None,
            software_version: Some("1".to_owned()),
            contacts: Vec::new(),
            application_type: Some("web".to_owned()),
            ..plain.metadata
        },
        registration_digest: None,
        ..plain
    }
}

fn grants_of(user: Id, client: Id) -> Vec<Grant> {
    let [first, second] = ids();
    vec![
        grant(first, user, client, at(50)),
        Grant {
            redirect_uri: None,
            ..grant(second, user, client, at(50))
        },
    ]
}

fn codes_of_every_stage() -> Vec<AuthorizationCode> {
    let [issued, spent, exchanged] = ids();
    vec![
        AuthorizationCode {
            redirect_uri: None,
            state_digest: None,
            stage: CodeStage::Issued,
            ..code(issued, at(50))
        },
        AuthorizationCode {
            stage: CodeStage::Spent,
            ..code(spent, at(50))
        },
        code(exchanged, at(50)),
    ]
}

fn families_of_every_kind() -> Vec<TokenFamily> {
    let [rotated, young, own] = ids();
    let of_a_person = |id| family(id, ids::<1>()[0], at(50));
    let chain = of_a_person(young).refresh.map(|chain| RefreshChain {
        generation: 0,
        predecessor: None,
        ..chain
    });
    vec![
        of_a_person(rotated),
        TokenFamily {
            refresh: chain,
            ..of_a_person(young)
        },
        TokenFamily {
            holder: Holder::Client,
            refresh: None,
            secret_id: Some(Id::from_bytes([6; 16])),
            ..of_a_person(own)
        },
    ]
}

fn access_tokens_of_every_kind() -> Vec<AccessToken> {
    let [of_a_secret, of_none] = ids();
    vec![
        access_token(of_a_secret, at(50)),
        AccessToken {
            secret_id: None,
            ..access_token(of_none, at(50))
        },
    ]
}

fn devices_of_every_stage() -> Vec<DeviceAuthorization> {
    let id_of = |number| id(at(1), number);
    let stages = [
        DeviceStage::Waiting,
        DeviceStage::Opened {
            session_id: id_of(1),
        },
        DeviceStage::Denied,
        DeviceStage::Allowed { grant_id: id_of(1) },
        DeviceStage::Exchanged {
            family_id: id_of(1),
        },
    ];
    let numbered = (1..).zip(stages);
    numbered
        .map(|(number, stage)| DeviceAuthorization {
            polled_at: (number > 1).then_some(at(3)),
            stage,
            ..device(id_of(number), number, at(50))
        })
        .collect()
}

fn upstreams_of_every_kind() -> Vec<AddedUpstream> {
    let [bare, child, open, server] = ids();
    let named = |name: &str, added: AddedUpstream, reach: Reach| AddedUpstream {
        upstream: Upstream {
            name: name.parse().expect("a name"),
            reach,
            ..added.upstream
        },
        ..added
    };
    let variable = |name: &str, value| Variable {
        name: name.to_owned(),
        value,
    };
    let url = || "https://wiki.lan/mcp".parse().expect("a URL");
    vec![
        named(
            "bare",
            added_upstream(bare),
            Reach::Child(Box::new(Child {
                command: vec!["mcp".to_owned()],
                environment: vec![
                    variable("A", Source::Text("a".to_owned())),
                    variable("B", Source::Environment("B".to_owned())),
                ],
                sandbox: Sandbox::default(),
            })),
        ),
        added_upstream(child),
        named(
            "open",
            upstream_server(open),
            Reach::Server {
                url: url(),
                header: None,
            },
        ),
        named(
            "wiki",
            upstream_server(server),
            upstream_server(server).upstream.reach,
        ),
    ]
}

/// One of every template, with every urgency and from everybody in turn.
fn notifications_of_every_kind(reader: Id) -> Vec<Notification> {
    let [some] = ids();
    let senders = [
        Sender::Keystead,
        Sender::Client(some),
        Sender::Administrator,
        Sender::Person(some),
    ];
    let kinds = Template::ALL
        .into_iter()
        .zip(Urgency::ALL.into_iter().cycle());
    (1..)
        .zip(kinds.zip(senders.into_iter().cycle()))
        .map(|(number, ((template, urgency), sender))| {
            let whole = notification(id(at(1), number), reader);
            let is_bare = number > 1;
            Notification {
                template,
                urgency,
                sender,
                targets: if is_bare { vec![] } else { whole.targets },
                actions: if is_bare { vec![] } else { whole.actions },
                ..whole
            }
        })
        .collect()
}

/// The rows of the index: the first was read.
fn inbox_of(reader: Id) -> Vec<Row> {
    let told = notifications_of_every_kind(reader);
    let row = |(place, told): (usize, Notification)| {
        let read_at = if place == 0 {
            at(4).millis().to_be_bytes().to_vec()
        } else {
            Vec::new()
        };
        ([*reader.as_bytes(), *told.id.as_bytes()].concat(), read_at)
    };
    told.into_iter().enumerate().map(row).collect()
}

/// An entry for every action, in turn by and about everybody and everything.
fn entries_of_every_kind() -> Vec<AuditEntry> {
    let [some] = ids();
    let actors = [
        Actor::Stranger,
        Actor::User(some),
        Actor::Client(some),
        Actor::Administrator,
        Actor::Keystead,
    ];
    let objects = [
        Object::Box,
        Object::User(some),
        Object::Session(some),
        Object::Client(some),
        Object::Secret(some),
        Object::Grant(some),
        Object::Family(some),
        Object::AccessToken(some),
        Object::Code(some),
        Object::ResourceServer(some),
        Object::Upstream(some),
    ];
    let mut entries: Vec<AuditEntry> = (1..)
        .zip(Action::ALL)
        .zip(actors.iter().cycle().zip(objects.iter().cycle()))
        .map(|((number, action), (actor, object))| AuditEntry {
            number,
            at: at(number),
            actor: actor.clone(),
            address: None,
            request_id: None,
            action,
            object: object.clone(),
            changes: Vec::new(),
        })
        .collect();
    if let Some(first) = entries.first_mut() {
        first.address = Some("::1".to_owned());
        first.request_id = Some("r".to_owned());
        first.changes = Change::between("name", "a", "b")
            .into_iter()
            .chain([Change::to("scope", "a:b")])
            .collect();
    }
    entries
}

fn fixture(schema: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/schema-{schema}.redb"))
}

/// Makes the fixture of the present schema where none is.
fn make(path: &Path) {
    let store = Store::open(path, &Fixed).expect("a new file");
    write(&store, |tx| Everything::expected().write(tx));
    drop(store);
    let mut handle = Handle::open(&DataFile::at(path), |_| Ok(())).expect("the file");
    handle.release().expect("a file that can be written to");
    handle.shrink().expect("a smaller file");
    handle.close().expect("a closed file");
}

#[track_caller]
fn assert_same<T: PartialEq + Debug>(found: &T, expected: &T) {
    assert_eq!(
        found, expected,
        "the present code reads another thing out of a file that is in the field"
    );
}

/// One that is missing is made, and the test fails once, so that nobody loses one unseen.
#[test]
fn the_file_of_every_schema_is_opened_and_means_what_it_meant() {
    for schema in 1..=SCHEMA {
        let path = fixture(schema);
        if !path.exists() {
            assert_eq!(schema, SCHEMA, "only the present schema can be written");
            make(&path);
            panic!("schema-{schema}.redb was made: look at it, keep it, and test again");
        }
        let size = fs::metadata(&path).expect("the fixture").len();
        assert!(size <= BYTES_MAX, "{size}");
        let directory = tempfile::tempdir().expect("a directory");
        let copy = directory.path().join("keystead.redb");
        fs::copy(&path, &copy).expect("a copy");
        let mut inspected = Inspected::open(&copy).expect("the fixture");
        inspected.check_pages().expect("whole pages");
        drop(inspected);
        let store = Store::open(&copy, &Fixed).expect("the fixture");
        assert_sound(&store);
        assert_same(&read(&store, Everything::read), &Everything::expected());
    }
}
