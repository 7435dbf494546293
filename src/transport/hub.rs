//! Steps 1, 5 and 6: the connections of one shard, and the core that they meet in.
//!
//! In: datagrams, messages from other shards, the passing of time. Out: frames in the queues of connections, and a list of
//! the connections that have something to do. It does no I/O: the driver receives, transmits and sleeps.
//!
//! Contract: after any `handle_*`, call [`Hub::service`] for each connection that [`Hub::next_ahead`] names, and for some of
//! [`Hub::next_behind`], and transmit for each of them; then sleep until [`Hub::deadline`] at most, if there is no more work.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use quinn_proto::{ConnectionHandle, Endpoint};

use super::admission::Admission;
use super::bus::BusPort;
use super::clock::Clock;
use super::connection::{Conn, Due, H3_NO_ERROR, Phase};
use super::gate::Gate;
use super::h3;
use super::line::Line;
use super::newcomers::Newcomers;
use super::pipe::Lobby;
use super::precedence::Work;
use super::vacated::Vacated;
use super::websocket::{WebSockets, is_websocket};
use crate::abuse::Guard;
use crate::core::bus::{BusMessage, LinkMessage};
use crate::core::io::{ShardId, Time};
use crate::core::shard::Shard;
use crate::core::wheel::Wheel;
use crate::limits;
use crate::ops::Totals;
use crate::privacy::apart;

/// One shard's connections and core.
pub struct Hub {
    pub(super) clock: Clock,
    pub(super) endpoint: Endpoint,
    /// By quinn-proto's handle. Boxed: a connection has 8 KiB, and the table grows by copying.
    pub(super) conns: Vec<Option<Box<Conn>>>,
    /// Channels that come over TCP.
    pub(super) websockets: WebSockets,
    /// The connection or WebSocket of each of the core's links.
    pub(super) links: Vec<u32>,
    pub(super) core: Shard,
    pub(super) policy: Arc<h3::Policy>,
    pub(super) guard: Arc<Guard>,
    /// First packets in a flood.
    pub(super) gate: Gate,
    pub(super) admission: Admission,
    /// To and from the other shards.
    pub(super) bus: BusPort,
    pub(super) wheel: Wheel,
    pub(super) expired: Vec<u32>,
    /// Who has something to do.
    pub(super) work: Work,
    /// Messages from other shards; empty between calls.
    pub(super) messages: Vec<(ShardId, BusMessage)>,
    /// Chunks on their way from QUIC to the decoder; empty between calls.
    pub(super) chunks: Vec<Bytes>,
    /// Who has been let in and is no connection yet.
    pub(super) newcomers: Newcomers,
    /// Connections without a completed handshake, by [`Queue`](super::precedence::Queue).
    pub(super) half_open: [usize; 2],
    /// Connections in the table.
    pub(super) open: usize,
    /// Sum of what is accounted for each connection, in bytes.
    pub(super) buffered: usize,
    /// The cap of that sum.
    pub(super) buffer_cap: usize,
    /// Connections that hold a lot, lightest first.
    pub(super) heavy: BTreeSet<(usize, u32)>,
    /// What has been counted here; the core counts its own.
    pub(super) totals: Totals,
    /// Whether newcomers are left to a newer process.
    pub(super) has_heir: bool,
    /// What quinn-proto's table still holds of connections that have gone.
    pub(super) vacated: Vacated,
    /// Time between two rounds of forgetting.
    pub(super) forget_ms: u64,
}

/// What a [`Hub`] is made of.
pub struct HubParts {
    /// The clock of the process.
    pub clock: Clock,
    /// QUIC's side of the shard.
    pub endpoint: Endpoint,
    /// The rules.
    pub core: Shard,
    /// Which sessions are accepted.
    pub policy: Arc<h3::Policy>,
    /// Who keeps account of addresses.
    pub guard: Arc<Guard>,
    /// Judges first packets in a flood.
    pub gate: Gate,
    /// The other shards.
    pub bus: BusPort,
    /// Where WebSockets come from.
    pub lobby: Lobby,
    /// When to stop being generous.
    pub admission: Admission,
    /// The cap of all buffers of the shard, in bytes.
    pub buffer_cap: usize,
    /// Time between two rounds of forgetting.
    pub forget_ms: u64,
}

impl Hub {
    /// An empty shard.
    pub fn new(parts: HubParts) -> Self {
        let HubParts {
            clock,
            endpoint,
            core,
            policy,
            guard,
            gate,
            bus,
            lobby,
            admission,
            buffer_cap,
            forget_ms,
        } = parts;
        let (_, now) = clock.now();
        Self {
            clock,
            endpoint,
            conns: Vec::new(),
            websockets: WebSockets::new(lobby, now),
            links: Vec::new(),
            core,
            policy,
            guard,
            gate,
            bus,
            admission,
            wheel: Wheel::new(now),
            expired: Vec::new(),
            work: Work::default(),
            messages: Vec::new(),
            chunks: Vec::with_capacity(limits::READ_CHUNKS),
            newcomers: Newcomers::default(),
            half_open: [0; 2],
            open: 0,
            buffered: 0,
            buffer_cap,
            heavy: BTreeSet::new(),
            totals: Totals::default(),
            has_heir: false,
            vacated: Vacated::default(),
            forget_ms,
        }
    }

    /// A connection's slot, which is gone once QUIC has forgotten it.
    pub(super) fn conn(&mut self, handle: u32) -> Option<&mut Conn> {
        self.conns.get_mut(handle as usize)?.as_deref_mut()
    }

    /// The channel of a connection or WebSocket.
    pub(super) fn line(&mut self, handle: u32) -> Option<&mut Line> {
        if is_websocket(handle) {
            return self.websockets.line(handle);
        }
        self.conn(handle).map(|conn| &mut conn.line)
    }

    /// Something has come from the client.
    pub(super) fn heard(&mut self, now: Time, handle: u32) {
        let Some(line) = self.line(handle) else { return };
        line.heard = now;
        if std::mem::take(&mut line.silent)
            && let Some(link) = line.link
        {
            self.core.handle_heard(now, link);
            self.apply(now);
        }
    }

    /// A datagram for a connection.
    pub(super) fn handle_datagram(
        &mut self,
        now: Time,
        handle: ConnectionHandle,
        event: quinn_proto::ConnectionEvent,
    ) {
        let handle = handle.0 as u32;
        let Some(conn) = self.conn(handle) else { return };
        conn.quic.handle_event(event);
        self.heard(now, handle);
        self.mark(handle);
    }

    /// Takes up to `budget` messages from other shards. Returns whether there may be more.
    pub fn receive_bus(&mut self, now: Time, budget: usize) -> bool {
        let mut messages = std::mem::take(&mut self.messages);
        let more = self.bus.receive(budget, |from, message| messages.push((from, message)));
        for (from, message) in messages.drain(..) {
            self.handle_bus(now, from, message);
        }
        self.messages = messages;
        more
    }

    /// Takes no new sessions and tells everybody (see `Shard::begin_drain`).
    pub fn begin_drain(&mut self, now: Time, within_ms: u64) {
        self.core.begin_drain(now, within_ms);
        self.apply(now);
    }

    /// Sends everybody to a newer process (see `Shard::begin_move`).
    pub fn begin_move(&mut self, now: Time, within_ms: u64) {
        self.core.begin_move(now, within_ms);
        self.apply(now);
    }

    /// There is no newer process (any more): this one takes its newcomers, and sends them away if it drains.
    pub fn take_back(&mut self, now: Time) {
        self.has_heir = false;
        self.core.stop_moving(now);
        self.apply(now);
    }

    /// A shard of another process says something to one of this process, perhaps not this one.
    pub fn handle_link_message(&mut self, now: Time, from: ShardId, to: ShardId, message: LinkMessage) {
        let message = BusMessage::Link(message);
        if to == self.core.place().0 {
            self.handle_bus(now, from, message);
        } else {
            // Lost, like on any bus, if that shard is far behind.
            self.bus.pass_on(to, from, message);
        }
    }

    /// Other processes are gone, which are so many generations ahead (see `Shard::handle_processes_lost`).
    pub fn handle_processes_lost(&mut self, now: Time, ahead: RangeInclusive<u8>) {
        self.core.handle_processes_lost(now, ahead);
        self.apply(now);
    }

    /// Another shard has lost all of its sessions.
    pub fn handle_shard_lost(&mut self, now: Time, shard: ShardId) {
        self.core.handle_shard_lost(now, shard);
        self.apply(now);
    }

    /// Takes the shard apart; what remains is its place among the others.
    pub fn into_ports(self) -> (BusPort, Lobby) {
        (self.bus, self.websockets.lobby)
    }

    pub(super) fn handle_bus(&mut self, now: Time, from: ShardId, message: BusMessage) {
        let relayed = self.core.handle_bus(now, from, message);
        self.apply(now);
        self.forward(relayed);
    }

    /// Lets the core and the connections whose time has come act.
    pub fn handle_timeout(&mut self, instant: Instant, now: Time) {
        if self.core.poll_timeout().is_some_and(|at| at <= now) {
            self.core.handle_timeout(now);
            self.apply(now);
        }
        let mut expired = std::mem::take(&mut self.expired);
        self.wheel.expire(now, &mut expired);
        for handle in expired.drain(..) {
            self.expire(instant, now, handle);
        }
        self.expired = expired;
        self.expire_websockets(now);
        self.apply(now);
    }

    pub(super) fn expire(&mut self, instant: Instant, now: Time, handle: u32) {
        let clock = self.clock;
        let Some(conn) = self.conn(handle) else { return };
        if conn.line.armed.is_none_or(|at| at > now) {
            return; // An entry that an earlier one has replaced.
        }
        conn.line.armed = None;
        if conn.quic.poll_timeout().is_some_and(|at| clock.time_of(at) <= now) {
            apart(|| conn.quic.handle_timeout(instant));
        }
        self.count_packets(handle);
        let Some(conn) = self.conn(handle) else { return };
        let link = conn.line.link;
        match conn.due(now) {
            None => {}
            Some(Due::GiveUp(reason)) => {
                conn.line.tell("not needed any more", None);
                conn.close_quic(instant, H3_NO_ERROR, reason);
            }
            Some(Due::Close(code, reason)) => {
                conn.session.close(u32::from(code as u8), &reason);
                conn.phase = Phase::Lingering { until: now.plus_ms(limits::LINGER_MS) };
            }
            Some(Due::Silent) => {
                conn.line.silent = true;
                link.inspect(|link| self.core.handle_silent(now, *link));
            }
            Some(Due::Stalled) => {
                conn.line.waits_since = None;
                link.inspect(|link| self.core.handle_stalled(now, *link));
            }
        }
        self.mark(handle);
    }

    /// After transmitting: arms the connection's next deadline, and forgets the connection if QUIC has.
    pub fn settle(&mut self, handle: u32) {
        let clock = self.clock;
        let Some(conn) = self.conn(handle) else { return };
        if conn.quic.is_drained() {
            self.pass_endpoint_events(handle);
            self.forget(handle);
            return;
        }
        let handshaking = matches!(conn.phase, Phase::Handshake { .. });
        let established = if handshaking { None } else { conn.half_open.take() };
        let deadline = conn.deadline(&clock);
        if let Some(at) = deadline
            && conn.line.armed.is_none_or(|armed| at < armed)
        {
            conn.line.armed = Some(at);
            self.wheel.insert(handle, at);
        }
        if let Some(queue) = established {
            self.half_open[queue as usize] -= 1;
        }
    }

    /// The next moment at which something is due.
    pub fn deadline(&mut self) -> Option<Time> {
        let timers = [self.core.poll_timeout(), self.wheel.next(), self.websockets.next_due()];
        timers.into_iter().flatten().min()
    }
}
