//! Floor 0: digests, keyed functions, passwords, the encryption of web push. No IO, no clock, no
//! entropy source but what ring insists on taking itself.

pub mod digest;
pub mod entropy;
pub mod keyed;
pub mod password;
pub mod web_push;
