//! Doing what an administrator asks, on the store of a running server or on the file itself.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    accounts::{AccountError, users},
    appliance::{
        DATA_FILE, StartError,
        administration::{
            Answer, ClientRow, Command, Password, Refused, Reply, ResourceRow, ScopeRow, UserRow,
            UserState,
        },
        data_file, directory, notify, pins, upstreams,
    },
    audit::{self, Act},
    config::Config,
    crypto::{
        entropy::{Entropy, random},
        password,
        web_push::VapidKey,
    },
    model::{
        audit::{Actor, Origin},
        oauth2::{
            client::{
                AuthMethod, Client, ClientMetadata, ClientName, GrantType, REDIRECT_URIS_MAX,
            },
            client_document::ClientDocument,
            client_id::ClientId,
            resource::ResourceUri,
            resource_server::{ResourceServer, ServerIdentifier, ServerScope},
            scope::ScopeSet,
        },
        public_url::PublicUrl,
        timestamp::Timestamp,
        upstream::Upstream,
        upstream_words::UpstreamWords,
        user::{NewPassword, User, UserName},
    },
    notifications::{self, regenerate_vapid},
    oauth2provider::{
        apps::{self, AppError, FirstSecret},
        resources,
    },
    runtime::{
        clock::{Clock, SystemClock},
        entropy::OsEntropy,
    },
    store::{Read, Store, StoreError, WriteTx, clients, resource_servers},
};

/// Executes `command` on the data file while no server has it.
pub fn administer_offline(config: &Config, command: Command) -> Result<Answer, StartError> {
    let is_there = data_file(&config.data_dir).try_exists();
    // What cannot be looked at is refused below, with the system's reason.
    if matches!(is_there, Ok(false)) && !adds(&command) {
        return Err(StartError::NoBox(config.data_dir.clone()));
    }
    directory::prepare(&config.data_dir, DATA_FILE)?;
    let store = Store::open(&data_file(&config.data_dir), &OsEntropy)?;
    let (entropy, now) = (Arc::new(OsEntropy), SystemClock.now());
    let known = Known {
        public_url: config.network.public_url.clone(),
        upstreams: config.upstreams.clone(),
    };
    Ok(
        begin(&store, entropy, now, command, known).and_then(|begun| match begun {
            Begun::Answered(reply) => Ok(*reply),
            Begun::Writing(answer) => answer.wait(),
        }),
    )
}

/// Whether a box can begin with `command`. Whatever looks something up, changes or removes it needs
/// one that is there: a data directory with a slip of the pen in it must not be made.
const fn adds(command: &Command) -> bool {
    matches!(
        command,
        Command::UserAdd { .. }
            | Command::ClientAdd { .. }
            | Command::ResourceAdd { .. }
            | Command::UpstreamAdd(_)
            | Command::ClientPin { .. }
    )
}

/// A command that was answered from a snapshot, or that the writer is at.
pub(super) enum Begun {
    Answered(Box<Reply>),
    Writing(crate::store::Answer<Reply, Refused>),
}

/// What is known of the deployment beside its data.
pub(super) struct Known {
    /// Its address; while no server runs it may not be known.
    pub(super) public_url: Option<PublicUrl>,
    /// The upstreams that its configuration names.
    pub(super) upstreams: Vec<Upstream>,
}

/// Begins with a command, on a deployment of which that is `known`. Slow, where a password has to
/// be hashed.
pub(super) fn begin(
    store: &Store,
    entropy: Arc<dyn Entropy>,
    now: Timestamp,
    command: Command,
    known: Known,
) -> Result<Begun, Refused> {
    if let Some(reply) = store.read(|tx| query(tx, &known, &command))? {
        return Ok(Begun::Answered(Box::new(reply)));
    }
    let prepared = Prepared::new(command, &*entropy)?;
    let write = store.write(move |tx| prepared.execute_locally(tx, now, &*entropy, &known));
    Ok(Begun::Writing(write))
}

impl From<StoreError> for Refused {
    fn from(fault: StoreError) -> Self {
        Self::because(fault)
    }
}

impl From<AppError> for Refused {
    fn from(error: AppError) -> Self {
        Self::because(error)
    }
}

impl From<AccountError> for Refused {
    fn from(error: AccountError) -> Self {
        Self::because(error)
    }
}

/// A command whose slow part, hashing a password, is behind it: what is left runs in the store's
/// writer.
enum Prepared {
    /// Make a user with that password.
    UserAdd(UserName, crate::model::user::Role, String),
    /// Give a user that password.
    UserPasswd(UserName, String),
    /// A client that may be made.
    ClientAdd(ClientMetadata),
    /// A resource server that may be added.
    ResourceAdd(ServerIdentifier, Vec<ServerScope>),
    /// A document that may be kept.
    ClientPin(ClientDocument),
    /// Another MCP server that may be added.
    UpstreamAdd(Box<Upstream>),
    /// Nothing was slow.
    Other(Command),
}

impl Prepared {
    /// Parses what has to be parsed, and hashes what has to be hashed. Slow: about 20 ms.
    fn new(command: Command, entropy: &dyn Entropy) -> Result<Self, Refused> {
        let hash = |name: &UserName, password: &Password| hash(name, password, entropy);
        Ok(match command {
            Command::UserAdd {
                name,
                role,
                password,
            } => {
                let name = user_name(&name)?;
                let hash = hash(&name, &password)?;
                Self::UserAdd(name, role, hash)
            }
            Command::UserPasswd { name, password } => {
                let name = user_name(&name)?;
                let hash = hash(&name, &password)?;
                Self::UserPasswd(name, hash)
            }
            Command::ClientAdd {
                name,
                redirect_uris,
                public,
                grants,
                scope,
            } => {
                let auth_method = if public {
                    AuthMethod::None
                } else {
                    AuthMethod::ClientSecretBasic
                };
                let grant_types = parse_grants(&grants)?;
                // OAuth 2.1 §4.2: "MUST only be used by confidential clients".
                if public && grant_types.contains(&GrantType::ClientCredentials) {
                    return Err(Refused::because(
                        "grant: expected a client that can keep a secret for client_credentials, \
                         found --public",
                    ));
                }
                Self::ClientAdd(ClientMetadata {
                    name: ClientName::parse(&name)
                        .map_err(|error| Refused::because(format!("name: {error}")))?,
                    redirect_uris: parse_redirect_uris(&redirect_uris, &grant_types)?,
                    auth_method,
                    grant_types,
                    scope: scope.as_deref().map(parse_scope).transpose()?,
                    client_uri: None,
                    logo_uri: None,
                    tos_uri: None,
                    policy_uri: None,
                    software_id: None,
                    software_version: None,
                    contacts: Vec::new(),
                    application_type: None,
                })
            }
            Command::ResourceAdd {
                identifier,
                scopes,
                scope_words,
            } => {
                let identifier = identifier
                    .parse()
                    .map_err(|error| Refused::because(format!("identifier: {error}")))?;
                Self::ResourceAdd(identifier, parse_server_scopes(&scopes, &scope_words)?)
            }
            Command::ClientPin { url, document } => {
                Self::ClientPin(pins::parse_document(&url, &document)?)
            }
            Command::UpstreamAdd(words) => Self::UpstreamAdd(Box::new(upstream(*words)?)),
            other => Self::Other(other),
        })
    }

    /// Does it for whoever administers the machine, in the writer.
    fn execute_locally(
        self,
        tx: &mut WriteTx<'_>,
        now: Timestamp,
        entropy: &dyn Entropy,
        known: &Known,
    ) -> Answer {
        let by = Origin::local(now, Actor::Administrator);
        let act = Act {
            now,
            entropy,
            by: &by,
        };
        let reply = self.execute(tx, act, known)?;
        notifications::react(tx, act)?;
        Ok(reply)
    }

    /// Does it, in the writer.
    fn execute(self, tx: &mut WriteTx<'_>, act: Act<'_>, known: &Known) -> Answer {
        match self {
            Self::UserAdd(name, role, hash) => {
                let user = users::create(tx, act, name, role, hash)?;
                Ok(Reply::User(user_row(&user)))
            }
            Self::UserPasswd(name, hash) => {
                let user = users::named(tx, &name)?;
                users::change_password(tx, act, user, hash, None)?;
                Ok(Reply::Done)
            }
            Self::ClientAdd(metadata) => {
                check_scope(tx, known, metadata.scope.as_ref())?;
                let (client, secret) = apps::create(tx, act, metadata, FirstSecret::AtOnce)?;
                Ok(Reply::ClientCreated {
                    client: client_row(&client),
                    client_secret: secret.map(|secret| secret.reveal()),
                })
            }
            Self::ResourceAdd(identifier, scopes) => {
                let public_url = known.public_url.as_ref();
                let added = resources::add(tx, act, public_url, identifier, scopes);
                let (server, secret) = added.map_err(Refused::because)?;
                Ok(Reply::ResourceCreated {
                    resource: resource_row(&server),
                    client_secret: secret.reveal(),
                })
            }
            Self::ClientPin(document) => pins::pin(tx, act, document),
            Self::UpstreamAdd(upstream) => upstreams::add(tx, act, known, *upstream),
            Self::Other(Command::VapidRegenerate) => {
                let generated = VapidKey::generate().map_err(Refused::because)?;
                let subscriptions_removed = regenerate_vapid(tx, act.by, generated)?;
                Ok(Reply::VapidRegenerated {
                    subscriptions_removed,
                })
            }
            Self::Other(command) => execute_quick(tx, act, known, command),
        }
    }
}

fn upstream(words: UpstreamWords) -> Result<Upstream, Refused> {
    let upstream = Upstream::try_from(words).map_err(Refused::because)?;
    upstreams::judge(&upstream).map_err(|error| Refused::because(format!("url: {error}")))?;
    Ok(upstream)
}

/// What a command that changes nothing is answered, from a snapshot; `None` for every other.
fn query(tx: &dyn Read, known: &Known, command: &Command) -> Result<Option<Reply>, Refused> {
    Ok(Some(match command {
        Command::UserList => {
            let users = crate::store::users::list(tx)?;
            Reply::Users(users.iter().map(user_row).collect())
        }
        Command::ClientList => {
            let clients = clients::list(tx, clients::CLIENTS_MAX)?;
            Reply::Clients(clients.iter().map(client_row).collect())
        }
        Command::ClientShow { id } => Reply::Client(client_row(&find_client(tx, id)?)),
        Command::ResourceList => {
            let servers = resource_servers::list(tx)?;
            Reply::Resources(servers.iter().map(resource_row).collect())
        }
        Command::UpstreamList => upstreams::list(tx, known)?,
        Command::PublicUrl => {
            let url = known.public_url.as_ref();
            let url = url.ok_or_else(|| Refused::because("its public URL is not known"))?;
            Reply::PublicUrl(url.to_string())
        }
        Command::ClientPins => pins::list(tx)?,
        Command::AuditVerify => {
            let verified = audit::verify(tx).map_err(Refused::because)?;
            Reply::AuditVerified {
                entries: verified.entries,
                head: verified.head.number,
                link: verified.head.link.to_hex(),
            }
        }
        Command::AuditSearch {
            query,
            limit,
            offset,
        } => {
            let found = audit::search(tx, query, *limit, *offset)?;
            let audit_logs = found.entries.into_iter().map(Into::into).collect();
            Reply::AuditLogs {
                audit_logs,
                count: found.count,
            }
        }
        _ => return Ok(None),
    }))
}

fn execute_quick(tx: &mut WriteTx<'_>, act: Act<'_>, known: &Known, command: Command) -> Answer {
    match command {
        Command::UserDisable { name } => {
            let user = users::named(tx, &user_name(&name)?)?;
            users::disable(tx, act, user)?;
        }
        Command::UserEnable { name } => {
            let user = users::named(tx, &user_name(&name)?)?;
            users::enable(tx, act, user)?;
        }
        Command::UserRemove { name } => {
            let user = users::named(tx, &user_name(&name)?)?;
            users::remove(tx, act, &user)?;
        }
        Command::ClientRemove { id } => {
            let client = find_client(tx, &id)?;
            apps::remove(tx, act, client.id)?;
        }
        Command::ResourceRemove { identifier } => remove_resource(tx, act, &identifier)?,
        Command::UpstreamRemove { name } => upstreams::remove(tx, act, known, &name)?,
        Command::ClientUnpin { url } => pins::unpin(tx, act, &url)?,
        Command::Notify(notice) => return notify::send(tx, act, notice),
        prepared => {
            let name = std::mem::discriminant(&prepared);
            return Err(Refused::because(format!(
                "expected a command that is quick: {name:?}"
            )));
        }
    }
    Ok(Reply::Done)
}

fn remove_resource(tx: &mut WriteTx<'_>, act: Act<'_>, identifier: &str) -> Result<(), Refused> {
    let parsed = identifier.parse::<ResourceUri>().ok();
    let removed = parsed.map(|parsed| resources::remove(tx, act, &parsed));
    if removed.transpose()? == Some(true) {
        return Ok(());
    }
    Err(Refused::because(format!(
        "expected the identifier of a resource server, found {identifier:?}, which is none"
    )))
}

/// The hash of a password that `name` may have. Slow: about 20 ms.
fn hash(name: &UserName, password: &Password, entropy: &dyn Entropy) -> Result<String, Refused> {
    let password = NewPassword::parse(password.expose(), name)
        .map_err(|error| Refused::because(format!("password: {error}")))?;
    Ok(password::hash(password.as_str(), &random(entropy)))
}

pub(super) fn user_name(text: &str) -> Result<UserName, Refused> {
    text.parse()
        .map_err(|error| Refused::because(format!("name: {error}")))
}

fn find_client(tx: &dyn Read, id: &str) -> Result<Client, Refused> {
    let found = id
        .parse::<ClientId>()
        .ok()
        .map(|id| clients::find_named(tx, &id))
        .transpose()?
        .flatten();
    found.ok_or_else(|| {
        Refused::because(format!(
            "expected the client_id of a client, found {id:?}, which is none"
        ))
    })
}

fn parse_redirect_uris(
    texts: &[String],
    grant_types: &[GrantType],
) -> Result<Vec<crate::model::oauth2::redirect_uri::RedirectUri>, Refused> {
    let least = usize::from(grant_types.contains(&GrantType::AuthorizationCode));
    if !(least..=REDIRECT_URIS_MAX).contains(&texts.len()) {
        let found = texts.len();
        return Err(Refused::because(format!(
            "redirect-uri: expected {least} to {REDIRECT_URIS_MAX}, found {found}"
        )));
    }
    texts
        .iter()
        .map(|text| {
            text.parse()
                .map_err(|error| Refused::because(format!("redirect-uri {text:?}: {error}")))
        })
        .collect()
}

/// Without a choice a client may do what one for people needs.
fn parse_grants(words: &[String]) -> Result<Vec<GrantType>, Refused> {
    if words.is_empty() {
        return Ok(GrantType::OF_AN_APP.to_vec());
    }
    let mut grants = words
        .iter()
        .map(|word| {
            GrantType::find(word).ok_or_else(|| {
                let known: Vec<_> = GrantType::ALL.iter().map(|grant| grant.as_str()).collect();
                let known = known.join(" or ");
                Refused::because(format!("grant: expected {known}, found {word:?}"))
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    grants.sort_unstable();
    grants.dedup();
    Ok(grants)
}

fn parse_scope(text: &str) -> Result<ScopeSet, Refused> {
    text.parse()
        .map_err(|error| Refused::because(format!("scope: {error}")))
}

/// A client may be given the scopes of this box, of its upstreams and of every resource server.
fn check_scope(tx: &dyn Read, known: &Known, scope: Option<&ScopeSet>) -> Result<(), Refused> {
    apps::check_scope(tx, &known.upstreams, scope)
        .map_err(|error| Refused::because(format!("scope: {error}")))
}

fn parse_server_scopes(names: &[String], words: &[String]) -> Result<Vec<ServerScope>, Refused> {
    let mut words_by_name = BTreeMap::new();
    for pair in words {
        let (name, words) = pair.split_once('=').ok_or_else(|| {
            Refused::because(format!("scope-words: expected NAME=WORDS, found {pair:?}"))
        })?;
        if !names.iter().any(|known| known == name) || words_by_name.insert(name, words).is_some() {
            return Err(Refused::because(format!(
                "scope-words: expected each --scope once at the most, found {name:?}"
            )));
        }
    }
    let scopes = names.iter().map(|name| {
        ServerScope::new(name, words_by_name.get(name.as_str()).copied())
            .map_err(|error| Refused::because(format!("scope {name:?}: {error}")))
    });
    scopes.collect()
}

fn resource_row(server: &ResourceServer) -> ResourceRow {
    let scopes = server.scopes.iter().map(|scope| ScopeRow {
        name: scope.name().to_owned(),
        words: scope.words().to_owned(),
    });
    ResourceRow {
        client_id: server.id.to_string(),
        identifier: server.identifier.to_string(),
        scopes: scopes.collect(),
        created_at: server.created_at.to_string(),
    }
}

fn user_row(user: &User) -> UserRow {
    UserRow {
        id: user.id.to_string(),
        name: user.name.to_string(),
        role: user.role,
        state: match user.disabled_at {
            None => UserState::Active,
            Some(_) => UserState::Disabled,
        },
        created_at: user.created_at.to_string(),
        last_sign_in_at: user.last_sign_in_at.map(|at| at.to_string()),
    }
}

fn client_row(client: &Client) -> ClientRow {
    let metadata = &client.metadata;
    ClientRow {
        client_id: client.client_id().to_string(),
        name: metadata.name.to_string(),
        origin: client.origin.as_str().to_owned(),
        public: client.is_public(),
        redirect_uris: metadata
            .redirect_uris
            .iter()
            .map(ToString::to_string)
            .collect(),
        grant_types: metadata
            .grant_types
            .iter()
            .map(|grant| grant.as_str().to_owned())
            .collect(),
        scope: metadata
            .scope
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        created_at: client.created_at.to_string(),
        last_used_at: client.last_used_at.map(|at| at.to_string()),
    }
}
