//! `/api/v2/auth/scopes`: what a token may be allowed, in words.

use std::sync::Arc;

use http::StatusCode;
use serde::Serialize;

use crate::{
    http::{
        request::Request,
        response::{Response, json},
    },
    model::oauth2::scope::Minimal,
    oauth2provider::scopes::{self, KnownScope},
    web::{
        Web,
        api::{caller::ApiCaller, error::ApiRefusal},
    },
};

/// A scope.
#[derive(Serialize)]
struct Scope {
    name: String,
    effect: &'static str,
    description: String,
    /// Whether a client that asks for nothing gets it.
    default: bool,
}

/// Every scope.
#[derive(Serialize)]
struct Scopes {
    scopes: Vec<Scope>,
}

impl Scope {
    fn new(known: KnownScope) -> Self {
        Self {
            name: known.name,
            effect: known.effect.as_str(),
            description: known.words,
            default: known.minimal == Minimal::Yes,
        }
    }
}

/// `GET`: the scopes of this deployment, then those of upstreams and of resource servers.
pub async fn list(web: Arc<Web>, _: Request, _: ApiCaller) -> Result<Response, ApiRefusal> {
    let known = web
        .store
        .read(|tx| scopes::list(tx, &web.provider.upstreams))?;
    let scopes = known.into_iter().map(Scope::new).collect();
    Ok(json(StatusCode::OK, &Scopes { scopes }))
}
