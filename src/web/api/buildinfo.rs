//! `/api/v2/buildinfo`: what a program wants to know before it has a credential.

use std::sync::Arc;

use http::StatusCode;
use serde::Serialize;

use crate::{
    http::{
        request::Request,
        response::{Response, json},
    },
    oauth2provider::{metadata::Registration, registration::registration},
    web::{Web, api::error::ApiRefusal, credentials::Caller},
};

/// What runs here.
#[derive(Serialize)]
struct BuildInfo {
    version: &'static str,
    features: Features,
}

/// What of it is on.
#[derive(Serialize)]
struct Features {
    dynamic_client_registration: bool,
    experiments: Vec<&'static str>,
}

/// `GET`.
pub async fn get(web: Arc<Web>, _: Request, _: Caller) -> Response {
    let registration = web.store.read(|tx| registration(tx, &web.provider));
    match registration {
        Err(fault) => ApiRefusal::from(fault).into_response(),
        Ok(registration) => json(
            StatusCode::OK,
            &BuildInfo {
                version: env!("CARGO_PKG_VERSION"),
                features: Features {
                    dynamic_client_registration: registration == Registration::Open,
                    experiments: web.experiments.enabled(),
                },
            },
        ),
    }
}
