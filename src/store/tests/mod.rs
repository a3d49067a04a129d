//! The store from outside: what its callers rely on, and what its file looks like.

mod engine;
mod golden;
mod invariants;
mod model;
mod open;
mod overlay;
mod plain;
mod recovery;
mod rooms;
mod samples;
mod sweep;
