//! What the dispatcher asks of the appliance.

use std::sync::Arc;

use http::{
    HeaderValue,
    header::{HOST, ORIGIN},
};
use ipnet::IpNet;
use url::Url;

use crate::{
    appliance::{
        Appliance,
        routes::{METRICS_PATH, ROUTES},
    },
    crypto::entropy::Entropy,
    http::{
        dispatch::{Application, Refusal},
        figures::Figures,
        request::Head,
        response::Response,
        route::{Cors, Route},
    },
    model::timestamp::Timestamp,
    web::{
        api::API_PREFIX,
        credentials::{Access, Caller},
        headers, refusals,
    },
};

/// Paths that answer whatever they are called: a probe knows an address and no name, and they say
/// nothing.
const ANY_HOST: [&str; 2] = ["/healthz", "/readyz"];
/// What a browser says of a form whose page keeps its address to itself.
const OPAQUE_ORIGIN: &[u8] = b"null";

impl Application for Appliance {
    type Access = Access;
    type Caller = Caller;

    fn routes(&self) -> &'static [Route<Self>] {
        ROUTES
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn entropy(&self) -> &dyn Entropy {
        &*self.web.entropy
    }

    fn figures(&self) -> &Arc<Figures> {
        &self.http
    }

    fn trusted_proxies(&self) -> &[IpNet] {
        &self.trusted_proxies
    }

    /// Threats 1 and 34: a page of another site reaches nothing, under whatever name it found us.
    fn screen(&self, route: Option<&Route<Self>>, head: &Head) -> Result<(), Refusal> {
        let found = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        if !ANY_HOST.contains(&head.path.as_str())
            && let Some(host) = head.headers.get(HOST)
            && !self.is_our_host(host)
        {
            return Err(Refusal::HostForeign { found: found(host) });
        }
        match head.headers.get(ORIGIN) {
            Some(origin) if !self.may_send(route, head, origin) => Err(Refusal::OriginForeign {
                found: found(origin),
            }),
            // Here, before method and credential, it is refused exactly as an unknown path is.
            _ if self.is_off(&head.path) => Err(Refusal::RouteUnknown),
            _ => Ok(()),
        }
    }

    async fn admit(self: &Arc<Self>, access: Access, head: &Head) -> Result<Caller, Response> {
        self.web.admit(access, head).await
    }

    fn refuse(&self, _: Option<&Route<Self>>, head: &Head, refusal: Refusal) -> Response {
        refusals::refuse(&self.web, head, &refusal)
    }

    fn finish(&self, _: Option<&Route<Self>>, head: &Head, response: &mut Response) {
        headers::finish(&self.web, head, response);
    }
}

impl Appliance {
    /// Whether the owner has what is there switched off.
    fn is_off(&self, path: &str) -> bool {
        path.starts_with(API_PREFIX) && !self.management_api.is_on()
            || path == METRICS_PATH && self.web.metrics_token.is_none()
    }

    fn is_our_host(&self, host: &HeaderValue) -> bool {
        let public_url = &self.web.provider.public_url;
        let Ok(host) = host.to_str() else {
            return false;
        };
        if host.eq_ignore_ascii_case(public_url.authority()) {
            return true;
        }
        // The default port may be written out.
        let with_port = format!("{}:{}", public_url.host(), public_url.port());
        host.eq_ignore_ascii_case(&with_port)
    }

    /// Whether a page of `origin` may send this request.
    fn may_send(&self, route: Option<&Route<Self>>, head: &Head, origin: &HeaderValue) -> bool {
        let is_ours = origin.as_bytes() == self.web.provider.public_url.as_str().as_bytes();
        match route.map(|route| (route.cors, route.access)) {
            _ if is_ours => true,
            // The MCP specification wants the origin checked there. A page of this machine itself
            // is a developer's tool; that of a rebound name is none (threat 1).
            Some((Cors::AnyOrigin, Access::Bearer(_) | Access::Upstream)) => {
                is_of_this_machine(origin)
            }
            Some((Cors::AnyOrigin, _)) => true,
            // With `Referrer-Policy: no-referrer` a browser sends `null` even to the page's own
            // origin (Fetch standard, "append a request Origin header"), but says that it is.
            _ => {
                origin.as_bytes() == OPAQUE_ORIGIN
                    && head.header("sec-fetch-site") == Some("same-origin")
            }
        }
    }
}

fn is_of_this_machine(origin: &HeaderValue) -> bool {
    let url = origin.to_str().ok().and_then(|text| Url::parse(text).ok());
    url.is_some_and(|url| {
        matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"))
            && url.scheme() == "http"
    })
}
