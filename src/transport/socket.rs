//! Step 1 of 6: one UDP socket a shard, all bound to one port.
//!
//! In: the address to listen on and the number of shards. Out: the sockets in the order of the shards, steered by a
//! classic BPF filter that reads the connection ID of each datagram; and [`Datagrams`], batched receiving and
//! sending on one of them.

use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use mio::{Events, Interest, Poll, Registry, Token, Waker};
use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::limits::{RECV_BATCH_DATAGRAMS, RECV_SLOT_BYTES, SOCKET_BUFFER_BYTES};

/// Binds `shards` sockets to `listen`. With port 0 the system picks the port of all of them.
///
/// The order of binding is the index by which the filter steers, so the sockets stay open for the life of the port.
pub fn bind_group(listen: SocketAddr, shards: u16) -> io::Result<Vec<UdpSocket>> {
    // Alone at first: the group's option, set before, would let this server join another's port unnoticed, also one that
    // the system picks (Linux takes the ports of the same user's groups for free).
    let first = bind_one(listen, false)?;
    let address = first.local_addr()?;
    let mut sockets = vec![first];
    if shards > 1 {
        set_reuse_port(&SockRef::from(&sockets[0]))?;
    }
    for _ in 1..shards {
        sockets.push(bind_one(address, true)?);
    }
    if shards > 1 {
        steer_by_connection_id(&sockets[0], shards)?;
    }
    Ok(sockets)
}

/// The kernel's receive buffer of a socket, in bytes: less than [`SOCKET_BUFFER_BYTES`] where the system allows no more
/// (Linux: `net.core.rmem_max`).
pub fn receive_buffer_bytes(socket: &UdpSocket) -> io::Result<usize> {
    let bytes = SockRef::from(socket).recv_buffer_size()?;
    // Linux reports the double: half is for its own bookkeeping.
    Ok(if cfg!(target_os = "linux") { bytes / 2 } else { bytes })
}

fn bind_one(address: SocketAddr, shared: bool) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        // A dual-stack socket where the system allows it; `[::1]` alone works in any case.
        let _ = socket.set_only_v6(false);
    }
    if shared {
        set_reuse_port(&socket)?;
    }
    socket.set_nonblocking(true)?;
    // Larger than the default where the system allows it; what it does not allow is no error.
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES);
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER_BYTES);
    socket.bind(&address.into())?;
    Ok(socket.into())
}

#[cfg(target_os = "linux")]
fn set_reuse_port(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_port(true)
}

#[cfg(not(target_os = "linux"))]
fn set_reuse_port(_: &Socket) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "more than one shard needs Linux"))
}

/// Attaches the filter: the two bytes at offset 6 of a long header (first bit set), else at offset 1, modulo the
/// number of shards, are the index of the socket. The program sees the UDP payload.
#[cfg(target_os = "linux")]
fn steer_by_connection_id(socket: &UdpSocket, shards: u16) -> io::Result<()> {
    use std::os::fd::AsRawFd;

    const LOAD_BYTE: u16 = 0x30; // BPF_LD | BPF_B | BPF_ABS
    const LOAD_HALF: u16 = 0x28; // BPF_LD | BPF_H | BPF_ABS
    const JUMP_IF_SET: u16 = 0x45; // BPF_JMP | BPF_JSET | BPF_K
    const MODULO: u16 = 0x94; // BPF_ALU | BPF_MOD | BPF_K
    const RETURN_A: u16 = 0x16; // BPF_RET | BPF_A
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let mut program = [
        step(LOAD_BYTE, 0, 0, 0),
        step(JUMP_IF_SET, 0, 2, 0x80),
        step(LOAD_HALF, 0, 0, 6),
        step(0x05, 0, 0, 1), // BPF_JMP | BPF_JA: skip the next
        step(LOAD_HALF, 0, 0, 1),
        step(MODULO, 0, 0, u32::from(shards)),
        step(RETURN_A, 0, 0, 0),
    ];
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: the option takes a `sock_fprog` whose pointer is valid for the call; the kernel copies the program.
    #[allow(unsafe_code)]
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_CBPF,
            std::ptr::from_ref(&filter).cast(),
            size_of::<libc::sock_fprog>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(not(target_os = "linux"))]
fn steer_by_connection_id(_: &UdpSocket, _: u16) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "more than one shard needs Linux"))
}

/// What events of the socket are called.
const SOCKET: Token = Token(0);
/// What the waker's event is called.
const WAKER: Token = Token(1);
/// What events of the ways to other processes are called.
pub const GENERATIONS: Token = Token(2);
/// Events of one sleep: the socket, the waker, the ways to an heir and to the elders.
const EVENTS: usize = 3 + crate::limits::ELDERS;

/// Batched receiving and segmented sending on one shard's socket, over buffers that are made once; and the sleep in between.
pub struct Datagrams {
    state: UdpSocketState,
    socket: mio::net::UdpSocket,
    poll: Poll,
    events: Events,
    /// Whether the socket may have something; readiness is told once, when it begins.
    readable: bool,
    /// Whether another process reads the socket instead.
    resting: bool,
    /// What is waited for: datagrams unless it rests, and the end of a full send buffer only while there is something to send.
    /// Every datagram that has left would end a sleep otherwise.
    awaited: Option<Interest>,
    buffer: Box<[u8]>,
    slot_bytes: usize,
    meta: Vec<RecvMeta>,
}

impl Datagrams {
    /// Takes over the socket, to read it or to rest at first.
    pub fn new(socket: UdpSocket, resting: bool) -> io::Result<Self> {
        let poll = Poll::new()?;
        let socket = mio::net::UdpSocket::from_std(socket);
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        let slot_bytes = RECV_SLOT_BYTES * state.gro_segments().max(1);
        Ok(Self {
            socket,
            poll,
            events: Events::with_capacity(EVENTS),
            readable: true,
            resting,
            awaited: None,
            buffer: vec![0; slot_bytes * RECV_BATCH_DATAGRAMS].into_boxed_slice(),
            slot_bytes,
            meta: vec![RecvMeta::default(); RECV_BATCH_DATAGRAMS],
            state,
        })
    }

    /// The most datagrams that one [`Datagrams::send`] may carry as segments.
    pub fn max_segments(&self) -> usize {
        self.state.max_gso_segments()
    }

    /// Whether the system may fragment what is sent here; MTU discovery is off in that case.
    pub fn may_fragment(&self) -> bool {
        self.state.may_fragment()
    }

    /// Receives one batch and hands every datagram of it to `each` (payload, where from and how). Returns how many
    /// slots were filled; `WouldBlock` when there is nothing.
    pub fn receive(&mut self, mut each: impl FnMut(&[u8], &RecvMeta)) -> io::Result<usize> {
        if !self.readable || self.resting {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let Self { state, socket, buffer, slot_bytes, meta, .. } = self;
        let result = socket.try_io(|| {
            let mut slots: [IoSliceMut<'_>; RECV_BATCH_DATAGRAMS] =
                std::array::from_fn(|_| IoSliceMut::new(&mut []));
            for (slot, bytes) in slots.iter_mut().zip(buffer.chunks_mut(*slot_bytes)) {
                *slot = IoSliceMut::new(bytes);
            }
            state.recv(UdpSockRef::from(&*socket), &mut slots, meta)
        });
        self.readable = match &result {
            // Where the kernel had no more, the call that would find nothing is spared: what comes is a new event.
            Ok(filled) => *filled == RECV_BATCH_DATAGRAMS,
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        };
        let filled = result?;
        for (slot, meta) in buffer.chunks(*slot_bytes).zip(meta.iter()).take(filled) {
            for payload in slot[..meta.len].chunks(meta.stride.max(1)) {
                each(payload, meta);
            }
        }
        Ok(filled)
    }

    /// Sends one datagram, or several to one destination as segments. `WouldBlock` when the socket is full.
    pub fn send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.socket.try_io(|| self.state.try_send(UdpSockRef::from(&self.socket), transmit))
    }

    /// A waker that ends a [`Datagrams::sleep`].
    pub fn waker(&self) -> io::Result<Waker> {
        Waker::new(self.poll.registry(), WAKER)
    }

    /// Sleeps until a datagram comes, the waker is used or the time is over; with `for_room` also until the socket takes
    /// datagrams again.
    pub fn sleep(&mut self, at_most: Duration, for_room: bool) -> io::Result<()> {
        self.await_what_is_due(for_room)?;
        match self.poll.poll(&mut self.events, Some(at_most)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => result?,
        }
        self.readable |= self.events.iter().any(|event| event.token() == SOCKET);
        Ok(())
    }

    fn await_what_is_due(&mut self, for_room: bool) -> io::Result<()> {
        let due = match (!self.resting, for_room) {
            (true, true) => Some(Interest::READABLE | Interest::WRITABLE),
            (true, false) => Some(Interest::READABLE),
            (false, true) => Some(Interest::WRITABLE),
            (false, false) => None,
        };
        let registry = self.poll.registry();
        match (std::mem::replace(&mut self.awaited, due), due) {
            (before, due) if before == due => Ok(()),
            (_, None) => registry.deregister(&mut self.socket),
            (None, Some(due)) => registry.register(&mut self.socket, SOCKET, due),
            (Some(_), Some(due)) => registry.reregister(&mut self.socket, SOCKET, due),
        }
    }

    /// Leaves the socket's datagrams to another process, or reads them (again). It sends in any case.
    pub fn rest(&mut self, resting: bool) {
        self.resting = resting;
        // Readiness is told once: what came meanwhile was told to nobody, or to another process.
        self.readable = true;
    }

    /// Whether another process reads.
    pub fn is_resting(&self) -> bool {
        self.resting
    }

    /// Where other sources of events are registered.
    pub fn registry(&self) -> &Registry {
        self.poll.registry()
    }

    /// Whether the last sleep was ended by another process, among others.
    pub fn was_woken_by_generations(&self) -> bool {
        self.events.iter().any(|event| event.token() == GENERATIONS)
    }

    /// Forgets whom the last datagrams came from.
    pub fn forget(&mut self) {
        self.meta.fill(RecvMeta::default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loopback() -> SocketAddr {
        ([127, 0, 0, 1], 0).into()
    }

    #[test]
    fn one_shard_has_the_port_to_itself() {
        let group = bind_group(loopback(), 1).unwrap();
        let taken = bind_group(group[0].local_addr().unwrap(), 1);
        assert_eq!(taken.unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_second_server_does_not_join_the_group() {
        let group = bind_group(loopback(), 2).unwrap();
        let taken = bind_group(group[0].local_addr().unwrap(), 2);
        assert_eq!(taken.unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn every_group_has_a_port_of_its_own() {
        let groups: Vec<_> = (0..300).map(|_| bind_group(loopback(), 2).unwrap()).collect();
        let mut ports: Vec<_> = groups.iter().map(|group| group[0].local_addr().unwrap().port()).collect();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), groups.len());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_filter_sends_each_connection_id_to_the_shard_it_names() {
        let shards = 4_u16;
        let group = bind_group(loopback(), shards).unwrap();
        let address = group[0].local_addr().unwrap();
        for steer in [0_u16, 1, 2, 3, 258, 40_003, u16::MAX] {
            for long in [true, false] {
                let mut datagram = [0_u8; 40];
                datagram[0] = if long { 0xc0 } else { 0x40 };
                let at = if long { 6 } else { 1 };
                datagram[at..at + 2].copy_from_slice(&steer.to_be_bytes());
                // A new port each time: nothing but the connection ID decides.
                UdpSocket::bind(loopback()).unwrap().send_to(&datagram, address).unwrap();
                let socket = &group[usize::from(steer % shards)];
                let mut received = [0; 64];
                socket.set_nonblocking(false).unwrap();
                socket.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
                assert_eq!(socket.recv(&mut received).unwrap(), datagram.len());
                assert_eq!(received[at..at + 2], steer.to_be_bytes());
            }
        }
    }
}
