//! Floor 0: the nouns, valid by construction. No IO, no clock, no entropy source, nothing async.

pub mod audit;
pub mod credential;
pub mod effect;
pub mod https_url;
pub mod id;
pub mod notification;
pub mod oauth2;
pub mod public_url;
pub mod push;
pub mod session;
pub mod timestamp;
pub mod toolset;
pub mod upstream;
pub mod upstream_words;
pub mod user;
