//! Floor 0: the nouns, valid by construction. No IO, no clock, no entropy source, nothing async.

pub mod id;
pub mod public_url;
pub mod timestamp;
