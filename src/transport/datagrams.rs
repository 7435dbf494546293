//! Steps 1 and 5: batched receiving and sending on the sockets of one shard, and the sleep in between.
//!
//! In: a socket for each address that the server listens on. Out: datagrams, a batch at a time. What is sent leaves by the socket of the address
//! that the client speaks to.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, UdpSocket};
use std::time::Duration;

use mio::{Events, Interest, Poll, Registry, Token, Waker};
use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};

use crate::limits::{ELDERS, MAX_ADDRESSES, RECV_BATCH_DATAGRAMS, RECV_SLOT_BYTES};

/// What the waker's event is called.
const WAKER: Token = Token(0);
/// What events of the ways to other processes are called.
pub const GENERATIONS: Token = Token(1);
/// What events of the first socket are called; the others follow.
const SOCKETS: usize = 2;
/// Events of one sleep: the sockets, the waker, the ways to an heir and to the elders.
const EVENTS: usize = MAX_ADDRESSES + 2 + ELDERS;

/// One socket.
struct Port {
    state: UdpSocketState,
    socket: mio::net::UdpSocket,
    /// What it is bound to.
    ip: IpAddr,
    /// Whether it may have something; readiness is told once, when it begins.
    readable: bool,
    /// What is waited for: datagrams unless the shard rests, and the end of a full send buffer only while there is something to send.
    /// Every datagram that has left would end a sleep otherwise.
    awaited: Option<Interest>,
}

/// Batched receiving and segmented sending over buffers that are made once; and the sleep in between.
pub struct Datagrams {
    /// At least one.
    ports: Vec<Port>,
    /// Which is received from next.
    turn: usize,
    poll: Poll,
    events: Events,
    /// Whether another process reads the sockets instead.
    resting: bool,
    buffer: Box<[u8]>,
    slot_bytes: usize,
    meta: Vec<RecvMeta>,
    /// How much of each slot has been filled since it was wiped.
    filled_bytes: [usize; RECV_BATCH_DATAGRAMS],
}

impl Port {
    fn new(socket: UdpSocket) -> io::Result<Self> {
        let ip = socket.local_addr()?.ip();
        let socket = mio::net::UdpSocket::from_std(socket);
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        Ok(Self { state, socket, ip, readable: true, awaited: None })
    }

    fn receive(&mut self, buffer: &mut [u8], slot_bytes: usize, meta: &mut [RecvMeta]) -> io::Result<usize> {
        let Self { state, socket, .. } = self;
        let result = socket.try_io(|| {
            let mut slots: [IoSliceMut<'_>; RECV_BATCH_DATAGRAMS] =
                std::array::from_fn(|_| IoSliceMut::new(&mut []));
            for (slot, bytes) in slots.iter_mut().zip(buffer.chunks_mut(slot_bytes)) {
                *slot = IoSliceMut::new(bytes);
            }
            state.recv(UdpSockRef::from(&*socket), &mut slots, meta)
        });
        self.readable = match &result {
            // Where the kernel had no more, the call that would find nothing is spared: what comes is a new event.
            Ok(filled) => *filled == RECV_BATCH_DATAGRAMS,
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        };
        result
    }

    fn await_what_is_due(
        &mut self,
        registry: &Registry,
        token: Token,
        due: Option<Interest>,
    ) -> io::Result<()> {
        match (std::mem::replace(&mut self.awaited, due), due) {
            (before, due) if before == due => Ok(()),
            (_, None) => registry.deregister(&mut self.socket),
            (None, Some(due)) => registry.register(&mut self.socket, token, due),
            (Some(_), Some(due)) => registry.reregister(&mut self.socket, token, due),
        }
    }
}

impl Datagrams {
    /// Takes over the sockets, to read them or to rest at first.
    pub fn new(sockets: Vec<UdpSocket>, resting: bool) -> io::Result<Self> {
        let ports: Vec<_> = sockets.into_iter().map(Port::new).collect::<io::Result<_>>()?;
        let segments = ports.iter().map(|port| port.state.gro_segments()).max();
        let slot_bytes = RECV_SLOT_BYTES * segments.ok_or(io::ErrorKind::InvalidInput)?.max(1);
        Ok(Self {
            ports,
            turn: 0,
            poll: Poll::new()?,
            events: Events::with_capacity(EVENTS),
            resting,
            buffer: vec![0; slot_bytes * RECV_BATCH_DATAGRAMS].into_boxed_slice(),
            slot_bytes,
            meta: vec![RecvMeta::default(); RECV_BATCH_DATAGRAMS],
            filled_bytes: [0; RECV_BATCH_DATAGRAMS],
        })
    }

    /// The most datagrams that one [`Datagrams::send`] may carry as segments.
    pub fn max_segments(&self) -> usize {
        self.ports.iter().map(|port| port.state.max_gso_segments()).min().unwrap_or(1)
    }

    /// Whether the system may fragment what is sent here; MTU discovery is off in that case.
    pub fn may_fragment(&self) -> bool {
        self.ports.iter().any(|port| port.state.may_fragment())
    }

    /// Receives one batch of one socket, each in turn, and hands every datagram of it to `each` (payload, where from and how). Returns
    /// how many slots were filled; `WouldBlock` when there is nothing.
    pub fn receive(&mut self, mut each: impl FnMut(&[u8], &RecvMeta)) -> io::Result<usize> {
        for _ in 0..self.ports.len() {
            if !self.is_readable() {
                break;
            }
            let index = self.turn;
            self.turn = (index + 1) % self.ports.len();
            let Self { ports, buffer, slot_bytes, meta, filled_bytes, .. } = self;
            if !ports[index].readable {
                continue;
            }
            match ports[index].receive(buffer, *slot_bytes, meta) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
                Ok(filled) => {
                    for (bytes, meta) in filled_bytes.iter_mut().zip(meta.iter()).take(filled) {
                        *bytes = meta.len.max(*bytes);
                    }
                    for (slot, meta) in buffer.chunks(*slot_bytes).zip(meta.iter()).take(filled) {
                        for payload in slot[..meta.len].chunks(meta.stride.max(1)) {
                            each(payload, meta);
                        }
                    }
                    return Ok(filled);
                }
            }
        }
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// Whether [`Datagrams::receive`] may give something.
    pub fn is_readable(&self) -> bool {
        !self.resting && self.ports.iter().any(|port| port.readable)
    }

    /// Sends one datagram, or several to one destination as segments. `WouldBlock` when the socket is full.
    pub fn send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let port = self.port_for(transmit);
        port.socket.try_io(|| port.state.try_send(UdpSockRef::from(&port.socket), transmit))
    }

    /// The socket of the address that the client speaks to; there is one for each address.
    fn port_for(&self, transmit: &Transmit<'_>) -> &Port {
        if let [only] = &self.ports[..] {
            return only;
        }
        let family = transmit.destination.is_ipv4();
        let of_family = || self.ports.iter().filter(|port| port.ip.is_ipv4() == family);
        let exactly = of_family().find(|port| Some(port.ip) == transmit.src_ip);
        // Any address of this family, then whatever there is: a datagram that cannot leave is lost to QUIC.
        let any = || of_family().find(|port| port.ip.is_unspecified()).or_else(|| of_family().next());
        exactly.or_else(any).unwrap_or(&self.ports[0])
    }

    /// A waker that ends a [`Datagrams::sleep`].
    pub fn waker(&self) -> io::Result<Waker> {
        Waker::new(self.poll.registry(), WAKER)
    }

    /// Sleeps until a datagram comes, the waker is used or the time is over; with `for_room` also until a socket takes
    /// datagrams again.
    pub fn sleep(&mut self, at_most: Duration, for_room: bool) -> io::Result<()> {
        let due = match (!self.resting, for_room) {
            (true, true) => Some(Interest::READABLE | Interest::WRITABLE),
            (true, false) => Some(Interest::READABLE),
            (false, true) => Some(Interest::WRITABLE),
            (false, false) => None,
        };
        for (token, port) in (SOCKETS..).map(Token).zip(&mut self.ports) {
            port.await_what_is_due(self.poll.registry(), token, due)?;
        }
        match self.poll.poll(&mut self.events, Some(at_most)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => result?,
        }
        for event in &self.events {
            let index = event.token().0.checked_sub(SOCKETS);
            if let Some(port) = index.and_then(|index| self.ports.get_mut(index)) {
                port.readable = true;
            }
        }
        Ok(())
    }

    /// Leaves the sockets' datagrams to another process, or reads them (again). It sends in any case.
    pub fn rest(&mut self, resting: bool) {
        self.resting = resting;
        // Readiness is told once: what came meanwhile was told to nobody, or to another process.
        self.ports.iter_mut().for_each(|port| port.readable = true);
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

    /// Forgets the last datagrams, and whom they came from.
    pub fn forget(&mut self) {
        self.meta.fill(RecvMeta::default());
        for (slot, filled) in self.buffer.chunks_mut(self.slot_bytes).zip(&mut self.filled_bytes) {
            slot[..std::mem::take(filled)].fill(0);
        }
    }
}
