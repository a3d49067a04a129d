//! `/api/v2/experiments`: what is on that may still change, and what could be.

use std::sync::Arc;

use http::StatusCode;
use serde::Serialize;

use crate::{
    experiments::available_safe,
    http::{
        request::Request,
        response::{Response, json},
    },
    web::{
        Web,
        api::{caller::ApiCaller, error::ApiRefusal},
    },
};

/// What may be turned on without being named.
#[derive(Serialize)]
struct Available {
    safe: Vec<&'static str>,
}

/// `GET`: the names of those that are on.
pub async fn list(web: Arc<Web>, _: Request, _: ApiCaller) -> Result<Response, ApiRefusal> {
    Ok(json(StatusCode::OK, &web.experiments.enabled()))
}

/// `GET …/available`.
pub async fn available(_: Arc<Web>, _: Request, _: ApiCaller) -> Result<Response, ApiRefusal> {
    let safe = available_safe();
    Ok(json(StatusCode::OK, &Available { safe }))
}
