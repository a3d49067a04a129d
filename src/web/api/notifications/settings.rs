//! `/api/v2/notifications/settings`: how the caller wants to be told, and whose apps they muted.
//!
//! What a person switched off, no app switches on: only a browser session changes anything here,
//! whatever a token was allowed.

use std::sync::Arc;

use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::{
    http::{
        request::Request,
        response::{Response, empty, json},
    },
    model::{
        id::Id,
        notification::{Methods, NotificationSettings, Template},
    },
    notifications::{self, MUTED_MAX, TEMPLATES},
    store::{Read, StoreError, clients, notifications::settings},
    web::{
        Web,
        api::{caller::ApiCaller, error::ApiRefusal, fields::Fields, id_in_path},
    },
};

/// The settings.
#[derive(Serialize)]
struct Settings {
    templates: Vec<TemplateSwitch>,
    muted: Vec<Muted>,
}

/// How somebody is told about one template.
#[derive(Serialize)]
struct TemplateSwitch {
    id: &'static str,
    name: &'static str,
    default: MethodSwitches,
    methods: MethodSwitches,
}

/// By what somebody is told.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MethodSwitches {
    inbox: bool,
    push: bool,
}

/// An app whose notifications are dropped.
#[derive(Serialize)]
struct Muted {
    app_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    app_name: Option<String>,
}

/// A template that is to be told in another way.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Switch {
    id: String,
    methods: MethodSwitches,
    /// As it was read.
    #[serde(default, rename = "name")]
    _name: serde::de::IgnoredAny,
    /// As it was read.
    #[serde(default, rename = "default")]
    _default: serde::de::IgnoredAny,
}

impl From<Methods> for MethodSwitches {
    fn from(methods: Methods) -> Self {
        Self {
            inbox: methods.inbox,
            push: methods.push,
        }
    }
}

impl Settings {
    fn find(tx: &dyn Read, user_id: Id) -> Result<Self, StoreError> {
        let settings = settings(tx, user_id)?;
        let muted = settings.muted.iter().map(|id| {
            let client = clients::find(tx, *id)?;
            Ok(Muted {
                app_id: id.to_string(),
                app_name: client.map(|client| client.metadata.name.to_string()),
            })
        });
        Ok(Self {
            templates: switches(&settings),
            muted: muted.collect::<Result<_, StoreError>>()?,
        })
    }
}

fn switches(settings: &NotificationSettings) -> Vec<TemplateSwitch> {
    let switches = TEMPLATES.iter().map(|row| TemplateSwitch {
        id: row.template.as_str(),
        name: row.name,
        default: row.default.into(),
        methods: notifications::methods(settings, row.template).into(),
    });
    switches.collect()
}

/// `GET`.
pub async fn get(web: Arc<Web>, _: Request, caller: ApiCaller) -> Result<Response, ApiRefusal> {
    let settings = web.store.read(|tx| Settings::find(tx, caller.user.id))?;
    Ok(json(StatusCode::OK, &settings))
}

/// `PUT`: switches the templates that are named; the others stay as they are.
pub async fn switch(
    web: Arc<Web>,
    request: Request,
    caller: ApiCaller,
) -> Result<Response, ApiRefusal> {
    expect_person(&caller)?;
    let mut fields = Fields::parse(&request)?;
    fields.expect_only(&["templates"], &["muted"]);
    let wanted = fields.required_list::<Switch>("templates", Template::ALL.len());
    let wanted: Vec<_> = wanted
        .iter()
        .map(|wanted| parse(&mut fields, wanted))
        .collect();
    fields.finish()?;
    let user_id = caller.user.id;
    let switched = web.write(caller.origin(&request.head), move |tx, _| {
        for (template, methods) in wanted.into_iter().flatten() {
            notifications::switch(tx, user_id, template, methods)?;
        }
        Settings::find(tx, user_id)
    });
    Ok(json(StatusCode::OK, &switched.await?))
}

fn parse(fields: &mut Fields, wanted: &Switch) -> Option<(Template, Methods)> {
    let MethodSwitches { inbox, push } = wanted.methods;
    let template = Template::find(&wanted.id);
    if template.is_none() {
        let known = Template::ALL.map(Template::as_str).join(", ");
        fields.refuse("templates", format!("expected an id among {known}"));
    }
    Some((template?, Methods { inbox, push }))
}

/// `PUT …/muted/{client_id}`: drops what that app tells the caller from now on.
pub async fn mute(
    web: Arc<Web>,
    request: Request,
    caller: ApiCaller,
) -> Result<Response, ApiRefusal> {
    expect_person(&caller)?;
    let client_id = id_in_path(&request.head, "client_id")?;
    let muted = web.write(caller.origin(&request.head), move |tx, _| {
        if !clients::is_there(tx, client_id)? {
            return Ok(None);
        }
        notifications::mute(tx, caller.user.id, client_id).map(Some)
    });
    let muted: Result<_, StoreError> = muted.await;
    match muted? {
        None => Err(ApiRefusal::not_found()),
        Some(true) => Ok(empty(StatusCode::NO_CONTENT)),
        Some(false) => Err(ApiRefusal::conflict(format!(
            "expected at most {MUTED_MAX} muted apps, found as many; let one tell you again first"
        ))),
    }
}

/// `DELETE …/muted/{client_id}`: lets that app tell the caller again. One that is not muted may.
pub async fn unmute(
    web: Arc<Web>,
    request: Request,
    caller: ApiCaller,
) -> Result<Response, ApiRefusal> {
    expect_person(&caller)?;
    let client_id = id_in_path(&request.head, "client_id")?;
    let unmuted = web.write(caller.origin(&request.head), move |tx, _| {
        notifications::unmute(tx, caller.user.id, client_id)
    });
    let unmuted: Result<_, StoreError> = unmuted.await;
    unmuted?;
    Ok(empty(StatusCode::NO_CONTENT))
}

fn expect_person(caller: &ApiCaller) -> Result<(), ApiRefusal> {
    match caller.session_id() {
        Some(_) => Ok(()),
        None => Err(ApiRefusal::forbidden(
            "expected a browser session, found a token: how a person is told, they say themselves",
        )),
    }
}
