//! A real coturn with the configuration of deploy/, on a port of loopback.

use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anoncam::config::IceUrl;
use anoncam::core::ice::{Credential, IceConfig};
use anoncam::core::io::Time;
use anoncam::ops::doctor::relay::Relay;
use anoncam::privacy::Hidden;
use rustls::RootCertStore;

/// A relay that ends with the test.
pub struct Coturn {
    child: Child,
    pub port: u16,
    pub directory: tempfile::TempDir,
}

impl Coturn {
    /// The shipped configuration and what an operator fills in. Loopback is denied by it; the relay's own address, where two
    /// hidden people meet, is allowed here as it would be on the internet.
    pub fn start(secrets: &[&str]) -> Self {
        let lines: Vec<_> = secrets.iter().map(|secret| format!("static-auth-secret={secret}")).collect();
        Self::start_with(|shipped| shipped + &lines.join("\n") + "\n")
    }

    /// The same with its configuration changed by `change`.
    pub fn start_with(change: impl FnOnce(String) -> String) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let free = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/relay/turnserver.conf");
        let run = directory.path().display().to_string();
        let mut text = std::fs::read_to_string(shipped)
            .expect("a file")
            .replace("/run/anoncam-relay", &run)
            .replace("listening-port=3478", &format!("listening-port={port}"));
        for address in ["127.0.0.1", "::1"] {
            text.extend(["listening-ip=", address, "\nrelay-ip=", address, "\n"]);
        }
        text += "allow-loopback-peers\nallowed-peer-ip=127.0.0.1\n";
        let text = change(text);
        let config = directory.path().join("turnserver.conf");
        std::fs::write(&config, text).expect("a file");
        let child = Command::new("turnserver")
            .arg("-c")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("coturn is installed (scripts/setup.sh)");
        let coturn = Self { child, port, directory };
        let deadline = Instant::now() + Duration::from_secs(30);
        while coturn.client().bind().is_err() {
            assert!(Instant::now() < deadline, "coturn answers");
            std::thread::sleep(Duration::from_millis(20));
        }
        coturn
    }

    pub fn url(&self) -> String {
        format!("turn:127.0.0.1:{}", self.port)
    }

    pub fn client(&self) -> Relay {
        let url = self.url();
        Relay::connect(&IceUrl::parse(&url).expect("a URL"), &Arc::new(RootCertStore::empty()))
            .expect("a socket")
    }
}

impl Drop for Coturn {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A credential as the server makes them, of this secret and this many seconds from now.
pub fn credential(secret: &str, seconds: i64, random: u64) -> Credential {
    let secrets = [Hidden::new(secret.as_bytes().to_vec())];
    let ice = IceConfig::new(&["turn:relay.example".to_owned()], &secrets, 0);
    let expires = unix_s().saturating_add_signed(seconds);
    ice.servers(Time(0), expires, random)[0].credential.clone().expect("a credential")
}

pub fn unix_s() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a time").as_secs()
}

pub fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}
