//! Around step 1: certificates and the cryptography of a connection.
//!
//! In: a certificate of the operator's, or none. Out: [`server_crypto`] for QUIC and [`site_crypto`] for HTTPS, which
//! ask the [`CertificateStore`] at each handshake, so that a certificate is replaced without a restart.
//!
//! Nothing here lets two visits be linked: no session ticket, no resumption, no early data (DESIGN.md, privacy rules).

mod files;
mod self_made;
mod store;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{self, cipher_suite, kx_group};
use rustls::server::NoServerSessionStorage;

#[cfg(test)]
pub(crate) use files::tests::pem as test_pem;
pub use files::{CertificateError, load_certificate};
pub use self_made::{SelfMade, SelfMadeParts};
pub use store::CertificateStore;

/// The one application protocol over QUIC (RFC 9114, section 3.1).
const ALPN_HTTP3: &[u8] = b"h3";
const ALPN_HTTP1: &[u8] = b"http/1.1";

/// What rustls is allowed to use: TLS 1.3 only, the cheapest suite first.
///
/// AES-128-GCM-SHA256 leads: SHA-384 alone takes 8 % of a handshake, and its state is larger.
pub fn crypto_provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        cipher_suites: vec![
            cipher_suite::TLS13_AES_128_GCM_SHA256,
            cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
            cipher_suite::TLS13_AES_256_GCM_SHA384,
        ],
        kx_groups: vec![kx_group::X25519, kx_group::SECP256R1],
        ..aws_lc_rs::default_provider()
    })
}

/// The TLS side of QUIC connections.
pub fn server_crypto(store: Arc<CertificateStore>) -> Result<rustls::ServerConfig, rustls::Error> {
    config(store, ALPN_HTTP3)
}

/// The TLS side of the site, where it is not plain HTTP on loopback.
pub fn site_crypto(store: Arc<CertificateStore>) -> Result<rustls::ServerConfig, rustls::Error> {
    config(store, ALPN_HTTP1)
}

fn config(store: Arc<CertificateStore>, protocol: &[u8]) -> Result<rustls::ServerConfig, rustls::Error> {
    let mut config = rustls::ServerConfig::builder_with_provider(crypto_provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_cert_resolver(store);
    config.alpn_protocols = vec![protocol.to_vec()];
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.max_early_data_size = 0;
    // Suites are ours to choose: a client's preference would bring back the dearer one.
    config.ignore_client_order = true;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> Arc<CertificateStore> {
        Arc::new(CertificateStore::self_made(std::time::SystemTime::now()).expect("a certificate"))
    }

    #[test]
    fn nothing_links_two_visits() {
        let config = server_crypto(store()).expect("a configuration");
        assert_eq!(config.send_tls13_tickets, 0);
        assert_eq!(config.max_early_data_size, 0);
        assert!(!config.session_storage.can_cache());
        assert!(!config.ticketer.enabled());
        assert!(!config.key_log.will_log("CLIENT_HANDSHAKE_TRAFFIC_SECRET"));
    }

    #[test]
    fn the_cheapest_suite_is_taken_whatever_the_client_prefers() {
        let suites: Vec<_> =
            crypto_provider().cipher_suites.iter().map(rustls::SupportedCipherSuite::suite).collect();
        assert_eq!(suites[0], rustls::CipherSuite::TLS13_AES_128_GCM_SHA256);
        assert_eq!(suites.len(), 3);
        assert!(server_crypto(store()).expect("a configuration").ignore_client_order);
    }
}
