//! The OAuth endpoints: parse, call one service, render.

pub mod authorize;
pub mod client_documents;
pub mod clients;
pub mod device_authorization;
pub mod error;
pub mod introspect;
pub mod metadata;
pub mod register;
pub mod revoke;
pub mod token;

pub(crate) mod client_credentials;

/// Bytes of a form at the most.
pub const FORM_BYTES_MAX: usize = 64 * 1024;
