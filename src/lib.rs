//! Keystead: an OAuth 2.1 authorization server, an MCP server that its tokens open, and the
//! notification centre of the box, in one binary with one data file.
//!
//! The floors, lowest last. A module uses only floors below its own; `tests/tidy.rs` keeps it, and
//! `docs/architecture.md` walks one request down and up again.

pub mod cli;

pub mod appliance;

pub mod config;
pub mod crypto;
pub mod model;

pub mod store;
