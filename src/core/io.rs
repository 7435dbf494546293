//! The border of the core: every type that goes in or comes out of a [`Shard`](super::shard::Shard).
//!
//! All coupling between the core and whoever drives it (the transport, the simulation, the baseline server)
//! fits on this page. The core never sees a socket, a task, a lock or a clock.

use bytes::Bytes;

use super::pairing::PersonId;
use super::reports::Accusation;

/// A moment: microseconds since the process started. The driver reads the clock, the core never does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub u64);

impl Time {
    /// This moment plus `ms` milliseconds.
    #[must_use]
    pub const fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms.saturating_mul(1000)))
    }

    /// Milliseconds from `earlier` to this moment, 0 if it is not earlier.
    #[must_use]
    pub const fn ms_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0) / 1000
    }
}

/// One shard of this server: the index of its thread, socket and waiting room. From 256 on a shard of another process, during
/// an upgrade: its index, and in the high byte by how many generations that process is ahead, modulo 256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u16);

impl ShardId {
    /// The index of the shard in its process.
    #[must_use]
    pub const fn index(self) -> u8 {
        self.0.to_be_bytes()[1]
    }

    /// By how many generations its process is ahead of this one; 0 for this one.
    #[must_use]
    pub const fn ahead(self) -> u8 {
        self.0.to_be_bytes()[0]
    }

    /// A shard of a process that is so many generations ahead.
    #[must_use]
    pub const fn of_process(ahead: u8, index: u8) -> Self {
        Self(u16::from_be_bytes([ahead, index]))
    }
}

/// One channel of this shard: an accepted WebTransport session's stream of frames. Reused after it has closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u32);

/// Where a client comes from: a keyed hash that the driver makes of an address's prefix, which the core never sees. Two of one prefix are
/// equal. The default is nowhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Mark(pub u64);

impl Mark {
    /// Sixteen bits of it that mean something in one context alone.
    #[must_use]
    pub const fn short(self, context: u64) -> u16 {
        // The mark is a hash already: one multiplication spreads the context over it.
        ((self.0 ^ context).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48) as u16
    }
}

/// What the driver knows about a client at HELLO.
#[derive(Clone, derive_more::Debug, Default)]
pub struct Visitor {
    /// Where it comes from.
    pub mark: Mark,
    /// Why it may not begin a session, with code and reason; one that it has, it may resume.
    #[debug("{}", refusal.is_some())]
    pub refusal: Option<Box<(CloseCode, Bytes)>>,
}

/// The number of a chat on the wire: random, the same for both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChatId(pub u32);

/// Close codes of a session (PROTOCOL.md section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum CloseCode {
    /// Done, or replaced by a newer connection.
    Done = 0,
    /// The client broke the protocol.
    Protocol = 1,
    /// A frame's length was over its limit.
    TooLarge = 2,
    /// Too many requests.
    TooMany = 3,
    /// Banned.
    Banned = 4,
    /// The server is going away.
    Draining = 5,
    /// No HELLO in time, or idle for too long.
    Idle = 6,
    /// A fault of the server.
    Internal = 7,
    /// The server is full.
    Full = 8,
}

/// The bytes of one whole frame, header included, as slices of the buffers they arrived in.
///
/// Most frames are one slice; `rest` allocates only when a frame spans datagrams.
#[derive(Clone, derive_more::Debug, Default, PartialEq, Eq)]
pub struct FrameBytes {
    /// The first slice.
    #[debug("{} bytes", first.len())]
    pub first: Bytes,
    /// The slices after it, in order.
    #[debug("{} of them", rest.len())]
    pub rest: Vec<Bytes>,
}

impl FrameBytes {
    /// Length of the frame in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.first.len() + self.rest.iter().map(Bytes::len).sum::<usize>()
    }

    /// Whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl From<Bytes> for FrameBytes {
    fn from(first: Bytes) -> Self {
        Self { first, rest: Vec::new() }
    }
}

/// A complete relayed frame (SIGNAL or TEXT) on its way from one channel to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayFrame {
    /// The chat number in its payload.
    pub chat: ChatId,
    /// The frame as it came.
    pub bytes: FrameBytes,
}

/// What becomes of a relayed frame: the hot path's return value, never queued in the core.
#[derive(Debug)]
pub enum Relayed {
    /// Write these bytes to that channel of this shard.
    Here {
        /// The receiving channel.
        to: LinkId,
        /// The bytes, unchanged.
        frame: FrameBytes,
    },
    /// Pass this to another shard's `handle_bus`.
    There {
        /// The shard that knows more.
        to: ShardId,
        /// What it is told.
        message: super::bus::BusMessage,
    },
    /// Nobody is meant (any more).
    Dropped,
}

/// Effects other than forwarding, in the order in which they have to happen.
#[derive(derive_more::Debug)]
pub enum Output {
    /// Write this whole frame (header included) to the channel, after what was written before.
    Send {
        /// The channel.
        link: LinkId,
        /// Header and payload.
        #[debug("{} bytes", frame.len())]
        frame: Bytes,
    },
    /// Close the session with this code and reason. The link is gone: the driver names it no more.
    Close {
        /// The channel whose session closes.
        link: LinkId,
        /// Why, for a program.
        code: CloseCode,
        /// Why, in the form of PROTOCOL.md section 6; at most 1,024 bytes.
        #[debug("{} bytes", reason.len())]
        reason: Bytes,
    },
    /// Read from this channel (`true`), or leave its bytes where back-pressure reaches the sender (`false`).
    Read {
        /// The channel.
        link: LinkId,
        /// Whether to read.
        on: bool,
    },
    /// The channel's session entered a chat (probe every 5 s, report silence) or left it (keep alive every 20 s).
    InChat {
        /// The channel.
        link: LinkId,
        /// Whether it is in a chat now.
        on: bool,
    },
    /// A session of this shard was reported. The driver keeps account, and may answer with `handle_sentence`.
    Accused(Box<Accusation>),
    /// A session that was reported is over.
    CaseClosed {
        /// Which.
        person: PersonId,
    },
    /// Tell another shard.
    Bus {
        /// The shard.
        to: ShardId,
        /// What it is told.
        message: super::bus::BusMessage,
    },
}
