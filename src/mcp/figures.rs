//! What is counted of the calls of tools.
//!
//! A tool of the table has figures of its own and an upstream has some for all of its tools. A name
//! that a caller made up has none.

use std::{sync::Arc, time::Duration};

use rmcp::model::CallToolResult;
use tokio::time::Instant;

use crate::{
    mcp::{handler::Denied, tools::Tool},
    metrics::{Counter, Gauge, Histogram, counters},
};

/// What came of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The tool returned what it returns.
    Ok,
    /// The tool said why it could not.
    Error,
    /// It was not begun: no such tool, too few scopes, no room.
    Refused,
    /// It took longer than it may.
    Timeout,
    /// Its caller hung up or took it back.
    Cancelled,
    /// It had more to say than an answer may.
    TooLarge,
    /// Something failed here.
    Fault,
}

impl Outcome {
    /// Every outcome, in the order of their declaration.
    pub const ALL: [Self; 7] = [
        Self::Ok,
        Self::Error,
        Self::Refused,
        Self::Timeout,
        Self::Cancelled,
        Self::TooLarge,
        Self::Fault,
    ];

    /// What it is called.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
            Self::Refused => "refused",
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
            Self::TooLarge => "too_large",
            Self::Fault => "fault",
        }
    }

    /// What `result`, which the tool returned, says.
    pub(super) fn of(result: &CallToolResult) -> Self {
        if result.is_error == Some(true) {
            Self::Error
        } else {
            Self::Ok
        }
    }
}

/// What is counted of the calls of one tool, or of one upstream.
#[derive(Debug)]
pub struct CallFigures {
    outcomes: [Counter; Outcome::ALL.len()],
    /// How long calls took, whatever came of them.
    pub durations: Histogram,
}

impl Default for CallFigures {
    fn default() -> Self {
        Self {
            outcomes: counters(),
            durations: Histogram::of_durations(),
        }
    }
}

impl CallFigures {
    /// How many calls came to that.
    pub fn outcomes(&self, outcome: Outcome) -> u64 {
        self.outcomes[outcome as usize].get()
    }

    /// A call ended before it was begun.
    pub(super) fn refused(&self) {
        self.ended(Outcome::Refused, Duration::ZERO);
    }

    fn ended(&self, outcome: Outcome, took: Duration) {
        self.outcomes[outcome as usize].add_one();
        self.durations.record_duration(took);
    }
}

/// What is counted of the endpoint.
#[derive(Debug)]
pub struct Figures {
    table: &'static [Tool],
    tools: Box<[Arc<CallFigures>]>,
    /// Of calls of what is no tool, or none that the caller may know of.
    pub unknown: Arc<CallFigures>,
    /// Calls that have begun and not ended.
    pub in_flight: Gauge,
}

impl Figures {
    pub(super) fn new(table: &'static [Tool]) -> Self {
        Self {
            table,
            tools: table.iter().map(|_| Arc::default()).collect(),
            unknown: Arc::default(),
            in_flight: Gauge::default(),
        }
    }

    /// Each tool of the table, by its name.
    pub fn tools(&self) -> impl Iterator<Item = (&'static str, &CallFigures)> {
        let names = self.table.iter().map(|tool| tool.name);
        names.zip(self.tools.iter().map(|calls| &**calls))
    }

    pub(super) fn of(&self, tool: &'static Tool) -> &Arc<CallFigures> {
        let place = self.table.iter().position(|row| std::ptr::eq(row, tool));
        place.map_or(&self.unknown, |place| &self.tools[place])
    }

    /// Counts a call that is begun now. Unless it is said otherwise, it was one of nothing that is
    /// known, and was cancelled.
    pub(super) fn begin(&self) -> Counting<'_> {
        self.in_flight.add_one();
        Counting {
            of: Arc::clone(&self.unknown),
            in_flight: &self.in_flight,
            begun: Instant::now(),
            outcome: Outcome::Cancelled,
        }
    }
}

/// A call that is counted when this is dropped.
pub(super) struct Counting<'a> {
    of: Arc<CallFigures>,
    in_flight: &'a Gauge,
    begun: Instant,
    outcome: Outcome,
}

impl Counting<'_> {
    /// Says what is called.
    pub(super) fn is_of(&mut self, calls: &Arc<CallFigures>) {
        self.of = Arc::clone(calls);
    }

    /// Says what came of it.
    pub(super) fn end(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl Drop for Counting<'_> {
    fn drop(&mut self) {
        self.in_flight.take_one();
        self.of.ended(self.outcome, self.begun.elapsed());
    }
}

/// What a call comes to for its caller, and for who counts.
pub(super) type Ended = (Outcome, Result<CallToolResult, Denied>);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::tools::TOOLS;

    #[test]
    fn every_outcome_stands_at_its_place() {
        for (place, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, place);
        }
    }

    #[test]
    fn each_tool_of_the_table_has_figures_of_its_own() {
        let figures = Figures::new(&TOOLS);
        for tool in &TOOLS {
            let mut counting = figures.begin();
            counting.is_of(figures.of(tool));
            counting.end(Outcome::Ok);
        }
        for (name, calls) in figures.tools() {
            assert_eq!(calls.outcomes(Outcome::Ok), 1, "{name}");
        }
        assert_eq!(figures.unknown.durations.count(), 0);
    }

    #[test]
    fn a_call_of_which_nothing_is_said_was_cancelled() {
        let figures = Figures::new(&TOOLS);
        let mut counting = figures.begin();
        counting.is_of(figures.of(&TOOLS[0]));
        assert_eq!(figures.in_flight.get(), 1);
        drop(counting);
        assert_eq!(figures.in_flight.get(), 0);
        assert_eq!(figures.of(&TOOLS[0]).outcomes(Outcome::Cancelled), 1);
    }
}
