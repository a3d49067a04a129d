//! Random bytes: the operating system's for the real thing, seeded ones for tests.

use std::sync::{Mutex, PoisonError};

use rand::{Rng, SeedableRng, rngs::ChaCha20Rng};

use crate::crypto::entropy::Entropy;

/// The operating system's randomness, through a generator that each thread has.
///
/// The generator (`ChaCha`, of the library that also seeds it) is seeded by the operating system, and
/// again after every 64 KiB. To ask the system each time is a system call for each identifier and
/// each secret of a request; in a static binary it is a read of `/dev/urandom`.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    /// # Panics
    /// If the operating system gives none: a secret that can be guessed is worse than a failed
    /// request.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one that draws; everything else gets entropy as an argument"
    )]
    fn fill(&self, bytes: &mut [u8]) {
        rand::rng().fill_bytes(bytes);
    }
}

/// The same bytes from the same seed, in the order they are asked for. For tests only.
#[derive(Debug)]
pub struct SeededEntropy(Mutex<ChaCha20Rng>);

impl SeededEntropy {
    /// The stream that belongs to `seed`.
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(ChaCha20Rng::seed_from_u64(seed)))
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        // A panic cannot leave the generator half changed in a way that matters to a test.
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .fill_bytes(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::entropy::random;

    #[test]
    fn a_seed_names_a_stream() {
        let draw = |seed| random::<32>(&SeededEntropy::new(seed));
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn a_stream_goes_on() {
        let entropy = SeededEntropy::new(1);
        assert_ne!(random::<32>(&entropy), random::<32>(&entropy));
    }

    #[test]
    fn the_operating_system_does_not_repeat_itself() {
        assert_ne!(random::<32>(&OsEntropy), random::<32>(&OsEntropy));
    }
}
