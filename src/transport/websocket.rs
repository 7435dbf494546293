//! Steps 1, 5 and 6: the channels of a shard that WebSockets carry.
//!
//! In: what the site has put into pipes, and the passing of time. Out: the same calls of the core as for QUIC, and bytes for the site. The
//! shard sees neither TCP nor TLS nor messages: a pipe carries the channel's bytes, whatever their slicing was.

use bytes::Bytes;

use super::hub::Hub;
use super::line::{Line, LineDue};
use super::pipe::{Close, Event, Lobby, ShardEnd, slot_of};
use crate::abuse::Ticket;
use crate::core::io::{CloseCode, Time};
use crate::core::pages::Slots;
use crate::core::wheel::Wheel;
use crate::limits;
use crate::ops::Total;

/// Set in the handles of WebSockets. Those of QUIC connections are slots of a table, which stay below.
const MARK: u32 = 1 << 31;
const _: () = assert!(limits::MAX_SESSIONS as usize + limits::EXTRA_CONNECTIONS < MARK as usize);

/// Whether a handle names a WebSocket.
pub(super) fn is_websocket(handle: u32) -> bool {
    handle & MARK != 0
}

/// All of a shard's WebSockets.
pub(super) struct WebSockets {
    pub lobby: Lobby,
    table: Slots<Box<WebSocket>>,
    wheel: Wheel,
    due: Vec<u32>,
}

struct WebSocket {
    end: ShardEnd,
    line: Line,
    /// The core has closed the session; what was written to the channel goes first, until this moment.
    closing: Option<(Time, Close)>,
}

impl WebSocket {
    /// The moment at which it wants to be looked at again.
    fn deadline(&self) -> Time {
        match &self.closing {
            Some((until, _)) => *until,
            None => self.line.deadline().min(self.lost_at()),
        }
    }

    fn lost_at(&self) -> Time {
        self.line.heard.plus_ms(limits::IDLE_TIMEOUT_MS.into())
    }

    /// Gives the site what it takes of the queue. Returns how many relayed bytes have left.
    fn flush(&mut self, now: Time) -> usize {
        let Self { end, line, .. } = self;
        if line.out.is_empty() {
            return 0;
        }
        let (written, _) = line.out.write_to(|mut chunk| {
            let taken = chunk.len().min(end.room());
            if taken > 0 {
                end.give(chunk.split_to(taken));
            }
            Ok::<_, ()>(taken)
        });
        line.note_written(now, written);
        written.relayed
    }
}

impl WebSockets {
    pub fn new(lobby: Lobby, now: Time) -> Self {
        Self { lobby, table: Slots::default(), wheel: Wheel::new(now), due: Vec::new() }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// The channel of a WebSocket.
    pub fn line(&mut self, handle: u32) -> Option<&mut Line> {
        self.get(handle).map(|socket| &mut socket.line)
    }

    /// The next moment at which something is due.
    pub fn next_due(&mut self) -> Option<Time> {
        self.wheel.next()
    }

    fn get(&mut self, handle: u32) -> Option<&mut WebSocket> {
        self.table.get_mut(handle & !MARK).map(Box::as_mut)
    }

    fn forget(&mut self, handle: u32, close: Option<Close>) {
        let slot = handle & !MARK;
        let Some(socket) = self.table.remove(slot) else { return };
        self.wheel.cancel(slot);
        socket.line.tell("forgotten", None);
        self.lobby.tell(&socket.end);
        socket.end.let_go(close);
    }
}

impl Hub {
    /// Takes up to `budget` events from the site. Returns whether there may be more.
    pub fn receive_websockets(&mut self, now: Time, budget: usize) -> bool {
        self.bus.mailbox().take_woken_by_site();
        for _ in 0..budget {
            match self.websockets.lobby.receive() {
                None => return false,
                Some(Event::Opened(end, ticket)) => self.open_websocket(now, *end, *ticket),
                Some(Event::News(pipe)) => {
                    let slot = slot_of(&pipe);
                    let known = self.websockets.table.get(slot).is_some_and(|socket| socket.end.is_of(&pipe));
                    if known {
                        self.mark(slot | MARK);
                    }
                }
            }
        }
        true
    }

    fn open_websocket(&mut self, now: Time, end: ShardEnd, ticket: Ticket) {
        let mut line = Line::new(now);
        line.ticket = Some(ticket);
        line.tell("session opened over WebSocket", None);
        let socket = WebSocket { end, line, closing: None };
        let slot = self.websockets.table.insert(Box::new(socket));
        if let Some(socket) = self.websockets.get(slot) {
            socket.end.name(slot);
        }
        self.totals[Total::OpenedWebSocket] += 1;
        let link = self.core.handle_open(now);
        self.bind(now, slot | MARK, link);
        self.mark(slot | MARK);
        self.apply(now);
    }

    /// Works through one WebSocket that has something to do.
    pub(super) fn service_websocket(&mut self, now: Time, handle: u32) {
        let Some(socket) = self.websockets.get(handle) else { return };
        // Looked at before the bytes: what the client said last comes before its end.
        let gone = socket.end.is_gone();
        if socket.end.take_heard() {
            self.heard(now, handle);
        }
        self.read_websocket(now, handle);
        if gone {
            self.unlink(now, handle);
            self.account_forgotten(handle);
            return self.websockets.forget(handle, None);
        }
        let Some(socket) = self.websockets.get(handle) else { return };
        let before = socket.line.out.len();
        let relayed = socket.flush(now);
        if socket.line.out.len() != before {
            self.websockets.tell(handle);
        }
        if relayed > 0 {
            self.credit(now, handle, relayed);
        }
        self.account(now, handle);
        self.settle_websocket(now, handle);
    }

    fn read_websocket(&mut self, now: Time, handle: u32) {
        // What was left when reading stopped comes first.
        self.decode(now, handle);
        // What comes meanwhile is told anew: a client cannot hold up its shard.
        for _ in 0..limits::PIPE_UP_SLOTS {
            let Some(socket) = self.websockets.get(handle) else { return };
            socket.line.resumed = false;
            if socket.closing.is_none() && !socket.line.may_read() {
                return;
            }
            let Some(bytes) = socket.end.take() else { return };
            // After the close what the client still says is nobody's, and it must not wait with it.
            if socket.closing.is_none() {
                socket.line.decoder.push(bytes);
            }
            self.websockets.tell(handle);
            self.decode(now, handle);
        }
    }

    /// Finishes a close whose time has come, else arms the next deadline.
    fn settle_websocket(&mut self, now: Time, handle: u32) {
        let Some(socket) = self.websockets.get(handle) else { return };
        let closes =
            socket.closing.as_ref().is_some_and(|(until, _)| socket.line.out.is_empty() || *until <= now);
        if closes {
            let close = socket.closing.take().map(|(_, close)| close);
            self.account_forgotten(handle);
            return self.websockets.forget(handle, close);
        }
        let at = socket.deadline();
        if socket.line.armed.is_none_or(|armed| at < armed) {
            socket.line.armed = Some(at);
            self.websockets.wheel.insert(handle & !MARK, at);
        }
    }

    /// Ends a session from the server's side once its channel has had its chance.
    pub(super) fn close_websocket(&mut self, now: Time, handle: u32, code: CloseCode, reason: Bytes) {
        if let Some(socket) = self.websockets.get(handle) {
            socket.closing = Some((now.plus_ms(limits::LINGER_MS), Close { code, reason }));
        }
    }

    /// Lets the WebSockets whose time has come act.
    pub(super) fn expire_websockets(&mut self, now: Time) {
        let mut due = std::mem::take(&mut self.websockets.due);
        self.websockets.wheel.expire(now, &mut due);
        for slot in due.drain(..) {
            self.expire_websocket(now, slot | MARK);
        }
        self.websockets.due = due;
    }

    fn expire_websocket(&mut self, now: Time, handle: u32) {
        let Some(socket) = self.websockets.get(handle) else { return };
        socket.line.armed = None;
        if !socket.line.may_read() {
            // Its answers wait behind what is not read, so it cannot be heard, and is not silent.
            socket.line.heard = now;
        }
        if socket.closing.is_none() && socket.lost_at() <= now {
            self.unlink(now, handle);
            self.account_forgotten(handle);
            return self.websockets.forget(handle, None);
        }
        let link = socket.line.link;
        match link.and_then(|_| socket.line.due(now)) {
            None => {}
            Some(LineDue::Probe) => {
                socket.end.ping();
                self.websockets.tell(handle);
            }
            Some(LineDue::Silent) => {
                socket.line.silent = true;
                link.inspect(|link| self.core.handle_silent(now, *link));
            }
            Some(LineDue::Stalled) => {
                socket.line.waits_since = None;
                link.inspect(|link| self.core.handle_stalled(now, *link));
            }
        }
        self.mark(handle);
    }

    /// After a panic: ends every session with code 7.
    pub fn abandon_websockets(&mut self) {
        for slot in 0..self.websockets.table.end() {
            let reason = Bytes::from_static(b"");
            self.websockets.forget(slot | MARK, Some(Close { code: CloseCode::Internal, reason }));
        }
    }
}

impl WebSockets {
    fn tell(&mut self, handle: u32) {
        let Self { lobby, table, .. } = self;
        if let Some(socket) = table.get(handle & !MARK) {
            lobby.tell(&socket.end);
        }
    }
}
