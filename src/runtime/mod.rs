//! Floor 3: what the process takes from the machine: time, randomness, signals, its log, and the
//! network beyond it.

pub(crate) mod log_lines;

pub mod apart;
pub mod child;
pub mod clock;
pub mod entropy;
pub mod logs;
pub mod outbound;
pub mod signals;
