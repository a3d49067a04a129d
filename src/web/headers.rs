//! The headers that answers have for the safety of whoever reads them.

use http::{
    HeaderName, HeaderValue,
    header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, PRAGMA, REFERRER_POLICY,
        STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
    },
};

use crate::{
    http::{request::Head, response::Response},
    web::Web,
};

const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const NO_REFERRER: HeaderValue = HeaderValue::from_static("no-referrer");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
const DENY: HeaderValue = HeaderValue::from_static("DENY");
/// A year. Without subdomains: they may be other machines of the house.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// The content security policy of a page whose forms go to this deployment, and by redirect to
/// `form_target` as well.
///
/// Chromium applies `form-action` to the redirects after a form, so the page has to name where the
/// answer will go.
///
/// # Panics
/// If `form_target` is no origin and no scheme: a mistake of ours, answered 500.
pub fn page_policy(form_target: Option<&str>) -> HeaderValue {
    let form_target = form_target.map_or_else(String::new, |source| format!(" {source}"));
    let policy = format!(
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'{form_target}; \
         frame-ancestors 'none'; base-uri 'none'"
    );
    HeaderValue::from_str(&policy).expect("an origin or a scheme can be in a header")
}

/// The content security policy of the pages that our own script makes live: it comes from our
/// assets, asks this deployment alone, and may register the service worker.
pub const fn script_policy() -> HeaderValue {
    HeaderValue::from_static(
        "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; \
         connect-src 'self'; worker-src 'self'; manifest-src 'self'; form-action 'self'; \
         frame-ancestors 'none'; base-uri 'none'",
    )
}

/// The content security policy of the service worker, which shows nothing and asks this deployment
/// alone.
pub const fn worker_policy() -> HeaderValue {
    HeaderValue::from_static("default-src 'none'; connect-src 'self'")
}

/// The same page with another policy than the one that [`finish`] gives it.
pub fn with_policy(mut response: Response, policy: HeaderValue) -> Response {
    response
        .headers_mut()
        .insert(CONTENT_SECURITY_POLICY, policy);
    response
}

/// An answer that nobody may keep: it has a token in it (RFC 6749 §5.1).
pub fn never_stored(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, NO_STORE);
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

/// Adds what every answer has; what an endpoint set already stays.
pub fn finish(web: &Web, head: &Head, response: &mut Response) {
    let is_page = response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    let headers = response.headers_mut();
    let mut default = |name: HeaderName, value: HeaderValue| {
        headers.entry(name).or_insert(value);
    };
    default(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    default(REFERRER_POLICY, NO_REFERRER);
    if web.provider.public_url.is_https() {
        default(STRICT_TRANSPORT_SECURITY, HSTS);
    }
    if is_page {
        default(CONTENT_SECURITY_POLICY, page_policy(None));
        default(X_FRAME_OPTIONS, DENY);
    }
    let is_public = ["/.well-known/", "/assets/", "/ca.crt"]
        .iter()
        .any(|prefix| head.path.starts_with(prefix));
    if !is_public {
        default(CACHE_CONTROL, NO_STORE);
    }
}
