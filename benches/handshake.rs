//! What a TLS handshake costs the server, with and without X25519MLKEM768: `cargo bench --bench handshake`.
//!
//! Client and server are rustls in memory, so nothing but cryptography and messages is measured; the client's time is left out. Rounds take
//! turns, and the median of each kind is printed: the ratio is what lasts.

#![allow(clippy::print_stdout)] // What it prints is what it is for.

use std::io::Cursor;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anoncam::tls::{CertificateStore, crypto_provider, server_crypto, site_crypto};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, ServerConfig, ServerConnection};

const ROUNDS: usize = 15;
const HANDSHAKES: u32 = 200;

fn main() {
    let store = Arc::new(CertificateStore::self_made(SystemTime::now()).expect("a certificate"));
    let kinds = [false, true].map(|post_quantum| {
        let server = server_crypto(Arc::clone(&store), post_quantum).expect("a configuration");
        (post_quantum, Arc::new(server), Arc::new(client(post_quantum, &rustls::version::TLS13, b"h3")))
    });
    let mut times = [Vec::new(), Vec::new()];
    let mut bytes = [(0, 0); 2];
    for _ in 0..ROUNDS {
        for (kind, (_, server, client)) in kinds.iter().enumerate() {
            let mut spent = Duration::ZERO;
            for _ in 0..HANDSHAKES {
                let (time, traffic) = handshake(server, client);
                spent += time;
                bytes[kind] = traffic;
            }
            times[kind].push(spent / HANDSHAKES);
        }
    }
    for (kind, (post_quantum, ..)) in kinds.iter().enumerate() {
        times[kind].sort_unstable();
        let name = if *post_quantum { "X25519MLKEM768" } else { "X25519" };
        let (from_client, from_server) = bytes[kind];
        println!(
            "{name:15} {:>6.1} us of server CPU, {from_client} bytes from the client, {from_server} from the server",
            times[kind][ROUNDS / 2].as_secs_f64() * 1e6
        );
    }
    let tls12 = Arc::new(site_crypto(store, false).expect("a configuration"));
    let client = Arc::new(client(false, &rustls::version::TLS12, b"http/1.1"));
    let mut spent: Vec<_> = (0..1_000).map(|_| handshake(&tls12, &client).0).collect();
    spent.sort_unstable();
    println!("TLS 1.2, X25519 {:>6.1} us of server CPU", spent[500].as_secs_f64() * 1e6);
}

/// One handshake: the server's time, and the bytes from client and server.
fn handshake(server: &Arc<ServerConfig>, client: &Arc<ClientConfig>) -> (Duration, (usize, usize)) {
    let name = ServerName::try_from("localhost").expect("a name");
    let mut client = ClientConnection::new(Arc::clone(client), name).expect("a client");
    let begun = Instant::now();
    let mut server = ServerConnection::new(Arc::clone(server)).expect("a server");
    let mut spent = begun.elapsed();
    let mut traffic = (0, 0);
    while client.is_handshaking() || server.is_handshaking() {
        let mut flight = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut flight).expect("memory");
        }
        traffic.0 += flight.len();
        let begun = Instant::now();
        let mut input = Cursor::new(&flight);
        while (input.position() as usize) < flight.len() {
            server.read_tls(&mut input).expect("memory");
            server.process_new_packets().expect("a handshake");
        }
        let mut answer = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut answer).expect("memory");
        }
        spent += begun.elapsed();
        traffic.1 += answer.len();
        let mut input = Cursor::new(&answer);
        while (input.position() as usize) < answer.len() {
            client.read_tls(&mut input).expect("memory");
            client.process_new_packets().expect("a handshake");
        }
    }
    (spent, traffic)
}

fn client(
    post_quantum: bool,
    version: &'static rustls::SupportedProtocolVersion,
    protocol: &[u8],
) -> ClientConfig {
    let provider = if version.version == rustls::ProtocolVersion::TLSv1_2 {
        Arc::new(rustls::crypto::aws_lc_rs::default_provider())
    } else {
        crypto_provider(post_quantum)
    };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .expect("a version")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(NotMeasured))
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    config
}

/// Takes every certificate: the client's part is not measured.
#[derive(Debug)]
struct NotMeasured;

impl ServerCertVerifier for NotMeasured {
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
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        use rustls::SignatureScheme::{ECDSA_NISTP256_SHA256, RSA_PSS_SHA256};
        vec![ECDSA_NISTP256_SHA256, RSA_PSS_SHA256]
    }
}
