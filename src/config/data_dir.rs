//! Where the data directory is when nobody says.

use std::path::{Path, PathBuf};

use crate::config::{ConfigError, environment::Environment, setting, sources::Sources};

/// The data directory that is set, else the place that the system has for it.
///
/// # Source
/// systemd.exec(5), `StateDirectory=`; XDG Base Directory Specification.
pub(super) fn find(
    sources: &Sources<'_>,
    environment: &Environment,
) -> Result<PathBuf, ConfigError> {
    if let Some(given) = sources.find(&setting::DATA)? {
        return given.path();
    }
    // A unit may have several state directories, separated by colons; the first one is its own.
    let state = environment.find("STATE_DIRECTORY").and_then(|paths| {
        let first = std::env::split_paths(paths).next()?;
        first.is_absolute().then_some(first)
    });
    let xdg = || Some(absolute(environment, "XDG_DATA_HOME")?.join("keystead"));
    let home = || Some(absolute(environment, "HOME")?.join(".local/share/keystead"));
    state
        .or_else(xdg)
        .or_else(home)
        .ok_or(ConfigError::NoDataDirectory)
}

/// The specification has a relative path ignored.
fn absolute<'e>(environment: &'e Environment, name: &str) -> Option<&'e Path> {
    environment
        .find(name)
        .map(Path::new)
        .filter(|path| path.is_absolute())
}
