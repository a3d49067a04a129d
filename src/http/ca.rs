//! The built-in CA: made once, kept in the data directory, and signer of short-lived leaves.

use std::{
    fs::{File, OpenOptions, rename},
    io::{self, ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, date_time_ymd,
};
use rustls::{
    pki_types::{CertificateDer, PrivatePkcs8KeyDer, pem::PemObject},
    sign::CertifiedKey,
};

use crate::{
    http::{
        pem::{self, CertificateError},
        tls::provider,
    },
    model::timestamp::Timestamp,
};

/// The CA's certificate, for everyone.
const CERTIFICATE_FILE: &str = "ca.crt";
/// The CA's key, for the owner of the directory only.
const KEY_FILE: &str = "ca.key";
const CERTIFICATE_MODE: u32 = 0o644;
const KEY_MODE: u32 = 0o600;

const DAY: Duration = Duration::from_hours(24);
/// Ten years: whoever trusts it does so by hand, and should not have to again.
const CA_LIFE: Duration = DAY.saturating_mul(3652);
/// A stolen leaf is of use no longer than this.
const LEAF_LIFE: Duration = DAY.saturating_mul(90);
/// A third of its life before it ends.
const LEAF_RENEWED_AFTER: Duration = DAY.saturating_mul(60);
/// For clients whose clock is behind.
const BACKDATED: Duration = Duration::from_hours(1);

/// The CA, ready to sign.
pub(crate) struct Ca {
    pem: String,
    expires_at: Timestamp,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate for a server, with its key.
pub(crate) struct Leaf {
    pub(crate) key: CertifiedKey,
    pub(crate) renew_at: Timestamp,
}

impl Ca {
    /// The CA of `directory`; a new one if there is none.
    pub(crate) fn load_or_make(directory: &Path, now: Timestamp) -> Result<Self, CertificateError> {
        let files = Files {
            certificate: directory.join(CERTIFICATE_FILE),
            key: directory.join(KEY_FILE),
        };
        let (certificate, key) = (find(&files.certificate)?, find(&files.key)?);
        match (certificate, key) {
            (Some(certificate), Some(key)) => files.parse(&certificate, &key, now),
            (None, None) => files.make(directory, now),
            (None, Some(_)) => Err(CertificateError::HalfCa {
                missing: files.certificate,
                found: files.key,
            }),
            (Some(_), None) => Err(CertificateError::HalfCa {
                missing: files.key,
                found: files.certificate,
            }),
        }
    }

    /// Its certificate in PEM.
    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for these host names and IP addresses, with a key of its own.
    pub(crate) fn issue(&self, names: &[String], now: Timestamp) -> Result<Leaf, CertificateError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::new(names.to_vec())?;
        params.distinguished_name = named("Keystead");
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let ends_at = now.after(LEAF_LIFE).min(self.expires_at);
        set_validity(&mut params, now, ends_at);
        let certificate = params.signed_by(&key, &self.issuer)?;
        let private = PrivatePkcs8KeyDer::from(key.serialize_der());
        let key =
            CertifiedKey::from_der(vec![certificate.der().clone()], private.into(), &provider())?;
        Ok(Leaf {
            key,
            renew_at: now.after(LEAF_RENEWED_AFTER),
        })
    }
}

struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

impl Files {
    fn parse(
        &self,
        certificate: &[u8],
        key: &[u8],
        now: Timestamp,
    ) -> Result<Ca, CertificateError> {
        let wrong = |path: &Path, expected, found: String| CertificateError::Content {
            path: path.to_owned(),
            expected,
            found,
        };
        let pem = String::from_utf8_lossy(certificate).into_owned();
        let der = CertificateDer::from_pem_slice(certificate).map_err(|error| {
            wrong(
                &self.certificate,
                "the built-in CA's certificate in PEM",
                error.to_string(),
            )
        })?;
        let key = KeyPair::from_pem(&String::from_utf8_lossy(key))
            .map_err(|error| wrong(&self.key, "the built-in CA's key in PEM", error.to_string()))?;
        let parsed = pem::parse(&der, &self.certificate)?;
        if !parsed.is_ca() {
            let found = "that of a server".to_owned();
            return Err(wrong(&self.certificate, "the certificate of a CA", found));
        }
        if parsed.public_key().subject_public_key.data != key.public_key_raw() {
            return Err(CertificateError::KeyMismatch {
                certificate: self.certificate.clone(),
                key: self.key.clone(),
            });
        }
        let expires_at = pem::expiry(&der, &self.certificate)?;
        if expires_at.has_passed(now) {
            return Err(CertificateError::CaExpired {
                path: self.certificate.clone(),
                expired_at: expires_at,
            });
        }
        Ok(Ca {
            pem,
            expires_at,
            issuer: Issuer::from_ca_cert_der(&der, key)?,
        })
    }

    fn make(&self, directory: &Path, now: Timestamp) -> Result<Ca, CertificateError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::default();
        // Its own name for every box: a browser may trust several, and leaves have another yet,
        // for what has its issuer's name passes for self-signed.
        let number = params.key_identifier(&key)[..4]
            .iter()
            .fold(0, |number: u32, byte| (number << 8) | u32::from(*byte));
        params.distinguished_name = named(&format!("Keystead CA {number:08x}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        set_validity(&mut params, now, now.after(CA_LIFE));
        let certificate = params.self_signed(&key)?.pem();
        let key = key.serialize_pem();
        // The key first: a crash between the two leaves a key that no one trusts yet.
        write_new(directory, &self.key, key.as_bytes(), KEY_MODE)?;
        write_new(
            directory,
            &self.certificate,
            certificate.as_bytes(),
            CERTIFICATE_MODE,
        )?;
        self.parse(certificate.as_bytes(), key.as_bytes(), now)
    }
}

fn named(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

fn set_validity(params: &mut CertificateParams, begins_at: Timestamp, ends_at: Timestamp) {
    let date = |at: Timestamp| date_time_ymd(1970, 1, 1) + Duration::from_secs(at.seconds());
    params.not_before = date(begins_at.before(BACKDATED));
    params.not_after = date(ends_at);
}

/// What is in a file, if there is one.
fn find(path: &Path) -> Result<Option<Vec<u8>>, CertificateError> {
    match pem::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(CertificateError::Unreadable { source, .. })
            if source.kind() == ErrorKind::NotFound =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Puts a file in its place, whole and on disk, or not at all.
///
/// Whoever calls holds the data directory and has seen that the place is free.
fn write_new(
    directory: &Path,
    path: &Path,
    bytes: &[u8],
    mode: u32,
) -> Result<(), CertificateError> {
    let temporary = path.with_extension("new");
    let write = || -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(mode);
        let mut file = options.open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        rename(&temporary, path)?;
        File::open(directory)?.sync_all()
    };
    write().map_err(|source| CertificateError::Unwritable {
        path: path.to_owned(),
        source,
    })
}
