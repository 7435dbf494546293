//! Steps 2 and 3 of 6: what an operator has turned off for a while.
//!
//! Who chats goes on. A FIND in a paused mode is refused and changes nothing; who waits in it leaves the room and is told the same.
//! While newcomers are paused, HELLO without a session to resume is closed with code 8.

use super::io::{CloseCode, LinkId, Time};
use super::pairing::{Mode, SessionId};
use super::reply;
use super::session::Session;
use super::shard::Shard;
use crate::limits::PAUSED_RETRY_MS;

/// What is turned off: any of it, or nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Paused {
    /// New text chats.
    pub text: bool,
    /// New video chats.
    pub video: bool,
    /// New sessions.
    pub new: bool,
}

impl Paused {
    /// Whether new chats of this mode are.
    pub const fn mode(self, mode: Mode) -> bool {
        match mode {
            Mode::Text => self.text,
            Mode::Video => self.video,
        }
    }
}

impl Shard {
    /// Turns off what is to be off, and on what is not. Whoever waits in a mode that is turned off waits no longer.
    pub fn set_paused(&mut self, now: Time, paused: Paused) {
        if std::mem::replace(&mut self.paused, paused) == paused {
            return;
        }
        for slot in 0..self.sessions.end() {
            let waiting = self.sessions.get(slot).and_then(Session::waiting);
            let seeker = waiting.and_then(|waiting| self.room.get(waiting.ticket));
            let Some(mode) = seeker.map(|seeker| seeker.mode).filter(|mode| paused.mode(*mode)) else {
                continue;
            };
            let id = SessionId(slot);
            self.stop_waiting(now, id);
            self.counts.refused_paused += 1;
            self.tell(id, reply::paused(mode, PAUSED_RETRY_MS));
            self.rearm(id);
        }
        self.read_inbox(now);
    }

    /// Refuses a FIND in a paused mode; whether it did.
    pub(super) fn refuse_paused(&mut self, link: LinkId, mode: Mode) -> bool {
        let refused = self.paused.mode(mode);
        if refused {
            self.counts.refused_paused += 1;
            self.send(link, reply::paused(mode, PAUSED_RETRY_MS));
        }
        refused
    }

    /// Closes a newcomer's channel while newcomers are paused; whether it did.
    pub(super) fn refuse_newcomer(&mut self, link: LinkId) -> bool {
        let refused = self.paused.new;
        if refused {
            self.counts.refused_paused += 1;
            let reason = reply::close_reason("newcomers are not let in for now", PAUSED_RETRY_MS);
            self.close(link, CloseCode::Full, reason);
        }
        refused
    }
}
