//! Steps 1, 5 and 6: one client's connection on its shard.
//!
//! In: what the shard tells it to write, and the passing of time. Out: bytes for QUIC, and the moment at which it wants
//! to be looked at again. It knows QUIC, the session layer and its own queue; what frames mean is the core's.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;
use quinn_proto::{Connection, Dir, StreamId, VarInt};

use super::clock::Clock;
use super::h3;
use super::line::{Line, LineDue};
use super::precedence::Queue;
use super::unread::Unread;
use crate::core::io::{CloseCode, Time};
use crate::limits;

/// HTTP/3's "no error" (RFC 9114, section 8.1), with which a connection ends that is not needed any more.
pub const H3_NO_ERROR: VarInt = VarInt::from_u32(0x100);
/// HTTP/3's "excessive load", with which a connection ends that makes the server hold too much.
pub const H3_EXCESSIVE_LOAD: VarInt = VarInt::from_u32(0x107);

/// Where a connection is on its way through the six steps.
#[derive(derive_more::Debug)]
pub enum Phase {
    /// Until the client's Finished, or this moment.
    Handshake {
        /// When it is given up.
        until: Time,
    },
    /// Until a session is accepted, or this moment.
    Connect {
        /// When it is given up.
        until: Time,
    },
    /// The session is on; the core knows it by a link.
    Open,
    /// The core has closed the session; what was written to the channel goes first.
    Flushing {
        /// When the close goes out at the latest.
        until: Time,
        /// The close code.
        code: CloseCode,
        /// The reason.
        #[debug("{} bytes", reason.len())]
        reason: Bytes,
    },
    /// The session is over; the client closes the connection, or the server does at this moment.
    Lingering {
        /// When the server closes.
        until: Time,
    },
    /// The QUIC connection is closed and only waits to be forgotten.
    Closed,
}

/// Bytes that the session layer wants written, in order, when QUIC has no room for them at once.
#[derive(derive_more::Debug)]
pub enum Blocked {
    /// Bytes for a stream.
    Write(StreamId, #[debug("{} bytes", _1.len())] Bytes),
    /// The end of a stream.
    Finish(StreamId),
    /// A stream of the server's own.
    Open,
}

impl Blocked {
    /// The stream that it is about; `None` for one that is still to be opened.
    fn stream(&self) -> Option<StreamId> {
        match self {
            Self::Write(id, _) | Self::Finish(id) => Some(*id),
            Self::Open => None,
        }
    }
}

/// One connection.
pub struct Conn {
    /// QUIC.
    pub quic: Connection,
    /// HTTP/3 and WebTransport.
    pub session: h3::Session,
    /// The channel, as the core knows it.
    pub line: Line,
    /// The channel's stream once its header has been read.
    pub channel: Option<StreamId>,
    /// Where the connection is.
    pub phase: Phase,
    /// Streams whose bytes the session layer leaves in QUIC for now; at most those a client may open.
    pub deferred: Vec<StreamId>,
    /// What the session layer could not write at once.
    pub blocked: VecDeque<Blocked>,
    /// Once its address is proven: whether too many connections come from there, and when one more may (`Guard::connected`).
    pub late_ms: Option<u32>,
    /// STREAM frames that lie unread in QUIC.
    pub unread: Unread,
    /// Frames of which QUIC keeps something that had come when it was last looked at whether the client hoards.
    looked_at: u64,
    /// CRYPTO frames that had come when the handshake ended.
    crypto: u64,
    /// Where it is counted among the connections without a completed handshake; `None` once it has one.
    pub half_open: Option<Queue>,
    /// QUIC packets sent, and lost, as last counted.
    pub packets: (u64, u64),
}

impl Conn {
    /// A connection whose first datagram has arrived now.
    pub fn new(quic: Connection, session: h3::Session, now: Time, queue: Queue) -> Self {
        let mut line = Line::new(now);
        line.behind = queue == Queue::Behind;
        Self {
            quic,
            session,
            line,
            channel: None,
            phase: Phase::Handshake { until: now.plus_ms(limits::HANDSHAKE_DEADLINE_MS) },
            deferred: Vec::new(),
            blocked: VecDeque::new(),
            late_ms: None,
            unread: Unread::default(),
            looked_at: 0,
            crypto: 0,
            half_open: Some(queue),
            packets: (0, 0),
        }
    }

    /// Whether so much has come since it was last looked at that it has to be now, before the turn goes on.
    pub fn is_flooding(&self) -> bool {
        counted(&self.quic) > self.looked_at + limits::TURN_FRAMES
    }

    /// Whether the client makes QUIC hold what cannot be read: data behind gaps, or connection IDs in the place of those that it
    /// retires. Over its limits an honest client has to come back and resume.
    pub fn hoards(&mut self) -> bool {
        let frames = self.quic.stats().frame_rx;
        self.looked_at = counted(&self.quic);
        let handshaking = matches!(self.phase, Phase::Handshake { .. });
        if handshaking {
            self.crypto = frames.crypto;
        }
        self.unread.is_too_much(self.channel)
            || frames.crypto > self.crypto + limits::UNREAD_CRYPTO_FRAMES
            || frames.retire_connection_id > limits::RETIRED_IDS
    }

    /// Writes what QUIC takes of the queue to the channel. Returns how many relayed bytes have left.
    pub fn flush(&mut self, now: Time) -> usize {
        let Some(channel) = self.channel.filter(|_| !self.line.out.is_empty()) else { return 0 };
        let mut stream = self.quic.send_stream(channel);
        let (written, _) =
            self.line.out.write_to(|chunk| stream.write_chunks(&mut [chunk]).map(|written| written.bytes));
        self.line.note_written(now, written);
        written.relayed
    }

    /// Writes for the session layer, behind what is already blocked.
    pub fn write(&mut self, operation: Blocked) {
        self.blocked.push_back(operation);
        self.flush_blocked();
    }

    /// Tries what is blocked again: in order on each stream, and no stream holds up another. What a stream that is gone was
    /// meant to carry is dropped.
    pub fn flush_blocked(&mut self) {
        let mut kept: VecDeque<Blocked> = VecDeque::new();
        while let Some(operation) = self.blocked.pop_front() {
            let waits = kept.iter().any(|earlier| earlier.stream() == operation.stream());
            let rest = if waits { Some(operation) } else { self.try_blocked(operation) };
            kept.extend(rest);
        }
        self.blocked = kept;
    }

    /// Carries out an operation of the session layer, as far as QUIC has room; what is left of it.
    fn try_blocked(&mut self, operation: Blocked) -> Option<Blocked> {
        match operation {
            Blocked::Write(id, mut bytes) => match self.quic.send_stream(id).write(&bytes) {
                Ok(taken) if taken < bytes.len() => Some(Blocked::Write(id, bytes.split_off(taken))),
                Err(quinn_proto::WriteError::Blocked) => Some(Blocked::Write(id, bytes)),
                Ok(_) | Err(_) => None,
            },
            Blocked::Finish(id) => {
                // An error means that the stream has been reset or stopped: there is nothing left to end.
                let _ = self.quic.send_stream(id).finish();
                None
            }
            Blocked::Open => match self.quic.streams().open(Dir::Uni) {
                Some(id) => {
                    self.session.handle_uni_opened(h3::StreamId(id.into()));
                    None
                }
                None => Some(Blocked::Open),
            },
        }
    }

    /// Abandons the sending side of a stream, and what it was still to carry. So what is blocked is at most a response and a
    /// close for each stream that a client may have open.
    pub fn reset(&mut self, id: StreamId, code: VarInt) {
        self.blocked.retain(|operation| operation.stream() != Some(id));
        // An error means that the stream has ended already.
        let _ = self.quic.send_stream(id).reset(code);
    }

    /// Closes the QUIC connection.
    pub fn close_quic(&mut self, now: Instant, code: VarInt, reason: &'static str) {
        self.quic.close(now, code, Bytes::from_static(reason.as_bytes()));
        self.phase = Phase::Closed;
    }

    /// Ends the session from the server's side once the channel has had its chance.
    pub fn close_session(&mut self, now: Time, code: CloseCode, reason: Bytes) {
        // What was just written needs a round trip to arrive before the capsule, which travels on another stream.
        let round_trips_ms = (2 * self.quic.rtt().as_millis() as u64).min(limits::CLOSE_DELAY_MS);
        let delay_ms = if self.line.out.is_empty() && self.line.wrote.plus_ms(round_trips_ms) < now {
            0
        } else {
            round_trips_ms
        };
        self.phase = Phase::Flushing { until: now.plus_ms(delay_ms), code, reason };
    }

    /// What is due now, apart from QUIC's own timers.
    pub fn due(&mut self, now: Time) -> Option<Due> {
        match &mut self.phase {
            Phase::Handshake { until } if *until <= now => {
                return Some(Due::GiveUp("the handshake took too long"));
            }
            Phase::Connect { until } if *until <= now => {
                return Some(Due::GiveUp("no session was asked for"));
            }
            Phase::Lingering { until } if *until <= now => return Some(Due::GiveUp("")),
            Phase::Flushing { until, code, reason } if *until <= now => {
                return Some(Due::Close(*code, std::mem::take(reason)));
            }
            Phase::Open => {}
            _ => return None,
        }
        match self.line.due(now)? {
            LineDue::Silent => Some(Due::Silent),
            LineDue::Stalled => Some(Due::Stalled),
            LineDue::Probe => {
                self.quic.ping();
                None
            }
        }
    }

    /// When this connection wants to be looked at again.
    pub fn deadline(&mut self, clock: &Clock) -> Option<Time> {
        let quic = self.quic.poll_timeout().map(|at| clock.time_of(at));
        let own = match &self.phase {
            Phase::Handshake { until }
            | Phase::Connect { until }
            | Phase::Flushing { until, .. }
            | Phase::Lingering { until } => Some(*until),
            Phase::Closed => None,
            Phase::Open => Some(self.line.deadline()),
        };
        [quic, own].into_iter().flatten().min()
    }
}

/// Frames from the client so far of which QUIC keeps something until the connection is looked at: data, or an event.
fn counted(quic: &Connection) -> u64 {
    let frames = quic.stats().frame_rx;
    frames.stream
        + frames.crypto
        + frames.retire_connection_id
        + frames.max_streams_bidi
        + frames.max_streams_uni
}

/// What a passed deadline means.
#[derive(derive_more::Debug)]
pub enum Due {
    /// The connection is not needed or not wanted any more.
    GiveUp(&'static str),
    /// The channel had its chance: the session's close goes out.
    Close(CloseCode, #[debug("{} bytes", _1.len())] Bytes),
    /// Nothing was heard of a client in a chat.
    Silent,
    /// A client takes nothing of what is pending.
    Stalled,
}
