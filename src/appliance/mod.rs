//! Floor 5: the one place where everything is put together.

pub mod administration;
pub mod directory;
pub mod socket;

use crate::{
    appliance::administration::{Answer, Command},
    config::{Config, serving::Unservable},
};

/// Why it did not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The settings contradict each other.
    #[error(transparent)]
    Unservable(#[from] Unservable),
    /// The data directory cannot be used.
    #[error(transparent)]
    Directory(#[from] directory::DirectoryError),
    /// This branch has no store to open; the appliance replaces this variant.
    #[error("the store is not part of this build")]
    NoStore,
}

/// Serves until it is told to stop.
pub fn serve(config: Config) -> Result<(), StartError> {
    let Config { network, .. } = config;
    network.plan()?;
    Err(StartError::NoStore)
}

/// Executes `command` on the data file while no server has it.
pub fn administer_offline(config: &Config, command: Command) -> Result<Answer, StartError> {
    directory::prepare(&config.data_dir, "keystead.redb")?;
    drop(command);
    Err(StartError::NoStore)
}
