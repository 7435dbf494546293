//! `anoncam doctor` beside real relays: what is wrong with one is found, with the command that mends it.

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::Output;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anoncam::config::{Config, Turn};
use anoncam::ops::doctor::{Finding, relays};
use anoncam::privacy::Hidden;
use base64::Engine as _;
use rustls::RootCertStore;

use crate::coturn::Coturn;
use crate::program::anoncam;

const SECRET: &str = "the present secret";

/// What the doctor says of a server with these URLs and these secrets.
fn examined(urls: &[String], secrets: &[&str]) -> Vec<Finding> {
    judged(urls, secrets, RootCertStore::empty())
}

/// The same on a machine that believes these authorities.
fn judged(urls: &[String], secrets: &[&str], roots: RootCertStore) -> Vec<Finding> {
    let secrets = secrets.iter().map(|secret| Hidden::new(secret.as_bytes().to_vec())).collect();
    let turn = Turn { urls: urls.to_vec(), secrets, ttl: Duration::from_secs(600) };
    relays(&Config { turn: Some(turn), ..Config::default() }, &Arc::new(roots))
}

/// One relay with one thing wrong: it is found, and these words are in what is told.
fn is_found(urls: &[String], secrets: &[&str], words: &[&str]) {
    let found = examined(urls, secrets);
    assert!(found.len() == 1 && found[0].is_ill(), "{found:?}");
    let told = found[0].to_string();
    assert!(words.iter().all(|word| told.contains(word)), "{words:?}: {told}");
}

#[test]
fn a_relay_that_does_not_do_is_found_with_what_mends_it() {
    let coturn = Coturn::start(&[SECRET]);
    let turn = [coturn.url()];
    let stun = [turn[0].replace("turn:", "stun:")];
    let over_tcp = [format!("{}?transport=tcp", turn[0])];
    for urls in [&turn, &stun, &over_tcp] {
        let found = examined(urls, &[SECRET]);
        assert!(found.len() == 1 && !found[0].is_ill(), "{found:?}");
    }
    // While one secret follows the other the relay may know one of them only.
    assert!(!examined(&turn, &["the one that follows it", SECRET])[0].is_ill());

    is_found(&turn, &["another"], &["401", "static-auth-secret", "turn.secret_file"]);
    let silent = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let closed = silent.local_addr().expect("an address");
    drop(silent);
    is_found(&[format!("turn:{closed}")], &[SECRET], &["no answer", "systemctl status anoncam-relay"]);
    // No name has a part of 64 letters, so nobody is asked for it.
    is_found(&[format!("turn:{}", "a".repeat(64))], &[SECRET], &["no address", "getent hosts"]);
    // This relay has no certificate, so nothing answers in TLS.
    is_found(&[turn[0].replace("turn:", "turns:")], &[SECRET], &["no answer"]);
}

#[test]
fn a_relay_that_is_open_to_everybody_is_found() {
    let open = Coturn::start_with(|shipped| shipped.replace("use-auth-secret", "no-auth"));
    is_found(&[open.url()], &[SECRET], &["anybody may use it", "use-auth-secret"]);
}

#[test]
fn a_relay_over_tls_is_judged_by_its_certificate_too() {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a certificate");
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = free.local_addr().expect("an address").port();
    drop(free);
    let directory = tempfile::tempdir().expect("a directory");
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| directory.path().join(name));
    for (path, label, der) in [
        (&cert, "CERTIFICATE", made.cert.der().as_ref()),
        (&key, "PRIVATE KEY", &made.signing_key.serialize_der()),
    ] {
        let text = base64::engine::general_purpose::STANDARD.encode(der);
        std::fs::write(path, format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n"))
            .expect("a file");
    }
    let files = format!("cert={}\npkey={}\nstatic-auth-secret={SECRET}\n", cert.display(), key.display());
    let _coturn = Coturn::start_with(|shipped| {
        let with_tls = shipped.replace("\nno-tls\n", "\n");
        with_tls.replace("tls-listening-port=5349", &format!("tls-listening-port={port}")) + &files
    });
    let deadline = Instant::now() + Duration::from_secs(30);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < deadline, "coturn listens for TLS");
        std::thread::sleep(Duration::from_millis(20));
    }
    let urls = [format!("turns:127.0.0.1:{port}")];
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).expect("a root");
    let found = judged(&urls, &[SECRET], roots);
    assert!(found.len() == 1 && !found[0].is_ill(), "{found:?}");
    is_found(&urls, &[SECRET], &["no answer", "certificate"]);
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_doctor_tells_line_by_line_and_by_its_exit_status() {
    let taken = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let examine = |listen: &str| {
        let mut doctor = anoncam(&["doctor"]);
        doctor.env("ANONCAM_LISTEN", listen).env("ANONCAM_SITE", "127.0.0.1:0").output().expect("the program")
    };
    let output = examine(&address);
    let lines = told(&output);
    assert_eq!(output.status.code(), Some(1), "{lines}");
    assert!(
        lines.contains(&format!("MEND  port          {address} (UDP): another program has it")),
        "{lines}"
    );
    assert!(
        lines.contains(&format!("ss -lunp 'sport = :{}'", taken.local_addr().expect("one").port())),
        "{lines}"
    );
    for about in
        ["descriptors", "UDP buffers", "GSO and GRO", "BPF steering", "clock", "certificate", "port", "relay"]
    {
        assert!(lines.lines().any(|line| line[6..].starts_with(about)), "{about}:\n{lines}");
    }
    drop(taken);
    assert!(!told(&examine(&address)).contains("MEND  port"));
}
