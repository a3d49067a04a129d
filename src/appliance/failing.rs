//! Owners hear of an upstream that keeps failing: once, until it works again.

use std::{sync::Arc, time::Duration};

use crate::{
    appliance::Appliance,
    model::{
        audit::{Actor, Origin},
        notification::Template,
    },
    notifications::{self, message},
    store::StoreError,
};

/// How long it takes at the most until somebody is told.
const PERIOD: Duration = Duration::from_secs(10);

/// Tells owners, until it is aborted.
pub(super) async fn tell_for_ever(app: Arc<Appliance>) {
    let mut period = tokio::time::interval(PERIOD);
    loop {
        period.tick().await;
        tell(&app).await;
    }
}

/// Tells owners of what they have not been told. What cannot be written now is told later.
pub(super) async fn tell(app: &Appliance) {
    for (name, why) in app.upstreams.failing() {
        let message = message(Template::UpstreamFailing, name.as_str(), Vec::new()).because(&why);
        let by = Origin::local(app.clock.now(), Actor::Keystead);
        let told: Result<(), StoreError> = app
            .web
            .write(by, move |tx, moment| {
                notifications::tell_owners(tx, moment.act(), &message)
            })
            .await;
        match told {
            Ok(()) => app.upstreams.set_told(&name),
            Err(fault) => tracing::error!(%fault, upstream = %name, "no owner hears that it fails"),
        }
    }
}
