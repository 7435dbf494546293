//! Steps 2 to 6: the shard's end of one channel, whatever carries it: a stream of QUIC or a WebSocket.
//!
//! In: bytes of the channel, frames for it, and the passing of time. Out: what is written to it, and the moment at which something
//! is due: a probe, silence, a stall. What frames mean is the core's; how bytes travel is the carrier's.

use super::queue::{OutQueue, Written};
use crate::abuse::Ticket;
use crate::abuse::pace::Pace;
use crate::core::frame::FrameDecoder;
use crate::core::io::{LinkId, Time};
use crate::limits;
use crate::ops::log::events;

/// One channel's end.
#[allow(clippy::struct_excessive_bools)] // Each is a fact of its own; a state machine of them would have 32 states.
pub struct Line {
    /// The channel's bytes on their way to frames.
    pub decoder: FrameDecoder,
    /// Frames on their way to the channel.
    pub out: OutQueue,
    /// The core's name for the session while it is open.
    pub link: Option<LinkId>,
    /// When the client was last heard.
    pub heard: Time,
    /// When the last probe was sent.
    probed: Time,
    /// When the channel was last written to.
    pub wrote: Time,
    /// Since when `out` waits without any progress.
    pub waits_since: Option<Time>,
    /// The earliest entry of the timer wheel for this channel's carrier.
    pub armed: Option<Time>,
    /// Bytes that count against the shard's cap, as last told to it.
    pub accounted: usize,
    /// Whether it is in the list of those to be looked at.
    pub dirty: bool,
    /// Whether others go first: so much has come from its address.
    pub behind: bool,
    /// Whether the channel is read; back-pressure turns it off.
    pub reading: bool,
    /// Whether `reading` was turned on again and bytes may wait.
    pub resumed: bool,
    /// Whether the session is in a chat.
    pub in_chat: bool,
    /// Whether the core was told that the client is silent.
    pub silent: bool,
    /// What an operator who looks for a fault sees it under; 0 if nobody looked when it began.
    number: u32,
    /// Holds the session's place among those of its address while it is open.
    pub ticket: Option<Ticket>,
    /// How fast the channel is read.
    pace: Pace,
}

impl Line {
    /// A channel whose client was heard just now.
    pub fn new(now: Time) -> Self {
        Self {
            decoder: FrameDecoder::default(),
            out: OutQueue::default(),
            link: None,
            heard: now,
            probed: now,
            wrote: Time(0),
            waits_since: None,
            armed: None,
            accounted: 0,
            dirty: false,
            behind: false,
            reading: true,
            resumed: false,
            in_chat: false,
            silent: false,
            ticket: None,
            pace: Pace::default(),
            number: events::throwaway_number(),
        }
    }

    /// Says what happened to this connection, if an operator looks.
    pub fn tell(&self, what: &'static str, code: Option<u64>) {
        if self.number != 0 {
            events::connection(self.number, what, code);
        }
    }

    /// Whether frames may be taken from the channel: neither its stranger nor its address holds it up.
    #[inline]
    pub fn may_read(&self) -> bool {
        self.reading && self.pace.is_open()
    }

    /// Reads or leaves the rest where back-pressure reaches the sender.
    pub fn set_reading(&mut self, on: bool) {
        self.resumed |= on && !self.reading;
        self.reading = on;
    }

    /// A relayed frame is taken; where its address is limited, that counts. Returns whether the next one has to wait.
    #[inline]
    pub fn pass(&mut self, now: Time, bytes: usize) -> bool {
        let Some(ticket) = &self.ticket else { return false };
        if self.pace.spend(now, ticket, bytes) {
            self.behind = ticket.has_spent_much(now);
        }
        !self.pace.is_open()
    }

    /// The session is over; what is its name in the core?
    pub fn end(&mut self) -> Option<LinkId> {
        self.ticket = None;
        self.link.take()
    }

    /// Memory that this client makes the server hold in buffers of the channel.
    pub fn buffered_bytes(&self) -> usize {
        self.out.len() + self.decoder.pinned_bytes()
    }

    /// So much of the queue has just been taken by the carrier.
    pub fn note_written(&mut self, now: Time, written: Written) {
        if written.bytes > 0 {
            self.wrote = now;
        }
        if self.out.is_empty() {
            self.waits_since = None;
        } else if written.bytes > 0 || self.waits_since.is_none() {
            self.waits_since = Some(now);
        }
    }

    /// What is due now on a channel whose session is open.
    pub fn due(&mut self, now: Time) -> Option<LineDue> {
        if let Some(ticket) = &self.ticket {
            self.resumed |= self.pace.go_on(now, ticket) && self.reading;
        }
        if self.silent_at().is_some_and(|at| at <= now) {
            return Some(LineDue::Silent);
        }
        if self.stalls_at().is_some_and(|at| at <= now) {
            return Some(LineDue::Stalled);
        }
        if self.probes_at() <= now {
            self.probed = now;
            return Some(LineDue::Probe);
        }
        None
    }

    /// The moment from which [`Line::due`] has something.
    pub fn deadline(&self) -> Time {
        let others = [self.silent_at(), self.stalls_at(), self.pace.until()].into_iter().flatten();
        others.fold(self.probes_at(), Time::min)
    }

    fn probes_at(&self) -> Time {
        let pace_ms = if self.in_chat { limits::PROBE_MS } else { limits::KEEP_ALIVE_MS };
        self.heard.max(self.probed).plus_ms(pace_ms)
    }

    fn silent_at(&self) -> Option<Time> {
        (self.in_chat && !self.silent).then(|| self.heard.plus_ms(limits::SILENT_MS))
    }

    /// When the client has stalled. In a chat, one that has answered no probe may be away rather than stalled, and gets
    /// the time in which that is noticed.
    fn stalls_at(&self) -> Option<Time> {
        let at = self.waits_since?.plus_ms(limits::STALL_MS);
        if !self.in_chat {
            return Some(at);
        }
        if self.silent {
            return None;
        }
        let answered = self.heard.plus_ms(limits::PROBE_MS + limits::PROBE_MS / 5) >= at;
        Some(if answered { at } else { at.max(self.heard.plus_ms(limits::SILENT_MS + 1)) })
    }
}

/// What a passed deadline means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineDue {
    /// The client is asked whether it is there.
    Probe,
    /// Nothing was heard of a client in a chat.
    Silent,
    /// A client takes nothing of what is pending.
    Stalled,
}
