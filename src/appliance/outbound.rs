//! The way out, as the configuration wants it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    RootCertStore,
    pki_types::{
        CertificateDer,
        pem::{Error as PemError, PemObject},
    },
};

use crate::{
    config::{Config, environment::Environment},
    mcp::upstreams::{Connect, SystemConnect},
    runtime::{
        child::Launcher,
        outbound::{NamedServers, Outbound, Resolve, SystemDialer, SystemResolver},
    },
};

/// The file of `egress_ca` cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("egress_ca: expected PEM certificates in {}, found none that can be used: {why}", path.display())]
pub struct EgressCaError {
    path: PathBuf,
    why: String,
}

/// Every way to another server.
pub(super) struct Ways {
    /// To whatever may be fetched.
    pub(super) outbound: Outbound,
    /// To other MCP servers behind this one.
    pub(super) upstreams: Arc<dyn Connect>,
}

impl Ways {
    /// The ways that the configuration wants. Children are begun by `launcher`, with values from
    /// `environment`.
    pub(super) fn open(
        config: &Config,
        environment: &Environment,
        launcher: Launcher,
    ) -> Result<Self, EgressCaError> {
        let roots = roots(config.egress_ca.as_deref())?;
        let resolver = SystemResolver::from_system().ok();
        let resolver = resolver.map(|resolver| Box::new(resolver) as Box<dyn Resolve>);
        let servers = NamedServers::new(resolver, SystemDialer, roots.clone());
        let connect = SystemConnect::new(launcher, environment.clone(), servers);
        Ok(Self {
            outbound: open(config, roots),
            upstreams: Arc::new(connect),
        })
    }
}

/// The way out, or none.
///
/// A machine without name servers has none either: that is how an air-gapped one looks, and it has
/// to start.
fn open(config: &Config, roots: RootCertStore) -> Outbound {
    if !config.egress.is_on() {
        return Outbound::off();
    }
    if roots.is_empty() {
        tracing::warn!("this machine trusts no certificate authority: nothing can be fetched");
    }
    match SystemResolver::from_system() {
        Ok(resolver) => {
            let allowed = config.egress_allow.clone();
            Outbound::new(resolver, SystemDialer, roots, allowed)
        }
        Err(error) => {
            tracing::warn!(%error, "this machine has no name servers: nothing is fetched, as with --egress off");
            Outbound::off()
        }
    }
}

/// Whom the machine trusts, and whom the owner does besides.
fn roots(own: Option<&Path>) -> Result<RootCertStore, EgressCaError> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in found.errors {
        tracing::warn!(%error, "a certificate authority of this machine cannot be read");
    }
    roots.add_parsable_certificates(found.certs);
    if let Some(path) = own {
        add_own(&mut roots, path).map_err(|why| EgressCaError {
            path: path.to_owned(),
            why,
        })?;
    }
    Ok(roots)
}

fn add_own(roots: &mut RootCertStore, path: &Path) -> Result<(), String> {
    let own: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<_, _>>)
        .map_err(|error: PemError| error.to_string())?;
    if own.is_empty() {
        return Err("the file has no certificate".to_owned());
    }
    own.into_iter()
        .try_for_each(|certificate| roots.add(certificate))
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_owners_authority_is_trusted_besides_the_machines() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("ca.pem");
        let ca = rcgen::generate_simple_self_signed(["ca.lan".to_owned()]).expect("a certificate");
        fs::write(&path, ca.cert.pem()).expect("a file");
        let without = roots(None).expect("the machine's").len();
        assert_eq!(roots(Some(&path)).expect("both").len(), without + 1);
    }

    #[test]
    fn a_file_without_a_certificate_is_refused_by_name() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("ca.pem");
        for content in [
            "",
            "nothing",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ] {
            fs::write(&path, content).expect("a file");
            let error = roots(Some(&path)).expect_err("no certificate").to_string();
            assert!(error.contains("ca.pem"), "{error}");
        }
        assert!(roots(Some(&directory.path().join("none.pem"))).is_err());
    }
}
