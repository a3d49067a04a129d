//! Floor 5: the one place where everything is put together: open the store, build the services,
//! serve the routes, stop in order.

pub mod administration;
pub mod directory;
pub mod routes;
pub mod socket;

mod application;
mod background;
mod compaction;
mod deliverer;
mod execute;
mod failing;
mod local;
mod metrics;
mod notify;
mod outbound;
mod pins;
mod safekeeping;
mod start;
mod sweeper;
mod upstreams;

#[cfg(test)]
mod tests;

use std::{path::PathBuf, sync::Arc};

use ipnet::IpNet;

pub use execute::administer_offline;
pub use metrics::MetricsTokenError;
pub use outbound::EgressCaError;
pub use safekeeping::{SafekeepingError, back_up, check_file, check_offline, restore};
pub use start::{Ready, StartError, serve};

use crate::{
    config::Switch,
    http::figures::Figures,
    mcp::{Mcp, upstreams::Upstreams},
    model::timestamp::Timestamp,
    runtime::clock::Clock,
    web::Web,
};

/// Name of the data file in the data directory.
pub const DATA_FILE: &str = "keystead.redb";

/// Everything that a running server is made of.
pub struct Appliance {
    web: Arc<Web>,
    mcp: Mcp,
    upstreams: Arc<Upstreams>,
    clock: Arc<dyn Clock>,
    /// Whether `/api/v2` is there at all.
    management_api: Switch,
    trusted_proxies: Vec<IpNet>,
    /// What is counted of connections and requests.
    http: Arc<Figures>,
    started_at: Timestamp,
}

/// Where the data file of a data directory is.
fn data_file(data_dir: &std::path::Path) -> PathBuf {
    data_dir.join(DATA_FILE)
}
