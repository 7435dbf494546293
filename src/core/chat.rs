//! Steps 5 and 6 of 6: a chat, from the first relayed frame to its end (PROTOCOL.md section 5).
//!
//! Each side of a chat has its own half. What happens to one side is told to the other half, which is on this shard or
//! on another (`across.rs`): away, back, ended. Relayed bytes are counted until they leave the stranger's queue, and a
//! sender with too many of them is not read.

use bytes::Bytes;
use rand::Rng as _;

use super::bus::{ChatBody, Renumber};
use super::ice::IceServer;
use super::io::{CloseCode, LinkId, RelayFrame, Relayed, Time};
use super::links::LinkKind;
use super::pairing::{Last, Mode, SessionId};
use super::reply::{self, Role, Why};
use super::session::{Chat, Session, Stage, Stranger};
use super::shard::Shard;
use crate::limits::{HOLD_BYTES, RESUME_READING_BYTES};

impl Shard {
    /// A frame from a session's channel for its stranger: the hot path.
    #[inline]
    pub(super) fn relay(&mut self, id: SessionId, frame: RelayFrame) -> Relayed {
        let chat = self.sessions.get_mut(id.0).and_then(Session::chat_mut);
        let Some(chat) = chat.filter(|chat| chat.number == frame.chat) else {
            self.counts.dropped += 1;
            return Relayed::Dropped;
        };
        let away = chat.stranger_away;
        let (relayed, waiting_bytes) = match &mut chat.stranger {
            Stranger::Here(other) => {
                let other = *other;
                self.deliver(other, frame)
            }
            Stranger::There(across) => {
                across.uncredited += frame.bytes.len();
                let waiting_bytes = across.uncredited;
                let message = across.message(id, ChatBody::Relay(frame));
                (Relayed::There { to: across.shard, message }, waiting_bytes)
            }
        };
        if waiting_bytes > HOLD_BYTES && !away {
            self.refresh_reading(id);
        }
        relayed
    }

    /// A frame for a session: to its channel, if that is there; and how many relayed bytes are in its queue then.
    #[inline]
    pub(super) fn deliver(&mut self, id: SessionId, frame: RelayFrame) -> (Relayed, usize) {
        let Some(session) = self.sessions.get_mut(id.0) else { return (Relayed::Dropped, 0) };
        let (Some(to), Stage::Chatting(chat)) = (session.link, &mut session.stage) else {
            self.counts.dropped += 1;
            return (Relayed::Dropped, 0);
        };
        let Some(link) = self.links.get_mut(to.0) else { return (Relayed::Dropped, 0) };
        let bytes = frame.bytes.len();
        // A silent channel keeps what it holds; a frame that is dropped tears the chat, and none may follow it.
        if chat.torn || (link.silent && link.queued() + bytes > HOLD_BYTES) {
            chat.torn = true;
            self.counts.dropped += 1;
            return (Relayed::Dropped, 0);
        }
        link.held += bytes as u32;
        let queued = link.queued();
        self.counts.relayed += 1;
        self.counts.relayed_bytes += bytes as u64;
        match &mut link.kind {
            LinkKind::Here => (Relayed::Here { to, frame: frame.bytes }, queued),
            LinkKind::Far(trunk) => (trunk.relay(frame), queued),
            LinkKind::Forward(_) | LinkKind::Closed => (Relayed::Dropped, queued),
        }
    }

    /// Relayed bytes have left a channel's queue: those of earlier chats first, the rest is credited to the stranger.
    pub(super) fn flushed(&mut self, now: Time, link: LinkId, bytes: usize) {
        let Some(state) = self.link_mut(link) else { return };
        let stale = bytes.min(state.stale as usize);
        let credit = (bytes - stale).min(state.held as usize);
        state.stale -= stale as u32;
        state.held -= credit as u32;
        let low = state.queued() < RESUME_READING_BYTES;
        let Some(id) = state.session else { return };
        let Some(session) = self.sessions.get_mut(id.0) else { return };
        match &mut session.stage {
            Stage::Chatting(Chat { stranger: Stranger::Here(other), .. }) => {
                let other = *other;
                self.refresh_reading(other);
            }
            Stage::Chatting(Chat { stranger: Stranger::There(_), .. }) => self.owe(id, credit),
            Stage::Waiting(waiting) if waiting.parked && low => self.unpark(now, id),
            _ => {}
        }
    }

    /// A session's channel is about to go: what it holds is out of the stranger's way.
    pub(super) fn take_back_held(&mut self, id: SessionId) {
        let Some(link) = self.sessions.get(id.0).and_then(|session| session.link) else { return };
        let Some(state) = self.link_mut(link) else { return };
        let held = std::mem::take(&mut state.held) as usize;
        self.owe(id, held);
    }

    /// Reads from a session's channel unless too much of what it sent waits for a stranger who is there.
    pub(super) fn refresh_reading(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get(id.0) else { return };
        let Some(link) = session.link else { return };
        let waiting_bytes = match session.chat() {
            Some(Chat { stranger_away: false, stranger, .. }) => match stranger {
                Stranger::Here(other) => self.queued_for(*other),
                Stranger::There(across) => across.uncredited,
            },
            _ => 0,
        };
        if waiting_bytes > HOLD_BYTES {
            self.set_reading(link, false);
        } else if waiting_bytes < RESUME_READING_BYTES {
            self.set_reading(link, true);
        }
    }

    fn queued_for(&self, id: SessionId) -> usize {
        let link = self.sessions.get(id.0).and_then(|session| session.link);
        link.and_then(|link| self.link(link)).map_or(0, super::links::Link::queued)
    }

    /// Nothing has been heard from a channel for long.
    pub(super) fn silent(&mut self, now: Time, link: LinkId) {
        let Some(state) = self.link_mut(link) else { return };
        state.silent = true;
        let Some(id) = state.session else { return };
        if let Some(session) = self.sessions.get_mut(id.0)
            && session.chat().is_some()
        {
            session.since = now;
            self.stranger_hears_away(now, id);
            self.rearm(id);
        }
    }

    /// A silent channel is heard again. If nothing was lost meanwhile the chat goes on as it was.
    pub(super) fn heard(&mut self, now: Time, link: LinkId) {
        let Some(state) = self.link_mut(link) else { return };
        if !std::mem::replace(&mut state.silent, false) {
            return;
        }
        let Some(id) = state.session else { return };
        match self.sessions.get(id.0).and_then(Session::chat).map(|chat| chat.torn) {
            Some(true) => self.break_chat(now, id),
            Some(false) => {
                self.stranger_hears_back(now, id, false);
                self.rearm(id);
            }
            None => {}
        }
    }

    /// What is pending for a channel has made no progress for long while its connection lives.
    pub(super) fn stalled(&mut self, now: Time, link: LinkId) {
        if let Some(id) = self.link(link).and_then(|link| link.session) {
            self.end_chat(now, id, Why::Stalled);
        }
        self.expel(now, link, CloseCode::Done, Bytes::from_static(b"stalled"));
    }

    /// Tells a session's stranger that it is away.
    pub(super) fn stranger_hears_away(&mut self, now: Time, id: SessionId) {
        let Some(chat) = self.sessions.get(id.0).and_then(Session::chat) else { return };
        match chat.stranger {
            Stranger::Here(other) => self.hear_away(other),
            Stranger::There(_) => self.tell_across(now, id, ChatBody::Away),
        }
    }

    /// Tells a session's stranger that it is back, under a new number if it resumed.
    pub(super) fn stranger_hears_back(&mut self, now: Time, id: SessionId, resumed: bool) {
        let Some(chat) = self.sessions.get(id.0).and_then(Session::chat) else { return };
        let renumber = resumed.then_some(Renumber { chat: chat.number, epoch: chat.epoch });
        match chat.stranger {
            Stranger::Here(other) => self.hear_back(now, other, renumber),
            Stranger::There(_) => self.tell_across(now, id, ChatBody::Back(renumber)),
        }
    }

    /// The stranger is away: nothing holds this side back meanwhile.
    pub(super) fn hear_away(&mut self, id: SessionId) {
        let Some(chat) = self.sessions.get_mut(id.0).and_then(Session::chat_mut) else { return };
        if std::mem::replace(&mut chat.stranger_away, true) {
            return;
        }
        let number = chat.number;
        self.tell(id, reply::away(number));
        self.refresh_reading(id);
    }

    /// The stranger is back. If both sides gave the chat a new number at once, the offerer's holds.
    pub(super) fn hear_back(&mut self, now: Time, id: SessionId, renumber: Option<Renumber>) {
        let Some(chat) = self.sessions.get_mut(id.0).and_then(Session::chat_mut) else { return };
        let was_away = std::mem::replace(&mut chat.stranger_away, false);
        let (before, mode) = (chat.number, chat.mode);
        let at_once = renumber.is_some_and(|new| new.epoch == chat.epoch);
        let adopted = renumber
            .filter(|new| new.epoch > chat.epoch || (new.epoch == chat.epoch && chat.role == Role::Answerer));
        if let Some(new) = adopted {
            (chat.number, chat.epoch, chat.torn) = (new.chat, new.epoch, false);
        }
        self.counts.renumbered_at_once += u64::from(at_once);
        if adopted.is_some() || was_away {
            let new_chat = adopted.map(|new| new.chat);
            let ice = if new_chat.is_some() { self.ice_servers(mode, now) } else { Vec::new() };
            let frame = reply::back(before, new_chat, ice);
            self.tell(id, frame);
        }
        if adopted.is_some() {
            self.renew_ice_later(now, id);
            self.rearm(id);
        }
        self.refresh_reading(id);
    }

    /// A session ends its chat, if it has one; the stranger is told why.
    pub(super) fn end_chat(&mut self, now: Time, id: SessionId, why: Why) {
        let Some(chat) = self.take_chat(now, id) else { return };
        match chat.stranger {
            Stranger::Here(other) => self.chat_over(now, other, why),
            Stranger::There(across) => {
                let shard = across.shard;
                let message = across.uncounted(id, ChatBody::Ended(why));
                self.post(shard, message);
            }
        }
    }

    /// A chat that cannot go on: both are told that it is lost.
    pub(super) fn break_chat(&mut self, now: Time, id: SessionId) {
        let Some(number) = self.sessions.get(id.0).and_then(Session::chat).map(|chat| chat.number) else {
            return;
        };
        self.tell(id, reply::ended(number, Why::Lost));
        self.end_chat(now, id, Why::Lost);
        self.rearm(id);
    }

    /// The stranger ended the chat, or it came to its end by itself: this side is told.
    pub(super) fn chat_over(&mut self, now: Time, id: SessionId, why: Why) {
        let Some(chat) = self.take_chat(now, id) else { return };
        self.tell(id, reply::ended(chat.number, why));
        self.rearm(id);
    }

    /// Takes a session out of its half of a chat: it is idle until it sends FIND.
    fn take_chat(&mut self, now: Time, id: SessionId) -> Option<Chat> {
        let here = self.config.id;
        let session = self.sessions.get_mut(id.0)?;
        session.chat()?;
        let Stage::Chatting(chat) = std::mem::replace(&mut session.stage, Stage::Idle) else { return None };
        let last = Last { who: chat.address(here), ended: now };
        session.known.get_or_insert_default().last = Some(last);
        self.chats -= 1;
        if let Some(link) = session.link {
            session.since = now;
            if let Some(state) = self.link_mut(link) {
                state.stale += std::mem::take(&mut state.held);
            }
            self.set_in_chat(link, false);
            self.set_reading(link, true);
        }
        Some(chat)
    }

    /// TURN and STUN servers with fresh credentials for a video chat, where the operator has any.
    pub(super) fn ice_servers(&mut self, mode: Mode, now: Time) -> Vec<IceServer<'_>> {
        let Some(ice) = self.config.ice.as_ref().filter(|_| mode == Mode::Video) else { return Vec::new() };
        let servers = ice.servers(now, self.unix_s_at_zero, self.rng.next_u64());
        self.counts.turn_credentials +=
            servers.iter().filter(|server| server.credential.is_some()).count() as u64;
        servers
    }

    /// Notes when a session's TURN credentials have to be made anew.
    pub(super) fn renew_ice_later(&mut self, now: Time, id: SessionId) {
        let renew_ms = self.config.ice.as_ref().and_then(super::ice::IceConfig::renew_ms);
        let Some(chat) = self.sessions.get_mut(id.0).and_then(Session::chat_mut) else { return };
        chat.ice_at = renew_ms.filter(|_| chat.mode == Mode::Video).map(|ms| now.plus_ms(ms));
    }

    /// Sends fresh TURN credentials.
    pub(super) fn renew_ice(&mut self, now: Time, id: SessionId) {
        self.renew_ice_later(now, id);
        let Some(chat) = self.sessions.get(id.0).and_then(Session::chat) else { return };
        let (number, mode) = (chat.number, chat.mode);
        let servers = self.ice_servers(mode, now);
        // The operator may have taken the servers away since.
        if !servers.is_empty() {
            let frame = reply::ice(number, servers);
            self.tell(id, frame);
        }
    }
}
