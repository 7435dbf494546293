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
    ConnectionError, ConnectionHandle, DatagramEvent, Endpoint, EndpointConfig, Event, MtuDiscoveryConfig,
    NoneTokenStore, TransportConfig, TransportErrorCode, VarInt,
};

use super::crypto::LightClientConfig;
use super::socket::{Received, Socket};
use super::verify::{Trust, tls_config};
use super::wheel::{UNARMED, Wheel};
use crate::limits::{MAX_GSO_DATAGRAMS, MAX_RECEIVE_BATCHES};
use crate::time::{Nanos, now, to_instant};
use crate::wt::session::{End, H3_NO_ERROR, Happened, Request, Session};

/// Names a session of this thread; never used for a second one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionId {
    index: u32,
    generation: u32,
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

struct Conn {
    quic: quinn_proto::Connection,
    wt: Session,
    source: Option<IpAddr>,
    generation: u32,
    /// The wheel's record; see [`Wheel::arm`].
    armed: u64,
    dirty: bool,
    /// Whether the owner has been told, or said itself, that the session is over.
    over: bool,
}

/// The connections of one thread.
pub struct Net {
    socket: Socket,
    endpoint: Endpoint,
    config: quinn_proto::ClientConfig,
    target: Target,
    /// By the endpoint's handle.
    conns: Vec<Option<Box<Conn>>>,
    generation: u32,
    next_source: usize,
    wheel: Wheel,
    due: Vec<(u32, u64)>,
    dirty: Vec<u32>,
    received: Vec<Received>,
    buffer: Vec<u8>,
    gso: usize,
    /// What happened, oldest first.
    pub events: VecDeque<NetEvent>,
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
        Ok(Self {
            socket,
            endpoint: Endpoint::new(Arc::new(EndpointConfig::default()), None, false, None),
            config,
            target,
            conns: Vec::new(),
            generation: 0,
            next_source: 0,
            wheel: Wheel::new(now()),
            due: Vec::new(),
            dirty: Vec::new(),
            received: Vec::new(),
            buffer: Vec::new(),
            gso,
            events: VecDeque::new(),
        })
    }

    /// Starts a connection. The source address is the next of the list.
    pub fn open(&mut self) -> Result<SessionId, String> {
        let (address, name) = (self.target.address, &self.target.server_name);
        let (handle, quic) = self
            .endpoint
            .connect(to_instant(now()), self.config.clone(), address, name)
            .map_err(|error| error.to_string())?;
        let source = self.target.sources.get(self.next_source % self.target.sources.len().max(1)).copied();
        self.next_source = self.next_source.wrapping_add(1);
        self.generation = self.generation.wrapping_add(1);
        if self.conns.len() <= handle.0 {
            self.conns.resize_with(handle.0 + 1, || None);
        }
        let conn = Conn {
            quic,
            wt: Session::default(),
            source,
            generation: self.generation,
            armed: UNARMED,
            dirty: false,
            over: false,
        };
        self.conns[handle.0] = Some(Box::new(conn));
        self.mark(handle.0 as u32);
        Ok(SessionId { index: handle.0 as u32, generation: self.generation })
    }

    /// Sends a frame on a session's channel; nothing if the session is over.
    pub fn send(&mut self, session: SessionId, frame: Bytes) {
        let Some(conn) = self.conn(session) else { return };
        if let Err(end) = conn.wt.send(&mut conn.quic, frame) {
            self.over(session.index, Gone::Session(end));
        }
        self.mark(session.index);
    }

    /// Ends a session from this side; no event follows.
    pub fn close(&mut self, session: SessionId, code: u32) {
        let Some(mut conn) = self.take(session) else { return };
        conn.over = true;
        conn.wt.close(&mut conn.quic, code);
        self.transmit(&mut conn);
        conn.quic.close(to_instant(now()), VarInt::from_u32(H3_NO_ERROR), Bytes::new());
        conn.wt = Session::default();
        self.conns[session.index()] = Some(conn);
        self.mark(session.index);
    }

    /// Receives some batches; returns how long the oldest datagram had waited in the kernel, if any came.
    pub fn receive(&mut self) -> io::Result<Option<Nanos>> {
        let mut lag = None;
        self.socket.flush();
        for _ in 0..MAX_RECEIVE_BATCHES {
            let mut received = std::mem::take(&mut self.received);
            let more = self.socket.receive(|datagram| received.push(datagram))?;
            if !received.is_empty() {
                lag = lag.max(Some(self.socket.receive_lag));
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
            let Some(conn) = self.conns.get_mut(index as usize).and_then(Option::as_mut) else { continue };
            if conn.armed != tick {
                continue;
            }
            conn.armed = UNARMED;
            conn.quic.handle_timeout(to_instant(at));
            self.mark(index);
        }
        self.due = due;
    }

    /// Lets every connection that was touched send, and collects what happened.
    pub fn drive(&mut self) {
        while let Some(index) = self.dirty.pop() {
            let Some(mut conn) = self.conns.get_mut(index as usize).and_then(Option::take) else { continue };
            conn.dirty = false;
            if self.drive_one(index, &mut conn) {
                continue;
            }
            if let Some(deadline) = conn.quic.poll_timeout() {
                self.wheel.arm(index, &mut conn.armed, crate::time::from_instant(deadline));
            }
            self.conns[index as usize] = Some(conn);
        }
    }

    /// Sleeps until a datagram comes, a deadline is due, or `until`.
    pub fn wait(&self, until: Nanos) {
        let at = now();
        let until = until.min(self.wheel.next(until.saturating_sub(at)));
        if until > at {
            self.socket.wait(Duration::from_nanos(until - at));
        }
    }

    /// Connections that are open or not yet forgotten.
    pub fn connections(&self) -> usize {
        self.endpoint.open_connections()
    }

    /// Datagrams that the socket had no room for: on their way out, and on their way in.
    pub fn dropped(&self) -> (u64, u64) {
        (self.socket.dropped_sends, self.socket.kernel_drops())
    }

    fn handle_datagram(&mut self, datagram: Received) {
        let Received { remote, local, ecn, contents } = datagram;
        let ecn = ecn.and_then(|mark| quinn_proto::EcnCodepoint::from_bits(mark as u8));
        self.buffer.clear();
        let at = to_instant(now());
        match self.endpoint.handle(at, remote, local, ecn, contents, &mut self.buffer) {
            Some(DatagramEvent::ConnectionEvent(handle, event)) => {
                if let Some(conn) = self.conns.get_mut(handle.0).and_then(Option::as_mut) {
                    conn.quic.handle_event(event);
                    self.mark(handle.0 as u32);
                }
            }
            Some(DatagramEvent::Response(transmit)) => {
                self.socket.send(&transmit, &self.buffer[..transmit.size], local);
            }
            // A client endpoint has no incoming connections.
            Some(DatagramEvent::NewConnection(_)) | None => {}
        }
    }

    /// `true` if the connection is gone for good.
    fn drive_one(&mut self, index: u32, conn: &mut Conn) -> bool {
        loop {
            self.transmit(conn);
            let mut drained = false;
            while let Some(event) = conn.quic.poll_endpoint_events() {
                drained |= event.is_drained();
                if let Some(event) = self.endpoint.handle_event(ConnectionHandle(index as usize), event) {
                    conn.quic.handle_event(event);
                }
            }
            if drained {
                return true;
            }
            let mut touched = false;
            while let Some(event) = conn.quic.poll() {
                touched = true;
                self.handle_event(index, conn, event);
            }
            if !touched {
                return false;
            }
        }
    }

    fn handle_event(&mut self, index: u32, conn: &mut Conn, event: Event) {
        if conn.over {
            return;
        }
        let session = SessionId { index, generation: conn.generation };
        let (at, events) = (now(), &mut self.events);
        let mut tell = |what| events.push_back(NetEvent { session, at, what });
        let mut ended = None;
        match event {
            Event::Connected => {
                tell(What::Handshaken);
                ended = conn.wt.handle_connected(&mut conn.quic).err();
            }
            Event::Stream(event) => {
                conn.wt.handle_stream(&mut conn.quic, &self.target.request, &event, &mut |happened| {
                    match happened {
                        Happened::Open => tell(What::Open),
                        Happened::Frame(frame_type, payload) => tell(What::Frame(frame_type, payload)),
                        Happened::Ended(end) => ended = Some(end),
                    }
                });
            }
            Event::ConnectionLost { reason } => {
                conn.over = true;
                tell(What::Gone(gone(&reason)));
            }
            _ => {}
        }
        if let Some(end) = ended {
            conn.over = true;
            self.events.push_back(NetEvent { session, at, what: What::Gone(Gone::Session(end)) });
            conn.quic.close(to_instant(at), VarInt::from_u32(H3_NO_ERROR), Bytes::new());
        }
    }

    fn transmit(&mut self, conn: &mut Conn) {
        let at = to_instant(now());
        loop {
            self.buffer.clear();
            let Some(transmit) = conn.quic.poll_transmit(at, self.gso.max(1), &mut self.buffer) else {
                return;
            };
            self.socket.send(&transmit, &self.buffer[..transmit.size], conn.source);
        }
    }

    fn over(&mut self, index: u32, gone: Gone) {
        let Some(conn) = self.conns[index as usize].as_mut() else { return };
        if std::mem::replace(&mut conn.over, true) {
            return;
        }
        let (session, at) = (SessionId { index, generation: conn.generation }, now());
        conn.quic.close(to_instant(at), VarInt::from_u32(H3_NO_ERROR), Bytes::new());
        self.events.push_back(NetEvent { session, at, what: What::Gone(gone) });
    }

    fn conn(&mut self, session: SessionId) -> Option<&mut Conn> {
        let conn = self.conns.get_mut(session.index())?.as_deref_mut()?;
        (conn.generation == session.generation && !conn.over).then_some(conn)
    }

    fn take(&mut self, session: SessionId) -> Option<Box<Conn>> {
        self.conn(session)?;
        self.conns[session.index()].take()
    }

    fn mark(&mut self, index: u32) {
        if let Some(conn) = self.conns[index as usize].as_mut()
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

/// HTTP/3's own application errors start here; below it a server means a code of the session's.
const FIRST_H3_ERROR: u64 = 0x100;

/// Some servers close the connection with the session's code instead of sending a capsule first.
fn gone(reason: &ConnectionError) -> Gone {
    match reason {
        ConnectionError::ApplicationClosed(close) if u64::from(close.error_code) < FIRST_H3_ERROR => {
            let reason = String::from_utf8_lossy(&close.reason).into_owned();
            Gone::Session(End::Closed(u64::from(close.error_code) as u32, reason))
        }
        other => Gone::Connection(in_words(other)),
    }
}

/// Few words, the same for all losses alike, so that a report can count them.
fn in_words(reason: &ConnectionError) -> String {
    match reason {
        ConnectionError::TimedOut => "connection timed out".into(),
        ConnectionError::Reset => "connection reset by the server (restarted?)".into(),
        ConnectionError::TransportError(error) => {
            let code = u64::from(error.code);
            if (0x100..0x200).contains(&code) || error.code == TransportErrorCode::PROTOCOL_VIOLATION {
                format!("TLS or protocol: {}", error.reason)
            } else {
                error.to_string()
            }
        }
        ConnectionError::ConnectionClosed(close) => format!("closed by the server: {close}"),
        ConnectionError::ApplicationClosed(close) => {
            format!("closed by the server: HTTP/3 {}", close.error_code)
        }
        other => other.to_string(),
    }
}
