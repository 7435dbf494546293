//! Step 1 of 6 during an upgrade: datagrams that belong to another process.
//!
//! An upgrade starts a new process on the same sockets (`crate::upgrade`). From then on the new one alone reads them; the
//! old one, an *elder*, keeps its connections until their chats are over, and answers through its own descriptors of the same
//! sockets. Every process has a *generation*, which its connection IDs carry, so the reader knows whose a datagram is:
//!
//! ```text
//! socket ── reader ── of its own generation, or of no living one ──▶ its endpoint
//!              │ ▲
//!              │ └── "nobody I know": the first datagram of a newcomer
//!              └──── of an elder's generation ──▶ the same shard of that elder
//! ```
//!
//! A newcomer's own random ID may look like an elder's; the elder alone knows whom it serves, so it gives back what it does not
//! know. A session of an elder may be resumed on a connection of the reader: the two ends of such a link talk over the same way.
//! If the reader goes away, for whatever reason, the one before it sees the end of the way to it and reads the
//! sockets again itself; so that those before that one do not, it keeps the ways to them for as long as it lives.

mod end;
mod links;
mod wire;

use std::io;
use std::os::fd::OwnedFd;

use mio::{Registry, Token};
use quinn_udp::RecvMeta;

pub use end::{End, Gone, pair};
pub use links::read as read_link;
pub use wire::{Place, Record};

use super::cid::{self, Generation};
use crate::core::bus::LinkMessage;
use crate::core::io::{ShardId, Time};
use crate::limits::{PASSED_MESSAGE_BYTES, RECV_SLOT_BYTES};

/// An older process that still has connections.
#[derive(Debug)]
struct Elder {
    generation: Generation,
    end: End,
}

/// One shard's ways to the same shard of other processes.
#[derive(Debug)]
pub struct Generations {
    own: Place,
    elders: Vec<Elder>,
    /// The process that reads the sockets instead of this one.
    heir: Option<End>,
    /// Whether something may have come; readiness is told once, when it begins.
    ready: bool,
    /// For one message; made when it is first needed.
    buffer: Box<[u8]>,
}

/// What another process says.
pub enum Heard {
    /// Datagrams, and messages of links. Goes back by [`Generations::done_with`].
    Records(Passed),
    /// The reader has gone: [`Generations::take_back`] is due.
    HeirGone,
    /// An elder has gone: its last connection is over.
    ElderGone(Generation),
}

/// What another process passed on.
pub struct Passed {
    buffer: Box<[u8]>,
    at: usize,
    end: usize,
}

impl Passed {
    /// The next of what it holds.
    pub fn next_record(&mut self) -> Option<Record<'_>> {
        let mut bytes = self.buffer.get(self.at..self.end)?;
        let before = bytes.len();
        let read = wire::read(&mut bytes);
        self.at += before - bytes.len();
        read
    }
}

impl Generations {
    /// The ways from a shard to the same shard of these elders.
    pub fn new(own: Place, elders: Vec<(Generation, OwnedFd)>) -> Self {
        let elders = elders.into_iter().map(|(generation, end)| Elder { generation, end: End::new(end) });
        Self { own, elders: elders.collect(), heir: None, ready: true, buffer: Box::default() }
    }

    /// Tells `registry` to end its poll's sleep, by events of `token`, when something comes from those that are listened to:
    /// the heir, or the elders where there is none.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.ready = true;
        match &mut self.heir {
            Some(heir) => heir.register(registry, token),
            None => self.elders.iter_mut().try_for_each(|elder| elder.end.register(registry, token)),
        }
    }

    fn deregister(&mut self, registry: &Registry) {
        let ends = self.elders.iter_mut().map(|elder| &mut elder.end).chain(&mut self.heir);
        ends.for_each(|end| end.deregister(registry));
    }

    /// Older processes that still have connections.
    pub fn elders(&self) -> impl ExactSizeIterator<Item = Generation> + '_ {
        self.elders.iter().map(|elder| elder.generation)
    }

    /// Which shard of which process this is.
    pub fn own(&self) -> Place {
        self.own
    }

    /// Whether another process reads.
    pub fn has_heir(&self) -> bool {
        self.heir.is_some()
    }

    /// Descriptors of the ways to the elders, for an heir of this process.
    pub fn elders_for_heir(&self) -> io::Result<Vec<(Generation, OwnedFd)>> {
        self.elders.iter().map(|elder| Ok((elder.generation, elder.end.try_clone()?))).collect()
    }

    /// From now on another process reads and passes on what belongs to this one. The elders are its matter, too.
    pub fn hand_over(&mut self, heir: OwnedFd, registry: &Registry, token: Token) -> io::Result<()> {
        self.deregister(registry);
        self.heir = Some(End::new(heir));
        self.register(registry, token)
    }

    /// There is no heir (any more): this process reads again.
    pub fn take_back(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.deregister(registry);
        self.heir = None;
        self.register(registry, token)
    }

    /// Passes the datagram to the elder that it belongs to; `false` if it belongs to none.
    #[inline]
    pub fn pass(&mut self, payload: &[u8], meta: &RecvMeta) -> bool {
        !self.elders.is_empty() && self.pass_to_elder(payload, meta)
    }

    fn pass_to_elder(&mut self, payload: &[u8], meta: &RecvMeta) -> bool {
        let elder = cid::generation_of(payload)
            .and_then(|generation| self.elders.iter_mut().find(|elder| elder.generation == generation));
        let Some(elder) = elder else { return false };
        // A larger one than the server announced to take is nobody's.
        if payload.len() <= RECV_SLOT_BYTES {
            // An elder that has gone is noticed when it is next listened to.
            let _ = elder.end.push(payload, meta);
        }
        true
    }

    /// Gives a datagram that belongs to nobody here back to the heir.
    pub fn give_back(&mut self, payload: &[u8], meta: &RecvMeta) {
        if let Some(heir) = &mut self.heir {
            // As above.
            let _ = heir.push(payload, meta);
        }
    }

    /// Says something of a link to a shard of another process. As on any bus it may be lost.
    pub fn tell(&mut self, to: ShardId, message: &LinkMessage, now: Time) {
        let mut bytes = Vec::new();
        links::write(&mut bytes, message, now);
        let generation = Generation(self.own.generation.0.wrapping_add(to.ahead()));
        self.pass_link(self.own, Place { generation, shard: to.index() }, &bytes);
    }

    /// Passes a message on to the process that it is for, by way of the reader, which knows them all.
    pub fn pass_link(&mut self, from: Place, to: Place, message: &[u8]) {
        let elder = self.elders.iter_mut().find(|elder| elder.generation == to.generation);
        let way = self.heir.as_mut().or_else(|| elder.map(|elder| &mut elder.end));
        if let Some(way) = way {
            // One that has gone is noticed when it is next listened to.
            let _ = way.push_link(from, to, message);
        }
    }

    /// How the core of this shard calls a shard of another process.
    pub fn name(&self, place: Place) -> ShardId {
        let ahead = place.generation.0.wrapping_sub(self.own.generation.0);
        ShardId::of_process(ahead, place.shard)
    }

    /// At the end of a turn: sends what has come together.
    pub fn flush(&mut self) {
        let ends = self.elders.iter_mut().map(|elder| &mut elder.end).chain(&mut self.heir);
        for end in ends {
            // As above.
            let _ = end.flush();
        }
    }

    /// Something may have come.
    pub fn wake(&mut self) {
        self.ready = true;
    }

    /// What another process says; `None` if there is nothing.
    #[inline]
    pub fn hear(&mut self, registry: &Registry) -> Option<Heard> {
        if self.ready { self.listen(registry) } else { None }
    }

    fn listen(&mut self, registry: &Registry) -> Option<Heard> {
        if self.buffer.is_empty() && (self.heir.is_some() || !self.elders.is_empty()) {
            self.buffer = vec![0; PASSED_MESSAGE_BYTES].into_boxed_slice();
        }
        if let Some(heir) = &self.heir {
            match heir.receive(&mut self.buffer) {
                Ok(Some(end)) => return Some(self.passed(end)),
                Ok(None) => {}
                Err(Gone) => return Some(Heard::HeirGone),
            }
        } else {
            for index in 0..self.elders.len() {
                match self.elders[index].end.receive(&mut self.buffer) {
                    Ok(Some(end)) => return Some(self.passed(end)),
                    Ok(None) => {}
                    Err(Gone) => {
                        let mut elder = self.elders.swap_remove(index);
                        elder.end.deregister(registry);
                        return Some(Heard::ElderGone(elder.generation));
                    }
                }
            }
        }
        self.ready = false;
        None
    }

    fn passed(&mut self, end: usize) -> Heard {
        Heard::Records(Passed { buffer: std::mem::take(&mut self.buffer), at: 0, end })
    }

    /// All of it has been taken.
    pub fn done_with(&mut self, passed: Passed) {
        self.buffer = passed.buffer;
    }

    /// Forgets whom the last datagrams came from.
    pub fn forget(&mut self) {
        self.buffer.fill(0);
        self.elders.iter_mut().map(|elder| &mut elder.end).chain(&mut self.heir).for_each(End::forget);
    }
}
