//! What the machine says of this process.

use std::fs;

use crate::model::timestamp::Timestamp;

/// Bytes of what the system calls a kB.
const KB: u64 = 1_024;

/// Memory that this process has, its own and that of files; `None` where the system does not say.
pub(super) fn resident_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    resident_memory_in(&status)
}

/// `man proc_pid_status`: `VmRSS:     1234 kB`.
fn resident_memory_in(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    kilobytes.checked_mul(KB)
}

/// An instant as metrics have it.
pub(super) fn seconds(instant: Timestamp) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "exact for 285,000 years")]
    let millis = instant.millis() as f64;
    millis / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_in_bytes() {
        let status = "Name:\tkeystead\nVmHWM:\t  9 kB\nVmRSS:\t   1234 kB\nThreads:\t4\n";
        assert_eq!(resident_memory_in(status), Some(1_234 * 1_024));
        for odd in [
            "",
            "VmRSS:",
            "VmRSS:\t1234",
            "VmRSS:\t-1 kB",
            "VmRSS:\t99999999999999999999 kB",
        ] {
            assert_eq!(resident_memory_in(odd), None, "{odd}");
        }
    }

    #[test]
    fn this_process_has_some_memory() {
        assert!(resident_memory().is_some_and(|bytes| bytes > 1_000_000));
    }

    #[test]
    fn an_instant_is_in_seconds() {
        assert!(
            (seconds(Timestamp::from_millis(1_790_000_000_250)) - 1_790_000_000.25).abs() < 1e-6
        );
    }
}
