//! A server with the operator's certificate: HTTPS, its own name, and a renewal without a restart.

#[path = "support/http.rs"]
mod http;
mod support;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anoncam::config::{CertificateFiles, Config, Mode};
use anoncam::server::Server;
use base64::Engine as _;
use rustls::pki_types::CertificateDer;

const NAME: &str = "chat.example";

/// Puts a new certificate into the files; returns it.
fn issue(files: &CertificateFiles) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(vec![NAME.to_owned()]).expect("a certificate");
    let pem = |label: &str, der: &[u8]| {
        let text = base64::engine::general_purpose::STANDARD.encode(der);
        format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
    };
    std::fs::write(&files.cert, pem("CERTIFICATE", made.cert.der())).expect("a file");
    std::fs::write(&files.key, pem("PRIVATE KEY", &made.signing_key.serialize_der())).expect("a file");
    made.cert.der().clone()
}

fn files(directory: &Path) -> CertificateFiles {
    CertificateFiles { cert: directory.join("cert.pem"), key: directory.join("key.pem") }
}

fn config(files: &CertificateFiles) -> Config {
    Config {
        listen: (Ipv4Addr::LOCALHOST, 0).into(),
        // Not loopback, so the site speaks TLS; the test reaches it over loopback all the same.
        site: (Ipv4Addr::UNSPECIFIED, 0).into(),
        shards: 1,
        certificate: Some(files.clone()),
        public_url: Some(format!("https://{NAME}:4433")),
        origins: vec![format!("https://{NAME}")],
        ..Config::default()
    }
}

fn server(files: &CertificateFiles) -> Server {
    let config = config(files);
    assert!(config.mode() == Mode::Production && config.site_is_https());
    Server::start(config).expect("a server")
}

/// One GET over TLS that trusts exactly this certificate; the answer with its head.
fn get(site: SocketAddr, path: &str, trusted: &CertificateDer<'static>) -> Result<String, std::io::Error> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(trusted.clone()).expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = NAME.try_into().expect("a name");
    let connection = rustls::ClientConnection::new(Arc::new(config), name).expect("a connection");
    let tcp = TcpStream::connect((Ipv4Addr::LOCALHOST, site.port()))?;
    tcp.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut stream = rustls::StreamOwned::new(connection, tcp);
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    match stream.read_to_string(&mut answer) {
        // The server may close TCP without TLS's goodbye once the answer is complete.
        Err(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => Err(error),
        _ => Ok(answer),
    }
}

#[test]
fn the_site_speaks_https_under_its_own_name() {
    let directory = tempfile::tempdir().expect("a directory");
    let files = files(directory.path());
    let certificate = issue(&files);
    let server = server(&files);
    let answer = get(server.site_addr(), "/client-config.json", &certificate).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains("strict-transport-security: max-age="), "{answer}");
    assert!(answer.contains("connect-src 'self' https://chat.example:4433;"), "{answer}");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
    let config: serde_json::Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(config["webtransport"]["url"], "https://chat.example:4433/v1");
    assert!(config["webtransport"].get("serverCertificateHashes").is_none(), "an authority vouches for it");
    assert_eq!(server.page_url(), "https://chat.example");
    server.drain_and_stop(Duration::ZERO).expect("an end");
}

/// Waits until the site serves this certificate.
fn served(site: SocketAddr, certificate: &CertificateDer<'static>) {
    let deadline = Instant::now() + support::LONG;
    while get(site, "/healthz", certificate).is_err() {
        assert!(Instant::now() < deadline, "the new certificate is served in time");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn who_comes_without_tls_is_sent_to_the_page() {
    let directory = tempfile::tempdir().expect("a directory");
    let files = files(directory.path());
    issue(&files);
    let config = Config { redirect: Some((Ipv4Addr::LOCALHOST, 0).into()), ..config(&files) };
    let server = Server::start(config).expect("a server");
    let redirect = server.redirect_addr().expect("an address");
    for name in [NAME, "evil.example"] {
        let answer = http::ask(redirect, "GET", "/privacy?a=b", &[("Host", name)]);
        assert_eq!((answer.status, answer.header("location")), (308, "https://chat.example/privacy?a=b"));
    }
    server.drain_and_stop(Duration::ZERO).expect("an end");
}

#[test]
fn a_renewed_certificate_is_served_without_a_restart_and_drops_nobody_and_a_broken_one_is_not() {
    let directory = tempfile::tempdir().expect("a directory");
    let files = files(directory.path());
    let first = issue(&files);
    let server = server(&files);
    let site = server.site_addr();
    assert!(get(site, "/healthz", &first).is_ok());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let world = support::World::beside(server.local_addr(), site);
    let mut ada = runtime.block_on(world.person());
    runtime.block_on(ada.hello());
    // Nobody tells it.
    let second = issue(&files);
    served(site, &second);
    assert!(get(site, "/healthz", &first).is_err(), "the old one is gone");
    let third = issue(&files);
    server.reload().expect("a pair");
    assert!(get(site, "/healthz", &third).is_ok(), "at once, when it is told");
    std::fs::write(&files.key, "not a key").expect("a file");
    assert!(server.reload().is_err());
    assert!(get(site, "/healthz", &third).is_ok(), "the one in use stays");
    runtime.block_on(async {
        ada.find(serde_json::json!({"n": 1, "mode": "text"})).await;
        assert_eq!(ada.expect(support::WAITING).await["n"], 1);
    });
    server.drain_and_stop(Duration::ZERO).expect("an end");
}
