//! What services do to the store, and the same done to plain maps.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use proptest::prelude::*;

use super::{
    invariants::records,
    plain_inbox::{InboxOperation, Inboxes},
    samples::{
        access_token, added_upstream, at, audit_entry, client, client_secret, code, device,
        document_client, family, grant, id, pinned, resource_server, session, user,
    },
};
use crate::{
    model::{
        audit::{AuditEntry, ChainedEntry},
        id::Id,
        oauth2::{
            client::{Client, ClientSecret},
            client_document::PinnedDocument,
            code::{AuthorizationCode, CodeStage},
            device::{DeviceAuthorization, DeviceStage},
            grant::Grant,
            resource_server::ResourceServer,
            token::{AccessToken, Holder, TokenFamily},
        },
        session::Session,
        timestamp::Timestamp,
        upstream::AddedUpstream,
        user::User,
    },
    store::{
        Keys, Read, StoreError, Table, WriteTx, audit, client_documents, clients,
        codec::{self, Record},
        codes::{self, CODE_KEPT},
        devices::{self, DEVICE_KEPT},
        grants, notifications, pushes, resource_servers, sessions,
        sweep::{self, Kept, Swept},
        tokens, upstreams, users,
    },
};

/// How long everything lives here: a few operations.
const LIFETIME: Duration = Duration::from_secs(10);

/// What a service does. Each names one of few things, so that they meet.
#[derive(Clone, Copy, Debug)]
pub(super) enum Operation {
    PutUser { user: u8, name: u8 },
    RemoveUser { user: u8 },
    AddSession { session: u8, user: u8 },
    TouchSession { session: u8 },
    RemoveSession { session: u8 },
    PutClient { client: u8 },
    ApproveClient { client: u8 },
    RemoveClient { client: u8 },
    PutSecret { client: u8, secret: u8 },
    RemoveSecret { client: u8, secret: u8 },
    AddGrant { grant: u8, user: u8, client: u8 },
    RemoveGrant { grant: u8 },
    AddFamily { family: u8, grant: u8 },
    Rotate { family: u8 },
    RemoveFamily { family: u8 },
    IssueCode { code: u8 },
    SpendCode { code: u8 },
    IssueToken { token: u8 },
    RemoveToken { token: u8 },
    AddDevice { device: u8 },
    AnswerDevice { device: u8 },
    AddServer { server: u8 },
    RemoveServer { server: u8 },
    AddUpstream { upstream: u8 },
    RemoveUpstream { upstream: u8 },
    Pin { minute: u8 },
    Unpin,
    SpendConsent { consent: u8 },
    Audit,
    Inbox(InboxOperation),
}

/// Whether an operation found what it needs, and so did something.
pub(super) type Done = bool;

impl Operation {
    /// One of each kind, those that make something first.
    pub(super) fn examples() -> Vec<Self> {
        Self::with(0, 0, 0)
    }

    fn with(a: u8, b: u8, c: u8) -> Vec<Self> {
        let of_inbox = InboxOperation::with(a, b, c).into_iter().map(Self::Inbox);
        let mut all = vec![
            Self::PutUser { user: a, name: b },
            Self::AddSession {
                session: a,
                user: b,
            },
            Self::TouchSession { session: a },
            Self::PutClient { client: a },
            Self::ApproveClient { client: a },
            Self::PutSecret {
                client: a,
                secret: b,
            },
            Self::AddGrant {
                grant: a,
                user: b,
                client: c,
            },
            Self::AddFamily {
                family: a,
                grant: b,
            },
            Self::Rotate { family: a },
            Self::IssueCode { code: a },
            Self::SpendCode { code: a },
            Self::IssueToken { token: a },
            Self::AddDevice { device: a },
            Self::AnswerDevice { device: a },
            Self::AddServer { server: a },
            Self::AddUpstream { upstream: a },
            Self::Pin { minute: a },
            Self::SpendConsent { consent: a },
            Self::Audit,
            Self::RemoveSession { session: a },
            Self::RemoveSecret {
                client: a,
                secret: b,
            },
            Self::RemoveFamily { family: a },
            Self::RemoveGrant { grant: a },
            Self::RemoveClient { client: a },
            Self::RemoveUser { user: a },
            Self::RemoveToken { token: a },
            Self::RemoveServer { server: a },
            Self::RemoveUpstream { upstream: a },
            Self::Unpin,
        ];
        all.extend(of_inbox);
        all
    }

    /// Any of them.
    pub(super) fn any() -> impl Strategy<Value = Self> {
        let few = || 0_u8..4;
        (few(), few(), few(), any::<prop::sample::Index>())
            .prop_map(|(a, b, c, which)| *which.get(&Self::with(a, b, c)))
    }

    /// Does it as a service would: looks first, then changes.
    pub(super) fn perform(self, tx: &mut WriteTx<'_>, now: Timestamp) -> Result<Done, StoreError> {
        match self {
            Self::PutUser { .. }
            | Self::RemoveUser { .. }
            | Self::AddSession { .. }
            | Self::TouchSession { .. }
            | Self::RemoveSession { .. } => self.perform_on_people(tx, now),
            Self::PutClient { .. }
            | Self::ApproveClient { .. }
            | Self::RemoveClient { .. }
            | Self::PutSecret { .. }
            | Self::RemoveSecret { .. }
            | Self::AddServer { .. }
            | Self::RemoveServer { .. }
            | Self::AddUpstream { .. }
            | Self::RemoveUpstream { .. }
            | Self::Pin { .. }
            | Self::Unpin => self.perform_on_programs(tx, now),
            Self::Inbox(operation) => operation.perform(tx, now),
            _ => self.perform_on_what_was_allowed(tx, now),
        }
    }

    fn perform_on_people(self, tx: &mut WriteTx<'_>, now: Timestamp) -> Result<Done, StoreError> {
        match self {
            Self::PutUser { user, name } => {
                let made = made_user(user, name);
                let namesake = users::find_by_name(tx, &made.name)?;
                if namesake.is_some_and(|namesake| namesake.id != made.id) {
                    return Ok(false);
                }
                users::put(tx, &made)?;
            }
            Self::RemoveUser { user } => {
                let Some(found) = users::find(tx, user_id(user))? else {
                    return Ok(false);
                };
                users::remove(tx, &found);
                grants::end_of_removed_user(tx, now, found.id);
                notifications::end_of_removed_user(tx, now, found.id);
                pushes::remove_of_user(tx, found.id)?;
            }
            Self::AddSession { session, user } => {
                let made = made_session(session, user, now);
                if sessions::find(tx, made.id)?.is_some() {
                    return Ok(false);
                }
                sessions::add(tx, &made)?;
            }
            Self::TouchSession { session } => {
                let Some(mut found) = sessions::find(tx, session_id(session))? else {
                    return Ok(false);
                };
                found.idle_expires_at = now.after(LIFETIME);
                sessions::put(tx, &found)?;
            }
            Self::RemoveSession { session } => {
                let Some(found) = sessions::find(tx, session_id(session))? else {
                    return Ok(false);
                };
                sessions::remove(tx, &found);
            }
            other => unreachable!("{other:?}"),
        }
        Ok(true)
    }

    fn perform_on_programs(self, tx: &mut WriteTx<'_>, now: Timestamp) -> Result<Done, StoreError> {
        match self {
            Self::PutClient { client } => {
                let made = made_client(client);
                if clients::find(tx, made.id)?.is_some() {
                    return Ok(false);
                }
                clients::put(tx, &made)?;
                clients::expire_unless_approved(tx, &made, now.after(LIFETIME));
            }
            Self::ApproveClient { client } => {
                let Some(mut found) = clients::find(tx, client_id(client))? else {
                    return Ok(false);
                };
                found.approved_at = Some(now);
                clients::put(tx, &found)?;
            }
            Self::RemoveClient { client } => {
                let id = client_id(client);
                if !clients::is_there(tx, id)? {
                    return Ok(false);
                }
                clients::remove(tx, id)?;
                grants::end_of_removed_client(tx, now, id);
            }
            Self::PutSecret { client, secret } => {
                if !clients::is_there(tx, client_id(client))? {
                    return Ok(false);
                }
                clients::put_secret(tx, &made_secret(client, secret))?;
            }
            Self::RemoveSecret { client, secret } => {
                let made = made_secret(client, secret);
                if clients::find_secret(tx, made.client_id, made.id)?.is_none() {
                    return Ok(false);
                }
                clients::remove_secret(tx, &made);
            }
            Self::AddServer { server } => {
                let made = made_server(server);
                if resource_servers::find(tx, made.id)?.is_some() {
                    return Ok(false);
                }
                resource_servers::add(tx, &made)?;
            }
            Self::RemoveServer { server } => {
                let identifier = made_server(server).identifier;
                let found = resource_servers::find_by_identifier(tx, identifier.as_resource())?;
                let Some(found) = found else {
                    return Ok(false);
                };
                resource_servers::remove(tx, &found);
            }
            other => return other.perform_on_other_servers(tx),
        }
        Ok(true)
    }

    fn perform_on_other_servers(self, tx: &mut WriteTx<'_>) -> Result<Done, StoreError> {
        match self {
            Self::AddUpstream { upstream } => {
                let made = made_upstream(upstream);
                if upstreams::find(tx, &made.upstream.name)?.is_some() {
                    return Ok(false);
                }
                upstreams::add(tx, &made)?;
            }
            Self::RemoveUpstream { upstream } => {
                let name = made_upstream(upstream).upstream.name;
                let is_there = upstreams::find(tx, &name)?.is_some();
                upstreams::remove(tx, &name);
                return Ok(is_there);
            }
            Self::Pin { minute } => client_documents::put(tx, &made_pin(minute))?,
            Self::Unpin => {
                let url = made_pin(0).document.url;
                if client_documents::find(tx, &url)?.is_none() {
                    return Ok(false);
                }
                client_documents::remove(tx, &url);
            }
            other => unreachable!("{other:?}"),
        }
        Ok(true)
    }

    fn perform_on_what_was_allowed(
        self,
        tx: &mut WriteTx<'_>,
        now: Timestamp,
    ) -> Result<Done, StoreError> {
        match self {
            Self::AddGrant {
                grant,
                user,
                client,
            } => {
                let made = made_grant(grant, user, client, now);
                if grants::find(tx, made.id)?.is_some() {
                    return Ok(false);
                }
                grants::add(tx, &made)?;
            }
            Self::RemoveGrant { grant } => {
                let Some(found) = grants::find(tx, grant_id(grant))? else {
                    return Ok(false);
                };
                grants::remove(tx, &found);
            }
            Self::AddFamily { family, grant } => {
                let made = made_family(family, grant_id(grant), now);
                if tokens::find_family(tx, made.id)?.is_some() {
                    return Ok(false);
                }
                tokens::add_family(tx, &made)?;
            }
            Self::Rotate { family } => {
                let Some(found) = tokens::find_family(tx, family_id(family))? else {
                    return Ok(false);
                };
                tokens::put_family(tx, &made_family(family, grant_of(&found), now))?;
            }
            Self::RemoveFamily { family } => {
                let id = family_id(family);
                let is_there = tokens::find_family(tx, id)?.is_some();
                tokens::remove_family(tx, id);
                return Ok(is_there);
            }
            other => return other.perform_on_what_was_issued(tx, now),
        }
        Ok(true)
    }

    fn perform_on_what_was_issued(
        self,
        tx: &mut WriteTx<'_>,
        now: Timestamp,
    ) -> Result<Done, StoreError> {
        match self {
            Self::IssueCode { code } => codes::put(tx, &made_code(code, now))?,
            Self::SpendCode { code } => {
                let Some(mut found) = codes::find(tx, code_id(code))? else {
                    return Ok(false);
                };
                found.stage = CodeStage::Spent;
                codes::put(tx, &found)?;
            }
            Self::IssueToken { token } => {
                tokens::put_access_token(tx, &made_token(token, now))?;
            }
            Self::RemoveToken { token } => {
                let id = token_id(token);
                let is_there = tokens::find_access_token(tx, id)?.is_some();
                tokens::remove_access_token(tx, id);
                return Ok(is_there);
            }
            Self::AddDevice { device } => {
                let made = made_device(device, now);
                if devices::find(tx, made.id)?.is_some() {
                    return Ok(false);
                }
                devices::add(tx, &made)?;
            }
            Self::AnswerDevice { device } => {
                let user_code = made_device(device, now).user_code_digest;
                let Some(mut found) = devices::find_by_user_code(tx, &user_code)? else {
                    return Ok(false);
                };
                found.stage = DeviceStage::Denied;
                devices::put(tx, &found)?;
            }
            Self::SpendConsent { consent } => {
                return grants::spend_consent(tx, consent_id(consent), now.after(LIFETIME));
            }
            Self::Audit => {
                let number = audit::head(tx)?.number + 1;
                let head = audit::head(tx)?;
                audit::append(tx, &head, audit_entry(number, now))?;
            }
            other => unreachable!("{other:?}"),
        }
        Ok(true)
    }
}

/// The id of one of few, of its own kind.
pub(super) fn name(kind: u8, number: u8) -> Id {
    id(at(1), 16 * kind + number)
}

pub(super) fn user_id(number: u8) -> Id {
    name(1, number)
}

pub(super) fn client_id(number: u8) -> Id {
    name(2, number)
}

fn session_id(number: u8) -> Id {
    name(3, number)
}

fn grant_id(number: u8) -> Id {
    name(5, number)
}

fn family_id(number: u8) -> Id {
    name(6, number)
}

fn code_id(number: u8) -> Id {
    name(7, number)
}

fn token_id(number: u8) -> Id {
    name(8, number)
}

fn consent_id(number: u8) -> Id {
    name(9, number)
}

fn made_user(number: u8, name: u8) -> User {
    user(user_id(number), &format!("user{name}"))
}

fn made_session(number: u8, of: u8, now: Timestamp) -> Session {
    session(session_id(number), user_id(of), now.after(LIFETIME))
}

/// One of them is described by a document, so that the index by URL is tried as well.
fn made_client(number: u8) -> Client {
    let make = if number == 0 { document_client } else { client };
    make(client_id(number), None)
}

fn made_secret(of: u8, number: u8) -> ClientSecret {
    client_secret(name(4, number), client_id(of))
}

fn made_grant(number: u8, of: u8, to: u8, now: Timestamp) -> Grant {
    grant(
        grant_id(number),
        user_id(of),
        client_id(to),
        now.after(LIFETIME),
    )
}

fn made_family(number: u8, of: Id, now: Timestamp) -> TokenFamily {
    family(family_id(number), of, now.after(LIFETIME))
}

fn grant_of(family: &TokenFamily) -> Id {
    match family.holder {
        Holder::Person { grant_id, .. } => grant_id,
        Holder::Client => unreachable!("every family here has a grant"),
    }
}

fn made_code(number: u8, now: Timestamp) -> AuthorizationCode {
    code(code_id(number), now.after(LIFETIME))
}

fn made_token(number: u8, now: Timestamp) -> AccessToken {
    access_token(token_id(number), now.after(LIFETIME))
}

fn made_device(number: u8, now: Timestamp) -> DeviceAuthorization {
    device(name(10, number), number, now.after(LIFETIME))
}

fn made_server(number: u8) -> ResourceServer {
    resource_server(name(11, number), &format!("https://s{number}.lan"))
}

fn made_upstream(number: u8) -> AddedUpstream {
    let mut made = added_upstream(name(12, number));
    made.upstream.name = format!("u{number}").parse().expect("a name");
    made
}

fn made_pin(minute: u8) -> PinnedDocument {
    pinned(at(60 * u64::from(minute)))
}

/// The same as plain maps, without a transaction, an index or a byte of encoding.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Plain {
    users: BTreeMap<Id, User>,
    sessions: BTreeMap<Id, Session>,
    clients: BTreeMap<Id, Client>,
    secrets: BTreeMap<(Id, Id), ClientSecret>,
    grants: BTreeMap<Id, Grant>,
    families: BTreeMap<Id, TokenFamily>,
    codes: BTreeMap<Id, AuthorizationCode>,
    tokens: BTreeMap<Id, AccessToken>,
    devices: BTreeMap<Id, DeviceAuthorization>,
    servers: BTreeMap<Id, ResourceServer>,
    upstreams: BTreeMap<String, AddedUpstream>,
    pins: BTreeMap<String, PinnedDocument>,
    consents: BTreeMap<Id, Timestamp>,
    entries: BTreeMap<u64, AuditEntry>,
    /// The number of the newest entry that there ever was.
    newest_entry: u64,
    inboxes: Inboxes,
    /// What is looked at when.
    due: BTreeSet<(Timestamp, Swept, Id)>,
}

impl Plain {
    /// For how long the audit log is kept here, and notifications.
    pub(super) const KEPT: Kept = Kept {
        audit: Duration::from_secs(100),
        notifications: Duration::from_mins(1),
    };

    /// What is in a store.
    pub(super) fn of(tx: &dyn Read) -> Result<Self, StoreError> {
        let mut consents = BTreeMap::new();
        for (key, value) in tx.scan(Table::SpentConsents, &Keys::ALL, usize::MAX)? {
            let end = value.try_into().expect("an instant of 8 bytes");
            let end = Timestamp::from_millis(u64::from_be_bytes(end));
            consents.insert(codec::id(Table::SpentConsents, &key)?, end);
        }
        let entries = records::<ChainedEntry>(tx)?.into_iter();
        let due = tx.scan(Table::Expiry, &Keys::ALL, usize::MAX)?;
        let due = due.iter().map(|(key, _)| sweep::parse_key(key));
        Ok(Self {
            users: keyed(tx, |user: &User| user.id)?,
            sessions: keyed(tx, |session: &Session| session.id)?,
            clients: keyed(tx, |client: &Client| client.id)?,
            secrets: keyed(tx, |secret: &ClientSecret| (secret.client_id, secret.id))?,
            grants: keyed(tx, |grant: &Grant| grant.id)?,
            families: keyed(tx, |family: &TokenFamily| family.id)?,
            codes: keyed(tx, |code: &AuthorizationCode| code.id)?,
            tokens: keyed(tx, |token: &AccessToken| token.id)?,
            devices: keyed(tx, |device: &DeviceAuthorization| device.id)?,
            servers: keyed(tx, |server: &ResourceServer| server.id)?,
            upstreams: keyed(tx, |added: &AddedUpstream| added.upstream.name.to_string())?,
            pins: keyed(tx, |pin: &PinnedDocument| pin.document.url.to_string())?,
            consents,
            entries: entries
                .map(|chained| (chained.entry.number, chained.entry))
                .collect(),
            newest_entry: audit::head(tx)?.number,
            inboxes: Inboxes::of(tx)?,
            due: due.collect::<Result<_, _>>()?,
        })
    }

    /// Does `operation`.
    pub(super) fn perform(&mut self, operation: Operation, now: Timestamp) -> Done {
        use Operation as Op;
        let end = now.after(LIFETIME);
        match operation {
            Op::PutUser { user, name } => {
                let made = made_user(user, name);
                let is_taken = |other: &User| other.name == made.name && other.id != made.id;
                !self.users.values().any(is_taken) && {
                    self.users.insert(made.id, made);
                    true
                }
            }
            Op::RemoveUser { user } => {
                let id = user_id(user);
                self.users.remove(&id).is_some() && {
                    self.inboxes.remove_user(id);
                    self.plan(now, Swept::GrantsOfUser, id)
                        && self.plan(now, Swept::InboxOfUser, id)
                }
            }
            Op::AddSession { session, user } => {
                let is_new = add(&mut self.sessions, session_id(session), || {
                    made_session(session, user, now)
                });
                is_new && self.plan(end, Swept::Session, session_id(session))
            }
            Op::TouchSession { session } => {
                change(&mut self.sessions, &session_id(session), |found| {
                    found.idle_expires_at = end;
                })
            }
            Op::RemoveSession { session } => self.sessions.remove(&session_id(session)).is_some(),
            Op::AddGrant {
                grant,
                user,
                client,
            } => {
                let is_new = add(&mut self.grants, grant_id(grant), || {
                    made_grant(grant, user, client, now)
                });
                is_new && self.plan(end, Swept::Grant, grant_id(grant))
            }
            Op::RemoveGrant { grant } => self.grants.remove(&grant_id(grant)).is_some(),
            Op::AddFamily { family, grant } => {
                let is_new = add(&mut self.families, family_id(family), || {
                    made_family(family, grant_id(grant), now)
                });
                is_new && self.plan(end, Swept::Family, family_id(family))
            }
            Op::Rotate { family } => change(&mut self.families, &family_id(family), |found| {
                *found = made_family(family, grant_of(found), now);
            }),
            Op::RemoveFamily { family } => self.families.remove(&family_id(family)).is_some(),
            Op::Inbox(operation) => self.inboxes.perform(operation, now),
            other => self.perform_on_programs(other, now),
        }
    }

    fn perform_on_programs(&mut self, operation: Operation, now: Timestamp) -> Done {
        use Operation as Op;
        match operation {
            Op::PutClient { client } => {
                let is_new = add(&mut self.clients, client_id(client), || made_client(client));
                let end = now.after(LIFETIME);
                is_new && self.plan(end, Swept::UnapprovedClient, client_id(client))
            }
            Op::ApproveClient { client } => {
                change(&mut self.clients, &client_id(client), |found| {
                    found.approved_at = Some(now);
                })
            }
            Op::RemoveClient { client } => {
                let is_there = self.remove_client(client_id(client));
                is_there && self.plan(now, Swept::GrantsOfClient, client_id(client))
            }
            Op::PutSecret { client, secret } => {
                let made = made_secret(client, secret);
                self.clients.contains_key(&made.client_id) && {
                    self.secrets.insert((made.client_id, made.id), made);
                    true
                }
            }
            Op::RemoveSecret { client, secret } => {
                let made = made_secret(client, secret);
                self.secrets.remove(&(made.client_id, made.id)).is_some()
            }
            Op::AddServer { server } => {
                let made = made_server(server);
                add(&mut self.servers, made.id, || made)
            }
            Op::RemoveServer { server } => self.servers.remove(&made_server(server).id).is_some(),
            Op::AddUpstream { upstream } => {
                let made = made_upstream(upstream);
                add(&mut self.upstreams, made.upstream.name.to_string(), || made)
            }
            Op::RemoveUpstream { upstream } => {
                let name = made_upstream(upstream).upstream.name;
                self.upstreams.remove(name.as_str()).is_some()
            }
            Op::Pin { minute } => {
                let made = made_pin(minute);
                self.pins.insert(made.document.url.to_string(), made);
                true
            }
            Op::Unpin => {
                let url = made_pin(0).document.url;
                self.pins.remove(url.as_str()).is_some()
            }
            other => self.perform_on_what_was_issued(other, now),
        }
    }

    fn perform_on_what_was_issued(&mut self, operation: Operation, now: Timestamp) -> Done {
        use Operation as Op;
        match operation {
            Op::IssueCode { code } => {
                self.codes.insert(code_id(code), made_code(code, now));
                true
            }
            Op::SpendCode { code } => change(&mut self.codes, &code_id(code), |found| {
                found.stage = CodeStage::Spent;
            }),
            Op::IssueToken { token } => {
                self.tokens.insert(token_id(token), made_token(token, now));
                true
            }
            Op::RemoveToken { token } => self.tokens.remove(&token_id(token)).is_some(),
            Op::AddDevice { device } => {
                let made = made_device(device, now);
                add(&mut self.devices, made.id, || made)
            }
            Op::AnswerDevice { device } => {
                change(&mut self.devices, &made_device(device, now).id, |found| {
                    found.stage = DeviceStage::Denied;
                })
            }
            Op::SpendConsent { consent } => add(&mut self.consents, consent_id(consent), || {
                now.after(LIFETIME)
            }),
            Op::Audit => {
                self.newest_entry += 1;
                let number = self.newest_entry;
                self.entries.insert(number, audit_entry(number, now));
                true
            }
            other => unreachable!("{other:?}"),
        }
    }

    fn plan(&mut self, at: Timestamp, kind: Swept, id: Id) -> Done {
        self.due.insert((at, kind, id));
        true
    }

    fn remove_client(&mut self, id: Id) -> Done {
        self.secrets.retain(|(client, _), _| *client != id);
        self.clients.remove(&id).is_some()
    }

    /// One pass of the sweeper: the clients that expired, and the grants that ended with who had
    /// them.
    pub(super) fn sweep(&mut self, now: Timestamp) -> (Vec<Id>, Vec<Id>) {
        let (mut clients, mut grants) = (Vec::new(), Vec::new());
        let due: Vec<_> = self.due.iter().copied().collect();
        for row in due.into_iter().take_while(|(at, ..)| *at <= now) {
            self.due.remove(&row);
            let (_, kind, id) = row;
            if let Some(later) = self.end(kind, id, now, &mut clients, &mut grants) {
                self.due.insert((later, kind, id));
            }
        }
        pop_while(&mut self.tokens, |_, token| token.expires_at <= now);
        pop_while(&mut self.codes, |id, code| {
            code.expires_at.max(id.created_at().after(CODE_KEPT)) <= now
        });
        pop_while(&mut self.consents, |_, end| *end <= now);
        pop_while(&mut self.devices, |_, device| {
            device.expires_at.after(DEVICE_KEPT) <= now
        });
        pop_while(&mut self.entries, |_, entry| {
            entry.at.after(Self::KEPT.audit) <= now
        });
        self.inboxes
            .sweep(|entry| entry.created_at.after(Self::KEPT.notifications) <= now);
        (clients, grants)
    }

    /// Ends what is due, unless its end has moved: then that.
    fn end(
        &mut self,
        kind: Swept,
        id: Id,
        now: Timestamp,
        clients: &mut Vec<Id>,
        grants: &mut Vec<Id>,
    ) -> Option<Timestamp> {
        let later = match kind {
            Swept::Session => self.sessions.get(&id)?.ends_at(),
            Swept::Grant => self.grants.get(&id)?.expires_at,
            Swept::Family => {
                let family = self.families.get(&id)?;
                let grant = self.grants.get(&grant_of(family));
                let grant_ends_at = grant.map_or(Timestamp::EPOCH, |grant| grant.expires_at);
                family.ends_at().min(grant_ends_at)
            }
            Swept::UnapprovedClient if self.clients.get(&id)?.approved_at.is_some() => return None,
            Swept::UnapprovedClient => now,
            Swept::GrantsOfClient | Swept::GrantsOfUser => {
                let is_of = |grant: &Grant| match kind {
                    Swept::GrantsOfClient => grant.client_id == id,
                    _ => grant.user_id == id,
                };
                grants.extend(
                    self.grants
                        .values()
                        .filter(|grant| is_of(grant))
                        .map(|g| g.id),
                );
                self.grants.retain(|_, grant| !is_of(grant));
                return None;
            }
            Swept::InboxOfUser => {
                self.inboxes.empty(id);
                return None;
            }
        };
        if later > now {
            return Some(later);
        }
        match kind {
            Swept::Session => drop(self.sessions.remove(&id)),
            Swept::Grant => drop(self.grants.remove(&id)),
            Swept::Family => drop(self.families.remove(&id)),
            _ => {
                self.remove_client(id);
                clients.push(id);
            }
        }
        None
    }
}

pub(super) fn keyed<R: Record, K: Ord>(
    tx: &dyn Read,
    key: impl Fn(&R) -> K,
) -> Result<BTreeMap<K, R>, StoreError> {
    let all = records::<R>(tx)?.into_iter();
    Ok(all.map(|record| (key(&record), record)).collect())
}

pub(super) fn add<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, make: impl FnOnce() -> V) -> Done {
    if map.contains_key(&key) {
        return false;
    }
    map.insert(key, make());
    true
}

fn change<K: Ord, V>(map: &mut BTreeMap<K, V>, key: &K, how: impl FnOnce(&mut V)) -> Done {
    map.get_mut(key).map(how).is_some()
}

/// Removes the first entries, up to one that is not to go.
pub(super) fn pop_while<K: Ord, V>(map: &mut BTreeMap<K, V>, goes: impl Fn(&K, &V) -> bool) {
    while let Some(first) = map.first_entry()
        && goes(first.key(), first.get())
    {
        first.remove();
    }
}
