//! The session layer of one connection: a small table of the client's streams, and what each is for.
//!
//! Steps 1 and 6. How it is driven is written in the module above.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;

use bytes::Bytes;

use super::capsule::{CapsuleReader, CloseCapsule};
use super::codes::error;
use super::control::ControlMemory;
use super::policy::Policy;
use super::response::{self, Status};
use super::streams::{Critical, Role, Stream};
use super::varint::VarintReader;
use super::{Effect, Fault, Received, StreamId};
use crate::limits::CLIENT_STREAMS;

/// What was there of the one session that a connection may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// None yet.
    Before,
    /// It is open.
    Open,
    /// It was there and is over.
    Over,
    /// The connection is being closed: nothing is of interest any more.
    Broken,
}

/// The HTTP/3 and WebTransport state of one connection.
#[derive(Debug)]
pub struct Session {
    /// The client's streams: so few that looking through them is the fastest way to find one.
    pub(super) streams: [Stream; CLIENT_STREAMS],
    pub(super) policy: Arc<Policy>,
    /// Effects that the driver has not taken yet. `None` when there are none, so that nothing stays on the heap.
    #[allow(clippy::box_collection)] // 8 bytes in every connection instead of 32.
    effects: Option<Box<VecDeque<Effect>>>,
    pub(super) capsules: CapsuleReader,
    pub(super) control: ControlMemory,
    pub(super) stage: Stage,
    /// Which of the streams that a client opens once it has opened.
    pub(super) opened: Critical,
}

impl Session {
    /// A connection before its handshake.
    #[must_use]
    pub fn new(policy: Arc<Policy>) -> Self {
        Self {
            streams: Default::default(),
            policy,
            effects: None,
            capsules: CapsuleReader::default(),
            control: ControlMemory::new(),
            stage: Stage::Before,
            opened: Critical::default(),
        }
    }

    /// The handshake is done: the server's control stream can be opened.
    pub fn handle_handshake_done(&mut self) {
        self.queue(Effect::OpenUni);
    }

    /// The stream that [`Effect::OpenUni`] asked for.
    pub fn handle_uni_opened(&mut self, id: StreamId) {
        self.queue(Effect::Write { id, data: response::control_stream().into() });
    }

    /// Takes the next bytes of a stream, in any slicing. `fin` says that they are the last.
    pub fn handle_stream(&mut self, id: StreamId, data: Bytes, fin: bool) -> Received {
        let Some(place) = self.place_of(id).or_else(|| self.admit(id)) else { return Received::Consumed };
        if matches!(self.streams[place].role, Role::Channel) {
            if fin {
                self.streams[place].role = Role::Free;
                self.queue(Effect::Finish { id });
                self.end_by_channel();
            }
            return Received::Channel { data, fin };
        }
        let role = mem::take(&mut self.streams[place].role);
        match self.advance(id, role, data, fin) {
            Ok(role) => self.streams[place].role = role,
            Err(fault) => self.fail(id, fault),
        }
        Received::Consumed
    }

    /// The client abandoned a stream (`RESET_STREAM`).
    pub fn handle_reset(&mut self, id: StreamId, code: u64) {
        let _ = code;
        let Some(place) = self.place_of(id) else { return };
        match mem::take(&mut self.streams[place].role) {
            Role::Free | Role::UniType(_) | Role::Closed | Role::Ignored => {}
            Role::Control(_) | Role::QpackEncoder | Role::QpackDecoder(_) => self.fail(id, critical_closed()),
            Role::Connect(_) => {
                self.queue(Effect::Reset { id, code: error::REQUEST_CANCELLED });
                self.end_by_client(CloseCapsule { code: 0, reason: Bytes::new() });
            }
            Role::Channel => {
                self.queue(Effect::Reset { id, code: error::WEBTRANSPORT_SESSION_GONE });
                self.end_by_channel();
            }
            Role::BidiType(_) | Role::SessionId(_) | Role::Waiting(_) | Role::Request(_) => {
                self.queue(Effect::Reset { id, code: error::REQUEST_CANCELLED });
                self.reject_waiting(id);
            }
        }
    }

    /// The client does not want to receive a stream (`STOP_SENDING`).
    pub fn handle_stop_sending(&mut self, id: StreamId, code: u64) {
        let _ = code;
        if !id.is_client_initiated() {
            // The server's only stream of its own is its control stream.
            return self.fail(id, critical_closed());
        }
        let place = self.place_of(id);
        if place.is_none_or(|place| matches!(self.streams[place].role, Role::Closed | Role::Ignored)) {
            // Everything has been said there; QUIC forgets the stream only when it is reset or all is acknowledged.
            if id.is_bidi() {
                self.queue(Effect::Reset { id, code: error::REQUEST_CANCELLED });
            }
            return;
        }
        self.queue(Effect::StopSending { id, code: error::REQUEST_CANCELLED });
        self.handle_reset(id, code);
    }

    /// Whether the driver may pass on bytes of a stream now; if not, it leaves them in QUIC.
    pub fn is_readable(&self, id: StreamId) -> bool {
        self.place_of(id).is_none_or(|place| !matches!(self.streams[place].role, Role::Waiting(_)))
    }

    /// Ends the session with a code and a reason for the client. Without an open session it does nothing.
    pub fn close(&mut self, code: u32, reason: &[u8]) {
        if self.stage != Stage::Open {
            return;
        }
        self.stage = Stage::Over;
        self.end_connect_stream(code, reason);
        if let Some(place) = self.place_of_role(|role| matches!(role, Role::Channel)) {
            let id = self.streams[place].id;
            self.streams[place].role = Role::Free;
            // What was written before is still delivered.
            self.queue(Effect::Finish { id });
            self.queue(Effect::StopSending { id, code: error::WEBTRANSPORT_SESSION_GONE });
        }
    }

    /// The next thing for the driver to do.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        let effects = self.effects.as_mut()?;
        let effect = effects.pop_front();
        if effects.is_empty() {
            self.effects = None;
        }
        effect
    }

    /// Whether the one session of the connection is over, or can never be.
    pub fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over | Stage::Broken)
    }

    pub(super) fn queue(&mut self, effect: Effect) {
        if self.stage != Stage::Broken {
            self.effects.get_or_insert_default().push_back(effect);
        }
    }

    fn place_of(&self, id: StreamId) -> Option<usize> {
        self.streams.iter().position(|stream| stream.id == id && !matches!(stream.role, Role::Free))
    }

    pub(super) fn place_of_role(&self, wanted: impl Fn(&Role) -> bool) -> Option<usize> {
        self.streams.iter().position(|stream| wanted(&stream.role))
    }

    /// A place for a stream that is new. The transport allows no more streams at a time than there are places.
    fn admit(&mut self, id: StreamId) -> Option<usize> {
        if self.stage == Stage::Broken || !id.is_client_initiated() {
            return None;
        }
        let Some(place) = self.place_of_role(|role| matches!(role, Role::Free)) else {
            self.refuse(id, error::EXCESSIVE_LOAD);
            return None;
        };
        let first = VarintReader::default();
        let role = if id.is_bidi() { Role::BidiType(first) } else { Role::UniType(first) };
        self.streams[place] = Stream { id, role };
        Some(place)
    }

    /// The client ended the session on the CONNECT stream, whose place the caller takes care of.
    pub(super) fn end_by_client(&mut self, close: CloseCapsule) {
        self.stage = Stage::Over;
        if let Some(place) = self.place_of_role(|role| matches!(role, Role::Channel)) {
            let id = self.streams[place].id;
            self.streams[place].role = Role::Free;
            self.refuse(id, error::WEBTRANSPORT_SESSION_GONE);
        }
        self.queue(Effect::SessionClosed { code: close.code, reason: close.reason });
    }

    /// The client ended the channel, and with it the session.
    pub(super) fn end_by_channel(&mut self) {
        self.stage = Stage::Over;
        self.end_connect_stream(0, b"");
        self.queue(Effect::SessionClosed { code: 0, reason: Bytes::new() });
    }

    fn end_connect_stream(&mut self, code: u32, reason: &[u8]) {
        if let Some(place) = self.place_of_role(|role| matches!(role, Role::Connect(_))) {
            self.streams[place].role = Role::Ignored;
            self.say_closed(self.streams[place].id, code, reason);
        }
    }

    /// Writes the close capsule and ends the CONNECT stream, from which nothing is of interest any more.
    pub(super) fn say_closed(&mut self, id: StreamId, code: u32, reason: &[u8]) {
        self.capsules = CapsuleReader::default();
        self.queue(Effect::Write { id, data: response::close_capsule(code, reason).into() });
        self.queue(Effect::Finish { id });
    }

    pub(super) fn respond(&mut self, id: StreamId, status: Status) {
        self.queue(Effect::Write { id, data: status.response() });
        self.queue(Effect::Finish { id });
        self.reject_waiting(id);
    }

    /// Turns a stream away, both ways.
    pub(super) fn refuse(&mut self, id: StreamId, code: u64) {
        if id.is_bidi() {
            self.queue(Effect::Reset { id, code });
        }
        self.queue(Effect::StopSending { id, code });
    }

    /// Ends what the fault is about.
    pub(super) fn fail(&mut self, id: StreamId, fault: Fault) {
        match fault {
            Fault::Stream(code) => {
                self.refuse(id, code);
                self.reject_waiting(id);
            }
            Fault::Connection { code, reason } => {
                if self.stage == Stage::Open {
                    self.end_by_client(CloseCapsule { code: 0, reason: Bytes::new() });
                }
                self.queue(Effect::CloseConnection { code, reason });
                self.stage = Stage::Broken;
                self.streams = Default::default();
                self.capsules = CapsuleReader::default();
            }
        }
    }
}

pub(super) const fn critical_closed() -> Fault {
    Fault::connection(
        error::CLOSED_CRITICAL_STREAM,
        "a stream that lives as long as the connection was closed",
    )
}
