//! Floor 3: what the process takes from the machine: time, randomness, signals, and its log.

pub mod clock;
pub mod entropy;
pub mod logs;
pub mod signals;
