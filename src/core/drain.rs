//! Step 6 of 6: the server goes away, or a newer process takes its place.
//!
//! Either way nobody begins a chat here any more, and chats go on until they end or the time is over. Where the server goes away,
//! everybody is told at once and newcomers are sent away. Where it is replaced, the newer process takes the newcomers, and
//! whoever is idle is told in turn, so that they do not all knock there at the same moment; whoever waits is told at once,
//! since nobody comes to meet them here.

use bytes::Bytes;

use super::io::{CloseCode, LinkId, Time};
use super::links::{Link, LinkKind};
use super::pairing::SessionId;
use super::reply::{self, Why};
use super::session::{Session, Stage};
use super::shard::Shard;
use crate::limits::{MOVE_STEP_MS, MOVE_STEP_SESSIONS, RETRY_AFTER_MS};

/// How the server goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drain {
    pub at: Time,
    pub over: bool,
    /// Where a newer process takes over: who is told next.
    moving: Option<Moving>,
}

#[derive(Clone, Copy, Debug)]
struct Moving {
    next_slot: u32,
    step_sessions: u32,
    step_at: Time,
}

impl Drain {
    /// Whether a newer process takes over, and chats may still go on here.
    pub fn is_moving(&self) -> bool {
        self.moving.is_some() && !self.over
    }

    /// When something is due.
    pub fn due(&self) -> Option<Time> {
        let step = self.moving.map(|moving| moving.step_at);
        (!self.over).then(|| step.map_or(self.at, |step| step.min(self.at)))
    }
}

impl Shard {
    /// The server is going away: DRAIN to everybody, no new sessions and chats; after `within_ms` all is closed.
    pub fn begin_drain(&mut self, now: Time, within_ms: u64) {
        self.start_drain(now, within_ms);
        self.read_inbox(now);
    }

    /// A newer process takes this one's place: DRAIN to everybody, whoever is idle in turn, no new chats; after `within_ms`
    /// all is closed.
    pub fn begin_move(&mut self, now: Time, within_ms: u64) {
        self.start_move(now, within_ms);
        self.read_inbox(now);
    }

    /// The newer process is gone: a move becomes a drain.
    pub fn stop_moving(&mut self, now: Time) {
        self.end_move(now);
        self.read_inbox(now);
    }

    /// The server is going away: everybody is told.
    fn start_drain(&mut self, now: Time, within_ms: u64) {
        if let Some(drain) = &mut self.drain {
            // Asked again: the deadline can come nearer, and everybody has been told, or need not be any more.
            drain.at = drain.at.min(now.plus_ms(within_ms));
            return;
        }
        self.drain = Some(Drain { at: now.plus_ms(within_ms), over: false, moving: None });
        self.tell_drain(now, 0..self.sessions.end(), |_| true);
    }

    /// A newer process takes over: whoever is not idle is told, the others in the steps to come, all of them within half of
    /// the time.
    fn start_move(&mut self, now: Time, within_ms: u64) {
        if self.drain.is_some() {
            return self.start_drain(now, within_ms);
        }
        let end = self.sessions.end();
        let steps = (within_ms / 2 / MOVE_STEP_MS).max(1);
        let step_sessions = MOVE_STEP_SESSIONS.max(u64::from(end).div_ceil(steps) as u32);
        let moving = Moving { next_slot: 0, step_sessions, step_at: now };
        self.drain = Some(Drain { at: now.plus_ms(within_ms), over: false, moving: Some(moving) });
        self.tell_drain(now, 0..end, |session| !matches!(session.stage, Stage::Idle));
        self.drain_due(now);
    }

    /// The newer process is gone: there is nowhere to go, as if the server had been going away from the beginning.
    fn end_move(&mut self, now: Time) {
        let Some(moving) = self.drain.as_mut().and_then(|drain| drain.moving.take()) else { return };
        let untold = moving.next_slot.min(self.sessions.end())..self.sessions.end();
        self.tell_drain(now, untold, |session| matches!(session.stage, Stage::Idle));
    }

    fn tell_drain(&mut self, now: Time, slots: std::ops::Range<u32>, whom: impl Fn(&Session) -> bool) {
        let Some(drain) = self.drain else { return };
        let frame = reply::drain(drain.at.ms_since(now));
        for slot in slots {
            if self.sessions.get(slot).is_some_and(&whom) {
                self.tell(SessionId(slot), frame.clone());
            }
        }
    }

    /// A step of telling, or the deadline: chats end, channels are closed.
    pub(super) fn drain_due(&mut self, now: Time) {
        let Some(drain) = self.drain.as_mut().filter(|drain| !drain.over) else { return };
        if now >= drain.at {
            drain.over = true;
            return self.end_all(now);
        }
        let end = self.sessions.end();
        let Some(moving) = drain.moving.as_mut().filter(|moving| now >= moving.step_at) else { return };
        let first = moving.next_slot.min(end);
        let next = first.saturating_add(moving.step_sessions).min(end);
        moving.next_slot = next;
        moving.step_at = now.plus_ms(if next < end { MOVE_STEP_MS } else { u64::MAX });
        self.tell_drain(now, first..next, |session| matches!(session.stage, Stage::Idle));
    }

    fn end_all(&mut self, now: Time) {
        for slot in 0..self.sessions.end() {
            let id = SessionId(slot);
            if let Some(number) = self.sessions.get(slot).and_then(Session::chat).map(|chat| chat.number) {
                self.tell(id, reply::ended(number, Why::Draining));
                self.end_chat(now, id, Why::Draining);
            }
        }
        for slot in 0..self.links.end() {
            let link = LinkId(slot);
            if self.link(link).is_some_and(|link: &Link| !matches!(link.kind, LinkKind::Forward(_))) {
                self.expel_draining(now, link);
            }
        }
    }

    /// After WELCOME: to somebody who comes back to a chat, and to a newcomer who was on the way when a newer process took over.
    pub(super) fn tell_of_drain(&mut self, now: Time, link: LinkId) {
        if let Some(drain) = self.drain {
            self.send(link, reply::drain(drain.at.ms_since(now)));
        }
    }

    pub(super) fn expel_draining(&mut self, now: Time, link: LinkId) {
        let moved = self.drain.is_some_and(|drain| drain.moving.is_some());
        let reason: Bytes = if moved {
            reply::close_reason("the server has been replaced by a newer one", 0)
        } else {
            reply::close_reason("the server is going away", RETRY_AFTER_MS)
        };
        self.expel(now, link, CloseCode::Draining, reason);
    }
}
