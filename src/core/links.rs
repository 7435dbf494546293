//! Steps 2 and 6 of 6: channels, from the moment a session is accepted until nobody names them any more.
//!
//! A link is a channel on this shard ([`LinkKind::Here`]), or one end of a channel that is not on its session's home
//! shard (see `remote.rs`). Everything else in the core treats them alike.

use bytes::Bytes;

use super::drain::Drain;
use super::io::{CloseCode, LinkId, Output, Time, Visitor};
use super::pairing::SessionId;
use super::remote::Trunk;
use super::reply;
use super::shard::Shard;
use crate::limits::{DRAIN_HELLO_MS, HELLO_MS, RETRY_AFTER_MS};

/// One channel.
#[derive(Debug)]
pub struct Link {
    /// Where it ends.
    pub kind: LinkKind,
    /// Whose it is, after HELLO.
    pub session: Option<SessionId>,
    /// Relayed bytes in its queue that belong to the present chat.
    pub held: u32,
    /// Relayed bytes in its queue that belong to earlier chats: they leave first.
    pub stale: u32,
    /// Whether the driver was told not to read from it.
    pub paused: bool,
    /// Whether nothing has been heard from it for long.
    pub silent: bool,
    /// Whether it is in a chat, as the driver was told.
    pub in_chat: bool,
    /// What the driver knows about its client.
    pub visitor: Visitor,
}

/// Where a link ends.
#[derive(Debug)]
pub enum LinkKind {
    /// A channel of this shard.
    Here,
    /// The session is at home here, its channel on another shard.
    Far(Box<Trunk>),
    /// The channel is here, its session at home on another shard.
    Forward(Box<Trunk>),
    /// Closed; its number is free once the outputs that name it have been polled.
    Closed,
}

impl Link {
    /// A link before HELLO.
    pub fn new(kind: LinkKind) -> Self {
        Self {
            kind,
            session: None,
            held: 0,
            stale: 0,
            paused: false,
            silent: false,
            in_chat: false,
            visitor: Visitor::default(),
        }
    }

    /// Relayed bytes in its queue.
    pub fn queued(&self) -> usize {
        self.held as usize + self.stale as usize
    }
}

impl Shard {
    pub(super) fn open(&mut self, now: Time) -> LinkId {
        let link = LinkId(self.links.insert(Link::new(LinkKind::Here)));
        match (self.drain, self.full()) {
            (None, false) => {
                self.link_timers.insert(link.0, now.plus_ms(HELLO_MS));
            }
            // It may be somebody who comes back to a chat that goes on.
            (Some(drain @ Drain { over: false, .. }), false) => {
                let hello_ms = if drain.is_moving() { HELLO_MS } else { DRAIN_HELLO_MS };
                self.link_timers.insert(link.0, now.plus_ms(hello_ms));
            }
            (Some(_), _) => self.expel_draining(now, link),
            (None, true) => {
                self.counts.refused_full += 1;
                self.close(link, CloseCode::Full, reply::close_reason("the server is full", RETRY_AFTER_MS));
            }
        }
        link
    }

    /// What the driver knows about a channel's client. Before its HELLO is handled; else the client is from nowhere and let in.
    pub fn introduce(&mut self, link: LinkId, visitor: Visitor) {
        if let Some(state) = self.link_mut(link) {
            state.visitor = visitor;
        }
    }

    /// Closes the channel of a client that may not begin a session; whether it did.
    pub(super) fn refuse_visitor(&mut self, link: LinkId) -> bool {
        let Some(refusal) = self.link_mut(link).and_then(|link| link.visitor.refusal.take()) else {
            return false;
        };
        let (code, reason) = *refusal;
        self.close(link, code, reason);
        true
    }

    /// Whether its channel is one of this shard's.
    pub(super) fn is_here(&self, link: LinkId) -> bool {
        matches!(self.link(link), Some(Link { kind: LinkKind::Here, .. }))
    }

    /// Whether there is no room for another session. Someone who is away may come back all the same.
    fn full(&self) -> bool {
        let most = self.config.max_sessions as usize;
        self.links.len() > most || (self.sessions.len() >= most && self.away == 0)
    }

    /// The link, unless it is closed.
    #[inline]
    pub(super) fn link(&self, link: LinkId) -> Option<&Link> {
        self.links.get(link.0).filter(|link| !matches!(link.kind, LinkKind::Closed))
    }

    /// The link, unless it is closed.
    #[inline]
    pub(super) fn link_mut(&mut self, link: LinkId) -> Option<&mut Link> {
        self.links.get_mut(link.0).filter(|link| !matches!(link.kind, LinkKind::Closed))
    }

    /// Writes a server frame to a channel, wherever it is.
    pub(super) fn send(&mut self, link: LinkId, frame: Bytes) {
        match self.link(link).map(|link| &link.kind) {
            Some(LinkKind::Far(_)) => self.trunk_send(link, frame),
            Some(_) => self.outputs.push_back(Output::Send { link, frame }),
            None => {}
        }
    }

    /// Writes a server frame to a session's channel, if it has one.
    pub(super) fn tell(&mut self, id: SessionId, frame: Bytes) {
        if let Some(link) = self.sessions.get(id.0).and_then(|session| session.link) {
            self.send(link, frame);
        }
    }

    /// Closes a channel. Its session, if it has one, is the caller's to care for.
    pub(super) fn close(&mut self, link: LinkId, code: CloseCode, reason: Bytes) {
        match self.link(link).map(|link| &link.kind) {
            Some(LinkKind::Far(_)) => self.trunk_close(link, code, reason),
            Some(_) => {
                self.counts.closed[code as usize] += 1;
                self.outputs.push_back(Output::Close { link, code, reason });
            }
            None => {}
        }
        self.let_go(link);
    }

    /// Forgets a channel that is closed.
    pub(super) fn let_go(&mut self, link: LinkId) {
        let Some(state) = self.link_mut(link) else { return };
        let kind = std::mem::replace(&mut state.kind, LinkKind::Closed);
        state.session = None;
        self.link_timers.cancel(link.0);
        self.retired.push(link);
        if let LinkKind::Far(trunk) = kind {
            self.far_links.remove(&(trunk.shard, trunk.far));
        }
    }

    /// Closes the channel because of what its client did; the session can be resumed.
    pub(super) fn expel(&mut self, now: Time, link: LinkId, code: CloseCode, reason: Bytes) {
        let session = self.link(link).and_then(|link| link.session);
        if let Some(id) = session {
            self.detach(now, id);
        }
        self.close(link, code, reason);
    }

    /// Reads from a session's channel, or does not.
    pub(super) fn set_reading(&mut self, link: LinkId, on: bool) {
        let Some(state) = self.link_mut(link) else { return };
        if state.paused != on {
            return;
        }
        state.paused = !on;
        let far = matches!(state.kind, LinkKind::Far(_));
        self.counts.paused += u64::from(!on);
        if far {
            self.trunk_read(link, on);
        } else {
            self.outputs.push_back(Output::Read { link, on });
        }
    }

    /// Tells the driver of a channel whether it is in a chat.
    pub(super) fn set_in_chat(&mut self, link: LinkId, on: bool) {
        let Some(state) = self.link_mut(link) else { return };
        if std::mem::replace(&mut state.in_chat, on) == on {
            return;
        }
        if matches!(state.kind, LinkKind::Far(_)) {
            self.trunk_in_chat(link, on);
        } else {
            self.outputs.push_back(Output::InChat { link, on });
        }
    }
}
