//! The built-in CA: made once, kept in the data directory, and signer of short-lived leaves.

use std::{
    fs::{File, OpenOptions, remove_file, rename},
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
        // As URLs have them, IPv6 addresses come in brackets.
        let names = names
            .iter()
            .map(|name| name.trim_matches(['[', ']']).to_owned());
        let mut params = CertificateParams::new(names.collect::<Vec<_>>())?;
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
    let temporary = path.with_added_extension("new");
    let write = || -> io::Result<()> {
        // What a crash has left there may have another mode, and would keep it.
        match remove_file(&temporary) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&temporary)?;
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

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use tempfile::TempDir;
    use x509_parser::{
        certificate::X509Certificate,
        extensions::{GeneralName, ParsedExtension},
        prelude::FromDer,
    };

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

    fn directory() -> TempDir {
        TempDir::new().expect("a directory")
    }

    fn load(directory: &TempDir, now: Timestamp) -> Result<Ca, CertificateError> {
        Ca::load_or_make(directory.path(), now)
    }

    fn refusal(directory: &TempDir, now: Timestamp) -> String {
        let refused = load(directory, now).err();
        refused.expect("it cannot be used").to_string()
    }

    #[test]
    fn it_is_made_once() {
        let directory = directory();
        let pem = load(&directory, NOW).expect("a new CA").pem;
        let files = || {
            let mut names: Vec<_> = fs::read_dir(directory.path())
                .expect("a directory")
                .map(|entry| entry.expect("an entry").file_name())
                .collect();
            names.sort();
            names
        };
        assert_eq!(files(), [CERTIFICATE_FILE, KEY_FILE]);
        assert_eq!(load(&directory, NOW).expect("the same CA").pem, pem);
        assert_eq!(files(), [CERTIFICATE_FILE, KEY_FILE]);
    }

    #[test]
    fn only_the_owner_reads_the_key() {
        let directory = directory();
        // As a crash could have left it.
        let left = directory.path().join(KEY_FILE).with_added_extension("new");
        fs::write(&left, "half a key").expect("written");
        load(&directory, NOW).expect("a new CA");
        let metadata = fs::metadata(directory.path().join(KEY_FILE)).expect("a key");
        assert_eq!(metadata.permissions().mode() & 0o777, KEY_MODE);
    }

    #[test]
    fn half_of_it_is_an_error_and_stays() {
        for (gone, left) in [(KEY_FILE, CERTIFICATE_FILE), (CERTIFICATE_FILE, KEY_FILE)] {
            let directory = directory();
            load(&directory, NOW).expect("a new CA");
            remove_file(directory.path().join(gone)).expect("removed");
            let before = fs::read(directory.path().join(left)).expect("the other half");
            let error = refusal(&directory, NOW);
            assert!(error.contains(&format!(
                "found no {}",
                directory.path().join(gone).display()
            )));
            assert!(!directory.path().join(gone).exists());
            assert_eq!(
                fs::read(directory.path().join(left)).expect("still there"),
                before
            );
        }
    }

    #[test]
    fn what_is_no_ca_is_told() {
        let (one, other) = (directory(), directory());
        let server = load(&one, NOW)
            .expect("a CA")
            .issue(&["box.lan".into()], NOW);
        load(&other, NOW).expect("another CA");
        let server = server.expect("a leaf").key.cert[0].to_vec();
        let server = pem_of(&server);
        let copy = fs::read_to_string(other.path().join(KEY_FILE)).expect("a key");
        for (file, content, says) in [
            (
                CERTIFICATE_FILE,
                "junk",
                "expected the built-in CA's certificate in PEM",
            ),
            (CERTIFICATE_FILE, &server, "found that of a server"),
            (KEY_FILE, "junk", "expected the built-in CA's key in PEM"),
            (KEY_FILE, &copy, "found that of another"),
        ] {
            let path = one.path().join(file);
            let before = fs::read(&path).expect("a file");
            fs::write(&path, content).expect("written");
            let error = refusal(&one, NOW);
            assert!(error.contains(says), "{error}");
            fs::write(&path, before).expect("put back");
        }
        assert!(load(&one, NOW).is_ok());
    }

    fn pem_of(der: &[u8]) -> String {
        use base64::{Engine, engine::general_purpose::STANDARD};
        let text = STANDARD.encode(der);
        format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
    }

    #[test]
    fn it_ends_and_its_leaves_not_later() {
        let directory = directory();
        let ca = load(&directory, NOW).expect("a CA");
        let (end, shortly) = (NOW.after(CA_LIFE), NOW.after(CA_LIFE).before(DAY));
        let leaf = ca.issue(&["box.lan".into()], shortly).expect("a leaf");
        let ends_at = pem::expiry(&leaf.key.cert[0], directory.path()).expect("an expiry");
        assert_eq!(ends_at, end);
        assert!(load(&directory, shortly).is_ok());
        assert!(refusal(&directory, end).contains("remove it and its key"));
    }

    #[test]
    fn a_name_that_is_none_is_an_error() {
        let directory = directory();
        let ca = load(&directory, NOW).expect("a CA");
        assert!(ca.issue(&["büchse.lan".into()], NOW).is_err());
    }

    #[test]
    fn a_leaf_is_what_clients_want_of_one() {
        let directory = directory();
        let ca = load(&directory, NOW).expect("a CA");
        let names = ["box.lan", "192.0.2.1", "[2001:db8::1]"].map(str::to_owned);
        let leaf = ca.issue(&names, NOW).expect("a leaf");
        let der = leaf.key.cert[0].to_vec();
        let (_, leaf) = X509Certificate::from_der(&der).expect("a certificate");
        let authority = CertificateDer::from_pem_slice(ca.pem.as_bytes()).expect("a CA");
        let (_, authority) = X509Certificate::from_der(&authority).expect("a CA");

        leaf.verify_signature(Some(authority.public_key()))
            .expect("signed by the CA");
        assert_eq!(leaf.issuer(), authority.subject());
        assert_ne!(leaf.issuer(), leaf.subject());
        assert_eq!(leaf.validity().not_before.timestamp(), 1_790_000_000 - 3600);
        assert_eq!(
            leaf.validity().not_after.timestamp(),
            1_790_000_000 + 90 * 24 * 3600
        );
        assert!(!leaf.is_ca());
        let usage = leaf
            .extended_key_usage()
            .expect("readable")
            .expect("there")
            .value;
        assert!(usage.server_auth && !usage.client_auth && !usage.any);
        let usage = leaf.key_usage().expect("readable").expect("there").value;
        assert!(usage.digital_signature() && !usage.key_cert_sign());
        let alternatives = leaf
            .subject_alternative_name()
            .expect("readable")
            .expect("there");
        let ipv6 = "2001:db8::1"
            .parse()
            .map(|address: std::net::Ipv6Addr| address.octets());
        assert_eq!(
            alternatives.value.general_names,
            [
                GeneralName::DNSName("box.lan"),
                GeneralName::IPAddress(&[192, 0, 2, 1]),
                GeneralName::IPAddress(&ipv6.expect("an address")),
            ]
        );
        assert_eq!(authority_key(&leaf), subject_key(&authority));
    }

    fn authority_key(certificate: &X509Certificate<'_>) -> Vec<u8> {
        let found = certificate.iter_extensions().find_map(|extension| {
            match extension.parsed_extension() {
                ParsedExtension::AuthorityKeyIdentifier(key) => key.key_identifier.clone(),
                _ => None,
            }
        });
        found.expect("an AKI").0.to_vec()
    }

    fn subject_key(certificate: &X509Certificate<'_>) -> Vec<u8> {
        let found = certificate.iter_extensions().find_map(|extension| {
            match extension.parsed_extension() {
                ParsedExtension::SubjectKeyIdentifier(key) => Some(key),
                _ => None,
            }
        });
        found.expect("an SKI").0.to_vec()
    }
}
