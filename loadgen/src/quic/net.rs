//! WebTransport for one load thread: one socket, one quinn-proto endpoint, all sessions.
//!
//! In: datagrams, the clock, and what a scenario wants (see [`Net`]). Out: datagrams, and [`NetEvent`]s.

use std::collections::VecDeque;
use std::io;
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
use super::verify::tls_config;
use super::wheel::{UNARMED, Wheel};
use crate::limits::{MAX_GSO_DATAGRAMS, MAX_RECEIVE_BATCHES};
use crate::net::{Net, NetEvent, SessionId, Target, Traffic};
use crate::time::{Nanos, now, to_instant};

/// The connections of one thread.
pub struct QuicNet {
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

impl QuicNet {
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

impl Net for QuicNet {
    fn open(&mut self) -> Result<SessionId, String> {
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

    fn send(&mut self, session: SessionId, frame: Bytes) {
        if let Some((conn, io)) = self.conn(session) {
            conn.send(io, session, frame);
            self.mark(session.index);
        }
    }

    fn close(&mut self, session: SessionId, code: u32) {
        if let Some((conn, io)) = self.conn(session) {
            conn.close(io, code);
            self.mark(session.index);
        }
    }

    fn next_event(&mut self) -> Option<NetEvent> {
        self.io.events.pop_front()
    }

    fn receive(&mut self) -> io::Result<Option<Nanos>> {
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

    fn expire(&mut self) {
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

    fn drive(&mut self) {
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

    fn wait(&self, until: Nanos) {
        let at = now();
        let until = until.min(self.wheel.next(until.saturating_sub(at)));
        if until > at {
            self.io.socket.wait(Duration::from_nanos(until - at));
        }
    }

    fn traffic(&self) -> Traffic {
        self.io.socket.traffic()
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
