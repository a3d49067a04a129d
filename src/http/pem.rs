//! Certificates and keys in files: reading them, and what can be wrong with them.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use rustls::{
    Error, InconsistentKeys,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};
use x509_parser::{certificate::X509Certificate, prelude::FromDer};

use crate::{http::tls::provider, model::timestamp::Timestamp};

/// The longest file that is read for a certificate or a key.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Why there is no certificate to show.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read.
    #[error("expected to read {}: {source}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("expected to write {}: {source}", path.display())]
    Unwritable {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file has something else in it.
    #[error("expected {expected} in {}, found {found}", path.display())]
    Content {
        /// Which file.
        path: PathBuf,
        /// What should be in it.
        expected: &'static str,
        /// What is.
        found: String,
    },
    /// The key does not belong to the certificate.
    #[error(
        "expected {} to be the key of the certificate in {}, found that of another",
        key.display(),
        certificate.display()
    )]
    KeyMismatch {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
    /// The certificate's time is over.
    #[error(
        "expected a certificate that is valid now in {}, found one that expired at {expired_at}: \
         renew it",
        path.display()
    )]
    Expired {
        /// The file of the certificate.
        path: PathBuf,
        /// Since when.
        expired_at: Timestamp,
    },
    /// The built-in CA's time is over.
    #[error(
        "expected a built-in CA that is valid now in {}, found one that expired at {expired_at}: \
         remove it and its key to have a new one made, which every browser then has to be told to \
         trust",
        path.display()
    )]
    CaExpired {
        /// The file of the CA's certificate.
        path: PathBuf,
        /// Since when.
        expired_at: Timestamp,
    },
    /// One half of the built-in CA is gone.
    #[error(
        "expected both halves of the built-in CA or neither, found no {}: put it back from a \
         backup, or remove {} as well to have a new CA made, which every browser then has to be \
         told to trust",
        missing.display(),
        found.display()
    )]
    HalfCa {
        /// The file that is not there.
        missing: PathBuf,
        /// The file that is.
        found: PathBuf,
    },
    /// No certificate can be made, most likely because a name is no name.
    #[error("expected to make a certificate for host names and IP addresses: {0}")]
    Unmakeable(#[from] rcgen::Error),
    /// The certificate that was made cannot be used.
    #[error("expected to use the certificate that was made: {0}")]
    Unusable(#[from] Error),
}

/// The chain in one file with the key in another, if they can be used at `now`.
pub(crate) fn load(
    certificate: &Path,
    key: &Path,
    now: Timestamp,
) -> Result<CertifiedKey, CertificateError> {
    let chain = read_chain(certificate)?;
    let expired_at = expiry(&chain[0], certificate)?;
    if expired_at.has_passed(now) {
        return Err(CertificateError::Expired {
            path: certificate.to_owned(),
            expired_at,
        });
    }
    let private = read_key(key)?;
    CertifiedKey::from_der(chain, private, &provider()).map_err(|error| match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => CertificateError::KeyMismatch {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
        },
        other => CertificateError::Content {
            path: key.to_owned(),
            expected: "an ECDSA, Ed25519 or RSA key",
            found: other.to_string(),
        },
    })
}

/// The certificates of a file, at least one.
fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let wrong = |found: String| CertificateError::Content {
        path: path.to_owned(),
        expected: "a certificate chain in PEM",
        found,
    };
    let text = read(path)?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|error| wrong(error.to_string()))?;
    if chain.is_empty() {
        return Err(wrong("no certificate".to_owned()));
    }
    Ok(chain)
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, CertificateError> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|error| CertificateError::Content {
        path: path.to_owned(),
        expected: "a private key in PEM without a passphrase (PKCS#8, SEC1 or PKCS#1)",
        found: error.to_string(),
    })
}

/// When a certificate ends.
pub(crate) fn expiry(der: &[u8], path: &Path) -> Result<Timestamp, CertificateError> {
    let certificate = parse(der, path)?;
    let seconds = certificate.validity().not_after.timestamp();
    let millis = u64::try_from(seconds).unwrap_or(0).saturating_mul(1000);
    Ok(Timestamp::from_millis(millis))
}

pub(crate) fn parse<'der>(
    der: &'der [u8],
    path: &Path,
) -> Result<X509Certificate<'der>, CertificateError> {
    match X509Certificate::from_der(der) {
        Ok((_, certificate)) => Ok(certificate),
        Err(error) => Err(CertificateError::Content {
            path: path.to_owned(),
            expected: "an X.509 certificate",
            found: error.to_string(),
        }),
    }
}

/// A file that is not absurdly long.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, CertificateError> {
    let read = || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(path)?
            .take(FILE_BYTES_MAX)
            .read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().map_err(|source| CertificateError::Unreadable {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use std::{fs, time::Duration};

    use tempfile::TempDir;

    use super::*;

    /// A directory with a certificate that ends at [`ENDS_AT`], and its key.
    fn pair() -> (TempDir, PathBuf, PathBuf) {
        let directory = TempDir::new().expect("a directory");
        let (certificate, key) = (
            directory.path().join("tls.crt"),
            directory.path().join("tls.key"),
        );
        let signing = rcgen::KeyPair::generate().expect("a key");
        let mut params = rcgen::CertificateParams::new(["box.lan".to_owned()]).expect("a name");
        params.not_after = rcgen::date_time_ymd(2030, 1, 1);
        let signed = params.self_signed(&signing).expect("a certificate");
        fs::write(&certificate, signed.pem()).expect("written");
        fs::write(&key, signing.serialize_pem()).expect("written");
        (directory, certificate, key)
    }

    const ENDS_AT: Timestamp = Timestamp::from_millis(1_893_456_000_000);

    fn now() -> Timestamp {
        ENDS_AT.before(Duration::from_hours(1))
    }

    #[test]
    fn a_pair_is_good_until_it_ends() {
        let (_directory, certificate, key) = pair();
        let before = ENDS_AT.before(Duration::from_millis(1));
        assert!(load(&certificate, &key, before).is_ok());
        let error = load(&certificate, &key, ENDS_AT).expect_err("over");
        let expected = "expired at 2030-01-01T00:00:00Z: renew it";
        assert!(error.to_string().ends_with(expected), "{error}");
    }

    #[test]
    fn the_key_of_another_certificate_is_told() {
        let (_directory, certificate, _) = pair();
        let (_other, _, key) = pair();
        let error = load(&certificate, &key, now()).expect_err("another");
        assert!(
            matches!(error, CertificateError::KeyMismatch { .. }),
            "{error}"
        );
    }

    #[test]
    fn what_a_file_lacks_is_told_with_its_name() {
        let (directory, certificate, key) = pair();
        let empty = directory.path().join("empty");
        let missing = directory.path().join("missing");
        let junk = directory.path().join("junk");
        fs::write(&empty, "").expect("written");
        let body = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        fs::write(&junk, body).expect("written");
        for (certificate, key, name, says) in [
            (&missing, &key, "missing", "expected to read"),
            (&certificate, &missing, "missing", "expected to read"),
            (&empty, &key, "empty", "found no certificate"),
            (&junk, &key, "junk", "expected an X.509 certificate"),
            // The two flags given the wrong way round.
            (&key, &certificate, "tls.key", "found no certificate"),
            (
                &certificate,
                &certificate,
                "tls.crt",
                "expected a private key in PEM",
            ),
            (
                &certificate,
                &empty,
                "empty",
                "expected a private key in PEM",
            ),
        ] {
            let error = load(certificate, key, now()).expect_err(says).to_string();
            assert!(error.contains(says) && error.contains(name), "{error}");
        }
    }
}
