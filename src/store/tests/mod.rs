//! The store from outside: what its callers rely on, and what its file looks like.

mod backup;
mod compact;
mod documented;
mod engine;
mod fixture;
mod golden;
mod invariants;
mod migrations;
mod model;
mod open;
mod overlay;
mod plain;
mod plain_inbox;
mod recovery;
mod rooms;
mod samples;
mod sweep;
