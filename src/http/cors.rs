//! Scripts of other origins: the preflight, and the headers that let them read an answer.
//!
//! Any origin, and never with credentials that the browser adds by itself: a script must bring its
//! own token.

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
        ACCESS_CONTROL_REQUEST_METHOD, ALLOW, ORIGIN, VARY,
    },
};

use crate::http::{
    dispatch::Application,
    request::Head,
    response::{Response, empty},
    route::{Cors, Found, Row},
};

const ALLOWED_HEADERS: &str = "Authorization, Content-Type, Accept, MCP-Protocol-Version, \
     Mcp-Session-Id, Mcp-Method, Mcp-Name, Last-Event-ID, X-Requested-With";
const ANY_ORIGIN: HeaderValue = HeaderValue::from_static("*");
const EXPOSED_HEADERS: HeaderValue =
    HeaderValue::from_static("WWW-Authenticate, Mcp-Session-Id, X-Request-Id, Retry-After");
/// How long a browser may remember a preflight; browsers cap it at two hours or less.
const PREFLIGHT_SECONDS: &str = "7200";
/// MCP sends each of a tool's marked parameters in a header of that prefix.
const PARAM_PREFIX: &str = "mcp-param-";
/// The most headers of that prefix that one preflight allows.
const PARAM_HEADERS_MAX: usize = 32;

/// Whether scripts of other origins may read the answers to some method of this path.
pub(crate) fn is_open<A: Application>(found: &Found<'_, A>) -> bool {
    open_route(found).is_some()
}

/// The first route of this path whose answers scripts of other origins may read.
pub(crate) fn open_route<A: Application>(found: &Found<'_, A>) -> Option<Row<A>> {
    let mut rows = found.routes.iter().copied();
    rows.find(|row| row.cors == Cors::AnyOrigin)
}

/// The answer to an `OPTIONS` for a path that is open to other origins.
pub(crate) fn preflight<A: Application>(head: &Head, found: &Found<'_, A>) -> Response {
    let mut response = empty(StatusCode::NO_CONTENT);
    let headers = response.headers_mut();
    put(headers, ALLOW, &found.allow());
    let asked = |name: HeaderName| head.headers.contains_key(name);
    if !(asked(ORIGIN) && asked(ACCESS_CONTROL_REQUEST_METHOD)) {
        return response;
    }
    put(headers, ACCESS_CONTROL_ALLOW_METHODS, &open_methods(found));
    put(
        headers,
        ACCESS_CONTROL_ALLOW_HEADERS,
        &allowed_headers(head),
    );
    put(headers, ACCESS_CONTROL_MAX_AGE, PREFLIGHT_SECONDS);
    put(headers, VARY, "Access-Control-Request-Headers");
    response
}

/// Lets scripts of any origin read this answer.
pub(crate) fn open(headers: &mut HeaderMap) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, ANY_ORIGIN);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED_HEADERS);
}

fn open_methods<A: Application>(found: &Found<'_, A>) -> String {
    let mut methods: Vec<&str> = found
        .routes
        .iter()
        .filter(|route| route.cors == Cors::AnyOrigin)
        .map(|route| route.method.as_str())
        .collect();
    if methods.contains(&Method::GET.as_str()) {
        methods.push(Method::HEAD.as_str());
    }
    methods.join(", ")
}

/// The fixed list, and those headers of MCP parameters that the browser asked for.
fn allowed_headers(head: &Head) -> String {
    let asked = head.headers.get_all(ACCESS_CONTROL_REQUEST_HEADERS);
    let params = asked
        .iter()
        .filter_map(|list| list.to_str().ok())
        .flat_map(|list| list.split(','))
        // Only what can be a header's name is repeated.
        .filter_map(|name| name.trim().parse::<HeaderName>().ok())
        .filter(|name| name.as_str().starts_with(PARAM_PREFIX))
        .take(PARAM_HEADERS_MAX);
    params.fold(ALLOWED_HEADERS.to_owned(), |list, name| {
        format!("{list}, {name}")
    })
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    let value = HeaderValue::from_str(value).expect("methods and header names can be a header");
    headers.insert(name, value);
}
