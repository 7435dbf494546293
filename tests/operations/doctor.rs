//! `anoncam doctor` beside real relays: what is wrong with one is found, with the command that mends it.

use std::net::UdpSocket;
use std::process::Output;
use std::sync::Arc;

use anoncam::config::{Config, Turn};
use anoncam::ops::doctor::{Finding, relays};
use anoncam::privacy::Hidden;
use rustls::RootCertStore;

use crate::coturn::Coturn;
use crate::program::anoncam;

const SECRET: &str = "the present secret";

/// What the doctor says of a server with these URLs and these secrets.
fn examined(urls: &[String], secrets: &[&str]) -> Vec<Finding> {
    let secrets = secrets.iter().map(|secret| Hidden::new(secret.as_bytes().to_vec())).collect();
    let turn = Turn { urls: urls.to_vec(), secrets, ttl: std::time::Duration::from_secs(600) };
    relays(&Config { turn: Some(turn), ..Config::default() }, &Arc::new(RootCertStore::empty()))
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
