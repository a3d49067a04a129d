//! TLS: the certificate that is shown, from files or from the built-in CA, and its renewal.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, ring},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio_rustls::TlsAcceptor;

pub use crate::http::pem::CertificateError;
use crate::{
    http::{ca::Ca, pem},
    model::timestamp::Timestamp,
};

/// The name of HTTP/2 in ALPN (RFC 9113 §3.2).
pub(crate) const ALPN_HTTP_2: &[u8] = b"h2";
const ALPN_HTTP_1_1: &[u8] = b"http/1.1";
/// How often it is checked whether a certificate is due.
const RENEWAL_CHECK: Duration = Duration::from_hours(1);

/// The certificate that is shown now, and where the next one comes from.
///
/// A connection keeps the certificate it began with; a change is seen by the next handshake.
pub struct Certificates {
    source: Source,
    shown: RwLock<Shown>,
}

impl Certificates {
    /// The certificate chain and the key in these PEM files.
    ///
    /// # Errors
    /// | variant | meaning |
    /// |---|---|
    /// | [`CertificateError::Unreadable`] | a file cannot be read |
    /// | [`CertificateError::Content`] | a file has something else in it |
    /// | [`CertificateError::KeyMismatch`] | the key is of another certificate |
    /// | [`CertificateError::Expired`] | the certificate's time is over |
    pub fn from_files(
        certificate: &Path,
        key: &Path,
        now: Timestamp,
    ) -> Result<Self, CertificateError> {
        Self::new(
            Source::Files {
                certificate: certificate.to_owned(),
                key: key.to_owned(),
            },
            now,
        )
    }

    /// Certificates of the built-in CA in `directory`, for these host names and IP addresses. The
    /// CA is made if it is not there, and never changed.
    ///
    /// The leaf and its key are kept in memory only: every start issues another.
    ///
    /// # Errors
    /// | variant | meaning |
    /// |---|---|
    /// | [`CertificateError::HalfCa`] | the CA's certificate or its key is missing |
    /// | [`CertificateError::CaExpired`] | the CA's time is over |
    /// | [`CertificateError::KeyMismatch`] | the CA's key is of another certificate |
    /// | [`CertificateError::Unreadable`], [`CertificateError::Content`] | its files cannot be used |
    /// | [`CertificateError::Unwritable`] | a new CA cannot be kept |
    /// | [`CertificateError::Unmakeable`] | a name is no name |
    pub fn from_built_in_ca(
        directory: &Path,
        names: Vec<String>,
        now: Timestamp,
    ) -> Result<Self, CertificateError> {
        let ca = Box::new(Ca::load_or_make(directory, now)?);
        Self::new(Source::BuiltIn { ca, names }, now)
    }

    fn new(source: Source, now: Timestamp) -> Result<Self, CertificateError> {
        let shown = RwLock::new(source.next(now)?);
        Ok(Self { source, shown })
    }

    /// The built-in CA's certificate in PEM, for those who are to trust it; `None` for files.
    pub fn ca_pem(&self) -> Option<&str> {
        match &self.source {
            Source::Files { .. } => None,
            Source::BuiltIn { ca, .. } => Some(ca.pem()),
        }
    }

    /// Reads the files again, or issues another leaf. No connection is dropped; after an error the
    /// certificate that was shown is shown on.
    ///
    /// # Errors
    /// As when it was made.
    pub fn reload(&self, now: Timestamp) -> Result<(), CertificateError> {
        let next = self.source.next(now)?;
        *self.shown.write().unwrap_or_else(PoisonError::into_inner) = next;
        Ok(())
    }

    /// Issues another leaf if a third of the present one's life is left, and says whether it was
    /// so. Files are left to whoever renews them.
    ///
    /// # Errors
    /// As [`Certificates::reload`].
    pub fn renew_if_due(&self, now: Timestamp) -> Result<bool, CertificateError> {
        let is_due = self.shown().renew_at.has_passed(now);
        if is_due {
            self.reload(now)?;
        }
        Ok(is_due)
    }

    /// Renews the certificate whenever it is due, for ever. `now` tells the time.
    pub async fn keep_renewed(&self, now: impl Fn() -> Timestamp + Send) {
        loop {
            tokio::time::sleep(RENEWAL_CHECK).await;
            match self.renew_if_due(now()) {
                Ok(false) => {}
                Ok(true) => tracing::info!("the certificate was renewed"),
                Err(error) => tracing::error!(%error, "the certificate could not be renewed"),
            }
        }
    }

    /// Takes TLS connections with whatever certificate is shown at the time of each.
    pub(crate) fn acceptor(self: Arc<Self>) -> TlsAcceptor {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .expect("ring has cipher suites for TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_cert_resolver(self);
        config.alpn_protocols = vec![ALPN_HTTP_2.to_vec(), ALPN_HTTP_1_1.to_vec()];
        TlsAcceptor::from(Arc::new(config))
    }

    pub(crate) fn shown(&self) -> Shown {
        // The value is replaced whole, so that a writer's panic cannot leave half of one.
        self.shown
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.shown().key)
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = match self.source {
            Source::Files { .. } => "files",
            Source::BuiltIn { .. } => "built-in CA",
        };
        f.debug_struct("Certificates")
            .field("source", &source)
            .finish_non_exhaustive()
    }
}

/// The one set of cryptography that is used, named here and never taken from the process.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

enum Source {
    Files { certificate: PathBuf, key: PathBuf },
    BuiltIn { ca: Box<Ca>, names: Vec<String> },
}

impl Source {
    fn next(&self, now: Timestamp) -> Result<Shown, CertificateError> {
        match self {
            Self::Files { certificate, key } => Ok(Shown {
                key: Arc::new(pem::load(certificate, key, now)?),
                renew_at: Timestamp::NEVER,
            }),
            Self::BuiltIn { ca, names } => {
                let leaf = ca.issue(names, now)?;
                Ok(Shown {
                    key: Arc::new(leaf.key),
                    renew_at: leaf.renew_at,
                })
            }
        }
    }
}

#[derive(Clone)]
pub(crate) struct Shown {
    pub(crate) key: Arc<CertifiedKey>,
    /// When the built-in CA should issue the next one; never for files.
    renew_at: Timestamp,
}
