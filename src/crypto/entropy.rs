//! Where random bytes come in. The source itself lives in `runtime/`.

/// A source of unpredictable bytes.
///
/// It is passed down to whatever makes an identifier or a secret, so that a test can hand in a
/// seeded one.
pub trait Entropy: Send + Sync {
    /// Fills `bytes`. A source that cannot must panic: a request then fails closed.
    fn fill(&self, bytes: &mut [u8]);
}

/// `N` bytes from `entropy`.
pub fn random<const N: usize>(entropy: &dyn Entropy) -> [u8; N] {
    let mut bytes = [0; N];
    entropy.fill(&mut bytes);
    bytes
}
