//! What runs beside the requests, begun and ended in order.

use std::sync::Arc;

use crate::{
    appliance::{Appliance, compaction, deliverer, failing, sweeper},
    http::tls::Certificates,
    mcp::upstreams::Upstreams,
    runtime::{clock::Clock, signals::Reload},
    store::sweep::Kept,
};

/// What runs beside the requests.
pub(super) struct Background {
    tasks: Vec<tokio::task::JoinHandle<()>>,
    upstreams: Arc<Upstreams>,
}

impl Background {
    /// Begins all of it.
    pub(super) fn start(
        app: &Arc<Appliance>,
        kept: Kept,
        reload: Reload,
        certificates: Option<Arc<Certificates>>,
    ) -> Self {
        let (clock, store) = (&app.clock, &app.web.store);
        let tended = Arc::clone(&app.upstreams);
        let mut tasks = vec![
            tokio::spawn(async move { tended.tend().await }),
            tokio::spawn(failing::tell_for_ever(Arc::clone(app))),
            tokio::spawn(sweeper::sweep_for_ever(
                Arc::clone(store),
                Arc::clone(clock),
                kept,
            )),
            tokio::spawn(compaction::compact_for_ever(Arc::clone(store))),
            tokio::spawn(reload_on_signal(
                reload,
                certificates.clone(),
                Arc::clone(clock),
            )),
        ];
        if app.web.push_off().is_none() {
            let (web, clock) = (Arc::clone(&app.web), Arc::clone(clock));
            tasks.push(tokio::spawn(deliverer::deliver_for_ever(web, clock)));
        }
        if let Some(certificates) = certificates {
            let clock = Arc::clone(clock);
            let renewal = async move { certificates.keep_renewed(|| clock.now()).await };
            tasks.push(tokio::spawn(renewal));
        }
        Self {
            tasks,
            upstreams: Arc::clone(&app.upstreams),
        }
    }

    /// Ends all of it; the children of upstreams are gone then.
    pub(super) async fn stop(self) {
        for task in self.tasks {
            task.abort();
        }
        self.upstreams.close().await;
    }
}

async fn reload_on_signal(
    mut reload: Reload,
    certificates: Option<Arc<Certificates>>,
    clock: Arc<dyn Clock>,
) {
    loop {
        reload.requested().await;
        match certificates
            .as_ref()
            .map(|certificates| certificates.reload(clock.now()))
        {
            None => tracing::info!("told to reload; there is no certificate to read again"),
            Some(Ok(())) => tracing::info!("the certificate was read again"),
            Some(Err(error)) => {
                tracing::error!(%error, "the certificate could not be read; the old one stays");
            }
        }
    }
}
