//! Records and stores to test with.

use crate::{
    crypto::{
        digest::Digest,
        entropy::Entropy,
        web_push::{AUTH_LEN, PUBLIC_KEY_LEN},
    },
    model::{
        audit::{Action, Actor, AuditEntry, Change, Object},
        id::Id,
        notification::{
            Button, Methods, Notification, NotificationSettings, Sender, Template, Urgency,
        },
        oauth2::{
            client::{
                AuthMethod, Client, ClientMetadata, ClientName, ClientOrigin, ClientSecret,
                GrantType,
            },
            client_document::{ClientDocument, PinnedDocument},
            code::{AuthorizationCode, CodeStage},
            device::{DeviceAuthorization, DeviceStage},
            grant::Grant,
            resource::ResourceUri,
            resource_server::{ResourceServer, ServerScope},
            scope::ScopeSet,
            token::{AccessToken, Holder, Predecessor, RefreshChain, TokenFamily},
        },
        push::{PushKeys, QueuedPush, Subscription},
        session::Session,
        timestamp::Timestamp,
        upstream::{
            AddedUpstream, Bounds, Child, Reach, Sandbox, SecretHeader, Source, Upstream, Variable,
        },
        user::{Role, User},
    },
    store::{Read, Store, StoreError, WriteTx},
};

/// The same bytes every time: what is made with it can be compared.
pub(super) struct Fixed;

impl Entropy for Fixed {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0x5a);
    }
}

pub(super) fn store() -> Store {
    Store::in_memory(&Fixed).expect("memory")
}

/// Does `work` in a write that must succeed.
pub(super) fn write<T: Send + 'static>(
    store: &Store,
    work: impl FnOnce(&mut WriteTx<'_>) -> Result<T, StoreError> + Send + 'static,
) -> T {
    store.write(work).wait().expect("a write")
}

/// Does `work` on a snapshot, which must succeed.
pub(super) fn read<T>(store: &Store, work: impl FnOnce(&dyn Read) -> Result<T, StoreError>) -> T {
    store.read(|tx| work(tx)).expect("a read")
}

/// The instant `seconds` after the epoch.
pub(super) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

/// The id number `number` of what was made at `created_at`.
pub(super) fn id(created_at: Timestamp, number: u8) -> Id {
    let mut bytes = [number; 16];
    bytes[..6].copy_from_slice(&created_at.millis().to_be_bytes()[2..]);
    Id::from_bytes(bytes)
}

fn digest(number: u8) -> Digest {
    Digest::of(&[number])
}

fn resource() -> ResourceUri {
    "https://box.lan/mcp".parse().expect("a resource")
}

pub(super) fn user(id: Id, name: &str) -> User {
    User {
        id,
        name: name.parse().expect("a name"),
        role: Role::Owner,
        password_hash: "$argon2id$".to_owned(),
        created_at: at(1),
        last_sign_in_at: Some(at(2)),
        disabled_at: None,
    }
}

pub(super) fn session(id: Id, user_id: Id, idle_expires_at: Timestamp) -> Session {
    Session {
        id,
        digest: digest(1),
        user_id,
        created_at: at(1),
        last_seen_at: at(2),
        idle_expires_at,
        expires_at: at(1_000_000),
        browser: "Firefox".to_owned(),
        address: "::1".to_owned(),
    }
}

pub(super) fn client(id: Id, approved_at: Option<Timestamp>) -> Client {
    Client {
        id,
        origin: ClientOrigin::SelfRegistered,
        metadata: ClientMetadata {
            name: ClientName::parse("Claude").expect("a name"),
            redirect_uris: vec!["http://localhost/cb".parse().expect("a redirect URI")],
            auth_method: AuthMethod::ClientSecretBasic,
            grant_types: GrantType::OF_AN_APP.to_vec(),
            scope: Some(ScopeSet::of(["user:read"])),
            client_uri: Some("https://a.example".to_owned()),
            logo_uri: None,
            tos_uri: None,
            policy_uri: None,
            software_id: Some("s".to_owned()),
            software_version: None,
            contacts: vec!["c".to_owned()],
            application_type: None,
        },
        registration_digest: Some(digest(2)),
        created_at: at(1),
        updated_at: at(2),
        approved_at,
        last_used_at: None,
    }
}

/// A client that a document describes, whose URL has its id in it.
pub(super) fn document_client(id: Id, approved_at: Option<Timestamp>) -> Client {
    Client {
        origin: ClientOrigin::Document {
            url: format!("https://a.example/{id}").parse().expect("a URL"),
            fresh_until: at(3),
        },
        registration_digest: None,
        ..client(id, approved_at)
    }
}

pub(super) fn pinned(pinned_at: Timestamp) -> PinnedDocument {
    PinnedDocument {
        document: ClientDocument {
            url: "https://a.example/client.json".parse().expect("a URL"),
            metadata: client(id(at(1), 1), None).metadata,
        },
        pinned_at,
    }
}

/// What somebody was told, with every part that can be there.
pub(super) fn notification(id: Id, user_id: Id) -> Notification {
    Notification {
        id,
        user_id,
        template: Template::Custom,
        targets: vec![user_id],
        title: "Done".to_owned(),
        content: "**All** of it".to_owned(),
        actions: vec![Button {
            label: "Look".to_owned(),
            url: "/inbox".parse().expect("a link"),
        }],
        urgency: Urgency::High,
        sender: Sender::Client(user_id),
        created_at: at(1),
    }
}

pub(super) fn notification_settings(muted: Id) -> NotificationSettings {
    let methods = Methods {
        inbox: true,
        push: false,
    };
    NotificationSettings {
        switched: vec![(Template::NewBrowser, methods)],
        muted: vec![muted],
    }
}

pub(super) fn subscription(id: Id, user_id: Id) -> Subscription {
    let mut point = [6; PUBLIC_KEY_LEN];
    point[0] = 4;
    Subscription {
        id,
        user_id,
        endpoint: "https://push.example/1".parse().expect("a URL"),
        keys: PushKeys::new(&point, &[7; AUTH_LEN]).expect("keys"),
        created_at: at(1),
    }
}

pub(super) fn queued_push(id: Id, subscription: &Subscription, about: Id) -> QueuedPush {
    QueuedPush {
        id,
        due_at: at(2),
        user_id: subscription.user_id,
        subscription_id: subscription.id,
        notification_id: about,
        attempts: 1,
        expires_at: at(3),
    }
}

pub(super) fn client_secret(id: Id, client_id: Id) -> ClientSecret {
    ClientSecret {
        id,
        client_id,
        digest: digest(3),
        created_at: at(1),
        last_used_at: Some(at(2)),
    }
}

pub(super) fn grant(id: Id, user_id: Id, client_id: Id, expires_at: Timestamp) -> Grant {
    Grant {
        id,
        user_id,
        client_id,
        scopes: ScopeSet::of(["user:read", "grants:read"]),
        resource: resource(),
        redirect_uri: Some("cursor://x/y".parse().expect("a redirect URI")),
        created_at: at(1),
        expires_at,
    }
}

pub(super) fn code(id: Id, expires_at: Timestamp) -> AuthorizationCode {
    AuthorizationCode {
        id,
        digest: digest(4),
        grant_id: Id::from_bytes([1; 16]),
        user_id: Id::from_bytes([2; 16]),
        client_id: Id::from_bytes([3; 16]),
        session_id: Id::from_bytes([4; 16]),
        redirect_uri: Some("https://a.example/cb".parse().expect("a redirect URI")),
        challenge: "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
            .parse()
            .expect("a challenge"),
        resource: resource(),
        scopes: ScopeSet::of(["user:read"]),
        state_digest: Some(digest(5)),
        expires_at,
        stage: CodeStage::Exchanged {
            family_id: Id::from_bytes([5; 16]),
        },
    }
}

pub(super) fn device(id: Id, user_code: u8, expires_at: Timestamp) -> DeviceAuthorization {
    DeviceAuthorization {
        id,
        digest: digest(9),
        user_code_digest: digest(user_code),
        client_id: Id::from_bytes([3; 16]),
        client_updated_at: at(2),
        scopes: ScopeSet::of(["user:read"]),
        resource: resource(),
        expires_at,
        interval_seconds: 5,
        polled_at: Some(at(3)),
        stage: DeviceStage::Exchanged {
            family_id: Id::from_bytes([5; 16]),
        },
    }
}

pub(super) fn resource_server(id: Id, identifier: &str) -> ResourceServer {
    ResourceServer {
        id,
        identifier: identifier.parse().expect("an identifier"),
        secret_id: Id::from_bytes([6; 16]),
        secret_digest: digest(10),
        scopes: vec![
            ServerScope::new("files:read", Some("see your files")).expect("a scope"),
            ServerScope::new("files:write", None).expect("a scope"),
        ],
        created_at: at(1),
    }
}

pub(super) fn added_upstream(id: Id) -> AddedUpstream {
    AddedUpstream {
        id,
        upstream: Upstream {
            name: "files".parse().expect("a name"),
            reach: Reach::Child(Box::new(Child {
                command: vec!["mcp-files".to_owned(), "/srv".to_owned()],
                environment: vec![Variable {
                    name: "KEY".to_owned(),
                    value: Source::File("/run/key".to_owned()),
                }],
                sandbox: Sandbox {
                    user: Some("files".to_owned()),
                    working_directory: Some("/srv".to_owned()),
                    memory_bytes_max: Some(1 << 30),
                    open_files_max: Some(64),
                    read_paths: vec!["/srv".to_owned()],
                    write_paths: Vec::new(),
                },
            })),
            bounds: Bounds::default(),
        },
        added_at: at(1),
    }
}

pub(super) fn upstream_server(id: Id) -> AddedUpstream {
    AddedUpstream {
        upstream: Upstream {
            reach: Reach::Server {
                url: "http://10.0.0.5/mcp".parse().expect("a URL"),
                header: Some(SecretHeader {
                    name: "authorization".to_owned(),
                    value: Source::Environment("FILES".to_owned()),
                }),
            },
            ..added_upstream(id).upstream
        },
        ..added_upstream(id)
    }
}

pub(super) fn audit_entry(number: u64, at: Timestamp) -> AuditEntry {
    AuditEntry {
        number,
        at,
        actor: Actor::User(id(at, 1)),
        address: Some("::1".to_owned()),
        request_id: Some("r".to_owned()),
        action: Action::GrantRevoked,
        object: Object::Grant(id(at, 2)),
        changes: vec![Change::to("scope", "a:b")],
    }
}

pub(super) fn access_token(id: Id, expires_at: Timestamp) -> AccessToken {
    AccessToken {
        id,
        digest: digest(6),
        family_id: Id::from_bytes([5; 16]),
        resource: resource(),
        scopes: ScopeSet::of(["user:read"]),
        expires_at,
        secret_id: Some(Id::from_bytes([6; 16])),
    }
}

pub(super) fn family(id: Id, grant_id: Id, idle_expires_at: Timestamp) -> TokenFamily {
    TokenFamily {
        id,
        holder: Holder::Person {
            user_id: Id::from_bytes([2; 16]),
            grant_id,
        },
        client_id: Id::from_bytes([3; 16]),
        resource: resource(),
        scopes: ScopeSet::of(["user:read"]),
        expires_at: at(1_000_000),
        refresh: Some(RefreshChain {
            generation: 300,
            digest: digest(7),
            predecessor: Some(Predecessor {
                digest: digest(8),
                rotated_at: at(2),
            }),
            idle_expires_at,
        }),
        secret_id: None,
    }
}
