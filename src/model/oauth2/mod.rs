//! The nouns of OAuth 2.1.

pub mod client;
pub mod client_document;
pub mod client_id;
pub mod code;
pub mod device;
pub mod grant;
pub mod pkce;
pub mod redirect_uri;
pub mod resource;
pub mod resource_server;
pub mod scope;
pub mod token;
