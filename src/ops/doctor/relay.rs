//! A TURN or STUN server as a browser would use it: does it answer, and does it take the credentials?

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::RootCertStore;

use super::Finding;
use super::stun::{self, Answer, HEADER_BYTES, Identity, MESSAGE_BYTES, Method};
use crate::config::{Config, IceUrl, Turn};
use crate::core::ice::IceConfig;
use crate::core::io::Time;
use crate::transport::clock::unix_s;

/// A finding for each TURN and STUN server, which is asked as a browser would, with credentials made as the server makes them.
pub fn relays(config: &Config, roots: &Arc<RootCertStore>) -> Vec<Finding> {
    let Some(turn) = &config.turn else {
        return vec![Finding::well(ABOUT, "none is configured: hidden video is not offered")];
    };
    turn.urls.iter().map(|url| examine(url, turn, roots)).collect()
}

const ABOUT: &str = "relay";

fn examine(url: &str, turn: &Turn, roots: &Arc<RootCertStore>) -> Finding {
    let Some(parts) = IceUrl::parse(url) else { return Finding::unknown(ABOUT, format!("{url}: not a URL")) };
    if !parts.relays {
        return match Relay::connect(&parts, roots).and_then(|mut relay| relay.bind()) {
            Ok(_) => Finding::well(ABOUT, format!("{url} answers")),
            Err(error) => ill(url, &error),
        };
    }
    // Each secret makes a credential; while one follows the other a relay may know one of them only.
    let ice = IceConfig::new(&[url.to_owned()], &turn.secrets, turn.ttl.as_secs());
    let servers = ice.servers(Time(0), unix_s(), 0);
    let credentials = servers.iter().filter_map(|server| server.credential.as_ref());
    let tried = credentials.map(|credential| {
        let mut relay = Relay::connect(&parts, roots)?;
        relay.allocate(&credential.username, &credential.password)
    });
    let tried: Vec<_> = tried.collect();
    let taken = tried.iter().filter(|result| result.is_ok()).count();
    match tried.into_iter().find_map(Result::err) {
        None => Finding::well(ABOUT, format!("{url} gives an address to whoever has a credential")),
        Some(_) if taken > 0 => Finding::well(ABOUT, format!("{url} takes one of two secrets")),
        Some(error) => ill(url, &error),
    }
}

fn ill(url: &str, error: &RelayError) -> Finding {
    let mend = match error {
        RelayError::Name(_) => "correct turn.urls, or the name's record: getent hosts NAME",
        RelayError::Unreachable(_) => "on the relay: systemctl status anoncam-relay; ss -lntup; its firewall",
        RelayError::Refused(401, _) => {
            "let the relay's static-auth-secret be a line of turn.secret_file, and both clocks be right: date -u"
        }
        RelayError::Refused(200, _) => "use-auth-secret in turnserver.conf (deploy/relay)",
        RelayError::Refused(486, _) => "raise total-quota in turnserver.conf, or add a relay",
        RelayError::Refused(..) | RelayError::Nonsense => {
            "compare turnserver.conf with deploy/relay/turnserver.conf"
        }
    };
    Finding::ill(ABOUT, format!("{url}: {error}"), mend)
}

/// How long a server may take for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// A datagram may be lost: it is sent again after this time.
const AGAIN: Duration = Duration::from_millis(500);

/// Why a server does not do.
#[derive(Debug)]
pub enum RelayError {
    /// Its name means no address.
    Name(io::Error),
    /// It is not reached, or says nothing.
    Unreachable(io::Error),
    /// It says no: 401 to a wrong secret or a wrong clock, 403 to an address that it does not relay to, 486 when it is full.
    Refused(u16, String),
    /// What it says is not STUN.
    Nonsense,
}

impl fmt::Display for RelayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(error) => write!(f, "its name has no address: {error}"),
            Self::Unreachable(error) => write!(f, "no answer: {error}"),
            Self::Refused(code, reason) => write!(f, "it refuses: {code} {reason}"),
            Self::Nonsense => f.write_str("what answers there does not speak STUN"),
        }
    }
}

impl From<io::Error> for RelayError {
    fn from(error: io::Error) -> Self {
        Self::Unreachable(error)
    }
}

enum Path {
    Datagrams(UdpSocket),
    Stream(Box<dyn ReadWrite>),
}

trait ReadWrite: Read + Write {}
impl<T: Read + Write> ReadWrite for T {}

/// A client of one server.
pub struct Relay {
    path: Path,
    identity: Option<Identity>,
}

impl Relay {
    /// Connects to the server of a URL. Over TLS, `roots` are whom its certificate is believed from.
    pub fn connect(url: &IceUrl<'_>, roots: &Arc<RootCertStore>) -> Result<Self, RelayError> {
        let found = (url.host, url.port).to_socket_addrs().map_err(RelayError::Name)?;
        let mut last = RelayError::Name(io::ErrorKind::NotFound.into());
        for address in found {
            let path = match (url.over_tcp || url.secure, url.secure) {
                (false, _) => datagrams(address),
                (true, false) => stream(address).map(|tcp| Path::Stream(Box::new(tcp))),
                (true, true) => tls(address, url.host, Arc::clone(roots)),
            };
            match path {
                Ok(path) => return Ok(Self { path, identity: None }),
                Err(error) => last = error.into(),
            }
        }
        Err(last)
    }

    /// The address that the server sees.
    pub fn bind(&mut self) -> Result<Option<SocketAddr>, RelayError> {
        self.done(Method::Binding, None)
    }

    /// A relayed address.
    pub fn allocate(&mut self, username: &str, password: &str) -> Result<Option<SocketAddr>, RelayError> {
        // The first request learns what a signature has to hold.
        match self.ask(Method::Allocate, None)? {
            Answer::Refused { code: 401, realm, nonce, .. } => {
                self.identity = Some(Identity::new(username, password, &realm, &nonce));
                self.done(Method::Allocate, None)
            }
            Answer::Refused { code, reason, .. } => Err(RelayError::Refused(code, reason)),
            Answer::Done { .. } => Err(RelayError::Refused(200, "anybody may use it".to_owned())),
        }
    }

    /// Lets `peer` be reached through the relayed address.
    pub fn permit(&mut self, peer: SocketAddr) -> Result<(), RelayError> {
        self.done(Method::CreatePermission, Some(peer)).map(drop)
    }

    fn done(&mut self, method: Method, peer: Option<SocketAddr>) -> Result<Option<SocketAddr>, RelayError> {
        match self.ask(method, peer)? {
            Answer::Done { address } => Ok(address),
            Answer::Refused { code, reason, .. } => Err(RelayError::Refused(code, reason)),
        }
    }

    fn ask(&mut self, method: Method, peer: Option<SocketAddr>) -> Result<Answer, RelayError> {
        let mut transaction = [0; 12];
        getrandom::fill(&mut transaction).map_err(io::Error::other)?;
        let message = stun::request(method, &transaction, peer, self.identity.as_ref());
        match &mut self.path {
            Path::Datagrams(socket) => {
                let deadline = Instant::now() + PATIENCE;
                let mut buffer = [0; MESSAGE_BYTES];
                while Instant::now() < deadline {
                    socket.send(&message)?;
                    match socket.recv(&mut buffer) {
                        Ok(length) => {
                            if let Some(answer) = stun::answer(&buffer[..length], method, &transaction) {
                                return Ok(answer);
                            }
                        }
                        Err(error) if is_timeout(&error) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                Err(io::Error::from(io::ErrorKind::TimedOut).into())
            }
            Path::Stream(stream) => {
                stream.write_all(&message)?;
                stream.flush()?;
                let mut header = [0; HEADER_BYTES];
                stream.read_exact(&mut header)?;
                let length = stun::message_bytes(&header);
                if length > MESSAGE_BYTES {
                    return Err(RelayError::Nonsense);
                }
                let mut whole = vec![0; length];
                whole[..HEADER_BYTES].copy_from_slice(&header);
                stream.read_exact(&mut whole[HEADER_BYTES..])?;
                stun::answer(&whole, method, &transaction).ok_or(RelayError::Nonsense)
            }
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

fn datagrams(address: SocketAddr) -> io::Result<Path> {
    let any: SocketAddr = if address.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0; 8], 0).into() };
    let socket = UdpSocket::bind(any)?;
    socket.connect(address)?;
    socket.set_read_timeout(Some(AGAIN))?;
    Ok(Path::Datagrams(socket))
}

fn stream(address: SocketAddr) -> io::Result<TcpStream> {
    let tcp = TcpStream::connect_timeout(&address, PATIENCE)?;
    tcp.set_read_timeout(Some(PATIENCE))?;
    tcp.set_write_timeout(Some(PATIENCE))?;
    Ok(tcp)
}

fn tls(address: SocketAddr, host: &str, roots: Arc<RootCertStore>) -> io::Result<Path> {
    let name = host.to_owned().try_into().map_err(io::Error::other)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connection = rustls::ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    Ok(Path::Stream(Box::new(rustls::StreamOwned::new(connection, stream(address)?))))
}
