//! A server listens where its configuration says, and nowhere else; the configuration is the one that is shipped.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::Stdio;

use crate::deploy::adopted;
use crate::program::{Guarded, anoncam};

/// A port that no other test gets: from below those that the system gives out.
fn free_port(after: u16) -> u16 {
    let all = Ipv6Addr::UNSPECIFIED;
    let free = |port: &u16| TcpListener::bind((all, *port)).is_ok() && UdpSocket::bind((all, *port)).is_ok();
    (after + 1..32_000).find(free).expect("a free port")
}

/// What a process listens on: `tcp [::]:443`, `unix /run/control`.
fn listening(process: u32) -> BTreeSet<String> {
    let directory = format!("/proc/{process}");
    let links = std::fs::read_dir(format!("{directory}/fd")).expect("its files");
    let inodes: BTreeSet<String> = links
        .filter_map(|link| std::fs::read_link(link.ok()?.path()).ok())
        .filter_map(|name| Some(name.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let table = |name: &str| std::fs::read_to_string(format!("{directory}/net/{name}")).expect("a table");
    let mut found = BTreeSet::new();
    for (kind, name) in [("tcp", "tcp"), ("tcp", "tcp6"), ("udp", "udp"), ("udp", "udp6")] {
        for line in table(name).lines().skip(1) {
            let columns: Vec<_> = line.split_whitespace().collect();
            let listens = kind == "udp" || columns[3] == "0A";
            if listens && inodes.contains(columns[9]) {
                found.insert(format!("{kind} {}", address(columns[1])));
            }
        }
    }
    for line in table("unix").lines().skip(1) {
        let columns: Vec<_> = line.split_whitespace().collect();
        let listens = columns[3] == "00010000";
        if listens && inodes.contains(columns[6]) {
            found.insert(format!("unix {}", columns.get(7).copied().unwrap_or_default()));
        }
    }
    found
}

/// An address as the kernel's tables write it: words as they lie in memory, in hexadecimal.
fn address(text: &str) -> SocketAddr {
    let (ip, port) = text.split_once(':').expect("a port");
    let word = |at: usize| u32::from_str_radix(&ip[at..at + 8], 16).expect("hexadecimal").to_ne_bytes();
    let bytes: Vec<u8> = (0..ip.len()).step_by(8).flat_map(word).collect();
    let ip = match <[u8; 4]>::try_from(bytes.as_slice()) {
        Ok(bytes) => IpAddr::V4(Ipv4Addr::from(bytes)),
        Err(_) => IpAddr::V6(<[u8; 16]>::try_from(bytes).expect("16 bytes").into()),
    };
    SocketAddr::new(ip, u16::from_str_radix(port, 16).expect("hexadecimal"))
}

/// Runs the program with a configuration until it says that it serves.
fn run(config: &Path) -> Guarded {
    let mut command = anoncam(&["--log", "off", "--shards", "2", "--config"]);
    let child = command.arg(config).stdout(Stdio::piped()).spawn().expect("the program");
    let mut server = Guarded(child);
    let mut line = String::new();
    BufReader::new(server.0.stdout.as_mut().expect("a pipe")).read_line(&mut line).expect("a line");
    assert_eq!(line, "AnonCam is ready: open https://chat.example\n");
    server
}

#[test]
fn the_shipped_configuration_listens_where_it_says_and_nowhere_else() {
    let directory = tempfile::tempdir().expect("a directory");
    let control = directory.path().join("control.sock");
    let listen = free_port(20_000 + (std::process::id() % 10_000) as u16);
    let site = free_port(listen);
    let redirect = free_port(site);
    let metrics = free_port(redirect);
    let config = adopted(directory.path(), |shipped| {
        let shipped = shipped
            .replace("\"[::]:4433\"", &format!("\"[::]:{listen}\""))
            .replace("\"[::]:443\"", &format!("\"[::]:{site}\""))
            .replace("\"[::]:80\"", &format!("\"[::]:{redirect}\""))
            .replace("127.0.0.1:9464", &format!("127.0.0.1:{metrics}"));
        // Nobody is asked for a certificate.
        shipped.replace("\n[acme]\n", "\n[acme]\ndirectory = \"https://127.0.0.1:1/directory\"\n")
    });
    let server = run(&config);
    let expected = [
        format!("udp [::]:{listen}"),
        format!("tcp [::]:{site}"),
        format!("tcp [::]:{redirect}"),
        format!("tcp 127.0.0.1:{metrics}"),
        format!("tcp [::1]:{metrics}"),
        format!("unix {}", control.display()),
    ];
    assert_eq!(listening(server.0.id()), expected.into());

    // A newer process listens on the same, and the older one on nothing that newcomers reach but the group that it left.
    let told = anoncam(&["upgrade", "--control"]).arg(&control).output().expect("the program");
    let told = String::from_utf8(told.stdout).expect("UTF-8");
    let heir = told.strip_prefix("process ").and_then(|rest| rest.split(' ').next()).expect("its number");
    let heir: u32 = heir.parse().expect("a number");
    let of_heir = listening(heir);
    assert!(std::process::Command::new("kill").arg(heir.to_string()).status().expect("kill").success());
    assert_eq!(of_heir.len(), 6, "{of_heir:?}");
}

#[test]
fn without_what_is_optional_nothing_optional_is_listened_on() {
    let server = crate::program::Running::start(&["--shards", "2"]);
    let found = listening(server.id());
    let (udp, tcp): (BTreeSet<_>, BTreeSet<_>) = found.iter().partition(|socket| socket.starts_with("udp"));
    let page = [format!("tcp {}", server.site), format!("tcp [::1]:{}", server.site.port())];
    assert_eq!(tcp, page.iter().collect());
    assert_eq!(udp.len(), 1, "both shards share one address: {found:?}");
    assert!(udp.iter().all(|socket| socket.starts_with("udp 127.0.0.1:")), "{found:?}");
}

#[test]
fn the_kernels_addresses_are_read() {
    let (ipv4, ipv6) = if cfg!(target_endian = "little") {
        ("0100007F:1151", "00000000000000000000000001000000:01BB")
    } else {
        ("7F000001:1151", "00000000000000000000000000000001:01BB")
    };
    assert_eq!(address(ipv4).to_string(), "127.0.0.1:4433");
    assert_eq!(address(ipv6).to_string(), "[::1]:443");
}
