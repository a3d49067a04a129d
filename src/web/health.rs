//! `/healthz` and `/readyz`: whether the process lives, and whether the store takes writes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::StatusCode;

use crate::{
    http::{
        request::Request,
        response::{Response, text},
    },
    model::{audit::Actor, timestamp::Timestamp},
    store::{StoreError, meta},
    web::{
        Web,
        credentials::{Caller, by},
    },
};

/// For how long a write that was answered proves that the next one would be. Strangers can ask, so
/// it is not every question that goes to the disk.
const PROOF_LASTS: Duration = Duration::from_secs(5);

/// When the store last answered a write of this page.
#[derive(Debug, Default)]
pub struct Probe(AtomicU64);

/// `GET /healthz`.
pub async fn healthz(_: Arc<Web>, _: Request, _: Caller) -> Response {
    text(StatusCode::OK, "ok\n")
}

/// `GET /readyz`.
pub async fn readyz(web: Arc<Web>, request: Request, _: Caller) -> Response {
    let now = request.head.now;
    let proved_at = Timestamp::from_millis(web.probe.0.load(Ordering::Relaxed));
    if now.since(proved_at) >= PROOF_LASTS || now < proved_at {
        let written = web.write(by(&request.head, Actor::Keystead), |tx, moment| {
            meta::put_probe(tx, moment.now);
            Ok::<_, StoreError>(())
        });
        if let Err(fault) = written.await {
            tracing::error!(%fault, "not ready");
            return text(StatusCode::SERVICE_UNAVAILABLE, "unavailable\n");
        }
        web.probe.0.store(now.millis(), Ordering::Relaxed);
    }
    text(StatusCode::OK, "ok\n")
}
