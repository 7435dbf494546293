//! The connections of one load thread: one socket, one quinn-proto endpoint, all sessions.
//!
//! In: datagrams, the clock, and what a scenario wants (open, send, close). Out: datagrams, and [`NetEvent`]s.
//! The owner calls [`Net::receive`], [`Net::expire`] and [`Net::drive`] in turn and takes events until there are none.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use quinn_proto::{
    DatagramEvent, Endpoint, EndpointConfig, MtuDiscoveryConfig, NoneTokenStore, TransportConfig, VarInt,
};

use super::conn::{Conn, Io};
use super::crypto::LightClientConfig;
use super::pages::Pages;
use super::socket::{Received, Socket};
use super::verify::{Trust, tls_config};
use super::wheel::{UNARMED, Wheel};
use crate::limits::{MAX_GSO_DATAGRAMS, MAX_RECEIVE_BATCHES};
use crate::time::{Nanos, now, to_instant};
use crate::wt::session::{End, Request};

/// Names a session of this thread; never used for a second one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionId {
    pub(super) index: u32,
    pub(super) generation: u32,
}

impl SessionId {
    /// Place in a table of sessions; reused after the session's connection is gone.
    pub fn index(self) -> usize {
        self.index as usize
    }
}

/// Where and how to connect.
#[derive(Clone, Debug)]
pub struct Target {
    /// The server's UDP address.
    pub address: SocketAddr,
    /// Name in the certificate and in the TLS hello.
    pub server_name: String,
    /// The CONNECT request.
    pub request: Request,
    /// Which certificates are believed.
    pub trust: Trust,
    /// Local addresses, used in turn; empty leaves the choice to the system.
    pub sources: Vec<IpAddr>,
    /// Idle timeout offered; browsers offer 30 s.
    pub idle_timeout: Duration,
    /// Keep-alives of the client; none by default: they are the server's job.
    pub keep_alive: Option<Duration>,
}

/// Why a session is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gone {
    /// The WebTransport session ended as a protocol says.
    Session(End),
    /// The QUIC connection was lost: why, in few words that are the same for all alike.
    Connection(String),
}

/// What happened to a session.
#[derive(Debug)]
pub enum What {
    /// The QUIC handshake is complete.
    Handshaken,
    /// The CONNECT was accepted.
    Open,
    /// A whole frame arrived.
    Frame(u8, Bytes),
    /// The session is over and will not be heard of again.
    Gone(Gone),
}

/// An event with the moment at which this process saw it.
#[derive(Debug)]
pub struct NetEvent {
    /// The session.
    pub session: SessionId,
    /// When.
    pub at: Nanos,
    /// What.
    pub what: What,
}

/// The connections of one thread.
pub struct Net {
    io: Io,
    config: quinn_proto::ClientConfig,
    /// By the endpoint's handle.
    conns: Pages<Conn>,
    generation: u32,
    next_source: usize,
    wheel: Wheel,
    due: Vec<(u32, u64)>,
    dirty: Vec<u32>,
    received: Vec<Received>,
}

impl Net {
    /// Binds the socket and prepares TLS.
    pub fn new(target: Target) -> Result<Self, String> {
        let socket = Socket::bind(target.address).map_err(|error| format!("no UDP socket: {error}"))?;
        let tls = Arc::new(tls_config(&target.trust, b"h3")?);
        let crypto = LightClientConfig::new(tls).ok_or("TLS without AES-128-GCM cannot speak QUIC")?;
        let mut config = quinn_proto::ClientConfig::new(Arc::new(crypto));
        config.transport_config(Arc::new(transport(&target)?));
        config.token_store(Arc::new(NoneTokenStore));
        let gso = socket.max_gso_datagrams().min(MAX_GSO_DATAGRAMS);
        let endpoint = Endpoint::new(Arc::new(EndpointConfig::default()), None, false, None);
        Ok(Self {
            io: Io { socket, endpoint, target, gso, buffer: Vec::new(), events: VecDeque::new() },
            config,
            conns: Pages::default(),
            generation: 0,
            next_source: 0,
            wheel: Wheel::new(now()),
            due: Vec::new(),
            dirty: Vec::new(),
            received: Vec::new(),
        })
    }

    /// Starts a connection. The source address is the next of the list.
    pub fn open(&mut self) -> Result<SessionId, String> {
        let Io { target, endpoint, .. } = &mut self.io;
        let (handle, quic) = endpoint
            .connect(to_instant(now()), self.config.clone(), target.address, &target.server_name)
            .map_err(|error| error.to_string())?;
        let source = target.sources.get(self.next_source % target.sources.len().max(1)).copied();
        self.next_source = self.next_source.wrapping_add(1);
        self.generation = self.generation.wrapping_add(1);
        let index = handle.0 as u32;
        self.conns.insert(index, Conn::new(quic, source, self.generation));
        self.mark(index);
        Ok(SessionId { index, generation: self.generation })
    }

    /// Sends a frame on a session's channel; nothing if the session is over.
    pub fn send(&mut self, session: SessionId, frame: Bytes) {
        if let Some((conn, io)) = self.conn(session) {
            conn.send(io, session, frame);
            self.mark(session.index);
        }
    }

    /// Ends a session from this side; no event follows.
    pub fn close(&mut self, session: SessionId, code: u32) {
        if let Some((conn, io)) = self.conn(session) {
            conn.close(io, code);
            self.mark(session.index);
        }
    }

    /// The next thing that happened.
    pub fn next_event(&mut self) -> Option<NetEvent> {
        self.io.events.pop_front()
    }

    /// Receives some batches; returns how long the oldest datagram had waited in the kernel, if any came.
    pub fn receive(&mut self) -> io::Result<Option<Nanos>> {
        let mut lag = None;
        self.io.socket.flush();
        for _ in 0..MAX_RECEIVE_BATCHES {
            let mut received = std::mem::take(&mut self.received);
            let more = self.io.socket.receive(|datagram| received.push(datagram))?;
            if !received.is_empty() {
                lag = lag.max(Some(self.io.socket.receive_lag));
            }
            for datagram in received.drain(..) {
                self.handle_datagram(datagram);
            }
            self.received = received;
            self.drive();
            if !more {
                break;
            }
        }
        Ok(lag)
    }

    /// Calls the connections whose deadline has come.
    pub fn expire(&mut self) {
        let mut due = std::mem::take(&mut self.due);
        let at = now();
        self.wheel.expire(at, &mut due);
        for (index, tick) in due.drain(..) {
            let Some(conn) = self.conns.get_mut(index).filter(|conn| conn.armed == tick) else { continue };
            conn.armed = UNARMED;
            conn.quic.handle_timeout(to_instant(at));
            self.mark(index);
        }
        self.due = due;
    }

    /// Lets every connection that was touched send, and collects what happened.
    pub fn drive(&mut self) {
        while let Some(index) = self.dirty.pop() {
            let Some(conn) = self.conns.get_mut(index) else { continue };
            conn.dirty = false;
            if conn.drive(&mut self.io, index) {
                self.conns.remove(index);
            } else if let Some(deadline) = conn.quic.poll_timeout() {
                self.wheel.arm(index, &mut conn.armed, crate::time::from_instant(deadline));
            }
        }
    }

    /// Sleeps until a datagram comes, a deadline is due, or `until`.
    pub fn wait(&self, until: Nanos) {
        let at = now();
        let until = until.min(self.wheel.next(until.saturating_sub(at)));
        if until > at {
            self.io.socket.wait(Duration::from_nanos(until - at));
        }
    }

    /// Connections that are open or not yet forgotten.
    pub fn connections(&self) -> usize {
        self.io.endpoint.open_connections()
    }

    /// Datagrams that the socket had no room for: on their way out, and on their way in.
    pub fn dropped(&self) -> (u64, u64) {
        (self.io.socket.dropped_sends, self.io.socket.kernel_drops())
    }

    fn handle_datagram(&mut self, datagram: Received) {
        let Received { remote, local, ecn, contents } = datagram;
        let ecn = ecn.and_then(|mark| quinn_proto::EcnCodepoint::from_bits(mark as u8));
        let Io { endpoint, buffer, socket, .. } = &mut self.io;
        buffer.clear();
        match endpoint.handle(to_instant(now()), remote, local, ecn, contents, buffer) {
            Some(DatagramEvent::ConnectionEvent(handle, event)) => {
                if let Some(conn) = self.conns.get_mut(handle.0 as u32) {
                    conn.quic.handle_event(event);
                    self.mark(handle.0 as u32);
                }
            }
            Some(DatagramEvent::Response(transmit)) => {
                socket.send(&transmit, &buffer[..transmit.size], local);
            }
            // A client endpoint has no incoming connections.
            Some(DatagramEvent::NewConnection(_)) | None => {}
        }
    }

    /// A connection whose session is not over, and what it needs to act.
    fn conn(&mut self, session: SessionId) -> Option<(&mut Conn, &mut Io)> {
        let conn = self.conns.get_mut(session.index)?;
        (conn.generation == session.generation && !conn.over).then_some((conn, &mut self.io))
    }

    fn mark(&mut self, index: u32) {
        if let Some(conn) = self.conns.get_mut(index)
            && !std::mem::replace(&mut conn.dirty, true)
        {
            self.dirty.push(index);
        }
    }
}

/// Small windows and few streams: the server's answers are small, and memory is what limits a load machine.
fn transport(target: &Target) -> Result<TransportConfig, String> {
    let mut config = TransportConfig::default();
    let idle =
        target.idle_timeout.try_into().map_err(|_| "an idle timeout beyond QUIC's range".to_string())?;
    config
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(4))
        .stream_receive_window(VarInt::from_u32(64 * 1024))
        .receive_window(VarInt::from_u32(128 * 1024))
        .send_window(64 * 1024)
        .max_idle_timeout(Some(idle))
        .keep_alive_interval(target.keep_alive)
        .mtu_discovery_config(None::<MtuDiscoveryConfig>)
        .datagram_receive_buffer_size(Some(4096))
        .datagram_send_buffer_size(4096);
    Ok(config)
}
