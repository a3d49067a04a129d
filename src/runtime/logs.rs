//! The log: to standard error, as lines for a person or as JSON for a machine.

use std::{
    io::{IsTerminal, stderr},
    panic::{self, PanicHookInfo},
};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use crate::{
    config::{Log, LogFormat, LogLevel},
    runtime::log_lines::PlainLines,
};

/// Something else in this process receives the log already.
#[derive(Debug, thiserror::Error)]
#[error("expected to be the first to start the log of this process: {0}")]
pub struct LogsError(#[from] TryInitError);

/// Starts the log of this process, and sends panics there.
///
/// Colour is used only where standard error is a terminal, and not when `NO_COLOR` is set.
pub fn init(log: Log) -> Result<(), LogsError> {
    let level = filter(log.level);
    match log.format {
        LogFormat::Text => {
            let lines = tracing_subscriber::fmt()
                .with_writer(stderr)
                .with_max_level(level);
            // Asking for colour would overrule NO_COLOR, which the library reads by itself; so it
            // is only ever refused here.
            if stderr().is_terminal() {
                lines.finish().try_init()?;
            } else {
                let lines = lines.event_format(PlainLines).fmt_fields(PlainLines);
                lines.finish().try_init()?;
            }
        }
        LogFormat::Json => tracing_subscriber::fmt()
            .json()
            .flatten_event(true)
            .with_writer(stderr)
            .with_max_level(level)
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

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}
