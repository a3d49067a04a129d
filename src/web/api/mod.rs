//! `/api/v2`: the management API, JSON in and out, for pages with a browser session and for
//! programs with an access token of the deployment.

pub mod app_secrets;
pub mod apps;
pub mod audit;
pub mod buildinfo;
pub mod caller;
pub mod error;
pub mod experiments;
pub mod grants;
pub mod notifications;
pub mod scopes;
pub mod sessions;
pub mod settings;
pub mod users;
pub mod webpush;

mod fields;

use std::sync::Arc;

use http::StatusCode;

use crate::{
    http::{
        params::Params,
        request::{Head, Request},
        response::Response,
    },
    model::id::Id,
    oauth2provider::apps::Page,
    web::{
        Web,
        api::{caller::ApiCaller, error::ApiRefusal},
        credentials::Caller,
    },
};

/// What every path of the API begins with.
pub const API_PREFIX: &str = "/api/v2/";
/// Bytes of a body at the most: a client with as many redirect URIs as it may have.
pub const API_BODY_BYTES_MAX: usize = 128 * 1024;
/// Entries of a list where nothing else is asked for.
pub const LIMIT_DEFAULT: usize = 25;
/// Entries of a list at the most.
pub const LIMIT_MAX: usize = 100;
/// Entries before the first of a list at the most.
pub const OFFSET_MAX: usize = 1_000_000;

/// What `endpoint` answers to a caller whom the route let through.
pub async fn answer<F>(
    web: Arc<Web>,
    request: Request,
    caller: Caller,
    endpoint: impl FnOnce(Arc<Web>, Request, ApiCaller) -> F,
) -> Response
where
    F: Future<Output = Result<Response, ApiRefusal>>,
{
    let answered = match caller {
        Caller::Api(caller) => endpoint(web, request, *caller).await,
        // The route asks for a caller of the API; if none was found, nothing is done.
        _ => Err(ApiRefusal::new(StatusCode::UNAUTHORIZED, "Unauthorized.")),
    };
    answered.unwrap_or_else(ApiRefusal::into_response)
}

/// The part of a list that a query asks for.
fn page(query: &Params) -> Result<Page, ApiRefusal> {
    Ok(Page {
        limit: number(query, "limit", LIMIT_DEFAULT, 1, LIMIT_MAX)?,
        offset: number(query, "offset", 0, 0, OFFSET_MAX)?,
    })
}

fn number(
    query: &Params,
    name: &'static str,
    preset: usize,
    min: usize,
    max: usize,
) -> Result<usize, ApiRefusal> {
    let Some(text) = query.get(name)? else {
        return Ok(preset);
    };
    let number = text.parse().ok().filter(|n| (min..=max).contains(n));
    number.ok_or_else(|| ApiRefusal::invalid(name, format!("expected {min} to {max}")))
}

/// The id in the path; one that cannot be is one that nothing has.
fn id_in_path(head: &Head, name: &str) -> Result<Id, ApiRefusal> {
    let id = head.capture(name).and_then(|text| text.parse().ok());
    id.ok_or_else(ApiRefusal::not_found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page_of(query: &str) -> Option<(usize, usize)> {
        let query = Params::parse(query).expect("a query");
        let page = page(&query).ok()?;
        Some((page.limit, page.offset))
    }

    #[test]
    fn a_list_is_bounded_whatever_is_asked_for() {
        assert_eq!(page_of(""), Some((LIMIT_DEFAULT, 0)));
        assert_eq!(page_of("limit=100&offset=7"), Some((100, 7)));
        for beyond in [
            "limit=0",
            "limit=101",
            "limit=-1",
            "limit=x",
            "limit=1&limit=1",
            "limit=99999999999999999999",
            "offset=1000001",
            "offset=-1",
        ] {
            assert_eq!(page_of(beyond), None, "{beyond}");
        }
    }
}
