//! Floor 4: endpoints for browsers and clients. Each parses, calls one service and renders.

pub mod api;
pub mod credentials;
pub mod figures;
pub mod headers;
pub mod health;
pub mod oauth2;
pub mod pages;
pub mod passwords;
pub mod push;
pub mod refusals;
pub mod throttle;
pub mod watchers;

mod warnings;

use std::sync::Arc;

use tokio::sync::Notify;

use crate::{
    crypto::{digest::Digest, entropy::Entropy},
    experiments::Experiments,
    model::audit::Origin,
    notifications,
    oauth2provider::{Moment, Provider},
    runtime::{clock::Clock, outbound::Outbound},
    store::{Store, StoreError, WriteTx},
    web::{
        figures::Figures, health::Probe, oauth2::metadata::RenderedDocuments,
        passwords::PasswordDesk, push::Vouchers, throttle::Throttle, watchers::Watchers,
    },
};

/// What every endpoint works with.
pub struct Web {
    /// The data file.
    pub store: Arc<Store>,
    /// The authorization server.
    pub provider: Arc<Provider>,
    /// For identifiers and secrets.
    pub entropy: Arc<dyn Entropy>,
    /// How often one may call.
    pub throttle: Throttle,
    /// Where passwords are hashed.
    pub passwords: PasswordDesk,
    /// The certificate of the built-in CA, in PEM, where it signed ours.
    pub ca_pem: Option<String>,
    /// The way to other servers, where there is one.
    pub outbound: Outbound,
    /// By which push services know this box.
    pub vouchers: Vouchers,
    /// Told whenever the queue of pushes has changed.
    pub queued: Arc<Notify>,
    /// When the store last answered a write.
    pub probe: Probe,
    /// Discovery documents that were asked for.
    pub rendered: RenderedDocuments,
    /// What is on that may still change.
    pub experiments: Experiments,
    /// Who watches their inbox.
    pub watchers: Watchers,
    /// The time, for what goes on after its request was answered.
    pub clock: Arc<dyn Clock>,
    /// What opens `/metrics`, where something does.
    pub metrics_token: Option<Digest>,
    /// What is counted here.
    pub figures: Figures,
}

impl Web {
    /// The provider as a request from `by` sees it.
    pub fn moment<'a>(&'a self, by: &'a Origin) -> Moment<'a> {
        Moment {
            provider: &self.provider,
            now: by.at,
            entropy: &*self.entropy,
            by,
        }
    }

    /// Runs `work` for whoever asks in the store's writer, tells whom it concerns what it did, and
    /// answers once all of it is durable.
    pub async fn write<T, E>(
        &self,
        by: Origin,
        work: impl FnOnce(&mut WriteTx<'_>, Moment<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (provider, entropy) = (Arc::clone(&self.provider), Arc::clone(&self.entropy));
        let write = move |tx: &mut WriteTx<'_>| {
            let moment = Moment {
                provider: &provider,
                now: by.at,
                entropy: &*entropy,
                by: &by,
            };
            let done = work(tx, moment)?;
            notifications::react(tx, moment.act())?;
            Ok(done)
        };
        self.store.write(write).await
    }
}
