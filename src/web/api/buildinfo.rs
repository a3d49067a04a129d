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
    store::StoreError,
    web::{Web, api::error::ApiRefusal, credentials::Caller},
};

/// What runs here.
#[derive(Serialize)]
struct BuildInfo {
    version: &'static str,
    /// What a browser subscribes with; absent while nothing is pushed.
    #[serde(skip_serializing_if = "Option::is_none")]
    webpush_public_key: Option<String>,
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
    let known = web.store.read(|tx| {
        let key = match web.push_off() {
            None => web.vouchers.public_key(tx)?,
            Some(_) => None,
        };
        Ok::<_, StoreError>((registration(tx, &web.provider)?, key))
    });
    match known {
        Err(fault) => ApiRefusal::from(fault).into_response(),
        Ok((registration, webpush_public_key)) => json(
            StatusCode::OK,
            &BuildInfo {
                version: env!("CARGO_PKG_VERSION"),
                webpush_public_key,
                features: Features {
                    dynamic_client_registration: registration == Registration::Open,
                    experiments: web.experiments.enabled(),
                },
            },
        ),
    }
}
