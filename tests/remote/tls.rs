//! TLS against certificates of our own making.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use docker_remote_write::model::Secret;
use docker_remote_write::remote::{Config, Pem, Tls, TlsVersion};
use rcgen::ExtendedKeyUsagePurpose;
use rustls::server::WebPkiClientVerifier;

use super::{append, config, queue, start, timestamps};
use crate::support::certificates::{Authority, plain, versions};
use crate::support::logs;
use crate::support::scripted::{NOTHING, Scripted, serve_tls};

fn endpoint(server: &Scripted, tls: Tls) -> Config {
    Config { tls, ..config(&server.url("/")) }
}

async fn arrives(server: &Scripted, tls: Tls) {
    let queue = queue();
    append(&queue, &[1000]);
    let running = start(endpoint(server, tls), &queue);
    assert_eq!(timestamps(&server.saw(1).await[0]), [1000]);
    running.until_done().await;
    assert_eq!(running.queue.ledger(0).delivered, 1);
}

/// The handshake fails again and again; the sample stays. Returns what is said.
async fn is_retried(server: &Scripted, tls: Tls) -> String {
    let logs = logs::collect();
    let queue = queue();
    append(&queue, &[1000]);
    let running = start(endpoint(server, tls), &queue);
    running.until("failed twice", |running| running.requests("tls") >= 2).await;
    assert_eq!(running.queue.ledger(0).pending, 1);
    assert!(server.seen().is_empty());
    logs.with("cannot deliver").remove(0)
}

#[tokio::test]
async fn a_ca_of_ones_own_is_taken_inline_and_from_a_file() {
    let authority = Authority::new();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ca.pem");
    fs::write(&path, format!("a comment\n{}", authority.pem)).unwrap();
    let from_file = Tls { ca: Some(Pem::File(path)), ..Tls::default() };
    for tls in [authority.inline(), from_file] {
        arrives(&serve_tls(plain(authority.server()), NOTHING).await, tls).await;
    }
}

#[tokio::test]
async fn an_unknown_or_a_wrong_ca_is_retried() {
    let authority = Authority::new();
    for tls in [Tls::default(), Authority::new().inline()] {
        let server = serve_tls(plain(authority.server()), NOTHING).await;
        let said = is_retried(&server, tls).await;
        assert!(
            said.contains("reason=tls") && said.contains("invalid peer certificate: UnknownIssuer"),
            "{said}"
        );
    }
}

#[tokio::test]
async fn a_certificate_for_another_name_is_retried() {
    let authority = Authority::new();
    let wrong = authority.sign("localhost", ExtendedKeyUsagePurpose::ServerAuth);
    let said = is_retried(&serve_tls(plain(wrong), NOTHING).await, authority.inline()).await;
    assert!(said.contains("certificate not valid for name"), "{said}");
}

#[tokio::test]
async fn a_mended_ca_file_is_used_without_a_restart() {
    let authority = Authority::new();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ca.pem");
    fs::write(&path, Authority::new().pem).unwrap();
    let server = serve_tls(plain(authority.server()), NOTHING).await;
    let queue = queue();
    append(&queue, &[1000]);
    let tls = Tls { ca: Some(Pem::File(path.clone())), ..Tls::default() };
    let running =
        start(Config { reload_interval: Some(Duration::from_millis(10)), ..endpoint(&server, tls) }, &queue);
    running.until("refused", |running| running.requests("tls") >= 1).await;
    fs::write(&path, &authority.pem).unwrap();
    running.until_done().await;
    assert_eq!(running.queue.ledger(0).delivered, 1);
}

#[tokio::test]
async fn a_client_certificate_is_shown_when_there_is_one_and_asked_for() {
    let authority = Authority::new();
    let client = authority.sign("client", ExtendedKeyUsagePurpose::ClientAuth);
    let mutual = || {
        let ring = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(authority.roots()), ring);
        let builder = versions(rustls::ALL_VERSIONS).with_client_cert_verifier(verifier.build().unwrap());
        let server = authority.server();
        builder.with_single_cert(server.chain, server.private).unwrap()
    };
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("client.pem"), &client.certificate).unwrap();
    fs::write(at("key.pem"), &client.key).unwrap();
    let files = (Pem::File(at("client.pem")), Pem::File(at("key.pem")));
    let inline = (Pem::Inline(Secret::new(client.certificate)), Pem::Inline(Secret::new(client.key)));
    for identity in [files, inline] {
        let server = serve_tls(mutual(), NOTHING).await;
        arrives(&server, Tls { identity: Some(identity), ..authority.inline() }).await;
    }
    // TLS 1.3 says so only after the handshake; it is a TLS failure all the same (crates section 4).
    let said = is_retried(&serve_tls(mutual(), NOTHING).await, authority.inline()).await;
    assert!(said.contains("CertificateRequired"), "{said}");
}

#[tokio::test]
async fn skipping_verification_takes_any_certificate_and_warns() {
    let logs = logs::collect();
    let server = serve_tls(plain(Authority::new().server()), NOTHING).await;
    arrives(&server, Tls { insecure_skip_verify: true, ..Tls::default() }).await;
    assert_eq!(logs.with("REMOTE_WRITE_TLS_INSECURE_SKIP_VERIFY is on").len(), 1);
}

#[tokio::test]
async fn an_older_tls_than_the_minimum_is_refused() {
    let authority = Authority::new();
    let only_12 = || {
        let server = authority.server();
        let builder = versions(&[&rustls::version::TLS12]).with_no_client_auth();
        builder.with_single_cert(server.chain, server.private).unwrap()
    };
    arrives(&serve_tls(only_12(), NOTHING).await, authority.inline()).await;
    let tls = Tls { min_version: TlsVersion::Tls13, ..authority.inline() };
    let said = is_retried(&serve_tls(only_12(), NOTHING).await, tls).await;
    assert!(said.contains("ProtocolVersion"), "{said}");
}

#[tokio::test]
async fn http_2_is_spoken_where_the_server_offers_it() {
    let authority = Authority::new();
    let mut offers_h2 = plain(authority.server());
    offers_h2.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let server = serve_tls(offers_h2, NOTHING).await;
    arrives(&server, authority.inline()).await;
    assert!(server.seen()[0].line.ends_with("HTTP/2.0"), "{}", server.seen()[0].line);
}
