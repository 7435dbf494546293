//! One TCP connection, with or without TLS, that never blocks.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;

use rustls::ClientConnection;
use rustls::pki_types::ServerName;
use socket2::{Domain, Protocol, Socket, Type};

/// What TLS needs to start a connection.
#[derive(Clone)]
pub struct Tls {
    /// Trust and suites.
    pub config: Arc<rustls::ClientConfig>,
    /// Name in the certificate.
    pub name: ServerName<'static>,
}

/// A connection.
pub struct Stream {
    tcp: TcpStream,
    tls: Option<Box<ClientConnection>>,
    connected: bool,
}

/// How far reading came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadTo {
    /// There is no more for now.
    Now,
    /// The server has closed its side.
    End,
}

impl Stream {
    /// Starts to connect, from `source` if one is given.
    pub fn connect(address: SocketAddr, source: Option<IpAddr>, tls: Option<&Tls>) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        if let Some(source) = source {
            choose_port_late(socket.as_raw_fd());
            socket.bind(&SocketAddr::new(source, 0).into())?;
        }
        match socket.connect(&address.into()) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
            _ => {}
        }
        let tls = match tls {
            None => None,
            Some(Tls { config, name }) => {
                let connection =
                    ClientConnection::new(Arc::clone(config), name.clone()).map_err(|error| wrong(&error))?;
                Some(Box::new(connection))
            }
        };
        Ok(Self { tcp: socket.into(), tls, connected: false })
    }

    /// Whether TCP, and TLS if there is any, are through with their handshakes; an error if connecting failed.
    pub fn is_ready(&mut self) -> io::Result<bool> {
        if !self.connected {
            if let Some(error) = self.tcp.take_error()? {
                return Err(error);
            }
            self.connected = self.tcp.peer_addr().is_ok();
        }
        Ok(self.connected && self.tls.as_ref().is_none_or(|tls| !tls.is_handshaking()))
    }

    /// Writes as much of `bytes` as the socket takes, and takes it out. Counts the writes in `writes`.
    pub fn write(&mut self, bytes: &mut Vec<u8>, writes: &mut u64) -> io::Result<()> {
        if !self.connected {
            return Ok(());
        }
        let mut taken = 0;
        let result = loop {
            let written = match &mut self.tls {
                None if taken == bytes.len() => break Ok(()),
                None => self.tcp.write(&bytes[taken..]).inspect(|count| taken += count),
                Some(tls) => {
                    taken += tls.writer().write(&bytes[taken..])?;
                    if !tls.wants_write() {
                        break Ok(());
                    }
                    tls.write_tls(&mut self.tcp)
                }
            };
            match written {
                Ok(_) => *writes += 1,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        if taken == bytes.len() {
            *bytes = Vec::new();
        } else {
            bytes.drain(..taken);
        }
        result
    }

    /// Reads what there is, by way of `buffer`, and hands it to `take`, which says whether to go on.
    pub fn read(&mut self, buffer: &mut [u8], mut take: impl FnMut(&[u8]) -> bool) -> io::Result<ReadTo> {
        loop {
            let count = match &mut self.tls {
                None => self.tcp.read(buffer),
                Some(tls) => tls.read_tls(&mut self.tcp),
            };
            match count {
                Ok(0) => return Ok(ReadTo::End),
                Ok(count) if self.tls.is_none() => {
                    if !take(&buffer[..count]) {
                        return Ok(ReadTo::Now);
                    }
                }
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(ReadTo::Now),
                Err(error) => return Err(error),
            }
            if !self.decrypt(buffer, &mut take)? {
                return Ok(ReadTo::Now);
            }
        }
    }

    /// Hands on what TLS has decrypted; `false` if `take` has had enough.
    fn decrypt(&mut self, buffer: &mut [u8], take: &mut impl FnMut(&[u8]) -> bool) -> io::Result<bool> {
        let Some(tls) = &mut self.tls else { return Ok(true) };
        tls.process_new_packets().map_err(|error| wrong(&error))?;
        loop {
            match tls.reader().read(buffer) {
                // The goodbye of TLS; TCP's end follows.
                Ok(0) => return Ok(true),
                Ok(count) if !take(&buffer[..count]) => return Ok(false),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error),
            }
        }
    }
}

impl AsRawFd for Stream {
    fn as_raw_fd(&self) -> RawFd {
        self.tcp.as_raw_fd()
    }
}

fn wrong(error: &rustls::Error) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("TLS: {error}"))
}

/// Lets a bound socket choose its port when it connects, so that a port can serve several servers at once.
fn choose_port_late(socket: RawFd) {
    let on: libc::c_int = 1;
    // SAFETY: `on` lives across the call, which copies it. A refusal leaves the port chosen early.
    #[allow(unsafe_code)]
    unsafe {
        let (value, length) = ((&raw const on).cast(), size_of_val(&on) as libc::socklen_t);
        libc::setsockopt(socket, libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, value, length);
    }
}
