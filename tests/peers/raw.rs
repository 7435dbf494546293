//! A client on bare QUIC that says whatever a test wants it to say.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::rustls::QuicClientConfig;
use quinn::{
    ClientConfig, Connection, ConnectionError, Endpoint, RecvStream, SendStream, TransportConfig, VarInt,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

use super::wire;

/// How long anything may take before a test fails. Generous: machines that run tests are busy.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for something that has to happen.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("{what}: nothing within {PATIENCE:?}"))
}

/// Trusts every certificate: what is tested here is not TLS.
#[derive(Debug)]
struct TrustAll(Arc<rustls::crypto::CryptoProvider>);

impl ServerCertVerifier for TrustAll {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("QUIC has TLS 1.3".into()))
    }
    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// TLS that trusts every certificate and speaks HTTP/3.
pub fn tls() -> rustls::ClientConfig {
    tls_with(rustls::crypto::aws_lc_rs::default_provider())
}

/// The same, with a hello that fits into one packet: without a post-quantum key.
pub fn small_tls() -> rustls::ClientConfig {
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    provider.kx_groups = vec![rustls::crypto::aws_lc_rs::kx_group::X25519];
    tls_with(provider)
}

fn tls_with(provider: rustls::crypto::CryptoProvider) -> rustls::ClientConfig {
    let provider = Arc::new(provider);
    let mut tls = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(TrustAll(provider)))
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"h3".to_vec()];
    tls
}

/// An endpoint of its own port, with this transport.
pub fn endpoint(transport: TransportConfig) -> Endpoint {
    endpoint_at(Ipv4Addr::LOCALHOST, tls(), transport)
}

/// An endpoint at an address of this machine.
pub fn endpoint_at(address: Ipv4Addr, tls: rustls::ClientConfig, transport: TransportConfig) -> Endpoint {
    let mut endpoint = Endpoint::client(SocketAddr::from((address, 0))).expect("a socket");
    let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).expect("a configuration")));
    config.transport_config(Arc::new(transport));
    endpoint.set_default_client_config(config);
    endpoint
}

/// A connection, and what keeps it alive.
pub struct Raw {
    pub endpoint: Endpoint,
    pub quic: Connection,
    /// Streams that have to stay open as long as the connection.
    kept: Vec<SendStream>,
}

impl Raw {
    /// Connects and says nothing.
    pub async fn silent(server: SocketAddr) -> Self {
        Self::with(server, TransportConfig::default()).await
    }

    /// Connects with a transport of the test's own.
    pub async fn with(server: SocketAddr, transport: TransportConfig) -> Self {
        Self::through(endpoint(transport), server).await
    }

    /// Connects through an endpoint that others may use too.
    pub async fn through(endpoint: Endpoint, server: SocketAddr) -> Self {
        let connecting = endpoint.connect(server, "localhost").expect("an attempt");
        let quic = soon("a handshake", connecting).await.expect("a connection");
        Self { endpoint, quic, kept: Vec::new() }
    }

    /// Connects and sends SETTINGS.
    pub async fn connect(server: SocketAddr) -> Self {
        let mut raw = Self::silent(server).await;
        raw.uni(&wire::control()).await;
        raw
    }

    /// Opens a unidirectional stream with these bytes and keeps it open.
    pub async fn uni(&mut self, bytes: &[u8]) {
        let mut stream = soon("a stream", self.quic.open_uni()).await.expect("a stream");
        // A stream that is refused at once may not take the bytes: then the refusal is what the test looks for.
        let _ = stream.write_all(bytes).await;
        self.kept.push(stream);
    }

    /// Opens a bidirectional stream with these bytes.
    pub async fn bidi(&self, bytes: &[u8]) -> (SendStream, RecvStream) {
        let (mut send, receive) = soon("a stream", self.quic.open_bi()).await.expect("a stream");
        let _ = send.write_all(bytes).await;
        (send, receive)
    }

    /// Sends a whole request and gives all bytes of the response.
    pub async fn ask(&self, request: &[u8]) -> Vec<u8> {
        let (mut send, mut receive) = self.bidi(request).await;
        let _ = send.finish();
        soon("a response", receive.read_to_end(65_536)).await.expect("a whole response")
    }

    /// Opens a session; gives its CONNECT stream once the 200 is there.
    pub async fn session(&self) -> (SendStream, RecvStream) {
        self.session_by(&wire::connect("/v1", None)).await
    }

    /// The same by a CONNECT of the test's own making.
    pub async fn session_by(&self, connect: &[u8]) -> (SendStream, RecvStream) {
        let (send, mut receive) = self.bidi(connect).await;
        let mut head = [0; 5];
        soon("a response", receive.read_exact(&mut head)).await.expect("a response");
        assert_eq!(head[4], 0xd9, "status 200 is entry 25 of QPACK's static table: {head:?}");
        let mut rest = vec![0; usize::from(head[1]) - 3];
        soon("a response", receive.read_exact(&mut rest)).await.expect("the rest of it");
        (send, receive)
    }

    /// Opens the channel of the session on `connect`.
    pub async fn channel(&self, connect: &SendStream) -> (SendStream, RecvStream) {
        self.bidi(&wire::channel_header(VarInt::from(connect.id()).into_inner())).await
    }

    /// The HTTP/3 error with which the server closes the connection.
    pub async fn closed_with(&self) -> u64 {
        match soon("the end of the connection", self.quic.closed()).await {
            ConnectionError::ApplicationClosed(close) => close.error_code.into_inner(),
            other => panic!("{other:?}"),
        }
    }
}
