//! `/api/v2/auth/scopes`: what a token may be allowed, in words.

use std::sync::Arc;

use http::StatusCode;
use serde::Serialize;

use crate::{
    http::{
        request::Request,
        response::{Response, json},
    },
    model::oauth2::scope::{Minimal, SCOPES, ScopeDefinition},
    web::{
        Web,
        api::{caller::ApiCaller, error::ApiRefusal},
    },
};

/// A scope.
#[derive(Serialize)]
struct Scope {
    name: &'static str,
    effect: &'static str,
    description: &'static str,
    /// Whether a client that asks for nothing gets it.
    default: bool,
}

/// Every scope.
#[derive(Serialize)]
struct Scopes {
    scopes: Vec<Scope>,
}

impl Scope {
    fn new(definition: &ScopeDefinition) -> Self {
        Self {
            name: definition.name,
            effect: definition.effect.as_str(),
            description: definition.words,
            default: definition.minimal == Minimal::Yes,
        }
    }
}

/// `GET`: the table of scopes.
pub async fn list(_: Arc<Web>, _: Request, _: ApiCaller) -> Result<Response, ApiRefusal> {
    let scopes = SCOPES.iter().map(Scope::new).collect();
    Ok(json(StatusCode::OK, &Scopes { scopes }))
}
