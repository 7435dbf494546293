//! One connection of a load thread: QUIC below, WebTransport above, and what they make happen.
//!
//! In: calls of [`QuicNet`](super::net::QuicNet). Out: datagrams, and [`NetEvent`]s.

use std::collections::VecDeque;
use std::net::IpAddr;

use bytes::Bytes;
use quinn_proto::{ConnectionError, ConnectionHandle, Endpoint, Event, TransportErrorCode, VarInt};

use super::socket::Socket;
use super::wheel::UNARMED;
use crate::net::{Gone, NetEvent, SessionId, Target, What};
use crate::time::{now, to_instant};
use crate::wt::session::{End, H3_NO_ERROR, Happened, Session};

/// What all connections of a thread share.
pub struct Io {
    /// The socket.
    pub socket: Socket,
    /// Routes datagrams to connections.
    pub endpoint: Endpoint,
    /// Where connections go.
    pub target: Target,
    /// Datagrams in one send.
    pub gso: usize,
    /// For what is being sent.
    pub buffer: Vec<u8>,
    /// What happened, oldest first.
    pub events: VecDeque<NetEvent>,
}

/// One connection.
pub struct Conn {
    /// QUIC.
    pub quic: quinn_proto::Connection,
    wt: Session,
    source: Option<IpAddr>,
    /// Tells it from others that had the same place.
    pub generation: u32,
    /// The wheel's record; see [`Wheel::arm`](super::wheel::Wheel::arm).
    pub armed: u64,
    /// Whether it is on the list of those to be driven.
    pub dirty: bool,
    /// Whether the owner has been told, or said itself, that the session is over.
    pub over: bool,
}

impl Conn {
    /// A connection that has just been started.
    pub fn new(quic: quinn_proto::Connection, source: Option<IpAddr>, generation: u32) -> Self {
        Self { quic, wt: Session::default(), source, generation, armed: UNARMED, dirty: false, over: false }
    }

    /// Sends a frame on the channel.
    pub fn send(&mut self, io: &mut Io, session: SessionId, frame: Bytes) {
        if let Err(end) = self.wt.send(&mut self.quic, frame) {
            self.end(io, session, end);
        }
    }

    /// Says goodbye, then closes the connection.
    pub fn close(&mut self, io: &mut Io, code: u32) {
        self.over = true;
        self.wt.close(&mut self.quic, code);
        self.transmit(io);
        self.quic.close(to_instant(now()), VarInt::from_u32(H3_NO_ERROR), Bytes::new());
        self.wt = Session::default();
    }

    /// Sends what is due and collects what happened; `true` if the connection is gone for good.
    pub fn drive(&mut self, io: &mut Io, index: u32) -> bool {
        loop {
            self.transmit(io);
            let mut drained = false;
            while let Some(event) = self.quic.poll_endpoint_events() {
                drained |= event.is_drained();
                if let Some(event) = io.endpoint.handle_event(ConnectionHandle(index as usize), event) {
                    self.quic.handle_event(event);
                }
            }
            if drained {
                return true;
            }
            let mut touched = false;
            while let Some(event) = self.quic.poll() {
                touched = true;
                self.handle_event(io, SessionId { index, generation: self.generation }, event);
            }
            if !touched {
                return false;
            }
        }
    }

    fn handle_event(&mut self, io: &mut Io, session: SessionId, event: Event) {
        if self.over {
            return;
        }
        let at = now();
        let Io { events, target, .. } = io;
        let mut tell = |what| events.push_back(NetEvent { session, at, what });
        let mut ended = None;
        match event {
            Event::Connected => {
                tell(What::Handshaken);
                ended = self.wt.handle_connected(&mut self.quic).err();
            }
            Event::Stream(event) => {
                self.wt.handle_stream(
                    &mut self.quic,
                    &target.request,
                    &event,
                    &mut |happened| match happened {
                        Happened::Open => tell(What::Open),
                        Happened::Frame(frame_type, payload) => tell(What::Frame(frame_type, payload)),
                        Happened::Ended(end) => ended = Some(end),
                    },
                );
            }
            Event::ConnectionLost { reason } => {
                self.over = true;
                tell(What::Gone(gone(&reason)));
            }
            _ => {}
        }
        if let Some(end) = ended {
            self.end(io, session, end);
        }
    }

    /// The session is over by what the server did.
    fn end(&mut self, io: &mut Io, session: SessionId, end: End) {
        let at = now();
        self.over = true;
        self.quic.close(to_instant(at), VarInt::from_u32(H3_NO_ERROR), Bytes::new());
        io.events.push_back(NetEvent { session, at, what: What::Gone(Gone::Session(end)) });
    }

    fn transmit(&mut self, io: &mut Io) {
        let at = to_instant(now());
        loop {
            io.buffer.clear();
            let Some(transmit) = self.quic.poll_transmit(at, io.gso.max(1), &mut io.buffer) else { return };
            io.socket.send(&transmit, &io.buffer[..transmit.size], self.source);
        }
    }
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
