//! Floor 0: digests, keyed functions and passwords. No IO, no clock, no entropy source.

pub mod digest;
pub mod entropy;
pub mod keyed;
pub mod password;
