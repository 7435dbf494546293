//! One world for the end-to-end tests: a real server on free ports, and people who talk to it through web-transport-quinn,
//! a client by other people. A test reads like a story: who says what, and what they expect to hear.

#![allow(dead_code, missing_docs, clippy::unwrap_used)] // Each test file uses its part of the world.

mod websocket;

pub mod certificate;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anoncam::config::Config;
use anoncam::server::Server;
use serde_json::{Value, json};
use web_transport_quinn::{RecvStream, SendStream, Session};

#[allow(unused_imports)] // Some tests know WebTransport only.
pub use websocket::{SocketPerson, knock as knock_at_site, knock_over};

/// What nothing in these tests takes, on however slow a machine.
pub const LONG: Duration = Duration::from_secs(60);

pub const HELLO: u8 = 0x01;
pub const FIND: u8 = 0x02;
pub const LEAVE: u8 = 0x03;
pub const REPORT: u8 = 0x04;
pub const BLOCK: u8 = 0x05;
pub const WELCOME: u8 = 0x41;
pub const WAITING: u8 = 0x42;
pub const MATCHED: u8 = 0x43;
pub const ENDED: u8 = 0x44;
pub const PEER: u8 = 0x45;
pub const NOTICE: u8 = 0x46;
pub const DRAIN: u8 = 0x47;
pub const SIGNAL: u8 = 0x81;
pub const TEXT: u8 = 0x82;

/// A server of its own for one test.
pub struct World {
    server: Option<Box<Server>>,
    /// Holds the certificate of a production server.
    _directory: Option<tempfile::TempDir>,
    pub address: SocketAddr,
    pub site: SocketAddr,
}

impl World {
    pub fn new(shards: u16) -> Self {
        Self::with(|config| config.shards = shards)
    }

    /// A server with a configuration changed by `change`.
    pub fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            site: (Ipv4Addr::LOCALHOST, 0).into(),
            shards: 2,
            ..Config::default()
        };
        change(&mut config);
        let server = Server::start(config).expect("the server starts");
        Self {
            address: server.local_addr(),
            site: server.site_addr(),
            server: Some(Box::new(server)),
            _directory: None,
        }
    }

    /// A server in production, on loopback, with a configuration changed by `change`.
    pub fn production(change: impl FnOnce(&mut Config)) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let files = certificate::files(directory.path());
        certificate::issue(&files, "chat.example");
        let world = Self::with(|config| {
            config.certificate = Some(files);
            config.public_url = Some("https://chat.example".to_owned());
            change(config);
        });
        Self { _directory: Some(directory), ..world }
    }

    /// The world around a server that runs as a program of its own.
    pub fn beside(address: SocketAddr, site: SocketAddr) -> Self {
        Self { server: None, _directory: None, address, site }
    }

    pub fn server(&self) -> &Server {
        self.server.as_ref().expect("the server runs")
    }

    /// The server, which the world goes on without.
    pub fn take(&mut self) -> Server {
        *self.server.take().expect("the server runs")
    }

    /// Stops the server on a thread of its own, as a signal would; the handle ends when it has stopped.
    pub fn stop(&mut self, within: Duration) -> tokio::task::JoinHandle<std::io::Result<()>> {
        let server = self.server.take().expect("the server runs");
        tokio::task::spawn_blocking(move || server.drain_and_stop(within))
    }

    pub fn url(&self) -> String {
        format!("https://{}/v1", self.address)
    }

    /// Somebody on a network of their own (a socket of their own).
    pub async fn person(&self) -> Person {
        let endpoint = quinn::Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        self.person_at(&endpoint).await
    }

    /// Somebody on a network that others may share.
    pub async fn person_at(&self, endpoint: &quinn::Endpoint) -> Person {
        let session = self.session_at(endpoint).await.expect("the session opens");
        Person::new(session, endpoint.clone()).await
    }

    pub async fn session_at(
        &self,
        endpoint: &quinn::Endpoint,
    ) -> Result<Session, web_transport_quinn::ClientError> {
        let url: url::Url = self.url().parse().unwrap();
        web_transport_quinn::Client::new(endpoint.clone(), client_config()).connect(url).await
    }

    /// Two people in a text chat, and its number.
    pub async fn chat(&self) -> (Person, Person, u32) {
        let mut ada = self.person().await;
        let mut ben = self.person().await;
        ada.hello().await;
        ben.hello().await;
        let chat = meet(&mut ada, &mut ben).await;
        (ada, ben, chat)
    }
}

/// A frame's bytes.
pub fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut header = (payload.len() as u32).to_be_bytes();
    header[0] = kind;
    [&header, payload].concat()
}

/// Both look for a stranger and find each other.
pub async fn meet(ada: &mut Person, ben: &mut Person) -> u32 {
    ada.find(json!({"n": 1, "mode": "text"})).await;
    ben.find(json!({"n": 1, "mode": "text"})).await;
    let chat = ada.expect(MATCHED).await["chat"].as_u64().unwrap() as u32;
    assert_eq!(ben.expect(MATCHED).await["chat"], chat);
    chat
}

/// Trusts any certificate: what is tested here is not TLS.
pub fn client_config() -> quinn::ClientConfig {
    let tls = tls_client_config(b"h3");
    quinn::ClientConfig::new(Arc::new(quinn::crypto::rustls::QuicClientConfig::try_from(tls).unwrap()))
}

/// The same for any protocol over TLS 1.3.
pub fn tls_client_config(protocol: &[u8]) -> rustls::ClientConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(TrustAnybody(provider)))
        .with_no_client_auth();
    tls.alpn_protocols = vec![protocol.to_vec()];
    tls
}

#[derive(Debug)]
struct TrustAnybody(Arc<rustls::crypto::CryptoProvider>);

impl rustls::client::danger::ServerCertVerifier for TrustAnybody {
    fn verify_server_cert(
        &self,
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &[rustls::pki_types::CertificateDer<'_>],
        _: &rustls::pki_types::ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        unreachable!("TLS 1.3 only")
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &rustls::pki_types::CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// One client with an open channel.
pub struct Person {
    pub session: Session,
    pub endpoint: quinn::Endpoint,
    pub send: SendStream,
    pub recv: RecvStream,
    /// The newest token.
    pub token: String,
}

impl Person {
    pub async fn new(session: Session, endpoint: quinn::Endpoint) -> Self {
        let (send, recv) = session.open_bi().await.expect("the channel opens");
        Self { session, endpoint, send, recv, token: String::new() }
    }

    /// Says HELLO and hears WELCOME.
    pub async fn hello(&mut self) -> Value {
        self.say(HELLO, &json!({"v": 1})).await;
        self.welcome().await
    }

    /// Comes back with a token.
    pub async fn resume(&mut self, token: &str) -> Value {
        self.say(HELLO, &json!({"v": 1, "resume": token})).await;
        self.welcome().await
    }

    async fn welcome(&mut self) -> Value {
        let welcome = self.expect(WELCOME).await;
        welcome["session"].as_str().unwrap().clone_into(&mut self.token);
        welcome
    }

    pub async fn find(&mut self, wishes: Value) {
        self.say(FIND, &wishes).await;
    }

    /// Sends a control frame.
    pub async fn say(&mut self, kind: u8, payload: &Value) {
        self.raw(kind, payload.to_string().as_bytes()).await;
    }

    /// Sends a relayed frame.
    pub async fn relay(&mut self, kind: u8, chat: u32, bytes: &[u8]) {
        self.raw(kind, &[&chat.to_be_bytes(), bytes].concat()).await;
    }

    /// Sends a frame of whatever kind.
    pub async fn raw(&mut self, kind: u8, payload: &[u8]) {
        assert!(self.try_raw(kind, payload).await, "the channel is open");
    }

    /// Sends a frame of whatever kind, unless the channel is closed.
    pub async fn try_raw(&mut self, kind: u8, payload: &[u8]) -> bool {
        tokio::time::timeout(LONG, self.send.write_all(&frame(kind, payload))).await.expect("in time").is_ok()
    }

    /// The next frame.
    pub async fn hear(&mut self) -> (u8, Vec<u8>) {
        tokio::time::timeout(LONG, self.hear_if_any()).await.expect("a frame in time").expect("a frame")
    }

    /// The next frame, or `None` when the channel has ended.
    pub async fn hear_if_any(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut header = [0; 4];
        self.recv.read_exact(&mut header).await.ok()?;
        let kind = std::mem::take(&mut header[0]);
        let mut payload = vec![0; u32::from_be_bytes(header) as usize];
        self.recv.read_exact(&mut payload).await.ok()?;
        Some((kind, payload))
    }

    /// The next control frame of this kind; WAITING on the way is skipped.
    pub async fn expect(&mut self, kind: u8) -> Value {
        let heard = async {
            loop {
                let (heard, payload) = self.hear().await;
                if heard == kind {
                    return serde_json::from_slice(&payload).expect("JSON");
                }
                assert_eq!(heard, WAITING, "instead of {kind:#x}: {}", String::from_utf8_lossy(&payload));
            }
        };
        tokio::time::timeout(LONG, heard).await.expect("the frame in time")
    }

    /// The next frame is a relayed one; returns its opaque bytes.
    pub async fn expect_relayed(&mut self, kind: u8, chat: u32) -> Vec<u8> {
        let (heard, payload) = self.hear().await;
        assert_eq!(heard, kind, "{}", String::from_utf8_lossy(&payload));
        assert_eq!(payload[..4], chat.to_be_bytes());
        payload[4..].to_vec()
    }

    /// Waits until the server has closed the session; returns code and reason.
    pub async fn closed(&mut self) -> (u32, String) {
        closed(&self.session).await
    }
}

/// Waits until the server has closed a session; returns code and reason.
pub async fn closed(session: &Session) -> (u32, String) {
    use web_transport_quinn::{SessionError, WebTransportError};
    match tokio::time::timeout(LONG, session.closed()).await.expect("closed in time") {
        SessionError::WebTransportError(WebTransportError::Closed(code, reason)) => (code, reason),
        other => panic!("closed without a code: {other}"),
    }
}
