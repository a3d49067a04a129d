//! Passwords: argon2id with the parameters that OWASP's password storage sheet names.

use argon2::{
    Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version,
    password_hash::phc::PasswordHash as Phc,
};

/// Memory of one hash. Two run at once, so that a burst of sign-ins cannot exhaust a small box.
pub const PASSWORD_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Bytes of salt that [`hash`] takes.
pub const SALT_LEN: usize = 16;

/// The hash of `password` as a PHC string. Takes about 20 ms and [`PASSWORD_KIB`] of memory.
///
/// # Panics
/// If the machine cannot give the memory: the caller's request then fails closed.
pub fn hash(password: &str, salt: &[u8; SALT_LEN]) -> String {
    hasher()
        .hash_password_with_salt(password.as_bytes(), salt)
        .expect("the parameters are constant and valid")
        .to_string()
}

/// Whether `password` is the one whose hash is `phc`. A hash that cannot be read matches nothing.
pub fn verify(password: &str, phc: &str) -> bool {
    Phc::new(phc).is_ok_and(|hash| hasher().verify_password(password.as_bytes(), &hash).is_ok())
}

fn hasher() -> Argon2<'static> {
    let params = Params::new(PASSWORD_KIB, PASSES, LANES, None)
        .expect("the parameters are constant and valid");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_password_matches_its_hash() {
        let phc = hash("correct horse", &[1; SALT_LEN]);
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{phc}");
        assert!(verify("correct horse", &phc));
        assert!(!verify("correct horsf", &phc));
        assert!(!verify("", &phc));
        assert!(!verify("correct horse", "not a hash"));
    }
}
