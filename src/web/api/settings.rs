//! `/api/v2/oauth2-provider/settings`: what the owner switches while the box runs.

use std::sync::Arc;

use http::StatusCode;
use serde::Serialize;

use crate::{
    http::{
        request::Request,
        response::{Response, json},
    },
    oauth2provider::{
        metadata::Registration,
        registration::{registration, switch_registration},
    },
    store::StoreError,
    web::{
        Web,
        api::{caller::ApiCaller, error::ApiRefusal, fields::Fields},
    },
};

const REGISTRATION: &str = "dynamic_client_registration_enabled";

/// The settings.
#[derive(Serialize)]
struct Settings {
    dynamic_client_registration_enabled: bool,
}

fn answer(registration: Registration) -> Response {
    json(
        StatusCode::OK,
        &Settings {
            dynamic_client_registration_enabled: registration == Registration::Open,
        },
    )
}

/// `GET`.
pub async fn get(web: Arc<Web>, _: Request, _: ApiCaller) -> Result<Response, ApiRefusal> {
    let registration = web.store.read(|tx| registration(tx, &web.provider))?;
    Ok(answer(registration))
}

/// `PUT`: replaces them all.
pub async fn replace(
    web: Arc<Web>,
    request: Request,
    caller: ApiCaller,
) -> Result<Response, ApiRefusal> {
    let mut fields = Fields::parse(&request)?;
    fields.expect_only(&[REGISTRATION], &[]);
    let is_on = fields.required_flag(REGISTRATION);
    fields.finish()?;
    let to = if is_on == Some(true) {
        Registration::Open
    } else {
        Registration::Closed
    };
    let switched = web.write(caller.origin(&request.head), move |tx, moment| {
        switch_registration(tx, moment, to)?;
        Ok::<_, StoreError>(to)
    });
    Ok(answer(switched.await?))
}
