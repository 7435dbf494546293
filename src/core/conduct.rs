//! Steps 3 to 6 of 6: what a client says to the server after HELLO, and how often it may.

use bytes::Bytes;

use super::bus::BusMessage;
use super::frame::ControlKind;
use super::io::{CloseCode, LinkId, Mark, Output, RelayFrame, Relayed, Time};
use super::links::LinkKind;
use super::message::Refusal;
use super::pairing::{Known, Last, SessionId};
use super::reply::{self, Why};
use super::reports::Report;
use super::session::Stage;
use super::shard::Shard;
use crate::limits::{CONTROL_BURST, CONTROL_EVERY_MS, LATE_REPORT_MS, LIMITED_COUNTS, RETRY_AFTER_MS};

const NO_STRANGER: Refusal = Refusal::OutOfRange("there is no stranger to mean");

impl Shard {
    /// A control frame of a link whose session is, or will be, at home here.
    pub(super) fn control(&mut self, now: Time, link: LinkId, kind: ControlKind, payload: &[u8]) {
        let Some(state) = self.link(link) else { return };
        let silent = state.silent;
        match (state.session, kind) {
            (None, ControlKind::Hello) => self.hello(now, link, payload),
            (None, _) => self.accuse(now, link, "the first frame has to be HELLO"),
            (Some(_), ControlKind::Hello) => self.accuse(now, link, "a second HELLO"),
            (Some(id), _) => {
                if silent {
                    self.heard(now, link);
                }
                self.prove(id);
                self.request(now, link, id, kind, payload);
            }
        }
    }

    fn request(&mut self, now: Time, link: LinkId, id: SessionId, kind: ControlKind, payload: &[u8]) {
        if !self.may_ask(now, link, id, 1) {
            return;
        }
        let done = match kind {
            ControlKind::Find => self.find(now, link, id, payload),
            ControlKind::Leave => {
                self.end_chat(now, id, Why::Left);
                self.stop_waiting(now, id);
                Ok(())
            }
            ControlKind::Report => Report::parse(payload).and_then(|report| self.report(now, id, report)),
            ControlKind::Block => self.block(now, id).map(|_| ()),
            ControlKind::Hello => Ok(()),
        };
        match done {
            Ok(()) => self.rearm(id),
            Err(Refusal::OutOfRange(message)) => self.send(link, reply::bad_request(message)),
            Err(Refusal::Malformed(reason)) => self.accuse(now, link, reason),
        }
    }

    /// Counts a control frame, as so many. Past what a session may ask, its channel is closed.
    fn may_ask(&mut self, now: Time, link: LinkId, id: SessionId, count: u64) -> bool {
        let Some(session) = self.sessions.get_mut(id.0) else { return false };
        let mut take = || session.controls.take(now, CONTROL_BURST, CONTROL_EVERY_MS).is_ok();
        let may = !self.config.limit_rates || (0..count).all(|_| take());
        if !may {
            self.counts.rate_limited += 1;
            let reason = reply::close_reason("too many requests", RETRY_AFTER_MS);
            self.expel(now, link, CloseCode::TooMany, reason);
        }
        may
    }

    /// Closes a channel whose client broke the protocol.
    pub(super) fn accuse(&mut self, now: Time, link: LinkId, reason: &'static str) {
        self.expel(now, link, CloseCode::Protocol, Bytes::from_static(reason.as_bytes()));
    }

    /// A relayed frame of a link whose session is at home here.
    #[inline]
    pub(super) fn relay_from(&mut self, now: Time, link: LinkId, frame: RelayFrame) -> Relayed {
        let Some(state) = self.links.get(link.0) else { return Relayed::Dropped };
        let silent = state.silent;
        let Some(id) = state.session else {
            match state.kind {
                LinkKind::Forward(_) => return self.forward_relay(link, frame),
                LinkKind::Closed => {}
                LinkKind::Here | LinkKind::Far(_) => {
                    self.accuse(now, link, "the first frame has to be HELLO");
                }
            }
            return Relayed::Dropped;
        };
        if silent {
            self.heard(now, link);
        }
        self.prove(id);
        self.relay(id, frame)
    }

    /// BLOCK: the two never meet again. Gives back who it is about.
    fn block(&mut self, now: Time, id: SessionId) -> Result<Last, Refusal> {
        let target = self.target(now, id).ok_or(NO_STRANGER)?;
        if let Some(known) = self.known_mut(id) {
            known.block(target.who.person);
        }
        self.end_chat(now, id, Why::Left);
        Ok(target)
    }

    /// REPORT: a block, and a count with the one who is reported.
    fn report(&mut self, now: Time, id: SessionId, report: Report) -> Result<(), Refusal> {
        let who = self.block(now, id)?.who;
        self.counts.reports += 1;
        let by = match self.sessions.get(id.0) {
            // From nowhere: the reporter is told from others by name.
            Some(session) if session.mark == Mark::default() => Mark(session.person.0),
            session => session.map(|session| session.mark).unwrap_or_default(),
        };
        self.post(who.shard, BusMessage::Reported { who, by, report });
        Ok(())
    }

    /// A frame for the server that the driver did not pass on, because too much comes from where its client is: the client is told
    /// when to ask again.
    pub fn handle_limited(&mut self, now: Time, link: LinkId, retry_after_ms: u64) {
        let Some(state) = self.link(link) else { return };
        let (session, is_here) = (state.session, matches!(state.kind, LinkKind::Here));
        if session.is_none() && is_here {
            self.accuse(now, link, "the first frame has to be HELLO");
        } else if session.is_none_or(|id| self.may_ask(now, link, id, LIMITED_COUNTS)) {
            self.counts.rate_limited += 1;
            self.outputs.push_back(Output::Send { link, frame: reply::rate_limited(retry_after_ms) });
        }
        self.read_inbox(now);
    }

    /// The stranger of the current chat, or of the last one if it has just ended.
    fn target(&mut self, now: Time, id: SessionId) -> Option<Last> {
        let here = self.config.id;
        if let Some(chat) = self.sessions.get(id.0)?.chat() {
            return Some(Last { who: chat.address(here), ended: now });
        }
        self.known_mut(id)?.last.filter(|last| now.ms_since(last.ended) < LATE_REPORT_MS)
    }

    /// Whom a session knows, wherever that is kept at the moment.
    fn known_mut(&mut self, id: SessionId) -> Option<&mut Known> {
        let session = self.sessions.get_mut(id.0)?;
        match &session.stage {
            Stage::Waiting(waiting) => self.room.get_mut(waiting.ticket)?.known.as_deref_mut(),
            Stage::Idle | Stage::Chatting(_) => Some(session.known.get_or_insert_default()),
        }
    }

    /// The channel is gone, by the client or by failure.
    pub(super) fn closed(&mut self, now: Time, link: LinkId) {
        let session = self.link(link).and_then(|link| link.session);
        if let Some(id) = session {
            self.detach(now, id);
        }
        self.let_go(link);
    }
}
