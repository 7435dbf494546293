//! HTTP/3 and WebTransport, as far as one session a connection needs them: steps 1 and 6 of 6.
//!
//! A state machine without sockets, tasks or clocks. In: the bytes of a client's streams in any slicing, resets and
//! stops. Out: the bytes of the channel, and [`Effect`]s. It follows RFC 9114's rules for what a server must refuse,
//! and holds nothing on the heap once a session is open and no other stream is being read.
//!
//! # How to drive it
//! - Call [`Session::handle_handshake_done`] once, then carry out effects from [`Session::poll_effect`] until it gives
//!   none. Do that again after every other call.
//! - What [`Session::handle_stream`] returns comes before the effects that it queued: pass channel bytes on first.
//! - Before reading a stream, ask [`Session::is_readable`]. Bytes that are left in QUIC meanwhile push back on the client.
//!   What can become readable does so in the call that queues [`Effect::ChannelOpened`].
//! - After `fin`, a reset, [`Effect::StopSending`] or [`Effect::CloseConnection`], pass no more bytes of the stream or
//!   connection. `Write`, `Finish`, `Reset` and `StopSending` may name a stream that has just ended in QUIC: then they
//!   mean nothing.
//! - Deadlines are the driver's: the layer waits for a client as long as it is let.
//!
//! The parts, from the wire up: `codes`, `varint`, `frame`, `qpack`, `head`, `request`, `control`, `capsule`, `response`,
//! `policy`, and over all of them `streams` (what each stream is for) and `session`.

pub mod capsule;
pub mod codes;
mod control;
mod frame;
mod head;
mod policy;
pub mod qpack;
mod request;
mod response;
mod session;
mod streams;
mod varint;

#[cfg(test)]
mod tests;

use bytes::Bytes;

pub use policy::{Origins, Policy, SESSIONS_PATH};
pub use session::Session;

/// A QUIC stream of the connection (RFC 9000, section 2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u64);

impl StreamId {
    /// Whether the client opened it.
    #[must_use]
    pub const fn is_client_initiated(self) -> bool {
        self.0 & 1 == 0
    }

    /// Whether both sides send.
    #[must_use]
    pub const fn is_bidi(self) -> bool {
        self.0 & 2 == 0
    }
}

/// What became of bytes.
#[derive(derive_more::Debug, PartialEq, Eq)]
pub enum Received {
    /// The layer used them up.
    Consumed,
    /// They belong to the channel: the hot path, returned as they came and never queued.
    Channel {
        /// The bytes.
        #[debug("{} bytes", data.len())]
        data: Bytes,
        /// Whether the channel ends after them.
        fin: bool,
    },
}

/// What the driver has to do, in this order.
#[derive(derive_more::Debug, PartialEq, Eq)]
pub enum Effect {
    /// Open a unidirectional stream and tell its id with [`Session::handle_uni_opened`].
    OpenUni,
    /// Write all of these bytes to the stream, after what was written before.
    Write {
        /// The stream.
        id: StreamId,
        /// The bytes: at most a response or a close capsule.
        #[debug("{} bytes", data.len())]
        data: Bytes,
    },
    /// End the sending side after what was written.
    Finish {
        /// The stream.
        id: StreamId,
    },
    /// Abandon the sending side (`RESET_STREAM`).
    Reset {
        /// The stream.
        id: StreamId,
        /// The HTTP/3 error code.
        code: u64,
    },
    /// Refuse to receive (`STOP_SENDING`).
    StopSending {
        /// The stream.
        id: StreamId,
        /// The HTTP/3 error code.
        code: u64,
    },
    /// The response that opens the session was queued: the core opens a link.
    SessionOpened,
    /// The client opened the channel: the driver may write frames to it, and read it from now on.
    ChannelOpened {
        /// The stream.
        id: StreamId,
        /// Bytes that came with the channel's header: the first of the channel, often none.
        #[debug("{} bytes", data.len())]
        data: Bytes,
        /// Whether the channel ends after them.
        fin: bool,
    },
    /// The client ended the session, by a close capsule or by ending the CONNECT stream or the channel.
    SessionClosed {
        /// The client's code, 0 without a capsule.
        code: u32,
        /// The client's reason.
        #[debug("{} bytes", reason.len())]
        reason: Bytes,
    },
    /// Close the connection: the client broke HTTP/3.
    CloseConnection {
        /// The HTTP/3 error code.
        code: u64,
        /// Which rule, for a program's log on the other side.
        reason: &'static str,
    },
}

/// Somebody broke a rule; which part of the connection ends by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The whole connection.
    Connection {
        /// The HTTP/3 error code.
        code: u64,
        /// Which rule.
        reason: &'static str,
    },
    /// The stream, with this HTTP/3 error code.
    Stream(u64),
}

impl Fault {
    const fn connection(code: u64, reason: &'static str) -> Self {
        Self::Connection { code, reason }
    }
}
