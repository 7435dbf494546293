//! What carries the sessions of one load thread, whatever the transport.
//!
//! In: what a scenario wants (open, send, close), and the passing of time. Out: [`NetEvent`]s.
//! The owner calls [`Net::receive`], [`Net::expire`] and [`Net::drive`] in turn, takes events until there are none, and
//! sleeps in [`Net::wait`].

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::{Add, Sub};
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::quic::verify::Trust;
use crate::time::Nanos;
use crate::wt::session::{End, Request};

/// Names a session of this thread; never used for a second one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionId {
    /// Place in the transport's table; reused after the connection is gone.
    pub(crate) index: u32,
    /// Tells sessions of the same place apart.
    pub(crate) generation: u32,
}

impl SessionId {
    /// Place in a table of sessions; reused after the session's connection is gone.
    pub fn index(self) -> usize {
        self.index as usize
    }
}

/// How to connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// WebTransport over HTTP/3.
    WebTransport,
    /// The protocol's fallback over WebSocket (docs/PROTOCOL.md section 9), with or without TLS.
    WebSocket {
        /// Whether it is `wss`.
        tls: bool,
    },
    /// The peer `matchbox_server`.
    Matchbox,
}

/// Where and how to connect.
#[derive(Clone, Debug)]
pub struct Target {
    /// By which transport.
    pub transport: Transport,
    /// The server's address.
    pub address: SocketAddr,
    /// Name in the certificate and in the TLS hello.
    pub server_name: String,
    /// The CONNECT request, or the upgrade to WebSocket.
    pub request: Request,
    /// Which certificates are believed.
    pub trust: Trust,
    /// Local addresses, used in turn; empty leaves the choice to the system.
    pub sources: Vec<IpAddr>,
    /// QUIC idle timeout offered; browsers offer 30 s.
    pub idle_timeout: Duration,
    /// QUIC keep-alives of the client; none by default: they are the server's job.
    pub keep_alive: Option<Duration>,
}

/// Why a session is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gone {
    /// The session ended as a protocol says.
    Session(End),
    /// The connection was lost: why, in few words that are the same for all alike.
    Connection(String),
}

/// What happened to a session.
#[derive(Debug)]
pub enum What {
    /// The handshake of QUIC, or of TCP and TLS, is complete.
    Handshaken,
    /// The CONNECT, or the upgrade, was accepted.
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

/// What passed through a thread's sockets so far: datagrams of UDP, reads and writes of TCP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Sent.
    pub sent: u64,
    /// Received.
    pub received: u64,
    /// Given up because the socket stayed full.
    pub dropped_sends: u64,
    /// Dropped by the kernel because this program did not take them in time.
    pub dropped_receives: u64,
}

impl Sub for Traffic {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            sent: self.sent.saturating_sub(earlier.sent),
            received: self.received.saturating_sub(earlier.received),
            dropped_sends: self.dropped_sends.saturating_sub(earlier.dropped_sends),
            dropped_receives: self.dropped_receives.saturating_sub(earlier.dropped_receives),
        }
    }
}

impl Add for Traffic {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            sent: self.sent + other.sent,
            received: self.received + other.received,
            dropped_sends: self.dropped_sends + other.dropped_sends,
            dropped_receives: self.dropped_receives + other.dropped_receives,
        }
    }
}

/// The sessions of one load thread.
pub trait Net: Send {
    /// Starts a connection, from the next of the target's source addresses; what became of it comes as events.
    fn open(&mut self) -> Result<SessionId, String>;

    /// Sends a frame on a session's channel; nothing if the session is over.
    fn send(&mut self, session: SessionId, frame: Bytes);

    /// Ends a session from this side; no event follows.
    fn close(&mut self, session: SessionId, code: u32);

    /// Takes what has arrived, for a bounded time; returns how long the oldest had waited in the kernel, if that is known.
    fn receive(&mut self) -> io::Result<Option<Nanos>>;

    /// Acts on deadlines that have come.
    fn expire(&mut self);

    /// Lets every connection that was touched send, and collects what happened.
    fn drive(&mut self);

    /// The next thing that happened.
    fn next_event(&mut self) -> Option<NetEvent>;

    /// Sleeps until something arrives, a deadline is due, or `until`.
    fn wait(&self, until: Nanos);

    /// What passed through the sockets so far.
    fn traffic(&self) -> Traffic;
}
