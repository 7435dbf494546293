//! Around step 1: certificates and the cryptography of a connection.
//!
//! In: a certificate of the operator's, or none. Out: [`server_crypto`] for QUIC and [`site_crypto`] for HTTPS, which
//! ask the [`CertificateStore`] at each handshake, so that a certificate is replaced without a restart.
//!
//! Nothing here lets two visits be linked: no session ticket, no resumption, no early data (DESIGN.md, privacy rules).

pub mod acme;
mod chain;
mod files;
mod self_made;
mod store;
mod validity;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{self, cipher_suite, kx_group};
use rustls::server::NoServerSessionStorage;
use rustls::{SupportedCipherSuite, SupportedProtocolVersion};

pub use chain::excess_warning;
#[cfg(test)]
pub(crate) use files::tests::pem as test_pem;
pub use files::{CertificateError, load_certificate};
pub use self_made::{SelfMade, SelfMadeParts};
pub use store::CertificateStore;

/// The one application protocol over QUIC (RFC 9114, section 3.1).
const ALPN_HTTP3: &[u8] = b"h3";
const ALPN_HTTP1: &[u8] = b"http/1.1";
/// What an authority asks for that looks whether a name leads here (RFC 8737, section 6.2). Nothing is spoken over it.
pub const ALPN_ACME: &[u8] = b"acme-tls/1";

/// What rustls is allowed to use over QUIC: TLS 1.3 only, the cheapest suite first.
///
/// AES-128-GCM-SHA256 leads: SHA-384 alone takes 8 % of a handshake, and its state is larger. With `post_quantum` X25519MLKEM768 is taken
/// where a client sends a share of it: what is recorded today cannot be read by a quantum computer later (docs/DECISIONS.md has what it costs).
pub fn crypto_provider(post_quantum: bool) -> Arc<CryptoProvider> {
    let groups = [kx_group::X25519MLKEM768, kx_group::X25519, kx_group::SECP256R1];
    Arc::new(CryptoProvider {
        cipher_suites: TLS13_SUITES.to_vec(),
        kx_groups: groups[usize::from(!post_quantum)..].to_vec(),
        ..aws_lc_rs::default_provider()
    })
}

const TLS13_SUITES: [SupportedCipherSuite; 3] = [
    cipher_suite::TLS13_AES_128_GCM_SHA256,
    cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
    cipher_suite::TLS13_AES_256_GCM_SHA384,
];

/// For browsers before 2019 and for proxies: forward secrecy and authenticated encryption only, as all of rustls's.
const TLS12_SUITES: [SupportedCipherSuite; 6] = [
    cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
];

/// The TLS side of QUIC connections.
pub fn server_crypto(
    store: Arc<CertificateStore>,
    post_quantum: bool,
) -> Result<rustls::ServerConfig, rustls::Error> {
    config(store, crypto_provider(post_quantum), &[&rustls::version::TLS13], &[ALPN_HTTP3])
}

/// The TLS side of the site, where it is not plain HTTP on loopback: TLS 1.3 and 1.2.
pub fn site_crypto(
    store: Arc<CertificateStore>,
    post_quantum: bool,
) -> Result<rustls::ServerConfig, rustls::Error> {
    let mut provider = CryptoProvider::clone(&crypto_provider(post_quantum));
    provider.cipher_suites.extend(TLS12_SUITES);
    let versions = [&rustls::version::TLS13, &rustls::version::TLS12];
    config(store, Arc::new(provider), &versions, &[ALPN_HTTP1, ALPN_ACME])
}

fn config(
    store: Arc<CertificateStore>,
    provider: Arc<CryptoProvider>,
    versions: &[&'static SupportedProtocolVersion],
    protocols: &[&[u8]],
) -> Result<rustls::ServerConfig, rustls::Error> {
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)?
        .with_no_client_auth()
        .with_cert_resolver(store);
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    config.send_tls13_tickets = 0;
    // TLS 1.2 has sessions and tickets too: neither is kept or given.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.max_early_data_size = 0;
    // Suites are ours to choose: a client's preference would bring back the dearer one.
    config.ignore_client_order = true;
    config.require_ems = true;
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
        for config in [server_crypto(store(), true), site_crypto(store(), true)] {
            let config = config.expect("a configuration");
            assert_eq!(config.send_tls13_tickets, 0);
            assert_eq!(config.max_early_data_size, 0);
            assert!(!config.session_storage.can_cache());
            assert!(!config.ticketer.enabled());
            assert!(!config.key_log.will_log("CLIENT_HANDSHAKE_TRAFFIC_SECRET"));
        }
    }

    #[test]
    fn the_cheapest_suite_is_taken_whatever_the_client_prefers() {
        let suites: Vec<_> =
            crypto_provider(true).cipher_suites.iter().map(rustls::SupportedCipherSuite::suite).collect();
        assert_eq!(suites[0], rustls::CipherSuite::TLS13_AES_128_GCM_SHA256);
        assert_eq!(suites.len(), 3);
        assert!(server_crypto(store(), true).expect("a configuration").ignore_client_order);
    }

    #[test]
    fn old_tls_is_spoken_over_tcp_only_and_post_quantum_keys_where_they_are_wanted() {
        let site = site_crypto(store(), false).expect("a configuration");
        let suites = &site.crypto_provider().cipher_suites;
        assert_eq!(suites.iter().filter(|suite| suite.tls13().is_none()).count(), 6);
        let quic = server_crypto(store(), true).expect("a configuration");
        assert!(quic.crypto_provider().cipher_suites.iter().all(|suite| suite.tls13().is_some()));
        let first = |config: &rustls::ServerConfig| config.crypto_provider().kx_groups[0].name();
        assert_eq!(first(&quic), rustls::NamedGroup::X25519MLKEM768);
        assert_eq!(first(&site), rustls::NamedGroup::X25519);
    }
}
