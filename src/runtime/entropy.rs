//! Random bytes: the operating system's for the real thing, seeded ones for tests.

use std::sync::{Mutex, PoisonError};

use rand::{
    Rng, SeedableRng, TryRng,
    rngs::{ChaCha20Rng, SysRng},
};

use crate::crypto::entropy::Entropy;

/// The operating system's generator.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    /// # Panics
    /// If the operating system gives none: a secret that can be guessed is worse than a failed
    /// request.
    fn fill(&self, bytes: &mut [u8]) {
        SysRng
            .try_fill_bytes(bytes)
            .expect("the operating system gives random bytes");
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
