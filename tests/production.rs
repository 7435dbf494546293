//! A server with the operator's certificate: HTTPS, its own name, and a renewal without a restart.

#[path = "support/http.rs"]
mod http;
#[path = "peers/pebble.rs"]
mod pebble;
mod support;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anoncam::config::{CertificateFiles, Config, Mode};
use anoncam::server::Server;
use anoncam::tls::acme::Acme;
use rustls::pki_types::CertificateDer;

use support::certificate::{self, files};

const NAME: &str = "chat.example";

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
    get_as(NAME, site, path, trusted)
}

fn get_as(
    name: &'static str,
    site: SocketAddr,
    path: &str,
    trusted: &CertificateDer<'static>,
) -> Result<String, std::io::Error> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(trusted.clone()).expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let server_name = name.try_into().expect("a name");
    let connection = rustls::ClientConnection::new(Arc::new(config), server_name).expect("a connection");
    let tcp = TcpStream::connect((Ipv4Addr::LOCALHOST, site.port()))?;
    tcp.set_read_timeout(Some(support::LONG))?;
    let mut stream = rustls::StreamOwned::new(connection, tcp);
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n")?;
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
    let certificate = certificate::issue(&files, NAME);
    let server = server(&files);
    let answer = get(server.site_addr(), "/client-config.json", &certificate).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains("strict-transport-security: max-age="), "{answer}");
    assert!(answer.contains("connect-src 'self' https://chat.example:4433;"), "{answer}");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
    let config: serde_json::Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(config["webtransport"]["url"], "https://chat.example:4433/v1");
    assert!(config["webtransport"].get("serverCertificateHashes").is_none(), "an authority vouches for it");
    assert_eq!(config["websocket"]["url"], "wss://chat.example/v1");
    assert_eq!(server.page_url(), "https://chat.example");
    server.drain_and_stop(Duration::ZERO).expect("an end");
}

/// Both versions of TLS over TCP; whoever comes again with what they were given is as new as the first time.
#[tokio::test]
async fn who_has_no_webtransport_meets_everybody_over_tls_and_is_given_nothing_to_be_known_by() {
    let directory = tempfile::tempdir().expect("a directory");
    let files = files(directory.path());
    let certificate = certificate::issue(&files, NAME);
    let server = server(&files);
    let world = support::World::beside(server.local_addr(), server.site_addr());
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certificate.clone()).expect("a root");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .expect("a version")
            .with_root_certificates(roots)
            .with_no_client_auth();
        // It keeps what a server gives it, and would show it the second time.
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let knock = async |origin: &str| {
            let address = (Ipv4Addr::LOCALHOST, world.site.port());
            let tcp = tokio::net::TcpStream::connect(address).await.expect("a connection");
            let tls = connector.connect(NAME.try_into().expect("a name"), tcp).await.expect("TLS");
            let connection = tls.get_ref().1;
            assert_eq!(connection.protocol_version(), Some(version.version));
            assert_eq!(connection.handshake_kind(), Some(rustls::HandshakeKind::Full), "{version:?}");
            support::knock_over(tls, &format!("wss://{NAME}/v1"), Some(origin)).await
        };
        assert_eq!(knock("https://evil.example").await.err(), Some(403));
        let mut ada = knock("https://chat.example").await.expect("a WebSocket");
        ada.hello().await;
        let mut ben = world.person().await;
        ben.hello().await;
        ben.find(serde_json::json!({"n": 1, "mode": "text"})).await;
        ben.expect(support::WAITING).await;
        let chat = ada.meets(1).await;
        ada.relay(support::TEXT, chat, b"over TLS").await;
        ben.expect(support::MATCHED).await;
        assert_eq!(ben.expect_relayed(support::TEXT, chat).await, b"over TLS");
        ben.raw(support::LEAVE, b"").await;
    }
    let stopped = tokio::task::spawn_blocking(|| server.drain_and_stop(Duration::ZERO));
    stopped.await.expect("a thread").expect("an end");
}

/// The chain that a server shows over TCP, whoever has signed it.
fn shown(site: SocketAddr) -> Option<Vec<CertificateDer<'static>>> {
    let config = Arc::new(support::tls_client_config(b"http/1.1"));
    let name = NAME.try_into().expect("a name");
    let connection = rustls::ClientConnection::new(config, name).expect("a connection");
    let tcp = TcpStream::connect((Ipv4Addr::LOCALHOST, site.port())).ok()?;
    let mut stream = rustls::StreamOwned::new(connection, tcp);
    stream.conn.complete_io(&mut stream.sock).ok()?;
    stream.conn.peer_certificates().map(|chain| chain.iter().map(|one| one.clone().into_owned()).collect())
}

/// Waits for a certificate with this property; returns it.
fn shown_where(
    site: SocketAddr,
    wanted: impl Fn(&[CertificateDer<'static>]) -> bool,
) -> CertificateDer<'static> {
    // An order that fails on a machine with much else to do is tried again after a minute.
    let deadline = Instant::now() + 5 * support::LONG;
    loop {
        if let Some(chain) = shown(site).filter(|chain| wanted(chain)) {
            return chain[0].clone();
        }
        assert!(Instant::now() < deadline, "a certificate in time");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn an_authority_gives_a_certificate_for_tcp_and_udp_and_another_before_it_expires() {
    let directory = tempfile::tempdir().expect("a directory");
    let port = TcpListener::bind("0.0.0.0:0").expect("a port").local_addr().expect("an address").port();
    // Renewed after two thirds of 18 s.
    let pebble = pebble::Pebble::start(directory.path(), port, 18);
    let state = directory.path().join("state");
    let config = || {
        let acme = Acme {
            directory: pebble.url.clone(),
            contact: Some("mailto:admin@chat.example".to_owned()),
            root: Some(pebble.root.clone()),
            state: state.clone(),
            names: vec![NAME.to_owned(), "www.chat.example".to_owned()],
        };
        let files = CertificateFiles { cert: acme.certificate_file(), key: acme.certificate_file() };
        Config { site: (Ipv4Addr::UNSPECIFIED, port).into(), acme: Some(acme), ..config(&files) }
    };
    let server = Server::start(config()).expect("a server");
    let site = server.site_addr();
    let issued = |chain: &[CertificateDer<'_>]| chain.len() >= 2;
    let first = shown_where(site, issued);
    assert!(first.windows(NAME.len()).any(|part| part == NAME.as_bytes()));
    let mode = std::fs::metadata(&state).expect("the state directory").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let now = the_same_over_quic(site, server.local_addr());
    let second = shown_where(site, |chain| issued(chain) && chain[0] != first && chain[0] != now);
    server.drain_and_stop(Duration::ZERO).expect("an end");

    // After a restart it goes on with what it has, under the same account.
    let kept = config().certificate.expect("a file").cert.with_file_name("account.json");
    let account = std::fs::read(&kept).expect("an account");
    let server = Server::start(config()).expect("a server");
    let chain = shown(server.site_addr()).expect("a chain");
    assert!(chain.len() >= 2 && (chain[0] == second || chain[0] != first), "at once");
    assert_eq!(std::fs::read(&kept).expect("an account"), account);
    server.drain_and_stop(Duration::ZERO).expect("an end");
}

/// Asks over TCP and UDP until no renewal comes in between; returns the certificate of both.
fn the_same_over_quic(site: SocketAddr, listen: SocketAddr) -> CertificateDer<'static> {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    loop {
        let before = shown(site).expect("a chain")[0].clone();
        let over_quic = runtime.block_on(async {
            let endpoint = quinn::Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).expect("a socket");
            let connecting = endpoint.connect_with(support::client_config(), listen, NAME);
            let connection = connecting.expect("a configuration").await.expect("a connection");
            let identity = connection.peer_identity().expect("a certificate");
            identity.downcast::<Vec<CertificateDer<'static>>>().expect("certificates")[0].clone()
        });
        if before == shown(site).expect("a chain")[0] {
            assert!(over_quic == before, "one certificate for both");
            return before;
        }
    }
}

#[test]
fn until_there_is_a_certificate_the_server_lives_and_is_not_ready() {
    let directory = tempfile::tempdir().expect("a directory");
    let acme = Acme {
        directory: "https://127.0.0.1:1/dir".to_owned(),
        contact: None,
        root: None,
        state: directory.path().join("state"),
        names: vec![NAME.to_owned()],
    };
    let files = CertificateFiles { cert: acme.certificate_file(), key: acme.certificate_file() };
    let server = Server::start(Config { acme: Some(acme), ..config(&files) }).expect("a server");
    // What it shows meanwhile is for localhost, which no browser takes for another name.
    let stopgap = shown(server.site_addr()).expect("a chain");
    assert_eq!(stopgap.len(), 1);
    let told = get_as("localhost", server.site_addr(), "/readyz", &stopgap[0]).expect("an answer");
    assert!(told.starts_with("HTTP/1.1 503 ") && told.ends_with("no certificate yet"), "{told}");
    let told = get_as("localhost", server.site_addr(), "/healthz", &stopgap[0]).expect("an answer");
    assert!(told.starts_with("HTTP/1.1 200 "), "{told}");
    assert!(server.drain_and_stop(Duration::ZERO).is_ok());
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
    certificate::issue(&files, NAME);
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
    let first = certificate::issue(&files, NAME);
    let server = server(&files);
    let site = server.site_addr();
    assert!(get(site, "/healthz", &first).is_ok());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let world = support::World::beside(server.local_addr(), site);
    let mut ada = runtime.block_on(world.person());
    runtime.block_on(ada.hello());
    // Nobody tells it.
    let second = certificate::issue(&files, NAME);
    served(site, &second);
    assert!(get(site, "/healthz", &first).is_err(), "the old one is gone");
    let third = certificate::issue(&files, NAME);
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
