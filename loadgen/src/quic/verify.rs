//! Which server certificates are believed: a pinned hash, the system's authorities, or any (`--insecure`).
//!
//! In: the certificate of a handshake. Out: accepted, or an error whose text says what to do about it.

use std::sync::Arc;

use super::cold;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, CipherSuite, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// SHA-256 of a DER certificate.
pub type CertHash = [u8; 32];

/// Where Debian and most others keep the authorities that they trust.
const SYSTEM_ROOTS: &[&str] =
    &["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// Which server certificates are believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// One of these hashes, as a browser's `serverCertificateHashes`.
    Hashes(Vec<CertHash>),
    /// The system's certificate authorities.
    System,
    /// Any certificate: the server is not authenticated.
    Anything,
}

/// A rustls client configuration for TLS 1.3 with small keys and no resumption.
pub fn tls_config(trust: &Trust, alpn: &[u8]) -> Result<rustls::ClientConfig, String> {
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    // AES-128-GCM first: half the key schedule of AES-256, SHA-256 instead of SHA-384, and keys that are small at rest.
    provider.cipher_suites.retain(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
    provider.cipher_suites.splice(0..0, cold::suite());
    // X25519 alone: the client offers one share, and a hybrid one would make the first flight two datagrams.
    provider.kx_groups.retain(|group| group.name() == rustls::NamedGroup::X25519);
    let provider = Arc::new(provider);
    let verifier = verifier(trust, &provider)?;
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| format!("TLS 1.3 is not available: {error}"))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.resumption = rustls::client::Resumption::disabled();
    config.alpn_protocols = vec![alpn.to_vec()];
    Ok(config)
}

fn verifier(trust: &Trust, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, String> {
    Ok(match trust {
        Trust::System => {
            let roots = Arc::new(system_roots()?);
            WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider))
                .build()
                .map_err(|error| format!("the system's certificate authorities cannot be used: {error}"))?
        }
        Trust::Hashes(hashes) => {
            Arc::new(PinVerifier { hashes: Some(hashes.clone()), provider: Arc::clone(provider) })
        }
        Trust::Anything => Arc::new(PinVerifier { hashes: None, provider: Arc::clone(provider) }),
    })
}

fn system_roots() -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for path in SYSTEM_ROOTS {
        let Ok(certificates) = CertificateDer::pem_file_iter(path) else { continue };
        roots.add_parsable_certificates(certificates.filter_map(Result::ok));
        break;
    }
    if roots.is_empty() {
        return Err("no certificate authorities found on this system: use --cert-hash or --insecure".into());
    }
    Ok(roots)
}

/// Accepts certificates by hash (or all of them); the signature of the handshake is checked in any case.
#[derive(Debug)]
struct PinVerifier {
    /// `None` accepts any certificate.
    hashes: Option<Vec<CertHash>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PinVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(hashes) = &self.hashes else { return Ok(ServerCertVerified::assertion()) };
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, end_entity);
        if hashes.iter().any(|pinned| pinned.as_slice() == hash.as_ref()) {
            return Ok(ServerCertVerified::assertion());
        }
        Err(CertificateError::UnknownIssuer.into())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("QUIC uses TLS 1.3 only".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
