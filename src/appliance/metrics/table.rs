//! Every metric, as one table: its name, what it says, and where it is read.
//!
//! A room that counts something new has a struct of counters of its own, which the appliance can
//! reach; its metrics are rows here. Whatever stands in a label comes from a table or is a name that
//! was checked, and never from a request.

use std::fmt;

use crate::{
    appliance::{
        Appliance,
        metrics::{process, samples::Samples},
        routes::ROUTES,
    },
    http::figures::{Class, RouteFigures},
    mcp::figures::{CallFigures, Outcome},
    model::{audit::Action, oauth2::client::GrantType},
    store::{figures::Fate, pushes},
    web::figures::{PushOutcome, SignInOutcome, TokenOutcome},
};

/// What a metric is, which says how it is written out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It only grows; its samples end in `_total`.
    Counter,
    /// It goes up and down.
    Gauge,
    /// How long something takes: recorded in nanoseconds, written in seconds.
    Durations,
    /// How many there are of something at a time.
    Sizes,
    /// Nothing but labels; its sample ends in `_info`.
    Info,
}

impl Kind {
    /// What the name of its samples ends in.
    pub(super) const fn suffix(self) -> &'static str {
        match self {
            Self::Counter => "_total",
            Self::Info => "_info",
            Self::Gauge | Self::Durations | Self::Sizes => "",
        }
    }
}

/// One metric.
pub(super) struct Metric {
    /// Without the end that its kind adds.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) labels: &'static [&'static str],
    /// One sentence.
    pub(super) help: &'static str,
    pub(super) read: fn(&Appliance, &mut Samples<'_, '_>) -> fmt::Result,
}

const fn metric(
    name: &'static str,
    kind: Kind,
    labels: &'static [&'static str],
    help: &'static str,
    read: fn(&Appliance, &mut Samples<'_, '_>) -> fmt::Result,
) -> Metric {
    Metric {
        name,
        kind,
        labels,
        help,
        read,
    }
}

/// Every metric, in the order in which they are written.
pub(super) static METRICS: &[Metric] = &[
    metric(
        "keystead_build",
        Kind::Info,
        &["version"],
        "The version that runs",
        |_, to| to.info(&[env!("CARGO_PKG_VERSION")]),
    ),
    metric(
        "process_start_time_seconds",
        Kind::Gauge,
        &[],
        "When it was started, in seconds since the Unix epoch",
        |app, to| to.fraction(&[], process::seconds(app.started_at)),
    ),
    metric(
        "process_resident_memory_bytes",
        Kind::Gauge,
        &[],
        "Memory that the process has, its own and that of files",
        |_, to| match process::resident_memory() {
            Some(bytes) => to.value(&[], bytes),
            None => Ok(()),
        },
    ),
    metric(
        "keystead_http_requests",
        Kind::Counter,
        &["method", "route", "status"],
        "Requests that ended, by the row of the table of routes and the class of the answer",
        |app, to| {
            each_route(app, |method, route, figures| {
                each(Class::ALL, |class| {
                    to.nonzero(&[method, route, class.as_str()], figures.answers(class))
                })
            })
        },
    ),
    metric(
        "keystead_http_request_duration_seconds",
        Kind::Durations,
        &["method", "route"],
        "From the end of a request's head to its answer",
        |app, to| {
            each_route(app, |method, route, figures| {
                to.histogram(&[method, route], &figures.durations)
            })
        },
    ),
    metric(
        "keystead_http_requests_in_flight",
        Kind::Gauge,
        &[],
        "Requests whose head was read and that have no answer yet",
        |app, to| to.value(&[], app.http.in_flight.get()),
    ),
    metric(
        "keystead_http_streams_open",
        Kind::Gauge,
        &[],
        "Requests that have begun and whose answer is not all written",
        |app, to| to.value(&[], app.http.streams.get()),
    ),
    metric(
        "keystead_http_connections",
        Kind::Counter,
        &[],
        "Connections that were accepted",
        |app, to| to.value(&[], app.http.accepted.get()),
    ),
    metric(
        "keystead_http_connections_open",
        Kind::Gauge,
        &[],
        "Connections that are open",
        |app, to| to.value(&[], app.http.connections.get()),
    ),
    metric(
        "keystead_http_connections_refused",
        Kind::Counter,
        &["reason"],
        "Connections that served no request: plain http that was not for their peer, or no TLS agreed on",
        |app, to| {
            to.value(&["plain_http"], app.http.turned_away.get())?;
            to.value(&["tls"], app.http.without_tls.get())
        },
    ),
    metric(
        "keystead_rate_limit_refusals",
        Kind::Counter,
        &["endpoint", "per"],
        "Calls that were refused because there had been too many",
        |app, to| {
            each(app.web.throttle.refusals(), |(limit, refused)| {
                to.value(&[limit.endpoint.as_str(), limit.per.as_str()], refused)
            })
        },
    ),
    metric(
        "keystead_mcp_tool_calls",
        Kind::Counter,
        &["tool", "outcome"],
        "Calls of tools that ended; all tools of an upstream are one",
        |app, to| {
            each_tool(app, |tool, figures| {
                each(Outcome::ALL, |outcome| {
                    to.nonzero(&[tool, outcome.as_str()], figures.outcomes(outcome))
                })
            })
        },
    ),
    metric(
        "keystead_mcp_tool_call_duration_seconds",
        Kind::Durations,
        &["tool"],
        "How long calls of tools took, whatever came of them",
        |app, to| {
            each_tool(app, |tool, figures| {
                to.histogram(&[tool], &figures.durations)
            })
        },
    ),
    metric(
        "keystead_mcp_tool_calls_in_flight",
        Kind::Gauge,
        &[],
        "Calls of tools that have begun and not ended",
        |app, to| to.value(&[], app.mcp.figures().in_flight.get()),
    ),
    metric(
        "keystead_upstream_up",
        Kind::Gauge,
        &["upstream"],
        "Whether there is a connection to the upstream; one that nobody uses is closed",
        |app, to| {
            each(app.upstreams.seen(), |link| {
                to.value(&[link.name.as_str()], link.is_up.into())
            })
        },
    ),
    metric(
        "keystead_upstream_connections",
        Kind::Counter,
        &["upstream"],
        "Connections to the upstream that were made",
        |app, to| {
            each(app.upstreams.seen(), |link| {
                to.value(&[link.name.as_str()], link.figures.connections.get())
            })
        },
    ),
    metric(
        "keystead_upstream_restarts",
        Kind::Counter,
        &["upstream"],
        "Those of them that were made because the one before had ended by itself or had not started",
        |app, to| {
            each(app.upstreams.seen(), |link| {
                to.value(&[link.name.as_str()], link.figures.restarts.get())
            })
        },
    ),
    metric(
        "keystead_upstream_failures",
        Kind::Counter,
        &["upstream"],
        "Times that the upstream did not start, or its connection ended by itself",
        |app, to| {
            each(app.upstreams.seen(), |link| {
                to.value(&[link.name.as_str()], link.figures.failures.get())
            })
        },
    ),
    metric(
        "keystead_token_requests",
        Kind::Counter,
        &["grant_type", "outcome"],
        "Requests for tokens by a grant that there is, and what came of them",
        |app, to| {
            each(GrantType::ALL, |grant| {
                each(TokenOutcome::ALL, |outcome| {
                    let count = app.web.figures.tokens(grant, outcome);
                    to.value(&[grant.as_str(), outcome.as_str()], count)
                })
            })
        },
    ),
    metric(
        "keystead_sign_ins",
        Kind::Counter,
        &["outcome"],
        "Tries at a password, and what came of them",
        |app, to| {
            each(SignInOutcome::ALL, |outcome| {
                to.value(&[outcome.as_str()], app.web.figures.sign_ins(outcome))
            })
        },
    ),
    metric(
        "keystead_inbox_watchers_open",
        Kind::Gauge,
        &[],
        "Streams on which somebody watches their inbox",
        |app, to| to.value(&[], app.web.watchers.count() as u64),
    ),
    metric(
        "keystead_pushes",
        Kind::Counter,
        &["outcome"],
        "Tries to hand a message to a push service, and what came of them",
        |app, to| {
            each(PushOutcome::ALL, |outcome| {
                to.value(&[outcome.as_str()], app.web.figures.pushes(outcome))
            })
        },
    ),
    metric(
        "keystead_push_queue_length",
        Kind::Gauge,
        &[],
        "Messages that wait for a push service",
        |app, to| match app.web.store.read(|tx| pushes::queue_len(tx)) {
            Ok(waiting) => to.value(&[], waiting),
            Err(fault) => {
                tracing::warn!(%fault, "the queue of pushes cannot be counted");
                Ok(())
            }
        },
    ),
    metric(
        "keystead_audit_entries",
        Kind::Counter,
        &["action"],
        "Entries that the audit log got, by what was done: tokens issued, refreshed, revoked and replayed among them",
        |app, to| {
            each(Action::ALL, |action| {
                to.value(&[action.as_str()], app.web.store.figures().actions(action))
            })
        },
    ),
    metric(
        "keystead_store_writes",
        Kind::Counter,
        &["outcome"],
        "Writes, and what became of them",
        |app, to| {
            each(Fate::ALL, |fate| {
                to.value(&[fate.as_str()], app.web.store.figures().writes(fate))
            })
        },
    ),
    metric(
        "keystead_store_batch_writes",
        Kind::Sizes,
        &[],
        "How many writes shared a commit; its count is the number of commits that were tried",
        |app, to| to.histogram(&[], &app.web.store.figures().batches),
    ),
    metric(
        "keystead_store_commit_duration_seconds",
        Kind::Durations,
        &[],
        "How long a commit took, with its syncs",
        |app, to| to.histogram(&[], &app.web.store.figures().commits),
    ),
    metric(
        "keystead_store_queue_length",
        Kind::Gauge,
        &[],
        "Writes that wait for the writer",
        |app, to| to.value(&[], app.web.store.figures().queued.get()),
    ),
    metric(
        "keystead_store_file_size_bytes",
        Kind::Gauge,
        &[],
        "Size of the data file",
        |app, to| match app.web.store.file_bytes() {
            Ok(bytes) => to.value(&[], bytes),
            Err(fault) => {
                tracing::warn!(%fault, "the size of the data file cannot be read");
                Ok(())
            }
        },
    ),
    metric(
        "keystead_store_writable",
        Kind::Gauge,
        &[],
        "1 while the data file takes writes, 0 while it has failed and is tried again",
        |app, to| to.value(&[], app.web.store.figures().is_writable.get()),
    ),
    metric(
        "keystead_store_faults",
        Kind::Counter,
        &[],
        "How often the data file failed",
        |app, to| to.value(&[], app.web.store.figures().faults.get()),
    ),
    metric(
        "keystead_store_compactions",
        Kind::Counter,
        &["outcome"],
        "Tries to make the data file smaller",
        |app, to| {
            let figures = app.web.store.figures();
            to.value(&["done"], figures.compactions.get())?;
            to.value(&["failed"], figures.compactions_failed.get())
        },
    ),
    metric(
        "keystead_sweeper_steps",
        Kind::Counter,
        &[],
        "Steps in which the sweeper removed what had ended",
        |app, to| to.value(&[], app.web.store.figures().sweeps.get()),
    ),
    metric(
        "keystead_sweeper_rows",
        Kind::Counter,
        &[],
        "Rows that it removed or wrote",
        |app, to| to.value(&[], app.web.store.figures().swept_rows.get()),
    ),
];

/// Does `work` with each of `items`, until it fails.
fn each<T>(items: impl IntoIterator<Item = T>, work: impl FnMut(T) -> fmt::Result) -> fmt::Result {
    items.into_iter().try_for_each(work)
}

/// What stands in the place of a route, a method or a tool that is in no table.
const NONE: &str = "none";

/// Each row of the table of routes that somebody has asked for.
fn each_route(
    app: &Appliance,
    mut work: impl FnMut(&str, &str, &RouteFigures) -> fmt::Result,
) -> fmt::Result {
    let rows = ROUTES
        .iter()
        .map(|route| (route.method.as_str(), route.path));
    let mut rows = rows
        .zip(app.http.routes())
        .chain(std::iter::once(((NONE, NONE), app.http.unrouted())))
        .filter(|(_, figures)| figures.durations.count() > 0);
    rows.try_for_each(|((method, path), figures)| work(method, path, figures))
}

/// Each tool of the table and each upstream that somebody has called.
fn each_tool(
    app: &Appliance,
    mut work: impl FnMut(&str, &CallFigures) -> fmt::Result,
) -> fmt::Result {
    let figures = app.mcp.figures();
    let unknown = std::iter::once((NONE, &*figures.unknown));
    let mut own = figures
        .tools()
        .chain(unknown)
        .filter(|(_, calls)| calls.durations.count() > 0);
    own.try_for_each(|(name, calls)| work(name, calls))?;
    let upstreams = app.upstreams.seen();
    let mut called = upstreams
        .iter()
        .filter(|link| link.figures.calls.durations.count() > 0);
    called.try_for_each(|link| work(&format!("{}__*", link.name), &link.figures.calls))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    impl Metric {
        /// Its line in `docs/metrics.md`.
        fn documented(&self) -> String {
            let name = format!("{}{}", self.name, self.kind.suffix());
            let kind = match self.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Durations | Kind::Sizes => "histogram",
                Kind::Info => "info",
            };
            let labels: Vec<_> = self
                .labels
                .iter()
                .map(|label| format!("`{label}`"))
                .collect();
            let labels = match &labels[..] {
                [] => "–".to_owned(),
                labels => labels.join(", "),
            };
            format!("| `{name}` | {kind} | {labels} | {} |", self.help)
        }
    }

    #[test]
    fn every_metric_is_documented_and_nothing_else_is() {
        let page = include_str!("../../../docs/metrics.md");
        let rows = page.lines().filter(|line| line.starts_with("| `"));
        let rows: Vec<_> = rows.collect();
        let expected: Vec<_> = METRICS.iter().map(Metric::documented).collect();
        assert_eq!(
            rows,
            expected,
            "as they should be:\n{}",
            expected.join("\n")
        );
    }

    /// <https://prometheus.io/docs/practices/naming/>.
    #[test]
    fn names_follow_the_conventions_of_prometheus() {
        let mut seen = BTreeSet::new();
        for Metric {
            name,
            kind,
            labels,
            help,
            ..
        } in METRICS
        {
            assert!(seen.insert(name), "{name} stands twice");
            let words = |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
            assert!(words(name), "{name}");
            assert!(labels.iter().copied().all(words), "{name}: {labels:?}");
            let is_ours = name.starts_with("keystead_") || name.starts_with("process_");
            assert!(is_ours, "{name}");
            let is_of_time = name.ends_with("_seconds");
            assert_eq!(
                *kind == Kind::Durations,
                is_of_time && *kind != Kind::Gauge,
                "{name}"
            );
            for end in ["_total", "_info", "_count", "_sum", "_bucket", "_created"] {
                assert!(
                    !name.ends_with(end),
                    "{name}: the library adds it, or it means something"
                );
            }
            assert!(
                help.len() > 10 && !help.ends_with('.') && !help.contains('\n'),
                "{name}"
            );
        }
    }
}
