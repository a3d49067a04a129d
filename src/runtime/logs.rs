//! The log: to standard error, as lines for a person or as JSON for a machine.

use std::{
    io::{IsTerminal, stderr},
    panic::{self, PanicHookInfo},
};

use tracing_subscriber::{
    EnvFilter,
    util::{SubscriberInitExt, TryInitError},
};

/// How a line of the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For a person.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Why the log could not be started.
#[derive(Debug, thiserror::Error)]
pub enum LogsError {
    /// The level is no level.
    #[error(
        "expected a log level (off, error, warn, info, debug, trace) or a list such as \
         info,keystead::http=debug; found {found:?}: {source}"
    )]
    Level {
        /// What was given.
        found: String,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
    /// Something else in this process receives the log already.
    #[error("expected to be the first to start the log of this process: {0}")]
    Started(#[from] TryInitError),
}

/// Starts the log of this process, and sends panics there.
///
/// Colour is used only where standard error is a terminal, and not when `NO_COLOR` is set.
///
/// # Errors
/// | variant | meaning |
/// |---|---|
/// | [`LogsError::Level`] | `level` cannot be read |
/// | [`LogsError::Started`] | it was started before |
pub fn init(format: LogFormat, level: &str) -> Result<(), LogsError> {
    let filter = filter(level)?;
    match format {
        LogFormat::Text => {
            let lines = tracing_subscriber::fmt().with_writer(stderr);
            // Asking for colour would overrule NO_COLOR, which the library reads by itself; so it
            // is only ever refused here.
            let lines = if stderr().is_terminal() {
                lines
            } else {
                lines.with_ansi(false)
            };
            lines.with_env_filter(filter).finish().try_init()?;
        }
        LogFormat::Json => tracing_subscriber::fmt()
            .json()
            .flatten_event(true)
            .with_writer(stderr)
            .with_env_filter(filter)
            .finish()
            .try_init()?,
    }
    panic::set_hook(Box::new(log_panic));
    Ok(())
}

/// One line in the log's own format, under the request that it happened in.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let said = panic.payload_as_str().unwrap_or("nothing that is text");
    let at = panic
        .location()
        .map(ToString::to_string)
        .unwrap_or_default();
    tracing::error!(at, said, "a panic: this is a mistake in the program");
}

fn filter(level: &str) -> Result<EnvFilter, LogsError> {
    EnvFilter::builder()
        .parse(level)
        .map_err(|source| LogsError::Level {
            found: level.to_owned(),
            source,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_or_a_list_of_them_is_read() {
        for level in ["info", "off", "warn,keystead::http=debug"] {
            assert!(filter(level).is_ok(), "{level}");
        }
    }

    #[test]
    fn what_is_no_level_is_named() {
        let error = filter("keystead=loud").expect_err("not a level");
        assert!(error.to_string().contains("keystead=loud"), "{error}");
    }
}
