//! Doing what an administrator asks, on the store of a running server or on the file itself.

use crate::{
    accounts::{AccountError, users},
    appliance::{
        DATA_FILE, StartError,
        administration::{
            Answer, ClientRow, Command, Password, Refused, Reply, UserRow, UserState,
        },
        data_file, directory, pins,
    },
    config::Config,
    crypto::{
        entropy::{Entropy, random},
        password,
    },
    model::{
        oauth2::{
            client::{
                AuthMethod, Client, ClientMetadata, ClientName, ClientOrigin, GrantType,
                REDIRECT_URIS_MAX,
            },
            client_document::ClientDocument,
            client_id::ClientId,
            scope::{ScopeSet, find_definition},
        },
        timestamp::Timestamp,
        user::{NewPassword, User, UserName},
    },
    oauth2provider::apps,
    runtime::{
        clock::{Clock, SystemClock},
        entropy::OsEntropy,
    },
    store::{Read, Store, StoreError, WriteTx, clients},
};

/// Executes `command` on the data file while no server has it.
pub fn administer_offline(config: &Config, command: Command) -> Result<Answer, StartError> {
    directory::prepare(&config.data_dir, DATA_FILE)?;
    let store = Store::open(&data_file(&config.data_dir), &OsEntropy)?;
    let prepared = Prepared::new(command, &OsEntropy);
    let now = SystemClock.now();
    Ok(prepared.and_then(|prepared| {
        store
            .write(move |tx| prepared.execute(tx, now, &OsEntropy))
            .wait()
    }))
}

impl From<StoreError> for Refused {
    fn from(fault: StoreError) -> Self {
        Self::because(fault)
    }
}

impl From<AccountError> for Refused {
    fn from(error: AccountError) -> Self {
        Self::because(error)
    }
}

/// A command whose slow part, hashing a password, is behind it: what is left runs in the store's
/// writer.
pub(super) enum Prepared {
    /// Make a user with that password.
    UserAdd(UserName, crate::model::user::Role, String),
    /// Give a user that password.
    UserPasswd(UserName, String),
    /// A client that may be made.
    ClientAdd(ClientMetadata),
    /// A document that may be kept.
    ClientPin(ClientDocument),
    /// Nothing was slow.
    Other(Command),
}

impl Prepared {
    /// Parses what has to be parsed, and hashes what has to be hashed. Slow: about 20 ms.
    pub(super) fn new(command: Command, entropy: &dyn Entropy) -> Result<Self, Refused> {
        let hash = |name: &UserName, password: &Password| {
            let password = NewPassword::parse(password.expose(), name)
                .map_err(|error| Refused::because(format!("password: {error}")))?;
            Ok::<_, Refused>(password::hash(password.as_str(), &random(entropy)))
        };
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
                Self::ClientAdd(ClientMetadata {
                    name: ClientName::parse(&name)
                        .map_err(|error| Refused::because(format!("name: {error}")))?,
                    redirect_uris: parse_redirect_uris(&redirect_uris)?,
                    auth_method,
                    grant_types: parse_grants(&grants)?,
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
            Command::ClientPin { url, document } => {
                Self::ClientPin(pins::parse_document(&url, &document)?)
            }
            other => Self::Other(other),
        })
    }

    /// Does it, in the writer.
    pub(super) fn execute(
        self,
        tx: &mut WriteTx<'_>,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Answer {
        match self {
            Self::UserAdd(name, role, hash) => {
                let user = users::create(tx, now, entropy, name, role, hash)?;
                Ok(Reply::User(user_row(&user)))
            }
            Self::UserPasswd(name, hash) => {
                let user = users::named(tx, &name)?;
                users::change_password(tx, user, hash, None)?;
                Ok(Reply::Done)
            }
            Self::ClientAdd(metadata) => {
                let (client, secret) = apps::create(tx, now, entropy, metadata)?;
                Ok(Reply::ClientCreated {
                    client: client_row(&client),
                    client_secret: secret.map(|secret| secret.reveal()),
                })
            }
            Self::ClientPin(document) => pins::pin(tx, now, document),
            Self::Other(command) => execute_quick(tx, now, command),
        }
    }
}

fn execute_quick(tx: &mut WriteTx<'_>, now: Timestamp, command: Command) -> Answer {
    match command {
        Command::UserList => {
            let users = crate::store::users::list(tx)?;
            return Ok(Reply::Users(users.iter().map(user_row).collect()));
        }
        Command::UserDisable { name } => {
            let user = users::named(tx, &user_name(&name)?)?;
            users::disable(tx, now, user)?;
        }
        Command::UserEnable { name } => {
            let user = users::named(tx, &user_name(&name)?)?;
            users::enable(tx, user)?;
        }
        Command::UserRemove { name } => {
            let user = users::named(tx, &user_name(&name)?)?;
            users::remove(tx, &user)?;
        }
        Command::ClientList => {
            let clients = clients::list(tx, clients::CLIENTS_MAX)?;
            return Ok(Reply::Clients(clients.iter().map(client_row).collect()));
        }
        Command::ClientShow { id } => {
            let client = find_client(tx, &id)?;
            return Ok(Reply::Client(client_row(&client)));
        }
        Command::ClientRemove { id } => {
            let client = find_client(tx, &id)?;
            apps::remove(tx, client.id)?;
        }
        Command::ClientPins => return pins::list(tx),
        Command::ClientUnpin { url } => pins::unpin(tx, &url)?,
        Command::UserAdd { .. }
        | Command::UserPasswd { .. }
        | Command::ClientAdd { .. }
        | Command::ClientPin { .. } => {
            return Err(Refused::because("expected a prepared command"));
        }
    }
    Ok(Reply::Done)
}

fn user_name(text: &str) -> Result<UserName, Refused> {
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
) -> Result<Vec<crate::model::oauth2::redirect_uri::RedirectUri>, Refused> {
    if !(1..=REDIRECT_URIS_MAX).contains(&texts.len()) {
        let found = texts.len();
        return Err(Refused::because(format!(
            "redirect-uri: expected 1 to {REDIRECT_URIS_MAX}, found {found}"
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
        return Ok(GrantType::ALL.to_vec());
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
    let scopes: ScopeSet = text
        .parse()
        .map_err(|error| Refused::because(format!("scope: {error}")))?;
    let unknown = scopes.iter().find(|name| find_definition(name).is_none());
    if let Some(name) = unknown {
        return Err(Refused::because(format!(
            "scope: expected scopes of this box, found {name:?}"
        )));
    }
    Ok(scopes)
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
        origin: match &client.origin {
            ClientOrigin::Administrator => "administrator",
            ClientOrigin::SelfRegistered => "self-registered",
            ClientOrigin::Document { .. } => "document",
        }
        .to_owned(),
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
