//! The peer: `matchbox_server` 0.15, a WebSocket signaling server whose `?next=2` pairs strangers as they connect.
//!
//! It is made to look like a server of the protocol, so that the same scenarios, clocks and reports serve both: its
//! `IdAssigned` is WELCOME, its `NewPeer` is MATCHED for both ends, its `Signal` carries relayed frames, `PeerLeft` is
//! ENDED. It pairs who connects, so FIND is answered when the connection has been paired, and nothing can be left but the
//! connection. Only the earlier of two is told of the other by the server; the later is told here at the same moment.

use std::collections::{HashMap, VecDeque};
use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::sockets::{Happened, Sockets};
use super::websocket::TEXT;
use crate::net::{Gone, Net, NetEvent, SessionId, Target, Traffic, What};
use crate::time::{Nanos, now};
use crate::worker::message::STAMP_BYTES;
use crate::wt::frame::{self, HEADER_BYTES};
use crate::wt::session::End;

/// The room, and how many make a chat.
pub const PATH: &str = "/anoncam?next=2";
/// Characters of a stamp in base64, which a message cannot be shorter than.
pub const STAMP_CHARACTERS: usize = (STAMP_BYTES * 4).div_ceil(3);

#[derive(Deserialize)]
enum Event<'a> {
    IdAssigned(&'a str),
    NewPeer(&'a str),
    PeerLeft(#[allow(dead_code, reason = "who left is known from who was there")] &'a str),
    Signal {
        #[allow(dead_code, reason = "who sends is known from who is there")]
        sender: &'a str,
        data: &'a str,
    },
}

#[derive(Serialize)]
enum Request<'a> {
    Signal { receiver: &'a str, data: &'a str },
}

#[derive(Deserialize)]
struct Find {
    n: u32,
}

/// One connection.
#[derive(Default)]
struct Peer {
    session: Option<SessionId>,
    id: Box<str>,
    /// The counter of a FIND that has not been answered.
    looking: Option<u32>,
    /// The chat, its other end, and whether this end was there first.
    chat: Option<(u32, SessionId, bool)>,
}

/// The connections of the only load thread: a pair has to be in one.
pub struct MatchboxNet {
    sockets: Sockets,
    /// By the session's place.
    peers: Vec<Peer>,
    by_id: HashMap<Box<str>, SessionId>,
    /// Ids that were announced to a session before their own connection was told them.
    announced: HashMap<Box<str>, SessionId>,
    next_chat: u32,
    events: VecDeque<NetEvent>,
}

impl MatchboxNet {
    /// None yet.
    pub fn new(target: Target) -> Result<Self, String> {
        Ok(Self {
            sockets: Sockets::new(target)?,
            peers: Vec::new(),
            by_id: HashMap::new(),
            announced: HashMap::new(),
            next_chat: 1,
            events: VecDeque::new(),
        })
    }

    fn peer(&mut self, session: SessionId) -> Option<&mut Peer> {
        self.peers.get_mut(session.index()).filter(|peer| peer.session == Some(session))
    }

    fn tell(&mut self, session: SessionId, at: Nanos, what: What) {
        self.events.push_back(NetEvent { session, at, what });
    }

    fn collect(&mut self) {
        while let Some((session, at, happened)) = self.sockets.next() {
            match happened {
                Happened::Handshaken => self.tell(session, at, What::Handshaken),
                Happened::Open => self.tell(session, at, What::Open),
                Happened::Gone(gone) => {
                    self.forget(session);
                    self.tell(session, at, What::Gone(gone));
                }
                Happened::Message(bytes) => {
                    if let Ok(event) = serde_json::from_slice(&bytes) {
                        self.happened(session, at, &event);
                    } else {
                        let end = End::Protocol("an event that is not matchbox's");
                        self.close(session, 0);
                        self.tell(session, at, What::Gone(Gone::Session(end)));
                    }
                }
            }
        }
    }

    fn happened(&mut self, session: SessionId, at: Nanos, event: &Event<'_>) {
        match *event {
            Event::IdAssigned(id) => {
                let Some(peer) = self.peer(session) else { return };
                peer.id = id.into();
                self.by_id.insert(id.into(), session);
                self.tell(session, at, What::Frame(frame::WELCOME, Bytes::from_static(b"{}")));
                if let Some(first) = self.announced.remove(id) {
                    self.meet(first, session, at);
                }
            }
            Event::NewPeer(id) => match self.by_id.get(id).copied() {
                Some(second) => self.meet(session, second, at),
                None => drop(self.announced.insert(id.into(), session)),
            },
            Event::PeerLeft(_) => {
                if let Some((chat, ..)) = self.peer(session).and_then(|peer| peer.chat.take()) {
                    let ended = format!(r#"{{"chat":{chat},"why":"left"}}"#);
                    self.tell(session, at, What::Frame(frame::ENDED, ended.into()));
                }
            }
            Event::Signal { data, .. } => {
                if let Some(payload) = decode(data) {
                    self.tell(session, at, What::Frame(frame::TEXT, payload));
                }
            }
        }
    }

    fn meet(&mut self, first: SessionId, second: SessionId, at: Nanos) {
        let chat = self.next_chat;
        self.next_chat = chat.wrapping_add(1);
        for (session, other, earlier) in [(first, second, true), (second, first, false)] {
            if let Some(peer) = self.peer(session) {
                peer.chat = Some((chat, other, earlier));
                self.answer(session, at);
            }
        }
    }

    /// Tells a session that looks for a stranger and has one.
    fn answer(&mut self, session: SessionId, at: Nanos) {
        let Some(peer) = self.peer(session) else { return };
        let (Some(n), Some((chat, _, earlier))) = (peer.looking, peer.chat) else { return };
        peer.looking = None;
        let role = if earlier { "offerer" } else { "answerer" };
        let matched = format!(r#"{{"n":{n},"chat":{chat},"role":"{role}"}}"#);
        self.tell(session, at, What::Frame(frame::MATCHED, matched.into()));
    }

    fn relay(&mut self, session: SessionId, payload: &[u8]) {
        let other = self.peer(session).and_then(|peer| peer.chat).map(|(_, other, _)| other);
        let Some(receiver) = other.and_then(|other| self.peer(other)).map(|peer| &peer.id) else { return };
        let data = encode(payload);
        let request = Request::Signal { receiver, data: &data };
        let text = serde_json::to_vec(&request).unwrap_or_default();
        self.sockets.send(session, TEXT, &text);
    }

    fn forget(&mut self, session: SessionId) {
        if let Some(peer) = self.peer(session) {
            let id = std::mem::take(peer).id;
            self.by_id.remove(&id);
            self.announced.remove(&id);
        }
    }
}

impl Net for MatchboxNet {
    fn open(&mut self) -> Result<SessionId, String> {
        let session = self.sockets.open()?;
        if self.peers.len() <= session.index() {
            self.peers.resize_with(session.index() + 1, Peer::default);
        }
        self.peers[session.index()] = Peer { session: Some(session), ..Peer::default() };
        Ok(session)
    }

    fn send(&mut self, session: SessionId, frame: Bytes) {
        match (frame[0], &frame[HEADER_BYTES..]) {
            (frame::SIGNAL | frame::TEXT, payload) => self.relay(session, payload),
            (frame::FIND, payload) => {
                let n = serde_json::from_slice::<Find>(payload).map(|find| find.n).ok();
                if let Some(peer) = self.peer(session) {
                    peer.looking = n;
                    self.answer(session, now());
                }
            }
            // There is no HELLO here, and nothing can be left but the connection.
            _ => {}
        }
    }

    fn close(&mut self, session: SessionId, code: u32) {
        self.forget(session);
        self.sockets.close(session, code);
    }

    fn receive(&mut self) -> io::Result<Option<Nanos>> {
        self.sockets.receive();
        Ok(None)
    }

    fn expire(&mut self) {
        self.sockets.expire();
    }

    fn drive(&mut self) {
        self.sockets.drive();
        self.collect();
    }

    fn next_event(&mut self) -> Option<NetEvent> {
        self.events.pop_front()
    }

    fn wait(&self, until: Nanos) {
        self.sockets.wait(until);
    }

    fn traffic(&self) -> Traffic {
        self.sockets.traffic()
    }
}

/// A payload as text of the same length: its stamp in base64, then padding.
fn encode(payload: &[u8]) -> String {
    let stamp = STANDARD_NO_PAD.encode(&payload[..STAMP_BYTES.min(payload.len())]);
    format!("{stamp:x<width$}", width = payload.len())
}

fn decode(data: &str) -> Option<Bytes> {
    let mut payload = STANDARD_NO_PAD.decode(data.get(..STAMP_CHARACTERS)?).ok()?;
    payload.resize(data.len().max(STAMP_BYTES), 0);
    Some(payload.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_survives_as_text_of_the_same_length() {
        let payload: Vec<u8> = (0..100).collect();
        let text = encode(&payload);
        assert_eq!(text.len(), 100);
        let back = decode(&text).unwrap();
        assert_eq!((&back[..STAMP_BYTES], back.len()), (&payload[..STAMP_BYTES], 100));
        assert_eq!(decode("short"), None);
    }
}
