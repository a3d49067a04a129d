//! The log: to standard error, as lines for a person or as JSON for a machine.

use std::{
    io::{IsTerminal, stderr},
    panic::{self, PanicHookInfo},
};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    filter::Targets,
    layer::SubscriberExt as _,
    util::{SubscriberInitExt, TryInitError},
};

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
    let (level, targets) = (filter(log.level), targets(log.level));
    match log.format {
        LogFormat::Text => {
            let lines = tracing_subscriber::fmt()
                .with_writer(stderr)
                .with_max_level(level);
            // Asking for colour would overrule NO_COLOR, which the library reads by itself; so it
            // is only ever refused here.
            if stderr().is_terminal() {
                lines.finish().with(targets).try_init()?;
            } else {
                let lines = lines.event_format(PlainLines).fmt_fields(PlainLines);
                lines.finish().with(targets).try_init()?;
            }
        }
        LogFormat::Json => tracing_subscriber::fmt()
            .json()
            .flatten_event(true)
            .with_writer(stderr)
            .with_max_level(level)
            .finish()
            .with(targets)
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

/// Where the MCP library drives a transport.
const WORKER: &str = "rmcp::transport::worker";

/// What of whom is written. The MCP library tells of each message that it begins and ends with it,
/// in three lines, one of which repeats what the client says of itself, and warns of what clients
/// and upstreams do with their words whole; at `info` there is our one line for each request. Below,
/// it would write each message whole: the arguments and the answers of tools, which can be secrets,
/// are in no log at any level. Of a transport of an upstream that ends it tells with the innards of
/// the program; we say what became of the upstream ourselves.
fn targets(level: LogLevel) -> Targets {
    let of_library = match level {
        LogLevel::Error | LogLevel::Warn | LogLevel::Info => LogLevel::Error,
        LogLevel::Debug | LogLevel::Trace => LogLevel::Info,
    };
    let of_transports = match level {
        LogLevel::Debug | LogLevel::Trace => filter(of_library),
        LogLevel::Error | LogLevel::Warn | LogLevel::Info => LevelFilter::OFF,
    };
    Targets::new()
        .with_default(filter(level))
        .with_target("rmcp", filter(of_library))
        .with_target(WORKER, of_transports)
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

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn what_a_tool_is_given_and_answers_is_in_no_log() {
        for level in [
            LogLevel::Error,
            LogLevel::Warn,
            LogLevel::Info,
            LogLevel::Debug,
            LogLevel::Trace,
        ] {
            let targets = targets(level);
            for target in [
                "rmcp::service",
                "rmcp::transport::streamable_http_server",
                WORKER,
            ] {
                for whole in [Level::DEBUG, Level::TRACE] {
                    assert!(!targets.would_enable(target, &whole), "{level:?} {target}");
                }
            }
        }
        let ours = targets(LogLevel::Trace).would_enable("keystead::mcp", &Level::TRACE);
        assert!(ours, "what we say ourselves is written");
    }

    #[test]
    fn the_mcp_library_tells_of_each_message_only_to_who_looks_for_a_fault() {
        for (level, ours, theirs) in [
            (LogLevel::Error, false, false),
            (LogLevel::Info, true, false),
            (LogLevel::Debug, true, true),
        ] {
            let targets = targets(level);
            let is_written = |target| targets.would_enable(target, &Level::INFO);
            assert_eq!(is_written("keystead::http::log_line"), ours, "{level:?}");
            assert_eq!(is_written("rmcp::service"), theirs, "{level:?}");
        }
        // What it warns of is what clients and upstreams say, at its whole length.
        for (level, is_written) in [(Level::WARN, false), (Level::ERROR, true)] {
            let theirs = targets(LogLevel::Info).would_enable("rmcp::service", &level);
            assert_eq!(theirs, is_written, "{level}");
        }
        for (level, is_written) in [(LogLevel::Info, false), (LogLevel::Debug, true)] {
            let of_transports = targets(level).would_enable(WORKER, &Level::ERROR);
            assert_eq!(of_transports, is_written, "{level:?}");
        }
    }
}
