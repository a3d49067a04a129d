//! The listener of its own, on which there are metrics and nothing else.
//!
//! It speaks plain http to this machine. No credential is asked for, so that a page in somebody's
//! browser must not get there either, under whatever name it found the address (threat 1).

use std::{net::IpAddr, sync::Arc};

use http::{
    HeaderValue, StatusCode,
    header::{HOST, ORIGIN},
};
use ipnet::IpNet;

use crate::{
    appliance::{Appliance, metrics::answer},
    crypto::entropy::Entropy,
    http::{
        dispatch::{Application, Refusal},
        figures::Figures,
        limits::Limits,
        request::{Head, Request},
        response::{Response, text},
        route::{OnHangUp, Route},
    },
    model::timestamp::Timestamp,
    route,
    web::headers,
};

/// A scraper or two ask a few times a minute.
pub(in crate::appliance) const LIMITS: Limits = Limits {
    connections_max: 16,
    requests_max: 4,
    ..Limits::ORDINARY
};

static ROUTES: [Route<Own>; 1] = [route!(GET "/metrics", Nobody, get).on_hang_up(OnHangUp::Cancel)];

/// What is served there.
pub(in crate::appliance) struct Own {
    app: Arc<Appliance>,
    /// Of this listener, which nobody asks for.
    figures: Arc<Figures>,
}

/// Who calls is not looked at.
#[derive(Clone, Copy)]
pub(in crate::appliance) struct Nobody;

impl Own {
    /// The metrics of `app`.
    pub(in crate::appliance) fn new(app: Arc<Appliance>) -> Self {
        let figures = Arc::new(Figures::new(ROUTES.len()));
        Self { app, figures }
    }
}

async fn get(own: Arc<Own>, request: Request, _: Nobody) -> Response {
    answer(Arc::clone(&own.app), &request.head).await
}

impl Application for Own {
    type Access = Nobody;
    type Caller = Nobody;

    fn routes(&self) -> &'static [Route<Self>] {
        &ROUTES
    }

    fn now(&self) -> Timestamp {
        self.app.clock.now()
    }

    fn entropy(&self) -> &dyn Entropy {
        &*self.app.web.entropy
    }

    fn trusted_proxies(&self) -> &[IpNet] {
        &[]
    }

    fn figures(&self) -> &Arc<Figures> {
        &self.figures
    }

    fn screen(&self, _: Option<&Route<Self>>, head: &Head) -> Result<(), Refusal> {
        let found = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        if let Some(host) = head.headers.get(HOST)
            && !is_this_machine(host)
        {
            return Err(Refusal::HostForeign { found: found(host) });
        }
        match head.headers.get(ORIGIN) {
            Some(origin) => Err(Refusal::OriginForeign {
                found: found(origin),
            }),
            None => Ok(()),
        }
    }

    async fn admit(self: &Arc<Self>, _: Nobody, _: &Head) -> Result<Nobody, Response> {
        Ok(Nobody)
    }

    fn refuse(&self, _: Option<&Route<Self>>, _: &Head, refusal: Refusal) -> Response {
        let status = refusal.status();
        match status {
            StatusCode::NOT_FOUND => text(status, "expected /metrics\n"),
            _ => text(status, format!("{refusal}\n")),
        }
    }

    fn finish(&self, _: Option<&Route<Self>>, head: &Head, response: &mut Response) {
        headers::finish(&self.app.web, head, response);
    }
}

/// Whether a `Host` is this machine's own name or address, with any port.
fn is_this_machine(host: &HeaderValue) -> bool {
    let Ok(host) = host.to_str() else {
        return false;
    };
    let name = match host.rsplit_once(':') {
        // The colons of an address without a port stand in its brackets.
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']').parse();
    name.eq_ignore_ascii_case("localhost")
        || address.is_ok_and(|address: IpAddr| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_this_machine() {
        for (host, expected) in [
            ("localhost", true),
            ("LOCALHOST:9464", true),
            ("127.0.0.1:9464", true),
            ("127.0.0.2", true),
            ("[::1]", true),
            ("[::1]:9464", true),
            ("evil.example:9464", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example:80", false),
            ("192.0.2.1", false),
            ("[2001:db8::1]:80", false),
            ("", false),
            (":80", false),
        ] {
            let value = HeaderValue::from_static(host);
            assert_eq!(is_this_machine(&value), expected, "{host:?}");
        }
    }
}
