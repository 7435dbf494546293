//! Steps 2 to 6: one shard's share of the rules. This is all that a driver calls.
//!
//! **How to drive it.** Call a `handle_*` method with what happened. Then call [`Shard::poll_output`] until it gives
//! `None` and do what it says, in order; *then* act on the [`Relayed`] that the method returned. Call
//! [`Shard::handle_timeout`] when the moment of [`Shard::poll_timeout`] has come. `now` never goes back. After
//! [`Output::Close`] or [`Shard::handle_closed`] a link's number means nothing until [`Shard::handle_open`] gives it out
//! again.
//!
//! What two sessions of one shard say to each other passes through here in one call. A shard talks to other shards in
//! [`BusMessage`]s only (`bus.rs`), which may be lost, late, or out of order.

use std::collections::{HashMap, VecDeque};
use std::ops::RangeInclusive;

use bytes::Bytes;
use rand::rngs::ChaCha20Rng;
use rand::{Rng as _, SeedableRng as _};
use zeroize::Zeroize as _;

use super::bus::{BusMessage, FarLink, LinkBody};
use super::counts::Counts;
use super::departed::Departed;
use super::drain::Drain;
use super::frame::{ControlKind, FrameFault};
use super::ice::IceConfig;
use super::interests::{Interner, Keyed};
use super::io::{LinkId, Output, RelayFrame, Relayed, ShardId, Time};
use super::latencies::Latencies;
use super::links::{Link, LinkKind};
use super::pages::Slots;
use super::pairing::{Mode, SessionId};
use super::pause::Paused;
use super::rendezvous::Rendezvous;
use super::session::Session;
use super::waiting::Room;
use super::wheel::Wheel;
use crate::limits::RESUME_S;

/// What a shard is told once.
#[derive(Clone, Debug)]
pub struct ShardConfig {
    /// Which shard it is.
    pub id: ShardId,
    /// How many there are.
    pub shards: u16,
    /// Which process of a row of upgrades it is in.
    pub generation: u8,
    /// Sessions that it takes, also those that are away; each costs below 400 bytes in the core while idle.
    pub max_sessions: u32,
    /// TURN servers for video; without them `ice` is empty.
    pub ice: Option<IceConfig>,
    /// For how long a session without a connection is kept, in ms: at most [`RESUME_S`].
    pub resume_ms: u64,
    /// Whether FINDs and other control frames are limited by rate. Off in development, so that load can be measured.
    pub limit_rates: bool,
}

impl Default for ShardConfig {
    /// One shard, a million sessions, no TURN, sessions resumed as long as the protocol allows, rates limited.
    fn default() -> Self {
        Self {
            id: ShardId(0),
            shards: 1,
            generation: 0,
            max_sessions: 1_000_000,
            ice: None,
            resume_ms: RESUME_S * 1_000,
            limit_rates: true,
        }
    }
}

/// One shard of the core.
#[derive(Debug)]
pub struct Shard {
    pub(super) config: ShardConfig,
    pub(super) rng: ChaCha20Rng,
    pub(super) links: Slots<Link>,
    /// Links that are closed and may still be named by outputs.
    pub(super) retired: Vec<LinkId>,
    /// Links of sessions at home here whose connections are on other shards.
    pub(super) far_links: HashMap<(ShardId, FarLink), LinkId, Keyed>,
    pub(super) sessions: Slots<Session>,
    /// Sessions without a link.
    pub(super) away: usize,
    pub(super) departed: Departed,
    /// Sessions in a chat.
    pub(super) chats: usize,
    pub(super) room: Room,
    pub(super) rendezvous: Rendezvous,
    pub(super) interests: Interner,
    pub(super) session_timers: Wheel,
    pub(super) link_timers: Wheel,
    pub(super) outputs: VecDeque<Output>,
    /// What this shard tells itself as a rendezvous or a home.
    inbox: VecDeque<BusMessage>,
    due: Vec<u32>,
    pub(super) online: u64,
    pub(super) drain: Option<Drain>,
    /// Older processes that can be asked for a session, by the first shard of each.
    pub(super) elders: Vec<ShardId>,
    pub(super) paused: Paused,
    /// The moment `Time(0)` in seconds since 1970, for TURN credentials: the core has no clock.
    pub(super) unix_s_at_zero: u64,
    /// How long people wait, in ms, by mode.
    pub(super) estimates: [Option<u64>; 2],
    pub(super) counts: Counts,
    pub(super) latencies: Latencies,
}

impl Shard {
    /// An empty shard. The seed has to be secret and fresh: tokens come from it.
    pub fn new(config: ShardConfig, seed: [u8; 32], now: Time) -> Self {
        let mut rng = ChaCha20Rng::from_seed(seed);
        let mut key = || Keyed(rng.next_u64(), rng.next_u64());
        Self {
            far_links: HashMap::with_hasher(key()),
            room: Room::new(key()),
            rendezvous: Rendezvous::new(key(), now),
            interests: Interner::new(key()),
            config,
            rng,
            links: Slots::default(),
            retired: Vec::new(),
            sessions: Slots::default(),
            away: 0,
            departed: Departed::default(),
            chats: 0,
            session_timers: Wheel::new(now),
            link_timers: Wheel::new(now),
            outputs: VecDeque::new(),
            inbox: VecDeque::new(),
            due: Vec::new(),
            online: 0,
            drain: None,
            elders: Vec::new(),
            paused: Paused::default(),
            unix_s_at_zero: 0,
            estimates: [None; 2],
            counts: Counts::default(),
            latencies: Latencies::default(),
        }
    }

    /// A WebTransport session was accepted. Its HELLO is due within 5 s, or 1 s while the shard drains. If the shard is
    /// full its close is the next output.
    pub fn handle_open(&mut self, now: Time) -> LinkId {
        self.open(now)
    }

    /// A complete frame for the server.
    pub fn handle_control(&mut self, now: Time, link: LinkId, kind: ControlKind, payload: &[u8]) {
        if self.is_forward(link) {
            self.forward_control(now, link, kind, payload);
        } else {
            self.control(now, link, kind, payload);
        }
        self.read_inbox(now);
    }

    /// A complete frame for the stranger.
    #[inline]
    pub fn handle_relay(&mut self, now: Time, link: LinkId, frame: RelayFrame) -> Relayed {
        let relayed = self.relay_from(now, link, frame);
        if !self.inbox.is_empty() {
            self.read_inbox(now);
        }
        relayed
    }

    /// The channel's bytes are not frames.
    pub fn handle_fault(&mut self, now: Time, link: LinkId, fault: FrameFault) {
        if self.is_forward(link) {
            self.forward_closed_by(link, fault);
        } else {
            self.expel(now, link, fault.code(), Bytes::from_static(fault.reason().as_bytes()));
        }
        self.read_inbox(now);
    }

    /// So many relayed bytes have left this channel's queue into QUIC.
    pub fn handle_flushed(&mut self, now: Time, link: LinkId, bytes: usize) {
        if self.is_forward(link) {
            self.trunk_owes(link, bytes);
        } else {
            self.flushed(now, link, bytes);
        }
        self.read_inbox(now);
    }

    /// Nothing was heard for 10 s from a channel that is in a chat.
    pub fn handle_silent(&mut self, now: Time, link: LinkId) {
        self.event(now, link, LinkBody::Silent, Self::silent);
    }

    /// A channel that was silent is heard again.
    pub fn handle_heard(&mut self, now: Time, link: LinkId) {
        self.event(now, link, LinkBody::Heard, Self::heard);
    }

    /// What is pending for this channel made no progress for 10 s while its connection lives.
    pub fn handle_stalled(&mut self, now: Time, link: LinkId) {
        self.event(now, link, LinkBody::Stalled, Self::stalled);
    }

    /// The channel is gone, by the client or by failure.
    pub fn handle_closed(&mut self, now: Time, link: LinkId) {
        if self.is_forward(link) {
            self.forward_closed(link);
        } else {
            self.closed(now, link);
        }
        self.read_inbox(now);
    }

    /// Another shard says something.
    pub fn handle_bus(&mut self, now: Time, from: ShardId, message: BusMessage) -> Relayed {
        let relayed = self.hear(now, from, message);
        self.read_inbox(now);
        relayed
    }

    /// Another shard has started again after a panic: all of its sessions are gone.
    pub fn handle_shard_lost(&mut self, now: Time, shard: ShardId) {
        self.lose_shard(now, shard);
        self.read_inbox(now);
    }

    /// The moment of [`poll_timeout`](Self::poll_timeout) has come.
    pub fn handle_timeout(&mut self, now: Time) {
        let mut due = std::mem::take(&mut self.due);
        self.session_timers.expire(now, &mut due);
        due.drain(..).for_each(|slot| self.session_due(now, SessionId(slot)));
        self.link_timers.expire(now, &mut due);
        due.drain(..).for_each(|slot| self.link_due(now, LinkId(slot)));
        self.rendezvous.expiries.expire(now, &mut due);
        due.drain(..).for_each(|ticket| self.offer_expired(ticket));
        self.due = due;
        self.drain_due(now);
        self.read_inbox(now);
    }

    /// When [`handle_timeout`](Self::handle_timeout) is next due. It may find nothing to do.
    pub fn poll_timeout(&mut self) -> Option<Time> {
        let drain = self.drain.and_then(|drain| drain.due());
        let timers =
            [self.session_timers.next(), self.link_timers.next(), self.rendezvous.expiries.next(), drain];
        timers.into_iter().flatten().min()
    }

    /// What to do next.
    pub fn poll_output(&mut self) -> Option<Output> {
        let output = self.outputs.pop_front();
        if output.is_none() {
            for link in self.retired.drain(..) {
                self.links.remove(link.0);
            }
        }
        output
    }

    /// Sessions in a chat: a drain need not wait when there are none.
    pub fn chats(&self) -> usize {
        self.chats
    }

    /// Draws past the random generator's block, which keeps what it has given: tokens of sessions, also of those that have
    /// gone. And frees queues that are empty, which keep what was in them. For the driver to call now and then.
    pub fn forget_the_gone(&mut self) {
        const BLOCK_BYTES: usize = 256;
        if self.outputs.is_empty() {
            self.outputs = VecDeque::new();
        }
        if self.inbox.is_empty() {
            self.inbox = VecDeque::new();
        }
        let mut past = [0; BLOCK_BYTES];
        self.rng.fill_bytes(&mut past);
        past.zeroize();
    }

    /// What the clock on the wall shows, in seconds since 1970. To be told now and then, since it may be set.
    pub fn set_unix_time(&mut self, now: Time, unix_s: u64) {
        self.unix_s_at_zero = unix_s.saturating_sub(now.0 / 1_000_000);
    }

    /// Which shard it is, of how many, and in which generation.
    pub fn place(&self) -> (ShardId, u16, u8) {
        (self.config.id, self.config.shards, self.config.generation)
    }

    /// Older processes that can be asked for a session, by the first shard of each.
    pub fn set_elders(&mut self, elders: Vec<ShardId>) {
        self.elders = elders;
    }

    /// Processes that are so many generations ahead, modulo 256, are gone: their sessions, and their connections.
    pub fn handle_processes_lost(&mut self, now: Time, ahead: RangeInclusive<u8>) {
        self.lose_links(now, |shard| ahead.contains(&shard.ahead()));
        self.read_inbox(now);
    }

    /// Other limits, TURN servers and times from now on. Who has credentials keeps them until they are renewed; below what there
    /// is, a limit closes nobody and lets nobody in.
    pub fn set_config(&mut self, config: ShardConfig) {
        debug_assert_eq!(self.place(), (config.id, config.shards, config.generation), "the same shard");
        self.config = config;
    }

    /// How many sessions all shards have together; told to clients rounded.
    pub fn set_online(&mut self, online: u64) {
        self.online = online;
    }

    /// Numbers for metrics.
    pub fn counts(&self) -> Counts {
        Counts {
            links: (self.links.len() - self.retired.len()) as u64,
            sessions: self.sessions.len() as u64,
            away: self.away as u64,
            waiting: [Mode::Text, Mode::Video].map(|mode| self.room.people(mode) as u64),
            in_chat: self.chats as u64,
            offers: self.rendezvous.room.len() as u64,
            interests: self.interests.len() as u64,
            ..self.counts
        }
    }

    /// How long people have waited, since it was last taken away (see [`Latencies::take`]).
    pub fn latencies(&mut self) -> &mut Latencies {
        &mut self.latencies
    }

    /// Something happened to a channel: told to its session, here or at home.
    fn event(&mut self, now: Time, link: LinkId, body: LinkBody, here: fn(&mut Self, Time, LinkId)) {
        if self.is_forward(link) {
            self.forward(now, link, body);
        } else {
            here(self, now, link);
        }
        self.read_inbox(now);
    }

    fn is_forward(&self, link: LinkId) -> bool {
        matches!(self.link(link), Some(Link { kind: LinkKind::Forward(_), .. }))
    }

    fn hear(&mut self, now: Time, from: ShardId, message: BusMessage) -> Relayed {
        match message {
            BusMessage::Chat(message) => return self.hear_across(now, from, message),
            BusMessage::Link(message) => return self.hear_link(now, from, message),
            BusMessage::Offer(offer) => self.take_offer(now, *offer),
            BusMessage::Withdraw(who) => self.forget_offer(who.person),
            BusMessage::Meet { a, b } => self.meet(now, a, b),
            BusMessage::Missed(b) => self.missed(now, b),
            BusMessage::Claim(claim) => self.claim(now, from, *claim),
            BusMessage::Refused { a, bond } => self.claim_refused(now, a, bond),
            BusMessage::Gone { to, bond } => self.gone(now, from, to, bond),
            BusMessage::Reported { who, by, report } => self.reported(now, who, by, report),
        }
        Relayed::Dropped
    }

    /// Tells a shard something, also this one.
    pub(super) fn post(&mut self, to: ShardId, message: BusMessage) {
        if to == self.config.id {
            self.inbox.push_back(message);
        } else {
            self.outputs.push_back(Output::Bus { to, message });
        }
    }

    /// What this shard told itself. Each message leads to at most a few more, and no chain of them comes back to its
    /// beginning without a timer in between.
    pub(super) fn read_inbox(&mut self, now: Time) {
        while let Some(message) = self.inbox.pop_front() {
            self.hear(now, self.config.id, message);
        }
    }

    pub(super) fn random_u64(&mut self) -> u64 {
        self.rng.next_u64()
    }
}
