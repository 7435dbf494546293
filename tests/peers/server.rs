//! The server as an operator runs it: the program in a process of its own, so that its memory can be measured.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use base64::Engine as _;

use super::http;

/// A running program. It ends with the test.
pub struct Program {
    child: Child,
    /// Where the page is served (TCP).
    pub site: SocketAddr,
    /// Where WebTransport is served (UDP).
    pub listen: SocketAddr,
}

impl Program {
    /// Starts it in development mode on free ports of loopback, with more arguments.
    pub fn start(more: &[&str]) -> Self {
        Self::start_with(more, &[])
    }

    /// The same, with settings from the environment.
    pub fn start_with(more: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_anoncam"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ANONCAM_")) {
            command.env_remove(name);
        }
        command.envs(environment.iter().copied());
        command.args(["--listen", "127.0.0.1:0", "--site", "127.0.0.1:0"]).args(more);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the program");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("a line");
        let port = line.trim().rsplit([':', '/']).find_map(|part| part.parse().ok()).expect("a port");
        let site = SocketAddr::from(([127, 0, 0, 1], port));
        let config: serde_json::Value =
            serde_json::from_slice(&http::get(site, "/client-config.json").body).expect("JSON");
        let url = config["webtransport"]["url"].as_str().expect("a URL").to_owned();
        let listen = url.trim_start_matches("https://").trim_end_matches("/v1").parse().expect("an address");
        Self { child, site, listen }
    }

    /// The URL of sessions.
    pub fn url(&self) -> String {
        format!("https://{}/v1", self.listen)
    }

    /// An Origin that may open sessions: the program's own page.
    pub fn origin(&self) -> String {
        format!("http://localhost:{}", self.site.port())
    }

    /// SHA-256 of its certificate, as the page gets it.
    pub fn certificate_hash(&self) -> [u8; 32] {
        let config = self.client_config();
        let hash = config["webtransport"]["serverCertificateHashes"][0].as_str().expect("a hash");
        let bytes = base64::engine::general_purpose::STANDARD.decode(hash).expect("base64");
        bytes.try_into().expect("32 bytes")
    }

    /// Memory of the process that is in RAM, in bytes.
    pub fn resident_bytes(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("a process");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("its memory");
        let kibibytes: usize =
            line.split_whitespace().nth(1).and_then(|word| word.parse().ok()).expect("a number");
        kibibytes * 1_024
    }

    /// What the page is told: where to connect, and how many are online.
    pub fn client_config(&self) -> serde_json::Value {
        serde_json::from_slice(&http::get(self.site, "/client-config.json").body).expect("JSON")
    }

    /// Whether the process lives.
    pub fn lives(&mut self) -> bool {
        self.child.try_wait().expect("a status").is_none()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
