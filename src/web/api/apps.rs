//! `/api/v2/oauth2-provider/apps`: the clients of the box, which the API calls apps.

use std::sync::Arc;

use http::StatusCode;
use serde::Serialize;
use url::Url;

use crate::{
    http::{
        params::Params,
        request::Request,
        response::{Response, empty, json},
    },
    model::{
        id::Id,
        oauth2::{
            client::{
                AuthMethod, CLIENT_NAME_LEN_MAX, Client, ClientName, GrantType, REDIRECT_URIS_MAX,
            },
            redirect_uri::RedirectUri,
            scope::ScopeSet,
        },
        user::Role,
    },
    oauth2provider::{
        Provider,
        apps::{self, AppError, AppFields, FirstSecret, Search},
        scopes::{self, KnownScope},
    },
    store::clients,
    web::{
        Web,
        api::{caller::ApiCaller, error::ApiRefusal, fields::Fields, id_in_path, page},
    },
};

/// Bytes of the address of an icon at the most.
const ICON_BYTES_MAX: usize = 2_048;
/// What an app for people does, where nothing else is said.
const GRANT_TYPES_PRESET: [GrantType; 2] = [GrantType::AuthorizationCode, GrantType::RefreshToken];
/// What can be set.
const SETTABLE: [&str; 7] = [
    "name",
    "callback_url",
    "redirect_uris",
    "icon",
    "scope",
    "token_endpoint_auth_method",
    "grant_types",
];
/// What comes back with what was read, and says nothing.
const READ_ONLY: [&str; 5] = ["id", "origin", "endpoints", "created_at", "last_used_at"];

/// An app. Nothing absent is sent as null.
#[derive(Serialize)]
struct App<'a> {
    id: String,
    name: &'a str,
    /// The first redirect URI.
    #[serde(skip_serializing_if = "Option::is_none")]
    callback_url: Option<&'a str>,
    redirect_uris: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    icon: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    token_endpoint_auth_method: &'static str,
    grant_types: Vec<&'static str>,
    origin: &'static str,
    endpoints: Endpoints,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used_at: Option<String>,
}

/// Where an app goes with what it was given.
#[derive(Serialize)]
struct Endpoints {
    authorization: String,
    token: String,
    token_revoke: String,
    device_authorization: String,
}

impl<'a> App<'a> {
    fn new(provider: &Provider, client: &'a Client) -> Self {
        let metadata = &client.metadata;
        let url = |path: &str| provider.public_url.join(path);
        let redirect_uris: Vec<_> = metadata
            .redirect_uris
            .iter()
            .map(RedirectUri::as_str)
            .collect();
        let grant_types = metadata.grant_types.iter().map(|grant| grant.as_str());
        Self {
            id: client.id.to_string(),
            name: metadata.name.as_str(),
            callback_url: redirect_uris.first().copied(),
            redirect_uris,
            icon: metadata.logo_uri.as_deref(),
            scope: metadata.scope.as_ref().map(ToString::to_string),
            token_endpoint_auth_method: metadata.auth_method.as_str(),
            grant_types: grant_types.collect(),
            origin: client.origin.as_str(),
            endpoints: Endpoints {
                authorization: url("/oauth2/authorize"),
                token: url("/oauth2/token"),
                token_revoke: url("/oauth2/revoke"),
                device_authorization: url("/oauth2/device_authorization"),
            },
            created_at: client.created_at.to_string(),
            last_used_at: client.last_used_at.map(|at| at.to_string()),
        }
    }
}

/// A page of apps, and how many there are on all pages.
#[derive(Serialize)]
struct Apps<'a> {
    apps: Vec<App<'a>>,
    count: usize,
}

/// `GET`: the apps, newest first; with `q` those with that in their name, with `user_id` those that
/// the user allowed something.
pub async fn list(
    web: Arc<Web>,
    request: Request,
    caller: ApiCaller,
) -> Result<Response, ApiRefusal> {
    let head = &request.head;
    let query = Params::from_query(head)?;
    let search = Search {
        name_part: query.get("q")?.map(parse_name_part).transpose()?,
        approved_by: approved_by(&query, &caller)?,
    };
    let page = page(&query)?;
    let (found, count) = web
        .store
        .read(|tx| apps::search(tx, head.now, &search, page))?;
    let apps = found.iter().map(|client| App::new(&web.provider, client));
    let apps = apps.collect();
    Ok(json(StatusCode::OK, &Apps { apps, count }))
}

fn parse_name_part(text: &str) -> Result<String, ApiRefusal> {
    if text.chars().count() > CLIENT_NAME_LEN_MAX {
        let detail = format!("expected at most {CLIENT_NAME_LEN_MAX} characters");
        return Err(ApiRefusal::invalid("q", detail));
    }
    Ok(text.to_owned())
}

/// What a person allowed is theirs to see, and an owner's.
fn approved_by(query: &Params, caller: &ApiCaller) -> Result<Option<Id>, ApiRefusal> {
    let Some(text) = query.get("user_id")? else {
        return Ok(None);
    };
    let id = text
        .parse()
        .map_err(|_| ApiRefusal::invalid("user_id", "expected the id of a user"))?;
    if id == caller.user.id || caller.user.role == Role::Owner {
        Ok(Some(id))
    } else {
        let detail = format!("user_id: expected your own, {}", caller.user.id);
        Err(ApiRefusal::forbidden(detail))
    }
}

/// `POST`: a new app, without a secret: that is asked for when it is to be shown.
pub async fn create(
    web: Arc<Web>,
    request: Request,
    caller: ApiCaller,
) -> Result<Response, ApiRefusal> {
    let fields = app_fields(&web, &request)?;
    let (client, _) = web
        .write(caller.origin(&request.head), move |tx, moment| {
            apps::check_scope(tx, &moment.provider.upstreams, fields.scope.as_ref())?;
            let metadata = fields.into_metadata();
            apps::create(tx, moment.act(), metadata, FirstSecret::Later)
        })
        .await?;
    Ok(json(StatusCode::CREATED, &App::new(&web.provider, &client)))
}

/// `GET …/{id}`.
pub async fn get(web: Arc<Web>, request: Request, _: ApiCaller) -> Result<Response, ApiRefusal> {
    let id = id_in_path(&request.head, "id")?;
    let client = web.store.read(|tx| clients::find(tx, id))?;
    let client = client.ok_or_else(ApiRefusal::not_found)?;
    Ok(json(StatusCode::OK, &App::new(&web.provider, &client)))
}

/// `PUT …/{id}`: replaces everything that can be set.
pub async fn replace(
    web: Arc<Web>,
    request: Request,
    caller: ApiCaller,
) -> Result<Response, ApiRefusal> {
    let id = id_in_path(&request.head, "id")?;
    let fields = app_fields(&web, &request)?;
    let client = web
        .write(caller.origin(&request.head), move |tx, moment| {
            apps::check_scope(tx, &moment.provider.upstreams, fields.scope.as_ref())?;
            apps::update(tx, moment.act(), id, fields)
        })
        .await?;
    Ok(json(StatusCode::OK, &App::new(&web.provider, &client)))
}

/// `DELETE …/{id}`: the app, and everything that was allowed to it.
pub async fn remove(
    web: Arc<Web>,
    request: Request,
    caller: ApiCaller,
) -> Result<Response, ApiRefusal> {
    let id = id_in_path(&request.head, "id")?;
    let removed = web.write(caller.origin(&request.head), move |tx, moment| {
        apps::remove(tx, moment.act(), id)
    });
    if removed.await? {
        Ok(empty(StatusCode::NO_CONTENT))
    } else {
        Err(ApiRefusal::not_found())
    }
}

impl From<AppError> for ApiRefusal {
    fn from(error: AppError) -> Self {
        match error {
            AppError::Unknown => Self::not_found(),
            AppError::Full => Self::conflict(error.to_string()),
            AppError::AuthMethodFixed(_) => {
                Self::invalid("token_endpoint_auth_method", error.to_string())
            }
            AppError::UnknownScopes(_) => Self::invalid("scope", error.to_string()),
            AppError::Store(fault) => fault.into(),
        }
    }
}

/// Everything that is wrong is said at once. What decides whether there is a scope is the write.
fn app_fields(web: &Web, request: &Request) -> Result<AppFields, ApiRefusal> {
    let known = web
        .store
        .read(|tx| scopes::list(tx, &web.provider.upstreams))?;
    let mut fields = Fields::parse(request)?;
    fields.expect_only(&SETTABLE, &READ_ONLY);
    if !fields.has("name") {
        fields.refuse("name", "expected a name, found none");
    }
    let name = fields.read("name", ClientName::parse);
    let grant_types = grant_types(&mut fields);
    let redirect_uris = redirect_uris(&mut fields, &grant_types);
    let icon = fields.read("icon", parse_icon);
    let scope = fields.read("scope", |text| parse_scope(&known, text));
    let auth_method = fields.read("token_endpoint_auth_method", |word| {
        AuthMethod::find(word)
            .ok_or("expected none, client_secret_basic or client_secret_post, found another")
    });
    fields.finish()?;
    // Without a name nothing gets here: that is refused above.
    let name = name.ok_or_else(|| ApiRefusal::invalid("name", "expected a name"))?;
    Ok(AppFields {
        name,
        redirect_uris,
        icon,
        scope,
        auth_method: auth_method.unwrap_or(AuthMethod::ClientSecretBasic),
        grant_types,
    })
}

fn grant_types(fields: &mut Fields) -> Vec<GrantType> {
    let find = |word: &str| GrantType::find(word).ok_or("expected a grant type of this server");
    let mut grant_types = fields
        .read_all("grant_types", GrantType::ALL.len(), find)
        .unwrap_or_else(|| GRANT_TYPES_PRESET.to_vec());
    grant_types.sort_unstable();
    grant_types.dedup();
    grant_types
}

/// `callback_url` is the first redirect URI; who gives both has to give the same.
fn redirect_uris(fields: &mut Fields, grant_types: &[GrantType]) -> Vec<RedirectUri> {
    let callback_url: Option<RedirectUri> = fields.read("callback_url", str::parse);
    let list = fields.read_all("redirect_uris", REDIRECT_URIS_MAX, str::parse);
    let uris: Vec<RedirectUri> = match (callback_url, list) {
        (Some(first), None) => vec![first],
        (Some(first), Some(list)) if list.first() != Some(&first) => {
            fields.refuse("callback_url", "expected the first of redirect_uris");
            list
        }
        (_, list) => list.unwrap_or_default(),
    };
    let is_given = fields.has("callback_url") || fields.has("redirect_uris");
    let is_needed = grant_types.contains(&GrantType::AuthorizationCode);
    if is_needed && (!is_given || fields.has("redirect_uris") && uris.is_empty()) {
        fields.refuse("redirect_uris", "expected at least one, found none");
    }
    uris
}

fn parse_icon(text: &str) -> Result<String, String> {
    let is_https = Url::parse(text).is_ok_and(|url| url.scheme() == "https");
    if is_https && text.len() <= ICON_BYTES_MAX {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "expected an https URL of at most {ICON_BYTES_MAX} bytes"
        ))
    }
}

fn parse_scope(known: &[KnownScope], text: &str) -> Result<ScopeSet, String> {
    let scopes: ScopeSet = text.parse().map_err(|error| format!("{error}"))?;
    let unknown = scopes.filtered(|name| !known.iter().any(|scope| scope.name == name));
    if unknown.is_empty() {
        Ok(scopes)
    } else {
        Err(AppError::UnknownScopes(unknown).to_string())
    }
}
