//! Certificates of our own making.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use docker_remote_write::model::Secret;
use docker_remote_write::remote::{Pem, Tls};
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{RootCertStore, ServerConfig};

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A CA and what it signs.
pub(crate) struct Authority {
    pub(crate) pem: String,
    der: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

pub(crate) struct Identity {
    pub(crate) certificate: String,
    pub(crate) key: String,
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) private: PrivateKeyDer<'static>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        // Two authorities of one name would differ by their signatures only.
        params.distinguished_name.push(DnType::CommonName, format!("ca {}", NUMBER.fetch_add(1, Relaxed)));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { pem: certificate.pem(), der: certificate.der().clone(), issuer: Issuer::new(params, key) }
    }

    pub(crate) fn sign(&self, name: &str, usage: ExtendedKeyUsagePurpose) -> Identity {
        self.sign_with(name, usage, |_| ())
    }

    /// A server's, that ran out in 2001.
    pub(crate) fn expired(&self) -> Identity {
        self.sign_with("127.0.0.1", ExtendedKeyUsagePurpose::ServerAuth, |params| {
            (params.not_before, params.not_after) =
                (rcgen::date_time_ymd(2000, 1, 1), rcgen::date_time_ymd(2001, 1, 1));
        })
    }

    fn sign_with(
        &self,
        name: &str,
        usage: ExtendedKeyUsagePurpose,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Identity {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.extended_key_usages = vec![usage];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Identity {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
            chain: vec![certificate.der().clone()],
            private: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        }
    }

    pub(crate) fn server(&self) -> Identity {
        self.sign("127.0.0.1", ExtendedKeyUsagePurpose::ServerAuth)
    }

    pub(crate) fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).unwrap();
        roots
    }

    pub(crate) fn inline(&self) -> Tls {
        Tls { ca: Some(Pem::Inline(Secret::new(&self.pem))), ..Tls::default() }
    }
}

pub(crate) fn versions(
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> rustls::ConfigBuilder<ServerConfig, rustls::WantsVerifier> {
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    ServerConfig::builder_with_provider(ring).with_protocol_versions(versions).unwrap()
}

pub(crate) fn plain(identity: Identity) -> ServerConfig {
    let builder = versions(rustls::ALL_VERSIONS).with_no_client_auth();
    builder.with_single_cert(identity.chain, identity.private).unwrap()
}
