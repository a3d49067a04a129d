//! The store from outside: what its callers rely on, and what its file looks like.

mod backup;
mod engine;
mod golden;
mod invariants;
mod migrations;
mod open;
mod overlay;
mod recovery;
mod rooms;
mod samples;
mod sweep;
