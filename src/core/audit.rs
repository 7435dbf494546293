//! Steps 2 to 6 seen from outside: what a checker asks a shard after every step.
//!
//! Not on any path of a running server: it walks over everything.

use super::bus::{BondId, Offer};
use super::io::{ChatId, ShardId, Time};
use super::links::LinkKind;
use super::pairing::{PersonId, SessionId};
use super::session::{Chat, Session, Stage, Stranger};
use super::shard::Shard;

/// A session as a checker sees it.
#[derive(Debug)]
pub struct View {
    /// Who.
    pub person: PersonId,
    /// The chat it is in.
    pub chat: Option<ChatView>,
    /// What it waits for, if it can be found at the moment.
    pub waits: Option<Offer>,
}

/// A half of a chat as a checker sees it.
#[derive(Debug)]
pub struct ChatView {
    /// The number on the wire.
    pub number: ChatId,
    /// The stranger.
    pub stranger: PersonId,
    /// Where the other half is, if that is another shard.
    pub across: Option<(ShardId, BondId)>,
}

impl Shard {
    /// All sessions.
    pub fn views(&self, now: Time) -> Vec<View> {
        let sessions = (0..self.sessions.end()).filter_map(|slot| self.sessions.get(slot));
        sessions.map(|session| self.view(now, session)).collect()
    }

    fn view(&self, now: Time, session: &Session) -> View {
        let seeker = session.waiting().and_then(|waiting| self.room.get(waiting.ticket));
        let chat = session.chat().map(|chat| ChatView {
            number: chat.number,
            stranger: chat.person,
            across: match &chat.stranger {
                Stranger::Here(_) => None,
                Stranger::There(across) => Some((across.shard, across.bond)),
            },
        });
        let waits = seeker.filter(|seeker| !seeker.claimed).map(|seeker| self.describe(now, seeker, 0));
        View { person: session.person, chat, waits }
    }

    /// Everything that has to be true between two calls; else what is not.
    pub fn audit(&self) -> Result<(), String> {
        let (mut chats, mut waiting, mut away) = (0, 0, 0);
        for slot in 0..self.sessions.end() {
            let Some(session) = self.sessions.get(slot) else { continue };
            away += usize::from(session.link.is_none());
            self.audit_link(SessionId(slot), session)?;
            // A timer that fires too early finds nothing to do; one that fires too late would be a fault.
            let (set, due) = (self.session_timers.due(slot), self.session_due_at(session));
            if due.is_some_and(|due| set.is_none_or(|set| set > due)) {
                return Err(format!(
                    "session {slot} has its timer at {set:?}, but is due at {due:?}: {session:?}"
                ));
            }
            match &session.stage {
                Stage::Idle => {}
                Stage::Waiting(wait) => {
                    waiting += 1;
                    let holder = self.room.get(wait.ticket).map(|seeker| seeker.who.session);
                    if session.link.is_none() || holder != Some(SessionId(slot)) {
                        return Err(format!("session {slot} waits with the ticket of {holder:?}"));
                    }
                }
                Stage::Chatting(chat) => {
                    chats += 1;
                    self.audit_chat(SessionId(slot), chat)?;
                }
            }
        }
        let counted = (self.chats, self.room.len(), self.away);
        if counted != (chats, waiting, away) {
            return Err(format!(
                "chats, waiting and away are {:?}, counted {counted:?}",
                (chats, waiting, away)
            ));
        }
        self.audit_far_links()
    }

    fn audit_link(&self, id: SessionId, session: &Session) -> Result<(), String> {
        let Some(link) = session.link else { return Ok(()) };
        let state = self.link(link).ok_or(format!("{id:?} is on a closed {link:?}"))?;
        let in_chat = session.chat().is_some();
        if state.session != Some(id) || state.in_chat != in_chat || (!in_chat && state.paused) {
            return Err(format!("{id:?} is on {link:?}, which disagrees: {state:?}"));
        }
        Ok(())
    }

    fn audit_chat(&self, id: SessionId, chat: &Chat) -> Result<(), String> {
        let Stranger::Here(other) = chat.stranger else { return Ok(()) };
        let back = self.sessions.get(other.0).and_then(Session::chat);
        let symmetric = back.is_some_and(|back| {
            let here = matches!(back.stranger, Stranger::Here(stranger) if stranger == id);
            here && back.number == chat.number && back.role != chat.role
        });
        if symmetric { Ok(()) } else { Err(format!("{id:?} is in {chat:?}, but the stranger in {back:?}")) }
    }

    fn audit_far_links(&self) -> Result<(), String> {
        let links = (0..self.links.end()).filter_map(|slot| self.links.get(slot));
        let far = links.filter(|link| matches!(link.kind, LinkKind::Far(_))).count();
        if far == self.far_links.len() {
            Ok(())
        } else {
            Err(format!("{far} far links, {} known", self.far_links.len()))
        }
    }

    /// Whether nothing is left of anybody; else what is.
    pub fn audit_empty(&self) -> Result<(), String> {
        let timers = [&self.session_timers, &self.link_timers, &self.rendezvous.expiries]
            .map(super::wheel::Wheel::len);
        let rooms = [&self.room, &self.rendezvous.room].map(|room| room.len() + room.places());
        let tables = [
            self.sessions.len(),
            self.links.len(),
            self.interests.len(),
            self.far_links.len(),
            self.away,
            self.rendezvous.tickets.len(),
        ];
        if timers == [0; 3] && rooms == [0; 2] && tables == [0; 6] {
            return Ok(());
        }
        Err(format!(
            "timers {timers:?}, rooms {rooms:?}, sessions, links, interests, far links, away, offers {tables:?}"
        ))
    }

    /// Bytes on the heap for tables and timers.
    pub fn heap_bytes(&self) -> usize {
        self.sessions.heap_bytes()
            + self.links.heap_bytes()
            + self.room.heap_bytes()
            + self.session_timers.heap_bytes()
            + self.link_timers.heap_bytes()
    }
}
