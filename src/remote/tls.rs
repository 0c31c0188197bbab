use std::time::Duration;

use reqwest::{Certificate, ClientBuilder, Identity};

use super::connection::Resolver;
use super::files::Material;
use super::{Config, TlsVersion};

/// Shorter than the idle limits of common proxies (60 s and more), so that requests seldom meet a connection that is just
/// being closed; longer than most scrape intervals, so that connections are reused.
const IDLE_CONNECTION: Duration = Duration::from_secs(55);

/// An HTTP/2 connection whose peer is gone would otherwise take request after request into its time-out.
const PING_EVERY: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// The same below HTTP: what we sent and nobody acknowledged ends the connection after this time, and an idle one is asked
/// whether anybody is there. Shorter than `REMOTE_WRITE_TIMEOUT`, so that the next attempt comes earlier.
const UNACKNOWLEDGED: Duration = Duration::from_secs(20);
const IDLE_PROBE: Duration = Duration::from_secs(15);
const PROBE_EVERY: Duration = Duration::from_secs(5);

/// Certificates or keys that cannot be used. Never shows any of them.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The CA text holds no certificate.
    #[error("there is no certificate in the CA text: expected PEM blocks \"BEGIN CERTIFICATE\"")]
    NoCa,
    /// A PEM block is damaged.
    #[error("the {what} cannot be read as PEM: {problem}")]
    Pem {
        /// CA, or client certificate and key.
        what: &'static str,
        /// The reader's words.
        problem: String,
    },
    /// All of it together makes no client.
    #[error("the TLS settings do not fit together: {problem}")]
    Build {
        /// The library's words.
        problem: String,
    },
}

/// Makes ring the process's TLS provider. `main` calls it before anything else; calling it again does nothing.
///
/// Without it reqwest panics when a client is built (crates section 4), so [`super::spawn`] and [`super::check`] call it too.
pub fn install_crypto_provider() {
    // An error means that there is a provider already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// One HTTP client: no redirects, no retries, no proxies of its own accord.
///
/// Names are resolved at every dial, by `getaddrinfo` on the runtime's blocking pool unless there is a `resolver`; answers are
/// not remembered.
pub(super) fn client(
    config: &Config,
    material: &Material,
    resolver: Option<&Resolver>,
) -> Result<reqwest::Client, TlsError> {
    let mut roots: Vec<Certificate> = Vec::new();
    // Without redirects and proxies an http:// endpoint meets no certificate.
    let bundled = if config.url.scheme() == "https" { webpki_root_certs::TLS_SERVER_ROOT_CERTS } else { &[] };
    for root in bundled {
        roots.push(Certificate::from_der(root).map_err(|error| pem_error("bundled roots", &error))?);
    }
    if let Some(ca) = &material.ca {
        let added = Certificate::from_pem_bundle(ca.expose().as_bytes())
            .map_err(|error| pem_error("CA certificates", &error))?;
        if added.is_empty() {
            return Err(TlsError::NoCa);
        }
        roots.extend(added);
    }
    let mut builder = ClientBuilder::new()
        // Not the platform's verifier: it finds no certificates in an empty root file system and fails to build.
        .tls_certs_only(roots)
        .tls_version_min(match config.tls.min_version {
            TlsVersion::Tls12 => reqwest::tls::Version::TLS_1_2,
            TlsVersion::Tls13 => reqwest::tls::Version::TLS_1_3,
        })
        .tls_danger_accept_invalid_certs(config.tls.insecure_skip_verify)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .referer(false)
        .timeout(config.timeout)
        // Shared by all addresses of a name: one that swallows packets leaves time for the next, and for the request.
        .connect_timeout(config.timeout / 2)
        .pool_idle_timeout(IDLE_CONNECTION)
        .tcp_keepalive(IDLE_PROBE)
        .tcp_keepalive_interval(PROBE_EVERY)
        .tcp_user_timeout(UNACKNOWLEDGED)
        .http2_keep_alive_interval(PING_EVERY)
        .http2_keep_alive_timeout(PING_TIMEOUT);
    if let Some(Resolver(resolver)) = resolver {
        builder = builder.dns_resolver(std::sync::Arc::clone(resolver));
    }
    if let Some((certificate, key)) = &material.identity {
        let both = format!("{}\n{}\n", key.expose(), certificate.expose());
        let identity = Identity::from_pem(both.as_bytes())
            .map_err(|error| pem_error("client certificate and key", &error))?;
        builder = builder.identity(identity);
    }
    builder.build().map_err(|error| TlsError::Build { problem: words(&error) })
}

fn pem_error(what: &'static str, error: &reqwest::Error) -> TlsError {
    TlsError::Pem { what, problem: words(error) }
}

fn words(error: &reqwest::Error) -> String {
    let source = std::error::Error::source(error).map(ToString::to_string);
    source.unwrap_or_else(|| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Secret;
    use crate::remote::tests::config;

    fn problem(material: &Material) -> String {
        install_crypto_provider();
        client(&config("https://example/"), material, None).unwrap_err().to_string()
    }

    #[test]
    fn a_client_is_built_from_the_bundled_roots_alone() {
        install_crypto_provider();
        install_crypto_provider();
        assert!(client(&config("https://example/"), &Material::default(), None).is_ok());
    }

    #[test]
    fn a_ca_text_without_a_certificate_is_an_error() {
        let ca = Some(Secret::new("hunter2"));
        let said = problem(&Material { ca, ..Material::default() });
        assert_eq!(said, "there is no certificate in the CA text: expected PEM blocks \"BEGIN CERTIFICATE\"");
    }

    #[test]
    fn a_ca_text_with_a_damaged_certificate_is_an_error() {
        let ca = "-----BEGIN CERTIFICATE-----\naHVudGVyMg==\n-----END CERTIFICATE-----\n";
        let said = problem(&Material { ca: Some(Secret::new(ca)), ..Material::default() });
        assert!(said.starts_with("the TLS settings do not fit together: "), "{said}");
    }

    #[test]
    fn a_key_that_belongs_to_another_certificate_is_an_error() {
        let one = rcgen::generate_simple_self_signed(["client".to_owned()]).unwrap();
        let other = rcgen::KeyPair::generate().unwrap();
        let identity = |key: &rcgen::KeyPair| {
            let pair = (Secret::new(one.cert.pem()), Secret::new(key.serialize_pem()));
            Material { identity: Some(pair), ..Material::default() }
        };
        install_crypto_provider();
        assert!(client(&config("https://example/"), &identity(&one.signing_key), None).is_ok());
        let said = problem(&identity(&other));
        assert!(said.starts_with("the TLS settings do not fit together: "), "{said}");
    }
}
