//! One UDP socket of a load thread: batches in, GSO sends out, many source addresses.
//!
//! In: datagrams from the kernel with their arrival times. Out: datagrams, each from a chosen local address.
//! The socket is bound to the unspecified address; a send names its source by control message, so one socket
//! stands for as many clients' addresses as `--source-addr` lists.

use std::collections::VecDeque;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::BytesMut;
use quinn_udp::{BATCH_SIZE, EcnCodepoint, RecvMeta, Transmit, UdpSocketState};

use crate::limits::MAX_BLOCKED_SENDS;
use crate::net::Traffic;
use crate::sleep;
use crate::time::Nanos;

/// Bytes of one receive buffer: the most that a GRO batch can hold.
const RECEIVE_BUFFER_BYTES: usize = 65_535;
/// Kernel buffers asked for; a burst of answers waits here while the thread is busy.
const KERNEL_BUFFER_BYTES: usize = 16 * 1024 * 1024;

/// Words that `SO_MEMINFO` fills in, and which of them counts drops (`linux/sock_diag.h`).
const MEMINFO_WORDS: usize = 9;
const MEMINFO_DROPS: usize = 8;

/// A datagram on its way out that the socket had no room for.
struct Blocked {
    destination: SocketAddr,
    source: Option<IpAddr>,
    ecn: Option<EcnCodepoint>,
    segment_bytes: Option<usize>,
    contents: Vec<u8>,
}

/// A datagram that arrived.
pub struct Received {
    /// Who sent it.
    pub remote: SocketAddr,
    /// The local address that it came to.
    pub local: Option<IpAddr>,
    /// Its congestion mark.
    pub ecn: Option<EcnCodepoint>,
    /// Its bytes.
    pub contents: BytesMut,
}

/// The socket and its buffers.
pub struct Socket {
    io: UdpSocket,
    state: UdpSocketState,
    buffers: Vec<u8>,
    blocked: VecDeque<Blocked>,
    /// Datagrams so far; what the kernel dropped is asked for in [`Socket::traffic`].
    traffic: Traffic,
    /// The longest time that a datagram of the last batch had waited in the kernel.
    pub receive_lag: Nanos,
}

impl Socket {
    /// Binds a socket that can reach `remote`.
    pub fn bind(remote: SocketAddr) -> io::Result<Self> {
        let any: IpAddr = match remote {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let io = UdpSocket::bind((any, 0))?;
        let state = UdpSocketState::new((&io).into())?;
        // As much as the system allows: a refusal leaves its default, and the health verdict sees the losses.
        let _ = state.set_recv_buffer_size((&io).into(), KERNEL_BUFFER_BYTES);
        let _ = state.set_send_buffer_size((&io).into(), KERNEL_BUFFER_BYTES);
        Ok(Self {
            io,
            state,
            buffers: vec![0; RECEIVE_BUFFER_BYTES * BATCH_SIZE],
            blocked: VecDeque::new(),
            traffic: Traffic::default(),
            receive_lag: 0,
        })
    }

    /// Its port.
    pub fn port(&self) -> io::Result<u16> {
        Ok(self.io.local_addr()?.port())
    }

    /// How many datagrams one send may carry.
    pub fn max_gso_datagrams(&self) -> usize {
        self.state.max_gso_segments()
    }

    /// Datagrams so far.
    pub fn traffic(&self) -> Traffic {
        Traffic { dropped_receives: self.kernel_drops(), ..self.traffic }
    }

    /// Datagrams that the kernel dropped because this socket's buffer was full.
    fn kernel_drops(&self) -> u64 {
        let mut info = [0u32; MEMINFO_WORDS];
        let mut length = size_of_val(&info) as libc::socklen_t;
        // SAFETY: `info` has room for `length` bytes, and both live across the call.
        #[allow(unsafe_code)]
        let result = unsafe {
            let to = info.as_mut_ptr().cast();
            libc::getsockopt(self.io.as_raw_fd(), libc::SOL_SOCKET, libc::SO_MEMINFO, to, &raw mut length)
        };
        if result == 0 { u64::from(info[MEMINFO_DROPS]) } else { 0 }
    }

    /// Receives one batch; `false` if there was none.
    pub fn receive(&mut self, mut take: impl FnMut(Received)) -> io::Result<bool> {
        let mut metas = [RecvMeta::default(); BATCH_SIZE];
        let mut slices: [IoSliceMut<'_>; BATCH_SIZE] = {
            let mut chunks = self.buffers.chunks_mut(RECEIVE_BUFFER_BYTES);
            std::array::from_fn(|_| IoSliceMut::new(chunks.next().unwrap_or_default()))
        };
        let count = match self.state.recv((&self.io).into(), &mut slices, &mut metas) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            // An earlier send met a closed port: the handshake's own deadline tells what that means.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return Ok(true),
            Err(error) => return Err(error),
        };
        self.receive_lag = lag(metas[..count].iter().filter_map(|meta| meta.timestamp).min());
        for (meta, slice) in metas[..count].iter().zip(&slices) {
            let bytes = &slice[..meta.len];
            for datagram in bytes.chunks(meta.stride.max(1)) {
                let contents = BytesMut::from(datagram);
                self.traffic.received += 1;
                take(Received { remote: meta.addr, local: meta.dst_ip, ecn: meta.ecn, contents });
            }
        }
        Ok(count > 0)
    }

    /// Sends what a connection's `poll_transmit` made, now or when the socket has room.
    pub fn send(&mut self, transmit: &quinn_proto::Transmit, contents: &[u8], source: Option<IpAddr>) {
        self.traffic.sent += contents.len().div_ceil(transmit.segment_size.unwrap_or(usize::MAX)) as u64;
        let ecn = transmit.ecn.and_then(|mark| EcnCodepoint::from_bits(mark as u8));
        let blocked = Blocked {
            destination: transmit.destination,
            source,
            ecn,
            segment_bytes: transmit.segment_size,
            contents: Vec::new(),
        };
        if !self.blocked.is_empty() || !self.try_send(&blocked, contents) {
            if self.blocked.len() < MAX_BLOCKED_SENDS {
                self.blocked.push_back(Blocked { contents: contents.to_vec(), ..blocked });
            } else {
                self.traffic.dropped_sends += 1;
            }
        }
    }

    /// Sends what was held back, as far as the socket has room.
    pub fn flush(&mut self) {
        while let Some(blocked) = self.blocked.pop_front() {
            if !self.try_send(&blocked, &blocked.contents) {
                self.blocked.push_front(blocked);
                return;
            }
        }
    }

    /// Sleeps until something can be received (or, with sends held back, sent), at most `limit`.
    pub fn wait(&self, limit: Duration) {
        let events = if self.blocked.is_empty() { libc::POLLIN } else { libc::POLLIN | libc::POLLOUT };
        sleep::until_ready(self.io.as_raw_fd(), events, limit);
    }

    /// `false` if the socket has no room.
    fn try_send(&self, to: &Blocked, contents: &[u8]) -> bool {
        let transmit = Transmit {
            destination: to.destination,
            ecn: to.ecn,
            contents,
            segment_size: to.segment_bytes,
            src_ip: to.source,
        };
        match self.state.try_send((&self.io).into(), &transmit) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
            // Any other error is a lost datagram to QUIC, which sends again or times out.
            _ => true,
        }
    }
}

/// How long ago the kernel received a datagram.
fn lag(received: Option<Duration>) -> Nanos {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    received.map_or(0, |received| now.saturating_sub(received).as_nanos() as Nanos)
}
