//! Steps 2 to 6: what time alone brings about.
//!
//! A session has one timer, set to the first of all that is due for it. When it fires everything that is due is done,
//! and it is set anew: no event has to cancel anything.

use bytes::Bytes;

use super::io::{CloseCode, LinkId, ShardId, Time};
use super::links::LinkKind;
use super::pairing::SessionId;
use super::reply::Why;
use super::session::{Chat, Session, Stage, Stranger, Waiting};
use super::shard::Shard;
use crate::limits::IDLE_MS;

impl Shard {
    /// Sets a session's timer to the first thing that is due for it.
    pub(super) fn rearm(&mut self, id: SessionId) {
        if let Some(at) = self.sessions.get(id.0).and_then(|session| self.due(session)) {
            self.session_timers.insert(id.0, at);
        } else {
            self.session_timers.cancel(id.0);
        }
    }

    /// The time a session's timer should be set to, in the wheel's whole milliseconds: for checkers.
    pub(super) fn session_due_at(&self, session: &Session) -> Option<Time> {
        self.due(session).map(|at| Time(at.0.div_ceil(1_000) * 1_000))
    }

    fn due(&self, session: &Session) -> Option<Time> {
        let away = session.link.is_none().then(|| self.forgotten_at(session));
        let stage = match &session.stage {
            Stage::Idle => away.is_none().then(|| session.since.plus_ms(IDLE_MS)),
            Stage::Waiting(waiting) => Self::wait_due(waiting),
            Stage::Chatting(chat) => self.chat_due_at(session, chat),
        };
        [away, stage].into_iter().flatten().min()
    }

    fn wait_due(waiting: &Waiting) -> Option<Time> {
        let claim = waiting.claim.as_ref().map(|claim| claim.ask_at);
        [Some(waiting.notice_at), waiting.search_at, waiting.offer_at, claim].into_iter().flatten().min()
    }

    fn chat_due_at(&self, session: &Session, chat: &Chat) -> Option<Time> {
        let silent = session.link.and_then(|link| self.link(link)).is_some_and(|link| link.silent);
        let silent = silent.then(|| self.forgotten_at(session));
        let across = match &chat.stranger {
            Stranger::Here(_) => None,
            Stranger::There(across) => Some(across.due()),
        };
        [silent, across, chat.ice_at].into_iter().flatten().min()
    }

    /// A session's timer has fired.
    pub(super) fn session_due(&mut self, now: Time, id: SessionId) {
        let Some(session) = self.sessions.get(id.0) else { return };
        let expired = now >= self.forgotten_at(session);
        match (session.link, &session.stage) {
            (None, _) if expired => return self.forget(now, id),
            (Some(link), Stage::Idle) if now >= session.since.plus_ms(IDLE_MS) => {
                return self.expel(now, link, CloseCode::Idle, Bytes::from_static(b"idle for 10 minutes"));
            }
            (Some(_), Stage::Waiting(_)) => self.wait_fired(now, id),
            (Some(link), Stage::Chatting(_))
                if expired && self.link(link).is_some_and(|link| link.silent) =>
            {
                self.break_chat(now, id);
            }
            (_, Stage::Chatting(chat)) => {
                if chat.ice_at.is_some_and(|at| now >= at) {
                    self.renew_ice(now, id);
                }
                self.across_due(now, id);
            }
            _ => {}
        }
        self.rearm(id);
    }

    fn wait_fired(&mut self, now: Time, id: SessionId) {
        let fired = |shard: &Self, at: fn(&Waiting) -> Option<Time>| {
            let waiting = shard.sessions.get(id.0).and_then(|session| session.waiting());
            waiting.and_then(at).is_some_and(|at| now >= at)
        };
        if fired(self, |waiting| waiting.search_at) {
            self.search_again(now, id);
        }
        if fired(self, |waiting| waiting.claim.as_ref().map(|claim| claim.ask_at)) {
            self.claim_due(now, id);
        }
        if fired(self, |waiting| waiting.offer_at) {
            self.offer(now, id);
        }
        if fired(self, |waiting| Some(waiting.notice_at)) {
            self.notice_waiting(now, id);
        }
    }

    /// A link's timer has fired.
    pub(super) fn link_due(&mut self, now: Time, link: LinkId) {
        match self.link(link).map(|link| &link.kind) {
            Some(LinkKind::Here) if self.drain.is_some() => self.expel_draining(now, link),
            Some(LinkKind::Here) => {
                self.close(link, CloseCode::Idle, Bytes::from_static(b"no HELLO within 5 s"));
            }
            Some(_) => self.trunk_due(now, link),
            None => {}
        }
    }

    /// Another shard has started again: all its sessions and connections are gone.
    pub(super) fn lose_shard(&mut self, now: Time, lost: ShardId) {
        for slot in 0..self.sessions.end() {
            let id = SessionId(slot);
            let Some(session) = self.sessions.get(slot) else { continue };
            match &session.stage {
                Stage::Chatting(Chat { stranger: Stranger::There(across), .. }) if across.shard == lost => {
                    self.chat_over(now, id, Why::Lost);
                }
                Stage::Waiting(Waiting { claim: Some(claim), .. }) if claim.b.shard == lost => {
                    self.give_up_claim(now, id);
                }
                _ => {}
            }
        }
        self.lose_links(now, |shard| shard == lost);
        for ticket in 0..self.rendezvous.room.end() {
            if let Some(who) = self.rendezvous.room.get(ticket).map(|seeker| seeker.who)
                && who.shard == lost
            {
                self.forget_offer(who.person);
            }
        }
    }
    /// The other ends of these links are gone.
    pub(super) fn lose_links(&mut self, now: Time, lost: impl Fn(ShardId) -> bool) {
        for slot in 0..self.links.end() {
            let link = LinkId(slot);
            match self.link(link).map(|link| &link.kind) {
                Some(LinkKind::Far(trunk)) if lost(trunk.shard) => self.closed(now, link),
                Some(LinkKind::Forward(trunk)) if lost(trunk.shard) => self.home_lost(now, link),
                _ => {}
            }
        }
    }
}
