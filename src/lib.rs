//! Keystead: an OAuth 2.1 authorization server, an MCP server that its tokens open, and the
//! notification centre of the box, in one binary with one data file.
//!
//! The floors, lowest last. A module uses only floors below its own; `tests/tidy.rs` keeps it, and
//! `docs/architecture.md` walks one request down and up again.

pub mod cli;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;

pub mod appliance;

pub mod mcp;
pub mod web;

pub mod http;
pub mod runtime;

pub mod accounts;
pub mod audit;
pub mod experiments;
pub mod notifications;
pub mod oauth2provider;

pub mod store;

pub mod config;
pub mod crypto;
pub mod metrics;
pub mod model;
