//! Whether the server can have its ports, or has them.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::unix::net::UnixStream;

use super::Finding;
use crate::config::{Addresses, Config};

/// A server that runs with this configuration.
#[derive(Clone, Copy, Debug)]
pub struct Running {
    /// Its process.
    pub process: u32,
}

impl Running {
    /// The server that answers on the configured control socket.
    pub fn find(config: &Config) -> Option<Self> {
        let socket = UnixStream::connect(config.control.as_ref()?).ok()?;
        let peer = rustix::net::sockopt::socket_peercred(&socket).ok()?;
        Some(Self { process: peer.pid.as_raw_nonzero().get().unsigned_abs() })
    }
}

/// A finding for each address that is configured.
pub fn ports(config: &Config, running: Option<&Running>) -> Vec<Finding> {
    let udp = config.listen.iter().map(|address| ("UDP", address, UdpSocket::bind(address).map(drop)));
    let pages = config.site.iter().chain(config.redirect.iter().flat_map(Addresses::iter));
    let tcp = pages.chain(config.metrics);
    let tcp = tcp.map(|address| ("TCP", address, TcpListener::bind(address).map(drop)));
    let bound = udp.into_iter().chain(tcp);
    bound.map(|(protocol, address, bound)| port(protocol, address, bound, running)).collect()
}

fn port(protocol: &str, address: SocketAddr, bound: io::Result<()>, running: Option<&Running>) -> Finding {
    const ABOUT: &str = "port";
    let what = format!("{address} ({protocol})");
    let option = if protocol == "UDP" { "-lunp" } else { "-ltnp" };
    let who = format!("ss {option} 'sport = :{}'", address.port());
    match bound.map_err(|error| error.kind()) {
        Ok(()) if running.is_some() && address.port() != 0 => Finding::ill(
            ABOUT,
            format!("{what}: the running server does not serve it"),
            "systemctl restart anoncam: a reload does not change addresses",
        ),
        Ok(()) => Finding::well(ABOUT, format!("{what} is free")),
        Err(ErrorKind::AddrInUse) if running.is_some() => Finding::well(ABOUT, format!("{what} is served")),
        Err(ErrorKind::AddrInUse) => Finding::ill(
            ABOUT,
            format!("{what}: another program has it, or a server without a control socket"),
            who,
        ),
        Err(ErrorKind::PermissionDenied) => Finding::ill(
            ABOUT,
            format!("{what}: this user may not have it"),
            "start it by anoncam.service, or: setcap cap_net_bind_service=+ep $(command -v anoncam)",
        ),
        Err(ErrorKind::AddrNotAvailable) => {
            Finding::ill(ABOUT, format!("{what}: this machine does not have that address"), "ip address")
        }
        Err(other) => Finding::ill(ABOUT, format!("{what}: {other}"), who),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(listen: SocketAddr, site: SocketAddr) -> Config {
        Config { listen: listen.into(), site: site.into(), ..Config::default() }
    }

    #[test]
    fn a_port_that_another_program_has_is_found() {
        let udp = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
        let taken = config(udp.local_addr().expect("an address"), tcp.local_addr().expect("an address"));
        let found = ports(&taken, None);
        assert!(found.iter().all(Finding::is_ill), "{found:?}");
        let told = found[0].to_string();
        assert!(told.contains(&format!("ss -lunp 'sport = :{}'", taken.listen.first().port())), "{told}");
        // A server that runs has them, and that is as it should be.
        let running = Running { process: 1 };
        assert!(!ports(&taken, Some(&running)).iter().any(Finding::is_ill));
        drop((udp, tcp));
        assert!(!ports(&taken, None).iter().any(Finding::is_ill));
        assert!(ports(&taken, Some(&running)).iter().all(Finding::is_ill), "it should have them");
    }

    #[test]
    fn an_address_of_another_machine_is_found() {
        let elsewhere =
            config("198.51.100.7:4433".parse().expect("an address"), "127.0.0.1:0".parse().expect("one"));
        let found = ports(&elsewhere, None);
        assert!(
            found[0].is_ill() && found[0].to_string().contains("does not have that address"),
            "{found:?}"
        );
        assert!(!found[1].is_ill());
    }
}
