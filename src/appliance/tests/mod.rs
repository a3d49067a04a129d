//! The whole wire in one process: an appliance on a store in memory, a clock that the test moves,
//! seeded entropy, and requests that go straight to the dispatcher.
//!
//! A [`house::House`] is the deployment, a [`browser::Browser`] a person at a browser, a
//! [`client_app::ClientApp`] an OAuth client. Each test stands for a row of the wire contract or
//! of the list of threats, which its comment names.

mod administered;
mod browser;
mod client_app;
mod house;
mod inbox;
mod wire;

mod account;
mod admin_apps;
mod api;
mod audit;
mod authorize;
mod bearer;
mod callers;
mod claim;
mod client_authentication;
mod client_credentials;
mod client_documents;
mod codes;
mod consent;
mod crash;
mod custom;
mod device;
mod discovery;
mod faults;
mod headers;
mod introspect;
mod metrics;
mod notifications;
mod rate_limits;
mod refresh;
mod registration;
mod remembered;
mod revoke;
mod safekeeping;
mod sign_in;
mod token;
mod upstreams;
mod watch;
mod webpush;
