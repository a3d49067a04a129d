//! What must hold of a row, table by table.

use crate::{
    model::{
        audit::ChainedEntry,
        id::Id,
        notification::{Notification, NotificationSettings},
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
        push::{QueuedPush, Subscription},
        session::Session,
        upstream::AddedUpstream,
        user::User,
    },
    store::{
        Read, StoreError, Table,
        check::Checker,
        clients,
        codec::{self, Record},
        devices, grants, meta,
        notifications::{self, InboxCounts, NOTIFICATIONS_PER_USER_MAX},
        pushes::{self, Line},
        resource_servers, sessions,
        sweep::{self, Swept},
        users,
    },
};

/// What is wrong with a row.
pub(super) enum Wrong {
    /// It can be read and contradicts another.
    Contradiction(&'static str),
    /// It cannot be read.
    Store(StoreError),
}

impl From<StoreError> for Wrong {
    fn from(fault: StoreError) -> Self {
        Self::Store(fault)
    }
}

/// That a claim holds, or what is wrong otherwise.
macro_rules! holds {
    ($claim:expr, $otherwise:expr $(,)?) => {
        if $claim {
            Ok(())
        } else {
            Err(Wrong::Contradiction($otherwise))
        }
    };
}

type Outcome = Result<(), Wrong>;

/// Checks one row.
pub(super) fn check(checker: &mut Checker<'_>, table: Table, key: &[u8], value: &[u8]) -> Outcome {
    let tx = checker.tx;
    match table {
        Table::Meta => Ok(meta::check_fact(key, value)?),
        Table::Users => check_user(tx, key, value),
        Table::UsersByName => check_name(tx, key, value),
        Table::Sessions => check_session(checker, key, value),
        Table::SessionsByUser => check_pair(tx, table, key, value, |tx, id| {
            Ok(sessions::find(tx, id)?.map(|session| session.user_id))
        }),
        Table::Clients => check_client(tx, key, value),
        Table::ClientSecrets => check_secret(tx, key, value),
        Table::Grants => check_grant(checker, key, value),
        Table::GrantsByUser => check_pair(tx, table, key, value, |tx, id| {
            Ok(grants::find(tx, id)?.map(|grant| grant.user_id))
        }),
        Table::GrantsByClient => check_pair(tx, table, key, value, |tx, id| {
            Ok(grants::find(tx, id)?.map(|grant| grant.client_id))
        }),
        Table::SpentConsents => {
            codec::id(table, key)?;
            codec::number(table, value)?;
            Ok(())
        }
        Table::Codes => at_its_id(key, decode::<AuthorizationCode>(value)?.id),
        Table::TokenFamilies => check_family(checker, key, value),
        Table::AccessTokens => at_its_id(key, decode::<AccessToken>(value)?.id),
        Table::Devices => check_device(tx, key, value),
        Table::DevicesByUserCode => check_user_code(tx, key, value),
        Table::ResourceServers => check_server(tx, key, value),
        Table::ResourceServersByIdentifier => check_identifier(tx, key, value),
        Table::Audit => check_entry(checker, key, value),
        Table::Expiry => {
            sweep::parse_key(key)?;
            is_empty(value)
        }
        Table::ClientsByDocument => check_document(tx, key, value),
        Table::PinnedDocuments => {
            let pinned: PinnedDocument = decode(value)?;
            holds!(
                pinned.document.url.as_str().as_bytes() == key,
                "stands at another URL than its own",
            )
        }
        Table::Upstreams => {
            let added: AddedUpstream = decode(value)?;
            holds!(
                added.upstream.name.as_str().as_bytes() == key,
                "stands at another name than its own",
            )
        }
        Table::Notifications => check_notification(tx, key, value),
        Table::NotificationsByUser => check_inbox_row(tx, key, value),
        Table::InboxCounts => check_counts(tx, key, value),
        Table::NotificationSettings => {
            codec::id(table, key)?;
            decode::<NotificationSettings>(value)?;
            Ok(())
        }
        Table::Subscriptions => check_subscription(tx, key, value),
        Table::SubscriptionsByEndpoint => check_endpoint(tx, key, value),
        Table::PushQueue => check_push(tx, key, value),
        Table::PushLines => check_line(tx, key, value),
    }
}

/// Where what the expiry index calls `kind` stands.
pub(super) fn table_of(kind: Swept) -> Table {
    match kind {
        Swept::Session => Table::Sessions,
        Swept::UnapprovedClient => Table::Clients,
        Swept::Grant => Table::Grants,
        Swept::Family => Table::TokenFamilies,
        Swept::GrantsOfClient => Table::GrantsByClient,
        Swept::GrantsOfUser => Table::GrantsByUser,
        Swept::InboxOfUser => Table::NotificationsByUser,
    }
}

fn decode<R: Record>(value: &[u8]) -> Result<R, StoreError> {
    codec::decode(value)
}

fn at_its_id(key: &[u8], id: Id) -> Outcome {
    holds!(key == id.as_bytes(), "stands at another id than its own")
}

fn is_empty(value: &[u8]) -> Outcome {
    holds!(value.is_empty(), "has a value, where none is expected")
}

/// Whether the row of `index` at `key` is `id`.
fn names(tx: &dyn Read, index: Table, key: &[u8], id: Id) -> Result<bool, StoreError> {
    let found = tx.get(index, key)?;
    Ok(found.is_some_and(|found| found == id.as_bytes()))
}

/// Whether an index of owner and record has that row.
fn is_indexed(tx: &dyn Read, index: Table, owner: Id, id: Id) -> Result<bool, StoreError> {
    Ok(tx.get(index, &codec::pair(owner, id))?.is_some())
}

/// A row of an index by owner names a record, and that record names the owner.
fn check_pair(
    tx: &dyn Read,
    table: Table,
    key: &[u8],
    value: &[u8],
    find_owner: impl Fn(&dyn Read, Id) -> Result<Option<Id>, StoreError>,
) -> Outcome {
    let (owner, record) = key.split_at_checked(16).unwrap_or((key, &[]));
    let (owner, record) = (codec::id(table, owner)?, codec::id(table, record)?);
    holds!(
        find_owner(tx, record)? == Some(owner),
        "names a record that is gone or has another owner",
    )?;
    is_empty(value)
}

fn check_user(tx: &dyn Read, key: &[u8], value: &[u8]) -> Outcome {
    let user: User = decode(value)?;
    at_its_id(key, user.id)?;
    let name = user.name.as_str().as_bytes();
    holds!(
        names(tx, Table::UsersByName, name, user.id)?,
        "is not found by its name",
    )
}

fn check_name(tx: &dyn Read, key: &[u8], value: &[u8]) -> Outcome {
    let user = users::find(tx, codec::id(Table::UsersByName, value)?)?;
    holds!(
        user.is_some_and(|user| user.name.as_str().as_bytes() == key),
        "names nobody of that name",
    )
}

fn check_session(checker: &mut Checker<'_>, key: &[u8], value: &[u8]) -> Outcome {
    let session: Session = decode(value)?;
    at_its_id(key, session.id)?;
    let named = (Swept::Session, session.id);
    checker.scheduled.insert(named, session.ends_at());
    holds!(
        is_indexed(
            checker.tx,
            Table::SessionsByUser,
            session.user_id,
            session.id,
        )?,
        "is not found by its user",
    )
}

fn check_client(tx: &dyn Read, key: &[u8], value: &[u8]) -> Outcome {
    let client: Client = decode(value)?;
    at_its_id(key, client.id)?;
    let ClientId::Document(url) = client.client_id() else {
        return Ok(());
    };
    let url = url.as_str().as_bytes();
    holds!(
        names(tx, Table::ClientsByDocument, url, client.id)?,
        "is not found by its document",
    )
}

fn check_document(tx: &dyn Read, key: &[u8], value: &[u8]) -> Outcome {
    let client = clients::find(tx, codec::id(Table::ClientsByDocument, value)?)?;
    let url = client.map(|client| client.client_id());
    holds!(
        matches!(url, Some(ClientId::Document(url)) if url.as_str().as_bytes() == key),
        "names no client that the document describes",
    )
}

fn check_secret(tx: &dyn Read, key: &[u8], value: &[u8]) -> Outcome {
    let secret: ClientSecret = decode(value)?;
    holds!(
        key == codec::pair(secret.client_id, secret.id),
        "stands at another id than its own",
    )?;
    holds!(
        clients::find(tx, secret.client_id)?.is_some(),
        "is of a client that is gone",
    )
}

fn check_grant(checker: &mut Checker<'_>, key: &[u8], value: &[u8]) -> Outcome {
    let grant: Grant = decode(value)?;
    at_its_id(key, grant.id)?;
    let named = (Swept::Grant, grant.id);
    checker.scheduled.insert(named, grant.expires_at);
    let tx = checker.tx;
    holds!(
        is_indexed(tx, Table::GrantsByUser, grant.user_id, grant.id)?,
        "is not found by its user",
    )?;
    holds!(
        is_indexed(tx, Table::GrantsByClient, grant.client_id, grant.id)?,
        "is not found by its client",
    )
}

fn check_family(checker: &mut Checker<'_>, key: &[u8], value: &[u8]) -> Outcome {
    let family: TokenFamily = decode(value)?;
    let named = (Swept::Family, family.id);
    checker.scheduled.insert(named, family.ends_at());
    at_its_id(key, family.id)
}

fn check_device(tx: &dyn Read, key: &[u8], value: &[u8]) -> Outcome {
    let device: DeviceAuthorization = decode(value)?;
    at_its_id(key, device.id)?;
    let code = device.user_code_digest.as_bytes();
    holds!(
        names(tx, Table::DevicesByUserCode, code, device.id)?,
        "is not found by its user code",
    )
}

fn check_user_code(tx: &dyn Read, key: &[u8], value: &[u8]) -> Outcome {
    let device = devices::find(tx, codec::id(Table::DevicesByUserCode, value)?)?;
    holds!(
        device.is_some_and(|device| device.user_code_digest.as_bytes() == key),
        "names no device that has it",
    )
}

fn check_notification(tx: &dyn Read, key: &[u8], value: &[u8]) -> Outcome {
    let notification: Notification = decode(value)?;
    at_its_id(key, notification.id)?;
    let index = Table::NotificationsByUser;
    holds!(
        is_indexed(tx, index, notification.user_id, notification.id)?,
        "is not found by its user",
    )
}

fn check_inbox_row(tx: &dyn Read, key: &[u8], value: &[u8]) -> Outcome {
    notifications::read_at(value)?;
    let find_owner = |tx: &dyn Read, id| {
        let found = notifications::find(tx, id)?;
        Ok(found.map(|notification| notification.user_id))
    };
    check_pair(tx, Table::NotificationsByUser, key, &[], find_owner)
}

fn check_counts(tx: &dyn Read, key: &[u8], value: &[u8]) -> Outcome {
    let counts: InboxCounts = decode(value)?;
    let user_id = codec::id(Table::InboxCounts, key)?;
    let rows = notifications::rows_before(tx, user_id, None, NOTIFICATIONS_PER_USER_MAX)?;
    let unread = rows.iter().filter(|row| row.read_at.is_none()).count();
    holds!(
        counts.total == rows.len() as u64 && counts.unread == unread as u64,
        "is not what the inbox has",
    )
}

fn check_subscription(tx: &dyn Read, key: &[u8], value: &[u8]) -> Outcome {
    let subscription: Subscription = decode(value)?;
    holds!(
        key == codec::pair(subscription.user_id, subscription.id),
        "stands at another id than its own",
    )?;
    let digest = Subscription::endpoint_digest(&subscription.endpoint);
    let found = tx.get(Table::SubscriptionsByEndpoint, digest.as_bytes())?;
    holds!(
        found.as_deref() == Some(key),
        "is not found by its endpoint",
    )
}

fn check_endpoint(tx: &dyn Read, key: &[u8], value: &[u8]) -> Outcome {
    let found: Option<Subscription> = codec::find(tx, value)?;
    let digest = found.map(|found| Subscription::endpoint_digest(&found.endpoint));
    holds!(
        digest.is_some_and(|digest| digest.as_bytes() == key),
        "names no browser that is told there",
    )
}

fn check_push(tx: &dyn Read, key: &[u8], value: &[u8]) -> Outcome {
    let push: QueuedPush = decode(value)?;
    let (user_id, browser) = (push.user_id, push.subscription_id);
    holds!(
        pushes::key(&push) == key,
        "stands at another browser or id than its own",
    )?;
    holds!(
        pushes::find(tx, user_id, browser)?.is_some(),
        "is for a browser that is gone",
    )?;
    let first = pushes::first(tx, user_id, browser)?.unwrap_or(push);
    let line = Line::of(&first).key();
    holds!(
        tx.get(Table::PushLines, &line)?.is_some(),
        "is not found when it is due",
    )
}

fn check_line(tx: &dyn Read, key: &[u8], value: &[u8]) -> Outcome {
    is_empty(value)?;
    let line = Line::parse(key)?;
    let first = pushes::first(tx, line.user_id, line.subscription_id)?;
    holds!(
        first.is_some_and(|first| Line::of(&first) == line),
        "is no browser's for which something is due then",
    )
}

fn check_server(tx: &dyn Read, key: &[u8], value: &[u8]) -> Outcome {
    let server: ResourceServer = decode(value)?;
    at_its_id(key, server.id)?;
    let table = Table::ResourceServersByIdentifier;
    let identifier = server.identifier.as_resource().as_str().as_bytes();
    holds!(
        names(tx, table, identifier, server.id)?,
        "is not found by its identifier",
    )
}

fn check_identifier(tx: &dyn Read, key: &[u8], value: &[u8]) -> Outcome {
    let table = Table::ResourceServersByIdentifier;
    let server = resource_servers::find(tx, codec::id(table, value)?)?;
    let is_its_own =
        |server: &ResourceServer| server.identifier.as_resource().as_str().as_bytes() == key;
    holds!(
        server.as_ref().is_some_and(is_its_own),
        "names no server that has it",
    )
}

/// Entries stand at their numbers, without a gap.
fn check_entry(checker: &mut Checker<'_>, key: &[u8], value: &[u8]) -> Outcome {
    let expected = checker.entry.saturating_add(1);
    let found = codec::number(Table::Audit, key)?;
    checker.entry = found;
    let chained: ChainedEntry = decode(value)?;
    holds!(
        chained.entry.number == found,
        "stands at another number than its own",
    )?;
    holds!(
        found == expected,
        "does not follow upon the entry before it",
    )
}
