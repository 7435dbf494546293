//! The sockets of the server: bound by itself, opened for it by the service manager, or left by an older process.
//!
//! In: what there is, with names, and the addresses of the configuration. Out: the sockets of each part. What the service manager
//! opened and the configuration does not name is an error, so that nothing listens unsaid; what an older process leaves
//! over is closed.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::SystemTime;

use super::StartError;
use crate::config::{Addresses, Config};
use crate::ops::activation;
use crate::ops::control::ControlSocket;
use crate::site::SiteSockets;
use crate::tls::{CertificateStore, SelfMadeParts};
use crate::transport::engine::Lineage;
use crate::transport::socket;
use crate::upgrade::{ControlEstate, Estate};

/// What the server is given instead of making it itself.
#[derive(Debug, Default)]
pub struct Given {
    /// Listeners, each with the name of the setting that it is for.
    tcp: Vec<(String, TcpListener)>,
    /// From an older process, which goes away.
    inherited: Option<Inherited>,
}

#[derive(Debug)]
struct Inherited {
    sockets: Vec<UdpSocket>,
    lineage: Option<Lineage>,
    control: Option<ControlEstate>,
    certificates: Vec<SelfMadeParts>,
}

impl Given {
    /// What the service manager has opened for this process (systemd's socket units); nothing, if there is none. Call it once.
    pub fn by_service_manager() -> Result<Self, StartError> {
        let tcp = activation::take().map_err(StartError::Given)?;
        Ok(Self { tcp, inherited: None })
    }

    /// What an older process has left.
    pub fn by_older_process(estate: Estate) -> Self {
        let Estate { generation, keys, groups, sockets, elders, tcp, control, certificates, .. } = estate;
        Self {
            tcp: tcp.into_iter().map(|(name, listener)| (name, listener.into())).collect(),
            inherited: Some(Inherited {
                sockets: sockets.into_iter().map(UdpSocket::from).collect(),
                lineage: Some(Lineage { generation, keys, groups, elders, resting: true }),
                control,
                certificates,
            }),
        }
    }

    /// The sockets of the page.
    pub(super) fn site(&mut self, addresses: &Addresses) -> Result<SiteSockets, StartError> {
        match self.take("site", addresses)? {
            Some(sockets) => Ok(sockets),
            None => SiteSockets::bind(addresses).map_err(|(address, error)| StartError::site(address, error)),
        }
    }

    /// The sockets of browsers that come without TLS.
    pub(super) fn redirect(&mut self, addresses: &Addresses) -> Result<SiteSockets, StartError> {
        match self.take("redirect", addresses)? {
            Some(sockets) => Ok(sockets),
            None => {
                SiteSockets::bind(addresses).map_err(|(address, error)| StartError::redirect(address, error))
            }
        }
    }

    /// The sockets of the metrics.
    pub(super) fn metrics(&mut self, address: SocketAddr) -> Result<SiteSockets, StartError> {
        match self.take("metrics", &address.into())? {
            Some(sockets) => Ok(sockets),
            None => SiteSockets::bind(&address.into())
                .map_err(|(address, error)| StartError::metrics(address, error)),
        }
    }

    /// The control socket, if one is wanted.
    pub(super) fn control(&mut self, config: &Config) -> Result<Option<ControlSocket>, StartError> {
        let Some(path) = &config.control else { return Ok(None) };
        let inherited = self.inherited.as_mut().and_then(|inherited| inherited.control.take());
        let socket = match inherited.filter(|control| control.path == *path) {
            Some(control) => ControlSocket::inherited(UnixListener::from(control.listener), path),
            None => ControlSocket::bind(path),
        };
        socket.map(Some).map_err(|error| StartError::Control(path.clone(), error))
    }

    /// The certificates: from files, or those that pages may know from an older process, or one made now.
    pub(super) fn certificates(&mut self, config: &Config) -> Result<CertificateStore, StartError> {
        let now = SystemTime::now();
        Ok(match &config.certificate {
            Some(files) if config.acme.is_some() => CertificateStore::from_files_to_come(files, now)?,
            Some(files) => CertificateStore::from_files(files)?,
            None => {
                let inherited = self.inherited.as_mut();
                let known = inherited.map(|inherited| std::mem::take(&mut inherited.certificates));
                CertificateStore::inherited(known.unwrap_or_default(), now)?
            }
        })
    }

    /// The UDP sockets, one a shard for the first address, then for the next, and where they come from.
    pub(super) fn listen(&mut self, config: &Config) -> Result<(Vec<UdpSocket>, Lineage), StartError> {
        let first = config.listen.first();
        let failed = |error| StartError::listen(first, error);
        let Some((sockets, lineage)) = self
            .inherited
            .as_mut()
            .and_then(|inherited| Some((std::mem::take(&mut inherited.sockets), inherited.lineage.take()?)))
        else {
            let sockets = socket::bind_groups(&config.listen, config.shards)
                .map_err(|(address, error)| StartError::listen(address, error))?;
            let groups = config.listen.iter().count();
            return Ok((sockets, Lineage { groups, ..Lineage::first().map_err(failed)? }));
        };
        let shards = lineage.shards(&sockets);
        if shards != usize::from(config.shards) {
            return Err(StartError::changed("shards", &shards.to_string(), &config.shards.to_string()));
        }
        let heads = sockets.iter().step_by(shards.max(1)).map(UdpSocket::local_addr);
        let before: Vec<_> = heads.collect::<Result<_, _>>().map_err(failed)?;
        let same = before.len() == config.listen.iter().count()
            && before.iter().zip(config.listen.iter()).all(|(before, wanted)| is_at(*before, wanted));
        match Addresses::new(before) {
            Some(_) if same => Ok((sockets, lineage)),
            before => {
                let before = before.map(|before| before.to_string()).unwrap_or_default();
                Err(StartError::changed("listen", &before, &config.listen.to_string()))
            }
        }
    }

    /// Checks that there is nothing left that the server would not use.
    pub(super) fn all_taken(&self) -> Result<(), StartError> {
        match self.tcp.first().filter(|_| self.inherited.is_none()) {
            None => Ok(()),
            Some((name, _)) => Err(StartError::Given(format!(
                "the service manager opened a socket named {name}, and no setting of that name is in use"
            ))),
        }
    }

    fn take(&mut self, name: &str, addresses: &Addresses) -> Result<Option<SiteSockets>, StartError> {
        let (taken, left) = std::mem::take(&mut self.tcp).into_iter().partition(|(given, _)| given == name);
        self.tcp = left;
        let taken: Vec<_> = taken.into_iter().map(|(_, listener): (String, TcpListener)| listener).collect();
        if taken.is_empty() {
            return Ok(None);
        }
        let told: Vec<_> =
            taken.iter().flat_map(TcpListener::local_addr).map(|one| one.to_string()).collect();
        match SiteSockets::given(addresses, taken) {
            Ok(Some(sockets)) => Ok(Some(sockets)),
            Ok(None) | Err(_) if self.inherited.is_some() => Ok(None),
            Ok(None) | Err(_) => Err(StartError::Given(format!(
                "the service manager opened {} as {name}, and the setting {name} says {addresses}",
                told.join(" and ")
            ))),
        }
    }
}

/// Whether a socket is where the configuration wants it; port 0 is any.
fn is_at(socket: SocketAddr, wanted: SocketAddr) -> bool {
    socket.ip() == wanted.ip() && (socket.port() == wanted.port() || wanted.port() == 0)
}

/// Other descriptors of what the server listens on, for an heir.
#[derive(Debug, Default)]
pub(super) struct Listening {
    tcp: Vec<(&'static str, TcpListener)>,
    control: Option<(PathBuf, UnixListener)>,
}

impl Listening {
    /// Keeps descriptors of these sockets.
    pub fn add_tcp(&mut self, name: &'static str, sockets: &SiteSockets) -> std::io::Result<()> {
        for listener in sockets.listeners() {
            self.tcp.push((name, listener.try_clone()?));
        }
        Ok(())
    }

    /// Keeps a descriptor of the control socket.
    pub fn add_control(&mut self, socket: &ControlSocket) -> std::io::Result<()> {
        self.control = Some((socket.path().to_owned(), socket.listener().try_clone()?));
        Ok(())
    }

    /// The listeners, for an heir.
    pub fn tcp_for_heir(&self) -> std::io::Result<Vec<(String, OwnedFd)>> {
        let one =
            |(name, listener): &(&str, TcpListener)| Ok(((*name).to_owned(), listener.try_clone()?.into()));
        self.tcp.iter().map(one).collect()
    }

    /// The control socket, for an heir.
    pub fn control_for_heir(&self) -> std::io::Result<Option<ControlEstate>> {
        let Some((path, listener)) = &self.control else { return Ok(None) };
        Ok(Some(ControlEstate { path: path.clone(), listener: listener.try_clone()?.into() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(address: &str) -> (String, TcpListener) {
        ("site".to_owned(), TcpListener::bind(address).expect("a port"))
    }

    fn wanted(address: &str) -> Addresses {
        address.parse::<SocketAddr>().expect("an address").into()
    }

    fn given(tcp: Vec<(String, TcpListener)>) -> Given {
        Given { tcp, inherited: None }
    }

    fn address_of(given: &Given) -> SocketAddr {
        given.tcp[0].1.local_addr().expect("an address")
    }

    #[test]
    fn a_socket_that_was_opened_is_used_and_no_other_is_bound() {
        let mut given = given(vec![listener("127.0.0.1:0")]);
        let address = address_of(&given);
        let sockets = given.site(&address.into()).expect("it fits");
        assert_eq!(sockets.local_addr(), address);
        given.all_taken().expect("nothing is left");
    }

    #[test]
    fn a_socket_at_another_address_is_refused_in_words() {
        for (opened, configured) in [("127.0.0.1:0", "127.0.0.1:1"), ("[::1]:0", "127.0.0.1:0")] {
            let mut given = given(vec![listener(opened)]);
            let told = given.site(&wanted(configured)).expect_err("another address").to_string();
            assert!(told.contains("opened ") && told.contains(configured), "{told}");
        }
    }

    #[test]
    fn a_socket_for_nothing_is_refused_in_words() {
        let (_, listener) = listener("127.0.0.1:0");
        let given = given(vec![("smtp".to_owned(), listener)]);
        assert!(given.all_taken().expect_err("nothing is called so").to_string().contains("named smtp"));
    }

    #[test]
    fn what_an_older_process_left_is_used_where_it_fits_and_closed_where_not() {
        let heir = |listen: &str, shards| {
            let group = socket::bind_groups(&wanted("127.0.0.1:0"), 2).expect("sockets");
            let lineage = Some(Lineage { resting: true, groups: 1, ..Lineage::first().expect("keys") });
            let inherited = Inherited { sockets: group, lineage, control: None, certificates: Vec::new() };
            let mut given = Given { tcp: vec![listener("127.0.0.1:0")], inherited: Some(inherited) };
            let config = Config { listen: wanted(listen), shards, ..Config::default() };
            let site = given.site(&wanted("127.0.0.1:0")).map(|site| site.local_addr());
            given.all_taken().expect("nothing is too much");
            (site, given.listen(&config).map(|(sockets, _)| sockets.len()).map_err(|error| error.to_string()))
        };
        assert_eq!(heir("127.0.0.1:0", 2).1, Ok(2));
        let shards = heir("127.0.0.1:0", 3).1.expect_err("another number");
        assert!(shards.contains("shards is 3, and was 2"), "{shards}");
        let listen = heir("127.0.0.1:1", 2).1.expect_err("another address");
        assert!(listen.contains("listen is 127.0.0.1:1, and was 127.0.0.1:"), "{listen}");
    }
}
