//! An authority that speaks ACME, by other people: Pebble, with a name server for it. Both from Debian.

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running authority; killed when the test ends.
pub struct Pebble {
    programs: Vec<Child>,
    /// Its directory.
    pub url: String,
    /// PEM file with the root of its own certificate.
    pub root: PathBuf,
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port()
}

impl Pebble {
    /// An authority that finds every name on this machine and looks at `site_port`; its certificates are good for `life_s` seconds.
    pub fn start(directory: &Path, site_port: u16, life_s: u64) -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
        let (root, key) = (directory.join("pebble.pem"), directory.join("pebble.key"));
        std::fs::write(&root, made.cert.pem()).expect("a file");
        std::fs::write(&key, made.signing_key.serialize_pem()).expect("a file");
        // Ports are free when they are looked for; somebody may have taken one meanwhile.
        (0..20).find_map(|_| Self::try_start(directory, &root, &key, site_port, life_s)).expect("free ports")
    }

    /// The same on ports that are free now; `None` if they are not any more.
    fn try_start(directory: &Path, root: &Path, key: &Path, site_port: u16, life_s: u64) -> Option<Self> {
        let names = UdpSocket::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
        let (port, management) = (free_port(), free_port());
        let config = serde_json::json!({"pebble": {
            "listenAddress": format!("127.0.0.1:{port}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": root,
            "privateKey": key,
            "httpPort": free_port(),
            "tlsPort": site_port,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": false,
            "certificateValidityPeriod": life_s,
        }});
        let file = directory.join("pebble.json");
        std::fs::write(&file, config.to_string()).expect("a file");
        let mut name_server = Command::new("pebble-challtestsrv");
        name_server.args(["-defaultIPv4", "127.0.0.1", "-defaultIPv6", "", "-dns01", &names.to_string()]);
        name_server.args(["-http01", "", "-https01", "", "-tlsalpn01", "", "-management", ""]);
        let mut authority = Command::new("pebble");
        authority.arg("-config").arg(&file).args(["-dnsserver", &names.to_string()]);
        authority.env("PEBBLE_VA_NOSLEEP", "1");
        let run = |command: &mut Command| {
            let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            quiet.spawn().expect("pebble is installed by scripts/setup.sh")
        };
        let programs = vec![run(&mut name_server), run(&mut authority)];
        let url = format!("https://localhost:{port}/dir");
        let mut pebble = Self { programs, url, root: root.to_owned() };
        let deadline = Instant::now() + Duration::from_secs(120);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if pebble.has_ended() {
                return None;
            }
            assert!(Instant::now() < deadline, "the authority starts in time");
            std::thread::sleep(Duration::from_millis(50));
        }
        (!pebble.has_ended()).then_some(pebble)
    }

    fn has_ended(&mut self) -> bool {
        self.programs.iter_mut().any(|program| program.try_wait().expect("a status").is_some())
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        for program in &mut self.programs {
            let _ = program.kill();
            let _ = program.wait();
        }
    }
}
