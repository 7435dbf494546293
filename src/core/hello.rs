//! Step 2 of 6: HELLO makes a session, or takes one over (PROTOCOL.md sections 3 and 5).

use bytes::Bytes;
use rand::Rng as _;

use super::io::{CloseCode, LinkId, Mark, Output, ShardId, Time};
use super::message::{Hello, Refusal};
use super::pairing::{PersonId, SessionId};
use super::reply::{self, ResumedChat};
use super::session::{Rate, Session, Stage, Unproven};
use super::shard::Shard;
use super::token::{Secret, Token};
use crate::limits::RETRY_AFTER_MS;

/// Why a channel is closed whose session is on a newer one.
const REPLACED: &[u8] = b"replaced by a newer connection";

/// What became of a HELLO with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resume {
    /// The session is on the new channel.
    Done,
    /// A later HELLO was here before it: the channel has been told so and closed.
    Overtaken,
    /// There is no such session.
    Unknown,
}

impl Shard {
    /// The first frame of a channel of this shard.
    pub(super) fn hello(&mut self, now: Time, link: LinkId, payload: &[u8]) {
        let hello = match Hello::parse(payload) {
            Ok(hello) => hello,
            Err(Refusal::Malformed(reason) | Refusal::OutOfRange(reason)) => {
                return self.close(link, CloseCode::Protocol, Bytes::from_static(reason.as_bytes()));
            }
        };
        self.link_timers.cancel(link.0);
        let Some(token) = hello.resume else { return self.welcome_new(now, link) };
        let ahead = token.generation.wrapping_sub(self.config.generation);
        let home = ShardId::of_process(ahead, token.shard);
        if home == self.config.id {
            if self.resume(now, link, token.slot, &token.secret, now) == Resume::Unknown {
                self.welcome_new(now, link);
            }
        } else if u16::from(token.shard) < self.config.shards
            && (ahead == 0 || self.elders.contains(&ShardId::of_process(ahead, 0)))
        {
            self.attach(now, link, home, token);
        } else {
            self.welcome_new(now, link);
        }
    }

    /// A fresh session.
    pub(super) fn welcome_new(&mut self, now: Time, link: LinkId) {
        if self.drain.is_some_and(|drain| !drain.is_moving()) {
            return self.expel_draining(now, link);
        }
        if self.refuse_newcomer(link) || self.refuse_visitor(link) {
            return;
        }
        if self.sessions.len() >= self.config.max_sessions as usize && !self.make_room(now) {
            self.counts.refused_full += 1;
            return self.close(
                link,
                CloseCode::Full,
                reply::close_reason("the server is full", RETRY_AFTER_MS),
            );
        }
        let secret = Secret::new(|to| self.rng.fill_bytes(to));
        let session = Session {
            person: PersonId(self.rng.next_u64()),
            secret: secret.clone(),
            unproven: None,
            link: Some(link),
            since: now,
            stage: Stage::Idle,
            known: None,
            n: 0,
            finds: Rate::default(),
            controls: Rate::default(),
            mark: self.mark_of(link),
            reports: None,
        };
        let id = SessionId(self.sessions.insert(session));
        if let Some(state) = self.link_mut(link) {
            state.session = Some(id);
        }
        let token = self.token(id, secret);
        self.send(link, reply::welcome(&token, None, self.config.resume_ms / 1_000, self.online));
        self.tell_of_drain(now, link);
        self.rearm(id);
    }

    fn token(&self, id: SessionId, secret: Secret) -> Token {
        Token { generation: self.config.generation, shard: self.config.id.index(), slot: id.0, secret }
    }

    /// Puts a session on a new channel if the secret proves it; the old channel, if it lives, is closed. While the server
    /// drains only a chat is worth coming back to. `said` is when HELLO came, here or on the shard of the connection.
    pub(super) fn resume(
        &mut self,
        now: Time,
        link: LinkId,
        slot: u32,
        secret: &Secret,
        said: Time,
    ) -> Resume {
        let id = SessionId(slot);
        let Some(session) = self.sessions.get(slot) else { return Resume::Unknown };
        let current = session.secret == *secret;
        let old = session.unproven.as_ref().is_some_and(|last| last.secret == *secret);
        if !(current | old) || (self.drain.is_some() && session.chat().is_none()) {
            return Resume::Unknown;
        }
        if session.unproven.as_ref().is_some_and(|last| last.said > said) {
            self.welcome_overtaken(link, id);
            return Resume::Overtaken;
        }
        if let Some(old_link) = session.link {
            self.counts.taken_over += 1;
            self.detach_quietly(now, id);
            self.close(old_link, CloseCode::Done, Bytes::from_static(REPLACED));
        }
        self.counts.resumed += 1;
        let fresh = Secret::new(|to| self.rng.fill_bytes(to));
        let mark = self.mark_of(link);
        let Some(session) = self.sessions.get_mut(slot) else { return Resume::Unknown };
        session.unproven = Some(Box::new(Unproven { secret: secret.clone(), said }));
        session.secret = fresh.clone();
        session.link = Some(link);
        // Another process cannot say where the connection comes from.
        if mark != Mark::default() {
            session.mark = mark;
        }
        session.since = now;
        self.away -= 1;
        if let Some(state) = self.link_mut(link) {
            state.session = Some(id);
        }
        let token = self.token(id, fresh);
        self.welcome_back(now, link, id, &token);
        self.tell_of_drain(now, link);
        self.rearm(id);
        Resume::Done
    }

    /// A HELLO that was delayed between shards, while its client has come back on another connection: what it hears is what it
    /// would have heard in time, and its token and chat number are as dead as they would be by now.
    fn welcome_overtaken(&mut self, link: LinkId, id: SessionId) {
        self.counts.overtaken += 1;
        let secret = Secret::new(|to| self.rng.fill_bytes(to));
        let number = self.random_chat();
        let chat = self.sessions.get(id.0).and_then(Session::chat);
        let chat =
            chat.map(|chat| ResumedChat::new(number, chat.role, chat.mode, chat.stranger_away, Vec::new()));
        let token = self.token(id, secret);
        self.send(link, reply::welcome(&token, Some(chat), self.config.resume_ms / 1_000, self.online));
        self.close(link, CloseCode::Done, Bytes::from_static(REPLACED));
    }

    pub(super) fn mark_of(&self, link: LinkId) -> Mark {
        self.link(link).map(|link| link.visitor.mark).unwrap_or_default()
    }

    /// WELCOME after a resume: the chat goes on under a new number.
    fn welcome_back(&mut self, now: Time, link: LinkId, id: SessionId, token: &Token) {
        let number = self.random_chat();
        let in_chat = self.sessions.get_mut(id.0).and_then(Session::chat_mut).map(|chat| {
            chat.torn = false;
            chat.epoch += 1;
            (std::mem::replace(&mut chat.number, number), chat.role, chat.mode, chat.stranger_away)
        });
        let (online, resume_s) = (self.online, self.config.resume_ms / 1_000);
        let chat = in_chat.map(|(_, role, mode, away)| {
            ResumedChat::new(number, role, mode, away, self.ice_servers(mode, now))
        });
        let frame = reply::welcome(token, Some(chat), resume_s, online);
        self.send(link, frame);
        if let Some((_, _, _, away)) = in_chat {
            self.counts.both_resumed += u64::from(away);
            self.set_in_chat(link, true);
            self.stranger_hears_back(now, id, true);
            self.refresh_reading(id);
            self.renew_ice_later(now, id);
        }
    }

    /// The first frame after HELLO shows that WELCOME arrived: the old token is good no more.
    #[inline]
    pub(super) fn prove(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(id.0)
            && session.unproven.is_some()
        {
            session.unproven = None;
        }
    }

    /// A session lost its channel: its stranger is told, and it can be resumed for a while.
    pub(super) fn detach(&mut self, now: Time, id: SessionId) {
        self.detach_quietly(now, id);
        self.stranger_hears_away(now, id);
        self.depart(now, id);
        self.rearm(id);
    }

    /// The same without telling anybody: for a session that is taken over at once.
    fn detach_quietly(&mut self, now: Time, id: SessionId) {
        self.stop_waiting(now, id);
        self.take_back_held(id);
        let Some(session) = self.sessions.get_mut(id.0) else { return };
        if session.link.take().is_some() {
            self.away += 1;
        }
        session.since = now;
    }

    /// Forgets a session that was away for too long; its secrets are wiped as they are dropped.
    pub(super) fn forget(&mut self, now: Time, id: SessionId) {
        self.stop_waiting(now, id);
        self.end_chat(now, id, reply::Why::Lost);
        self.session_timers.cancel(id.0);
        let Some(session) = self.sessions.remove(id.0) else { return };
        self.away -= usize::from(session.link.is_none());
        if session.reports.is_some() {
            self.outputs.push_back(Output::CaseClosed { person: session.person });
        }
    }

    /// When a session without a channel is forgotten.
    pub(super) fn forgotten_at(&self, session: &Session) -> Time {
        session.since.plus_ms(self.config.resume_ms)
    }
}
